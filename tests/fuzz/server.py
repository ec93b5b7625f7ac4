"""Runs calls of the command line, each in a forked process of its own with a watchdog, at a few milliseconds a fork.

`python -m fuzz.server` imports all that the suite uses, then reads requests from standard input: pickled
dictionaries of args, cwd, env and limit. The answer is code, out, err, seconds and the files written outside cwd.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Bytes of memory and of one file that a call may use: what needs more was not bounded.
MEMORY, FILE = 8 * 2**30, 256 * 2**20
#: What libraries may open for writing wherever a call runs.
FREE = ("/dev/", "/proc/")
HANG = -99


class Server:
    """Keeps the process that forks."""

    def __init__(self, folder: Path) -> None:
        own = {"MPLCONFIGDIR": str(folder / "mpl"), "HOME": str(folder), "SMEMNAS_DATA": str(folder / "none")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.server"],
            cwd=ROOT / "tests",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **own, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def call(self, args, cwd, env, limit=60.0, place=None):
        """Run a call; returns a dictionary. With a place for its streams it is neither watched nor bounded."""
        watched, place = place is None, str(place or Path(cwd).parent)
        request = {"args": list(args), "cwd": str(cwd), "env": env, "limit": limit, "place": place, "watched": watched}
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def close(self):
        """End the process."""
        self.process.kill()
        self.process.communicate()


def real_call(args, cwd, env, limit=60.0, *, redirect="", interrupt=None):
    """Run a call as a user does, with a redirection of the shell and maybe Ctrl-C after some seconds."""
    begin = time.perf_counter()
    words = ["bash", "-c", f'exec "$@" {redirect}', "bash", sys.executable, str(ROOT / "cli.py"), *args]
    process = subprocess.Popen(
        words, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        if interrupt is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(interrupt)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = HANG
    text = {"out": out.decode(errors="replace"), "err": err.decode(errors="replace")}
    return {"code": code, **text, "seconds": time.perf_counter() - begin, "outside": []}


def serve() -> None:
    """Answer requests until standard input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path.insert(0, str(ROOT))
    warm_up()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(answer(request), answers)
        answers.flush()


def warm_up() -> None:
    """Import what calls need, so that a fork has it; nothing here may start a thread."""
    for name in (
        *("matplotlib.font_manager", "matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image", "pandas"),
        *("rich.console", "rich.table", "scipy.stats", "sklearn.ensemble", "torch", "moocore", "filelock", "joblib"),
        *("pymoo.algorithms.moo.nsga2", "platformdirs", "threadpoolctl", "scipy.linalg", "scipy.spatial"),
        *(
            "smemnas.bench.commands.root",
            "smemnas.bench.studies.comparison",
            "smemnas.bench.report.page.page",
            "smemnas.bench.report.run",
            "smemnas.bench.report.study.files",
        ),
        *(
            "smemnas.bench.studies.execution",
            "smemnas.bench.ranking.study",
            "smemnas.bench.ranking.tables",
            "smemnas.bench.report.ranking.files",
        ),
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from smemnas.bench.benchmarks.catalog import BENCHMARKS
    from smemnas.methods.base import METHODS
    from smemnas.spaces.base import SPACES
    from smemnas.surrogates.base import SURROGATES

    for registry in (METHODS, SPACES, SURROGATES, BENCHMARKS):
        registry.names()


def answer(request):
    """Fork, wait with a watchdog, and tell what became of the call."""
    begin = time.perf_counter()
    place = Path(request["place"])
    pid = os.fork()
    if pid == 0:
        child(request, place)
    code = None
    while code is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
        elif time.perf_counter() - begin > request["limit"]:
            code = HANG
        else:
            time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if code == HANG:
        os.waitpid(pid, 0)
    read = {name: (place / name).read_bytes().decode(errors="replace") for name in ("out", "err", "outside")}
    return {
        **read,
        "outside": sorted(set(read["outside"].split())),
        "code": code,
        "seconds": time.perf_counter() - begin,
    }


def child(request, place):
    """Be the program `cli.py`, in the folder and environment of a request."""
    code = 99
    atexit._clear()  # what libraries left for the end of the process that forks
    try:
        os.setsid()
        files = [os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for name in ("out", "err", "outside")]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        if request["watched"]:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
            watch(files[2], f"{place}{os.sep}")
        tempfile.tempdir = None  # that of the environment
        sys.argv = [str(ROOT / "cli.py"), *request["args"]]
        from smemnas.cli import main

        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def watch(file: int, place: str) -> None:
    """Write down each path outside a folder that this process opens for writing, makes, moves or removes."""
    single = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}

    def note(path) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike):
            return
        full = os.path.abspath(path)
        if os.path.basename(full) == "__pycache__" or f"{os.sep}__pycache__{os.sep}" in full:
            return  # Python's own: the bytecode of what it imports
        if not f"{full}{os.sep}".startswith((place, *FREE)) and not os.path.isdir(full):
            os.write(file, f"{full}\n".encode(errors="replace"))

    def hook(event, args) -> None:
        if event == "open":
            path, mode, flags = args
            wanted = any(c in mode for c in "wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR)
            if wanted and not isinstance(path, int):
                note(path)
        elif event in single:
            note(args[0])
        elif event in {"os.rename", "os.link", "os.symlink"}:
            note(args[0] if event == "os.rename" else args[1])
            note(args[1])

    sys.addaudithook(hook)


if __name__ == "__main__":
    serve()
