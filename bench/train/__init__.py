"""Building and training networks; importing this package imports no torch, its modules are imported on use."""

from __future__ import annotations

import importlib.util

from bench.errors import UserError, install


def need_torch() -> None:
    """Check that torch and timm are installed, without importing them.

    Raises:
        UserError: One of them is not.
    """
    for name in ("torch", "timm"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"this needs {name}: {install('train')}")
