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

import msgspec
import numpy as np
from numpy.typing import NDArray

from smemnas import __version__
from smemnas.bench.archive.form import (
    AS_FLOAT,
    FORMAT,
    LOG_DIGEST,
    MANIFEST,
    RUNS,
    as_codes,
    as_decimals,
    distinct,
    in_units,
    member,
    npy,
    raw_member,
    recommended_member,
    smallest,
    without,
)
from smemnas.bench.archive.packing import PACKED, packed
from smemnas.bench.archive.words import learn
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.runs.history import Row
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import RunSource, ended_with
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
    return Packed(book.finish(distinct(plans)), len(found), len(book.raw), tuple(left))


def _unfinished(run: RunSource, job: Job) -> str:
    """Return why a run is no finished one, and no failed one, or ""; what is broken is an error."""
    rows = len(run.log(None, len(job.objectives)).archs)
    run.seconds()
    if rows >= job.budget or ended_with(run, rows):
        run.recommended(rows)
        return ""
    if run.status().status == "failed":
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

    def members(self) -> tuple[dict[str, Any], dict[str, Member]]:
        """Return its entry and its members."""
        places: dict[tuple[tuple[int, ...], str], int] = {}
        genotype = np.array([places.setdefault((row.x, row.arch), len(places)) for row in self.rows])
        order = np.argsort(genotype, kind="stable")  # evaluations of a genotype stand beside each other
        genes, names = smallest(np.array([x for x, _ in places], dtype=np.uint64)), [name for _, name in places]
        errors = sorted({row.error for row in self.rows})
        reasons = np.array([errors.index(row.error) for row in self.rows], dtype=np.int64)[order]
        ok = np.array([row.status == "ok" for row in self.rows], dtype=np.int64)[order]
        arrays = {"genes.npy": genes, "ok.npy": smallest(ok), "errors.npy": smallest(reasons)}
        F = np.array([row.F for row in self.rows], dtype=np.float64)[order]  # None becomes NaN, which no log holds
        decimals, units, shared = [], [], []
        for j in range(F.shape[1]):
            values = once_each(F[:, j], genotype[order])
            whole, places_behind = as_decimals(F[:, j] if values is None else values)
            arrays[f"objective-{j}.npy"], unit = in_units(whole) if places_behind != AS_FLOAT else (whole, 1)
            decimals.append(places_behind)
            units.append(unit)
            shared.append(values is not None)
        times = np.array([row.seconds for row in self.rows], dtype=np.float64)[order]
        timed = {}
        if not np.isnan(times).all():
            arrays["seconds.npy"], timed["times"] = as_decimals(times)
        arrays["genotypes.npy"] = as_codes(genotype)
        arrays["evaluations.npy"] = as_codes(np.array(self.codes, dtype=np.int64))
        found = {name: Member(npy(values), values.itemsize) for name, values in arrays.items()}
        words = learn(names, genes)
        if words is None:
            found["names.json"] = Member(_text(names))
        else:
            found["words.json"] = Member(msgspec.json.encode(words))
        entry = {
            "rows": len(self.rows),
            "codes": len(self.codes),
            "genes": genes.shape[1],
            "objectives": F.shape[1],
            "decimals": decimals,
            "errors": errors,
            **timed,
            "genotypes": len(places),
            "units": units,
            "shared": shared,
            "spelled": words is not None,
        }
        return entry, {member(self.number, name): data for name, data in found.items()}


def once_each(values: NDArray[np.float64], genotype: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the one value that each genotype has ``(m,)``, None where one has several.

    Args:
        values: ``(n,)``, those of a genotype beside each other.
        genotype: ``(n,)``, ascending.
    """
    first = np.unique(genotype, return_index=True)[1]
    once: NDArray[np.float64] = values[first]
    return once if once[genotype].tobytes() == values.tobytes() else None


class Member(NamedTuple):
    """A member before it is packed, and the bytes of one of its numbers, 1 for a text."""

    data: bytes
    width: int = 1


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
        kept = bool(text) and problem.add(text)
        if not kept:
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
                "problem": problem.number if kept else None,
                "rows": len(problem.codes) - before if kept else text.count(b"\n"),
                "log": hashlib.sha256(text).hexdigest()[:LOG_DIGEST],
                **{key: value for key, value in optional.items() if value not in ("", None)},
            }
        )

    def finish(self, plans: Sequence[Mapping[str, Any]]) -> bytes:
        """Return the bytes of the file.

        Raises:
            RunError: This Python has no lzma.
        """
        members = {RUNS: Member(_text(self.runs))}
        entries = []
        for problem in self.problems.values():
            entry, found = problem.members()
            entries.append(entry)
            members |= found
        members |= {name: Member(data) for name, data in (self.raw | self.recommended).items()}
        manifest = {
            "format": FORMAT,
            "written_by": __version__,
            "plans": plans,
            "data": self.data.values,
            "environments": self.environments.values,
            "jobs": self.jobs.values,
            "problems": entries,
            "members": {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, (data, _) in members.items()
            },
        }
        return _zip(_text(manifest), {f"{name}{PACKED}": packed(*one) for name, one in members.items()})


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _zip(manifest: bytes, members: Mapping[str, bytes]) -> bytes:
    """Return a zip file without any time in it, whose comment is the sha256 of all that stands before the comment.

    Args:
        manifest: Its first member.
        members: The others, which are packed already.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in {MANIFEST: manifest, **members}.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, data, zipfile.ZIP_DEFLATED if name == MANIFEST else zipfile.ZIP_STORED, 9)
        file.comment = b"0" * 64
    body = stream.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()
