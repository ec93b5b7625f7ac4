"""Local search (White, Nolen, Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021).

arXiv 2005.02960, algorithm 1: evaluate all neighbours of the current architecture, move to the best of them, and
stop where none is better; then start again from a random architecture until the budget is spent. The authors' code
begins each descent at the best of ten random architectures and moves to the first better neighbour (the preset
``local-search/authors``).

Differs from the paper:

* one objective only, the first costly one; in multi-objective studies it enters by its evaluated set;
* two architectures are neighbours when one gene differs (on nb201 one operation, as in the paper; on nb101 one
  edge or one operation, and the result must be valid);
* starts come from the seed's shared stream of random architectures, without repetition;
* neighbours that were evaluated before count with their known value, at no cost.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.base import METHODS, DesignStream, Method, require_choice, require_positive
from smemnas.methods.neighbourhood import neighbours, target_values, unseen
from smemnas.spaces.base import FloatArray, IntArray, Problem


@METHODS.register("local-search", summary="Local search with restarts (White et al. 2021); one objective")
class LocalSearch(Method):
    """Steepest descent over single-gene changes of the first costly objective.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        starts: Random architectures per start; the descent begins at the best of them (1 in the algorithm, 10
            in the authors' code).
        move: "best" evaluates the whole neighbourhood and moves to its best member; "first" moves to the first
            better one (the paper's variant that queries until something lower is found).
    """

    single_objective = True

    def __init__(self, problem: Problem, *, budget: int, seed: int, starts: int = 1, move: str = "best") -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(starts=starts)
        require_choice("move", move, ("best", "first"))
        self.starts = starts
        self.move = move
        self._stream = DesignStream(problem, seed)
        self._value: dict[bytes, float] = {}
        self._warm = False
        self._begin: IntArray | None = None
        self._current: IntArray | None = None
        self._around: IntArray = np.empty((0, problem.space.n_var), np.int64)

    def ask(self) -> IntArray:
        """Return random starts, or those neighbours of the current architecture that are not evaluated yet.

        Nothing when the space is exhausted.
        """
        while True:
            waiting = self._waiting_starts()
            if waiting is not None:
                return waiting
            if self._current is None:
                assert self._begin is not None
                self._move_to(self._best_of(self._begin))
            assert self._current is not None
            open_rows = self._around[unseen(self._around, self._value)]
            best = self._best_of(self._around) if len(self._around) else self._current
            better = self._worth(best) < self._worth(self._current)
            if better and (self.move == "first" or len(open_rows) == 0):
                self._move_to(best)
            elif len(open_rows):
                return open_rows if self.move == "best" else open_rows[:1]
            else:
                self._begin = self._current = None

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember the values."""
        self._warm |= self._begin is None and len(X) > 0
        for x, value in zip(np.array(X, dtype=np.int64), target_values(self.problem, F), strict=True):
            self._value[x.tobytes()] = float(value)

    def _waiting_starts(self) -> IntArray | None:
        """Return starts that are to be evaluated next, nothing of an exhausted space; None once a descent can go on."""
        if self._begin is None:
            self._begin = self._next_starts()
            if len(self._begin) == 0:
                return self._begin
        if self._current is not None:
            return None
        rows = self._begin[unseen(self._begin, self._value)]
        return rows if len(rows) else None

    def _next_starts(self) -> IntArray:
        """Return the next starts of the stream that are not evaluated yet; a warm start begins at its best."""
        if self._warm:
            self._warm = False
            return np.frombuffer(min(self._value, key=self._value.__getitem__), np.int64)[None].copy()
        while True:
            drawn = self._stream.take(self.starts)
            new = drawn[unseen(drawn, self._value)]
            if len(new) or len(drawn) == 0:
                return new

    def _move_to(self, x: IntArray) -> None:
        self._current = x
        around = neighbours(self.problem.space, x)
        self._around = around[self.rng.permutation(len(around))]  # so that a budget's end favours no gene

    def _best_of(self, X: IntArray) -> IntArray:
        """Return the row with the smallest known value."""
        best: IntArray = X[int(np.argmin([self._worth(x) for x in X]))]
        return best

    def _worth(self, x: IntArray) -> float:
        return self._value.get(x.tobytes(), np.inf)


METHODS.preset(
    "local-search/authors",
    "local-search",
    "Local search as in its authors' code: best of ten starts, first improvement; one objective",
    starts=10,
    move="first",
)
