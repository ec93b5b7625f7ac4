"""Statistics of a study: thin functions on arrays of one number per run, smaller is better.

Runs of two methods are paired by their seed, which shares the initial design. Everything is deterministic: limits of
means are closed forms (`bench.metrics.intervals`), medians are resampled from a fixed stream, the signed-rank test is
exact. SciPy is imported on use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from smemnas.bench.metrics.intervals import CONFIDENCE, NOTHING, Interval, limits_of_mean, limits_of_ratio, student
from smemnas.spaces.base import FloatArray, IntArray

RESAMPLES = 9_999
#: A difference is significant below it.
SIGNIFICANCE = 0.05
#: What the best of some methods is marked with, and the others: not significantly worse, or worse; the last where too
#: few pairs could not tell.
BEST, EQUAL, WORSE, UNKNOWN = "best", "equal", "worse", "unknown"
#: Root of all bootstrap resamples.
STREAM = 2_407
#: Up to this many non-zero differences the signed-rank distribution is computed exactly.
EXACT_UP_TO = 200
#: Below so many pairs a standardised difference has no limits.
FEW = 8


def standard_deviation(x: FloatArray) -> float:
    """Return the sample standard deviation of ``x`` ``(n,)``; NaN below two values."""
    return float(np.std(x, ddof=1)) if len(x) > 1 else math.nan


def mean_interval(x: FloatArray) -> Interval:
    """Return the mean of ``x`` ``(n,)`` with its interval, which knows how skewed the values are."""
    x = np.ascontiguousarray(x, dtype=np.float64)  # sums of a strided array differ in their last digit
    if len(x) < 2 or not np.isfinite(x).all() or np.ptp(x) == 0:
        return _degenerate(x, float(np.mean(x)) if len(x) else math.nan)
    return Interval(float(np.mean(x)), *limits_of_mean(x))


def mean_difference(x: FloatArray, y: FloatArray) -> Interval:
    """Return the mean of ``x - y``, both ``(n,)`` and paired; negative means that ``x`` is better."""
    return mean_interval(differences(x, y))


def standardised_difference(x: FloatArray, y: FloatArray) -> Interval:
    """Return the mean of ``x - y`` over its standard deviation, both ``(n,)`` and paired (Cohen's d of the pairs).

    Negative means that ``x`` is better. It is what a study's seeds are planned for. NaN below two pairs and where all
    differences are the same; without limits below `FEW` pairs. Its standard error is the large-sample one for any
    distribution, ``1 - d g + d^2 (k + 2) / 4`` over n with skewness ``g`` and excess ``k``, the quantiles Student's.
    """
    d = np.ascontiguousarray(differences(x, y))
    n = len(d)
    if n < 2 or not np.isfinite(d).all() or np.ptp(d) == 0:
        return NOTHING
    effect = float(d.mean() / d.std(ddof=1))
    if n < FEW:
        return Interval(effect, math.nan, math.nan)
    z = (d - d.mean()) / d.std()
    skewness, excess = float((z**3).mean()), float((z**4).mean()) - 3.0
    variance = max(1.0 - effect * skewness + effect**2 * (excess + 2.0) / 4.0, 0.0) / n
    reach = student(n - 1) * math.sqrt(variance)
    return Interval(effect, effect - reach, effect + reach)


def ratio_of_means(x: FloatArray, y: FloatArray) -> Interval:
    """Return ``mean(x) / mean(y)``, both ``(n,)`` and paired; NaN where a mean is negative."""
    x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
    if len(y) == 0 or np.mean(y) <= 0 or np.mean(x) < 0:
        return NOTHING
    value = float(np.mean(x) / np.mean(y))
    pairs = np.stack([x, y])
    if len(x) < 2 or not np.isfinite(pairs).all() or (np.ptp(x) == 0 and np.ptp(y) == 0):
        return _degenerate(pairs, value)
    return Interval(value, *limits_of_ratio(x, y))


def _degenerate(data: FloatArray, value: float) -> Interval:
    """Return the interval of ``data`` ``(..., n)`` too few or too equal to have limits: none, or one of width zero."""
    if data.shape[-1] < 2 or not np.isfinite(data).all():
        return Interval(value, math.nan, math.nan)
    return Interval(value, value, value)


@lru_cache(maxsize=8)
def _resamples(n: int) -> IntArray:
    """Return which of ``n`` runs each resample holds ``(RESAMPLES, n)``: the same ones for all data of that size."""
    return np.random.default_rng(STREAM).integers(n, size=(RESAMPLES, n))


def differences(x: FloatArray, y: FloatArray) -> FloatArray:
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

    d = differences(x, y)
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


class AgainstBest(NamedTuple):
    """One of several methods against the best of them.

    Attributes:
        mark: `BEST`, `EQUAL` (not significantly worse), `WORSE`, or "" where that cannot be said.
        p: Exact Wilcoxon signed-rank; NaN for the best and without a common run.
        p_holm: Adjusted over the methods.
    """

    mark: str
    p: float
    p_holm: float


def against_best(columns: Sequence[FloatArray]) -> list[AgainstBest]:
    """Mark the best of some methods and test each of the others against it.

    Args:
        columns: Results of each method ``(n,)``, smaller is better, paired; NaN where there is none.

    Returns:
        For each method its outcome. Where so few pairs cannot show a difference nothing is `EQUAL`.
    """
    means = [float(np.mean(c[np.isfinite(c)])) if np.isfinite(c).any() else math.nan for c in columns]
    if np.isnan(means).all():
        return [AgainstBest("", math.nan, math.nan)] * len(columns)
    best = int(np.nanargmin(means))
    raw = [math.nan] * len(columns)
    pairs = [0] * len(columns)
    for j, column in enumerate(columns):
        both = np.isfinite(column) & np.isfinite(columns[best])
        if j != best and both.any():
            raw[j] = wilcoxon(column[both], columns[best][both])
            pairs[j] = int(both.sum())
    tests = int(np.isfinite(raw).sum())
    found = []
    for j, (p, adjusted) in enumerate(zip(raw, holm(raw).tolist(), strict=True)):
        mark = BEST if j == best else WORSE if adjusted < SIGNIFICANCE else ""
        if adjusted >= SIGNIFICANCE and smallest_p(tests, pairs[j]) < SIGNIFICANCE:
            mark = EQUAL
        found.append(AgainstBest(mark, p, adjusted))
    return found


def smallest_p(tests: int, pairs: int) -> float:
    """Return the smallest Holm-adjusted p-value that so many signed-rank tests on so many pairs can give."""
    return float(min(1.0, tests * 2.0 ** (1 - pairs)))


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
    d = differences(x, y)
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
            a censored ``x`` stays infinite (and counts as having arrived there for the bound and the lower limit, which
            would be infinite otherwise). So the ratio is never too good for the method.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) == 0:
        return Ratio(math.nan, math.nan, math.nan, "")
    early, reached = np.minimum(x, float(budget)), np.minimum(y, float(budget))
    mine, others = float(np.median(x)), float(np.median(y))
    if math.isinf(mine) and math.isinf(others):
        return Ratio(math.nan, math.nan, math.nan, "")
    chosen = _resamples(len(x))
    theirs = np.median(reached[chosen], axis=1)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = (
        np.quantile(np.median(mine_at[chosen], axis=1) / theirs, quantile, method="inverted_cdf")
        for mine_at, quantile in ((early, tail), (x, 1.0 - tail))
    )
    if len(x) == 1:
        low = high = math.nan
    if math.isinf(mine):
        return Ratio(float(np.median(early)) / others, float(low), float(high), ">=")
    return Ratio(mine / float(np.median(reached)), float(low), float(high), "<=" if math.isinf(others) else "")


class Friedman(NamedTuple):
    """Mean ranks of methods and Friedman's test that they are all alike.

    Attributes:
        mean_ranks: Mean over blocks ``(k,)``; 1 is best, ties share their mean rank.
        statistic: Chi-square with ``k - 1`` degrees of freedom, corrected for ties.
        p: Its p-value; NaN with less than three methods or two blocks.
    """

    mean_ranks: FloatArray
    statistic: float
    p: float


def friedman(values: FloatArray) -> Friedman:
    """Rank ``k`` methods within blocks and test them (Friedman 1937).

    Args:
        values: One number per block and method ``(n, k)``, smaller is better.
    """
    n, k = values.shape
    ranks = np.array([ranked(block) for block in values]).reshape(n, k)
    mean_ranks = ranks.mean(axis=0) if n else np.full(k, math.nan)
    if n < 2 or k < 3:
        return Friedman(mean_ranks, math.nan, math.nan)
    if (np.ptp(ranks, axis=1) == 0).all():
        return Friedman(mean_ranks, 0.0, 1.0)
    from scipy.stats import friedmanchisquare

    result = friedmanchisquare(*ranks.T)
    return Friedman(mean_ranks, float(result.statistic), float(result.pvalue))


def ranked(x: FloatArray) -> FloatArray:
    """Return the ranks of ``x`` ``(k,)``, 1 the smallest; values that differ by rounding alone tie. NaN stays NaN."""
    from scipy.stats import rankdata

    x = np.asarray(x, dtype=np.float64)
    ranks = np.full(len(x), math.nan)
    known = ~np.isnan(x)
    scale = float(np.max(np.abs(x[known & np.isfinite(x)]), initial=0.0)) or 1.0
    ranks[known] = rankdata(np.round(x[known] / scale, 12))
    return ranks


def critical_difference(k: int, n: int) -> float:
    """Return by how much mean ranks of ``k`` methods over ``n`` blocks must differ to be significantly different.

    Nemenyi's test at level `SIGNIFICANCE` as in Demsar (JMLR 2006, section 3.2.2), which corrects for all pairs.
    """
    if k < 2 or n < 1:
        return math.nan
    return _nemenyi_quantile(k) * math.sqrt(k * (k + 1) / (6.0 * n))


@lru_cache(maxsize=64)
def _nemenyi_quantile(k: int) -> float:
    """Return the quantile of the studentised range of ``k`` means, infinite degrees of freedom, over sqrt(2)."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1.0 - SIGNIFICANCE, k, math.inf)) / math.sqrt(2.0)


def cliques(mean_ranks: FloatArray, difference: float) -> list[tuple[int, int]]:
    """Return maximal groups of methods that do not differ, as first and last place (from 0) in the order of rank.

    Args:
        mean_ranks: One for each method ``(k,)``.
        difference: Mean ranks that differ by less are not significantly different.
    """
    x = np.sort(mean_ranks)
    last = np.searchsorted(x, x + difference, "left") - 1  # the farthest that each one reaches
    return [(i, int(j)) for i, j in enumerate(last) if j > i and (i == 0 or j > last[i - 1])]
