"""Gaussian process regression, the classical surrogate of Bayesian optimisation."""

from __future__ import annotations

import warnings

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernels import distance_scales, squared_distances
from smemnas.surrogates.regression import Regressor, check_query, library_seed, require_choice, require_integer

KERNELS = ("rbf", "matern")


class GaussianProcess(Regressor):
    """Posterior mean of a Gaussian process with one length scale and white noise.

    Amplitude, length scale and noise maximise the marginal likelihood (L-BFGS-B from the root mean squared
    distance and from `restarts` random starts). O(n^3) per step: for hundreds of rows, not thousands.

    Args:
        seed: Seed of the restarts.
        targets: "value" or "rank".
        kernel: "rbf" or "matern" (smoothness 5/2).
        restarts: Random starts after the first.
    """

    has_posterior = True

    def __init__(self, *, seed: int, targets: str = "value", kernel: str = "matern", restarts: int = 2) -> None:
        super().__init__(seed=seed, targets=targets)
        require_choice("kernel", kernel, KERNELS)
        require_integer("restarts", restarts, 0)
        self.kernel = kernel
        self.restarts = restarts

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

        # In units of the root mean squared distance, bounds and start suit every encoding.
        self._unit = float(np.sqrt(distance_scales([squared_distances(Z, Z)])[0]))
        bounds = (0.05, 50.0)
        shape = RBF(1.0, bounds) if self.kernel == "rbf" else Matern(1.0, bounds, nu=2.5)
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * shape + WhiteKernel(0.1, (1e-6, 10.0))
        self._model = GaussianProcessRegressor(
            kernel,
            alpha=1e-10,
            normalize_y=True,
            n_restarts_optimizer=self.restarts,
            random_state=library_seed(self.seed),
        )
        with warnings.catch_warnings():
            # A hyperparameter at its bound is an answer here (no noise, or nothing to learn), not a fault.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(Z / self._unit, t)

    def _predict(self, Z: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(Z / self._unit), dtype=np.float64)

    def posterior(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean and deviation ``(m,)`` of the standardised target; the noise is part of it."""
        Z = check_query(Z, self._columns)
        if self._constant or len(Z) == 0:
            return np.zeros(len(Z)), np.zeros(len(Z))
        mean, deviation = self._model.predict(Z / self._unit, return_std=True)
        return np.asarray(mean, dtype=np.float64), np.asarray(deviation, dtype=np.float64)


SURROGATES.register("gp", summary="Gaussian process regression (Matern 5/2, white noise)")(GaussianProcess)
SURROGATES.preset("gp_rank", base="gp", summary="Gaussian process regression on ranks", targets="rank")
