"""How sure the surrogates are: against scikit-learn's Gaussian process and brute-force leave-one-out."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.model import NODES, Model, greedy_expected_gain
from smemnas.surrogates.base import SURROGATES, average_ranks
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.kernels import squared_distances
from smemnas.surrogates.posterior import RankPosterior


def case(n=40, d=5, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.random((n, d))
    return Z, np.sin(3 * Z[:, 0]) + Z[:, 1] ** 2 + 0.1 * rng.normal(size=n), rng.random((15, d))


def rbf(A, B, width):
    return np.exp(-squared_distances(A, B) / (2 * width**2))


def test_posterior_is_that_of_a_gaussian_process():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    Z, y, new = case()
    t, width, penalty = average_ranks(y), 0.6, 0.05
    K = rbf(Z, Z, width)
    w, Q = np.linalg.eigh(K)
    mean, deviation = RankPosterior(np.maximum(w, 0), Q, penalty, t, 1.0)(rbf(new, Z, width))
    process = GaussianProcessRegressor(RBF(width), alpha=penalty, optimizer=None).fit(Z, t)
    expected, spread = process.predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected, atol=1e-9)
    # brute force: leave each row out, compare its residual with what the process says there
    ratios = []
    for i in range(len(t)):
        rest = np.arange(len(t)) != i
        left = GaussianProcessRegressor(RBF(width), alpha=penalty, optimizer=None).fit(Z[rest], t[rest])
        predicted, sd = left.predict(Z[i : i + 1], return_std=True)
        ratios.append((t[i] - predicted[0]) ** 2 / (sd[0] ** 2 + penalty))
    np.testing.assert_allclose(deviation, np.sqrt(np.mean(ratios)) * spread, rtol=1e-6)


def test_dropped_directions_do_not_change_the_posterior():
    Z, y, new = case(30)
    Z, y = np.repeat(Z, 3, axis=0), np.repeat(y, 3) + np.tile([0.0, 0.01, 0.02], 30)
    K, t = rbf(Z, Z, 0.6), average_ranks(y)
    w, Q = np.linalg.eigh(K)
    w = np.maximum(w, 0)
    kept = w > 1e-12 * w[-1]
    whole = RankPosterior(w, Q, 0.1, t, 1.0)(rbf(new, Z, 0.6))
    part = RankPosterior(w[kept], Q[:, kept], 0.1, t, 1.0)(rbf(new, Z, 0.6))
    np.testing.assert_allclose(part, whole, rtol=1e-6)


@pytest.mark.parametrize("name", ["kernel_pairwise", "relevance_pairwise", "gp", "gp_rank"])
def test_surer_near_the_data_and_orders_like_the_truth(name):
    Z, y, _ = case(60)
    far = Z + 5.0
    surrogate = SURROGATES.create(name, seed=0).fit(Z, y)
    mean, near = surrogate.posterior(Z)
    assert np.corrcoef(mean, y)[0, 1] > 0.9
    assert near.max() < surrogate.posterior(far)[1].min()
    flat = surrogate.fit(Z, np.ones(60)).posterior(far)
    np.testing.assert_allclose(flat, 0.0, atol=1e-12)


def test_a_surrogate_without_a_posterior_says_so():
    problem = open_benchmark("toy").problem
    with pytest.raises(UserError, match="'forest' does not: take kernel_pairwise"):
        METHODS.create("smemnas", problem, budget=50, seed=0, params={"explore": 1, "surrogate": "forest"})
    with pytest.raises(UserError, match="says not how sure"):
        SURROGATES.create("forest", seed=0).posterior(np.zeros((1, 2)))
    with pytest.raises(UserError, match="integer from 0 to batch"):
        METHODS.create("smemnas", problem, budget=50, seed=0, params={"explore": 6})


def test_greedy_expected_gain_by_brute_force():
    from moocore import hypervolume

    rng = np.random.default_rng(3)
    outcomes, front, reference = rng.random((4, 7, 2)), rng.random((3, 2)), np.array([1.1, 1.1])
    known, expected = front, []
    for _ in range(3):
        base = hypervolume(known, ref=reference)
        gains = [
            np.mean([hypervolume(np.vstack([known, outcomes[k, i]]), ref=reference) - base for k in range(4)])
            for i in range(7)
        ]
        gains = [-1.0 if i in expected else g for i, g in enumerate(gains)]
        expected.append(int(np.argmax(gains)))
        known = np.vstack([known, outcomes[:, expected[-1]].mean(axis=0)])
    assert greedy_expected_gain(outcomes, front, reference, 3).tolist() == expected


def test_outcomes_surround_the_prediction_and_keep_free_objectives():
    bench = open_benchmark("toy")
    X = bench.space.sample(60, np.random.default_rng(0))
    F = bench.evaluate(X, 0).F
    model = Model(bench.problem, [KernelPairwise()], [None], X[:40], F[:40])
    outcomes = model.outcomes(X[40:])
    assert outcomes.shape == (NODES, 20, 2)
    cheap, costly = bench.problem.cheap[0], bench.problem.costly[0]
    np.testing.assert_array_equal(outcomes[:, :, cheap], np.broadcast_to(F[40:, cheap], (NODES, 20)))
    assert (np.diff(outcomes[:, :, costly], axis=0) > 0).all()
    assert np.corrcoef(outcomes[NODES // 2, :, costly], F[40:, costly])[0, 1] > 0.8
