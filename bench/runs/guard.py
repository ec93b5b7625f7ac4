"""Whether what a run folder holds may be measured: one guard for `run`, `study`, `report` and the frames.

A run counts only where its job is the one that is asked for (with the same version of its plug-ins), its log is whole,
its genotypes belong to the space, and what it says was measured is what the installed benchmark measures: tables and
formulas are looked up again, for the rest the recorded data is compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.errors import Unusable
from smemnas.bench.metrics.indicators import nondominated
from smemnas.bench.runs.folder import evaluated_data
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import Log, RunSource, as_source
from smemnas.spaces.base import FloatArray, IntArray

#: What need not be the same where values cannot be looked up again: a study may use several kinds of machines.
MACHINE = frozenset({"device"})


def checked_log(run: Path | RunSource, job: Job, benchmark: Benchmark) -> Log:
    """Return the log of a run after all that this module checks.

    Args:
        run: Its folder, or where else it is kept.
        job: What it should hold.
        benchmark: That of the job.

    Raises:
        Unusable: It holds something else, or is broken.
    """
    source = as_source(run)
    _, recorded = source.job()
    difference = job.differs_from(recorded.job)
    if difference:
        raise Unusable(f"{source} holds a run with {difference}")
    log = source.log(benchmark.space.n_var, len(job.objectives))
    X, F = log.arrays()
    reason = fault(benchmark, job, recorded.data, X, F) if len(X) else ""
    if reason:
        raise Unusable(f"{source}: {reason}")
    return log


def fault(benchmark: Benchmark, job: Job, data: Mapping[str, Any], X: IntArray, F: FloatArray) -> str:
    """Return why evaluations cannot be measured by the installed benchmark, or "".

    Args:
        benchmark: What is installed.
        job: What was run.
        data: What its folder says about the data; empty where that was compared before.
        X: Logged genotypes ``(n, n_var)``.
        F: Logged objectives ``(n, n_obj)``; +inf rows failed.
    """
    space = benchmark.space
    ours = (tuple(o.name for o in benchmark.objectives), tuple(map(str, benchmark.constraints)))
    if ours != (job.objectives, job.constraints):
        theirs, mine = (", ".join([*names, *limits]) for names, limits in ((job.objectives, job.constraints), ours))
        return f"it searched {theirs}, the benchmark measures {mine}"
    if len(X) and (X.shape[1] != space.n_var or not space.is_valid(X).all()):
        return f"its genotypes are not of the installed space {space.name!r}"
    if benchmark.recheck is None:
        here = installed_data(benchmark)
        differing = sorted(k for k in here.keys() & data.keys() - MACHINE if here[k] != data[k])
        return f"it was run on other data: its {differing[0]} is not that of what is installed" if differing else ""
    if not len(X):
        return ""
    rows = _rows_to_compare(F, benchmark.recheck_every)
    now, logged = benchmark.evaluate(X[rows], job.evaluation_seed).F, F[rows]
    now = np.where(np.isfinite(now).all(axis=1, keepdims=True), now, np.inf)
    differs = ~np.isclose(now, logged, rtol=1e-9, atol=benchmark.recheck)
    if not differs.any():
        return ""
    if data and not same_data(data, benchmark):
        return "it was run on another version of the table, whose values differ from the installed one's"
    differs &= np.isfinite(logged).all(axis=1, keepdims=True)  # earlier versions logged a machine's fault as a failure
    if not differs.any():
        return ""
    k, column = (int(found[0]) for found in np.nonzero(differs))
    return (
        f"its log was changed: evaluation {rows[k]} has {job.objectives[column]} {logged[k, column]:.10g}, looked up "
        f"again it is {now[k, column]:.10g}"
    )


def _rows_to_compare(F: FloatArray, every: int) -> IntArray:
    """Return the rows that are looked up again: all, or the front and one in so many of the others."""
    keep = np.ones(len(F), dtype=bool) if every == 1 else nondominated(F)
    keep[::every] = True
    return np.flatnonzero(keep)


def same_data(data: Mapping[str, Any], benchmark: Benchmark) -> bool:
    """Whether a run was made on the installed version of the data."""
    return evaluated_data(data) == installed_data(benchmark)


@lru_cache(maxsize=64)
def installed_data(benchmark: Benchmark) -> dict[str, Any]:
    """Return what identifies the installed data; for the largest spaces that is some work."""
    return evaluated_data(json.loads(json.dumps(benchmark.provenance())))
