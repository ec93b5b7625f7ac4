"""OFA-MobileNetV3: what a layer and a stage may be, and the decoded form of one network.

The published supernets choose among two to four layers of kernel 3, 5 or 7 and expansion 3, 4 or 6 ("ofa"). At equal
cost their networks differ by little on small images; "wide" has a range in which they differ: stages of one to four
layers, expansions from 1 to 6, and 50, 75 or 100 % of a stage's channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from smemnas.bench.errors import UserError

N_STAGES = 5
MAX_DEPTH = 4
N_LAYERS = N_STAGES * MAX_DEPTH
KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
DEPTHS = (2, 3, 4)
#: Percent of the channels that a stage has at the width multiplier of its network.
FULL = 100


class Subnet(NamedTuple):
    """The decoded form of a genotype, without its resolution.

    Attributes:
        depths: Layers of each of the five stages.
        kernels: Kernel of each of the 20 layers, stage major; 3 where a layer is absent.
        expansions: Expansion of each of the 20 layers; 3 where a layer is absent.
        widths: Percent of its full channels that each stage has.
    """

    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    widths: tuple[int, ...] = (FULL,) * N_STAGES

    def layers(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (stage, position in the stage, kernel, expansion) of each layer that is there."""
        for stage, depth in enumerate(self.depths):
            for j in range(depth):
                at = MAX_DEPTH * stage + j
                yield stage, j, self.kernels[at], self.expansions[at]


@dataclass(frozen=True)
class Choices:
    """What may be chosen, each ascending.

    Attributes:
        depths: Layers of a stage, without a gap.
        kernels: Kernels of a layer.
        expansions: Expansions of a layer.
        widths: Percent of a stage's full channels; the last is 100.
    """

    depths: tuple[int, ...] = DEPTHS
    kernels: tuple[int, ...] = KERNELS
    expansions: tuple[int, ...] = EXPANSIONS
    widths: tuple[int, ...] = (FULL,)

    @property
    def n_states(self) -> int:
        """States of a layer: absent, or a kernel and an expansion."""
        return 1 + len(self.kernels) * len(self.expansions)

    def largest(self) -> Subnet:
        """Return the largest sub-network."""
        return self._uniform(-1)

    def smallest(self) -> Subnet:
        """Return the smallest sub-network."""
        return self._uniform(0)

    def _uniform(self, at: int) -> Subnet:
        return Subnet(
            (self.depths[at],) * N_STAGES,
            (self.kernels[at],) * N_LAYERS,
            (self.expansions[at],) * N_LAYERS,
            (self.widths[at],) * N_STAGES,
        )

    def sample(self, rng: np.random.Generator) -> Subnet:
        """Draw depths, kernels, expansions and, where there is a choice, widths, each uniformly."""
        parts = [(self.depths, N_STAGES), (self.kernels, N_LAYERS), (self.expansions, N_LAYERS)]
        if len(self.widths) > 1:
            parts.append((self.widths, N_STAGES))
        return Subnet(*(tuple(int(v) for v in rng.choice(options, size)) for options, size in parts))


#: By the name under which spaces and supernets take them.
CHOICES: dict[str, Choices] = {
    "ofa": Choices(),
    "wide": Choices((1, 2, 3, 4), KERNELS, (1, 2, 3, 4, 6), (50, 75, FULL)),
}

_LAYER = f"[{''.join(map(str, KERNELS))}][{''.join(map(str, CHOICES['wide'].expansions))}]"
_STAGE = f"(?:{_LAYER}){{1,{MAX_DEPTH}}}(?:w(?:{'|'.join(map(str, CHOICES['wide'].widths))}))?"
_NAME = re.compile(rf"r([0-9]{{1,5}})((?:-{_STAGE}){{{N_STAGES}}})")


def read_name(arch: str) -> tuple[Subnet, int]:
    """Parse a name like ``r224-3334-7673-36567634-5353-3333``; any choices, any resolution from 8 on.

    Raises:
        UserError: It is no such name.
    """
    found = _NAME.fullmatch(arch.strip())
    if found is None or int(found[1]) < 8:
        raise UserError(
            f"not an mnv3 architecture: {arch!r}. Expected a resolution of at least 8 and five stages of two to four "
            "layers, each layer a kernel (3, 5, 7) and an expansion (3, 4, 6); of the choices 'wide' one to four, of "
            "expansions 1, 2, 3, 4, 6 and w50 or w75 behind a stage (r32-33w50-7673-36w75-5251-33). The published ones "
            "are like r224-3334-7673-36567634-5353-3333"
        )
    kernels, expansions = [KERNELS[0]] * N_LAYERS, [EXPANSIONS[0]] * N_LAYERS
    depths, widths = [], []
    for stage, text in enumerate(found[2].split("-")[1:]):
        digits, _, percent = text.partition("w")
        for j in range(len(digits) // 2):
            kernels[MAX_DEPTH * stage + j] = int(digits[2 * j])
            expansions[MAX_DEPTH * stage + j] = int(digits[2 * j + 1])
        depths.append(len(digits) // 2)
        widths.append(int(percent or FULL))
    return Subnet(tuple(depths), tuple(kernels), tuple(expansions), tuple(widths)), int(found[1])


def name_of(arch: Subnet, resolution: int) -> str:
    """Return the name of a sub-network at a resolution."""
    stages = [""] * N_STAGES
    for stage, _, kernel, expansion in arch.layers():
        stages[stage] += f"{kernel}{expansion}"
    ends = ["" if percent == FULL else f"w{percent}" for percent in arch.widths]
    return f"r{resolution}-{'-'.join(map(''.join, zip(stages, ends, strict=True)))}"


def check_choices(arch: Subnet, choices: str, name: str = "") -> None:
    """Check that a network is one of those that can be chosen.

    Args:
        arch: The network.
        choices: Name of the choices.
        name: What the user called it.

    Raises:
        UserError: It is none.
    """
    of = CHOICES[choices]
    chosen = {
        "depth": (set(arch.depths), of.depths),
        "kernel": ({kernel for _, _, kernel, _ in arch.layers()}, of.kernels),
        "expansion": ({expansion for *_, expansion in arch.layers()}, of.expansions),
        "width": (set(arch.widths), of.widths),
    }
    for what, (values, known) in chosen.items():
        foreign = sorted(values - set(known))
        if foreign:
            raise UserError(
                f"not an mnv3 architecture of the choices {choices!r}: {name or name_of(arch, 0)!r} has {what} "
                f"{foreign[0]}; there {what} is one of {', '.join(map(str, known))}."
            )
