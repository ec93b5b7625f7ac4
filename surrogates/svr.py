"""Support vector regression (Drucker et al., NIPS 1996) with an RBF kernel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.regression import Regressor, library_seed, require_number
from smemnas.surrogates.tuning import least_error

COSTS = (1.0, 10.0, 100.0)
#: Tried coefficients of the kernel, in units of 1 / (columns x variance).
GAMMAS = (0.3, 1.0, 3.0)
FOLDS = 5


class SupportVectorRegressor(Regressor):
    """RBF support vector regression; C and gamma are those of least squared error in 5-fold cross-validation.

    Below ten rows: C = 10 and gamma = 1 / (columns x variance).

    Args:
        seed: Seed of the folds.
        targets: "value" or "rank".
        epsilon: Half width of the tube without loss, in standard deviations of the target.
    """

    sorts_rows: ClassVar[bool] = True

    def __init__(self, *, seed: int, targets: str = "value", epsilon: float = 0.1) -> None:
        super().__init__(seed=seed, targets=targets)
        require_number("epsilon", epsilon, least=0.0)
        self.epsilon = float(epsilon)
        #: C and gamma (in the units of `GAMMAS`) of the last fit.
        self.chosen: tuple[float, float] | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        spread = float(Z.var()) * Z.shape[1]
        self._unit = 1.0 / spread if spread > 1e-12 else 1.0

        def error(setting: tuple[float, float], learn: Any, held: Any) -> float:
            guess = self._machine(setting).fit(Z[learn], t[learn]).predict(Z[held])
            return float(np.square(guess - t[held]).mean())

        grid = [(C, gamma) for C in COSTS for gamma in GAMMAS]
        self.chosen = least_error(grid, error, len(t), FOLDS, self.seed) or (10.0, 1.0)
        self._model = self._machine(self.chosen).fit(Z, t)

    def _machine(self, setting: tuple[float, float]) -> Any:
        from sklearn.svm import SVR

        model = SVR(C=setting[0], gamma=setting[1] * self._unit, epsilon=self.epsilon)
        model.random_state = library_seed(self.seed)  # not an argument of SVR; without it fit draws from global state
        return model

    def _predict(self, Z: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(Z), dtype=np.float64)


SURROGATES.register("svr", summary="Support vector regression (RBF), tuned by cross-validation")(SupportVectorRegressor)
SURROGATES.preset("svr_rank", base="svr", summary="Support vector regression on ranks", targets="rank")
