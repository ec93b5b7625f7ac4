"""Regret against training time, counted by hand from a table with times."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.data.user import import_table
from smemnas.bench.report.page.data import page_data
from smemnas.bench.report.page.page import render
from smemnas.bench.report.study import figures
from smemnas.bench.report.study.files import write_study
from smemnas.bench.runs.history import History
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import folder_of, record_plan, run_study
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.training_time import POINTS, trained
from smemnas.bench.studies.trials import collect
from smemnas.spaces.macro import Macro


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study on a table of 80 architectures with their seconds, one beside it on a table without."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(folder / "cache"))
        rng, space = np.random.default_rng(2), Macro()
        X = space.enumerate()[rng.permutation(space.size)[:80]]
        rows = {space.to_str(x): (rng.uniform(50, 95), int(rng.integers(500, 5000))) for x in X}
        text = "".join(f"{arch},{accuracy!r},{seconds}\n" for arch, (accuracy, seconds) in rows.items())
        (folder / "t.csv").write_text(f"arch,acc,s\n{text}")
        import_table(folder / "t.csv", "macro", "timed-80", accuracies=("acc:single",), time="s")
        cases = (Case("macro", "timed-80"), Case("toy"))
        variants = (Variant("random", "random"), Variant("nsga2", "nsga2"))
        plan = check_plan(Plan(variants, cases, (0, 1, 2), 25, at=(10,)))
        record_plan(folder / "s", plan)
        run_study(list(plan.jobs()), folder / "s")
        yield folder / "s", plan, tabulate(plan, collect(plan, folder / "s")), rows


def test_what_was_finished_by_then_counts(study):
    out, plan, tables, rows = study
    found = trained(tables)
    assert {row.case.dataset for row in found} == {"timed-80"}
    assert len(found) == POINTS * 2
    case = plan.cases[0]
    runs = {}
    for trial in (t for t in tables.trials if t.case == case):
        log = History(folder_of(out, trial.job) / "evals.jsonl")
        spent = np.cumsum([rows[row.arch][1] for row in log.rows])
        runs.setdefault(trial.variant, []).append((spent, trial.curve))
    end = min(spent[-1] for own in runs.values() for spent, _ in own)
    assert max(row.seconds for row in found) == end
    for row in found:
        reached = []
        for spent, curve in runs[row.variant]:
            before = [k for k in range(len(spent)) if spent[k] <= row.seconds]
            reached.append((curve[before[-1]] if before else 1.0, len(before)))
        assert row.regret.value == pytest.approx(np.mean([r for r, _ in reached]))
        assert row.evaluations == pytest.approx(np.mean([n for _, n in reached]))


def test_it_stands_in_the_files_and_the_report_of_the_same_runs_has_the_same(study, tmp_path):
    out, _, tables, _ = study
    write_study(tmp_path, tables)
    with open(tmp_path / "training_time.csv", newline="") as stream:
        records = list(csv.DictReader(stream))
    assert [float(r["regret"]) for r in records] == pytest.approx([row.regret.value for row in trained(tables)])
    text = "".join(path.read_text() for path in sorted(tmp_path.glob("*.md")))
    assert "Hypervolume regret against training time on macro/timed-80" in text
    (group,), _ = make_groups(find_runs([str(out)]))
    assert trained(group.tables) == trained(tables)


def test_the_figure_draws_the_curves_of_the_table_against_time(study):
    _, plan, tables, _ = study
    shown = figures.drawn(tables)
    assert [name for name in figures._all(shown) if name.startswith("time-")] == ["time-macro-timed-80"]
    [ax] = figures._all(shown)["time-macro-timed-80"]().axes
    lines = [(line.get_xdata(), line.get_ydata()) for line in ax.lines]
    for variant in plan.variants:
        mine = [row for row in trained(tables) if row.variant == variant.name]
        x = next(x for x, y in lines if np.array_equal(y, [row.regret.value for row in mine]))
        assert list(x) == [round(row.seconds) for row in mine]
    assert ax.get_xlabel() == "training time (what was finished by then)"
    assert {label.get_text()[-1] for label in ax.get_xticklabels()} <= set("smhd")
    assert {text.get_text() for text in ax.texts} == {"random", "nsga2"}


def test_the_page_draws_them_and_shows_every_row_of_the_table(study):
    """Its rows are of times, not of the checkpoints among which the page lets choose."""
    out, _, tables, _ = study
    groups, unfinished = make_groups(find_runs([str(out)]))
    timed, other = page_data(groups)["problems"]
    assert "timed" not in other
    assert timed["timed"]["unit"] == "training time"
    for curve in timed["timed"]["curves"]:
        mine = [row for row in trained(tables) if row.variant == ("random", "nsga2")[curve["m"]]]
        assert curve["mean"] == pytest.approx([row.regret.value for row in mine], rel=1e-4)
        assert timed["timed"]["at"] == [round(row.seconds) for row in mine]
    page = render(groups, unfinished)
    assert page.count('data-kind="timed"') == 1
    table = page.split('aria-label="Hypervolume regret against training time')[1].split("</table>")[0]
    assert table.count("<tr data-m=") == 8
    assert "data-at" not in table
    assert 'data-at="25"' in page
