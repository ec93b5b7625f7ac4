"""Finding an architecture by what a user calls it, and the numbers that are known of it without training."""

from __future__ import annotations

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import datasets_of, open_benchmark
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.predictor import PredictorBenchmark
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import SPACES, IntArray, SearchSpace
from smemnas.spaces.forms import read_form


def space_of(space: str, dataset: str | None) -> SearchSpace:
    """Return the space as a data set sets it up; without one as the default data set does, if it is installed.

    A default data set that covers a part of the space (one resolution) does not narrow what can be named.

    Raises:
        UserError: Unknown space or data set.
        DataError: The data set was named and is not installed.
    """
    if dataset is not None:
        return open_benchmark(space, dataset).space
    SPACES.get(space)
    whole = SPACES.create(space)
    try:
        usual = open_benchmark(space).space
    except UserError:
        return whole
    return usual if usual.size >= whole.size else whole


def find(space: SearchSpace, arch: str) -> IntArray:
    """Return the genotype ``(n_var,)`` of a name, of "#N" (row N of the enumerated space), or of "FORM:VALUE".

    Raises:
        UserError: None of them names an architecture of the space.
    """
    x = read_form(space, arch)
    if not space.is_valid(x[None])[0]:
        raise UserError(f"{arch!r} is written like an architecture of {space.name}, but is not one of its valid ones.")
    return x


def other_names(space: SearchSpace, x: IntArray) -> list[tuple[str, str, str]]:
    """Return (form, name, what the form is) of one genotype for every form that is written, but the suite's own name.

    A form that needs an order of operations is left out, and so are the genes.
    """
    found = []
    for form in space.forms:
        if form.write is not None and form.name not in ("name", "genes") and not form.operations:
            try:
                found.append((form.name, form.write(x, ()), form.text))
            except UserError:
                continue
    return found


def costs_of(space: SearchSpace, x: IntArray) -> str:
    """Return the exact costs of one genotype: "params 1.074 M, flops 153.3 M"."""
    order = sorted(space.costs, key=lambda c: c.name != "params")
    found = [quantity(c.name, float(space.cost(x[None], c.name)[0]), c.unit) for c in order]
    return ", ".join(found) or "the space computes no costs"


def values_of(space: SearchSpace, x: IntArray, dataset: str | None) -> list[tuple[str, str]]:
    """Return ("space/dataset", its values of a genotype as text) for each installed data set, or for one.

    A data set may set the space up with other choices of a gene, so it is asked by the architecture's name. Only
    tables, predictors and plain functions are asked: nothing is trained.
    """
    found = []
    for name in [dataset] if dataset is not None else datasets_of(space.name):
        place = f"{space.name}/{name}"
        try:
            benchmark = open_benchmark(space.name, name)
            there = _same(space, x, benchmark.space)
            text = "" if there is None else _values(benchmark.plain, there[None])
            if text:
                found.append((place, text))
        except UserError as error:
            if (table_folder(place) / "header.json").exists() or not isinstance(error, DataError):
                found.append((place, f"cannot be read: {error}"))
    return found


def _same(space: SearchSpace, x: IntArray, other: SearchSpace) -> IntArray | None:
    """Return the genotype of an architecture in a space set up in another way; None where it has none."""
    try:
        there = other.from_str(space.to_str(x))
    except UserError:
        return None
    return there if other.is_valid(there[None])[0] else None


def _values(benchmark: Benchmark, X: IntArray) -> str:
    """Return what a benchmark knows of one genotype ``(1, n_var)``; the mean where there are several trainings."""
    values: list[tuple[str, float, str]] = []
    if isinstance(benchmark, TabularBenchmark):
        row = benchmark.rows(X)
        names = [n for o, r in zip(benchmark.objectives, benchmark.report_names, strict=True) for n in (o.name, r)]
        for name in dict.fromkeys(names):
            if name in benchmark.table.columns:
                column = np.asarray(benchmark.table.column(name)[row], dtype=np.float64)
                known = column[np.isfinite(column)] if row[0] >= 0 else column[:0].ravel()
                value = float(known.mean()) if known.size else float("nan")
                values.append((name, value, str(benchmark.table.columns[name]["unit"])))
    elif isinstance(benchmark, PredictorBenchmark | CallableBenchmark):
        F = benchmark.evaluate(X, 0).F[0]
        values = [(o.name, float(v), o.unit) for o, v in zip(benchmark.objectives, F, strict=True) if not o.cheap]
    else:
        return ""
    remarks = [text for text in benchmark.remarks(X) if text]
    return ", ".join([*(quantity(*v) for v in values), *remarks, costs_of(benchmark.space, X[0])])


def quantity(name: str, value: float, unit: str) -> str:
    """Return "name value unit"; "name unknown" where there is no value."""
    return f"{name} {value:.4g} {unit}".rstrip() if np.isfinite(value) else f"{name} unknown"
