"""Choosing between encodings and surrogates by how they order rows that they have not seen."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.surrogates.base import average_ranks
from smemnas.surrogates.choice import agreements, choose, clearly_best, left_out_scores
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.kernel_ridge import KernelRidge, leave_one_out
from smemnas.surrogates.kernels import block_distances, distance_scales, mixed_kernel
from smemnas.surrogates.rbf import CubicRBF
from smemnas.surrogates.relevance_pairwise import RelevancePairwise


def linear(n, seed):
    """Return levels ``(n, 6)`` and a noisy weighted sum of them."""
    rng = np.random.default_rng(seed)
    Z = rng.integers(0, 5, size=(n, 6)) / 4.0
    return Z, Z @ np.array([3.0, 2.0, 1.0, 1.0, 0.5, 0.0]) + 0.1 * rng.standard_normal(n)


def test_closed_form_of_pairs_is_ridge_regression_without_the_row():
    Z, y = linear(30, 1)
    fitted = KernelPairwise(width=1.0, penalty=0.1).fit(Z, y)
    distances = block_distances(Z, Z)
    K = mixed_kernel(distances, distance_scales(distances), (1.0,), 1.0)
    t = average_ranks(y)
    for i in (0, 13, 29):
        rest = np.delete(np.arange(30), i)
        answer = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + 0.1 * np.eye(29), t[rest])
        assert fitted.left_out()[i] == pytest.approx(answer, abs=1e-9)


def test_closed_form_of_kernel_ridge_is_that_of_the_chosen_setting():
    Z, y = linear(30, 2)
    fitted = KernelRidge(seed=0).fit(Z, y)
    width, ridge = fitted.chosen
    distances = block_distances(Z, Z)
    K = mixed_kernel(distances, distance_scales(distances), (1.0,), width)
    t = (y - y.mean()) / y.std()
    errors, _, _ = leave_one_out(K, t, np.array([ridge]))
    np.testing.assert_allclose(fitted.left_out(), t - errors[0], atol=1e-9)


def test_left_out_scores_know_nothing_of_their_row():
    """On outcomes that nothing explains they order no better than chance, the fit itself does."""
    Z, y = linear(40, 3)
    chance = np.random.default_rng(9).standard_normal(40)
    for make in (KernelPairwise, RelevancePairwise, lambda: KernelRidge(seed=0), lambda: CubicRBF(seed=0)):
        assert abs(kendalltau(left_out_scores(make, Z, chance), chance)[0]) < 0.35
        assert kendalltau(left_out_scores(make, Z, y), y)[0] > 0.8


def test_constant_outcomes_choose_the_first():
    Z, _ = linear(20, 4)
    assert choose([(KernelPairwise, Z[:, :1]), (KernelPairwise, Z)], np.ones(20)) == 0
    assert (KernelRidge(seed=0).fit(Z, np.ones(20)).left_out() == 0.0).all()


def test_mean_agreement_is_kendalls_tau():
    rng = np.random.default_rng(5)
    y, score = rng.standard_normal(40), rng.standard_normal(40)
    assert agreements(score, y).mean() == pytest.approx(kendalltau(score, y)[0])
    assert agreements(y, y).mean() == 1.0
    tied = np.array([1.0, 1.0, 2.0])  # two pairs count; the scores have one right and one tied
    assert agreements(np.array([0.0, 1.0, 1.0]), tied).mean() == 0.5


def test_the_first_is_kept_unless_another_is_clearly_better():
    first, noisy = np.full(100, 0.5), np.full(100, 0.5) + np.tile([1.0, -0.9], 50)
    assert noisy.mean() == pytest.approx(0.55)  # better by half a standard error of 2 * .95 / 10
    assert clearly_best([first, noisy]) == 0
    assert clearly_best([first, noisy], margin=0.0) == 1
    assert clearly_best([first, first + 0.05]) == 1
    assert clearly_best([first, first.copy()]) == 0


def test_each_of_two_encodings_wins_where_it_tells_more():
    rng = np.random.default_rng(6)
    A, B = rng.standard_normal((2, 50, 4))
    both = [(KernelPairwise, A), (KernelPairwise, B)]
    assert choose(both, A @ np.arange(4.0)) == 0
    assert choose(both, B @ np.arange(4.0)) == 1
    assert choose(both[::-1], A @ np.arange(4.0)) == 1
