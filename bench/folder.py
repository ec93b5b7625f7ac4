"""The folder of a run: held by one process at a time, and never shared by two jobs."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.benchmark import Benchmark
from bench.errors import RunError
from bench.files import write_json
from bench.job import Job
from bench.provenance import environment

LOG, TIMING, JOB, LOCK = "evals.jsonl", "timing.jsonl", "job.json", ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises:
        RunError: Another process holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"{folder} is in use by another run: wait for it, or choose another --out or --seed.") from error
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
    try:
        yield
    finally:
        lock.release()


def clear(folder: Path) -> None:
    """Delete what an earlier run left in a run folder; anything that is not a run folder is refused.

    Raises:
        RunError: The folder holds files but no job.json.
    """
    entries = [p for p in folder.iterdir() if p.name not in (LOCK, f"{JOB}.part")]
    if entries and not (folder / JOB).exists():
        raise RunError(f"{folder} holds files but no {JOB}, so it is not deleted: choose another --out.")
    for entry in sorted(entries, key=lambda p: p.name == JOB):  # last, so that a kill leaves what is recognised
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def adopt(folder: Path, job: Job, benchmark: Benchmark) -> None:
    """Write the job into a new folder, or check that the folder belongs to it.

    Raises:
        RunError: The folder belongs to another job or to another version of the table.
    """
    file = folder / JOB
    wanted = json.loads(json.dumps({"job": job.to_dict(), "data": benchmark.provenance()}))
    if file.exists():
        try:
            found = json.loads(file.read_bytes())
            its, data = dict(found["job"]), dict(found["data"])
            keys = {*wanted["job"], *its}
            differing = sorted(k for k in keys if its.get(k) != wanted["job"].get(k))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} is corrupt ({error}): start again with --overwrite.") from error
        if differing:
            k = differing[0]
            raise RunError(
                f"{folder} holds a run with {k} {its.get(k)!r}, this one has {wanted['job'].get(k)!r}: "
                "choose another --out, or --overwrite it."
            )
        if evaluated_data(data) != evaluated_data(wanted["data"]):
            raise RunError(
                f"{folder} was run on another version of the table: choose another --out, or --overwrite it."
            )
        return
    if (folder / LOG).exists():
        raise RunError(f"{folder} holds a log but no {JOB}: choose another --out.")
    write_json(file, {**wanted, "environment": environment()})


def evaluated_data(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a log depends on; a reference front that was improved since only changes how it is measured."""
    return {k: v for k, v in provenance.items() if not k.startswith("reference_")}
