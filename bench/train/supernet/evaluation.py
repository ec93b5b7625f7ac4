"""What a supernet's file holds, and how good its sub-networks are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smemnas.bench.errors import UserError
from smemnas.bench.log import note
from smemnas.bench.train.batches import Pixels
from smemnas.bench.train.devices import find_device
from smemnas.bench.train.image_files import known_files
from smemnas.bench.train.images import SETS, absolute, open_images
from smemnas.bench.train.networks.counting import multiply_adds, parameters
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.to_timm import build_timm
from smemnas.bench.train.seen_images import unseen
from smemnas.bench.train.supernet.batches import calibration, evaluation
from smemnas.bench.train.supernet.plan import SupernetPlan
from smemnas.bench.train.supernet.recalibration import accuracies
from smemnas.bench.values import whole
from smemnas.spaces.mnv3_choices import CHOICES, Subnet, check_choices, name_of, read_name

#: Networks read at a time; each takes the memory of its own weights.
CHUNK = 8
#: Random networks of one reading, at most.
MOST_READ = 100_000

Row = dict[str, Any]


def plan_for(content: Mapping[str, Any], path: Path, data: str | None, size: int) -> SupernetPlan:
    """Return which data a supernet is read on: what is asked for, else what it was trained on.

    Raises:
        UserError: Neither is known.
    """
    trained = SupernetPlan.from_dict(content["plan"]) if "plan" in content else None
    if data is None and trained is None:
        raise UserError(f"{path} does not say on which data it was trained: name it with --data.")
    if trained is not None and (data is None or absolute(data) == absolute(trained.data)):
        where = absolute(trained.data)
        if where not in SETS and not os.path.isabs(where) and where not in known_files():
            raise UserError(
                f"{path} was trained on {where!r}, a path relative to a folder that it does not name: give it with "
                "--data."
            )
        return replace(trained, data=where)
    return SupernetPlan(absolute(str(data)), size=size)


def splits_for(
    content: Mapping[str, Any], plan: SupernetPlan, names: Sequence[str], n_classes: int, device: torch.device
) -> tuple[list[Pixels], str]:
    """Open splits of a plan's data that the supernet may be read on, and say what the user has to know about them.

    Raises:
        DataError: The classes are not the supernet's, or what it was trained on cannot be told from what is held out.
    """
    opened = [open_images(plan.data, name, size=plan.size or None, n_classes=n_classes) for name in names]
    splits, note = unseen(content, opened)
    return [Pixels(images, device) for images in splits], note


def evaluate(
    path: Path,
    archs: Sequence[str] = (),
    *,
    data: str | None = None,
    split: str = "valid",
    n_random: int = 0,
    limit: int = 10_000,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Read sub-networks of a supernet, each with batch norm statistics of its own; images are decoded once for all.

    Args:
        path: File of a supernet.
        archs: Names of architectures with their resolution; none takes the largest and the smallest.
        data: Data set; None takes the one that the supernet was trained on.
        split: "valid", "test" or "train".
        n_random: Random sub-networks beside them.
        limit: Images to read at most.
        seed: Of the random sub-networks.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: Called with (networks read, all networks).

    Returns:
        One row per sub-network: arch, accuracy (%), images, params and madds.

    Raises:
        UserError: An architecture, the data or the split is unknown, or the data has other classes.
        DataError: The file cannot be read.
    """
    whole("images", limit, 1)
    whole("random", n_random, 0, MOST_READ)
    whole("seed", seed)
    where = find_device(device)
    candidates = [read_name(arch) for arch in archs]
    supernet, content = load_supernet(path)
    choices = CHOICES[supernet.shape.choices]
    for arch, (subnet, _) in zip(archs, candidates, strict=True):
        check_choices(subnet, supernet.shape.choices, arch)
    sizes = resolutions_of(content)
    plan = plan_for(content, path, data, sizes[-1])
    if not candidates:
        candidates = [(choices.largest(), sizes[-1]), (choices.smallest(), sizes[0])]
    rng = np.random.default_rng(seed)
    candidates += [(choices.sample(rng), int(rng.choice(sizes))) for _ in range(n_random)]
    supernet = supernet.to(where, memory_format=torch.channels_last)
    (train, read), warning = splits_for(content, plan, ("train", split), supernet.shape.n_classes, where)
    for _, side in candidates:
        read.images.check_side(side)
    if warning:
        note(warning)
    values: list[float] = []
    measured_on = calibration(plan, train)
    for start in range(0, len(candidates), CHUNK):
        part = candidates[start : start + CHUNK]
        values += accuracies(supernet, part, evaluation(plan, read, limit), measured_on)
        if progress is not None:
            progress(len(values), len(candidates))
    return [
        {
            "arch": name_of(arch, side),
            "accuracy": value,
            "images": min(limit, len(read.images)),
            **sizes_of(arch, supernet.shape, side),
        }
        for (arch, side), value in zip(candidates, values, strict=True)
    ]


def resolutions_of(content: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the resolutions that a supernet was trained at; a published one up to 224."""
    return tuple(content["resolutions"]) if "resolutions" in content else (160, 176, 192, 208, 224)


def sizes_of(arch: Subnet, shape: Shape, resolution: int) -> dict[str, int]:
    """Return parameters and multiply-adds of a sub-network."""
    net = build_timm(arch, shape)
    return {"params": parameters(net), "madds": multiply_adds(net, resolution)}


def describe(path: Path) -> dict[str, Any]:
    """Return what a supernet's file holds, by label.

    Raises:
        DataError: The file cannot be read.
    """
    supernet, content = load_supernet(path)
    shape, sizes = supernet.shape, resolutions_of(content)
    found: dict[str, Any] = {
        "width": shape.width,
        "classes": shape.n_classes,
        "choices": shape.choices,
        "strides": f"stem {shape.stem_stride}, stages {' '.join(map(str, shape.strides))}",
        "resolutions": " ".join(map(str, sizes)),
        "parameters": f"{parameters(supernet):,}",
    }
    for label, arch, side in (
        ("smallest", CHOICES[shape.choices].smallest(), sizes[0]),
        ("largest", CHOICES[shape.choices].largest(), sizes[-1]),
    ):
        counts = sizes_of(arch, shape, side)
        found[label] = (
            f"{name_of(arch, side)}: {counts['params'] / 1e6:.3f} M parameters, {counts['madds'] / 1e6:.3f} M MAdds"
        )
    if "plan" in content:
        plan = SupernetPlan.from_dict(content["plan"])
        found["data"] = plan.data
        found["trained"] = f"{content['epoch']} of {plan.epochs} epochs, phases {', '.join(plan.phases)}"
        if content["metrics"]:
            row = content["metrics"][-1]
            found["accuracy"] = ", ".join(f"{key} {row[key]:.2f} %" for key in ("largest", "smallest", "random"))
    return found
