"""NATS-Bench's network of the size space: one cell at three sizes, residual reductions between (Dong et al., 2021).

The cell skips from input to output and has 3 x 3 convolutions on its other five edges. Where it changes the number of
channels, the edges that leave its input do so, and the skip is a 1 x 1 convolution with batch norm. Modules carry
the names of NAS-Bench-201's own model (`bench.train.networks.nb201`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train.networks.nb201 import Reduction, ReLUConvNorm
from smemnas.spaces.cell201 import EDGES

#: The edge that skips.
SKIP = EDGES.index((0, 3))


class SizedCell(nn.Module):
    """The fixed cell from `c_in` to `c_out` channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for gene, (source, _) in enumerate(EDGES):
            width = c_in if source == 0 else c_out
            if gene != SKIP:
                self.layers.append(ReLUConvNorm(width, c_out, 3, 1, True, True))
            elif c_in == c_out:
                self.layers.append(nn.Identity())
            else:
                project = nn.Conv2d(c_in, c_out, 1, bias=False)
                self.layers.append(nn.Sequential(project, nn.BatchNorm2d(c_out)))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, c_out, h, w)``."""
        first = self.layers[0](x)
        second = self.layers[1](x) + self.layers[2](first)
        return self.layers[3](x) + self.layers[4](first) + self.layers[5](second)


class SizedNetwork(nn.Module):
    """The whole network.

    Args:
        widths: Output channels ``(5,)`` of cell, reduction, cell, reduction, cell; the stem has those of the first.
        n_classes: Size of the classifier.
    """

    def __init__(self, widths: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]))
        self.cells = nn.ModuleList()
        for block, (c_in, c_out) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            self.cells.append(Reduction(c_in, c_out, True, True) if block % 2 else SizedCell(c_in, c_out))
        self.lastact = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.classifier = nn.Linear(widths[-1], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)`` of images ``(n, 3, h, w)``."""
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(F.adaptive_avg_pool2d(self.lastact(x), 1).flatten(1))
