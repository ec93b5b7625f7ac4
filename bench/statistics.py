"""Statistics of a study: thin functions on arrays of one number per run, smaller is better.

Runs of two methods are paired by their seed, which shares the initial design. Everything is deterministic:
bootstrap resamples come from a fixed stream, the signed-rank test is exact. SciPy is imported on use.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from spaces.base import FloatArray

RESAMPLES = 9_999
CONFIDENCE = 0.95
#: Root of all bootstrap resamples.
STREAM = 2_407
#: Up to this many non-zero differences the signed-rank distribution is computed exactly.
EXACT_UP_TO = 200


class Interval(NamedTuple):
    """An estimate with its confidence limits; NaN where there is too little to say."""

    value: float
    low: float
    high: float


NOTHING = Interval(math.nan, math.nan, math.nan)


def standard_deviation(x: FloatArray) -> float:
    """Return the sample standard deviation of ``x`` ``(n,)``; NaN below two values."""
    return float(np.std(x, ddof=1)) if len(x) > 1 else math.nan


def mean_interval(x: FloatArray) -> Interval:
    """Return the mean of ``x`` ``(n,)`` with its bootstrap interval."""
    return _bootstrap((x,), lambda a, axis=-1: np.mean(a, axis=axis))


def mean_difference(x: FloatArray, y: FloatArray) -> Interval:
    """Return the mean of ``x - y``, both ``(n,)`` and paired; negative means that ``x`` is better."""
    return mean_interval(_differences(x, y))


def ratio_of_means(x: FloatArray, y: FloatArray) -> Interval:
    """Return ``mean(x) / mean(y)``, both ``(n,)`` and paired, resampled by pairs; NaN where it is undefined."""
    if len(y) == 0 or np.mean(y) == 0:
        return NOTHING

    def ratio(a: FloatArray, b: FloatArray, axis: int = -1) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.mean(a, axis=axis) / np.mean(b, axis=axis))

    return _bootstrap((x, y), ratio)


def _bootstrap(data: tuple[FloatArray, ...], statistic: Callable[..., Any]) -> Interval:
    """Return a statistic with its BCa interval (Efron 1987), or the percentile one where BCa is undefined.

    Fewer than two values give no interval; data without spread give one of width zero.
    """
    data = tuple(np.asarray(a, dtype=np.float64) for a in data)
    n = len(data[0])
    if n == 0:
        return NOTHING
    value = float(statistic(*data))
    if n == 1 or not all(np.isfinite(a).all() for a in data):
        return Interval(value, math.nan, math.nan)
    if all(np.ptp(a) == 0 for a in data):
        return Interval(value, value, value)
    from scipy.stats import bootstrap

    generator = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # degenerate resamples: the percentile interval takes over
            limits = bootstrap(
                data,
                statistic,
                n_resamples=RESAMPLES,
                vectorized=True,
                paired=len(data) > 1,
                confidence_level=CONFIDENCE,
                method=method,
                **{generator: np.random.default_rng(STREAM)},
            ).confidence_interval
        if math.isfinite(limits.low) and math.isfinite(limits.high):
            return Interval(value, float(limits.low), float(limits.high))
    return Interval(value, math.nan, math.nan)


def _differences(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return ``x - y`` with rounding noise removed, so that equal runs tie exactly."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    scale = max(float(np.max(np.abs(x), initial=0.0)), float(np.max(np.abs(y), initial=0.0)))
    return np.round((x - y) / scale, 12) * scale if scale > 0 else x - y


def wilcoxon(x: FloatArray, y: FloatArray) -> float:
    """Return the two-sided p-value of the paired Wilcoxon signed-rank test of ``x`` and ``y``, both ``(n,)``.

    Pairs without a difference are dropped (Wilcoxon 1945); without any other pair p is 1. Tied differences
    share their mean rank, and the null distribution is the exact one given those ranks (all ``2^n`` signs
    equally likely), which SciPy offers without ties only. NaN without a pair.
    """
    from scipy.stats import rankdata

    d = _differences(x, y)
    if len(d) == 0:
        return math.nan
    d = d[d != 0]
    if len(d) == 0:
        return 1.0
    if len(d) > EXACT_UP_TO:
        from scipy.stats import wilcoxon as approximate

        return float(approximate(d, method="approx").pvalue)
    doubled = np.rint(2 * rankdata(np.abs(d))).astype(np.int64)  # mean ranks are multiples of one half
    total = int(doubled.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in doubled:
        chance[rank:] = 0.5 * (chance[rank:] + chance[: total + 1 - rank])
        chance[:rank] *= 0.5
    positive = int(doubled[d > 0].sum())
    return float(min(1.0, 2.0 * chance[: min(positive, total - positive) + 1].sum()))


def holm(p: Sequence[float]) -> FloatArray:
    """Return p-values ``(m,)`` adjusted for the family of all of them (Holm 1979); NaN entries stay out."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), math.nan)
    valid = np.flatnonzero(np.isfinite(values))
    order = valid[np.argsort(values[valid], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def a12(x: FloatArray, y: FloatArray) -> float:
    """Return Vargha and Delaney's A12 (2000): the chance that a run of ``x`` is better than one of ``y``.

    0.5 is no difference, 1 means that every run of ``x`` is better (smaller) than every run of ``y``.
    """
    if len(x) == 0 or len(y) == 0:
        return math.nan
    x, y = np.asarray(x)[:, None], np.asarray(y)[None, :]
    return float(np.mean(x < y) + 0.5 * np.mean(x == y))


def paired_wins(x: FloatArray, y: FloatArray) -> float:
    """Return the share of pairs in which ``x`` is better (smaller) than ``y``, ties counting one half."""
    d = _differences(x, y)
    return float(np.mean(d < 0) + 0.5 * np.mean(d == 0)) if len(d) else math.nan


class Ratio(NamedTuple):
    """A ratio of evaluations to a target.

    Attributes:
        value: The ratio.
        low: Lower confidence limit.
        high: Upper confidence limit; inf where the method's median may lie beyond the budget.
        bound: "<=" where the true ratio is at most `value` (the other method's median is censored), ">="
            where it is at least `value` (the method's own is), "" where it is the ratio itself.
    """

    value: float
    low: float
    high: float
    bound: str


def evaluations_ratio(x: FloatArray, y: FloatArray, budget: int) -> Ratio:
    """Return the ratio of the median evaluations to a target, ``x`` over ``y``, with its bootstrap interval.

    Args:
        x: Evaluations a run of the method needed ``(n,)``; inf where it did not get there (right-censored).
        y: The same of the method compared to, paired with ``x``.
        budget: Where the runs ended. A censored ``y`` counts as having arrived there, which favours ``y``;
            a censored ``x`` stays infinite (and counts as having arrived there for the lower limit, which would
            be infinite otherwise). So the ratio is never too good for the method.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) == 0:
        return Ratio(math.nan, math.nan, math.nan, "")
    reached = np.minimum(y, float(budget))
    mine, others = float(np.median(x)), float(np.median(y))
    if math.isinf(mine) and math.isinf(others):
        return Ratio(math.nan, math.nan, math.nan, "")
    chosen = np.random.default_rng(STREAM).integers(len(x), size=(RESAMPLES, len(x)))
    theirs = np.median(reached[chosen], axis=1)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = (
        np.quantile(np.median(mine_at[chosen], axis=1) / theirs, quantile, method="inverted_cdf")
        for mine_at, quantile in ((np.minimum(x, float(budget)), tail), (x, 1.0 - tail))
    )
    if len(x) == 1:
        low = high = math.nan
    if math.isinf(mine):
        return Ratio(budget / others, float(low), float(high), ">=")
    return Ratio(mine / min(others, float(budget)), float(low), float(high), "<=" if math.isinf(others) else "")
