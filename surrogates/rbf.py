"""Cubic radial basis functions with a linear tail, the default predictor of MSuNAS.

Lu et al., "NSGANetV2" (ECCV 2020), take the interpolant of pySOT (Eriksson, Bindel, Shoemaker, arXiv
1908.00420): s(z) = sum_i w_i |z - z_i|^3 + b_0 + b^T z with sum_i w_i = 0 and sum_i w_i z_i = 0.

Differs from pySOT in how the system is solved. Its block matrix is singular for repeated rows and for
encodings with dependent columns (each one-hot block sums to 1). Here repeated rows are merged to their mean
outcome, the tail is reduced to its independent directions, and the weights are found in the complement of
the tail, where the cubic kernel is positive definite. Where the block system has a solution, this is it.
"""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernels import distance_scales, squared_distances
from smemnas.surrogates.regression import Regressor, require_number

#: Directions of the tail and of the kernel below this share of the largest one are taken as absent.
CUTOFF = 1e-10


class CubicRBF(Regressor):
    """Interpolates the outcomes exactly, and the mean outcome at repeated rows.

    Unaffected by shifting or scaling all columns together. Fit O(n^3 + n d^2), rank O(n d) per candidate.

    Args:
        seed: Unused: nothing is random.
        targets: "value" or "rank".
        smoothing: Ridge on the weights, as a share of the kernel's mean eigenvalue; 0 interpolates.
    """

    def __init__(self, *, seed: int, targets: str = "value", smoothing: float = 0.0) -> None:
        super().__init__(seed=seed, targets=targets)
        require_number("smoothing", smoothing, least=0.0)
        self.smoothing = smoothing

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        points, inverse, counts = np.unique(Z, axis=0, return_inverse=True, return_counts=True)
        t = np.bincount(inverse.reshape(-1), weights=t) / counts
        self._centre = points.mean(axis=0)
        self._unit = 1.0
        if len(points) > 1:
            self._unit = float(np.sqrt(distance_scales([squared_distances(points, points)])[0]))
        self._points = (points - self._centre) / self._unit
        tail = np.column_stack([np.ones(len(points)), self._points])

        U, s, Vt = np.linalg.svd(tail, full_matrices=True)
        rank = int((s > CUTOFF * s[0]).sum())
        inside, outside = U[:, :rank], U[:, rank:]
        Phi = squared_distances(self._points, self._points) ** 1.5
        np.fill_diagonal(Phi, 0.0)
        self._weights = outside @ _least_norm(outside.T @ Phi @ outside, outside.T @ t, self.smoothing)
        residual = t - Phi @ self._weights
        self._tail = Vt[:rank].T @ ((inside.T @ residual) / s[:rank])

    def _predict(self, Z: FloatArray) -> FloatArray:
        Z = (Z - self._centre) / self._unit
        Phi = squared_distances(Z, self._points) ** 1.5
        return np.asarray(Phi @ self._weights + self._tail[0] + Z @ self._tail[1:], dtype=np.float64)


def _least_norm(M: FloatArray, b: FloatArray, smoothing: float) -> FloatArray:
    """Solve the positive semi-definite system ``(q, q)``, dropping directions that are numerically absent."""
    if len(b) == 0:
        return b
    values, vectors = np.linalg.eigh(M)
    values = values + smoothing * values.mean()
    keep = values > CUTOFF * values[-1]
    kept = vectors[:, keep]
    return np.asarray(kept @ ((kept.T @ b) / values[keep]), dtype=np.float64)


SURROGATES.register("rbf", summary="Cubic RBF interpolation with a linear tail (as in MSuNAS)")(CubicRBF)
SURROGATES.preset("rbf_rank", base="rbf", summary="Cubic RBF interpolation of ranks", targets="rank")
