"""Critical-difference diagrams (Demsar, JMLR 2006) as SVG for a page."""

from __future__ import annotations

import math

from smemnas.bench.report.cells import number, p_value
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.rank_layout import rank_layout
from smemnas.bench.studies.ranks import SeedRanks

#: Room for the names on either side, pixels per character of them, and between two lines of names.
CHARACTER, LINE = 6.8, 20.0
#: Pixels between two bars on one level.
GAP = 16.0


def rank_diagram(ranks: SeedRanks, after: str) -> str:
    """Return a figure: methods on an axis of mean ranks, joined by a bar where they do not differ significantly.

    Args:
        ranks: Of the methods.
        after: At which checkpoint, in words.
    """
    k = len(ranks.methods)
    room = 18 + CHARACTER * (5 + max(len(name) for name in ranks.methods))
    axis = max(260.0, 44.0 * (k - 1))
    layout = rank_layout(ranks, GAP * (k - 1) / axis)
    top = 46.0
    under = top + 10 + 9 * layout.levels
    width, height = 2 * room + axis, under + LINE * layout.lines + 12

    def at(rank: float) -> float:
        return room + axis * (rank - 1) / max(k - 1, 1)

    parts = [_line(at(1), top, at(k), top, "axis")]
    for rank in range(1, k + 1):
        parts += [_line(at(rank), top - 5, at(rank), top, "axis"), _word(at(rank), top - 9, str(rank), "middle")]
    if layout.difference is not None:
        end = at(1 + layout.difference)
        parts += [_line(at(1), 10, end, 10, "axis"), _line(at(1), 6, at(1), 14, "axis"), _line(end, 6, end, 14, "axis")]
        parts.append(_word(end + 6, 14, f"CD {number(layout.difference, 2)}", "start"))
    for name in [*layout.side(False), *reversed(layout.side(True))]:
        x, y = at(name.rank), under + LINE * (name.line + 0.6)
        edge = room + axis + 8 if name.right else room - 8
        parts.append(f'<path class="axis" d="M{x:.1f},{top:.1f}V{y:.1f}H{edge:.1f}"/>')
        value = number(name.rank, 2)
        text = f"{value} {name.method}" if name.right else f"{name.method} {value}"
        parts.append(_word(edge + (4 if name.right else -4), y + 4, text, "start" if name.right else "end"))
    for bar in layout.bars:
        y = top + 8 + 9 * bar.level
        parts.append(f'<path class="join" d="M{at(bar.low) - 4:.1f},{y:.1f}H{at(bar.high) + 4:.1f}"/>')
    names = ", ".join(f"{name.method} {number(name.rank, 2)}" for name in layout.names)
    caption = f"Mean ranks within {len(ranks.seeds)} seeds after {after}, 1 is best; " + (
        f"Friedman's test: p {_equals(p_value(ranks.p))}. A bar joins mean ranks that differ by less than "
        "the critical difference; verdicts on pairs are those of the tables."
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
