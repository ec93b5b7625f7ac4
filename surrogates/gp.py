"""Gaussian process regression, the classical surrogate of Bayesian optimisation."""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernels import distance_scales, squared_distances
from smemnas.surrogates.regression import Regressor, check_query, library_seed, require_choice, require_integer
from smemnas.surrogates.settled import settle, significant

KERNELS = ("rbf", "matern")
#: Tried length scales in units of the root mean squared distance, factors of the finer grid, noise by amplitude.
LENGTHS = np.geomspace(0.05, 50.0, 16)
FINER = np.geomspace(0.75, 1.0 / 0.75, 5)
NOISES = np.geomspace(1e-6, 10.0, 57)


class GaussianProcess(Regressor):
    """Posterior mean of a Gaussian process with one length scale and white noise.

    Length scale and noise are those of largest marginal likelihood on a grid, and on a finer one around the best of the
    first; the amplitude follows in closed form. A grid, because where a climbing optimiser stops depends on the
    processor's last bits. O(n^3) per length: for hundreds of rows, not thousands.

    Args:
        seed: Unused: nothing is random.
        targets: "value" or "rank".
        kernel: "rbf" or "matern" (smoothness 5/2).
        restarts: Unused; it was the number of random starts of an optimiser.
    """

    has_posterior = True

    def __init__(self, *, seed: int, targets: str = "value", kernel: str = "matern", restarts: int = 2) -> None:
        super().__init__(seed=seed, targets=targets)
        require_choice("kernel", kernel, KERNELS)
        require_integer("restarts", restarts, 0)
        self.kernel = kernel
        self.restarts = restarts

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

        # In units of the root mean squared distance, one grid suits every encoding.
        squared = squared_distances(Z, Z)
        self._unit = float(np.sqrt(distance_scales([squared])[0]))
        amplitude, length, noise = self._choose(np.sqrt(squared) / self._unit, t)
        shape = RBF(length) if self.kernel == "rbf" else Matern(length, nu=2.5)
        kernel = ConstantKernel(amplitude) * shape + WhiteKernel(noise)
        self._model = GaussianProcessRegressor(
            kernel, alpha=1e-10, normalize_y=True, optimizer=None, random_state=library_seed(self.seed)
        )
        self._model.fit(Z / self._unit, t)

    def _choose(self, distance: FloatArray, t: FloatArray) -> tuple[float, float, float]:
        """Return amplitude, length and noise for distances ``(n, n)`` and standardised targets ``(n,)``."""
        best: tuple[float, ...] = (-np.inf, 1.0, 1.0, 0.1)

        def try_all(lengths: FloatArray, best: tuple[float, ...]) -> tuple[float, ...]:
            for length in lengths:
                r = distance / length
                values, vectors = np.linalg.eigh(np.exp(-0.5 * r**2) if self.kernel == "rbf" else matern(r))
                evidence, amplitude = profiled_evidence(np.maximum(values, 0.0), vectors.T @ t, NOISES)
                k = int(np.argmax(evidence))
                if evidence[k] > best[0]:
                    best = (float(evidence[k]), float(amplitude[k]), float(length), float(NOISES[k]))
            return best

        best = try_all(LENGTHS, best)
        _, amplitude, length, noise = try_all(best[2] * FINER, best)
        return settled_parameter(amplitude), length, settled_parameter(amplitude * noise)

    def _predict(self, Z: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(Z / self._unit), dtype=np.float64)

    def posterior(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean and deviation ``(m,)`` of the standardised target; the noise is part of it."""
        Z = check_query(Z, self._columns)
        if self._constant or len(Z) == 0:
            return np.zeros(len(Z)), np.zeros(len(Z))
        mean, deviation = self._model.predict(Z / self._unit, return_std=True)
        return np.asarray(mean, dtype=np.float64), np.asarray(deviation, dtype=np.float64)


def matern(distance: FloatArray) -> FloatArray:
    """Return the Matern 5/2 correlation at distances in units of the length scale."""
    r = np.sqrt(5.0) * distance
    return np.asarray((1.0 + r + r**2 / 3.0) * np.exp(-r))


def profiled_evidence(values: FloatArray, q: FloatArray, noises: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log marginal likelihoods ``(l,)``, rounded, and the signal variances ``(l,)`` that maximise them.

    With ``K = Q diag(values) Q'``, ``q = Q' t`` and noise as a share of the signal variance, the likelihood is
    ``-(n log(mean(q^2 / (values + noise))) + sum log(values + noise)) / 2`` up to a constant.

    Args:
        values: Eigenvalues ``(n,)`` of the correlation matrix, none negative.
        q: Targets ``(n,)`` in the basis of its eigenvectors.
        noises: Shares ``(l,)``.
    """
    shifted = values + noises[:, None]
    variance = np.maximum((q**2 / shifted).mean(axis=1), 1e-12)
    return settle(-0.5 * (len(q) * np.log(variance) + np.log(shifted).sum(axis=1))), variance


def settled_parameter(value: float) -> float:
    """Return a positive number rounded to four digits or so, within the range that makes sense."""
    return float(np.clip(significant(value, 4), 1e-6, 1e3))


SURROGATES.register("gp", summary="Gaussian process regression (Matern 5/2, white noise)")(GaussianProcess)
SURROGATES.preset("gp_rank", base="gp", summary="Gaussian process regression on ranks", targets="rank")
