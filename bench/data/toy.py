"""toy/closed-form: the toy space measured by its formula."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.spaces.base import FloatArray, IntArray, Objective
from smemnas.spaces.toy import Toy, error, front


@BENCHMARKS.register("toy/closed-form", summary="error and flops by formula, exact front; no data needed")
def open_toy(objectives: Sequence[str] = ()) -> CallableBenchmark:
    """Open the toy benchmark with any of its two objectives in any order."""
    space = Toy()
    known = {"error": Objective("error", "%", False), "flops": space.costs[0]}
    chosen = choose_objectives("toy/closed-form", objectives, known, default=list(known))
    columns = [list(known).index(o.name) for o in chosen]
    exact = front()[:, columns]
    if len(columns) == 1:
        exact = exact.min(axis=0, keepdims=True)

    def evaluate(X: IntArray, seed: int) -> FloatArray:
        return np.stack([error(X), space.cost(X, "flops")], axis=1)[:, columns]

    exact = exact[np.lexsort(exact.T[::-1])]
    benchmark = CallableBenchmark(space, evaluate, chosen, dataset="closed-form", front=exact)
    benchmark.recheck = 1e-12
    return benchmark
