"""macro/cifar10: NAS-Bench-Macro, 6,561 networks trained three times each (Su et al., CVPR 2021)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data.build import Column, error_percent, genotypes, grid_order, write
from smemnas.bench.data.download import Source
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.bench.errors import DataError
from smemnas.spaces.macro import Macro

N_SEEDS = 3
SOURCE = Source(
    "nas-bench-macro_cifar10.json",
    "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/61a2bfc2ca0dce04d0997e6cf498047c27d6acf2/"
    "data/nas-bench-macro_cifar10.json",
    "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
    1178821,
    "Apache-2.0",
    (
        "https://raw.githubusercontent.com/mingkai-zheng/GENIUS/97361d30b2da337edd0c8e1ed71b7c88b4a85d38/benchmark/"
        "nas-bench-macro_cifar10.json",
    ),
)


def make(paths: Mapping[str, Path], target: Path) -> Table:
    """Read the file and write the table; its own costs must equal the space's closed forms.

    Raises:
        DataError: Not that format, an unknown or missing architecture, an accuracy that is no percentage, or
            a cost that differs.
    """
    path, space = paths[SOURCE.file], Macro()
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        names = list(records)
        accuracy = np.array([r["test_acc"] for r in records.values()], dtype=np.float64).reshape(-1, N_SEEDS)
        costs = {c: np.array([r[c] for r in records.values()], dtype=np.float64) for c in ("params", "flops")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is not {{arch: {{test_acc, params, flops}}}}: {error}") from error
    X = genotypes(space, names, path.name)
    order = grid_order(space, X, path.name)
    for cost, values in costs.items():
        wrong = np.flatnonzero(np.rint(space.cost(X, cost) * 1e6) != values)
        if len(wrong):
            raise DataError(f"{path.name}, row {wrong[0] + 1}: {cost} of {names[wrong[0]]} differs from its network.")
    percent = error_percent(accuracy, path.name, "test_acc")[order]
    text = "test error of three trainings"
    return write(
        RECIPE,
        paths,
        target,
        {"error": Column(percent, "%", "single", "objective", text)},
        default_objectives=("error", "flops"),
        notes=(
            "The test error is the only one recorded: this run searches and reports on the same split.",
            "A search sees one of three trainings, chosen by the evaluation seed; the report is their mean, "
            "so the searched training is among the three.",
        ),
    )


RECIPE = register(
    Recipe(
        "macro-cifar10",
        "macro/cifar10",
        1,
        (SOURCE,),
        make,
        "6,561 MobileNetV2-like networks on CIFAR-10, three trainings each",
        "error (three trainings, single split)",
    )
)


@BENCHMARKS.register(RECIPE.table, summary="NAS-Bench-Macro, CIFAR-10, three trainings, single split")
def open_macro(objectives: Sequence[str] = ()) -> TabularBenchmark:
    """Open the installed benchmark."""
    return TabularBenchmark(Macro(), open_table(RECIPE), objectives)
