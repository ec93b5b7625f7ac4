"""What each run of a study achieved: its log read and measured against the reference front."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.benchmark import Benchmark, Reference
from bench.errors import RunError
from bench.history import History
from bench.indicators import hypervolume_regret, igd_plus, nondominated
from bench.plan import Case, Plan, Variant, benchmark_of, reference_of
from bench.run import LOG, TIMING, Job
from bench.study import DONE, FAILED, folder_of, state_of
from spaces.base import FloatArray, IntArray


@dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes:
        variant: Name of the variant.
        case: Where it ran.
        job: The run.
        status: "done", "failed" or "missing".
        reason: Of a failure.
        F: Objectives in ask order ``(n, n_obj)``, +inf rows for failed evaluations.
        regret: Hypervolume regret at the plan's checkpoints ``(c,)``; NaN without a reference front.
        igd_plus: IGD+ at the checkpoints ``(c,)``.
        reported: Hypervolume regret on the test split of the architectures selected by the searched split
            ``(c,)``; NaN where the benchmark has one split.
        seconds: Wall time in ask, evaluate and tell.
        method_seconds: Wall time in ask and tell.
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
    seconds: float
    method_seconds: float

    @property
    def failed_evaluations(self) -> int:
        """Number of evaluations that failed."""
        return int((~np.isfinite(self.F).all(axis=1)).sum()) if len(self.F) else 0


def collect(plan: Plan, out: Path) -> list[Trial]:
    """Return every run of the plan, by case, variant and seed."""
    return [
        read_trial(plan, out, variant, case, seed)
        for case in plan.cases
        for variant in plan.variants
        for seed in plan.seeds
    ]


def read_trial(plan: Plan, out: Path, variant: Variant, case: Case, seed: int) -> Trial:
    """Return one run of the plan; only a finished one is measured."""
    job = plan.job(variant, case, seed)
    state = state_of(out, job)
    nothing = np.full(len(plan.at), math.nan)
    if state.status == DONE:
        folder = folder_of(out, job)
        try:
            X, F = History(folder / LOG).arrays()
            seconds, in_method = read_seconds(folder / TIMING)
            measured = measure(X[: plan.budget], F[: plan.budget], plan.at, benchmark_of(case), reference_of(case))
            return Trial(variant.name, case, job, DONE, "", F, *measured, seconds, in_method)
        except RunError as error:
            state = state._replace(status=FAILED, reason=str(error))
    empty = np.empty((0, len(case.objectives)))
    return Trial(
        variant.name, case, job, state.status, state.reason, empty, nothing, nothing, nothing, math.nan, math.nan
    )


def measure(
    X: IntArray, F: FloatArray, at: Sequence[int], benchmark: Benchmark, reference: Reference | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return regret, IGD+ and reported regret ``(c,)`` of the first ``at[k]`` evaluations for each k.

    Args:
        X: Genotypes ``(n, n_var)`` in ask order.
        F: Searched objectives ``(n, n_obj)``; a run that ended early keeps its last value.
        at: Numbers of evaluations, ``c`` of them.
        benchmark: Asked for the test split.
        reference: Its front; None gives NaN.
    """
    regret, distance, reported = (np.full(len(at), math.nan) for _ in range(3))
    if reference is None:
        return regret, distance, reported
    two_splits = has_two_splits(benchmark)
    for k, n in enumerate(at):
        keep = np.flatnonzero(nondominated(F[:n])) if len(F) else np.arange(0)
        front = F[keep].reshape(-1, len(benchmark.objectives))
        regret[k] = hypervolume_regret(front, reference.front)
        distance[k] = igd_plus(front, reference.front)
        if two_splits:
            tested = benchmark.report(X[keep]) if len(keep) else front
            reported[k] = hypervolume_regret(tested, reference.report_best)
    return regret, distance, reported


def reported_floor(benchmark: Benchmark, reference: Reference | None) -> float:
    """Return the test-split regret of a perfect search on the searched split; NaN where there is one split."""
    if reference is None or not has_two_splits(benchmark):
        return math.nan
    return hypervolume_regret(reference.report_front, reference.report_best)


def has_two_splits(benchmark: Benchmark) -> bool:
    """Whether the benchmark reports on other columns than it searches."""
    return benchmark.report_names != tuple(o.name for o in benchmark.objectives)


def evaluations_to(F: FloatArray, front: FloatArray, target: float) -> float:
    """Return after how many evaluations the hypervolume regret is at most `target`; inf if it never is.

    Regret never grows with more evaluations, so a bisection finds the first such number.
    """
    goal = target + 1e-12
    if len(F) == 0 or not hypervolume_regret(F, front) <= goal:
        return math.inf
    low, high = 0, len(F)  # not yet at low, reached at high
    while high - low > 1:
        middle = (low + high) // 2
        if hypervolume_regret(F[:middle], front) <= goal:
            high = middle
        else:
            low = middle
    return float(high)


def read_seconds(file: Path) -> tuple[float, float]:
    """Return the wall time of a run, in all and in the method, summed over its parts if it was continued."""
    total = in_method = 0.0
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return math.nan, math.nan
    for line in lines:
        try:
            entry = json.loads(line)
            method, evaluation = entry["ask"] + entry["tell"], entry["evaluate"]
        except (ValueError, KeyError, TypeError):
            continue  # a line that a kill tore; the log itself is checked elsewhere
        in_method += method
        total += method + evaluation
    return total, in_method
