"""Errors a user can act on."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """A mistake outside the code: the message says what was expected, what came and what to do.

    The command line prints it as one line and exits with `exit_code`, never with a traceback.
    """

    exit_code = 2
    #: The command whose --help tells more, set where an option of it has a wrong value.
    command = ""


class DataError(UserError):
    """A file is missing, corrupt, truncated or of another version."""

    exit_code = 1


class NotInstalled(DataError):
    """A table that can be fetched is not there, or of another version.

    Args:
        name: What `data fetch` takes.
        text: The message.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)  # both, so that it can be pickled
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return self.text


class RunError(UserError):
    """A run cannot start, continue or be written."""

    exit_code = 1


class NotReplayed(RunError):
    """A method asks for something else than its log holds."""


class Unusable(RunError):
    """A file or folder of the suite does not hold what it should.

    Args:
        reason: Which file, which line, what is wrong.
        advice: What to do, where that is known; it depends on the command.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)  # both, so that it can be pickled
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}" if self.advice else f"{self.reason}."


def describe(error: BaseException) -> str:
    """Return what was raised and where on one line: "ValueError: too small (mine.py, line 12)"."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":. ")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else text


#: Names that a message lists one by one; of more, presets (`base/word`) are counted.
LISTED = 24


def suggest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" plus the list of known words, for an error message.

    The same but for case and hyphens; else what ends in it after a slash; else the nearest by spelling; else the words
    that begin with the one given.
    """
    known = sorted(known)
    plain = _plain(word)
    near = [k for k in known if plain and _plain(k) == plain]
    near = near or [k for k in known if plain and "/" in k and _plain(k.rpartition("/")[2]) == plain][:3]
    near = near or difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    near = near or [k for k in known if len(plain) > 1 and _plain(k).startswith(plain)][:3]
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    told = known if len(known) <= LISTED else [k for k in known if k.partition("/")[0] not in known or "/" not in k]
    rest = f"; {len(known) - len(told)} more are one of these, a slash and a word" if len(told) < len(known) else ""
    return f"{hint} Known: {', '.join(told) if told else '(none)'}{rest}."


def _plain(word: str) -> str:
    """Return a word without what people mix up: case, hyphens, underscores, blanks."""
    return "".join(c for c in word.casefold() if c.isalnum())


def choose(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return what a name stands for.

    Raises:
        UserError: It is unknown; near misses are suggested.
    """
    if name not in known:
        raise UserError(f"no {kind} {name!r}.{suggest(str(name), known)}")
    return known[name]


def one_line(message: object) -> str:
    """Put a message that somebody else wrote on one line; what no terminal should get is spelt out."""
    text = " ".join(str(message).splitlines())
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
