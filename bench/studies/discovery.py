"""What a report is made of: run folders and study folders found below some paths, and what each run holds.

A run folder is one with job.json, a study folder one with plans.json. Nothing that is found stops the report: a
folder that cannot be read is listed with its reason.
"""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import RunError, Unusable, UserError
from smemnas.bench.runs.folder import read_job
from smemnas.bench.runs.history import History, read_seconds
from smemnas.bench.runs.run import JOB, LOG, TIMING, Job
from smemnas.bench.schema import PlanEntry, SummaryFile, read
from smemnas.bench.studies.execution import DONE, FAILED, MISSING, PLANS, read_status
from smemnas.bench.studies.plan import Contrast, Plan, Variant
from smemnas.spaces.base import FloatArray, IntArray

SUMMARY = "summary.json"


@dataclass(frozen=True, repr=False)
class Run:
    """One run folder.

    Attributes:
        folder: Where it is.
        job: What was run.
        status: "done", "failed" or "missing" (not finished).
        reason: Why it is not done.
        X: Genotypes ``(n, n_var)`` in ask order.
        F: Their objectives ``(n, n_obj)``; +inf rows failed.
        archs: Names of the architectures.
        data: What the folder says about the table.
        environment: What it says about code, packages and machine.
        seconds: Wall time of the run.
        method_seconds: Wall time in the method.
    """

    folder: Path
    job: Job
    status: str
    reason: str
    X: IntArray
    F: FloatArray
    archs: tuple[str, ...]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    seconds: float
    method_seconds: float

    def __repr__(self) -> str:
        return f"<Run of {self.job.label} on {self.case}, seed {self.job.seed}: {self.status}, in {self.folder}>"

    @property
    def case(self) -> Case:
        """Where it ran."""
        return self.job.case


@dataclass(frozen=True)
class Found:
    """What lies below the paths given.

    Attributes:
        runs: Run folders that could be read, in the order of the paths.
        plans: Plans of the studies.
        broken: (folder, reason) of what could not be read.
    """

    runs: tuple[Run, ...]
    plans: tuple[Plan, ...]
    broken: tuple[tuple[str, str], ...]


def find_runs(paths: Sequence[str]) -> Found:
    """Read every run and plan below some folders.

    Args:
        paths: Run folders, study folders, folders that hold some, or patterns with ``*`` and ``?`` of them.

    Raises:
        UserError: A path does not exist, or there is no run below any of them.
    """
    folders = [folder for path in paths for folder in _expand(path)]
    runs: list[Run] = []
    plans: list[Plan] = []
    broken: list[tuple[str, str]] = []
    seen: set[str] = set()
    for folder in (inner for outer in folders for inner in _walk(outer)):
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            if (folder / PLANS).exists():
                plans += [plan for plan in read_plans(folder / PLANS) if plan not in plans]
            if (folder / JOB).exists():
                runs.append(read_run(folder))
            elif (folder / LOG).exists():
                broken.append((str(folder), f"it holds a log but no {JOB}"))
        except (RunError, OSError) as error:
            broken.append((str(folder), str(error)))
    if not runs and not plans and not broken:
        raise UserError(
            f"no runs in {', '.join(paths)}: expected folders of `run` (with {JOB}) or of `study` (with {PLANS})."
        )
    return Found(tuple(runs), tuple(plans), tuple(broken))


def _expand(path: str) -> list[Path]:
    """Return the folders that a path or pattern names; a folder whose name looks like a pattern is taken as it is.

    Raises:
        UserError: There is none.
    """
    folder = Path(os.path.expanduser(path))
    if os.path.isdir(folder):  # pathlib's own raises where a name is too long
        return [folder]
    if os.path.exists(folder):
        raise UserError(f"{path} is a file: give the folder of a run or of a study.")
    matches = [Path(match) for match in sorted(glob.glob(str(folder))) if os.path.isdir(match)]
    if not matches:
        raise UserError(f"no folder {path!r}: give folders of runs or studies, for example runs/study.")
    return matches


def _walk(top: Path) -> Iterator[Path]:
    """Yield a folder and all below it, sorted; nothing below a run folder, and no hidden folders."""
    for folder, inner, files in os.walk(top):
        yield Path(folder)
        inner[:] = [] if JOB in files else sorted(name for name in inner if not name.startswith("."))


def read_plans(file: Path) -> list[Plan]:
    """Return the plans of a study's folder.

    Raises:
        Unusable: The file is corrupt.
    """
    return [_plan_of(entry, file) for entry in read(file, tuple[PlanEntry, ...])]


def _plan_of(entry: PlanEntry, file: Path) -> Plan:
    """Invert `Plan.to_dict`."""
    plan = Plan(
        tuple(Variant(v.name, v.method, v.params) for v in entry.variants),
        tuple(Case(c.space, c.dataset, c.objectives, c.constraints, c.listed, c.reference) for c in entry.cases),
        entry.seeds,
        entry.budget,
        entry.baseline,
        entry.at,
        entry.target,
        tuple(Contrast(c.name, c.first, c.second, c.family) for c in entry.contrasts),
        champion=entry.champion,
        seeds_of=entry.seeds_of,
        primary=entry.primary,
    )
    names = {v.name for v in plan.variants}
    others = {*plan.seeds_of, *(name for c in plan.contrasts for name in (*c.first, *c.second))}
    others |= {plan.baseline, plan.champion, plan.primary} - {""}
    if not others <= names:
        raise Unusable(f"{file} is corrupt (it speaks of {min(others - names)!r}, which is none of its variants)")
    return plan


def read_run(folder: Path) -> Run:
    """Return what a run folder holds. Plug-ins it names are not loaded: a report runs no code of a run folder.

    Raises:
        Unusable: Its job.json is corrupt.
    """
    job, entry = read_job(folder)
    status = read_status(folder)
    X, F = np.empty((0, 0), np.int64), np.empty((0, len(job.objectives)))
    state, reason = DONE, ""
    archs: tuple[str, ...] = ()
    seconds = (math.nan, math.nan)
    try:
        history = History(folder / LOG, None, len(job.objectives))
        if history.rows:
            X, F = history.arrays()
        archs = tuple(row.arch for row in history.rows)
    except Unusable as error:
        state, reason = FAILED, f"the run of {job.label} cannot be read: {error.reason}"
    except OSError as error:
        state, reason = FAILED, f"the run of {job.label} cannot be read: {error.strerror or error}"
    n = len(F)
    ended = (status.status == DONE and status.rows == n) or _evaluations_of(folder) == n
    if state == DONE and n < job.budget and not (n and ended):
        if status.status == FAILED:
            state, reason = FAILED, status.error
        else:
            state, reason = MISSING, f"unfinished: {n} of {job.budget} evaluations in the log"
    if state == DONE:
        try:
            seconds = read_seconds(folder / TIMING)
        except Unusable as error:
            state, reason = FAILED, str(error)
    known = (entry.data, entry.environment)
    return Run(folder, job, state, reason, X[: job.budget], F[: job.budget], archs, *known, *seconds)


def _evaluations_of(folder: Path) -> int | None:
    """Return how many evaluations the summary of a single run counts; None without one."""
    try:
        return read(folder / SUMMARY, SummaryFile).evaluations
    except Unusable:
        return None
