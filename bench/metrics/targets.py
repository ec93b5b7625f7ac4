"""Shares of targets that were reached, and regret in units of one objective: pure functions of curves and fronts.

How soon methods reach many targets is what the COCO platform draws for numerical optimisers (Hansen et al., COCO: a
platform for comparing continuous optimizers in a black-box setting, 2021). Targets here are values of hypervolume
regret, the same on every problem.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas.bench.metrics.indicators import REFERENCE_POINT, Box, hypervolumes, normalise
from smemnas.spaces.base import FloatArray, IntArray

#: Hypervolume regrets to reach: fifty, evenly spaced on a logarithmic scale, from .871 to .001.
TARGETS: FloatArray = 10.0 ** (-3.0 * np.arange(1, 51) / 50)
#: What a regret may miss a target by and still count.
TOLERANCE = 1e-12


def reached(curve: FloatArray, at: IntArray, targets: FloatArray = TARGETS) -> FloatArray:
    """Return which share of the targets a run has reached after so many evaluations.

    Args:
        curve: Hypervolume regret after 1, 2, ... evaluations ``(n,)``; it never grows, and stays as it is at its end.
        at: Numbers of evaluations ``(g,)``, from 1.
        targets: Regrets ``(t,)``.

    Returns:
        Shares ``(g,)`` from 0 to 1; 0 everywhere for a run without an evaluation.
    """
    if len(curve) == 0:
        return np.zeros(len(at))
    values = curve[np.minimum(at, len(curve)) - 1]
    return np.asarray((values[:, None] <= targets + TOLERANCE).mean(axis=1))


def share_reached(problems: Sequence[Sequence[FloatArray]], at: IntArray, targets: FloatArray = TARGETS) -> FloatArray:
    """Return which share of all (problem, run, target) is reached after so many evaluations ``(g,)``.

    Args:
        problems: Curves of the runs of each problem; all problems weigh the same, however many runs they have.
        at: Numbers of evaluations ``(g,)``, from 1.
        targets: Regrets ``(t,)``.
    """
    each = [np.mean([reached(c, at, targets) for c in runs], axis=0) for runs in problems]
    return np.asarray(np.mean(each, axis=0))


def units_per_regret(front: FloatArray, column: int, box: Box | None = None) -> float:
    """Return how many units of one objective a hypervolume regret of 1 is.

    Lost hypervolume over the extent of all other objectives is the mean, over these, of how much more of this objective
    a set needs than the reference front; where it has nothing at all it counts as if it were at the reference point.

    Args:
        front: Reference front ``(k, n_obj)``.
        column: Of the objective.
        box: By what is normalised, with its own reference point; None takes the front's corners.
    """
    ideal, nadir = (front.min(axis=0), front.max(axis=0)) if box is None else (box.ideal, box.stretched())
    unit = normalise(np.stack([ideal, ideal + 1.0]), ideal, nadir)[1, column]  # one unit of the objective
    return float(hypervolumes(front, front, box)[1] / REFERENCE_POINT ** (front.shape[1] - 1) / unit)


def least_under(costs: FloatArray, shown: FloatArray, judged: FloatArray, caps: Sequence[float]) -> FloatArray:
    """Return what the best choice under each cap is worth.

    Args:
        costs: Of the members of a set ``(k,)``.
        shown: Values by which one of them is chosen ``(k,)``, smaller is better: what a user sees.
        judged: Values by which the choice is judged ``(k,)``: the true ones.
        caps: Largest costs allowed.

    Returns:
        The judged value of the member with the least shown one among those within each cap ``(len(caps),)``; of equal
        ones the first; inf where nothing is within it.
    """
    found = np.full(len(caps), np.inf)
    for k, cap in enumerate(caps):
        within = np.flatnonzero((costs <= cap) & np.isfinite(shown))
        if len(within):
            found[k] = judged[within[np.argmin(shown[within])]]
    return found
