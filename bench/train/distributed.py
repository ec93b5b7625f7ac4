"""One training in several processes, started by torchrun; without torchrun there is one process.

Each process computes the gradient of its share of a step's images, and one sum over all processes makes it the
gradient of the whole step. It is taken once per step, after all sub-networks, where torch's own
DistributedDataParallel would communicate after each of them and needs every weight to be used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

from smemnas.bench.errors import UserError
from smemnas.bench.train.devices import find_device

#: The other processes wait at most so long, for example while the first one measures accuracies.
TIMEOUT = timedelta(hours=4)
#: What torchrun sets beside WORLD_SIZE and is needed to find the other processes.
ENVIRONMENT = ("RANK", "MASTER_ADDR", "MASTER_PORT")


class Processes(NamedTuple):
    """This process among all.

    Attributes:
        rank: Its number; 0 writes files.
        world: How many there are.
        device: Where it computes.
    """

    rank: int
    world: int
    device: torch.device

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over all processes, in place and in one communication per type of number."""
        if self.world == 1:
            return
        for kind in sorted({t.dtype for t in tensors}, key=str):
            same = [t for t in tensors if t.dtype == kind]
            flat = torch.cat([t.reshape(-1) for t in same])
            dist.all_reduce(flat)
            for tensor, part in zip(same, flat.split([t.numel() for t in same]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the group that torchrun describes in the environment, and leave it at the end.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; with "cuda", each process takes the GPU of its local rank.

    Raises:
        UserError: There is no such device.
    """
    world = _world()
    if world > 1 and device.startswith("cuda:"):
        raise UserError(
            f"with {world} processes each takes the GPU of its own number: give --device cuda, not {device}."
        )
    chosen = find_device(device, os.environ.get("LOCAL_RANK", "0") if world > 1 else None)
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), world, chosen)
    finally:
        dist.destroy_process_group()


def _world() -> int:
    """Return how many processes torchrun started, 1 without it.

    Raises:
        UserError: The environment says only a part of what torchrun sets.
    """
    text = os.environ.get("WORLD_SIZE", "1")
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise UserError(f"WORLD_SIZE is the number of processes, set by torchrun, got {text!r}: unset it.")
    missing = [name for name in ENVIRONMENT if name not in os.environ] if int(text) > 1 else []
    if missing:
        raise UserError(
            f"WORLD_SIZE is {text} and {', '.join(missing)} not set: start with torchrun, or unset WORLD_SIZE."
        )
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        if int(text) > 1 and not re.fullmatch("[0-9]{1,9}", os.environ.get(name, "0")):
            raise UserError(f"{name} is a whole number, set by torchrun, got {os.environ[name]!r}.")
    return int(text)
