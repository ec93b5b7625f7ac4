"""How a problem is judged, in words: the ranges of its indicators, and the least error under its cost caps."""

from __future__ import annotations

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.ranges import (
    CAPS,
    DEFAULT_RULE,
    FRONT,
    best_under,
    caps_of,
    cost_column,
    error_column,
    range_text,
)
from smemnas.bench.errors import UserError


def judged_lines(place: str, objectives: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return what `data info` says of how searches of a data set are judged, as pairs of key and text.

    Args:
        place: "space/dataset".
        objectives: What is minimised; none takes the data set's defaults.

    Returns:
        Nothing where the data set cannot be opened, or no reference front of it is known.
    """
    space, _, dataset = place.partition("/")
    try:
        benchmark = open_benchmark(space, dataset, objectives)
        lines = ranges_of(benchmark)
        for cost in sorted(name for at, known, name in CAPS if (at, known) == (space, dataset)):
            lines.append(("cost caps", caps_text(open_benchmark(space, dataset, ("error", cost)))))
    except UserError:
        return []
    return lines


def ranges_of(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Return the range of each rule, as pairs of key and text."""
    reference = benchmark.reference()
    if reference is None:
        return []
    lines = [(f"range, {FRONT}", f"{range_text(benchmark, reference)} (unless told otherwise)")]
    if error_column(benchmark.objectives) is not None:
        near = measured_by(reference, DEFAULT_RULE, benchmark)
        assert near is not None, "there is a reference front"
        lines.append((f"range, {DEFAULT_RULE}", f"{range_text(benchmark, near)} (--reference {DEFAULT_RULE})"))
    return lines


def caps_text(benchmark: Benchmark) -> str:
    """Return the cost caps of a benchmark of an error and a cost, with the least error under each."""
    reference = benchmark.reference()
    column = cost_column(benchmark.objectives)
    assert column is not None, "it minimises a cost"
    cost = benchmark.objectives[column]
    pairs = zip(caps_of(benchmark, reference), best_under(benchmark, reference).tolist(), strict=True)
    found = ", ".join(f"{best:.4g} % within {cap:g} {cost.unit}" for cap, best in pairs)
    return f"{cost.name}: least error {found}"
