"""Logs of runs and results of studies as pandas frames."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.errors import RunError
from smemnas.bench.report.study.records import trial_records
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import folder_of, record_plan, run_study
from smemnas.bench.studies.frames import evaluations_frame, trials_frame
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy

# ---- frames of runs ----


class TwoSplits(Benchmark):
    """Searches one column and reports another; fails where the first gene is 4."""

    space = Toy()
    dataset = "two"
    objectives = (Objective("val_error", "%", False), Toy.costs[0])
    report_names = ("test_error", "flops")

    def evaluate(self, X, seed):
        F = self.report(X) + np.array([0.5, 0.0])
        F[X[:, 0] == 4, 0] = np.nan
        return Evaluation(F, np.zeros(len(X)), tuple("too deep" if x[0] == 4 else "" for x in X))

    def report(self, X):
        return np.stack([20.0 - X.sum(axis=1), self.space.cost(X, "flops")], axis=1)


@pytest.fixture
def finished(tmp_path):
    job = Job("random", "toy", "two", ("val_error", "flops"), budget=80, seed=7)
    return run(job, tmp_path / "run", benchmark=TwoSplits()), tmp_path / "run"


def test_a_frame_is_the_log_of_a_run(finished):
    result, folder = finished
    frame = evaluations_frame(folder, TwoSplits())
    assert list(frame) == ["method", "seed", "i", "arch", "val_error", "flops", "test_error", "feasible", "front",
                           "status", "reason", "x0", "x1", "x2", "x3", "x4"]  # fmt: skip
    assert set(frame.method) == {"random"}
    assert set(frame.seed) == {7}
    assert frame.i.tolist() == list(range(80))
    np.testing.assert_array_equal(frame[["x0", "x1", "x2", "x3", "x4"]], result.X)
    assert frame.arch.tolist() == ["-".join(map(str, x)) for x in result.X.tolist()]
    failed = frame.x0 == 4
    assert 5 < failed.sum() < 30
    assert (frame.status == np.where(failed, "failed", "ok")).all()
    assert (frame.reason == np.where(failed, "too deep", "")).all()
    assert frame.val_error.isna().equals(failed)
    assert frame.feasible.equals(~failed)
    assert frame.flops.notna().all()  # what could be measured is kept
    np.testing.assert_allclose(frame.val_error[~failed], frame.test_error[~failed] + 0.5)
    np.testing.assert_array_equal(frame.test_error, 20.0 - result.X.sum(axis=1))
    # all points of this problem lie on one line: the front has one row for each value that was met
    front = frame[frame.front]
    assert sorted(front.flops) == sorted(frame.flops[~failed].unique())
    assert (front.status == "ok").all()
    assert list(evaluations_frame(folder)) == [c for c in frame if c != "test_error"]


def test_a_run_that_is_going_on_can_be_read(finished):
    _, folder = finished
    log = (folder / LOG).read_bytes().splitlines(keepends=True)
    (folder / LOG).write_bytes(b"".join(log[:30]) + log[30][:17])
    assert len(evaluations_frame(folder)) == 30
    (folder / LOG).write_bytes(b"")
    empty = evaluations_frame(folder, TwoSplits())
    assert len(empty) == 0
    assert "test_error" in empty


def test_under_constraints_the_front_holds_what_is_feasible(tmp_path):
    job, bench = make_job("random", "toy", budget=100, constraints=("error<=20",))
    result = run(job, tmp_path / "run", benchmark=bench)
    frame = evaluations_frame(tmp_path / "run")
    assert frame.equals(evaluations_frame(result))  # what `run` returned knows its folder
    np.testing.assert_array_equal(frame.feasible, result.feasible)
    np.testing.assert_array_equal(frame.feasible, frame.error <= 20.0)
    assert 10 < frame.feasible.sum() < 90
    assert set(frame[frame.front].index) < set(frame[frame.feasible].index)
    cheapest = frame[frame.feasible].flops.min()
    assert frame[frame.front].flops.min() == cheapest > frame.flops.min()
    with pytest.raises(RunError, match="it searched error, flops, error<=20, the benchmark measures error, flops"):
        evaluations_frame(tmp_path / "run", open_benchmark("toy"))


def test_runs_side_by_side(tmp_path):
    import pandas as pd

    frames = []
    for seed in (0, 1):
        job, bench = make_job("rea", "toy", objectives=("error",), budget=30, seed=seed, params={"population": 5})
        run(job, tmp_path / str(seed), benchmark=bench)
        frames.append(evaluations_frame(tmp_path / str(seed)))
    both = pd.concat(frames)
    assert both.groupby("seed").size().to_dict() == {0: 30, 1: 30}
    assert set(both.method) == {"rea[population=5]"}
    assert (both.reason == "").all()
    best = both[both.front].set_index("seed").error
    np.testing.assert_array_equal(best.loc[[0, 1]], both.groupby("seed").error.min())


def test_frames_say_what_is_wrong(finished, tmp_path):
    _, folder = finished
    with pytest.raises(RunError, match="holds no run"):
        evaluations_frame(tmp_path / "nothing")
    with pytest.raises(RunError, match="it searched val_error, flops, the benchmark measures error, flops"):
        evaluations_frame(folder, open_benchmark("toy"))
    with pytest.raises(RunError, match="holds no study"):
        trials_frame(tmp_path / "nothing")
    for text, words in (("[]", "holds no study"), ("{", "corrupt"), ('[{"variants": []}]', "corrupt")):
        (tmp_path / "plans.json").write_text(text)
        with pytest.raises(RunError, match=rf"{words}.*plans\.json|plans\.json.*{words}"):
            trials_frame(tmp_path)
    (folder / "job.json").write_text('{"job": {"method": "random"}}')
    with pytest.raises(RunError, match=r"job\.json is corrupt"):
        evaluations_frame(folder)


# ---- frames of studies ----


def test_a_frame_of_a_study_has_every_run_at_every_checkpoint(tmp_path):
    variants = (Variant("random", "random"), Variant("small", "nsga2", {"population": 4}))
    plan = check_plan(Plan(variants, (Case("toy"), Case("toy", "", ("error",))), (0, 1, 2), 60, at=(20, 40)))
    record_plan(tmp_path, check_plan(Plan(variants, (Case("toy"),), (0,), 10)))  # the last one counts
    record_plan(tmp_path, plan)
    jobs = list(plan.jobs())
    run_study(jobs[:-2], tmp_path)  # the last two are missing
    broken = folder_of(tmp_path, jobs[0])
    (broken / LOG).write_text("nonsense\n" * 60)
    frame = trials_frame(tmp_path)
    assert frame.equals(trials_frame(SimpleNamespace(folder=tmp_path)))  # as what `study` returns
    assert len(frame) == 2 * 2 * 3 * 3
    assert frame.groupby(["objectives", "method", "seed"]).evaluations.agg(list).map(tuple).unique().tolist() == [
        (20, 40, 60)
    ]
    assert frame.status.value_counts().to_dict() == {"done": 27, "missing": 6, "failed": 3}
    assert frame.regret.isna().equals(frame.status != "done")
    assert "corrupt" in frame.reason[frame.status == "failed"].iloc[0]
    records = trial_records(tabulate(plan, collect(plan, tmp_path)))
    rows = frame.set_index(["objectives", "method", "seed", "evaluations"])
    for record in records:
        for at in plan.at:
            row = rows.loc[(record["objectives"], record["method"], record["seed"], at)]
            assert (row.status, row.reason) == (record["status"], record["reason"])
            np.testing.assert_array_equal(
                [row.regret, row.igd_plus, row.reported_regret],
                [record[f"{name}_{at}"] for name in ("regret", "igd_plus", "reported_regret")],
            )
    trial = next(t for t in collect(plan, tmp_path) if (t.variant, t.job.seed, t.F.shape) == ("random", 2, (60, 2)))
    rows_of_one = frame[(frame.method == "random") & (frame.seed == 2) & (frame.objectives == "error+flops")]
    np.testing.assert_array_equal(rows_of_one[["epsilon", "best", "area"]].T, [trial.epsilon, trial.best, trial.area])
    assert rows_of_one.best.tolist() == [trial.F[:n, 0].min() for n in (20, 40, 60)]
    only = trials_frame(tmp_path, check_plan(Plan(variants[:1], (Case("toy"),), (1,), 60, at=(30,))))
    assert only.evaluations.tolist() == [30, 60]
    assert only.regret.iloc[1] == rows.regret.loc[("error+flops", "random", 1, 60)]


def test_a_frame_of_a_study_under_constraints(tmp_path):
    cases = (Case("toy", "", ("error", "flops"), ("flops<=10",)), Case("toy"))
    plan = check_plan(Plan((Variant("random", "random"),), cases, (0, 1), 30))
    record_plan(tmp_path, plan)
    run_study(list(plan.jobs()), tmp_path)
    frame = trials_frame(tmp_path)
    assert frame.constraints.tolist() == ["flops<=10"] * 2 + [""] * 2
    assert (frame.status == "done").all()
    front = open_benchmark("toy").reference().front
    ideal = front[front[:, 1] <= 10.0][:, 0].min()
    assert (frame.best[:2] >= ideal).all()
    assert frame.best[2:].max() < frame.best[:2].min()  # without the bound smaller errors are found
