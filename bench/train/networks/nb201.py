"""NAS-Bench-201's network: stem, three stages of cells, residual reductions between them (Dong and Yang, ICLR 2020).

Modules and parameters carry the names of the benchmark's own model, so weights of either load into the other.
Edges from which no path leads to the output have their parameters, which the benchmark counts, but are not
computed: they change no output and get no gradient. A convolution that sees only zeros is computed: its batch norm
turns them into a learned constant.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.spaces.base import IntArray
from smemnas.spaces.cell201 import CONV1, CONV3, EDGES, NONE, POOL


class ReLUConvNorm(nn.Module):
    """ReLU, convolution that keeps the size, batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool, track: bool) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(c_out, affine=affine, track_running_stats=track),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, c_out, h / stride, w / stride)``."""
        return self.op(x)


def operation(op: int, channels: int, affine: bool, track: bool) -> nn.Module:
    """Return the module of one edge; `op` is a gene of the space."""
    if op in (CONV1, CONV3):
        return ReLUConvNorm(channels, channels, 3 if op == CONV3 else 1, 1, affine, track)
    if op == POOL:
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()  # of a skip; a zeroed edge is never computed


class Cell(nn.Module):
    """Four nodes; a node is the sum of its incoming edges.

    Args:
        x: Genotype ``(6,)``.
        channels: Width, the same everywhere in the cell.
        affine: Whether batch norms scale and shift.
        track: Whether batch norms keep running statistics.
    """

    def __init__(self, x: IntArray, channels: int, affine: bool, track: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(operation(int(op), channels, affine, track) for op in x)
        self.edges = used_edges(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return a feature map of the same shape; zeros where nothing reaches the output."""
        nodes: list[Tensor | None] = [x, None, None, None]  # None is zeros
        for gene, source, target in self.edges:
            value, layer = nodes[source], self.layers[gene]
            if value is None:
                if not isinstance(layer, ReLUConvNorm):
                    continue
                value = x.new_zeros(x.shape)
            term = layer(value)
            nodes[target] = term if nodes[target] is None else nodes[target] + term
        return x.new_zeros(x.shape) if nodes[3] is None else nodes[3]


def used_edges(x: IntArray) -> list[tuple[int, int, int]]:
    """Return (gene, source, target) of the edges from which a path without a zeroed edge leads to the output."""
    reaching, found = {3}, []
    for gene in (5, 4, 3, 2, 1, 0):
        source, target = EDGES[gene]
        if int(x[gene]) != NONE and target in reaching:
            reaching.add(source)
            found.append((gene, source, target))
    return found[::-1]


class Reduction(nn.Module):
    """Residual block of two 3 x 3 convolutions that halves the size and changes the width."""

    def __init__(self, c_in: int, c_out: int, affine: bool, track: bool) -> None:
        super().__init__()
        self.conv_a = ReLUConvNorm(c_in, c_out, 3, 2, affine, track)
        self.conv_b = ReLUConvNorm(c_out, c_out, 3, 1, affine, track)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, c_out, h / 2, w / 2)``."""
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class CellNetwork(nn.Module):
    """The whole network.

    Args:
        x: Genotype ``(6,)``.
        n_classes: Size of the classifier.
        channels: Width of the first stage; it doubles twice.
        cells: Cells in each of the three stages.
        affine: Whether batch norms in cells and reductions scale and shift.
        track: Whether those keep running statistics; if not, they use the batch's own in evaluation too.
    """

    def __init__(
        self, x: IntArray, n_classes: int, channels: int, cells: int, affine: bool = True, track: bool = True
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.cells.append(Reduction(channels << (stage - 1), channels << stage, affine, track))
            self.cells.extend(Cell(x, channels << stage, affine, track) for _ in range(cells))
        self.lastact = nn.Sequential(nn.BatchNorm2d(4 * channels), nn.ReLU())
        self.classifier = nn.Linear(4 * channels, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)`` of images ``(n, 3, h, w)``."""
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(F.adaptive_avg_pool2d(self.lastact(x), 1).flatten(1))
