"""Every registered surrogate keeps the contract."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import SURROGATES


def is_installed(name):
    needs = SURROGATES.get(name).factory.needs
    return not needs or importlib.util.find_spec(needs) is not None


NAMES = [n for n in SURROGATES.names() if is_installed(n)]
#: Those that must order architectures; the controls must not.
LEARNERS = [n for n in NAMES if n not in {"random", "constant"}]
#: Deterministic in the training set as a set: the order of the rows may change last digits only.
ORDER_FREE = [n for n in LEARNERS if n not in {"forest", "forest_rank", "cart"}]
RANK_BASED = [
    n
    for n in NAMES
    if n.endswith("_rank") or "pairwise" in n or n in {"ranksvm", "ranknet", "listnet", "listmle", "ranknet_top"}
]


def make(name, seed=0, **params):
    return SURROGATES.create(name, seed=seed, params=params)


def levels(n, rng, d=5):
    """Toy genes ``(n, d)`` in [0, 1] and a monotone, curved outcome ``(n,)`` that falls in every gene."""
    Z = rng.integers(0, 5, (n, d)) / 4.0
    return Z, ((1.0 - Z) ** 2 @ np.array([1.0, 1.2, 1.5, 1.9, 2.4])[:d])


def test_the_families_are_registered():
    wanted = {"svm_pairwise", "gp", "gp_rank", "rbf", "rbf_rank", "forest", "forest_rank", "cart"}
    assert wanted | {"kernel_ridge", "kernel_ridge_rank", "random", "constant"} <= set(NAMES)
    pairs = {"kernel_pairwise", "relevance_pairwise", "ranksvm", "logistic_pairwise", "forest_pairwise"}
    assert pairs | {"boosting_pairwise", "ranknet", "kernel_svm_pairwise", "kernel_svm_pairwise_2000"} <= set(NAMES)
    assert {"listnet", "listmle", "ranknet_top", "kernel_regression", "kernel_regression_rank"} <= set(NAMES)
    for name in ("svr", "boosting", "lightgbm", "mlp", "knn", "adaptive"):
        assert {name, f"{name}_rank"} <= set(SURROGATES.names())
    assert all(entry.summary for entry in SURROGATES)


# ---- the contract, over every registered surrogate ----


@pytest.mark.parametrize("name", LEARNERS)
def test_smaller_is_better(name):
    Z = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]])
    for order in ([0, 1, 2], [2, 0, 1]):
        y = np.array([1.0, 2.0, 3.0])[order]
        scores = make(name).fit(Z[order], y).rank(Z)
        assert scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("name", LEARNERS)
def test_learns_a_monotone_function(name):
    rng = np.random.default_rng(7)
    Z, y = levels(80, rng)
    Z_new, y_new = levels(300, rng)
    tau = kendalltau(make(name).fit(Z, y).rank(Z_new), y_new)[0]
    # One gene alone, the heaviest, orders the same rows at about .42, so .6 takes most of the five.
    assert kendalltau(-Z_new[:, -1], y_new)[0] < 0.5
    assert tau > 0.6


def test_the_control_knows_nothing():
    rng = np.random.default_rng(3)
    Z, y = levels(100, rng)
    Z_new, y_new = rng.random((2000, 5)), rng.random(2000)
    model = make("random").fit(Z, y)
    scores = model.rank(Z_new)
    # Standard error of tau over 2,000 independent rows: .015.
    assert abs(kendalltau(scores, y_new)[0]) < 0.06
    assert abs(kendalltau(scores, Z_new[:, 0])[0]) < 0.06
    assert np.histogram(scores, 10, (0.0, 1.0))[0].min() > 130
    np.testing.assert_array_equal(model.rank(Z_new[::-1]), scores[::-1])
    assert abs(kendalltau(make("random", 1).fit(Z, y).rank(Z_new), scores)[0]) < 0.06
    assert abs(kendalltau(model.fit(Z[1:], y[1:]).rank(Z_new), scores)[0]) < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_answer_and_no_global_state(name):
    rng = np.random.default_rng(1)
    Z, y = levels(30, rng)
    np.random.seed(5)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make(name, 4).fit(Z, y).rank(Z)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.random.seed(6)  # noqa: NPY002
    np.testing.assert_array_equal(make(name, 4).fit(Z, y).rank(Z), first)


@pytest.mark.parametrize("name", NAMES)
def test_fit_forgets_and_leaves_its_input_alone(name):
    rng = np.random.default_rng(2)
    Z, y = levels(25, rng)
    other, y_other = levels(40, rng, 3)
    Z_kept, y_kept = Z.copy(), y.copy()
    used = make(name).fit(other, y_other)
    used.rank(other)
    used.fit(Z, y)
    used.rank(Z[:3])
    np.testing.assert_array_equal(used.rank(Z), make(name).fit(Z, y).rank(Z))
    np.testing.assert_array_equal(Z, Z_kept)
    np.testing.assert_array_equal(y, y_kept)
    constant = used.fit(Z, np.ones(25))
    np.testing.assert_array_equal(constant.rank(Z), make(name).fit(Z, np.ones(25)).rank(Z))


@pytest.mark.parametrize("name", ORDER_FREE)
def test_order_of_training_rows_does_not_matter(name):
    rng = np.random.default_rng(3)
    Z, y = levels(30, rng)
    Z_new, _ = levels(50, rng)
    turn = rng.permutation(30)
    # The optimiser of the Gaussian process stops at a tolerance; the others solve in closed form.
    tolerance = 1e-3 if name.startswith("gp") else 1e-8
    expected = make(name).fit(Z, y).rank(Z_new)
    np.testing.assert_allclose(make(name).fit(Z[turn], y[turn]).rank(Z_new), expected, atol=tolerance)


@pytest.mark.parametrize("name", LEARNERS)
def test_constant_outcomes_teach_nothing(name):
    Z, _ = levels(12, np.random.default_rng(4))
    np.testing.assert_array_equal(make(name).fit(Z, np.full(12, 7.3)).rank(Z), 0.0)


@pytest.mark.parametrize("name", LEARNERS)
def test_two_rows(name):
    Z = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    scores = make(name).fit(Z, np.array([2.0, 1.0])).rank(Z)
    assert scores[1] < scores[0]


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("same", [True, False])
def test_repeated_rows_and_ties(name, same):
    rng = np.random.default_rng(5)
    Z, y = levels(20, rng)
    Z, y = np.vstack([Z, Z, Z[:5]]), np.round(np.concatenate([y, y, y[:5]]), 0)
    if not same:
        y = y + rng.normal(0.0, 0.3, len(y)).round(1)
    scores = make(name).fit(Z, y).rank(Z)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[:20], scores[20:40], atol=1e-9)
    assert kendalltau(scores, y)[0] > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_identical_rows_with_different_outcomes(name):
    scores = make(name).fit(np.ones((4, 3)), np.array([1.0, 2.0, 3.0, 4.0])).rank(np.ones((2, 3)))
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("Z", "y"),
    [
        (np.array([[0.0], [np.nan], [1.0]]), np.arange(3.0)),
        (np.arange(3.0)[:, None], np.array([1.0, np.inf, 2.0])),
        (np.arange(3.0)[:, None], np.array([1.0, np.nan, 2.0])),
        (np.arange(3.0)[:, None], np.arange(4.0)),
        (np.arange(3.0), np.arange(3.0)),
        (np.zeros((1, 2)), np.zeros(1)),
    ],
    ids=["nan-Z", "inf-y", "nan-y", "lengths", "one-dimensional", "one-row"],
)
def test_bad_training_data_is_refused(name, Z, y):
    with pytest.raises(UserError):
        make(name).fit(Z, y)


@pytest.mark.parametrize("name", NAMES)
def test_bad_queries_are_refused(name):
    Z, y = levels(10, np.random.default_rng(6))
    model = make(name)
    with pytest.raises(UserError, match="fit"):
        model.rank(Z)
    model.fit(Z, y)
    with pytest.raises(UserError):
        model.rank(Z[:, :3])
    with pytest.raises(UserError):
        model.rank(np.full((2, 5), np.nan))
    assert model.rank(Z[:0]).shape == (0,)
    assert model.rank(Z[:1]).shape == (1,)


@pytest.mark.parametrize("name", [n for n in RANK_BASED if n in ORDER_FREE] + ["forest_rank"])
def test_only_the_order_of_outcomes_counts(name):
    rng = np.random.default_rng(8)
    Z, y = levels(30, rng)
    expected = make(name).fit(Z, y).rank(Z)
    np.testing.assert_array_equal(make(name).fit(Z, np.exp(3.0 * y) - 100.0).rank(Z), expected)


@pytest.mark.parametrize("name", ["gp", "rbf", "forest", "kernel_ridge", "svr", "boosting", "mlp", "knn"])
def test_value_targets_are_affine_equivariant_and_differ_from_ranks(name):
    rng = np.random.default_rng(9)
    Z, y = levels(30, rng)
    Z_new, _ = levels(40, rng)
    y = y**4
    values = make(name).fit(Z, y).rank(Z_new)
    # Tree splits and the likelihood search may turn on the last digit: compare the order, not the bits.
    scaled = make(name).fit(Z, 1e3 * y + 5e4).rank(Z_new)
    assert kendalltau(values, scaled)[0] > 0.97
    assert not np.allclose(values, make(f"{name}_rank").fit(Z, y).rank(Z_new), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("svm_pairwise", {"combine": "sum"}),
        ("svm_pairwise", {"max_pairs": 1}),
        ("svm_pairwise", {"C": 0.0}),
        ("svm_pairwise", {"gamma": "wide"}),
        ("svm_pairwise", {"gamma": -1.0}),
        ("svm_pairwise", {"opponents": "none"}),
        ("svm_pairwise", {"readout": "mean"}),
        ("gp", {"targets": "ranks"}),
        ("gp", {"kernel": "linear"}),
        ("gp", {"restarts": -1}),
        ("rbf", {"smoothing": -0.1}),
        ("forest", {"n_trees": 0}),
        ("forest", {"max_features": 1.5}),
        ("forest", {"min_samples_leaf": True}),
        ("cart", {"n_trees": 2.5}),
        ("kernel_ridge", {"widths": ()}),
        ("kernel_ridge", {"lambdas": (0.1, 0.0)}),
        ("kernel_ridge", {"blocks": (3, 0)}),
        ("kernel_ridge", {"blocks": (3, 2), "weights": (0.5, 0.6)}),
        ("kernel_ridge", {"blocks": (3, 2), "weights": (1.0,)}),
        ("kernel_pairwise", {"precision": "half"}),
        ("relevance_pairwise", {"rounds": -1}),
        ("relevance_pairwise", {"mix": 1.1}),
        ("relevance_pairwise", {"readout": "sum"}),
        ("ranksvm", {"C": 0.0}),
        ("logistic_pairwise", {"max_pairs": 1}),
        ("forest_pairwise", {"combine": "sum"}),
        ("forest_pairwise", {"n_trees": 0}),
        ("boosting_pairwise", {"opponents": 0}),
        ("boosting_pairwise", {"learning_rate": 0.0}),
        ("ranknet", {"hidden": 0}),
        ("ranknet", {"decay": -1.0}),
        ("svr", {"epsilon": -0.1}),
        ("boosting", {"n_trees": 0}),
        ("mlp", {"steps": 0}),
        ("knn", {"targets": "ranks"}),
        ("adaptive", {"folds": 1}),
    ],
)
def test_bad_parameters_are_refused(name, params):
    with pytest.raises(UserError, match=r"got|no parameter"):
        make(name, **params)


# ---- on the embedded table ----


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("kernel_ridge_rank", 0.72),
        ("rbf_rank", 0.70),
        ("gp_rank", 0.72),
        ("forest_rank", 0.68),
        ("cart", 0.60),
        ("svm_pairwise", 0.70),
        ("relevance_pairwise", 0.74),
        ("ranksvm", 0.62),
        ("logistic_pairwise", 0.62),
        ("forest_pairwise", 0.68),
        ("boosting_pairwise", 0.68),
        ("ranknet", 0.70),
        ("listnet", 0.70),
        ("listmle", 0.70),
        ("ranknet_top", 0.70),
        ("kernel_svm_pairwise", 0.74),
        ("kernel_svm_pairwise_2000", 0.73),
        ("kernel_regression_rank", 0.73),
        ("svr_rank", 0.70),
        ("boosting_rank", 0.66),
        ("mlp_rank", 0.70),
        ("knn_rank", 0.58),
    ],
)
def test_orders_unseen_cells_of_the_embedded_table(name, floor):
    from smemnas.bench.benchmarks.catalog import open_benchmark

    benchmark = open_benchmark("nb201", "analog", ("error",))
    X = benchmark.space.enumerate()[np.random.default_rng(0).permutation(15625)[:600]]
    Z, y = benchmark.space.encode(X, "path"), benchmark.evaluate(X, 0).F[:, 0]
    tau = kendalltau(make(name).fit(Z[:100], y[:100]).rank(Z[100:]), y[100:])[0]
    assert tau > floor
