"""Cells as people write them to numbers: `86.8%`, `1,000.5`, `89,1`, `n/a`, an empty cell.

Which of "." and "," is the decimal sign is decided once for a file, from all its number columns, and said; where
the cells leave it open the file is refused with the option that decides it. Nothing is guessed cell by cell.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError
from smemnas.spaces.base import FloatArray

Cells = Sequence[Any] | NDArray[Any]
#: What an empty cell is written as, in any case.
MISSING = frozenset({"", "nan", "-nan", "na", "n/a", "<na>", "#n/a", "null", "none"})
#: Signs that group thousands beside the one of "." and "," that is not the decimal sign.
SPACES = " \u00a0\u202f\u2009'’"
_END = r"(?:[eE][+-]?[0-9]+)?"
_SURE_COMMA = re.compile(
    r"[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})|0[0-9]*,[0-9]+|[0-9]{4,},[0-9]+"
    rf"|[0-9]{{1,3}}(?:\.[0-9]{{3}})+,[0-9]*|[0-9]{{1,3}}(?:\.[0-9]{{3}}){{2,}}){_END}"
)
_SURE_POINT = re.compile(
    r"[+-]?(?:[0-9]*\.(?:[0-9]{1,2}|[0-9]{4,})|0[0-9]*\.[0-9]+|[0-9]{4,}\.[0-9]+"
    rf"|[0-9]{{1,3}}(?:,[0-9]{{3}})+\.[0-9]*|[0-9]{{1,3}}(?:,[0-9]{{3}}){{2,}}){_END}"
)
_MANY_POINTS = re.compile(r"[0-9]\.[0-9]{3}\.[0-9]")


class Numbers(NamedTuple):
    """One column of numbers.

    Attributes:
        values: ``(n,)``, or ``(n, trainings)`` where cells are lists; NaN where a value is missing.
        percent: Whether the cells carry a percent sign.
        missing: Number of cells (or list entries) without a value.
    """

    values: FloatArray
    percent: bool
    missing: int


class MissingWords(NamedTuple):
    """What stands for "no value": words in lower case, numbers as they were given among them, and these as numbers."""

    words: frozenset[str]
    numbers: tuple[float, ...]


NOTHING_ADDED = MissingWords(MISSING, ())


def missing_marks(given: Iterable[str | float]) -> MissingWords:
    """Return the marks that a user adds to the usual ones."""
    words, numbers = set(MISSING), []
    for mark in given:
        text = str(mark).strip()
        words.add(text.lower())
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    return MissingWords(frozenset(words), tuple(n for n in numbers if math.isfinite(n)))


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty, as far as nobody adds other marks."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def decimal_sign(
    columns: Mapping[str, Cells], file: str, given: str | None, missing: MissingWords = NOTHING_ADDED
) -> str:
    """Return the decimal sign of a file, "." or ",", from all its columns of numbers but what means "no value".

    Raises:
        DataError: The cells contradict one another, or leave it open.
    """
    if given is not None:
        return given
    texts = {name: _written(cells) for name, cells in columns.items() if not isinstance(cells, np.ndarray)}
    joined = {name: "\n".join(cells) for name, (_, cells) in texts.items()}
    if not any("," in text for text in joined.values()):  # 1.000.000 alone has points that are not decimal
        many = (c for name, text in joined.items() if _MANY_POINTS.search(text) for c in texts[name][1])
        return "," if any(c.count(".") > 1 and _SURE_COMMA.fullmatch(_bare(c)) for c in many) else "."
    seen: dict[str, str] = {}
    for name, (rows, cells) in texts.items():
        for row, cell in zip(rows, cells, strict=True):
            text = _bare(cell)
            if ("," not in text and "." not in text) or cell.strip().lower() in missing.words:
                continue
            comma, point = bool(_SURE_COMMA.fullmatch(text)), bool(_SURE_POINT.fullmatch(text))
            sign = "?" if comma == point else "," if comma else "."
            if sign not in seen and (sign != "?" or "," in text):
                seen[sign] = f"{text!r} (column {name!r}, row {row + 1})"
    open_ = seen.pop("?", "")
    if len(seen) == 2:
        raise DataError(
            f"{file}: the decimal sign is a comma in {seen[',']} and a point in {seen['.']}: write one of them "
            "everywhere, or give --decimal , or --decimal ."
        )
    if not seen and open_:
        raise DataError(
            f"{file}: {open_} may be a thousand or a decimal comma, and no cell decides it: give --decimal , "
            "or --decimal ."
        )
    return next(iter(seen), ".")


def _written(cells: Sequence[Any]) -> tuple[Sequence[int], Sequence[str]]:
    """Return all that is text, also within lists, and the row of each, from 0."""
    if set(map(type, cells)) == {str}:
        return range(len(cells)), cells
    entries = [(row, v) for row, c in enumerate(cells) for v in (c if isinstance(c, list | tuple) else (c,))]
    return [row for row, v in entries if isinstance(v, str)], [v for _, v in entries if isinstance(v, str)]


def _bare(cell: str) -> str:
    """Return a cell without blanks, percent sign and the grouping signs that are never decimal."""
    text = cell.strip().removesuffix("%").rstrip()
    return text if text.isalnum() else re.sub(f"(?<=[0-9])[{SPACES}](?=[0-9]{{3}}(?![0-9]))", "", text)


def read_numbers(cells: Cells, file: str, column: str, decimal: str, missing: MissingWords) -> Numbers:
    """Read one column.

    Args:
        cells: Text, numbers, None, or lists of these, which are several trainings; or an array ``(n,)``.
        file: For messages.
        column: For messages.
        decimal: "." or ",".
        missing: What stands for "no value".

    Raises:
        DataError: A cell is no finite number; the message has row and column, and how many more there are.
    """
    if isinstance(cells, np.ndarray):
        values, percent, wrong = np.array(cells, dtype=np.float64), False, np.isinf(np.asarray(cells))
        values[np.isin(values, missing.numbers)] = np.nan
    elif {list, tuple} & set(map(type, cells)):
        return _lists(cells, file, column, decimal, missing)
    else:
        values, signs, wrong = _texts(cells, decimal, missing)
        percent = _all_percent(signs, values, cells, file, column)
    if wrong.any():
        raise DataError(_no_number(cells, wrong, file, column, decimal))
    if len(values) and np.isnan(values).all():
        raise DataError(f"{file}, column {column!r}: no row has a value. Leave the column out.")
    return Numbers(values, percent, int(np.isnan(values).sum()))


def _texts(
    cells: Sequence[Any], decimal: str, missing: MissingWords
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return values ``(n,)``, which cells have a percent sign ``(n,)`` and which are no numbers ``(n,)``.

    What means "no value" is NaN and has no sign, so that nothing is asked of how it is written.
    """
    n = len(cells)
    signs, wrong = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    values = _plain(cells, decimal, missing.words)
    if values is not None:
        wrong = np.isinf(values)
    else:
        values = np.full(n, np.nan)
        known: dict[str, tuple[float, bool, bool]] = {}
        for row, cell in enumerate(cells):
            if not isinstance(cell, str):  # dictionaries are no keys
                values[row], signs[row], wrong[row] = _cell(cell, decimal, missing.words)
                continue
            if cell not in known:
                known[cell] = _cell(cell, decimal, missing.words)
            values[row], signs[row], wrong[row] = known[cell]
    marks = np.isin(values, missing.numbers)
    values[marks], signs[marks] = np.nan, False
    return values, signs, wrong


def _plain(cells: Sequence[Any], decimal: str, words: frozenset[str]) -> FloatArray | None:
    """Return plain numbers ``(n,)`` quickly, NaN where there is none, or None where a cell needs a closer look."""
    kinds = set(map(type, cells))
    try:
        if kinds <= {int, float}:
            return np.array(list(map(float, cells)))
        if kinds != {str}:
            return None
        text = "".join(cells)
        if not text.isascii() or "_" in text or (decimal == "," and "." in text):
            return None  # float() takes 1_000 and the digits of other scripts
        values = _floats(cells)
        if values is None:
            values = _floats([c if c.strip().lower() not in words else "" for c in cells], empty="nan")
        return values
    except OverflowError:
        return None


def _floats(cells: Sequence[str], empty: str = "") -> FloatArray | None:
    """Return the finite numbers of a column ``(n,)``, NaN where a cell is "" and `empty` says so; None if not so."""
    try:
        values = np.array(list(map(float, [c or empty for c in cells] if empty else cells)))
    except ValueError:
        return None
    known = np.isfinite(values)
    if empty:
        known |= np.array([not c for c in cells], dtype=bool)
    return values if known.all() else None


def _cell(cell: Any, decimal: str, words: frozenset[str]) -> tuple[float, bool, bool]:
    """Return value, whether it has a percent sign, whether it is no number, of one cell."""
    if cell is None:
        return math.nan, False, False
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan, False, True
    if not isinstance(cell, str):
        try:
            number = float(cell)
        except OverflowError:
            return math.nan, False, True
        return number, False, math.isinf(number)
    text = cell.strip()
    if text.lower() in words:
        return math.nan, False, False
    percent = text.endswith("%")
    number = parse_number(text.removesuffix("%").rstrip(), decimal)
    return number, percent, not math.isfinite(number)


def parse_number(text: str, decimal: str) -> float:
    """Return a number written with the given decimal sign and maybe grouped thousands; NaN if it is none."""
    other = re.escape("," if decimal == "." else ".")
    grouped = rf"[0-9]{{1,3}}(?P<group>[{other}{SPACES}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*"
    sign = re.escape(decimal)
    found = re.fullmatch(
        rf"([+-]?)(?:(?P<whole>{grouped}|[0-9]+)(?:{sign}(?P<part>[0-9]*))?|{sign}(?P<only>[0-9]+))(?P<end>{_END})",
        text,
    )
    if found is None:
        return math.nan
    whole = re.sub(r"[^0-9]", "", found["whole"] or "0")
    return float(f"{found[1]}{whole}.{found['part'] or found['only'] or '0'}{found['end']}")


def _all_percent(signs: NDArray[np.bool_], values: FloatArray, cells: Sequence[Any], file: str, column: str) -> bool:
    """Whether all cells carry a percent sign.

    Raises:
        DataError: Some do and some do not.
    """
    if not signs.any():
        return False
    without = np.flatnonzero(~signs & np.isfinite(values))
    if len(without):
        row = int(without[0])
        raise DataError(
            f"{file}, row {row + 1}, column {column!r}: {cells[row]!r} has no percent sign, other rows have one: "
            "write it in all of them or in none."
        )
    return True


def _lists(cells: Sequence[Any], file: str, column: str, decimal: str, missing: MissingWords) -> Numbers:
    """Read cells that are lists, one value for each training, to ``(n, trainings)``; ``(n,)`` where each has one."""
    rows = [list(c) if isinstance(c, list | tuple) else [c] for c in cells]
    width = max(map(len, rows))
    if width == 0:
        raise DataError(f"{file}, column {column!r}: no row has a value. Leave the column out.")
    flat = [v for row in rows for v in (*row, *[None] * (width - len(row)))]
    nested = next((i // width for i, v in enumerate(flat) if isinstance(v, list | tuple | dict)), -1)
    if nested >= 0:
        raise DataError(f"{file}, row {nested + 1}, column {column!r}: expected a number or a list of numbers.")
    values, signs, wrong = _texts(flat, decimal, missing)
    if wrong.any():
        raise DataError(
            _no_number(cells, np.asarray(wrong.reshape(len(rows), width).any(axis=1)), file, column, decimal)
        )
    percent = _all_percent(signs, values, flat, file, column)
    if np.isnan(values).all():
        raise DataError(f"{file}, column {column!r}: no row has a value. Leave the column out.")
    shaped = values if width == 1 else values.reshape(len(rows), width)
    return Numbers(shaped, percent, int(np.isnan(values).sum()))


def _no_number(cells: Cells, wrong: NDArray[np.bool_], file: str, column: str, decimal: str) -> str:
    """Return the message for cells that are no numbers, with the option that helps."""
    rows = np.flatnonzero(wrong)
    cell = cells[int(rows[0])]
    shown = repr(cell) if len(repr(cell)) <= 60 else f"{repr(cell)[:57]}..."
    more = f" (and {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
    other = "," if decimal == "." else "."
    if isinstance(cell, str) and math.isfinite(parse_number(_bare(cell), other)):
        hint = f" with the decimal sign {decimal!r} of this file (--decimal {other} says otherwise)"
    elif isinstance(cell, str) and not any(c.isdigit() for c in cell):
        hint = f": if it means that there is no value, give --missing {cell.strip()!r}"
    else:
        hint = ": mend it, or leave the cell empty where there is no value"
    return f"{file}, row {rows[0] + 1}, column {column!r}: {shown} is not a finite number{more}{hint}."
