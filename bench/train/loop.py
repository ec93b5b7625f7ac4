"""Train one network, from its first weights to a result on disk, flat and in one place.

Everything random is drawn from (seed, epoch): the order of the images, their augmentation, dropout. So an
epoch that was interrupted is repeated exactly, from the checkpoint that the epoch before it left, and a training
that was killed and resumed ends with the weights of one that was not.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.errors import RunError
from smemnas.bench.files import replacing
from smemnas.bench.train.batches import Pixels, augment, prepare
from smemnas.bench.train.devices import autocast, check_device, loss_scaler, reproducible
from smemnas.bench.train.faults import compiled, explained, is_out_of_memory
from smemnas.bench.train.images import Images
from smemnas.bench.train.recipes import TrainingRecipe

CHECKPOINT, WEIGHTS, CURVE = "checkpoint.pt", "weights.pt", "curve.jsonl"
EVALUATION_BATCH = 500
#: What torch raises for a file that is cut off or none of its own.
UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError)
#: What seeds are for; a number per purpose keeps their streams apart.
INIT, ORDER, AUGMENT = range(3)


class TrainingOutcome(NamedTuple):
    """What a training gave.

    Attributes:
        valid_error: Validation error in percent after the last epoch; NaN if it failed.
        reason: Why it failed, "" if it did not.
        seconds: Wall time, summed over interrupted parts up to their last checkpoint.
        epochs: Epochs done.
    """

    valid_error: float
    reason: str
    seconds: float
    epochs: int


def train(
    build: Callable[[], nn.Module],
    training: Images,
    validation: Images,
    recipe: TrainingRecipe,
    *,
    seed: int,
    folder: Path,
    device: str = "cpu",
    parent: int | None = None,
) -> TrainingOutcome:
    """Train one network; weights, curve and checkpoints go to its folder.

    Args:
        build: Makes the network with random weights from torch's global generator, which is seeded for it.
        training: Images to learn from.
        validation: Images that give the error.
        recipe: How.
        seed: Root of all randomness.
        folder: Where it is written, and continued from; for this training alone.
        device: "cpu" or "cuda:K".
        parent: Process that wants the result; when it is gone, the training ends after its epoch.

    Raises:
        UserError: The device does not exist or lacks the recipe's precision.
        RunError: Out of memory, or the disk is full.
    """
    check_device(device, recipe.precision)
    folder.mkdir(parents=True, exist_ok=True)
    with faults_explained(recipe, device), pinned(recipe, device):
        return _train(build, training, validation, recipe, seed, folder, torch.device(device), parent)


@contextlib.contextmanager
def faults_explained(
    recipe: TrainingRecipe,
    device: str,
    smaller: str = "a smaller batch=... (results of another batch are another recipe)",
) -> Iterator[None]:
    """Raise what a training lacks as one line.

    Args:
        recipe: Of the training.
        device: Where it runs.
        smaller: What can be set where memory is short.

    Raises:
        RunError: Memory or a compiler.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        other = explained(error, "compile=false")
        if other is not None:
            raise other from error
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory on {device} with {recipe.batch} images per step: set {smaller}, or use a larger device."
        ) from error


def _train(
    build: Callable[[], nn.Module],
    training: Images,
    validation: Images,
    recipe: TrainingRecipe,
    seed: int,
    folder: Path,
    device: torch.device,
    parent: int | None,
) -> TrainingOutcome:
    """Do what `train` says."""
    torch.manual_seed(stream(seed, INIT))
    network = build().to(device)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = recipe.bn_momentum
        if hasattr(module, "joined"):  # a network that can do in fewer steps what no hook needs to see
            module.joined = True
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimizer = make_optimizer(network, recipe)
    scaler = loss_scaler(device, recipe.precision)
    forward = compiled(network, device) if recipe.compile else network
    pixels, held_out = Pixels(training, device), Pixels(validation, device)
    labels = torch.from_numpy(training.labels).to(device)
    done, curve, before = resume(folder, network, optimizer, scaler, device)
    start = time.perf_counter()
    n = len(training)
    steps = steps_of_epoch(n, recipe)
    while done < recipe.epochs:
        torch.manual_seed(stream(seed, AUGMENT, done))  # dropout and AutoAugment draw from the global generator
        draws = torch.Generator().manual_seed(stream(seed, AUGMENT, done))
        order = order_of_epoch(n, seed, done)
        network.train()
        total = torch.zeros((), device=device)
        rows = [order[step * recipe.batch : (step + 1) * recipe.batch] for step in range(steps)]
        for step, (at, raw) in enumerate(zip(rows, pixels.batches(rows), strict=True)):
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(done + step / steps)
            images = augment(raw, recipe, training, draws)
            with autocast(device, recipe.precision):
                loss = F.cross_entropy(forward(images), labels[at], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            if scaler.is_enabled():
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            else:
                loss.backward()
                optimizer.step()
            total += loss.detach()
        train_loss = float(total) / steps
        seconds = before + time.perf_counter() - start
        if not math.isfinite(train_loss):
            return TrainingOutcome(math.nan, f"loss is {train_loss} in epoch {done + 1}", seconds, done)
        done += 1
        curve.append({"epoch": done, "train_loss": train_loss})
        if done % recipe.evaluate_every == 0 or done == recipe.epochs:
            curve[-1]["valid_error"] = error_percent(network, held_out, recipe)
        seconds = before + time.perf_counter() - start
        write_curve(folder / CURVE, curve)
        if done < recipe.epochs:
            state = {"epoch": done, "curve": curve, "seconds": seconds, "network": network.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            save_state(folder / CHECKPOINT, state)
        if parent is not None and os.getppid() != parent:
            raise SystemExit("the process that asked for this training is gone")
    save_state(folder / WEIGHTS, network.state_dict())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return TrainingOutcome(curve[-1]["valid_error"], "", before + time.perf_counter() - start, done)


def make_optimizer(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe over all parameters."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            foreach=True,  # as torch chooses on a GPU; on a CPU the same numbers in less time
        )
    from timm.optim import RMSpropTF

    return RMSpropTF(
        network.parameters(),
        recipe.lr,
        alpha=0.9,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
    )


@torch.no_grad()
def error_percent(network: nn.Module, pixels: Pixels, recipe: TrainingRecipe) -> float:
    """Return the share of wrongly classified images in percent, in evaluation mode."""
    network.eval()
    images, device = pixels.images, pixels.device
    labels = torch.from_numpy(images.labels).to(device)
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    rows = list(torch.arange(len(images)).split(EVALUATION_BATCH))
    for at, raw in zip(rows, pixels.batches(rows), strict=True):
        with autocast(device, recipe.precision):
            logits = network(prepare(raw, recipe, images))
        wrong += (logits.argmax(dim=1) != labels[at]).sum()
    return 100.0 * int(wrong) / len(images)


def weights_error(
    build: Callable[[int], nn.Module], folder: Path, images: Images, recipe: TrainingRecipe, device: str
) -> float:
    """Return the error in percent of a finished training's weights on other images.

    Raises:
        RunError: The weights are gone or unreadable.
    """
    with pinned(recipe, device):
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network = build(images.n_classes).to(device=torch.device(device), memory_format=layout)
        try:
            network.load_state_dict(torch.load(folder / WEIGHTS, map_location=device, weights_only=True))
        except (*UNREADABLE, FileNotFoundError) as error:
            raise RunError(
                f"the weights in {folder} are gone or unreadable: remove that folder, and the same command trains "
                "this network again."
            ) from error
        return error_percent(network, Pixels(images, torch.device(device)), recipe)


def pinned(recipe: TrainingRecipe, device: str) -> AbstractContextManager[None]:
    """Return the context in which a recipe gives the same weights again; one thread where it computes on the CPU."""
    return reproducible(device, deterministic=recipe.deterministic, one_thread=True, tuned=True)


def steps_of_epoch(n: int, recipe: TrainingRecipe) -> int:
    """Return the steps of an epoch of so many images; one image that is left over has no variance."""
    return math.ceil(n / recipe.batch) - (n > recipe.batch and n % recipe.batch == 1)


def order_of_epoch(n: int, seed: int, epoch: int) -> Tensor:
    """Return the positions of so many images in the order of an epoch ``(n,)``."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(stream(seed, ORDER, epoch)))


def stream(seed: int, purpose: int, epoch: int = 0) -> int:
    """Return the seed of one stream of random numbers."""
    return int(np.random.SeedSequence([seed, purpose, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def resume(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    device: torch.device,
) -> tuple[int, list[dict[str, Any]], float]:
    """Load the checkpoint into network and optimizer, if there is one.

    A file that a power cut left unreadable is ignored: the training starts again and ends the same.

    Returns:
        Epochs done, their curve, seconds spent.
    """
    file = folder / CHECKPOINT
    try:
        state = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        return 0, [], 0.0
    except UNREADABLE:
        file.unlink(missing_ok=True)
        return 0, [], 0.0
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return int(state["epoch"]), list(state["curve"]), float(state["seconds"])


def save_state(file: Path, state: Any) -> None:
    """Write a file for torch's safe loader, as a whole or not at all."""
    _replace(file, lambda part: torch.save(state, part))


def write_curve(file: Path, curve: list[dict[str, Any]]) -> None:
    """Write the learning curve, one epoch a line; without times, so that a resumed training gives the same bytes."""
    text = "".join(f"{json.dumps(row)}\n" for row in curve)
    _replace(file, lambda part: part.write_text(text, encoding="utf-8"))


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and move it there.

    Raises:
        RunError: It cannot be written.
    """
    advice = "Free space and give the same command again; finished epochs are kept."
    with replacing(file, durable=False, advice=advice, also=(RuntimeError,)) as part:  # torch's word for a full disk
        write(part)
