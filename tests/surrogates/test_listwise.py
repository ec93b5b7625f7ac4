"""Listwise and weighted losses: worked cases, derivatives, and orders of a planted problem against regression."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import SURROGATES
from smemnas.surrogates.listwise import ListwiseNet, listmle, listnet, top_weights, weighted_pairs


def test_listnet_by_hand():
    """Three outcomes: ranks -1, 0, 1; with sharpness 2 ln 2 the wanted chances are as 2 : 1 : 1/2."""
    score, y = np.log([3.0, 1.0, 1.0]), np.array([1.0, 5.0, 9.0])
    loss, _ = listnet(score, y, 2.0 * math.log(2.0))
    assert loss == pytest.approx(-(4 / 7 * math.log(3 / 5) + 2 / 7 * math.log(1 / 5) + 1 / 7 * math.log(1 / 5)))
    at_best, pull = listnet(np.log([2.0, 1.0, 0.5]), y, 2.0 * math.log(2.0))
    assert at_best < loss
    np.testing.assert_allclose(pull, 0.0, atol=1e-15)


def test_listmle_by_hand():
    """The chance of the true order: first 3 of 6, then 2 of 3, then what is left."""
    loss, _ = listmle(np.log([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0]))
    assert loss == pytest.approx(-math.log(3 / 6 * 2 / 3) / 3)


def test_weights_toward_the_top_by_hand():
    """Gains 1, 1/2, 0 and discounts 1, 1/log2(3), 1/2: what an exchange in the true order costs."""
    second = 1.0 / math.log2(3.0)
    costs = {(0, 1): 0.5 * (1 - second), (0, 2): 1.0 * 0.5, (1, 2): 0.5 * (second - 0.5)}
    weight = top_weights(np.array([1.0, 2.0, 3.0]))
    for pair, cost in costs.items():
        assert weight[pair] == pytest.approx(cost / sum(costs.values()))
    assert (weight > 0).sum() == 3
    assert weight[0, 1] > weight[1, 2]
    loss, _ = weighted_pairs(np.array([0.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0]))
    assert loss == pytest.approx(math.log(2.0))
    tied = top_weights(np.array([1.0, 1.0, 3.0]))
    assert tied[0, 1] == tied[1, 0] == 0.0
    assert tied[0, 2] == tied[1, 2] == pytest.approx(0.5)


@pytest.mark.parametrize("loss", [lambda s, y: listnet(s, y, 3.0), listmle, weighted_pairs])
def test_derivatives_of_the_losses(loss):
    rng = np.random.default_rng(0)
    score, y = rng.normal(size=7), np.array([1.0, 2.0, 2.0, 3.0, 4.0, 8.0, 9.0])
    pull = loss(score, y)[1]
    for i in range(7):
        step = np.zeros(7)
        step[i] = 1e-6
        slope = (loss(score + step, y)[0] - loss(score - step, y)[0]) / 2e-6
        assert pull[i] == pytest.approx(slope, abs=1e-8)
    assert pull.sum() == pytest.approx(0.0, abs=1e-12)  # a constant added to all scores changes nothing


@pytest.mark.parametrize("name", ["listnet", "listmle", "weighted"])
def test_derivatives_along_the_weights_of_the_network(name):
    rng = np.random.default_rng(5)
    Z = rng.normal(size=(8, 3))
    model = ListwiseNet(seed=0, loss=name, hidden=4, decay=0.01)
    model._y = np.arange(8.0)
    model._weights = [rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)]
    none = np.arange(0)

    def loss():
        W, b, out = model._weights
        s = np.tanh(Z @ W + b) @ out
        value = {"listnet": lambda: listnet(s, model._y, 4.0), "listmle": lambda: listmle(s, model._y)}.get(
            name, lambda: weighted_pairs(s, model._y)
        )()[0]
        return value + 0.005 * ((W**2).sum() + (out**2).sum())

    for array, gradient in zip(model._weights, model._gradients(Z, none, none), strict=True):
        for at in np.ndindex(array.shape):
            kept = array[at]
            array[at] = kept + 1e-6
            above = loss()
            array[at] = kept - 1e-6
            below = loss()
            array[at] = kept
            assert gradient[at] == pytest.approx((above - below) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("name", ["listnet", "listmle", "ranknet_top"])
def test_a_heavy_tail_misleads_regression_and_not_the_losses_of_orders(name):
    """One outcome in ten is useless by a large amount that no column tells: values are lost in it, orders are not."""
    taus = {}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        Z = rng.random((260, 6))
        truth = np.sin(2.0 * Z[:, 0]) + Z[:, 1] ** 2 - Z[:, 2] * Z[:, 3]
        y = truth + 60.0 * (rng.random(260) < 0.1)
        for surrogate, params in ((name, {"epochs": 60, "hidden": 16}), ("kernel_ridge", {})):
            scores = SURROGATES.create(surrogate, seed=seed, params=params).fit(Z[:60], y[:60]).rank(Z[60:])
            taus.setdefault(surrogate, []).append(kendalltau(scores, truth[60:])[0])
    assert np.mean(taus[name]) > np.mean(taus["kernel_ridge"]) + 0.1
    assert np.mean(taus[name]) > 0.45


def test_odd_settings_are_refused():
    for params in ({"loss": "hinge"}, {"sharpness": 0.0}, {"epochs": 0}):
        with pytest.raises(UserError, match="got"):
            SURROGATES.create("listnet", seed=0, params=params)
