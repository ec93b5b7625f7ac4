"""Run folders out of an archive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smemnas.bench.archive.form import distinct
from smemnas.bench.archive.read import ArchivedRun, RunArchive
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.files import replacing_folder, why, write_bytes, write_json, write_text
from smemnas.bench.runs.folder import JOB, LOG, RECOMMENDED, STATUS, TIMING
from smemnas.bench.runs.source import SUMMARY
from smemnas.bench.schema import signed_line

PLANS = "plans.json"


def extract(archives: Sequence[RunArchive], out: Path) -> int:
    """Write the runs of an archive, or of its parts, as the folder of a study and return how many there are.

    All or none are written. Logs come back byte for byte. `timing.jsonl` is one line: the archive keeps the sums.

    Raises:
        DataError: The archive is damaged, or a run has no place within the folder.
        RunError: There is something in the folder, or it cannot be written.
    """
    try:
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty: give a new folder.")
    except OSError as error:
        raise RunError(f"cannot write to {out}: {why(error)}. Choose another folder.") from error
    with replacing_folder(out) as part:
        plans = distinct(plan for archive in archives for plan in archive.plans)
        if plans:
            write_json(part / PLANS, plans, durable=False)
        runs = [run for archive in archives for run in archive.runs]
        for run in runs:
            _write(run, part / _place(run))
    return len(runs)


def _place(run: ArchivedRun) -> Path:
    """Return the folder of a run within that of the study.

    Raises:
        DataError: It would be elsewhere.
    """
    job, _ = run.job()
    place = job.folder_in_study
    if place.is_absolute() or ".." in place.parts or "\0" in str(place):
        raise DataError(f"{run.archive.path}: the folder of run {run.number} would be outside: {str(place)!r}.")
    return place


def _write(run: ArchivedRun, folder: Path) -> None:
    """Write one run folder."""
    folder.mkdir(parents=True)
    write_json(folder / JOB, run.job_text(), durable=False)
    write_bytes(folder / LOG, run.text(), durable=False)
    recommended = run.recommended_text()
    if recommended is not None:
        write_bytes(folder / RECOMMENDED, recommended, durable=False)
    total, method = run.seconds()
    if math.isfinite(total):
        write_text(folder / TIMING, _time(run.count(), total, method), durable=False)
    status = run.status()
    if status.status:
        entry: dict[str, Any] = {"status": status.status}
        entry |= {} if status.rows is None else {"rows": status.rows}
        entry |= {key: value for key, value in (("error", status.error), ("note", status.note)) if value}
        write_json(folder / STATUS, entry, durable=False)
    if run.evaluations() is not None:
        write_json(folder / SUMMARY, {"evaluations": run.evaluations()}, durable=False)


def _time(n: int, total: float, method: float) -> str:
    """Return the line of times whose sums are these."""
    rest = max(total - method, 0.0)
    for _ in range(4):  # the sum of rounded numbers may miss by the last bit
        if method + rest != total:
            rest = math.nextafter(rest, math.inf if method + rest < total else 0.0)
    line = f'{{"first": 0, "n": {n}, "ask": {method!r}, "evaluate": {rest!r}, "tell": 0.0}}'
    return signed_line(line) + "\n"
