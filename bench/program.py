"""What a user types to start the suite: `python cli.py` in a clone, `smemnas` or `python -m smemnas` once installed.

Whatever tells a user what to type is written with `PROGRAM`, which is the same for everybody, so that logs and
results do not depend on how the suite was started, nor does what a worker says. Where it is shown, `named` puts the
name in its place that this process was called by. Little is imported here: `commands.guard` needs it first of all.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

#: Stands for the program in every message; it works wherever the suite is installed.
PROGRAM = "python -m smemnas"
#: Set in the processes of a command: what is worth a note is shown, see `bench.log`.
NOTES = "SMEMNAS_NOTES"
_IN_CLONE, _INSTALLED = "python cli.py", "smemnas"
_PACKAGE = os.path.dirname(os.path.realpath(sys.modules["smemnas"].__file__ or ""))
_ROOT = os.path.dirname(_PACKAGE)


def program() -> str:
    """Return the name that this process was called by; `PROGRAM` where it is another program's, or a worker's."""
    started = sys.argv[0] if sys.argv else ""
    if os.path.splitext(os.path.basename(started))[0] == "smemnas":
        return _INSTALLED
    if in_clone() and os.path.realpath(started) == os.path.join(_ROOT, "cli.py"):
        return _IN_CLONE
    return PROGRAM


def named(text: str) -> str:
    """Put the name into a text that this process was called by, also as in `torchrun ... -m smemnas`."""
    name = program()
    # What a run wrote before `PROGRAM` was what stands there may still hold the name in a clone.
    text = text.replace(PROGRAM, name).replace(_IN_CLONE, name)
    return text.replace(" -m smemnas", " cli.py") if name == _IN_CLONE and "torchrun" in text else text


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of this process within the block, for the processes that are started there too."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def shown_notes() -> Iterator[None]:
    """Let this process, and those that it starts within the block, show what is worth a note on standard error."""
    with variable(NOTES, "1"):
        yield


def in_clone() -> bool:
    """Whether the suite runs from its repository, be that installed (`pip install -e .`) or not."""
    return not os.path.isdir(os.path.join(_PACKAGE, "bench"))


def install(extra: str) -> str:
    """Return the command that installs what an extra of the suite brings."""
    return f"pip install -e '.[{extra}]' in the suite's folder" if in_clone() else f"pip install 'smemnas[{extra}]'"
