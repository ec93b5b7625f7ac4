"""Multi-objective regularised evolution: the ageing queue of `rea`, the tournament of NSGA-II.

Regularised evolution (Real et al., AAAI 2019) keeps the youngest architectures and mutates the best of a sample. With
several objectives "best" is taken from NSGA-II (Deb et al., IEEE TEVC 2002): the better front of the population wins,
within a front the larger crowding distance. Age alone decides who dies, so the front found is that of all that was
evaluated, not that of the population. It stands in tables of several objectives where `rea`, which minimises one,
says little.

Differs from regularised evolution in the order of a sample alone; the settings and all else are those of `rea`, its
differences from the paper included. Fronts and crowding are those of the whole population, not of the sample.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from smemnas.methods.base import METHODS, Method, initial_design, require_positive
from smemnas.methods.neighbourhood import mutate_one_gene
from smemnas.methods.selection import rank_and_crowding
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("mo-rea", summary="Multi-objective regularised evolution: ageing, parents by front and crowding")
class MultiObjectiveEvolution(Method):
    """Regularised evolution with a multi-objective tournament.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Length of the queue.
        sample: Members drawn per tournament, with replacement.
    """

    def __init__(self, problem: Problem, *, budget: int, seed: int, population: int = 10, sample: int = 10) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(population=population, sample=sample)
        self.population = population
        self.sample = sample
        self._queue: deque[tuple[IntArray, FloatArray]] = deque()
        self._told: set[bytes] = set()

    def ask(self) -> IntArray:
        """Return the first population, then one child at a time; nothing when the space is exhausted."""
        missing = self.population - len(self._queue)
        if missing > 0:
            design = initial_design(self.problem, self.population, self.seed)
            new = design[[x.tobytes() not in self._told for x in design]]
            if len(new):
                return new[:missing]
        if not self._queue or len(self._told) >= self.problem.space.size:
            return np.empty((0, self.problem.space.n_var), np.int64)
        return mutate_one_gene(self.problem.space, self._parent()[None], self.rng)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Append the evaluated ones in order; the oldest die."""
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            self._told.add(x.tobytes())
            self._queue.append((x, f))
            if len(self._queue) > self.population:
                self._queue.popleft()

    def _parent(self) -> IntArray:
        """Return the best of a sample by front, then by crowding; failed members are behind all others."""
        F = np.array([f for _, f in self._queue])
        ok = np.flatnonzero(np.isfinite(F).all(axis=1))
        place = np.full(len(F), len(F), dtype=np.int64)
        place[ok[rank_and_crowding(F[ok], len(ok))]] = np.arange(len(ok))
        drawn = self.rng.integers(len(F), size=self.sample)
        return self._queue[drawn[int(np.argmin(place[drawn]))]][0]
