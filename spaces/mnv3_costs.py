"""OFA-MobileNetV3: parameters, multiply-adds and latency, exact and by table look-up.

Every layer of the network is in one of ten states: absent, or one of 3 kernels x 3 expansions. A cost that
is a sum over layers is therefore a table ``(20, 10)`` (with more axes for the input resolution and for the widths
of two stages where they matter) plus a constant for the layers that never change; a batch of architectures costs
one gather and one sum. Structure and widths: Cai et al., Once-for-All, ICLR 2020; counting rules:

* parameters: convolution weights, two per batch-norm channel, squeeze-and-excite with biases, classifier
  with bias;
* multiply-adds: convolutions and linear layers, squeeze-and-excite's two 1x1 included; batch norm, biases,
  activations, pooling and residual sums are free.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.spaces.mnv3_choices import CHOICES, EXPANSIONS, FULL, KERNELS, MAX_DEPTH, N_LAYERS, N_STAGES, Choices

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: State of a layer: 0 absent, else 1 + 3 * kernel index + expansion index.
N_STATES = 1 + len(KERNELS) * len(EXPANSIONS)
#: Strides of the published networks: the stem's, and that of the first layer of each stage.
STEM_STRIDE, STRIDES = 2, (2, 2, 2, 1, 2)
#: Stride of the stem and of the first layer of each stage, by kind of stem.
STEMS = {"imagenet": (STEM_STRIDE, STRIDES), "small": (1, (2, 2, 2, 1, 1))}
SQUEEZE = (False, True, False, True, True)
H_SWISH = (False, False, True, True, True)
BASE_WIDTHS = (24, 40, 80, 112, 160)
BASE_STEM, BASE_EXPAND, BASE_MIX = 16, 960, 1280


def make_divisible(v: float) -> int:
    """Round a width to a multiple of 8, never below 90 % of it (the rule of the MobileNet papers)."""
    rounded = max(8, int(v + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * v else rounded


def narrowed(channels: int, percent: int) -> int:
    """Return the channels of a stage that has a share of its full ones."""
    return make_divisible(channels * percent / 100)


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
        state: 1..9, see `N_STATES`; with other choices than the published ones 1 + their number of expansions *
            kernel index + expansion index.
        narrow: Index of the width of the stage before it (0 within a stage and in the first) and of its own.
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
    narrow: tuple[int, int]
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

    def layers(self, choices: Choices = CHOICES["ofa"]) -> Iterator[Layer]:
        """Yield all candidate layers, 20 x 9 of the published choices.

        Where widths can be chosen, each layer comes once per width of its stage, and the first of a stage once per
        width of the stage before it too.
        """
        sources: tuple[int, ...] = (self.stem,)
        size = self.size
        for stage, full in enumerate(self.widths):
            after = -(-size // self.strides[stage])
            own = tuple(narrowed(full, percent) for percent in choices.widths)
            for w, c_out in enumerate(own):
                for v, source in enumerate(sources):
                    yield from self._candidates(stage, 0, (v, w), (source, c_out), (size, after), choices)
                for j in range(1, MAX_DEPTH):
                    yield from self._candidates(stage, j, (0, w), (c_out, c_out), (after, after), choices)
            sources, size = own, after

    def _candidates(
        self,
        stage: int,
        j: int,
        narrow: tuple[int, int],
        channels: tuple[int, int],
        sizes: tuple[int, int],
        choices: Choices,
    ) -> Iterator[Layer]:
        """Yield the layers that one place of a stage can have between two feature maps."""
        stride = 1 if j else self.strides[stage]
        for state, (kernel, expansion) in enumerate(itertools.product(choices.kernels, choices.expansions), start=1):
            yield Layer(
                index=MAX_DEPTH * stage + j,
                state=state,
                narrow=narrow,
                c_in=channels[0],
                mid=make_divisible(round(channels[0] * expansion)),
                c_out=channels[1],
                kernel=kernel,
                stride=stride,
                squeeze=SQUEEZE[stage],
                h_swish=H_SWISH[stage],
                skip=stride == 1 and channels[0] == channels[1],
                size_in=sizes[0],
                size_out=sizes[1],
            )

    def fixed_parameters(self, n_classes: int, percent: int = FULL) -> int:
        """Parameters of stem, first block, final expansion, feature mix and classifier.

        Args:
            n_classes: Size of the classifier.
            percent: Width of the last stage.
        """
        stem = 27 * self.stem + 2 * self.stem
        block = 9 * self.stem + 2 * self.stem + self.stem**2 + 2 * self.stem
        head = narrowed(self.widths[-1], percent) * self.expand + 2 * self.expand + self.expand * self.mix
        return stem + block + head + (self.mix + 1) * n_classes

    def fixed_madds(self, n_classes: int, percent: int = FULL) -> int:
        """Multiply-adds of the same layers for one image."""
        last = narrowed(self.widths[-1], percent)
        early = self.size**2 * (27 * self.stem + 9 * self.stem + self.stem**2)
        return early + self.last**2 * last * self.expand + self.expand * self.mix + self.mix * n_classes

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
    """Counts of one space with W widths of a stage and S states of a layer, as integers.

    Column (v * W + w) * S + state is that of a layer behind a stage of width v in one of width w.

    Attributes:
        fixed_params: Parameters ``(W,)`` of the layers that every sub-network has, by the width of the last stage.
        params: Parameters ``(20, W * W * S)`` by layer and column.
        fixed_madds: Multiply-adds ``(r, W)`` of the fixed layers by resolution.
        madds: Multiply-adds ``(r, 20, W * W * S)``.
    """

    fixed_params: IntArray
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
    choices: Choices = CHOICES["ofa"],
) -> CostTables:
    """Count every candidate layer once; the arrays are shared and read-only."""
    n_widths, n_states = len(choices.widths), choices.n_states
    params = np.zeros((N_LAYERS, n_widths**2 * n_states), dtype=np.int64)
    madds = np.zeros((len(resolutions), *params.shape), dtype=np.int64)
    fixed = np.zeros((len(resolutions), n_widths), dtype=np.int64)
    for r, resolution in enumerate(resolutions):
        net = network(width, resolution, stem_stride, strides)
        fixed[r] = [net.fixed_madds(n_classes, percent) for percent in choices.widths]
        for layer in net.layers(choices):
            before, own = layer.narrow
            column = (before * n_widths + own) * n_states + layer.state
            params[layer.index, column] = layer.parameters()
            madds[r, layer.index, column] = layer.madds()
    fixed_params = np.array([net.fixed_parameters(n_classes, percent) for percent in choices.widths])
    for counts in (params, madds, fixed, fixed_params):
        counts.flags.writeable = False
    return CostTables(fixed_params, params, fixed, madds)
