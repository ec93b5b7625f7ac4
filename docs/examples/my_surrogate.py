"""A surrogate as a plug-in: distance-weighted mean of the ranks of the nearest architectures."""

from __future__ import annotations

from typing import Self

import numpy as np

from smemnas import SURROGATES, FloatArray, Surrogate, UserError, average_ranks, check_training_data


@SURROGATES.register("neighbours", summary="Mean rank of the nearest evaluated architectures")
class Neighbours(Surrogate):
    """Nearest neighbours on ranks.

    Args:
        seed: Unused; nothing here is random.
        power: How fast the weight of a neighbour falls with its squared distance.
    """

    def __init__(self, *, seed: int = 0, power: float = 3.0) -> None:
        if not power > 0:
            raise UserError(f"parameter 'power' must be positive, got {power!r}.")
        self.seed = seed
        self.power = power

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Keep the encodings ``(n, d)`` and the ranks of the outcomes ``(n,)``."""
        Z, y = check_training_data(Z, y)
        self._Z, self._ranks = Z.copy(), average_ranks(y)
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return ``(m,)`` weighted mean ranks: smaller is better."""
        squares = (Z**2).sum(axis=1)[:, None] + (self._Z**2).sum(axis=1) - 2.0 * Z @ self._Z.T
        weight = (np.maximum(squares, 0.0) + 1e-3) ** -self.power
        return np.asarray(weight @ self._ranks / weight.sum(axis=1))
