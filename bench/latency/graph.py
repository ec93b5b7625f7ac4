"""Networks as lists of operations, from which an ONNX file or a PyTorch module is made.

A graph says what a network computes and holds no weights, so a network of 20 MB is a list of a hundred short rows. A
test compares the operations with those of `export` for networks of each space.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """A feature map in a graph: its number, channels and side (0 where it is a vector)."""

    number: int
    channels: int
    side: int


class Operation(NamedTuple):
    """One step of a graph.

    Attributes:
        kind: conv, linear, norm, relu, relu6, hardswish, hardsigmoid, add, mul, mean, pool, average, flatten.
        inputs: Numbers of what it reads.
        output: Number of what it gives.
        c_in: Input channels.
        c_out: Output channels.
        kernel: Side of its kernel.
        stride: Its stride.
        groups: Groups of a convolution.
        norm: Whether a batch norm follows a convolution at once.
        bias: Whether a convolution has a bias of its own.
        padded: Whether an average keeps the size and leaves out what is padded.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    c_in: int = 0
    c_out: int = 0
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    norm: bool = False
    bias: bool = False
    padded: bool = False


class Graph:
    """A network under construction; `image` is its input, what was added last its output.

    Args:
        channels: Of the input.
        side: Of the input.
    """

    def __init__(self, channels: int, side: int) -> None:
        self.image = Feature(0, channels, side)
        self.operations: list[Operation] = []

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels and sides of the input."""
        return (self.image.channels, self.image.side, self.image.side)

    def conv(
        self,
        x: Feature,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: str = "",
        norm: bool = True,
        bias: bool = False,
    ) -> Feature:
        """Add a convolution that keeps the size before its stride, its batch norm and an activation."""
        number = len(self.operations) + 1
        side = (x.side + 2 * (kernel // 2) - kernel) // stride + 1
        self.operations.append(
            Operation("conv", (x.number,), number, x.channels, c_out, kernel, stride, groups, norm, bias)
        )
        y = Feature(number, c_out, side)
        return self.step(act, y) if act else y

    def step(self, kind: str, x: Feature, other: Feature | None = None) -> Feature:
        """Add an operation that keeps the shape of its (first) input."""
        number = len(self.operations) + 1
        inputs = (x.number,) if other is None else (x.number, other.number)
        self.operations.append(Operation(kind, inputs, number, x.channels, x.channels))
        return Feature(number, x.channels, x.side)

    def average(self, x: Feature, kernel: int, stride: int, *, padded: bool = False) -> Feature:
        """Add an average over windows."""
        number = len(self.operations) + 1
        self.operations.append(
            Operation("average", (x.number,), number, x.channels, x.channels, kernel, stride, padded=padded)
        )
        return Feature(number, x.channels, x.side // stride)

    def pooled(self, x: Feature, kind: str = "pool") -> Feature:
        """Add the mean of each channel: "pool" as a network's last, "mean" as in a squeeze."""
        return self.step(kind, x)._replace(side=1)

    def classify(self, x: Feature, n_classes: int) -> Feature:
        """Add the classifier of a pooled feature map."""
        flat = self.step("flatten", x)
        number = len(self.operations) + 1
        self.operations.append(Operation("linear", (flat.number,), number, x.channels, n_classes, bias=True))
        return Feature(number, n_classes, 0)
