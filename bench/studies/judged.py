"""What a study shows beside regret: the error under cost caps, and how soon many targets are reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.benchmarks.ranges import best_under, caps_of, cost_column, error_column
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.targets import share_reached, units_per_regret
from smemnas.bench.studies.in_time import step, steps
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.trials import Trial
from smemnas.spaces.base import FloatArray, IntArray, Objective

#: Numbers of evaluations at which shares of targets are known, besides the checkpoints; evenly on a logarithmic axis.
POINTS = 120


@dataclass(frozen=True)
class CapRow:
    """The error of what one variant offers under one cost cap of a case at one checkpoint.

    Attributes:
        at: Evaluations.
        cost: What is capped.
        cap: Its largest value.
        n: Finished runs with something within the cap.
        runs: Finished runs.
        error: Mean over these n runs.
        possible: The least error of the reference front under this cap.
        above: Mean of how far the n runs are above it.
    """

    case: Case
    variant: str
    at: int
    cost: Objective
    cap: float
    n: int
    runs: int
    error: Interval
    possible: float
    above: Interval


@dataclass(frozen=True)
class TargetsReached:
    """Which share of the targets a variant's finished runs have reached after so many evaluations.

    Attributes:
        at: Evaluations ``(g,)``.
        share: Shares ``(g,)``, from 0 to 1; problems weigh the same.
        problems: Cases with a finished run and a reference front.
        runs: Their finished runs.
    """

    at: IntArray
    share: FloatArray
    problems: int
    runs: int


Done = Mapping[tuple[Case, str], Sequence[Trial]]


def cap_rows(plan: Plan, done: Done, references: Mapping[Case, Reference | None]) -> list[CapRow]:
    """Return a row for each case, checkpoint, variant with finished runs, and cost cap.

    Args:
        plan: The study.
        done: Finished runs of each variant on each case.
        references: By what each case is measured.
    """
    rows = []
    for case in plan.cases:
        benchmark, reference = benchmark_of(case), references.get(case)
        column = cost_column(benchmark.objectives)
        if column is None:
            continue
        caps, possible = caps_of(benchmark, reference), best_under(benchmark, reference)
        for k, at in enumerate(plan.at):
            for name in (v.name for v in plan.variants if done.get((case, v.name))):
                under = np.array([t.under[k] for t in done[case, name]])  # (runs, caps)
                for j, cap in enumerate(caps):
                    there = under[np.isfinite(under[:, j]), j]
                    rows.append(
                        CapRow(
                            *(case, name, at, benchmark.objectives[column], cap, len(there), len(under)),
                            statistics.mean_interval(there),
                            float(possible[j]),
                            statistics.mean_interval(there - possible[j]),
                        )
                    )
    return rows


def reaches(plan: Plan, done: Done) -> dict[tuple[Case | None, str], TargetsReached]:
    """Return the shares of targets of each variant on each case, and under None on all of them.

    All of them only for variants that have finished runs on every case that anyone has.
    """
    at = np.unique([*np.geomspace(step(plan), plan.end, POINTS).astype(np.int64), *plan.at])
    known = np.maximum(np.searchsorted(steps(plan), at, side="right"), 1)
    found: dict[tuple[Case | None, str], TargetsReached] = {}
    curves = {key: [t.curve for t in trials if len(t.curve)] for key, trials in done.items()}
    cases = [case for case in plan.cases if any(curves.get((case, v.name)) for v in plan.variants)]
    for name in (v.name for v in plan.variants):
        own = {case: mine for case in cases if (mine := curves.get((case, name)))}
        for case, mine in own.items():
            found[case, name] = TargetsReached(at, share_reached([mine], known), 1, len(mine))
        if cases and len(own) == len(cases):
            runs = sum(map(len, own.values()))
            found[None, name] = TargetsReached(at, share_reached(list(own.values()), known), len(own), runs)
    return found


def points_per_regret(case: Case, reference: Reference | None) -> float:
    """Return how many points of error a regret of 1 is on a case; NaN where there is no error or no reference front."""
    column = error_column(benchmark_of(case).objectives)
    if reference is None or column is None:
        return float("nan")
    return units_per_regret(reference.front, column, reference.box)
