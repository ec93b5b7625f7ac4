"""Searches on tables that cover a part of their space: 130 of 6,561 architectures, as users bring them."""

import json
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.pymoo_problem import as_pymoo
from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.library.study import StudyOptions, plan_of
from smemnas.bench.runs.folder import read_job
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import make_job, open_job
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.runs.run import run
from smemnas.bench.studies.frames import evaluations_frame
from smemnas.bench.studies.plan import check_plan
from smemnas.bench.studies.plan_file import read_plan
from smemnas.methods.base import METHODS, initial_design
from smemnas.spaces.listed import ListedSpace
from smemnas.spaces.macro import Macro
from smemnas.spaces.mnv3 import MNV3

ROWS = 130
SMALL = {  # so that every method comes to its own proposals soon
    "smemnas": {"population": 20, "generations": 4},
    "smemnas/best": {"population": 20, "generations": 4},
    "smemnas/paper": {"initial": 30, "batch": 15, "generations": 3},
    "smemnas/relevance": {"batch": 15, "population": 20, "generations": 3},
    "smemnas/nsga2-inside": {"batch": 15, "population": 20, "generations": 3},
    "smemnas/paper-100-8": {"initial": 30, "batch": 15, "generations": 3},
    "smemnas/paper-20-4": {"batch": 15, "generations": 3},
    "smemnas/sibling": {"batch": 15, "population": 20, "generations": 3},
    "smemnas/textbook-inside": {"batch": 15, "population": 20, "generations": 3},
    "smemnas/regression": {"batch": 15, "population": 20, "generations": 3},
    "msunas": {"initial": 30, "batch": 15, "population": 10, "generations": 3},
    "msunas/adaptive": {"initial": 40, "batch": 60, "population": 10, "generations": 2},
    "msunas/small": {"initial": 30, "batch": 15, "population": 10, "generations": 3},
    "msunas/adaptive-authors": {
        "initial": 40,
        "batch": 60,
        "population": 10,
        "generations": 2,
        "surrogate_params": {"trees": 20, "fold_trees": 5},
    },
    "smemnas/spnas": {"batch": 15, "population": 20, "generations": 3},
    "botorch-ehvi": {"initial": 40, "batch": 20},
    "botorch-qnehvi": {"initial": 40, "batch": 20, "candidates": 100},
    "remo": {"initial": 30, "scored": 36, "epochs": 3},
    "csea": {"initial": 30, "scored": 36, "steps": 5},
    "bananas": {"epochs": 5},
    "bananas/authors": {"epochs": 5},
    "parego": {"generations": 3},
}


def grid_table(folder, values, space="macro", **more):
    """A table in grid order; a row of NaN is a row that the user's file lacks."""
    columns = {"val_error": values, **more}
    describe = {n: {"unit": "%", "split": "single", "role": "objective"} for n in columns}
    header = {"name": f"{space}/part", "space": space, "dataset": "part", "index": "grid", "space_params": {}}
    return write_table(
        folder / "tables" / space / "part",
        columns,
        describe=describe,
        **header,
        recipe_version=0,
        default_objectives=["val_error", "flops"],
        aliases={},
        notes=[],
        source=[],
        licence="none",
    )


def some_errors(n, seed=0):
    """Errors of n of Macro's architectures, NaN of the others."""
    rng = np.random.default_rng(seed)
    values = np.full(Macro().size, np.nan)
    values[rng.choice(len(values), n, replace=False)] = rng.permutation(n) / 4.0 + 5.0  # no two alike
    return values


@pytest.fixture
def part(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    return grid_table(tmp_path, some_errors(ROWS))


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_searches_what_the_table_has(part, tmp_path, method):
    needs = METHODS.get(method).factory.needs
    pytest.importorskip(needs or "numpy", reason=f"needs the extra that brings {needs}")
    params = SMALL.get(method, {})
    job, benchmark = make_job(method, "macro", dataset="part", budget=60, params=params)
    found = run(job, tmp_path / "run", benchmark=benchmark)
    assert len(found.F) == 60
    assert np.isfinite(found.F).all()  # none failed
    assert len(np.unique(found.X, axis=0)) == 60
    known = benchmark.listed.rows
    assert (benchmark.listed.find(found.X) >= 0).all()
    np.testing.assert_array_equal(known, Macro().enumerate()[np.isfinite(part.column("val_error"))])
    assert found.note == ""
    # With more budget than there are rows: all of them, and then the end, with its reason.
    longer, _ = make_job(method, "macro", dataset="part", budget=200, params=params)
    ended = run(longer, tmp_path / "longer", benchmark=benchmark)
    assert len(ended.F) == ROWS
    assert np.isfinite(ended.F).all()
    assert ended.note == "Ended after 130 of 200 evaluations: all architectures of the list were evaluated."


@pytest.mark.parametrize("method", ["random", "smemnas", "nsga2", "moead", "local-search", "rea", "reinforce"])
def test_a_run_that_was_cut_continues_byte_for_byte(part, tmp_path, method):
    job, benchmark = make_job(method, "macro", dataset="part", budget=70, params=SMALL.get(method, {}))
    run(job, tmp_path / "whole", benchmark=benchmark)
    run(job, tmp_path / "cut", benchmark=benchmark)
    log = tmp_path / "cut" / "evals.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:37]) + lines[37][:11])
    run(job, tmp_path / "cut")  # opens the benchmark from the job
    assert log.read_bytes() == (tmp_path / "whole" / "evals.jsonl").read_bytes()


def test_random_search_has_the_exact_expectation_over_the_rows(part):
    """Best of n without replacement: the k-th smallest of N is it with probability C(N-k, n-1) / C(N, n)."""
    problem = open_benchmark("macro", "part", ["val_error"]).problem
    values = np.sort(part.column("val_error")[np.isfinite(part.column("val_error"))])
    for n in (5, 20, 60):
        chance = np.array([comb(ROWS - k, n - 1) for k in range(1, ROWS + 1)], dtype=float) / comb(ROWS, n)
        assert chance.sum() == pytest.approx(1.0)
        exact = float(values @ chance)
        deviation = np.sqrt(float(values**2 @ chance) - exact**2)
        best = []
        for seed in range(600):
            X = initial_design(problem, n, seed)
            best.append(part.column("val_error")[problem.space.whole.index(X)].min())
        assert abs(np.mean(best) - exact) < 4.0 * deviation / np.sqrt(len(best))
    assert exact < values.mean() - 5  # far from what drawing with failures would give


def test_rows_must_have_all_columns_that_are_searched(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    errors, other = some_errors(ROWS), some_errors(3000, seed=1)
    grid_table(tmp_path, errors, latency=other)
    both = np.isfinite(errors) & np.isfinite(other)
    benchmark = open_benchmark("macro", "part", ["val_error", "latency"])
    np.testing.assert_array_equal(benchmark.listed.rows, Macro().enumerate()[both])
    assert benchmark.listed.size == both.sum() > 20
    assert open_benchmark("macro", "part", ["latency", "flops"]).listed.size == 3000
    assert open_benchmark("macro", "part", ["flops", "params"]).listed is None  # costs need no table
    other = np.where(np.isfinite(errors), np.nan, 1.0)
    grid_table(tmp_path, errors, latency=other)
    with pytest.raises(DataError, match="no architecture of macro/part has values of all of val_error, latency"):
        make_job("random", "macro", dataset="part", objectives=("val_error", "latency"))


def test_repeated_trainings_count_where_there_is_one(tmp_path):
    values = np.stack([some_errors(ROWS), np.full(Macro().size, np.nan)], axis=1)
    assert TabularBenchmark(Macro(), grid_table(tmp_path, values)).listed.size == ROWS
    values[:] = 1.0
    values[5, 1] = np.nan
    assert TabularBenchmark(Macro(), grid_table(tmp_path, values)).listed is None
    values[5] = np.nan
    assert TabularBenchmark(Macro(), grid_table(tmp_path, values)).listed.size == Macro().size - 1


def test_a_full_table_is_searched_as_ever(tmp_path):
    benchmark = TabularBenchmark(Macro(), grid_table(tmp_path, np.arange(6561.0)))
    assert benchmark.listed is None
    assert benchmark.problem.space is benchmark.space
    assert notes_of(benchmark) == []


def test_the_run_says_so_and_the_whole_space_can_be_searched(part, call, tmp_path):
    ask = ("run", "--method", "nsga2", "--space", "macro", "--dataset", "part", "--budget", "20")
    code, out, _ = call(*ask, "--out", tmp_path / "listed")
    assert code == 0
    assert "Searched among the 130 architectures (of 6,561 genotypes)" in " ".join(out.split())
    job = json.loads((tmp_path / "listed" / "job.json").read_text())["job"]
    assert job["listed"] is True
    assert read_job(tmp_path / "listed")[0].folder.parts[2] == "val_error+flops,listed"
    code, out, _ = call(*ask, "--full-space", "--out", tmp_path / "full")
    assert "listed" not in json.loads((tmp_path / "full" / "job.json").read_text())["job"]
    assert "Searched among" not in out
    failed = (~np.isfinite(History(tmp_path / "full" / "evals.jsonl").arrays()[1])).any(axis=1)
    assert failed.sum() > 15
    # What was run before there was a restriction has no word of it in its job: it is opened as it was run.
    frame = evaluations_frame(tmp_path / "full")
    assert (frame["status"] == "failed").sum() == failed.sum()
    assert open_job(read_job(tmp_path / "full")[0]).listed is None
    with pytest.raises(RunError, match="listed"):
        run(read_job(tmp_path / "listed")[0], tmp_path / "full")


def test_a_study_is_restricted_and_reported(part, call, tmp_path):
    ask = ["study", "--methods", "random,nsga2", "--spaces", "macro", "--datasets", "part", "--seeds", "0-1"]
    ask += ["--budget", "40", "--jobs", "1", "--no-figures", "--out", tmp_path / "s"]
    code, _, error = call(*ask)
    assert (code, error) == (0, "")
    assert "Searched among the 130 architectures" in (tmp_path / "s" / "study.md").read_text()
    cases = json.loads((tmp_path / "s" / "plans.json").read_text())[0]["cases"]
    assert cases == [{"space": "macro", "dataset": "part", "objectives": ["val_error", "flops"], "listed": True}]
    assert all(np.isfinite(History(log).arrays()[1]).all() for log in tmp_path.glob("s/**/evals.jsonl"))
    code, _, error = call("report", tmp_path / "s", "--out", tmp_path / "page")
    assert (code, error) == (0, "")
    code, _, error = call(*ask, "--full-space")
    assert (code, error) == (0, "")
    assert len({log.parents[3].name for log in tmp_path.glob("s/**/evals.jsonl")}) == 2  # beside the others
    assert str(Case("macro", "part", ("a", "b"), ("a<=3",), True)) == "macro/part (a, b; a<=3; listed)"


def test_a_plan_of_the_whole_space_stays_one_in_its_file_and_in_an_archive(part, call, fails, tmp_path):
    ask = ["study", "--methods", "random", "--spaces", "macro/part", "--seeds", "0-1", "--budget", "30"]
    files = {name: tmp_path / f"{name}.toml" for name in ("listed", "whole", "table")}
    for name, more in (("listed", []), ("whole", ["--full-space"])):
        assert call(*ask, *more, "--save-plan", files[name])[0] == 0
    call("study", "--methods", "random", "--spaces", "toy", "--full-space", "--save-plan", files["table"])
    said = {name: "full_space = true" in file.read_text() for name, file in files.items()}
    assert said == {"listed": False, "whole": True, "table": False}  # nothing is to be said of a whole table
    plans = {name: read_plan(files[name]) for name in ("listed", "whole")}
    assert plans["listed"].origin[1] != plans["whole"].origin[1]
    places = {}
    for name in ("listed", "whole"):
        run = ["study", "--plan", files[name], "--jobs", "1", "--no-figures", "--quiet", "--out", tmp_path / name]
        assert call(*run)[2] == ""
        places[name] = {log.parents[3].name for log in tmp_path.glob(f"{name}/**/evals.jsonl")}
    assert places == {"listed": {"val_error+flops,listed"}, "whole": {"val_error+flops"}}
    for name in ("listed", "whole"):
        assert call("archive", "make", tmp_path / name, "--out", tmp_path / f"{name}.runs")[0] == 0
        options = StudyOptions(methods=("rea",), against=str(tmp_path / f"{name}.runs"))
        [case] = check_plan(plan_of(options)).cases
        assert case.listed is (name == "listed")
        [case] = check_plan(plan_of(replace(options, spaces=("macro/part",)))).cases
        assert case.listed  # named beside the stored plan, it is searched as ever
    for name, wrong in (("listed", "full_space = true"), ("whole", "full_space = false")):
        text = files[name].read_text().replace("full_space = true\n", "")
        text = text.replace("listed = true", "listed = true" if name == "listed" else "")
        text += "" if name == "listed" else "listed = false\n"
        files[name].write_text(text.replace("budget = 30", f"budget = 30\n{wrong}"))
        fails(["study", "--plan", files[name]], "a case of macro says listed =", "leave listed out")


def test_free_constraints_combine_with_the_list(part, tmp_path):
    flops = float(np.median(Macro().cost(open_benchmark("macro", "part").listed.rows, "flops")))
    limit = (f"flops<={flops:.4f}",)
    for method in ("smemnas", "nsga2", "local-search"):
        params = SMALL.get(method, {})
        job, benchmark = make_job(method, "macro", dataset="part", budget=200, constraints=limit, params=params)
        ended = run(job, tmp_path / method, benchmark=benchmark)
        assert isinstance(benchmark.problem.space, ListedSpace)
        assert ROWS // 2 - 2 <= benchmark.problem.space.size == len(ended.F) <= ROWS // 2 + 2
        assert np.isfinite(ended.F).all()
        assert ended.feasible.all()


def test_the_pymoo_view_answers_everywhere(part):
    benchmark = open_benchmark("macro", "part")
    problem = as_pymoo(benchmark)
    X = Macro().sample(50, np.random.default_rng(0))
    F = problem.evaluate(X, return_values_of=["F"])
    np.testing.assert_array_equal(F, benchmark.evaluate(benchmark.listed.normalise(X), 0).F)
    assert (F < 1e6).all()


def test_a_large_space_is_searched_among_its_rows(tmp_path, monkeypatch):
    """As mnv3/measured: 46 genes, where no child is ever listed."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    space, rng = MNV3(), np.random.default_rng(0)
    X = space.sample(400, rng)
    keys = space.canonical(X)
    order = np.argsort(keys)
    columns = {"key": keys[order], "genotype": X[order].astype(np.int8), "error": rng.uniform(20, 40, 400)}
    roles = {"key": "info", "genotype": "genotype", "error": "objective"}
    write_table(
        tmp_path / "tables" / "mnv3" / "few",
        columns,
        describe={n: {"unit": "%", "split": "none", "role": role} for n, role in roles.items()},
        **{"name": "mnv3/few", "space": "mnv3", "dataset": "few", "index": "key", "space_params": {}},
        recipe_version=0,
        default_objectives=["error", "flops"],
        aliases={},
        notes=[],
    )
    for method in ("nsga2", "local-search", "smemnas", "moead"):
        job, benchmark = make_job(method, "mnv3", dataset="few", budget=60, params=SMALL.get(method, {}))
        found = run(job, tmp_path / method, benchmark=benchmark)
        assert np.isfinite(found.F).all()
        assert len(np.unique(found.X, axis=0)) == 60


def test_variation_leads_somewhere(part, tmp_path):
    """The list has an order that genes explain: methods must do better than chance, as on a full table."""
    space = Macro()
    listed = open_benchmark("macro", "part").listed.rows
    values = np.full(space.size, np.nan)
    values[space.index(listed)] = 5.0 + listed.sum(axis=1) + 0.01 * np.arange(ROWS)
    grid_table(tmp_path, values)
    best = {}
    for method in ("random", "rea", "local-search", "nsga2", "smemnas"):
        ranks = []
        for seed in range(6):
            job, benchmark = make_job(
                method,
                "macro",
                dataset="part",
                objectives=("val_error", "params"),
                budget=30,
                seed=seed,
                params=SMALL.get(method, {}),
            )
            found = run(job, tmp_path / f"{method}-{seed}", benchmark=benchmark)
            ranks.append(np.mean(np.sort(found.F[:, 0])[:5]))
        best[method] = np.mean(ranks)
    assert all(best[m] < best["random"] - 0.3 for m in best if m != "random"), best
