"""Classifiers of sampled pairs, the new regressors and what they share, against independent computations."""

import importlib.util

import numpy as np
import pytest

from smemnas.bench.errors import UserError
from smemnas.surrogates.adaptive import CANDIDATES, AdaptiveSwitching
from smemnas.surrogates.base import SURROGATES
from smemnas.surrogates.knn import NearestNeighbours
from smemnas.surrogates.linear_pairwise import GRID, LogisticPairwise, RankSVM
from smemnas.surrogates.ranknet import RankNet
from smemnas.surrogates.tuning import canonical_order, discordant_share, folds_of, least_error


def make(name, seed=0, **params):
    return SURROGATES.create(name, seed=seed, params=params)


def levels(n, rng):
    """Toy genes ``(n, 5)`` in [0, 1] and a monotone, curved outcome ``(n,)`` that falls in every gene."""
    Z = rng.integers(0, 5, (n, 5)) / 4.0
    return Z, (1.0 - Z) ** 2 @ np.array([1.0, 1.2, 1.5, 1.9, 2.4])


# ---- sampling ----


@pytest.mark.parametrize("name", ["ranksvm", "logistic_pairwise", "forest_pairwise", "boosting_pairwise", "ranknet"])
def test_sampled_pairs_follow_the_seed_and_not_the_order_of_rows(name):
    rng = np.random.default_rng(0)
    Z, y = levels(40, rng)
    y = np.round(y, 0)
    Z_new, _ = levels(30, rng)
    turn = rng.permutation(40)
    expected = make(name, max_pairs=60).fit(Z, y).rank(Z_new)
    np.testing.assert_array_equal(make(name, max_pairs=60).fit(Z[turn], y[turn]).rank(Z_new), expected)
    assert not np.allclose(make(name, 1, max_pairs=60).fit(Z, y).rank(Z_new), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["forest_pairwise", "boosting_pairwise"])
@pytest.mark.parametrize("combine", ["concat", "difference", "both"])
def test_trees_on_pairs_are_antisymmetric_and_rank_by_mean_probability(name, combine, monkeypatch):
    rng = np.random.default_rng(1)
    Z, y = levels(30, rng)
    A, _ = levels(12, rng)
    A = np.unique(A, axis=0)
    model = make(name, combine=combine, opponents=7).fit(Z, y)
    p = model.win_probability(A, A)
    np.testing.assert_allclose(p + p.T, 1.0, atol=1e-12)
    whole = model.rank(A)
    best_first = Z[np.lexsort((*Z.T[::-1], y))]
    rivals = best_first[np.round(np.linspace(0, 29, 7)).astype(int)]
    one_by_one = [np.mean([model.win_probability(a[None], b[None])[0, 0] for b in rivals]) for a in A]
    np.testing.assert_allclose(-whole, one_by_one, atol=1e-12)
    monkeypatch.setattr("smemnas.surrogates.trees_pairwise.BLOCK", 500)
    np.testing.assert_allclose(model.rank(A), whole, atol=1e-12)


# ---- linear ----


def test_logistic_regression_minimises_its_own_loss():
    from scipy.optimize import minimize

    rng = np.random.default_rng(2)
    Z, y = levels(15, rng)
    Z_new, _ = levels(20, rng)
    model = LogisticPairwise(seed=0, C=0.5).fit(Z, y)
    S = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    rows = np.array([S[i] - S[j] for i in range(15) for j in range(15) if y[i] < y[j]])
    # Both orders of a pair have the same loss.
    best = minimize(lambda w: 0.5 * w @ w + 0.5 * 2.0 * np.logaddexp(0.0, -rows @ w).sum(), np.zeros(5), tol=1e-10)
    scores = model.rank(Z_new)
    expected = -(Z_new / Z.std(axis=0)) @ best.x
    np.testing.assert_allclose(scores - scores[0], expected - expected[0], atol=2e-2)


def test_ranksvm_minimises_its_own_loss():
    from scipy.optimize import minimize

    rng = np.random.default_rng(3)
    Z, y = levels(15, rng)
    Z_new, _ = levels(20, rng)
    model = RankSVM(seed=0, C=0.5).fit(Z, y)
    S = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    rows = np.array([S[i] - S[j] for i in range(15) for j in range(15) if y[i] < y[j]])
    loss = lambda w: 0.5 * w @ w + 0.5 * 2.0 * np.square(np.maximum(1.0 - rows @ w, 0.0)).sum()  # noqa: E731
    best = minimize(loss, np.zeros(5), tol=1e-12)
    scores = model.rank(Z_new)
    expected = -(Z_new / Z.std(axis=0)) @ best.x
    np.testing.assert_allclose(scores - scores[0], expected - expected[0], atol=2e-2)


@pytest.mark.parametrize("cls", [RankSVM, LogisticPairwise])
def test_linear_orders_recover_a_linear_order_and_choose_from_the_grid(cls):
    rng = np.random.default_rng(4)
    Z, Z_new, w = rng.random((60, 4)), rng.random((200, 4)), np.array([1.0, -2.0, 0.5, 3.0])
    model = cls(seed=0).fit(Z, Z @ w)
    assert model.chosen in GRID
    assert discordant_share(model.rank(Z_new), Z_new @ w) < 0.02


# ---- RankNet ----


def test_ranknet_gradients_are_the_derivatives_of_its_loss():
    rng = np.random.default_rng(5)
    Z, better, worse = rng.normal(size=(8, 3)), np.array([0, 1, 2, 0, 5]), np.array([3, 4, 6, 7, 1])
    model = RankNet(seed=0, hidden=4, decay=0.01)
    model._weights = [rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)]

    def loss():
        W, b, out = model._weights
        s = np.tanh(Z @ W + b) @ out
        return np.logaddexp(0.0, s[worse] - s[better]).mean() + 0.005 * ((W**2).sum() + (out**2).sum())

    gradients = model._gradients(Z, better, worse)
    for array, gradient in zip(model._weights, gradients, strict=True):
        for at in np.ndindex(array.shape):
            kept = array[at]
            array[at] = kept + 1e-6
            above = loss()
            array[at] = kept - 1e-6
            below = loss()
            array[at] = kept
            assert gradient[at] == pytest.approx((above - below) / 2e-6, abs=1e-7)


# ---- regressors ----


def test_nearest_neighbours_equal_a_loop_with_ties_and_choose_by_leave_one_out():
    rng = np.random.default_rng(6)
    Z, y = levels(25, rng)
    Z[7] = Z[3]
    y = y + rng.normal(0.0, 0.2, 25)
    t = (y - y.mean()) / y.std()
    spread = np.mean([np.sum((a - b) ** 2) for i, a in enumerate(Z) for j, b in enumerate(Z) if i != j])

    def guess(z, rows, targets, k):
        d = np.array([round(np.sum((z - r) ** 2) / spread, 9) for r in rows])
        near = d <= np.sort(d)[k - 1]
        weight = 1.0 / (d[near] + 1e-9)
        return np.sum(weight * targets[near]) / weight.sum()

    error = {}
    for k in (1, 2, 3, 5, 8, 12, 20):
        rests = [np.delete(np.arange(25), i) for i in range(25)]
        error[k] = np.mean([(guess(Z[i], Z[r], t[r], k) - t[i]) ** 2 for i, r in enumerate(rests)])
    model = NearestNeighbours(seed=0).fit(Z, y)
    assert model.chosen == min(error, key=error.get)
    Z_new, _ = levels(30, rng)
    expected = [guess(z, Z, t, model.chosen) for z in Z_new]
    np.testing.assert_allclose(model.rank(Z_new), expected, atol=1e-7)


def test_adaptive_switching_takes_the_one_of_greatest_merit():
    rng = np.random.default_rng(7)
    Z, Z_new, w = rng.random((40, 4)), rng.random((30, 4)), np.array([1.0, -2.0, 0.5, 3.0])
    smooth = AdaptiveSwitching(seed=0, folds=5).fit(Z, Z @ w)
    assert smooth.chosen in {"rbf", "gp"}
    assert discordant_share(smooth.rank(Z_new), Z_new @ w) < 0.02
    steps = AdaptiveSwitching(seed=0, folds=5).fit(Z, np.floor(4 * Z[:, 0]) % 2 * 10 + np.floor(3 * Z[:, 1]))
    merits = [steps._merit(name, *_as_seen(steps, Z)) for name in CANDIDATES]
    assert steps.chosen == CANDIDATES[int(np.argmax(merits))] == "cart"
    assert AdaptiveSwitching(seed=0).fit(Z[:9], (Z @ w)[:9]).chosen == "rbf"


def _as_seen(model, Z):
    """Rows and targets as `_fit` gets them."""
    from smemnas.surrogates.regression import standardised_target

    y = np.floor(4 * Z[:, 0]) % 2 * 10 + np.floor(3 * Z[:, 1])
    order = canonical_order(Z, y)
    return Z[order], standardised_target(y[order], model.targets)


def test_lightgbm_asks_for_its_extra_where_it_is_absent(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "lightgbm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    Z, y = levels(12, np.random.default_rng(8))
    with pytest.raises(UserError, match=r"pip install -e '\.\[gbdt\]' in the suite's folder"):
        make("lightgbm").fit(Z, y)


@pytest.mark.skipif(importlib.util.find_spec("lightgbm") is None, reason="needs lightgbm: pip install -e '.[gbdt]'")
def test_lightgbm_orders_like_the_boosting_of_the_core():
    rng = np.random.default_rng(9)
    Z, y = levels(200, rng)
    Z_new, y_new = levels(300, rng)
    ours = [discordant_share(make(n).fit(Z, y).rank(Z_new), y_new) for n in ("lightgbm", "boosting")]
    assert abs(ours[0] - ours[1]) < 0.03


def test_checks_report_a_missing_library_as_not_installed(monkeypatch):
    from smemnas.bench.checks import NothingToCheck, checks_of
    from smemnas.surrogates.boosting import LightGBM

    monkeypatch.setattr(LightGBM, "needs", "no_such_library_here")
    with pytest.raises(NothingToCheck, match="no_such_library_here"):
        checks_of("surrogate", "lightgbm")[0].run()


# ---- tuning ----


def test_folds_are_balanced_and_each_spans_the_order():
    fold = folds_of(53, 5, seed=1)
    assert sorted(np.bincount(fold).tolist()) == [10, 10, 11, 11, 11]
    for start in range(0, 50, 5):
        assert sorted(fold[start : start + 5].tolist()) == [0, 1, 2, 3, 4]
    assert not np.array_equal(fold, folds_of(53, 5, seed=2))


def test_the_setting_of_least_error_wins_and_few_rows_choose_none():
    seen = []

    def error(setting, learn, held):
        seen.append((setting, learn, held))
        return abs(setting - 2.0)

    assert least_error((1.0, 2.0, 3.0), error, 12, 3, 0) == 2.0
    assert len(seen) == 9
    for _, learn, held in seen:
        assert sorted([*learn, *held]) == list(range(12))
    assert least_error((1.0,), error, 9, 3, 0) is None


def test_discordant_share_counts_pairs():
    y, score = np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0, 2.0])
    pairs = [(i, j) for i in range(4) for j in range(4) if y[i] < y[j]]
    wrong = sum(1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0 for i, j in pairs)
    assert discordant_share(score, y) == pytest.approx(wrong / len(pairs))
    assert discordant_share(score, np.ones(4)) == 0.5
