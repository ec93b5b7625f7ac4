"""What a machine may lack for a training: memory, shared memory, a compiler; each is one line with a way out."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import nn

from smemnas.bench.errors import RunError

#: What torch, CUDA's libraries and the system write when memory runs out.
OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUDA out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
SHARED_MEMORY = "/dev/shm"
#: Batches that torch keeps ready for each loading process; seconds that one batch may take.
PREFETCHED, LOADING_TIMEOUT = 2, 900.0
#: What the queues of a loading process take beside the images.
QUEUES = 1 << 20


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the device or on the host."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)


def explained(error: BaseException, setting: str = "--set compile=false") -> RunError | None:
    """Return an error of a compiler or of loading processes as one line, None for any other.

    Args:
        error: What was raised.
        setting: How compiling is switched off.
    """
    text = " ".join(str(error).split())
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        reason = text.partition(" Set TORCHDYNAMO_VERBOSE")[0][:300]
        return RunError(
            f"the network cannot be compiled ({reason}): install a C++ compiler (g++), on a GPU also Triton, or give "
            f"{setting}."
        )
    if "DataLoader" in text and ("worker" in text or "timed out" in text):
        return RunError(
            f"a process that loads images ended or hung ({text[:200]}): {SHARED_MEMORY} or memory may be too small; "
            "give --workers 0, or start the container with more shared memory."
        )
    return None


def compiled(net: nn.Module, device: torch.device) -> Any:
    """Return a network compiled by torch; one sum is compiled first, which shows in seconds that a compiler is there.

    Raises:
        RuntimeError: There is none, see `explained`.
    """
    torch.compile(_sum)(torch.ones(1, device=device))
    return torch.compile(net)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def check_shared_memory(workers: int, batch_bytes: int, processes: int = 1) -> None:
    """Check that batches of loading processes fit into shared memory: they would hang for ever or be killed.

    Args:
        workers: Loading processes of each training process.
        batch_bytes: Of the images of one batch.
        processes: Training processes.

    Raises:
        RunError: They do not fit.
    """
    if not workers or not sys.platform.startswith("linux"):
        return
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return
    free, needed = found.f_bavail * found.f_frsize, processes * workers * (PREFETCHED * batch_bytes + QUEUES)
    if needed > free:
        raise RunError(
            f"{workers} processes that load images need about {needed / 1e6:.0f} MB of shared memory, {SHARED_MEMORY} "
            f"has {free / 1e6:.0f} MB free: give --workers 0, or start the container with more (docker run "
            "--shm-size=1g)."
        )


def most_workers() -> int:
    """Return how many loading processes are of use: four for each processor that this process may use."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 4 * processors
