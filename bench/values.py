"""Values as users write them: one validator for each kind, used by every option, file of names and function.

Each takes the name of the option that the value was given to and returns the value, or raises one line that says what
was expected and what came. Python's own readers are too kind for that: `int` reads digits of any script, `float`
reads "nan", a range of a trillion seeds fills the memory before it is looked at.
"""

from __future__ import annotations

import ast
import contextlib
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from smemnas.bench.errors import UserError, suggest

#: Seeds are what numpy, scikit-learn and torch all take.
LARGEST_SEED = 2**32 - 1
#: Seeds of one study, and paid evaluations of one run: far beyond what was ever published, small enough to be held.
MOST_SEEDS, LARGEST_BUDGET = 10_000, 1_000_000
#: Architectures that may stand for a space in a ranking study.
MOST_SAMPLED = 200_000
#: Worker processes, CPU threads.
MOST_WORKERS, MOST_THREADS = 10_000, 1024
#: Side of images, in pixels.
LARGEST_SIDE = 1024
#: Ten years, which the system's timers still take.
LONGEST = 3.2e8
#: Characters of a value, and how deep brackets may stand in it.
LONGEST_TEXT, LONGEST_LITERAL, DEEPEST = 10_000, 4_000, 16
_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INT64 = 2**63
#: Seconds of each unit of a duration, largest first.
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit})?" for unit in _UNITS))


def shown(value: object) -> str:
    """Return a value as an error message quotes it: on one line, and not at length."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"


def whole(option: str, value: object, low: int = 0, high: int = _INT64 - 1) -> int:
    """Return a whole number within bounds.

    Raises:
        UserError: It is none, or beyond them.
    """
    if isinstance(value, str):
        text = value.strip()
        if not _WHOLE.fullmatch(text):
            raise UserError(f"{option} takes a whole number, got {shown(value)}.")
        digits = text.replace("_", "").lstrip("+-0")
        # int() takes no more than 4,300 digits, zeros in front included
        number = (-1 if text[0] == "-" else 1) * (int(digits or "0") if len(digits) < 30 else 10**30)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise UserError(f"{option} takes a whole number, got {shown(value)}.")
    if number < low:
        raise UserError(f"{option} must be at least {low:,}, got {shown_number(value)}.")
    if number > high:
        raise UserError(f"{option} must be at most {high:,}, got {shown_number(value)}.")
    return number


def real(option: str, value: object, low: float = -1e300, high: float = 1e300, *, above: float | None = None) -> float:
    """Return a finite number within bounds.

    Raises:
        UserError: It is none, or beyond them.
    """
    if isinstance(value, str):
        number = float(value) if _NUMBER.fullmatch(value.strip()) else math.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < _INT64 or isinstance(value, float) else math.inf
    else:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{option} takes a finite number, got {shown_number(value)}.")
    if above is not None and not number > above:
        raise UserError(f"{option} must be above {above:g}, got {shown_number(value)}.")
    if number < low:
        raise UserError(f"{option} must be at least {low:g}, got {shown_number(value)}.")
    if number > high:
        raise UserError(f"{option} must be at most {high:g}, got {shown_number(value)}.")
    return number


def duration(option: str, value: object) -> float:
    """Return seconds of a duration like "90s", "30m", "2h", "1d" or "1h30m"; a number that is no text is seconds.

    Raises:
        UserError: It is none, not above 0, or longer than ten years.
    """
    if not isinstance(value, str):
        return real(option, value, 0.0, LONGEST, above=0.0)
    found = _DURATION.fullmatch(value.strip().lower())
    if found is None or not any(found.groups()):
        raise UserError(f"{option} takes a duration with its unit, like 90s, 30m, 2h, 1d or 1h30m; got {shown(value)}.")
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return real(option, sum(float(part) * seconds for part, seconds in parts if part), 0.0, LONGEST, above=0.0)


def whole_seconds(option: str, value: object) -> float:
    """Return the seconds of a duration rounded up, see `duration`.

    Raises:
        UserError: It is none.
    """
    return float(math.ceil(duration(option, value)))


def duration_text(seconds: float) -> str:
    """Return a duration as `duration` reads it, "1h30m"; fractions of a second only below a minute."""
    if seconds < 60:
        return f"{seconds:g}s"
    left, parts = round(seconds), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def shown_number(value: object) -> str:
    """Return what was given for a number, without quotes where it is one."""
    text = str(value).strip()
    plain = _NUMBER.fullmatch(text) and len(text) <= 40
    return text if plain else shown(value)


def fault_of_text(text: str) -> str:
    """Return what is wrong with a text whatever it stands for, or ""."""
    if not text.strip():
        return "is empty: give it a value or leave it out (an unset variable of the shell?)"
    if len(text) > LONGEST_TEXT:
        return f"is longer than {LONGEST_TEXT:,} characters, got {shown(text)}"
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        return f"holds a line break or another control character, got {shown(text)}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"is not UTF-8, got {shown(text)}"
    if text.startswith("~") and os.path.expanduser(text).startswith("~"):
        return f"names the home folder of nobody known here, got {shown(text)}"
    return ""


def names(option: str, text: str) -> tuple[str, ...]:
    """Split "a,b" at its commas into at least one name.

    Raises:
        UserError: There is none, or one of them is empty.
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UserError(f"{option} takes names with commas between them, like a,b; got {shown(text)}.")
    return parts


def several(option: str, value: Sequence[str]) -> tuple[str, ...]:
    """Return names given as a sequence, or as on the command line, "a,b"; "" is none.

    Raises:
        UserError: One of them is empty or no text.
    """
    if isinstance(value, str):
        return names(option, value) if value else ()
    found = tuple(value)
    for item in found:
        if not isinstance(item, str) or not item.strip():
            raise UserError(f"{option} takes names, got {shown(item)}.")
    return found


def literal(text: str, what: str = "") -> Any:
    """Return a number, truth value, None or Python literal as itself, other text as text.

    Args:
        text: As a user wrote it.
        what: Whose value it is, for the message.

    Raises:
        UserError: It is a literal that no file of the suite could hold: too long, too deep, not finite, not of
            numbers, texts, lists and mappings of names.
    """
    start = f"{what}: " if what else ""
    if len(text) > LONGEST_LITERAL:
        raise UserError(f"{start}a value has at most {LONGEST_LITERAL:,} characters, got {shown(text)}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # '\d' within a literal is no business of Python's
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        # Whether a chain of thousands of signs or dots is too deep or no literal differs between versions of Python.
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
    except TypeError as error:
        raise UserError(
            f"{start}a value is a number, a text, a list or a mapping of names, got {shown(text)}."
        ) from error
    problem = fault_of_value(value)
    if problem:
        raise UserError(f"{start}{problem}, got {shown(text)}.")
    return value


def fault_of_value(value: object, depth: int = 0) -> str:
    """Return why a job's file cannot hold a value, or ""."""
    if depth > DEEPEST:
        return f"brackets stand at most {DEEPEST} deep in a value"
    if value is None or isinstance(value, bool | str):
        return ""
    if isinstance(value, int):
        return "" if abs(value) < _INT64 else "numbers have at most 18 digits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "numbers are finite"
    if isinstance(value, list | tuple):
        return next(filter(None, (fault_of_value(v, depth + 1) for v in value)), "")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "the keys of a mapping are names in quotes"
        return next(filter(None, (fault_of_value(v, depth + 1) for v in value.values())), "")
    return "a value is a number, a text, a list or a mapping of names"


def check_params(whose: str, params: Mapping[str, object]) -> None:
    """Check that a job's file could hold parameters that were read from a file.

    Raises:
        UserError: It could not hold one of them: a date, or a number that is not finite.
    """
    for key, value in params.items():
        problem = fault_of_value(value)
        if problem:
            raise UserError(f"{whose}: parameter {key!r}: {problem}, got {shown(value)}.")


def read_pairs(what: str, items: Sequence[str], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read KEY=VALUE items, wherever a user writes some: options, parts of names, changes of a recipe.

    Args:
        what: What takes them, for messages: an option, or "a training".
        items: As they were written.
        known: The keys that there are with the type of each value, `Any` for one that is looked at later; None takes
            any key.

    Raises:
        UserError: An item has another form, a key is unknown or given twice, or a value is of another kind.
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = (part.strip() for part in item.partition("="))
        if not equals or not key or not (text or (known or {}).get(key) is str):
            raise UserError(f"{what} takes KEY=VALUE, got {shown(item)}.")
        if known is not None and key not in known:
            raise UserError(f"{what} has no {key!r}.{suggest(key, known)}")
        if key in found:
            raise UserError(f"{what} sets {key!r} twice.")
        value = literal(text, f"{what} {key}")
        found[key] = value if known is None else of_kind(key, value, known[key])
    return found


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "whole numbers joined by dashes",
}


def of_kind(key: str, value: Any, kind: Any) -> Any:
    """Return a value as a field of some type has it; a whole number is a number, and 1-2-3 are several of them.

    Args:
        key: Whose value it is.
        value: As Python reads it.
        kind: An annotation: one of int, float, bool, str, `tuple` (of whole numbers), a union of some, or `Any`.

    Raises:
        UserError: It is of another kind.
    """
    kinds = get_args(kind) or (kind,)
    if Any in kinds or type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    if tuple in kinds and type(value) in (int, str):
        with contextlib.suppress(ValueError):
            return tuple(int(part) for part in str(value).split("-"))
    wanted = " or ".join(_KINDS[k] for k in kinds if k in _KINDS)
    raise UserError(f"{key} takes {wanted}, got {shown(value)}.")


_SEEDS = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def parse_seeds(text: str, option: str = "--seeds") -> tuple[int, ...]:
    """Turn "0-30" or "0,3,5-7" into seeds, in the order given.

    Raises:
        UserError: It is neither, or more seeds than a study may have, or one that is too large.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = _SEEDS.fullmatch(part.strip())
        if not found:
            raise UserError(f"{option} takes numbers and ranges like 0-30 or 0,3,5-7, got {shown(text)}.")
        first = whole(option, found[1], 0, LARGEST_SEED)
        last = whole(option, found[2] or found[1], 0, LARGEST_SEED)
        if last < first:
            raise UserError(f"{option} takes numbers and ranges like 0-30 or 0,3,5-7, got {shown(text)}.")
        if last - first >= MOST_SEEDS or len(seeds) >= MOST_SEEDS:
            raise UserError(f"{option} takes at most {MOST_SEEDS:,} seeds, got {shown(text)}.")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return tuple(seeds)


def whole_numbers(option: str, value: Sequence[int] | str, high: int = LARGEST_SIDE) -> tuple[int, ...]:
    """Return whole numbers from 1 to `high` given as a sequence, or as on the command line, "1,2"; "" is none.

    Raises:
        UserError: One of them is no such number.
    """
    parts = (names(option, value) if value else ()) if isinstance(value, str) else value
    return tuple(whole(option, part, 1, high) for part in parts)


def parse_numbers(option: str, text: str, largest: int) -> tuple[int, ...]:
    """Turn "100,300" into numbers from 1 to `largest`.

    Raises:
        UserError: One is not.
    """
    try:
        return tuple(whole(option, part, 1, largest) for part in text.split(","))
    except UserError as error:
        raise UserError(
            f"{option} takes numbers from 1 to the budget {largest}, like 100,300; got {shown(text)}."
        ) from error


def seed_text(seeds: Sequence[int]) -> str:
    """Return seeds as "0-30,40"."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], seed]
        else:
            parts.append([seed])
    return ",".join("-".join(map(str, part)) for part in parts)
