"""The folder of a run: held by one process at a time, and never shared by two jobs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.files import why, write_json
from smemnas.bench.outputs import RUN, FolderKind, claim, files_of_a_run, taken_back
from smemnas.bench.provenance import environment
from smemnas.bench.runs.job import Job
from smemnas.bench.schema import JobFile, StatusFile, read, signed
from smemnas.methods.base import METHODS
from smemnas.surrogates.base import SURROGATES

LOG, TIMING, JOB, STATUS, LOCK = "evals.jsonl", "timing.jsonl", "job.json", "status.json", ".lock"
RECOMMENDED = "recommended.jsonl"
ELSEWHERE = "choose another --out, or --overwrite it."


@contextlib.contextmanager
def locked(folder: Path, kind: FolderKind = RUN) -> Iterator[None]:
    """Hold a folder of one kind for this process.

    Raises:
        RunError: Another process holds it, it holds something else, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    claim(folder, kind)
    with taken_back(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / LOCK)
            lock.acquire(blocking=False)
        except Timeout as error:
            raise RunError(
                f"{folder} is in use by another run: wait for it, or choose another --out or --seed."
            ) from error
        except OSError as error:
            raise RunError(f"cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
        try:
            yield
        finally:
            lock.release()


def clear(folder: Path) -> None:
    """Delete what an earlier run left in its folder, by name; a folder that holds anything else is refused untouched.

    The job goes last, so that a kill leaves what is recognised.

    Raises:
        RunError: The folder holds files that no run wrote, or a file cannot be removed.
    """
    for path in files_of_a_run(folder):
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot remove {path}: {why(error)}. Choose another --out.") from error


def adopt(folder: Path, job: Job, benchmark: Benchmark) -> Job | None:
    """Write the job into a new folder, or check that the folder belongs to it.

    Returns:
        The job of the folder where it is this one with a smaller budget, which may go on, see `bench.runs.larger`.

    Raises:
        Unusable: The folder belongs to another job or to another version of the table, or is broken.
    """
    file = folder / JOB
    data = json.loads(json.dumps(benchmark.provenance()))
    if file.exists():
        _, found = read_job(folder, "start again with --overwrite.")
        difference = job.differs_from(found.job)
        smaller = job.smaller(found.job) if difference else None
        if difference and smaller is None:
            raise Unusable(f"{folder} holds a run with {difference}", ELSEWHERE)
        if evaluated_data(found.data) != evaluated_data(data):
            raise Unusable(f"{folder} was run on another version of the table", ELSEWHERE)
        if found.job.reference != job.reference:  # the log stays as it is, it is measured otherwise
            entry = {k: v for k, v in json.loads(file.read_bytes()).items() if k != "sum"}
            its = {k: v for k, v in entry["job"].items() if k != "reference"}
            given = {"reference": job.reference} if job.reference else {}
            write_json(file, signed({**entry, "job": {**its, **given}}))
        return smaller
    if (folder / LOG).exists():
        raise Unusable(f"{folder} holds a log but no {JOB}", "choose another --out.")
    needed = environment(*needs_of(job))
    write_json(file, signed({"job": job.to_dict(), "data": data, "environment": needed}))
    return None


def needs_of(job: Job) -> set[str]:
    """Return the packages beyond the core that a job's method and surrogates say they need."""
    entry = METHODS.get(job.method)
    named = [v for v in entry.resolve(job.params).values() if isinstance(v, str) and v in SURROGATES]
    factories = [entry.factory, *(SURROGATES.get(name).factory for name in named)]
    return {needs for factory in factories if (needs := str(getattr(factory, "needs", "")))}


def read_job(folder: Path, advice: str = "") -> tuple[Job, JobFile]:
    """Return the job of a run folder, and all that its file says.

    Raises:
        Unusable: There is none, or it is corrupt.
    """
    if not (folder / JOB).exists():
        raise Unusable(f"{folder} holds no run ({JOB} is missing)", advice)
    found = read(folder / JOB, JobFile, advice)
    return Job.of(found.job), found


def read_status(folder: Path) -> StatusFile:
    """Read the status file of a run folder; where there is none, or a broken one, the log says as much."""
    try:
        return read(folder / STATUS, StatusFile)
    except Unusable:
        return StatusFile("")


def evaluated_data(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a log depends on; a reference front that was improved since only changes how it is measured."""
    return {k: v for k, v in provenance.items() if not k.startswith("reference_")}
