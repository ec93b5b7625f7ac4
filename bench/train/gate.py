"""Training the networks of a gate, see `bench.gates`."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.gates import DRAWN, FIRST_SEED, Gate, GateStage
from smemnas.bench.train.benchmark import TrainedBenchmark
from smemnas.bench.train.grouped.groups import train_together
from smemnas.bench.train.results import VALID_ERROR
from smemnas.spaces.base import IntArray, SearchSpace

#: By how much of the median cost the networks may differ from it.
WITHIN = 0.02


def of_one_cost(space: SearchSpace, cost: str, stage: GateStage) -> IntArray:
    """Return genotypes ``(n, n_var)`` drawn among those near the median cost of a sample, one of each network.

    Raises:
        UserError: There are too few.
    """
    rng = np.random.default_rng([FIRST_SEED, stage.draw])
    X = np.asarray(space.sample(DRAWN, rng), dtype=np.int64)
    X = X[np.sort(np.unique(space.canonical(X), return_index=True)[1])]
    costs = space.cost(X, cost)
    near = np.flatnonzero(np.abs(costs / np.median(costs) - 1.0) <= WITHIN)
    if len(near) < stage.networks:
        raise UserError(
            f"{len(near)} networks of {space.name} lie within {100 * WITHIN:.0f} % of their median {cost}, fewer than "
            f"the {stage.networks} of the gate: ask for fewer."
        )
    return X[rng.permutation(near)[: stage.networks]]


def run_gate(
    benchmark: TrainedBenchmark,
    stage: GateStage,
    cost: str = "flops",
    progress: Callable[[int, int], None] | None = None,
) -> Gate:
    """Train what is missing and return what came out; trainings are kept where the benchmark keeps them.

    Args:
        benchmark: Trains; `at_once` networks side by side, `grouped` seeds of each as one. Its training seed
            must be open.
        stage: What is trained.
        cost: What the networks have in common.
        progress: Called with (trainings done, all trainings).

    Raises:
        UserError: The stage makes no sense, or the space has too few networks of one cost.
    """
    stage.check()
    X = of_one_cost(benchmark.space, cost, stage)
    errors, seconds = np.full((len(X), stage.seeds), np.nan), np.zeros((len(X), stage.seeds))
    side = benchmark.at_once
    parts = [slice(at, min(at + side, len(X))) for at in range(0, len(X), side)]
    column = next(j for j, o in enumerate(benchmark.objectives) if o.name == VALID_ERROR)
    at_once = benchmark.grouped or 1
    blocks = [range(k, min(k + at_once, stage.seeds)) for k in range(0, stage.seeds, at_once)]
    for block, rows in itertools.product(blocks, parts):
        if progress is not None:
            progress(block.start * len(X) + len(block) * rows.start, errors.size)
        if benchmark.grouped is not None:
            train_together(benchmark, X[rows], [FIRST_SEED + k for k in block])
        for k in block:
            found = benchmark.evaluate(X[rows], FIRST_SEED + k)
            errors[rows, k], seconds[rows, k] = found.F[:, column], found.seconds
    if progress is not None:
        progress(errors.size, errors.size)
    archs = tuple(benchmark.space.to_str(x) for x in X)
    costs = benchmark.space.cost(X, cost)
    names = benchmark.space.name, benchmark.dataset
    return Gate(stage, benchmark.provenance(), *names, cost, archs, costs, errors, seconds)
