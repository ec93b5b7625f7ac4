"""What a report is made of: run folders and study folders found below some paths, and what each run holds.

A run folder is one with job.json, a study folder one with plans.json. Nothing that is found stops the report: a
folder that cannot be read is listed with its reason.
"""

from __future__ import annotations

import glob
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from smemnas.bench.archive.form import SUFFIX
from smemnas.bench.archive.locate import is_address, open_archive
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import DataError, RunError, Unusable, UserError
from smemnas.bench.outputs import head
from smemnas.bench.runs.folder import JOB, LOG
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import RunFolder, RunSource, as_source
from smemnas.bench.schema import PlanEntry, read
from smemnas.bench.studies.execution import DONE, FAILED, MISSING, PLANS
from smemnas.bench.studies.plan import Plan, plan_from
from smemnas.bench.studies.stored import STORED, Key, key_of, keys_of
from smemnas.spaces.base import FloatArray, IntArray


@dataclass(frozen=True, repr=False)
class Run:
    """One run.

    Attributes:
        source: Where it is kept.
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
        clock: Training time after each evaluation ``(n,)``, where that was the budget.
    """

    source: RunSource
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
    clock: FloatArray = field(default_factory=lambda: np.empty(0))

    def __repr__(self) -> str:
        return f"<Run of {self.job.label} on {self.case}, seed {self.job.seed}: {self.status}, in {self.source}>"

    @property
    def folder(self) -> Path:
        """Where it is, as a path."""
        return Path(str(self.source))

    @property
    def case(self) -> Case:
        """Where it ran."""
        return self.job.case


def same_run(one: Run, other: Run) -> bool:
    """Whether two runs of the same key are copies of each other: of the same plug-ins, and with the same content."""
    texts = one.source.recommended_text(), other.source.recommended_text()
    return (
        one.job.plugins == other.job.plugins
        and (one.status, one.archs) == (other.status, other.archs)
        and all(np.array_equal(a, b) for a, b in ((one.X, other.X), (one.clock, other.clock)))
        and np.array_equal(one.F, other.F, equal_nan=True)
        and texts[0] == texts[1]
    )


@dataclass(frozen=True)
class Sources:
    """Where runs are kept below the paths given, unread.

    Attributes:
        sources: Run folders and runs of archives, in the order of the paths.
        plans: Plans of the studies, as their files have them.
        broken: (place, reason) of what could not be read.
        studies: Folders of studies.
    """

    sources: tuple[RunSource, ...]
    plans: tuple[dict[str, Any], ...]
    broken: tuple[tuple[str, str], ...]
    studies: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """What lies below the paths given.

    Attributes:
        runs: Run folders that could be read, in the order of the paths.
        plans: Plans of the studies.
        broken: (folder, reason) of what could not be read.
        studies: Folders of studies.
    """

    runs: tuple[Run, ...]
    plans: tuple[Plan, ...]
    broken: tuple[tuple[str, str], ...]
    studies: tuple[Path, ...] = ()


def find_runs(paths: Sequence[str]) -> Found:
    """Read every run and plan below some folders and in some archives.

    Args:
        paths: Run folders, study folders, archives (also by address), folders that hold some, or patterns with ``*``
            and ``?`` of them.

    Raises:
        UserError: A path does not exist, or there is no run below any of them.
    """
    found = find_sources(paths)
    runs: list[Run] = []
    broken = list(found.broken)
    for source in found.sources:
        try:
            runs.append(read_run(source))
        except (RunError, DataError, OSError) as error:
            broken.append((str(source), str(error)))
    plans = tuple(plan_from(msgspec.convert(entry, PlanEntry), Path(PLANS)) for entry in found.plans)
    return Found(tuple(runs), plans, tuple(broken), found.studies)


def find_sources(paths: Sequence[str]) -> Sources:
    """Find every run and plan below some folders and in some archives, see `find_runs`; runs are not read."""
    search = _Search()
    for path in paths:
        for place in expand(path):
            search.archive(place) if isinstance(place, RunArchive) else search.below(place)
    found = Sources(tuple(search.sources), tuple(search.plans), tuple(search.broken), tuple(search.studies))
    if not found.sources and not found.plans and not found.broken:
        raise UserError(
            f"no runs in {', '.join(paths)}: expected folders of `run` (with {JOB}) or of `study` (with {PLANS}), or "
            "archives of them."
        )
    return found


class _Search:
    """What was found so far; nothing twice."""

    def __init__(self) -> None:
        self.sources: list[RunSource] = []
        self.plans: list[dict[str, Any]] = []
        self.broken: list[tuple[str, str]] = []
        self.studies: list[Path] = []
        self._seen: set[str] = set()

    def below(self, top: Path) -> None:
        """Look into a folder and all below it."""
        for folder in walk(top):
            if not self._new(folder):
                continue
            try:
                if (folder / PLANS).exists():
                    self.studies.append(folder)
                    read_plans(folder / PLANS)
                    self.add_plans(json.loads((folder / PLANS).read_bytes()))
                if (folder / JOB).exists():
                    self.sources.append(RunFolder(folder))
                elif (folder / LOG).exists():
                    self.broken.append((str(folder), f"it holds a log but no {JOB}"))
            except (RunError, OSError) as error:
                self.broken.append((str(folder), str(error)))
            for file in sorted(folder.glob(f"*{SUFFIX}")):
                try:
                    if file.is_file() and self._new(file):
                        study = folder.parent / PLANS if folder.name == STORED else None
                        asked = keys_of(read_plans(study)) if study and study.exists() else None
                        self.archive(open_archive(file), asked)
                except (RunError, DataError, OSError) as error:
                    self.broken.append((str(file), str(error)))

    def archive(self, archive: RunArchive, asked: set[Key] | None = None) -> None:
        """Take the runs of an archive; of one that a study keeps, those that it asked for."""
        if asked is None:
            self.add_plans(archive.plans)
        self.sources += [run for run in archive.runs if asked is None or key_of(run.job()[0]) in asked]

    def add_plans(self, plans: Sequence[dict[str, Any]]) -> None:
        """Add plans that are not there yet."""
        self.plans += [plan for plan in plans if plan not in self.plans]

    def _new(self, path: Path) -> bool:
        real = os.path.realpath(path)
        known = real in self._seen
        self._seen.add(real)
        return not known


def expand(path: str) -> list[Path | RunArchive]:
    """Return the folders and archives that a path, address or pattern names.

    A folder whose name looks like a pattern is taken as it is.

    Raises:
        UserError: There is none, or a file is no archive.
    """
    if is_address(path):
        return [open_archive(path)]
    folder = Path(os.path.expanduser(path))
    if os.path.isdir(folder):  # pathlib's own raises where a name is too long
        return [folder]
    if os.path.exists(folder):
        return [_archive_or_refuse(folder)]
    matches = [Path(match) for match in sorted(glob.glob(str(folder)))]
    found = [m if m.is_dir() else open_archive(m) for m in matches if m.is_dir() or m.suffix == SUFFIX]
    if not found:
        raise UserError(
            f"no folder {path!r}: give folders of runs or studies, for example runs/study, or archives of them."
        )
    return found


def _archive_or_refuse(file: Path) -> RunArchive:
    """Return the archive in a file.

    Raises:
        UserError: It is another kind of file.
    """
    if file.suffix != SUFFIX and not head(file).startswith(b"PK"):
        raise UserError(f"{file} is a file: give the folder of a run or of a study, or an archive of them.")
    return open_archive(file)


def walk(top: Path) -> Iterator[Path]:
    """Yield a folder and all below it, sorted; nothing below a run folder, and no hidden folders."""
    for folder, inner, files in os.walk(top):
        yield Path(folder)
        inner[:] = [] if JOB in files else sorted(name for name in inner if not name.startswith("."))


def read_plans(file: Path) -> list[Plan]:
    """Return the plans of a study's folder.

    Raises:
        Unusable: The file is corrupt.
    """
    return [plan_from(entry, file) for entry in read(file, tuple[PlanEntry, ...])]


def read_run(place: Path | RunSource) -> Run:
    """Return what a run folder, or a place in an archive, holds.

    Plug-ins it names are not loaded: a report runs no code of a run folder.

    Raises:
        Unusable: Its job.json is corrupt.
    """
    run = as_source(place)
    job, entry = run.job()
    status = run.status()
    X, F = np.empty((0, 0), np.int64), np.empty((0, len(job.objectives)))
    state, reason = DONE, ""
    archs: tuple[str, ...] = ()
    clock = np.empty(0)
    seconds = (math.nan, math.nan)
    try:
        log = run.log(None, len(job.objectives))
        archs = log.archs
        if archs:
            X, F = log.arrays()
            clock = np.cumsum([row.seconds or 0.0 for row in log.rows[: job.budget]]) if job.budget_time else clock
    except Unusable as error:
        state, reason = FAILED, f"the run of {job.label} cannot be read: {error.reason}"
    except OSError as error:
        state, reason = FAILED, f"the run of {job.label} cannot be read: {error.strerror or error}"
    n = len(F)
    ended = (status.status == DONE and status.rows == n) or run.evaluations() == n
    if state == DONE and n < job.budget and not (n and ended):
        if status.status == FAILED:
            state, reason = FAILED, status.error
        else:
            state, reason = MISSING, f"unfinished: {n} of {job.budget} evaluations in the log"
    if state == DONE:
        try:
            seconds = run.seconds()
        except Unusable as error:
            state, reason = FAILED, str(error)
    known = (entry.data, entry.environment)
    return Run(run, job, state, reason, X[: job.budget], F[: job.budget], archs, *known, *seconds, clock)
