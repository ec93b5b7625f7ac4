"""Anytime curves of a study: mean hypervolume regret after any number of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smemnas.bench.metrics import statistics
from smemnas.bench.studies.in_time import step, steps
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.trials import Trial
from smemnas.spaces.base import FloatArray, IntArray

#: Numbers of evaluations at which a curve is known, besides the checkpoints.
POINTS = 60


@dataclass(frozen=True)
class Curve:
    """Mean hypervolume regret of a variant's finished runs after so many evaluations.

    Attributes:
        at: Evaluations ``(g,)``.
        mean: Mean regret ``(g,)``.
        low: Lower confidence limit ``(g,)``; NaN below two runs.
        high: Upper confidence limit ``(g,)``.
        n: Finished runs.
    """

    at: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n: int


def curve_of(plan: Plan, done: Sequence[Trial]) -> Curve | None:
    """Return the mean curve of the finished runs of one variant on one case; None where there is no regret."""
    curves = [t.curve for t in done if len(t.curve)]
    if not curves:
        return None
    at = np.unique([*np.linspace(step(plan), plan.end, POINTS).astype(np.int64), *plan.at])
    known = np.searchsorted(steps(plan), at, side="right")
    values = np.array([curve[np.clip(known, 1, len(curve)) - 1] for curve in curves])  # (runs, g)
    mean, low, high = np.array([statistics.mean_interval(column) for column in values.T]).T
    return Curve(at, mean, low, high, len(curves))
