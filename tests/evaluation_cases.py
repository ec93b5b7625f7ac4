"""Shared by the tests of evaluations: the toy space, its values, functions as benchmarks, and rows of a log."""

from __future__ import annotations

import json

import numpy as np

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.runs.job import Job
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy, error

TWO = (Objective("error", "%", False), Objective("flops", "M", True))
SPACE = Toy()


def values(X):
    return np.stack([error(X), SPACE.cost(X, "flops")], axis=1)


def bench_of(function, objectives=TWO):
    return CallableBenchmark(SPACE, function, objectives)


def job(method="nsga2", budget=30, seed=0):
    return Job(method, "toy", "callable", ("error", "flops"), budget, seed)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "evals.jsonl").read_text().splitlines()]
