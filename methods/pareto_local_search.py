"""Pareto local search (Paquete, Chiarandini, Stützle 2004): local search on a set of non-dominated architectures.

"Pareto local optimum sets in the biobjective traveling salesman problem: an experimental study", LNEMS 535, 2004.
Keep an archive of mutually non-dominated architectures. Take one whose neighbourhood was not looked at yet, at random,
evaluate all its neighbours, put those that no member dominates into the archive, drop the members they dominate, and
mark it as visited. When every member is visited the archive is a Pareto local optimum set; a new search then starts
from a random architecture. In multi-objective tables this stands where `local-search`, which minimises one objective,
says little.

Differs from the paper:

* two architectures are neighbours when one gene differs, and the result must be valid;
* it starts again from the seed's shared stream of random architectures, without repetition, until the budget is
  spent; the first start is the best front of `starts` random architectures instead of one;
* neighbours that were evaluated before count with their known values, at no cost;
* an architecture whose objectives equal those of a member stays out.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.base import METHODS, DesignStream, Method, require_positive
from smemnas.methods.neighbourhood import neighbours, unseen
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("pareto-local-search", summary="Pareto local search (Paquete et al. 2004) with restarts")
class ParetoLocalSearch(Method):
    """Pareto local search over single-gene changes.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        starts: Random architectures per start, of which the non-dominated ones make the first archive.
    """

    def __init__(self, problem: Problem, *, budget: int, seed: int, starts: int = 1) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(starts=starts)
        self.starts = starts
        self._stream = DesignStream(problem, seed)
        self._value: dict[bytes, FloatArray] = {}
        self._archive: list[IntArray] = []
        self._visited: set[bytes] = set()
        self._looking: IntArray | None = None
        self._begun = False

    def ask(self) -> IntArray:
        """Return new starts, or those neighbours of a member that are not evaluated yet.

        Nothing when the space is exhausted.
        """
        self._begun = True
        while True:
            if self._looking is not None:
                open_rows = self._looking[unseen(self._looking, self._value)]
                if len(open_rows):
                    return open_rows
                for x in self._looking:
                    self._offer(x)
                self._looking = None
            waiting = [x for x in self._archive if x.tobytes() not in self._visited]
            if waiting:
                member = waiting[int(self.rng.integers(len(waiting)))]
                self._visited.add(member.tobytes())
                around = neighbours(self.problem.space, member)
                self._looking = around[self.rng.permutation(len(around))]  # a budget's end favours no gene
                continue
            self._looking = self._next_starts()
            if len(self._looking) == 0:
                return self._looking
            self._archive, self._visited = [], set()  # neighbours of an earlier search's members are to join, too

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember the values; before the first ask they make the first archive."""
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            self._value[x.tobytes()] = f
            if not self._begun:
                self._offer(x)

    def _offer(self, x: IntArray) -> None:
        """Let an evaluated architecture ``(n_var,)`` join the archive where no member dominates or equals it."""
        f = self._value[x.tobytes()]
        if not np.isfinite(f).all():
            return
        members = np.array([self._value[m.tobytes()] for m in self._archive]).reshape(-1, len(f))
        if (members <= f).all(axis=1).any():
            return
        beaten = np.asarray((f <= members).all(axis=1))
        self._archive = [m for m, out in zip(self._archive, beaten, strict=True) if not out]
        self._archive.append(x)

    def _next_starts(self) -> IntArray:
        """Return the next starts of the stream that are not evaluated yet; no rows when there are none left."""
        while True:
            drawn = self._stream.take(self.starts)
            new = drawn[unseen(drawn, self._value)]
            if len(new) or len(drawn) == 0:
                return new
