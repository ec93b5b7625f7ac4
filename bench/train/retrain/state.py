"""What a final training works on: built, or loaded from its folder; and what came out of it in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.log import note
from smemnas.bench.provenance import environment
from smemnas.bench.train.devices import loss_scaler
from smemnas.bench.train.distributed import Processes
from smemnas.bench.train.faults import check_shared_memory, compiled, most_workers
from smemnas.bench.train.images import Images, open_images
from smemnas.bench.train.networks.counting import multiply_adds, parameters
from smemnas.bench.train.networks.mnv3.checkpoint import read
from smemnas.bench.train.retrain.folder import CHECKPOINT, Row, check_same
from smemnas.bench.train.retrain.images import (
    EVALUATION_BATCH,
    INIT,
    Photos,
    evaluation_batches,
    evaluation_transform,
    seed_all,
    stream,
    training_transform,
)
from smemnas.bench.train.retrain.networks import (
    build,
    definition,
    inherit,
    inherited_note,
    start_from,
    teacher,
    tested_note,
)
from smemnas.bench.train.retrain.parts import left_of_start, make_ema, make_optimizer, top_accuracies
from smemnas.bench.train.retrain.plan import PRETRAINED, RetrainPlan
from smemnas.bench.train.seen_images import repeats
from smemnas.bench.train.supernet.batches import CALIBRATION
from smemnas.bench.train.supernet.recalibration import CALIBRATION_BATCHES, CALIBRATION_SIZE

#: Share of the starting weights in a moving average from which on its decay rises slowly instead.
LEFT_OF_START = 0.05


@dataclass(frozen=True)
class Machine:
    """Where and how it is computed; of these, parts of a batch and threads move last digits.

    Attributes:
        device: "auto", "cpu", "cuda" or "cuda:N".
        accumulate: Parts that a process computes its share of a batch in, where memory is short.
        workers: Processes that load images, for each training process.
        tensorboard: Write TensorBoard's files too.
    """

    device: str = "auto"
    accumulate: int = 1
    workers: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= most_workers():
            raise UserError(f"--workers is 0 to {most_workers()} on this machine, got {self.workers}.")


@dataclass
class RetrainState:
    """What a training works on.

    Attributes:
        plan: What is trained.
        machine: How.
        group: The processes.
        net: The network.
        forward: The same, perhaps compiled.
        ema: timm's moving average of it, or None.
        ema_warmup: Whether its decay rises slowly.
        teacher: The teacher, or None.
        optimizer: timm's.
        scaler: Loss scaling, for fp16.
        train: Augmented training images.
        valid: Validation images, or None if they are trained on.
        rows: Metrics of the finished epochs; that of epoch 0 describes the start.
        resolution: Side of the network's input.
        classifier: "inherited" or "random", at the start.
        identity: What makes this training this one.
    """

    plan: RetrainPlan
    machine: Machine
    group: Processes
    net: nn.Module
    forward: Any
    ema: Any
    ema_warmup: bool
    teacher: nn.Module | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    train: Photos
    valid: Photos | None
    resolution: int
    classifier: str
    identity: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @property
    def judged(self) -> nn.Module:
        """The network whose accuracy counts."""
        return self.net if self.ema is None else self.ema.module


def start(
    plan: RetrainPlan, out: Path, machine: Machine, group: Processes, images: Images, identity: dict[str, Any]
) -> RetrainState:
    """Build all that the training works on, and load it from the folder where there is a checkpoint.

    In one piece: the order in which random streams are seeded and parts are built decides the weights.

    Raises:
        RunError: The folder holds another training.
    """
    recipe, device = plan.recipe, group.device
    held_out = open_images(plan.data, "valid", size=plan.size or None)
    side = plan.resolution or images.size
    images.check_side(side)
    share = max(recipe.batch // (group.world * machine.accumulate), EVALUATION_BATCH)
    check_shared_memory(machine.workers, 3 * side * side * share, group.world)
    seed_all(stream(plan.seed, INIT))
    net = build(plan, images.n_classes, side)
    plain = evaluation_transform(recipe, side)
    unchanged = Photos([images], plain, recipe)

    def calibration() -> Iterator[Tensor]:
        """Yield the images that the supernet's training and the search measured batch norms on."""
        size = min(CALIBRATION_SIZE, len(images))
        order = np.random.default_rng([plan.supernet_seed, CALIBRATION]).permutation(len(images))
        count = min(CALIBRATION_BATCHES, len(images) // size) * size
        for batch, _ in evaluation_batches(unchanged, order[:count], device, machine.workers):
            yield batch

    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    net = net.to(device, memory_format=layout)
    classifier = "random"
    if plan.weights and start_from(net, plan):
        classifier = "loaded"
    if plan.inherit and inherit(net, plan, images, calibration):
        classifier = "inherited"
    tutor = teacher(plan, images, calibration, device, side)
    inherited = inherited_note(plan, images, held_out)
    if inherited and group.rank == 0:
        note(inherited)
    optimizer = make_optimizer(net, recipe)
    scaler = loss_scaler(device, recipe.precision)
    trained = [images, held_out] if plan.all_images else [images]
    training = RetrainState(
        plan=plan,
        machine=machine,
        group=group,
        net=net,
        forward=compiled(net, device) if recipe.compile else net,
        ema=make_ema(net, recipe),
        ema_warmup=recipe.ema_warmup,
        teacher=tutor,
        optimizer=optimizer,
        scaler=scaler,
        train=Photos(trained, training_transform(recipe, images, side), recipe),
        valid=None if plan.all_images else Photos([held_out], plain, recipe),
        resolution=side,
        classifier=classifier,
        identity=identity,
    )
    updates = recipe.epochs * (len(training.train) // recipe.batch)
    left = left_of_start(recipe, updates)
    if (out / CHECKPOINT).exists():
        try:
            content = read(out / CHECKPOINT)
        except DataError as error:
            raise RunError(f"{error} Remove it, and the same command trains from the beginning.") from error
        check_same(out, content, identity)
        net.load_state_dict(content["net"])
        optimizer.load_state_dict(content["optimizer"])
        scaler.load_state_dict(content["scaler"])
        if training.ema is not None:
            training.ema.module.load_state_dict(content["ema"])
        training.ema_warmup = bool(content.get("ema_warmup", recipe.ema_warmup))
        training.rows = list(content["rows"])
    elif not recipe.ema_warmup and left > LEFT_OF_START:
        training.ema_warmup = True
        if group.rank == 0:
            note(
                f"after {updates} updates, ema={recipe.ema:g}: {100 * left:.0f} % of the moving average would "
                "be the weights of the start: its decay rises slowly instead, as with ema_warmup=true."
            )
    return training


def read_accuracies(training: RetrainState, net: nn.Module) -> Row:
    """Return the validation accuracies (%) of a network."""
    if training.valid is None:
        return {}
    recipe, group = training.plan.recipe, training.group
    first, five = top_accuracies(net, training.valid, recipe, group, training.machine.workers)
    return {"valid_top1": first, "valid_top5": five}


def result_of(training: RetrainState) -> Row:
    """Return what came out; here, and only here, the test split is opened."""
    plan, recipe, images = training.plan, training.plan.recipe, training.train.parts[0]
    test = open_images(plan.data, "test", size=plan.size or None, n_classes=images.n_classes)
    (seen, told), (twice, also) = tested_note(plan, test), repeats(training.train.parts, test)
    said = " ".join(filter(None, (told, also)))
    if said and training.group.rank == 0:
        note(said)
    photos = Photos([test], evaluation_transform(recipe, training.resolution), recipe)
    started = time.perf_counter()
    first, five = top_accuracies(training.judged, photos, recipe, training.group, training.machine.workers)
    reading = time.perf_counter() - started
    loaded = "timm's weights" if plan.weights == PRETRAINED else f"weights of {Path(plan.weights).name}"
    last, suffix = training.rows[-1], "" if training.ema is None else "_ema"
    return {
        **training.identity,
        "arch": plan.arch,
        **({"origin": dict(plan.origin)} if plan.origin else {}),
        "top1": first,
        "top5": five,
        "test_images": len(test),
        **({"test_images_seen": seen} if told else {}),
        **({"test_images_repeated": twice} if also else {}),
        **({"note": said} if said else {}),
        "weights": "last epoch" if training.ema is None else "moving average, last epoch",
        "valid_top1": last.get(f"valid_top1{suffix}"),
        "valid_images": None if training.valid is None else len(training.valid),
        **({} if training.ema is None else {"ema_warmup": training.ema_warmup}),
        "start": "inherited weights" if plan.inherit else loaded if plan.weights else "random weights",
        "start_classifier": training.classifier,
        "start_valid_top1": training.rows[0].get("valid_top1"),
        "training_images": len(training.train),
        "params": parameters(training.judged),
        "madds": multiply_adds(training.judged, training.resolution),
        "resolution": training.resolution,
        "image_size": images.size,
        **({"stopped_after": last["epoch"]} if last["epoch"] < recipe.epochs else {}),
        "seconds": round(sum(row["seconds"] for row in training.rows), 3),
        "seconds_test": round(reading, 3),
        "processes": training.group.world,
        "accumulate": training.machine.accumulate,
        "device": str(training.group.device),
        "recipe": recipe.to_dict(),
        "data": plan.data,
        "classes": list(images.classes),
        "mean": list(images.mean),
        "std": list(images.std),
        "supernet": str(plan.supernet) if plan.supernet is not None else None,
        "definition": definition(plan, images.n_classes, training.resolution),
        "environment": environment(),
    }
