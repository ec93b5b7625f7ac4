"""Cross-validation inside the training set: folds over architectures, never over pairs.

Folds are dealt over the rows in canonical order (by outcome, then by encoding), one row of every stretch of the
order to each fold, so that every fold spans good and bad ones and the order of the rows does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import FloatArray
from smemnas.surrogates.settled import first_least

Setting = TypeVar("Setting")
#: Fewest rows with which settings are compared at all.
FEWEST = 10


def canonical_order(Z: FloatArray, y: FloatArray) -> NDArray[np.intp]:
    """Return the row numbers ``(n,)`` sorted by outcome, then by encoding; equal rows stay together."""
    return np.lexsort((*Z.T[::-1], y))


def folds_of(n: int, k: int, seed: int) -> NDArray[np.intp]:
    """Return the fold ``(n,)`` of each row in canonical order; every stretch of `k` rows goes to `k` folds."""
    rng = np.random.default_rng([n, seed])
    dealt = rng.permuted(np.tile(np.arange(k), (-(-n // k), 1)), axis=1)
    return np.asarray(dealt.reshape(-1)[:n], dtype=np.intp)


def least_error(
    settings: Sequence[Setting],
    error: Callable[[Setting, NDArray[np.intp], NDArray[np.intp]], float],
    n: int,
    folds: int,
    seed: int,
) -> Setting | None:
    """Return the setting of least mean error over the folds, the first of equals; None below `FEWEST` rows.

    Args:
        settings: What to choose from.
        error: Error of a setting, given the rows to learn from and the rows to predict.
        n: Number of rows, in canonical order.
        folds: Number of folds.
        seed: Deals the folds.
    """
    if n < FEWEST:
        return None
    fold = folds_of(n, folds, seed)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
    errors = [float(np.mean([error(s, learn, held) for learn, held in splits])) for s in settings]
    return settings[first_least(errors)]


def discordant_share(score: FloatArray, y: FloatArray) -> float:
    """Return the share of the untied pairs that a score (smaller = better) orders wrongly; ties count half."""
    untied = np.sign(y[:, None] - y[None, :])
    agree = untied * np.sign(score[:, None] - score[None, :])
    total = np.abs(untied).sum()
    return float(0.5 - 0.5 * agree.sum() / total) if total else 0.5


def column_scales(Z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation ``(d,)`` of the columns; deviation 1 for columns that do not vary."""
    deviation = Z.std(axis=0)
    return Z.mean(axis=0), np.where(deviation > 1e-12, deviation, 1.0)
