"""Ensembles of trees that classify pairs: random forest and gradient boosting.

A training row holds the encodings of both architectures and their difference. The probability that a candidate wins
is averaged over both orders, which makes it antisymmetric, and over a fixed set of opponents: training architectures
spread evenly over the order of outcomes. Trees have no short cut for all pairs, so the opponents are few. Row,
opponents and number of pairs were chosen by a few trials on nb201/cifar100; nothing is tuned in a fit.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray, single_thread
from smemnas.surrogates.pairs import IndexArray, PairClassifier
from smemnas.surrogates.regression import library_seed, require_choice, require_integer, require_number

COMBINATIONS = ("concat", "difference", "both")
#: Numbers in the rows that are predicted at once (64 MB).
BLOCK = 8_000_000


class TreesPairwise(PairClassifier):
    """Trees on pairs; subclasses name the library's classifier.

    Args:
        seed: Seed of the sampled pairs and of the trees.
        max_pairs: Largest number of training rows, both orders of a pair counted.
        combine: Row of a pair (a, b): "concat": [a, b]; "difference": a - b; "both": [a, b, a - b].
        opponents: Number of training architectures that a candidate is compared with.
    """

    def __init__(self, *, seed: int, max_pairs: int, combine: str, opponents: int) -> None:
        super().__init__(seed=seed, max_pairs=max_pairs)
        require_choice("combine", combine, COMBINATIONS)
        require_integer("opponents", opponents, 1)
        self.combine = combine
        self.opponents = opponents
        self._model: Any = None

    def _fit_pairs(self, Z: FloatArray, y: FloatArray, better: IndexArray, worse: IndexArray) -> None:
        self._rivals = Z[np.unique(np.linspace(0, len(Z) - 1, self.opponents).round().astype(np.intp))]
        rows = np.concatenate([self._rows(Z[better], Z[worse]), self._rows(Z[worse], Z[better])])
        with single_thread():
            self._model = self._classifier(len(rows)).fit(rows, np.repeat([1, 0], len(better)))

    def _score(self, Z: FloatArray) -> FloatArray:
        step = max(1, BLOCK // (6 * Z.shape[1] * len(self._rivals)))
        return -np.concatenate(
            [self.win_probability(Z[i : i + step], self._rivals).mean(axis=1) for i in range(0, len(Z), step)]
        )

    def win_probability(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return the probabilities ``(n, m)`` that each of ``A`` is better than each of ``B``, over both orders."""
        first, second = np.repeat(A, len(B), axis=0), np.tile(B, (len(A), 1))
        with single_thread():
            wins = self._model.predict_proba(self._rows(first, second))[:, 1]
            losses = self._model.predict_proba(self._rows(second, first))[:, 1]
        return np.asarray(0.5 * (1.0 + wins - losses), dtype=np.float64).reshape(len(A), len(B))

    def _rows(self, A: FloatArray, B: FloatArray) -> FloatArray:
        if self.combine == "difference":
            return A - B
        return np.hstack([A, B] if self.combine == "concat" else [A, B, A - B])

    @abstractmethod
    def _classifier(self, n_rows: int) -> Any:
        """Return the unfitted classifier for a number of training rows."""


class ForestPairwise(TreesPairwise):
    """Random forest on pairs (Breiman 2001): full-grown trees, every split over a root of the columns.

    The forest has scikit-learn's defaults for classification.

    Args:
        seed: Seed of the sampled pairs and of the trees.
        max_pairs: Largest number of training rows, both orders of a pair counted.
        combine: Row of a pair (a, b): "concat": [a, b]; "difference": a - b; "both": [a, b, a - b].
        opponents: Number of training architectures that a candidate is compared with.
        n_trees: Number of trees.
    """

    def __init__(
        self,
        *,
        seed: int,
        max_pairs: int = 10_000,
        combine: str = "both",
        opponents: int = 16,
        n_trees: int = 100,
    ) -> None:
        super().__init__(seed=seed, max_pairs=max_pairs, combine=combine, opponents=opponents)
        require_integer("n_trees", n_trees, 1)
        self.n_trees = n_trees

    def _classifier(self, n_rows: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(self.n_trees, random_state=library_seed(self.seed), n_jobs=1)


class BoostingPairwise(TreesPairwise):
    """Histogram gradient boosting on pairs, with scikit-learn's defaults apart from small training sets.

    Args:
        seed: Seed of the sampled pairs and of the trees.
        max_pairs: Largest number of training rows, both orders of a pair counted.
        combine: Row of a pair (a, b): "concat": [a, b]; "difference": a - b; "both": [a, b, a - b].
        opponents: Number of training architectures that a candidate is compared with.
        n_trees: Boosting rounds.
        learning_rate: Shrinkage of each tree.
    """

    def __init__(
        self,
        *,
        seed: int,
        max_pairs: int = 10_000,
        combine: str = "both",
        opponents: int = 8,
        n_trees: int = 100,
        learning_rate: float = 0.1,
    ) -> None:
        super().__init__(seed=seed, max_pairs=max_pairs, combine=combine, opponents=opponents)
        require_integer("n_trees", n_trees, 1)
        require_number("learning_rate", learning_rate, above=0.0, most=1.0)
        self.n_trees = n_trees
        self.learning_rate = float(learning_rate)

    def _classifier(self, n_rows: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.n_trees,
            # The default of 20 rows a leaf would forbid any split of a few pairs.
            min_samples_leaf=int(np.clip(n_rows // 20, 1, 20)),
            early_stopping=False,
            random_state=library_seed(self.seed),
        )


SURROGATES.register("forest_pairwise", summary="Random forest on sampled pairs")(ForestPairwise)
SURROGATES.register("boosting_pairwise", summary="Gradient boosting on sampled pairs")(BoostingPairwise)
