"""Searches among listed architectures, such as the rows of a table that covers a part of its space.

Methods propose what they like. What is not listed, or was evaluated before, gives way to the nearest listed
architecture that was not evaluated yet (`spaces.listed`): so each proposal is something new that can be evaluated, for
all methods by one rule, and a search ends with its budget or with the list. A method that has nothing more to propose
is given architectures of the rest at random. The rule sees genotypes only, never values.
"""

from __future__ import annotations

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.methods.base import Method, Recommendation
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.spaces.listed import ListedSpace

#: First number of the seed sequence from which a finished method's continuation is drawn.
REST_STREAM = 3


def among_listed(method: Method, problem: Problem) -> Method:
    """Return the method as the loop drives it: itself where the problem's space is no list."""
    return AmongListed(method, problem, problem.space) if isinstance(problem.space, ListedSpace) else method


class AmongListed(Method):
    """A method whose proposals are moved to listed architectures that were not evaluated yet.

    It is told what was evaluated instead, as with rows that it did not ask for.

    Args:
        method: Asked and told.
        problem: What it searches.
        space: The list.
    """

    def __init__(self, method: Method, problem: Problem, space: ListedSpace) -> None:
        super().__init__(problem, budget=method.budget, seed=method.seed)
        self._method = method
        self._space = space
        self._open = np.ones(len(space.rows), dtype=bool)
        self._rest = np.random.default_rng([REST_STREAM, method.seed])

    def ask(self) -> IntArray:
        """Return listed architectures that were not evaluated yet; no rows when all of them were."""
        if not self._open.any():
            return self._space.rows[:0]
        X = np.asarray(self._method.ask())
        if X.ndim != 2 or X.shape[1] != self._space.n_var or not np.issubdtype(X.dtype, np.integer):
            return X  # the loop says what is wrong with it
        if len(X) == 0:
            rows = self._rest.choice(np.flatnonzero(self._open), 1)
        elif self._space.is_valid(X).all():
            rows = self._moved(X)
        else:
            return X
        return np.array(self._space.rows[rows])

    def _moved(self, X: IntArray) -> IntArray:
        """Return distinct open rows of the list, one for each of valid genotypes ``(m, n_var)`` while there are any.

        What is listed and open keeps its row; the others are moved one after the other.
        """
        left = self._open.copy()
        rows = self._space.find(self._space.whole.normalise(np.asarray(X, dtype=np.int64)))
        for k, row in enumerate(rows.tolist()):
            if row >= 0 and left[row]:
                left[row] = False
            else:
                rows[k] = -1
        for k in np.flatnonzero(rows < 0).tolist():
            if left.any():
                rows[k : k + 1] = self._space.nearest(X[k : k + 1], among=left)
                left[rows[k]] = False
        return rows[rows >= 0]

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Tell the method, and note what is evaluated."""
        found = self._space.find(np.asarray(X, dtype=np.int64))
        self._open[found[found >= 0]] = False
        self._method.tell(X, F)

    def recommend(self) -> Recommendation | None:
        """Ask the method."""
        return self._method.recommend()


def end_of_list(benchmark: Benchmark, evaluations: int, budget: int, spent: str = "") -> str:
    """Return what to say of a run that ended because all listed architectures were evaluated, "" of any other.

    `spent` is how much of what it spent, where not evaluations are the budget.
    """
    space = benchmark.problem.space
    if evaluations >= budget or not isinstance(space, ListedSpace) or evaluations < space.size:
        return ""
    spent = spent or f"{evaluations:,} of {budget:,} evaluations"
    return f"Ended after {spent}: all architectures of the list were evaluated."


def notes_of(benchmark: Benchmark) -> list[str]:
    """Return what a reader of results must know: the benchmark's notes, and whether searches are restricted."""
    listed = benchmark.listed
    if listed is None:
        return list(benchmark.notes)
    whole = listed.whole.size
    of = f"{whole:,}" if whole < 10**9 else f"{whole:.3g}"
    return [
        *benchmark.notes,
        f"Searched among the {listed.size:,} architectures (of {of} genotypes) that have all values searched: what a "
        "method proposes beside them gives way to the nearest one not evaluated yet. --full-space searches all; what "
        "has no value then fails and costs budget.",
    ]
