"""A finished run goes on with a larger budget.

It goes on by replay, as a killed one does: the method is made again, with the larger budget, and asked again, and its
asks are compared with the log. So what comes out is to the byte the log of a run that had the larger budget from the
start, or there is no run: methods that plan with their budget say so (`Method.plans_with_budget`) and are refused
before, and one that does not say it is found out by its first other ask, before anything is written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.errors import NotReplayed, RunError, Unusable
from smemnas.bench.files import why, write_json
from smemnas.bench.runs.folder import JOB, RECOMMENDED
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import Job
from smemnas.bench.schema import signed
from smemnas.methods.base import METHODS

ADVICE = "choose another --out, or start again there with --overwrite."
#: What a finished run reports: of a run that goes on it would be stale, and say that it has ended.
REPORTS = ("summary.json", "front.csv", "front.png")


def plans(job: Job, benchmark: Benchmark) -> bool:
    """Whether the method of a job says that it planned with that job's budget."""
    made = METHODS.create(job.method, job.problem(benchmark), budget=job.budget, seed=job.seed, params=job.params)
    return made.plans_with_budget


def clear_the_way(folder: Path, found: Job, job: Job, benchmark: Benchmark, *, replay: bool) -> None:
    """Refuse to go on with the run of a method that planned with its budget; else let it go on.

    What it recommended is made again as it is asked again: the smaller budget may have cut a batch.

    Raises:
        Unusable: It planned, and is to be asked again.
    """
    if replay and plans(found, benchmark):
        raise Unusable(
            f"{folder} holds a run of {found.bound}, and {found.method} plans with its budget: with {job.bound} it "
            "would have begun otherwise, so that run cannot go on",
            ADVICE,
        )
    if replay:
        (folder / RECOMMENDED).unlink(missing_ok=True)


@contextlib.contextmanager
def grown(folder: Path, smaller: Job | None, job: Job, history: History) -> Iterator[None]:
    """Within it a run goes on from a smaller budget: its folder says so once the log has proved to be its beginning.

    Args:
        folder: Of the run.
        smaller: What the folder holds; None where nothing grows.
        job: What goes on there.
        history: Its log.

    Raises:
        Unusable: The method asks otherwise under the larger budget, and had not said so.
    """
    if smaller is None:
        yield
        return
    history.before_append = lambda: _record(folder, job)
    try:
        yield
    except NotReplayed as error:
        raise Unusable(
            f"{folder} holds a run of {smaller.bound}, which cannot go on to {job.bound}: {job.method} asks for other "
            "architectures than are logged, so it plans with its budget and should say so (plans_with_budget), or "
            "code, processor or libraries have changed",
            ADVICE,
        ) from error
    if history.before_append is not None:  # nothing was added: all was evaluated before, or the method is done
        _record(folder, job)


def _record(folder: Path, job: Job) -> None:
    """Write the larger budget into the folder's job; what was reported of the smaller one goes first.

    Raises:
        RunError: A file cannot be written or removed.
    """
    try:
        for name in REPORTS:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {why(error)}. Choose another folder with --out.") from error
    file = folder / JOB
    entry = {k: v for k, v in json.loads(file.read_bytes()).items() if k != "sum"}
    write_json(file, signed({**entry, "job": job.to_dict()}))
