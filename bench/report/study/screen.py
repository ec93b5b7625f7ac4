"""A study on screen: the one table that answers its question, what failed, and where everything else is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smemnas.bench.metrics.statistics import BEST, EQUAL, UNKNOWN
from smemnas.bench.program import named
from smemnas.bench.report.cells import WORDS, Section
from smemnas.bench.report.study.files import LATEX, failures, on_marks, texts
from smemnas.bench.report.study.primary import primary, sentences
from smemnas.bench.report.study.sections import overview
from smemnas.bench.studies.tables import Tables

#: What a column of a table takes beside its cells.
_BORDER = 3


def print_study(tables: Tables, out: Path, console: Any, *, figures: bool = False) -> None:
    """Print the table of the primary comparison, or else of mean regrets at the budget, on a rich console.

    Args:
        tables: The study.
        out: Where its files are.
        console: A rich console.
        figures: Whether there are figures too.
    """
    asked = primary(tables)
    if asked:
        _print_section(asked[0], console)
        who = f"{tables.plan.champion} is" if tables.plan.champion else "the method is"
        console.print(
            f"d: mean paired difference of regret in its standard deviations, below 0 where {who} better. A12: chance "
            "that its run is the better one. + better, - worse, = no difference shown, ? too few pairs."
        )
        for text in sentences(tables):
            console.print(text)
    elif any(row.n for row in tables.rows):
        _print_section(overview(tables)[-1], console)
        for text in on_marks(tables, signs=True):
            console.print(text)
    for text in failures(tables):
        console.print(f"unfinished   {named(text)}", soft_wrap=True)
    made = [name for name, text in texts(tables).items() if text and name != "study.md"]
    names = [name for name in made if "/" not in name]
    names += [f"{LATEX} ({len(made) - len(names)} for \\input)"] + ["figures"] * figures
    console.print(f"everything   {out / 'study.md'}: all tables and how to read them", soft_wrap=True)
    console.print(f"files        {out}: {', '.join(names)}", soft_wrap=True)


def _print_section(section: Section, console: Any) -> None:
    """Print one table: the best value bold with a star, what does not differ from it underlined with a tilde.

    Where lines are too long for the screen, an interval stands below its number; where that is still too long, columns
    go on in a second table. No cell is broken anywhere else.
    """
    from rich.table import Table
    from rich.text import Text

    signs, styles = {BEST: "*", EQUAL: "~", UNKNOWN: "?"}, {BEST: "bold", EQUAL: "underline"}
    cells = [
        [cell + signs.get(mark, "") for cell, mark in zip(row, marks, strict=True)]
        for row, marks in zip(section.rows, section.marks, strict=True)
    ]
    parts = _parts(section.head, cells, console.width)
    if len(parts) > 1:
        cells = [[cell.replace(" [", "\n[") for cell in row] for row in cells]
        parts = _parts(section.head, cells, console.width)
    for k, part in enumerate(parts):
        console.print(section.title if k == 0 else f"{section.title}, continued", style="bold")
        table = Table()
        for j in part:
            table.add_column(
                Text(section.head[j]), justify="left" if section.head[j] in WORDS else "right", no_wrap=True
            )
        for row, marks in zip(cells, section.marks, strict=True):
            table.add_row(*(Text(row[j], styles.get(marks[j], "")) for j in part))
        console.print(table)


def _parts(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Return columns in as few groups as fit into a width side by side; each begins with the columns of words."""
    widths = [
        max(len(line) for text in column for line in text.split("\n")) for column in zip(head, *rows, strict=True)
    ]
    names = [j for j, name in enumerate(head) if name in WORDS]
    parts = [names.copy()]
    for j in (j for j in range(len(head)) if j not in names):
        free = width - 1 - sum(widths[i] + _BORDER for i in parts[-1])
        if widths[j] + _BORDER > free and len(parts[-1]) > len(names):
            parts.append(names.copy())
        parts[-1].append(j)
    return [sorted(part) for part in parts]
