"""A search space with its benchmark as a plug-in: widths and depth of a small multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas import (
    BENCHMARKS,
    SPACES,
    CallableBenchmark,
    FloatArray,
    IntArray,
    Objective,
    SearchSpace,
    UserError,
    suggest,
)

WIDTHS = (8, 16, 32, 64)
INPUTS, OUTPUTS = 20, 2


@SPACES.register("mlp", summary="Perceptron with three hidden layers of 8 to 64 units, 4^3 genotypes")
class Perceptron(SearchSpace):
    """One gene per hidden layer: the index of its width. Names look like ``16-64-8``."""

    name = "mlp"
    n_choices = (len(WIDTHS),) * 3
    costs = (Objective("params", "M", True),)
    default_dataset = "formula"

    def to_str(self, x: IntArray) -> str:
        """Join the widths with hyphens."""
        return "-".join(str(WIDTHS[int(gene)]) for gene in x)

    def from_str(self, arch: str) -> IntArray:
        """Invert `to_str`."""
        known = {str(width): index for index, width in enumerate(WIDTHS)}
        parts = arch.split("-")
        if len(parts) != self.n_var or not set(parts) <= set(known):
            raise UserError(f"mlp architectures are three of the widths {WIDTHS} like 16-64-8, got {arch!r}.")
        return np.array([known[part] for part in parts], dtype=np.int64)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return weights and biases in millions, exactly."""
        if name != "params":
            return super().cost(X, name)
        width = np.asarray(WIDTHS)[X]
        before = np.hstack([np.full((len(X), 1), INPUTS), width])
        after = np.hstack([width, np.full((len(X), 1), OUTPUTS)])
        return ((before + 1) * after).sum(axis=1) / 1e6


@BENCHMARKS.register("mlp/formula", summary="A made-up error that falls with the widths; replace it by a training")
def open_formula(objectives: Sequence[str] = ()) -> CallableBenchmark:
    """Open the benchmark with any of its objectives, in any order."""
    space = Perceptron()
    known = {"error": Objective("error", "%", False), "params": space.costs[0]}
    names = tuple(objectives) or ("error", "params")
    for name in names:
        if name not in known:
            raise UserError(f"mlp/formula has no objective {name!r}.{suggest(name, known)}")

    def measure(X: IntArray, seed: int) -> FloatArray:
        error = 5.0 + (20.0 / np.asarray(WIDTHS)[X]).sum(axis=1) + 0.5 * (np.diff(X, axis=1) > 0).sum(axis=1)
        columns = {"error": error, "params": space.cost(X, "params")}
        return np.stack([columns[name] for name in names], axis=1)

    return CallableBenchmark(space, measure, [known[name] for name in names], dataset="formula")
