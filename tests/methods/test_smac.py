"""SMAC by ask and tell: the trials of its own loop, the same in every process, and what it is told."""

import importlib.util
import sys

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, initial_design

needs_smac = pytest.mark.skipif(
    importlib.util.find_spec("smac") is None, reason="needs the extra: pip install -e '.[smac]'"
)
EVALUATIONS, INITIAL, CANDIDATES = 16, 12, 40


def made(bench, **params):
    return METHODS.create(
        "smac", bench.problem, budget=EVALUATIONS, seed=3, params={"candidates": CANDIDATES, **params}
    )


def test_without_smac_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "smac", None)
    with pytest.raises(UserError, match=r"extra 'smac'.*pip install -e '\.\[smac\]' in the suite's folder"):
        made(open_benchmark("toy"))


@needs_smac
@pytest.mark.long
@pytest.mark.parametrize("objectives", [("error", "flops"), ("error",)])
def test_the_trials_are_those_of_its_own_loop(objectives, tmp_path):
    """The facade optimises a function of its own, from the same initial design."""
    from ConfigSpace import Configuration
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario
    from smac.multi_objective.parego import ParEGO

    from smemnas.methods.smac_search import ordered_maximizer

    bench = open_benchmark("toy", objectives=objectives)
    method = made(bench, initial=INITIAL)
    asked = []
    while len(asked) < EVALUATIONS:
        X = method.ask()
        asked += X.tolist()
        method.tell(X, bench.evaluate(X, 0).F)

    names = [f"g{j}" for j in range(bench.space.n_var)]
    seed = method._seed
    # The space draws from a state of its own, which ours has used for nothing before the first forest.
    space = made(bench)._configurations
    seen = []

    def function(config, seed=0):
        x = np.array([[int(config[name]) for name in names]])
        seen.append(x[0].tolist())
        f = bench.evaluate(x, 0).F[0].tolist()
        return f if len(f) > 1 else f[0]

    first = initial_design(bench.problem, INITIAL, 3).tolist()
    scenario = Scenario(
        space,
        objectives=list(objectives) if len(objectives) > 1 else objectives[0],
        deterministic=True,
        n_trials=EVALUATIONS,
        seed=seed,
        output_directory=tmp_path,
    )
    starts = [Configuration(space, values=dict(zip(names, x, strict=True))) for x in first]
    Facade(
        scenario,
        function,
        acquisition_maximizer=ordered_maximizer(scenario, CANDIDATES),
        initial_design=Facade.get_initial_design(scenario, n_configs=0, additional_configs=starts),
        multi_objective_algorithm=ParEGO(scenario) if len(objectives) > 1 else None,
        logging_level=False,
        overwrite=True,
    ).optimize()
    assert seen[:INITIAL] == asked[:INITIAL] == first
    assert seen == asked


@needs_smac
@pytest.mark.long
def test_failures_are_crashed_trials_of_the_worst_values_so_far():
    bench = open_benchmark("toy", objectives=("error", "flops"))
    method = made(bench, initial=8)
    X = method.ask()
    F = bench.evaluate(X, 0).F
    F[-1] = np.inf
    method.tell(X, F)
    trials = list(method._smac.runhistory.values())
    assert [value.status.name for value in trials] == ["SUCCESS"] * 7 + ["CRASHED"]
    assert [tuple(value.cost) for value in trials] == [*map(tuple, F[:-1]), tuple(F[:-1].max(axis=0))]
    assert len(method.ask()) == 1  # a forest learns from it
