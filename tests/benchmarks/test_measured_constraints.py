"""Constraints on columns that are measured and not searched, and bounds in the wrong unit."""

import json

import numpy as np
import pytest

from smemnas.bench.benchmarks.base import reference_front
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.constraints import check_bounds, constrain
from smemnas.bench.benchmarks.predictor import Predictor, PredictorBenchmark
from smemnas.bench.benchmarks.pymoo_problem import as_pymoo
from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import nondominated
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.execution import folder_of
from smemnas.bench.studies.frames import evaluations_frame
from smemnas.bench.studies.trials import collect
from smemnas.methods.base import METHODS, Method
from smemnas.spaces.macro import Macro
from smemnas.spaces.mnv3 import MNV3

LIMIT = "error_analog<=15"
SMALL = {"smemnas": {"population": 20, "generations": 4}}


@pytest.fixture
def whole(use_embedded):
    """All cells with error, flops and the bounded column, from the benchmark that searches all three."""
    wide = open_benchmark("nb201", "analog", ("error", "flops", "error_analog"))
    X = wide.space.enumerate()
    return X, wide.evaluate(X, 0).F


def test_the_front_is_that_of_the_architectures_within_the_bound(whole):
    X, F = whole
    benchmark = open_benchmark("nb201", "analog", ("error", "flops"), (LIMIT,))
    feasible = F[:, 2] <= 15
    assert 100 < feasible.sum() < 15000
    np.testing.assert_array_equal(benchmark.violation(X, F[:, :2]) == 0.0, feasible)
    np.testing.assert_allclose(benchmark.violation(X, F[:, :2]), np.maximum(F[:, 2] - 15, 0) / 15)
    front = reference_front(benchmark).front
    inside = F[feasible][:, :2]
    beaten = [((inside <= f).all(axis=1) & (inside < f).any(axis=1)).any() for f in front]
    assert not any(beaten)
    assert len(front) >= 3
    unbound = reference_front(open_benchmark("nb201", "analog", ("error", "flops"))).front
    assert not np.array_equal(front, unbound)


@pytest.mark.parametrize("method", ["smemnas", "nsga2", "random", "local-search", "parego"])
def test_feasible_before_infeasible_under_every_method(whole, tmp_path, method):
    _, F = whole
    job, benchmark = make_job(
        method,
        "nb201",
        dataset="analog",
        objectives=("error", "flops"),
        budget=60,
        constraints=(LIMIT,),
        params=SMALL.get(method, {}),
    )
    found = run(job, tmp_path / "run", benchmark=benchmark)
    rows = benchmark.space.index(found.X)
    np.testing.assert_array_equal(found.F, F[rows, :2])  # the log holds the true objectives
    np.testing.assert_array_equal(found.feasible, F[rows, 2] <= 15)
    assert (F[benchmark.space.index(found.front.X), 2] <= 15).all()
    text = (tmp_path / "run" / LOG).read_text()
    assert "error_analog" not in text  # nor another key: the value is looked up again
    lines = text.splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "job.json").write_bytes((tmp_path / "run" / "job.json").read_bytes())
    (tmp_path / "cut" / LOG).write_text("".join(lines[:31]))
    run(job, tmp_path / "cut")
    assert (tmp_path / "cut" / LOG).read_text() == text
    frame = evaluations_frame(tmp_path / "run")
    np.testing.assert_array_equal(frame["feasible"], F[rows, 2] <= 15)


def test_searches_go_where_the_bound_holds(whole, tmp_path):
    """A tenth of the space is feasible; in the second half of a run it must be far more of what is asked for."""
    _, F = whole
    limit = f"error_analog<={np.quantile(F[:, 2], 0.1):.3f}"
    share = {}
    for method in ("random", "nsga2", "rea"):
        counts = []
        for seed in range(3):
            job, benchmark = make_job(
                method,
                "nb201",
                dataset="analog",
                objectives=("error", "flops"),
                budget=120,
                seed=seed,
                constraints=(limit,),
            )
            counts.append(run(job, tmp_path / f"{method}-{seed}", benchmark=benchmark).feasible[60:].mean())
        share[method] = np.mean(counts)
    assert share["random"] < 0.2
    assert share["nsga2"] > 1.8 * share["random"], share
    assert share["rea"] > 1.8 * share["random"], share


def test_a_method_is_told_feasibility_and_never_the_value(use_embedded, tmp_path):
    seen = []

    class Own(Method):
        handles_constraints = True

        def ask(self):
            return self.problem.space.sample(10, self.rng)

        def tell(self, X, F):
            assert not hasattr(self.problem, "measured")
            seen.append((X, F, self.problem.violation(X, F)))

    METHODS.register("own-measured")(Own)
    try:
        job, benchmark = make_job(
            "own-measured", "nb201", dataset="analog", objectives=("error", "flops"), budget=40, constraints=(LIMIT,)
        )
        found = run(job, tmp_path, benchmark=benchmark)
    finally:
        del METHODS._entries["own-measured"]
    X, F, known = (np.concatenate([part[k] for part in seen]) for k in range(3))
    feasible = benchmark.measured(X, "error_analog") <= 15
    assert 0 < feasible.sum() < len(F)
    assert (known == 0.0).all()  # the problem does not know of that bound: the penalties carry it
    assert (F[feasible].max(axis=0) < F[~feasible].min(axis=0)).all()
    np.testing.assert_array_equal(benchmark.violation(found.X, found.F) == 0.0, found.feasible)


def test_reports_and_studies_judge_alike(whole, call, tmp_path):
    ask = ["--objectives", "error,flops", "--constraint", LIMIT, "--budget", "40"]
    study = [
        "study",
        "--methods",
        "random",
        "--spaces",
        "nb201/analog",
        "--seeds",
        "0-1",
        "--jobs",
        "1",
        "--no-figures",
    ]
    code, out, error = call(*study, *ask, "--out", tmp_path / "s")
    assert (code, error) == (0, ""), out
    code, _, error = call(
        "run", "--method", "random", "--space", "nb201", "--dataset", "analog", *ask, "--out", tmp_path / "r"
    )
    assert (code, error) == (0, "")
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    X, _ = History(tmp_path / "r" / LOG).arrays()
    _, F = whole
    broken = F[open_benchmark("nb201", "analog").space.index(X), 2] > 15
    assert summary["infeasible"] == broken.sum() > 0
    tables = (tmp_path / "s" / "study.md").read_text()
    assert f"nb201/analog (error, flops; {LIMIT})" in tables
    plan = read_plans(tmp_path / "s" / "plans.json")[0]
    for trial in collect(plan, tmp_path / "s"):
        X, _ = History(folder_of(tmp_path / "s", trial.job) / LOG).arrays()
        assert trial.infeasible_evaluations == (F[open_benchmark("nb201", "analog").space.index(X), 2] > 15).sum()
        assert trial.regret[-1] >= 0.0
    regret = collect(plan, tmp_path / "s")[0].regret[-1]
    assert summary["hypervolume_regret"] == pytest.approx(regret)  # the same seed, the same run
    code, _, error = call("report", tmp_path / "s", tmp_path / "r", "--out", tmp_path / "page")
    assert (code, error) == (0, "")
    pages = [p.read_text() for p in (tmp_path / "page").glob("*.html")]
    assert any("error_analog" in page for page in pages)


def test_the_list_has_values_of_what_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    rng, n = np.random.default_rng(0), Macro().size
    latency = np.where(np.arange(n) % 3 == 0, rng.uniform(1, 9, n), np.nan)
    trainings = np.stack([rng.uniform(5, 50, n), rng.uniform(5, 50, n)], axis=1)
    columns = {"val_error": trainings, "latency": latency, "test_error": rng.uniform(5, 50, n)}
    roles = {"val_error": "objective", "latency": "objective", "test_error": "report"}
    write_table(
        tmp_path / "tables" / "macro" / "mine",
        columns,
        describe={
            name: {"unit": "ms" if name == "latency" else "%", "split": "none", "role": role}
            for name, role in roles.items()
        },
        **{"name": "macro/mine", "space": "macro", "dataset": "mine", "index": "grid", "space_params": {}},
        recipe_version=0,
        default_objectives=["val_error", "flops"],
        aliases={"error": "val_error"},
        notes=[],
    )
    free = open_benchmark("macro", "mine")
    bound = open_benchmark("macro", "mine", (), ("latency<=5",))
    assert free.listed is None
    np.testing.assert_array_equal(bound.listed.rows, Macro().enumerate()[::3])
    job, benchmark = make_job("nsga2", "macro", dataset="mine", budget=30, constraints=("latency<=5",))
    found = run(job, tmp_path / "run", benchmark=benchmark)
    assert (found.X == bound.listed.normalise(found.X)).all()
    np.testing.assert_array_equal(found.feasible, latency[Macro().index(found.X)] <= 5)
    # Beyond the list: what has no value breaks the bound, and a method is told that it is worst.
    wide = open_benchmark("macro", "mine", (), ("latency<=5",), full_space=True)
    X = Macro().enumerate()[:4]
    assert np.isinf(wide.violation(X, wide.evaluate(X, 0).F)).tolist() == [False, True, True, False]
    # An objective that is not searched here has several trainings: their mean is what is bounded, for every seed.
    other = open_benchmark("macro", "mine", ("latency", "flops"), ("error<=20",))
    X = other.listed.rows
    F = other.evaluate(X, 7).F
    np.testing.assert_array_equal(other.violation(X, F) == 0.0, trainings[::3].mean(axis=1) <= 20)
    with pytest.raises(UserError, match="not 'test_error'"):
        open_benchmark("macro", "mine", (), ("test_error<=20",))
    with pytest.raises(UserError, match=r"no architecture satisfies latency<=0.5: in macro/mine latency lies between"):
        make_job("random", "macro", dataset="mine", constraints=("latency<=0.5",))


def test_the_predicted_error_can_be_bounded():
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(6, 128)), rng.normal(size=(1, 6)) / 50)
    predictor = Predictor(weights, (np.zeros(6), np.full(1, 0.7)), 0.0)
    space = MNV3()
    pool = space.sample(300, rng)
    searched = PredictorBenchmark(space, predictor, ("flops", "params"), dataset="made up", pool=lambda: pool)
    error = PredictorBenchmark(space, predictor, ("error",), dataset="made up").values(pool)[:, 0]
    limit = float(np.median(error))
    bound = constrain(searched, (f"error<={limit}",))
    np.testing.assert_array_equal(bound.violation(pool, searched.values(pool)) == 0.0, error <= limit)
    kept = searched.values(pool)[error <= limit]
    best = np.unique(kept[nondominated(kept)], axis=0)
    np.testing.assert_array_equal(reference_front(bound).front, best)
    both = PredictorBenchmark(space, predictor, ("error", "flops"), dataset="made up")
    assert both.measurable == ()


def test_the_pymoo_view_has_the_constraint(whole):
    X, F = whole
    problem = as_pymoo(open_benchmark("nb201", "analog", ("error", "flops"), (LIMIT,)))
    _, G = problem.evaluate(X[:500], return_values_of=["F", "G"])
    np.testing.assert_allclose(G[:, 0], np.maximum(F[:500, 2] - 15, 0) / 15)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "flops<=150000000",
            "every architecture by far satisfies flops<=150000000: in nb201/analog flops lies",
        ),
        (
            "error>=0.05",
            r"every architecture by far satisfies error>=0.05: .* %\. Give the bound in that unit, or",
        ),
        ("error<=0.05", r"no architecture satisfies error<=0.05: in nb201/analog error lies between .* %"),
        ("error_analog<=0.15", r"no architecture satisfies error_analog<=0.15"),
        ("flops>=150000000", "the largest flops is"),
        ("flops<=150G", r"flops is in M, not in 'G': give the bound like 'flops<=NUMBERM'"),
        ("error<=12percent", r"error is in %, not in 'percent'"),
    ],
)
def test_a_bound_in_another_unit_is_one_line(use_embedded, text, words):
    with pytest.raises(UserError, match=words) as error:
        make_job("random", "nb201", dataset="analog", constraints=(text,))
    assert "\n" not in str(error.value)


def test_a_stated_unit_is_taken_at_its_word(use_embedded):
    job, _ = make_job("random", "nb201", dataset="analog", constraints=("flops<=150000000M", "error <= 15 %"))
    assert job.constraints == ("error<=15", "flops<=150000000")
    assert make_job("random", "nb201", dataset="analog", constraints=("flops<=60M",))[0].constraints == ("flops<=60",)
    for text in ("flops>=0", "error>=0", "flops<=500", "params>=0.01"):  # loose, but no other unit
        make_job("random", "nb201", dataset="analog", constraints=(text,))


def test_of_what_only_an_evaluation_tells_nothing_is_said(tmp_path):
    """Without a table a bound on an objective cannot be compared with anything; a free one is, with a sample."""
    space = MNV3()
    predictor = Predictor((np.ones((2, 128)), np.ones((1, 2))), (np.zeros(2), np.zeros(1)), 0.0)
    unknown = PredictorBenchmark(space, predictor, dataset="made up")
    check_bounds(constrain(unknown, ("error<=0.0001",)), ("error<=0.0001",))
    with pytest.raises(UserError, match="every architecture by far satisfies flops<=300000000"):
        check_bounds(constrain(unknown, ("flops<=300000000",)), ("flops<=300000000",))
