"""What an archive holds: names, shapes and bounds of its members, see docs/archive.md.

Nothing of a file is believed: every record is decoded strictly, every size is compared with what it must be before
anything is allocated, and every byte is covered by a checksum.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError, Unusable
from smemnas.bench.schema import Natural, PlanEntry, Seconds, Strict, Text, decode

#: Version of the format that is written, and those that are read; newer ones are refused by name.
FORMAT = 2
READABLE = (1, 2)
SUFFIX = ".runs"
#: What to do about an archive that is not what it was.
RESTORE = "get the file again."
MANIFEST, RUNS = "manifest.json", "runs.json"
#: Bytes of a file, of all its members unpacked, and of each of its texts: far beyond any study, far below a machine.
LARGEST_FILE, LARGEST_CONTENT, LARGEST_TEXT = 1 << 29, 1 << 30, 1 << 27
#: An objective is stored as a whole number of units of its last decimal where that is exact, else as it is.
MOST_DECIMALS, AS_FLOAT = 15, -1
#: Hexadecimal digits of the digest of a log that a run carries.
LOG_DIGEST = 16

Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 28)]


class MemberEntry(Strict, frozen=True):
    """A member of the file: its size unpacked, and its sha256."""

    bytes: Natural
    sha256: Digest


class ProblemEntry(Strict, frozen=True):
    """What is stored of all runs on one problem.

    Attributes:
        rows: Distinct evaluations.
        codes: Evaluations of all runs, one after the other.
        genes: Of a genotype.
        objectives: Of an evaluation.
        decimals: Of each objective, `AS_FLOAT` for one that is stored as it is.
        errors: Reasons of failed evaluations.
        times: Decimals of the training times, as for an objective; None where the logs have none.
        genotypes: Distinct ones; None where each evaluation has its own, as in format 1.
        units: Of each objective: what is stored is to be multiplied with it. None are all 1.
        shared: Of each objective whether it is stored once a genotype. None never are.
        spelled: Whether genotypes spell their names; else those are listed.
    """

    rows: Count
    codes: Count
    genes: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    objectives: Annotated[int, msgspec.Meta(ge=1, le=1 << 10)]
    decimals: tuple[Annotated[int, msgspec.Meta(ge=AS_FLOAT, le=MOST_DECIMALS)], ...]
    errors: tuple[str, ...] = ()
    times: Annotated[int, msgspec.Meta(ge=AS_FLOAT, le=MOST_DECIMALS)] | None = None
    genotypes: Count | None = None
    units: tuple[Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)], ...] = ()
    shared: tuple[bool, ...] = ()
    spelled: bool = False


class Part(Strict, frozen=True):
    """A part of a name, see `bench.archive.words`: the text at place 0, ``x[g]`` or ``x[g] * width + x[h]``.

    Attributes:
        genes: That say it: none, where it is always the same, ``g``, or ``g`` and ``h``.
        texts: What they say.
        width: Choices of gene ``h``.
    """

    genes: tuple[Count, ...]
    texts: tuple[str, ...]
    width: Count = 1


class JobGroup(Strict, frozen=True):
    """Jobs that differ in their seeds alone, and what was recorded with them, by place in the manifest's lists."""

    job: dict[str, Any]
    data: Count
    environment: Count


class Manifest(Strict, frozen=True):
    """`manifest.json`."""

    format: Natural
    written_by: Text
    plans: tuple[PlanEntry, ...]
    data: tuple[dict[str, Any], ...]
    environments: tuple[dict[str, Any], ...]
    jobs: tuple[JobGroup, ...]
    problems: tuple[ProblemEntry, ...]
    members: dict[str, MemberEntry]


class FormatOnly(msgspec.Struct, frozen=True):
    """What can be read of the manifest of any version."""

    format: int


class RunEntry(Strict, frozen=True):
    """A run, an entry of `runs.json`.

    Attributes:
        job: Place in the manifest's list.
        seed: Of the job.
        problem: Place in the manifest's list; None where the log is kept as it was, in a member of its own.
        rows: Evaluations.
        log: First digits of the sha256 of its evals.jsonl.
        status: As in status.json, "" where there was none; `error` and `note` too.
        seconds: Wall time in all, and in the method; null where it is not known.
        ended: Evaluations in summary.json.
    """

    job: Count
    seed: Natural
    problem: Count | None
    rows: Count
    log: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    status: str = ""
    error: str = ""
    note: str = ""
    seconds: tuple[Seconds, Seconds] | None = None
    ended: Count | None = None


def member(problem: int, what: str) -> str:
    """Return the name of what is stored of a problem: "genes.npy", "words.json", ..."""
    return f"problem-{problem}/{what}"


def raw_member(run: int) -> str:
    """Return the name of the log of a run that is kept as it was."""
    return f"logs/{run}.jsonl"


def recommended_member(run: int) -> str:
    """Return the name of what a run under noise recommended, as recommended.jsonl has it."""
    return f"recommended/{run}.jsonl"


def npy(values: NDArray[Any]) -> bytes:
    """Return an array as the bytes of an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def from_npy(data: bytes, shape: tuple[int, ...], kinds: str, what: str) -> NDArray[Any]:
    """Return the array in an .npy file, read-only, if it is of this shape and of one of some kinds of numbers.

    Raises:
        DataError: It is none, or another one; nothing is allocated for it.
    """
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("version")
        found, fortran, kind = np.lib.format.read_array_header_1_0(stream)
        if found != shape or fortran or kind.kind not in kinds or kind.byteorder == ">":
            raise ValueError("header")
        values: NDArray[Any] = np.frombuffer(data, kind, offset=stream.tell())
        return values.reshape(shape)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise DataError(f"{what} is not the array that an archive of runs has there.") from error


def smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them, little-endian."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for name in ("u1", "<u2", "<u4") if low >= 0 else ("i1", "<i2", "<i4"):
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return values.astype(name)
    return values.astype("<i8")


def as_decimals(values: NDArray[np.float64]) -> tuple[NDArray[Any], int]:
    """Return numbers ``(n,)`` as whole numbers and how many decimals those have, if that gives every bit of them back.

    Else, as where one is missing (NaN) or -0, they come back as they are, with `AS_FLOAT`.
    """
    if np.isfinite(values).all() and not (np.signbit(values) & (values == 0.0)).any():
        for decimals in range(MOST_DECIMALS + 1):
            whole = np.rint(values * 10.0**decimals)
            if np.abs(whole).max(initial=0.0) >= 2.0**53:
                break
            if np.array_equal(whole / 10.0**decimals, values):
                return smallest(whole.astype(np.int64)), decimals
    return values.astype("<f8"), AS_FLOAT


def in_units(whole: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return whole numbers ``(n,)`` in units of the largest that divides all of them, and that unit."""
    unit = int(np.gcd.reduce(whole)) if whole.dtype.kind in "ui" and whole.size else 0
    return (smallest(whole // unit), unit) if unit > 1 else (whole, 1)


def from_decimals(stored: NDArray[Any], decimals: int, unit: int = 1) -> NDArray[np.float64]:
    """Invert `as_decimals` and `in_units`.

    Whole numbers below 2^53 are exact, and a division of such by one below 10^22 is rounded as a printed number is.
    """
    values: NDArray[np.float64] = stored.astype(np.float64)
    return values if decimals == AS_FLOAT else values * float(unit) / 10.0**decimals


def as_codes(rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return evaluations ``(n,)``, numbered in order of first appearance, with 0 for each that is new.

    Others are one more than their number, so that a run of new ones costs next to nothing.
    """
    if not rows.size:
        return smallest(rows)
    seen = np.maximum.accumulate(np.append(-1, rows[:-1]))
    return smallest(np.where(rows > seen, 0, rows + 1))


def from_codes(codes: NDArray[Any], n: int, what: str) -> NDArray[np.int64]:
    """Invert `as_codes` for ``n`` distinct evaluations.

    Raises:
        DataError: A code speaks of an evaluation that is not there yet.
    """
    found: NDArray[np.int64] = codes.astype(np.int64)
    new = found == 0
    seen = np.cumsum(new)
    if (found < 0).any() or (found > seen).any() or (len(seen) and seen[-1] > n):
        raise DataError(f"{what} speaks of evaluations that the archive does not hold.")
    return np.where(new, seen - 1, found - 1)


def distinct(plans: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return plans without repetitions, in order of first appearance."""
    known = list(plans)
    return [plan for k, plan in enumerate(known) if plan not in known[:k]]


def without(entry: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return a record without some of its keys."""
    return {key: value for key, value in entry.items() if key not in keys}


def decoded(data: bytes, kind: Any, what: str) -> Any:
    """Decode a text of an archive.

    Raises:
        DataError: It is not of that form.
    """
    try:
        return decode(data, kind, what, RESTORE)
    except Unusable as error:
        raise DataError(str(error)) from error
