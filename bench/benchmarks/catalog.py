"""What can be searched, by name: "space/dataset", evaluators that compute every value anew, and named problems.

The named problems have the shape of EvoXBench's problems of similar name (Lu et al., IEEE TEVC 2023): the same space
and the same objectives. EvoXBench has its own evaluators and its own normalisation, so numbers do not compare.
"""

from __future__ import annotations

from collections.abc import Sequence

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.objectives import refuse_repeated
from smemnas.bench.benchmarks.store import open_imported, table_folder
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.registry import Registry
from smemnas.spaces.base import SPACES

#: What computes every value anew, by what stands before the first "+" of a data set's name: function that opens the
#: benchmark of a space, a data set's name and some objectives.
EVALUATORS: Registry[Benchmark] = Registry("evaluator", "smemnas.bench.train.entries")
#: "space/dataset" -> function that opens the benchmark for some objectives (empty: its defaults).
BENCHMARKS: Registry[Benchmark] = Registry("benchmark", "smemnas.bench.data")
#: What changes a benchmark, by the key of "+KEY=VALUE" behind a data set's name: function of a benchmark and the value.
CHANGES: Registry[Benchmark] = Registry("change", "smemnas.bench.data")
#: The key that adds a latency table to any data set, evaluators included, see `bench.benchmarks.latency`.
LATENCY = "latency"


def open_benchmark(
    space: str,
    dataset: str | None = None,
    objectives: Sequence[str] = (),
    constraints: Sequence[str] = (),
    *,
    full_space: bool = False,
) -> Benchmark:
    """Open the benchmark of a space and data set.

    Args:
        space: Registered space.
        dataset: Data set; None takes the space's default.
        objectives: Objective names; empty takes the benchmark's defaults.
        constraints: What an architecture must satisfy, like "flops<=150", see `bench.benchmarks.constraints`.
        full_space: Search the whole space where a table covers a part of it; what it lacks then fails.

    Raises:
        UserError: Unknown space, data set, objective or constraint; near misses are suggested.
        DataError: The table is not installed or is corrupt.
    """
    refuse_repeated(objectives)  # also where a plug-in's benchmark would not
    if constraints:
        from smemnas.bench.benchmarks.constraints import constrain

        return constrain(open_benchmark(space, dataset, objectives, full_space=full_space), constraints)
    benchmark = _open(space, dataset, objectives)
    benchmark.full_space = full_space
    return benchmark


def _open(space: str, dataset: str | None, objectives: Sequence[str]) -> Benchmark:
    """Open a benchmark without constraints."""
    entry = SPACES.get(space)
    chosen = dataset or str(getattr(entry.factory, "default_dataset", ""))
    name = f"{space}/{chosen}"
    if name in BENCHMARKS:
        return BENCHMARKS.create(name, objectives=tuple(objectives))
    base, key, value = _last_change(chosen)
    if key == LATENCY:  # comes before evaluators: what trains does not know of it
        from smemnas.bench.benchmarks.latency.benchmark import with_latency

        return with_latency(lambda names: _open(space, base, names), objectives, value)
    kind = evaluator_of(chosen)
    if kind:
        return EVALUATORS.get(kind).factory(space, chosen, tuple(objectives))
    if key:
        return CHANGES.get(key).factory(_open(space, base, objectives), value)
    if chosen not in datasets_of(space):
        raise UserError(f"space {space!r} has no data set {chosen!r}.{suggest(chosen, datasets_of(space))}")
    table = open_imported(name)
    return TabularBenchmark(SPACES.create(space, params=table.header["space_params"]), table, objectives)


def evaluator_of(dataset: str) -> str:
    """Return the name of the evaluator that computes a data set's values anew; "" where they are known or looked up."""
    kind, plus, _ = dataset.partition("+")
    return kind if plus and kind in EVALUATORS else ""


def base_of(dataset: str) -> str:
    """Return the name of a data set without what changes it: "ofa" of "ofa+draw=3"."""
    base, key, _ = _last_change(dataset)
    return base_of(base) if key else dataset


def _last_change(dataset: str) -> tuple[str, str, str]:
    """Split "ofa+draw=3" into the data set, the key and the value; the key is "" where nothing changes it."""
    base, plus, change = dataset.rpartition("+")
    key, equals, value = change.partition("=")
    return (base, key, value) if plus and equals and (key == LATENCY or key in CHANGES) else (dataset, "", "")


def datasets_of(space: str) -> list[str]:
    """Return the data sets of a space: the registered ones and the tables that a user has imported."""
    registered = {n.split("/", 1)[1] for n in BENCHMARKS.names() if n.startswith(f"{space}/")}
    imported = {path.parent.name for path in table_folder(space).glob("*/header.json")}
    return sorted(registered | {name for name in imported if not name.startswith(".")})
