"""mnv3/imagenet and mnv3/imagenet-w12: OFA-MobileNetV3 with predicted ImageNet error and exact costs.

From three kinds of files: the weights of Once-for-All's accuracy predictor (Cai et al., ICLR 2020), five files
of sub-networks that Intel's DyNAS-T measured, and the latency of every layer on a Samsung Note10. The measured
networks serve to correct the predictor's bias and to check it; only predictions are searched.

The table is one column of numbers; its header says which stretch of it is what (`parts`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.predictor import Predictor, PredictorBenchmark, predictor_inputs
from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.data.build import header_source
from smemnas.bench.data.download import Source
from smemnas.bench.data.mnv3_reference import known_networks
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.bench.data.torch_file import read_tensors
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.forms import reader
from smemnas.spaces.mnv3 import MNV3, RESOLUTIONS
from smemnas.spaces.mnv3_latency import LatencyTable, compile_latency, parse_latency_file

_OFA = "https://raw.githubusercontent.com/mit-han-lab/once-for-all/698a5c10b434172056a565b340c46ce11df18629/tutorial/checkpoints/"
_DYNAS = "https://raw.githubusercontent.com/IntelLabs/DyNAS-T/251cb5e0083077522eb554691f480ba750e63246/notebooks/data/"
#: The predictor's weights.
WEIGHTS = Source(
    "acc_predictor.pth",
    f"{_OFA}acc_predictor.pth",
    "48685122a3540636b06699af66cd816456b25f29b69563e2fda9bed4018eeba0",
    1492497,
    "MIT",
)
#: Measured sub-networks of width 1.0 at resolution 224; the bias is fitted on the first two files.
MEASURED = tuple(
    Source(file, f"{_DYNAS}{file}", sha256, size, "Apache-2.0")
    for file, sha256, size in (
        ("mbnv3w10_evonsga2_acc_macs.csv", "26382008e3311c93cbb1f8de3310ac69a37c650c9692e032c90e04805e523cbe", 129555),
        (
            "mbnv3w10_linasnsga2_acc_macs.csv",
            "cc49278a179df47e6a8f5906e0bd32a6d2f4d29c0d0424ab0ac14eb4a10f8962",
            132896,
        ),
        (
            "mbnv3w10_evounsga3_acc_macs_params.csv",
            "b24f148a72d2f1bb1b3422a2f7f8a1f21e59bf5d47f033c0945840ac5d78384c",
            132907,
        ),
        ("mbnv3w10_evoga_acc.csv", "460efa9d68388f0523248c68996738a4cf1580115299c5223386acefd01c2904", 87347),
        ("mbnv3w10_linasga_acc.csv", "63f986501c47e44f3c7426acbcbf8787662a8aa93683d95461a6f6bb659765f7", 86622),
    )
)
N_FITTED = 2
#: Latency of each layer on a Samsung Note10, one file per resolution.
LATENCY = {
    resolution: Source(
        f"{resolution}_lookup_table.yaml",
        f"{_OFA}latency_table@note10/{resolution}_lookup_table.yaml",
        sha256,
        size,
        "MIT",
    )
    for resolution, sha256, size in (
        (160, "a2671a45e9400542679ed03de946b45d6a35010f9ab21834af3e7ba8341d36d1", 15088),
        (176, "34223ae037d5719a5f33261bdfd9341f590a2999edf520f174309605dc06307c", 15047),
        (192, "0ff5ca0649e56ad34a42d6a8a6f20adb5121c8d12d135299397b310472db79e2", 15076),
        (208, "41aa63af766a8298354e6aa5ae69d512ac68656a6e7d0a4fa5dc725c8d438633", 15083),
        (224, "c13a9bcb3f4becae844bce4897129c4e42975984c1029cbd5acb48c970136530", 15007),
    )
}
LATENCY_WIDTH = 1.2
#: Inputs and outputs of the predictor's layers; their place in the file's names.
SHAPES = ((400, 128), (400, 400), (400, 400), (1, 400))
POSITIONS = (0, 2, 4, 6)
#: Largest mean difference (points) between corrected prediction and measurement on a file kept for the check.
TOLERANCE = 0.3
NOTES = (
    "Errors are predictions of Once-for-All's accuracy predictor, not measurements. It has no validation/test "
    "split: this run searches and reports on the same numbers, and the evaluation seed is ignored.",
    "Named problems in1k-mop7-like, -mop8-like and -mop9-like have the space and objectives of EvoXBench's IN-1K "
    "problems, but other evaluators: numbers do not compare with EvoXBench's.",
)

#: Said of every benchmark of the predictor, beside the notes of its table.
EXPLOITED = (
    "The front of this predictor is exploited: at 300 M MAdds its best-known network lies 1.85 points below every "
    "network that was measured (21.3 against 23.2 % error), so regret is in good part the distance to an artefact. "
    "mnv3/ofa answers by measured networks instead."
)


class MeasuredNetworks(NamedTuple):
    """Measured sub-networks.

    Attributes:
        X: Genotypes ``(n, 46)``.
        accuracy: Top-1 accuracy ``(n,)`` in percent.
        params: Parameters ``(n,)``.
        madds: Multiply-adds ``(n,)``.
        file: Index of the file ``(n,)`` in `MEASURED`.
    """

    X: IntArray
    accuracy: FloatArray
    params: FloatArray
    madds: FloatArray
    file: FloatArray


def read_predictor(path: Path) -> Predictor:
    """Read the predictor's weights, without torch; its offset is 0.

    Raises:
        DataError: Not a file of float tensors, or tensors of other names or shapes.
    """
    with open(path, "rb") as stream:
        tensors = read_tensors(stream)
    wanted: dict[str, tuple[int, ...]] = {f"{at}.weight": shape for at, shape in zip(POSITIONS, SHAPES, strict=True)}
    wanted |= {f"{at}.bias": shape[:1] for at, shape in zip(POSITIONS, SHAPES, strict=True)}
    found = {name: values.shape for name, values in tensors.items()}
    if found != wanted or not all(np.isfinite(values).all() for values in tensors.values()):
        raise DataError(f"{path.name} is not OFA's predictor: expected finite tensors {wanted}, got {found}.")
    weights = tuple(tensors[f"{at}.weight"].astype(np.float64) for at in POSITIONS)
    biases = tuple(tensors[f"{at}.bias"].astype(np.float64) for at in POSITIONS)
    return Predictor(weights, biases, 0.0)


def read_measured(paths: Sequence[Path]) -> MeasuredNetworks:
    """Read files of DyNAS-T: a sub-network {ks, e, d, r}, its parameters, multiply-adds and top-1 accuracy.

    Raises:
        DataError: A row is malformed, names no network of the space, or its accuracy is no percentage.
    """
    read = reader(MNV3(), "ofa")
    genotypes: list[IntArray] = []
    values: list[tuple[float, float, float, float]] = []
    for index, path in enumerate(paths):
        with open(path, encoding="utf-8", newline="") as stream:
            for row, record in enumerate(csv.DictReader(stream), start=1):
                try:
                    genotypes.append(read(record["Sub-network"]))
                    numbers = [float(record[c]) for c in ("Top-1 Acc (%)", "Model Parameters", "MACs")]
                except (KeyError, ValueError, TypeError, UserError) as error:
                    raise DataError(f"{path.name}, row {row}: not a measured sub-network ({error}).") from error
                if not 0.0 <= numbers[0] <= 100.0:
                    raise DataError(f"{path.name}, row {row}: accuracy {numbers[0]:g} is no percentage.")
                values.append((numbers[0], numbers[1], numbers[2], float(index)))
    if not values:
        raise DataError(f"{', '.join(p.name for p in paths)}: no measured sub-network.")
    return MeasuredNetworks(np.array(genotypes), *np.array(values).T)


def read_latency(paths: Mapping[int, Path]) -> LatencyTable:
    """Read the latency files, one for each resolution.

    Raises:
        DataError: A file is malformed or lacks a layer.
    """
    means: dict[int, dict[str, float]] = {}
    for resolution, path in paths.items():
        try:
            entries = parse_latency_file(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, DataError) as error:
            raise DataError(f"{path.name}: {error}") from error
        means[resolution] = {name: mean for name, (mean, _, _) in entries.items()}
    return compile_latency("Note10", LATENCY_WIDTH, means)


def fit_offset(predictor: Predictor, measured: MeasuredNetworks) -> tuple[float, list[float]]:
    """Return the predictor's bias on the first two files and what is left of it on each of the others (points).

    Rounded to four decimals, so that the table is the same whatever machine it was made on.

    Raises:
        DataError: More than `TOLERANCE` is left on a file.
    """
    difference = predictor.raw(predictor_inputs(MNV3(), measured.X)) - measured.accuracy
    offset = round(float(difference[measured.file < N_FITTED].mean()), 4)
    others = range(N_FITTED, int(measured.file.max()) + 1)
    left = [round(float(difference[measured.file == k].mean() - offset), 4) for k in others]
    if max(map(abs, left)) >= TOLERANCE:
        raise DataError(
            f"the predictor's bias, fitted on two files, is off by {', '.join(f'{v:.2f}' for v in left)} points on the "
            f"others, expected below {TOLERANCE}: these are not the published files."
        )
    return offset, left


def make_mnv3(paths: Mapping[str, Path], target: Path) -> Table:
    """Write the table from the files of `RECIPE`, keyed by their names.

    Raises:
        DataError: A file is malformed, or predictor and measurements disagree.
    """
    predictor = read_predictor(paths[WEIGHTS.file])
    measured = read_measured([paths[s.file] for s in MEASURED])
    latency = read_latency({r: paths[s.file] for r, s in LATENCY.items()})
    offset, left = fit_offset(predictor, measured)
    parts: dict[str, NDArray[Any]] = {f"weight{i}": w for i, w in enumerate(predictor.weights)}
    parts |= {f"bias{i}": b for i, b in enumerate(predictor.biases)}
    parts |= {"latency_fixed": latency.fixed, "latency_layers": latency.layers}
    parts |= {f"measured_{name}": values for name, values in measured._asdict().items()}
    starts = np.cumsum([0, *(values.size for values in parts.values())])
    n_fitted, rest = int((measured.file < N_FITTED).sum()), ", ".join(f"{v:+.2f}" for v in left)
    correction = (
        "The predictor was published with the network of width 1.2, the measured networks have width 1.0. A constant "
        f"{offset:.2f} points was taken off its accuracy: the mean difference to {n_fitted} measured networks at 224 "
        f"pixels of two DyNAS-T files; on the other three files {rest} points are left. So the level is that of width "
        "1.0; for width 1.2 and below 224 pixels it is unchecked. The order of networks is not affected by it."
    )
    exploited = (
        f"The best measured network of width 1.0 has {100 - measured.accuracy.max():.2f} % error; long searches find "
        "networks with a lower predicted error, some of them small: there the predictor is exploited, and the front is "
        "the predictor's, not ImageNet's."
    )
    return write_table(
        target,
        {"value": np.concatenate([np.asarray(v, dtype=np.float64).ravel() for v in parts.values()])},
        describe={
            "value": {
                "unit": "",
                "split": "none",
                "role": "info",
                "text": "predictor weights, latency per layer, measured networks: see parts",
            }
        },
        parts={
            name: {"start": int(start), "shape": list(values.shape)}
            for (name, values), start in zip(parts.items(), starts[:-1], strict=True)
        },
        offset=offset,
        offset_left=left,
        name=RECIPE.table,
        space="mnv3",
        dataset="imagenet",
        index="none",
        recipe=RECIPE.name,
        recipe_version=RECIPE.version,
        default_objectives=["error", "flops"],
        space_params={},
        source=header_source(RECIPE, paths),
        licence=RECIPE.licence,
        notes=[NOTES[0], correction, exploited, NOTES[1]],
    )


RECIPE = register(
    Recipe(
        "mnv3",
        "mnv3/imagenet",
        1,
        (WEIGHTS, *MEASURED, *LATENCY.values()),
        make_mnv3,
        "OFA-MobileNetV3 on ImageNet: accuracy predictor, Note10 latency, 2,373 measured networks",
        "error (predicted, single split), params, flops, latency (width 1.2)",
    )
)


def part(table: Table, name: str) -> FloatArray:
    """Return one part of the table in its own shape."""
    entry = table.header["parts"][name]
    start, shape = int(entry["start"]), tuple(entry["shape"])
    return np.array(table.column("value")[start : start + int(np.prod(shape))]).reshape(shape)


def predictor_of(table: Table) -> Predictor:
    """Return the predictor with its bias correction."""
    layers = range(len(SHAPES))
    weights, biases = (tuple(part(table, f"{kind}{i}") for i in layers) for kind in ("weight", "bias"))
    return Predictor(weights, biases, float(table.header["offset"]))


def latency_of(table: Table) -> LatencyTable:
    """Return the look-up table of the Note10."""
    return LatencyTable(
        "Note10", LATENCY_WIDTH, RESOLUTIONS, part(table, "latency_fixed"), part(table, "latency_layers")
    )


def _open(space: MNV3, dataset: str, table: Table, objectives: Sequence[str]) -> PredictorBenchmark:
    return PredictorBenchmark(
        space,
        predictor_of(table),
        objectives,
        dataset=dataset,
        notes=(*table.header["notes"], EXPLOITED),
        pool=lambda: known_networks(space),
        source={"table": table.header["name"], "sha256": table.sha256},
    )


@BENCHMARKS.register(
    "mnv3/imagenet", summary="ImageNet error by OFA's predictor (front exploited, by 1.85 points); costs at width 1.0"
)
def open_imagenet(objectives: Sequence[str] = ()) -> PredictorBenchmark:
    """Open the benchmark with the costs of the network of width 1.0 (no latency)."""
    return _open(MNV3(1.0), "imagenet", open_table(RECIPE), objectives)


@BENCHMARKS.register("mnv3/imagenet-w12", summary="the same at width 1.2, with latency on a Samsung Note10")
def open_imagenet_w12(objectives: Sequence[str] = ()) -> PredictorBenchmark:
    """Open the benchmark with the costs of the network of width 1.2 and its latency."""
    table = open_table(RECIPE)
    return _open(MNV3(1.2, latency=latency_of(table)), "imagenet-w12", table, objectives)
