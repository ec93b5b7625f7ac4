"""OFA-MobileNetV3: parameters, multiply-adds and latency, exact and by table look-up.

Every layer of the network is in one of ten states: absent, or one of 3 kernels x 3 expansions. A cost that
is a sum over layers is therefore a table ``(20, 10)`` (with one more axis for the input resolution where it
matters) plus a constant for the layers that never change; a batch of architectures costs one gather and one
sum. Structure and widths: Cai et al., Once-for-All, ICLR 2020; counting rules:

* parameters: convolution weights, two per batch-norm channel, squeeze-and-excite with biases, classifier
  with bias;
* multiply-adds: convolutions and linear layers, squeeze-and-excite's two 1x1 included; batch norm, biases,
  activations, pooling and residual sums are free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.program import PROGRAM

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

N_STAGES = 5
MAX_DEPTH = 4
N_LAYERS = N_STAGES * MAX_DEPTH
KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
DEPTHS = (2, 3, 4)
#: State of a layer: 0 absent, else 1 + 3 * kernel index + expansion index.
N_STATES = 1 + len(KERNELS) * len(EXPANSIONS)
#: Strides of the published networks: the stem's, and that of the first layer of each stage.
STEM_STRIDE, STRIDES = 2, (2, 2, 2, 1, 2)
SQUEEZE = (False, True, False, True, True)
H_SWISH = (False, False, True, True, True)
BASE_WIDTHS = (24, 40, 80, 112, 160)
BASE_STEM, BASE_EXPAND, BASE_MIX = 16, 960, 1280


def make_divisible(v: float) -> int:
    """Round a width to a multiple of 8, never below 90 % of it (the rule of the MobileNet papers)."""
    rounded = max(8, int(v + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * v else rounded


def check_shape(width: float, stem_stride: int, strides: Sequence[int], n_classes: int) -> None:
    """Check what decides the tensors and strides of a network.

    Raises:
        UserError: A value makes no sense.
    """
    if not 0.05 <= width <= 8:
        raise UserError(
            f"a width multiplier lies between 0.05 and 8 (the published supernets: 1.0, 1.2), got {width!r}."
        )
    if n_classes < 1:
        raise UserError(f"a classifier needs at least one class, got {n_classes}.")
    if stem_stride not in (1, 2) or len(strides) != N_STAGES or not set(strides) <= {1, 2}:
        raise UserError(
            f"strides are 1 or 2, one for the stem and {N_STAGES} for the stages, got {stem_stride} and {strides}."
        )


@dataclass(frozen=True)
class Layer:
    """One candidate layer of the five stages.

    Attributes:
        index: 0..19, stage major.
        state: 1..9, see `N_STATES`.
        c_in: Input channels.
        mid: Channels of the depthwise convolution.
        c_out: Output channels.
        kernel: Side of the depthwise kernel.
        stride: 1 or 2.
        squeeze: Whether it has squeeze-and-excite.
        h_swish: Whether its activation is h-swish (else ReLU).
        skip: Whether a residual connection goes around it.
        size_in: Side of the input feature map.
        size_out: Side of the output feature map.
    """

    index: int
    state: int
    c_in: int
    mid: int
    c_out: int
    kernel: int
    stride: int
    squeeze: bool
    h_swish: bool
    skip: bool
    size_in: int
    size_out: int

    def parameters(self) -> int:
        """Trainable parameters."""
        total = self.c_in * self.mid + self.kernel**2 * self.mid + self.mid * self.c_out
        total += 2 * (self.mid + self.mid + self.c_out)
        if self.squeeze:
            q = make_divisible(self.mid // 4)
            total += 2 * self.mid * q + self.mid + q
        return total

    def madds(self) -> int:
        """Multiply-adds for one image."""
        total = self.size_in**2 * self.c_in * self.mid
        total += self.size_out**2 * self.mid * (self.kernel**2 + self.c_out)
        if self.squeeze:
            total += 2 * self.mid * make_divisible(self.mid // 4)
        return total

    def key(self) -> str:
        """Name of the layer in OFA's latency files."""
        a, b = self.size_in, self.size_out
        return (
            f"expanded_conv-input:{a}x{a}x{self.c_in}-output:{b}x{b}x{self.c_out}-expand:{self.mid}"
            f"-kernel:{self.kernel}-stride:{self.stride}-idskip:{int(self.skip)}"
            f"-se:{int(self.squeeze)}-hs:{int(self.h_swish)}"
        )


@dataclass(frozen=True)
class Network:
    """The parts that every sub-network shares, at one width and input resolution.

    Attributes:
        stem: Channels of the stem and of the first block.
        widths: Output channels of the five stages.
        expand: Channels of the final expansion.
        mix: Channels of the feature mix.
        size: Side of the feature map after the stem.
        last: Side of the feature map after the last stage.
        resolution: Side of the input image.
        strides: Stride of the first layer of each stage.
    """

    stem: int
    widths: tuple[int, ...]
    expand: int
    mix: int
    size: int
    last: int
    resolution: int
    strides: tuple[int, ...]

    def layers(self) -> Iterator[Layer]:
        """Yield all 20 x 9 candidate layers."""
        c_in, size = self.stem, self.size
        for stage, c_out in enumerate(self.widths):
            after = -(-size // self.strides[stage])
            for j in range(MAX_DEPTH):
                first = j == 0
                stride = self.strides[stage] if first else 1
                source = c_in if first else c_out
                for state in range(1, N_STATES):
                    k, e = divmod(state - 1, len(EXPANSIONS))
                    yield Layer(
                        index=MAX_DEPTH * stage + j,
                        state=state,
                        c_in=source,
                        mid=make_divisible(round(source * EXPANSIONS[e])),
                        c_out=c_out,
                        kernel=KERNELS[k],
                        stride=stride,
                        squeeze=SQUEEZE[stage],
                        h_swish=H_SWISH[stage],
                        skip=stride == 1 and source == c_out,
                        size_in=size if first else after,
                        size_out=after,
                    )
            c_in, size = c_out, after

    def fixed_parameters(self, n_classes: int) -> int:
        """Parameters of stem, first block, final expansion, feature mix and classifier."""
        stem = 27 * self.stem + 2 * self.stem
        block = 9 * self.stem + 2 * self.stem + self.stem**2 + 2 * self.stem
        head = self.widths[-1] * self.expand + 2 * self.expand + self.expand * self.mix
        return stem + block + head + (self.mix + 1) * n_classes

    def fixed_madds(self, n_classes: int) -> int:
        """Multiply-adds of the same layers for one image."""
        early = self.size**2 * (27 * self.stem + 9 * self.stem + self.stem**2)
        return early + self.last**2 * self.widths[-1] * self.expand + self.expand * self.mix + self.mix * n_classes

    def fixed_keys(self) -> tuple[str, ...]:
        """Names of the same layers in OFA's latency files (written for 1,000 classes)."""
        r, a, b, c, wide = self.resolution, self.size, self.last, self.widths[-1], self.expand
        return (
            f"Conv-input:{r}x{r}x3-output:{a}x{a}x{self.stem}",
            f"expanded_conv-input:{a}x{a}x{self.stem}-output:{a}x{a}x{self.stem}-expand:{self.stem}"
            "-kernel:3-stride:1-idskip:1-se:0-hs:0",
            f"Conv_1-input:{b}x{b}x{c}-output:{b}x{b}x{wide}",
            f"AvgPool2D-input:{b}x{b}x{wide}-output:1x1x{wide}",
            f"Conv_2-input:1x1x{wide}-output:1x1x{self.mix}",
            f"Logits-input:1x1x{self.mix}-output:1000",
        )


def network(
    width: float, resolution: int, stem_stride: int = STEM_STRIDE, strides: tuple[int, ...] = STRIDES
) -> Network:
    """Return the shared structure for a width multiplier, an input resolution and strides."""
    size = last = -(-resolution // stem_stride)
    for stride in strides:
        last = -(-last // stride)
    widths = tuple(make_divisible(w * width) for w in BASE_WIDTHS)
    stem, wide, mix = (make_divisible(w * width) for w in (BASE_STEM, BASE_EXPAND, BASE_MIX))
    return Network(stem, widths, wide, mix, size, last, resolution, strides)


@dataclass(frozen=True)
class CostTables:
    """Counts of one space, as integers.

    Attributes:
        fixed_params: Parameters of the layers that every sub-network has.
        params: Parameters ``(20, 10)`` by layer and state.
        fixed_madds: Multiply-adds ``(r,)`` of those layers by resolution.
        madds: Multiply-adds ``(r, 20, 10)``.
    """

    fixed_params: int
    params: IntArray
    fixed_madds: IntArray
    madds: IntArray


@cache
def cost_tables(
    width: float,
    resolutions: tuple[int, ...],
    n_classes: int,
    stem_stride: int = STEM_STRIDE,
    strides: tuple[int, ...] = STRIDES,
) -> CostTables:
    """Count every candidate layer once; the arrays are shared and read-only."""
    params = np.zeros((N_LAYERS, N_STATES), dtype=np.int64)
    madds = np.zeros((len(resolutions), N_LAYERS, N_STATES), dtype=np.int64)
    fixed = np.zeros(len(resolutions), dtype=np.int64)
    for r, resolution in enumerate(resolutions):
        net = network(width, resolution, stem_stride, strides)
        fixed[r] = net.fixed_madds(n_classes)
        for layer in net.layers():
            params[layer.index, layer.state] = layer.parameters()
            madds[r, layer.index, layer.state] = layer.madds()
    for counts in (params, madds, fixed):
        counts.flags.writeable = False
    return CostTables(network(width, resolutions[0]).fixed_parameters(n_classes), params, fixed, madds)


@dataclass(frozen=True)
class LatencyTable:
    """Measured latency of every candidate layer on one device, in ms.

    Attributes:
        device: Name of the device.
        width: Width multiplier of the network that was measured.
        resolutions: Input resolutions measured, ``r`` of them.
        fixed: Sum over the layers that every sub-network has, ``(r,)``.
        layers: Latency ``(r, 20, 10)`` by layer and state; 0 where a layer is absent.
    """

    device: str
    width: float
    resolutions: tuple[int, ...]
    fixed: FloatArray
    layers: FloatArray


def compile_latency(device: str, width: float, means: Mapping[int, Mapping[str, float]]) -> LatencyTable:
    """Arrange the entries of OFA's latency files for look-up.

    Args:
        device: Name of the device.
        width: Width multiplier of the measured network.
        means: For each resolution, layer name -> mean latency (ms).

    Raises:
        DataError: A layer of the network is not in the files.
    """
    resolutions = tuple(sorted(means))
    fixed = np.zeros(len(resolutions))
    layers = np.zeros((len(resolutions), N_LAYERS, N_STATES))
    for r, resolution in enumerate(resolutions):
        net, entries = network(width, resolution), means[resolution]
        try:
            fixed[r] = math.fsum(entries[key] for key in net.fixed_keys())
            for layer in net.layers():
                layers[r, layer.index, layer.state] = entries[layer.key()]
        except KeyError as error:
            raise DataError(
                f"the {device} latency file for resolution {resolution} has no layer {error.args[0]!r}: "
                f"it was not made for OFA-MobileNetV3 of width {width}."
            ) from error
    return LatencyTable(device, width, resolutions, fixed, layers)


def parse_latency_file(text: str) -> dict[str, tuple[float, float, int]]:
    """Parse one of OFA's latency files (a flat YAML: a name, then count, mean, std).

    Returns:
        Layer name -> (mean, standard deviation, count); ms.

    Raises:
        DataError: A line is none of the four forms, or an entry is incomplete.
    """
    found: dict[str, dict[str, float]] = {}
    entry: dict[str, float] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, value = line.rpartition(":")
        if not line.strip():
            continue
        try:
            if not line[0].isspace() and colon and not value.strip():
                entry = found.setdefault(name, {})
            elif line[0].isspace() and entry is not None and name.strip() in ("count", "mean", "std"):
                entry[name.strip()] = float(value)
            else:
                raise ValueError
        except ValueError as error:
            raise DataError(
                f"latency file, line {number}: expected a layer name or its count, mean or std, got {line!r}."
            ) from error
    for name, values in found.items():
        if len(values) != 3 or not 0 < values["mean"] < math.inf:
            raise DataError(f"latency file: the entry {name!r} is incomplete or no latency: {values}.")
    if not found:
        raise DataError("latency file: it has no entry.")
    return {name: (v["mean"], v["std"], int(v["count"])) for name, v in found.items()}


def check_latency(table: LatencyTable | None, width: float, resolutions: tuple[int, ...]) -> None:
    """Check that a latency table answers for a space.

    Raises:
        UserError: There is none, or it was measured on another width or other resolutions.
    """
    if width != 1.2:
        raise UserError(
            f"latency was measured on the network of width 1.2 only, this space has width {width}: "
            "use data set imagenet-w12, or leave latency out."
        )
    if table is None:
        raise UserError(f"latency needs the Note10 table: {PROGRAM} data fetch mnv3, then open mnv3/imagenet-w12.")
    if table.width != width or not set(resolutions) <= set(table.resolutions):
        raise UserError(
            f"the {table.device} latency table covers width {table.width} at resolutions "
            f"{', '.join(map(str, table.resolutions))}; this space has width {width} at "
            f"{', '.join(map(str, resolutions))}: choose among the measured ones."
        )
