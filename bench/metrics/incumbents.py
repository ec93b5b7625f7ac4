"""The best architecture so far of a search for one objective: pure functions of the values in the order asked."""

from __future__ import annotations

import math

import numpy as np

from smemnas.spaces.base import FloatArray, IntArray

#: By what two values of one architecture may differ: rounding.
ROUNDING = 1e-9


def incumbents(values: FloatArray) -> IntArray:
    """Return the row ``(n,)`` of the smallest finite value among the first 1, 2, ... ``(n,)``.

    Of equal values the first; -1 before any finite one.
    """
    values = np.where(np.isfinite(values), values, math.inf)
    before = np.append(math.inf, np.minimum.accumulate(values)[:-1]) if len(values) else values
    return np.asarray(np.maximum.accumulate(np.where(values < before, np.arange(len(values)), -1)), dtype=np.int64)


def evaluations_within(gaps: FloatArray, margin: float) -> float:
    """Return after how many evaluations the incumbent is first within a margin of the optimum, or inf.

    Args:
        gaps: How far the incumbent is above the optimum after 1, 2, ... evaluations ``(n,)``; NaN where there is none.
        margin: Largest gap that counts, up to `ROUNDING`.
    """
    there = gaps <= margin + ROUNDING
    return float(np.argmax(there) + 1) if there.any() else math.inf
