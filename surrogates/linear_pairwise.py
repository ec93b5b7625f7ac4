"""Linear orders learned from pairs: RankSVM and logistic regression on differences of encodings.

A linear classifier without intercept on ``z_a - z_b`` is antisymmetric, and its decision is a difference of two
scores ``w' z``; so a candidate is ranked by ``w' z`` alone. RankSVM: Herbrich, Graepel, Obermayer, "Large margin rank
boundaries for ordinal regression" (2000); Joachims, KDD 2002. Logistic: the Bradley-Terry model with features.

Columns are standardised by the training rows. C is chosen by 5-fold cross-validation over architectures as the one
that orders the fewest held-out pairs wrongly; for the choice at most 2,000 pairs of a fold are used.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.pairs import IndexArray, PairClassifier
from smemnas.surrogates.regression import library_seed, require_number
from smemnas.surrogates.svm_pairwise import sample_pairs
from smemnas.surrogates.tuning import column_scales, discordant_share, least_error

GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
TUNE_PAIRS = 2000
FOLDS = 5


class LinearPairwise(PairClassifier):
    """Direction ``w`` ``(d,)`` from classified differences.

    Args:
        seed: Seed of the sampled pairs and folds.
        max_pairs: Largest number of training rows, both orders of a pair counted.
        C: Inverse strength of the penalty on ``w``; None chooses it from `GRID` (1 below ten rows).
    """

    def __init__(self, *, seed: int, max_pairs: int = 10_000, C: float | None = None) -> None:
        super().__init__(seed=seed, max_pairs=max_pairs)
        if C is not None:
            require_number("C", C, above=0.0)
        self.C = C
        #: C of the last fit.
        self.chosen: float | None = None

    def _fit_pairs(self, Z: FloatArray, y: FloatArray, better: IndexArray, worse: IndexArray) -> None:
        centre, deviation = column_scales(Z)
        Z = (Z - centre) / deviation
        self.chosen = self.C
        if self.C is None:

            def error(C: float, learn: IndexArray, held: IndexArray) -> float:
                pairs = sample_pairs(y[learn], TUNE_PAIRS, np.random.default_rng(self.seed))
                if len(pairs[0]) == 0:
                    return 0.5
                rows = Z[learn][pairs[0]] - Z[learn][pairs[1]]
                return discordant_share(-Z[held] @ self._direction(rows, C), y[held])

            self.chosen = least_error(GRID, error, len(y), FOLDS, self.seed) or 1.0
        assert self.chosen is not None
        self._w = self._direction(Z[better] - Z[worse], self.chosen) / deviation

    def _score(self, Z: FloatArray) -> FloatArray:
        return np.asarray(-(Z @ self._w), dtype=np.float64)

    def _direction(self, rows: FloatArray, C: float) -> FloatArray:
        """Return ``(d,)`` from differences better minus worse ``(p, d)``, each used in both orders."""
        both = np.concatenate([rows, -rows])
        return self._solve(both, np.repeat([1, -1], len(rows)), C)

    @abstractmethod
    def _solve(self, rows: FloatArray, labels: IndexArray, C: float) -> FloatArray:
        """Return the direction of a linear classifier without intercept."""


class RankSVM(LinearPairwise):
    """Linear support vector machine on differences, squared hinge loss (scikit-learn's LinearSVC, primal)."""

    def _solve(self, rows: FloatArray, labels: IndexArray, C: float) -> FloatArray:
        from sklearn.svm import LinearSVC

        model = LinearSVC(C=C, dual=False, fit_intercept=False, random_state=library_seed(self.seed))
        return np.asarray(model.fit(rows, labels).coef_[0], dtype=np.float64)


class LogisticPairwise(LinearPairwise):
    """Logistic regression on differences (scikit-learn, L-BFGS, ridge penalty)."""

    def _solve(self, rows: FloatArray, labels: IndexArray, C: float) -> FloatArray:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=C, fit_intercept=False, max_iter=500)
        return np.asarray(model.fit(rows, labels).coef_[0], dtype=np.float64)


SURROGATES.register("ranksvm", summary="Linear RankSVM on sampled pairs")(RankSVM)
SURROGATES.register("logistic_pairwise", summary="Logistic regression on sampled pairs")(LogisticPairwise)
