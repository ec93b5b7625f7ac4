"""Local search on random scalarisations (den Ottelander, Dushatskiy, Virgolin, Bosman, EMO 2021, arXiv 2004.08996).

"Local search is a remarkably strong baseline for neural architecture search".

Each descent has a random architecture to start from and random weights: it minimises the weighted sum of the
objectives, normalised by what was evaluated so far; then the next descent follows with new weights. The front is that
of all that was evaluated. The authors' code (github.com/tdenottelander/MacroNAS) goes once through the genes in random
order, tries every value of a gene and keeps the best one; then it begins anew. That is `move` "gene", the preset
``mo-local-search/authors``.

Differs from the authors' code:

* by default the descent evaluates single-gene changes in random order, moves to the first better one and ends where
  no neighbour is better; `move` "best" looks at the whole neighbourhood;
* ideal and nadir are those of the evaluated front when a descent starts (of the first one, of what it has evaluated so
  far), where the code has accuracies between 0 and 1 and MAdds scaled by the smallest and the largest network of its
  table;
* weights are uniform on the simplex, which for two objectives is the code's uniform share of the first;
* starts come from the seed's shared stream of random architectures, without repetition, where the code starts its first
  descent from the network without any layer; what was evaluated before counts with its known values, at no cost.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.base import METHODS, require_choice
from smemnas.methods.local_search import LocalSearch
from smemnas.methods.neighbourhood import unseen
from smemnas.methods.selection import box
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("mo-local-search", summary="Local search on random weighted sums (den Ottelander et al. 2021)")
class MultiObjectiveLocalSearch(LocalSearch):
    """Local search whose descents minimise random weighted sums of all objectives.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        starts: Random architectures per start; the descent begins at the best of them.
        move: "first" moves to the first better neighbour, "best" to the best of all, both until none is better; "gene"
            goes once through the genes in random order and keeps the best value of each.
    """

    single_objective = False

    def __init__(self, problem: Problem, *, budget: int, seed: int, starts: int = 1, move: str = "first") -> None:
        require_choice("move", move, ("first", "best", "gene"))
        super().__init__(problem, budget=budget, seed=seed, starts=starts, move="first" if move == "gene" else move)
        self.move = move
        self._genes: list[int] = []
        self._rows: dict[bytes, FloatArray] = {}
        self._low, self._weights = np.zeros(problem.n_obj), np.ones(problem.n_obj)
        self._shares = np.ones(problem.n_obj)
        self._first = False

    def ask(self) -> IntArray:
        """Return random starts, or those changes of the current architecture that are looked at next.

        Nothing when the space is exhausted.
        """
        if self.move != "gene":
            return super().ask()
        while True:
            waiting = self._waiting_starts()
            if waiting is not None:
                return waiting
            if self._current is None:
                assert self._begin is not None
                self._current = self._best_of(self._begin)
                self._genes = self.rng.permutation(self.problem.space.n_var).tolist()
            while self._genes:
                around = self._values_of(self._genes[0])
                open_rows = around[unseen(around, self._value)]
                if len(open_rows):
                    return open_rows
                best = self._best_of(np.vstack([self._current[None], around]))
                self._current = best  # the first of equal ones: the current architecture itself
                self._genes.pop(0)
            self._begin = self._current = None

    def _values_of(self, gene: int) -> IntArray:
        """Return the architectures ``(m, n_var)`` that have another value of a gene than the current one."""
        assert self._current is not None
        space = self.problem.space
        X = np.repeat(self._current[None], space.n_choices[gene], axis=0)
        X[:, gene] = np.arange(space.n_choices[gene])
        X = np.ascontiguousarray(space.normalise(X[space.is_valid(X)]), dtype=np.int64)
        X = X[(X != self._current).any(axis=1)]
        distinct: IntArray = X[unique_rows(X)] if len(X) else X
        return distinct

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember the objectives and their weighted sums."""
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            self._rows[x.tobytes()] = f
        super().tell(X, F)
        if self._first:
            self._normalise()
        self._value.update((key, self._sum(self._rows[key])) for key in map(bytes, np.asarray(X, dtype=np.int64)))

    def _next_starts(self) -> IntArray:
        """Draw new weights, then return the next starts."""
        self._shares = self.rng.dirichlet(np.ones(self.problem.n_obj))
        self._first = not self._rows
        self._normalise()
        return super()._next_starts()

    def _normalise(self) -> None:
        """Set ideal and nadir by what was evaluated so far, and the value of all of it."""
        F = np.array(list(self._rows.values())).reshape(-1, self.problem.n_obj)
        F = F[np.isfinite(F).all(axis=1)]
        self._low, span = box(F) if len(F) else (np.zeros(len(self._shares)), np.ones(len(self._shares)))
        self._weights = self._shares / span
        self._value = {key: self._sum(f) for key, f in self._rows.items()}

    def _sum(self, f: FloatArray) -> float:
        """Return the weighted sum of objectives ``(n_obj,)``; +inf where the evaluation failed."""
        return float(self._weights @ (f - self._low)) if np.isfinite(f).all() else float(np.inf)


METHODS.preset(
    "mo-local-search/authors",
    "mo-local-search",
    "Local search on weighted sums as in its authors' code: one pass over the genes, then a new start",
    move="gene",
)
