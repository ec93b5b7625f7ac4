"""A process that runs one job after another and can be ended at any moment, whatever it is doing.

Each worker of a study, wherever it is, hands its jobs to such a child. A job that hangs, crashes or is killed takes
nobody with it: the worker sees the child go, says so, and starts another one for the next job. The worker itself
imports this module only, which imports nothing of the suite.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: Seconds that a child without a job lives on, and between two looks at whether a worker's parent is alive.
IDLE, PAUSE = 30.0, 0.5
#: A child is one of several, so its linear algebra has one thread.
ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA")},
    "VECLIB_MAXIMUM_THREADS": "1",
}
_ROOT = str(Path(sys.modules["smemnas"].__file__ or "").resolve().parents[1])
#: The suite comes after the standard library and before what is installed; the current folder is not there (-P).
_CODE = f"""
import sys
at = [k for k, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))]
sys.path.insert(at[0] if at else len(sys.path), {_ROOT!r})
from smemnas.bench.workers.child import serve
serve()
"""


def safe_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which no Python started from here imports files of the current folder.

    There a user's `random.py` or `json.py` would take the place of the standard library's. An empty entry of
    PYTHONPATH, which a shell's "$PYTHONPATH:/mine" leaves, means the current folder too.
    """
    safe = {"PYTHONSAFEPATH": "1"}
    if "PYTHONPATH" in environment:
        parts = environment["PYTHONPATH"].split(os.pathsep)
        safe["PYTHONPATH"] = os.pathsep.join(part for part in parts if part not in ("", "."))
    return safe


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Let no Python that this process starts within the block import files of the current folder."""
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ.update(safe_path(os.environ))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Ended(Exception):
    """The child did not finish its job; the message is the reason."""


class Child:
    """A child process.

    Args:
        module: What it imports before it says that it is ready.
        environment: Variables to set in it.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **safe_path(os.environ), **ONE_THREAD, **environment},
            start_new_session=True,  # Ctrl-C reaches the main process alone, and a kill all that the child has started
        )
        self._end = threading.Thread(target=self._clean_up, daemon=True)
        self._end.start()

    def _clean_up(self) -> None:
        """Wait for the end, then end what the child leaves behind, which would hold its answers open."""
        self._process.wait()
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def run(self, task: bytes, timeout: float | None) -> Any:
        """Return the answer to a task, which is a pickled function with its arguments.

        Raises:
            Ended: The process died, or gave no answer within `timeout` seconds and was ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(timeout or 0.0, end)
        try:
            pickle.load(self._process.stdout)  # it is ready: its start is no part of the time
            if timeout is not None:
                timer.start()
            self._process.stdin.write(task)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            if late.is_set():
                raise Ended(f"no result after {timeout:g} s") from error
            how = exit_text(self._process.returncode)
            raise Ended(f"the worker process died ({how}): out of memory, or a crash in compiled code") from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process and what it has started."""
        self._process.kill()
        self._end.join()


def exit_text(code: int) -> str:
    """Return how a process ended, as in "SIGKILL" or "exit code 1"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Slot:
    """Keeps a child between the jobs of one study."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._study = ""
        self._idle = threading.Timer(IDLE, self.close)

    def run(self, study: str, module: str, task: bytes, timeout: float | None, environment: Mapping[str, str]) -> Any:
        """Run a task in the child of a study, see `Child.run`.

        Raises:
            Ended: The child did.
        """
        with self._lock:
            self._idle.cancel()
            if self._study != study:
                self._drop()
            if self._child is None:
                self._child, self._study = Child(module, environment), study
            try:
                answer = self._child.run(task, timeout)
            except BaseException:  # an interrupt too: the child is in the middle of something
                self._drop()
                raise
            self._idle = threading.Timer(IDLE, self.close)
            self._idle.daemon = True
            self._idle.start()
            return answer

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._idle.cancel()
            self._drop()

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


_slots = threading.local()


def slot() -> Slot:
    """Return the slot of this thread."""
    if not hasattr(_slots, "slot"):
        _slots.slot = Slot()
    found: Slot = _slots.slot
    return found


def serve() -> None:
    """Answer tasks from standard input until it is closed: the main program of a child."""
    _end_with_worker()
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plug-in prints is no answer
    inbox: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                inbox.put(pickle.load(tasks))
            except EOFError:  # the worker is gone, or has no more use for this process
                os._exit(0)

    importlib.import_module(sys.argv[1])

    threading.Thread(target=listen, daemon=True).start()
    while True:
        pickle.dump("ready", answers)
        answers.flush()
        function, arguments = inbox.get()
        pickle.dump(function(*arguments), answers)


def _end_with_worker() -> None:
    """Have Linux kill this process when its worker's thread ends.

    Elsewhere the thread that listens notices; it cannot while a job hangs in compiled code and holds the
    interpreter's lock.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        set_parent_death_signal = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


_watching = False


def end_with(parent: int) -> None:
    """End this worker soon after its parent was killed, so that it does not hold runs of a study that is gone."""
    global _watching
    if _watching or os.getppid() != parent:
        return
    _watching = True

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PAUSE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
