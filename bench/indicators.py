"""Quality of a set of objective vectors: thin functions over moocore.

Everything is measured in the space normalised by the reference front's ideal and nadir point, so that a
hypervolume means the same in every run of a benchmark and never depends on the runs compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaces.base import FloatArray, IntArray

#: Hypervolume reference point in the normalised space.
REFERENCE_POINT = 1.1
#: Rows compared with all earlier ones at a time.
BLOCK = 512


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
    return _volume(normalise(_finite(F), ideal, nadir))


def _finite(F: FloatArray) -> FloatArray:
    F = np.asarray(F, dtype=np.float64)
    return F[np.isfinite(F).all(axis=1)]


def _volume(points: FloatArray) -> float:
    """Return the hypervolume of normalised points ``(n, n_obj)``."""
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
    points, targets = _to_front(F, front)
    if len(points) == 0:
        return float("inf")
    if points.shape[1] == 1:
        return float(np.maximum(points.min() - targets, 0.0).mean())
    from moocore import igd_plus as exact

    return float(exact(points, ref=targets))


def epsilon(F: FloatArray, front: FloatArray) -> float:
    """Return the additive epsilon of ``F`` to the reference front in the normalised space (Zitzler et al. 2003).

    How far ``F`` must be moved in every objective to weakly dominate the whole front; inf for an empty ``F``.
    """
    points, targets = _to_front(F, front)
    if len(points) == 0:
        return float("inf")
    if points.shape[1] == 1:
        return float(points.min() - targets.min())
    from moocore import epsilon_additive

    return float(epsilon_additive(points, ref=targets))


def _to_front(F: FloatArray, front: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the finite rows of ``F`` and the reference front, both normalised."""
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    return normalise(_finite(F), ideal, nadir), normalise(front, ideal, nadir)


def regret_curve(F: FloatArray, front: FloatArray, at: IntArray) -> FloatArray:
    """Return the hypervolume regret ``(len(at),)`` of the first ``at[k]`` rows of ``F`` for each k.

    Regret changes only at a row that no earlier one equals or dominates, so it is computed there alone, on the
    archive of the rows that are not dominated yet. Before the first row within the reference point it is 1.
    """
    F = np.asarray(F, dtype=np.float64)
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    whole = hypervolume(front, ideal, nadir)
    points = normalise(F, ideal, nadir)
    regret = np.ones(len(F) + 1)  # after so many rows
    archive = np.empty((0, front.shape[1]))
    for i in _entering(points):
        archive = np.concatenate([archive[(archive < points[i]).any(axis=1)], points[i : i + 1]])
        regret[i + 1 :] = 1.0 - _volume(archive) / whole
    return regret[np.minimum(at, len(F))]


def _entering(points: FloatArray) -> IntArray:
    """Return the rows of normalised ``points`` ``(n, n_obj)`` within the reference point that enter the archive."""
    inside = np.flatnonzero((points < REFERENCE_POINT).all(axis=1))
    points = points[inside]
    enters = np.ones(len(points), dtype=bool)
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        earlier = points[: start + len(block)]
        beaten = earlier[:, 0] <= block[:, :1]  # (block, earlier)
        for j in range(1, points.shape[1]):
            beaten &= earlier[:, j] <= block[:, j : j + 1]
        enters[start : start + len(block)] = ~np.tril(beaten, start - 1).any(axis=1)
    return inside[enters]
