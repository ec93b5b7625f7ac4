"""Building and training networks; importing this package imports no torch, its modules are imported on use."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from smemnas.bench.display import no_foreign_bars
from smemnas.bench.errors import UserError
from smemnas.bench.program import install

#: Older ones run code of a file that is read with weights_only (CVE-2025-32434).
TORCH = (2, 6)


def need_torch() -> None:
    """Check that torch, new enough, and timm are installed, without importing them.

    Raises:
        UserError: One of them is not.
    """
    for name in ("torch", "timm"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"this needs {name}: {install('train')}")
    found = importlib.metadata.version("torch")
    if tuple(int(part) for part in found.split(".")[:2]) < TORCH:
        least = ".".join(map(str, TORCH))
        raise UserError(
            f"torch {found} can run code of the files that it reads: this needs torch {least} or newer, "
            f"{install('train')}"
        )
    no_foreign_bars()
