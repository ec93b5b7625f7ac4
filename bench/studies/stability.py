"""Where methods stand across problems, and how much of that is chance: of seeds, of the choice of problems, of one.

Within a problem methods are ranked by their mean regret; a method's rank is the mean over the problems, its place the
order of those. Seeds of different problems are never pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smemnas.spaces.base import FloatArray

#: Resamples of each kind, and the share of them that an interval of places holds.
RESAMPLES, SHARE = 1000, 0.95


@dataclass(frozen=True)
class Standing:
    """One method across problems.

    Attributes:
        variant: Its name.
        place: 1 is best; equal mean ranks share a place.
        mean_rank: Mean over the problems of its rank by mean regret.
        ranks: On each problem.
        first: Share of the resamples of seeds in which it has the first place.
        over_seeds: Lowest and highest place under 95 % of the resamples of seeds.
        over_problems: The same of the problems; None for a single one.
        without_one: Best and worst place with any one problem left out; None for a single one.
    """

    variant: str
    place: int
    mean_rank: float
    ranks: tuple[float, ...]
    first: float
    over_seeds: tuple[int, int]
    over_problems: tuple[int, int] | None
    without_one: tuple[int, int] | None


def standings(names: Sequence[str], regrets: Sequence[FloatArray]) -> list[Standing]:
    """Return the methods by place.

    Args:
        names: Of the methods, ``m`` of them.
        regrets: For each problem the regret of each method and seed ``(m, seeds)``, NaN where a run is missing; every
            method has at least one on each problem.
    """
    rng = np.random.default_rng(0)
    point = np.stack([_ranks(np.nanmean(values, axis=1)[None])[0] for values in regrets])  # (problems, m)
    mean, n = point.mean(axis=0), len(regrets)
    places = _places(mean[None])[0]
    resampled = np.stack([_ranks(_resampled_means(values, rng)) for values in regrets])  # (problems, resamples, m)
    by_seeds = _places(resampled.mean(axis=0))
    by_problems = _places(point[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1))
    without = _places(np.stack([np.delete(point, k, axis=0).mean(axis=0) for k in range(n)])) if n > 1 else by_problems
    found = [
        Standing(
            name,
            int(places[j]),
            float(mean[j]),
            tuple(point[:, j].tolist()),
            float((by_seeds[:, j] == 1).mean()),
            _middle(by_seeds[:, j]),
            _middle(by_problems[:, j]) if n > 1 else None,
            (int(without[:, j].min()), int(without[:, j].max())) if n > 1 else None,
        )
        for j, name in enumerate(names)
    ]
    return sorted(found, key=lambda standing: (standing.place, standing.variant))


def _resampled_means(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return means over resampled seeds ``(resamples, m)`` of ``(m, seeds)``; complete methods share them."""
    shared = rng.integers(0, values.shape[1], (RESAMPLES, values.shape[1]))
    columns = []
    for row in values:
        known = row[~np.isnan(row)]
        drawn = shared if len(known) == len(row) else rng.integers(0, len(known), (RESAMPLES, len(known)))
        columns.append(known[drawn].mean(axis=1))
    return np.stack(columns, axis=1)


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks within each row ``(r, m)``, 1 for the smallest; ties share their mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=1))


def _places(mean_ranks: FloatArray) -> FloatArray:
    """Return places within each row ``(r, m)``; ties share the better one."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.round(mean_ranks, 9), axis=1, method="min"))


def _middle(places: FloatArray) -> tuple[int, int]:
    """Return the places between which the middle 95 % lie."""
    tail = 100.0 * (1.0 - SHARE) / 2.0
    low, high = np.percentile(places, [tail, 100.0 - tail], method="nearest")
    return int(low), int(high)
