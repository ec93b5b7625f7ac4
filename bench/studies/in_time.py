"""What a run achieved by certain times of training, where training time is the budget of a study.

What was finished by then counts: the evaluation that passes the budget is in the log and in no table. A curve is known
at so many equal steps of the budget, whatever its length; checkpoints are exact.
"""

from __future__ import annotations

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.runs.source import Log
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.training_clock import training_clock
from smemnas.spaces.base import FloatArray, IntArray

#: Steps of a curve in time.
STEPS = 2_000


def clock_of(log: Log, benchmark: Benchmark, X: IntArray, seed: int) -> FloatArray:
    """Return the training time spent after each evaluation ``(n,)``: that of the log, else of the table, else none."""
    times = [row.seconds for row in log.rows[: len(X)]]
    if times and None not in times:
        return np.cumsum(np.array(times, dtype=np.float64))
    return training_clock(benchmark, X, seed)


def step(plan: Plan) -> float:
    """Return of how many evaluations, or seconds, a step of the curves of a plan is."""
    return plan.end / min(STEPS, plan.end) if plan.budget_time else 1.0


def steps(plan: Plan) -> IntArray:
    """Return at which evaluations, or after how many seconds, the curves of a plan are known ``(s,)``."""
    if not plan.budget_time:
        return np.arange(1, plan.budget + 1)
    return np.maximum(1, np.round(step(plan) * np.arange(1, min(STEPS, plan.end) + 1))).astype(np.int64)


def finished(clock: FloatArray, at: IntArray) -> IntArray:
    """Return how many evaluations were finished after so many seconds ``(k,)``."""
    return np.asarray(np.searchsorted(clock, at, side="right"), dtype=np.int64)


def curve_in_time(curve: FloatArray, clock: FloatArray, plan: Plan) -> FloatArray:
    """Return a regret curve ``(n,)`` over evaluations at the steps of a plan ``(s,)``; 1 before the first one."""
    return np.append(1.0, curve)[np.minimum(finished(clock, steps(plan)), len(curve))]
