"""The closed form against a brute-force solve of the n^2 pair system, and its invariants."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.kernels import block_distances, distance_scales, mixed_kernel


def planted(n, d=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.random((n, d))
    return Z, np.sin(3 * Z[:, 0]) + Z[:, 1] ** 2


def kernel_of(model, A, B, Z):
    scales = distance_scales(block_distances(Z, Z))
    return mixed_kernel(block_distances(A, B), scales, (1.0,), model.width_)


@pytest.mark.parametrize("readout", ["tanh", "vote", "mean"])
def test_equals_ridge_regression_on_all_pairs(readout):
    """n = 12: build the 144 x 144 Kronecker system explicitly and solve it."""
    Z, y = planted(12)
    new = planted(7, seed=1)[0]
    model = KernelPairwise(width=0.8, penalty=0.05, readout=readout).fit(Z, y)
    K = kernel_of(model, Z, Z, Z)
    labels = np.sign(y[None, :] - y[:, None])
    ridge = 0.05 * np.linalg.eigvalsh(K)[-1]
    alpha = np.linalg.solve(np.kron(K, K) + ridge * np.eye(144), labels.ravel())
    cross = kernel_of(model, new, Z, Z)
    f = np.array([[np.kron(cross[i], K[j]) @ alpha for j in range(12)] for i in range(7)])
    score = {"tanh": np.tanh(f), "vote": np.sign(f), "mean": f}[readout].mean(axis=1)
    np.testing.assert_allclose(model.rank(new), -score, rtol=1e-7, atol=1e-9)


def test_two_step_form_equals_two_ridge_regressions():
    Z, y = planted(12)
    model = KernelPairwise(width=0.8, penalty=0.05, form="two-step", readout="mean").fit(Z, y)
    K = kernel_of(model, Z, Z, Z)
    labels = np.sign(y[None, :] - y[:, None])
    inverse = np.linalg.inv(K + 0.05 * np.eye(12))
    np.testing.assert_allclose(model.rank(Z), -(K @ inverse @ labels @ inverse @ K).mean(axis=1), atol=1e-8)


@pytest.mark.parametrize("form", ["kronecker", "two-step"])
def test_pair_predictions_are_antisymmetric(form):
    Z, y = planted(25)
    model = KernelPairwise(form=form).fit(Z, y)
    A, B = planted(6, seed=2)[0], planted(5, seed=3)[0]
    np.testing.assert_allclose(model.pair_scores(A, B), -model.pair_scores(B, A).T, atol=1e-9)


def test_pair_prediction_of_a_better_architecture_is_positive():
    Z = np.array([[0.0], [0.5], [1.0]])
    model = KernelPairwise(width=0.5, penalty=0.01).fit(Z, np.array([1.0, 2.0, 3.0]))
    assert model.pair_scores(Z[:1], Z[2:])[0, 0] > 0
    assert np.array_equal(np.argsort(model.rank(Z)), [0, 1, 2])


def test_only_the_order_of_outcomes_matters():
    Z, y = planted(40)
    new = planted(30, seed=4)[0]
    np.testing.assert_allclose(KernelPairwise().fit(Z, y).rank(new), KernelPairwise().fit(Z, np.exp(5 * y)).rank(new))


def test_the_order_of_rows_does_not_matter():
    Z, y = planted(40)
    new = planted(30, seed=4)[0]
    shuffled = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(
        KernelPairwise().fit(Z, y).rank(new), KernelPairwise().fit(Z[shuffled], y[shuffled]).rank(new), atol=1e-8
    )


def test_leave_one_out_choice_equals_refitting():
    """The width and penalty chosen are those that n explicit refits on the ranks would choose."""
    from smemnas.surrogates.base import average_ranks
    from smemnas.surrogates.kernel_pairwise import PENALTIES, WIDTHS, _pair_weights

    Z, y = planted(15, seed=5)
    model = KernelPairwise().fit(Z, y)
    distances = block_distances(Z, Z)
    scales = distance_scales(distances)
    target, pairs = average_ranks(y), _pair_weights(y, 3.0)
    best = {}
    for width in WIDTHS:
        K = mixed_kernel(distances, scales, (1.0,), width)
        for penalty in PENALTIES:
            left_out = np.empty(15)
            for i in range(15):
                rest = np.arange(15) != i
                left_out[i] = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + penalty * np.eye(14), target[rest])
            best[width, penalty] = (pairs * np.sign(left_out[None, :] - left_out[:, None])).sum()
    assert best[model.width_, model.penalty_] == pytest.approx(max(best.values()))


def test_learns_a_smooth_function():
    Z, y = planted(120)
    new, truth = planted(200, seed=6)
    assert kendalltau(KernelPairwise().fit(Z, y).rank(new), truth)[0] > 0.85


def test_ranking_in_blocks_changes_nothing(monkeypatch):
    Z, y = planted(30)
    new = planted(100, seed=7)[0]
    model = KernelPairwise().fit(Z, y)
    whole = model.rank(new)
    monkeypatch.setattr("smemnas.surrogates.kernel_pairwise._BLOCK", 7)
    np.testing.assert_allclose(model.rank(new), whole, atol=1e-12)


def test_many_rows_are_tuned_on_a_spread_subset_and_fitted_on_all(monkeypatch):
    Z, y = planted(150)
    new, truth = planted(200, seed=6)
    monkeypatch.setattr("smemnas.surrogates.kernel_pairwise.TUNE_ROWS", 50)
    model = KernelPairwise().fit(Z, y)
    by_outcome = np.argsort(y)[np.round(np.linspace(0, 149, 50)).astype(int)]
    alone = KernelPairwise().fit(Z[by_outcome], y[by_outcome])
    # The subset is tuned in units of the distances of all rows, which differ by a few percent.
    assert abs(np.log(model.width_ / alone.width_)) < 0.8
    monkeypatch.setattr("smemnas.surrogates.kernel_pairwise.TUNE_ROWS", 1000)
    same = KernelPairwise(width=model.width_, penalty=model.penalty_).fit(Z, y)
    np.testing.assert_allclose(model.rank(new), same.rank(new), atol=1e-12)
    assert kendalltau(model.rank(new), truth)[0] > 0.85


@pytest.mark.parametrize("readout", ["tanh", "mean"])
def test_single_precision_keeps_the_order_and_the_ties(readout):
    Z, y = planted(60)
    new = np.vstack([planted(300, seed=7)[0]] * 2)
    exact = KernelPairwise(readout=readout).fit(Z, y).rank(new)
    fast = KernelPairwise(readout=readout, precision="single").fit(Z, y).rank(new)
    assert 0.0 < np.abs(exact - fast).max() < 1e-4
    assert kendalltau(exact, fast)[0] > 0.999
    np.testing.assert_array_equal(fast[:300], fast[300:])


@pytest.mark.parametrize("form", ["kronecker", "two-step"])
def test_directions_without_content_are_dropped_only_from_many_rows(form, monkeypatch):
    Z, y = planted(40)
    Z, y = np.vstack([Z] * 3), np.concatenate([y, y + 0.01, y - 0.01])  # rank 40
    new = planted(50, seed=7)[0]
    model = KernelPairwise(form=form, width=0.7, penalty=0.03, precision="double").fit(Z, y)
    expected, pairs = model.rank(new), model.pair_scores(new, Z)
    assert model._inner.shape == (120, 120)
    monkeypatch.setattr("smemnas.surrogates.kernel_pairwise.TUNE_ROWS", 100)
    model.fit(Z, y)
    assert model._inner.shape == (40, 40)
    np.testing.assert_allclose(model.rank(new), expected, atol=1e-8)
    np.testing.assert_allclose(model.pair_scores(new, Z), pairs, atol=1e-8)
