"""What the classifiers of pairs share: sampled pairs in both orders, and the way from pairs to an order.

Pairs are drawn as in `svm_pairwise`: all ordered pairs of untied outcomes where they are at most `max_pairs`,
otherwise a seeded set of unordered pairs, each in both orders, independent of the order of the training rows.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import FloatArray, Surrogate, check_training_data
from smemnas.surrogates.regression import check_query, require_integer
from smemnas.surrogates.svm_pairwise import sample_pairs
from smemnas.surrogates.tuning import canonical_order

IndexArray = NDArray[np.intp]


class PairClassifier(Surrogate):
    """A surrogate that learns from sampled pairs; subclasses write `_fit_pairs` and `_score`.

    Constant outcomes give no pair: they never reach the subclass, and all scores are 0.
    """

    def __init__(self, *, seed: int, max_pairs: int) -> None:
        require_integer("seed", seed, 0)
        require_integer("max_pairs", max_pairs, 2)
        self.seed = seed
        self.max_pairs = max_pairs
        self._columns: int | None = None
        self._taught = False

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Draw the pairs of encodings ``(n, d)`` with outcomes ``(n,)`` and learn from them."""
        Z, y = check_training_data(Z, y)
        self._columns = Z.shape[1]
        order = canonical_order(Z, y)
        Z, y = Z[order], y[order]
        better, worse = sample_pairs(y, self.max_pairs, np.random.default_rng(self.seed))
        self._taught = len(better) > 0
        if self._taught:
            self._fit_pairs(Z, y, better, worse)
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return ``(m,)`` scores; equal rows get equal scores."""
        Z = check_query(Z, self._columns)
        if not self._taught or len(Z) == 0:
            return np.zeros(len(Z))
        distinct, inverse = np.unique(Z, axis=0, return_inverse=True)
        return self._score(distinct)[inverse.reshape(-1)]

    @abstractmethod
    def _fit_pairs(self, Z: FloatArray, y: FloatArray, better: IndexArray, worse: IndexArray) -> None:
        """Learn that row ``better[p]`` beats row ``worse[p]``; rows are in canonical order; forget earlier data."""

    @abstractmethod
    def _score(self, Z: FloatArray) -> FloatArray:
        """Return scores ``(m,)`` of checked, distinct encodings ``(m, d)``, ``m >= 1``: smaller is better."""
