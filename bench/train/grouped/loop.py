"""Train several seeds of one network as one grouped network: `bench.train.loop`, with each number once for each member.

First weights, order and augmentation are drawn for a member as its training alone draws them, its loss is its own, and
neither optimizer knows anything but single weights. So a member learns what it learns alone up to rounding, whose
differences grow with every step. Memory layout is torch's plain one, whatever the recipe says.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train import loop
from smemnas.bench.train.batches import Pixels, augment, prepare
from smemnas.bench.train.devices import autocast, check_device, loss_scaler
from smemnas.bench.train.faults import compiled
from smemnas.bench.train.grouped.network import grouped, member_states, side_by_side
from smemnas.bench.train.images import Images
from smemnas.bench.train.loop import TrainingOutcome
from smemnas.bench.train.recipes import TrainingRecipe


def train_group(
    build: Callable[[], nn.Module],
    training: Images,
    validation: Images,
    recipe: TrainingRecipe,
    *,
    seeds: Sequence[int],
    folder: Path,
    places: Sequence[Path],
    device: str = "cpu",
    parent: int | None = None,
) -> list[TrainingOutcome] | None:
    """Train one network with several seeds; each one's weights and curve go to its own folder.

    Args:
        build: Makes the network with random weights from torch's global generator, which is seeded for each.
        training: Images to learn from.
        validation: Images that give the errors.
        recipe: How; `bench.train.grouped.check_grouped` takes it.
        seeds: Roots of all randomness, one for each member.
        folder: Of the checkpoint, to go on from; it stays when all is done.
        places: Folders of the members.
        device: "cpu" or "cuda:K".
        parent: Process that wants the result; when it is gone, the training ends after its epoch.

    Returns:
        What each gave, seconds as an equal share of all. None where a loss among several is not finite: a device may
        compute groups with zeros between them, and zero times infinity reaches the others, so they have no result.

    Raises:
        UserError: The device does not exist or lacks the recipe's precision, or the network cannot be grouped.
        RunError: Out of memory, or the disk is full.
    """
    check_device(device, recipe.precision)
    for place in (folder, *places):
        place.mkdir(parents=True, exist_ok=True)
    smaller = "a smaller grouped=..., or a smaller batch=... (results of another batch are another recipe)"
    with loop.faults_explained(recipe, device, smaller), loop.pinned(recipe, device):
        plain = replace(recipe, channels_last=False)
        return _train(build, training, validation, plain, seeds, folder, places, torch.device(device), parent)


def _train(
    build: Callable[[], nn.Module],
    training: Images,
    validation: Images,
    recipe: TrainingRecipe,
    seeds: Sequence[int],
    folder: Path,
    places: Sequence[Path],
    device: torch.device,
    parent: int | None,
) -> list[TrainingOutcome] | None:
    """Do what `train_group` says."""
    k = len(seeds)
    network = _first(build, recipe, seeds, training.size).to(device)
    optimizer = loop.make_optimizer(network, recipe)
    scaler = loss_scaler(device, "float32")  # none: see `check_grouped`
    forward = compiled(network, device) if recipe.compile else network
    pixels, held_out = Pixels(training, device), Pixels(validation, device)
    labels = torch.from_numpy(training.labels).to(device)
    done, curve, before = loop.resume(folder, network, optimizer, scaler, device)
    start = time.perf_counter()
    steps = loop.steps_of_epoch(len(training), recipe)
    while done < recipe.epochs:
        draws = [torch.Generator().manual_seed(loop.stream(seed, loop.AUGMENT, done)) for seed in seeds]
        order = torch.stack([loop.order_of_epoch(len(training), seed, done) for seed in seeds])
        network.train()
        total = torch.zeros(k, device=device)
        rows = [order[:, step * recipe.batch : (step + 1) * recipe.batch].flatten() for step in range(steps)]
        for step, (at, raw) in enumerate(zip(rows, pixels.batches(rows), strict=True)):
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(done + step / steps)
            images = side_by_side(augment(raw, recipe, training, draws), k)
            with autocast(device, recipe.precision):
                losses = _losses(forward(images), labels[at], k, recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimizer.step()
            total += losses.detach()
        means = [loss / steps for loss in total.tolist()]
        seconds = before + time.perf_counter() - start
        if not all(map(math.isfinite, means)):
            failed = TrainingOutcome(math.nan, f"loss is {means[0]} in epoch {done + 1}", seconds, done)
            return [failed] if k == 1 else None
        done += 1
        curve.append({"epoch": done, "train_loss": means})
        if done % recipe.evaluate_every == 0 or done == recipe.epochs:
            curve[-1]["valid_error"] = error_percents(network, k, held_out, recipe)
        seconds = before + time.perf_counter() - start
        state = {"epoch": done, "curve": curve, "seconds": seconds, "network": network.state_dict()}
        loop.save_state(
            folder / loop.CHECKPOINT, state | {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
        )
        for member, place in enumerate(places):
            loop.write_curve(place / loop.CURVE, [_row(row, member) for row in curve])
        if parent is not None and os.getppid() != parent:
            raise SystemExit("the process that asked for this training is gone")
    for place, weights in zip(places, member_states(network, k), strict=True):
        loop.save_state(place / loop.WEIGHTS, weights)
    share = (before + time.perf_counter() - start) / k
    return [TrainingOutcome(value, "", share, done) for value in curve[-1]["valid_error"]]


def _first(build: Callable[[], nn.Module], recipe: TrainingRecipe, seeds: Sequence[int], side: int) -> nn.Module:
    """Return the grouped network with the first weights of each seed."""
    members = []
    for seed in seeds:
        torch.manual_seed(loop.stream(seed, loop.INIT))
        members.append(build())
    network = grouped(members, side)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = recipe.bn_momentum
    return network


def _losses(logits: Tensor, labels: Tensor, k: int, smoothing: float) -> Tensor:
    """Return the mean loss of each member ``(k,)``.

    Args:
        logits: ``(n, k * n_classes)``.
        labels: ``(k * n,)``, member by member.
        k: Members.
        smoothing: Share of the target that is spread over all classes.
    """
    own = logits.unflatten(1, (k, -1)).transpose(0, 1).flatten(0, 1)
    each = F.cross_entropy(own, labels, label_smoothing=smoothing, reduction="none")
    return each.unflatten(0, (k, -1)).mean(dim=1)


@torch.no_grad()
def error_percents(network: nn.Module, k: int, pixels: Pixels, recipe: TrainingRecipe) -> list[float]:
    """Return each member's share of wrongly classified images in percent, in evaluation mode."""
    network.eval()
    images, device = pixels.images, pixels.device
    labels = torch.from_numpy(images.labels).to(device)
    wrong = torch.zeros(k, dtype=torch.int64, device=device)
    rows = list(torch.arange(len(images)).split(loop.EVALUATION_BATCH))
    for at, raw in zip(rows, pixels.batches(rows), strict=True):
        with autocast(device, recipe.precision):
            logits = network(prepare(raw, recipe, images).repeat(1, k, 1, 1))
        wrong += (logits.unflatten(1, (k, -1)).argmax(dim=2) != labels[at][:, None]).sum(dim=0)
    return [100.0 * n / len(images) for n in wrong.tolist()]


def _row(row: dict[str, Any], member: int) -> dict[str, Any]:
    """Return a row of the curve of one member."""
    return {key: value[member] if isinstance(value, list) else value for key, value in row.items()}
