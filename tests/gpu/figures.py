"""What is measured in this process: numerics, speed, memory. Each check returns figures by name and what is wrong."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train import loop
from smemnas.bench.train.devices import reproducible
from smemnas.bench.train.grouped.loop import train_group
from smemnas.bench.train.images import Images, open_images
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.to_timm import build_timm
from smemnas.bench.train.networks.trainable import trainable_space
from smemnas.bench.train.recipes import TrainingRecipe, find_recipe
from smemnas.spaces.mnv3_choices import Choices
from smemnas.spaces.mnv3_costs import STEMS

from .sizes import Size

#: Errors relative to the largest value: what float32 leaves, far below TF32; and of half precision.
FLOAT32, HALF = 1e-5, {"bf16": 0.05, "fp16": 0.01}
#: Of the mean loss of an epoch on two kinds of device, whose sums have other last bits.
LOSS = 2e-3
#: Peak memory beside the estimate: on a GPU with workspaces and freed blocks in it, on a CPU what autograd keeps.
MEMORY = {"cuda": (0.5, 1.5), "cpu": (0.9, 1.1)}
CELL, WIDTHS = np.array([3, 2, 4, 1, 3, 2]), np.array([1, 6, 3, 4, 2])


class Found(NamedTuple):
    """Figures of a check by name, and what is wrong with them, "" where nothing is."""

    figures: dict[str, Any]
    wrong: str = ""


def within(figures: dict[str, Any], **limits: float) -> Found:
    """Return figures, of which some have upper limits."""
    over = [f"{key} {figures[key]:.3g} is over {limit:g}" for key, limit in limits.items() if not figures[key] <= limit]
    return Found({**figures, **{f"{key}_limit": limit for key, limit in limits.items()}}, "; ".join(over))


def float32(device: str, size: Size, conv: Callable[..., Tensor] = F.conv2d) -> Found:
    """A convolution and a product in float32 on the device against float64: TF32 would be seen."""
    draws = torch.Generator().manual_seed(0)
    x, w = (torch.randn(*shape, generator=draws) for shape in ((8, 64, 16, 16), (64, 64, 3, 3)))
    a, b = (torch.randn(256, 256, generator=draws) for _ in range(2))
    with reproducible(device):
        made = {"convolution": conv(x.to(device), w.to(device), padding=1), "product": a.to(device) @ b.to(device)}
    exact = {"convolution": F.conv2d(x.double(), w.double(), padding=1), "product": a.double() @ b.double()}
    figures = {key: _apart(made[key], exact[key]) for key in made}
    return within(figures, convolution=FLOAT32, product=FLOAT32)


def half(device: str, size: Size) -> Found:
    """Logits of a trained cell network under AMP against float32."""
    network = _trained(size, device)[1].to(device).eval()
    x = torch.randn(128, 3, size.side, size.side, generator=torch.Generator().manual_seed(1)).to(device)
    figures, limits = {}, {}
    with torch.no_grad(), reproducible(device):
        plain = network(x)
        for name, kind in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
            if name == "fp16" and device == "cpu":
                continue  # the suite refuses it there
            with torch.amp.autocast(torch.device(device).type, dtype=kind):
                figures[name] = _apart(network(x).float(), plain)
            limits[name] = HALF[name]
    return within(figures, **limits)


def against_cpu(device: str, size: Size) -> Found:
    """The mean loss of an epoch of the same training on the device and on the CPU."""
    ours, there = (_trained(size, where)[0] for where in (device, "cpu"))
    return within({"loss": ours, "loss_cpu": there, "apart": abs(ours - there) / there}, apart=LOSS)


def timed_recipe(size: Size, precision: str) -> TrainingRecipe:
    """Return the recipe whose steps are timed."""
    return TrainingRecipe(
        *("gpu", 1, size.batch, 0.1),
        weight_decay=5e-4,
        flip=True,
        crop=2,
        precision=precision,
        channels_last=not size.toy,
    )


def speed(device: str, size: Size) -> Found:
    """Seconds of a step of the suite's training beside those of a bare loop on ready batches, in turns."""
    figures: dict[str, Any] = {}
    space = trainable_space("nb201", 10, size.side, channels=size.channels, cells=size.cells)
    build = lambda: space.build(CELL, 10)  # noqa: E731
    for name in ("float32",) if size.toy else ("float32", "bf16"):
        recipe = timed_recipe(size, name)
        rounds = []
        for _ in range(size.rounds):
            rounds.append([step_seconds(device, size, recipe, build), _bare(device, size, recipe, space)])
        steps = np.array(rounds)
        figures[name] = float(np.median(steps[:, 0] / steps[:, 1]))
        figures[f"{name}_images_a_second"] = size.batch / float(np.median(steps[:, 0]))
    return within(figures, **dict.fromkeys((k for k in figures if "_" not in k), size.slack))


def memory(device: str, size: Size) -> Found:
    """Memory of a step of the largest network: its peak on a GPU, on a CPU what autograd keeps, and what is said."""
    width, side, stem, n, documented = size.memory
    network = build_timm(Choices().largest(), Shape(width, 1000 if stem == "imagenet" else 10, *STEMS[stem])).to(device)
    x, kept = torch.randn(n, 3, side, side, device=device), {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    cuda = torch.device(device).type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(x).logsumexp(1).mean()
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    held = sum(size for at, size in kept.items() if at not in weights)
    loss.backward()
    peak = torch.cuda.max_memory_allocated(device) - before if cuda else held
    low, high = MEMORY["cuda" if cuda else "cpu"]
    mib = peak / 2**20
    figures = {"images": n, "mib": mib, "documented_mib": documented * n, "ratio": mib / documented / n}
    found = within(figures, ratio=high)
    return found if figures["ratio"] >= low else Found(found.figures, f"ratio {figures['ratio']:.3g} is under {low:g}")


def _apart(found: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    exact = exact.double().cpu()
    return float((found.double().cpu() - exact).abs().max() / exact.abs().max())


def _trained(size: Size, device: str) -> tuple[float, nn.Module]:
    """Train for an epoch of digits; return the mean loss and the network."""
    training, validation = (open_images("digits", split, size=size.side) for split in ("train", "valid"))
    space = trainable_space("nats_sss", 10, size.side, channels=size.channels)
    recipe = find_recipe("tiny").overridden({"epochs": 1})
    with tempfile.TemporaryDirectory() as folder:
        loop.train(
            lambda: space.build(WIDTHS, 10), training, validation, recipe, seed=0, folder=Path(folder), device=device
        )
        row = (Path(folder) / loop.CURVE).read_text()
        network = space.build(WIDTHS, 10)
        network.load_state_dict(torch.load(Path(folder) / loop.WEIGHTS, map_location="cpu", weights_only=True))
    return float(json.loads(row.splitlines()[0])["train_loss"]), network


class _Marks:
    """Time after the second and the last step of an optimizer: on a GPU once all is done, else processor time."""

    def __init__(self, device: str, steps: int) -> None:
        self.cuda, self.steps, self.n, self.at = device != "cpu", steps, 0, []

    def __call__(self, *_: Any) -> None:
        self.n += 1
        if self.n in (2, self.steps):
            if self.cuda:
                torch.cuda.synchronize()
            self.at.append(time.perf_counter() if self.cuda else time.process_time())

    def seconds(self) -> float:
        """Of a step."""
        return (self.at[1] - self.at[0]) / (self.steps - 2)


def _noise(size: Size) -> Images:
    n = size.steps * size.batch
    pixels = np.random.default_rng(0).integers(0, 256, (n, size.side, size.side, 3), dtype=np.uint8)
    return Images("noise", "train", pixels, np.arange(n), np.arange(n) % 10, 10, (0.5,) * 3, (0.25,) * 3, "")


def step_seconds(
    device: str, size: Size, recipe: TrainingRecipe, build: Callable[[], nn.Module], grouped: int = 0
) -> float:
    """Seconds of a step of the suite's loop, pictures picked, augmented and normalised in it.

    Args:
        device: Where.
        size: Of images and of an epoch.
        recipe: How it is trained.
        build: Makes the network.
        grouped: Seeds of it that are trained as a group; 0 is one training by itself.
    """
    marks, make = _Marks(device, size.steps), loop.make_optimizer

    def hooked(*arguments: Any) -> torch.optim.Optimizer:
        optimizer = make(*arguments)
        optimizer.register_step_post_hook(marks)
        return optimizer

    images = _noise(size)
    few = Images("noise", "valid", images.pixels, np.arange(10), images.labels[:10], 10, *(((0.5,) * 3),) * 2, "")
    loop.make_optimizer = hooked
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = (build, images, few, recipe)
            if grouped:
                places = [Path(folder) / f"{k}" for k in range(grouped)]
                train_group(*given, seeds=range(grouped), folder=Path(folder), places=places, device=device)
            else:
                loop.train(*given, seed=0, folder=Path(folder), device=device)
    finally:
        loop.make_optimizer = make
    return marks.seconds()


def _bare(device: str, size: Size, recipe: TrainingRecipe, space: Any) -> float:
    """Seconds of a step of a loop that does nothing but train, on batches that lie on the device."""
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    x = torch.randn(4, size.batch, 3, size.side, size.side, device=device)
    y = torch.arange(size.batch, device=device) % 10
    batches = [part.contiguous(memory_format=layout) for part in x]
    marks = _Marks(device, size.steps)
    with reproducible(device, deterministic=recipe.deterministic, one_thread=True, tuned=True):
        network = space.build(CELL, 10).to(device=device, memory_format=layout).train()
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        optimizer.register_step_post_hook(marks)
        for step in range(size.steps):
            optimizer.zero_grad()
            enabled = recipe.precision != "float32"
            with torch.amp.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=enabled):
                loss = F.cross_entropy(network(batches[step % 4]), y)
            loss.backward()
            optimizer.step()
    return marks.seconds()
