"""A gate measured: as the first stage of a plan, or by itself, with what an experiment in its space could show."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smemnas.bench.errors import RunError
from smemnas.bench.gates import FILE, Gate, GateStage, read_gate
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.power import chance_to_tell_apart
from smemnas.bench.staged.plan import ARMS
from smemnas.bench.staged.power import Foreseen, foresee
from smemnas.bench.workers.backends import Place, workers_for

if TYPE_CHECKING:
    from smemnas.bench.train.benchmark import TrainedBenchmark

#: What a gate compares.
ERROR = "val_error"


def trained_in(folder: Path, space: str, dataset: str, cost: str, place: Place) -> TrainedBenchmark:
    """Open what trains the networks of a space, and keeps their trainings in a folder.

    Args:
        folder: Of the trainings.
        space: Registered space.
        dataset: Name of the training.
        cost: The objective beside the error.
        place: How many processes of this machine train side by side.

    Raises:
        UserError: The space cannot be trained so, or the cost is unknown.
        DataError: The images are not there.
    """
    from smemnas.bench.train.options import open_trained

    jobs = workers_for(place.workers, os.cpu_count() or 1)
    benchmark = open_trained(space, dataset, (ERROR, cost), jobs=jobs)
    benchmark.use_folder(folder)
    return benchmark


def measured_gate(
    benchmark: TrainedBenchmark, stage: GateStage, cost: str, progress: Callable[[int, int], None] | None = None
) -> Gate:
    """Train what is missing of a gate; leave it with the trainings, for every report of such.

    The larger one stays there, should another gate of the same setting have been measured.

    Args:
        benchmark: See `trained_in`, without a training seed.
        stage: What is trained.
        cost: What the networks have in common.
        progress: Called with (trainings done, all trainings).

    Raises:
        UserError: The stage makes no sense, or the space has too few networks of one cost.
        RunError: The folder cannot be written.
    """
    from smemnas.bench.train.gate import run_gate

    gate = run_gate(benchmark, stage, cost, progress)
    file = benchmark.folder / FILE
    if _trainings(file) <= gate.errors.size:
        gate.save(file)
    return gate


def _trainings(file: Path) -> int:
    """Return how many trainings a gate that was written has; 0 for none or one that cannot be read."""
    try:
        return int(read_gate(file).errors.size) if file.exists() else 0
    except RunError:
        return 0


class GatePower(NamedTuple):
    """What a number of seeds can show in a space of some ratio.

    Attributes:
        seeds: How many.
        told: Chance that so many trainings of each tell two random networks of one cost apart; at the ratio, and at the
            ends of its interval.
        foreseen: Of a search against chance, simulated; None without a table of the space or a ratio above zero.
    """

    seeds: int
    told: Interval
    foreseen: Foreseen | None

    def lines(self) -> list[str]:
        """Return it line by line."""
        first = (
            f"power: {self.seeds} trainings each tell two networks of one cost apart in {_percent(self.told.value)} of "
            f"pairs ({_percent(self.told.low)} to {_percent(self.told.high)} at the ends of the ratio's interval)"
        )
        none = "power of a search: not simulated, which takes a table of the space in the package and a ratio above 0"
        return [first, none if self.foreseen is None else self.foreseen.line()]

    def entry(self) -> dict[str, Any]:
        """Return it by name, numbers that are none as None."""
        entry: dict[str, Any] = {"seeds": self.seeds, "told_apart": self.told.value}
        entry |= {"told_apart_low": self.told.low, "told_apart_high": self.told.high}
        f = self.foreseen
        found = (None,) * 6 if f is None else (f.table, f.noise, f.d.value, f.d.low, f.d.high, f.power)
        entry |= zip(("table", "noise", "d", "d_low", "d_high", "power"), found, strict=True)
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entry.items()}


def power_of(gate: Gate, *, seeds: int, budget: int, simulated: int = 20) -> GatePower:
    """Return what an experiment with a gate could show.

    Args:
        gate: Measured.
        seeds: Of the experiment, and trainings of each of two networks.
        budget: Trainings of a search.
        simulated: Seeds to simulate.
    """
    ratio = gate.components.ratio
    told = Interval(*(chance_to_tell_apart(value, seeds) for value in ratio))
    found = foresee(gate.space, ratio.value, ARMS, budget=budget, seeds=seeds, simulated=simulated)
    return GatePower(seeds, told, found[0] if found else None)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"
