"""Errors under cost caps, shares of targets and regret in points: files of a study against its logs, rule recorded."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from study_cases import records, written

from smemnas.bench.benchmarks import ranges
from smemnas.bench.benchmarks.case import Case, known_reference
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.library.study import StudyOptions, plan_of
from smemnas.bench.metrics.indicators import hypervolume_regret, nondominated
from smemnas.bench.metrics.targets import TARGETS
from smemnas.bench.report.study import figures
from smemnas.bench.report.study.files import write_study
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.history import History
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.execution import folder_of, run_study
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect

PLACES = (("macro", "cifar10"), ("nb201", "cifar10"))
BUDGET, AT = 30, (10, 30)


def make_plan(reference="within-5", places=PLACES):
    cases = tuple(Case(*place, ("error", "flops"), reference=reference) for place in places)
    return check_plan(Plan((Variant("random", "random"), Variant("evo", "nsga2")), cases, (0, 1), BUDGET, at=AT[:1]))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return written(make_plan(), tmp_path_factory.mktemp("judged"))


def logs_of(out, plan, case, variant):
    logs = [History(folder_of(out, plan.job(variant, case, seed)) / LOG).arrays() for seed in plan.seeds]
    assert [len(F) for _, F in logs] == [BUDGET, BUDGET]
    return logs


def test_caps_are_those_of_the_logs(study):
    out, plan = study
    rows = records(out / "caps.csv")
    assert len(rows) == 2 * 2 * 2 * 3  # problems, checkpoints, methods, caps
    for row in rows:
        case = next(c for c in plan.cases if c.space == row["space"])
        bench, variant = open_benchmark(case.space, case.dataset, case.objectives), row["method"]
        found = []
        for X, F in logs_of(out, plan, case, next(v for v in plan.variants if v.name == variant)):
            X, F = X[: int(row["evaluations"])], F[: int(row["evaluations"])]
            inside = F[:, 1] <= float(row["cap"])
            if inside.any():
                chosen = np.flatnonzero(inside)[np.argmin(F[inside, 0])]  # by what was shown
                found.append(bench.true_values(X[[chosen]])[0, 0])  # the mean over trainings
        assert int(row["n"]) == len(found)
        assert row["runs"] == "2"
        assert (row["cost"], row["unit"], row["reference"]) == ("flops", "M", "within-5")
        if not found:
            assert row["error"] == row["above"] == ""
            continue
        assert float(row["error"]) == pytest.approx(np.mean(found))
        front = known_reference(case).front
        best = front[front[:, 1] <= float(row["cap"]), 0].min()
        assert float(row["best_possible"]) == pytest.approx(best, rel=1e-9)
        assert float(row["above"]) == pytest.approx(np.mean(found) - best)
    assert sum(int(row["n"]) for row in rows) > 36
    caps = {(r["space"], r["dataset"]): set() for r in rows}
    for row in rows:
        caps[row["space"], row["dataset"]].add(float(row["cap"]))
    assert caps == {place: set(ranges.CAPS[(*place, "flops")]) for place in PLACES}


def test_what_a_search_saw_of_three_trainings_is_not_the_error(study):
    """On macro a run sees one training of three; the error under a cap is the mean of the three."""
    out, plan = study
    case = plan.cases[0]
    bench = open_benchmark(*PLACES[0], ("error", "flops"))
    X, F = logs_of(out, plan, case, plan.variants[0])[0]
    assert np.abs(F[:, 0] - bench.true_values(X)[:, 0]).max() > 0.05


def test_shares_of_targets_are_those_of_the_logs(study):
    out, plan = study
    rows = {(r["space"], r["method"], int(r["evaluations"])): r for r in records(out / "ecdf.csv")}
    for variant in plan.variants:
        for n in (1, 10, 30):
            shares = []
            for case in plan.cases:
                reference = known_reference(case)
                reached = [
                    hypervolume_regret(F[:n], reference.front, reference.box) <= target + 1e-12
                    for _, F in logs_of(out, plan, case, variant)
                    for target in TARGETS
                ]
                shares.append(np.mean(reached))
                row = rows[case.space, variant.name, n]
                assert float(row["share"]) == pytest.approx(shares[-1])
                assert (row["problems"], row["runs"], row["targets"]) == ("1", "2", "50")
            everything = rows["all", variant.name, n]
            assert float(everything["share"]) == pytest.approx(np.mean(shares))
            assert (everything["problems"], everything["runs"]) == ("2", "4")
    assert float(rows["all", "evo", 30]["share"]) > float(rows["all", "evo", 1]["share"])


def test_regret_in_points_and_the_words_beside_it(study):
    out, plan = study
    for row in records(out / "study.csv"):
        case = next(c for c in plan.cases if c.space == row["space"])
        reference = known_reference(case)
        ideal, corner = reference.ideal, reference.ideal + 1.1 * (reference.nadir - reference.ideal)
        variant = next(v for v in plan.variants if v.name == row["method"])
        costs = np.linspace(ideal[1], corner[1], 20_001)[:-1]

        def attained(points, costs=costs, top=corner[0]):
            return np.minimum(
                np.where(points[None, :, 1] <= costs[:, None], points[None, :, 0], np.inf).min(axis=1), top
            )

        gaps = []
        for _, F in logs_of(out, plan, case, variant):
            F = F[: int(row["evaluations"])]
            gaps.append((attained(F[nondominated(F)]) - attained(reference.front)).mean())
        assert float(row["regret_points"]) == pytest.approx(np.mean(gaps), abs=2e-3)
    text = " ".join((out / "study.md").read_text().split())
    assert "taken by the rule within-5, here between error 6.873 to 11.87 %, flops 25.65 to 85.16 M" in text
    assert "Mean error (%) under cost caps after 30 evaluations on macro/cifar10" in text
    assert "| best possible | 9.253 | 8.250 | 7.583 |" in text
    assert "Share of 50 targets reached over all problems and runs" in text
    for words in ("Regret in points", "Error under a cost cap", "Targets: 50 hypervolume regrets"):
        assert words in text


def test_the_rule_is_recorded_and_the_old_one_measures_as_before(study, tmp_path):
    out, plan = study
    [recorded] = read_plans(out / "plans.json")
    assert [case.reference for case in recorded.cases] == ["within-5", "within-5"]
    job = json.loads((folder_of(out, next(plan.jobs())) / "job.json").read_text())["job"]
    assert job["reference"] == "within-5"
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    old = make_plan(reference="")
    for trial, other in zip(collect(old, copy), collect(plan, copy), strict=True):
        front = open_benchmark(trial.case.space, trial.case.dataset, trial.case.objectives).reference().front
        assert trial.regret.tolist() == [hypervolume_regret(trial.F[:n], front) for n in AT]
        assert trial.regret[-1] != other.regret[-1]
        assert trial.F.tobytes() == other.F.tobytes()
    assert make_plan(reference="front").cases == old.cases


def test_where_nothing_is_an_error_there_are_no_caps(tmp_path):
    plan = make_plan(reference="", places=PLACES[:1])
    plan = check_plan(replace(plan, cases=(Case("macro", "cifar10", ("params", "flops")),)))
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    write_study(tmp_path, tables)
    assert not (tmp_path / "caps.csv").exists()
    assert tables.caps == []
    assert all(np.isnan(points) for points in tables.points.values())
    assert "Regret in points" not in (tmp_path / "study.md").read_text()
    assert (tmp_path / "ecdf.csv").exists()


def test_the_plan_of_the_package_needs_nothing_else_and_names_its_rule(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    plan = check_plan(plan_of(StudyOptions(plan="in-the-box")))
    assert {(case.space, case.dataset) for case in plan.cases} == {key[:2] for key in ranges.CAPS}
    assert {case.reference for case in plan.cases} == {"within-5"}
    assert (len(plan.variants), plan.seeds, plan.budget, plan.primary) == (9, tuple(range(11)), 100, "smemnas/best")
    assert list(tmp_path.iterdir()) == []
    elsewhere = plan_of(StudyOptions(plan="in-the-box", spaces=("nb201/cifar10",)))
    assert [case.reference for case in elsewhere.cases] == ["within-5"]
    before = check_plan(plan_of(StudyOptions(plan="in-the-box", reference="front")))
    assert {case.reference for case in before.cases} == {""}
    assert {case.reference for case in plan_of(StudyOptions(plan="five-problems")).cases} == {""}


def test_figures_of_targets_are_of_each_problem_and_of_all(study):
    out, plan = study
    styles = figures._styles(tables := figures.drawn(tabulate(plan, collect(plan, out))))
    for case, words in ((plan.cases[0], str(plan.cases[0])), (None, "2 problems")):
        [ax] = figures._reaches(tables, case, styles).axes
        lines = {tuple(line.get_ydata()): line for line in ax.lines}
        for name in ("random", "evo"):
            assert tuple(tables.reaches[case, name].share) in lines
        assert ax.get_xscale() == "log"
        assert ax.get_title(loc="left").startswith(f"{words}; ")
        assert "50 regrets from 0.87 to 0.001" in ax.get_title(loc="left")
        assert {text.get_text() for text in ax.texts} == {"random", "evo"}
