"""Which data sets know training times, for those who want them as a budget."""

from __future__ import annotations

import json

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.timed import TIME_ROLE, WITH_TIMES
from smemnas.bench.errors import UserError


def require_times(benchmark: Benchmark) -> None:
    """Refuse a benchmark that knows no training times.

    Raises:
        UserError: So it is; it names those that do.
    """
    if benchmark.timed:
        return
    raise UserError(
        f"--budget-time needs training times, which {benchmark.space.name}/{benchmark.dataset} does not have. Those "
        f"that do: {', '.join(timed_names())}, real trainings (run --evaluator train), and your own tables with a "
        "column of seconds (data import --time COLUMN)."
    )


def timed_names() -> list[str]:
    """Return the data sets whose tables have training times: built-in ones, installed or not, and imported ones."""
    known = [name for name in BENCHMARKS.names() if WITH_TIMES in BENCHMARKS.get(name).summary]
    return sorted({*known, *(name for name in _imported() if name not in known)})


def _imported() -> list[str]:
    """Return the installed tables with a column of that role; one that cannot be read is none."""
    found = []
    for file in sorted(table_folder("").glob("*/*/header.json")):
        try:
            columns = json.loads(file.read_bytes())["columns"].values()
            if any(column["role"] == TIME_ROLE for column in columns):
                found.append(f"{file.parent.parent.name}/{file.parent.name}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found
