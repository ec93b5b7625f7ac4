"""Quality of a set of objective vectors: thin functions over moocore.

Everything is measured in the space normalised by the reference front's ideal and nadir point, so that a
hypervolume means the same in every run of a benchmark and never depends on the runs compared. It has no unit either:
values in percent and in fractions give the same numbers. Sets that are empty, or hold values that are not finite, never
reach compiled code. Where an exact hypervolume would take too long it is approximated, see `bench.metrics.volume`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.metrics import volume
from smemnas.spaces.base import FloatArray, IntArray

#: Hypervolume reference point in the normalised space.
REFERENCE_POINT = 1.1
#: Rows compared with all earlier ones at a time.
BLOCK = 512


class Box(NamedTuple):
    """A given ideal and nadir point ``(n_obj,)``, and the reference point in units of the box between them."""

    ideal: FloatArray
    nadir: FloatArray
    point: float

    def stretched(self) -> FloatArray:
        """Return the nadir point ``(n_obj,)`` of the box in whose units the reference point is `REFERENCE_POINT`."""
        return np.asarray(self.ideal + (self.nadir - self.ideal) * (self.point / REFERENCE_POINT))


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


def front_rows(F: FloatArray) -> IntArray:
    """Return the rows ``(k,)`` of ``F`` ``(n, n_obj)`` that are its front, by the first objective, then the next."""
    keep = np.flatnonzero(nondominated(F)) if len(F) else np.arange(0)
    return keep[np.lexsort(F[keep].T[::-1])] if len(keep) else keep


def normalise(F: FloatArray, ideal: FloatArray, nadir: FloatArray) -> FloatArray:
    """Map ideal to 0 and nadir to 1.

    An objective that does not vary on the front is measured in units of its ideal value; where that is 0 there is no
    scale at all, and it keeps its unit.
    """
    scale = np.where(ideal != 0.0, np.abs(ideal), 1.0)
    span = np.where(nadir > ideal, nadir - ideal, scale)
    return np.asarray((F - ideal) / span)


def hypervolume(F: FloatArray, ideal: FloatArray, nadir: FloatArray) -> float:
    """Return the hypervolume of ``F`` ``(n, n_obj)`` in the normalised space, reference point 1.1 throughout."""
    return _volume(normalise(_finite(F), ideal, nadir))


def _finite(F: FloatArray) -> FloatArray:
    F = np.asarray(F, dtype=np.float64)
    return F[np.isfinite(F).all(axis=1)]


def _inside(points: FloatArray) -> FloatArray:
    """Return those of normalised points ``(n, n_obj)`` that dominate the reference point."""
    return points[(points < REFERENCE_POINT).all(axis=1)]


def _volume(points: FloatArray, approximated: bool | None = None) -> float:
    """Return the hypervolume of normalised points ``(n, n_obj)``; whether it is approximated depends on them alone."""
    points = _inside(points)
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(REFERENCE_POINT - points.min())
    if approximated is None:
        approximated = volume.is_costly(len(points), points.shape[1])
    if approximated:
        return volume.approximate(points, REFERENCE_POINT)
    from moocore import hypervolume as exact

    return float(exact(points, ref=np.full(points.shape[1], REFERENCE_POINT)))


def is_approximated(F: FloatArray, front: FloatArray, box: Box | None = None) -> bool:
    """Whether the regret curve of ``F`` ``(n, n_obj)``, in the order in which it was found, is approximated."""
    return front.shape[1] > volume.ALWAYS_EXACT and _is_rough(*_to_front(F, front, box, volume=True))


def hypervolumes(
    F: FloatArray, front: FloatArray, box: Box | None = None, rough: bool | None = None
) -> tuple[float, float, bool]:
    """Return the hypervolumes of ``F`` ``(n, n_obj)`` and of the reference front, and whether they are approximated.

    Args:
        F: Objectives.
        front: Reference front ``(k, n_obj)``.
        box: What is normalised by, with its own reference point; None takes the front's.
        rough: Whether to approximate; None decides by ``F`` and the front alone.
    """
    points, targets = _to_front(F, front, box, volume=True)
    if rough is None:
        rough = _is_rough(points, targets)
    points = _inside(points)
    if points.shape[1] > volume.ALWAYS_EXACT and len(points):
        points = points[nondominated(points)]
    return _volume(points, rough), _volume(targets, rough), rough


def _is_rough(points: FloatArray, targets: FloatArray) -> bool:
    """Whether hypervolumes of normalised points ``(n, n_obj)`` in their order, and their curve, are approximated."""
    n_obj = targets.shape[1]
    if n_obj <= volume.ALWAYS_EXACT:
        return False
    if volume.is_costly(len(targets), n_obj):
        return True
    archive = np.empty((0, n_obj))
    cost = 0.0
    for i in _entering(points):
        archive = _with(archive, points[i : i + 1])
        cost += volume.share(len(archive), n_obj)
        if cost > volume.CURVE or volume.is_costly(len(archive), n_obj):
            return True
    return False


def hypervolume_regret(F: FloatArray, front: FloatArray, box: Box | None = None) -> float:
    """Return ``1 - HV(F) / HV(front)``: 0 is the whole reference front, 1 is nothing.

    It can be negative only where the reference front is a best-known one and ``F`` beats it.
    """
    mine, whole, _ = hypervolumes(F, front, box)
    return 1.0 - mine / whole


def igd_plus(F: FloatArray, front: FloatArray, box: Box | None = None) -> float:
    """Return IGD+ of ``F`` to the reference front in the normalised space (Ishibuchi et al., EMO 2015)."""
    points, targets = _to_front(F, front, box)
    if len(points) == 0:
        return float("inf")
    if points.shape[1] == 1:
        return float(np.maximum(points.min() - targets, 0.0).mean())
    from moocore import igd_plus as exact

    return float(exact(points, ref=targets))


def epsilon(F: FloatArray, front: FloatArray, box: Box | None = None) -> float:
    """Return the additive epsilon of ``F`` to the reference front in the normalised space (Zitzler et al. 2003).

    How far ``F`` must be moved in every objective to weakly dominate the whole front; inf for an empty ``F``.
    """
    points, targets = _to_front(F, front, box)
    if len(points) == 0:
        return float("inf")
    if points.shape[1] == 1:
        return float(points.min() - targets.min())
    from moocore import epsilon_additive

    return float(epsilon_additive(points, ref=targets))


def _corners(front: FloatArray, box: Box | None, volume: bool) -> tuple[FloatArray, FloatArray]:
    """Return the ideal and the nadir point ``(n_obj,)`` by which objectives are normalised."""
    if box is None:
        return front.min(axis=0), front.max(axis=0)
    return box.ideal, box.stretched() if volume else box.nadir


def _to_front(
    F: FloatArray, front: FloatArray, box: Box | None = None, *, volume: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return the finite rows of ``F`` and the reference front, both normalised."""
    ideal, nadir = _corners(front, box, volume)
    return normalise(_finite(F), ideal, nadir), normalise(front, ideal, nadir)


def regret_curve(F: FloatArray, front: FloatArray, at: IntArray, box: Box | None = None) -> FloatArray:
    """Return the hypervolume regret ``(len(at),)`` of the first ``at[k]`` rows of ``F`` for each k.

    Regret changes only at a row that no earlier one equals or dominates, so it is computed there alone, on the
    archive of the rows that are not dominated yet. Before the first row within the reference point it is 1.
    """
    F = np.asarray(F, dtype=np.float64)
    ideal, nadir = _corners(front, box, volume=True)
    points, targets = normalise(F, ideal, nadir), normalise(front, ideal, nadir)
    rough = _is_rough(points, targets)
    whole = _volume(targets, rough)
    regret = np.ones(len(F) + 1)  # after so many rows
    reach = volume.Reach(front.shape[1], REFERENCE_POINT) if rough else None
    archive = np.empty((0, front.shape[1]))
    for i in _entering(points):
        if reach is not None:
            reach.add(points[i : i + 1])
            regret[i + 1 :] = 1.0 - reach.volume() / whole
        else:
            archive = _with(archive, points[i : i + 1])
            regret[i + 1 :] = 1.0 - _volume(archive, False) / whole
    return regret[np.minimum(at, len(F))]


def _with(archive: FloatArray, point: FloatArray) -> FloatArray:
    """Return the archive ``(n, n_obj)`` with a point ``(1, n_obj)`` that enters it, without what that dominates."""
    return np.concatenate([archive[(archive < point).any(axis=1)], point])


def median_attainment(sets: Sequence[FloatArray]) -> FloatArray:
    """Return the points ``(k, 2)`` of the surface that at least half of the sets attain; none where it is empty.

    Args:
        sets: Objectives ``(n, 2)`` of each run; one without a finite row attains nothing.
    """
    found = [s[nondominated(s)] for s in sets]
    found = [s for s in found if len(s)]
    half = -(-len(sets) // 2)
    if half > len(found) or not found:
        return np.empty((0, 2))
    from moocore import eaf

    labels = np.repeat(np.arange(len(found)), [len(s) for s in found])
    surface = eaf(np.concatenate(found), sets=labels, percentiles=[100.0 * half / len(found)])
    return np.asarray(surface[:, :2], dtype=np.float64)


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
