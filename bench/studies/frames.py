"""Logs of runs and results of studies as pandas frames, for your own analysis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.errors import RunError
from smemnas.bench.metrics.indicators import nondominated
from smemnas.bench.runs.guard import checked_log
from smemnas.bench.runs.job import Job, open_job
from smemnas.bench.runs.source import HasFolder, RunSource, as_folder, as_source
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.execution import PLANS
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.trials import UNASKED, Trial, collect

if TYPE_CHECKING:
    import pandas as pd


def evaluations_frame(folder: str | Path | HasFolder | RunSource, benchmark: Benchmark | None = None) -> pd.DataFrame:
    """Return the log of a run, one row per evaluation in ask order.

    Columns: ``method``, ``seed``, ``i`` (position in the log, from 0), ``arch`` (the architecture's name), one per
    searched objective under its own name (NaN where it failed), ``feasible`` (evaluated, and no constraint broken),
    ``front`` (whether the row is on the front of the feasible ones so far), ``status`` ("ok" or "failed"), ``reason``
    of a failure, and the genes ``x0``, ``x1``, ... A run that is still going on can be read.

    Args:
        folder: Run folder, what `run` returned, or a run of an archive.
        benchmark: The run's own; adds a column for each value that it reports and that is not searched, such as
            ``test_error``. Without it only a run with constraints opens its table.

    Raises:
        RunError: The folder holds no run, its log is corrupt, or the benchmark is another one.
    """
    import pandas as pd

    source = as_source(folder)
    job, _ = source.job("give the folder of a run.")
    searched = benchmark
    if benchmark is None and job.constraints:
        searched = open_job(job)
    if searched is None:
        log = source.log(None, len(job.objectives))
    else:
        log = checked_log(source, job, searched)
    rows = log.rows
    X, F = log.arrays()
    columns: dict[str, Any] = {
        "method": [job.label] * len(rows),
        "seed": np.full(len(rows), job.seed, dtype=np.int64),
        "i": np.arange(len(rows)),
        "arch": [row.arch for row in rows],
    }
    for j, name in enumerate(job.objectives):
        columns[name] = np.array([row.F[j] for row in rows], dtype=np.float64)  # None becomes NaN
    if benchmark is not None:
        columns |= _reported(benchmark, job, X)
    if job.constraints and searched is not None:
        F = feasible_only(searched, X, F)
    columns["feasible"] = np.isfinite(F).all(axis=1)
    columns["front"] = nondominated(F) if rows else np.empty(0, dtype=bool)
    columns["status"] = [row.status for row in rows]
    columns["reason"] = [row.error for row in rows]
    if rows:
        columns |= {f"x{j}": X[:, j] for j in range(X.shape[1])}
    return pd.DataFrame(columns)


def _reported(benchmark: Benchmark, job: Job, X: Any) -> dict[str, Any]:
    """Return the values on the reported split by name, without those that are searched."""
    names = job.objectives
    values = benchmark.report(X) if len(X) else np.empty((0, len(names)))
    return {n: values[:, j] for j, n in enumerate(benchmark.report_names) if n not in names}


def trials_frame(out: str | Path | HasFolder, plan: Plan | None = None) -> pd.DataFrame:
    """Return the results of a study, one row per run and checkpoint.

    Columns: ``space``, ``dataset``, ``objectives`` and ``constraints`` (joined by "+" and ","), ``listed``,
    ``reference`` and ``start`` (each only where a problem of the plan has one), ``method`` (the variant's name),
    ``seed``, ``status`` ("done", "failed" or "missing"), ``evaluations`` (the checkpoint; ``training_seconds`` where
    training time is the budget), the indicators at it, explained in `bench.studies.trials.Measures` (``regret``,
    ``igd_plus``, ``reported_regret``, ``epsilon``, ``best``, ``area``; under noise also ``observed_regret``), and the
    run's ``failed_evaluations``, ``seconds``, ``method_seconds`` and ``reason`` of a failure. Runs that are not done
    have NaN, so that nothing is lost silently.

    Args:
        out: Folder of the study, or what `study` returned.
        plan: Which of its plans; None takes the one that was added last. Needed where a plan uses plug-ins.

    Raises:
        RunError: The folder holds no plan, or a corrupt one.
    """
    import pandas as pd

    out = as_folder(out)
    if plan is None:
        plans = read_plans(out / PLANS) if (out / PLANS).exists() else []
        if not plans:
            raise RunError(f"{out} holds no study: {PLANS} is missing or empty.")
        plan = plans[-1]
    asked = [trial for trial in collect(plan, out) if trial.status != UNASKED]
    return pd.DataFrame([record for trial in asked for record in _checkpoints(plan, trial)])


def _checkpoints(plan: Plan, trial: Trial) -> list[dict[str, Any]]:
    """Return one record of a run for each checkpoint of its plan."""
    return [
        {
            "space": trial.case.space,
            "dataset": trial.case.dataset,
            "objectives": "+".join(trial.case.objectives),
            "constraints": ",".join(trial.case.constraints),
            **trial.case.given,
            "method": trial.variant,
            "seed": trial.job.seed,
            "status": trial.status,
            plan.column: at,
            "regret": trial.regret[k],
            "igd_plus": trial.igd_plus[k],
            "reported_regret": trial.reported[k],
            "epsilon": trial.epsilon[k],
            "best": trial.best[k],
            "area": trial.area[k],
            **({"observed_regret": trial.observed[k]} if not np.isnan(trial.observed[k]) else {}),
            "failed_evaluations": trial.failed_evaluations,
            "seconds": trial.seconds,
            "method_seconds": trial.method_seconds,
            "reason": trial.reason,
        }
        for k, at in enumerate(plan.at)
    ]
