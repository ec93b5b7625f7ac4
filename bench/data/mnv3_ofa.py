"""mnv3/ofa: OFA-MobileNetV3 on ImageNet as 2,162 measured sub-networks imply; embedded, no download.

Five searches of Intel's DyNAS-T measured sub-networks of the supernet of width 1.0 at 224 pixels on the ImageNet
validation images, along the front of accuracy and cost. A Gaussian process fitted to them answers for every network of
that width and resolution (`bench.benchmarks.process`), with integer arithmetic, so in the same digits everywhere. Its
hyper-parameters are the constants below, the networks and the coefficients of its posterior mean a file of the package
that `bench.data.mnv3_ofa_recipe` makes from the originals.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import BENCHMARKS, CHANGES
from smemnas.bench.benchmarks.ofa import RESOLUTION, WIDTH, OFABenchmark, OFADraw, OFAProcess, scaled
from smemnas.bench.benchmarks.process import Process
from smemnas.bench.benchmarks.process_draw import Draw
from smemnas.bench.data.mnv3_reference import (
    OBJECTIVE_SETS,
    known_networks,
    packaged_file,
    search,
    select,
    user_file,
    write_networks,
)
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.metrics.indicators import nondominated
from smemnas.spaces.base import IntArray
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import N_STAGES

FILE = Path(__file__).parent / "embedded" / "mnv3-ofa.npz"
#: Digest of what the file holds, see `digest`.
SHA256 = "e331fea8246b9cbb783d25d8536c33133cbda3d0e18164863e44731be9ebdb45"
#: Errors are kept in units of 10^-4 points.
UNITS_PER_POINT = 10_000
#: One length scale of the process, in units of its inputs.
UNIT = 2048
#: Variance of the process and of a measurement around it (points squared), and its mean (%).
SIGNAL, NOISE, MEAN = 3.24, 0.00118, 24.3
#: By what both variances are multiplied, which leaves the mean as it is. Under the likeliest ones networks of random
#: folds are 1.04 deviations off and those of whole fronts, predicted from all behind them, 1.35; with this factor .88
#: and 1.14: as far from 1 on either side.
CALIBRATION = 1.4
#: How many units one of each feature is (`bench.benchmarks.ofa.features`); by `--fit` of the recipe.
SCALES = (
    *(19, 11, 19, 25, 29),  # expansions of each stage, summed
    *(5, 8, 13, 11, 6),  # kernels of each stage, summed
    *(20, 22, 16, 33, 104),  # depth of each stage
    *(24, 21, 5, 2, 29, 30, 14, 3, 16, 45, 36, 6, 41, 44, 9, 5, 30, 27, 3, 6),  # kernel of each layer
    *(61, 42, 22, 4, 38, 76, 39, 3, 56, 62, 23, 4, 60, 63, 85, 38, 85, 94, 21, 5),  # expansion of each layer
)
_GENES = 9
_POWERS = 3 ** np.arange(_GENES)


def pack_networks(X: IntArray) -> NDArray[np.uint16]:
    """Return networks ``(n, 46)`` of one resolution as one integer below 3^9 per stage, ``(n, 5)``."""
    return np.asarray(X[:, :-1].reshape(len(X), N_STAGES, _GENES) @ _POWERS).astype(np.uint16)


def unpack_networks(codes: NDArray[Any]) -> IntArray:
    """Return networks ``(n, 46)`` of packed ones ``(n, 5)``."""
    genes = codes.astype(np.int64)[:, :, None] // _POWERS % 3
    return np.hstack([genes.reshape(len(codes), -1), np.zeros((len(codes), 1), dtype=np.int64)])


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the sha256 of names, types and values of arrays, whatever file they come from."""
    found = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
        found.update(f"{name} {little.dtype.str} {little.shape}\n".encode() + little.tobytes())
    return found.hexdigest()


def write(file: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write the packaged file; return the digest of its content."""
    stream, ordered = io.BytesIO(), dict[str, Any](sorted(arrays.items()))
    np.savez_compressed(stream, **ordered)
    file.write_bytes(stream.getvalue())
    return digest(arrays)


@cache
def arrays() -> dict[str, NDArray[Any]]:
    """Return the packaged arrays: networks ``(n, 5)``, error, files and coefficients ``(n,)``.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        with np.load(FILE, allow_pickle=False) as data:
            found = {name: data[name] for name in data.files}
    except Exception as error:  # a damaged archive raises anything: zlib's, zipfile's, NumPy's errors
        raise DataError(f"{FILE} cannot be read ({error}): install smemnas again.") from error
    if digest(found) != SHA256:
        raise DataError(f"{FILE} does not match its checksum: install smemnas again.")
    return found


@cache
def process() -> OFAProcess:
    """Return the fitted process."""
    data = arrays()
    X, scales = unpack_networks(data["networks"]), np.array(SCALES)
    values, coefficients = data["error"] / UNITS_PER_POINT, data["coefficients"].astype(np.int64)
    variances = CALIBRATION * SIGNAL, CALIBRATION * NOISE
    fitted = Process(scaled(X, scales), values, UNIT, *variances, MEAN, coefficients)
    return OFAProcess(X, scales, fitted)


NOTES = (
    "Errors are the posterior mean of a Gaussian process fitted to 2,162 sub-networks of OFA-MobileNetV3 (width 1.0, "
    "224 pixels) whose ImageNet top-1 accuracy Intel's DyNAS-T measured with inherited weights; on networks left out "
    "it is off by .05 points (root mean square). No validation/test split: this run searches and reports on the same "
    "numbers, and the evaluation seed is ignored.",
    "Other resolutions than 224 pixels were not measured and are not in the space.",
)


SUMMARY = "ImageNet error that 2,162 measured networks imply, costs; embedded"
LICENCE = "Apache-2.0"


@BENCHMARKS.register("mnv3/ofa", summary=SUMMARY)
def open_ofa(objectives: Sequence[str] = ()) -> OFABenchmark:
    """Open the benchmark."""
    return ofa(objectives)


def ofa(objectives: Sequence[str] = ()) -> OFABenchmark:
    """Return the benchmark."""
    space = MNV3(WIDTH, (RESOLUTION,))
    return OFABenchmark(
        space,
        process(),
        objectives,
        dataset="ofa",
        notes=NOTES,
        pool=lambda: known_networks(space, "ofa"),
        source={"table": "mnv3/ofa", "sha256": identity()},
    )


def about() -> list[tuple[str, str]]:
    """Return what identifies the data and what their numbers are, as pairs of key and text."""
    benchmark = ofa()
    candidates = benchmark.candidates()
    assert candidates is not None, "the package has the best networks known"
    front = candidates.X[nondominated(candidates.F)]
    measured = np.isfinite(benchmark.measurements(front))
    deviation = benchmark.deviation(front[~measured])
    return [
        ("file", f"{FILE}, content sha256 {SHA256[:16]}..., in all {identity()[:16]}..."),
        ("notice", f"{FILE.with_suffix('.NOTICE')} (whose numbers these are, under which licence)"),
        ("networks", f"{len(arrays()['error']):,} measured, all others predicted; `show` says which, and +- how much"),
        (
            "front",
            f"{len(front)} networks, best known, not proven: {int(measured.sum())} measured, the others predicted +- "
            f"{deviation.mean():.2f} (at most {deviation.max():.2f}) points",
        ),
        *(("note", note) for note in NOTES),
    ]


def identity() -> str:
    """Return the sha256 of all that the posterior mean depends on: the file and the hyper-parameters."""
    numbers = repr((SHA256, UNIT, SIGNAL, NOISE, MEAN, SCALES))
    return hashlib.sha256(numbers.encode()).hexdigest()


@CHANGES.register("draw", summary="mnv3/ofa+draw=K: function K drawn from its posterior, a world that the data allow")
def open_draw(benchmark: Benchmark, value: str) -> OFABenchmark:
    """Put a draw in the place of the posterior mean.

    Raises:
        UserError: The benchmark is no posterior, or the number makes no sense.
    """
    if not isinstance(benchmark, OFABenchmark) or isinstance(benchmark.predictor, OFADraw):
        raise UserError(f"+draw=K draws from mnv3/ofa alone, got {benchmark.space.name}/{benchmark.dataset}.")
    if not (value.isascii() and value.isdecimal()) or len(value) > 9 or str(int(value)) != value:
        raise UserError(f"+draw=K takes a whole number from 0 to 999999999, got {value!r}.")
    return drawn(benchmark, int(value))


def drawn(benchmark: OFABenchmark, number: int) -> OFABenchmark:
    """Return a benchmark that answers by a draw in the place of the posterior mean."""
    dataset = f"{benchmark.dataset}+draw={number}"
    found = OFABenchmark(
        benchmark.space,
        drawn_process(number),
        tuple(o.name for o in benchmark.objectives),
        dataset=dataset,
        notes=(
            f"Errors are function {number} drawn from the posterior behind mnv3/ofa, a world that the measured "
            "networks allow: what is found on several of them does not hang on the benchmark's own uncertainty.",
            *benchmark.notes[1:],
        ),
        pool=lambda: networks_of_draw(found),
        source={"table": f"mnv3/{dataset}", "sha256": identity(), "draw": number, "variances": CALIBRATION},
    )
    return found


@cache
def drawn_process(number: int) -> OFADraw:
    """Return a draw; it is made when its first value is asked for."""
    fitted = process()
    return OFADraw(fitted.X, fitted.scales, fitted.process, Draw(fitted.process, number))


def networks_of_draw(benchmark: OFABenchmark) -> IntArray:
    """Return the best networks known of a draw ``(k, 46)``: searched from those of mnv3/ofa once, then kept.

    Those of some draws come with the package. The file of another is in the user's data folder; where that cannot be
    written, the search is repeated by each process.
    """
    file = user_file(benchmark.space, benchmark.dataset)
    if file.exists() or packaged_file(benchmark.space, benchmark.dataset).exists():
        return known_networks(benchmark.space, benchmark.dataset)
    found = _searched(benchmark.dataset)
    comment = (f"Best-known networks under mnv3/{benchmark.dataset}; not proven to be the best.",)
    with contextlib.suppress(DataError):
        write_networks(file, benchmark, found, comment)
    return found


@cache
def _searched(dataset: str) -> IntArray:
    """Search the fronts of a draw from the networks known of mnv3/ofa."""
    benchmark = drawn(ofa(), int(dataset.partition("=")[2]))
    found = known_networks(benchmark.space, "ofa")
    for names in OBJECTIVE_SETS["ofa"]:
        new = search(
            benchmark.with_objectives(names),
            seed=0,
            steps=100,
            generations=20,
            start=found,
            chains=64,
            children=500,
            size=300,
            passes=0,
        )
        found = np.unique(np.vstack([found, new]), axis=0)
    return select(benchmark, found)
