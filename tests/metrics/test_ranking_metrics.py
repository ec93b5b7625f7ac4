"""The ranking study's metrics: against counts of all pairs, hand-worked orders and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from smemnas.bench.metrics.order import (
    calibration,
    kendall,
    order_metrics,
    platt_slope,
    precision_at,
    regret_at,
    sigmoid,
    spearman,
)


@pytest.mark.parametrize("levels", [1000, 6, 2])
def test_kendall_and_pair_accuracy_equal_a_count_of_all_pairs(levels):
    rng = np.random.default_rng(levels)
    truth = rng.integers(levels, size=60).astype(float)
    scores = np.where(rng.random(60) < 0.7, truth, rng.integers(levels, size=60))
    right = wrong = half = tied_truth = tied_scores = 0
    for i, j in itertools.combinations(range(60), 2):
        a, b = np.sign(scores[i] - scores[j]), np.sign(truth[i] - truth[j])
        tied_truth += b == 0
        tied_scores += a == 0
        right += a * b > 0
        wrong += a * b < 0
        half += a == 0 and b != 0
    pairs = 60 * 59 / 2
    tau, accuracy = kendall(scores, truth)
    assert tau == pytest.approx((right - wrong) / np.sqrt((pairs - tied_truth) * (pairs - tied_scores)), abs=1e-12)
    assert accuracy == pytest.approx((right + 0.5 * half) / (pairs - tied_truth), abs=1e-12)
    assert tau == pytest.approx(stats.kendalltau(scores, truth).statistic, abs=1e-12)
    assert spearman(scores, truth) == pytest.approx(stats.spearmanr(scores, truth).statistic, abs=1e-12)


def test_a_constant_says_nothing():
    truth = np.arange(40.0)
    found = order_metrics(np.zeros(40), truth)
    assert found["tau"] == found["spearman"] == found["tau_best_tenth"] == 0.0
    assert found["pair_accuracy"] == 0.5
    assert found["precision_10"] == pytest.approx(10 / 40)
    assert found["precision_5pct"] == pytest.approx(2 / 40)
    # The smallest of k numbers drawn from 0..m-1 without replacement is (m - k) / (k + 1) on average.
    assert found["regret_10"] == pytest.approx(30 / 11)
    assert found["regret_5pct"] == pytest.approx(38 / 3)


def test_metrics_of_an_order_worked_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    scores = np.array([2.0, 1.0, 3.0, 5.0, 4.0])  # two neighbouring pairs swapped
    assert kendall(scores, truth) == pytest.approx((0.6, 0.8))
    assert spearman(scores, truth) == pytest.approx(0.8)
    assert [precision_at(scores, truth, k) for k in (1, 2, 3, 4)] == pytest.approx([0, 1, 1, 0.75])
    assert [regret_at(scores, truth, k) for k in (1, 2)] == [1.0, 0.0]
    assert regret_at(-scores, truth, 2) == 3.0
    assert np.isnan(kendall(scores, np.ones(5))).all()
    assert kendall(truth, truth) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_precision_and_regret_with_ties_are_means_over_all_ways_to_break_them(k):
    scores = np.array([1.0, 2.0, 2.0, 2.0, 3.0, 3.0])
    truth = np.array([4.0, 6.0, 2.0, 5.0, 1.0, 2.0])
    best = np.sort(truth)[k - 1]
    precisions, regrets = [], []
    for order in itertools.permutations(range(6)):
        if (np.diff(scores[list(order)]) >= 0).all():
            first = list(order[:k])
            precisions.append(np.mean(truth[first] <= best))
            regrets.append(truth[first].min() - 1.0)
    assert precision_at(scores, truth, k) == pytest.approx(np.mean(precisions))
    assert regret_at(scores, truth, k) == pytest.approx(np.mean(regrets))


def test_best_tenth_looks_at_the_truly_best_only():
    rng = np.random.default_rng(0)
    truth = rng.permutation(100).astype(float)
    scores = np.where(truth < 10, truth, -truth)  # right among the best, reversed elsewhere
    found = order_metrics(scores, truth)
    assert found["tau_best_tenth"] == pytest.approx(1.0)
    assert found["tau"] < 0


def test_platt_finds_the_slope_that_made_the_outcomes():
    rng = np.random.default_rng(1)
    margin = rng.normal(size=40_000) * 3
    won = rng.random(len(margin)) < sigmoid(0.7 * margin)
    oriented = np.where(won, margin, -margin)
    assert platt_slope(oriented) == pytest.approx(0.7, abs=0.03)
    assert platt_slope(10 * oriented) == pytest.approx(0.07, abs=0.003)
    assert platt_slope(-oriented) == 0.0
    assert platt_slope(np.zeros(5)) == platt_slope(np.empty(0)) == 0.0
    assert 0 < platt_slope(np.ones(20)) < np.inf  # separable
    brier, ece = calibration(sigmoid(0.7 * oriented))
    assert ece < 0.01
    assert calibration(sigmoid(3.0 * oriented))[1] > 0.1
    assert brier == pytest.approx(np.mean((sigmoid(0.7 * margin) - won) ** 2))


def test_calibration_worked_by_hand():
    assert calibration(np.full(4, 0.5)) == (0.25, 0.0)
    brier, ece = calibration(np.array([0.9, 0.9, 0.9, 0.1]))  # sure at 0.9, right three times of four
    assert brier == pytest.approx((3 * 0.01 + 0.81) / 4)
    assert ece == pytest.approx(0.15)
    assert np.isnan(calibration(np.empty(0))).all()
