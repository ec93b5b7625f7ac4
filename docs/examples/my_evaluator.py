"""An evaluator as a plug-in: the latency of every architecture is measured when it is asked for, on any space.

Data sets whose name begins with ``device+`` reach it; here a formula stands for the device, which a real one replaces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas import SPACES, CallableBenchmark, FloatArray, IntArray, Objective, UserError, suggest
from smemnas.bench.benchmarks.catalog import EVALUATORS


@EVALUATORS.register("device", summary="Latency on a device: device+SLOWDOWN")
def on_device(space: str, dataset: str, objectives: Sequence[str] = ()) -> CallableBenchmark:
    """Open the benchmark of a data set ``device+SLOWDOWN``.

    Raises:
        UserError: The name or an objective is unknown.
    """
    chosen = SPACES.create(space)
    _, _, slowdown = dataset.partition("+")
    if not slowdown.isdigit():
        raise UserError(f"a data set of this evaluator is device+SLOWDOWN like device+3, got {dataset!r}.")
    factor = float(slowdown)
    known = {"latency": Objective("latency", "ms", False), **{cost.name: cost for cost in chosen.costs}}
    names = tuple(objectives) or ("latency", *(cost.name for cost in chosen.costs))
    for name in names:
        if name not in known:
            raise UserError(f"this evaluator has no objective {name!r}.{suggest(name, known)}")

    def latency(X: IntArray) -> FloatArray:
        return factor * (1.0 + np.abs(X - 2).sum(axis=1))  # run the network on your device here

    def measure(X: IntArray, seed: int) -> FloatArray:
        return np.stack([latency(X) if name == "latency" else chosen.cost(X, name) for name in names], axis=1)

    return CallableBenchmark(chosen, measure, [known[name] for name in names], dataset=dataset)
