"""Local search on random scalarisations, after den Ottelander, Dushatskiy, Virgolin and Bosman (EMO 2021).

"Local search is a remarkably strong baseline for neural architecture search", arXiv 2004.08996.

Each descent has a random architecture to start from and random weights: it minimises the weighted sum of the
objectives, normalised by what was evaluated so far, until no neighbour is better; then the next descent follows with
new weights. The front is that of all that was evaluated.

Differs from the paper:

* the descent evaluates single-gene changes in random order and moves to the first better one, where the paper goes
  through the genes in random order and keeps the best value of each; `move` "best" looks at the whole neighbourhood;
* weights are uniform on the simplex, ideal and nadir are those of the evaluated front when a descent starts;
* starts come from the seed's shared stream of random architectures, without repetition; neighbours that were evaluated
  before count with their known values, at no cost.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.base import METHODS
from smemnas.methods.local_search import LocalSearch
from smemnas.methods.selection import box
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("mo-local-search", summary="Local search on random weighted sums (den Ottelander et al. 2021)")
class MultiObjectiveLocalSearch(LocalSearch):
    """Local search whose descents minimise random weighted sums of all objectives.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        starts: Random architectures per start; the descent begins at the best of them.
        move: "first" moves to the first better neighbour, "best" to the best of all.
    """

    single_objective = False

    def __init__(self, problem: Problem, *, budget: int, seed: int, starts: int = 1, move: str = "first") -> None:
        super().__init__(problem, budget=budget, seed=seed, starts=starts, move=move)
        self._rows: dict[bytes, FloatArray] = {}
        self._low, self._weights = np.zeros(problem.n_obj), np.ones(problem.n_obj)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember the objectives and their weighted sums."""
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            self._rows[x.tobytes()] = f
        super().tell(X, F)
        self._value.update((key, self._sum(self._rows[key])) for key in map(bytes, np.asarray(X, dtype=np.int64)))

    def _next_starts(self) -> IntArray:
        """Draw new weights, then return the next starts."""
        weights = self.rng.dirichlet(np.ones(self.problem.n_obj))
        F = np.array(list(self._rows.values())).reshape(-1, self.problem.n_obj)
        F = F[np.isfinite(F).all(axis=1)]
        self._low, span = box(F) if len(F) else (np.zeros(len(weights)), np.ones(len(weights)))
        self._weights = weights / span
        self._value = {key: self._sum(f) for key, f in self._rows.items()}
        return super()._next_starts()

    def _sum(self, f: FloatArray) -> float:
        """Return the weighted sum of objectives ``(n_obj,)``; +inf where the evaluation failed."""
        return float(self._weights @ (f - self._low)) if np.isfinite(f).all() else float(np.inf)
