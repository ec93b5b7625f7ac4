"""Speed and size of reports: 300 runs of 340 evaluations in a page below 15 MB, more runs in proportion."""

import json
import shutil

import pytest
from clock import fastest, seconds_of

from smemnas.bench.report.page.page import write_page, write_report_files
from smemnas.bench.runs.history import History
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan, make_cases
from smemnas.bench.workers.backends import Place
from smemnas.surrogates.base import single_thread

BUDGET, SEEDS = 340, 25
VARIANTS = (
    Variant("random", "random"),
    Variant("local-search", "local-search"),
    Variant("nsga2", "nsga2"),
    Variant("nsga2/20", "nsga2", {"population": 20}),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """300 runs: four methods, 25 seeds, three problems."""
    out = tmp_path_factory.mktemp("runs")
    cases = (
        *make_cases(["nb201"], [], ("error", "flops")),
        *make_cases(["nb201"], [], ("error", "params")),
        *make_cases(["toy"], [], ()),
    )
    plan = check_plan(Plan(VARIANTS, cases, tuple(range(SEEDS)), BUDGET))
    record_plan(out, plan)
    states = run_study(list(plan.jobs()), out, place=Place())  # by all processors: nothing is timed yet
    assert {state.status for state in states} == {"done"}
    return out


def report(runs, out, figures=False):
    """Make a report and return its page."""
    with single_thread():
        groups, unfinished = make_groups(find_runs([str(runs)]))
        assert not unfinished
        files = write_report_files(out, groups, unfinished, figures=figures)
        return write_page(out, groups, unfinished, files=files)


def reading(runs):
    """Read all logs: what no report can do without."""
    for log in runs.rglob("evals.jsonl"):
        History(log).arrays()


@pytest.mark.slow
def test_300_runs(benchmark, runs, tmp_path):
    """Tables and page together; beside it reading the logs. With every evaluation the page stays below 15 MB too."""
    page = benchmark.pedantic(report, args=(runs, tmp_path), rounds=1)
    times = fastest(lambda: report(runs, tmp_path), 2) / fastest(lambda: reading(runs))
    size = page.stat().st_size
    groups, unfinished = make_groups(find_runs([str(runs)]))
    whole = write_page(tmp_path / "whole", groups, unfinished, evaluated=True).stat().st_size
    benchmark.extra_info.update(megabytes=size / 1e6, with_evaluations=whole / 1e6, ratio=times)
    assert size < 15e6
    assert size < whole < 15e6
    assert times < 25


@pytest.mark.long
@pytest.mark.slow
def test_900_runs(benchmark, runs, tmp_path):
    """The 300 runs again under other seeds, in proportion to what 300 take."""
    few = runs
    many = tmp_path / "many"
    for k in range(3):
        for job in few.rglob("job.json"):
            entry = json.loads(job.read_text())
            seed = entry["job"]["seed"] + 1000 * k
            entry["job"]["seed"] = seed
            del entry["sum"]
            folder = many / job.parent.parent.relative_to(few) / f"seed-{seed}"
            shutil.copytree(job.parent, folder)
            (folder / "job.json").write_text(json.dumps(entry))
    page = benchmark.pedantic(report, args=(few, tmp_path / "few"), rounds=1)
    times = seconds_of(lambda: report(many, tmp_path / "out")) / seconds_of(lambda: report(few, tmp_path / "few"))
    benchmark.extra_info.update(megabytes=page.stat().st_size / 1e6, ratio=times)
    assert len(find_runs([str(many)]).runs) == 900
    assert times < 2 * 3
