"""How a found network is trained in the end: named, frozen settings; every field can be overridden. No torch in here.

The names of optimizers, schedules and augmentation policies are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from smemnas.bench.errors import UserError, choose
from smemnas.bench.train.devices import PRECISIONS
from smemnas.bench.train.recipes import changed, kinds_of
from smemnas.bench.values import read_pairs

OPTIMIZERS = ("sgd", "momentum", "rmsproptf", "adamw", "nadamw", "lamb", "lion")
SCHEDULES = ("cosine", "step", "poly", "tanh", "constant")
INTERPOLATIONS = ("bilinear", "bicubic")
ERASING_MODES = ("const", "rand", "pixel")


@dataclass(frozen=True)
class RetrainRecipe:
    """A final training.

    Attributes:
        name: Preset that it comes from.
        epochs: Passes over the training images.
        batch: Images per step, over all processes.
        lr: Peak learning rate.
        lr_per: Images per step that `lr` is meant for, the rate grows in proportion; 0 takes `lr` as it is.
        optimizer: Name of timm: "sgd" has Nesterov's momentum, "momentum" the classical one.
        momentum: Of SGD and RMSProp.
        epsilon: Of optimizers that divide; 0 takes their default.
        weight_decay: For convolutions and linear layers; not for norms and biases.
        schedule: Name of timm, stepped after every update.
        decay_epochs: Epochs between two drops of the schedule "step".
        decay_rate: Factor of such a drop; power of "poly".
        min_lr: Where "cosine", "poly" and "tanh" end.
        warmup: Epochs in which the rate rises linearly.
        warmup_lr: Where it rises from.
        clip: Largest norm of the gradient; 0 does not clip.
        crop: Pixels of black border from which a window of the original size is cropped at random.
        rrc: Smallest share of the area that a random resized crop takes (which then replaces `crop`); 0 is none.
        flip: Mirror every second image.
        color_jitter: Strength of random brightness, contrast and saturation, without `autoaugment` only.
        autoaugment: "" for none, "cifar10" for AutoAugment's CIFAR-10 policy, else a policy of timm such as
            "rand-m9-mstd0.5" (RandAugment) or "original" (AutoAugment for ImageNet).
        cutout: Side of a square of the network's input that is set to the mean; 0 is none.
        erasing: Probability that a random rectangle is erased.
        erasing_mode: What it is filled with: "const" zero, "rand" one random colour, "pixel" random pixels.
        mixup: Alpha of Mixup; 0 is none.
        cutmix: Alpha of CutMix; with both, each step takes one of them.
        dropout: Dropped share of the classifier's input.
        drop_path: Probability that the last residual block is skipped; earlier ones in proportion to their depth.
        smoothing: Label smoothing.
        distill: Weight of the teacher's soft labels against the true ones' weight of 1; 0 needs no teacher.
        ema: Decay of the moving average of the weights, which is then what is judged and kept; 0 is none.
        ema_warmup: Let the decay rise from 0, for short trainings.
        precision: "float32", or autocast to "bf16" or "fp16" (with loss scaling, CUDA only).
        crop_pct: Share of the resized image's side that is seen in evaluation.
        interpolation: How stored images are resized; when they are stored at a side, that is bilinear.
        channels_last: Memory layout.
        compile: Compile the network with torch.compile.
        deterministic: Only operations whose result never varies; on a GPU some are slower.
    """

    name: str
    epochs: int
    batch: int
    lr: float
    lr_per: int = 0
    optimizer: str = "sgd"
    momentum: float = 0.9
    epsilon: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "cosine"
    decay_epochs: float = 2.4
    decay_rate: float = 0.97
    min_lr: float = 0.0
    warmup: float = 0.0
    warmup_lr: float = 0.0
    clip: float = 0.0
    crop: int = 0
    rrc: float = 0.0
    flip: bool = True
    color_jitter: float = 0.0
    autoaugment: str = ""
    cutout: int = 0
    erasing: float = 0.0
    erasing_mode: str = "const"
    mixup: float = 0.0
    cutmix: float = 0.0
    dropout: float = 0.0
    drop_path: float = 0.0
    smoothing: float = 0.0
    distill: float = 0.0
    ema: float = 0.0
    ema_warmup: bool = False
    precision: str = "float32"
    crop_pct: float = 1.0
    interpolation: str = "bilinear"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True

    def __post_init__(self) -> None:
        for field, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("interpolation", INTERPOLATIONS),
            ("erasing_mode", ERASING_MODES),
        ):
            choose(field, getattr(self, field), dict.fromkeys(choices))
        for field, least in (("epochs", 1), ("batch", 2), ("lr_per", 0), ("crop", 0), ("cutout", 0)):
            if getattr(self, field) < least:
                raise UserError(f"{field} must be at least {least}, got {getattr(self, field)}.")
        for field in ("lr", "decay_epochs", "decay_rate", "crop_pct"):
            if not 0 < getattr(self, field) < math.inf:
                raise UserError(f"{field} must be positive, got {getattr(self, field)}.")
        for field in (
            *("epsilon", "weight_decay", "min_lr", "warmup", "warmup_lr", "clip", "color_jitter"),
            *("mixup", "cutmix", "distill"),
        ):
            if not 0 <= getattr(self, field) < math.inf:
                raise UserError(f"{field} must be 0 or more, got {getattr(self, field)}.")
        for field in ("momentum", "rrc", "erasing", "dropout", "drop_path", "smoothing", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise UserError(f"{field} must lie in [0, 1), got {getattr(self, field)}.")
        if self.epsilon and self.optimizer in ("sgd", "momentum", "lion"):
            raise UserError(f"{self.optimizer} takes no epsilon, got {self.epsilon}.")
        if self.crop_pct > 1:
            raise UserError(f"crop_pct is a share of at most 1, got {self.crop_pct}.")

    @property
    def peak_lr(self) -> float:
        """Learning rate at the batch size of the recipe."""
        return self.lr * self.batch / self.lr_per if self.lr_per else self.lr

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def overridden(self, items: Sequence[str]) -> RetrainRecipe:
        """Return the recipe with some fields changed.

        Args:
            items: KEY=VALUE, each a field.

        Raises:
            UserError: No such field, or a value of the wrong kind.
        """
        return changed(self, read_pairs("--set", items, kinds_of(RetrainRecipe)))


#: cifar and imagenet: Lu et al., NSGANetV2, ECCV 2020 (MSuNAS), final training. Not given there and chosen: the
#: warm-up, epsilon and filling of erased rectangles of imagenet (timm's recipe for MobileNetV3), equal weights of
#: labels and teacher, and the crop of cifar. small: for ten thousand small images on a CPU.
RETRAIN_RECIPES = {
    recipe.name: recipe
    for recipe in (
        RetrainRecipe(
            "cifar",
            epochs=150,
            batch=96,
            lr=0.01,
            optimizer="momentum",
            weight_decay=4e-5,
            clip=5.0,
            crop=4,
            autoaugment="cifar10",
            cutout=16,
            dropout=0.2,
            drop_path=0.2,
            interpolation="bicubic",
        ),
        RetrainRecipe(
            "imagenet",
            epochs=450,
            batch=256,
            lr=0.006,
            lr_per=256,
            optimizer="rmsproptf",
            epsilon=1e-3,
            weight_decay=1e-5,
            schedule="step",
            decay_epochs=2.4,
            decay_rate=0.97,
            warmup=3.0,
            warmup_lr=1e-6,
            rrc=0.08,
            autoaugment="rand-m9-mstd0.5",
            erasing=0.2,
            erasing_mode="pixel",
            dropout=0.2,
            drop_path=0.2,
            distill=1.0,
            ema=0.9999,
            precision="bf16",
            crop_pct=0.875,
            interpolation="bicubic",
            deterministic=False,
        ),
        RetrainRecipe(
            "small",
            epochs=30,
            batch=128,
            lr=0.05,
            weight_decay=3e-5,
            warmup=1.0,
            crop=4,
            smoothing=0.1,
        ),
    )
}


def find_retrain_recipe(name: str) -> RetrainRecipe:
    """Return a preset by name.

    Raises:
        UserError: Unknown name; near misses are suggested.
    """
    return choose("preset", name, RETRAIN_RECIPES)
