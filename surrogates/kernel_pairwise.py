"""The pairwise surrogate in closed form: least squares on all ordered pairs through one eigendecomposition.

For concatenated inputs an RBF kernel factorises, ``k([a, b], [c, d]) = k(a, c) k(b, d)``, so over all n^2 pairs
the kernel matrix is the Kronecker product of K with itself, and ridge regression of the labels
``Y_ij = sign(y_j - y_i)`` (+1: i is better) needs only the eigendecomposition ``K = Q diag(w) Q'``::

    A = Q [ (Q' Y Q) / (w w' + penalty * max(w)) ] Q'          f(x, x_j) = k_x' A K_j
    score(x) = mean_j tanh f(x, x_j)

The penalty is in units of the largest eigenvalue because most of an architecture's score comes from pairs whose
other side lies along it; so one penalty means the same for both forms and for ridge regression on ranks.

Antisymmetry, ``f(a, b) = -f(b, a)``, holds by construction. Fit O(n^3), rank O(n^2) per candidate, no sampling
of pairs. Background: Kronecker kernel ridge regression, Pahikkala et al., Machine Learning 93 (2013); Stock et
al., Neural Computation 30 (2018) for the two-step form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from bench.errors import UserError
from surrogates.base import (
    SURROGATES,
    FloatArray,
    Surrogate,
    average_ranks,
    check_training_data,
)
from surrogates.kernels import block_distances, check_blocks, distance_scales, mixed_kernel, resolve_blocks
from surrogates.regression import check_query

WIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Candidates ranked at once; bounds the memory at ``_BLOCK * n`` numbers.
_BLOCK = 4096


@SURROGATES.register("kernel_pairwise", summary="Pairwise kernel classifier on all pairs, closed form (default)")
class KernelPairwise(Surrogate):
    """Kernel least squares on the labels of all ordered pairs.

    Args:
        seed: Unused; the fit is deterministic.
        form: "kronecker" (ridge regression on the pairs) or "two-step" (one ridge per side).
        readout: How pair predictions become a score: "tanh" (soft vote), "vote" (share of opponents beaten)
            or "mean". Opponents are the training architectures.
        width: Kernel width in units of the root mean squared distance; None chooses it from `WIDTHS`.
        penalty: Ridge penalty, see above; None chooses it from `PENALTIES`.
        good_weight: Weight of pairs within the better half when width and penalty are chosen; other pairs
            weigh 1.
        blocks: Widths of encodings placed side by side; each has its own kernel.
        weights: Share of each block's kernel; empty for equal shares.
    """

    uses_blocks = True

    def __init__(
        self,
        *,
        seed: int = 0,
        form: str = "kronecker",
        readout: str = "tanh",
        width: float | None = None,
        penalty: float | None = None,
        good_weight: float = 3.0,
        blocks: Sequence[int] = (),
        weights: Sequence[float] = (),
    ) -> None:
        if form not in ("kronecker", "two-step"):
            raise UserError(f"form must be 'kronecker' or 'two-step', got {form!r}.")
        if readout not in ("tanh", "vote", "mean"):
            raise UserError(f"readout must be 'tanh', 'vote' or 'mean', got {readout!r}.")
        for name, value in (("width", width), ("penalty", penalty)):
            if value is not None and not value > 0:
                raise UserError(f"{name} must be positive, got {value!r}.")
        self.seed = seed
        self.form = form
        self.readout = readout
        self.width = width
        self.penalty = penalty
        self.good_weight = good_weight
        self.blocks, self.weights = check_blocks(blocks, weights)
        self._columns: int | None = None

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Choose width and penalty if they are not given, then solve for all pairs at once."""
        Z, y = check_training_data(Z, y)
        self._Z = Z
        self._columns = Z.shape[1]
        sizes, self._weights = resolve_blocks(Z.shape[1], self.blocks, self.weights)
        self._sizes = sizes
        distances = block_distances(Z, Z, sizes)
        self._scales = distance_scales(distances)
        self.width_, self.penalty_, w, Q = self._choose(distances, y)
        Y = np.sign(y[None, :] - y[:, None])
        inner = Q.T @ Y @ Q
        if self.form == "kronecker":
            inner = inner / (w[:, None] * w[None, :] + self.penalty_ * w[-1])
        else:
            inner = inner / ((w + self.penalty_)[:, None] * (w + self.penalty_)[None, :])
        self._A = Q @ inner @ Q.T
        # A K = Q inner diag(w) Q': pair predictions against all training rows, the product's right factor
        self._AK = Q @ (inner * w[None, :]) @ Q.T
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return minus the mean outcome against the training architectures."""
        Z = check_query(Z, self._columns)
        scores = np.empty(len(Z))
        if self.readout == "mean":
            AK = self._AK.mean(axis=1, keepdims=True)
        else:
            AK = self._AK
        for start in range(0, len(Z), _BLOCK):
            part = slice(start, start + _BLOCK)
            f = self._kernel(Z[part]) @ AK
            if self.readout == "tanh":
                np.tanh(f, out=f)
            elif self.readout == "vote":
                np.sign(f, out=f)
            scores[part] = f.mean(axis=1)
        return -scores

    def pair_scores(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return ``f(a, b)`` for all pairs ``(n, d)`` x ``(m, d)``: positive = a is better; antisymmetric."""
        return self._kernel(A) @ self._A @ self._kernel(B).T

    def _kernel(self, Z: FloatArray) -> FloatArray:
        return mixed_kernel(block_distances(Z, self._Z, self._sizes), self._scales, self._weights, self.width_)

    def _choose(self, distances: list[FloatArray], y: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
        """Return width, penalty and the eigendecomposition of the kernel.

        The criterion is exact leave-one-out of ridge regression on the ranks of ``y``, which shares the
        kernel and is the two-step form's mean read-out: one eigendecomposition per width, O(n^2) per penalty.
        """
        widths = WIDTHS if self.width is None else (self.width,)
        penalties = PENALTIES if self.penalty is None else (self.penalty,)
        target = average_ranks(y)
        pairs = _pair_weights(y, self.good_weight)
        best, chosen = -np.inf, None
        for width in widths:
            w, Q = np.linalg.eigh(mixed_kernel(distances, self._scales, self._weights, width))
            w = np.maximum(w, 0.0)
            if len(widths) * len(penalties) == 1:
                return width, penalties[0], w, Q
            projected, squares = Q.T @ target, Q * Q
            for penalty in penalties:
                shrink = w / (w + penalty)
                fitted = Q @ (shrink * projected)
                leverage = squares @ shrink
                left_out = target - (target - fitted) / np.maximum(1.0 - leverage, 1e-9)
                agreement = float((pairs * np.sign(left_out[None, :] - left_out[:, None])).sum())
                if agreement > best:
                    best, chosen = agreement, (width, penalty, w, Q)
        assert chosen is not None
        return chosen


def _pair_weights(y: FloatArray, good_weight: float) -> FloatArray:
    """Return ``(n, n)`` signed weights of the pairs: `good_weight` where both are in the better half."""
    good = y <= np.median(y)
    weight = np.where(good[:, None] & good[None, :], good_weight, 1.0)
    return np.sign(y[None, :] - y[:, None]) * weight
