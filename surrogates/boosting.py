"""Gradient-boosted regression trees: scikit-learn's histogram version, and LightGBM where it is installed."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.program import install
from smemnas.surrogates.base import SURROGATES, FloatArray, single_thread
from smemnas.surrogates.regression import Regressor, library_seed, require_integer, require_number
from smemnas.surrogates.tuning import least_error

#: Tried numbers of rows that a leaf must hold. Both libraries' default, 20, forbids small trees on few rows.
LEAVES = (2, 5, 20)
FOLDS = 3


class Boosting(Regressor):
    """Boosted trees; the least size of a leaf is that of least squared error in 3-fold cross-validation.

    Everything else has the default that scikit-learn and LightGBM share: 100 trees, learning rate 0.1, 31 leaves.
    Below ten rows a leaf may hold one row.

    Args:
        seed: Seed of the folds and of the library.
        targets: "value" or "rank".
        n_trees: Boosting rounds.
        learning_rate: Shrinkage of each tree.
    """

    sorts_rows: ClassVar[bool] = True

    def __init__(self, *, seed: int, targets: str = "value", n_trees: int = 100, learning_rate: float = 0.1) -> None:
        super().__init__(seed=seed, targets=targets)
        require_integer("n_trees", n_trees, 1)
        require_number("learning_rate", learning_rate, above=0.0, most=1.0)
        self.n_trees = n_trees
        self.learning_rate = float(learning_rate)
        #: Least number of rows in a leaf of the last fit.
        self.chosen: int | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:

        def error(leaf: int, learn: Any, held: Any) -> float:
            guess = self._machine(leaf).fit(Z[learn], t[learn]).predict(Z[held])
            return float(np.square(guess - t[held]).mean())

        with single_thread():
            self.chosen = least_error(LEAVES, error, len(t), FOLDS, self.seed) or 1
            self._model = self._machine(self.chosen).fit(Z, t)

    def _predict(self, Z: FloatArray) -> FloatArray:
        with single_thread():
            return np.asarray(self._model.predict(Z), dtype=np.float64)

    @abstractmethod
    def _machine(self, leaf: int) -> Any:
        """Return the library's unfitted regressor."""


class HistogramBoosting(Boosting):
    """Gradient boosting of scikit-learn (HistGradientBoostingRegressor), see `Boosting`."""

    def _machine(self, leaf: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            learning_rate=self.learning_rate,
            max_iter=self.n_trees,
            min_samples_leaf=leaf,
            early_stopping=False,
            random_state=library_seed(self.seed),
        )


class LightGBM(Boosting):
    """Gradient boosting of LightGBM (Ke et al., NeurIPS 2017), see `Boosting`; part of the extra `gbdt`."""

    needs: ClassVar[str] = "lightgbm"

    def _machine(self, leaf: int) -> Any:
        try:
            from lightgbm import LGBMRegressor
        except ImportError as error:
            raise UserError(f"surrogate 'lightgbm' needs LightGBM: {install('gbdt')}") from error
        return LGBMRegressor(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            min_child_samples=leaf,
            min_data_in_bin=1,
            random_state=library_seed(self.seed) % 2**31,
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
        )


SURROGATES.register("boosting", summary="Gradient boosting regression (scikit-learn)")(HistogramBoosting)
SURROGATES.preset("boosting_rank", base="boosting", summary="Gradient boosting regression on ranks", targets="rank")
SURROGATES.register("lightgbm", summary="Gradient boosting regression (LightGBM; extra gbdt)")(LightGBM)
SURROGATES.preset("lightgbm_rank", base="lightgbm", summary="LightGBM regression on ranks", targets="rank")
