"""nats_sss/cifar10: the NATS-Bench size space, test accuracy after 90 epochs (Dong et al., TPAMI 2021)."""

from __future__ import annotations

import re
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
from smemnas.spaces.base import FloatArray
from smemnas.spaces.nats_sss import NATSSize

SOURCE = Source(
    "nats_cifar10_acc_rank.yml",
    "https://raw.githubusercontent.com/changlin31/BossNAS/bb8b26a09e3ae7889dd118950b022be6b3ce99a0/"
    "ranking_nats/nats_cifar10_acc_rank.yml",
    "8e625bd6821c439d0f99cd7fc5c59177d31d4651d333c4d4b2d47a4181273b8a",
    735434,
    "numbers of NATS-Bench (MIT); the copy has no licence file",
)
#: `8:8:16:40:40: 90.1`, the key quoted or not. YAML 1.1 would read an unquoted key as a number in base 60.
LINE = re.compile(r"(?P<quote>['\"]?)(?P<key>\d+(?::\d+){4})(?P=quote):\s+(?P<value>[-+.\w]+)")


def read_accuracies(path: Path) -> tuple[list[str], FloatArray]:
    """Read names and accuracies ``(n,)`` line by line, every name as a string.

    Raises:
        DataError: A line is not five counts and a number.
    """
    names, values = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise DataError(
                f"{path.name}, line {number}: expected c1:c2:c3:c4:c5: accuracy, got {line.strip()[:60]!r}."
            )
        names.append(found["key"])
        try:
            values.append(float(found["value"]))
        except ValueError as error:
            raise DataError(f"{path.name}, line {number}: {found['value']!r} is not a number.") from error
    return names, np.array(values)


def make(paths: Mapping[str, Path], target: Path) -> Table:
    """Read the file and write the table.

    Raises:
        DataError: A malformed line, an unknown, repeated or missing architecture, or no percentage.
    """
    path, space = paths[SOURCE.file], NATSSize()
    names, accuracy = read_accuracies(path)
    order = grid_order(space, genotypes(space, names, path.name), path.name)
    error = error_percent(accuracy, path.name, "accuracy")[order]
    return write(
        RECIPE,
        paths,
        target,
        {"error": Column(error, "%", "single", "objective", "test error, 90 epochs")},
        default_objectives=("error", "flops"),
        space_params={"n_classes": 10, "image_size": 32},
        notes=(
            "The 90-epoch test error is the only one in the file: this run searches and reports on it.",
            "One number per network: the evaluation seed is ignored.",
        ),
    )


RECIPE = register(
    Recipe(
        "nats_sss-cifar10",
        "nats_sss/cifar10",
        1,
        (SOURCE,),
        make,
        "32,768 channel configurations on CIFAR-10, 90 epochs",
        "error (single split)",
    )
)


@BENCHMARKS.register(RECIPE.table, summary="NATS-Bench size space, CIFAR-10, 90 epochs, single split")
def open_nats_sss(objectives: Sequence[str] = ()) -> TabularBenchmark:
    """Open the installed benchmark."""
    return TabularBenchmark(NATSSize(), open_table(RECIPE), objectives)
