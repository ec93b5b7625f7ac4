"""The suite as a library: the blocks of docs/library.md, the view for pymoo, and the pandas frames."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from conftest import ROOT

from bench.benchmark import Benchmark, CallableBenchmark, Evaluation, open_benchmark
from bench.comparison import tabulate
from bench.errors import RunError, UserError
from bench.frames import evaluations_frame, trials_frame
from bench.plan import Case, Plan, Variant, check_plan
from bench.pymoo_problem import as_pymoo
from bench.report.study_records import trial_records
from bench.run import LOG, Job, make_job, run
from bench.study import folder_of, record_plan, run_study
from bench.trials import collect
from spaces.base import Objective
from spaces.mnv3 import MNV3
from spaces.nb101 import NB101
from spaces.toy import Toy

DOCUMENT = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
#: Title of each section to its text.
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
NUMBER = r"-?\d+\.\d+"


# ---- the document ----


def blocks(section, language):
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


@pytest.fixture
def execute(use_embedded, tmp_path, monkeypatch, capsys):
    """Run the code of a section in an empty folder; returns its names and what it printed."""

    def call(section):
        monkeypatch.chdir(tmp_path)
        (code,) = blocks(section, "python")
        names = {"__name__": "example"}
        with warnings.catch_warnings():
            exec(compile(code, section, "exec"), names)
        return names, capsys.readouterr().out

    return call


def test_every_section_is_one_block_of_code():
    assert set(SECTIONS) == {
        "One search", "Ask and tell by hand", "Your own objectives", "Your own training", "Frames",
        "pymoo on our tables", "A surrogate alone",
    }  # fmt: skip
    assert DOCUMENT.count("```python") == len(SECTIONS)


@pytest.mark.parametrize("section", ["Frames", "pymoo on our tables", "A surrogate alone"])
def test_what_a_block_prints_is_what_the_document_says(execute, section):
    """Numbers with decimals may differ a little on another processor."""
    (expected,) = blocks(section, "text")
    printed = execute(section)[1]
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", expected)
    ours, theirs = (np.array(re.findall(NUMBER, text), dtype=float) for text in (printed, expected))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_one_search_in_ten_lines(execute, tmp_path):
    (code,) = blocks("One search", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names, printed = execute("One search")
    assert len(names["result"].F) == 100
    assert len(printed.splitlines()) == len(names["F"]) >= 5
    assert names["F"][:, 0].min() < 7.5  # the best cell has 6.67 %, the median cell 13 %
    assert (tmp_path / "runs" / "first" / "evals.jsonl").read_bytes().count(b"\n") == 100


def test_ask_and_tell_by_hand(execute):
    names, printed = execute("Ask and tell by hand")
    assert names["told"] >= 60
    assert 4.0 <= names["best"] <= 8.0  # 4 is the optimum; one random architecture in 260 has 8 or less
    assert str(names["best"]) in printed


def test_own_objectives(execute):
    names, printed = execute("Your own objectives")
    X, F, table = names["X"], names["F"], names["table"]
    both = table.evaluate(X, 0).F
    np.testing.assert_allclose(F[:, 1], both[:, 1] - both[:, 0])
    np.testing.assert_array_equal(F[:, 2], [sum("conv" in op for op in table.space.to_str(x).split("|")) for x in X])
    assert names["benchmark"].problem.cheap == (2,)
    np.testing.assert_array_equal(names["benchmark"].problem.cheap_values(X)[:, 0], F[:, 2])
    assert len(printed.splitlines()) == len(F)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_own_training(execute):
    names, printed = execute("Your own training")
    F, space = names["F"], names["space"]
    assert F[:, 0].min() < 8.0
    for x, (_, weights) in zip(names["X"], F):
        network = names["train"](x, 0)
        assert weights == sum(w.size for w in (*network.coefs_, *network.intercepts_))
        np.testing.assert_array_equal(space.from_str(space.to_str(x)), x)
    tests = [float(line.split("%")[1].split()[-1]) for line in printed.splitlines()]
    assert len(tests) == len(F)
    assert min(tests) < 10.0
    assert names["val_images"].shape[0] == 400
    split = [{image.tobytes() for image in names[part]} for part in ("images", "val_images", "test_images")]
    assert not split[0] & split[1]
    assert not (split[0] | split[1]) & split[2]


@pytest.mark.parametrize("name", ["library.md", "checklist.md"])
def test_the_documents_name_what_exists(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    files = re.findall(r"`((?:bench|methods|spaces|docs)/[\w./-]*)`", text)
    assert links
    for path in (*(ROOT / "docs" / link for link in links), *(ROOT / file for file in files)):
        assert path.exists(), path


# ---- pymoo ----


def noisy(X, seed):
    return np.stack([(X.sum(axis=1) + 0.1 * seed) / 2, -X[:, 0]], axis=1)


TWO = (Objective("a", "", False), Objective("b", "", False))


def test_the_view_has_the_numbers_of_the_benchmark(use_embedded):
    bench = open_benchmark("nb201", objectives=("error", "flops"))
    problem = as_pymoo(bench)
    X = bench.space.sample(200, np.random.default_rng(0))
    np.testing.assert_array_equal(problem.evaluate(X), bench.evaluate(X, 0).F)
    np.testing.assert_array_equal(problem.evaluate(X.astype(float)), bench.evaluate(X, 0).F)
    np.testing.assert_array_equal(problem.evaluate(X[0]), bench.evaluate(X[:1], 0).F[0])
    assert (problem.n_var, problem.n_obj, problem.n_constr) == (6, 2, 0)
    assert problem.bounds()[0].tolist() == [0] * 6
    assert problem.bounds()[1].tolist() == [4] * 6
    assert problem.name() == "nb201/analog"
    np.testing.assert_array_equal(problem.pareto_front(), bench.reference().front)


def test_the_view_takes_the_evaluation_seed():
    bench = CallableBenchmark(Toy(), noisy, TWO)
    X = Toy().enumerate()[:7]
    for seed in (0, 3):
        np.testing.assert_array_equal(as_pymoo(bench, seed).evaluate(X), noisy(X, seed))
    assert as_pymoo(bench).pareto_front() is None


def test_the_view_refuses_real_numbers():
    problem = as_pymoo(CallableBenchmark(Toy(), noisy, TWO))
    with pytest.raises(UserError, match=r"integer variables, got 1\.25.*IntegerRandomSampling.*RoundingRepair"):
        problem.evaluate(np.array([[0.0, 1.25, 2.0, 3.0, 4.0]]))
    with pytest.raises(UserError, match="integer variables, got nan"):
        problem.evaluate(np.array([[0.0, np.nan, 2.0, 3.0, 4.0]]))


def test_what_cannot_be_evaluated_is_worse_than_everything():
    seen = []

    def measure(X, seed):
        seen.append(X)
        F = noisy(X, seed)
        F[X[:, 1] == 3, 1] = np.nan
        return F

    problem = as_pymoo(CallableBenchmark(Toy(), measure, TWO))
    F = problem.evaluate(np.array([[1, 1, 1, 1, 1], [1, 3, 1, 1, 1], [1, 7, 1, 1, 1]]))
    assert F.tolist() == [[2.5, -1.0], [1e9, 1e9], [1e9, 1e9]]
    assert seen[0].tolist() == [[1, 1, 1, 1, 1], [1, 3, 1, 1, 1]]  # no value was asked where there is no architecture
    assert problem.evaluate(np.full((2, 5), 9)).tolist() == [[1e9, 1e9]] * 2
    space = NB101()
    X = np.vstack([space.sample(5, np.random.default_rng(0)), np.zeros((1, space.n_var), np.int64)])
    nb101 = as_pymoo(CallableBenchmark(space, lambda X, seed: space.cost(X, "params"), [space.costs[0]]))
    assert (nb101.evaluate(X)[:, 0] == 1e9).tolist() == [False] * 5 + [True]


def test_silent_genes_are_normalised():
    space, seen = MNV3(), []

    def measure(X, seed):
        seen.append(X)
        return X.sum(axis=1)

    X = np.random.default_rng(0).integers(0, np.asarray(space.n_choices), (50, space.n_var))
    F = as_pymoo(CallableBenchmark(space, measure, TWO[:1])).evaluate(X)
    np.testing.assert_array_equal(seen[0], space.normalise(X))
    assert (F[:, 0] < X.sum(axis=1)).all()


@pytest.mark.parametrize("name", ["NSGA2", "SMSEMOA", "GA"])
def test_optimisers_of_pymoo_search_the_view(name, use_embedded):
    """Better than the first generation by far; every evaluated row is an architecture, as an integer."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    bench = open_benchmark("nb201", objectives=("error",) if name == "GA" else ("error", "flops"))
    make = {"NSGA2": NSGA2, "SMSEMOA": SMSEMOA, "GA": GA}[name]
    algorithm = make(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    result = minimize(as_pymoo(bench), algorithm, ("n_eval", 400), seed=1, save_history=True)
    X = np.atleast_2d(result.X)
    np.testing.assert_array_equal(bench.evaluate(X.astype(np.int64), 0).F, np.atleast_2d(result.F))
    first, last = (np.asarray(result.history[k].pop.get("F")) for k in (0, -1))
    assert last[:, 0].mean() < first[:, 0].mean()
    assert last[:, 0].min() <= first[:, 0].min()


def test_constraints_are_those_of_pymoo():
    bench = open_benchmark("toy", "closed-form", ("error", "flops"), ("flops<=10", "error<=30"))
    problem = as_pymoo(bench)
    assert problem.n_constr == 2
    X = np.vstack([Toy().sample(100, np.random.default_rng(0)), np.full((1, 5), 9)])
    F, G = problem.evaluate(X, return_values_of=["F", "G"])
    np.testing.assert_array_equal(F[:-1], bench.evaluate(X[:-1], 0).F)
    assert [str(c) for c in bench.constraints] == ["error<=30", "flops<=10"]
    np.testing.assert_allclose(G[:-1], np.maximum(F[:-1] / [30.0, 10.0] - 1.0, 0.0), atol=1e-12)
    assert G[-1].tolist() == [1e9, 1e9]
    front = problem.pareto_front()
    assert front[:, 1].max() == 10.0
    whole = open_benchmark("toy").reference().front
    inside = whole[(whole <= [30.0, 10.0]).all(axis=1)]
    np.testing.assert_array_equal(front, inside[np.argsort(inside[:, 0])])


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
    np.testing.assert_array_equal(frame.feasible, result.feasible)
    np.testing.assert_array_equal(frame.feasible, frame.error <= 20.0)
    assert 10 < frame.feasible.sum() < 90
    assert set(frame[frame.front].index) < set(frame[frame.feasible].index)
    cheapest = frame[frame.feasible].flops.min()
    assert frame[frame.front].flops.min() == cheapest > frame.flops.min()
    with pytest.raises(RunError, match="searched error,flops,error<=20, the benchmark has error,flops:"):
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
    with pytest.raises(RunError, match="the run searched val_error,flops, the benchmark has error,flops"):
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
