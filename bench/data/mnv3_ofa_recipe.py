"""Makes the packaged files of mnv3/ofa from the originals, for developers.

    python -m smemnas.bench.data.mnv3_ofa_recipe DIR               # networks, errors, coefficients
    python -m smemnas.bench.data.mnv3_ofa_recipe DIR --fit         # prints hyper-parameters
    python -m smemnas.bench.data.mnv3_ofa_recipe DIR --reference   # the reference front

DIR holds the five files of Intel's DyNAS-T (`bench.data.mnv3.MEASURED` has addresses and checksums). The networks and
errors are those of mnv3/measured: one row per distinct network, the mean where it was measured more than once, in
units of 10^-4 points. The coefficients of the posterior mean are the exact solution rounded to 2^-20, so the file holds
the same whatever machine makes it.

`--fit` maximises the marginal likelihood of `N_FITTED` networks drawn once, under a wide prior of the scales; it takes
less than a minute. The optimum is flat: scales that differ as much as those found and those in `bench.data.mnv3_ofa`
predict networks left out equally well (tau .971, RMSE .049). The numbers there are the definition, optimisers and
processors need not agree on them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.ofa import LARGEST, features, scaled
from smemnas.bench.benchmarks.process import Process
from smemnas.bench.data import mnv3_ofa, mnv3_reference
from smemnas.bench.data.download import check
from smemnas.bench.data.mnv3 import MEASURED, read_measured
from smemnas.bench.data.mnv3_ofa import UNITS_PER_POINT, pack_networks
from smemnas.bench.errors import DataError
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import N_LAYERS, N_STAGES

#: Networks that the hyper-parameters are fitted to.
N_FITTED = 1400
#: Mean and standard deviation of the logarithm of a scale, in units of the encoding "layer".
PRIOR = (-1.0, 10.0)
#: What one of each feature is in the encoding "layer".
LAYER = 1.0 / LARGEST * np.repeat([1.0, 0.2], [3 * N_STAGES, 2 * N_LAYERS])
#: How `search_reference` is called for the packaged reference front.
REFERENCE: dict[str, Any] = {"seeds": (0,), "steps": 400, "generations": 60}


def measured_networks(folder: Path) -> tuple[IntArray, IntArray, IntArray]:
    """Read the originals.

    Returns:
        Distinct networks ``(n, 46)`` at 224 pixels in the order of their canonical forms, their errors ``(n,)`` in
        10^-4 points, and in which files they are ``(n,)``: bit k for file k.

    Raises:
        DataError: A file is missing or not the published one.
    """
    paths = [folder / source.file for source in MEASURED]
    for path, source in zip(paths, MEASURED, strict=True):
        fault = check(path, source)
        if fault:
            raise DataError(f"{path} {fault}.")
    measured, space = read_measured(paths), MNV3()
    _, first, number = np.unique(space.canonical(measured.X), return_index=True, return_inverse=True)
    number = number.reshape(-1)
    accuracy = np.bincount(number, weights=measured.accuracy) / np.bincount(number)
    files = np.zeros(len(first), dtype=np.int64)
    np.bitwise_or.at(files, number, 1 << measured.file.astype(np.int64))
    X = space.normalise(measured.X[first])
    X[:, -1] = 0
    return X, np.rint(UNITS_PER_POINT * (100.0 - accuracy)).astype(np.int64), files


def content(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the packaged file."""
    X, error, files = measured_networks(folder)
    values = error / UNITS_PER_POINT
    empty = np.zeros(len(X), dtype=np.int64)
    inputs = scaled(X, np.array(mnv3_ofa.SCALES))
    process = Process(inputs, values, mnv3_ofa.UNIT, mnv3_ofa.SIGNAL, mnv3_ofa.NOISE, mnv3_ofa.MEAN, empty)
    coefficients = process.solve(values - mnv3_ofa.MEAN)
    return {
        "networks": pack_networks(X),
        "error": error.astype(np.int32),
        "files": files.astype(np.uint8),
        "coefficients": coefficients.astype(np.int32),
    }


def fit(X: IntArray, values: FloatArray, *, steps: int = 40) -> tuple[FloatArray, float, float]:
    """Maximise the posterior density of the hyper-parameters.

    Args:
        X: Networks ``(n, 46)``.
        values: Their errors ``(n,)``.
        steps: Most iterations of L-BFGS-B; each costs a few n^3.

    Returns:
        How many length scales one of each feature is ``(55,)``, the variances of signal and noise.
    """
    from scipy.optimize import minimize

    Z, t, n = features(X) * LAYER, values - mnv3_ofa.MEAN, len(X)
    squares = Z * Z

    def loss(p: FloatArray) -> tuple[float, FloatArray]:
        w2, signal, noise = 0.5 * np.exp(2 * p[:-2]), np.exp(p[-2]), np.exp(p[-1])
        W = Z * np.sqrt(w2)
        norms = (W * W).sum(axis=1)
        base = 1.0 + np.maximum(norms[:, None] + norms - 2 * W @ W.T, 0.0)
        A = signal / base
        A[np.diag_indices(n)] += noise
        half = np.log(np.diagonal(np.linalg.cholesky(A))).sum()
        inverse = np.linalg.inv(A)
        a = inverse @ t
        shift = (p[:-2] - PRIOR[0]) / PRIOR[1]
        value = 0.5 * t @ a + half + 0.5 * (shift**2).sum()
        inverse -= np.outer(a, a)  # now twice the derivative of the loss by the covariance
        by_noise = 0.5 * noise * np.trace(inverse)
        by_signal = 0.5 * (inverse * A).sum() - by_noise
        inverse *= -signal / base**2
        by_scale = 2 * w2 * (squares.T @ inverse.sum(axis=1) - ((inverse @ Z) * Z).sum(axis=0))
        return float(value), np.concatenate([by_scale + shift / PRIOR[1], [by_signal, by_noise]])

    start = np.concatenate([np.full(len(LARGEST), -0.3), np.log([4.0, 0.0025])])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return np.exp(found.x[:-2]) * LAYER * np.sqrt(0.5), float(np.exp(found.x[-2])), float(np.exp(found.x[-1]))


def write_reference() -> None:
    """Search the reference front and write it into the package."""
    benchmark = mnv3_ofa.ofa()
    found = mnv3_reference.search_reference(benchmark, start=benchmark.predictor.X, **REFERENCE)
    sets = "; ".join("+".join(names) for names in mnv3_reference.OBJECTIVE_SETS["ofa"])
    comment = (
        "Best-known OFA-MobileNetV3 networks of width 1.0 at 224 pixels under mnv3/ofa; not proven to be the best.",
        f"Objectives searched: {sets}.",
        f"bench/data/mnv3_ofa_recipe.py: search_reference({REFERENCE}) from the measured networks; then select.",
        "error (%) as mnv3/ofa gives it, flops and params in M.",
    )
    file = mnv3_reference.PACKAGED / "mnv3-ofa.csv"
    mnv3_reference.write_networks(file, benchmark, mnv3_reference.select(benchmark, found), comment)
    print(hashlib.sha256(file.read_bytes()).hexdigest())


def main(arguments: Sequence[str]) -> None:
    """Write a packaged file, or print hyper-parameters."""
    options = {a for a in arguments if a.startswith("--")}
    folder = Path(next(a for a in arguments if a not in options))
    if "--fit" in options:
        X, error, _ = measured_networks(folder)
        some = np.random.default_rng(0).permutation(len(X))[:N_FITTED]
        per_length, signal, noise = fit(X[some], error[some] / UNITS_PER_POINT)
        print(f"SIGNAL {signal:.3g}, NOISE {noise:.3g}, SCALES for UNIT {mnv3_ofa.UNIT}:")
        print(np.rint(per_length * mnv3_ofa.UNIT).astype(int).tolist())
    elif "--reference" in options:
        write_reference()
    else:
        print(mnv3_ofa.write(mnv3_ofa.FILE, content(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
