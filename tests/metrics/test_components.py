"""Components of variance against a simulation and by hand."""

import math

import numpy as np
import pytest

from smemnas.bench.metrics.components import components


def test_by_hand():
    found = components(np.array([[1.0, 3.0], [5.0, 7.0]]))  # means 2 and 6: between 2 * 8 = 16, within 2
    assert found.seed == pytest.approx(math.sqrt(2))
    assert found.architecture == pytest.approx(math.sqrt((16 - 2) / 2))
    assert found.ratio.value == pytest.approx(math.sqrt(7 / 2))
    assert found.ratio.low < found.ratio.value < found.ratio.high


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    rng, true, hits = np.random.default_rng(0), 1.3, 0
    for _ in range(400):
        values = true * rng.standard_normal((12, 1)) + rng.standard_normal((12, 3))
        low, high = components(values).ratio[1:]
        hits += low <= true <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_architectures_that_do_not_differ_have_the_ratio_zero():
    found = components(np.array([[1.0, 3.0], [3.0, 1.0], [1.0, 3.0]]))
    assert found.architecture == 0.0
    assert found.ratio.value == found.ratio.low == 0.0


@pytest.mark.parametrize("values", [np.ones((1, 3)), np.ones((3, 1)), np.array([[1.0, math.nan], [2.0, 3.0]])])
def test_too_little_says_nothing(values):
    assert math.isnan(components(values).ratio.value)


def test_seeds_that_make_no_difference():
    assert components(np.array([[1.0, 1.0], [2.0, 2.0]])).ratio.value == math.inf
    assert math.isnan(components(np.ones((3, 3))).ratio.value)
