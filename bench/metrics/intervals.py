"""Limits of a mean and of a ratio of two means that know how skewed the runs are.

Student's t with Hall's cubic correction (Hall 1992, On the removal of skewness by transformation): no resampling, the
same digits everywhere. How often it covers the truth with 11 and 31 runs, beside the bootstrap that was here before,
stands in docs/intervals.md. SciPy is imported on use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from smemnas.spaces.base import FloatArray

CONFIDENCE = 0.95
#: What tables and pages say of these intervals.
RULE = "Student's t, corrected for skewness (Hall 1992)"
#: Fewer values have no skewness, and no limits.
LEAST = 3
#: How far a limit of a ratio is looked for: so many doublings of its standard error.
DOUBLINGS = 30


class Interval(NamedTuple):
    """An estimate with its confidence limits; NaN where there is too little to say."""

    value: float
    low: float
    high: float


NOTHING = Interval(math.nan, math.nan, math.nan)


def limits_of_mean(x: FloatArray) -> tuple[float, float]:
    """Return the confidence limits of the mean of ``x`` ``(n,)``; NaN below `LEAST` values.

    ``T + g T^2 / 3 + g^2 T^3 / 27 + g / 6n``, with ``T`` the mean's distance to the truth in standard deviations and
    ``g`` the sample skewness, is all but free of skewness: it gets the quantiles of Student's t over ``sqrt(n)`` and is
    solved for ``T``.
    """
    n = len(x)
    if n < LEAST:
        return math.nan, math.nan
    mean = float(x.sum()) / n
    d = x - mean
    square = d * d
    sd = math.sqrt(float(square.sum()) / (n - 1))
    if sd == 0.0:
        return mean, mean
    skewness = float((square * d).sum()) * n / ((n - 1) * (n - 2) * sd**3)
    t = student(n - 1) / math.sqrt(n)
    return mean - sd * _uncorrected(t, skewness, n), mean - sd * _uncorrected(-t, skewness, n)


def limits_of_share(count: int, n: int) -> tuple[float, float]:
    """Return the exact confidence limits of a share of which ``count`` of ``n`` were seen (Clopper and Pearson 1934).

    They hold the truth at least as often as they say, also where all or none were seen. NaN of nothing.
    """
    from scipy.special import betaincinv

    if n < 1:
        return math.nan, math.nan
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1.0 - tail))
    return low, high


def limits_of_median(x: FloatArray) -> tuple[float, float]:
    """Return the exact confidence limits of the median of ``x`` ``(n,)``: two of its values, whatever it is drawn from.

    The k-th smallest and the k-th largest value, k the largest for which both hold the median often enough by the
    binomial distribution; infinite values, of what was not seen within a budget, are values like others. NaN where so
    few have no such limits.
    """
    n = len(x)
    tail, k, chance = (1.0 - CONFIDENCE) / 2.0, 0, 0.0
    while k < n // 2 and chance + math.comb(n, k) * 0.5**n <= tail:
        chance += math.comb(n, k) * 0.5**n
        k += 1
    if k == 0:
        return math.nan, math.nan
    ordered = sorted(x.tolist())
    return ordered[k - 1], ordered[n - k]


def _uncorrected(corrected: float, skewness: float, n: int) -> float:
    """Return the distance whose corrected form is given."""
    if abs(skewness) < 1e-6:
        return corrected
    inside = 1.0 + skewness * (corrected - skewness / (6.0 * n))
    return 3.0 / skewness * (math.copysign(abs(inside) ** (1.0 / 3.0), inside) - 1.0)


@lru_cache(maxsize=256)
def student(freedom: int) -> float:
    """Return the upper quantile of Student's t for a two-sided interval."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1.0 + CONFIDENCE) / 2.0))


def limits_of_ratio(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return the limits of ``mean(x) / mean(y)``, both ``(n,)``, paired, the mean of ``y`` above 0.

    All ratios ``r`` for which the interval of the mean of ``x - r y`` holds 0 (Fieller 1954). So the ratio's interval
    holds 1 exactly where that of the mean difference holds 0. Infinite where the mean of ``y`` may be 0; 0 at least
    where no value is negative. NaN below `LEAST` pairs.
    """
    n = len(x)
    if n < LEAST:
        return math.nan, math.nan
    ratio = float(x.sum() / y.sum())
    d = x - ratio * y
    error = math.sqrt(float((d * d).sum()) / (n - 1) / n) / (float(y.sum()) / n)
    if error <= 1e-12 * abs(ratio) or error == 0.0:
        return ratio, ratio
    low = _crossing(lambda r: limits_of_mean(x - r * y)[0], ratio, -error)
    high = _crossing(lambda r: limits_of_mean(x - r * y)[1], ratio, error)
    if min(float(x.min()), float(y.min())) >= 0.0:
        low = max(low, 0.0)
    return low, high


def _crossing(f: Callable[[float], float], start: float, step: float) -> float:
    """Return where a function changes its sign on the side of the step; infinite if it does not within reach."""
    from scipy.optimize import brentq

    sign, last = math.copysign(1.0, f(start)), start
    for k in range(DOUBLINGS):
        there = start + step * 2.0**k
        if f(there) * sign < 0.0:
            return float(brentq(f, last, there, xtol=1e-12 * abs(step)))
        last = there
    return math.copysign(math.inf, step)
