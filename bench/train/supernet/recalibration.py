"""Batch norm statistics of sub-networks, and their accuracies.

The running statistics of a supernet are an average over all sub-networks that were trained; a sub-network read with
them is at chance. Its own statistics are measured on a few training images, 4 batches of 250 by default
(Cai et al., Once-for-All, ICLR 2020; Yu and Huang, US-Nets, ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.train.devices import full_float32
from smemnas.bench.train.faults import is_out_of_memory
from smemnas.bench.train.networks.mnv3.supernet import Supernet
from smemnas.bench.train.networks.mnv3.to_timm import extract_timm
from smemnas.spaces.mnv3_choices import Subnet

#: Batches and images per batch that statistics are measured on.
CALIBRATION_BATCHES, CALIBRATION_SIZE = 4, 250

Labelled = tuple[Tensor, Tensor]


@torch.no_grad()
def recalibrate(net: nn.Module, batches: Iterable[Tensor], arch: Subnet | None = None) -> None:
    """Replace a network's batch norm statistics by their average over batches.

    The mean and the unbiased variance of each batch enter with the number of its images as weight; nothing is left
    of the statistics before. The result depends on the batches and their order only.

    Args:
        net: Any network; only its running statistics change.
        batches: Normalised images ``(n, 3, h, w)``, as in training but without augmentation.
        arch: The sub-network to run, where the network is a supernet.

    Raises:
        UserError: There is no batch.
    """
    norms = _norms(net)
    momenta = [norm.momentum for norm in norms]
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
    seen = 0
    try:
        for images in batches:
            seen += len(images)
            for norm in norms:
                norm.momentum = len(images) / seen
            _logits(net, images, arch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
    if not seen:
        raise UserError("batch norm statistics need at least one batch of images.")


@torch.no_grad()
def accuracy(net: nn.Module, batches: Iterable[Labelled], arch: Subnet | None = None) -> float:
    """Return the top-1 accuracy (%) of a network in evaluation mode.

    Args:
        net: Any network.
        batches: Normalised images ``(n, 3, h, w)`` and labels ``(n,)``.
        arch: The sub-network to run, where the network is a supernet.
    """
    correct: Tensor | int = 0
    n = 0
    with _evaluation(net):
        for images, labels in batches:
            correct += _correct(_logits(net, images, arch), labels)
            n += len(labels)
    return _percent([correct], n)[0]


@full_float32()
@torch.no_grad()
def accuracies(
    supernet: Supernet,
    candidates: Sequence[tuple[Subnet, int]],
    batches: Iterable[Labelled],
    calibration: Sequence[Tensor] | None,
) -> list[float]:
    """Return the top-1 accuracies (%) of K sub-networks; each batch of images is fetched and resized once for all.

    Each is a network of its own with a copy of its weights: none of them changes the supernet or another's result.
    The copies take K times the memory of a sub-network.

    Args:
        supernet: Stays as it is.
        candidates: Sub-networks, each with its resolution.
        batches: Normalised images ``(n, 3, h, w)`` and labels ``(n,)``; images are resized.
        calibration: Batches to measure each sub-network's statistics on; None reads all with the supernet's own.

    Raises:
        UserError: There is no batch.
    """
    with torch.random.fork_rng([]):  # timm draws weights, which the copies then replace
        nets = [extract_timm(supernet, arch).to(memory_format=torch.channels_last) for arch, _ in candidates]
    sides = sorted({side for _, side in candidates})
    if calibration is not None:
        for side in sides:  # one resolution at a time bounds the memory
            sized = [resize(images, side) for images in calibration]
            for net, (_, own) in zip(nets, candidates, strict=True):
                if own == side:
                    recalibrate(net, sized)
    for net in nets:
        _fold_norms(net)
    correct: list[Tensor | int] = [0] * len(candidates)
    n = 0
    for images, labels in batches:
        n += len(labels)
        by_side = {side: resize(images, side) for side in sides}
        for k, (_, side) in enumerate(candidates):
            correct[k] += _correct(_logits(nets[k], by_side[side]), labels)
    return _percent(correct, n)


def resize(images: Tensor, side: int) -> Tensor:
    """Resize ``(n, 3, h, w)`` to a square, bilinearly and without aliasing; the right size is passed through."""
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def _norms(net: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics."""
    return [m for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def _logits(net: nn.Module, images: Tensor, arch: Subnet | None = None) -> Tensor:
    """Run a network where its weights are.

    Raises:
        RunError: Out of memory.
    """
    device = next(net.parameters()).device
    try:
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        return net(images) if arch is None else net(images, arch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        n, _, height, width = images.shape
        raise RunError(
            f"out of memory on {device} with {n} images of {height} x {width} pixels: take another device, or smaller "
            "resolutions."
        ) from error


def _fold_norms(net: nn.Module) -> None:
    """Move the batch norms of a timm model into the convolution that is registered before each.

    In evaluation a norm only scales and shifts channels; this saves a quarter of the time.
    """
    for module in net.modules():
        conv: Any = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                conv = child
            elif isinstance(child, _BatchNorm):
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, child.running_mean, child.running_var, child.eps, child.weight, child.bias
                )
                setattr(module, name, child.act)


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the images whose label has the largest logit; the number stays on the device, nobody waits for it."""
    return (logits.argmax(1) == labels.to(logits.device)).sum()


def _percent(correct: Sequence[Tensor | int], n: int) -> list[float]:
    """Return shares of n in %."""
    if not n:
        raise UserError("an accuracy needs at least one batch of images.")
    return [100.0 * int(count) / n for count in correct]


@contextmanager
def _evaluation(net: nn.Module) -> Iterator[None]:
    """Switch a network to evaluation mode and back."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
