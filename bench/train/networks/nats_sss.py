"""NATS-Bench's network of the size space: one cell at three sizes, residual reductions between (Dong et al., 2021).

The cell skips from input to output and has 3 x 3 convolutions on its other five edges. Where it changes the number of
channels, the edges that leave its input do so, and the skip is a 1 x 1 convolution with batch norm. Modules carry
the names of NAS-Bench-201's own model (`bench.train.networks.nb201`).

Edges that leave one node convolve the same numbers, so a training does them at once (`SizedCell.joined`): on a CPU,
where the narrow convolutions of small networks are slow for their size, a step takes about a fifth less.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train.networks.nb201 import Reduction, ReLUConvNorm
from smemnas.spaces.cell201 import EDGES

#: The edge that skips.
SKIP = EDGES.index((0, 3))


class SizedCell(nn.Module):
    """The fixed cell from `c_in` to `c_out` channels.

    Attributes:
        joined: Whether the convolutions of one node are done at once; their modules are not called then, so that their
            hooks are silent, and the last bits of the output differ.
    """

    joined = False

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
        if self.joined:
            first, left = _at_once(x, self.layers[0].op, self.layers[1].op)
            right, last = _at_once(first, self.layers[2].op, self.layers[4].op)
            return self.layers[3](x) + last + self.layers[5](left + right)
        first = self.layers[0](x)
        second = self.layers[1](x) + self.layers[2](first)
        return self.layers[3](x) + self.layers[4](first) + self.layers[5](second)


def _at_once(x: Tensor, one: nn.Sequential, other: nn.Sequential) -> tuple[Tensor, ...]:
    """Return what two modules of ReLU, convolution, batch norm make of ``(n, c_in, h, w)``: ``(n, c, h, w)`` each."""
    norms = one[2], other[2]
    mean, var, weight, bias = (
        torch.cat([getattr(norm, key) for norm in norms]) for key in ("running_mean", "running_var", "weight", "bias")
    )
    training, momentum, eps = norms[0].training, norms[0].momentum, norms[0].eps
    y = F.conv2d(F.relu(x), torch.cat([one[1].weight, other[1].weight]), padding=one[1].padding)
    y = F.batch_norm(y, mean, var, weight, bias, training, momentum, eps)
    if training:
        half = len(mean) // 2
        for norm, rows in zip(norms, (slice(half), slice(half, None)), strict=True):
            norm.running_mean.copy_(mean[rows])
            norm.running_var.copy_(var[rows])
            norm.num_batches_tracked.add_(1)
    return y.chunk(2, dim=1)


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
