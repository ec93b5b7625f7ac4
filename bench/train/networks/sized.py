"""The spaces nats_sss and macro in networks of any width, on images of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.spaces.base import IntArray
from smemnas.spaces.macro import CLASSES, HEAD, IMAGE, LAYERS, STEM, Macro
from smemnas.spaces.nats_sss import CHANNELS, NATSSize

if TYPE_CHECKING:
    from torch import nn


class TrainableNATSSize(NATSSize):
    """NATS-Bench's size space at any width; architectures keep the names that they have at the published one.

    Args:
        n_classes: Size of the classifier.
        image_size: Side of the input image, a multiple of 4.
        channels: The narrowest choice and the step between choices; 8 is the published one.
    """

    def __init__(self, n_classes: int = 10, image_size: int = 32, channels: int = CHANNELS[0]) -> None:
        check_channels(channels)
        check_halved("nats_sss", image_size, 2)
        super().__init__(n_classes, image_size)
        self.channels = channels
        self.widths = tuple(channels * k for k in range(1, len(CHANNELS) + 1))

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return the network with random weights."""
        from smemnas.bench.train.networks.nats_sss import SizedNetwork

        return SizedNetwork([self.widths[int(v)] for v in x], n_classes)


class TrainableMacro(Macro):
    """NAS-Bench-Macro's layers at any width.

    Args:
        n_classes: Size of the classifier.
        image_size: Side of the input image, a multiple of 8.
        channels: Width of the stem; all others grow with it, 32 is the published one.
    """

    def __init__(self, n_classes: int = CLASSES, image_size: int = IMAGE, channels: int = STEM) -> None:
        check_channels(channels)
        check_halved("macro", image_size, 3)
        self.n_classes = n_classes
        self.image_size = image_size
        self.channels = channels
        layers = tuple((a // STEM * channels, b // STEM * channels, stride) for a, b, stride in LAYERS)
        self.network = (channels, layers, HEAD // STEM * channels, n_classes, image_size)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return the network with random weights."""
        from smemnas.bench.train.networks.macro import MacroNetwork

        stem, layers, head, _, _ = self.network
        return MacroNetwork(np.asarray(x), n_classes, stem, layers, head)


def check_channels(channels: int) -> None:
    """Refuse a network without channels.

    Raises:
        UserError: It has none.
    """
    if channels < 1:
        raise UserError(f"a network needs at least 1 channel, got {channels}.")


def check_halved(name: str, image_size: int, times: int) -> None:
    """Refuse images that a network cannot halve so often without a remainder.

    Raises:
        UserError: It cannot.
    """
    part = 1 << times
    if image_size < part or image_size % part:
        raise UserError(
            f"{name} halves images {('twice', 'three times')[times - 2]}, so their side must be a multiple of {part}, "
            f"got {image_size}: give size=..., for example {max(part, image_size // part * part)}."
        )
