"""Runs in several archives, so that none of them is larger than wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from smemnas.bench.archive.write import Packed, pack
from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.runs.source import RunSource


def in_parts(runs: Sequence[RunSource], plans: Sequence[Mapping[str, Any]], largest: int) -> dict[str, Packed]:
    """Return the archives of some runs by name: one for each problem, where that is too large one for some seeds of it.

    Each holds all plans, and no evaluation is in two of them, so that together they say what one archive would.

    Args:
        runs: Where they are kept.
        plans: Of the studies that they are of.
        largest: Bytes that none of them is over.

    Raises:
        UserError: The runs of a single seed take more.
    """
    problems: dict[PurePath, dict[int, list[RunSource]]] = {}
    unknown: list[RunSource] = []
    for run in runs:
        try:
            job, _ = run.job()
        except (RunError, DataError):
            unknown.append(run)
        else:
            place = PurePath(*job.folder_in_study.parts[:3])
            problems.setdefault(place, {}).setdefault(job.seed, []).append(run)
    found: dict[str, Packed] = {}
    for k, place in enumerate(sorted(problems)):
        if k == 0:  # what is left out is named once
            problems[place][min(problems[place])] += unknown
        alone = sum(other.parts[:2] == place.parts[:2] for other in problems) == 1
        name = "-".join(place.parts[:2] if alone else place.parts)
        blocks = _blocks(problems[place], plans, largest, str(place))
        numbered = [f"-{k + 1}" for k in range(len(blocks))] if len(blocks) > 1 else [""]
        found |= {f"{name}{number}": block for number, block in zip(numbered, blocks, strict=True)}
    return found


def _blocks(
    by_seed: Mapping[int, Sequence[RunSource]], plans: Sequence[Mapping[str, Any]], largest: int, what: str
) -> list[Packed]:
    """Return the fewest archives of about as many seeds each of which none is too large."""
    seeds, n = sorted(by_seed), 1
    while True:
        ends = [round(len(seeds) * k / n) for k in range(n + 1)]
        blocks = [
            pack([run for seed in seeds[start:end] for run in by_seed[seed]], plans) for start, end in pairwise(ends)
        ]
        most = max(len(block.data) for block in blocks)
        if most <= largest:
            return blocks
        if n == len(seeds):
            raise UserError(
                f"the runs of one seed on {what} take {most:,} bytes, more than the {largest:,} of a part: allow more."
            )
        n = min(max(n + 1, math.ceil(sum(len(block.data) for block in blocks) / largest)), len(seeds))
