"""A support vector machine on all pairs, or on some, without a row per pair: Newton steps in the kernel's eigenbasis.

The kernel is that of `kernel_pairwise`: for concatenated encodings an RBF kernel is a product, so the decision on all
pairs of n evaluated architectures is ``f = K A K`` with one antisymmetric matrix A, and the loss is a sum over the
entries of a mask: all pairs of different outcomes, or a sample of them. With ``K = Q diag(w) Q'``::

    minimise over A    penalty * max(w) / 2 * <A, K A K>  +  1/2 * sum of max(0, 1 - Y f)^2 over the mask

"squared-hinge" is the support vector machine with squared hinge loss (Chapelle, Neural Computation 19, 2007: Newton's
method in the primal), "square" ridge regression of the labels as in `kernel_pairwise`, whose closed form it meets where
the mask is whole. An intercept is not needed: both orders of a pair have opposite labels. Each Newton step is solved by
conjugate gradients; multiplying by the Hessian costs O(n^3) for all n^2 pairs, and where the mask is whole the
preconditioner is its exact inverse.

Width, penalty and the criterion that chooses them are those of `kernel_pairwise`, so the two differ in loss and pairs
alone. scikit-learn's machine on n (n - 1) rows (`svm_pairwise`) costs some n^4 to n^6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.regression import require_choice, require_integer
from smemnas.surrogates.svm_pairwise import sample_pairs
from smemnas.surrogates.tuning import canonical_order

LOSSES = ("squared-hinge", "square")
NEWTON_STEPS, CG_STEPS, TOLERANCE = 40, 200, 1e-7
Mask = NDArray[np.bool_]


@SURROGATES.register("kernel_svm_pairwise", summary="Pairwise SVM (squared hinge) on all pairs, by Newton steps")
class KernelSVMPairwise(KernelPairwise):
    """Kernel machine on a mask of pairs.

    Args:
        seed: Seed of the sampled pairs.
        loss: "squared-hinge" or "square".
        max_pairs: Largest number of ordered pairs, sampled as in `svm_pairwise`; None for all.
        readout: As in `kernel_pairwise`.
        width: As there.
        penalty: As there.
        good_weight: As there.
        blocks: As there.
        weights: As there.
        opponents: As there.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        loss: str = "squared-hinge",
        max_pairs: int | None = None,
        readout: str = "tanh",
        width: float | None = None,
        penalty: float | None = None,
        good_weight: float = 3.0,
        blocks: Sequence[int] = (),
        weights: Sequence[float] = (),
        opponents: str = "archive",
    ) -> None:
        super().__init__(
            seed=seed,
            readout=readout,
            width=width,
            penalty=penalty,
            good_weight=good_weight,
            blocks=blocks,
            weights=weights,
            opponents=opponents,
        )
        require_integer("seed", seed, 0)
        require_choice("loss", loss, LOSSES)
        if max_pairs is not None:
            require_integer("max_pairs", max_pairs, 2)
        self.loss = loss
        self.max_pairs = max_pairs

    def _solve(self, y: FloatArray) -> FloatArray:
        labels = np.sign(y[None, :] - y[:, None])
        mask = labels != 0.0
        if self.max_pairs is not None and self.max_pairs < mask.sum():
            order = canonical_order(self._Z, y)
            better, worse = sample_pairs(y[order], self.max_pairs, np.random.default_rng(self.seed))
            mask = np.zeros_like(mask)
            mask[order[better], order[worse]] = mask[order[worse], order[better]] = True
        hinge = self.loss == "squared-hinge"
        return pair_coefficients(self._w, self._Q, labels, mask, self.penalty_ * self._w[-1], hinge=hinge)


def pair_coefficients(
    w: FloatArray, Q: FloatArray, labels: FloatArray, mask: Mask, ridge: float, *, hinge: bool
) -> FloatArray:
    """Return the coefficients ``(r, r)`` of the machine in the eigenbasis: ``A = Q inner Q'``.

    Args:
        w: Eigenvalues ``(r,)`` of the kernel, none negative.
        Q: Eigenvectors ``(n, r)``.
        labels: +1 where the row beats the column, -1 where it loses ``(n, n)``; antisymmetric.
        mask: Which pairs count ``(n, n)``; symmetric.
        ridge: Weight of the penalty.
        hinge: Squared hinge loss; otherwise squares.
    """
    root = np.sqrt(w[:, None] * w[None, :])  # the unknown is B = root * inner, of which the penalty is the square norm
    if not mask.any():
        return np.zeros_like(root)

    def decision(B: FloatArray) -> FloatArray:
        return np.asarray(Q @ (root * B) @ Q.T)

    def back(residual: FloatArray) -> FloatArray:
        return np.asarray(root * _antisymmetric(Q.T @ residual @ Q))

    def objective(B: FloatArray, f: FloatArray) -> float:
        lost = np.where(mask, labels - f, 0.0)
        if hinge:
            lost = np.where(labels * f < 1.0, lost, 0.0)
        return float(0.5 * ridge * np.square(B).sum() + 0.5 * np.square(lost).sum())

    B, f, active = np.zeros_like(root), np.zeros_like(labels), mask
    value = objective(B, f)
    for _ in range(NEWTON_STEPS if hinge else 1):
        share = float(active.mean())
        B_new = conjugate_gradients(
            lambda P, on=active: ridge * P + back(np.where(on, decision(P), 0.0)),  # type: ignore[misc]
            back(np.where(active, labels, 0.0)),
            B,
            1.0 / (ridge + share * root * root),
        )
        B, f, value_new = _line_search(B, f, B_new, decision(B_new), value, objective)
        still = mask & (labels * f < 1.0)
        done = bool((still == active).all()) or value_new >= value * (1.0 - 1e-10)
        active, value = still if hinge else active, value_new
        if done:
            break
    return _antisymmetric(Q.T @ np.where(active, labels - f, 0.0) @ Q / ridge)


def _antisymmetric(M: FloatArray) -> FloatArray:
    """Return the antisymmetric part ``(r, r)``.

    All of it but for rounding, which conjugate gradients would enlarge where encodings repeat, until the processor
    decides.
    """
    return np.asarray(0.5 * (M - M.T))


def _line_search(
    B: FloatArray,
    f: FloatArray,
    B_new: FloatArray,
    f_new: FloatArray,
    value: float,
    objective: Callable[[FloatArray, FloatArray], float],
) -> tuple[FloatArray, FloatArray, float]:
    """Return the point between two at which the objective is lower, the farthest of the halvings, and its value."""
    step = 1.0
    while True:
        B_step, f_step = B + step * (B_new - B), f + step * (f_new - f)
        found = objective(B_step, f_step)
        if found <= value or step < 1e-4:
            return B_step, f_step, found
        step *= 0.5


def conjugate_gradients(
    times: Callable[[FloatArray], FloatArray], right: FloatArray, start: FloatArray, inverse: FloatArray
) -> FloatArray:
    """Solve ``times(B) = right`` from a start, for a symmetric positive operator and a diagonal preconditioner."""
    B = start.copy()
    residual = right - times(B)
    direction = inverse * residual
    weight = float((residual * direction).sum())
    enough = TOLERANCE**2 * float((right * inverse * right).sum())
    for _ in range(CG_STEPS):
        if weight <= enough:
            break
        product = times(direction)
        step = weight / float((direction * product).sum())
        B += step * direction
        residual -= step * product
        conditioned = inverse * residual
        before, weight = weight, float((residual * conditioned).sum())
        direction = conditioned + weight / before * direction
    return B


SURROGATES.preset(
    "kernel_svm_pairwise_2000",
    base="kernel_svm_pairwise",
    summary="The same on 2,000 sampled pairs",
    max_pairs=2000,
)
