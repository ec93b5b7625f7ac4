"""Regression with a multi-layer perceptron."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.regression import Regressor, library_seed, require_integer
from smemnas.surrogates.tuning import column_scales, least_error

PENALTIES = (0.1, 1.0, 10.0)
FOLDS = 3


class MLP(Regressor):
    """One hidden layer of rectified units on standardised columns, fitted by L-BFGS (scikit-learn's MLPRegressor).

    The penalty on the weights is that of least squared error in 3-fold cross-validation (1 below ten rows). MSuNAS
    trains its perceptron by stochastic steps on a GPU; full batches need no learning rate and suit few rows.

    Args:
        seed: Seed of the folds and of the initial weights.
        targets: "value" or "rank".
        hidden: Units of the hidden layer.
        steps: Largest number of L-BFGS steps.
    """

    sorts_rows: ClassVar[bool] = True

    def __init__(self, *, seed: int, targets: str = "value", hidden: int = 100, steps: int = 200) -> None:
        super().__init__(seed=seed, targets=targets)
        require_integer("hidden", hidden, 1)
        require_integer("steps", steps, 1)
        self.hidden = hidden
        self.steps = steps
        #: Penalty of the last fit.
        self.chosen: float | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        self._centre, self._deviation = column_scales(Z)
        Z = (Z - self._centre) / self._deviation

        def error(penalty: float, learn: Any, held: Any) -> float:
            guess = self._machine(penalty).fit(Z[learn], t[learn]).predict(Z[held])
            return float(np.square(guess - t[held]).mean())

        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # Stopping at the last step is part of the setting.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.chosen = least_error(PENALTIES, error, len(t), FOLDS, self.seed) or 1.0
            self._model = self._machine(self.chosen).fit(Z, t)

    def _machine(self, penalty: float) -> Any:
        from sklearn.neural_network import MLPRegressor

        return MLPRegressor(
            hidden_layer_sizes=(self.hidden,),
            solver="lbfgs",
            alpha=penalty,
            max_iter=self.steps,
            random_state=library_seed(self.seed),
        )

    def _predict(self, Z: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict((Z - self._centre) / self._deviation), dtype=np.float64)


SURROGATES.register("mlp", summary="Multi-layer perceptron regression, tuned by cross-validation")(MLP)
SURROGATES.preset("mlp_rank", base="mlp", summary="Multi-layer perceptron regression on ranks", targets="rank")
