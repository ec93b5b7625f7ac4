"""Quality of a set of objective vectors: thin functions over moocore.

Everything is measured in the space normalised by the reference front's ideal and nadir point, so that a
hypervolume means the same in every run of a benchmark and never depends on the runs compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaces.base import FloatArray

#: Hypervolume reference point in the normalised space.
REFERENCE_POINT = 1.1


def nondominated(F: FloatArray) -> NDArray[np.bool_]:
    """Return ``(n,)``: finite rows of ``F`` ``(n, n_obj)`` that no other dominates; of equal rows the first."""
    F = np.asarray(F, dtype=np.float64)
    keep: NDArray[np.bool_] = np.asarray(np.isfinite(F).all(axis=1))
    if F.shape[1] == 1:
        keep &= F[:, 0] == np.min(F[keep, 0], initial=np.inf)
        first = np.flatnonzero(keep)[:1]
        keep = np.zeros(len(F), dtype=bool)
        keep[first] = True
    elif keep.any():
        from moocore import is_nondominated

        keep[keep] = is_nondominated(F[keep])
    return keep


def normalise(F: FloatArray, ideal: FloatArray, nadir: FloatArray) -> FloatArray:
    """Map ideal to 0 and nadir to 1; an objective that does not vary on the front keeps its unit."""
    span = np.where(nadir > ideal, nadir - ideal, np.maximum(np.abs(ideal), 1.0))
    return np.asarray((F - ideal) / span)


def hypervolume(F: FloatArray, ideal: FloatArray, nadir: FloatArray) -> float:
    """Return the hypervolume of ``F`` ``(n, n_obj)`` in the normalised space, reference point 1.1 throughout."""
    F = np.asarray(F, dtype=np.float64)
    points = normalise(F[np.isfinite(F).all(axis=1)], ideal, nadir)
    points = points[(points < REFERENCE_POINT).all(axis=1)]
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(REFERENCE_POINT - points.min())
    from moocore import hypervolume as exact

    return float(exact(points, ref=np.full(points.shape[1], REFERENCE_POINT)))


def hypervolume_regret(F: FloatArray, front: FloatArray) -> float:
    """Return ``1 - HV(F) / HV(front)``: 0 is the whole reference front, 1 is nothing.

    It can be negative only where the reference front is a best-known one and ``F`` beats it.
    """
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    return 1.0 - hypervolume(F, ideal, nadir) / hypervolume(front, ideal, nadir)


def igd_plus(F: FloatArray, front: FloatArray) -> float:
    """Return IGD+ of ``F`` to the reference front in the normalised space (Ishibuchi et al., EMO 2015)."""
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    F = np.asarray(F, dtype=np.float64)
    points = normalise(F[np.isfinite(F).all(axis=1)], ideal, nadir)
    if len(points) == 0:
        return float("inf")
    targets = normalise(front, ideal, nadir)
    if points.shape[1] == 1:
        return float(np.maximum(points.min() - targets, 0.0).mean())
    from moocore import igd_plus as exact

    return float(exact(points, ref=targets))


def regret_curve(F: FloatArray, front: FloatArray, at: NDArray[np.int64]) -> FloatArray:
    """Return the hypervolume regret ``(len(at),)`` of the first ``at[k]`` rows of ``F`` for each k."""
    return np.array([hypervolume_regret(F[: int(n)], front) for n in at])
