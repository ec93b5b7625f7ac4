"""Kernel ridge regression whose width and ridge are chosen by exact leave-one-out error.

The model is f(z) = b + sum_i a_i k(z, z_i) with a free intercept b. With G = (K + lambda I)^-1, u = G 1 and
H = G - u u^T / (1^T u), the coefficients are a = H t, and leaving row i out misses t_i by exactly a_i / H_ii
(the block inverse of the bordered system; for the border-free case see Rifkin and Lippert, "Notes on
Regularized Least Squares", MIT 2007). One eigendecomposition of K per width serves every lambda.

The distances are scaled by their mean over all training pairs, and ranks are taken over all training rows;
both stay as they are when a row is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernels import block_distances, check_blocks, distance_scales, mixed_kernel, resolve_blocks
from smemnas.surrogates.regression import Regressor, require_number

#: Tried from smooth to local, so that ties in the error go to the smoother model.
WIDTHS = (4.0, 2.5, 1.6, 1.0, 0.7, 0.5, 0.35, 0.25)
LAMBDAS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)


class KernelRidge(Regressor):
    """RBF kernel ridge regression, tuned in closed form.

    O(n^3) per width to fit, O(n d) per candidate. The chosen setting is in `chosen` after `fit`.

    Args:
        seed: Unused: nothing is random.
        targets: "value" or "rank".
        widths: Kernel widths to choose from, in units of the root mean squared distance of the training rows.
        lambdas: Ridges to choose from, in units of k(z, z) = 1.
        blocks: Widths of encodings put side by side, each with its own RBF kernel; empty for one.
        weights: Weight of each block's kernel, with sum 1; empty for equal weights.
    """

    uses_blocks: ClassVar[bool] = True

    def __init__(
        self,
        *,
        seed: int,
        targets: str = "value",
        widths: Sequence[float] = WIDTHS,
        lambdas: Sequence[float] = LAMBDAS,
        blocks: Sequence[int] = (),
        weights: Sequence[float] = (),
    ) -> None:
        super().__init__(seed=seed, targets=targets)
        for name, grid in (("widths", widths), ("lambdas", lambdas)):
            if len(grid) == 0:
                raise UserError(f"parameter {name!r} must hold at least one number, got none.")
            for value in grid:
                require_number(name, value, above=0.0)
        self.widths = tuple(float(w) for w in widths)
        self.lambdas = tuple(float(v) for v in lambdas)
        self.blocks, self.weights = check_blocks(blocks, weights)
        #: Width and ridge of the last fit.
        self.chosen: tuple[float, float] | None = None

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        self._blocks, self._weights = resolve_blocks(Z.shape[1], self.blocks, self.weights)
        distances = block_distances(Z, Z, self._blocks)
        self._scales = distance_scales(distances)
        self._points = Z
        least = np.inf
        for width in self.widths:
            K = mixed_kernel(distances, self._scales, self._weights, width)
            errors, coefficients, intercepts = leave_one_out(K, t, np.asarray(self.lambdas))
            losses = np.square(errors).mean(axis=1)
            at = int(np.argmax(losses <= losses.min() * (1.0 + 1e-9)))
            if losses[at] < least * (1.0 - 1e-9):
                least = float(losses[at])
                self.chosen = (width, self.lambdas[at])
                self._coefficients, self._intercept = coefficients[at], float(intercepts[at])
                self._left_out = t - errors[at]

    def left_out(self) -> FloatArray:
        """Return the leave-one-out predictions ``(n,)`` of the chosen setting."""
        return np.zeros(self._n_rows) if self._constant else self._left_out

    def _predict(self, Z: FloatArray) -> FloatArray:
        assert self.chosen is not None
        distances = block_distances(Z, self._points, self._blocks)
        K = mixed_kernel(distances, self._scales, self._weights, self.chosen[0])
        return np.asarray(K @ self._coefficients + self._intercept, dtype=np.float64)


def leave_one_out(K: FloatArray, t: FloatArray, lambdas: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return leave-one-out residuals, coefficients and intercepts of kernel ridge regression for each ridge.

    Args:
        K: Kernel matrix ``(n, n)`` of the training rows, positive semi-definite.
        t: Targets ``(n,)``.
        lambdas: Ridges ``(l,)``, positive.

    Returns:
        Residuals ``(l, n)``: target minus the prediction of a model fitted without that row; coefficients
        ``(l, n)``; intercepts ``(l,)``.
    """
    values, Q = np.linalg.eigh(K)
    inverse = 1.0 / (np.maximum(values, 0.0)[None, :] + lambdas[:, None])
    diagonal = inverse @ np.square(Q).T
    u = (inverse * (Q.T @ np.ones(len(t)))) @ Q.T
    v = (inverse * (Q.T @ t)) @ Q.T
    mass = u.sum(axis=1)
    intercepts = v.sum(axis=1) / mass
    coefficients = v - intercepts[:, None] * u
    errors = coefficients / (diagonal - np.square(u) / mass[:, None])
    return errors, coefficients, intercepts


SURROGATES.register("kernel_ridge", summary="Kernel ridge regression, tuned by leave-one-out")(KernelRidge)
SURROGATES.preset(
    "kernel_ridge_rank",
    base="kernel_ridge",
    summary="Kernel ridge regression on ranks",
    targets="rank",
)
