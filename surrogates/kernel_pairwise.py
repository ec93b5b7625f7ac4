"""The pairwise surrogate in closed form: least squares on all ordered pairs through one eigendecomposition.

For concatenated inputs an RBF kernel factorises, ``k([a, b], [c, d]) = k(a, c) k(b, d)``, so over all n^2 pairs
the kernel matrix is the Kronecker product of K with itself, and ridge regression of the labels
``Y_ij = sign(y_j - y_i)`` (+1: i is better) needs only the eigendecomposition ``K = Q diag(w) Q'``::

    A = Q [ (Q' Y Q) / (w w' + penalty * max(w)) ] Q'          f(x, x_j) = k_x' A K_j
    score(x) = mean_j tanh f(x, x_j)

The penalty is in units of the largest eigenvalue because most of an architecture's score comes from pairs whose
other side lies along it; so one penalty means the same for both forms and for ridge regression on ranks.

Antisymmetry, ``f(a, b) = -f(b, a)``, holds by construction. Fit O(n^3), rank O(n^2) per candidate, no sampling
of pairs. Above `TUNE_ROWS` architectures width and penalty are chosen on that many of them, spread evenly over the
order of outcomes, and candidates are ranked in single precision; the fit itself always uses every pair in double
precision. Background: Kronecker kernel ridge regression, Pahikkala et al., Machine Learning 93 (2013); Stock et
al., Neural Computation 30 (2018) for the two-step form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import (
    SURROGATES,
    FloatArray,
    Surrogate,
    average_ranks,
    check_training_data,
    clear_sign,
)
from smemnas.surrogates.kernels import block_distances, check_blocks, distance_scales, mixed_kernel, resolve_blocks
from smemnas.surrogates.posterior import RankPosterior
from smemnas.surrogates.regression import check_query, require_choice
from smemnas.surrogates.settled import settle

WIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Most rows on which width and penalty are chosen.
TUNE_ROWS = 1000
OPPONENTS = ("archive", "set")
PRECISIONS = ("auto", "double", "single")
#: Candidates ranked at once, and pair predictions held at once (32 MB in double precision).
_BLOCK = 4096
_BLOCK_PAIRS = 4_096_000


@SURROGATES.register("kernel_pairwise", summary="Pairwise kernel classifier on all pairs, closed form (default)")
class KernelPairwise(Surrogate):
    """Kernel least squares on the labels of all ordered pairs.

    Args:
        seed: Unused; the fit is deterministic.
        form: "kronecker" (ridge regression on the pairs) or "two-step" (one ridge per side).
        readout: How pair predictions become a score: "tanh" (soft vote), "vote" (share of opponents beaten)
            or "mean".
        width: Kernel width in units of the root mean squared distance; None chooses it from `WIDTHS`.
        penalty: Ridge penalty, see above; None chooses it from `PENALTIES`.
        good_weight: Weight of pairs within the better half when width and penalty are chosen; other pairs
            weigh 1.
        blocks: Widths of encodings placed side by side; each has its own kernel.
        weights: Share of each block's kernel; empty for equal shares.
        opponents: Whom a candidate must beat: the training architectures ("archive"), or all of the set that is
            ranked ("set"): outcomes accumulated over the set are its strength in MOEA-BUS (arXiv 2602.08513).
        precision: Arithmetic of `rank` against the archive: "double", "single" (at least twice as fast; scores move by
            1e-5 or so, equal candidates stay equal), or "auto": double up to `TUNE_ROWS` training rows, single above.
    """

    uses_blocks = True
    has_posterior = True

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
        opponents: str = "archive",
        precision: str = "auto",
    ) -> None:
        require_choice("opponents", opponents, OPPONENTS)
        require_choice("precision", precision, PRECISIONS)
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
        self.opponents = opponents
        self.precision = precision
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
        del distances
        w, Q = numerical_range(w, Q)
        self._w, self._Q = w, Q
        self._target = self._targets(y)
        self._learn(y)
        return self

    def _learn(self, y: FloatArray) -> None:
        """Solve for the pairs, given the kernel's eigendecomposition."""
        w, Q = self._w, self._Q
        self._inner = self._solve(y)
        # A K = Q inner diag(w) Q': pair predictions against all training rows, the product's right factor
        self._AK = Q @ (self._inner * w[None, :]) @ Q.T

    def _solve(self, y: FloatArray) -> FloatArray:
        """Return the coefficients of the pairs ``(r, r)`` in the eigenbasis of the kernel: A is ``Q inner Q'``."""
        w, Q = self._w, self._Q
        inner = Q.T @ np.sign(y[None, :] - y[:, None]) @ Q
        if self.form == "kronecker":
            inner /= w[:, None] * w[None, :] + self.penalty_ * w[-1]
        else:
            inner /= (w + self.penalty_)[:, None] * (w + self.penalty_)[None, :]
        return np.asarray(inner, dtype=np.float64)

    def _targets(self, y: FloatArray) -> FloatArray:
        """Return what is predicted of each left-out row ``(n,)`` when settings are chosen, and by the posterior."""
        return average_ranks(y)

    @property
    def over_set(self) -> bool:
        """Whether scores depend on the set that is ranked."""
        return self.opponents == "set"

    def against(self, Z: FloatArray, rivals: FloatArray) -> FloatArray:
        """Return minus the mean outcome ``(m,)`` of encodings ``(m, d)`` against rivals ``(k, d)``."""
        Z = check_query(Z, self._columns)
        right = self._Q @ self._inner @ (self._Q.T @ self._kernel(rivals).T)
        return -mean_outcome(self._kernel, Z, right, self.readout, single=False)

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return minus the mean outcome against the opponents."""
        Z = check_query(Z, self._columns)
        if self.over_set:
            return self.against(Z, Z)
        AK = self._AK.mean(axis=1, keepdims=True) if self.readout == "mean" else self._AK
        return -mean_outcome(self._kernel, Z, AK, self.readout, single_precision(self.precision, len(self._Z)))

    def pair_scores(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return ``f(a, b)`` for all pairs ``(n, d)`` x ``(m, d)``: positive = a is better; antisymmetric."""
        coefficients = self._Q @ self._inner @ self._Q.T
        return np.asarray(self._kernel(A) @ coefficients @ self._kernel(B).T, dtype=np.float64)

    def left_out(self) -> FloatArray:
        """Return leave-one-out predictions ``(n,)`` of the ranks by ridge regression with the same kernel."""
        shrink = self._w / (self._w + self.penalty_)
        return left_out_targets(self._Q, self._Q**2, shrink, self._Q.T @ self._target, self._target)

    def posterior(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation ``(m,)`` of the ranks by ridge regression with the same kernel."""
        Z = check_query(Z, self._columns)
        return RankPosterior(self._w, self._Q, self.penalty_, self._target, 1.0)(self._kernel(Z))

    def _kernel(self, Z: FloatArray) -> FloatArray:
        return mixed_kernel(block_distances(Z, self._Z, self._sizes), self._scales, self._weights, self.width_)

    def _choose(self, distances: list[FloatArray], y: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
        """Return width, penalty and the eigendecomposition of the kernel.

        The criterion is exact leave-one-out of ridge regression on the ranks of ``y``, which shares the
        kernel and is the two-step form's mean read-out: one eigendecomposition per width, O(n^2) per penalty.
        """
        widths = WIDTHS if self.width is None else (self.width,)
        penalties = PENALTIES if self.penalty is None else (self.penalty,)
        if len(y) > TUNE_ROWS and len(widths) * len(penalties) > 1:
            rows = spread_rows(self._Z, y, TUNE_ROWS)
            width, penalty, _, _ = self._choose([D[np.ix_(rows, rows)] for D in distances], y[rows])
            widths, penalties = (width,), (penalty,)
        target = self._targets(y)
        pairs = _pair_weights(y, self.good_weight)
        best, chosen = -np.inf, None
        for width in widths:
            w, Q = np.linalg.eigh(mixed_kernel(distances, self._scales, self._weights, width))
            w = np.maximum(w, 0.0)
            if len(widths) * len(penalties) == 1:
                return width, penalties[0], w, Q
            projected, squares = Q.T @ target, Q * Q
            for penalty in penalties:
                left_out = settle(left_out_targets(Q, squares, w / (w + penalty), projected, target))
                agreement = float((pairs * np.sign(left_out[None, :] - left_out[:, None])).sum())
                if agreement > best:
                    best, chosen = agreement, (width, penalty, w, Q)
        assert chosen is not None
        return chosen


def left_out_targets(
    Q: FloatArray, squares: FloatArray, shrink: FloatArray, projected: FloatArray, target: FloatArray
) -> FloatArray:
    """Return what ridge regression predicts of each target ``(n,)`` without its row.

    Args:
        Q: Eigenvectors ``(n, r)`` of the kernel matrix.
        squares: Their squares.
        shrink: ``w / (w + penalty)`` of the eigenvalues ``(r,)``.
        projected: ``Q' target``.
        target: Targets of all rows.
    """
    fitted = Q @ (shrink * projected)
    leverage = squares @ shrink
    return np.asarray(target - (target - fitted) / np.maximum(1.0 - leverage, 1e-9))


def mean_outcome(
    kernel: Callable[[FloatArray], FloatArray], Z: FloatArray, AK: FloatArray, readout: str, single: bool
) -> FloatArray:
    """Return ``(m,)`` mean outcomes of candidates against the training rows, block by block.

    Args:
        kernel: Kernel values ``(b, n)`` of ``b`` candidates against the training rows.
        Z: Candidates ``(m, d)``.
        AK: Right factor of the pair predictions: ``(n, k)`` for k opponents, or ``(n, 1)``.
        readout: "tanh", "vote" or "mean", see `KernelPairwise`.
        single: Multiply and read out in single precision.
    """
    merged = single or len(Z) > _BLOCK
    if merged:
        # Equal candidates are computed once: it saves time, and coarse rounding cannot break their ties.
        Z, inverse = np.unique(Z, axis=0, return_inverse=True)
    kind: type[np.floating[Any]] = np.float32 if single else np.float64
    right: NDArray[Any] = AK.astype(kind, copy=False)
    step = max(1, min(_BLOCK, _BLOCK_PAIRS // max(AK.shape)))
    scores = np.empty(len(Z))
    for start in range(0, len(Z), step):
        part = slice(start, start + step)
        f: NDArray[Any] = kernel(Z[part]).astype(kind, copy=False) @ right
        if readout == "tanh":
            np.tanh(f, out=f)
        elif readout == "vote":
            f = clear_sign(f, 1e-5 if single else 1e-9)
        scores[part] = f.mean(axis=1, dtype=np.float64)
    return scores[inverse.reshape(-1)] if merged else scores


def numerical_range(w: FloatArray, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Drop the directions of a large kernel matrix that rounding alone fills; repeated rows make many of them.

    Args:
        w: Eigenvalues ``(n,)``, ascending, none negative.
        Q: Eigenvectors ``(n, n)``.

    Returns:
        The ``r`` eigenvalues above 1e-12 of the largest and their vectors ``(n, r)``; all up to `TUNE_ROWS` rows.
    """
    keep = w > 1e-12 * w[-1]
    if len(w) <= TUNE_ROWS or keep.all():
        return w, Q
    return w[keep], np.ascontiguousarray(Q[:, keep])


def single_precision(precision: str, n: int) -> bool:
    """Return whether candidates are ranked in single precision after a fit on ``n`` rows."""
    return precision == "single" or (precision == "auto" and n > TUNE_ROWS)


def spread_rows(Z: FloatArray, y: FloatArray, n: int) -> NDArray[np.intp]:
    """Return ``(n,)`` row numbers spread evenly over the order of ``y``; independent of the order of the rows."""
    order = np.lexsort((*Z.T[::-1], y))
    return order[np.linspace(0, len(y) - 1, n).round().astype(np.intp)]


def _pair_weights(y: FloatArray, good_weight: float) -> FloatArray:
    """Return ``(n, n)`` signed weights of the pairs: `good_weight` where both are in the better half."""
    good = y <= np.median(y)
    weight = np.where(good[:, None] & good[None, :], good_weight, 1.0)
    return np.sign(y[None, :] - y[:, None]) * weight
