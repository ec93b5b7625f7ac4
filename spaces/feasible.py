"""A space without the architectures that break a free constraint.

What is known to be infeasible before it is evaluated is no architecture of the constrained problem: every method
leaves it out in the way in which it leaves out an invalid genotype, and no evaluation is spent on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.spaces.base import Constraint, IntArray, SearchSpace
from smemnas.spaces.listed import ListedSpace
from smemnas.spaces.view import SpaceView

#: Genotypes drawn at a time, at least and at most, and in all, for one sample.
SMALLEST_BLOCK, LARGEST_BLOCK, DRAWS = 64, 4096, 200_000


class FeasibleSpace(SpaceView):
    """Another space's view with fewer valid genotypes.

    Args:
        space: The space.
        constraints: Free ones; each names a cost of the space.
    """

    def __init__(self, space: SearchSpace, constraints: Sequence[Constraint]) -> None:
        super().__init__(space)
        self._constraints = tuple(constraints)

    def is_valid(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)``: valid in the other space, and within all bounds."""
        valid = np.array(self._inner.is_valid(X))
        valid[valid] = self._within(X[valid])
        return valid

    def _within(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)`` for valid genotypes."""
        keep = np.ones(len(X), dtype=bool)
        for c in self._constraints:
            keep &= c.excess(self._inner.cost(X, c.name)) == 0.0
        return keep

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, n_var)`` feasible genotypes, as the other space draws them, by rejection.

        Where 200,000 draws give fewer than ``n``, a space that can be enumerated is drawn from uniformly and exactly;
        in another one the feasible ones found are repeated.

        Raises:
            UserError: None was found.
        """
        kept, found, drawn, block = [np.empty((0, self.n_var), dtype=np.int64)], 0, 0, SMALLEST_BLOCK
        nearest = [np.inf] * len(self._constraints)
        while found < n and drawn < DRAWS:
            X = self._inner.sample(block, rng)
            drawn += block
            block = min(2 * block, LARGEST_BLOCK)
            nearest = [min(old, new) for old, new in zip(nearest, self._nearest(X), strict=True)]
            kept.append(X[self._within(X)][: n - found])
            found += len(kept[-1])
        X = np.concatenate(kept)
        if found < n and self.is_enumerable:
            grid = self.enumerate()
            return grid[rng.integers(len(grid), size=n)]
        if found == 0 < n:
            raise UserError(self._nothing(nearest, f"of {drawn:,} random architectures"))
        return X if found == n else np.concatenate([X, X[rng.integers(found, size=n - found)]])

    def enumerate(self) -> IntArray:
        """Return all feasible genotypes ``(N, n_var)`` in lexicographic order.

        Raises:
            UserError: The space is too large to enumerate, or nothing is feasible.
        """
        grid = self._inner.enumerate()
        feasible: IntArray = grid[self._within(grid)]
        if len(feasible) == 0:
            raise UserError(self._nothing(self._nearest(grid), "of all architectures"))
        return feasible

    def _nearest(self, X: IntArray) -> list[float]:
        """Return for each constraint the smallest value among genotypes, or minus the largest for a lower bound."""
        return [float((self._inner.cost(X, c.name) * (1.0 if c.upper else -1.0)).min()) for c in self._constraints]

    def _nothing(self, nearest: Sequence[float], where: str) -> str:
        """Return the message that nothing is feasible, with the nearest value of each constraint."""
        found = [
            f"the {'smallest' if c.upper else 'largest'} {c.name} is {value if c.upper else -value:.6g} {c.unit}"
            for c, value in zip(self._constraints, nearest, strict=True)
        ]
        wanted = " and ".join(map(str, self._constraints))
        return f"no architecture of space {self.name!r} satisfies {wanted}: {where}, {', '.join(found)}."


def feasible_space(space: SearchSpace, constraints: Sequence[Constraint]) -> SearchSpace:
    """Return a space's view without what breaks a constraint; of a list, the rest of the list.

    Raises:
        UserError: Nothing on the list satisfies the constraints.
    """
    if isinstance(space, ListedSpace):
        return ListedSpace(space.whole, FeasibleSpace(space, constraints).enumerate())
    return FeasibleSpace(space, constraints) if constraints else space
