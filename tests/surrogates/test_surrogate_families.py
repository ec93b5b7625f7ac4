"""Each family of surrogates agrees with an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.spatial.distance import cdist

from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES
from smemnas.surrogates.base import SURROGATES, average_ranks
from smemnas.surrogates.kernel_ridge import KernelRidge, leave_one_out
from smemnas.surrogates.kernels import block_distances, distance_scales, mixed_kernel, resolve_blocks
from smemnas.surrogates.rbf import CubicRBF
from smemnas.surrogates.svm_pairwise import SVMPairwise, sample_pairs


def make(name, seed=0, **params):
    return SURROGATES.create(name, seed=seed, params=params)


def levels(n, rng):
    """Toy genes ``(n, 5)`` in [0, 1] and a monotone, curved outcome ``(n,)`` that falls in every gene."""
    Z = rng.integers(0, 5, (n, 5)) / 4.0
    return Z, (1.0 - Z) ** 2 @ np.array([1.0, 1.2, 1.5, 1.9, 2.4])


# ---- kernels ----


def test_block_distances_equal_the_loop():
    rng = np.random.default_rng(10)
    A, B = 50.0 + rng.random((7, 5)), 50.0 + rng.random((4, 5))
    for D, part in zip(block_distances(A, B, (2, 3)), (slice(0, 2), slice(2, 5)), strict=True):
        np.testing.assert_allclose(D, cdist(A[:, part], B[:, part], "sqeuclidean"), atol=1e-12)
    assert all((D >= 0.0).all() for D in block_distances(A, A, (2, 3)))
    with pytest.raises(UserError, match="cover 4 columns"):
        block_distances(A, B, (2, 2))


def test_mixed_kernel_is_the_weighted_sum_of_normalised_kernels():
    rng = np.random.default_rng(11)
    Z = rng.random((6, 5))
    blocks, weights = resolve_blocks(5, (2, 3), (0.3, 0.7))
    distances = block_distances(Z, Z, blocks)
    scales = distance_scales(distances)
    K = mixed_kernel(distances, scales, weights, 0.8)
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    first = np.mean([np.sum((Z[i, :2] - Z[j, :2]) ** 2) for i, j in pairs])
    second = np.mean([np.sum((Z[i, 2:] - Z[j, 2:]) ** 2) for i, j in pairs])
    for i, j in pairs:
        a = np.sum((Z[i, :2] - Z[j, :2]) ** 2) / (2 * 0.8**2 * first)
        b = np.sum((Z[i, 2:] - Z[j, 2:]) ** 2) / (2 * 0.8**2 * second)
        assert K[i, j] == pytest.approx(0.3 * np.exp(-a) + 0.7 * np.exp(-b), abs=1e-12)
    assert resolve_blocks(5) == ((5,), (1.0,))
    assert distance_scales([np.zeros((3, 3))]) == (1.0,)


# ---- kernel ridge regression ----


def ridge_prediction(K, t, lam, k_new):
    """Solve the bordered system with a free intercept, directly."""
    n = len(t)
    M = np.block([[K + lam * np.eye(n), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    a = np.linalg.solve(M, np.append(t, 0.0))
    return k_new @ a[:n] + a[n]


def test_leave_one_out_equals_refitting_n_times():
    rng = np.random.default_rng(12)
    Z, t = levels(15, rng)
    Z[3] = Z[4]  # a repeated row makes K singular
    D = block_distances(Z, Z)
    K = mixed_kernel(D, distance_scales(D), (1.0,), 0.7)
    lambdas = np.array([0.01, 0.3, 10.0])
    errors, coefficients, intercepts = leave_one_out(K, t, lambdas)
    for at, lam in enumerate(lambdas):
        for i in range(15):
            rest = np.delete(np.arange(15), i)
            guess = ridge_prediction(K[np.ix_(rest, rest)], t[rest], lam, K[i, rest])
            assert errors[at, i] == pytest.approx(t[i] - guess, abs=1e-9)
        np.testing.assert_allclose(K @ coefficients[at] + intercepts[at], ridge_prediction(K, t, lam, K), atol=1e-9)


@pytest.mark.parametrize("blocks", [(), (2, 3)])
def test_kernel_ridge_takes_the_setting_of_least_brute_force_error(blocks):
    rng = np.random.default_rng(13)
    Z, y = levels(12, rng)
    Z_new, _ = levels(20, rng)
    model = KernelRidge(seed=0, targets="rank", widths=(0.4, 1.0, 2.0), lambdas=(0.01, 0.1, 1.0), blocks=blocks)
    scores = model.fit(Z, y).rank(Z_new)
    sizes, weights = resolve_blocks(5, blocks)
    D, scales = block_distances(Z, Z, sizes), distance_scales(block_distances(Z, Z, sizes))
    t = average_ranks(y)
    t = (t - t.mean()) / t.std()
    loss = {}
    for width in (0.4, 1.0, 2.0):
        K = mixed_kernel(D, scales, weights, width)
        for lam in (0.01, 0.1, 1.0):
            rests = [np.delete(np.arange(12), i) for i in range(12)]
            guess = [ridge_prediction(K[np.ix_(r, r)], t[r], lam, K[i, r]) for i, r in enumerate(rests)]
            loss[width, lam] = np.sum((t - guess) ** 2)
    assert model.chosen == min(loss, key=loss.get)
    width, lam = model.chosen
    k_new = mixed_kernel(block_distances(Z_new, Z, sizes), scales, weights, width)
    expected = ridge_prediction(mixed_kernel(D, scales, weights, width), t, lam, k_new)
    np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_blocks_and_weights_matter_and_extremes_reduce():
    rng = np.random.default_rng(14)
    Z, y = levels(20, rng)
    Z_new, _ = levels(20, rng)
    both = make("kernel_ridge", blocks=(2, 3)).fit(Z, y).rank(Z_new)
    one = make("kernel_ridge").fit(Z, y).rank(Z_new)
    assert not np.allclose(both, one, atol=1e-3)
    first = make("kernel_ridge", blocks=(2, 3), weights=(1.0, 0.0)).fit(Z, y).rank(Z_new)
    alone = make("kernel_ridge").fit(Z[:, :2], y).rank(Z_new[:, :2])
    np.testing.assert_allclose(first, alone, atol=1e-9)
    assert SURROGATES.get("kernel_ridge_rank").factory.uses_blocks
    with pytest.raises(UserError, match="cover"):
        make("kernel_ridge", blocks=(2, 2)).fit(Z, y)


# ---- cubic RBF ----


def test_rbf_equals_scipy_where_the_block_system_is_regular():
    rng = np.random.default_rng(15)
    Z, y, Z_new = rng.random((25, 4)), rng.random(25), rng.random((30, 4))
    scores = CubicRBF(seed=0).fit(Z, y).rank(Z_new)
    expected = RBFInterpolator(Z, y, kernel="cubic", degree=1)(Z_new)
    np.testing.assert_allclose(scores * y.std() + y.mean(), expected, atol=1e-8)


@pytest.mark.parametrize("n", [3, 12, 60])
def test_rbf_interpolates_one_hot_rows_and_averages_repeats(n):
    rng = np.random.default_rng(16)
    space = SPACES.create("nb201")
    X = space.sample(n, rng)
    Z = space.encode(X, "onehot")  # collinear: every block sums to one
    y = rng.random(n)
    Z, y = np.vstack([Z, Z[:2]]), np.append(y, [5.0, -3.0])
    _, inverse = np.unique(X, axis=0, return_inverse=True)
    inverse = np.append(inverse.reshape(-1), inverse.reshape(-1)[:2])
    mean = np.array([y[inverse == i].mean() for i in inverse])
    scores = CubicRBF(seed=0).fit(Z, y).rank(Z)
    np.testing.assert_allclose(scores * y.std() + y.mean(), mean, atol=1e-8)


def test_rbf_reproduces_a_linear_function_everywhere_and_smoothing_relaxes():
    rng = np.random.default_rng(17)
    Z, Z_new, slope = rng.random((40, 6)), 3.0 * rng.random((20, 6)), rng.normal(size=6)
    scores = CubicRBF(seed=0).fit(Z, Z @ slope).rank(Z_new)
    y = Z @ slope
    np.testing.assert_allclose(scores * y.std() + y.mean(), Z_new @ slope, atol=1e-7)
    noisy = y + rng.normal(0.0, 1.0, 40)
    smooth = CubicRBF(seed=0, smoothing=1.0).fit(Z, noisy).rank(Z) * noisy.std() + noisy.mean()
    assert np.abs(smooth - noisy).max() > 0.1


# ---- Gaussian process ----


@pytest.mark.parametrize("kernel", ["rbf", "matern"])
def test_gp_predicts_by_the_textbook_formula_and_climbs_the_likelihood(kernel):
    rng = np.random.default_rng(18)
    Z, y = levels(25, rng)
    Z_new, _ = levels(15, rng)
    model = make("gp", kernel=kernel, restarts=1).fit(Z, y)
    amplitude, length, noise = np.exp(model._model.kernel_.theta)
    unit = np.sqrt(cdist(Z, Z, "sqeuclidean").sum() / (25 * 24))

    def k(A, B):
        r = cdist(A, B) / unit / length
        if kernel == "rbf":
            return amplitude * np.exp(-0.5 * r**2)
        s = np.sqrt(5.0) * r
        return amplitude * (1.0 + s + s**2 / 3.0) * np.exp(-s)

    t = (y - y.mean()) / y.std()
    C = k(Z, Z) + (noise + 1e-10) * np.eye(25)
    np.testing.assert_allclose(model.rank(Z_new), k(Z_new, Z) @ np.linalg.solve(C, t), atol=1e-7)
    likelihood = -0.5 * (t @ np.linalg.solve(C, t) + np.linalg.slogdet(C)[1] + 25 * np.log(2 * np.pi))
    C_start = (C - (noise + 1e-10) * np.eye(25)) / amplitude + 0.1 * np.eye(25)
    start = -0.5 * (t @ np.linalg.solve(C_start, t) + np.linalg.slogdet(C_start)[1] + 25 * np.log(2 * np.pi))
    assert likelihood == pytest.approx(model._model.log_marginal_likelihood_value_, abs=1e-6)
    assert likelihood > start


# ---- trees ----


def test_forest_and_cart_stay_within_the_outcomes_and_cart_fits_them():
    rng = np.random.default_rng(19)
    Z, y = levels(40, rng)
    Z, keep = np.unique(Z, axis=0, return_index=True)
    y = y[keep]
    t = (y - y.mean()) / y.std()
    for name in ("forest", "cart"):
        scores = make(name).fit(Z, y).rank(rng.random((50, 5)) * 3 - 1)
        assert scores.min() >= t.min() - 1e-6
        assert scores.max() <= t.max() + 1e-6
    # With one column there is one subset: every full-grown tree returns the mean outcome of each level.
    column = Z[:, :1]
    mean = np.array([t[column[:, 0] == v].mean() for v in column[:, 0]])
    np.testing.assert_allclose(make("cart", n_trees=3).fit(column, y).rank(column), mean, atol=1e-6)


def test_cart_is_the_mean_of_scikit_learns_own_predictions(monkeypatch):
    """Bit by bit: an estimator checks what it is given, and does no more than the tree that is asked here."""
    from sklearn import tree as library

    rng = np.random.default_rng(23)
    Z, y = levels(60, rng)
    queries = rng.integers(0, 4, (40, 5)).astype(float)
    fitted = []

    class Kept(library.DecisionTreeRegressor):
        def fit(self, X, t, **options):
            fitted.append((X.copy(), t.copy(), self))
            return super().fit(X, t, **options)

    monkeypatch.setattr(library, "DecisionTreeRegressor", Kept)
    scores = make("cart", n_trees=20).fit(Z, y).rank(queries)
    total = np.zeros(len(queries))
    for X, t, model in list(fitted):
        columns = [next(k for k in range(5) if (Z[:, k] == column).all()) for column in X.T]
        total += library.DecisionTreeRegressor(random_state=model.random_state).fit(X, t).predict(queries[:, columns])
    np.testing.assert_array_equal(scores, total / 20)


# ---- pairwise SVM ----


def all_pairs(Z, y, combine):
    """Rows and labels of every ordered, untied pair, one by one."""
    rows, labels = [], []
    for i in range(len(y)):
        for j in range(len(y)):
            if y[i] != y[j]:
                rows.append(np.append(Z[i], Z[j]) if combine == "concat" else Z[i] - Z[j])
                labels.append(1 if y[i] < y[j] else -1)
    return np.array(rows), np.array(labels)


@pytest.mark.parametrize("combine", ["concat", "difference"])
@pytest.mark.parametrize("opponents", ["archive", "set"])
@pytest.mark.parametrize("readout", ["vote", "margin"])
@pytest.mark.parametrize("block", [None, 50])
def test_svm_equals_brute_force(combine, opponents, readout, block, monkeypatch):
    from sklearn.svm import SVC

    if block is not None:
        monkeypatch.setattr("smemnas.surrogates.svm_pairwise.BLOCK", block)
    rng = np.random.default_rng(20)
    Z, y = levels(12, rng)
    y = np.round(y, 0)  # ties
    Z_new, _ = levels(9, rng)
    model = SVMPairwise(seed=0, combine=combine, opponents=opponents, readout=readout).fit(Z, y)
    rows, labels = all_pairs(Z, y, combine)
    svc = SVC(kernel="rbf", C=1.0, gamma="scale", tol=1e-3).fit(rows, labels)

    def f(a, b):
        row = np.append(a, b) if combine == "concat" else a - b
        return svc.decision_function(row[None, :])[0]

    rivals = Z if opponents == "archive" else Z_new
    margin = np.array([[0.5 * (f(a, b) - f(b, a)) for b in rivals] for a in Z_new])
    own = 0.5 * (model.decision(Z_new, rivals) - model.decision(rivals, Z_new).T)
    # The solver stops at a tolerance of 1e-3 on the decision value, and sees the rows in another order.
    np.testing.assert_allclose(own, margin, atol=1e-2)
    scores = -model.rank(Z_new)
    if readout == "margin":
        np.testing.assert_allclose(scores, np.tanh(margin).mean(axis=1), atol=1e-2)
    else:
        share = np.where(own == 0.0, 0.5, own > 0.0).mean(axis=1)
        np.testing.assert_allclose(scores, share, atol=1e-12)
        unsure = (np.abs(margin) < 1e-2).mean(axis=1)
        assert (np.abs(scores - (margin > 0.0).mean(axis=1)) <= unsure + 1e-12).all()
        assert unsure.mean() < 0.3


@pytest.mark.parametrize("combine", ["concat", "difference"])
def test_svm_decision_is_that_of_its_own_library_model(combine, monkeypatch):
    monkeypatch.setattr("smemnas.surrogates.svm_pairwise.GIVEN_ROWS", 0)  # the library computes the kernel itself
    rng = np.random.default_rng(21)
    Z, y = levels(15, rng)
    A, B = rng.random((4, 5)), rng.random((6, 5))
    model = SVMPairwise(seed=0, combine=combine).fit(Z, y)
    rows = [np.append(a, b) if combine == "concat" else a - b for a in A for b in B]
    expected = model._model.decision_function(np.array(rows)).reshape(4, 6)
    np.testing.assert_allclose(model.decision(A, B), expected, atol=1e-10)


def test_pairs_are_all_untied_pairs_or_a_seeded_subset_of_them():
    y = np.sort(np.array([1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 5.0]))
    everything = {(i, j) for i in range(7) for j in range(7) if y[i] < y[j]}
    better, worse = sample_pairs(y, 1000, np.random.default_rng(0))
    assert sorted(zip(better, worse, strict=True)) == sorted(everything)
    exact, _ = sample_pairs(y, 2 * len(everything), np.random.default_rng(0))
    assert len(exact) == len(everything)
    drawn = set()
    for seed in range(60):
        better, worse = sample_pairs(y, 11, np.random.default_rng(seed))
        chosen = set(zip(better, worse, strict=True))
        assert len(better) == len(chosen) == 5
        assert chosen <= everything
        drawn |= chosen
    assert drawn == everything


def test_sampled_pairs_come_in_both_orders_and_depend_on_the_seed(monkeypatch):
    import sklearn.svm

    seen = []

    class Spy(sklearn.svm.SVC):
        def fit(self, X, y):
            seen.append((X, y))
            return super().fit(X, y)

    monkeypatch.setattr(sklearn.svm, "SVC", Spy)
    monkeypatch.setattr("smemnas.surrogates.svm_pairwise.GIVEN_ROWS", 0)  # so that the library sees the rows
    rng = np.random.default_rng(22)
    Z, y = rng.random((40, 5)), rng.random(40)
    for seed in (0, 0, 1):
        SVMPairwise(seed=seed, max_pairs=101).fit(Z, y)
    rows, labels = seen[0]
    assert len(rows) == 100
    assert labels.sum() == 0
    swapped = np.hstack([rows[:, 5:], rows[:, :5]])
    mirror = {(*row, -label) for row, label in zip(swapped, labels, strict=True)}
    assert mirror == {(*row, label) for row, label in zip(rows, labels, strict=True)}
    np.testing.assert_array_equal(rows, seen[1][0])
    assert not np.array_equal(rows, seen[2][0])
    outcome = {tuple(z): v for z, v in zip(Z, y, strict=True)}
    for row, label in zip(rows, labels, strict=True):
        assert label == (1 if outcome[tuple(row[:5])] < outcome[tuple(row[5:])] else -1)


def test_sampled_pairs_do_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(23)
    Z, y = levels(40, rng)
    y = np.round(y, 0)  # ties, so that sorting by outcome alone would not settle the order
    turn = rng.permutation(40)
    expected = SVMPairwise(seed=0, max_pairs=200, readout="margin").fit(Z, y).rank(Z)
    turned = SVMPairwise(seed=0, max_pairs=200, readout="margin").fit(Z[turn], y[turn]).rank(Z)
    np.testing.assert_allclose(turned, expected, atol=1e-12)


def test_rounding_decides_no_vote():
    """A margin that only rounding keeps from zero counts as a tie, whatever its sign."""
    from smemnas.surrogates.base import clear_sign

    np.testing.assert_array_equal(clear_sign(np.array([3e-17, -2e-12, 0.0, 1e-6, -0.5])), [0, 0, 0, 1, -1])
