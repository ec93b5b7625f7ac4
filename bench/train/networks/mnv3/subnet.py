"""Which sub-network of the supernet is meant, and the shape of the supernet; no torch in here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import IntArray
from smemnas.spaces.mnv3 import DEPTH_GENES, EXPANSION_GENES, KERNEL_GENES, MNV3, N_GENES, active_layers
from smemnas.spaces.mnv3_costs import DEPTHS, EXPANSIONS, KERNELS, MAX_DEPTH, N_LAYERS, N_STAGES, STRIDES, check_shape

#: Stride of the stem and of the first layer of each stage, by kind of stem.
STEMS: dict[str, tuple[int, tuple[int, ...]]] = {"imagenet": (2, STRIDES), "small": (1, (2, 2, 2, 1, 1))}


class Subnet(NamedTuple):
    """The decoded form of a genotype, without its resolution.

    Attributes:
        depths: Layers of each of the five stages.
        kernels: Kernel of each of the 20 layers, stage major; 3 where a layer is absent.
        expansions: Expansion of each of the 20 layers; 3 where a layer is absent.
    """

    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]

    def layers(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (stage, position in the stage, kernel, expansion) of each layer that is there."""
        for stage, depth in enumerate(self.depths):
            for j in range(depth):
                at = MAX_DEPTH * stage + j
                yield stage, j, self.kernels[at], self.expansions[at]


def decode(x: IntArray) -> Subnet:
    """Read a genotype ``(46,)``; genes of absent layers and the resolution do not enter.

    Raises:
        UserError: It is no genotype of the space mnv3.
    """
    x = np.asarray(x)
    if x.shape != (N_GENES,) or x.dtype.kind not in "iu":
        raise UserError(f"an mnv3 genotype is {N_GENES} integers, got an array of shape {x.shape} and type {x.dtype}.")
    genes = x[np.concatenate([DEPTH_GENES, KERNEL_GENES, EXPANSION_GENES])]
    if genes.min() < 0 or genes.max() > 2:
        raise UserError(f"genes of depth, kernel and expansion are 0, 1 or 2 in mnv3, got {x.tolist()}.")
    active = active_layers(x[None])[0]
    return Subnet(
        tuple(DEPTHS[int(g)] for g in x[DEPTH_GENES]),
        tuple(KERNELS[int(g)] for g in x[KERNEL_GENES] * active),
        tuple(EXPANSIONS[int(g)] for g in x[EXPANSION_GENES] * active),
    )


def read_name(arch: str) -> tuple[Subnet, int]:
    """Parse a name like ``r224-3334-7673-36567634-5353-3333``; any resolution from 8 on.

    Raises:
        UserError: It is no such name.
    """
    found = re.match(r"\s*r(\d{1,5})(?=-)", arch)
    if found is None or int(found[1]) < 8:
        raise UserError(f"an architecture's name starts with a resolution of at least 8, like r32-..., got {arch!r}.")
    standard = MNV3()
    x = standard.from_str(f"r{standard.resolutions[0]}{arch[found.end() :]}")
    return decode(x), int(found[1])


def name_of(arch: Subnet, resolution: int) -> str:
    """Return the name of a sub-network at a resolution, as the space mnv3 writes it."""
    stages: list[str] = [""] * N_STAGES
    for stage, _, kernel, expansion in arch.layers():
        stages[stage] += f"{kernel}{expansion}"
    return f"r{resolution}-{'-'.join(stages)}"


def as_subnet(arch: Subnet | IntArray) -> Subnet:
    """Return the decoded form of either form."""
    return arch if isinstance(arch, Subnet) else decode(arch)


@dataclass(frozen=True)
class Choices:
    """What training may choose from, each ascending.

    Attributes:
        depths: Layers of a stage.
        kernels: Kernels of a layer.
        expansions: Expansions of a layer.
    """

    depths: tuple[int, ...] = DEPTHS
    kernels: tuple[int, ...] = KERNELS
    expansions: tuple[int, ...] = EXPANSIONS

    def largest(self) -> Subnet:
        """Return the largest sub-network."""
        return self._uniform(-1)

    def smallest(self) -> Subnet:
        """Return the smallest sub-network."""
        return self._uniform(0)

    def _uniform(self, at: int) -> Subnet:
        return Subnet((self.depths[at],) * N_STAGES, (self.kernels[at],) * N_LAYERS, (self.expansions[at],) * N_LAYERS)

    def sample(self, rng: np.random.Generator) -> Subnet:
        """Draw depths, kernels and expansions each uniformly."""
        drawn = (
            rng.choice(options, size)
            for options, size in ((self.depths, N_STAGES), (self.kernels, N_LAYERS), (self.expansions, N_LAYERS))
        )
        return Subnet(*(tuple(int(v) for v in values) for values in drawn))


@dataclass(frozen=True)
class Shape:
    """What decides the tensors and strides of a supernet.

    Attributes:
        width: Width multiplier.
        n_classes: Size of the classifier.
        stem_stride: Stride of the stem, 2 for ImageNet, 1 for small images.
        strides: Stride of the first layer of each stage.
        dropout: Dropped share of the classifier's input in training.
    """

    width: float = 1.0
    n_classes: int = 1000
    stem_stride: int = 2
    strides: tuple[int, ...] = STRIDES
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_shape(self.width, self.stem_stride, self.strides, self.n_classes)
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is a share in [0, 1), got {self.dropout!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "strides": list(self.strides)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Shape:
        """Read what `to_dict` wrote.

        Raises:
            DataError: A field is missing, foreign, or of a wrong kind.
        """
        try:
            return cls(**{**fields, "strides": tuple(fields["strides"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"these fields describe no MobileNetV3 supernet: {dict(fields)} ({error}).") from error
