"""The pairwise machine on a mask of pairs, regression tuned alike, and strength over a set: against other solvers."""

import numpy as np
import pytest
from scipy.optimize import minimize

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.surrogates.base import SURROGATES, average_ranks, make_surrogate
from smemnas.surrogates.kernel_pairwise import PENALTIES, WIDTHS, KernelPairwise, _pair_weights
from smemnas.surrogates.kernel_regression import KernelRegression
from smemnas.surrogates.kernel_svm_pairwise import KernelSVMPairwise
from smemnas.surrogates.kernels import block_distances, distance_scales, mixed_kernel
from smemnas.surrogates.settled import Settled, settle, translated
from smemnas.surrogates.svm_pairwise import SVMPairwise


def planted(n, d=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.random((n, d))
    return Z, np.sin(3 * Z[:, 0]) + Z[:, 1] ** 2


def kernel_of(model, Z):
    return mixed_kernel(block_distances(Z, Z), distance_scales(block_distances(Z, Z)), (1.0,), model.width_)


# ---- the machine ----


def test_squares_on_all_pairs_meet_ridge_regression_of_their_labels():
    """n = 10: the 90 x 90 system of all pairs of different rows, explicitly."""
    Z, y = planted(10)
    model = KernelSVMPairwise(loss="square", width=0.8, penalty=0.05).fit(Z, y)
    K = kernel_of(model, Z)
    labels = np.sign(y[None, :] - y[:, None])
    rows = np.flatnonzero(labels.ravel())
    big = np.kron(K, K)
    ridge = 0.05 * np.linalg.eigvalsh(K)[-1]
    alpha = np.linalg.solve(big[np.ix_(rows, rows)] + ridge * np.eye(90), labels.ravel()[rows])
    np.testing.assert_allclose(model.pair_scores(Z, Z), (big[:, rows] @ alpha).reshape(10, 10), atol=1e-6)


@pytest.mark.parametrize("max_pairs", [None, 40])
def test_the_squared_hinge_is_minimised(max_pairs):
    """The same loss over explicit rows of pairs, by a general minimiser."""
    Z, y = planted(9, seed=2)
    y[3] = y[7]
    model = KernelSVMPairwise(seed=1, width=0.6, penalty=0.02, max_pairs=max_pairs).fit(Z, y)
    K = kernel_of(model, Z)
    ridge = 0.02 * np.linalg.eigvalsh(K)[-1]
    labels = np.sign(y[None, :] - y[:, None]).ravel()
    # A pair counts where the optimum has a coefficient or its decision is beyond the margin; the sampled ones are kept
    # by the model's own mask, which is checked by their number.
    A = model._Q @ model._inner @ model._Q.T
    f = K @ A @ K
    if max_pairs is None:
        rows = np.flatnonzero(labels)
    else:
        rows = np.flatnonzero((np.abs(A) > 1e-9).ravel())
        assert 4 <= len(rows) <= max_pairs
        assert (A.ravel()[rows] * labels[rows] > 0).all()
    big = np.kron(K, K)[np.ix_(rows, rows)]

    def loss(alpha):
        f_rows = big @ alpha
        lost = np.maximum(0.0, 1.0 - labels[rows] * f_rows)
        return (
            0.5 * ridge * alpha @ f_rows + 0.5 * lost @ lost,
            ridge * f_rows - big @ (labels[rows] * lost),
        )

    best = minimize(loss, np.zeros(len(rows)), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 1e-15})
    ours = loss(A.ravel()[rows])[0]
    assert ours == pytest.approx(best.fun, rel=1e-4)
    assert ours <= best.fun * (1 + 1e-9)
    np.testing.assert_allclose(A, -A.T, atol=1e-9)
    np.testing.assert_allclose(f, -f.T, atol=1e-9)


def test_the_machine_knows_neither_the_order_of_rows_nor_the_scale_of_outcomes():
    Z, y = planted(40)
    new = planted(30, seed=4)[0]
    turn = np.random.default_rng(0).permutation(40)
    for params in ({}, {"max_pairs": 200}):
        ours = KernelSVMPairwise(**params).fit(Z, y).rank(new)
        np.testing.assert_allclose(
            KernelSVMPairwise(**params).fit(Z[turn], np.exp(3 * y[turn])).rank(new), ours, atol=1e-5
        )
    assert not np.allclose(KernelSVMPairwise(seed=1, max_pairs=200).fit(Z, y).rank(new), ours, atol=1e-3)


@pytest.mark.parametrize("readout", ["tanh", "vote"])
def test_a_machine_stays_antisymmetric_where_encodings_repeat(readout):
    """Else rounding grows in the conjugate gradients, until the processor decides who is better."""
    cells = open_benchmark("nb201", "cifar10", ("val_error", "flops"))
    X = cells.space.sample(100, np.random.default_rng(100))
    Z, y = cells.space.encode(X, "path"), cells.evaluate(X, 0).F[:, 0]
    assert len(np.unique(Z, axis=0)) < 100
    model = KernelSVMPairwise(readout=readout).fit(Z, y)
    scores = model.pair_scores(Z, Z)
    assert np.abs(scores + scores.T).max() < 1e-10
    assert np.abs(np.diag(scores)).max() < 1e-10


def test_a_machine_on_equal_outcomes_says_nothing():
    Z, _ = planted(6)
    np.testing.assert_array_equal(KernelSVMPairwise().fit(Z, np.ones(6)).rank(Z), np.zeros(6))


# ---- regression, tuned alike ----


@pytest.mark.parametrize("targets", ["value", "rank"])
def test_regression_is_tuned_by_the_pairwise_criterion(targets):
    """Width and penalty are those that explicit refits without each row would choose; the model is plain ridge."""
    Z, y = planted(14, seed=3)
    y = np.exp(2 * y)
    model = KernelRegression(targets=targets).fit(Z, y)
    t = average_ranks(y) if targets == "rank" else y
    t = (t - t.mean()) / t.std()
    distances = block_distances(Z, Z)
    scales, weights = distance_scales(distances), _pair_weights(y, 3.0)
    best, chosen = -np.inf, None
    for width in WIDTHS:
        K = mixed_kernel(distances, scales, (1.0,), width)
        for penalty in PENALTIES:
            out = np.empty(14)
            for i in range(14):
                rest = np.delete(np.arange(14), i)
                out[i] = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + penalty * np.eye(13), t[rest])
            out = settle(out)
            agreement = (weights * np.sign(out[None, :] - out[:, None])).sum()
            if agreement > best:
                best, chosen = agreement, (width, penalty)
    assert (model.width_, model.penalty_) == chosen
    K = mixed_kernel(distances, scales, (1.0,), chosen[0])
    np.testing.assert_allclose(model.rank(Z), K @ np.linalg.solve(K + chosen[1] * np.eye(14), t), atol=1e-9)


def test_regression_on_ranks_chooses_as_the_pairwise_surrogates_do():
    Z, y = planted(50, seed=5)
    models = [cls().fit(Z, y) for cls in (KernelPairwise, KernelSVMPairwise)]
    models.append(KernelRegression(targets="rank").fit(Z, y))
    assert len({(m.width_, m.penalty_) for m in models}) == 1
    two_step = KernelPairwise(form="two-step", readout="mean").fit(Z, y).rank(Z)
    ours = models[2].rank(Z)
    assert np.corrcoef(two_step, ours)[0, 1] > 0.999


# ---- strength over the set ----


class Card(KernelPairwise):
    """Beats whoever has a larger number in the first column, but 1 beats 3."""

    def __init__(self):
        super().__init__(readout="vote", opponents="set")

    def fit(self, Z, y):
        return self

    def against(self, Z, rivals):
        wins = np.sign(rivals[None, :, 0] - Z[:, None, 0])
        wins[(Z[:, None, 0] == 3) & (rivals[None, :, 0] == 1)] = -1
        return -wins.mean(axis=1)


def test_strength_accumulates_the_outcomes_over_the_set():
    """Outcomes by hand: 1, 2, 4 are beaten as follows, each row's wins minus losses over the three of the set."""
    Z = np.array([[1.0], [2.0], [4.0]])
    known = Card()
    np.testing.assert_allclose(known.against(Z, Z), [-2 / 3, 0.0, 2 / 3])
    # Against {1, 2} alone the middle one has lost once, so its strength is another: it depends on the set.
    np.testing.assert_allclose(known.against(Z[1:2], Z[:2]), [0.5])


@pytest.mark.parametrize("model", [KernelPairwise(readout="vote"), SVMPairwise(seed=0), KernelSVMPairwise()])
def test_strength_over_the_archive_is_the_default(model):
    Z, y = planted(20)
    new = planted(9, seed=1)[0]
    model.fit(Z, y)
    np.testing.assert_allclose(model.against(new, Z), model.rank(new), atol=1e-9)
    assert not model.over_set


@pytest.mark.parametrize(("cls", "params"), [(KernelPairwise, {}), (SVMPairwise, {"seed": 0})])
def test_strength_over_the_set_is_the_mean_of_its_pairs(cls, params):
    Z, y = planted(20)
    new = planted(9, seed=1)[0]
    model = cls(opponents="set", **params).fit(Z, y)
    if cls is KernelPairwise:
        expected = -np.tanh(model.pair_scores(new, new)).mean(axis=1)
    else:
        margin = 0.5 * (model.decision(new, new) - model.decision(new, new).T)
        expected = -(0.5 * (1 + np.sign(np.round(margin, 9)))).mean(axis=1)
    np.testing.assert_allclose(model.rank(new), expected, atol=1e-9)
    assert model.over_set


def test_scores_over_a_set_are_never_remembered_from_another_set():
    Z, y = planted(20)
    new = planted(30, seed=1)[0]
    fitted = Settled(KernelPairwise(opponents="set"), Z, y)
    whole, part = fitted.rank(new), fitted.rank(new[:6])
    assert not np.allclose(whole[:6], part, atol=1e-3)
    np.testing.assert_array_equal(fitted.rank(new), whole)
    # Whatever the set, the order is that of its strengths, and training rows keep their own scores but for rounding.
    strength = KernelPairwise(opponents="set").fit(Z, y).rank(new)
    np.testing.assert_array_equal(np.argsort(whole), np.argsort(strength))
    np.testing.assert_allclose(fitted.rank(Z), fitted.own_scores, atol=1e-5)


def test_translation_is_monotone_and_goes_on_beyond_the_ends():
    scores, values = np.array([0.0, 1.0, 2.0]), np.array([10.0, 10.0, 14.0])
    np.testing.assert_allclose(translated(np.array([-1.0, 0.5, 1.5, 3.0]), scores, values), [8, 10, 12, 16], atol=1e-7)
    assert (np.diff(translated(np.linspace(-1, 3, 50), scores, values)) > 0).all()


def test_a_search_accumulates_strength_by_a_parameter_of_its_surrogate():
    from smemnas.bench.benchmarks.catalog import open_benchmark

    bench = open_benchmark("nb201", "cifar10")
    asked = {}
    for opponents in ("archive", "set"):
        params = {"initial": 30, "surrogate_params": {"opponents": opponents}, "population": 12, "generations": 3}
        method = METHODS.create("smemnas", bench.problem, budget=40, seed=0, params=params)
        X = method.ask()
        method.tell(X, bench.evaluate(X, 0).F)
        asked[opponents] = method.ask()
    assert len(asked["set"]) == 5
    assert not np.array_equal(asked["set"], asked["archive"])


# ---- the library's machine on all pairs ----


def test_all_pairs_are_for_the_ranking_and_for_a_hundred_rows():
    Z, y = planted(12)
    model = make_surrogate("svm_pairwise", seed=0, blocks=(), params={"max_pairs": None}, searches=False)
    ours = SVMPairwise(seed=5, max_pairs=132).fit(Z, y).rank(Z)
    np.testing.assert_array_equal(model.fit(Z, y).rank(Z), ours)
    with pytest.raises(UserError, match="up to 100 architectures, got 101: 10,100 rows take minutes"):
        model.fit(*planted(101))
    with pytest.raises(UserError, match="is for 'rank' only"):
        make_surrogate("svm_pairwise", seed=0, blocks=(), params={"max_pairs": None})


def test_an_unknown_loss_and_opponent_are_refused():
    for name, params in (
        ("kernel_svm_pairwise", {"loss": "hinge"}),
        ("kernel_svm_pairwise", {"max_pairs": 1}),
        ("kernel_pairwise", {"opponents": "all"}),
        ("kernel_regression", {"targets": "ranks"}),
    ):
        with pytest.raises(UserError, match="got"):
            SURROGATES.create(name, seed=0, params=params)
