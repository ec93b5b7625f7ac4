"""Selection among architectures: sorting, crowding, gap filling, predicted hypervolume gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smemnas.spaces.base import FloatArray, IntArray

IndexArray = NDArray[np.intp]


def pareto_ranks(F: FloatArray) -> IntArray:
    """Return the front number ``(n,)`` of each row of ``F`` ``(n, n_obj)``; 0 is non-dominated."""
    if F.shape[1] == 1:
        return np.unique(F[:, 0], return_inverse=True)[1].reshape(-1).astype(np.int64)
    from moocore import pareto_rank

    return np.asarray(pareto_rank(F), dtype=np.int64)


def crowding_distance(F: FloatArray) -> FloatArray:
    """Return the crowding distance ``(n,)`` of each row (Deb et al. 2002, III-B); the extremes get +inf."""
    n, n_obj = F.shape
    if n <= 2:
        return np.full(n, np.inf)
    distance = np.zeros(n)
    for j in range(n_obj):
        order = np.argsort(F[:, j], kind="stable")
        column = F[order, j]
        span = column[-1] - column[0]
        distance[order[0]] = distance[order[-1]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[2:] - column[:-2]) / span
    return distance


def rank_and_crowding(F: FloatArray, n: int) -> IndexArray:
    """Return the indices of NSGA-II's survivors: front by front, the last one by crowding."""
    ranks = pareto_ranks(F)
    members = np.flatnonzero(ranks <= np.sort(ranks)[min(n, len(F)) - 1]) if len(F) and n else np.arange(0)
    ranks = ranks[members]
    return members[np.lexsort((-crowding_by_front(F[members], ranks), ranks))][:n]


def crowding_by_front(F: FloatArray, ranks: IntArray) -> FloatArray:
    """Return the crowding distance ``(n,)`` of each row within its own front, given the front numbers ``(n,)``."""
    crowding = np.full(len(F), np.inf)
    order = np.argsort(ranks, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(ranks[order])) + 1):
        if len(members) > 2:
            crowding[members] = crowding_distance(F[members])
    return crowding


def gap_filling(candidates: FloatArray, archive: FloatArray, n: int) -> IndexArray:
    """Choose candidates that fill the gaps of the archive's front along one axis, as MSuNAS does.

    Each step takes the candidate that is farthest from everything evaluated or already chosen, on an axis
    scaled by the range of both.

    Args:
        candidates: Complexity of the candidates ``(m,)``.
        archive: Complexity of the archive's front ``(k,)``.
        n: How many to choose.

    Returns:
        Up to ``n`` indices in the order of choice.
    """
    chosen: list[int] = []
    distance = np.abs(candidates[:, None] - archive[None, :]).min(axis=1, initial=np.inf)
    for _ in range(min(n, len(candidates))):
        best = int(np.argmax(distance))
        chosen.append(best)
        distance = np.minimum(distance, np.abs(candidates - candidates[best]))
        distance[chosen] = -np.inf
    return np.array(chosen, dtype=np.intp)


def even_gaps(candidates: FloatArray, front: FloatArray, n: int) -> IndexArray:
    """Choose ``n`` candidates so that the gaps between them and a front along one axis are as even as possible.

    The criterion of MSuNAS (Lu et al., ECCV 2020): the smallest standard deviation of the differences of the sorted
    union. Found by exchanging one chosen candidate at a time, from the choice of `gap_filling`, until no exchange
    improves it.

    Args:
        candidates: Complexity of the candidates ``(m,)``.
        front: Complexity of the archive's front ``(k,)``.
        n: How many to choose.

    Returns:
        ``min(n, m)`` indices in ascending order.
    """
    m = len(candidates)
    if m <= n or len(front) + n < 2:
        return np.arange(min(n, m), dtype=np.intp)
    chosen = np.zeros(m, dtype=bool)
    chosen[gap_filling(candidates, front, n)] = True
    spread = gap_spread(candidates[chosen][None], front)[0]
    while True:
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        trials = np.repeat(candidates[inside][None], n * len(outside), axis=0)
        trials[np.arange(len(trials)), np.repeat(np.arange(n), len(outside))] = np.tile(candidates[outside], n)
        spreads = gap_spread(trials, front)
        best = int(np.argmin(spreads))
        if not spreads[best] < spread * (1.0 - 1e-12):
            return inside
        spread = spreads[best]
        chosen[inside[best // len(outside)]] = False
        chosen[outside[best % len(outside)]] = True


def gap_spread(chosen: FloatArray, front: FloatArray) -> FloatArray:
    """Return the standard deviation ``(t,)`` of the gaps of a front ``(k,)`` joined by each row of ``(t, n)``."""
    union = np.hstack([np.repeat(front[None], len(chosen), axis=0), chosen])
    return np.asarray(np.diff(np.sort(union, axis=1), axis=1).std(axis=1))


def hypervolume_gains(candidates: FloatArray, front: FloatArray, reference: FloatArray) -> FloatArray:
    """Return by how much each candidate alone would enlarge the hypervolume of a front.

    Args:
        candidates: Points ``(m, n_obj)``, minimised.
        front: Points ``(k, n_obj)``; dominated ones do no harm.
        reference: Reference point ``(n_obj,)``.

    Returns:
        Gains ``(m,)``, 0 for dominated candidates. Two objectives: ``O((m + k) k)`` without loops over
        candidates; more: one exact hypervolume of moocore per candidate.
    """
    inside = (candidates < reference).all(axis=1)
    if candidates.shape[1] == 1:
        best = min(float(front.min(initial=np.inf)), float(reference[0]))
        return np.maximum(best - candidates[:, 0], 0.0)
    if candidates.shape[1] == 2:
        gains = _gains_2d(candidates, front, reference)
        return np.where(inside, gains, 0.0)
    from moocore import hypervolume

    gains = np.zeros(len(candidates))
    base = float(hypervolume(front, ref=reference)) if len(front) else 0.0
    for k in np.flatnonzero(inside):
        if not len(front) or not (front <= candidates[k]).all(axis=1).any():
            gains[k] = float(hypervolume(np.vstack([front, candidates[k]]), ref=reference)) - base
    return gains


def _gains_2d(candidates: FloatArray, front: FloatArray, reference: FloatArray) -> FloatArray:
    """Area that each candidate dominates and the front does not: a sum over the steps of the front."""
    front = front[(front < reference).all(axis=1)]
    order = np.lexsort((front[:, 1], front[:, 0]))
    front = front[order]
    lower = np.minimum.accumulate(front[:, 1]) if len(front) else front[:, 1]
    edges = np.concatenate(([-np.inf], front[:, 0], [reference[0]]))
    heights = np.concatenate(([reference[1]], lower))
    left = np.maximum(edges[:-1][None, :], candidates[:, :1])
    width = np.maximum(edges[1:][None, :] - left, 0.0)
    height = np.maximum(heights[None, :] - candidates[:, 1:], 0.0)
    return np.asarray((width * height).sum(axis=1))


def greedy_hypervolume(candidates: FloatArray, front: FloatArray, reference: FloatArray, n: int) -> IndexArray:
    """Choose up to ``n`` candidates one after the other, each by its hypervolume gain given those before.

    Ends early when no candidate gains anything.
    """
    chosen: list[int] = []
    for _ in range(min(n, len(candidates))):
        gains = hypervolume_gains(candidates, front, reference)
        gains[chosen] = 0.0
        best = int(np.argmax(gains))
        if gains[best] <= 0.0:
            break
        chosen.append(best)
        front = np.vstack([front, candidates[best]])
    return np.array(chosen, dtype=np.intp)


def box(F: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return lower corner and extent ``(n_obj,)`` of the box between the ideal point and the front's nadir.

    Where the front has no extent, that of all rows, so that no unit counts; 1 where these have none either.
    """
    low, high = F.min(axis=0), F[pareto_ranks(F) == 0].max(axis=0)
    high = np.where(high > low, high, F.max(axis=0))
    return low, np.where(high > low, high - low, 1.0)


def tournament(ranks: IntArray, crowding: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Return ``n`` winners of binary tournaments by rank, then by crowding."""
    a, b = rng.integers(len(ranks), size=(2, n))
    a_wins = (ranks[a] < ranks[b]) | ((ranks[a] == ranks[b]) & (crowding[a] >= crowding[b]))
    return np.asarray(np.where(a_wins, a, b), dtype=np.int64)
