"""What a supernet training consists of: the plan, its phases and its learning rate; no torch in here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from smemnas.bench.errors import DataError, UserError, choose
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.bench.values import LARGEST_SIDE, whole
from smemnas.spaces.mnv3_choices import CHOICES, Choices
from smemnas.spaces.mnv3_costs import STEMS

#: What each phase may choose from. Progressive shrinking (Cai et al., Once-for-All, ICLR 2020, section 3.3) opens
#: kernels, then depths, then expansions, the smaller ones last.
PHASES: dict[str, Choices] = {
    "largest": Choices((4,), (7,), (6,)),
    "kernel": Choices(depths=(4,), expansions=(6,)),
    "depth-3": Choices(depths=(3, 4), expansions=(6,)),
    "depth-2": Choices(expansions=(6,)),
    "expansion-4": Choices(expansions=(4, 6)),
    "all": Choices(),
}
#: Random sub-networks of one step, at most.
MOST_PER_STEP = 1000
PROGRESSIVE = tuple(PHASES)


@dataclass(frozen=True)
class SupernetPlan:
    """All that decides the weights, beside the number of processes.

    Attributes:
        data: Data set, see `bench.train.images.open_images`.
        size: Side that images are stored at; 0 keeps theirs.
        width: Width multiplier.
        stem: "small" or "imagenet", see `STEMS`.
        choices: What its sub-networks may be, see `spaces.mnv3_choices`: "ofa" or "wide".
        strides: Stride of the first layer of each stage; empty takes those of the stem.
        resolutions: Input sides, ascending; each step draws one, and images are resized to it. Empty takes the
            size of the images.
        epochs: Passes over the training images.
        phases: Names from `PHASES`, which share the epochs evenly.
        batch: Images per step, over all processes.
        lr: Learning rate at the start of the cosine.
        warmup: Epochs of linear warm-up before it.
        momentum: Of Nesterov's SGD.
        weight_decay: For convolutions and the classifier.
        smoothing: Label smoothing.
        clip: Largest norm of the gradient; 0 does not clip.
        dropout: Dropped share of the classifier's input.
        n_random: Random sub-networks per step, beside the largest and the smallest.
        crop: Pixels by which training images are shifted at most.
        rrc: Smallest share of the area that a random resized crop takes, which then replaces `crop`; 0 is none.
        flip: Mirror every second training image.
        seed: Of weights, order, augmentation and sub-networks.
        amp: Compute in bfloat16 where that is safe.
        deterministic: Allow only operations whose result never varies between runs; on a GPU some are slower.
    """

    data: str
    size: int = 0
    width: float = 0.35
    stem: str = "small"
    choices: str = "ofa"
    strides: tuple[int, ...] = ()
    resolutions: tuple[int, ...] = ()
    epochs: int = 15
    phases: tuple[str, ...] = ("all",)
    batch: int = 128
    lr: float = 0.1
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    smoothing: float = 0.1
    clip: float = 0.0
    dropout: float = 0.0
    n_random: int = 2
    crop: int = 4
    rrc: float = 0.0
    flip: bool = True
    seed: int = 0
    amp: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        choose("stem", self.stem, STEMS)
        choose("choices", self.choices, CHOICES)
        for phase in self.phases:
            choose("phase", phase, PHASES)
        if list(self.phases) != [p for p in PHASES if p in self.phases]:
            raise UserError(
                f"phases come in the order {', '.join(PHASES)}, at least one, got {', '.join(self.phases)}."
            )
        if self.choices != "ofa" and self.phases != ("all",):
            raise UserError(
                f"progressive shrinking has phases for the choices 'ofa', not {self.choices!r}: leave --phases out."
            )
        if not self.phases or self.epochs < len(self.phases):
            raise UserError(f"{len(self.phases)} phases need as many epochs at least, got {self.epochs}.")
        if list(self.resolutions) != sorted({r for r in self.resolutions if r >= 8}):
            raise UserError(f"resolutions are ascending and at least 8, got {self.resolutions}.")
        whole("seed", self.seed)
        whole("n_random", self.n_random, 0, MOST_PER_STEP)
        whole("crop", self.crop, 0, LARGEST_SIDE)
        if self.size < 0 or not 0 <= self.clip < math.inf:
            raise UserError(f"size and clip are 0 or more, got {self.size} and {self.clip!r}.")
        if not 0 <= self.rrc <= 1:
            raise UserError(f"rrc is a share of the area, 0 to 1, got {self.rrc!r}.")
        if self.batch < 2 or self.lr == 0:
            raise UserError(f"batch is at least 2 and lr positive, got {self.batch} and {self.lr!r}.")
        assert self.recipe.epochs == self.epochs  # checks the other fields
        self.shape(1)

    @property
    def recipe(self) -> TrainingRecipe:
        """The part of the plan that the training of any network has."""
        return TrainingRecipe(
            "supernet",
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            momentum=self.momentum,
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            flip=self.flip,
            crop=0 if self.rrc else self.crop,
            label_smoothing=self.smoothing,
            precision="bf16" if self.amp else "float32",
            channels_last=True,
            deterministic=self.deterministic,
        )

    def shape(self, n_classes: int) -> Shape:
        """Return the supernet's shape."""
        stem_stride, strides = STEMS[self.stem]
        return Shape(self.width, n_classes, stem_stride, self.strides or strides, self.dropout, self.choices)

    def phase(self, epoch: int) -> str:
        """Return the phase of an epoch, counted from 0; phases last equally long, to one epoch."""
        return self.phases[epoch * len(self.phases) // self.epochs]

    def choices_of(self, epoch: int) -> Choices:
        """Return what the sub-networks of an epoch may be."""
        return PHASES[self.phase(epoch)] if self.choices == "ofa" else CHOICES[self.choices]

    def shrinks_from(self, epoch: int) -> int | None:
        """Return the smallest expansion before an epoch that opens a smaller one, else None."""
        if epoch == 0:
            return None
        before, now = (self.choices_of(e).expansions[0] for e in (epoch - 1, epoch))
        return before if now < before else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SupernetPlan:
        """Read what `to_dict` wrote.

        Raises:
            DataError: A field is missing or foreign.
        """
        try:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**given)
        except TypeError as error:
            raise DataError(f"the checkpoint holds no supernet plan of this version ({error}).") from error

    def differences(self, other: SupernetPlan) -> list[str]:
        """Return the fields in which another plan differs, as "name: its value, not this one's"."""
        return [
            f"{f.name} {getattr(other, f.name)!r}, not {getattr(self, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]
