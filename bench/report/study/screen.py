"""A study on screen: the one table that answers its question, what failed, and where everything else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smemnas.bench.metrics.statistics import BEST, EQUAL, UNKNOWN
from smemnas.bench.program import named
from smemnas.bench.report.cells import WORDS, Section
from smemnas.bench.report.study.files import LATEX, failures, on_marks, texts
from smemnas.bench.report.study.primary import primary, sentences
from smemnas.bench.report.study.sections import overview
from smemnas.bench.studies.tables import Tables


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
    """Print one table: the best value bold with a star, what does not differ from it underlined with a tilde."""
    from rich.table import Table
    from rich.text import Text

    console.print(section.title, style="bold")
    table = Table()
    for name in section.head:
        left = name in WORDS
        # on a narrow terminal figures break between words; a name cut to a letter names nothing
        table.add_column(Text(name), justify="left" if left else "right", no_wrap=left)
    signs, styles = {BEST: "*", EQUAL: "~", UNKNOWN: "?"}, {BEST: "bold", EQUAL: "underline"}
    for row, marks in zip(section.rows, section.marks, strict=True):
        table.add_row(*(Text(c + signs.get(m, ""), styles.get(m, "")) for c, m in zip(row, marks, strict=True)))
    console.print(table)
