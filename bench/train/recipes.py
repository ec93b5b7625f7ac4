"""How a network is trained: named, frozen settings; every field can be overridden by name."""

from __future__ import annotations

import hashlib
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from smemnas.bench.errors import UserError, choose
from smemnas.bench.train.devices import PRECISIONS
from smemnas.bench.values import of_kind

OPTIMIZERS = ("sgd", "rmsprop_tf")
SCHEDULES = ("cosine", "constant")
T = TypeVar("T", bound=Any)


@dataclass(frozen=True)
class TrainingRecipe:
    """A training.

    Attributes:
        name: Name of the recipe it comes from.
        epochs: Passes over the training images.
        batch: Images per step.
        lr: Peak learning rate.
        optimizer: "sgd" with Nesterov momentum, or "rmsprop_tf" (RMSProp as TensorFlow computes it: decay .9).
        momentum: Of either.
        epsilon: Of RMSProp.
        schedule: "cosine" to zero, step by step, or "constant".
        warmup: Epochs in which the rate rises linearly.
        weight_decay: L2 penalty on all parameters.
        bn_momentum: Share of the newest batch in the running statistics of batch norm.
        flip: Mirror images at random.
        crop: Pixels of black border from which a window of the original size is cropped at random.
        cutout: Side of a square at a random place that is set to the mean; 0 is none.
        autoaugment: torchvision's AutoAugment with its CIFAR-10 policy, image by image (slow).
        label_smoothing: Share of the target spread over all classes.
        precision: "float32", or autocast to "bf16" or "fp16" (the latter with loss scaling, on CUDA only).
        channels_last: Memory layout of images and weights.
        compile: Compile the network with torch.compile (worth it for long trainings only).
        deterministic: Use deterministic algorithms only, so that the same seed gives the same weights.
        evaluate_every: Epochs from one reading of the validation error, for the curve, to the next; the last is always
            read, so this decides no result.
        channels: Width of the first stage (nb201), of the narrowest choice (nats_sss) or of the stem (macro); None is
            the published one.
        cells: Cells per stage there; None is the published number.
    """

    name: str
    epochs: int
    batch: int
    lr: float
    optimizer: str = "sgd"
    momentum: float = 0.9
    epsilon: float = 1.0
    schedule: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    bn_momentum: float = 0.1
    flip: bool = False
    crop: int = 0
    cutout: int = 0
    autoaugment: bool = False
    label_smoothing: float = 0.0
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = True
    evaluate_every: int = 1
    channels: int | None = None
    cells: int | None = None

    def __post_init__(self) -> None:
        for field, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            choose(field, getattr(self, field), dict.fromkeys(choices))
        for field in ("epochs", "batch", "evaluate_every"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} must be at least 1, got {getattr(self, field)}.")
        for field in ("warmup", "weight_decay", "crop", "cutout", "lr", "epsilon"):
            if not 0 <= getattr(self, field) < math.inf:
                raise UserError(f"{field} must be 0 or more, got {getattr(self, field)}.")
        for field in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, field) < 1:
                raise UserError(f"{field} must lie in [0, 1), got {getattr(self, field)}.")
        if not 0 < self.bn_momentum <= 1:
            raise UserError(f"bn_momentum must lie in (0, 1], got {self.bn_momentum}.")

    def lr_at(self, epoch: float) -> float:
        """Return the learning rate after so many (fractions of) epochs."""
        if epoch < self.warmup:
            return self.lr * epoch / self.warmup
        if self.schedule == "constant":
            return self.lr
        return 0.5 * self.lr * (1 + math.cos(math.pi * (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-12)))

    @property
    def fingerprint(self) -> str:
        """Checksum of all settings but the name."""
        settings = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def overridden(self, changes: Mapping[str, Any]) -> TrainingRecipe:
        """Return the recipe with some fields changed.

        Raises:
            UserError: No such field, or a value of the wrong kind.
        """
        return changed(self, changes)


def changed(recipe: T, changes: Mapping[str, Any]) -> T:
    """Return a recipe of any kind, a frozen dataclass with a `name`, with some fields changed.

    Raises:
        UserError: No such field, or a value of the wrong kind.
    """
    kinds = kinds_of(type(recipe))
    for key in changes:
        choose("field of a recipe", key, kinds)
    return replace(recipe, **{key: of_kind(key, value, kinds[key]) for key, value in changes.items()})


def kinds_of(recipe: type) -> dict[str, Any]:
    """Return the fields of a kind of recipe that can be changed, with their types."""
    return {key: kind for key, kind in typing.get_type_hints(recipe).items() if key != "name"}


_NB201 = {"batch": 256, "lr": 0.1, "weight_decay": 5e-4, "flip": True, "crop": 4}
#: nb201-*: Dong and Yang, ICLR 2020, table 1 (200 epochs), and its short form of 12 epochs; image batches in the
#: order flip, crop. nats-90: Dong et al., TPAMI 2021, the same with 90 epochs.
#: nb101-108: Ying et al., ICML 2019, section S3 and the published configuration (learning rate .1
#: on each of two cores; batch norm keeps .997 of the old statistics).
#: nats-cpu: ours, for nats_sss on 7,000 images of 16 pixels in half a minute of one core; nats-cpu-half: the same on 12
#: pixels in half of that (docs/training.md).
RECIPES = {
    recipe.name: recipe
    for recipe in (
        TrainingRecipe("nb201-200", epochs=200, **_NB201),  # type: ignore[arg-type]
        TrainingRecipe("nb201-12", epochs=12, **_NB201),  # type: ignore[arg-type]
        TrainingRecipe("nats-90", epochs=90, **_NB201),  # type: ignore[arg-type]
        TrainingRecipe(
            "nb101-108",
            epochs=108,
            batch=256,
            lr=0.2,
            optimizer="rmsprop_tf",
            weight_decay=1e-4,
            bn_momentum=0.003,
            flip=True,
            crop=4,
        ),
        TrainingRecipe("tiny", epochs=6, batch=64, lr=0.03, weight_decay=5e-4, channels=4, cells=1),
        TrainingRecipe("nats-cpu", epochs=3, batch=64, lr=0.1, weight_decay=5e-4, flip=True, crop=2, channels=2),
        TrainingRecipe(
            "nats-cpu-half",
            epochs=3,
            batch=64,
            lr=0.1,
            weight_decay=5e-4,
            flip=True,
            crop=2,
            channels=2,
            channels_last=True,
            evaluate_every=3,
        ),
        TrainingRecipe("small", epochs=8, batch=128, lr=0.1, weight_decay=5e-4, flip=True, crop=4, channels=8, cells=1),
    )
}


def find_recipe(name: str) -> TrainingRecipe:
    """Return a recipe by name.

    Raises:
        UserError: Unknown name; near misses are suggested.
    """
    return choose("recipe", name, RECIPES)
