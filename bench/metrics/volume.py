"""Hypervolumes of normalised points: exact where that is cheap, else approximated, the same on every processor.

Exact hypervolume takes time that grows with a power of the number of points, and the power with the number of
objectives: 523 points of 8 objectives take a minute and more. Whether it is approximated follows from the numbers of
points and objectives alone, never from a clock.

The approximation is that of Deng and Zhang (IEEE TEVC 2019): the volume in polar coordinates about the reference point,
the mean over fixed directions of how far the dominated region reaches. All volumes that are compared use the same
directions, and adding a point never makes a volume smaller.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from smemnas.spaces.base import FloatArray

#: Up to so many objectives nothing is approximated: 1,280 points of 5 take 0.02 s.
ALWAYS_EXACT = 5
#: So many points take about 0.3 s exactly, by number of objectives; time grows with the power (objectives - 3).
POINTS = {6: 500, 7: 170, 8: 85, 9: 50, 10: 36, 11: 28, 12: 23, 13: 20}
#: More objectives than these.
FEWEST = 16
#: A curve may take so many times that.
CURVE = 30.0
#: Directions of the approximation: a power of two, less the one that is no direction. A regret is off by some 0.003.
DIRECTIONS = 2**14


def is_costly(n: int, n_obj: int) -> bool:
    """Whether the exact hypervolume of ``n`` points would take too long."""
    return n_obj > ALWAYS_EXACT and n > POINTS.get(n_obj, FEWEST)


def share(n: int, n_obj: int) -> float:
    """Return how long an exact hypervolume takes, in units of the largest that `is_costly` lets pass."""
    return 0.0 if n_obj <= ALWAYS_EXACT else float((n / POINTS.get(n_obj, FEWEST)) ** (n_obj - 3))


class Reach:
    """How far points reach in each direction from the reference point; points can be added one by one.

    Args:
        n_obj: Number of objectives.
        reference_point: In every objective.
    """

    def __init__(self, n_obj: int, reference_point: float) -> None:
        self._rays = _rays(n_obj)
        self._reference_point = reference_point
        self._far = np.zeros(self._rays.shape[1])

    def add(self, points: FloatArray) -> None:
        """Add points ``(n, n_obj)`` that dominate the reference point."""
        for point in points:
            far = np.min((self._reference_point - point)[:, None] * self._rays, axis=0)
            np.maximum(self._far, far, out=self._far)

    def volume(self) -> float:
        """Return the approximated hypervolume of all points added."""
        n_obj = len(self._rays)
        ball: float = math.pi ** (n_obj / 2) / 2**n_obj / math.gamma(n_obj / 2 + 1)
        power = self._far.copy()
        for _ in range(n_obj - 1):  # multiplications alone are rounded alike everywhere
            power *= self._far
        return ball * math.fsum(power.tolist()) / len(power)


def approximate(points: FloatArray, reference_point: float) -> float:
    """Return the approximated hypervolume of points ``(n, n_obj)``; those beyond the reference point count nothing."""
    reach = Reach(points.shape[1], reference_point)
    reach.add(points[(points < reference_point).all(axis=1)])
    return reach.volume()


@lru_cache(maxsize=4)
def _rays(n_obj: int) -> FloatArray:
    """Return one over the components of the directions ``(n_obj, DIRECTIONS - 1)``, spread evenly on the sphere."""
    import warnings

    from scipy.special import ndtri
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        even = qmc.Sobol(n_obj, scramble=False).random(DIRECTIONS)[1:]  # the first is the origin
    W = np.maximum(ndtri(0.5 + even / 2.0), 1e-12)
    return np.ascontiguousarray((np.sqrt((W * W).sum(axis=1))[:, None] / W).T)
