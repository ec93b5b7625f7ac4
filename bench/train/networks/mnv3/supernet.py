"""The OFA-MobileNetV3 supernet: one set of weights, 1e19 sub-networks (Cai et al., Once-for-All, ICLR 2020).

The sub-network to run is an argument of the forward pass, not a state of the module: two threads or two
passes cannot disturb each other. Keys of the state_dict are those of the published checkpoints.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train.networks.mnv3.layers import ConvNorm, ElasticBlock, FirstBlock, Residual, initialise, middle
from smemnas.bench.train.networks.mnv3.subnet import Shape, as_subnet
from smemnas.spaces.base import IntArray
from smemnas.spaces.mnv3_choices import MAX_DEPTH, Subnet
from smemnas.spaces.mnv3_costs import H_SWISH, SQUEEZE, make_divisible, narrowed, network


class Supernet(nn.Module):
    """The largest network; `forward` computes any of its sub-networks.

    Args:
        shape: Width, strides and classes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        widths = network(shape.width, 224)
        self.first_conv = ConvNorm(3, widths.stem, 3, shape.stem_stride)
        blocks = [Residual(FirstBlock(widths.stem), skip=True)]
        c_in = widths.stem
        for stage, c_out in enumerate(widths.widths):
            for j in range(MAX_DEPTH):
                stride = shape.strides[stage] if j == 0 else 1
                block = ElasticBlock(c_in, c_out, stride, SQUEEZE[stage], H_SWISH[stage])
                blocks.append(Residual(block, skip=stride == 1))
                c_in = c_out
        self.blocks = nn.ModuleList(blocks)
        self.final_expand_layer = ConvNorm(c_in, widths.expand, 1)
        self.feature_mix_layer = nn.Sequential(OrderedDict(conv=nn.Conv2d(widths.expand, widths.mix, 1, bias=False)))
        self.classifier = nn.Sequential(OrderedDict(linear=nn.Linear(widths.mix, shape.n_classes)))
        initialise(self)

    def forward(self, images: Tensor, arch: Subnet | IntArray) -> Tensor:
        """Run one sub-network.

        Args:
            images: ``(n, 3, h, w)``; their size is the resolution.
            arch: Genotype of its choices, whose resolution gene does not enter, or its decoded form.

        Returns:
            Logits ``(n, n_classes)``.
        """
        x = self.blocks[0](F.hardswish(self.first_conv(images)))
        arch = as_subnet(arch, self.shape.choices)
        for stage, j, kernel, expansion in arch.layers():
            block = self.blocks[1 + MAX_DEPTH * stage + j]
            x = block(x, kernel, expansion, narrowed(block.conv.c_out, arch.widths[stage]))
        last = self.final_expand_layer
        x = last.bn(F.conv2d(x, last.conv.weight[:, : x.shape[1]]))
        x = F.hardswish(x).mean((2, 3), keepdim=True)
        x = F.hardswish(self.feature_mix_layer(x)).flatten(1)
        return self.classifier(F.dropout(x, self.shape.dropout, self.training))

    @torch.no_grad()
    def sort_channels(self, smallest: int) -> None:
        """Bring the most important middle channels of each block to the front, before expansions shrink further.

        The importance of a channel is the L1 norm of the weights that read it (section 3.3). Only channels that
        the smallest expansion trained so far has are moved, among themselves: no sub-network of that or of a
        larger expansion computes anything else afterwards.

        Args:
            smallest: Smallest expansion trained so far.
        """
        for residual in self.blocks[1:]:
            _sort_block(residual.conv, smallest)


def _sort_block(block: ElasticBlock, smallest: int) -> None:
    """Sort the middle channels of one block, see `Supernet.sort_channels`."""
    expand, depth, project = block.inverted_bottleneck, block.depth_conv, block.point_linear.conv.conv
    channels = middle(expand.conv.conv.in_channels, smallest)
    order = _order(project.weight, channels)
    _permute(project.weight, order, 1)
    for tensor in (expand.conv.conv.weight, depth.conv.conv.weight):
        _permute(tensor, order)
    for norm in (expand.bn.bn, depth.bn.bn):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            _permute(tensor, order)
    if depth.se is not None:
        reduce, enlarge = depth.se.fc["reduce"], depth.se.fc["expand"]
        _permute(reduce.weight, order, 1)
        _permute(enlarge.weight, order)
        _permute(enlarge.bias, order)
        hidden = _order(enlarge.weight, make_divisible(channels // 4))
        _permute(enlarge.weight, hidden, 1)
        _permute(reduce.weight, hidden)
        _permute(reduce.bias, hidden)


def _order(weight: Tensor, n: int) -> Tensor:
    """Return the first `n` inputs of a convolution in order of falling L1 norm."""
    return weight[:, :n].abs().sum((0, 2, 3)).argsort(descending=True, stable=True)


def _permute(tensor: Tensor, order: Tensor, dim: int = 0) -> None:
    """Reorder the first ``len(order)`` slices along a dimension, in place."""
    part = tensor.narrow(dim, 0, len(order))
    part.copy_(part.index_select(dim, order))
