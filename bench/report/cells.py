"""Numbers and tables as text: what the terminal, Markdown and LaTeX share."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import BEST, EQUAL, UNKNOWN

#: Columns that hold words; all others are aligned to the right.
WORDS = ("method", "contrast", "track")
#: Significant digits of numbers in CSV files. Of the 17 of a float the last ones differ between processors.
DIGITS = 10


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for a table; "-" where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}"


def span(interval: Interval, digits: int = 4) -> str:
    """Return the limits of an interval."""
    if math.isnan(interval.low):
        return "-"
    return f"[{number(interval.low, digits)}, {number(interval.high, digits)}]"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return "-" if math.isnan(value) else f"{value:+.4f}"


def p_value(p: float) -> str:
    """Return a p-value, tiny ones as an upper limit."""
    return "-" if math.isnan(p) else "<0.0001" if p < 0.0001 else f"{p:.4f}"


def short_names(cases: Sequence[Case]) -> dict[Case, str]:
    """Return space/dataset of each case, or all of it where that would not be unique."""
    plain = {case: case.place for case in cases}
    names = list(plain.values())
    return {case: name if names.count(name) == 1 else str(case) for case, name in plain.items()}


class Section:
    """A table with its title: what the terminal, Markdown and LaTeX all show.

    Attributes:
        title: What it is.
        head: Names of the columns; columns without any value are left out.
        rows: Cells, row by row.
        marks: "best", "equal", "unknown" or "" for each cell.
        breaks: Whether a new value in the first column starts a new block.
        detail: Whether study.md leaves it out of a large study.
        key: A short name that stays the same whatever the methods are, for files and labels; "" takes the title.
    """

    def __init__(
        self,
        title: str,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        breaks: bool = False,
        *,
        marks: Iterable[Sequence[str]] | None = None,
        detail: bool = False,
        key: str = "",
    ) -> None:
        self.title = title
        self.key = key or title
        cells = [list(row) for row in rows]
        styles = [list(row) for row in marks] if marks is not None else [[""] * len(head) for _ in cells]
        keep = [j for j in range(len(head)) if any(row[j] not in ("-", "") for row in cells)]
        self.head = [head[j] for j in keep]
        self.rows = [[row[j] for j in keep] for row in cells]
        self.marks = [[row[j] for j in keep] for row in styles]
        self.breaks = breaks
        self.detail = detail


def markdown_table(section: Section) -> list[str]:
    """Return the lines of a table: best bold, not significantly worse underlined."""
    rule = "|".join("---" if name in WORDS else "---:" for name in section.head)
    lines = [f"| {' | '.join(_safe(name) for name in section.head)} |", f"|{rule}|"]
    for row, marks in zip(section.rows, section.marks, strict=True):
        lines.append(f"| {' | '.join(_styled(_safe(c), m) for c, m in zip(row, marks, strict=True))} |")
    return lines


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


def _styled(text: str, mark: str) -> str:
    value, space, rest = text.partition(" ")
    marked = {BEST: f"**{value}**", EQUAL: f"<u>{value}</u>", UNKNOWN: f"{value}?"}
    return marked.get(mark, value) + space + rest


def to_csv(records: Sequence[dict[str, Any]], exact: bool = False) -> str:
    """Return records as CSV; NaN, None and what a record lacks are empty, an infinite number is "inf".

    Numbers have `DIGITS` significant digits, so that a table is the same text on every processor; with `exact`, for
    what was measured and is computed with, all that they have.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(name for record in records for name in record))
    writer.writerow(names)
    for record in records:
        writer.writerow([_written(record.get(name), exact) for name in names])
    return text.getvalue()


def _written(value: Any, exact: bool) -> Any:
    if value is None or value != value:
        return ""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) and not exact else value
