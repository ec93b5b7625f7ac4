"""Parts of pymoo's algorithms that sort, with ties broken alike on every processor.

pymoo sorts crowding distances and distances of weight vectors by NumPy's quicksort. How that orders equal values, and
infinite crowding distances are always equal, depends on the instruction set it was written for. These sort stably.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.spaces.base import FloatArray, IntArray


def rank_and_crowding_survival() -> Any:
    """Return pymoo's survival by rank and crowding; equal crowding distances are ordered at random, by the seed."""
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    class StableRankAndCrowding(RankAndCrowding):  # type: ignore[misc]
        def _do(
            self, problem: Any, pop: Any, *_: Any, random_state: Any = None, n_survive: int | None = None, **__: Any
        ) -> Any:
            F = pop.get("F").astype(np.float64, copy=False)
            limit = len(pop) if n_survive is None else n_survive
            kept: list[int] = []
            for rank, front in enumerate(self.nds.do(F, n_stop_if_ranked=limit)):
                surplus = max(len(kept) + len(front) - limit, 0)
                crowding = self.crowding_func.do(F[front], n_remove=surplus)
                for individual, value in zip(pop[front], crowding, strict=True):
                    individual.set("rank", rank)
                    individual.set("crowding", value)
                order = least_last(crowding, random_state) if surplus else np.arange(len(front))
                kept.extend(np.asarray(front)[order[: len(front) - surplus]].tolist())
            return pop[kept]

    return StableRankAndCrowding()


def least_last(values: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return the order ``(n,)`` of values from the largest to the least; equal ones in an order drawn from `rng`."""
    drawn = rng.permutation(len(values))
    return np.asarray(drawn[np.argsort(values[drawn], kind="stable")][::-1], dtype=np.int64)


def nearest(directions: FloatArray, k: int) -> IntArray:
    """Return the ``k`` nearest weight vectors ``(n, k)`` to each of ``(n, n_obj)``, itself first, then by number."""
    squared = np.round(np.square(directions[:, None, :] - directions[None, :, :]).sum(axis=2), 12)
    np.fill_diagonal(squared, -1.0)  # first, also among equal ones: of one objective all are
    return np.asarray(np.argsort(squared, axis=1, kind="stable")[:, :k], dtype=np.int64)
