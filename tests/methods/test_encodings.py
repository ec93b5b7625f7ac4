"""The encoding of each costly objective: given, declared by the space, or chosen on the archive."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.encodings import GROWTH, Learners, candidates, is_neutral
from smemnas.spaces.base import Objective, Problem
from smemnas.spaces.cell201 import CONV3
from smemnas.spaces.macro import Macro
from smemnas.spaces.nb201 import NB201, live_edges
from smemnas.surrogates.kernel_pairwise import KernelPairwise

ERROR, LATENCY = Objective("error", "%", False), Objective("latency", "ms", False)


def learners(problem, encoding):
    return Learners(problem, encoding, lambda blocks: KernelPairwise(blocks=blocks))


def test_candidates_of_each_kind_of_objective():
    space = NB201()
    assert candidates(space, ERROR, None) == ("path+onehot",)
    assert candidates(space, ERROR, "recommended") == candidates(space, LATENCY, "recommended") == ("graph",)
    assert candidates(space, ERROR, "declared") == ("graph",)
    assert candidates(space, LATENCY, "declared") == ("onehot",)
    assert candidates(space, LATENCY, "path,onehot") == ("path", "onehot")
    assert candidates(space, LATENCY, "auto")[0] == "onehot"
    assert candidates(space, ERROR, "auto")[0] == "graph"
    assert set(candidates(space, ERROR, "auto")) == {"graph", "path+onehot", "onehot", "int", "int+onehot", "path"}
    assert candidates(Macro(), LATENCY, "declared") == ("onehot",)  # it names none for costs
    for objective in (ERROR, LATENCY):
        assert all(map(is_neutral, candidates(space, objective, "auto-neutral")))


@pytest.mark.parametrize("encoding", ["auto", "auto-neutral", "path,onehot", "onehot"])
def test_neutral_values(encoding):
    assert is_neutral(encoding) == (encoding in ("auto-neutral", "onehot"))


def test_an_unknown_name_among_several_is_refused():
    with pytest.raises(UserError, match=r"no encoding 'paths'\. Did you mean 'path'"):
        candidates(NB201(), ERROR, "graph,paths")


def test_each_objective_gets_the_encoding_that_explains_it():
    """One outcome counts operations that reach the output, the other all of them."""
    space = NB201()
    X = space.sample(60, np.random.default_rng(1))
    weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    all_of_them = (X == CONV3) @ weight + (X == 1) @ weight[::-1]
    live = ((X == CONV3) & live_edges(X)).sum(axis=1) - 3.0 * live_edges(X).any(axis=1)
    F = np.stack([live, all_of_them], axis=1)
    found = learners(Problem(space, (ERROR, LATENCY)), "graph,onehot")
    assert found.encodings == ["graph", "graph"]
    found.update(X, F)
    assert found.encodings == ["graph", "onehot"]
    found = learners(Problem(space, (ERROR, LATENCY)), "onehot,graph")
    found.update(X, F[:, ::-1])
    assert found.encodings == ["onehot", "graph"]


def test_levels_or_letters_among_the_neutral_ones():
    space = Macro()
    X = space.sample(60, np.random.default_rng(2))
    rank, letters = X @ np.arange(1.0, 9.0), (X == 1) @ np.arange(1.0, 9.0)
    found = learners(Problem(space, (ERROR, LATENCY)), "int,onehot")
    found.update(X, np.stack([rank, letters], axis=1))
    assert found.encodings == ["int", "onehot"]


def test_choices_stand_until_the_archive_has_grown():
    space = NB201()
    X = space.sample(60, np.random.default_rng(3))
    weight = np.arange(1.0, 7.0)
    F = ((X == CONV3) @ weight + (X == 1) @ weight[::-1])[:, None]
    found = learners(Problem(space, (LATENCY,)), "graph,onehot")
    found.update(X[:40], np.arange(40.0)[:, None] % 7)  # nothing explains it
    assert found.encodings == ["graph"]
    found.update(X[: int(GROWTH * 40) - 1], F[: int(GROWTH * 40) - 1])
    assert found.encodings == ["graph"]
    found.update(X[: int(GROWTH * 40)], F[: int(GROWTH * 40)])
    assert found.encodings == ["onehot"]


@pytest.mark.parametrize("encoding", ["auto", "auto-neutral", "declared"])
def test_a_search_with_five_objectives_repeats(encoding):
    columns = ("val_error", "params", "flops", "latency_edgegpu", "energy_edgegpu")
    bench = open_benchmark("nb201", "cifar10", objectives=columns)
    asked = []
    for _ in range(2):
        params = {"encoding": encoding, "initial": 12, "batch": 4, "generations": 3}
        method = METHODS.create("smemnas", bench.problem, budget=20, seed=0, params=params)
        for _ in range(3):
            X = method.ask()
            method.tell(X, bench.evaluate(X, 0).F)
        asked.append(X)
    np.testing.assert_array_equal(*asked)
    assert len(method._learners.encodings) == 3
