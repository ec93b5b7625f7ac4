"""NAS-Bench-Macro: eight layers, three operations each.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021.

Choices are identity, MBConv with expansion 3 and a 3x3 kernel, MBConv with expansion 6 and a 5x5 kernel. A
stem (3x3, 32 channels) is followed by stages of 2, 3 and 3 layers with 64, 128 and 256 channels; the first
layer of a stage halves the resolution, and "identity" is there a 1x1 convolution. A 1x1 convolution to 1,280
channels and the classifier end the network. Costs are the published ones: parameters with batch norm,
multiply-adds of convolutions and classifier without biases.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.forms import Form, Operations, as_tuple, numbers, short

IDENTITY, MB3_K3, MB6_K5 = range(3)
LABELS = ("identity", "MB3 3x3", "MB6 5x5")
STEM, HEAD, CLASSES, IMAGE = 32, 1280, 10, 32
#: (input channels, output channels, stride) of each layer.
LAYERS = (
    *((32, 64, 2), (64, 64, 1)),
    *((64, 128, 2), (128, 128, 1), (128, 128, 1)),
    *((128, 256, 2), (256, 256, 1), (256, 256, 1)),
)
PUBLISHED = (STEM, LAYERS, HEAD, CLASSES, IMAGE)
#: Pairs of neighbouring layers that commute with an identity: the same network whichever of them it is.
INTERCHANGEABLE = ((3, 4), (6, 7))


@SPACES.register("macro", summary="NAS-Bench-Macro, 3^8 = 6,561 genotypes (3,969 distinct networks)")
class Macro(SearchSpace):
    """Eight genes; names are the published digits, like ``02012100``."""

    name = "macro"
    n_choices = (3,) * 8
    costs = (Objective("flops", "M", True), Objective("params", "M", True))
    default_dataset = "cifar10"
    #: Channels of the stem, the layers, channels of the head, classes and side of the image of its networks.
    network: tuple[int, tuple[tuple[int, int, int], ...], int, int, int] = PUBLISHED

    def to_str(self, x: IntArray) -> str:
        """Return the eight digits."""
        return "".join(str(int(v)) for v in x)

    def from_str(self, arch: str) -> IntArray:
        """Parse eight digits 0..2."""
        if len(arch) != self.n_var or not set(arch) <= set("012"):
            raise UserError(f"macro architectures are eight digits 0 to 2 like 02012100, got {arch!r}.")
        return np.array([int(c) for c in arch], dtype=np.int64)

    @property
    def forms(self) -> tuple[Form, ...]:
        """Adds the choices as a list of integers."""

        def read(value: Any, _: Operations) -> IntArray:
            x = numbers(value, self.n_var, "the choices of the eight layers")
            if x.max() > MB6_K5:
                raise UserError(f"macro has the choices 0, 1 and 2, got {x.max()} in {short(value)}.")
            return x

        text = "list of the eight choices (0 identity, 1 MB3 3x3, 2 MB6 5x5)"
        example = "[0, 2, 0, 1, 2, 1, 0, 0]"
        listed = Form("layers", text, example, read, lambda x, _: f"[{as_tuple(x)[1:-1]}]", plain=True)
        return (*super().forms, listed)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return multiply-adds or parameters in millions (exact; the file's own figures)."""
        if name not in ("flops", "params"):
            return super().cost(X, name)
        fixed, layers = _tables(*self.network)[name]
        return np.asarray((fixed + layers[np.arange(self.n_var), X].sum(axis=1)) / 1e6, dtype=np.float64)

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return ``(n,)`` keys: an identity stands behind the operation that it can be swapped with."""
        X = np.array(X, dtype=np.int64)
        for first, second in INTERCHANGEABLE:
            swap = (X[:, first] == IDENTITY) & (X[:, second] != IDENTITY)
            X[swap, first], X[swap, second] = X[swap, second], IDENTITY
        return super().canonical(X)

    def describe(self, x: IntArray) -> str:
        """Return the operations in words, stage by stage."""
        words = [LABELS[int(v)] for v in x]
        return " | ".join(", ".join(words[a:b]) for a, b in ((0, 2), (2, 5), (5, 8)))


def _layer(choice: int, c_in: int, c_out: int, stride: int, side: int) -> tuple[int, int]:
    """Return parameters and multiply-adds of one layer whose input has `side` pixels a side."""
    out = (side // stride) ** 2
    if choice == IDENTITY:
        return (0, 0) if stride == 1 else (c_in * c_out + 2 * c_out, c_in * c_out * out)
    expansion, kernel = (3, 3) if choice == MB3_K3 else (6, 5)
    wide = expansion * c_in
    params = wide * (c_in + kernel**2 + c_out) + 2 * (2 * wide + c_out)
    return params, wide * c_in * side**2 + wide * (kernel**2 + c_out) * out


@cache
def _tables(
    stem: int, shapes: tuple[tuple[int, int, int], ...], head: int, n_classes: int, side: int
) -> dict[str, tuple[int, IntArray]]:
    """Return for each cost the fixed part and the part ``(8, 3)`` of each layer and choice."""
    params, flops = np.zeros((2, len(shapes), 3), dtype=np.int64)
    fixed_flops = 27 * stem * side**2
    for layer, (c_in, c_out, stride) in enumerate(shapes):
        for choice in range(3):
            params[layer, choice], flops[layer, choice] = _layer(choice, c_in, c_out, stride, side)
        side //= stride
    last = shapes[-1][1]
    fixed_params = 27 * stem + 2 * stem + last * head + 2 * head + (head + 1) * n_classes
    fixed_flops += last * head * side**2 + head * n_classes
    return {"params": (fixed_params, params), "flops": (fixed_flops, flops)}
