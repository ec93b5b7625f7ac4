"""Sub-networks as timm models: definition, model, weights.

A sub-network is timm's `MobileNetV3` with a written-out block definition. Three of its defaults differ: the gate of
squeeze-and-excite, the bias of the head and the epsilon of the batch norms. Its stem always has stride 2, which
is changed afterwards where images are small.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train.networks.mnv3.layers import BN_EPS, BN_MOMENTUM, ElasticBlock, FirstBlock, middle
from smemnas.bench.train.networks.mnv3.subnet import Shape, as_subnet
from smemnas.bench.train.networks.mnv3.supernet import Supernet
from smemnas.spaces.base import IntArray
from smemnas.spaces.mnv3_choices import MAX_DEPTH, N_STAGES, Subnet
from smemnas.spaces.mnv3_costs import H_SWISH, SQUEEZE, narrowed, network

Weights = dict[str, Tensor]


def timm_definition(arch: Subnet | IntArray, shape: Shape) -> dict[str, Any]:
    """Return what timm's `MobileNetV3` is built from, as JSON values.

    Returns:
        `arch_def` (block strings of each stage), `stem_size`, `stem_stride`, `num_features`, `num_classes`.
    """
    widths = network(shape.width, 224)
    stages: list[list[str]] = [[] for _ in range(N_STAGES)]
    arch = as_subnet(arch, shape.choices)
    for stage, j, kernel, expansion in arch.layers():
        stride = shape.strides[stage] if j == 0 else 1
        squeeze = "_se0.25" if SQUEEZE[stage] else ""
        act = "hs" if H_SWISH[stage] else "re"
        channels = narrowed(widths.widths[stage], arch.widths[stage])
        stages[stage].append(f"ir_r1_k{kernel}_s{stride}_e{expansion}_c{channels}{squeeze}_n{act}")
    return {
        "arch_def": [
            [f"ds_r1_k3_s1_e1_c{widths.stem}_nre"],
            *stages,
            [f"cn_r1_k1_s1_c{widths.expand}_nhs"],
        ],
        "stem_size": widths.stem,
        "stem_stride": shape.stem_stride,
        "num_features": widths.mix,
        "num_classes": shape.n_classes,
    }


def build_timm(arch: Subnet | IntArray, shape: Shape, drop_path: float = 0.0) -> nn.Module:
    """Return timm's `MobileNetV3` of one sub-network, with random weights.

    Args:
        arch: The sub-network.
        shape: Of the supernet.
        drop_path: Probability that training skips the last residual block; earlier ones in proportion to their depth.
    """
    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.mobilenetv3 import MobileNetV3

    definition = timm_definition(arch, shape)
    net = MobileNetV3(
        decode_arch_def(definition["arch_def"]),
        num_classes=definition["num_classes"],
        stem_size=definition["stem_size"],
        fix_stem=True,
        num_features=definition["num_features"],
        head_bias=False,
        act_layer=nn.Hardswish,
        norm_layer=partial(nn.BatchNorm2d, eps=BN_EPS, momentum=BN_MOMENTUM),
        se_layer=partial(SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels),
        drop_rate=shape.dropout,
        drop_path_rate=drop_path,
    )
    net.conv_stem.stride = (shape.stem_stride, shape.stem_stride)
    return net


@torch.no_grad()
def extract(supernet: Supernet, arch: Subnet | IntArray) -> Weights:
    """Return a sub-network's own weights under timm's names, for `build_timm(arch, shape).load_state_dict`.

    Small depthwise kernels are computed from the large ones here, once; batch norm statistics are those of the
    supernet and want recalibration.
    """
    found: Weights = {"conv_stem.weight": supernet.first_conv.conv.weight}
    found |= _norm("bn1", supernet.first_conv.bn)
    found |= _first_block(supernet.blocks[0].conv)
    c_in = supernet.first_conv.conv.out_channels
    arch = as_subnet(arch, supernet.shape.choices)
    for stage, j, kernel, expansion in arch.layers():
        block = supernet.blocks[1 + MAX_DEPTH * stage + j].conv
        c_out = narrowed(block.c_out, arch.widths[stage])
        found |= _block(f"blocks.{stage + 1}.{j}", block, (c_in, c_out), kernel, expansion)
        c_in = c_out
    last = f"blocks.{N_STAGES + 1}.0"
    found[f"{last}.conv.weight"] = supernet.final_expand_layer.conv.weight[:, :c_in]
    found |= _norm(f"{last}.bn1", supernet.final_expand_layer.bn)
    found["conv_head.weight"] = supernet.feature_mix_layer.conv.weight
    found["classifier.weight"] = supernet.classifier.linear.weight
    found["classifier.bias"] = supernet.classifier.linear.bias
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in found.items()}


def extract_timm(supernet: Supernet, arch: Subnet | IntArray) -> nn.Module:
    """Return a sub-network as a timm model with its own copy of the weights, in evaluation mode."""
    weights = extract(supernet, arch)
    net = build_timm(arch, supernet.shape).to(weights["conv_stem.weight"])
    net.load_state_dict(weights)
    return net.eval()


def _first_block(block: FirstBlock) -> Weights:
    """Return the weights of the block after the stem."""
    name = "blocks.0.0"
    return {
        f"{name}.conv_dw.weight": block.depth_conv.conv.weight,
        **_norm(f"{name}.bn1", block.depth_conv.bn),
        f"{name}.conv_pw.weight": block.point_linear.conv.weight,
        **_norm(f"{name}.bn2", block.point_linear.bn),
    }


def _block(name: str, block: ElasticBlock, channels: tuple[int, int], kernel: int, expansion: int) -> Weights:
    """Return the active weights of an inverted residual between that many channels."""
    c_in, c_out = channels
    mid = middle(c_in, expansion)
    depth = block.depth_conv
    found = {
        f"{name}.conv_pw.weight": block.inverted_bottleneck.conv.weight(c_in, mid),
        **_norm(f"{name}.bn1", block.inverted_bottleneck.bn.bn, mid),
        f"{name}.conv_dw.weight": depth.conv.weight(mid, kernel),
        **_norm(f"{name}.bn2", depth.bn.bn, mid),
        f"{name}.conv_pwl.weight": block.point_linear.conv.weight(mid, c_out),
        **_norm(f"{name}.bn3", block.point_linear.bn.bn, c_out),
    }
    if depth.se is not None:
        keys = ("conv_reduce.weight", "conv_reduce.bias", "conv_expand.weight", "conv_expand.bias")
        found |= {f"{name}.se.{key}": value for key, value in zip(keys, depth.se.weights(mid), strict=True)}
    return found


def _norm(name: str, bn: nn.BatchNorm2d, channels: int | None = None) -> Weights:
    """Return the first channels of a batch norm (all by default)."""
    parts = {key: getattr(bn, key)[:channels] for key in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.{key}": value for key, value in parts.items()} | {
        f"{name}.num_batches_tracked": bn.num_batches_tracked
    }


class Resized(nn.Module):
    """A network at its own resolution, whatever size the images have.

    Args:
        size: Side of the images that the network sees.
        network: The network.
    """

    def __init__(self, size: int, network: nn.Module) -> None:
        super().__init__()
        self.size = size
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)`` of images ``(n, 3, h, w)``, resized bilinearly with antialiasing."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return self.network(images)


def build_mnv3(x: IntArray, resolution: int, shape: Shape) -> nn.Module:
    """Return the network of a genotype with random weights."""
    return Resized(resolution, build_timm(x, shape))
