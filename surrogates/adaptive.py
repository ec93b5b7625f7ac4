"""Adaptive switching of MSuNAS: whichever of three regressors validates best (Lu et al., NSGANetV2, ECCV 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.forest import CartEnsemble
from smemnas.surrogates.gp import GaussianProcess
from smemnas.surrogates.rbf import CubicRBF
from smemnas.surrogates.regression import Regressor, require_integer
from smemnas.surrogates.settled import first_least, settle
from smemnas.surrogates.tuning import folds_of

CANDIDATES = ("rbf", "gp", "cart")


class AdaptiveSwitching(Regressor):
    """Cubic RBF, Gaussian process or CART ensemble, by 10-fold cross-validation inside the training set.

    The one with the greatest mean of Kendall's tau over the folds minus its standard deviation is fitted to all rows
    (RBF below twice as many rows as folds). To save time the CART ensemble has fewer trees in the folds than in the
    final fit (the authors' code has 5,000 in both). Much the most expensive surrogate: 31 fits.

    Args:
        seed: Seed of the folds and of the ensemble.
        targets: "value" or "rank".
        folds: Number of folds.
        fold_trees: CARTs in the folds.
        trees: CARTs of the final ensemble.
    """

    sorts_rows: ClassVar[bool] = True

    def __init__(
        self, *, seed: int, targets: str = "value", folds: int = 10, fold_trees: int = 50, trees: int = 1000
    ) -> None:
        super().__init__(seed=seed, targets=targets)
        require_integer("folds", folds, 2)
        require_integer("fold_trees", fold_trees, 1)
        self.folds = folds
        require_integer("trees", trees, 1)
        self.fold_trees = fold_trees
        self.trees = trees
        #: Name of the regressor of the last fit.
        self.chosen: str | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        self.chosen = "rbf"
        if len(t) >= 2 * self.folds:
            losses = [-self._merit(name, Z, t) for name in CANDIDATES]
            self.chosen = CANDIDATES[first_least(losses)]
        self._model = self._make(self.chosen, final=True)
        self._model.fit(Z, t)

    def _merit(self, name: str, Z: FloatArray, t: FloatArray) -> float:
        """Return mean minus standard deviation of tau over the folds; a fold of equal targets counts 0."""
        from scipy.stats import kendalltau

        fold = folds_of(len(t), self.folds, self.seed)
        taus = []
        for k in range(self.folds):
            learn, held = fold != k, fold == k
            score = settle(self._make(name, final=False).fit(Z[learn], t[learn]).rank(Z[held]))
            varied = np.ptp(score) > 0.0 and np.ptp(t[held]) > 0.0
            taus.append(float(kendalltau(score, t[held])[0]) if varied else 0.0)
        return float(np.mean(taus) - np.std(taus))

    def _make(self, name: str, final: bool) -> Regressor:
        # Targets are transformed already; each regressor standardises them again.
        if name == "rbf":
            return CubicRBF(seed=self.seed)
        if name == "gp":
            return GaussianProcess(seed=self.seed)
        return CartEnsemble(seed=self.seed, n_trees=self.trees if final else self.fold_trees)

    def _predict(self, Z: FloatArray) -> FloatArray:
        return self._model.rank(Z)


SURROGATES.register("adaptive", summary="Adaptive switching of RBF, GP and CART (as in MSuNAS; slow)")(
    AdaptiveSwitching
)
SURROGATES.preset("adaptive_rank", base="adaptive", summary="Adaptive switching on ranks (slow)", targets="rank")
