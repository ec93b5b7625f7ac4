"""The statistics against hand-worked cases, brute force and SciPy where it is exact."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from smemnas.bench.metrics import statistics as st


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


def test_intervals_at_the_edges_warn_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert st.mean_interval(np.full(9, 0.25)) == (0.25, 0.25, 0.25)
        assert st.mean_difference(np.full(9, 0.3), np.full(9, 0.1) + 0.2) == (0.0, 0.0, 0.0)
        one = st.mean_interval(np.array([2.0]))
        assert one.value == 2.0
        assert math.isnan(one.low)
        assert math.isnan(st.mean_interval(np.empty(0)).value)
        two = st.mean_interval(np.array([1.0, 2.0]))  # no skewness, nothing to say
        assert two.value == 1.5
        assert math.isnan(two.low)
        assert math.isnan(two.high)
        assert math.isnan(st.ratio_of_means(np.ones(3), np.zeros(3)).value)
    assert math.isnan(st.standard_deviation(np.ones(1)))
    assert st.standard_deviation(np.array([1.0, 3.0])) == pytest.approx(math.sqrt(2))


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
    # Half of the runs are censored: the true medians are at least (120 + 300) / 2 and (60 + 300) / 2.
    halves = st.evaluations_ratio(np.array([50.0, 60, 70, 80]), np.array([100.0, 120, inf, inf]), 300)
    assert halves[0::3] == (65 / 210, "<=")
    halves = st.evaluations_ratio(np.array([50.0, 60, inf, inf]), np.array([100.0, 120, 140, 160]), 300)
    assert halves[0::3] == (180 / 130, ">=")
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


# Ranks of four classifiers on fourteen data sets: Demsar, JMLR 7 (2006), table 6.
DEMSAR = np.array(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)  # fmt: skip


def test_friedman_on_the_published_example() -> None:
    result = st.friedman(DEMSAR)
    assert result.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # Published without a correction for ties: 9.28. Ties of 2, 2, 4 and 2 values: 1 - (3 * 6 + 60) / (14 * 60).
    plain = 12 * 14 / (4 * 5) * (np.sum(result.mean_ranks**2) - 4 * 5**2 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)
    assert result.statistic == pytest.approx(plain / (1 - 78 / 840))
    assert st.critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


def test_friedman_by_hand() -> None:
    # Always the same order in four blocks: rank sums 4, 8, 12, chi-square 12 / 48 * 224 - 48 = 8, p = exp(-4).
    values = np.array([[0.1, 0.2, 0.3], [1, 2, 3], [5, 6, 7], [0, 0.5, 9]])
    result = st.friedman(values[:, [2, 0, 1]])
    assert result.mean_ranks.tolist() == [3, 1, 2]
    assert (result.statistic, result.p) == pytest.approx((8.0, math.exp(-4.0)))


@pytest.mark.parametrize("seed", range(3))
def test_friedman_is_scipys(seed: int) -> None:
    from scipy.stats import friedmanchisquare

    values = np.random.default_rng(seed).integers(0, 6, size=(11, 5)).astype(float)
    wanted = friedmanchisquare(*values.T)
    result = st.friedman(values)
    assert (result.statistic, result.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert result.mean_ranks.sum() == pytest.approx(15)


def test_friedman_at_the_edges_warns_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alike = st.friedman(np.full((5, 3), 0.1))
        assert (alike.mean_ranks.tolist(), alike.statistic, alike.p) == ([2, 2, 2], 0.0, 1.0)
        # rounding noise is no difference
        noisy = st.friedman(np.array([[0.1 + 0.2, 0.3, 0.3 - 5e-17]] * 4))
        assert (noisy.mean_ranks.tolist(), noisy.p) == ([2, 2, 2], 1.0)
        pair = st.friedman(np.array([[1.0, 2], [1, 2]]))
        assert pair.mean_ranks.tolist() == [1, 2]
        assert math.isnan(pair.p)
        assert math.isnan(st.friedman(np.array([[1.0, 2, 3]])).p)
        assert np.isnan(st.friedman(np.empty((0, 3))).mean_ranks).all()


def test_ranks_tie_and_leave_out_what_is_missing() -> None:
    ranks = st.ranked(np.array([0.2, math.nan, 0.1, 0.2, math.inf]))
    assert ranks[[0, 2, 3, 4]].tolist() == [2.5, 1, 2.5, 4]
    assert math.isnan(ranks[1])


def test_critical_differences_are_the_published_ones() -> None:
    # Demsar (2006), table 5 (a), q at .05 for 2 to 10 classifiers; k (k + 1) / 6 n = 1 for the right n.
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for k, q in enumerate(published, start=2):
        assert st.critical_difference(k, 10) * math.sqrt(60 / (k * (k + 1))) == pytest.approx(q, abs=1e-3)
    assert math.isnan(st.critical_difference(1, 10))
    assert math.isnan(st.critical_difference(3, 0))


def test_the_critical_difference_is_where_nemenyis_p_value_is_the_level() -> None:
    posthocs = pytest.importorskip("scikit_posthocs", reason="a second opinion: pip install scikit-posthocs")
    values = np.random.default_rng(4).normal(size=(12, 7)) + np.linspace(0, 2.5, 7)
    p = posthocs.posthoc_nemenyi_friedman(values).to_numpy()
    ranks = st.friedman(values).mean_ranks
    apart = np.abs(ranks[:, None] - ranks) >= st.critical_difference(7, 12)
    assert 0 < apart.sum() < 42
    assert (apart == (p <= st.SIGNIFICANCE)).all()


@pytest.mark.parametrize("seed", range(5))
def test_cliques_are_the_maximal_groups_without_a_difference(seed: int) -> None:
    ranks = np.random.default_rng(seed).uniform(1, 9, size=9)
    x = np.sort(ranks)
    groups = {
        (i, j)
        for i in range(9)
        for j in range(i + 1, 9)
        if x[j] - x[i] < 2.5 and (i == 0 or x[j] - x[i - 1] >= 2.5) and (j == 8 or x[j + 1] - x[i] >= 2.5)
    }
    assert set(st.cliques(ranks, 2.5)) == groups
    assert st.cliques(ranks, 100.0) == [(0, 8)]
    assert st.cliques(ranks, 1e-9) == []
