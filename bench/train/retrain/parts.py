"""What a final training is made of: timm's optimizer, schedule, moving average and losses, and how it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from smemnas.bench.errors import UserError
from smemnas.bench.train.devices import autocast
from smemnas.bench.train.distributed import Processes
from smemnas.bench.train.retrain.images import Photos, evaluation_batches
from smemnas.bench.train.retrain.recipes import RetrainRecipe


def check_parts(recipe: RetrainRecipe, parts: int) -> None:
    """Check that a batch can be split.

    Raises:
        UserError: It cannot.
    """
    least = 2
    share = recipe.batch // max(parts, 1)
    odd = (recipe.mixup or recipe.cutmix) and share % 2
    if parts < 1 or recipe.batch % parts or share < least or odd:
        even = ", with an even number each (Mixup pairs images)" if odd else ""
        raise UserError(f"batch {recipe.batch} cannot be split into {parts} equal parts of at least two images{even}.")


def make_optimizer(net: nn.Module, recipe: RetrainRecipe) -> torch.optim.Optimizer:
    """Return timm's optimizer; norms and biases do not decay."""
    from timm.optim import create_optimizer_v2

    options = {"eps": recipe.epsilon} if recipe.epsilon else {}
    return create_optimizer_v2(
        net,
        opt=recipe.optimizer,
        lr=recipe.peak_lr,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        **options,
    )


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: RetrainRecipe, steps: int) -> Any:
    """Return timm's scheduler, to be stepped with the number of each update."""
    from timm.scheduler import create_scheduler_v2

    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=recipe.epochs,
        decay_epochs=recipe.decay_epochs,
        decay_rate=recipe.decay_rate,
        min_lr=recipe.min_lr,
        warmup_lr=recipe.warmup_lr,
        warmup_epochs=recipe.warmup,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    return scheduler


def make_ema(net: nn.Module, recipe: RetrainRecipe) -> Any:
    """Return timm's moving average of a network, or None; it warms up where its updates are given their number."""
    if not recipe.ema:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(net, decay=recipe.ema, use_warmup=True)


def left_of_start(recipe: RetrainRecipe, updates: int) -> float:
    """Return the share of the starting weights in a moving average of constant decay after some updates."""
    return recipe.ema**updates if recipe.ema else 0.0


def make_loss(recipe: RetrainRecipe, n_classes: int) -> tuple[nn.Module, Any]:
    """Return the loss against the labels and what mixes images and labels beforehand, or None."""
    from timm.data import Mixup
    from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

    if recipe.mixup or recipe.cutmix:
        mix = Mixup(
            mixup_alpha=recipe.mixup,
            cutmix_alpha=recipe.cutmix,
            label_smoothing=recipe.smoothing,
            num_classes=n_classes,
        )
        return SoftTargetCrossEntropy(), mix
    return (LabelSmoothingCrossEntropy(recipe.smoothing) if recipe.smoothing else nn.CrossEntropyLoss()), None


@torch.no_grad()
def average_statistics(nets: Sequence[nn.Module], group: Processes) -> None:
    """Average running batch norm statistics over all processes, which have seen different images."""
    if group.world == 1:
        return
    norms = [m for net in nets for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    values = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
    group.sum(values)
    for value in values:
        value /= group.world


@torch.no_grad()
def top_accuracies(
    net: nn.Module, photos: Photos, recipe: RetrainRecipe, group: Processes, workers: int = 0
) -> tuple[float, float]:
    """Return top-1 and top-5 accuracy (%) in evaluation mode; each process reads its share of the images.

    With five classes or fewer, every image counts as right among the first five.
    """
    training = net.training
    net.eval()
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    correct = torch.zeros(2, dtype=torch.float64, device=group.device)
    mine = np.arange(group.rank, len(photos), group.world)
    for images, labels in evaluation_batches(photos, mine, group.device, workers):
        with autocast(group.device, recipe.precision):
            logits = net(images.contiguous(memory_format=layout)).float()
        best = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        correct += torch.stack([best[:, 0].sum(), best.sum()])
    net.train(training)
    group.sum([correct])
    first, five = (100 * correct / len(photos)).tolist()
    return first, five
