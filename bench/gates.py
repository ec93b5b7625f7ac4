"""The gate of an experiment by training: do networks of one cost differ by more than the trainings of one network?

Some networks of (nearly) the same cost are trained with several seeds each. If the standard deviation between networks
is not at least that between seeds, a search sees chance before it sees architectures, and nothing should be searched.
`bench.train.gate` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.files import write_json
from smemnas.bench.metrics.components import Components, components
from smemnas.bench.schema import Natural, Strict, Text, read, signed
from smemnas.bench.values import whole
from smemnas.spaces.base import FloatArray

FILE = "gate.json"
#: Architectures drawn from a space, of which some of those near their median cost are taken.
DRAWN = 4_000
#: Training seeds of a gate are this and the next ones: no search has them.
FIRST_SEED = 1_000_000


class GateStage(Strict, frozen=True):
    """What a gate trains, and what it asks.

    Attributes:
        networks: Architectures of one cost.
        seeds: Trainings of each.
        ratio: Least standard deviation between architectures over that between seeds with which an experiment goes on.
        draw: Seed of the sample of architectures.
    """

    networks: int = 12
    seeds: int = 3
    ratio: float = 1.0
    draw: Natural = 0

    def check(self) -> None:
        """Refuse what tells nothing.

        Raises:
            UserError: Fewer than two networks or trainings of each, or too many.
        """
        whole("networks of the gate", self.networks, 2, DRAWN // 4)
        whole("trainings of each network of the gate", self.seeds, 2, 1000)
        if not 0.0 <= self.ratio < np.inf:
            raise UserError(f"the ratio of the gate must be 0 or more, got {self.ratio}.")


class GateFile(Strict, frozen=True):
    """`gate.json`."""

    stage: GateStage
    setting: dict[str, Any]
    space: Text
    dataset: Text
    cost: Text
    archs: tuple[Text, ...]
    costs: tuple[float, ...]
    errors: tuple[tuple[float | None, ...], ...]
    seconds: tuple[tuple[float, ...], ...]
    found: dict[str, Any]
    power: dict[str, Any] = msgspec.field(default_factory=dict)
    sum: str = ""


@dataclass(frozen=True)
class Gate:
    """What a gate measured.

    Attributes:
        stage: What was asked.
        setting: What decides the trainings beside architecture and seed.
        space: Name.
        dataset: Name of the training.
        cost: Name of the cost that the architectures have in common.
        archs: Names of the architectures.
        costs: Their costs ``(n,)``.
        errors: Validation errors ``(n, k)``, NaN where a training failed.
        seconds: Of each training ``(n, k)``.
    """

    stage: GateStage
    setting: dict[str, Any]
    space: str
    dataset: str
    cost: str
    archs: tuple[str, ...]
    costs: FloatArray
    errors: FloatArray
    seconds: FloatArray

    @property
    def components(self) -> Components:
        """Standard deviations between architectures and between seeds; of the networks all of whose trainings ended."""
        return components(self.errors[np.isfinite(self.errors).all(axis=1)])

    @property
    def passed(self) -> bool:
        """Whether an experiment goes on."""
        return self.components.ratio.value >= self.stage.ratio

    @property
    def typical_seconds(self) -> float:
        """Median seconds of a training."""
        return float(np.median(self.seconds))

    def line(self) -> str:
        """Return what it found in one line, for reports."""
        c, (n, k) = self.components, self.errors.shape
        return (
            f"gate: architecture sd {c.architecture:.2f}, training-seed sd {c.seed:.2f} points of validation error at "
            f"equal {self.cost} ({n} networks x {k} seeds); ratio {c.ratio.value:.2f} "
            f"(95 % interval {c.ratio.low:.2f} to {c.ratio.high:.2f}), {self.typical_seconds:.1f} s a training"
        )

    def figures(self) -> dict[str, float]:
        """Return what follows from the trainings, by name."""
        c = self.components
        figures = {"architecture_sd": c.architecture, "seed_sd": c.seed, "ratio": c.ratio.value}
        return figures | {"ratio_low": c.ratio.low, "ratio_high": c.ratio.high, "seconds": self.typical_seconds}

    def save(self, file: Path, power: Mapping[str, Any] | None = None) -> None:
        """Write it, with what follows from it.

        Args:
            file: Where; a gate's own folder, that of an experiment, or that of its trainings.
            power: What an experiment with this gate can show, first in the file of a gate by itself.

        Raises:
            RunError: The file cannot be written.
        """
        found = {key: value if np.isfinite(value) else None for key, value in self.figures().items()}
        entry = {
            **({"power": dict(power)} if power else {}),
            "stage": msgspec.to_builtins(self.stage),
            "setting": self.setting,
            "space": self.space,
            "dataset": self.dataset,
            "cost": self.cost,
            "archs": list(self.archs),
            "costs": self.costs.tolist(),
            "errors": [[v if np.isfinite(v) else None for v in row] for row in self.errors.tolist()],
            "seconds": self.seconds.tolist(),
            "found": {**found, "passed": self.passed},
        }
        write_json(file, signed(entry))


def read_gate(file: Path) -> Gate:
    """Read what `Gate.save` wrote.

    Raises:
        RunError: It is not there or corrupt.
    """
    f = read(file, GateFile, "remove it, and the gate is computed again from its trainings.")
    errors = np.array([[np.nan if v is None else v for v in row] for row in f.errors], dtype=np.float64)
    return Gate(
        *(f.stage, f.setting, f.space, f.dataset, f.cost, f.archs, np.array(f.costs), errors, np.array(f.seconds))
    )
