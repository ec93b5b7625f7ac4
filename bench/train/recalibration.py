"""Batch norm statistics of sub-networks, and their accuracies.

The running statistics of a supernet are an average over all sub-networks that were trained; a sub-network read with
them is at chance. Its own statistics are measured on a few training images, 4 batches of 250 by default
(Cai et al., Once-for-All, ICLR 2020; Yu and Huang, US-Nets, ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError
from bench.train.mnv3.subnet import Subnet
from bench.train.mnv3.supernet import Supernet

#: Batches and images per batch that statistics are measured on.
CALIBRATION_BATCHES, CALIBRATION_SIZE = 4, 250

Statistics = list[tuple[Tensor, Tensor]]
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


def statistics(net: nn.Module) -> Statistics:
    """Return copies of all running means and variances."""
    return [(norm.running_mean.clone(), norm.running_var.clone()) for norm in _norms(net)]


@torch.no_grad()
def set_statistics(net: nn.Module, values: Statistics) -> None:
    """Put back what `statistics` returned."""
    for norm, (mean, var) in zip(_norms(net), values, strict=True):
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)


@torch.no_grad()
def accuracy(net: nn.Module, batches: Iterable[Labelled], arch: Subnet | None = None) -> float:
    """Return the top-1 accuracy (%) of a network in evaluation mode.

    Args:
        net: Any network.
        batches: Normalised images ``(n, 3, h, w)`` and labels ``(n,)``.
        arch: The sub-network to run, where the network is a supernet.
    """
    correct = n = 0
    with _evaluation(net):
        for images, labels in batches:
            correct += _correct(_logits(net, images, arch), labels)
            n += len(labels)
    return _percent([correct], n)[0]


@torch.no_grad()
def accuracies(
    supernet: Supernet,
    candidates: Sequence[tuple[Subnet, int]],
    batches: Iterable[Labelled],
    calibration: Sequence[Tensor] | None,
) -> list[float]:
    """Return the top-1 accuracies (%) of K sub-networks; each batch of images is fetched once for all of them.

    Args:
        supernet: Its weights and statistics are as before afterwards.
        candidates: Sub-networks, each with its resolution.
        batches: Normalised images ``(n, 3, h, w)`` and labels ``(n,)``; images are resized.
        calibration: Batches to measure each sub-network's statistics on; None reads all with the supernet's own.
    """
    before = statistics(supernet)
    own: list[Statistics] = []
    correct, n = [0] * len(candidates), 0
    try:
        for arch, side in candidates if calibration is not None else ():
            recalibrate(supernet, (resize(images, side) for images in calibration or ()), arch)
            own.append(statistics(supernet))
        with _evaluation(supernet):
            for images, labels in batches:
                sized = {side: resize(images, side) for side in {side for _, side in candidates}}
                n += len(labels)
                for k, (arch, side) in enumerate(candidates):
                    if own:
                        set_statistics(supernet, own[k])
                    correct[k] += _correct(_logits(supernet, sized[side], arch), labels)
    finally:
        set_statistics(supernet, before)
    return _percent(correct, n)


def resize(images: Tensor, side: int) -> Tensor:
    """Resize ``(n, 3, h, w)`` to a square, bilinearly and without aliasing; the right size is passed through."""
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def _norms(net: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics."""
    return [m for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def _logits(net: nn.Module, images: Tensor, arch: Subnet | None) -> Tensor:
    """Run a network where its weights are."""
    device = next(net.parameters()).device
    images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
    return net(images) if arch is None else net(images, arch)


def _correct(logits: Tensor, labels: Tensor) -> int:
    """Count the images whose label has the largest logit."""
    return int((logits.argmax(1) == labels.to(logits.device)).sum())


def _percent(correct: Sequence[int], n: int) -> list[float]:
    """Return shares of n in %."""
    if not n:
        raise UserError("an accuracy needs at least one batch of images.")
    return [100.0 * count / n for count in correct]


@contextmanager
def _evaluation(net: nn.Module) -> Iterator[None]:
    """Switch a network to evaluation mode and back."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
