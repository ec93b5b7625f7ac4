"""What the pages of docs/answers share: layout, tables read back from Markdown, rows of intervals as a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from make_concepts import BLUE, GREEN, GREY, ORANGE, picture

FOLDER = Path(__file__).resolve().parent / "answers"
#: Words of an answer: what can be read before the first picture in a minute.
LONGEST = 120
COLOURS = (BLUE, ORANGE, GREEN, GREY, "#8e5ea2", "#c0504d", "#17888f", "#7a6a3a", "#444b57", "#b0a030")
WIDTH, LEFT, RIGHT, TOP = 520, 146, 16, 14
#: Width of a letter of a label, in the widest of common fonts.
LETTER = 7
MINUS = "\N{MINUS SIGN}"


class Answer(NamedTuple):
    """One page.

    Attributes:
        title: The question.
        answer: At most three sentences.
        caption: What the picture shows.
        figure: The picture, SVG.
        table: Lines of the table and of what its marks mean.
        rest: Lines of how it was measured, caveats, and what is published.
    """

    title: str
    answer: Sequence[str]
    caption: str
    figure: str
    table: Sequence[str]
    rest: Sequence[str]


def page(name: str, found: Answer) -> str:
    """Return the text of a page; it says by what it is written."""
    short = " ".join(found.answer)
    if len(short.split()) > LONGEST or len(found.answer) > 3:
        raise SystemExit(f"the answer of {name} has {len(short.split())} words, at most {LONGEST} in three sentences")
    lines = [f"# {found.title}", "", short, "", f"![{found.caption}]({name}.svg)", "", found.caption, ""]
    lines += [
        *found.table,
        *found.rest,
        "Written by `make results` from the files named here; only what is called published is quoted.",
        "",
    ]
    return "\n".join(lines)


# --- read


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the tables of a Markdown text, rows by the names of their columns, under the line before each.

    That is its title or the sentence that leads to it.
    """
    found: dict[str, list[dict[str, str]]] = {}
    before, head = "", None
    for line in text.splitlines():
        if not line.startswith("|"):
            head = None
            before = line.lstrip("# ") or before
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if head is None:
            head = cells
            found[before] = []
        elif not all(re.fullmatch(r":?-{3,}:?", cell) for cell in cells):
            found[before].append(dict(zip(head, cells, strict=True)))
    return found


def only(found: Mapping[str, list[dict[str, str]]], start: str) -> list[dict[str, str]]:
    """Return the first table whose title begins so."""
    for title, rows in found.items():
        if title.startswith(start):
            return rows
    raise SystemExit(f"no table {start!r} among {', '.join(found)}")


def plain(cell: str) -> str:
    """Return a cell without marks, as 0.812 of <u>0.812</u> ± 0.029."""
    return re.sub(r"</?u>|\*\*", "", cell).split(" ±")[0].strip()


def limits(cell: str) -> tuple[float, float]:
    """Return both ends of an interval, as of [-0.0084, 0.0310]."""
    low, high = cell.strip("[]").split(",")
    return float(low), float(high)


# --- said


def counted(n: int, of: int, what: str) -> str:
    """Return how many of some things, in words where it is none or all."""
    if n == 0:
        return f"none of {of} {what}"
    return f"all {of} {what}" if n == of else f"{n} of {of} {what}"


def together(names: Sequence[str]) -> str:
    """Return names as a list in words."""
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# --- drawn


class Mark(NamedTuple):
    """A value with its interval, in the colour of the k-th entry of the key."""

    value: float
    low: float
    high: float
    kind: int = 0


class Axis(NamedTuple):
    """What stands below a picture: title, ticks in order, the value that means none."""

    title: str
    ticks: Sequence[float]
    none: float | None = 0.0


def shown(value: float) -> str:
    """Return a tick with a true minus and without needless zeros."""
    return f"{value:g}".replace("-", MINUS)


def forest(
    title: str, rows: Iterable[tuple[str, Sequence[Mark]]], axis: Axis, key: Sequence[str], spread: bool = True
) -> str:
    """Draw rows of values with intervals; what lies beyond the axis ends there with an arrow.

    Args:
        title: Of the picture, read aloud.
        rows: Label and marks of each row.
        axis: Below.
        key: Meaning of the colours.
        spread: Whether the marks of a row stand below each other, else on one line.

    Returns:
        SVG on a light ground of its own, so that it can be read on light and dark pages.
    """
    rows = list(rows)
    first, last = axis.ticks[0], axis.ticks[-1]
    step = 13 if spread else 0
    tall = [max(28, step * len(marks) + 12) for _, marks in rows]
    top = TOP + 18 * -(-len(key) // beside(key))
    bottom = top + sum(tall)
    left = max([LEFT, *(12 + LETTER * len(label) for label, _ in rows)])

    def x(value: float) -> float:
        return left + (min(max(value, first), last) - first) / (last - first) * (WIDTH - left - RIGHT)

    parts = [_grid(axis, x, top, bottom), _key(key)]
    y = float(top)
    for (label, marks), height in zip(rows, tall):
        middle = y + height / 2
        parts.append(f'<text x="{left - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<path class="g" d="M{left} {y + height:.1f}H{WIDTH - RIGHT}"/>')
        for k, mark in enumerate(marks):
            at = middle + step * (k - (len(marks) - 1) / 2)
            parts.append(_mark(mark, at, x, first, last))
        y += height
    return picture(title, "".join(parts), (WIDTH, bottom + 46))


def _grid(axis: Axis, x, top: float, bottom: float) -> str:  # type: ignore[no-untyped-def]
    parts = []
    for value in axis.ticks:
        strong = "a" if value == axis.none else "g"
        parts.append(f'<path class="{strong}" d="M{x(value):.1f} {top}V{bottom}"/>')
        parts.append(f'<text class="t" x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{shown(value)}</text>')
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{bottom + 36}" text-anchor="middle">{escape(axis.title)}</text>')
    return "".join(parts)


def beside(key: Sequence[str]) -> int:
    """Return how many entries of a key stand in a line: two, where they are short enough."""
    return 1 if any(LETTER * len(entry) > 250 - 24 for entry in key) else 2


def _key(entries: Sequence[str]) -> str:
    """Return the meaning of colours."""
    parts = []
    for k, text in enumerate(entries):
        row, column = divmod(k, beside(entries))
        x, y = 16 + 250 * column, TOP + 6 + 18 * row
        parts.append(f'<circle cx="{x + 5}" cy="{y - 4}" r="4" fill="{COLOURS[k % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 16}" y="{y}">{escape(text)}</text>')
    return "".join(parts)


def _mark(mark: Mark, y: float, x, first: float, last: float) -> str:  # type: ignore[no-untyped-def]
    colour = COLOURS[mark.kind % len(COLOURS)]
    line = f'<path stroke="{colour}" stroke-width="2" d="M{x(mark.low):.1f} {y:.1f}H{x(mark.high):.1f}"/>'
    for beyond, end, way in ((mark.low < first, first, 1), (mark.high > last, last, -1)):
        if beyond:
            tip = x(end)
            line += f'<path fill="{colour}" d="M{tip:.1f} {y:.1f}l{7 * way} -4v8z"/>'
    if first <= mark.value <= last:
        line += f'<circle cx="{x(mark.value):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    return line
