"""NATS-Bench size search space: the channel counts of five layers (Dong et al., TPAMI 2021).

The cell is fixed to the best of NAS-Bench-201 on CIFAR-100: a skip from input to output, 3x3 convolutions on
the other five edges. The network is stem, cell, reduction, cell, reduction, cell, classifier; gene ``i`` sets
the output channels of the ``i``-th of the five blocks, and the stem has those of the first cell. A cell that
changes the number of channels does so on the edges that leave its input; the skip among them is then a 1x1
convolution. Costs follow the benchmark: parameters with batch norm, multiply-adds of convolutions and of the
classifier with its bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.forms import Form, Operations, index_form, numbers

N_LAYERS = 5
CHANNELS = tuple(range(8, 65, 8))


@SPACES.register("nats_sss", summary="NATS-Bench size space: channels of five layers, 8^5 = 32,768 genotypes")
class NATSSize(SearchSpace):
    """Five genes, channel counts 8 to 64 in steps of 8; names look like ``8:8:16:40:40``.

    Args:
        n_classes: Size of the classifier (10, 100, or 120 for ImageNet16-120); enters both costs.
        image_size: Side of the input image (32 for CIFAR, 16 for ImageNet16-120); enters the MAdds.
    """

    name = "nats_sss"
    n_choices = (len(CHANNELS),) * N_LAYERS
    default_encoding = "int"
    costs = (Objective("flops", "M", True), Objective("params", "M", True))
    default_dataset = "cifar10"
    #: Channels that the choices stand for; a network of another size has others.
    widths: tuple[int, ...] = CHANNELS

    def __init__(self, n_classes: int = 10, image_size: int = 32) -> None:
        self.n_classes = n_classes
        self.image_size = image_size

    def to_str(self, x: IntArray) -> str:
        """Join the channel counts with colons."""
        return ":".join(str(CHANNELS[int(v)]) for v in x)

    def from_str(self, arch: str) -> IntArray:
        """Parse five channel counts."""
        parts = arch.split(":")
        known = {str(c): i for i, c in enumerate(CHANNELS)}
        if len(parts) != N_LAYERS or not all(p in known for p in parts):
            raise UserError(
                f"nats_sss architectures are five of the channel counts {', '.join(known)}, "
                f"like 8:8:16:40:40, got {arch!r}."
            )
        return np.array([known[p] for p in parts], dtype=np.int64)

    @property
    def forms(self) -> tuple[Form, ...]:
        """Adds the official index (the same as the row) and the channel counts as a list."""

        def read(value: Any, _: Operations) -> IntArray:
            return self.from_str(":".join(map(str, numbers(value, N_LAYERS, "channel counts of nats_sss"))))

        def write(x: IntArray, _: Operations) -> str:
            return f"[{', '.join(str(CHANNELS[int(v)]) for v in x)}]"

        text = "index in the official NATS-Bench (sss) files, equal to the row"
        official = index_form("official", text, self.enumerate, "NATS-Bench (sss)")
        listed = Form("channels", "list of the five channel counts", "[8, 8, 16, 40, 40]", read, write, plain=True)
        return (*super().forms, official, listed)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return multiply-adds or parameters in millions (exact; units of the benchmark)."""
        if name not in ("flops", "params"):
            return super().cost(X, name)
        c1, c2, c3, c4, c5 = np.asarray(self.widths, dtype=np.int64)[X].T
        cells, reductions = ((c1, c1), (c2, c3), (c4, c5)), ((c1, c2), (c3, c4))
        if name == "params":
            total = 29 * c1 + 2 * c5 + (c5 + 1) * self.n_classes
            total += sum(_cell_weights(a, b) + 2 * b * (5 + (a != b)) for a, b in cells)
            total += sum(_reduction_weights(a, b) + 4 * b for a, b in reductions)
        else:
            pixels = [(self.image_size >> stage) ** 2 for stage in range(3)]
            total = 27 * c1 * pixels[0] + (c5 + 1) * self.n_classes
            total += sum(_cell_weights(a, b) * p for (a, b), p in zip(cells, pixels, strict=True))
            total += sum(_reduction_weights(a, b) * p for (a, b), p in zip(reductions, pixels[1:], strict=True))
        return np.asarray(total / 1e6, dtype=np.float64)


def _cell_weights(c_in: IntArray, c_out: IntArray) -> IntArray:
    """Convolution weights ``(n,)`` of a cell: two 3x3 leave its input, three follow, a skip may project."""
    skip = np.where(c_in == c_out, 0, c_in * c_out)
    return np.asarray(9 * (2 * c_in * c_out + 3 * c_out * c_out) + skip, dtype=np.int64)


def _reduction_weights(c_in: IntArray, c_out: IntArray) -> IntArray:
    """Convolution weights ``(n,)`` of a residual block with stride 2: two 3x3 and the 1x1 of its shortcut.

    All of them work at the resolution of the output: the shortcut is pooled before its convolution.
    """
    return np.asarray(9 * (c_in * c_out + c_out * c_out) + c_in * c_out, dtype=np.int64)
