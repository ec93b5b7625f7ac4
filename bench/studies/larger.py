"""A study goes on with a larger budget: its runs begin where those of the smaller budget ended.

The folder of a run begins as a copy of the finished run of the same job with the largest smaller budget, and goes on by
replay as `bench.runs.larger` says: what comes out is to the byte the run that had the larger budget from the start, or
there is none. The smaller run stays as it is.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.files import make_folder, why
from smemnas.bench.runs.folder import JOB, LOG, RECOMMENDED, TIMING, clear, read_job
from smemnas.bench.runs.guard import same_data
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.larger import plans
from smemnas.bench.runs.source import RunFolder


def begin(folder: Path, job: Job, benchmark: Benchmark) -> bool:
    """Let the folder of a run begin as a finished run of a smaller budget, where the study has one.

    Args:
        folder: Of the run, in its study; nothing happens where a run has begun there.
        job: The run.
        benchmark: Of the job.

    Returns:
        Whether it does.

    Raises:
        Unusable: There is one, but its method planned with its budget.
        RunError: The folder cannot be written.
    """
    if (folder / JOB).exists() or (folder / LOG).exists():
        return False
    found = max(_finished(folder, job, benchmark), default=None, key=lambda pair: pair[0])
    if found is None:
        return False
    _, smaller = found
    if plans(smaller.job()[0], benchmark):
        raise Unusable(
            f"{smaller} holds its run of {smaller.job()[0].bound}, and {job.method} plans with its budget: with "
            f"{job.bound} it would have begun otherwise, so that run cannot go on"
        )
    try:
        make_folder(folder)
        for name in (LOG, TIMING, RECOMMENDED, JOB):  # the job last: without it there is no run
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(smaller.path / name, folder / f"{name}.part")
                (folder / f"{name}.part").replace(folder / name)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {why(error)}. Choose another folder with --out.") from error
    return True


def _finished(folder: Path, job: Job, benchmark: Benchmark) -> Iterator[tuple[tuple[float, int], RunFolder]]:
    """Yield the finished runs of a job with smaller budgets in its study, with these."""
    for place in folder.parent.parent.glob(f"*/{folder.name}"):
        with contextlib.suppress(RunError, OSError):
            found, entry = read_job(place)
            source = RunFolder(place)
            rows, status = source.count(), source.status()
            done = rows >= found.budget or (status.status == "done" and status.rows == rows)
            if done and same_data(entry.data, benchmark) and job.smaller(entry.job) is not None:
                yield (found.budget_time, found.budget), source


@contextlib.contextmanager
def cleared_unless_grown(folder: Path, begun: bool) -> Iterator[None]:
    """Within it a run goes on from a copy; where that fails to be its beginning, the copy is removed.

    Args:
        folder: Of the run.
        begun: Whether it is such a copy.
    """
    try:
        yield
    except Unusable:
        if begun:
            clear(folder)
        raise
