"""Elastic layers: each holds the weights of its largest form and computes with their first part.

Names of sub-modules and parameters are those of the published supernets, so that their weights load by key.
Widths follow the input: a layer sees how many channels come in and slices its weights as views. Cai et al.,
Once-for-All, ICLR 2020, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.spaces.mnv3_choices import EXPANSIONS, KERNELS
from smemnas.spaces.mnv3_costs import make_divisible

BN_EPS, BN_MOMENTUM = 1e-5, 0.1
Activation = Callable[[Tensor], Tensor]


def relu(x: Tensor) -> Tensor:
    """Apply ReLU in place; the batch norm before it needs its input only."""
    return F.relu(x, inplace=True)


def activation(h_swish: bool) -> Activation:
    """Return h-swish or ReLU."""
    return F.hardswish if h_swish else relu


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with the settings of the published supernets."""
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


class ConvNorm(nn.Module):
    """A convolution and its batch norm, of fixed width."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = batch_norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised feature map."""
        return self.bn(self.conv(x))


class FirstBlock(nn.Module):
    """The block after the stem: depthwise 3 x 3, ReLU, pointwise; the same in every sub-network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth_conv = ConvNorm(channels, channels, 3, groups=channels)
        self.point_linear = ConvNorm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map of the same shape."""
        return self.point_linear(relu(self.depth_conv(x)))


class ElasticBatchNorm(nn.Module):
    """Batch norm over the first channels; its running statistics are updated in place there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = batch_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(n, c, h, w)`` by the first c channels."""
        bn, c = self.bn, x.shape[1]
        return F.batch_norm(
            x,
            bn.running_mean[:c],
            bn.running_var[:c],
            bn.weight[:c],
            bn.bias[:c],
            bn.training,
            bn.momentum,
            bn.eps,
        )


class ElasticConv(nn.Module):
    """A 1 x 1 convolution from the first input to the first output channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)

    def weight(self, c_in: int, c_out: int) -> Tensor:
        """Return the active weights ``(c_out, c_in, 1, 1)``, a view."""
        return self.conv.weight[:c_out, :c_in]

    def forward(self, x: Tensor, c_out: int) -> Tensor:
        """Return ``(n, c_out, h, w)``."""
        return F.conv2d(x, self.weight(x.shape[1], c_out))


class ElasticDepthwise(nn.Module):
    """A depthwise convolution of kernel 7, 5 or 3.

    The smaller kernel is the centre of the next larger one times a square matrix that all channels share; the
    matrices start as the identity.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels, KERNELS[-1], stride, groups=channels, bias=False)
        for small, large in pairwise(KERNELS):
            self.register_parameter(f"{large}to{small}_matrix", nn.Parameter(torch.eye(small**2)))

    def weight(self, channels: int, kernel: int) -> Tensor:
        """Return the active weights ``(channels, 1, kernel, kernel)``; a view for the largest kernel."""
        weight = self.conv.weight[:channels]
        for large, small in pairwise(reversed(KERNELS)):
            if kernel >= large:
                break
            margin = (large - small) // 2
            centre = weight[:, :, margin : margin + small, margin : margin + small].reshape(channels, small**2)
            weight = F.linear(centre, getattr(self, f"{large}to{small}_matrix")).view(channels, 1, small, small)
        return weight

    def forward(self, x: Tensor, kernel: int) -> Tensor:
        """Return the feature map, padded to keep its size before the stride."""
        c = x.shape[1]
        return F.conv2d(x, self.weight(c, kernel), None, self.stride, kernel // 2, groups=c)


class ElasticSqueeze(nn.Module):
    """Squeeze-and-excite over the first channels, reduced to a quarter, with a hard-sigmoid gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = make_divisible(channels // 4)
        self.fc = nn.ModuleDict({"reduce": nn.Conv2d(channels, reduced, 1), "expand": nn.Conv2d(reduced, channels, 1)})

    def weights(self, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the active weight and bias of the reduction and of the expansion, views."""
        q = make_divisible(channels // 4)
        reduce, expand = self.fc["reduce"], self.fc["expand"]
        return reduce.weight[:q, :channels], reduce.bias[:q], expand.weight[:channels, :q], expand.bias[:channels]

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of ``(n, c, h, w)``."""
        down, down_bias, up, up_bias = self.weights(x.shape[1])
        y = relu(F.conv2d(x.mean((2, 3), keepdim=True), down, down_bias))
        return x * F.hardsigmoid(F.conv2d(y, up, up_bias))


class Pointwise(nn.Module):
    """An elastic 1 x 1 convolution and its batch norm."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = ElasticConv(c_in, c_out)
        self.bn = ElasticBatchNorm(c_out)

    def forward(self, x: Tensor, c_out: int) -> Tensor:
        """Return ``(n, c_out, h, w)``."""
        return self.bn(self.conv(x, c_out))


class Depthwise(nn.Module):
    """An elastic depthwise convolution, its batch norm, the activation and squeeze-and-excite."""

    def __init__(self, channels: int, stride: int, squeeze: bool, act: Activation) -> None:
        super().__init__()
        self.conv = ElasticDepthwise(channels, stride)
        self.bn = ElasticBatchNorm(channels)
        self.act = act
        self.se = ElasticSqueeze(channels) if squeeze else None

    def forward(self, x: Tensor, kernel: int) -> Tensor:
        """Return the feature map with as many channels."""
        x = self.act(self.bn(self.conv(x, kernel)))
        return x if self.se is None else self.se(x)


class ElasticBlock(nn.Module):
    """An inverted residual of elastic kernel, expansion and output width."""

    def __init__(self, c_in: int, c_out: int, stride: int, squeeze: bool, h_swish: bool) -> None:
        super().__init__()
        mid = middle(c_in, EXPANSIONS[-1])
        self.c_out = c_out
        self.act = activation(h_swish)
        self.inverted_bottleneck = Pointwise(c_in, mid)
        self.depth_conv = Depthwise(mid, stride, squeeze, self.act)
        self.point_linear = Pointwise(mid, c_out)

    def forward(self, x: Tensor, kernel: int, expansion: int, c_out: int) -> Tensor:
        """Return ``(n, c_out, h / stride, w / stride)``, without the residual."""
        y = self.act(self.inverted_bottleneck(x, middle(x.shape[1], expansion)))
        return self.point_linear(self.depth_conv(y, kernel), c_out)


class Residual(nn.Module):
    """A block (called `conv` in the published weights) with its input added where `skip` and the shapes allow it."""

    def __init__(self, conv: nn.Module, skip: bool) -> None:
        super().__init__()
        self.conv = conv
        self.skip = skip

    def forward(self, x: Tensor, *setting: int) -> Tensor:
        """Return the block's output for a setting (kernel, expansion, output width) of an elastic one."""
        y = self.conv(x, *setting)
        return x + y if self.skip and x.shape == y.shape else y


def middle(c_in: int, expansion: int) -> int:
    """Return the channels of the depthwise convolution."""
    return make_divisible(round(c_in * expansion))


def initialise(net: nn.Module) -> None:
    """Draw weights: normal of variance 2 / fan-out for convolutions, biases 0, the classifier uniform."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel() // module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
