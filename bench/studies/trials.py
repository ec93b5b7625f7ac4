"""What each run of a study achieved: its log read and measured against the reference front."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark, has_two_splits
from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.benchmarks.ranges import caps_of, under_caps
from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.metrics.incumbents import incumbents
from smemnas.bench.metrics.indicators import epsilon, hypervolume_regret, igd_plus, nondominated, regret_curve
from smemnas.bench.runs.guard import checked_log
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.reported import Judged, ReportedSet
from smemnas.bench.runs.source import RunFolder, RunSource
from smemnas.bench.studies.execution import DONE, FAILED, RERUN, state_in
from smemnas.bench.studies.in_time import clock_of, curve_in_time, finished, steps
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.references import reference_for
from smemnas.bench.studies.stored import StudyRuns
from smemnas.bench.values import duration_text
from smemnas.spaces.base import FloatArray, IntArray

#: Status of a run that the plan does not ask for; no table shows it.
UNASKED = "not asked for"


class Measures(NamedTuple):
    """What a run achieved at ``c`` checkpoints; smaller is better, NaN where it is not defined.

    Attributes:
        regret: Hypervolume regret ``(c,)``; NaN, like all but `best`, without a reference front.
        igd_plus: IGD+ ``(c,)``.
        reported: Hypervolume regret on the test split of the architectures selected by the searched split
            ``(c,)``; NaN where the benchmark has one split.
        epsilon: Additive epsilon to the reference front ``(c,)``.
        best: Smallest searched value of the first objective that costs an evaluation ``(c,)``, in its unit; NaN
            where all objectives are free.
        area: Mean hypervolume regret after 1, 2, ... evaluations up to the checkpoint ``(c,)``: the area under
            `curve` divided by the evaluations.
        curve: Hypervolume regret after each evaluation ``(n,)``; 1 before the first point within the reference point.
            Where training time is the budget, at the steps of `bench.studies.in_time`.
        observed: Hypervolume regret of what was shown ``(c,)``; NaN without noise. Under noise all the others are of
            the true values of the reported set, see `bench.runs.reported`: `best` of what looks best in it.
        under: Error of the choice under each of the case's cost caps ``(c, caps)``, see `bench.benchmarks.ranges`; inf
            where the run has nothing within one.
        incumbent: Where there is one objective, which costs an evaluation: true and reported value of the best
            architecture so far after each evaluation ``(n, 2)``, see `_incumbent`; else no rows.
    """

    regret: FloatArray
    igd_plus: FloatArray
    reported: FloatArray
    epsilon: FloatArray
    best: FloatArray
    area: FloatArray
    curve: FloatArray
    observed: FloatArray
    under: FloatArray
    incumbent: FloatArray


@dataclass(frozen=True, repr=False)
class Trial:
    """One run of a study.

    Attributes:
        variant: Name of the variant.
        case: Where it ran.
        job: The run.
        status: "done", "failed", "missing" or, where the plan gives its variant fewer seeds, `UNASKED`.
        reason: Of a failure.
        F: Objectives in ask order ``(n, n_obj)``: +inf rows for failed evaluations, NaN rows for what breaks a
            constraint.
        regret: At the plan's checkpoints ``(c,)``; this and the other indicators as in `Measures`.
        igd_plus: At the checkpoints ``(c,)``.
        reported: At the checkpoints ``(c,)``.
        epsilon: At the checkpoints ``(c,)``.
        best: At the checkpoints ``(c,)``.
        area: At the checkpoints ``(c,)``.
        curve: Hypervolume regret after each evaluation ``(n,)``.
        observed: At the checkpoints ``(c,)``.
        under: At the checkpoints ``(c, caps)``.
        incumbent: After each evaluation ``(n, 2)``; no rows where there are several objectives.
        seconds: Wall time in ask, evaluate and tell.
        method_seconds: Wall time in ask and tell.
        reference: By what it is measured, the same for all runs of its case; None where nothing is known.
        clock: Training time after each evaluation ``(n,)``; empty where it is not known.
    """

    variant: str
    case: Case
    job: Job
    status: str
    reason: str
    F: FloatArray
    regret: FloatArray
    igd_plus: FloatArray
    reported: FloatArray
    epsilon: FloatArray
    best: FloatArray
    area: FloatArray
    curve: FloatArray
    observed: FloatArray
    under: FloatArray
    incumbent: FloatArray
    seconds: float
    method_seconds: float
    reference: Reference | None
    clock: FloatArray = field(default_factory=lambda: np.empty(0))

    def __repr__(self) -> str:
        regret = f", regret {self.regret[-1]:.4f}" if len(self.regret) and math.isfinite(self.regret[-1]) else ""
        return f"<Trial of {self.variant} on {self.case}, seed {self.job.seed}: {self.status}{regret}>"

    @property
    def failed_evaluations(self) -> int:
        """Number of evaluations that failed."""
        return int(np.isinf(self.F).any(axis=1).sum())

    @property
    def infeasible_evaluations(self) -> int:
        """Number of evaluations that break a constraint."""
        return int(np.isnan(self.F).any(axis=1).sum())


def collect(plan: Plan, out: Path) -> list[Trial]:
    """Return every run of the plan, by case, variant and seed.

    Where no reference front is known, as in real trainings, that of all finished runs takes its place.
    """
    runs = StudyRuns(out)
    references = {case: reference_for(case, partial(_found, plan, runs, case)) for case in plan.cases}
    return [
        read_trial(plan, runs, variant, case, seed, references[case])
        for case in plan.cases
        for variant in plan.variants
        for seed in plan.seeds
    ]  # in full, so that runs of a seed are found at the same place; see `UNASKED`


def _found(plan: Plan, runs: StudyRuns, case: Case) -> FloatArray:
    """Return what all finished runs of a case evaluated and what satisfies its constraints ``(n, n_obj)``."""
    benchmark = benchmark_of(case)
    parts = [np.empty((0, len(benchmark.objectives)))]
    for variant in plan.variants:
        for seed in plan.seeds_for(variant):
            job = plan.job(variant, case, seed)
            run, job = runs.of(job)
            if state_in(run, job).status == DONE:
                with contextlib.suppress(RunError):  # `read_trial` names what is wrong
                    X, F = checked_log(run, job, benchmark).arrays()
                    parts.append(
                        feasible_only(benchmark, X[: plan.budget], F[: plan.budget]).reshape(-1, parts[0].shape[1])
                    )
    F = np.vstack(parts)
    return F[np.isfinite(F).all(axis=1)]


def read_trial(
    plan: Plan, runs: StudyRuns, variant: Variant, case: Case, seed: int, reference: Reference | None
) -> Trial:
    """Return one run of the plan; only a finished one is measured."""
    job = plan.job(variant, case, seed)
    if seed not in plan.seeds_for(variant):
        return unfinished(plan, variant, case, job, UNASKED, "", reference)
    run, job = runs.of(job)
    state = state_in(run, job)
    if state.status == DONE:
        try:
            benchmark = benchmark_of(case)
            log = checked_log(run, job, benchmark)
            X, F = log.arrays()
            recommended = run.recommended(len(X)) if benchmark.noisy else ()
            clock = clock_of(log, benchmark, X[: plan.budget], job.seed)
            measured = measure_by(plan, X[: plan.budget], F[: plan.budget], clock, benchmark, reference, recommended)
            F = np.where(np.isfinite(F) & np.isinf(feasible_only(benchmark, X, F)), math.nan, F)
            return Trial(
                variant.name,
                case,
                job,
                DONE,
                ended_early(run, len(F), plan, clock),
                F,
                *measured,
                *run.seconds(),
                reference,
                clock,
            )
        except Unusable as error:
            advice = f": {RERUN}" if isinstance(run, RunFolder) else ""
            state = state._replace(status=FAILED, reason=f"{error.reason}{advice}")
        except RunError as error:
            state = state._replace(status=FAILED, reason=str(error))
    return unfinished(plan, variant, case, job, state.status, state.reason, reference)


def ended_early(run: RunSource, n: int, plan: Plan, clock: FloatArray) -> str:
    """Return what is said of a finished run of `n` evaluations that had not spent its budget; "" of any other."""
    if spent(plan, n, clock):
        return ""
    if plan.budget_time:
        done = duration_text(float(clock[-1]) if len(clock) else 0.0)
        return run.status().note or f"Ended early, after {done} of {plan.after(plan.end)}."
    return run.status().note or f"Ended early, after {n} of {plan.budget} evaluations."


def spent(plan: Plan, n: int, clock: FloatArray, at: int = 0) -> bool:
    """Whether a run of `n` evaluations, finished at times ``(n,)``, went on to a checkpoint; 0 is the budget."""
    at = at or plan.end
    if plan.budget_time:
        return bool(len(clock) and clock[-1] > min(at, plan.budget_time)) or n >= plan.budget
    return n >= at


def measure_by(
    plan: Plan,
    X: IntArray,
    F: FloatArray,
    clock: FloatArray,
    benchmark: Benchmark,
    reference: Reference | None,
    recommended: Sequence[ReportedSet] = (),
) -> Measures:
    """Return what a run achieved at the checkpoints of a plan, which may be times; see `measure`.

    Args:
        plan: The study.
        X: Genotypes ``(n, n_var)`` in ask order.
        F: Searched objectives ``(n, n_obj)``.
        clock: Training time after each evaluation ``(n,)``; used where that is the budget.
        benchmark: What evaluated them.
        reference: Its front.
        recommended: What the method recommended.
    """
    if not plan.budget_time:
        return measure(X, F, plan.at, benchmark, reference, recommended)
    at = np.asarray(plan.at, dtype=np.int64)
    counts = finished(clock, at)
    found = measure(X, F, np.maximum(counts, 1).tolist(), benchmark, reference, recommended)
    none = counts == 0  # nothing was finished yet
    for values in (found.regret, found.observed, found.reported):
        values[none & np.isfinite(values)] = 1.0
    for values in (found.igd_plus, found.epsilon, found.best):
        values[none] = math.nan
    found.under[none] = math.inf
    if not len(found.curve):
        return found
    curve = curve_in_time(found.curve, clock, plan)
    last = np.searchsorted(steps(plan), at, side="right")
    return found._replace(curve=curve, area=np.cumsum(curve)[np.maximum(last, 1) - 1] / np.maximum(last, 1))


def unfinished(
    plan: Plan, variant: Variant, case: Case, job: Job, status: str, reason: str, reference: Reference | None
) -> Trial:
    """Return a run that failed or is missing: nothing of it is measured."""
    empty = np.empty((0, len(case.objectives)))
    nothing = _nothing(len(plan.at))
    return Trial(variant.name, case, job, status, reason, empty, *nothing, math.nan, math.nan, reference)


def _nothing(checkpoints: int) -> Measures:
    empty = np.empty(0), np.full(checkpoints, math.nan), np.empty((checkpoints, 0)), np.empty((0, 2))
    return Measures._make([*np.full((6, checkpoints), math.nan), *empty])


def measure(
    X: IntArray,
    F: FloatArray,
    at: Sequence[int],
    benchmark: Benchmark,
    reference: Reference | None,
    recommended: Sequence[ReportedSet] = (),
) -> Measures:
    """Return what the first ``at[k]`` evaluations achieved, for each k.

    Args:
        X: Genotypes ``(n, n_var)`` in ask order.
        F: Searched objectives ``(n, n_obj)``; a run that ended early keeps its last value.
        at: Numbers of evaluations, ``c`` of them.
        benchmark: Its constraints count, and it is asked for the test split.
        reference: Its front; None gives NaN.
        recommended: What the method recommended, which counts under noise alone.
    """
    found = _nothing(len(at))
    checkpoints = np.asarray(at, dtype=np.int64)
    F = feasible_only(benchmark, X, F).reshape(len(F), len(benchmark.objectives))  # an empty log has no columns
    judged = Judged(X, F, benchmark, recommended) if benchmark.noisy else None
    costly = [j for j, o in enumerate(benchmark.objectives) if not o.cheap]
    if costly:
        values = np.where(np.isfinite(F).all(axis=1), F[:, costly[0]], math.inf)
        best = np.minimum.accumulate(np.append(math.inf, values))
        found = found._replace(best=best[np.minimum(checkpoints, len(F))])
        if judged is not None:
            found = found._replace(best=np.array([judged.best(n, costly[0]) for n in at]))
    if costly and len(benchmark.objectives) == 1:
        found = found._replace(incumbent=_incumbent(X, F[:, 0], benchmark, judged))
    if reference is None:
        return found
    two_splits = has_two_splits(benchmark) and len(reference.report_best) > 0
    caps = caps_of(benchmark, reference)
    found = found._replace(under=np.full((len(at), len(caps)), math.inf))
    for k, n in enumerate(at):
        keep = np.flatnonzero(nondominated(F[:n])) if judged is None else judged.at(n).rows
        points = F[keep] if judged is None else judged.true[keep]
        found.igd_plus[k] = igd_plus(points, reference.front, reference.box)
        found.epsilon[k] = epsilon(points, reference.front, reference.box)
        if caps:
            shown = F[keep] if judged is None else judged.at(n).F
            true = _true(X[keep], points, benchmark) if judged is None else points
            found.under[k] = under_caps(shown, true, benchmark, caps)
        if two_splits:
            tested = benchmark.report(X[keep]) if len(keep) else F[keep]
            found.reported[k] = hypervolume_regret(tested, reference.report_best, reference.tested_box)
    curve = regret_curve(F, reference.front, np.arange(1, max(at) + 1), reference.box)  # the last repeated
    if judged is not None:
        found = found._replace(observed=curve[checkpoints - 1])
        curve = judged.regret_curve(max(at), reference)
    area = np.cumsum(curve)[checkpoints - 1] / checkpoints
    return found._replace(regret=curve[checkpoints - 1], area=area, curve=curve[: len(F)])


def _incumbent(X: IntArray, values: FloatArray, benchmark: Benchmark, judged: Judged | None) -> FloatArray:
    """Return the values ``(n, 2)`` of what a search for one objective would hand over after each evaluation.

    The architecture is chosen by what was shown. First its true value, averaged over trainings, then the one that is
    reported, of the test split where there is one. NaN before there is any, and where a reported value costs a
    training.
    """
    n = len(X)
    rows = incumbents(values) if judged is None else np.array([judged.best_row(k + 1, 0) for k in range(n)], np.int64)
    found = np.full((n, 2), math.nan)
    own, place = np.unique(rows[rows >= 0], return_inverse=True)
    if len(own):
        free = benchmark.recheck is not None
        true = benchmark.true_values(X[own])[:, 0] if free else values[own]
        tested = benchmark.report(X[own])[:, 0] if free else np.full(len(own), math.nan)
        found[rows >= 0] = np.stack([true, tested], axis=1)[place]
    return found


def _true(X: IntArray, F: FloatArray, benchmark: Benchmark) -> FloatArray:
    """Return the values ``(k, n_obj)`` of genotypes averaged over trainings, where that costs nothing."""
    return benchmark.true_values(X) if len(X) and benchmark.recheck is not None else F


def reported_floor(benchmark: Benchmark, reference: Reference | None) -> float:
    """Return the test-split regret of a perfect search on the searched split; NaN where there is one split."""
    if reference is None or not has_two_splits(benchmark) or len(reference.report_best) == 0:
        return math.nan
    return hypervolume_regret(reference.report_front, reference.report_best, reference.tested_box)


def evaluations_to(curve: FloatArray, target: float) -> float:
    """Return after how many evaluations the hypervolume regret ``curve`` ``(n,)`` is at most `target`, or inf."""
    there = curve <= target + 1e-12
    return float(np.argmax(there) + 1) if there.any() else math.inf
