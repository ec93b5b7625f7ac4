"""The statistics against hand-worked cases, brute force and SciPy where it is exact."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from bench import statistics as st


def brute_force_p(d: np.ndarray) -> float:
    """Two-sided signed-rank p-value by trying all signs."""
    d = d[d != 0]
    size = np.abs(d)
    ranks = np.array([1 + (size < s).sum() + ((size == s).sum() - 1) / 2 for s in size])
    observed = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(d))]
    return min(1.0, 2 * float(np.mean(np.array(sums) <= observed + 1e-9)))


def test_wilcoxon_by_hand() -> None:
    # Ranks 1..5, all negative: p = 2 / 2^5. One positive of rank 1 gives sums 0 and 1: p = 4 / 32.
    assert st.wilcoxon(np.zeros(5), np.array([1.0, 2, 3, 4, 5])) == pytest.approx(2 / 32)
    assert st.wilcoxon(np.array([1.0, 0, 0, 0, 0]), np.array([0.0, 2, 3, 4, 5])) == pytest.approx(4 / 32)


@pytest.mark.parametrize("seed", range(8))
def test_wilcoxon_with_ties_and_zeros_is_brute_force(seed: int) -> None:
    d = np.random.default_rng(seed).integers(-3, 5, size=11).astype(float)
    assert (d == 0).any() or len(np.unique(np.abs(d))) < len(d)
    assert st.wilcoxon(d, np.zeros(11)) == pytest.approx(brute_force_p(d), abs=1e-12)


@pytest.mark.parametrize("n", [7, 31, 50])
def test_wilcoxon_without_ties_is_scipys_exact_test(n: int) -> None:
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(0.4, size=n)
    assert st.wilcoxon(x, y) == pytest.approx(wilcoxon(x, y, method="exact").pvalue, rel=1e-9)


def test_wilcoxon_at_the_edges_warns_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert st.wilcoxon(np.ones(31), np.ones(31)) == 1.0
        assert st.wilcoxon(np.array([0.1 + 0.2]), np.array([0.3])) == 1.0  # rounding noise is no difference
        assert st.wilcoxon(np.array([1.0]), np.array([2.0])) == 1.0
        assert math.isnan(st.wilcoxon(np.empty(0), np.empty(0)))
        many = np.random.default_rng(0).normal(1.0, size=500)
        assert st.wilcoxon(many, np.zeros(500)) < 1e-12


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .04 -> .03 .04 .04; the order of the input is kept and NaN is not counted.
    assert st.holm([0.04, 0.01, math.nan, 0.02])[[0, 1, 3]] == pytest.approx([0.04, 0.03, 0.04])
    assert np.isnan(st.holm([0.04, 0.01, math.nan, 0.02])[2])
    assert st.holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(st.holm([])) == 0


def test_effect_sizes_by_hand() -> None:
    assert st.a12(np.array([1.0, 2]), np.array([3.0, 4])) == 1.0
    assert st.a12(np.array([1.0, 3]), np.array([2.0, 3])) == pytest.approx((2 + 0.5) / 4)
    assert st.a12(np.ones(4), np.ones(3)) == 0.5
    assert st.paired_wins(np.array([1.0, 3, 5]), np.array([2.0, 3, 4])) == pytest.approx(0.5)
    assert math.isnan(st.a12(np.empty(0), np.ones(3)))


def test_a12_is_the_mann_whitney_share() -> None:
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 9, size=20), rng.integers(2, 11, size=17)
    assert st.a12(x, y) == pytest.approx(mannwhitneyu(y, x).statistic / (20 * 17))


def test_mean_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        interval = st.mean_interval(rng.exponential(size=40))
        hits += interval.low <= 1.0 <= interval.high
    assert 50 <= hits <= 60  # 95 % of 60 is 57; below 50 has a chance of 1 in 4,000 for an exact interval


def test_mean_interval_is_close_to_the_normal_one_and_repeats() -> None:
    x = np.random.default_rng(3).normal(size=200)
    interval = st.mean_interval(x)
    half = 1.96 * np.std(x, ddof=1) / np.sqrt(200)
    assert interval.value == pytest.approx(x.mean())
    assert interval.low == pytest.approx(x.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(x.mean() + half, abs=0.15 * half)
    assert st.mean_interval(x) == interval


def test_intervals_at_the_edges_warn_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert st.mean_interval(np.full(9, 0.25)) == (0.25, 0.25, 0.25)
        assert st.mean_difference(np.full(9, 0.3), np.full(9, 0.1) + 0.2) == (0.0, 0.0, 0.0)
        one = st.mean_interval(np.array([2.0]))
        assert one.value == 2.0
        assert math.isnan(one.low)
        assert math.isnan(st.mean_interval(np.empty(0)).value)
        two = st.mean_interval(np.array([1.0, 2.0]))
        assert 1.0 <= two.low <= 1.5 <= two.high <= 2.0
        lone = st.mean_interval(np.array([0.0] * 8 + [1.0]))  # one outlier
        assert 0.0 <= lone.low <= 1 / 9 <= lone.high <= 1.0
        assert math.isnan(st.ratio_of_means(np.ones(3), np.zeros(3)).value)
    assert math.isnan(st.standard_deviation(np.ones(1)))
    assert st.standard_deviation(np.array([1.0, 3.0])) == pytest.approx(math.sqrt(2))


def test_ratio_of_means_of_proportional_runs_has_no_spread() -> None:
    y = np.random.default_rng(0).random(31) + 0.1
    assert st.ratio_of_means(0.5 * y, y) == pytest.approx((0.5, 0.5, 0.5))


def test_evaluations_ratio_by_hand() -> None:
    inf = math.inf
    x, y = np.array([50.0, 60, 70]), np.array([100.0, 120, 140])
    assert st.evaluations_ratio(x, y, 300)[0::3] == (0.5, "")
    # The baseline's median is censored: it counts as 300, the true ratio is smaller.
    assert st.evaluations_ratio(x, np.array([100.0, inf, inf]), 300)[0::3] == (60 / 300, "<=")
    # The method's is: its true ratio is larger than budget / baseline.
    late = st.evaluations_ratio(np.array([50.0, inf, inf]), y, 300)
    assert late[0::3] == (300 / 120, ">=")
    assert late.high == inf
    assert late.low == 50 / 100
    never = st.evaluations_ratio(np.full(3, inf), y, 300)
    assert (never.low, never.high, never.bound) == (300 / 140, inf, ">=")
    assert math.isnan(st.evaluations_ratio(np.full(3, inf), np.full(3, inf), 300).value)
    assert math.isnan(st.evaluations_ratio(np.empty(0), np.empty(0), 300).value)


def test_evaluations_ratio_interval_by_enumeration() -> None:
    # All 27 resamples of three pairs are equally likely; the limits are their 2.5 and 97.5 % quantiles.
    x, y = np.array([10.0, 20, 60]), np.array([100.0, 50, 80])
    draws = np.array(list(itertools.product(range(3), repeat=3)))
    ratios = np.sort(np.median(x[draws], axis=1) / np.median(y[draws], axis=1))
    result = st.evaluations_ratio(x, y, 300)
    assert result.value == pytest.approx(20 / 80)
    assert result.low == ratios[0]
    assert result.high == ratios[-1]
