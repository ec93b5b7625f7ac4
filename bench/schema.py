"""The shape of every JSON file that the suite writes and reads back, and its checksums.

Files are decoded strictly: a missing or unknown key, a wrong type, a number out of range, a null, nesting without
end are one line that names the file, the line and what was expected. What is read for a number carries a checksum,
`sum`: the CRC-32 of the text before it in a line of a log, of all other entries in a file. Files of earlier versions
have none and are read all the same.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from smemnas.bench.errors import Unusable

T = TypeVar("T")
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: More evaluations than any run can have; what is beyond is a broken file.
Budget = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Names = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
_KEY = '"sum": "'
#: Length of `, "sum": "01234567"}`, with which a line that has a checksum ends.
_TAIL = len(f', {_KEY}01234567"}}')


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record whose keys are all known."""


class LogRow(Strict, frozen=True, gc=False):
    """A line of `evals.jsonl`, see `bench.runs.history`."""

    i: Natural
    arch: str
    x: tuple[Natural, ...]
    F: tuple[float | None, ...]
    status: Literal["ok", "failed"]
    error: str
    seconds: Seconds | None = None
    sum: str = ""


class TimeRow(Strict, frozen=True, gc=False):
    """A line of `timing.jsonl`: seconds of one ask, its evaluations and its tell."""

    first: Natural
    n: Natural
    ask: Seconds
    evaluate: Seconds
    tell: Seconds
    sum: str = ""


class RecommendedRow(Strict, frozen=True, gc=False):
    """A line of `recommended.jsonl`: what the method would report after so many evaluations, see `bench.runs.reported`.

    Rows of the log and what the method believes of their objectives.
    """

    n: Natural
    rows: tuple[Natural, ...]
    F: tuple[tuple[float, ...], ...]
    sum: str = ""


class PluginEntry(Strict, frozen=True):
    """A plug-in file that a job needs: its name, the digest of its content, and where it was."""

    file: Text
    sha256: str
    path: str = ""


class JobEntry(Strict, frozen=True):
    """`Job.to_dict`. Plug-ins are paths in folders of earlier versions."""

    method: Text
    space: Text
    dataset: Text
    objectives: Names
    budget: Budget
    seed: Natural
    params: dict[str, Any]
    plugins: tuple[PluginEntry | str, ...] = ()
    constraints: tuple[Text, ...] = ()
    listed: bool = False
    reference: str = ""
    budget_time: Seconds = 0.0
    start: str = ""


class JobFile(Strict, frozen=True):
    """`job.json`: the job, what identifies its data, and where it was made."""

    job: JobEntry
    data: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    sum: str = ""


class StatusFile(msgspec.Struct, frozen=True):
    """`status.json`: what a study says about a run."""

    status: str
    rows: Natural | None = None
    error: str = ""
    note: str = ""


class SummaryFile(msgspec.Struct, frozen=True):
    """What is read again of `summary.json`."""

    evaluations: Natural


class VariantEntry(Strict, frozen=True):
    """A variant of a plan."""

    name: Text
    method: Text
    params: dict[str, Any]


class CaseEntry(Strict, frozen=True):
    """A case of a plan."""

    space: Text
    dataset: Text
    objectives: Names
    constraints: tuple[Text, ...] = ()
    listed: bool = False
    reference: str = ""
    start: str = ""


class ContrastEntry(Strict, frozen=True):
    """A contrast of a plan."""

    name: str
    first: Names
    second: Names
    family: str


class OriginEntry(Strict, frozen=True):
    """The file that a plan was read from, and the checksum of what that said."""

    name: str
    sha256: str


class PlanEntry(Strict, frozen=True):
    """`Plan.to_dict`, an entry of `plans.json`."""

    variants: Annotated[tuple[VariantEntry, ...], msgspec.Meta(min_length=1)]
    cases: Annotated[tuple[CaseEntry, ...], msgspec.Meta(min_length=1)]
    seeds: Annotated[tuple[Natural, ...], msgspec.Meta(min_length=1)]
    budget: Budget
    baseline: str
    at: Annotated[tuple[Budget, ...], msgspec.Meta(min_length=1)]
    target: float | None
    contrasts: tuple[ContrastEntry, ...]
    champion: str = ""
    primary: str = ""
    seeds_of: dict[str, tuple[Natural, ...]] = {}
    budget_time: Seconds = 0.0
    of: OriginEntry | None = None


class RankRow(Strict, frozen=True, gc=False):
    """A line of `ranking.jsonl`: what a surrogate scored in one trial and pool."""

    key: dict[str, Any]
    status: Literal["ok", "failed"]
    reason: str = ""
    code: str | None = None
    n_ranked: Natural | None = None
    twins: float | None = None
    scores: dict[str, dict[str, float | None]] = {}
    time: dict[str, float | None] = {}
    sum: str = ""


def decode(data: bytes, kind: type[T], what: str, advice: str = "") -> T:
    """Decode a JSON text.

    Args:
        data: The text.
        kind: A type that msgspec knows, such as one of this module.
        what: Name of the file, for the message, with the line where it has many.
        advice: What to do, for the message.

    Raises:
        Unusable: It is no such text.
    """
    try:
        content: T = _decoder(kind).decode(data)
    except RecursionError as error:
        raise Unusable(f"{what} is corrupt (nested too deeply)", advice) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unusable(f"{what} is corrupt ({short(error)})", advice) from error
    return content


def read(file: Path, kind: type[T], advice: str = "") -> T:
    """Read a JSON file, see `decode`; where its schema has a checksum, that is compared.

    Raises:
        Unusable: It is not there, cannot be read, or is not of this shape.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Unusable(f"{file} cannot be read ({error.strerror or error})", advice) from error
    content = decode(data, kind, str(file), advice)
    if getattr(content, "sum", ""):
        plain = decode(data, dict, str(file), advice)
        if plain.pop("sum") != checksum(plain):
            raise Unusable(f"{file} is corrupt (it does not match its checksum)", advice)
    return content


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, made once."""
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    return _decoders[kind]


def short(error: object) -> str:
    """Return what a decoder says, on one line and not at length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def signed_line(line: str) -> str:
    """Return a line of JSON, an object that is not empty, with its checksum as the last entry."""
    body = line[:-1]
    return f'{body}, {_KEY}{zlib.crc32(body.encode()):08x}"}}'


def is_signed(line: bytes) -> bool:
    """Whether a line ends with the checksum of the text before it."""
    return line[-_TAIL:] == b', "sum": "%08x"}' % zlib.crc32(line[:-_TAIL])


def signed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file with its checksum as the last entry."""
    plain = json.loads(json.dumps(value, allow_nan=False))
    return {**plain, "sum": checksum(plain)}


def checksum(value: Mapping[str, Any]) -> str:
    """Return the checksum of the content of a file, whatever the order of its entries."""
    return f"{zlib.crc32(json.dumps(value, sort_keys=True, separators=(',', ':')).encode()):08x}"
