"""Problems that have a name of their own: cases, which `run`, `study` and `list` know by it."""

from __future__ import annotations

from dataclasses import replace

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.catalog import base_of
from smemnas.bench.errors import choose

PROBLEMS = {
    "in1k-mop7-like": Case("mnv3", "imagenet", ("error", "params")),
    "in1k-mop8-like": Case("mnv3", "imagenet", ("error", "params", "flops")),
    "in1k-mop9-like": Case("mnv3", "imagenet-w12", ("error", "params", "flops", "latency")),
    "c10-mop5-like": Case("nb201", "cifar10", ("val_error", "params", "flops", "latency_edgegpu", "energy_edgegpu")),
}


def find_problem(name: str) -> Case:
    """Return what a name stands for; what changes a data set may stand behind it, as in "c10-mop5-like+noise=.25".

    Raises:
        UserError: Unknown name; near misses are suggested.
    """
    base = base_of(name)
    found = choose("problem", base, PROBLEMS)
    return replace(found, dataset=found.dataset + name[len(base) :])
