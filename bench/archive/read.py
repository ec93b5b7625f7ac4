"""Reading an archive: nothing is unpacked before it is asked for, nothing is used before it was checked."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from smemnas.bench.archive.evaluations import ArchivedLog, Evaluations
from smemnas.bench.archive.form import (
    LARGEST_CONTENT,
    LARGEST_FILE,
    LARGEST_TEXT,
    MANIFEST,
    READABLE,
    RESTORE,
    RUNS,
    FormatOnly,
    Manifest,
    RunEntry,
    decoded,
    raw_member,
    recommended_member,
)
from smemnas.bench.archive.packing import PACKED, unpacked
from smemnas.bench.errors import DataError, RunError, Unusable
from smemnas.bench.files import why
from smemnas.bench.runs.folder import LOG, RECOMMENDED
from smemnas.bench.runs.history import ADVICE, History
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.reported import ReportedSet, is_whole, read_recommended
from smemnas.bench.runs.source import Log
from smemnas.bench.schema import JobEntry, JobFile, StatusFile, signed

_END = b"PK\x05\x06"


class RunArchive:
    """An archive of runs; iterates over them.

    Attributes:
        path: Of the file.
        manifest: What it says about itself.
        runs: Its runs, in the order of their folders.
        sha256: Of the whole file.
        plans: What the studies that it is of compared, as `Plan.to_dict` has it.
    """

    def __init__(self, path: str | Path) -> None:
        """Open an archive and check all of its bytes.

        Raises:
            DataError: It is none, is truncated or changed, is of a newer format, or holds what no archive does.
        """
        self.path = Path(path)
        self._data = _read(self.path)
        self.sha256 = hashlib.sha256(self._data).hexdigest()
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(self._data))
            infos = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
            raise DataError(f"{self.path} is damaged or truncated: {RESTORE}") from error
        self._infos = {info.filename: info for info in infos}
        if sum(info.file_size for info in infos) > LARGEST_CONTENT or len(self._infos) != len(infos):
            raise DataError(f"{self.path} claims to hold more than any archive of runs does: it is not read.")
        text = self._unpack(MANIFEST, LARGEST_TEXT)
        found = decoded(text, FormatOnly, f"{self.path}, {MANIFEST}")
        if found.format not in READABLE:
            known = " and ".join(map(str, READABLE))
            raise DataError(
                f"{self.path} has archive format {found.format}, this version reads {known}: update smemnas."
            )
        self.manifest: Manifest = decoded(text, Manifest, f"{self.path}, {MANIFEST}")
        if sum(entry.bytes for entry in self.manifest.members.values()) > LARGEST_CONTENT:
            raise DataError(f"{self.path} claims to hold more than any archive of runs does: it is not read.")
        self.plans: list[dict[str, Any]] = json.loads(text)["plans"]
        self._check_whole()
        entries = decoded(self.member(RUNS), tuple[RunEntry, ...], f"{self.path}, {RUNS}")
        self._check(entries)
        starts = [0] * len(self.manifest.problems)
        runs = []
        for k, entry in enumerate(entries):
            start = 0
            if entry.problem is not None:
                start, starts[entry.problem] = starts[entry.problem], starts[entry.problem] + entry.rows
            runs.append(ArchivedRun(self, k, entry, start))
        self.runs = tuple(runs)
        if starts != [problem.codes for problem in self.manifest.problems]:
            raise DataError(f"{self.path} counts its evaluations wrongly: {RESTORE}")
        self._problems: dict[int, Evaluations | DataError] = {}
        self._jobs: dict[int, JobEntry] = {}

    @property
    def content(self) -> bytes:
        """All bytes of the file."""
        return self._data

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        return f"<Archive of {len(self):,} runs in {self.path}>"

    def problem(self, k: int) -> Evaluations:
        """Return the evaluations on the k-th problem, read when they are first asked for.

        Raises:
            DataError: They are not what they should be.
        """
        if k not in self._problems:
            try:
                self._problems[k] = Evaluations.read(str(self.path), k, self.manifest.problems[k], self.member)
            except DataError as error:  # told to each of its runs, found out once
                self._problems[k] = error
        found = self._problems[k]
        if isinstance(found, DataError):
            raise found
        return found

    def job(self, k: int) -> JobEntry:
        """Return what the k-th jobs are but for their seeds, read when it is first asked for.

        Raises:
            DataError: It is none.
        """
        if k not in self._jobs:
            what = f"{self.path}, job {k}"
            try:
                text = json.dumps({**self.manifest.jobs[k].job, "seed": 0}).encode()
            except (ValueError, RecursionError) as error:
                raise DataError(f"{what}: it is none: {RESTORE}") from error
            self._jobs[k] = decoded(text, JobEntry, what)
        return self._jobs[k]

    def member(self, name: str) -> bytes:
        """Return a member that the manifest names.

        Raises:
            DataError: It is missing, or not what the manifest says.
        """
        entry = self.manifest.members.get(name)
        if entry is None:
            raise DataError(f"{self.path} lacks its member {name}: {RESTORE}")
        data = self._unpack(name, entry.bytes)
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise DataError(f"{self.path}: its member {name} does not match its checksum: {RESTORE}")
        return data

    def _unpack(self, name: str, most: int) -> bytes:
        """Return a member of at most so many bytes.

        Raises:
            DataError: It is missing, larger, or damaged.
        """
        info = self._infos.get(name)
        if info is None and name + PACKED in self._infos:
            return unpacked(self._stored(name + PACKED, LARGEST_FILE), most, f"{self.path}: its member {name}")
        return self._stored(name, most)

    def _stored(self, name: str, most: int) -> bytes:
        """Return what the zip file has under a name.

        Raises:
            DataError: It is missing, larger, or damaged.
        """
        info = self._infos.get(name)
        if info is None:
            raise DataError(f"{self.path} is no archive of runs (it has no {name}).")
        if info.file_size > most or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{self.path}: its member {name} is larger than it may be, or packed in another way.")
        try:
            with self._zip.open(info) as stream:
                return stream.read(info.file_size + 1)[: info.file_size]
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.path}: its member {name} is damaged: {RESTORE}") from error

    def _check_whole(self) -> None:
        """Compare all bytes with the checksum at the end of the file, and name the member that does not match.

        Raises:
            DataError: They differ.
        """
        if hashlib.sha256(self._data[:-64]).hexdigest().encode() == self._data[-64:]:
            return
        for name in self.manifest.members:
            self.member(name)
        raise DataError(f"{self.path} does not match its checksum: {RESTORE}")

    def _check(self, entries: tuple[RunEntry, ...]) -> None:
        """Check that what runs and jobs point to is there.

        Raises:
            DataError: It is not.
        """
        manifest = self.manifest
        for group in manifest.jobs:
            if group.data >= len(manifest.data) or group.environment >= len(manifest.environments):
                raise DataError(f"{self.path} has jobs whose data or environment is not in it: {RESTORE}")
        for k, entry in enumerate(entries):
            there = raw_member(k) in manifest.members if entry.problem is None else True
            beyond = entry.problem is not None and entry.problem >= len(manifest.problems)
            if entry.job >= len(manifest.jobs) or beyond or not there:
                raise DataError(f"{self.path}: run {k} points to what is not in it: {RESTORE}")


def _read(path: Path) -> bytes:
    """Return the bytes of an archive's file.

    Raises:
        DataError: There is no such file, or it is none of ours.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise DataError(f"{path} is larger ({size / 1e6:,.0f} MB) than an archive of runs can be.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the archive {path}: {why(error)}.") from error
    if not data.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is no archive of runs: `archive make` writes them.")
    if data[-86:-82] != _END:  # the end of the directory, then the checksum
        raise DataError(f"{path} is truncated, or no archive of runs: {RESTORE}")
    return data


@dataclass(frozen=True, eq=False)
class ArchivedRun:
    """A run in an archive; see `bench.runs.source.RunSource`.

    Attributes:
        archive: Where it is kept.
        number: Its place there.
        entry: What is recorded of it.
        start: Where its evaluations begin among those on its problem.
    """

    archive: RunArchive
    number: int
    entry: RunEntry
    start: int

    def __str__(self) -> str:
        return f"{self.archive.path}/{self._job.folder_in_study.as_posix()}"

    @cached_property
    def recorded(self) -> JobFile:
        """What its job.json held."""
        group = self.archive.manifest.jobs[self.entry.job]
        job = msgspec.structs.replace(self.archive.job(self.entry.job), seed=self.entry.seed)
        return JobFile(
            job, self.archive.manifest.data[group.data], self.archive.manifest.environments[group.environment]
        )

    @cached_property
    def _job(self) -> Job:
        return Job.of(self.recorded.job)

    def exists(self) -> bool:
        """Whether there is anything: there is."""
        return True

    def job(self, advice: str = "") -> tuple[Job, JobFile]:
        """Return the job and what was recorded with it."""
        return self._job, self.recorded

    def job_text(self) -> dict[str, Any]:
        """Return what its job.json holds."""
        recorded = self.recorded
        return signed({"job": self._job.to_dict(), "data": recorded.data, "environment": recorded.environment})

    def status(self) -> StatusFile:
        """Return what a study said about it."""
        rows = self.entry.rows if self.entry.status == "done" else None
        return StatusFile(self.entry.status, rows, self.entry.error, self.entry.note)

    def count(self) -> int:
        """Return how many evaluations there are."""
        return self.entry.rows

    def log(self, n_var: int | None = None, n_obj: int | None = None) -> Log:
        """Return the evaluations.

        Raises:
            Unusable: They are corrupt, or have another number of genes or objectives.
        """
        try:
            if self.entry.problem is None:
                raw = self.archive.member(raw_member(self.number))
                return History(Path(str(self)) / LOG, n_var, n_obj, raw)
            known = self.archive.problem(self.entry.problem)
        except DataError as error:
            raise Unusable(str(error).rstrip(".")) from error
        genes, objectives = known.X.shape[1], known.F.shape[1]
        if genes != (genes if n_var is None else n_var) or objectives != (objectives if n_obj is None else n_obj):
            have = f"{genes} genes and {objectives} objectives, expected {n_var} and {n_obj}"
            raise Unusable(f"{self} is corrupt ({have})", ADVICE)
        return ArchivedLog(known, known.order[self.start : self.start + self.entry.rows])

    def text(self) -> bytes:
        """Return the log as it was.

        Raises:
            RunError: This version of the code writes it in another way.
        """
        if self.entry.problem is None:
            return self.archive.member(raw_member(self.number))
        text = "".join(f"{row.to_json()}\n" for row in self.log().rows).encode()
        if not hashlib.sha256(text).hexdigest().startswith(self.entry.log):
            raise RunError(f"{self}: its log cannot be written out as it was by this version of smemnas.")
        return text

    def is_whole(self, n: int) -> bool:
        """Whether it has recommended after its last evaluation, or recommends nothing."""
        text = self.recommended_text()
        return text is None or is_whole(Path(str(self)) / RECOMMENDED, n, text)

    def recommended(self, n: int) -> Sequence[ReportedSet]:
        """Return what it recommended."""
        text = self.recommended_text()
        return [] if text is None else read_recommended(Path(str(self)) / RECOMMENDED, n, text)

    def recommended_text(self) -> bytes | None:
        """Return the lines of recommended.jsonl; None without one."""
        name = recommended_member(self.number)
        return self.archive.member(name) if name in self.archive.manifest.members else None

    def seconds(self) -> tuple[float, float]:
        """Return the wall time, in all and in the method."""
        return self.entry.seconds or (math.nan, math.nan)

    def evaluations(self) -> int | None:
        """Return how many evaluations a single run says that it ended with."""
        return self.entry.ended
