"""Training a supernet: the sandwich rule with in-place distillation, and progressive shrinking.

Each step trains the largest sub-network on the labels, then the smallest and some random ones on what the largest
just answered (Yu and Huang, US-Nets, ICCV 2019; Yu et al., BigNAS, ECCV 2020); their gradients add up. Progressive
shrinking (Cai et al., Once-for-All, ICLR 2020) opens the choices phase by phase.

Differs from OFA: the largest sub-network is trained in every step instead of once beforehand, and one learning-rate
schedule runs over all phases.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import write_text
from smemnas.bench.outputs import SUPERNET
from smemnas.bench.provenance import environment
from smemnas.bench.runs.folder import locked
from smemnas.bench.train.batches import Pixels, augment, resized_crops
from smemnas.bench.train.devices import autocast, check_amp, reproducible
from smemnas.bench.train.distributed import Processes, processes
from smemnas.bench.train.faults import is_out_of_memory
from smemnas.bench.train.images import Images, absolute, note_crop, note_small, open_images
from smemnas.bench.train.networks.mnv3.checkpoint import own_content, read, save
from smemnas.bench.train.networks.mnv3.supernet import Supernet
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.bench.train.seen_images import describe_images
from smemnas.bench.train.supernet.batches import (
    EVALUATION,
    IMAGES,
    calibration,
    epoch_order,
    evaluation,
    generator,
    step_subnets,
    torch_seed,
)
from smemnas.bench.train.supernet.plan import SupernetPlan
from smemnas.bench.train.supernet.recalibration import accuracies, resize
from smemnas.spaces.mnv3_choices import Subnet

CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"
#: Random sub-networks whose mean accuracy is reported, and validation images that accuracies are read on.
RANDOM_READ, IMAGES_READ = 4, 2_000

Row = dict[str, Any]
Report = Callable[[Row], None]
Progress = Callable[[int, int], None]


@dataclass
class SupernetState:
    """What changes while a supernet is trained.

    Attributes:
        plan: What is trained.
        net: The supernet.
        optimizer: SGD with its momentum.
        rows: Metrics of the finished epochs.
        images: What the checkpoint says about the training images.
        sizes: Resolutions to train at.
    """

    plan: SupernetPlan
    net: Supernet
    optimizer: torch.optim.SGD
    rows: list[Row]
    images: dict[str, Any]
    sizes: tuple[int, ...]


def train_supernet(
    plan: SupernetPlan,
    out: Path,
    *,
    device: str = "auto",
    accumulate: int = 1,
    report: Report | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Train a supernet, or go on with a training that was stopped; a folder holds one training.

    Writes `checkpoint.pt` after every epoch, whole or not at all, and `metrics.jsonl`, one row per epoch. A training
    that was killed goes on after its last finished epoch, with the same weights in the end as one that was not.

    Args:
        plan: What to train.
        out: Folder of the training.
        device: "auto", "cpu", "cuda" or "cuda:N".
        accumulate: Parts that a process computes its share of a batch in, where memory is short.
        report: Called with the row of each epoch, in the first process.
        progress: Called with (steps done, all steps).

    Returns:
        The rows of all epochs.

    Raises:
        UserError: The plan does not fit the data or the machine.
        RunError: The loss is no number, or the folder cannot be used.
    """
    try:
        with (
            processes(device) as group,
            locked(out, SUPERNET) if group.rank == 0 else nullcontext(),
            reproducible(group.device, deterministic=plan.deterministic),
        ):
            return _train(plan, out, group, accumulate, report, progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory with {plan.batch} images per step in {accumulate} parts; finished epochs are kept: give "
            f"the same command with --accumulate {2 * accumulate}."
        ) from error


def _train(
    plan: SupernetPlan,
    out: Path,
    group: Processes,
    accumulate: int,
    report: Report | None,
    progress: Progress | None,
) -> list[Row]:
    """Do what `train_supernet` says, as one of a group of processes."""
    plan = replace(plan, data=absolute(plan.data))  # it is read from other folders later
    parts = group.world * accumulate
    if accumulate < 1 or plan.batch % parts or plan.batch < 2 * parts:
        raise UserError(f"--batch {plan.batch} cannot be split into {parts} equal parts of at least two images.")
    if plan.amp:
        check_amp(group.device)
    train, valid = (
        Pixels(open_images(plan.data, split, size=plan.size or None), group.device) for split in ("train", "valid")
    )
    for side in plan.resolutions:
        train.images.check_side(side)
    training = _start(plan, out, train.images, group)
    if not training.rows and group.rank == 0:
        note_small(valid.images)
        note_crop(train.images, plan.recipe.crop, "--crop ")
    for epoch in range(len(training.rows), plan.epochs):
        row = _epoch(training, epoch, train, group, accumulate, progress)
        if group.rank == 0:
            row |= read_accuracies(training, epoch, train, valid)
        training.rows.append(row)
        if group.rank == 0:
            _write(training, out)
            if report is not None:
                report(row)
        group.wait()
    return training.rows


def _start(plan: SupernetPlan, out: Path, train: Images, group: Processes) -> SupernetState:
    """Build the network, or load it from the folder.

    Raises:
        RunError: The folder holds another training.
    """
    torch.manual_seed(plan.seed)
    shape = plan.shape(train.n_classes)
    net = Supernet(shape)
    path = out / CHECKPOINT
    content = read(path) if path.exists() else None
    if content is not None:
        found = SupernetPlan.from_dict(content.get("plan", {}))
        found = replace(found, data=absolute(found.data))  # written as given by older versions
        if found != plan:
            raise RunError(
                f"{out} holds a training with {'; '.join(plan.differences(found))}: choose another --out, or give the "
                "same options to continue."
            )
        if content.get("data_sha256") != train.sha256:
            raise RunError(f"{out} was trained on other images than {plan.data} holds now: choose another --out.")
        net.load_state_dict(content["state_dict"])
    net = net.to(group.device, memory_format=torch.channels_last)
    optimizer, sizes = _optimizer(net, plan), plan.resolutions or (train.size,)
    about = describe_images(train)
    if content is None:
        return SupernetState(plan, net, optimizer, [], about, sizes)
    optimizer.load_state_dict(content["optimizer"])
    return SupernetState(plan, net, optimizer, list(content["metrics"]), about, sizes)


def _optimizer(net: Supernet, plan: SupernetPlan) -> torch.optim.SGD:
    """Return SGD; norms, biases and kernel matrices (which start as the identity) do not decay."""
    decayed = [p for name, p in net.named_parameters() if p.ndim > 1 and not name.endswith("_matrix")]
    others = [p for name, p in net.named_parameters() if p.ndim == 1 or name.endswith("_matrix")]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=plan.lr, momentum=plan.momentum, nesterov=plan.momentum > 0)


def _epoch(
    training: SupernetState,
    epoch: int,
    train: Pixels,
    group: Processes,
    accumulate: int,
    progress: Progress | None = None,
) -> Row:
    """Train one epoch.

    Raises:
        RunError: The loss is no number.
    """
    plan, net, optimizer = training.plan, training.net, training.optimizer
    started = time.perf_counter()
    smallest = plan.shrinks_from(epoch)
    if smallest is not None:
        net.sort_channels(smallest)
        optimizer.state.clear()  # momentum belongs to channels that are elsewhere now
    net.train()
    order = epoch_order(plan, len(train.images), epoch)
    parts = group.world * accumulate
    mine = range(group.rank * accumulate, (group.rank + 1) * accumulate)
    rows = [step.chunk(parts)[part] for step in order for part in mine]
    raws = zip(rows, train.batches(rows), strict=True)
    sums = np.zeros(2)
    for step in range(len(order)):
        lr = plan.recipe.lr_at(epoch + step / len(order))
        for settings in optimizer.param_groups:
            settings["lr"] = lr
        subnets, side = step_subnets(plan, training.sizes, epoch, step)
        optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(len(subnets), device=group.device)
        for part in mine:
            at, raw = next(raws)
            torch.manual_seed(torch_seed(plan, IMAGES, epoch, step, part))  # for dropout
            draws = torch.Generator().manual_seed(torch_seed(plan, IMAGES, epoch, step, part, 1))
            images = augment(raw, plan.recipe, train.images, draws)
            images = resized_crops(images, side, plan.rrc, draws) if plan.rrc else resize(images, side)
            labels = torch.from_numpy(train.images.labels[at.numpy()]).to(group.device)
            losses += sandwich(net, images, labels, subnets, plan.recipe, 1 / parts)
        group.sum([losses, *(p.grad for p in net.parameters() if p.grad is not None)])
        values = losses.tolist()
        if not all(map(math.isfinite, values)):
            kept = f"the weights after epoch {epoch} are kept" if epoch else "no epoch was finished"
            raise RunError(
                f"the loss became {next(v for v in values if not math.isfinite(v))} in epoch {epoch + 1}, step "
                f"{step + 1} of {len(order)}, at learning rate {lr:.3g}; {kept}: give a smaller --lr, a --warmup or "
                "--clip, with another --out."
            )
        if plan.clip:
            nn.utils.clip_grad_norm_(net.parameters(), plan.clip)
        optimizer.step()
        sums += values[0], np.mean(values[1:] or [0.0])
        if progress is not None:
            progress(epoch * len(order) + step + 1, plan.epochs * len(order))
    loss, distillation = (sums / len(order)).tolist()
    return {
        "epoch": epoch + 1,
        "phase": plan.phase(epoch),
        "loss": loss,
        "distillation_loss": distillation,
        "lr": lr,
        "steps": len(order),
        "seconds": round(time.perf_counter() - started, 3),
    }


def sandwich(
    net: Supernet, images: Tensor, labels: Tensor, subnets: Sequence[Subnet], recipe: TrainingRecipe, scale: float
) -> Tensor:
    """Add the gradients of one step's sub-networks on some images.

    Args:
        net: The supernet in training mode.
        images: ``(n, 3, h, w)``.
        labels: ``(n,)``.
        subnets: The largest, which learns from the labels, then those that learn from it.
        recipe: Label smoothing and precision.
        scale: Factor of losses and gradients.

    Returns:
        The loss of each sub-network times `scale`, detached ``(k,)``.
    """
    losses: list[Tensor] = []
    target: Tensor = labels
    for arch in subnets:
        with autocast(images.device, recipe.precision):
            logits = net(images, arch)
        logits = logits.float()
        smoothing = recipe.label_smoothing if target is labels else 0.0
        loss = F.cross_entropy(logits, target, label_smoothing=smoothing) * scale
        loss.backward()
        losses.append(loss.detach())
        if target is labels:
            target = logits.detach().softmax(1)
    return torch.stack(losses)


def read_accuracies(training: SupernetState, epoch: int, train: Pixels, valid: Pixels) -> Row:
    """Return validation accuracies (%) of the largest, the smallest and random sub-networks of an epoch's phase.

    Each is read with its own batch norm statistics and (`..._plain`) with the supernet's.
    """
    plan, started = training.plan, time.perf_counter()
    choices, sizes = plan.choices_of(epoch), training.sizes
    rng = generator(plan, EVALUATION)
    candidates = [(choices.largest(), sizes[-1]), (choices.smallest(), sizes[0])]
    candidates += [(choices.sample(rng), int(rng.choice(sizes))) for _ in range(RANDOM_READ)]
    row: Row = {}
    for suffix, batches in (("", calibration(plan, train)), ("_plain", None)):
        found = accuracies(training.net, candidates, evaluation(plan, valid, IMAGES_READ), batches)
        row |= {f"largest{suffix}": found[0], f"smallest{suffix}": found[1]}
        row[f"random{suffix}"] = sum(found[2:]) / RANDOM_READ
    return {**row, "seconds_reading": round(time.perf_counter() - started, 3)}


def _write(training: SupernetState, out: Path) -> None:
    """Write checkpoint, then metrics, each whole or not at all; the checkpoint holds the metrics too."""
    save(
        out / CHECKPOINT,
        {
            **own_content(training.net.shape, training.net),
            "plan": training.plan.to_dict(),
            "resolutions": list(training.sizes),
            **training.images,
            "environment": environment(),
            "epoch": len(training.rows),
            "metrics": training.rows,
            "optimizer": training.optimizer.state_dict(),
        },
    )
    write_text(out / METRICS, "".join(json.dumps(row, allow_nan=False) + "\n" for row in training.rows))
