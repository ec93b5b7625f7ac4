"""Around every command: streams that can always be printed to, Ctrl-C at any moment, and a last resort.

Whatever happens, a user sees at most one line about it. What is a mistake of the user or of the machine is said as
such; anything else is a fault of the suite, and its line says so. This is the first module of all, so that it imports
little beside what comes with Python.
"""

from __future__ import annotations

import _thread
import codecs
import contextlib
import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from smemnas.bench.program import in_clone, named

INTERRUPTED = "interrupted; give the same command again to continue."
#: Exit statuses beside 0, 1 (something failed) and 2 (a mistake): Ctrl-C, nobody reads, a fault of the suite.
INTERRUPT, PIPE, FAULT = 130, 141, 70
#: Set to anything, it shows the traceback of a fault.
TRACEBACK = "SMEMNAS_TRACEBACK"
#: What the system says when a machine is at its end; no program can do much about it.
MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    *(errno.EAGAIN, errno.EACCES, errno.EPERM, errno.ESTALE, errno.EISDIR, errno.ENOTDIR, errno.ELOOP),
    errno.ENAMETOOLONG,
}
#: For consoles that are not UTF-8.
PLAIN = {
    **{"±": "+-", "×": "x", "≤": "<=", "≥": ">=", "–": "-", "—": "-", "−": "-", "…": "...", "·": ".", "→": "->"},
    **{"µ": "u", "μ": "u", "’": "'", "“": '"', "”": '"', "━": "-", "╸": "-", "╺": "-"},
}
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_interrupted = False


class Carried(Exception):
    """Brings an exception past click, which would answer it with lines of its own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def prepare(program: bool) -> None:
    """Make the standard streams safe; as a program, take Ctrl-C and warnings into hand as well."""
    codecs.register_error("smemnas.plain", _plain)
    if program:
        _open_closed_streams()
        if not sys.warnoptions:  # the suite says what a user must know by itself; what libraries warn of is for -W
            warnings.simplefilter("ignore")
        sys.unraisablehook = _unraisable
        if _signals():
            signal.signal(signal.SIGINT, _leave_at_once)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="smemnas.plain")  # type: ignore[union-attr]


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """While a command runs: Ctrl-C raises, so that logs are closed and workers ended, and is remembered.

    Raises:
        Carried: What click would have answered itself.
    """
    global _interrupted
    _interrupted = False
    ours = _signals() and signal.getsignal(signal.SIGINT) is _leave_at_once
    if ours:
        signal.signal(signal.SIGINT, _remember)
    try:
        yield
    except (KeyboardInterrupt, EOFError, OSError) as error:
        raise Carried(error) from error


def _signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _leave_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End the process while it only imports: an exception would end up in the middle of some library."""
    with contextlib.suppress(OSError):
        os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(INTERRUPT)


def _remember(number: int, frame: FrameType | None) -> NoReturn:
    """Raise, and remember it: a library that is being imported may turn it into another error."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Stand in for characters that a console has not."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(PLAIN.get(c, "?") for c in error.object[error.start : error.end])
    return text, error.end


def _open_closed_streams() -> None:
    """Give closed standard streams a place; else the next file that is opened would get what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _unraisable(hint: Any) -> None:
    """Raise Ctrl-C again where it came when nobody could catch it; say nothing about what follows from it."""
    if isinstance(hint.exc_value, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is _remember:
        _thread.interrupt_main()
    elif not _interrupted and not isinstance(hint.exc_value, BrokenPipeError):
        sys.__unraisablehook__(hint)


def say(line: str) -> None:
    """Print one line on standard error, where there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{named(line)}\n")
        sys.stderr.flush()


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line and the exit status of what nobody caught."""
    if isinstance(error, Carried):
        error = error.error
    if _interrupted or isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, INTERRUPT
    if isinstance(error, BrokenPipeError):
        return "", PIPE
    if os.environ.get(TRACEBACK):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, OSError) and error.errno in MACHINE:
        where = f" {error.filename}" if error.filename else ""
        return f"error: the system refused{where or ' to write or read'}: {error.strerror}.", 1
    if isinstance(error, MemoryError):
        reason = f" ({_short(error)})" if str(error) else ""
        return f"error: out of memory{reason}: ask for less, or take a machine with more.", 1
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] != "smemnas":
        return f"error: {_not_installed(error.name.partition('.')[0])}", 1
    plugin = _plugin_of(error)
    if plugin:
        return f"error: {plugin} failed: {type(error).__name__}: {_short(error)}.", 1
    return (
        f"error: this is a fault of the suite, please report it: {type(error).__name__}: {_short(error)} "
        f"({_place(error)}). {TRACEBACK}=1 in the environment shows where it comes from.",
        FAULT,
    )


def _not_installed(name: str) -> str:
    """Return what to do where a package is missing, which is most often that another Python was called."""
    here = f"{name} is not installed for {sys.executable or 'this Python'}"
    if not in_clone():
        return f"{here}: {sys.executable} -m pip install smemnas."
    return (
        f"{here}. Call the Python that has the suite (after make run: source .venv/bin/activate), or install it for "
        f"this one (python -m pip install -e . in {_ROOT})."
    )


def _short(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "without a readable message"
    return text if len(text) <= 300 else f"{text[:300]}..."


def _plugin_of(error: BaseException) -> str:
    """Return plug-in file and line where they, and not the suite, were the last before an error; "" elsewhere."""
    registry = sys.modules.get("smemnas.bench.registry")  # nothing is a plug-in before it is there
    found, trace = "", error.__traceback__
    while registry is not None and trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if name.startswith(registry.PLUGIN_PREFIX):
            found = f"plug-in {os.path.basename(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno},"
        elif name.partition(".")[0] == "smemnas":
            found = ""
        trace = trace.tb_next
    return found


def _place(error: BaseException) -> str:
    """Return the innermost place of the suite or of a plug-in, else of anything."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(_ROOT) and "site-packages" not in f.filename[len(_ROOT) :]]
    if not frames:
        return "no place known"
    frame = (own or list(frames))[-1]
    name = frame.filename.removeprefix(_ROOT + os.sep)
    return f"{name}:{frame.lineno}, in {frame.name}"


def leave(code: int) -> NoReturn:
    """End the process; what cannot be printed any more changes the status, not the words.

    Raises:
        SystemExit: Always.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            code = PIPE
            _discard(stream)
        except (OSError, ValueError) as error:
            _discard(stream)
            if stream is sys.stdout and not code:  # else its line has been said
                say(f"error: cannot print the result: {getattr(error, 'strerror', None) or error}.")
            code = code or 1
    if _signals() and signal.getsignal(signal.SIGINT) in (_leave_at_once, _remember):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be said
    sys.exit(code)


def _discard(stream: Any) -> None:
    """Let a stream end in nothing, so that the interpreter's last flush is silent."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
