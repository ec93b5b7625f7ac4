"""Where trainings compute, how exactly and how repeatably: devices, precision, determinism, and nowhere else.

Torch is imported inside the functions: a benchmark is named, and refused, where torch is missing.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.program import variable
from smemnas.bench.train import need_torch
from smemnas.bench.values import MOST_THREADS, whole
from smemnas.bench.workers.backends import DEVICE

if TYPE_CHECKING:
    import torch
    from filelock import FileLock

PRECISIONS = ("float32", "bf16", "fp16")
#: Seconds between two looks for a free device.
PAUSE = 0.2


def cuda_devices() -> tuple[str, ...]:
    """Return the CUDA devices of this machine, as torch names them."""
    import torch

    return tuple(f"cuda:{k}" for k in range(torch.cuda.device_count()))


def find_devices(name: str) -> tuple[str, ...]:
    """Return all devices that a user's wish names, for trainings side by side.

    Args:
        name: "auto" (what `SMEMNAS_DEVICE` says, else all CUDA devices, else the CPU), "cpu", "cuda" (all) or "cuda:K".

    Raises:
        UserError: There is no such device, or torch is missing.
    """
    name = _wanted(name)
    if name == "cpu":
        return ("cpu",)
    need_torch()
    found = cuda_devices()
    if name == "auto":
        return found or ("cpu",)
    check_device(name)
    return found if name == "cuda" else (name,)


def find_device(name: str, local: str | None = None) -> torch.device:
    """Return the one device that this process computes on.

    Args:
        name: "auto" (what `SMEMNAS_DEVICE` says, else a GPU where there is one), "cpu", "cuda" or "cuda:K".
        local: Number of the GPU that "cuda" means.

    Raises:
        UserError: There is no such device.
    """
    import torch

    name = _wanted(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local is not None:
        name = f"cuda:{local}"
    check_device(name)
    return torch.device(name)


def _wanted(name: str) -> str:
    """Return the device that a user's wish means: "auto" is what the environment says."""
    return os.environ.get(DEVICE, "").strip() or name if name == "auto" else name


@contextlib.contextmanager
def on_device(name: str) -> Iterator[None]:
    """Let "auto" mean a device within the block, in this process and in those that it starts.

    Raises:
        UserError: There is no such device, or torch is missing.
    """
    if name == "auto":
        yield
        return
    find_devices(name)
    with variable(DEVICE, name):
        yield


def check_device(name: str, precision: str = "float32") -> None:
    """Check that a device, "cpu", "cuda" or "cuda:K", exists and has a precision.

    Raises:
        UserError: It does not.
    """
    import torch

    if name == "cpu":
        if precision == "fp16":
            raise UserError("fp16 needs a CUDA device: set precision=float32 (or bf16 on a processor that has it).")
        if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise UserError("this processor has no bf16: set precision=float32.")
        return
    found = cuda_devices()
    known = ("cuda", *found) if found else ()
    if name not in known:
        raise UserError(
            f"no device {name!r}: torch sees {len(found)} CUDA devices.{suggest(name, ['auto', 'cpu', *known])}"
        )
    if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(f"{name} has no bf16: set precision=fp16 or precision=float32.")


def check_amp(device: torch.device) -> None:
    """Check that a device computes in bfloat16.

    Raises:
        UserError: It does not.
    """
    try:
        check_device(str(device), "bf16")
    except UserError as error:
        kind = "processor" if device.type == "cpu" else "GPU"
        raise UserError(f"--amp computes in bfloat16, which this {kind} lacks: leave it out.") from error


@contextlib.contextmanager
def claimed(devices: Sequence[str]) -> Iterator[str]:
    """Hold one of several devices; a CUDA device belongs to one training of this user at a time, in any process."""
    if devices[0] == "cpu":
        yield "cpu"
        return
    while True:
        for device in devices:
            lock = _lock(device)
            if lock is None:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        time.sleep(PAUSE)


def seat(devices: Sequence[str]) -> tuple[str, FileLock | None]:
    """Return the device that the fewest others of this user have a seat at, and the lock that keeps the seat.

    For what many processes may do on one device at a time, unlike `claimed`; a seat is left when its lock is collected
    or its process ends.
    """
    if devices[0] == "cpu":
        return "cpu", None
    for row in itertools.count():
        for device in devices:
            lock = _lock(device, f"-seat-{row}")
            if lock is not None:
                return device, lock
    raise AssertionError("there is always another row")


def _lock(device: str, what: str = "") -> FileLock | None:
    """Return a lock of a CUDA device that is held now; None where another process or object holds it."""
    import torch
    from filelock import FileLock, Timeout

    folder = Path(tempfile.gettempdir()) / f"smemnas-devices-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    properties = torch.cuda.get_device_properties(device)
    lock = FileLock(folder / f"{getattr(properties, 'uuid', device)}{what}.lock".replace(":", "-"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 in float32 within the block: on a GPU, torch's convolutions take TF32 by themselves."""
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def autocast(device: torch.device, precision: str) -> torch.amp.autocast:
    """Return the context in which a network computes in a precision."""
    import torch

    kind = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.amp.autocast(device.type, dtype=kind, enabled=precision != "float32")


def loss_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return the scaling of losses that a precision needs; it does nothing for all but fp16."""
    import torch

    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


@contextlib.contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with so many CPU threads within the block; 0 leaves torch its own number.

    Raises:
        UserError: It is no such number.
    """
    import torch

    before = torch.get_num_threads()
    if whole("--threads", count, 0, MOST_THREADS):
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def reproducible(
    device: torch.device | str, *, deterministic: bool = True, one_thread: bool = False, tuned: bool = False
) -> Iterator[None]:
    """Pin what results depend on beside the seed, and leave torch and all generators as they were.

    float32 is float32, not the TF32 that torch's convolutions take on a GPU.

    Args:
        device: Where it is computed.
        deterministic: Allow only operations whose result never varies.
        one_thread: Take one thread on the CPU: sums in another order give other last bits.
        tuned: Where results may vary, let cuDNN try which of its algorithms is fastest; worth it where the sizes of
            layers stay the same.
    """
    import torch

    where = torch.device(device)
    if deterministic and where.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, memory = torch.backends.cudnn, torch.utils.deterministic
    threads, before = torch.get_num_threads(), (cudnn.benchmark, memory.fill_uninitialized_memory)
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # timm and torchvision draw from both
    with (
        full_float32(),
        torch.random.fork_rng(devices=[where] if where.type == "cuda" else [], device_type="cuda"),
    ):
        try:
            if one_thread and where.type == "cpu":
                torch.set_num_threads(1)
            cudnn.benchmark = tuned and not deterministic
            memory.fill_uninitialized_memory = False  # costs some per cent, and nothing reads such memory
            torch.use_deterministic_algorithms(deterministic)
            yield
        finally:
            torch.set_num_threads(threads)
            cudnn.benchmark, memory.fill_uninitialized_memory = before
            torch.use_deterministic_algorithms(strict, warn_only=warn_only)
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
