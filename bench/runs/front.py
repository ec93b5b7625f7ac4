"""Which member of a search's front is trained in the end; reads the run's own files and imports no torch."""

from __future__ import annotations

import contextlib
import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smemnas.bench.benchmarks.constraints import FORM
from smemnas.bench.errors import DataError, RunError, UserError, suggest
from smemnas.bench.metrics.indicators import normalise
from smemnas.bench.runs.folder import JOB, LOG, read_job
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import Job, open_job
from smemnas.spaces.base import FloatArray, SearchSpace

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
    """Read the front of a finished run.

    Raises:
        RunError: There is no run, it is not finished, or a file is corrupt.
        UserError: Its front is empty.
    """
    file = folder / JOB
    if not file.exists():
        missing = f"{folder} is not there" if not folder.exists() else f"{folder} holds no {JOB}"
        raise RunError(f"{missing}: give the folder of a run or a supernet's checkpoint.")
    job, _ = read_job(folder, "restore it, or run the search again.")
    if not (folder / FRONT).exists():
        done = len(History(folder / LOG, None, len(job.objectives)).rows)
        made = f"{done} evaluations of" if job.budget_time else f"{done} of"
        raise RunError(
            f"the run in {folder} is not finished ({made} {job.bound}): give its command again, which goes on where it "
            "stopped."
        )
    try:
        with open(folder / FRONT, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        F = np.array([[float(row[name]) for name in job.objectives] for row in rows]).reshape(-1, len(job.objectives))
        archs = tuple(row["arch"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / FRONT} is corrupt ({error}): give the run's command again to write it.") from error
    if not archs:
        raise UserError(f"the front of the run in {folder} is empty: no evaluation succeeded within its constraints.")
    return FinishedFront(folder, job, archs, job.objectives, F)


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
    if re.fullmatch(r"[+-]?[0-9]{1,18}", wanted):
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
