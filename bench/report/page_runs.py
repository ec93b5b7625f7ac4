"""What a report is made of: run folders and study folders found below some paths, and what each run holds.

A run folder is one with job.json, a study folder one with plans.json. Nothing that is found stops the report: a
folder that cannot be read is listed with its reason.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.benchmark import Benchmark, TabularBenchmark
from bench.errors import RunError, UserError
from bench.history import History
from bench.plan import Case, Contrast, Plan, Variant
from bench.run import JOB, LOG, TIMING, Job, evaluated_data
from bench.study import DONE, FAILED, MISSING, PLANS, read_status
from bench.trials import read_seconds
from spaces.base import FloatArray, IntArray

SUMMARY = "summary.json"


@dataclass(frozen=True)
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

    @property
    def case(self) -> Case:
        """Where it ran."""
        return Case.of(self.job)


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
        except RunError as error:
            broken.append((str(folder), str(error)))
    if not runs and not plans and not broken:
        raise UserError(
            f"no runs in {', '.join(paths)}: expected folders of `cli.py run` (with {JOB}) or of `cli.py study` "
            f"(with {PLANS})."
        )
    return Found(tuple(runs), tuple(plans), tuple(broken))


def _expand(path: str) -> list[Path]:
    """Return the folders that a path or pattern names; a folder whose name looks like a pattern is taken as it is.

    Raises:
        UserError: There is none.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return [folder]
    if folder.exists():
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
        RunError: The file is corrupt.
    """
    try:
        return [_plan_of(entry) for entry in json.loads(file.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file.name} is corrupt ({type(error).__name__}: {error})") from error


def _plan_of(entry: Mapping[str, Any]) -> Plan:
    """Invert `Plan.to_dict`."""
    plan = Plan(
        tuple(Variant(str(v["name"]), str(v["method"]), dict(v["params"])) for v in entry["variants"]),
        tuple(
            Case(
                str(c["space"]),
                str(c["dataset"]),
                tuple(map(str, c["objectives"])),
                tuple(c.get("constraints", ())),
                bool(c.get("listed", False)),
            )
            for c in entry["cases"]
        ),
        tuple(int(seed) for seed in entry["seeds"]),
        int(entry["budget"]),
        str(entry["baseline"]),
        tuple(int(n) for n in entry["at"]),
        None if entry["target"] is None else float(entry["target"]),
        tuple(
            Contrast(str(c["name"]), tuple(map(str, c["first"])), tuple(map(str, c["second"])), str(c["family"]))
            for c in entry["contrasts"]
        ),
        champion=str(entry.get("champion", "")),
        seeds_of={str(name): tuple(map(int, seeds)) for name, seeds in dict(entry.get("seeds_of", {})).items()},
    )
    names = {v.name for v in plan.variants}
    if plan.budget < 1 or any(not {*c.first, *c.second} <= names for c in plan.contrasts):
        raise ValueError("its budget or contrasts make no sense")
    return plan


def read_run(folder: Path) -> Run:
    """Return what a run folder holds. Plug-ins it names are not loaded: a report runs no code of a run folder.

    Raises:
        RunError: Its job.json is corrupt.
    """
    try:
        entry = json.loads((folder / JOB).read_bytes())
        job = Job.from_dict(entry["job"])
        data, environment = dict(entry.get("data", {})), dict(entry.get("environment", {}))
        if job.budget < 1 or not job.objectives or not isinstance(job.seed, int):
            raise ValueError("budget, seed or objectives make no sense")
        label = job.label
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{JOB} is corrupt ({type(error).__name__}: {error})") from error
    status = read_status(folder)
    nothing = (np.empty((0, 0), np.int64), np.empty((0, len(job.objectives))))
    state, reason = DONE, ""
    archs: tuple[str, ...] = ()
    try:
        history = History(folder / LOG)
        X, F = history.arrays() if history.rows else nothing
        archs = tuple(row.arch for row in history.rows)
        if F.ndim != 2 or F.shape[1] != len(job.objectives):
            raise ValueError(f"rows of {F.shape[1:]} objectives, the job has {len(job.objectives)}")
    except (RunError, OSError, ValueError, OverflowError) as error:
        (X, F), state, reason = nothing, FAILED, f"the log of {label} cannot be read: {error}"
    n = len(F)
    ended = (status.get("status") == DONE and status.get("rows") == n) or _evaluations_of(folder) == n
    if state == DONE and n < job.budget and not (n and ended):
        if status.get("status") == FAILED:
            state, reason = FAILED, str(status.get("error", ""))
        else:
            state, reason = MISSING, f"unfinished: {n} of {job.budget} evaluations in the log"
    seconds = read_seconds(folder / TIMING)
    return Run(folder, job, state, reason, X[: job.budget], F[: job.budget], archs, data, environment, *seconds)


def _evaluations_of(folder: Path) -> int | None:
    """Return how many evaluations the summary of a single run counts; None without one."""
    try:
        return int(json.loads((folder / SUMMARY).read_bytes())["evaluations"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fault(run: Run, benchmark: Benchmark) -> str:
    """Return why a finished run cannot be measured by the installed benchmark, or "".

    Where the table has changed since, its values are compared with the logged ones.
    """
    space = benchmark.space
    if run.X.shape[1] != space.n_var or not space.is_valid(run.X).all():
        return f"its genotypes are not of the installed space {space.name!r}"
    if isinstance(benchmark, TabularBenchmark) and not same_data(run, benchmark):
        now = benchmark.evaluate(run.X, run.job.seed).F
        now = np.where(np.isfinite(now).all(axis=1, keepdims=True), now, np.inf)
        if not np.allclose(now, run.F, rtol=1e-9, atol=1e-12):
            return "it was run on another version of the table, whose values differ from the installed one's"
    return ""


def same_data(run: Run, benchmark: Benchmark) -> bool:
    """Whether a run was made on the installed version of the data."""
    return evaluated_data(run.data) == _installed(benchmark)


@lru_cache(maxsize=64)
def _installed(benchmark: Benchmark) -> dict[str, Any]:
    """Return what identifies the installed data; for the largest spaces that is some work."""
    return evaluated_data(json.loads(json.dumps(benchmark.provenance())))
