"""The runs of a study, wherever they are kept: its folders, and the archives that it took runs from.

A study keeps a copy of each archive in `stored/`, so that its folder says all that its tables do. Of those only runs
that one of its plans asks for count, and a folder of its own comes before a stored run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.archive.form import SUFFIX
from smemnas.bench.archive.locate import open_archive, same_bytes
from smemnas.bench.archive.read import ArchivedRun, RunArchive
from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import make_folder, write_bytes
from smemnas.bench.runs.guard import checked_log
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import RunFolder, RunSource
from smemnas.bench.studies.execution import DONE, folder_of, state_in
from smemnas.bench.studies.plan import Plan

STORED = "stored"


class Key(NamedTuple):
    """By what a stored run is found; a plug-in's content is compared when it is used."""

    case: Case
    label: str
    seed: int
    budget: int
    budget_time: float


def key_of(job: Job) -> Key:
    """Return the key of a job."""
    return Key(replace(job.case, reference=""), job.label, job.seed, job.budget, job.budget_time)


def keys_of(plans: Iterable[Plan]) -> set[Key]:
    """Return the keys of all jobs of some plans; plug-ins are not loaded."""
    return {
        Key(
            replace(case, reference=""),
            Job(v.method, "", "", (), 1, params=v.params).label,
            seed,
            plan.budget,
            plan.budget_time,
        )
        for plan in plans
        for case in plan.cases
        for v in plan.variants
        for seed in plan.seeds_for(v)
    }


def stored_files(out: Path) -> list[Path]:
    """Return the archives that a study keeps, sorted by name."""
    return sorted(path for path in (out / STORED).glob(f"*{SUFFIX}") if path.is_file())


@dataclass(frozen=True)
class StudyRuns:
    """The runs of the study in a folder."""

    out: Path

    @cached_property
    def _stored(self) -> dict[Key, ArchivedRun]:
        return index(open_archive(path) for path in stored_files(self.out))

    def of(self, job: Job) -> tuple[RunSource, Job]:
        """Return the run of a job, and the job with the plug-ins of a stored run where it names none."""
        folder = RunFolder(folder_of(self.out, job))
        run = None if folder.exists() else self._stored.get(key_of(job))
        if run is None:
            return folder, job
        return run, job if job.plugins else replace(job, plugins=run.job()[0].plugins)


def index(archives: Iterable[RunArchive]) -> dict[Key, ArchivedRun]:
    """Return the runs of some archives by their keys; the first of several is kept."""
    found: dict[Key, ArchivedRun] = {}
    for archive in archives:
        for run in archive.runs:
            found.setdefault(key_of(run.job()[0]), run)
    return found


def keep(out: Path, archive: RunArchive) -> None:
    """Copy an archive into the folder of a study, unless it is there.

    Raises:
        RunError: It cannot be written.
    """
    folder = out / STORED
    if any(same_bytes(path, archive) for path in stored_files(out)):
        return
    make_folder(folder)
    stem = archive.path.name.removesuffix(SUFFIX)
    target = folder / f"{stem}{SUFFIX}"
    if target.exists():
        target = folder / f"{stem}-{archive.sha256[:8]}{SUFFIX}"
    write_bytes(target, archive.content)


def usable(jobs: Iterable[Job], runs: StudyRuns) -> Iterator[tuple[Job, str]]:
    """Yield each job for which there is a stored run, with the reason why that cannot be used, or ""."""
    for job in jobs:
        run, kept = runs.of(job)
        if not isinstance(run, ArchivedRun):
            continue
        try:
            if state_in(run, kept).status != DONE:
                yield job, run.status().error or "it is not finished"
                continue
            checked_log(run, kept, benchmark_of(kept.case))
        except RunError as error:
            yield job, str(getattr(error, "reason", error)).rstrip(".").removeprefix(f"{run}: ")
        except UserError as error:
            yield job, str(error).rstrip(".")
        else:
            yield job, ""
