"""Final training of a found network by timm, flat and in one place.

Everything random is drawn from (seed, epoch, place in the epoch), so a training that was killed and resumed ends
with the weights of one that was not. The test split is opened once, after the last epoch, for the weights of the
last epoch: no epoch is chosen by it, nor by the validation images.

With several processes (torchrun), each computes its parts of a step's batch, and gradients are added up as in
`bench.train.supernet.loop`: losses and gradients of a step are those of one process that accumulates over the
same parts, up to rounding. Running batch norm statistics are averaged over the processes after each epoch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from smemnas.bench.errors import RunError
from smemnas.bench.files import write_json, write_text
from smemnas.bench.outputs import RETRAINING
from smemnas.bench.runs.clock import Ends
from smemnas.bench.runs.folder import locked
from smemnas.bench.train.batches import cut_out
from smemnas.bench.train.devices import autocast, check_device, reproducible
from smemnas.bench.train.distributed import Processes, processes
from smemnas.bench.train.faults import explained, is_out_of_memory
from smemnas.bench.train.images import note_crop, open_images
from smemnas.bench.train.networks.mnv3.checkpoint import save
from smemnas.bench.train.retrain.folder import (
    CHECKPOINT,
    FORMAT,
    METRICS,
    RESULT,
    WEIGHTS,
    Row,
    finished,
    tensorboard,
)
from smemnas.bench.train.retrain.images import (
    CUTOUT,
    STEP,
    epoch_rows,
    seed_all,
    stream,
    training_batches,
)
from smemnas.bench.train.retrain.parts import (
    average_statistics,
    check_parts,
    make_loss,
    make_scheduler,
)
from smemnas.bench.train.retrain.plan import RetrainPlan
from smemnas.bench.train.retrain.state import Machine, RetrainState, read_accuracies, result_of, start

#: Updates between two looks at the loss.
LOOK = 50

#: The device that is there, whole batches, images loaded in the training process.
STANDARD = Machine()

Report = Callable[[Row], None]
Progress = Callable[[int, int], None]


def retrain(
    plan: RetrainPlan,
    out: Path,
    machine: Machine = STANDARD,
    *,
    report: Report | None = None,
    progress: Progress | None = None,
    ends: Ends | None = None,
) -> Row:
    """Train a network, or go on with a training that was stopped; a folder holds one training.

    Writes `checkpoint.pt` and `metrics.jsonl` after every epoch, each whole or not at all, at the end `weights.pt` and
    `result.json`. A finished training is not repeated.

    Args:
        plan: What to train.
        out: Folder of the training.
        machine: Where.
        report: Called with the row of each epoch, in the first process.
        progress: Called with (updates done, all updates): at each look at the loss, and after 1, 2, 4, 8, ... updates
            of an epoch, by which a short part of a training can be timed.
        ends: Asked before each epoch, with the epochs so far; True ends the training with the weights as they are. Of
            several processes each has to answer the same.

    Returns:
        The content of `result.json`.

    Raises:
        UserError: The plan does not fit the data or the machine.
        RunError: The loss is no number, memory ran out, or the folder cannot be used.
        DataError: The data or the supernet cannot be read.
    """
    try:
        with (
            processes(machine.device) as group,
            locked(out, RETRAINING) if group.rank == 0 else nullcontext(),
            reproducible(group.device, deterministic=plan.recipe.deterministic, tuned=True),
        ):
            return _retrain(plan, out, machine, group, report, progress, ends)
    except (RuntimeError, MemoryError, OSError) as error:
        other = explained(error)
        if other is not None:
            raise other from error
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory with {plan.recipe.batch} images per step in {machine.accumulate} parts; finished epochs "
            f"are kept: give the same command with --accumulate {2 * machine.accumulate} (or --set a smaller "
            "batch, with another --out)."
        ) from error


def _retrain(
    plan: RetrainPlan,
    out: Path,
    machine: Machine,
    group: Processes,
    report: Report | None,
    progress: Progress | None,
    ends: Ends | None,
) -> Row:
    """Do what `retrain` says, as one of a group of processes."""
    recipe = plan.recipe
    check_parts(recipe, group.world * machine.accumulate)
    check_device(str(group.device), recipe.precision)
    images = open_images(plan.data, "train", size=plan.size or None)
    identity = {"format": FORMAT, "plan": plan.to_dict(), "data_sha256": images.sha256}
    before = finished(out, identity)
    if before is not None:
        return before
    writer = tensorboard(out) if machine.tensorboard and group.rank == 0 else None
    training = start(plan, out, machine, group, images, identity)
    if not training.rows:
        if group.rank == 0 and not recipe.rrc:
            note_crop(images, recipe.crop, "--set crop=")
        first = {
            "epoch": 0,
            "classifier": training.classifier,
            **read_accuracies(training, training.net),
            "seconds": 0.0,
        }
        training.rows.append(first)
        if report is not None and group.rank == 0:
            report(first)
    for epoch in range(len(training.rows) - 1, recipe.epochs):
        if ends is not None and ends(epoch):
            break
        row = _epoch(training, epoch, progress)
        row |= read_accuracies(training, training.net)
        if training.ema is not None:
            row |= {f"{key}_ema": value for key, value in read_accuracies(training, training.ema.module).items()}
        training.rows.append(row)
        if group.rank == 0:
            _write(training, out)
            if writer is not None:
                for key in row.keys() - {"epoch", "steps"}:
                    writer.add_scalar(key, row[key], row["epoch"])
                writer.flush()
            if report is not None:
                report(row)
        group.wait()
    result = result_of(training)
    if group.rank == 0:
        save(out / WEIGHTS, training.judged.state_dict())
        write_json(out / RESULT, result)
        (out / CHECKPOINT).unlink(missing_ok=True)
        if writer is not None:
            writer.close()
    group.wait()
    return result


def _epoch(training: RetrainState, epoch: int, progress: Progress | None) -> Row:
    """Train one epoch.

    In one piece: an epoch's batches, steps and sums are one loop over the same tensors.

    Raises:
        RunError: The loss is no number.
    """
    from timm.loss import SoftTargetCrossEntropy
    from timm.utils import dispatch_clip_grad

    plan, recipe, group, net = training.plan, training.plan.recipe, training.group, training.net
    started = time.perf_counter()
    rows = epoch_rows(len(training.train), recipe.batch, plan.seed, epoch)
    steps, parts = len(rows), group.world * training.machine.accumulate
    mine = range(group.rank * training.machine.accumulate, (group.rank + 1) * training.machine.accumulate)
    scheduler = make_scheduler(training.optimizer, recipe, steps)
    loss_of, mix = make_loss(recipe, training.train.parts[0].n_classes)
    soft = SoftTargetCrossEntropy()
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    batches = training_batches(
        training.train,
        [np.split(row, parts)[part] for row in rows for part in mine],
        recipe,
        seed=plan.seed,
        epoch=epoch,
        parts=[step * parts + part for step in range(steps) for part in mine],
        device=group.device,
        workers=training.machine.workers,
    )
    net.train()
    total = torch.zeros(1, device=group.device)
    for step in range(steps):
        update = epoch * steps + step
        scheduler.step_update(update)
        training.optimizer.zero_grad(set_to_none=True)
        for part in mine:
            images, labels = next(batches)
            place = epoch, step * parts + part
            seed_all(stream(plan.seed, STEP, *place))  # for Mixup, dropout and drop-path
            images = images.contiguous(memory_format=layout)
            if recipe.cutout:
                draws = torch.Generator().manual_seed(stream(plan.seed, CUTOUT, *place))
                images = cut_out(images, recipe.cutout, draws)
            if mix is not None:
                images, labels = mix(images, labels)
            with autocast(group.device, recipe.precision):
                logits = training.forward(images)
                taught = None if training.teacher is None else training.teacher(images)
            loss = loss_of(logits.float(), labels)
            if taught is not None:
                told = soft(logits.float(), taught.float().softmax(1))
                loss = (loss + recipe.distill * told) / (1 + recipe.distill)
            loss = loss / parts
            training.scaler.scale(loss).backward()
            total += loss.detach()
        group.sum([p.grad for p in net.parameters() if p.grad is not None])
        if recipe.clip:
            training.scaler.unscale_(training.optimizer)
            dispatch_clip_grad(net.parameters(), recipe.clip)
        training.scaler.step(training.optimizer)
        training.scaler.update()
        if training.ema is not None:
            training.ema.update(net, step=update + 1 if training.ema_warmup else None)
        looked = (step + 1) % LOOK == 0 or step + 1 == steps
        if looked:
            _check_loss(training, float(total), epoch, step, steps)
        if progress is not None and (looked or (step + 1).bit_count() == 1):
            total.cpu()  # waits for the device: what is told of is done
            progress(update + 1, steps * recipe.epochs)
    group.sum([total])
    average_statistics([net] if training.ema is None else [net, training.ema.module], group)
    return {
        "epoch": epoch + 1,
        "loss": float(total) / steps,
        "lr": training.optimizer.param_groups[0]["lr"],
        "steps": steps,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _check_loss(training: RetrainState, total: float, epoch: int, step: int, steps: int) -> None:
    """Check that the sum of losses so far is a number.

    Raises:
        RunError: It is not.
    """
    if math.isfinite(total):
        return
    kept = f"the weights after epoch {epoch} are kept" if epoch else "no epoch was finished"
    rate = training.optimizer.param_groups[0]["lr"]
    raise RunError(
        f"the loss became {total} in epoch {epoch + 1}, step {step + 1} of {steps} or shortly before, at learning rate "
        f"{rate:.3g}; {kept}: --set a smaller lr, a warmup or clip=5, with another --out."
    )


def _write(training: RetrainState, out: Path) -> None:
    """Write checkpoint, then metrics, each whole or not at all; the checkpoint holds the metrics too."""
    save(
        out / CHECKPOINT,
        {
            **training.identity,
            "net": training.net.state_dict(),
            "ema": None if training.ema is None else training.ema.module.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "scaler": training.scaler.state_dict(),
            "ema_warmup": training.ema_warmup,
            "rows": training.rows,
        },
    )
    write_text(out / METRICS, "".join(json.dumps(row, allow_nan=False) + "\n" for row in training.rows))
