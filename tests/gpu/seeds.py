"""Several training seeds of one network as one grouped network: whether it pays, and what it learns."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from smemnas.bench.train import loop
from smemnas.bench.train.grouped.loop import train_group
from smemnas.bench.train.images import open_images
from smemnas.bench.train.networks.trainable import trainable_space
from smemnas.bench.train.recipes import find_recipe

from .figures import LOSS, WIDTHS, Found, step_seconds, timed_recipe, within
from .sizes import Size


def seeds(device: str, size: Size) -> Found:
    """Seconds of a step of k trainings one by one over those of the same k as a group, in turns; and losses apart.

    A figure above 1 says that grouping pays; it is no limit.
    """
    space = trainable_space("nats_sss", 10, size.side, channels=size.channels)
    figures = {}
    for name in ("float32",) if size.toy else ("float32", "bf16"):
        recipe = timed_recipe(size, name)
        for k in size.groups:
            rounds = []
            for _ in range(size.rounds):
                alone = step_seconds(device, size, recipe, lambda: space.build(WIDTHS, 10))
                together = step_seconds(device, size, recipe, lambda: space.build(WIDTHS, 10), grouped=k)
                rounds.append(k * alone / together)
            figures[f"{name}_{k}_pays"] = float(np.median(rounds))
            figures[f"{name}_{k}_pays_least"], figures[f"{name}_{k}_pays_most"] = min(rounds), max(rounds)
    return within(figures | {"apart": _apart(device, size)}, apart=LOSS)


def _apart(device: str, size: Size) -> float:
    """How far mean losses of an epoch of digits are from those of the trainings alone, as a share of these."""
    training, validation = (open_images("digits", split, size=size.side) for split in ("train", "valid"))
    space = trainable_space("nats_sss", 10, size.side, channels=size.channels)
    recipe = find_recipe("tiny").overridden({"epochs": 1})
    with tempfile.TemporaryDirectory() as name:
        folder, losses = Path(name), []
        places = [folder / f"{seed}" for seed in range(2)]
        given = ((lambda: space.build(WIDTHS, 10)), training, validation, recipe)
        train_group(*given, seeds=(0, 1), folder=folder / "group", places=places, device=device)
        for seed in range(2):
            loop.train(*given, seed=seed, folder=folder / f"alone{seed}", device=device)
            rows = [json.loads((folder / at / loop.CURVE).read_text()) for at in (f"{seed}", f"alone{seed}")]
            losses.append([row["train_loss"] for row in rows])
    return max(abs(together - alone) / alone for together, alone in losses)
