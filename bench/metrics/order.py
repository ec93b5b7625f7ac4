"""How well predicted scores order architectures: functions on arrays, smaller scores and smaller truths are better.

Ties are handled exactly. A tied truth gives no pair to get right or wrong; tied scores count as an order drawn
at random, so a constant has pair accuracy 1/2 and the expected regret of a random choice. Where a rank correlation
is undefined because all scores are equal it is 0: there is no order in them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.spaces.base import FloatArray

#: Size of the "top k" as a number and as a share of the pool.
TOP, TOP_SHARE = 10, 0.05
BEST_SHARE = 0.1
BINS = 10


class Metric(NamedTuple):
    """One column of the log.

    Attributes:
        name: Key.
        title: What tables call it.
        larger_is_better: Its direction.
        digits: Decimals shown.
    """

    name: str
    title: str
    larger_is_better: bool
    digits: int


METRICS = (
    Metric("tau", "Kendall tau-b", True, 3),
    Metric("spearman", "Spearman", True, 3),
    Metric("pair_accuracy", "pair accuracy", True, 3),
    Metric("precision_10", "precision@10", True, 3),
    Metric("precision_5pct", "precision@5 %", True, 3),
    Metric("regret_10", "regret@10 (points)", False, 2),
    Metric("regret_5pct", "regret@5 % (points)", False, 2),
    Metric("tau_best_tenth", "tau in the best tenth", True, 3),
)
#: Of the predicted chance that one architecture beats another; on the searched column.
CALIBRATION = (
    Metric("brier", "Brier score of the win probability", False, 3),
    Metric("ece", "calibration error of the win probability", False, 3),
)


def order_metrics(scores: FloatArray, truth: FloatArray) -> dict[str, float]:
    """Return all of `METRICS` for scores and truths, both ``(m,)`` and finite."""
    m = len(truth)
    tau, accuracy = kendall(scores, truth)
    share = max(1, math.ceil(TOP_SHARE * m))
    tenth = truth <= np.partition(truth, _kth(m, BEST_SHARE))[_kth(m, BEST_SHARE)]
    return {
        "tau": tau,
        "spearman": spearman(scores, truth),
        "pair_accuracy": accuracy,
        "precision_10": precision_at(scores, truth, TOP),
        "precision_5pct": precision_at(scores, truth, share),
        "regret_10": regret_at(scores, truth, TOP),
        "regret_5pct": regret_at(scores, truth, share),
        "tau_best_tenth": kendall(scores[tenth], truth[tenth])[0],
    }


def _kth(m: int, share: float) -> int:
    return max(1, math.ceil(share * m)) - 1


def _pairs_tied(values: FloatArray) -> int:
    counts = np.unique(values, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def kendall(scores: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Return Kendall's tau-b and the share of pairs with different truths that are in the right order.

    A pair with equal scores is half right. tau is NaN and so is the accuracy where all truths are equal.
    """
    from scipy.stats import kendalltau

    m = len(truth)
    pairs = m * (m - 1) // 2
    different = pairs - _pairs_tied(truth)
    ordered = pairs - _pairs_tied(scores)
    if different == 0:
        return math.nan, math.nan
    if ordered == 0:
        return 0.0, 0.5
    tau = float(kendalltau(scores, truth).statistic)
    balance = tau * math.sqrt(different) * math.sqrt(ordered)  # concordant minus discordant pairs
    return tau, 0.5 * (1.0 + round(balance) / different)


def spearman(scores: FloatArray, truth: FloatArray) -> float:
    """Return Spearman's rank correlation; 0 where all scores are equal, NaN where all truths are."""
    from scipy.stats import rankdata

    if np.ptp(truth) == 0:
        return math.nan
    if np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(scores), rankdata(truth))[0, 1])


def _top(scores: FloatArray, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Return the rows certainly among the first k, those tied at the border, and how many of these are drawn."""
    border = np.partition(scores, k - 1)[k - 1]
    sure = scores < border
    return sure, scores == border, k - int(sure.sum())


def precision_at(scores: FloatArray, truth: FloatArray, k: int) -> float:
    """Return the expected share of the k best by score that are among the k best by truth (ties included)."""
    k = min(k, len(truth))
    good = truth <= np.partition(truth, k - 1)[k - 1]
    sure, tied, drawn = _top(scores, k)
    return float((good[sure].sum() + good[tied].mean() * drawn) / k)


def regret_at(scores: FloatArray, truth: FloatArray, k: int) -> float:
    """Return how much worse the best of the k best by score is than the best of all; expected, where scores tie.

    Of ``t`` tied rows ``r`` are drawn: the j-th best of them is missed together with all better ones with
    probability ``C(t-j, r) / C(t, r)``.
    """
    k = min(k, len(truth))
    sure, tied, drawn = _top(scores, k)
    candidates = np.sort(truth[tied])
    t = len(candidates)
    j = np.arange(t - drawn + 1)
    missed = np.cumprod(np.concatenate([[1.0], (t - drawn - j[:-1]) / (t - j[:-1])]))  # the first j are all missed
    chance = missed - np.append(missed[1:], 0.0)
    best = float(np.min(truth[sure], initial=math.inf))
    return float((chance * np.minimum(candidates[: len(chance)], best)).sum() - truth.min())


def platt_slope(margins: FloatArray) -> float:
    """Return ``a >= 0`` so that ``1 / (1 + exp(-a * margin))`` is the chance that the first of a pair is better.

    Maximum likelihood with the smoothed targets of Platt, "Probabilistic outputs for support vector machines"
    (1999); without an intercept, because swapping a pair must give the opposite chance.

    Args:
        margins: Margins ``(p,)`` of pairs with the better architecture first.
    """
    scale = math.sqrt(float(np.mean(np.square(margins)))) if len(margins) else 0.0
    if scale == 0.0:
        return 0.0
    z = margins / scale
    target = (len(z) + 1.0) / (len(z) + 2.0)

    def slope(a: float) -> float:  # of the log likelihood, which is concave
        return float(np.mean(z * (target - sigmoid(a * z))))

    low, high = 0.0, 1.0
    while slope(high) > 0.0 and high < 1e9:
        low, high = high, 2.0 * high
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    return low / scale


def sigmoid(x: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def calibration(chance: FloatArray) -> tuple[float, float]:
    """Return Brier score and expected calibration error of predicted win probabilities.

    The calibration error compares the confidence in the favoured side (1/2 to 1, ten bins of equal width) with
    how often that side is better; at exactly 1/2 either side is right half of the time.

    Args:
        chance: For pairs with the better architecture first ``(p,)``: the predicted chance that it is better.
    """
    if len(chance) == 0:
        return math.nan, math.nan
    confidence = np.maximum(chance, 1.0 - chance)
    right = 0.5 * (1.0 + np.sign(chance - 0.5))
    at = np.minimum(((confidence - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)
    gap = np.bincount(at, weights=confidence - right, minlength=BINS)
    return float(np.mean(np.square(1.0 - chance))), float(np.abs(gap).sum() / len(chance))
