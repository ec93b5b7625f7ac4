"""`--start`: the initial sample that a comparison gives to every method alike."""

import json
from pathlib import Path

import numpy as np
import pytest

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.bench.library.run import RunOptions, run
from smemnas.bench.studies.information import tracks_of
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.plan_file import read_plan, save_plan
from smemnas.methods.base import METHODS, DesignStream, initial_design
from smemnas.methods.msunas import extremes
from smemnas.methods.start import ends, nearest, starting, van_der_corput

#: One of each kind of beginning: shared, extremes after it, extremes before it, spread, queue, pymoo.
KINDS = ("random", "smemnas/best", "msunas/small", "smemnas/adaptive", "smemnas/adaptive-black", "mo-rea", "nsga2")


def begun(start, names=("error", "flops"), space="mnv3"):
    return starting(open_benchmark(space, None, names).problem, start)


def first_rows(name, problem, n, seed=0, budget=60):
    """Return the first ``n`` rows that a method asks for, told made-up errors."""
    method, rows = METHODS.create(name, problem, budget=budget, seed=seed), []
    while len(rows) < n:
        X = method.ask()
        F = np.stack([X.sum(axis=1) % 7 + np.arange(len(X)) / 100.0, problem.space.cost(X, "flops")], axis=1)
        method.tell(X, F)
        rows.extend(X.tolist())
    return rows[:n]


def test_the_order_of_a_spread_sample_by_hand():
    assert van_der_corput(9).tolist() == [0, 1, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875]
    assert [van_der_corput(n).tolist() for n in (1, 2)] == [[0], [0, 1]]
    cost = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    assert nearest(cost, np.array([1.0, 5.0, 3.1, 3.1, 1.0])).tolist() == [1, 0, 2, 4, 3]


@pytest.mark.parametrize("start", ["random", "uniform", "ends"])
def test_all_kinds_of_methods_begin_with_the_same_networks(start):
    problem = begun(start, space="macro")
    expected = initial_design(problem, 10, 0).tolist()
    for name in KINDS:
        assert first_rows(name, problem, 10) == expected, name


def test_nothing_said_leaves_each_its_own():
    problem = begun("")
    assert (problem.start, problem.start_cost) == ("", "")
    assert first_rows("msunas/small", problem, 2) == extremes(problem).tolist()
    assert initial_design(problem, 30, 3).tolist() == initial_design(begun("random"), 30, 3).tolist()


def test_a_uniform_start_is_spread_and_the_stream_goes_on():
    problem = begun("uniform")
    spread, drawn = initial_design(problem, 150, 0), initial_design(begun("random"), 500, 0)
    assert len(np.unique(spread, axis=0)) == 150
    keys = {x.tobytes() for x in spread[:100]}
    assert keys <= {x.tobytes() for x in drawn}
    rest = [x.tolist() for x in drawn if x.tobytes() not in keys]
    assert spread[100:].tolist() == rest[:50]
    cost = np.log(problem.space.cost(spread, "flops"))
    width = cost[:2].max() - cost[:2].min()
    for n in (5, 9, 17):
        assert np.diff(np.sort(cost[:n])).max() < 1.5 * width / (n - 1)
        assert width > np.ptp(np.log(problem.space.cost(drawn[:n], "flops")))
    assert initial_design(problem, 20, 1).tolist() != spread[:20].tolist()


def test_the_ends_stand_in_front_and_come_once():
    problem = begun("ends", space="macro")
    grid = problem.space.enumerate()
    cost = problem.space.cost(grid, "flops")
    X = DesignStream(problem, 4).take(len(grid) + 5)
    assert problem.space.cost(X[:2], "flops").tolist() == [cost.min(), cost.max()]
    assert ends(problem.space, "flops").tolist() == X[:2].tolist()
    assert len(X) == len(grid) == len(np.unique(X, axis=0))
    plain = [x for x in initial_design(begun("random", space="macro"), 40, 4).tolist() if x not in X[:2].tolist()]
    assert X[2:32].tolist() == plain[:30]


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="takes a free objective, such as flops"):
        begun("uniform", ("error",))
    with pytest.raises(UserError, match="must be one of random, uniform, ends, got 'end'"):
        begun("end")
    with pytest.raises(UserError, match="begins in a way of its own and takes no --start ends"):
        METHODS.create("reinforce", begun("ends"), budget=20, seed=0)
    assert begun("random", ("error",)).start == "random"


def test_the_start_belongs_to_a_run(tmp_path: Path):
    options = RunOptions(method="msunas/small", space="toy", budget=12, out=tmp_path / "run", start="uniform")
    run(options)
    assert json.loads((tmp_path / "run" / "job.json").read_text())["job"]["start"] == "uniform"
    first = (tmp_path / "run" / "evals.jsonl").read_bytes()
    run(options)
    assert (tmp_path / "run" / "evals.jsonl").read_bytes() == first
    with pytest.raises(UserError, match="start 'uniform', this one has None"):
        run(RunOptions(method="msunas/small", space="toy", budget=12, out=tmp_path / "run"))
    run(RunOptions(method="msunas/small", space="toy", budget=12, out=tmp_path / "plain"))
    assert "start" not in json.loads((tmp_path / "plain" / "job.json").read_text())["job"]
    assert (tmp_path / "plain" / "evals.jsonl").read_bytes() != first


def test_a_plan_holds_it_and_the_tracks_know(tmp_path: Path):
    variants = tuple(Variant(name, name) for name in ("random", "msunas/small"))
    plan = check_plan(Plan(variants, (Case("toy", start="uniform"),), (0, 1), 12))
    assert tracks_of(plan) == {"random": "grey-box", "msunas/small": "grey-box"}
    save_plan(tmp_path / "p.toml", plan)
    again = read_plan(tmp_path / "p.toml")
    assert again.cases == plan.cases
    assert "start uniform" in str(plan.cases[0])
    [job, *_] = plan.jobs()
    assert job.start == job.case.start == "uniform"
    assert "start-uniform" in str(job.folder_in_study)
    with pytest.raises(UserError, match="takes no --start"):
        check_plan(Plan((Variant("reinforce", "reinforce"),), (Case("toy", start="ends"),), (0,), 12))
