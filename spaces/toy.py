"""A toy space with a closed form: for tests, for tutorials and for trying out a new method.

Genes are four levels 0..4. ``flops = 1 + sum(x)`` and ``error = 4 + 0.5 sum((4 - x_j)^2)``. For a given sum the
error is smallest when the levels are as equal as possible, so the front is known in closed form
(`front`): one point per value of the sum.
"""

from __future__ import annotations

import re

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.forms import short

N_GENES = 5
LEVELS = 5
_LEVEL = re.compile(f"0{{0,9}}[0-{LEVELS - 1}]")


@SPACES.register("toy", summary="Closed-form toy space, 5^5 genotypes, front known exactly")
class Toy(SearchSpace):
    """Five levels in each of five genes; names look like ``0-4-1-1-2``."""

    name = "toy"
    n_choices = (LEVELS,) * N_GENES
    costs = (Objective("flops", "M", True),)
    default_dataset = "closed-form"

    def to_str(self, x: IntArray) -> str:
        """Join the levels with hyphens."""
        return "-".join(str(int(v)) for v in x)

    def from_str(self, arch: str) -> IntArray:
        """Split at the hyphens."""
        parts = arch.split("-")
        if len(parts) != N_GENES or not all(_LEVEL.fullmatch(p) for p in parts):
            got = short(arch)
            raise UserError(f"toy architectures are {N_GENES} levels 0..{LEVELS - 1} like 0-4-1-1-2, got {got}.")
        return np.array([int(p) for p in parts], dtype=np.int64)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return ``1 + sum(x)`` for "flops"."""
        if name == "flops":
            return np.asarray(1.0 + X.sum(axis=1))
        return super().cost(X, name)


def error(X: IntArray) -> FloatArray:
    """Return the closed-form error ``(n,)`` in percent."""
    return np.asarray(4.0 + 0.5 * ((LEVELS - 1 - X) ** 2).sum(axis=1))


def front() -> FloatArray:
    """Return the exact front ``(21, 2)`` of (error, flops), by flops."""
    total = np.arange((LEVELS - 1) * N_GENES + 1)
    level, extra = np.divmod(total, N_GENES)
    gap = LEVELS - 1 - level
    squares = (N_GENES - extra) * gap**2 + extra * (gap - 1) ** 2
    return np.stack([4.0 + 0.5 * squares, 1.0 + total], axis=1)
