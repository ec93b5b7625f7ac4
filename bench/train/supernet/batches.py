"""Batches for supernet training: which images and sub-networks, in which order, all from the seed.

Every random number is drawn from (seed, epoch, step, part of the step): a resumed training needs no generator's
state, and what a step trains on does not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from smemnas.bench.errors import UserError
from smemnas.bench.train.batches import Pixels, prepare
from smemnas.bench.train.supernet.plan import SupernetPlan
from smemnas.bench.train.supernet.recalibration import CALIBRATION_BATCHES, CALIBRATION_SIZE
from smemnas.spaces.mnv3_choices import Subnet

#: Streams of random numbers.
ORDER, SUBNETS, IMAGES, CALIBRATION, EVALUATION = range(5)


def generator(plan: SupernetPlan, stream: int, *at: int) -> np.random.Generator:
    """Return the generator of one stream at one place of the training."""
    return np.random.default_rng([plan.seed, stream, *at])


def torch_seed(plan: SupernetPlan, stream: int, *at: int) -> int:
    """Return a seed for torch at one place of the training."""
    return int(generator(plan, stream, *at).integers(2**62))


def epoch_order(plan: SupernetPlan, n: int, epoch: int) -> Tensor:
    """Return the training images of an epoch by step ``(steps, batch)``; what does not fill a batch is left out.

    Raises:
        UserError: There are fewer images than a batch.
    """
    steps = n // plan.batch
    if not steps:
        raise UserError(f"{plan.data} has {n} training images, fewer than --batch {plan.batch}.")
    order = generator(plan, ORDER, epoch).permutation(n)[: steps * plan.batch]
    return torch.from_numpy(order).view(steps, plan.batch)


def step_subnets(plan: SupernetPlan, sizes: tuple[int, ...], epoch: int, step: int) -> tuple[list[Subnet], int]:
    """Return the distinct sub-networks of a step, the largest first, and the resolution of its images."""
    choices, rng = plan.choices_of(epoch), generator(plan, SUBNETS, epoch, step)
    drawn = [choices.sample(rng) for _ in range(plan.n_random)]
    return list(dict.fromkeys([choices.largest(), choices.smallest(), *drawn])), int(rng.choice(sizes))


def calibration(plan: SupernetPlan, pixels: Pixels) -> list[Tensor]:
    """Return the training images that batch norms are measured on: the same for every sub-network and epoch."""
    n = len(pixels.images)
    size = min(CALIBRATION_SIZE, n)
    order = torch.from_numpy(generator(plan, CALIBRATION).permutation(n))
    rows = list(order[: min(CALIBRATION_BATCHES, n // size) * size].split(size))
    return [prepare(raw, plan.recipe, pixels.images) for raw in pixels.batches(rows)]


def evaluation(plan: SupernetPlan, pixels: Pixels, limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield at most `limit` images of a split, evenly spread over it, with their labels."""
    n = min(limit, len(pixels.images))
    rows = list((torch.arange(n) * len(pixels.images) // n).split(CALIBRATION_SIZE))
    for at, raw in zip(rows, pixels.batches(rows), strict=True):
        yield prepare(raw, plan.recipe, pixels.images), torch.from_numpy(pixels.images.labels[at.numpy()])
