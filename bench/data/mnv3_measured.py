"""mnv3/measured: 2,162 OFA-MobileNetV3 sub-networks whose ImageNet accuracy was measured (Intel DyNAS-T).

The searched column is the predictor's error, the reported one the measured error of the same network with
inherited weights: a second truth for the ranking study. Networks of width 1.0 at 224 pixels. They come from
searches, so good networks are over-represented, and no other network of the space is in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.predictor import DECIMALS, predictor_inputs
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data.build import Column, write
from smemnas.bench.data.mnv3 import MEASURED, WEIGHTS, fit_offset, read_measured, read_predictor
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.spaces.mnv3 import MNV3


def make(paths: Mapping[str, Path], target: Path) -> Table:
    """Write one row per distinct measured network, the mean where a network was measured more than once."""
    space = MNV3()
    predictor = read_predictor(paths[WEIGHTS.file])
    measured = read_measured([paths[s.file] for s in MEASURED])
    offset, _ = fit_offset(predictor, measured)
    keys, first, number = np.unique(space.canonical(measured.X), return_index=True, return_inverse=True)
    error = 100.0 - np.bincount(number.reshape(-1), weights=measured.accuracy) / np.bincount(number.reshape(-1))
    X = space.normalise(measured.X[first])
    predicted = 100.0 - (predictor.raw(predictor_inputs(space, X)) - offset)
    return write(
        RECIPE,
        paths,
        target,
        {
            "key": Column(keys, "", "none", "info", "canonical form of the network"),
            "genotype": Column(X.astype(np.int8), "", "none", "genotype", "genes"),
            "error": Column(
                np.round(predicted, DECIMALS), "%", "predicted", "objective", "predicted error", report="measured_error"
            ),
            "measured_error": Column(np.round(error, DECIMALS), "%", "validation", "report", "measured error"),
        },
        default_objectives=("error", "flops"),
        index="key",
        notes=(
            "error is predicted by Once-for-All's accuracy predictor, measured_error is what DyNAS-T measured on the "
            "ImageNet validation images with inherited weights; the mean where a network was measured twice.",
            "Only networks that DyNAS-T's searches visited, width 1.0, 224 pixels: any other evaluation fails.",
        ),
    )


RECIPE = register(
    Recipe(
        "mnv3-measured",
        "mnv3/measured",
        1,
        (WEIGHTS, *MEASURED),
        make,
        "2,162 OFA-MobileNetV3 sub-networks with predicted and measured ImageNet accuracy",
        "error (predicted), measured_error",
    )
)


@BENCHMARKS.register(
    "mnv3/measured", summary="2,162 measured OFA sub-networks: predicted error, measured error reported"
)
def open_measured(objectives: Sequence[str] = ()) -> TabularBenchmark:
    """Open the measured networks."""
    return TabularBenchmark(MNV3(), open_table(RECIPE), objectives)
