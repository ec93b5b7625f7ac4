"""The picture of docs/make_single.py: how soon each method is near the optimum, a panel for each problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from make_concepts import BLUE, GREY, ORANGE, picture

from smemnas.bench.metrics.intervals import Interval

WIDTH, LABELS, GAP, EDGE = 680, 190, 36, 20
TOP, ROW, HEAD, FOOT = 34, 16, 24, 44
#: Colours of ours, of others, and of the one that every method is to beat.
KINDS = {"ours": BLUE, "others": ORANGE, "random search": GREY}


class Bar(NamedTuple):
    """Median evaluations of a method with their interval; infinite is beyond the budget, NaN is not known."""

    median: Interval
    kind: str


def figure(title: str, axis: str, ticks: Sequence[int], panels: Mapping[str, Mapping[str, Bar]]) -> str:
    """Return the picture, SVG.

    Args:
        title: What it shows, read aloud.
        axis: What stands below each panel.
        ticks: Of the axis, which begins at 0; the last is the budget.
        panels: Problem to method to what is drawn; the same methods in each.
    """
    names = list(next(iter(panels.values())))
    height = HEAD + ROW * len(names) + FOOT
    across = (WIDTH - LABELS - GAP - EDGE) / 2
    parts = [_key()]
    for k, (problem, bars) in enumerate(panels.items()):
        x, y = LABELS + (k % 2) * (across + GAP), TOP + (k // 2) * height
        if k % 2 == 0:
            parts += [
                f'<text x="{x - 10}" y="{y + HEAD + ROW * (j + 0.5) + 4:.1f}" text-anchor="end">{escape(name)}</text>'
                for j, name in enumerate(names)
            ]
        parts.append(_panel(problem, axis, ticks, [bars[name] for name in names], (x, y, across)))
    return picture(title, "".join(parts), (WIDTH, TOP + height * -(-len(panels) // 2)))


def _key() -> str:
    parts = []
    for k, (name, colour) in enumerate(KINDS.items()):
        x = LABELS + 110 * k
        parts.append(f'<circle cx="{x + 5}" cy="16" r="4" fill="{colour}"/><text x="{x + 15}" y="20">{name}</text>')
    return "".join(parts)


def _panel(
    problem: str, axis: str, ticks: Sequence[int], bars: Sequence[Bar], place: tuple[float, float, float]
) -> str:
    left, top, across = place
    first, last = top + HEAD, top + HEAD + ROW * len(bars)

    def at(value: float) -> float:
        return left + min(value, ticks[-1]) / ticks[-1] * across

    parts = [f'<text x="{left:.1f}" y="{top + 16}" font-weight="bold">{escape(problem)}</text>']
    for value in (0, *ticks):
        parts.append(f'<path class="g" d="M{at(value):.1f} {first}V{last}"/>')
        parts.append(f'<text class="t" x="{at(value):.1f}" y="{last + 14}" text-anchor="middle">{value}</text>')
    parts.append(
        f'<text class="t" x="{left + across / 2:.1f}" y="{last + 30}" text-anchor="middle">{escape(axis)}</text>'
    )
    for j, bar in enumerate(bars):
        parts.append(_bar(bar, first + ROW * (j + 0.5), at))
    return "".join(parts)


def _bar(bar: Bar, y: float, at) -> str:  # type: ignore[no-untyped-def]
    value, low, high = bar.median
    colour = KINDS[bar.kind]
    parts = []
    if not math.isnan(low):
        parts.append(f'<path stroke="{colour}" stroke-width="2" d="M{at(low):.1f} {y:.1f}H{at(high):.1f}"/>')
    if math.isinf(high) or math.isinf(value):
        parts.append(f'<path fill="{colour}" d="M{at(math.inf) + 7:.1f} {y:.1f}l-7 -4v8z"/>')
    if math.isfinite(value):
        parts.append(f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
    return "".join(parts)
