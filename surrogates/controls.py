"""Surrogates that know nothing: the controls of an ablation."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import SURROGATES, FloatArray, Surrogate, check_training_data
from smemnas.surrogates.regression import check_query, require_integer

HashArray = NDArray[np.uint64]


@SURROGATES.register("random", summary="Random order: the ablation control without a surrogate")
class RandomOrder(Surrogate):
    """Orders candidates at random: the control "random candidates" of an ablation.

    A method with this surrogate runs its whole machinery, but what it proposes carries no knowledge. The
    score is a hash of the seed, the training data and the candidate's own encoding. So it is the same for
    the same architecture in every generation between two fits, does not depend on where a candidate stands
    in the population, and is drawn anew when the archive grows.
    """

    def __init__(self, *, seed: int) -> None:
        require_integer("seed", seed, 0)
        self.seed = seed
        self._columns: int | None = None
        self._salt = np.uint64(0)

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Take the data as salt; the order of the rows does not matter."""
        Z, y = check_training_data(Z, y)
        self._columns = Z.shape[1]
        start = np.random.SeedSequence(self.seed).generate_state(1, np.uint64)[0]
        self._salt = _row_hash(np.column_stack([Z, y]), start).sum(dtype=np.uint64)
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return ``(m,)`` numbers, uniform in [0, 1); equal rows get equal numbers."""
        Z = check_query(Z, self._columns)
        return (_row_hash(Z, self._salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53


@SURROGATES.register("constant", summary="All candidates alike: the control without any order")
class Constant(Surrogate):
    """Gives every candidate the same score: what remains when a surrogate says nothing.

    Args:
        seed: Unused: nothing is random.
    """

    def __init__(self, *, seed: int) -> None:
        require_integer("seed", seed, 0)
        self.seed = seed
        self._columns: int | None = None

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Check the data and keep the number of columns."""
        Z, _ = check_training_data(Z, y)
        self._columns = Z.shape[1]
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return ``(m,)`` zeros."""
        return np.zeros(len(check_query(Z, self._columns)))


def _row_hash(Z: FloatArray, start: np.uint64) -> HashArray:
    """Return a 64-bit hash ``(n,)`` of each row of ``Z`` ``(n, d)`` (SplitMix64's mixing step per column)."""
    bits = np.ascontiguousarray(Z + 0.0).view(np.uint64)  # + 0.0 makes -0.0 equal 0.0
    h = np.full(len(Z), start, dtype=np.uint64)
    for column in bits.T:
        h = (h ^ column) + np.uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
    return h
