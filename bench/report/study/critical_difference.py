"""Critical-difference diagrams (Demsar, JMLR 2006, figure 1): mean ranks on a line, bars join what does not differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.bench.colours import BLUE, DARK
from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.report.rank_layout import Name, RankLayout, rank_layout
from smemnas.bench.studies.ranks import SeedRanks

#: Inches: the text width of a two-column page, the height of a line of names, the room for a letter, the least width
#: of the axis.
WIDTH, LINE, LETTER, AXIS = 6.9, 0.165, 0.062, 2.2
FONT = 8.0
#: Heights in lines below the axis: of the first bar, between bars, from the last bar to the first name.
FIRST_BAR, BAR_STEP, NAMES = 0.7, 0.5, 0.9


def critical_difference_diagram(test: SeedRanks, title: str, emphasised: str = "") -> Any:
    """Return the diagram as a Matplotlib figure, readable at the text width of a page.

    Better methods stand on the left. Names are at the sides, each joined to its mean rank; a bar joins methods whose
    mean ranks differ by less than the critical difference, which is drawn above the axis.

    Args:
        test: The ranks.
        title: What was compared.
        emphasised: A method drawn in colour and bold.
    """
    from matplotlib.figure import Figure

    k = len(test.methods)
    axis, rooms = _widths(rank_layout(test, 0.0), emphasised)
    inch = (k - 1) / axis  # in ranks
    layout = rank_layout(test, 0.1 * inch)
    top = FIRST_BAR + BAR_STEP * (layout.levels - 1) + NAMES
    lines, head = top + layout.lines, 5.2  # below and above the axis: title, critical difference, tick labels
    figure = Figure(figsize=(axis + sum(rooms), LINE * (lines + head)))
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_xlim(1 - rooms[0] * inch, k + rooms[1] * inch)
    ax.set_ylim(lines, -head)
    ax.axis("off")
    _axis(ax, k)
    if layout.difference is not None:
        _scale(ax, layout.difference)
    for name in layout.names:
        colour, weight = (BLUE, "bold") if name.method == emphasised else ("black", "normal")
        side, ha = (1, "left") if name.right else (-1, "right")
        y = top + name.line
        end = (k if name.right else 1) + 0.15 * side * inch
        ax.plot([name.rank, name.rank, end], [0, y, y], color=colour, lw=0.8, solid_joinstyle="miter")
        ax.plot(name.rank, 0, "o", color=colour, ms=3)
        text_at = end + 0.05 * side * inch
        ax.text(text_at, y, _text(name), ha=ha, va="center", color=colour, fontsize=FONT, fontweight=weight)
    for bar in layout.bars:
        y = FIRST_BAR + BAR_STEP * bar.level
        overhang = 0.03 * inch
        ax.plot([bar.low - overhang, bar.high + overhang], [y, y], color="black", lw=2.6, solid_capstyle="butt")
    figure.text(0.01, 0.985, f"{title}\n{_verdict(test)}", fontsize=FONT, va="top", linespacing=1.3)
    return figure


def _text(name: Name) -> str:
    return f"{name.rank:.2f}  {name.method}" if name.right else f"{name.method}  {name.rank:.2f}"


def _widths(layout: RankLayout, emphasised: str) -> tuple[float, tuple[float, float]]:
    """Return the width of the axis and of the rooms beside it, in inches."""
    left, right = (
        0.3 + LETTER * max((len(_text(n)) * (1.18 if n.method == emphasised else 1.0) for n in side), default=0)
        for side in (layout.side(False), layout.side(True))
    )
    return max(AXIS, WIDTH - left - right), (left, right)


def _axis(ax: Any, k: int) -> None:
    """Draw the line of ranks, 1 (best) on the left."""
    ax.plot([1, k], [0, 0], color="black", lw=0.9)
    step = 1 if k <= 12 else 2
    for tick in range(1, k + 1):
        labelled = (tick - 1) % step == 0
        ax.plot([tick, tick], [0, -0.35 if labelled else -0.2], color="black", lw=0.9)
        if labelled:
            ax.text(tick, -0.5, str(tick), ha="center", va="bottom", fontsize=FONT)


def _scale(ax: Any, difference: float) -> None:
    """Draw the critical difference above the axis, from rank 1 on."""
    y = -2.0
    ax.plot([1, 1 + difference], [y, y], color=DARK, lw=1.2)
    for end in (1, 1 + difference):
        ax.plot([end, end], [y - 0.2, y + 0.2], color=DARK, lw=1.2)
    text = f"critical difference {difference:.2f}"
    ax.text(1 + difference, y, f"  {text}", ha="left", va="center", fontsize=FONT, color=DARK)


def _verdict(test: SeedRanks) -> str:
    """Return the seeds and the outcome of the test."""
    seeds = f"{len(test.seeds)} seeds that all {len(test.methods)} methods finished"
    seeds += f" (too few runs of {', '.join(test.left_out)})" if test.left_out else ""
    p = "p < 0.0001" if test.p < 0.0001 else f"p = {test.p:.4f}"
    if test.p >= SIGNIFICANCE:
        return f"{seeds}; Friedman {p}: no method differs"
    return f"{seeds}" + (f"; Friedman {p}" if np.isfinite(test.p) else "")
