"""How large everything is: on a GPU, and at toy size."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Sizes of all checks.

    Attributes:
        toy: Whether it is that of a CPU.
        side: Of images.
        channels: Of nb201 and nats_sss.
        cells: Of nb201.
        batch: Images of a step.
        steps: Of a timed epoch.
        rounds: In which ours and the bare loop take turns.
        groups: Seeds of one network that are trained at once.
        slack: How many times as long as a bare step ours may take.
        memory: Width, side, stem, images, and MiB an image as docs/training.md says.
        width: Of the supernet.
        epochs: Of the trainings that are killed.
        images: Of each class that these are trained on.
        plan: Of the experiment: training, networks and seeds of the gate, budget, seeds.
        seconds: All that may be taken.
    """

    toy: bool
    side: int
    channels: int
    cells: int
    batch: int
    steps: int
    rounds: int
    groups: tuple[int, ...]
    slack: float
    memory: tuple[float, int, str, int, float]
    width: float
    epochs: int
    images: int
    plan: tuple[str, int, int, int, str]
    seconds: float


#: Seconds that the experiment gets at least on a CPU, and until a killed training must have finished an epoch.
LEAST, PATIENCE = 150.0, 300.0
#: A toy's few short rounds are no place for the bound itself, which tests/perf holds on a CPU.
TOY = Size(
    *(True, 8, 2, 1, 64, 6, 5, (3,), 1.25, (0.35, 32, "small", 8, 3.2), 0.1, 3, 20),
    ("tiny+batch=400+channels=1+epochs=1", 2, 2, 6, "0-1"),
    seconds=240.0,
)
FULL = Size(
    *(False, 32, 16, 5, 256, 60, 7, (3, 8), 1.05, (1.0, 224, "imagenet", 64, 87.0), 0.35, 5, 400),
    ("small+channels=8+channels_last=True+epochs=12+precision=bf16+size=32", 12, 3, 40, "0-9"),
    seconds=440.0,
)
