"""Regret against training time: what the runs of a study had reached when so much was trained.

What was finished by then counts. All methods of a problem are compared up to the time that every run of them trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.studies.curves import Curve
from smemnas.bench.studies.execution import DONE
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import Trial

#: Points of a curve; every sixth of them is a row of the table.
POINTS, SHOWN = 24, 6


@dataclass(frozen=True)
class Trained:
    """Mean hypervolume regret of a variant on one case after so much training.

    Attributes:
        seconds: Of training.
        n: Finished runs.
        regret: Their mean regret; 1 of a run that had finished nothing yet.
        evaluations: How many they had finished, in the mean.
    """

    case: Case
    variant: str
    seconds: float
    n: int
    regret: Interval
    evaluations: float


def trained(tables: Tables) -> list[Trained]:
    """Return the curves of all cases whose tables know training times, by case, time and variant."""
    found: list[Trained] = []
    if tables.plan.budget_time:  # then all tables and curves are in time
        return found
    for case in tables.plan.cases:
        done = [t for t in tables.trials if t.case == case and t.status == DONE and len(t.curve) and len(t.clock)]
        end = min((float(t.clock[-1]) for t in done), default=0.0)
        for seconds in end * np.arange(1, POINTS + 1) / POINTS if end else ():
            for variant in tables.plan.variants:
                runs = [t for t in done if t.variant == variant.name]
                if runs:
                    reached = np.array([_regret_at(t, seconds) for t in runs])
                    regret = statistics.mean_interval(reached[:, 0])
                    found.append(Trained(case, variant.name, float(seconds), len(runs), regret, reached[:, 1].mean()))
    return found


def _regret_at(trial: Trial, seconds: float) -> tuple[float, int]:
    """Return regret and number of evaluations of what was finished after so many seconds."""
    n = min(int(np.searchsorted(trial.clock, seconds, side="right")), len(trial.curve))
    return (float(trial.curve[n - 1]) if n else 1.0), n


def curves_in_time(tables: Tables) -> dict[tuple[Case, str], Curve]:
    """Return `trained` as curves by case and variant; their `at` are whole seconds."""
    rows: dict[tuple[Case, str], list[Trained]] = {}
    for row in trained(tables):
        rows.setdefault((row.case, row.variant), []).append(row)
    found = {}
    for key, its in rows.items():
        mean, low, high = np.array([row.regret for row in its]).T
        found[key] = Curve(np.array([round(row.seconds) for row in its]), mean, low, high, its[0].n)
    return found
