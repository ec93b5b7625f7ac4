"""A function of the user's as a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation, Reference, objective_values, require_costs
from smemnas.spaces.base import FloatArray, IntArray, Objective, SearchSpace

#: Functions of the user's are asked about whole spaces up to this size only.
SMALL = 100_000


class CallableBenchmark(Benchmark):
    """Your own function as a benchmark.

    Args:
        space: The space to search.
        function: Maps a copy of genotypes ``(n, n_var)`` and a seed to minimised objectives ``(n, n_obj)``, also
            ``(n,)`` of one. With several it never gets as many rows as objectives, so that none can be mixed up.
        objectives: What the function returns, in order; cheap ones must be among `space.costs`.
        dataset: Name for logs and reports.
        front: The exact front ``(k, n_obj)`` where it is known.

    Raises:
        UserError: A cheap objective is none of the space's costs.
    """

    def __init__(
        self,
        space: SearchSpace,
        function: Callable[[IntArray, int], FloatArray],
        objectives: Sequence[Objective],
        *,
        dataset: str = "callable",
        front: FloatArray | None = None,
    ) -> None:
        self.space = space
        self.dataset = dataset
        self.objectives = tuple(objectives)
        self.report_names = tuple(o.name for o in objectives)
        self.notes = ("One function gives the searched and the reported value.",)
        self._function = function
        self._front = front
        require_costs(space, self.objectives)

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Call the function.

        Raises:
            UserError: It returns something else than ``(n, n_obj)`` numbers.
        """
        names, n_obj = [o.name for o in self.objectives], len(self.objectives)
        parts = [X[:1], X[1:]] if len(X) == n_obj > 1 else [X] if len(X) else []
        place = f"{self.space.name}/{self.dataset}"
        answers = (objective_values(self._function(part.copy(), seed), len(part), names, place) for part in parts)
        F = np.concatenate([np.empty((0, n_obj)), *answers])
        errors = np.where(np.isfinite(F).all(axis=1), "", "not finite")
        return Evaluation(F, np.zeros(len(X)), tuple(errors.tolist()))

    def report(self, X: IntArray) -> FloatArray:
        """Call the function with seed 0."""
        return self.evaluate(X, 0).F

    def whole_reference(self) -> Reference | None:
        """Return the front given at construction."""
        if self._front is None:
            return None
        front = np.asarray(self._front, dtype=np.float64)
        return Reference(front, front.min(axis=0), front.max(axis=0), True, front, front)

    def candidates(self) -> Candidates | None:
        """Return all architectures of a small space whose front is known, at the cost of evaluating them."""
        if self._front is None or self.space.size > SMALL:
            return None
        X = self.space.enumerate()
        F = self.evaluate(X, 0).F
        return Candidates(X, F, F, True)
