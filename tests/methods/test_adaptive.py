"""The SMEM-NAS that learns from its archive what to learn."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.tracks import track_of
from smemnas.methods.value_model import ValueModel
from smemnas.spaces.base import Problem, SearchSpace
from smemnas.surrogates.warped import WarpedProcess

NAMES = ("smemnas/adaptive", "smemnas/adaptive-grey", "smemnas/adaptive-black")


def searched(name, bench, budget, seed=0, **params):
    method = METHODS.create(name, bench.problem, budget=budget, seed=seed, params=params)
    rows = []
    while len(rows) < budget:
        X = method.ask()[: budget - len(rows)]
        method.tell(X, bench.evaluate(X, seed).F)
        rows.extend(X.tolist())
    return method, np.array(rows)


def test_tracks():
    assert [track_of(name) for name in NAMES] == ["expert", "grey-box", "black-box"]
    assert track_of("smemnas/adaptive", {"encoding": "onehot"}) == "grey-box"


@pytest.mark.parametrize("name", NAMES)
def test_it_repeats_itself(name):
    bench = open_benchmark("toy")
    first, again = (searched(name, bench, 22, seed=4)[1] for _ in range(2))
    assert first.tolist() == again.tolist()
    assert len(np.unique(first, axis=0)) == 22


def test_the_black_box_reads_no_cost(monkeypatch):
    bench = open_benchmark("macro")
    F = bench.evaluate(bench.space.sample(3, np.random.default_rng(0)), 0).F

    def read(self, *args):
        raise AssertionError("a free cost was read")

    method = METHODS.create("smemnas/adaptive-black", bench.problem, budget=20, seed=0)
    monkeypatch.setattr(Problem, "cheap_values", read)
    monkeypatch.setattr(SearchSpace, "cost", read)
    monkeypatch.setattr(type(bench.space), "cost", read)
    told = 0
    while told < 20:
        X = method.ask()
        method.tell(X, np.resize(F, (len(X), 2)) + np.arange(len(X))[:, None])
        told += len(X)


def test_the_start_is_spread_over_the_cost():
    bench = open_benchmark("mnv3")
    gaps, widths = {}, {}
    for start in ("random", "spread"):
        method = METHODS.create("smemnas/adaptive", bench.problem, budget=50, seed=1, params={"start": start})
        cost = np.sort(np.log(bench.problem.cheap_values(method.ask())[:, 0]))
        assert len(cost) == 12
        inner = cost[1:-1]  # the ends are the same
        gaps[start] = np.diff(inner).max() / np.diff(inner).min()
        widths[start] = inner[-1] - inner[0]
    assert gaps["spread"] < 3.0 < gaps["random"]
    assert widths["spread"] > 1.1 * widths["random"]


def test_unknown_start():
    with pytest.raises(UserError, match="'start' must be one of random, spread"):
        METHODS.create("smemnas/adaptive", open_benchmark("toy").problem, budget=9, seed=0, params={"start": "even"})


def test_the_model_keeps_free_costs_exact_and_learns_the_rest():
    bench = open_benchmark("macro", "cifar10", ("error", "flops"))
    X = bench.space.sample(80, np.random.default_rng(2))
    X = X[np.unique(X, axis=0, return_index=True)[1]]
    F = bench.true_values(X)
    processes = [WarpedProcess(shares=(0.0, 0.3, 0.6))]
    model = ValueModel(bench.problem, [("onehot",)], ("flops", "params"), X[:50], F[:50], processes)
    found = model.predict(X)
    assert np.array_equal(found[:, 1], F[:, 1])
    assert np.corrcoef(found[50:, 0], F[50:, 0])[0, 1] > 0.8
    outcomes = model.outcomes(X[50:])
    assert (np.diff(outcomes[:, :, 0], axis=0) >= 0.0).all()
    assert np.array_equal(outcomes[0, :, 1], F[50:, 1])


def test_two_models_are_asked_in_turn(monkeypatch):
    bench = open_benchmark("macro", "cifar10", ("error", "flops"))
    method = METHODS.create("smemnas/alternating", bench.problem, budget=60, seed=3)
    asked, choose = [], method._propose
    searches = []

    def watched(model):
        asked.append(type(model).__name__)
        searches.append((method.inner, method.generations))
        return choose(model)

    monkeypatch.setattr(method, "_propose", watched)
    for _ in range(5):
        X = method.ask()
        method.tell(X, bench.evaluate(X, 0).F)
    assert asked == ["ValueModel", "Model", "ValueModel", "Model"]
    assert searches == [("nsga2", 30), ("both", 20)] * 2
    assert (method.inner, method.generations) == ("nsga2", 30)


def test_wrong_share_to_relearn():
    with pytest.raises(UserError, match=r"'relearn' must lie between 0 and 1, got 2\.0"):
        METHODS.create("smemnas/adaptive", open_benchmark("toy").problem, budget=9, seed=0, params={"relearn": 2.0})
