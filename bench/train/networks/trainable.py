"""Spaces whose architectures are built and trained here, with the costs of exactly the networks that are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from smemnas.bench.errors import UserError, choose
from smemnas.bench.train import need_torch
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.sized import TrainableMacro, TrainableNATSSize, check_halved
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.base import SPACES, FloatArray, IntArray, SearchSpace
from smemnas.spaces.cell201 import CONV1, CONV3
from smemnas.spaces.macro import STEM
from smemnas.spaces.mnv3 import MNV3, RESOLUTIONS
from smemnas.spaces.mnv3_costs import STEM_STRIDE, STEMS, STRIDES
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE
from smemnas.spaces.nats_sss import CHANNELS as NATS_CHANNELS
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.nb201 import CELLS_PER_STAGE, CHANNELS, NB201

if TYPE_CHECKING:
    from torch import nn

#: What of its size a space lets be chosen.
SIZED: dict[str, tuple[str, ...]] = {
    "nb201": ("channels", "cells"),
    "nats_sss": ("channels",),
    "macro": ("channels",),
    "mnv3": ("width", "resolutions", "stem", "choices"),
}


class TrainableNB201(NB201):
    """NAS-Bench-201's cells in a network of any width and depth.

    Costs are closed forms in the benchmark's own convention; with 16 channels and 5 cells they are the
    benchmark's.

    Args:
        n_classes: Size of the classifier.
        image_size: Side of the input image, a multiple of 4.
        channels: Width of the first stage; it doubles twice.
        cells: Cells in each of the three stages.
    """

    costs = NB201.costs[:2]  # NASLib's count is known for the benchmark's own size only

    def __init__(
        self,
        n_classes: int = 10,
        image_size: int = 32,
        channels: int = CHANNELS[0],
        cells: int = CELLS_PER_STAGE,
    ) -> None:
        if channels < 1 or cells < 1:
            raise UserError(f"a network needs at least 1 channel and 1 cell per stage, got {channels} and {cells}.")
        check_halved("nb201", image_size, 2)
        super().__init__(n_classes, image_size)
        self.channels = channels
        self.cells = cells

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return parameters or multiply-adds ``(n,)`` in millions."""
        if name not in ("params", "flops"):
            return SearchSpace.cost(self, X, name)
        conv3, conv1 = ((X == op).sum(axis=1) for op in (CONV3, CONV1))
        width = self.channels << np.arange(3)
        narrow, wide = width[:-1], width[1:]
        stem, classifier = 27 * self.channels, (int(width[-1]) + 1) * self.n_classes
        reduction = 9 * narrow * wide + 9 * wide**2 + narrow * wide
        if name == "params":
            fixed = stem + 2 * self.channels + int((reduction + 4 * wide).sum()) + 2 * int(width[-1]) + classifier
            kernel, norm = self.cells * int((width**2).sum()), 2 * self.cells * int(width.sum())
            return np.asarray((fixed + (9 * kernel + norm) * conv3 + (kernel + norm) * conv1) / 1e6)
        pixels = (self.image_size >> np.arange(3)) ** 2
        fixed = stem * int(pixels[0]) + int((pixels[1:] * reduction).sum()) + classifier
        kernel = self.cells * int((pixels * width**2).sum())
        return np.asarray((fixed + kernel * (9 * conv3 + conv1)) / 1e6)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return the network with random weights."""
        from smemnas.bench.train.networks.nb201 import CellNetwork

        return CellNetwork(x, n_classes, self.channels, self.cells)


class TrainableNB101(NB101):
    """NAS-Bench-101 in its published size, on images of any size.

    Args:
        max_vertices: As in the space.
        n_classes: Size of the classifier.
        image_size: Side of the input image, a multiple of 4.
    """

    def __init__(self, max_vertices: int = 7, n_classes: int = 10, image_size: int = graphs.IMAGE_SIZE) -> None:
        check_halved("nb101", image_size, 2)
        super().__init__(max_vertices, n_classes)
        self.image_size = image_size

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return parameters or multiply-adds ``(n,)`` in millions; all but the classifier's grow with the area."""
        value = super().cost(X, name)
        if name != "flops":
            return value
        classifier = ((graphs.STEM_CHANNELS << (graphs.STACKS - 1)) + 1) * self.n_classes
        spatial = np.rint(value * 1e6) - classifier
        return np.asarray((spatial * self.image_size**2 / graphs.IMAGE_SIZE**2 + classifier) / 1e6)


class TrainableMNV3(MNV3):
    """OFA-MobileNetV3 networks trained from scratch at the resolution of their gene.

    Args:
        width: Width multiplier.
        resolutions: Resolutions to choose from; images are resized to them.
        n_classes: Size of the classifier.
        stem_stride: Stride of the stem, 1 for small images.
        strides: Stride of the first layer of each stage.
        choices: What layers and stages may be: "ofa" or "wide".
    """

    def __init__(
        self,
        width: float,
        resolutions: Sequence[int],
        n_classes: int,
        stem_stride: int = STEM_STRIDE,
        strides: Sequence[int] = STRIDES,
        choices: str = "ofa",
    ) -> None:
        super().__init__(width, resolutions, n_classes, stem_stride=stem_stride, strides=strides, choices=choices)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return timm's model of the network behind a layer that resizes its input, with random weights."""
        need_torch()
        from smemnas.bench.train.networks.mnv3.to_timm import build_mnv3

        shape = Shape(self.width, n_classes, self.stem_stride, self.strides, choices=self.choices)
        return build_mnv3(x, self.resolutions[int(x[RESOLUTION_GENE])], shape)


def trainable_space(
    name: str,
    n_classes: int,
    image_size: int,
    *,
    channels: int | None = None,
    cells: int | None = None,
    width: float | None = None,
    resolutions: Sequence[int] | None = None,
    stem: str | None = None,
    choices: str | None = None,
) -> SearchSpace:
    """Return a space whose `build` works, with the costs of what it builds.

    Args:
        name: Registered space; one that is not built in must implement `build`.
        n_classes: Classes of the data.
        image_size: Side of the images.
        channels: Width of the first stage (nb201), of the narrowest choice (nats_sss), of the stem (macro); None is
            the published one.
        cells: Cells per stage (nb201); None is the published number.
        width: Width multiplier (mnv3).
        resolutions: Resolutions to choose from (mnv3).
        stem: "imagenet" or "small" (mnv3).
        choices: "ofa" or "wide" (mnv3).

    Raises:
        UserError: The space is unknown, cannot be built, or has no such size.
    """
    given = {"channels": channels, "cells": cells, "width": width, "resolutions": resolutions, "stem": stem}
    given["choices"] = choices
    taken = SIZED.get(name, ())
    for key, value in given.items():
        if value is not None and key not in taken:
            raise UserError(f"{key} does not apply to {name}: leave it out.")
    if name == "nb201":
        channels = CHANNELS[0] if channels is None else channels
        return TrainableNB201(n_classes, image_size, channels, CELLS_PER_STAGE if cells is None else cells)
    if name == "nats_sss":
        return TrainableNATSSize(n_classes, image_size, NATS_CHANNELS[0] if channels is None else channels)
    if name == "macro":
        return TrainableMacro(n_classes, image_size, STEM if channels is None else channels)
    if name == "nb101":
        return TrainableNB101(n_classes=n_classes, image_size=image_size)
    if name == "mnv3":
        strides = choose("stem", stem or "imagenet", STEMS)
        return TrainableMNV3(
            1.0 if width is None else width, resolutions or RESOLUTIONS, n_classes, *strides, choices or "ofa"
        )
    entry = SPACES.get(name)
    known = entry.parameters()
    wanted = [("n_classes", n_classes), ("image_size", image_size)]
    space = SPACES.create(name, params={key: value for key, value in wanted if key in known})
    if type(space).build is SearchSpace.build:
        raise UserError(
            f"space {name!r} describes no networks that can be built and trained here. Known: nb201, nb101, "
            "nats_sss, macro, mnv3, and plug-in spaces that implement build."
        )
    return space
