"""Kernel ridge regression tuned exactly as the pairwise surrogates are, so that targets alone are compared.

Kernel, grid of widths and penalties, leave-one-out predictions and the criterion that chooses (pairs ordered rightly,
those within the better half weighing more) are those of `kernel_pairwise`, by inheritance; what is regressed on is the
outcome itself (``kernel_regression``) or its rank (``kernel_regression_rank``). `kernel_ridge` has another grid and
chooses by squared errors.

Ridge regression on ranks is the mean read-out of `kernel_pairwise` in its two-step form: what distinguishes it from the
pairwise surrogates is how pair predictions become a score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.regression import TARGETS, check_query, require_choice, standardised_target


@SURROGATES.register("kernel_regression", summary="Kernel ridge regression on values, tuned as kernel_pairwise is")
class KernelRegression(KernelPairwise):
    """Ridge regression in the kernel of `kernel_pairwise`.

    Args:
        seed: Unused; the fit is deterministic.
        targets: "value" or "rank".
        width: As in `kernel_pairwise`.
        penalty: As there, in units of k(z, z) = 1.
        good_weight: As there.
        blocks: As there.
        weights: As there.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        targets: str = "value",
        width: float | None = None,
        penalty: float | None = None,
        good_weight: float = 3.0,
        blocks: Sequence[int] = (),
        weights: Sequence[float] = (),
    ) -> None:
        super().__init__(
            seed=seed, width=width, penalty=penalty, good_weight=good_weight, blocks=blocks, weights=weights
        )
        require_choice("targets", targets, TARGETS)
        self.targets = targets

    def _targets(self, y: FloatArray) -> FloatArray:
        return standardised_target(y, self.targets) if y.min() < y.max() else np.zeros(len(y))

    def _learn(self, y: FloatArray) -> None:
        self._coefficients = self._Q @ ((self._Q.T @ self._target) / (self._w + self.penalty_))

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return the predicted target ``(m,)``, standardised."""
        return np.asarray(self._kernel(check_query(Z, self._columns)) @ self._coefficients, dtype=np.float64)

    def pair_scores(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return by how much the row's prediction is smaller than the column's, ``(n, m)``: positive = a is better."""
        return np.asarray(self.rank(B)[None, :] - self.rank(A)[:, None])

    def against(self, Z: FloatArray, rivals: FloatArray) -> FloatArray:
        """Return minus the mean lead ``(m,)`` over the rivals."""
        return np.asarray(-self.pair_scores(Z, rivals).mean(axis=1))


SURROGATES.preset(
    "kernel_regression_rank",
    base="kernel_regression",
    summary="Kernel ridge regression on ranks, tuned as kernel_pairwise is",
    targets="rank",
)
