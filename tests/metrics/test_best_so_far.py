"""The best architecture so far, by going through the values one by one; limits of a share against SciPy's."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, quantile_test

from smemnas.bench.metrics.incumbents import evaluations_within, incumbents
from smemnas.bench.metrics.intervals import limits_of_median, limits_of_share


@pytest.mark.parametrize("seed", range(5))
def test_the_incumbent_is_the_first_of_the_least_values(seed):
    values = np.random.default_rng(seed).integers(0, 9, size=30) - np.arange(30.0) // 3
    values[[0, 1, 7, 20]] = math.inf, math.nan, math.nan, math.inf
    wanted, row = [], -1
    for k, value in enumerate(values):
        if math.isfinite(value) and (row < 0 or value < values[row]):
            row = k
        wanted.append(row)
    assert incumbents(values).tolist() == wanted
    assert wanted[:3] == [-1, -1, 2]
    assert len(set(wanted)) > 3


def test_nothing_has_no_incumbent():
    assert len(incumbents(np.empty(0))) == 0
    assert incumbents(np.full(3, math.inf)).tolist() == [-1, -1, -1]


def test_the_first_evaluation_within_a_margin_counts():
    gaps = np.array([math.nan, 0.7, 0.5, 0.6, 0.1, 1e-12])  # under noise the next one may be worse
    assert [evaluations_within(gaps, m) for m in (1.0, 0.5, 0.1, 0.0)] == [2, 3, 5, 6]
    assert math.isinf(evaluations_within(gaps[:5], 0.0))
    assert math.isinf(evaluations_within(np.empty(0), 0.5))


@pytest.mark.parametrize(("count", "n"), [(0, 31), (1, 31), (17, 31), (31, 31), (3, 4)])
def test_limits_of_a_share_are_exact(count, n):
    wanted = binomtest(count, n).proportion_ci(0.95, method="exact")
    assert limits_of_share(count, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_share_of_nothing_has_no_limits():
    assert all(map(math.isnan, limits_of_share(0, 0)))


@pytest.mark.parametrize("n", [6, 11, 31, 40])
def test_limits_of_a_median_are_exact(n):
    x = np.random.default_rng(n).exponential(size=n)
    found = quantile_test(x, q=0, p=0.5).confidence_interval(0.95)
    assert limits_of_median(x) == (found.low, found.high)


def test_what_was_not_seen_in_time_is_a_value_beyond_all_others():
    x = np.array([5.0, 3.0, math.inf, 4.0, math.inf, 1.0, 2.0, math.inf])
    assert limits_of_median(x) == (1.0, math.inf)
    assert all(map(math.isnan, limits_of_median(x[:5])))  # 2 / 2^5 is more than a twentieth
