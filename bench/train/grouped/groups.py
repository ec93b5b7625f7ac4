"""The trainings of a benchmark that asks for several seeds of a network at once: their folders, locks and results.

A member's result lies where its training alone would leave it, and says with which seeds it was trained. A benchmark
with groups keeps its trainings apart from one without (`TrainedBenchmark.provenance`): they differ by rounding.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smemnas.bench.train.benchmark import Setting, TrainedBenchmark
from smemnas.bench.train.devices import claimed
from smemnas.bench.train.results import RESULT, locked, write_result
from smemnas.spaces.base import IntArray

if TYPE_CHECKING:
    from smemnas.bench.train.loop import TrainingOutcome


def train_together(benchmark: TrainedBenchmark, X: IntArray, seeds: Sequence[int]) -> None:
    """Train what is missing of networks ``(n, n_var)`` with several seeds, those of a network as one grouped network.

    `TrainedBenchmark.evaluate` reads the results.

    Raises:
        UserError: A network cannot be grouped, or a device does not exist.
        RunError: Out of memory, or the folder cannot be written.
    """
    asked = [(x, tuple(seeds), tuple(benchmark.place(x, seed) for seed in seeds)) for x in X]
    missing = [call for call in asked if not all((place / RESULT).exists() for place in call[2])]
    benchmark.side_by_side(run_group, missing)


def run_group(
    setting: Setting,
    x: IntArray,
    seeds: tuple[int, ...],
    places: tuple[Path, ...],
    devices: Sequence[str],
    parent: int | None,
) -> None:
    """Train one architecture with several seeds and write the results, unless another process has.

    A group that was killed goes on as it was, also where some of its results are there already. Where one of its
    losses is not finite, each member is trained by itself.

    Args:
        setting: What decides the trainings.
        x: Genotype ``(n_var,)``.
        seeds: Roots of their randomness.
        places: Their folders.
        devices: Where they may run; the first one that is free is taken.
        parent: Process that wants the results, None for this one.

    Raises:
        UserError: The network cannot be grouped, or a device does not exist.
        RunError: Memory or disk is full.
    """
    with contextlib.ExitStack() as held:
        for place in sorted(places):  # in one order in all processes, so that none waits for another in a circle
            held.enter_context(locked(place))
        members = _to_train(dict(zip(seeds, places, strict=True)))
        if not members:
            return
        with claimed(devices) as device:
            found = _trained(setting, x, members, device, parent)
        arch = setting.space.to_str(x)
        for (seed, place), (outcome, together) in zip(members.items(), found, strict=True):
            if not (place / RESULT).exists():
                write_result(place, arch, seed, outcome, together)
        for some in (members, *({seed: place} for seed, place in members.items())):
            shutil.rmtree(_folder(some), ignore_errors=True)


def _to_train(members: dict[int, Path]) -> dict[int, Path]:
    """Return the places, by seed, of those that have no result; of all where the group was begun and not ended."""
    from smemnas.bench.train.loop import CHECKPOINT

    missing = {seed: place for seed, place in members.items() if not (place / RESULT).exists()}
    if not missing or not (_folder(members) / CHECKPOINT).exists():
        return missing
    there = [json.loads((place / RESULT).read_bytes()) for seed, place in members.items() if seed not in missing]
    return members if all(result.get("grouped") == list(members) for result in there) else missing


def _trained(
    setting: Setting, x: IntArray, members: dict[int, Path], device: str, parent: int | None
) -> list[tuple[TrainingOutcome, list[int]]]:
    """Train seeds as a group, or each by itself where a loss is not finite; return what each gave with which seeds."""
    from smemnas.bench.train.grouped.loop import train_group

    training, validation = setting.images("train"), setting.images("valid")
    build = functools.partial(setting.space.build, x, training.n_classes)

    def train(some: dict[int, Path]) -> list[TrainingOutcome] | None:
        given, places = (build, training, validation, setting.recipe), tuple(some.values())
        return train_group(*given, seeds=tuple(some), folder=_folder(some), places=places, device=device, parent=parent)

    together = train(members)
    if together is not None:
        return [(outcome, list(members)) for outcome in together]
    return [(outcome, [seed]) for seed, place in members.items() for outcome in train({seed: place}) or ()]


def _folder(members: dict[int, Path]) -> Path:
    """Return the folder in which a group of seeds leaves what it needs to go on."""
    first = next(iter(members.values()))
    name = hashlib.sha256(repr(sorted(members)).encode()).hexdigest()[:8]
    return first.parent / f"{first.name.partition('-')[0]}-seeds-{name}"
