"""How much of what differs is the architecture, and how much is chance: a one-way analysis of variance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from smemnas.bench.metrics.intervals import CONFIDENCE, Interval
from smemnas.spaces.base import FloatArray


class Components(NamedTuple):
    """Standard deviations of the two sources, in the unit of the values.

    Attributes:
        architecture: Of the architectures' expectations.
        seed: Of the trainings of one architecture.
        ratio: The first over the second, with its exact interval.
    """

    architecture: float
    seed: float
    ratio: Interval


def components(values: FloatArray) -> Components:
    """Return the components of ``values`` ``(n, k)``: k trainings of each of n architectures.

    Normal random effects: the quotient of the mean squares, over ``1 + k ratio^2``, has an F distribution, which gives
    the interval (Searle, Casella and McCulloch, 1992, section 3.6). Estimates below zero are zero.
    """
    n, k = values.shape
    if n < 2 or k < 2 or not np.isfinite(values).all():
        return Components(math.nan, math.nan, Interval(math.nan, math.nan, math.nan))
    from scipy.stats import f as distribution

    within = float(values.var(axis=1, ddof=1).mean())
    between = k * float(values.mean(axis=1).var(ddof=1))
    architecture, seed = math.sqrt(max((between - within) / k, 0.0)), math.sqrt(within)
    if within == 0.0:
        value = math.inf if between > 0.0 else math.nan
        return Components(architecture, seed, Interval(value, value, value))
    quotient = between / within
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = (quotient / float(distribution.ppf(q, n - 1, n * (k - 1))) for q in (1.0 - tail, tail))
    return Components(architecture, seed, Interval(*(_ratio(f, k) for f in (quotient, low, high))))


def _ratio(quotient: float, k: int) -> float:
    """Return the ratio of standard deviations that a quotient of mean squares stands for."""
    return math.sqrt(max((quotient - 1.0) / k, 0.0))
