"""What the scripts that make pages share: tables of CSV files read, and written as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names of its columns."""
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a table in Markdown, with an empty one behind it.

    Args:
        head: Names of the columns.
        rows: Cells.
        words: So many columns hold words; those behind them are aligned to the right.
    """
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows), ""]


def listed(names: Sequence[str]) -> str:
    """Return names as code, one after the other, or "none"."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def recorded_in(arguments: list[str]) -> str:
    """Take --recorded COMMIT out of the arguments of a script and return the commit, "" without one."""
    if "--recorded" not in arguments:
        return ""
    k = arguments.index("--recorded")
    commit = arguments[k + 1]
    del arguments[k : k + 2]
    return commit
