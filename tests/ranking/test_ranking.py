"""The ranking study: metrics, splits and trials. Running and reporting: test_ranking_study.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.order import (
    kendall,
)
from smemnas.bench.ranking.data import (
    Split,
    _table_proxies,
    assert_disjoint,
    data_of,
    front_members,
    searched_mean,
    split,
    train_limit,
    twin_share,
)
from smemnas.bench.ranking.trial import PROXY_SUFFIX, SurrogateVariant, Task, encode, margins, predict, run_task
from smemnas.methods.features import standardised
from smemnas.spaces.base import Objective
from smemnas.spaces.nb201 import NB201
from smemnas.spaces.toy import Toy
from smemnas.surrogates.base import SURROGATES


def task(surrogate="kernel_ridge", encoding="onehot", n=40, seed=0, pools=("uniform",), **rest):
    params = {"n_test": 300, "split": "genotype", "calibrate": False, **rest}
    return Task(SurrogateVariant(surrogate, surrogate), encoding, n, seed, pools, **params)


@pytest.fixture(scope="module")
def toy():
    return data_of("toy", "closed-form", "")


@pytest.fixture
def cells(use_embedded):
    return data_of("nb201", "analog", "")


@pytest.mark.parametrize("kind", ["genotype", "graph"])
@pytest.mark.parametrize("pool", ["uniform", "front"])
def test_sides_are_disjoint_nested_and_the_same_for_all(cells, kind, pool):
    for seed in (0, 1):
        found = [split(cells, seed=seed, n_train=n, n_test=1000, pool=pool, kind=kind) for n in (20, 100, 800)]
        for chosen in found:
            assert not set(chosen.train) & set(chosen.test)
            assert len(set(chosen.train)) == len(chosen.train)
            assert len(set(chosen.test)) == len(chosen.test) > 100
            if kind == "graph":
                assert not set(cells.graphs[chosen.train]) & set(cells.graphs[chosen.test])
                assert twin_share(cells, chosen) == 0.0
        assert [len(f.train) for f in found] == [20, 100, 800]
        assert (found[0].train == found[2].train[:20]).all()
        if pool == "uniform":
            assert all((f.test == found[0].test).all() and len(f.test) == 1000 for f in found)
        else:
            assert all(set(f.test) <= set(cells.front) for f in found)
            if kind == "genotype":
                assert set(found[2].test) == set(cells.front) - set(found[2].train)
    draws = [split(cells, seed=s, n_train=20, n_test=1000, pool="uniform", kind=kind) for s in (1, 2)]
    assert set(draws[0].test) != set(draws[1].test)
    assert set(draws[0].train) != set(draws[1].train)


def test_every_genotype_is_as_likely_in_either_pool(cells):
    for kind in ("genotype", "graph"):
        counts = np.zeros(len(cells.X))
        for seed in range(60):
            counts[split(cells, seed=seed, n_train=20, n_test=1500, pool="uniform", kind=kind).test] += 1
        skips = (cells.X == 1).sum(axis=1) >= 2
        expected = 60 * 1500 * skips.mean()
        assert counts[skips].sum() == pytest.approx(expected, rel=0.1)


def test_a_split_that_shares_anything_is_refused(cells):
    good = split(cells, seed=0, n_train=50, n_test=200, pool="uniform", kind="genotype")
    assert_disjoint(cells, good, "genotype")
    with pytest.raises(AssertionError, match="share 1"):
        assert_disjoint(cells, Split(good.train, np.append(good.test, good.train[3])), "genotype")
    twin = np.flatnonzero(
        np.isin(cells.graphs, cells.graphs[good.train]) & ~np.isin(np.arange(len(cells.X)), good.train)
    )
    with_twin = Split(good.train, twin[:1])
    assert_disjoint(cells, with_twin, "genotype")
    assert twin_share(cells, with_twin) == 1.0
    with pytest.raises(AssertionError, match="of kind 'graph'"):
        assert_disjoint(cells, with_twin, "graph")
    with pytest.raises(AssertionError):
        assert_disjoint(cells, Split(good.train, np.repeat(good.test[:1], 2)), "genotype")


def test_too_large_a_training_set_is_refused(toy):
    limit = train_limit(toy, 300, "genotype", (0,))
    assert limit == len(toy.X) - 300
    assert len(split(toy, seed=0, n_train=limit, n_test=300, pool="uniform", kind="genotype").train) == limit
    for n in (1, limit + 1):
        with pytest.raises(UserError, match="--n-train must lie between 2 and"):
            split(toy, seed=0, n_train=n, n_test=300, pool="uniform", kind="genotype")
    with pytest.raises(UserError, match="Did you mean 'front'"):
        split(toy, seed=0, n_train=9, n_test=300, pool="fronts", kind="genotype")


def test_front_pool_equals_fronts_peeled_one_by_one():
    rng = np.random.default_rng(3)
    F = rng.integers(0, 25, size=(220, 2)).astype(float)  # with equal and half-equal rows
    rank, left, level = np.full(len(F), -1), list(range(len(F))), 0
    while left:
        front = [
            i for i in left if not any((F[j] <= F[i]).all() and (F[j] < F[i]).any() for j in left)
        ]  # equal rows do not dominate each other
        for i in front:
            rank[i] = level
        left = [i for i in left if i not in front]
        level += 1
    for share in (0.05, 0.3, 1.0):
        wanted = np.flatnonzero(rank < np.ceil(share * level))
        assert (front_members(F[:, 0], F[:, 1], share) == wanted).all()
    with pytest.raises(UserError, match="--pool uniform"):
        front_members(F[:, 0], None)


# --- data


def noisy_toy():
    def evaluate(X, seed):
        noise = np.random.default_rng([seed, *X.shape]).normal(size=len(X))
        return np.stack([X.sum(axis=1) + noise, 1.0 + X.sum(axis=1)], axis=1)

    return CallableBenchmark(Toy(), evaluate, [Objective("error", "%", False), Toy.costs[0]])


def test_training_labels_are_what_a_search_with_that_seed_sees(toy):
    data = replace(toy, benchmark=noisy_toy())
    rows = np.arange(30)
    assert (data.labels(rows, 4) == data.benchmark.evaluate(data.X[rows], 4).F[:, 0]).all()
    assert (data.labels(rows, 4) != data.labels(rows, 5)).all()


def test_truth_is_the_mean_over_trainings_and_costs_are_no_targets(cells, toy):
    assert list(cells.truth) == ["error"]
    assert (cells.truth["error"] == cells.benchmark.evaluate(cells.X, 0).F[:, 0]).all()
    assert (searched_mean(toy.benchmark, toy.X, 0) == toy.truth["error"]).all()
    assert set(cells.proxies) == {"flops", "params", "flops_naslib"}
    with pytest.raises(UserError, match="for free"):
        data_of("toy", "closed-form", "flops")


def test_a_missing_proxy_is_that_of_an_isomorphic_architecture(tmp_path):
    space = NB201()
    X = space.enumerate()
    graphs = np.unique(space.canonical(X), return_inverse=True)[1].reshape(-1)
    values = np.random.default_rng(0).normal(size=len(X))
    twins = np.flatnonzero(graphs == np.argmax(np.bincount(graphs)))
    alone = np.flatnonzero(graphs == np.flatnonzero(np.bincount(graphs) == 1)[0])
    values[twins[2:]] = np.nan
    values[alone] = np.nan
    table = write_table(
        tmp_path / "table",
        {"error": X.sum(axis=1) * 1.0, "zc": values},
        describe={n: {"unit": "", "split": "none", "role": r} for n, r in (("error", "objective"), ("zc", "proxy"))},
        dataset="made",
        index="grid",
        default_objectives=["error", "flops"],
    )
    found, note = _table_proxies(TabularBenchmark(space, table), X, graphs)
    assert found["zc"][twins[2:]] == pytest.approx(values[twins[:2]].mean())
    assert np.isnan(found["zc"][alone]).all()
    kept = np.isfinite(values)
    assert (found["zc"][kept] == values[kept]).all()
    assert f"{len(twins) - 2:,} architectures missing" in note
    assert "1 have none" in note


def test_proxies_are_standardised_by_training_rows_alone():
    rng = np.random.default_rng(0)
    n = 400
    wide = np.exp(rng.normal(size=n) * 20)
    gaps = np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    gaps[60] = -np.inf
    columns = np.stack([wide, gaps, np.full(n, np.nan), np.ones(n)], axis=1)
    train, rows = np.arange(50), np.arange(50, n)
    Z = standardised(columns[rows], columns[train])
    assert np.isfinite(Z).all()
    assert np.abs(Z).max() <= 4.0
    assert (Z[np.isnan(gaps[rows]), 1] == 0).all()
    assert Z[10, 1] == -4.0
    assert (Z[:, 2:] == 0).all()
    inside = standardised(columns[train], columns[train])
    assert inside[:, 0].mean() == pytest.approx(0, abs=0.2)
    order = np.argsort(wide[rows])
    assert (np.diff(Z[order, 0]) >= 0).all()
    assert (standardised(columns[rows[:7]], columns[train]) == Z[:7]).all()


def test_encodings_side_by_side_tell_their_blocks(toy):
    data = replace(toy, proxies={**toy.proxies, "p": np.arange(len(toy.X)) * 1.0}, appended=("p",))
    rows = np.arange(20)
    Z, blocks = encode(data, "int+onehot" + PROXY_SUFFIX, rows, rows)
    assert blocks == (5, 25, 1)
    assert Z.shape == (20, 31)
    assert (Z[:, :5] == data.benchmark.space.encode(data.X[rows], "int")).all()


# --- trials


@pytest.mark.parametrize("surrogate", ["kernel_pairwise", "svm_pairwise", "kernel_ridge_rank", "forest"])
def test_the_truth_of_ranked_architectures_never_reaches_a_prediction(toy, surrogate):
    wish = task(surrogate, calibrate=True, pools=("uniform", "front"))
    before = predict(toy, wish)
    train = before["uniform"][0].train
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(toy.truth["error"])
    shuffled[train] = toy.truth["error"][train]
    asked = []

    class Watched(CallableBenchmark):
        def evaluate(self, X, seed):
            asked.append(X)
            return super().evaluate(X, seed)

    kept = toy.benchmark
    watched = Watched(kept.space, lambda X, seed: kept.evaluate(X, seed).F, kept.objectives)
    after_data = replace(toy, truth={"error": shuffled}, benchmark=watched)
    after_data.__dict__["front"] = toy.front  # the pool is chosen by truth; here only predictions are compared
    after = predict(after_data, wish)
    for pool in ("uniform", "front"):
        assert (before[pool][0].test == after[pool][0].test).all()
        assert (before[pool][1].scores == after[pool][1].scores).all()
        assert (before[pool][1].chance == after[pool][1].chance).all()
    assert len(asked) == 1
    assert (asked[0] == toy.X[train]).all()
    honest, misled = run_task(toy, wish)[0], run_task(after_data, wish)[0]
    assert honest["scores"]["error"]["tau"] > 0.5 > abs(misled["scores"]["error"]["tau"])


def test_all_surrogates_of_a_draw_see_the_same_split(toy):
    found = [predict(toy, task(s, e))["uniform"][0] for s in ("gp", "kernel_pairwise") for e in ("int", "onehot")]
    for other in found[1:]:
        assert (other.train == found[0].train).all()
        assert (other.test == found[0].test).all()


def test_a_trial_is_what_fitting_and_ranking_by_hand_gives(toy):
    wish = task("kernel_pairwise", "int+onehot", calibrate=True)
    row = run_task(toy, wish)[0]
    chosen = split(toy, seed=0, n_train=40, n_test=300, pool="uniform", kind="genotype")
    space = toy.benchmark.space
    surrogate = SURROGATES.create("kernel_pairwise", seed=0, params={"blocks": (5, 25)})
    surrogate.fit(space.encode(toy.X[chosen.train], "int+onehot"), toy.truth["error"][chosen.train])
    scores = surrogate.rank(space.encode(toy.X[chosen.test], "int+onehot"))
    truth = toy.truth["error"][chosen.test]
    assert row["status"] == "ok"
    assert row["n_ranked"] == 300
    assert row["scores"]["error"]["tau"] == pytest.approx(stats.kendalltau(scores, truth).statistic, abs=1e-12)
    assert 0 < row["scores"]["error"]["brier"] < 0.25
    assert row["time"]["fit"] > 0
    assert row["key"] == wish.key(toy, "uniform")


def test_margins_are_antisymmetric_and_follow_the_order(toy):
    Z, y = toy.benchmark.space.encode(toy.X[:1500:25], "int"), toy.truth["error"][:1500:25]
    for name in ("kernel_pairwise", "svm_pairwise", "kernel_ridge"):
        surrogate = SURROGATES.create(name, seed=0).fit(Z, y)
        M = margins(surrogate, Z)
        assert np.allclose(M, -M.T)
        right = np.sign(M) == np.sign(y[None, :] - y[:, None])
        assert right[y[None, :] != y[:, None]].mean() > 0.8, name
    flat = SURROGATES.create("svm_pairwise", seed=0).fit(Z, np.ones(len(Z)))
    assert (margins(flat, Z) == 0).all()


def test_what_is_known_without_training_is_larger_the_better_and_missing_last(toy):
    values = -toy.truth["error"].copy()
    values[::7] = np.nan
    data = replace(toy, proxies={"oracle": values})
    wish = replace(task(), variant=SurrogateVariant("oracle", column="oracle"), encoding="")
    chosen, prediction = predict(data, wish)["uniform"]
    missing = np.isnan(values[chosen.test])
    assert 0 < missing.sum() < len(missing)
    assert prediction.scores[~missing].max() < prediction.scores[missing].min()
    assert kendall(prediction.scores[~missing], toy.truth["error"][chosen.test][~missing])[0] == pytest.approx(1.0)


def test_a_surrogate_that_fails_is_a_row_with_its_reason(toy):
    bad = replace(task(), variant=SurrogateVariant("bad", "forest", {"n_trees": "many"}), pools=("uniform", "front"))
    rows = run_task(toy, bad)
    assert [r["status"] for r in rows] == ["failed", "failed"]
    assert "n_trees" in rows[0]["reason"]
    assert "scores" not in rows[0]


def test_a_surrogate_that_exits_at_once_is_a_row_too(toy, monkeypatch):
    def leave(*_, **__):
        raise SystemExit(0)

    monkeypatch.setattr("smemnas.bench.ranking.trial.make_surrogate", leave)
    [row] = run_task(toy, replace(task(), variant=SurrogateVariant("leaves", "forest", {"n_trees": 7})))
    assert (row["status"], row["reason"]) == ("failed", "SystemExit: 0")
