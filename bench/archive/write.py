"""Writing an archive: the same runs give the same bytes, whatever folders they come from.

A log goes in as what it says (distinct evaluations once, and which of them each run made); it is written out again
before that is accepted, and a log that does not come back byte for byte is kept as it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from smemnas import __version__
from smemnas.bench.archive.form import (
    FORMAT,
    LOG_DIGEST,
    MANIFEST,
    RUNS,
    as_codes,
    as_decimals,
    member,
    npy,
    raw_member,
    recommended_member,
    smallest,
    without,
)
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.runs.history import Row
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import RunSource
from smemnas.bench.schema import LogRow, decode


class Packed(NamedTuple):
    """An archive, not written yet.

    Attributes:
        data: The bytes of the file.
        runs: How many it holds.
        raw: How many of them are kept as they were.
        left: (run, reason) of what is left out.
    """

    data: bytes
    runs: int
    raw: int
    left: tuple[tuple[str, str], ...]


def pack(runs: Sequence[RunSource], plans: Sequence[Mapping[str, Any]] = ()) -> Packed:
    """Return the archive of some runs: finished ones, and failed ones with the reason.

    Args:
        runs: Where they are kept.
        plans: Of the studies that they are of, as `Plan.to_dict` has them.
    """
    found: dict[str, tuple[Job, RunSource]] = {}
    left: list[tuple[str, str]] = []
    for run in runs:
        try:
            job, _ = run.job()
            place = job.folder_in_study.as_posix()
            reason = f"found twice, {found[place][1]} is kept" if place in found else _unfinished(run, job)
        except (RunError, DataError) as error:
            reason = str(error)
        if reason:
            left.append((str(run), reason))
        else:
            found[place] = job, run
    book = _Book()
    for place in sorted(found):
        book.add(*found[place])
    distinct = [plan for k, plan in enumerate(plans) if plan not in plans[:k]]
    return Packed(book.finish(distinct), len(found), len(book.raw), tuple(left))


def _unfinished(run: RunSource, job: Job) -> str:
    """Return why a run is no finished one, and no failed one, or ""; a broken log is an error."""
    rows = len(run.log(None, len(job.objectives)).archs)
    run.seconds()
    status = run.status()
    ended = (status.status == "done" and status.rows == rows) or run.evaluations() == rows
    if rows >= job.budget or (rows and ended) or status.status in ("done", "failed"):
        return ""
    return f"unfinished: {rows} of {job.budget} evaluations in the log"


@dataclass
class _Problem:
    """Distinct evaluations of the runs on one problem, by the text that the log has of them."""

    number: int
    keys: dict[bytes, int] = field(default_factory=dict)
    rows: list[LogRow] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def add(self, text: bytes) -> bool:
        """Add a log, if it can be written out again as it is."""
        keys, rows, codes = dict[bytes, int](), list[LogRow](), list[int]()
        for line in text.split(b"\n")[:-1]:
            start, end = line.find(b'"arch": '), line.rfind(b', "sum": "')
            key = line[start:end]
            if min(start, end) < 0:
                return False
            if key not in self.keys and key not in keys:
                keys[key] = len(self.rows) + len(rows)
                rows.append(decode(line, LogRow, "a log"))
            codes.append(self.keys[key] if key in self.keys else keys[key])
        first = len(self.rows)
        shapes = {(len(row.x), len(row.F)) for row in (*self.rows[:1], *rows)}
        if len(shapes) > 1 or (0, 0) in {(min(shape), min(shape)) for shape in shapes}:
            return False
        made = (self.rows[c] if c < first else rows[c - first] for c in codes)
        again = [Row(i, r.arch, r.x, r.F, r.status, r.error, r.seconds).to_json() for i, r in enumerate(made)]
        if "".join(f"{line}\n" for line in again).encode() != text:
            return False
        self.keys.update(keys)
        self.rows += rows
        self.codes += codes
        return True

    def members(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return its entry and its members."""
        F = np.array([row.F for row in self.rows], dtype=np.float64)  # None becomes NaN, which no log holds
        errors = sorted({row.error for row in self.rows})
        columns = [as_decimals(F[:, j]) for j in range(F.shape[1])]
        reasons = np.array([errors.index(row.error) for row in self.rows], dtype=np.int64)
        ok = np.array([row.status == "ok" for row in self.rows], dtype=np.int64)
        names = json.dumps([row.arch for row in self.rows], ensure_ascii=False, separators=(",", ":"))
        genes = smallest(np.array([row.x for row in self.rows], dtype=np.uint64))
        found = {"genes.npy": npy(genes), "names.json": names.encode()}
        found |= {f"objective-{j}.npy": npy(values) for j, (values, _) in enumerate(columns)}
        found |= {"ok.npy": npy(smallest(ok)), "errors.npy": npy(smallest(reasons))}
        times = np.array([row.seconds for row in self.rows], dtype=np.float64)
        seconds, decimals = as_decimals(times)
        if not np.isnan(times).all():
            found["seconds.npy"] = npy(seconds)
        found["evaluations.npy"] = npy(as_codes(np.array(self.codes, dtype=np.int64)))
        entry = {
            "rows": len(self.rows),
            "codes": len(self.codes),
            "genes": genes.shape[1],
            "objectives": F.shape[1],
            "decimals": [decimals for _, decimals in columns],
            "errors": errors,
            **({"times": decimals} if "seconds.npy" in found else {}),
        }
        return entry, {member(self.number, name): data for name, data in found.items()}


class _Places:
    """A list without repetitions."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._known: dict[str, int] = {}

    def of(self, value: Any) -> int:
        """Return the place of a value."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._known:
            self._known[key] = len(self.values)
            self.values.append(value)
        return self._known[key]


class _Book:
    """An archive in the making."""

    def __init__(self) -> None:
        self.data, self.environments, self.jobs = _Places(), _Places(), _Places()
        self.problems: dict[str, _Problem] = {}
        self.runs: list[dict[str, Any]] = []
        self.raw: dict[str, bytes] = {}
        self.recommended: dict[str, bytes] = {}

    def add(self, job: Job, run: RunSource) -> None:
        """Add a run."""
        _, recorded = run.job()
        entry = without(job.to_dict(), "seed", "plugins")
        # A plug-in is known by its content; where it lay on somebody's machine is nobody's business.
        plugins = [{"file": plugin.file, "sha256": plugin.sha256} for plugin in job.plugins]
        group = {
            "job": {**entry, "plugins": plugins},
            "data": self.data.of(recorded.data),
            "environment": self.environments.of(recorded.environment),
        }
        text = run.text()
        place = json.dumps(without(job.case.to_dict(), "reference"))
        problem = self.problems.setdefault(place, _Problem(len(self.problems)))
        before = len(problem.codes)
        packed = bool(text) and problem.add(text)
        if not packed:
            if not problem.codes:
                del self.problems[place]
            self.raw[raw_member(len(self.runs))] = text
        recommended = run.recommended_text()
        if recommended is not None:
            self.recommended[recommended_member(len(self.runs))] = recommended
        seconds, ended, status = run.seconds(), run.evaluations(), run.status()
        optional = {
            "status": status.status,
            "error": status.error,
            "note": status.note,
            "seconds": list(seconds) if math.isfinite(sum(seconds)) else None,
            "ended": ended,
        }
        self.runs.append(
            {
                "job": self.jobs.of(group),
                "seed": job.seed,
                "problem": problem.number if packed else None,
                "rows": len(problem.codes) - before if packed else text.count(b"\n"),
                "log": hashlib.sha256(text).hexdigest()[:LOG_DIGEST],
                **{key: value for key, value in optional.items() if value not in ("", None)},
            }
        )

    def finish(self, plans: Sequence[Mapping[str, Any]]) -> bytes:
        """Return the bytes of the file."""
        members: dict[str, bytes] = {RUNS: _text(self.runs)}
        entries = []
        for problem in self.problems.values():
            entry, found = problem.members()
            entries.append(entry)
            members |= found
        members |= self.raw | self.recommended
        manifest = {
            "format": FORMAT,
            "written_by": __version__,
            "plans": plans,
            "data": self.data.values,
            "environments": self.environments.values,
            "jobs": self.jobs.values,
            "problems": entries,
            "members": {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()
            },
        }
        return _zip({MANIFEST: _text(manifest), **members})


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _zip(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file without any time in it, whose comment is the sha256 of all that stands before the comment."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, data, zipfile.ZIP_DEFLATED, 9)
        file.comment = b"0" * 64
    body = stream.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()
