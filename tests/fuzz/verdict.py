"""What is wrong with how a call ended: nothing, or one word and what it is about."""

from __future__ import annotations

import re

from .server import HANG, ROOT

#: Lines on standard error that are no failure: notes of a command that did its work, and progress.
NOTES = re.compile(r"(unfinished {3}|left out {5}|note|plug-in .* could not be loaded|epoch \d|start: )")
#: What a command with exit status 1 prints instead of an error where single items failed.
ITEMS = re.compile(r"^(unfinished |left out |FAIL |refused: |.*no table is installed)", re.M)


def judge(done, *, must_fail: bool = False, interrupted: bool = False, deaf: bool = False) -> str:
    """Return "" for a call that ended well, else what is wrong.

    Args:
        done: What `server.Server.call` returned.
        must_fail: The call holds a mistake, so exit status 0 is wrong.
        interrupted: Ctrl-C was sent; the call may have been faster.
        deaf: Standard error was closed, so nothing can be read there.
    """
    code, out, err = done["code"], done["out"], done["err"]
    lines = [line for line in err.splitlines() if line.strip()]
    if code == HANG:
        return f"HANG after {done['seconds']:.0f} s"
    if interrupted and code in (1, -2) and "cli.py" not in err and str(ROOT) not in err:
        return ""  # Python itself had just begun
    if "Traceback (most recent call last)" in out + err:
        return "TRACEBACK"
    if "a fault of the suite" in err:
        return "FAULT"
    if "out of memory" in err:
        return "MEMORY"
    if done["outside"]:
        return f"OUTSIDE {done['outside'][:3]}"
    if interrupted and code in (130, -2):
        return "" if len(lines) <= 1 else "LINES"
    if code not in (0, 1, 2):
        return f"CODE {code}"
    if code == 0 and must_fail:
        return "RC0"
    if deaf:
        return ""
    errors = [line for line in lines if line.startswith("error: ")]
    stray = [line for line in lines if not line.startswith("error: ") and not NOTES.match(line)]
    if lines and lines[0].startswith("Usage: ") and code == 2:
        return ""
    if stray:
        return f"NOISE {stray[0][:80]}"
    if code == 0 and errors:
        return "ERROR AND RC0"
    if code == 2 and len(errors) != 1:
        return "NOERRORLINE" if not errors else "MANYLINES"
    if code == 1 and len(errors) != 1 and not (not errors and ITEMS.search(out + err)):
        return "NOERRORLINE" if not errors else "MANYLINES"
    return ""
