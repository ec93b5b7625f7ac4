"""What a study of one objective shows beside regret: the network found, and how soon it is near the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.incumbents import evaluations_within
from smemnas.bench.metrics.intervals import Interval, limits_of_median, limits_of_share
from smemnas.bench.studies.in_time import finished
from smemnas.bench.studies.judged import Done
from smemnas.bench.studies.pairs import adjust, compare
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.tables import IncumbentRow, Near
from smemnas.bench.studies.trials import Trial
from smemnas.spaces.base import FloatArray

#: How far above the optimum counts as near it, in the unit of the objective, and as it; largest first.
MARGINS = (0.5, 0.1, 0.0)
#: The margin by which paired tests ask who is there sooner.
TESTED = 0.1
#: Families of tests.
REPORTED_FAMILY, SOONER_FAMILY = "secondary, reported value", f"secondary, evaluations to within {TESTED:g}"


def incumbent_rows(plan: Plan, done: Done, references: Mapping[Case, Reference | None]) -> list[IncumbentRow]:
    """Return a row for each case of one objective, checkpoint and variant with finished runs.

    Args:
        plan: The study.
        done: Finished runs of each variant on each case.
        references: By what each case is measured.
    """
    cases = [case for case in plan.cases if len(benchmark_of(case).objectives) == 1]
    names = [v.name for v in plan.variants]
    known = {(c, n): trials for c in cases for n in names if (trials := [t for t in done[c, n] if len(t.incumbent)])}
    rows = [
        _row(plan, case, name, at, known[case, name], references.get(case))
        for case in cases
        for at in plan.at
        for name in names
        if (case, name) in known
    ]
    return _compared(plan, rows, known, references)


def _row(
    plan: Plan, case: Case, name: str, at: int, trials: Sequence[Trial], reference: Reference | None
) -> IncumbentRow:
    found = np.array([value_at(plan, trial, at) for trial in trials])  # (runs, 2)
    there = found[np.isfinite(found[:, 0])]
    best = optimum(reference)
    floor = float(reference.report_front[0, 0]) if reference is not None and len(reference.report_front) else math.nan
    near = tuple(_near(plan, trials, best, margin, at) for margin in MARGINS) if math.isfinite(best) else ()
    return IncumbentRow(
        *(case, name, at, len(there), len(trials)),
        statistics.mean_interval(there[:, 0]),
        statistics.mean_interval(there[:, 0] - best),
        statistics.mean_interval(there[:, 1]),
        floor,
        near,
    )


def _near(plan: Plan, trials: Sequence[Trial], best: float, margin: float, at: int) -> Near:
    spent = np.array([spent_within(plan, trial, best, margin) for trial in trials])
    spent = np.where(spent <= at, spent, math.inf)
    count, n = int(np.isfinite(spent).sum()), len(spent)
    share, median = Interval(count / n, *limits_of_share(count, n)), Interval(_median(spent), *limits_of_median(spent))
    return Near(margin, count, share, median)


def _median(x: FloatArray) -> float:
    """Return the median of ``x`` ``(n,)``; inf where half of the values or more are."""
    return float(np.median(x)) if np.isfinite(x).sum() * 2 > len(x) else math.inf


def optimum(reference: Reference | None) -> float:
    """Return the least value of one objective on a reference front; NaN without one."""
    return float(reference.front[0, 0]) if reference is not None and len(reference.front) else math.nan


def value_at(plan: Plan, trial: Trial, at: int) -> FloatArray:
    """Return true and reported value ``(2,)`` of what a run had found by a checkpoint; NaN of nothing."""
    count = int(finished(trial.clock, np.array([at]))[0]) if plan.budget_time else at
    count = min(count, len(trial.incumbent))
    return trial.incumbent[count - 1] if count else np.full(2, math.nan)


def spent_within(plan: Plan, trial: Trial, best: float, margin: float) -> float:
    """Return after how many evaluations (seconds of training) a run was within a margin of the optimum, or inf."""
    count = evaluations_within(trial.incumbent[:, 0] - best, margin)
    if math.isinf(count) or not plan.budget_time:
        return count
    return float(trial.clock[int(count) - 1]) if len(trial.clock) >= count else math.inf


def _compared(
    plan: Plan,
    rows: Sequence[IncumbentRow],
    known: Mapping[tuple[Case, str], Sequence[Trial]],
    references: Mapping[Case, Reference | None],
) -> list[IncumbentRow]:
    """Return the rows with the tests against the champion (baseline) at the budget, Holm over cases and variants."""
    first = plan.champion or plan.baseline
    asked = [k for k, r in enumerate(rows) if r.at == plan.end and r.variant != first and (r.case, first) in known]
    reported, sooner = [], []
    for k in asked:
        case, best = rows[k].case, optimum(references.get(rows[k].case))
        sides = [_columns(plan, known[case, name], best) for name in (first, rows[k].variant)]
        seeds = sorted(sides[0].keys() & sides[1].keys())
        x, y = (np.array([side[s] for s in seeds]).reshape(-1, 2) for side in sides)
        reported.append(compare(x[:, 0], y[:, 0]))
        sooner.append(compare(x[:, 1], y[:, 1]))
    made = list(rows)
    for k, one, other in zip(asked, adjust(reported, REPORTED_FAMILY), adjust(sooner, SOONER_FAMILY), strict=True):
        made[k] = replace(rows[k], reported=one, sooner=other)
    return made


def _columns(plan: Plan, trials: Sequence[Trial], best: float) -> dict[int, tuple[float, float]]:
    """Return by seed what is tested: the reported value at the budget, and the evaluations to within `TESTED`."""
    late = plan.end + 1.0 if math.isfinite(best) else math.nan
    return {
        t.job.seed: (float(value_at(plan, t, plan.end)[1]), min(spent_within(plan, t, best, TESTED), late))
        for t in trials
    }
