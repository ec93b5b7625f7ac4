"""What a number of paired runs can show at all: the exact signed-rank test of a study, looked at before any run.

A difference is found when the test's p-value, after Holm's correction, is below `SIGNIFICANCE`. What is said here
holds whatever the other comparisons of the family give: a lone difference must pass Holm's first and strictest step,
the number of comparisons times its p-value. The chance of finding one is taken over fixed normal samples, so it
is the same for everybody; it is off by some .006.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from smemnas.bench.metrics.statistics import EXACT_UP_TO, SIGNIFICANCE, smallest_p
from smemnas.spaces.base import FloatArray, IntArray

#: How often a difference is to be found.
POWER = 0.8
#: Samples behind a chance, and values among them at most.
SAMPLES, VALUES = 6_000, 400_000
#: Root of all samples.
STREAM = 1_945
#: Differences in their standard deviations are looked for up to here.
LARGEST_EFFECT = 8.0
#: Quantiles of a normal distribution that stand for all of it.
QUANTILES = 32


def critical_sum(n: int, tests: int) -> int:
    """Return the largest rank sum of the rarer sign with which `n` differences are significant among `tests`; else -1.

    Exact: all ``2^n`` signs are equally likely if there is no difference; the test is two-sided.
    """
    tail = np.cumsum(_null_distribution(n))
    return int(np.searchsorted(2.0 * tests * tail, SIGNIFICANCE, side="left")) - 1


@lru_cache(maxsize=64)
def _null_distribution(n: int) -> FloatArray:
    """Return the chance of each sum of the ranks of positive differences ``(n (n + 1) / 2 + 1,)``."""
    chance = np.zeros(n * (n + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, n + 1):
        moved = 0.5 * chance[: len(chance) - rank]
        chance *= 0.5
        chance[rank:] += moved
    return chance


def chance_to_find(effect: float, n: int, tests: int) -> float:
    """Return how often a difference is found, and with the right sign.

    Args:
        effect: The mean of normal paired differences in their standard deviations.
        n: Pairs, at most `EXACT_UP_TO`.
        tests: Comparisons of the family.
    """
    limit = critical_sum(n, tests)
    if limit < 0:
        return 0.0
    return float(np.mean(_opposed(_normal(n) + abs(effect)) <= limit))


def chance_to_tell_apart(ratio: float, n: int) -> float:
    """Return how often n trainings of each of two random architectures of one cost tell which one is better.

    Architectures' expectations are normal with `ratio` times the deviation of trainings, so the difference of two of
    them, in standard deviations of the paired differences, is `ratio` times a standard normal value. The mean over
    its quantiles; NaN for a ratio that is none.

    Args:
        ratio: Standard deviation between architectures over that between trainings of one.
        n: Trainings of each, paired by seed, at most `EXACT_UP_TO`.
    """
    if math.isnan(ratio):
        return math.nan
    middles = (0.5 + (k + 0.5) / (2 * QUANTILES) for k in range(QUANTILES))
    effects = (min(ratio * NormalDist().inv_cdf(p), LARGEST_EFFECT) for p in middles)
    return float(np.mean([chance_to_find(effect, n, 1) for effect in effects]))


@lru_cache(maxsize=8)
def _normal(n: int) -> FloatArray:
    """Return standard normal samples ``(samples, n)``, each with its mirror image among them."""
    half = min(SAMPLES, VALUES // n) // 2
    z = np.random.default_rng([STREAM, n]).standard_normal((half, n))
    return np.concatenate([z, -z])


def _opposed(d: FloatArray) -> IntArray:
    """Return the sum of the ranks of the negative differences of each sample ``(samples, n)``."""
    ranks = np.arange(1, d.shape[1] + 1)
    negative = np.take_along_axis(d, np.argsort(np.abs(d), axis=1), axis=1) < 0
    return np.asarray(negative @ ranks, dtype=np.int64)


@lru_cache(maxsize=256)
def smallest_effect(n: int, tests: int, power: float = POWER) -> float:
    """Return the smallest difference, in standard deviations of the paired differences, that is found so often.

    NaN where so few pairs cannot be significant, whatever they show.
    """
    if critical_sum(n, tests) < 0:
        return math.nan
    low, high = 0.0, LARGEST_EFFECT
    while high - low > 0.004:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if chance_to_find(middle, n, tests) >= power else (middle, high)
    return high


def fewest_pairs(tests: int, effect: float, power: float = POWER) -> int | None:
    """Return the smallest number of pairs that finds a difference so often; None if it is above `EXACT_UP_TO`."""
    low, high = 0, fewest_to_show(tests)
    while chance_to_find(effect, high, tests) < power:
        if high == EXACT_UP_TO:
            return None
        low, high = high, min(2 * high, EXACT_UP_TO)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance_to_find(effect, middle, tests) >= power else (middle, high)
    return high


def fewest_to_show(tests: int) -> int:
    """Return the smallest number of pairs that can be significant at all."""
    n = 1
    while smallest_p(tests, n) >= SIGNIFICANCE:
        n += 1
    return n
