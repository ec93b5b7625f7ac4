"""Regression on the nearest evaluated architectures."""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernels import distance_scales, squared_distances
from smemnas.surrogates.regression import Regressor

NEIGHBOURS = (1, 2, 3, 5, 8, 12, 20, 30)
#: Squared distances, in units of their mean, are rounded to this many decimals: equal rows are at distance 0.
DECIMALS = 9
#: Rows predicted at once.
BLOCK = 2048


class NearestNeighbours(Regressor):
    """Mean of the k nearest rows, weighted by the inverse squared distance.

    All rows as near as the k-th count, so the order of the rows does not matter. k is that of least squared
    leave-one-out error.

    Args:
        seed: Unused: nothing is random.
        targets: "value" or "rank".
    """

    def __init__(self, *, seed: int, targets: str = "value") -> None:
        super().__init__(seed=seed, targets=targets)
        #: Number of neighbours of the last fit.
        self.chosen: int | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        self._rows, self._targets = Z, t
        D = squared_distances(Z, Z)
        self._unit = distance_scales([D])[0]
        D = np.round(D / self._unit, DECIMALS)
        np.fill_diagonal(D, np.inf)
        tried = [k for k in NEIGHBOURS if k < len(t)]
        errors = [float(np.square(_weighted_mean(D, t, k) - t).mean()) for k in tried]
        self.chosen = tried[int(np.argmin(np.round(errors, 12)))]

    def _predict(self, Z: FloatArray) -> FloatArray:
        assert self.chosen is not None
        parts = []
        for start in range(0, len(Z), BLOCK):
            D = np.round(squared_distances(Z[start : start + BLOCK], self._rows) / self._unit, DECIMALS)
            parts.append(_weighted_mean(D, self._targets, self.chosen))
        return np.concatenate(parts)


def _weighted_mean(D: FloatArray, t: FloatArray, k: int) -> FloatArray:
    """Return ``(m,)`` means of ``t`` over all rows up to the k-th smallest distance in each row of ``D`` ``(m, n)``."""
    reach = np.partition(D, k - 1, axis=1)[:, k - 1 : k]
    weight = np.where(D <= reach, 1.0 / (D + 10.0**-DECIMALS), 0.0)
    return np.asarray(weight @ t / weight.sum(axis=1), dtype=np.float64)


SURROGATES.register("knn", summary="Nearest neighbours, their number by leave-one-out")(NearestNeighbours)
SURROGATES.preset("knn_rank", base="knn", summary="Nearest neighbours on ranks", targets="rank")
