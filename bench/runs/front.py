"""Which member of a search's front is trained in the end; reads the run's own files and imports no torch."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.constraints import FORM
from smemnas.bench.errors import DataError, RunError, UserError, suggest
from smemnas.bench.metrics.indicators import front_rows, normalise
from smemnas.bench.runs.folder import JOB, read_job
from smemnas.bench.runs.job import Job, open_job
from smemnas.bench.runs.source import RunFolder, ended_with
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace

FRONT = "front.csv"
FORMS = "knee, best, the number of a row of the front, or bounds like 'flops<=400'"


@dataclass(frozen=True)
class FinishedFront:
    """The front of a finished run, in the order in which the run printed it.

    Attributes:
        folder: Of the run.
        job: What was run.
        archs: Names ``(k,)``.
        names: Objectives ``(m,)``.
        F: Their values ``(k, m)``.
    """

    folder: Path
    job: Job
    archs: tuple[str, ...]
    names: tuple[str, ...]
    F: FloatArray

    @property
    def error(self) -> int:
        """Column of the error.

        Raises:
            UserError: The run minimised no error.
        """
        for column, name in enumerate(self.names):
            if "error" in name:
                return column
        raise UserError(f"the run in {self.folder} has no error among its objectives ({', '.join(self.names)}).")

    def row(self, index: int) -> str:
        """Return a member as text: its number and values."""
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(self.names, self.F[index], strict=True))
        return f"row {index + 1} ({values})"


def read_front(folder: Path) -> FinishedFront:
    """Return the front of a finished run, by its log: what was written of an earlier, smaller run does not count.

    Raises:
        RunError: There is no run, it is not finished, or a file is corrupt or of another log.
        UserError: Its front is empty.
        DataError: It is constrained by what is not in its log, and the data that says it is not there.
    """
    file = folder / JOB
    if not file.exists():
        missing = f"{folder} is not there" if not folder.exists() else f"{folder} holds no {JOB}"
        raise RunError(f"{missing}: give the folder of a run or a supernet's checkpoint.")
    job, _ = read_job(folder, "restore it, or run the search again.")
    run = RunFolder(folder)
    log = run.log(None, len(job.objectives))
    done = len(log.rows)
    if done < job.budget and not ended_with(run, done):
        made = f"{done} evaluations of" if job.budget_time else f"{done} of"
        raise RunError(
            f"the run in {folder} is not finished ({made} {job.bound}): give its command again, which goes on where it "
            "stopped."
        )
    X, F = log.arrays()
    F = F.reshape(-1, len(job.objectives))
    recommended = run.recommended(done)
    if recommended:
        rows = recommended[-1].rows
        rows = rows[np.lexsort(F[rows].T[::-1])]
    else:
        inside = np.flatnonzero(_feasible(job, X, F))
        rows = inside[front_rows(F[inside])]
    archs = tuple(log.rows[row].arch for row in rows.tolist())
    _check_printed(folder / FRONT, archs, job.objectives, F[rows])
    if not archs:
        raise UserError(f"the front of the run in {folder} is empty: no evaluation succeeded within its constraints.")
    return FinishedFront(folder, job, archs, job.objectives, F[rows])


def _feasible(job: Job, X: IntArray, F: FloatArray) -> NDArray[np.bool_]:
    """Return which evaluations of a log satisfy the constraints of its job ``(n,)``.

    The log says it of objectives; the benchmark is opened for other bounds alone.
    """
    bounds = [FORM.fullmatch(text) for text in job.constraints]
    inside = np.ones(len(F), dtype=bool)
    for match in bounds:
        if match is None or match[1] not in job.objectives:
            return np.asarray(open_job(job).violation(X, F) == 0.0)
        values, bound = F[:, job.objectives.index(match[1])], float(match[3])
        inside &= values <= bound if match[2] == "<=" else values >= bound
    return inside


def _check_printed(file: Path, archs: Sequence[str], names: Sequence[str], F: FloatArray) -> None:
    """Compare a front with what the run printed, whose rows a user may name; a run of a study prints nothing.

    Raises:
        RunError: The file says something else.
    """
    if not file.exists():
        return
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            printed = [(row["arch"], *(float(row[name]) for name in names)) for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{file} is corrupt ({error}): give the run's command again to write it.") from error
    if printed != [(arch, *values) for arch, values in zip(archs, F.tolist(), strict=True)]:
        raise RunError(f"{file} is not the front of the log beside it: give the run's command again to write it.")


def pick(front: FinishedFront, text: str) -> int:
    """Return the index of the member that a user means.

    Args:
        front: Of a run.
        text: "best" (lowest error), "knee", a row number from 1 on, or bounds separated by commas, of which the
            lowest error is taken.

    Raises:
        UserError: It is none of these, there is no such row, or nothing satisfies the bounds.
    """
    wanted = text.strip()
    if wanted == "best":
        return int(np.argmin(front.F[:, front.error]))
    if wanted == "knee":
        return knee(front.F)
    if wanted.lstrip("+-").isdecimal():
        if not 1 <= int(wanted) <= len(front.F):
            raise UserError(f"the front in {front.folder} has rows 1 to {len(front.F)}, got {wanted}.")
        return int(wanted) - 1
    if "<" not in wanted and ">" not in wanted:
        near = suggest(wanted, ("best", "knee")).split(" Known")[0]
        raise UserError(f"--pick takes {FORMS}, got {text!r}.{near}")
    excess = sum(_excess(front, part) for part in wanted.split(","))
    inside = np.flatnonzero(excess == 0)
    if not len(inside):
        closest = front.row(int(np.argmin(excess)))
        raise UserError(f"no member of the front in {front.folder} satisfies {wanted}; the closest is {closest}.")
    return int(inside[np.argmin(front.F[inside, front.error])])


def knee(F: FloatArray) -> int:
    """Return the row of a front ``(k, m)`` where a gain in one objective begins to cost most in the others.

    Objectives are scaled by the front's own extremes. The knee lies furthest on the good side of the plane through
    the extremes, where the sum of the scaled objectives is smallest (Das, On characterizing the "knee" of the
    Pareto curve, 1999); of equals the first.
    """
    return int(np.argmin(normalise(F, F.min(axis=0), F.max(axis=0)).sum(axis=1)))


def folder_name(pick_or_arch: str) -> str:
    """Return the name of the folder of a pick or an architecture."""
    text = pick_or_arch.replace(" ", "").replace("<=", "-max-").replace(">=", "-min-")
    return "".join(c if c.isalnum() or c in "._-," else "-" for c in text)


def _excess(front: FinishedFront, text: str) -> FloatArray:
    """Return by how much each member breaks a bound ``(k,)``, relative to it.

    Raises:
        UserError: It is no bound of an objective of the run.
    """
    match = FORM.fullmatch(text)
    try:
        bound = float(match[3]) if match else np.nan
    except ValueError:
        bound = np.nan
    if match is None or not np.isfinite(bound):
        raise UserError(f"--pick takes {FORMS}, got {text!r}.")
    name = match[1]
    if name == "error":
        column = front.error
    elif name in front.names:
        column = front.names.index(name)
    else:
        column = -1
    values = front.F[:, column] if column >= 0 else _costs(front, name)
    over = values - bound if match[2] == "<=" else bound - values
    return np.asarray(np.maximum(over, 0.0) / max(abs(bound), 1e-12))


def _costs(front: FinishedFront, name: str) -> FloatArray:
    """Return what is no objective of the run but a free cost of its space ``(k,)``.

    Raises:
        UserError: It is none either.
    """
    space: SearchSpace | None = None
    costs: list[str] = []
    with contextlib.suppress(DataError):  # without the data, what the run wrote is all there is
        space = open_job(front.job).space
        costs = [c.name for c in space.costs]
    if space is None or name not in costs:
        raise UserError(
            f"the run in {front.folder} has no objective {name!r} to bound."
            f"{suggest(name, {*front.names, 'error', *costs})}"
        )
    return space.cost(space.from_strs(front.archs), name)
