"""Training time after each evaluation of a run, where its table knows the times."""

from __future__ import annotations

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.spaces.base import FloatArray, IntArray


def training_clock(benchmark: Benchmark, X: IntArray, seed: int) -> FloatArray:
    """Return the seconds of training that are spent after each evaluation ``(n,)``; empty where they are not known.

    Args:
        benchmark: A table that records times; nothing is trained to learn them.
        X: Genotypes ``(n, n_var)`` in ask order.
        seed: Evaluation seed, which says whose of several trainings the time is.
    """
    if not benchmark.timed or benchmark.recheck is None or not len(X):
        return np.empty(0)
    seconds = benchmark.evaluate(X, seed).seconds
    return np.cumsum(np.where(np.isfinite(seconds), seconds, 0.0))
