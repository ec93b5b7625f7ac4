"""Problems with a name of their own: a space, a data set and the objectives to minimise.

They have the shape of EvoXBench's problems of similar name (Lu et al., IEEE TEVC 2023): the same space and the
same objectives. EvoXBench has its own evaluators and its own normalisation, so numbers do not compare.
"""

from __future__ import annotations

from typing import NamedTuple

from smemnas.bench.benchmarks.base import Benchmark, open_benchmark
from smemnas.bench.errors import UserError, suggest


class NamedProblem(NamedTuple):
    """What a name stands for."""

    space: str
    dataset: str
    objectives: tuple[str, ...]


PROBLEMS = {
    "in1k-mop7-like": NamedProblem("mnv3", "imagenet", ("error", "params")),
    "in1k-mop8-like": NamedProblem("mnv3", "imagenet", ("error", "params", "flops")),
    "in1k-mop9-like": NamedProblem("mnv3", "imagenet-w12", ("error", "params", "flops", "latency")),
    "c10-mop5-like": NamedProblem(
        "nb201", "cifar10", ("val_error", "params", "flops", "latency_edgegpu", "energy_edgegpu")
    ),
}


def find_problem(name: str) -> NamedProblem:
    """Return what a name stands for.

    Raises:
        UserError: Unknown name; near misses are suggested.
    """
    if name not in PROBLEMS:
        raise UserError(f"no problem {name!r}.{suggest(name, PROBLEMS)}")
    return PROBLEMS[name]


def open_problem(name: str) -> Benchmark:
    """Open a named problem.

    Raises:
        UserError: Unknown name.
        DataError: Its data is not installed.
    """
    return open_benchmark(*find_problem(name))
