"""Ageing evolution and local searches for several objectives: their steps by hand; authors' settings of others."""

from collections import deque

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.methods.bananas import Bananas
from smemnas.methods.base import METHODS, initial_design
from smemnas.methods.mo_local_search import MultiObjectiveLocalSearch
from smemnas.methods.mo_rea import MultiObjectiveEvolution
from smemnas.methods.neighbourhood import mutate_each_gene, neighbours
from smemnas.methods.pareto_local_search import ParetoLocalSearch
from smemnas.methods.selection import box, pareto_ranks
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.nb201 import NB201
from smemnas.spaces.toy import Toy
from smemnas.surrogates.adaptive import AdaptiveSwitching


@pytest.fixture
def toy():
    return open_benchmark("toy", objectives=("error", "flops"))


def driven(method, bench, budget):
    """Objectives of the first ``budget`` distinct architectures asked for, in their order."""
    known = {}
    while len(known) < budget:
        X = method.ask()
        F = bench.evaluate(X, 0).F
        for x, f in zip(X, F):
            known.setdefault(x.tobytes(), f)
        method.tell(X, F)
    return np.array(list(known.values()))[:budget]


# ---- multi-objective regularised evolution ----


def test_parents_by_front_then_by_crowding_and_the_oldest_dies(toy):
    """Fronts {0, 1, 2} and {3}; within the first the extremes 0 and 2 are less crowded than 1; 4 failed."""
    method = MultiObjectiveEvolution(toy.problem, budget=50, seed=0, population=5, sample=200)
    X = np.arange(5)[:, None] * np.ones((1, 5), np.int64)
    F = np.array([[1.0, 5.0], [2.0, 2.0], [5.0, 1.0], [6.0, 6.0], [np.inf, np.inf]])
    method.tell(X, F)
    assert method._parent()[0] == 0  # of two boundless ones the older
    method._queue = deque(list(method._queue)[1:])
    assert method._parent()[0] == 1  # now an extreme itself
    method._queue = deque(list(method._queue)[2:])
    assert method._parent()[0] == 3  # alone in its front, but evaluated
    method.tell(X[[0] * 4], F[[0] * 4])
    assert [x[0] for x, _ in method._queue] == [4, 0, 0, 0, 0]
    method.tell(X[:1], F[:1])
    assert [x[0] for x, _ in method._queue] == [0] * 5


# ---- Pareto local search ----


def test_pareto_local_search_by_hand(toy):
    method = ParetoLocalSearch(toy.problem, budget=200, seed=3)
    start = method.ask()
    np.testing.assert_array_equal(start, initial_design(toy.problem, 1, 3))
    method.tell(start, toy.evaluate(start, 0).F)
    around = method.ask()
    assert {bytes(x) for x in around} == {bytes(x) for x in neighbours(Toy(), start[0])}
    method.tell(around, toy.evaluate(around, 0).F)
    known = np.vstack([start, around])
    asked = method.ask()
    F = toy.evaluate(known, 0).F
    front = {bytes(f) for f in F[pareto_ranks(F) == 0]}
    members = np.array(method._archive)
    assert {bytes(f) for f in toy.evaluate(members, 0).F} == front
    assert len(members) == len(front)  # equal objectives join once
    # What it asks is all that is not evaluated around one member that was not visited.
    new = [
        {bytes(n) for n in neighbours(Toy(), m)} - {bytes(k) for k in known}
        for m in members
        if bytes(m) != bytes(start[0])
    ]
    assert {bytes(x) for x in asked} in new


def test_pareto_local_search_ends_in_a_local_optimum_set_and_starts_again(toy):
    """When it starts anew no neighbour of a member improves the set: checked against all of them."""
    method = ParetoLocalSearch(toy.problem, budget=3125, seed=0)
    members = None
    for _ in range(400):
        X = method.ask()
        if method._archive == [] and members:
            break
        method.tell(X, toy.evaluate(X, 0).F)
        members = [*method._archive]
    assert len(X) == 1
    front = toy.evaluate(np.array(members), 0).F
    around = toy.evaluate(np.vstack([neighbours(Toy(), m) for m in members]), 0).F
    assert all((front <= f).all(axis=1).any() for f in around)
    assert (pareto_ranks(front) == 0).all()


def test_a_warm_start_is_the_first_archive(toy):
    method = ParetoLocalSearch(toy.problem, budget=100, seed=0)
    X = Toy().sample(30, np.random.default_rng(1))
    F = toy.evaluate(X, 0).F
    method.tell(X[:15], F[:15])
    method.tell(X[15:], F[15:])
    assert {bytes(f) for f in toy.evaluate(np.array(method._archive), 0).F} == {
        bytes(f) for f in F[pareto_ranks(F) == 0]
    }


# ---- local search on weighted sums ----


def test_each_descent_minimises_its_own_weighted_sum(toy):
    method = MultiObjectiveLocalSearch(toy.problem, budget=300, seed=1)
    shares, current, told = [], None, []
    for _ in range(120):
        X = method.ask()
        if not shares or not np.array_equal(method._shares, shares[-1]):
            shares.append(method._shares.copy())
            current, weights = None, method._weights.copy()
        if current is not None:
            assert (X[0] != current).sum() == 1
        F = toy.evaluate(X, 0).F
        method.tell(X, F)
        told.append(F[0])
        if len(shares) == 1:  # the first descent begins with nothing, and is scaled by what it has seen
            low, span = box(np.array(told))
            np.testing.assert_allclose(method._weights, shares[0] / span)
            np.testing.assert_array_equal(method._low, low)
        else:
            np.testing.assert_array_equal(method._weights, weights)
        assert method._value[X[0].tobytes()] == pytest.approx(float(method._weights @ (F[0] - method._low)))
        if current is None or method._value[X[0].tobytes()] < method._value[current.tobytes()]:
            current = X[0]
    assert len(shares) >= 3
    assert len({round(float(w[0] / w.sum()), 6) for w in shares}) == len(shares)


@pytest.mark.parametrize(("name", "factor"), [("mo-rea", 0.75), ("pareto-local-search", 0.9), ("mo-local-search", 0.5)])
def test_better_than_random_and_than_one_objective(toy, name, factor):
    front = toy.reference().front

    def regret(method):
        made = (METHODS.create(method, toy.problem, budget=200, seed=seed) for seed in range(1000, 1004))
        return np.mean([hypervolume_regret(driven(m, toy, 200), front) for m in made])

    ours = regret(name)
    assert ours < factor * regret("random")
    assert ours < regret({"mo-rea": "rea"}.get(name, "local-search"))


# ---- settings of the authors' code ----


def test_the_authors_mutation_of_bananas_changes_each_gene_with_probability_a_quarter():
    x = np.array([[0, 1, 2, 3, 4, 0]])
    moved = (mutate_each_gene(NB201(), np.repeat(x, 4000, axis=0), 1 / 4, np.random.default_rng(0)) != x).sum(axis=1)
    expected = np.array([1, 6, 15, 20, 15, 6, 1]) * 0.25 ** np.arange(7) * 0.75 ** (6 - np.arange(7))
    np.testing.assert_allclose(np.bincount(moved, minlength=7) / 4000, expected, atol=0.025)
    bench = open_benchmark("toy", objectives=("error",))
    X = Toy().sample(12, np.random.default_rng(0))
    for mutation, most in (("one", 1), ("each", 5)):
        method = Bananas(bench.problem, budget=50, seed=0, mutation=mutation)
        method.tell(X, bench.evaluate(X, 0).F)
        moved = (method._mutants(X[:1]) != X[0]).sum(axis=1)
        assert moved.min() == 1
        assert moved.max() == most or (mutation == "each" and moved.max() > 2)
    assert METHODS.get("bananas/authors").params == {"mutation": "each"}


def test_mutants_of_each_gene_are_architectures():
    space = NB101()
    X = space.sample(60, np.random.default_rng(1))
    mutants = mutate_each_gene(space, X, 0.05, np.random.default_rng(2))
    assert 10 < len(mutants) <= 60
    assert space.is_valid(mutants).all()


def test_the_presets_say_what_the_authors_have():
    assert METHODS.get("local-search/authors").params == {"starts": 10, "move": "first"}
    assert METHODS.get("msunas/small").params == {"initial": 20, "batch": 5}
    trees = METHODS.get("msunas/adaptive-authors").params["surrogate_params"]
    assert trees == {"trees": 5000, "fold_trees": 5000}
    surrogate = AdaptiveSwitching(seed=0, **{"trees": 7, "fold_trees": 3})
    assert surrogate._make("cart", final=True).n_trees == 7
    assert surrogate._make("cart", final=False).n_trees == 3
    assert AdaptiveSwitching(seed=0)._make("cart", final=True).n_trees == 1000  # as ever


@pytest.mark.parametrize(
    ("name", "params", "word"),
    [
        ("bananas", {"mutation": "some"}, "mutation"),
        ("mo-rea", {"sample": 0}, "sample"),
        ("pareto-local-search", {"starts": 0}, "starts"),
        ("mo-local-search", {"move": "any"}, "move"),
        ("msunas/adaptive-authors", {"surrogate_params": {"trees": 0}}, "trees"),
    ],
)
def test_wrong_parameters_are_refused(toy, name, params, word):
    with pytest.raises(UserError, match=word):
        METHODS.create(name, toy.problem, budget=30, seed=0, params=params)


def test_the_authors_local_search_keeps_the_best_value_of_each_gene_once(toy):
    """Worked beside it: every gene once, all its values, the least weighted sum stays; then a new start and weights."""
    method = METHODS.create("mo-local-search/authors", toy.problem, budget=400, seed=1)
    for start in initial_design(toy.problem, 3, 1):
        asked = method.ask()
        np.testing.assert_array_equal(asked, start[None])
        method.tell(asked, toy.evaluate(asked, 0).F)
        current, touched, known = start, [], set(method._value)
        shares = method._shares.copy()
        while len(X := method.ask()) and np.array_equal(method._shares, shares):
            (gene,) = np.flatnonzero((X != current).any(axis=0))
            touched.append(int(gene))
            whole = np.repeat(current[None], 5, axis=0)
            whole[:, gene] = np.arange(5)
            assert {bytes(x) for x in X} == {bytes(x) for x in whole} - known
            method.tell(X, toy.evaluate(X, 0).F)
            known |= {bytes(x) for x in X}
            current = whole[np.argmin((toy.evaluate(whole, 0).F - method._low) @ method._weights)]
        assert len(touched) == len(set(touched)) >= 4  # values of a gene may all be known already
