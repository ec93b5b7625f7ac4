"""Regularised evolution, also called ageing evolution (Real et al., AAAI 2019, arXiv 1802.01548, algorithm 1).

A population is a queue. Each cycle draws a sample from it (with replacement: a drawn member stays in the
population), mutates the best of the sample, and appends the child; the oldest member dies, however good it is.

Settings: the paper trains 20,000 models with population 100 and sample 25 (the preset ``rea/paper``). The default is
population 10 and sample 10, which NAS-Bench-201 (Dong and Yang, ICLR 2020, appendix) uses for searches of some
hundred evaluations, the size of the searches here.

Differs from the paper:

* one objective only, the first costly one; in multi-objective studies it enters by its evaluated set;
* mutation gives one gene another value (as NAS-Bench-201 does) instead of the paper's two mutations of NASNet
  cells and its 5 % identity; children that are no architectures are drawn again;
* the first population is the seed's shared initial design;
* a child that was evaluated before enters the population with its known value, at no cost;
* a failed evaluation is a member that wins no tournament against one that succeeded, and dies of age as others do.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from smemnas.methods.base import METHODS, Method, initial_design, require_positive
from smemnas.methods.neighbourhood import mutate_one_gene, target_values
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("rea", summary="Regularised evolution (Real et al. 2019): the oldest dies; one objective")
class RegularisedEvolution(Method):
    """Regularised evolution on the first costly objective.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Length of the queue.
        sample: Members drawn per tournament, with replacement.
    """

    single_objective = True

    def __init__(self, problem: Problem, *, budget: int, seed: int, population: int = 10, sample: int = 10) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(population=population, sample=sample)
        self.population = population
        self.sample = sample
        self._queue: deque[tuple[IntArray, float]] = deque()
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
        for x, value in zip(np.array(X, dtype=np.int64), target_values(self.problem, F), strict=True):
            self._told.add(x.tobytes())
            self._queue.append((x, float(value)))
            if len(self._queue) > self.population:
                self._queue.popleft()

    def _parent(self) -> IntArray:
        """Return the best of a sample; of equal ones the first drawn."""
        drawn = self.rng.integers(len(self._queue), size=self.sample)
        return self._queue[min(drawn, key=lambda k: self._queue[k][1])][0]


METHODS.preset(
    "rea/paper", "rea", "Regularised evolution with the paper's population 100 and sample 25", population=100, sample=25
)
