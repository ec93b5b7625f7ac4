"""The logger "smemnas": what library calls have to say, silent until a program asks for it."""

from __future__ import annotations

import logging
import os
import sys

from smemnas.bench.program import NOTES, named

#: Standard logging; a program that wants to hear calls `logging.basicConfig` or adds a handler.
logger = logging.getLogger("smemnas")
logger.addHandler(logging.NullHandler())


class _StandardError(logging.Handler):
    """Shows records on standard error in the processes of a command, which set `NOTES`, and nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        if os.environ.get(NOTES):
            print(named(record.getMessage()), file=sys.stderr)


_notes = logger.getChild("notes")
_notes.addHandler(_StandardError())


def note(text: str) -> None:
    """Say what a user must know while something is under way: a warning, which commands show as it comes."""
    _notes.warning("note: %s", text)
