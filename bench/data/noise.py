"""DATASET+noise=SD: any data set with noise as in real training; see `bench.benchmarks.noisy`."""

from __future__ import annotations

import re

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import CHANGES
from smemnas.bench.benchmarks.noisy import NoisyBenchmark
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.benchmarks.wrapping import WrappingBenchmark
from smemnas.bench.errors import UserError, suggest

#: The value that adds nothing to the trainings that a table has.
TABLE = "table"
FORM = "+noise= takes a standard deviation (like .25, on every error in %), NAME:SD (on one objective) or 'table'"
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
#: Larger deviations are taken for a mistake.
LARGEST = 1e6


@CHANGES.register("noise", summary="any data set with noise of that deviation; judged by the values without it")
def add_noise(benchmark: Benchmark, value: str) -> NoisyBenchmark:
    """Add noise to a benchmark.

    Raises:
        UserError: The value has another form, names no objective that is evaluated, or one that has noise already, or
            there is one training only where the table's own are asked for.
    """
    base, dataset = benchmark.plain, f"{benchmark.dataset}+noise"
    known = dict(benchmark.deviations)
    if value == TABLE:
        if known or benchmark.noisy or not has_trainings(base):
            raise UserError(
                f"+noise={TABLE} takes the trainings of a table that has several each, like macro/cifar10; "
                f"{base.space.name}/{benchmark.dataset} has none to choose from: give a deviation, +noise=.25."
            )
        return NoisyBenchmark(base, {}, f"{dataset}={TABLE}")
    name, colon, number = value.rpartition(":")
    name = base.aliases.get(name, name)
    costly = [o.name for o in base.objectives if not o.cheap]
    if not _NUMBER.fullmatch(number) or not float(number) <= LARGEST or (colon and not name):
        raise UserError(f"{FORM}; got {value!r}.")
    if colon and name not in costly:
        raise UserError(f"{FORM}; {name!r} is no evaluated objective of the run.{suggest(name, costly)}")
    names = [name] if colon else [o.name for o in base.objectives if not o.cheap and o.unit == "%"]
    twice = [n for n in names if n in known]
    if twice:
        raise UserError(f"+noise= gives {twice[0]} noise twice: leave one out.")
    added = dict.fromkeys(names, float(number))
    text = f"{name}:{float(number):.12g}" if colon else f"{float(number):.12g}"
    return NoisyBenchmark(base, known | added, f"{dataset}={text}")


def has_trainings(benchmark: Benchmark) -> bool:
    """Whether the table of a benchmark, or of the one within it, has several trainings of what can be searched."""
    while isinstance(benchmark, WrappingBenchmark):
        benchmark = benchmark.inner
    if not isinstance(benchmark, TabularBenchmark):
        return False
    table = benchmark.table
    searched = [table.column(name) for name, c in table.columns.items() if c["role"] == "objective"]
    return any(values.ndim == 2 and values.shape[1] > 1 for values in searched)  # earlier imports wrote columns (n, 1)
