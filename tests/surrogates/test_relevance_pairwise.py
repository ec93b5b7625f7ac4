"""The pairwise surrogate with learned relevances against independent computations."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import average_ranks
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.relevance_pairwise import PENALTIES, WIDTHS, RelevancePairwise, _mean_square_slopes


def planted(n, d=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.random((n, d))
    return Z, np.sin(3 * Z[:, 0]) + Z[:, 1] ** 2


def kernel(a, b, width):
    return 1.0 + 1.0 / (1.0 + ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2) / (2.0 * width**2))


@pytest.mark.parametrize("readout", ["tanh", "vote", "mean"])
def test_without_rounds_it_is_ridge_regression_on_all_pairs(readout):
    """n = 12: the 144 x 144 pair system of the same kernel, built and solved explicitly."""
    Z, y = planted(12)
    new = planted(7, seed=1)[0]
    model = RelevancePairwise(rounds=0, readout=readout).fit(Z, y)
    (chosen,) = model._rounds
    unit = np.sqrt(np.mean([np.sum((a - b) ** 2) for i, a in enumerate(Z) for j, b in enumerate(Z) if i != j]))
    K, cross = kernel(Z / unit, Z / unit, chosen.width), kernel(new / unit, Z / unit, chosen.width)
    labels = np.sign(y[None, :] - y[:, None])
    ridge = chosen.penalty * np.linalg.eigvalsh(K)[-1]
    alpha = np.linalg.solve(np.kron(K, K) + ridge * np.eye(144), labels.ravel())
    f = np.array([[np.kron(cross[i], K[j]) @ alpha for j in range(12)] for i in range(7)])
    np.testing.assert_allclose(model.pair_scores(new, Z), f, rtol=1e-6, atol=1e-8)
    score = {"tanh": np.tanh(f), "vote": np.sign(f), "mean": f}[readout].mean(axis=1)
    np.testing.assert_allclose(model.rank(new), -score, rtol=1e-6, atol=1e-8)


def test_setting_is_that_of_least_refitted_error():
    Z, y = planted(15, seed=5)
    (chosen,) = RelevancePairwise(rounds=0).fit(Z, y)._rounds
    scaled, target = Z * chosen.scale, average_ranks(y)
    errors = {}
    for width in WIDTHS:
        K = kernel(scaled, scaled, width)
        for penalty in PENALTIES:
            guess = []
            for i in range(15):
                rest = np.arange(15) != i
                solved = np.linalg.solve(K[np.ix_(rest, rest)] + penalty * np.eye(14), target[rest])
                guess.append(K[i, rest] @ solved)
            errors[width, penalty] = np.square(guess - target).mean()
    assert (chosen.width, chosen.penalty) == min(errors, key=errors.get)
    assert chosen.error == pytest.approx(min(errors.values()), rel=1e-8)


def test_slopes_are_the_derivatives_of_the_fitted_function():
    rng = np.random.default_rng(1)
    Z, c, h = rng.random((9, 3)), rng.normal(size=9), 1e-6
    expected = []
    for j in range(3):
        step = np.eye(3)[j] * h
        expected.append(np.square((kernel(Z + step, Z, 0.7) - kernel(Z - step, Z, 0.7)) @ c / (2 * h)).mean())
    np.testing.assert_allclose(_mean_square_slopes(Z, c, 0.7), expected, rtol=1e-6)


def test_columns_without_influence_lose_weight_and_order_improves():
    rng = np.random.default_rng(2)
    gain = []
    for _ in range(5):
        Z, Z_new = rng.random((80, 12)), rng.random((400, 12))
        y, truth = (np.sin(3 * A[:, 0]) + A[:, 1] ** 2 for A in (Z, Z_new))
        model = RelevancePairwise().fit(Z, y)
        weight = model._rounds[-1].scale
        assert weight[:2].min() > 1.5 * weight[2:].max()
        plain = RelevancePairwise(rounds=0).fit(Z, y)
        gain.append(kendalltau(model.rank(Z_new), truth)[0] - kendalltau(plain.rank(Z_new), truth)[0])
    assert np.mean(gain) > 0.02


def test_pair_predictions_and_win_probabilities_are_antisymmetric():
    Z, y = planted(25)
    model = RelevancePairwise().fit(Z, y)
    A, B = planted(6, seed=2)[0], planted(5, seed=3)[0]
    np.testing.assert_allclose(model.pair_scores(A, B), -model.pair_scores(B, A).T, atol=1e-9)
    np.testing.assert_allclose(model.win_probability(A, B), 1.0 - model.win_probability(B, A).T, atol=1e-12)


def test_win_probabilities_are_calibrated_on_unseen_rows():
    """Noisy outcomes: among the pairs given 60 to 90 %, the share of wins is what was said, within 7 points."""
    rng = np.random.default_rng(4)
    Z, Z_new = rng.random((150, 4)), rng.random((400, 4))
    y, y_new = (np.sin(3 * A[:, 0]) + A[:, 1] ** 2 + rng.normal(0, 0.3, len(A)) for A in (Z, Z_new))
    p = RelevancePairwise().fit(Z, y).win_probability(Z_new, Z_new)
    wins = y_new[:, None] < y_new[None, :]
    for low in (0.6, 0.7, 0.8):
        sure = (p > low) & (p <= low + 0.1)
        assert sure.sum() > 2000
        assert abs(wins[sure].mean() - p[sure].mean()) < 0.07
    assert wins[p > 0.9].mean() > 0.88


def test_probabilities_need_a_fit_on_outcomes_that_differ():
    Z, _ = planted(6)
    with pytest.raises(UserError, match="outcomes that differ"):
        RelevancePairwise().fit(Z, np.ones(6)).win_probability(Z, Z)


def test_many_rows_are_tuned_on_a_spread_subset(monkeypatch):
    """Above the limit one round is solved for all rows, in single precision; the order is nearly that of the full."""
    Z, y = planted(160)
    new, truth = planted(300, seed=6)
    turn = np.random.default_rng(0).permutation(160)
    full = RelevancePairwise().fit(Z, y).rank(new)
    monkeypatch.setattr("smemnas.surrogates.relevance_pairwise.TUNE_ROWS", 60)
    monkeypatch.setattr("smemnas.surrogates.kernel_pairwise.TUNE_ROWS", 60)
    model = RelevancePairwise().fit(Z, y)
    assert len(model._members) == 1
    assert len(model._members[0].rows) == 160
    scores = model.rank(new)
    assert kendalltau(scores, truth)[0] > kendalltau(full, truth)[0] - 0.03
    np.testing.assert_allclose(RelevancePairwise().fit(Z[turn], y[turn]).rank(new), scores, atol=1e-4)
    model.precision = "double"
    exact = model.rank(new)
    assert 0.0 < np.abs(exact - scores).max() < 1e-4
    assert kendalltau(exact, scores)[0] > 0.999


def test_at_least_as_good_as_the_plain_kernel_on_the_embedded_table():
    from smemnas.bench.benchmarks.catalog import open_benchmark

    benchmark = open_benchmark("nb201", "analog", ("error",))
    X = benchmark.space.enumerate()
    y = benchmark.evaluate(X, 0).F[:, 0]
    gain = {"path": [], "graph": []}
    for seed in range(4):
        rows = np.random.default_rng(seed).permutation(len(X))[:1500]
        for encoding, found in gain.items():
            Z = benchmark.space.encode(X[rows], encoding)
            train, test = slice(0, 100), slice(100, None)
            ours = kendalltau(RelevancePairwise().fit(Z[train], y[rows[train]]).rank(Z[test]), y[rows[test]])[0]
            path = benchmark.space.encode(X[rows], "path")
            plain = KernelPairwise().fit(path[train], y[rows[train]]).rank(path[test])
            found.append(ours - kendalltau(plain, y[rows[test]])[0])
    assert np.mean(gain["path"]) > 0.0
    assert np.mean(gain["graph"]) > 0.02
