"""Critical-difference diagrams (Demsar, JMLR 2006, figure 1): what stands where, in ranks, lines and levels.

`bench.report.study.critical_difference` draws it for paper, `bench.report.page.diagram` for the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smemnas.bench.studies.ranks import SeedRanks
from smemnas.spaces.base import FloatArray


class Name(NamedTuple):
    """Where a method's name stands: beside the axis, on a line below it, counted from 0."""

    method: str
    rank: float
    right: bool
    line: int


class Bar(NamedTuple):
    """What joins methods that do not differ, from one mean rank to another; levels are counted from the axis down."""

    low: float
    high: float
    level: int


class RankLayout(NamedTuple):
    """A diagram.

    Attributes:
        names: By mean rank, the best first.
        bars: Of the groups of two or more.
        lines: Of names, on the side that has more.
        difference: The critical difference; None where there is none, or one beyond the axis.
    """

    names: tuple[Name, ...]
    bars: tuple[Bar, ...]
    lines: int
    difference: float | None

    @property
    def levels(self) -> int:
        """Number of levels of bars."""
        return max((bar.level + 1 for bar in self.bars), default=0)

    def side(self, right: bool) -> list[Name]:
        """Return the names on one side."""
        return [name for name in self.names if name.right == right]


def rank_layout(test: SeedRanks, margin: float) -> RankLayout:
    """Return where everything stands: the better half on the left, the others on the right, the outermost on top.

    Args:
        test: The ranks.
        margin: What bars on one level are apart at least, in ranks.
    """
    order = np.argsort(test.mean_ranks, kind="stable")
    ranks = test.mean_ranks[order]
    k = len(order)
    left = (k + 1) // 2
    names = [
        Name(test.methods[j], float(rank), i >= left, i if i < left else k - 1 - i)
        for i, (j, rank) in enumerate(zip(order, ranks, strict=True))
    ]
    groups = [(first, last) for first, last in test.cliques if last > first]
    shown = test.critical_difference < k - 1
    return RankLayout(tuple(names), _bars(ranks, groups, margin), left, test.critical_difference if shown else None)


def _bars(ranks: FloatArray, groups: Sequence[tuple[int, int]], margin: float) -> tuple[Bar, ...]:
    """Return the bar of each group on the first level where it keeps a margin from all others."""
    ends: list[float] = []
    bars = []
    for first, last in groups:
        low, high = float(ranks[first]), float(ranks[last])
        level = next((j for j, end in enumerate(ends) if end + margin < low), len(ends))
        ends[level : level + 1] = [high]
        bars.append(Bar(low, high, level))
    return tuple(bars)
