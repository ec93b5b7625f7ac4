"""Critical-difference diagrams (Demsar, JMLR 2006) as SVG for a page."""

from __future__ import annotations

import math

from smemnas.bench.report.cells import number, p_value
from smemnas.bench.report.page import html as tags
from smemnas.bench.studies.ranks import SeedRanks

#: Room for the names on either side, pixels per character of them, and between two lines of names.
CHARACTER, LINE = 6.8, 20.0


def rank_diagram(ranks: SeedRanks) -> str:
    """Return a figure: methods on an axis of mean ranks, joined by a bar where they do not differ significantly."""
    k = len(ranks.methods)
    order = sorted(range(k), key=lambda j: (ranks.mean_ranks[j], j))
    left, right = order[: (k + 1) // 2], order[(k + 1) // 2 :][::-1]
    room = 18 + CHARACTER * (5 + max(len(name) for name in ranks.methods))
    axis = max(260.0, 44.0 * (k - 1))
    groups = [(a, b) for a, b in ranks.cliques if b > a]
    top = 46.0
    under = top + 10 + 9 * len(groups)
    width, height = 2 * room + axis, under + LINE * max(len(left), len(right)) + 12

    def at(rank: float) -> float:
        return room + axis * (rank - 1) / max(k - 1, 1)

    parts = [_line(at(1), top, at(k), top, "axis")]
    for rank in range(1, k + 1):
        parts += [_line(at(rank), top - 5, at(rank), top, "axis"), _word(at(rank), top - 9, str(rank), "middle")]
    if math.isfinite(ranks.critical_difference) and ranks.critical_difference < k - 1:
        end = at(1 + ranks.critical_difference)
        parts += [_line(at(1), 10, end, 10, "axis"), _line(at(1), 6, at(1), 14, "axis"), _line(end, 6, end, 14, "axis")]
        parts.append(_word(end + 6, 14, f"CD {number(ranks.critical_difference, 2)}", "start"))
    for side, members in ((0, left), (1, right)):
        for row, j in enumerate(members):
            x, y = at(float(ranks.mean_ranks[j])), under + LINE * (row + 0.6)
            edge = room + axis + 8 if side else room - 8
            parts.append(f'<path class="axis" d="M{x:.1f},{top:.1f}V{y:.1f}H{edge:.1f}"/>')
            value = number(float(ranks.mean_ranks[j]), 2)
            name = f"{value} {ranks.methods[j]}" if side else f"{ranks.methods[j]} {value}"
            parts.append(_word(edge + (4 if side else -4), y + 4, name, "start" if side else "end"))
    for row, (a, b) in enumerate(groups):
        y = top + 8 + 9 * row
        x0, x1 = (at(float(ranks.mean_ranks[order[place]])) for place in (a, b))
        parts.append(f'<path class="join" d="M{x0 - 4:.1f},{y:.1f}H{x1 + 4:.1f}"/>')
    names = ", ".join(f"{ranks.methods[j]} {number(float(ranks.mean_ranks[j]), 2)}" for j in order)
    caption = f"Mean ranks within {len(ranks.seeds)} seeds after {ranks.at} evaluations, 1 is best; " + (
        f"Friedman's test: p {_equals(p_value(ranks.p))}. Methods under one bar do not differ significantly."
        if math.isfinite(ranks.p)
        else "too few methods or seeds for a test."
    )
    return (
        f'<figure><h3>Critical differences</h3><div class="scroll diagram" tabindex="0" role="region" '
        f'aria-label="Critical-difference diagram"><svg width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Mean ranks: {tags.text(names)}">'
        f"{''.join(parts)}</svg></div><figcaption>{tags.text(caption)}</figcaption></figure>"
    )


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x0:.1f},{y0:.1f}L{x1:.1f},{y1:.1f}"/>'


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{tags.text(text)}</text>'
