"""Pictures of architectures: what to draw, apart from who draws it.

A `Picture` is a list of boxes, lines and labels in pixels, y pointing down. `bench.report.architecture.figure`
makes files of it, the page of `bench.report.page.page` draws the same in SVG. Which space looks how stands in
`bench.report.architecture.drawings`; a space that is not listed there gets a table of its genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smemnas.spaces.base import IntArray, SearchSpace

#: Width of a character of a label, in pixels at the font size of 12.
CHARACTER = 6.6
FONT = 12
#: Genes that a table of genes shows; more would be no picture.
GENES_SHOWN = 240


class TextBox(NamedTuple):
    """A rectangle with a text in its middle."""

    x: float
    y: float
    w: float
    h: float
    text: str
    kind: str = "plain"


class Line(NamedTuple):
    """A quadratic curve with an arrow head at its end and a text where it is highest."""

    x0: float
    y0: float
    x1: float
    y1: float
    cx: float
    cy: float
    text: str = ""
    kind: str = "plain"

    def is_plain(self) -> bool:
        """Whether it is straight, without a text and of no special kind."""
        middle = ((self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2)
        return (self.cx, self.cy) == middle and not self.text and self.kind == "plain"


class Label(NamedTuple):
    """A text; `anchor` is "start", "middle" or "end"."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Picture:
    """What to draw, on a sheet of `width` x `height` pixels."""

    width: float
    height: float
    boxes: tuple[TextBox, ...] = ()
    lines: tuple[Line, ...] = ()
    labels: tuple[Label, ...] = ()

    def to_list(self) -> list[Any]:
        """Return a short JSON-able form: width, height, boxes, lines, labels; whole pixels.

        A plain straight line is its ends alone.
        """

        def short(item: tuple[Any, ...]) -> list[Any]:
            return [v if isinstance(v, str) else round(v) for v in item]

        lines: list[tuple[Any, ...]] = [line[:4] if line.is_plain() else line for line in self.lines]
        parts: tuple[Sequence[tuple[Any, ...]], ...] = (self.boxes, lines, self.labels)
        return [round(self.width), round(self.height), *([short(item) for item in part] for part in parts)]


def gene_table(space: SearchSpace, x: IntArray) -> Picture:
    """Return a table of genes: number, value and how many values there are, eight to a line."""
    columns, w, h = 8, 84.0, 44.0
    boxes, labels = [], []
    for j, (value, n) in enumerate(zip(x.tolist(), space.n_choices, strict=True)):
        if j == GENES_SHOWN:
            break
        left, top = 8.0 + (j % columns) * w, 8.0 + (j // columns) * h
        labels.append(Label(left + w / 2, top + 9, f"gene {j}"))
        boxes.append(TextBox(left + 4, top + 18, w - 8, 22, f"{value} of {n}", "io" if value else "plain"))
    shown = len(boxes)
    lines = -(-shown // columns)
    height = 16.0 + lines * h
    if shown < len(x):
        labels.append(Label(12, height + 6, f"... and {len(x) - shown} more genes", "start"))
        height += 20
    return Picture(16.0 + min(shown, columns) * w, height, tuple(boxes), (), tuple(labels))


class Edge(NamedTuple):
    """An edge of a graph whose vertices are numbered in topological order."""

    source: int
    target: int
    text: str = ""
    kind: str = "plain"


def chain_of_vertices(vertices: list[tuple[str, str]], edges: list[Edge], width: float, gap: float) -> Picture:
    """Return a directed graph with its vertices on one line and longer edges as arcs above and below it.

    An arc goes to the side where it crosses fewer arcs, shorter ones first, and over those that it encloses, so
    that no edge runs through a vertex.

    Args:
        vertices: (text, kind) of each vertex.
        edges: Edges between them.
        width: Width of a vertex.
        gap: Room between two vertices.
    """
    height, rise, margin = 32.0, 34.0, 10.0
    sides: list[list[tuple[Edge, int]]] = [[], []]  # above, below: edge and level
    arcs = sorted((e for e in edges if e.target - e.source > 1), key=lambda e: (e.target - e.source, e.source))
    for arc in arcs:
        crossings = [sum(_cross(arc, other) for other, _ in side) for side in sides]
        side = sides[0] if crossings[0] <= crossings[1] else sides[1]
        below = [level for other, level in side if other.source < arc.target and arc.source < other.target]
        side.append((arc, 1 + max(below, default=0)))
    tops = [max((level for _, level in side), default=0) for side in sides]
    middle = margin + (tops[0] * rise + 14.0 if tops[0] else 0.0) + height / 2
    centre = [margin + width / 2 + k * (width + gap) for k in range(len(vertices))]
    lines = []
    for edge in edges:
        if edge.target - edge.source == 1:
            x0, x1 = centre[edge.source] + width / 2, centre[edge.target] - width / 2
            lines.append(Line(x0, middle, x1, middle, (x0 + x1) / 2, middle, edge.text, edge.kind))
    for sign, side in zip((-1, 1), sides, strict=True):
        for arc, level in side:
            inset = max(width / 2 - 9.0 * level, 3.0)  # outer arcs nearer to the middle: none crosses at its ends
            x0, x1 = centre[arc.source] + inset, centre[arc.target] - inset
            y = middle + sign * height / 2
            lines.append(Line(x0, y, x1, y, (x0 + x1) / 2, y + sign * 2 * rise * level, arc.text, arc.kind))
    boxes = [
        TextBox(x - width / 2, middle - height / 2, width, height, text, kind)
        for x, (text, kind) in zip(centre, vertices, strict=True)
    ]
    bottom = middle + height / 2 + (tops[1] * rise + 14.0 if tops[1] else 0.0) + margin
    return Picture(centre[-1] + width / 2 + margin, bottom, tuple(boxes), tuple(lines))


def _cross(a: Edge, b: Edge) -> bool:
    """Whether two arcs on the same side cross: their ends interleave."""
    return a.source < b.source < a.target < b.target or b.source < a.source < b.target < a.target


def rows_of_boxes(rows: list[tuple[str, list[tuple[str, str]]]], before: str, after: str, width: float) -> Picture:
    """Return a network as one row of blocks per stage, with what comes before and after it.

    Args:
        rows: (text on the left, its blocks as (text, kind)).
        before: What the input passes first.
        after: What ends the network.
        width: Width of a block.
    """
    margin, h, gap, left = 10.0, 28.0, 14.0, 12.0 + CHARACTER * max(len(text) for text, _ in rows)
    boxes: list[TextBox] = []
    lines: list[Line] = []
    labels = [Label(margin, margin + 8, before, "start")]
    y = margin + 26
    for text, blocks in rows:
        labels.append(Label(margin, y + h / 2, text, "start"))
        for k, (word, kind) in enumerate(blocks):
            x = margin + left + k * (width + gap)
            boxes.append(TextBox(x, y, width, h, word, kind))
            if k:
                lines.append(Line(x - gap, y + h / 2, x, y + h / 2, x - gap / 2, y + h / 2))
        y += h + 12
    labels.append(Label(margin, y + 4, after, "start"))
    longest = max(len(blocks) for _, blocks in rows)
    wide = max(left + longest * (width + gap) - gap, CHARACTER * max(len(before), len(after)))
    return Picture(2 * margin + wide, y + 18, tuple(boxes), tuple(lines), tuple(labels))


def bars(values: list[float], texts: list[str], names: list[str]) -> Picture:
    """Return one bar per value, standing on a line, its text above and its name below it."""
    margin, room, high = 10.0, 120.0, max(*values, 1e-9)
    width = max(44.0, CHARACTER * max(map(len, names)))
    floor = margin + 20 + room
    boxes, labels = [], []
    for k, (value, text, name) in enumerate(zip(values, texts, names, strict=True)):
        x, h = margin + k * (width + 14), max(room * value / high, 2.0)
        boxes.append(TextBox(x, floor - h, width, h, "", "io"))
        labels += [Label(x + width / 2, floor - h - 9, text), Label(x + width / 2, floor + 14, name)]
    return Picture(2 * margin + len(values) * (width + 14) - 14, floor + 30, tuple(boxes), (), tuple(labels))
