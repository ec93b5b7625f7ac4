"""Looking things up in a table: rows of genotypes, and values of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.table import Table
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace


def rows_of(table: Table, space: SearchSpace, X: IntArray) -> IntArray:
    """Return the table row ``(n,)`` of each genotype ``(n, n_var)``; -1 where the table has none."""
    if table.header["index"] == "grid":
        return space.index(X)
    keys = table.column("key")
    wanted = space.canonical(X).astype(keys.dtype)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1).astype(np.int64)


def values_of(column: NDArray[Any], rows: IntArray, seed: int | None) -> FloatArray:
    """Return a column's values ``(n,)`` in some rows, NaN where there is none.

    Args:
        column: ``(n_rows,)``, or ``(n_rows, repeats)`` with the trainings first and the rest of a row NaN.
        rows: Row numbers ``(n,)``; -1 is none.
        seed: Chooses one of the repeats; None takes their mean.
    """
    values = np.asarray(column[rows], dtype=np.float64)
    if values.ndim == 2:
        trainings = np.isfinite(values).sum(axis=1)
        if seed is None:
            values = np.where(np.isfinite(values), values, 0.0).sum(axis=1) / np.maximum(trainings, 1)
            values[trainings == 0] = np.nan
        else:
            values = values[np.arange(len(rows)), repeat_of(rows, seed, np.maximum(trainings, 1))]
    return np.where(rows >= 0, values, np.nan)


def lacks_values(values: NDArray[Any]) -> bool:
    """Whether a row of a column ``(n,)`` or ``(n, repeats)`` has no value."""
    missing = np.isnan(values)
    return bool((missing if missing.ndim == 1 else missing.all(axis=1)).any())


def repeat_of(rows: IntArray, seed: int, n_repeats: int | IntArray) -> IntArray:
    """Choose which of the recorded trainings ``(n,)`` a seed sees, independently for each architecture.

    `n_repeats` is their number, for all architectures alike or one for each ``(n,)``.
    """
    mixed = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= np.uint64(((seed & 0xFFFFFFFF) * 0xC2B2AE3D27D4EB4F) & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(33)) % np.asarray(n_repeats, dtype=np.uint64), dtype=np.int64)
