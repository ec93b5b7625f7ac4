"""A study whose budget is training time: what was finished by a time counts, in every table, curve and file."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import smemnas
from smemnas.bench.data.user import import_table
from smemnas.bench.errors import UserError
from smemnas.bench.library.study import plan_of
from smemnas.bench.studies.plan import check_plan
from smemnas.bench.studies.plan_file import read_plan, save_plan
from smemnas.spaces.macro import Macro

SPACE = Macro()
#: Where results are read off, and the budget, in seconds.
AT = (1, 6_000, 18_000, 36_000)
GIVEN = {"spaces": ("macro/timed",), "seeds": "0-2", "budget_time": "10h", "at": "1s,100m,5h", "figures": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of 150 architectures with an error and a time each."""
    folder = tmp_path_factory.mktemp("timed")
    rng = np.random.default_rng(5)
    X = SPACE.enumerate()[rng.permutation(SPACE.size)[:150]]
    accuracy = 60.0 + 30.0 * SPACE.cost(X, "flops").argsort().argsort() / 150 + rng.normal(0.0, 4.0, 150).clip(-9, 9)
    rows = {SPACE.to_str(x): (float(a), int(rng.integers(500, 5000))) for x, a in zip(X, accuracy, strict=True)}
    lines = ["arch,acc,t", *(f"{arch},{accuracy!r},{seconds}" for arch, (accuracy, seconds) in rows.items())]
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(folder / "cache"))
        import_table(folder / "m.csv", "macro", "timed", accuracies=("acc:single",), time="t")
        yield rows


@pytest.fixture(scope="module")
def studied(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("studied") / "s"
    return smemnas.study(smemnas.StudyOptions(methods=("random", "nsga2"), out=out, **GIVEN))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def log_of(trial, studied):
    [folder] = studied.folder.rglob(f"{trial.job.method}/time-10h/seed-{trial.job.seed}")
    return [json.loads(line) for line in (folder / "evals.jsonl").read_text().splitlines()]


def regret_of(F, reference):
    """Regret by sweeping the front of two objectives, against the reference front's box."""
    ideal, nadir = reference.front.min(axis=0), reference.front.max(axis=0)

    def area(points):
        unit = (np.asarray(points) - ideal) / (nadir - ideal)
        total, right = 0.0, 1.1
        for x, _ in sorted(unit[(unit < 1.1).all(axis=1)].tolist(), reverse=True):  # from large x down
            below = [q for p, q in unit.tolist() if p <= x]
            total += (right - x) * (1.1 - min(below))
            right = x
        return total

    return 1.0 - (area(F) / area(reference.front) if len(F) else 0.0)


def test_each_run_ends_where_the_sum_of_the_table_passes_the_budget(table, studied):
    assert studied.plan.at == AT
    for trial in studied.tables.trials:
        spent = np.cumsum([table[row["arch"]][1] for row in log_of(trial, studied)])
        assert spent[-2] <= 36_000 < spent[-1]
        assert np.array_equal(spent, trial.clock)
        assert trial.status == "done"
        assert trial.reason == ""


def test_what_was_finished_by_a_time_counts(studied):
    for trial in studied.tables.trials:
        log = log_of(trial, studied)
        for k, at in enumerate(AT):
            F = [row["F"] for row, spent in zip(log, trial.clock, strict=True) if spent <= at]
            assert trial.regret[k] == pytest.approx(regret_of(F, trial.reference), abs=1e-9)
    assert all(row.regret.value == 1.0 and row.at == 1 for row in studied.tables.rows[:2])
    assert all(row.short == 0 for row in studied.tables.rows)


def test_tables_and_files_speak_of_times(studied, tmp_path):
    rows = rows_of(studied.folder / "study.csv")
    assert [int(row["training_seconds"]) for row in rows] == [at for at in AT for _ in range(2)]
    assert "evaluations" not in rows[0]
    text = (studied.folder / "study.md").read_text()
    assert "Primary comparison: each method against random after 10h of training" in text
    assert "by training time" in text
    assert "| training time | method |" in text
    assert "| 1h40m | nsga2 |" in text
    assert " evaluations |" not in text.split("## Time")[0]
    curves = rows_of(studied.folder / "curves.csv")
    means = [float(row["regret"]) for row in curves if row["method"] == "nsga2"]
    assert means == sorted(means, reverse=True)
    assert (means[0], int(curves[0]["training_seconds"])) == (1.0, 1)
    last = np.mean([t.regret[-1] for t in studied.tables.trials if t.variant == "nsga2"])
    assert means[-1] == pytest.approx(last, abs=1e-9)
    [arrival] = [a for a in studied.tables.arrivals if a.variant == "random"]
    reached = studied.tables.evaluations_to_target[arrival.case, "random"]
    for trial in (t for t in studied.tables.trials if t.variant == "random"):
        first = np.flatnonzero(
            [regret_of(trial.F[: n + 1], trial.reference) <= arrival.target for n in range(len(trial.F))]
        )
        assert arrival.target < 0.9
        true = trial.clock[first[0]] if len(first) and trial.clock[first[0]] <= 36_000 else np.inf
        assert reached[trial.job.seed] == true or true <= reached[trial.job.seed] <= true + 18
    frame = studied.frame()
    assert sorted(set(frame["training_seconds"])) == list(AT)


def test_report_and_archive_give_the_same_tables(studied, tmp_path):
    made = smemnas.make_archive([studied.folder], tmp_path / "a.runs").path
    for place in (studied.folder, made):
        report = smemnas.report(smemnas.ReportOptions([place], tmp_path / "r", figures=False))
        [group] = report.groups
        assert (group.bound, len(group.runs)) == ("10h of training", 6)
        for name in ("study.csv", "curves.csv", "trials.csv"):
            assert (tmp_path / "r" / name).read_bytes() == (studied.folder / name).read_bytes()
    text = report.page.read_text()
    assert '"unit": "training time"' in text or '"unit":"training time"' in text
    assert "6 finished runs of 10h of training" in text


def test_it_is_resumed_and_runs_of_another_time_stand_beside(studied):
    logs = {path: path.read_bytes() for path in studied.folder.rglob("evals.jsonl")}
    cut = next(iter(logs))
    lines = logs[cut].splitlines(keepends=True)
    cut.write_bytes(b"".join(lines[:-2]))
    (cut.parent / "status.json").unlink()
    options = smemnas.StudyOptions(methods=("random", "nsga2"), out=studied.folder, **GIVEN)
    again = smemnas.study(options)
    assert {path: path.read_bytes() for path in logs} == logs
    assert repr(again.tables.rows) == repr(studied.tables.rows)


def test_plans_hold_times_and_are_checked(table, tmp_path):
    plan = check_plan(plan_of(smemnas.StudyOptions(methods=("random",), **GIVEN)))
    save_plan(tmp_path / "p.toml", plan)
    text = (tmp_path / "p.toml").read_text()
    assert 'budget_time = "10h"' in text
    assert "\nbudget = " not in text
    found = read_plan(tmp_path / "p.toml")
    assert (found.budget_time, found.at, found.budget) == (36_000.0, AT, plan.budget)
    both = check_plan(plan_of(smemnas.StudyOptions(methods=("random",), budget=40, **GIVEN)))
    assert (both.budget, both.end) == (40, 36_000)
    assert both.job(both.variants[0], both.cases[0], 0).folder_in_study.parts[-2] == "budget-40,time-10h"
    bare = check_plan(plan_of(smemnas.StudyOptions(methods=("random",), **{**GIVEN, "at": None})))
    assert bare.at == (9_000, 18_000, 36_000)
    with pytest.raises(UserError, match=r"--budget-time needs training times, which nb201/cifar10 does not have"):
        check_plan(plan_of(smemnas.StudyOptions(methods=("random",), **{**GIVEN, "spaces": ("nb201/cifar10",)})))
    with pytest.raises(UserError, match=r"--at takes a duration with its unit"):
        plan_of(smemnas.StudyOptions(methods=("random",), **{**GIVEN, "at": "50,100"}))
    (tmp_path / "q.toml").write_text(text.replace('budget_time = "10h"', "budget = 30"))
    with pytest.raises(UserError, match="times are for a plan with budget_time"):
        read_plan(tmp_path / "q.toml")
