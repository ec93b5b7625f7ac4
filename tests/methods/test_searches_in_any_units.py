"""What a search asks for hangs neither on the unit of an objective nor on how a library counts what it is told."""

from dataclasses import replace

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.runs.listing import among_listed
from smemnas.methods.base import METHODS
from smemnas.methods.neighbourhood import neighbours
from smemnas.methods.selection import box
from smemnas.spaces.base import Problem
from smemnas.spaces.listed import ListedSpace

TOY = open_benchmark("toy")
CELLS = open_benchmark("nb201", "cifar10", ("val_error", "flops"))
EVOLUTION = "optuna-nsga2", {"population": 6}


def searched(name, problem, values, budget, seed=0, params=None, told=None):
    """Run a method on values of genotypes ``(n, n_var)``; return it and what it asked for ``(budget, n_var)``."""
    method = METHODS.create(name, problem, budget=budget, seed=seed, params=params or {})
    if told is not None:
        method.tell(told, values(told))
    asked = np.empty((0, problem.space.n_var), dtype=np.int64)
    while len(asked) < budget:
        X = method.ask()[: budget - len(asked)]
        if len(X) == 0:
            break
        method.tell(X, values(X))
        asked = np.vstack([asked, X])
    return method, asked


def measured(X):
    return TOY.evaluate(X, 0).F


@pytest.mark.parametrize(
    "name",
    [
        "mo-local-search",
        "mo-local-search/authors",
        "pareto-local-search",
        "mo-rea",
        "moead",
        "nsga2",
        "sms-emoa",
        "parego",
    ],
)
def test_the_unit_of_an_objective_changes_nothing(name):
    costly = replace(CELLS.problem, objectives=tuple(o._replace(cheap=False) for o in CELLS.objectives))
    for seed in range(2):
        plain, scaled = (
            searched(name, costly, lambda X, by=by: CELLS.evaluate(X, 0).F * [1.0, by], 40, seed)[1]
            for by in (1.0, 2.0**-10)
        )
        np.testing.assert_array_equal(plain, scaled)


def test_a_flat_front_is_measured_by_all_rows():
    F = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]])  # one row is better than all others
    np.testing.assert_array_equal(box(F)[1], [2.0, 20.0])
    np.testing.assert_array_equal(box(F * [1.0, 2.0**-10])[1], [2.0, 20.0 * 2.0**-10])
    np.testing.assert_array_equal(box(F[:1])[1], [1.0, 1.0])
    np.testing.assert_array_equal(box(np.array([[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]]))[1], [2.0, 2.0])


def test_local_search_ends_every_search_at_a_local_optimum_set():
    """No neighbour of a member is left that the archive does not cover, in later searches as in the first one."""
    space = CELLS.space
    method = METHODS.create("pareto-local-search", CELLS.problem, budget=1200, seed=3002)
    uncovered, begin = [], method._next_starts

    def looked_at():
        values = np.array([method._value[x.tobytes()] for x in method._archive])
        for x in method._archive:
            for y in neighbours(space, x):
                value = method._value.get(y.tobytes())
                uncovered.append(value is None or not (values <= value).all(axis=1).any())
        return begin()

    method._next_starts = looked_at
    while len(method._value) < 1200:
        X = method.ask()
        method.tell(X, CELLS.evaluate(X, 0).F)
    assert len(uncovered) > 300
    assert not any(uncovered)


def test_with_one_objective_no_subproblem_of_moead_is_left_out():
    one = open_benchmark("nb201", "cifar10", ("val_error",))
    method, asked = searched("moead", one.problem, lambda X: one.evaluate(X, 0).F, 150)
    kept = {individual.X.astype(np.int64).tobytes() for individual in method._algorithm.pop}
    assert not kept.intersection(x.tobytes() for x in asked[:5])
    assert not kept.intersection(x.tobytes() for x in asked[5:10])


def listed(seed=99, rows=600):
    """Return a problem on some rows of the toy space, and the space."""
    space = ListedSpace(TOY.space, TOY.space.sample(rows, np.random.default_rng(seed)))
    return Problem(space, TOY.objectives), space


@pytest.mark.parametrize("name", ["moead", "nsga2", "mo-rea", "sms-emoa"])
def test_on_a_listed_space_ever_new_children_are_asked_for(name):
    """What was evaluated in a child's place ends it; asked again and again it would lead nowhere."""
    problem, _ = listed()
    method = METHODS.create(name, problem, budget=120, seed=0)
    wanted, ask = [], method.ask
    method.ask = lambda: [X := ask(), wanted.extend(map(bytes, X))][0]
    outer = among_listed(method, problem)
    for _ in range(120):
        X = outer.ask()
        if len(X) == 0 or len(wanted) >= 120:
            break
        outer.tell(X, measured(X))
    assert len(set(wanted)) > 0.7 * len(wanted)


def generations(method):
    """Return the generation of each trial that is complete; None where Optuna counts none."""
    return [
        next((v for k, v in t.system_attrs.items() if k.endswith("generation")), None)
        for t in method._study.get_trials()
        if t.state.name == "COMPLETE"
    ]


def test_optuna_breeds_from_the_initial_design():
    pytest.importorskip("optuna", reason="needs an extra: pip install -e '.[optuna]'")
    name, params = EVOLUTION
    method, asked = searched(name, TOY.problem, measured, 30, params=params)
    assert generations(method)[:6] == [0] * 6
    assert set(generations(method)) >= {0, 1, 2}
    # After the design every child hangs on what was told: with the values turned round it is another one.
    turned = searched(name, TOY.problem, lambda X: 500.0 - measured(X), 30, params=params)[1]
    assert (asked[:6] == turned[:6]).all()
    assert (asked[6:12] != turned[6:12]).any()


def test_optuna_breeds_from_what_it_did_not_ask_for():
    pytest.importorskip("optuna", reason="needs an extra: pip install -e '.[optuna]'")
    name, params = EVOLUTION
    before = TOY.space.sample(12, np.random.default_rng(5))
    one = searched(name, TOY.problem, measured, 8, params=params, told=before)
    other = searched(name, TOY.problem, lambda X: 500.0 - measured(X), 8, params=params, told=before)
    assert None not in generations(one[0])
    assert (one[1] != other[1]).any()


@pytest.mark.parametrize("name", ["optuna-nsga2", "optuna-tpe"])
def test_optuna_waits_for_nothing_that_was_moved(name):
    pytest.importorskip("optuna", reason="needs an extra: pip install -e '.[optuna]'")
    problem, _ = listed()
    method = METHODS.create(name, problem, budget=40, seed=0, params={"population": 6} if "nsga2" in name else {})
    outer = among_listed(method, problem)
    for _ in range(40):
        X = outer.ask()
        outer.tell(X, measured(X))
    assert not [t for t in method._study.get_trials() if t.state.name == "RUNNING"]
    if "nsga2" in name:
        assert None not in generations(method)
        assert max(generations(method)) >= 3
