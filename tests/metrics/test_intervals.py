"""Limits of means and ratios against their own definition solved another way, and against what they promise."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from smemnas.bench.metrics import intervals
from smemnas.bench.metrics import statistics as st

SKEWED = np.random.default_rng(0).exponential(size=31)


@pytest.mark.parametrize("x", [SKEWED, -SKEWED, SKEWED[:11], np.array([0.0] * 8 + [1.0])], ids=str)
def test_the_limits_solve_halls_cubic(x):
    n, g = len(x), stats.skew(x, bias=False)
    wanted = []
    for p in (0.975, 0.025):
        quantile = stats.t.ppf(p, n - 1) / math.sqrt(n)
        distance = brentq(lambda t, q=quantile: t + g * t**2 / 3 + g**2 * t**3 / 27 + g / (6 * n) - q, -99, 99)
        wanted.append(x.mean() - distance * x.std(ddof=1))
    assert intervals.limits_of_mean(x) == pytest.approx(wanted, rel=1e-6)


def test_without_skewness_they_are_students():
    x = np.array([1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
    wanted = stats.t.interval(0.95, 5, x.mean(), stats.sem(x))
    assert intervals.limits_of_mean(x) == pytest.approx(wanted)
    assert st.mean_interval(x) == pytest.approx((4.0, *wanted))
    assert intervals.limits_of_mean(1e-3 * x) == pytest.approx(1e-3 * np.array(wanted))


def test_a_long_tail_moves_the_limits_its_way():
    low, high = intervals.limits_of_mean(SKEWED)
    assert high - SKEWED.mean() > 1.2 * (SKEWED.mean() - low)
    assert intervals.limits_of_mean(-SKEWED) == pytest.approx((-high, -low))


def share_covered(draw, truth, n, samples=400):
    rng = np.random.default_rng(n)
    limits = [intervals.limits_of_mean(draw(rng, n)) for _ in range(samples)]
    return np.mean([low <= truth <= high for low, high in limits])


@pytest.mark.parametrize(("n", "least"), [(11, 0.89), (31, 0.905)])
def test_it_covers_skewed_means_as_often_as_the_page_says(n, least):
    """Lognormal values of sd 1: 91.0 and 91.8 % (docs/intervals.md), less a standard error of 400 samples."""
    assert share_covered(lambda rng, n: np.exp(rng.normal(size=n)), math.exp(0.5), n) > least
    assert 0.92 < share_covered(lambda rng, n: rng.normal(size=n), 0.0, n) < 0.98


def test_the_interval_of_a_ratio_holds_one_where_that_of_the_difference_holds_zero():
    rng = np.random.default_rng(2)
    verdicts = []
    for _ in range(60):
        y = rng.exponential(size=11) + 0.05
        x = y * np.exp(rng.normal(scale=0.4, size=11) - 0.3)
        ratio, difference = st.ratio_of_means(x, y), st.mean_difference(x, y)
        assert ratio.low <= ratio.value <= ratio.high
        assert (ratio.low <= 1 <= ratio.high) == (difference.low <= 0 <= difference.high)
        verdicts.append(ratio.high < 1)
    assert 5 < sum(verdicts) < 55


def test_limits_of_a_ratio_are_where_the_mean_of_the_rest_is_no_longer_zero():
    y = SKEWED + 0.1
    x = 0.5 * y + np.random.default_rng(1).normal(scale=0.05, size=31)
    low, high = intervals.limits_of_ratio(x, y)
    assert intervals.limits_of_mean(x - low * y)[0] == pytest.approx(0.0, abs=1e-9)
    assert intervals.limits_of_mean(x - high * y)[1] == pytest.approx(0.0, abs=1e-9)
    assert low < 0.5 < high < 0.55
    assert st.ratio_of_means(0.5 * y, y) == pytest.approx((0.5, 0.5, 0.5))


def test_a_ratio_to_what_may_be_zero_has_no_upper_limit():
    y = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    ratio = st.ratio_of_means(np.array([1.0, 2.0, 1.5, 1.2, 0.9, 1.1]), y)
    assert ratio.high == math.inf
    assert 0.0 < ratio.low < ratio.value
    both = st.ratio_of_means(y[::-1], y)
    assert (both.low, both.value, both.high) == (0.0, 1.0, math.inf)


def test_few_values_have_no_limits_and_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(map(math.isnan, intervals.limits_of_mean(np.array([1.0, 2.0]))))
        assert all(map(math.isnan, intervals.limits_of_ratio(np.array([1.0, 2.0]), np.array([1.0, 3.0]))))
        assert intervals.limits_of_mean(np.full(3, 0.25)) == (0.25, 0.25)
        low, high = intervals.limits_of_mean(np.array([1.0, 2.0, 4.0]))
        assert low < 1.0 < 4.0 < high


def test_the_standard_error_of_an_effect_is_that_of_normal_values_for_them():
    z = stats.norm.ppf((np.arange(200) + 0.5) / 200)  # no skewness, an excess of all but zero
    d = z / z.std(ddof=1) + 0.8
    effect = st.standardised_difference(d, np.zeros(200))
    half = stats.t.ppf(0.975, 199) * math.sqrt((1 + 0.8**2 / 2) / 200)
    assert effect == pytest.approx((0.8, 0.8 - half, 0.8 + half), rel=0.01)
