"""The tables of a study as LaTeX with booktabs: one file each, with a label, as wide as a column of text at most.

Every file is one `table` environment, to be read by `input` in any document with the package booktabs. A table that
is too wide is set smaller, then cut into blocks of columns below each other; one that is too long for a page becomes
several files. Widths are those of Computer Modern at 10 points, in which the article class has 345 points a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from smemnas.bench.metrics.statistics import BEST, EQUAL, UNKNOWN
from smemnas.bench.report.cells import WORDS, Section
from smemnas.bench.studies.information import on_signs

#: First line of each file, by which an older one is known.
MADE = "% a table of a study; needs booktabs"
#: What LaTeX or its text fonts read as something else.
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
}
RELATIONS = {"<=": r"$\leq$", ">=": r"$\geq$", "<": "$<$", ">": "$>$"}
#: Points of a line of the article class at 10 points, less a little for what the estimate misses.
LINE = 338.0
#: Sizes and what they are of 10 points; points between two columns.
SIZES = ((r"\footnotesize", 0.85), (r"\scriptsize", 0.75))
GAP = 8.0
#: Rows of a table that fits on a page.
ROWS = 42
#: Widths of letters in points at 10 points; all others are five points, capitals seven and a half.
WIDTHS = {
    **dict.fromkeys("ijl.,:;!'| ", 2.8),
    **dict.fromkeys("ft-[]()/", 3.9),
    **dict.fromkeys("rs", 4.0),
    **dict.fromkeys("bdhnpquvkxy", 5.6),
    **dict.fromkeys("mw%", 8.4),
    **dict.fromkeys("MW", 10.3),
    **dict.fromkeys("±<>=+~", 7.8),
}


class LatexTable(NamedTuple):
    """One table as LaTeX: the name of its file without ending, its label and its text."""

    name: str
    label: str
    text: str


def tables(sections: Sequence[Section], tracks: Mapping[str, str] | None = None) -> list[LatexTable]:
    """Return one table for each section; one whose rows come in blocks or fill pages becomes several.

    Args:
        sections: The tables.
        tracks: Sign of the information track of each method, see `signs_of`: a column of its own.
    """
    sections = [with_tracks(section, tracks or {}) for section in sections]
    found: list[LatexTable] = []
    names: set[str] = set()
    for section in sections:
        for key, caption, head, rows, marks in _parts(section):
            name = _name(key, names)
            names.add(name)
            found.append(LatexTable(name, f"tab:{name}", _table(caption, f"tab:{name}", head, rows, marks)))
    return found


def with_tracks(section: Section, tracks: Mapping[str, str]) -> Section:
    """Return a table with the track of each method beside its name, where its rows are of methods of several tracks."""
    if "method" not in section.head:
        return section
    j = section.head.index("method")
    signs = [tracks.get(row[j], "") for row in section.rows]
    if len(set(signs)) < 2:
        return section
    return Section(
        f"{section.title.removesuffix('.')}. {on_signs(signs)}",
        (*section.head[: j + 1], "track", *section.head[j + 1 :]),
        [[*row[: j + 1], sign, *row[j + 1 :]] for row, sign in zip(section.rows, signs, strict=True)],
        section.breaks,
        marks=[[*row[: j + 1], "", *row[j + 1 :]] for row in section.marks],
        detail=section.detail,
        key=section.key,
    )


#: Tables after which a file of all of them lets LaTeX place what is pending; it gives up at 52.
PENDING = 18


def all_of(found: Sequence[LatexTable], folder: str) -> str:
    """Return a file that reads all tables, by their names in a folder beside it."""
    lines = [r"% needs \usepackage{booktabs}; one file per table, see the folder beside this file"]
    for k, table in enumerate(found):
        lines += [r"\clearpage % LaTeX holds only so many tables back"] * (k > 0 and k % PENDING == 0)
        lines.append(rf"\input{{{folder}/{table.name}}}")
    return "\n".join([*lines, ""])


Cells = list[list[str]]


def _parts(section: Section) -> Iterator[tuple[str, str, list[str], Cells, Cells]]:
    """Yield key, caption, head, rows and marks of each table that a section becomes."""
    blocks = [(section.key, section.title, list(range(len(section.rows))))]
    first = 0
    if section.breaks:
        first = 1
        blocks = [
            (
                f"{section.key} {kind}",
                f"{section.title}, {kind} {section.head[0]}",
                [i for i, row in enumerate(section.rows) if row[0] == kind],
            )
            for kind in dict.fromkeys(row[0] for row in section.rows)
        ]
    for key, caption, chosen in blocks:
        pages = [chosen[k : k + ROWS] for k in range(0, len(chosen), ROWS)]
        for number, page in enumerate(pages, start=1):
            which = (f" part {number}", f" ({number} of {len(pages)})") if len(pages) > 1 else ("", "")
            rows, marks = ([lines[i][first:] for i in page] for lines in (section.rows, section.marks))
            yield key + which[0], caption + which[1], section.head[first:], rows, marks


def _name(key: str, taken: set[str]) -> str:
    """Return a file name that no other table has."""
    words = re.sub(r"[^a-z0-9]+", "-", key.lower())[:80].strip("-") or "table"
    return next(name for k in range(1, len(taken) + 2) if (name := words if k == 1 else f"{words}-{k}") not in taken)


def _table(caption: str, label: str, head: list[str], rows: Cells, marks: Cells) -> str:
    """Return a table environment."""
    size, groups, wrapped = _layout(head, rows)
    lines = [
        MADE,
        r"\begin{table}",
        r"\centering\sloppy",
        size,
        rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
        rf"\caption{{{_breakable(caption)}}}",
        rf"\label{{{label}}}",
    ]
    for number, columns in enumerate(groups):
        if number:
            lines += ["", r"\medskip"]
        lines += _tabular(head, rows, marks, columns, wrapped)
    return "\n".join([*lines, r"\end{table}", ""])


def _tabular(head: list[str], rows: Cells, marks: Cells, columns: Sequence[int], wrapped: float) -> list[str]:
    """Return some columns; the first one as a paragraph of that width in points, unless it is 0."""
    kinds = ["l" if head[j] in WORDS else "r" for j in columns]
    if wrapped:
        kinds[0] = f"p{{{wrapped:.0f}pt}}"
    lines = [
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        " & ".join(escape(head[j]) for j in columns) + r" \\",
        r"\midrule",
    ]
    for row, styles in zip(rows, marks, strict=True):
        cells = [_cell(row[j], styles[j]) for j in columns]
        if wrapped:
            cells[0] = rf"\raggedright {_breakable(row[columns[0]])}"
        lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _layout(head: list[str], rows: Cells) -> tuple[str, list[list[int]], float]:
    """Return size, columns of each block (the first column leads each), and the width that the first is wrapped to."""
    widths = [max(_width(text) for text in (name, *(row[j] for row in rows))) for j, name in enumerate(head)]
    for size, scale in SIZES:
        if scale * sum(widths) + GAP * len(widths) <= LINE:
            return size, [list(range(len(widths)))], 0.0
    size, scale = SIZES[-1]
    first = scale * widths[0] + GAP
    wrapped = 0.4 * LINE if first > 0.45 * LINE else 0.0
    room = LINE - ((wrapped + GAP) if wrapped else first)
    groups: list[list[int]] = [[0]]
    used = 0.0
    for j in range(1, len(widths)):
        width = scale * widths[j] + GAP
        if used + width > room and len(groups[-1]) > 1:
            groups.append([0])
            used = 0.0
        groups[-1].append(j)
        used += width
    return size, groups, wrapped


def _width(text: str) -> float:
    """Return about how wide a text is, in points at 10 points; bold where that is wider."""
    return 1.06 * sum(WIDTHS.get(sign, 7.6 if sign.isupper() else 5.1) for sign in text)


def _cell(text: str, mark: str) -> str:
    value, space, rest = text.partition(" ")
    style = {BEST: r"\textbf", EQUAL: r"\underline"}.get(mark)
    if style is None:
        return escape(f"{value}?{space}{rest}" if mark == UNKNOWN else text)
    return f"{style}{{{escape(value)}}}" + space + escape(rest)


def _breakable(text: str) -> str:
    """Return an escaped text that may be broken after the signs that join the words of a name."""
    parts = [part for part in re.split(r"([/+,:=(-])", text) if part]
    return "".join(escape(part) + (r"\allowbreak{}" if part in "/+,:=(-" else "") for part in parts)


def escape(text: str) -> str:
    """Return a text as LaTeX shows it literally."""
    parts = []
    while text:
        sign = text[:2] if text[:2] in RELATIONS else text[0]
        parts.append(RELATIONS.get(sign) or SPECIAL.get(sign, sign))
        text = text[len(sign) :]
    return "".join(parts)
