"""nb101: NAS-Bench-101 (Ying et al., ICML 2019) and EC-NAS (Bakhtiarifard et al., ICASSP 2024), CIFAR-10.

Both come as one TFRecord file (`bench.data.nb101_file`). Every graph was trained three times for each budget (4,
12, 36 or 108 epochs). Nothing is trusted: checksums, hashes and parameter counts are recomputed for every graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.benchmarks.timed import WITH_TIMES
from smemnas.bench.data.build import Column, write
from smemnas.bench.data.download import Source
from smemnas.bench.data.nb101_file import ACCURACIES, BUDGETS, ENERGY, REPEATS, SECONDS, Collection, collect
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.bench.errors import DataError
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.nb101 import N_GRAPHS, NB101

RECIPE_VERSION = 1


class _Dataset(NamedTuple):
    """What a data set must hold.

    Attributes:
        max_vertices: Of its graphs.
        n_graphs: Distinct graphs.
        default_objectives: What is searched unless told otherwise.
    """

    max_vertices: int
    n_graphs: int
    default_objectives: tuple[str, ...]


DATASETS = {
    "ecnas4": _Dataset(4, 91, ("val_error", "energy")),
    "cifar10": _Dataset(7, N_GRAPHS, ("val_error", "flops")),
    "cifar10-full": _Dataset(7, N_GRAPHS, ("val_error", "flops")),
}


def make_nb101(source: Path, folder: Path, dataset: str) -> Table:
    """Convert an original file to the table of a data set, rows sorted by `NB101.canonical`.

    Args:
        source: The TFRecord file.
        folder: Where the table goes.
        dataset: A name in `DATASETS`.

    Raises:
        DataError: Damaged, incomplete, or the file of another data set; no table is left then.
    """
    expected = DATASETS[dataset]
    found = collect(source)
    space = NB101(max_vertices=expected.max_vertices)
    keys = _checked_keys(found, source, dataset, space)
    order = np.argsort(keys)
    keys = keys[order]
    recorded = np.array(found.parameters)[order]
    if BUDGETS[-1] not in found.budgets:
        raise DataError(f"{source} has no trainings of {BUDGETS[-1]} epochs, found {sorted(found.budgets)}.")
    columns = {
        "key": Column(keys, "", "none", "info", "NB101.canonical, sorted"),
        "genotype": Column(_genotypes(found, order, space), "", "none", "genotype", "the network that was trained"),
        "params_recorded": Column(recorded / 1e6, "M", "none", "info", "trainable parameters as recorded"),
    }
    for epochs in sorted(found.budgets, reverse=True):
        trainings = found.budgets.pop(epochs)
        short = np.flatnonzero(trainings.count[: len(order)] != REPEATS)
        if len(short) or len(trainings.count) < len(order):
            lacking = max(len(short), 1)
            raise DataError(f"{source} lacks trainings of {epochs} epochs for {lacking:,} graphs: it is cut.")
        columns |= _columns(trainings.values, order, found.fields, epochs)
    if len(keys) != expected.n_graphs:
        raise DataError(
            f"{source} has {len(keys):,} graphs, nb101/{dataset} has {expected.n_graphs:,}: it is cut or another file."
        )
    notes = [
        "CIFAR-10, validation and test kept apart. Errors without a suffix are those after 108 epochs.",
        "Three trainings per graph: a seed sees one of them and the report is the mean over all three, so "
        "the searched training is among the reported ones.",
    ]
    other = np.abs(graphs.parameters(*graphs.from_keys(keys), space.n_classes) - recorded) / 1e6
    if other.any():
        notes.append(
            f"{np.count_nonzero(other):,} networks were trained in another vertex order than the one that "
            f"costs are computed for; their recorded parameters differ by up to {other.max():.4f} M."
        )
    recipe = RECIPES[dataset]
    return write(
        recipe,
        {recipe.sources[0].file: source},
        folder,
        columns,
        default_objectives=expected.default_objectives,
        aliases={"error": "val_error"},
        index="key",
        space_params={"max_vertices": expected.max_vertices},
        notes=notes,
    )


def _checked_keys(found: Collection, source: Path, dataset: str, space: NB101) -> IntArray:
    """Return the keys ``(n,)`` of the recorded graphs after checking them and their parameter counts.

    Raises:
        DataError: A graph is too large, not pruned, there twice, or has other parameters than recorded.
    """
    code, labels = np.array(found.code), np.array(found.labels)
    pruned, live = graphs.prune(code)
    used = np.bitwise_or.reduce(live) if len(live) else 0
    if used & ~(1 << graphs.OUTPUT) >= 1 << (space.max_vertices - 1):
        raise DataError(
            f"{source} has graphs of more than {space.max_vertices} vertices, so it is not nb101/{dataset}."
        )
    if not ((pruned == code) & (live != 0) & (graphs.count_edges(code) <= graphs.MAX_EDGES)).all():
        raise DataError(f"{source} has graphs with unconnected vertices or over {graphs.MAX_EDGES} edges.")
    computed = graphs.parameters(code, labels, space.n_classes)
    wrong = np.flatnonzero(computed != np.array(found.parameters))
    if len(wrong):
        row = int(wrong[0])
        name = space.to_str(space.unpack(code[row : row + 1], labels[row : row + 1])[0])
        raise DataError(
            f"{source} records {found.parameters[row]:,} parameters for {name}, which has {computed[row]:,}."
        )
    keys = graphs.canonical_keys(code, labels)
    if len(np.unique(keys)) != len(keys):
        raise DataError(f"{source} has the same graph in two vertex orders.")
    return keys


def _genotypes(found: Collection, order: NDArray[np.intp], space: NB101) -> NDArray[np.int8]:
    """Return the recorded genotypes ``(n, n_var)`` in the given order, made a part at a time."""
    code, labels = np.array(found.code)[order], np.array(found.labels)[order]
    X = np.empty((len(order), space.n_var), dtype=np.int8)
    for at in range(0, len(order), 1 << 15):
        part = slice(at, at + (1 << 15))
        X[part] = space.unpack(code[part], labels[part])
    return X


def _columns(values: FloatArray, order: NDArray[np.intp], fields: Sequence[int], epochs: int) -> dict[str, Column]:
    """Return the columns ``(n, 3)`` of one epoch budget; its name ends the column names except for 108."""
    end = "" if epochs == BUDGETS[-1] else f"_{epochs}"
    after = f"after {epochs} epochs, three trainings"
    columns: dict[str, Column] = {}
    for at, field in enumerate(fields):
        numbers = values[order, :, at]
        if field in ACCURACIES:
            numbers = 100.0 - 100.0 * numbers
        if field == 4:
            report = f"test_error{end}"
            columns[f"val_error{end}"] = Column(numbers, "%", "validation", "objective", after, report)
        elif field == 5:
            columns[f"test_error{end}"] = Column(numbers, "%", "test", "report", after)
        elif field == 3:
            columns[f"train_error{end}"] = Column(numbers, "%", "none", "info", after)
        elif field == SECONDS:
            columns[f"train_seconds{end}"] = Column(numbers, "s", "none", "info", f"time of {epochs} epochs")
        elif field == ENERGY:
            text = f"energy of training {epochs} epochs, three trainings"
            columns[f"energy{end}"] = Column(numbers, "kWh", "none", "objective", text)
        else:
            text = f"CO2 equivalent of training {epochs} epochs where and when it ran"
            columns[f"co2eq{end}"] = Column(numbers, "g", "none", "info", text)
    return columns


def _make(dataset: str, paths: Mapping[str, Path], target: Path) -> Table:
    """Adapt `make_nb101` to what a recipe calls."""
    return make_nb101(next(iter(paths.values())), target, dataset)


def _recipe(dataset: str, source: Source, text: str, gives: str) -> Recipe:
    """Register the recipe of one data set."""
    return register(
        Recipe(
            name=f"nb101-{dataset}",
            table=f"nb101/{dataset}",
            version=RECIPE_VERSION,
            sources=(source,),
            make=partial(_make, dataset),
            text=text,
            gives=gives,
        )
    )


_GOOGLE = "https://storage.googleapis.com/nasbench"
RECIPES = {
    "ecnas4": _recipe(
        "ecnas4",
        Source(
            "energy_4V9E.tfrecord",
            "https://raw.githubusercontent.com/PedramBakh/EC-NAS-Bench/"
            "13e373ead9d5c1fa177de1c1217b0cd9d8739aac/ecnas/ecnas/utils/data/tabular_benchmarks/"
            "energy_4V9E.tfrecord",
            "eba6c177999103d7c938028e410836c1b62213a076b0e7436de85da8f81d974c",
            893_556,
            "MIT",
        ),
        "EC-NAS: 91 graphs of up to 4 vertices, 4/12/36/108 epochs, 3 trainings each",
        "val_error, test_error, energy (also _4, _12, _36), train_seconds, co2eq",
    ),
    "cifar10": _recipe(
        "cifar10",
        Source(
            "nasbench_only108.tfrecord",
            f"{_GOOGLE}/nasbench_only108.tfrecord",
            "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
            0,
            "Apache-2.0",
        ),
        "NAS-Bench-101: 423,624 graphs, 108 epochs, 3 trainings each (0.5 GB)",
        "val_error, test_error, train_error, train_seconds",
    ),
    "cifar10-full": _recipe(
        "cifar10-full",
        Source(
            "nasbench_full.tfrecord",
            f"{_GOOGLE}/nasbench_full.tfrecord",
            "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
            0,
            "Apache-2.0",
        ),
        "NAS-Bench-101: 423,624 graphs, 4/12/36/108 epochs, 3 trainings each (2 GB)",
        "val_error, test_error (also _4, _12, _36), train_error, train_seconds",
    ),
}


def _opener(dataset: str) -> Callable[[Sequence[str]], TabularBenchmark]:
    """Return the function that opens the benchmark of one data set."""

    def open_it(objectives: Sequence[str] = ()) -> TabularBenchmark:
        space = NB101(max_vertices=DATASETS[dataset].max_vertices)
        return TabularBenchmark(space, open_table(RECIPES[dataset]), objectives)

    return open_it


for _dataset, _made in RECIPES.items():
    BENCHMARKS.register(_made.table, summary=f"{_made.text}; {WITH_TIMES}")(_opener(_dataset))
