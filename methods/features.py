"""Columns that a surrogate sees beside an encoding: quantities measured per architecture, such as zero-cost proxies.

A method names them and what they are measured on; what measures them is found by name when it is asked for, so a
method neither imports nor holds it. It knows the space alone: no table, no trained network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from smemnas.bench.registry import Registry
from smemnas.spaces.base import FloatArray, IntArray

#: Beyond so many standard deviations a value is cut.
CUT = 4.0
#: Share of the training rows, by magnitude, among which differences count as they are and beyond which ratios do.
LINEAR = 0.1


class Features(ABC):
    """Quantities of architectures, measured when they are first asked for.

    Attributes:
        names: One per column.
    """

    names: tuple[str, ...]

    @abstractmethod
    def values(self, X: IntArray) -> FloatArray:
        """Return ``(n, p)`` values on any scale, larger taken as better; NaN where one is not defined."""


FEATURES: Registry[Features] = Registry("feature", "smemnas.bench.train.entries")


def standardised(values: FloatArray, known: FloatArray) -> FloatArray:
    """Return measured quantities ``(n, p)`` for a surrogate, in units of the training rows.

    They span many powers of ten with either sign, so each is compressed, ``asinh(x / u)``, before mean and deviation
    of the training rows are taken out: a logarithm of either sign, linear below the unit u, which a tenth of the
    training rows lie below. Beyond `CUT` deviations a value is cut; a missing one is 0.

    Args:
        values: Values ``(n, p)``.
        known: Those of the training rows ``(k, p)``; nothing else enters the units.
    """
    return Standard(known).of(values)


class Standard:
    """The units of `standardised`, for many calls: training values ``(k, p)`` in, see there."""

    def __init__(self, known: FloatArray) -> None:
        self._units: list[tuple[int, float, float, float]] = []
        for j in range(known.shape[1]):
            seen = known[np.isfinite(known[:, j]), j]
            if len(seen) == 0 or np.ptp(seen) == 0:
                continue
            unit = float(np.quantile(np.abs(seen[seen != 0.0]), LINEAR))
            seen = np.arcsinh(seen / unit)
            self._units.append((j, unit, float(seen.mean()), float(seen.std()) or 1.0))

    def of(self, values: FloatArray) -> FloatArray:
        """Return values ``(n, p)`` in these units."""
        out = np.zeros(values.shape)
        for j, unit, mean, deviation in self._units:
            z = (np.arcsinh(values[:, j] / unit) - mean) / deviation
            out[:, j] = np.where(np.isnan(z), 0.0, np.clip(z, -CUT, CUT))
        return out
