"""Runs under noise: the reported set, what a method may recommend, and what judges it."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from edits import edit_rows
from study_cases import records

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import RunError
from smemnas.bench.metrics.indicators import hypervolume_regret, nondominated
from smemnas.bench.report.run import write_report
from smemnas.bench.report.study.files import markdown, write_study
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.reported import Judged, Recommended, ReportedSet, is_whole, read_recommended
from smemnas.bench.runs.run import run, search
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import DONE, MISSING, folder_of, run_study, state_of
from smemnas.bench.studies.frames import trials_frame
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect, measure
from smemnas.methods.base import METHODS, Archive, Method, Recommendation
from smemnas.methods.random_search import RandomSearch

NOISY = "closed-form+noise=2"


class Smoother(RandomSearch):
    """Reports the two cheapest and one more of all that it was shown, with estimates of its own."""

    def __init__(self, problem, *, budget, seed, mistake: str = ""):
        super().__init__(problem, budget=budget, seed=seed, batch=10)
        self.archive, self.mistake = Archive(problem), mistake

    def tell(self, X, F):
        super().tell(X, F)
        self.archive.add(X, F)

    def recommend(self):
        X, F = self.archive.finite()
        if len(X) < 20:
            return None
        chosen = np.argsort(F[:, 1], kind="stable")[:2]
        chosen = chosen[: 1 + (F[chosen[1], 1] > F[chosen[0], 1])]
        estimates = np.stack([20.0 - np.arange(len(chosen)), F[chosen, 1]], axis=1)
        match self.mistake:
            case "unknown":
                return Recommendation((X[chosen] + 1) % 5, estimates)
            case "twice":
                return Recommendation(X[[0, 0]], np.array([[1.0, 2.0], [1.0, 2.0]]))
            case "dominated":
                return Recommendation(X[:2], np.array([[1.0, 2.0], [1.0, 3.0]]))
            case "nan":
                return Recommendation(X[:1], np.array([[1.0, np.nan]]))
            case "all":
                return Recommendation(X, np.stack([np.arange(len(X)), -np.arange(len(X))], axis=1))
            case "shape":
                return Recommendation(X[:2], np.ones((3, 2)))
            case "nonsense":
                return 7
            case "raises":
                raise ArithmeticError("no idea")
        return Recommendation(X[chosen], estimates)


@pytest.fixture(autouse=True)
def smoother():
    METHODS.register("smoother", summary="For tests")(Smoother)
    yield
    METHODS._entries.pop("smoother")


def job_of(method="random", dataset=NOISY, space="toy", budget=40, seed=0, **rest):
    return make_job(method, space, dataset=dataset, budget=budget, seed=seed, **rest)


def read(folder, name):
    return (folder / name).read_bytes()


@pytest.mark.parametrize(("space", "dataset"), [("toy", "closed-form"), ("macro", "cifar10")])
def test_with_noise_of_zero_the_log_is_that_without_the_option(tmp_path, space, dataset):
    for method in ("random", "nsga2", "smemnas"):
        for name in ("", "+noise=0"):
            job, benchmark = job_of(method, dataset + name, space, 30)
            run(job, tmp_path / f"{method}{name}", benchmark=benchmark)
        assert read(tmp_path / method, "evals.jsonl") == read(tmp_path / f"{method}+noise=0", "evals.jsonl")


def test_the_log_holds_what_was_shown_and_all_methods_of_a_seed_see_the_same(tmp_path):
    results = {}
    for method in ("random", "nsga2"):
        job, benchmark = job_of(method, seed=3)
        results[method] = run(job, tmp_path / method, benchmark=benchmark)
        shown = benchmark.evaluate(results[method].X, 3).F
        assert np.array_equal(results[method].F, shown)
        assert (shown[:, 0] != benchmark.true_values(results[method].X)[:, 0]).mean() > 0.9
        assert not (tmp_path / method / "recommended.jsonl").exists()
    first, second = ({x.tobytes(): f for x, f in zip(r.X, r.F, strict=True)} for r in results.values())
    both = first.keys() & second.keys()
    assert len(both) >= 10
    assert all(np.array_equal(first[x], second[x]) for x in both)


def test_a_summary_judges_by_true_values(tmp_path):
    job, benchmark = job_of(budget=60)
    result = run(job, tmp_path, benchmark=benchmark)
    summary = write_report(tmp_path, result, benchmark)
    front, F = benchmark.reference().front, result.F
    keep = np.flatnonzero(nondominated(F))
    true = hypervolume_regret(benchmark.true_values(result.X[keep]), front)
    assert summary["hypervolume_regret"] == pytest.approx(true, abs=1e-12)
    assert summary["observed_regret"] == pytest.approx(hypervolume_regret(F, front), abs=1e-12)
    assert summary["optimism"] == pytest.approx(true - summary["observed_regret"], abs=1e-12)
    assert summary["optimism"] > 0.02  # the front of what was shown is one of lucky draws
    assert (summary["recommended"], summary["reference"]["exact"]) == (False, True)
    with open(tmp_path / "front.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    X = np.array([[int(g) for g in row["x"].split()] for row in rows])
    assert [float(row["true_error"]) for row in rows] == benchmark.true_values(X)[:, 0].tolist()
    assert sorted(float(row["error"]) for row in rows) == sorted(F[keep, 0].tolist())


def test_a_recommended_set_is_kept_and_counts(tmp_path):
    job, benchmark = job_of("smoother", budget=45)
    result = run(job, tmp_path, benchmark=benchmark)
    sets = read_recommended(tmp_path / "recommended.jsonl", 45)
    assert [found.n for found in sets] == [10, 20, 30, 40, 45]
    first = np.flatnonzero(nondominated(result.F[:10]))
    assert np.array_equal(sets[0].rows, first)
    assert np.array_equal(sets[0].F, result.F[first])  # it knew nothing yet
    assert len(sets[-1].rows) <= 2
    assert result.F[sets[-1].rows, 1].max() <= np.sort(result.F[:, 1])[1]
    assert sorted(map(tuple, result.front.X)) == sorted(map(tuple, result.X[sets[-1].rows]))
    assert write_report(tmp_path, result, benchmark)["recommended"] is True
    judged = Judged(result.X, result.F, benchmark, sets)
    assert np.array_equal(judged.at(29).rows, sets[1].rows)
    assert np.array_equal(judged.at(30).rows, sets[2].rows)
    found = measure(result.X, result.F, [5, 45], benchmark, benchmark.reference(), sets)
    chosen = benchmark.true_values(result.X[sets[-1].rows])
    assert found.regret[1] == pytest.approx(hypervolume_regret(chosen, benchmark.reference().front), abs=1e-12)
    assert found.best[1] == chosen[np.argmin(sets[-1].F[:, 0]), 0]
    plain, bench = job_of("smoother", "closed-form", budget=45)
    run(plain, tmp_path / "plain", benchmark=bench)
    assert not (tmp_path / "plain" / "recommended.jsonl").exists()


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        ("unknown", "which it was not shown to be feasible"),
        ("twice", "recommends one row twice"),
        ("dominated", "its own estimates say is dominated"),
        ("nan", "estimates that are no numbers"),
        ("all", r"recommends \d+ architectures; expected \d+ at most, as on the log's front"),
        ("shape", r"X of shape \(2, 5\) and F of shape \(3, 2\); expected \(k, 5\) and \(k, 2\)"),
        ("nonsense", "recommends int; expected a Recommendation or None"),
        ("raises", "failed when it was asked what it recommends: ArithmeticError: no idea"),
    ],
)
def test_what_may_not_be_recommended_stops_the_run(tmp_path, mistake, expected):
    job, benchmark = job_of("smoother", params={"mistake": mistake})
    with pytest.raises(RunError, match=expected) as caught:
        run(job, tmp_path, benchmark=benchmark)
    assert "'smoother'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rows", "sets"), [(0, 0), (20, 2), (25, 2), (40, 1), (45, 4), (45, 0)])
def test_a_run_that_was_cut_ends_with_the_same_bytes(tmp_path, rows, sets):
    job, benchmark = job_of("smoother", budget=45)
    run(job, tmp_path / "whole", benchmark=benchmark)
    run(job, tmp_path / "cut", benchmark=benchmark)
    for name, keep in (("evals.jsonl", rows), ("recommended.jsonl", sets)):
        lines = read(tmp_path / "cut", name).splitlines(keepends=True)
        (tmp_path / "cut" / name).write_bytes(b"".join(lines[:keep]) + (lines[keep][:7] if keep < len(lines) else b""))
    assert not is_whole(tmp_path / "cut" / "recommended.jsonl", 45)
    again = run(job, tmp_path / "cut", benchmark=benchmark)
    for name in ("evals.jsonl", "recommended.jsonl"):
        assert read(tmp_path / "cut", name) == read(tmp_path / "whole", name)
    assert is_whole(tmp_path / "cut" / "recommended.jsonl", 45)
    assert len(again.recommended) == 5


def test_recommendations_of_another_history_are_refused(tmp_path):
    job, benchmark = job_of("smoother", budget=30)
    run(job, tmp_path, benchmark=benchmark)
    file = tmp_path / "recommended.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    with pytest.raises(RunError, match="is not of the log beside it"):
        read_recommended(file, 31)
    file.write_bytes(lines[0].replace(b'"n": 10', b'"n": 11') + b"".join(lines[1:]))
    with pytest.raises(RunError, match="line 1 is corrupt"):
        read_recommended(file, 30)
    other, bench = job_of("smoother", budget=30, seed=1)
    run(other, tmp_path / "other", benchmark=bench)
    file.write_bytes(read(tmp_path / "other", "recommended.jsonl"))
    with pytest.raises(
        RunError, match="does not replay: after 10 evaluations the method now recommends something else"
    ):
        run(job, tmp_path, benchmark=benchmark)


def test_true_values_count_against_a_constraint():
    benchmark = open_benchmark("toy", NOISY, (), ("error<=12",))
    X = benchmark.space.sample(300, np.random.default_rng(0))
    F = benchmark.evaluate(X, 0).F
    shown, true = F[:, 0] <= 12, benchmark.true_values(X)[:, 0] <= 12
    assert (shown & ~true).any()
    judged = Judged(X, np.where(shown[:, None], F, np.inf), benchmark)
    assert np.array_equal(np.isinf(judged.true).any(axis=1), ~true)
    rows = judged.at(300).rows
    assert shown[rows].all()
    found = measure(X, F, [300], benchmark, benchmark.reference())
    kept = benchmark.true_values(X[rows[true[rows]]])
    assert found.regret[0] == pytest.approx(hypervolume_regret(kept, benchmark.reference().front), abs=1e-12)


def test_measures_by_definition():
    """Each checkpoint's true regret by brute force; it may rise, as a lucky draw may push out what is better."""
    benchmark = open_benchmark("nb201", "cifar10+noise=1")
    reference = benchmark.reference()
    X = np.unique(benchmark.space.sample(120, np.random.default_rng(3)), axis=0)[:90]
    F = benchmark.evaluate(X, 0).F
    found = measure(X, F, [1, 40, 90, 200], benchmark, reference)
    brute = []
    for n in range(1, 91):
        keep = [
            i for i in range(n) if not any((F[j] <= F[i]).all() and (F[j] < F[i]).any() for j in range(n) if j != i)
        ]
        brute.append(hypervolume_regret(benchmark.true_values(X[keep]), reference.front))
    np.testing.assert_allclose(found.curve, brute, atol=1e-12)
    assert (np.diff(brute) > 0).any()
    assert found.regret.tolist() == pytest.approx([brute[0], brute[39], brute[89], brute[89]], abs=1e-12)
    assert found.area[1] == pytest.approx(np.mean(brute[:40]), abs=1e-12)
    assert found.observed[2] == pytest.approx(hypervolume_regret(F, reference.front), abs=1e-12)
    looks_best = np.argmin(F[:, 0])
    assert found.best[2] == benchmark.true_values(X[[looks_best]])[0, 0] != F[looks_best, 0]
    plain = measure(X, F, [40], open_benchmark("nb201", "cifar10"), reference)
    assert np.isnan(plain.observed).all()


@pytest.fixture
def plan():
    variants = (Variant("random", "random"), Variant("smoother", "smoother"))
    return check_plan(Plan(variants, (Case("toy", NOISY), Case("toy")), (0, 1), 30, at=(15,)))


def test_a_study_shows_observed_and_true_regret(tmp_path, plan):
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    write_study(tmp_path, tables)
    case = plan.cases[0]
    for row in records(tmp_path / "study.csv"):
        if row["dataset"] == NOISY:
            optimism = float(row["regret"]) - float(row["observed_regret"])
            assert float(row["optimism"]) == pytest.approx(optimism, abs=1e-9)
        else:
            assert row["observed_regret"] == row["optimism"] == ""
    frame = trials_frame(tmp_path, plan)
    for trial in records(tmp_path / "trials.csv"):
        if trial["dataset"] == NOISY and trial["method"] == "random":
            job = plan.job(plan.variants[0], case, int(trial["seed"]))
            _, F = History(folder_of(tmp_path, job) / "evals.jsonl").arrays()
            wanted = hypervolume_regret(F[:15], benchmark_of(case).reference().front)
            assert float(trial["observed_regret_15"]) == pytest.approx(wanted, abs=1e-9)
    assert frame["observed_regret"].notna().sum() == 8
    text = markdown(tables)
    assert "## True and observed regret of the reported set on toy/closed-form+noise=2" in text
    assert "Optimism: true minus observed regret" in text


def test_a_study_without_noise_has_no_word_of_it(tmp_path, plan):
    plain = replace(plan, cases=plan.cases[1:])
    run_study(list(plain.jobs()), tmp_path)
    write_study(tmp_path, tabulate(plain, collect(plain, tmp_path)))
    for name in ("study.csv", "trials.csv", "study.md"):
        text = (tmp_path / name).read_text()
        assert "observed" not in text
        assert "optimism" not in text.lower()
    assert "observed_regret" not in trials_frame(tmp_path, plain)


def test_a_study_finishes_what_was_cut_before_the_last_recommendation(tmp_path, plan):
    run_study(list(plan.jobs()), tmp_path)
    job = plan.job(plan.variants[1], plan.cases[0], 0)
    file = folder_of(tmp_path, job) / "recommended.jsonl"
    whole = file.read_bytes()
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert state_of(tmp_path, job).status == MISSING
    run_study(list(plan.jobs()), tmp_path)
    assert file.read_bytes() == whole
    assert state_of(tmp_path, job).status == DONE


def test_a_report_counts_recommendations(tmp_path, plan):
    run_study(list(plan.jobs()), tmp_path)
    own = {(t.variant, t.job.seed): t for t in collect(plan, tmp_path) if t.case == plan.cases[0]}
    [group], unfinished = make_groups(find_runs([str(tmp_path)]))
    found = {(t.variant, t.job.seed): t for t in group.tables.trials if t.case == plan.cases[0]}
    assert unfinished == []
    assert found.keys() == own.keys()
    for key, trial in found.items():
        assert trial.regret.tolist() == [own[key].regret[-1]]
        assert trial.observed.tolist() == [own[key].observed[-1]]
    assert own["smoother", 0].regret[-1] > own["random", 0].regret[-1]  # two of all do not make a front


def test_the_picture_shows_true_values_beside_observed_ones(tmp_path):
    for dataset, labels in ((NOISY, 1), ("closed-form", 0)):
        job, benchmark = job_of(dataset=dataset, budget=20)
        result = run(job, tmp_path / dataset, benchmark=benchmark)
        lines = {line.get_label(): line for line in result.plot().axes[0].lines}
        assert ("its true values" in lines) == labels
        if labels:
            drawn = np.stack(lines["its true values"].get_data())
            assert drawn.T.tolist() == benchmark.true_values(result.front.X)[:, ::-1].tolist()


def test_a_changed_log_is_found_out_under_noise(tmp_path):
    job, benchmark = job_of(budget=20)
    run(job, tmp_path, benchmark=benchmark)

    def flatter(rows):
        rows[4]["F"][0] -= 1.0

    edit_rows(tmp_path, flatter)
    with pytest.raises(RunError, match="evaluation 4 has error"):
        run(job, tmp_path, benchmark=benchmark)


def test_the_evaluation_seed_is_recorded(tmp_path):
    job, benchmark = job_of(seed=6, budget=10)
    run(job, tmp_path, benchmark=benchmark)
    entry = json.loads((tmp_path / "job.json").read_text())
    assert entry["job"]["seed"] == Job("random", "toy", NOISY, ("error",), 1, 6).evaluation_seed == 6
    assert entry["job"]["dataset"] == NOISY
    assert entry["data"]["noise"] == {"rule": 1, "deviations": {"error": 2.0}}


def test_a_method_without_recommend_is_never_asked(tmp_path):
    _, benchmark = job_of()
    history = History(tmp_path / "evals.jsonl")
    method = METHODS.create("random", benchmark.problem, budget=10, seed=0)
    said = Recommended(tmp_path / "recommended.jsonl", method, benchmark, history, "random")
    assert type(method).recommend is Method.recommend
    assert not said.wanted
    with history, said:
        search(method, benchmark, 10, 0, history, told=said.after if said.wanted else None)
    assert list(tmp_path.iterdir()) == [tmp_path / "evals.jsonl"]
    judged = Judged(*history.arrays(), benchmark)
    assert isinstance(judged.at(10), ReportedSet)
    assert len(judged.at(0).rows) == 0
