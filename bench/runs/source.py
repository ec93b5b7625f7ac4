"""Where a run is kept: in a folder of its own, or with many others in an archive.

Whatever reads runs (tables of studies, reports, frames) reads them through a `RunSource` and does not see which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from smemnas.bench.errors import Unusable
from smemnas.bench.runs.folder import JOB, LOG, RECOMMENDED, TIMING, read_job, read_status
from smemnas.bench.runs.history import History, Row, read_seconds
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.reported import ReportedSet, is_whole, read_recommended
from smemnas.bench.schema import JobFile, StatusFile, SummaryFile, read
from smemnas.spaces.base import FloatArray, IntArray

SUMMARY = "summary.json"


class Log(Protocol):
    """The evaluations of a run, in ask order."""

    @property
    def rows(self) -> Sequence[Row]:
        """All of them, one by one."""

    @property
    def archs(self) -> tuple[str, ...]:
        """Names of the architectures."""

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes ``(n, n_var)`` and objectives ``(n, n_obj)``, +inf rows for failures."""


class RunSource(Protocol):
    """One run, wherever it is kept; as a text it is the place, for messages."""

    def exists(self) -> bool:
        """Whether there is anything of a run."""

    def job(self, advice: str = "") -> tuple[Job, JobFile]:
        """Return the job, and all that was recorded with it.

        Raises:
            Unusable: There is none, or it is corrupt; `advice` says what to do.
        """

    def status(self) -> StatusFile:
        """Return what a study says about the run; an empty status where it says nothing."""

    def count(self) -> int:
        """Return how many evaluations there are, without a look at them; -1 where that cannot be said."""

    def log(self, n_var: int | None = None, n_obj: int | None = None) -> Log:
        """Return the evaluations; None takes the genes and objectives of the first.

        Raises:
            Unusable: They are corrupt, or have another number of genes or objectives.
        """

    def text(self) -> bytes:
        """Return the lines of the log as they are, without a torn last one."""

    def is_whole(self, n: int) -> bool:
        """Whether it has recommended after its `n` evaluations, or recommends nothing, see `bench.runs.reported`."""

    def recommended(self, n: int) -> Sequence[ReportedSet]:
        """Return what it recommended in its `n` evaluations; nothing where its method does not.

        Raises:
            Unusable: What is recorded is corrupt.
        """

    def recommended_text(self) -> bytes | None:
        """Return the lines of recommended.jsonl; None without one."""

    def seconds(self) -> tuple[float, float]:
        """Return the wall time, in all and in the method; NaN where it is not known.

        Raises:
            Unusable: What is recorded is corrupt.
        """

    def evaluations(self) -> int | None:
        """Return how many evaluations a single run says that it ended with; None where it does not."""


@dataclass(frozen=True)
class RunFolder:
    """A run in its folder; see `RunSource`."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Whether it holds a job or a log."""
        return (self.path / JOB).exists() or (self.path / LOG).exists()

    def job(self, advice: str = "") -> tuple[Job, JobFile]:
        """Read job.json."""
        return read_job(self.path, advice)

    def status(self) -> StatusFile:
        """Read status.json."""
        return read_status(self.path)

    def count(self) -> int:
        """Count the lines of the log."""
        try:
            return (self.path / LOG).read_bytes().count(b"\n")
        except OSError:
            return -1

    def log(self, n_var: int | None = None, n_obj: int | None = None) -> History:
        """Read the log."""
        return History(self.path / LOG, n_var, n_obj)

    def text(self) -> bytes:
        """Read the log as it is."""
        try:
            data = (self.path / LOG).read_bytes()
        except OSError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def is_whole(self, n: int) -> bool:
        """Look at the last line of recommended.jsonl."""
        return is_whole(self.path / RECOMMENDED, n)

    def recommended(self, n: int) -> Sequence[ReportedSet]:
        """Read recommended.jsonl."""
        return read_recommended(self.path / RECOMMENDED, n)

    def recommended_text(self) -> bytes | None:
        """Read recommended.jsonl as it is."""
        try:
            return (self.path / RECOMMENDED).read_bytes()
        except OSError:
            return None

    def seconds(self) -> tuple[float, float]:
        """Add up timing.jsonl."""
        return read_seconds(self.path / TIMING)

    def evaluations(self) -> int | None:
        """Look into summary.json."""
        try:
            return read(self.path / SUMMARY, SummaryFile).evaluations
        except Unusable:
            return None


def ended_with(run: RunSource, rows: int) -> bool:
    """Whether a run says of itself that it ended with so many evaluations: with other ones in its log it is cut."""
    status = run.status()
    return (status.status == "done" and status.rows == rows) or (rows > 0 and run.evaluations() == rows)


@runtime_checkable
class HasFolder(Protocol):
    """What a command of the library returns: it knows its folder."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...


def as_folder(place: str | Path | HasFolder) -> Path:
    """Return a folder by its path, or that of a result."""
    return Path(place if isinstance(place, str | Path) else place.folder)


def as_source(place: str | Path | HasFolder | RunSource) -> RunSource:
    """Return a run by the path of its folder, by its result, or as it is."""
    return RunFolder(as_folder(place)) if isinstance(place, str | Path | HasFolder) else place
