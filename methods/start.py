"""The start of a comparison: the initial sample that every method of a seed is given alike (`--start`).

Nothing said leaves each method its own: most begin with the seed's shared random architectures, some put the extremes
in front of them or spread them. With a start, the first architectures of the seed's shared stream are, for all:

* ``random``: random ones;
* ``uniform``: `SAMPLE` architectures spread evenly over the logarithm of the first free objective, among random ones.
  They come in such an order that the first few, however many a method takes, are spread too (van der Corput);
* ``ends``: the smallest and the largest architecture by the first free objective, then random ones.

After these the stream goes on at random, for methods that begin with more and for random search.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, suggest
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem, SearchSpace

STARTS = ("random", "uniform", "ends")
#: Those that take the exact cost of architectures which were not evaluated.
BY_COST = ("uniform", "ends")
#: Random architectures among which those of a spread sample are looked for, and how many of them it has at most.
SPREAD_DRAWS, SAMPLE = 500, 100
#: Random architectures among which the extremes are looked for where a space cannot be enumerated.
EXTREME_DRAWS = 10_000


def check_start(start: str) -> str:
    """Return the name of a start, "" for none.

    Raises:
        UserError: There is no such start.
    """
    if start not in ("", *STARTS):
        raise UserError(f"--start must be one of {', '.join(STARTS)}, got {start!r}.{suggest(start, STARTS)}")
    return start


def starting(problem: Problem, start: str) -> Problem:
    """Return a problem whose methods begin with a start; as it is for "".

    Raises:
        UserError: There is no such start, or nothing to spread it over.
    """
    if not check_start(start):
        return problem
    if start in BY_COST and not problem.cheap:
        names = ", ".join(o.name for o in problem.objectives)
        raise UserError(f"--start {start} takes a free objective, such as flops, to go by; none of {names} is free.")
    cost = problem.objectives[problem.cheap[0]].name if start in BY_COST else ""
    return replace(problem, start=start, start_cost=cost)


def first_of(problem: Problem, drawn: IntArray) -> IntArray:
    """Return what stands in front of the seed's random stream ``(k, n_var)``.

    Args:
        problem: With a start, see `starting`.
        drawn: The first `SPREAD_DRAWS` of the stream; fewer where the space has no more.
    """
    if problem.start == "ends":
        return ends(problem.space, problem.start_cost)
    if problem.start == "uniform" and len(drawn):
        cost = log_costs(problem.space.cost(drawn, problem.start_cost))
        low, high = inner_range(cost)
        return drawn[nearest(cost, low + (high - low) * van_der_corput(min(SAMPLE, len(drawn))))]
    return drawn[:0]


def log_costs(cost: FloatArray) -> FloatArray:
    """Return logarithms of costs ``(n,)``; of 0 a very small one."""
    return np.asarray(np.log(np.maximum(cost, 1e-9)))


def inner_range(cost: FloatArray) -> tuple[float, float]:
    """Return the third smallest and the third largest of costs ``(n,)``: one odd architecture sets no range."""
    ordered = np.sort(cost)
    edge = min(2, (len(cost) - 1) // 2)
    return float(ordered[edge]), float(ordered[-1 - edge])


def nearest(cost: FloatArray, wanted: FloatArray) -> NDArray[np.intp]:
    """Return for each wanted cost ``(k,)`` in turn the index of the nearest of costs ``(n,)`` that is not taken yet."""
    taken: list[int] = []
    for value in wanted.tolist():
        distance = np.abs(cost - value)
        distance[taken] = np.inf
        taken.append(int(np.argmin(distance)))
    return np.array(taken, dtype=np.intp)


def van_der_corput(n: int) -> FloatArray:
    """Return ``(n,)`` numbers from 0 to 1, of which any first few are spread evenly: 0, 1, 1/2, 1/4, 3/4, 1/8, ..."""
    inner = [int(f"{k:b}"[::-1], 2) / 2 ** k.bit_length() for k in range(1, max(n - 1, 1))]
    return np.array([0.0, 1.0, *inner][:n])


def ends(space: SearchSpace, cost: str) -> IntArray:
    """Return the smallest and the largest architecture ``(<=2, n_var)`` by a free cost, the same for every seed."""
    corners = corners_of(space)
    others = space.enumerate() if space.is_enumerable else space.sample(EXTREME_DRAWS, np.random.default_rng(0))
    X = np.vstack([corners, space.normalise(others)])
    size = space.cost(X, cost)
    found = X[[int(np.argmin(size)), int(np.argmax(size))]]
    return found[unique_rows(found)]


def corners_of(space: SearchSpace) -> IntArray:
    """Return all genes at their smallest and at their largest value ``(<=2, n_var)``, where those are valid."""
    corners = np.stack([np.zeros(space.n_var, np.int64), np.asarray(space.n_choices) - 1])
    return space.normalise(corners[space.is_valid(corners)])
