"""Shared by the tests of studies: a toy plan, the command line in a process of its own, what a study left behind."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import forked
from forked import command as command

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.report.study.files import write_study
from smemnas.bench.runs.folder import LOG
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import DONE, record_plan, run_study
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import Trial, collect, unfinished

ROOT = Path(__file__).resolve().parents[1]
SAME_FILES = ("study.csv", "trials.csv", "ranks.csv", "curves.csv", "study.tex", "plans.json")


def study(*args: object, code: int = 0) -> str:
    """Run the command line in a process of its own and return what it printed."""
    done = forked.run(*args, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def written(plan: Plan, out: Path) -> tuple[Path, Plan]:
    """Run a plan in a folder and write its files; return both, as fixtures hand them on."""
    record_plan(out, plan)
    run_study(list(plan.jobs()), out)
    write_study(out, tabulate(plan, collect(plan, out)))
    return out, plan


def records(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def logs(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob(LOG))}


def without_times(text: str) -> str:
    return text.partition("## Time")[0]


def assert_same_study(a: Path, b: Path) -> None:
    assert logs(a) == logs(b)
    assert len(logs(a)) > 0
    for name in SAME_FILES:
        assert (a / name).read_text() == (b / name).read_text(), name
    assert without_times((a / "study.md").read_text()) == without_times((b / "study.md").read_text())


def made_up(plan: Plan, variant: Variant, case: Case, seed: int, **values: object) -> Trial:
    """Return a finished run of a plan without running anything; what is not given is NaN."""
    trial = unfinished(plan, variant, case, plan.job(variant, case, seed), DONE, "", None)
    return replace(trial, **values)  # type: ignore[arg-type]


def toy_plan(*, seeds: tuple[int, ...] = (0, 1, 2), budget: int = 40, **rest: object) -> Plan:
    variants = (Variant("random", "random"), Variant("evo", "nsga2", {"population": 10}))
    plan = Plan(variants, (Case("toy"),), seeds, budget, at=(10, 25))
    return check_plan(replace(plan, **rest))  # type: ignore[arg-type]
