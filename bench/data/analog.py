"""nb201/analog: the table that another package brings, extra `analog`.

The wheel `analog-nasbench` (PyPI) holds 15,625 NAS-Bench-201 cells on CIFAR-10 measured as a float network, with
8-bit weights (PTQ, QAT) and on simulated analog in-memory hardware (noise, drift). One column per quantity: there
is no validation/test split, so a run searches and reports on the same numbers.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.store import open_or_make
from smemnas.bench.benchmarks.table import Table, file_digest, write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import DataError
from smemnas.spaces.base import IntArray
from smemnas.spaces.cell201 import CONV1, CONV3, EDGES, NONE, POOL, SKIP
from smemnas.spaces.nb201 import NB201

RECIPE_VERSION = 2
INSTALL = "pip install analog-nasbench==0.1.3 (the extra analog)"
SOURCE_SHA256 = "85f3435b877aa2d36268d55ce07f6ff6d73643d17a840f1941745da5eb80db32"
#: The file's operation codes -> ours.
OPERATION = np.array([SKIP, NONE, CONV3, CONV1, POOL])
#: The file lists edges source-major; position of each of our genes in its tuples.
POSITION = [sorted(EDGES).index(edge) for edge in EDGES]
_DRIFT = {"60": "60s", "3600": "1h", "86400": "1d", "2592000": "30d"}
#: Attribute of a record -> (column, what it is).
COLUMNS = {
    "baseline_accuracy": ("error", "float network"),
    "ptq_accuracy": ("error_ptq", "8-bit post-training quantisation"),
    "qat_accuracy": ("error_qat", "8-bit quantisation-aware training"),
    "noisy_accuracy": ("error_noisy", "float network on noisy analog hardware"),
    "analog_accuracy": ("error_analog", "hardware-aware training on noisy analog hardware"),
    **{f"baseline_drift_{s}": (f"error_drift_{t}", f"float network, analog drift of {t}") for s, t in _DRIFT.items()},
    **{
        f"analog_drift_{s}": (f"error_analog_drift_{t}", f"hardware-aware training, analog drift of {t}")
        for s, t in _DRIFT.items()
    },
}


class _Record:
    """Stand-in for the file's two record classes: keeps the attributes, runs no code."""


class _RecordUnpickler(pickle.Unpickler):
    """Knows exactly the two record classes of the file and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a global of the pickle."""
        if module == "analognasbench.data" and name in ("Architecture", "DriftMeasurement"):
            return _Record
        raise DataError(f"the file names the foreign class {module}.{name}: not the analog-nasbench data, refused.")


def read_records(stream: IO[bytes]) -> tuple[IntArray, dict[str, np.ndarray[Any, Any]]]:
    """Read the wheel's data file.

    Returns:
        Genotypes ``(n, 6)`` in our gene order and the columns ``(n,)`` in percent error.

    Raises:
        DataError: A foreign class, a truncated file, or values that are no percentages.
    """
    try:
        records = _RecordUnpickler(stream).load()
        X = OPERATION[np.array(list(records), dtype=np.int64)[:, POSITION]]
        items = list(records.values())
        columns: dict[str, np.ndarray[Any, Any]] = {}
        for attribute, (column, _) in COLUMNS.items():
            values = [getattr(item, attribute) for item in items]
            if "drift" in attribute:
                columns[f"{column}_sd"] = np.array([v.uncertainty for v in values], dtype=np.float64)
                values = [v.value for v in values]
            # ten decimals are all the file has; rounding takes away the noise of the subtraction
            columns[column] = np.round(100.0 - np.array(values, dtype=np.float64), 10)
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError, TypeError) as error:
        raise DataError(f"the analog-nasbench data file is corrupt ({error}): install it again.") from error
    for column, errors in columns.items():
        if not ((errors >= 0) & (errors <= 100)).all():
            raise DataError(f"the analog-nasbench column {column!r} has values outside 0..100 %.")
    return X, columns


def make(folder: Path) -> Table:
    """Read the wheel's file and write the table."""
    spec = importlib.util.find_spec("analognasbench")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"nb201/analog is not installed: {INSTALL}")
    source = Path(next(iter(spec.submodule_search_locations))) / "data.anb"
    if not source.is_file() or file_digest(source) != SOURCE_SHA256:
        raise DataError(
            f"{source} is missing or not the file of version 0.1.3: "
            "pip install --force-reinstall analog-nasbench==0.1.3"
        )
    with open(source, "rb") as stream:
        X, columns = read_records(stream)
    space = NB201()
    rows = space.index(X)
    if len(np.unique(rows)) != space.size:
        raise DataError(f"analog-nasbench covers {len(np.unique(rows))} cells, expected {space.size}.")
    order = np.argsort(rows)
    what = dict(COLUMNS.values())
    describe = {
        name: {
            "unit": "%",
            "split": "single",
            "role": "info" if name.endswith("_sd") else "objective",
            "text": f"uncertainty of {name[:-3]}" if name.endswith("_sd") else what[name],
        }
        for name in columns
    }
    return write_table(
        folder,
        {name: values[order] for name, values in columns.items()},
        describe=describe,
        name="nb201/analog",
        space="nb201",
        dataset="analog",
        index="grid",
        recipe_version=RECIPE_VERSION,
        default_objectives=["error", "flops"],
        source={"package": "analog-nasbench 0.1.3", "file": "data.anb", "sha256": SOURCE_SHA256},
        licence="as published on PyPI: analog-nasbench",
        notes=[
            "CIFAR-10, analog-nasbench 0.1.3: one column and no validation/test split, so this run searches and "
            "reports on the same numbers.",
            "One number per cell: the evaluation seed is ignored.",
        ],
    )


@BENCHMARKS.register(
    "nb201/analog", summary="CIFAR-10 cells, float/quantised/analog errors, one column each; extra analog"
)
def open_analog(objectives: Sequence[str] = ()) -> TabularBenchmark:
    """Open the benchmark; the first call on a machine makes its table from the installed package."""
    return TabularBenchmark(NB201(), open_or_make("nb201/analog", RECIPE_VERSION, make), objectives)
