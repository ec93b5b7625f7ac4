"""The file of a latency table: what `latency measure` writes and everything else reads; docs/latency.md describes it.

A table holds the time of every block of a space on one machine, a factor for each group of blocks that whole networks
taught, and how its predictions compare with whole networks.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from smemnas.bench.errors import DataError
from smemnas.bench.provenance import processor
from smemnas.bench.schema import Natural, Strict, Text, short

FORMAT, VERSION = "smemnas-latency", 1
ADVICE = "measure it again with `latency measure`"


class LatencyMachine(Strict, frozen=True):
    """Where and how a table was measured; times are those of one call with `batch` images."""

    processor: str
    system: str
    runtime: Text
    runtime_version: str
    threads: Natural
    batch: Natural

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads != 1)}" if self.threads else ""
        images = f"batch {self.batch}"
        return f"{self.processor or 'an unnamed processor'}, {self.runtime} {self.runtime_version}{threads}, {images}"


class LatencyBlock(Strict, frozen=True):
    """Time of a block in ms, how far half of its rounds were apart, and how many rounds there were."""

    ms: float
    spread: float
    rounds: Natural


class LatencyNetwork(Strict, frozen=True):
    """A whole network: what was measured, and what the table says where it was not fitted to it."""

    arch: str
    ms: float
    spread: float
    predicted: float


class LatencyGroup(Strict, frozen=True):
    """A group of whole networks that the table was compared with: Kendall's tau, mean error in %, the networks.

    `slow` is how many times as slow as while the table was measured the machine was; their times are without it.
    """

    about: str
    tau: float
    error: float
    networks: tuple[LatencyNetwork, ...]
    slow: float = 1.0


class LatencyFile(Strict, frozen=True):
    """All of a table, see docs/latency.md."""

    format: str
    version: int
    sha256: str
    space: dict[str, Any]
    machine: LatencyMachine
    protocol: dict[str, Any]
    blocks: dict[str, LatencyBlock]
    groups: dict[str, str]
    scale: dict[str, float]
    overhead: float
    fitted: tuple[LatencyNetwork, ...]
    check: dict[str, LatencyGroup] = msgspec.field(default_factory=dict)

    def value(self, key: str) -> float:
        """Return what a block adds to a network, in ms."""
        return self.blocks[key].ms * self.scale[self.groups[key]]

    @property
    def elsewhere(self) -> bool:
        """Whether this machine has another processor than the one that was measured."""
        return self.machine.processor != processor()


def content_digest(content: Mapping[str, Any]) -> str:
    """Return the checksum of a table's content, all but `sha256` itself."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_latency(path: Path) -> LatencyFile:
    """Read a table and check it.

    Raises:
        DataError: It is not there, is no such table, was edited, or holds times that are none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the latency table {path} cannot be read ({error.strerror or error}).") from error
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f"{path} is no latency table: `latency measure` writes one.")
        if content.get("version") != VERSION:
            raise DataError(f"{path} is a latency table of version {content.get('version')!r}, this reads {VERSION}.")
        numbers = (_numbers(content.get(key), key) for key in ("blocks", "scale", "overhead", "fitted", "check"))
        for where, value in (pair for part in numbers for pair in part):
            if not (math.isfinite(value) and (value >= 0.0 or where.endswith("tau"))):
                raise DataError(f"the latency table {path} is corrupt: {where} is {value!r}, no time: {ADVICE}.")
        table = msgspec.convert(content, LatencyFile)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise DataError(f"the latency table {path} is corrupt ({short(error)}): {ADVICE}.") from error
    if content_digest(content) != table.sha256:
        raise DataError(f"the latency table {path} was edited or cut (it does not match its checksum): {ADVICE}.")
    for key in table.blocks:
        if table.groups.get(key) not in table.scale:
            raise DataError(f"the latency table {path} is corrupt: block {key!r} belongs to no group: {ADVICE}.")
    return table


def _numbers(value: Any, where: str) -> list[tuple[str, float]]:
    """Return all numbers in a JSON value with the place of each."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [(where, float(value))]
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, part in parts for found in _numbers(part, f"{where}, {key}")]
