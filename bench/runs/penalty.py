"""Constraints for methods that only compare objectives: what is infeasible is told as worse than all that is feasible.

Deb's order (Deb et al., IEEE TEVC 2002, section VI): feasible before infeasible, infeasible by total violation. An
infeasible architecture is told the same step beyond a ceiling in every objective, and the step grows with the
violation. So every feasible one dominates it, and of two infeasible ones the smaller violation dominates, whether a
method sorts, scalarises or looks at one objective alone. The log keeps the true values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smemnas.methods.base import Method, Recommendation
from smemnas.spaces.base import FloatArray, IntArray, Problem

#: Total violation ``(n,)`` of genotypes ``(n, n_var)`` with objectives ``(n, n_obj)``.
Violation = Callable[[IntArray, FloatArray], FloatArray]


def told_under_constraints(method: Method, problem: Problem, violation: Violation | None = None) -> Method:
    """Return the method as the loop drives it: itself without constraints, or where it handles them itself.

    Args:
        method: Asked and told.
        problem: Its constraints.
        violation: That of the benchmark, which no method can compute where something is bounded that is not searched;
            None takes the problem's.
    """
    if not problem.constraints or (method.handles_constraints and not any(c.measured for c in problem.constraints)):
        return method
    return Penalised(method, problem, violation)


class Penalised(Method):
    """A method that is told penalised objectives.

    The ceiling of an objective is its own upper bound where it has one. Otherwise it lies above the worst value of the
    first rows told, by their range or by that value, whichever is more: far enough for nearly all that follows, near
    enough for a surrogate of the objectives. A later feasible value beyond it is told as the ceiling.

    Args:
        method: Asked and told.
        problem: Its constraints.
        violation: How much they are broken; None takes the problem's.
    """

    def __init__(self, method: Method, problem: Problem, violation: Violation | None = None) -> None:
        super().__init__(problem, budget=method.budget, seed=method.seed)
        self._method = method
        self._violation = violation or problem.violation
        self._ceiling: FloatArray | None = None

    def ask(self) -> IntArray:
        """Ask the method."""
        return self._method.ask()

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Tell the method; true values of what is feasible (up to the ceiling), +inf of what failed."""
        self._method.tell(X, self.penalise(X, F))

    def recommend(self) -> Recommendation | None:
        """Ask the method."""
        return self._method.recommend()

    def penalise(self, X: IntArray, F: FloatArray) -> FloatArray:
        """Return objectives ``(n, n_obj)`` in which feasible rows dominate infeasible ones."""
        violation = self._violation(X, F)
        ok = np.isfinite(violation)
        if self._ceiling is None:
            if not ok.any():
                return np.full(np.shape(F), np.inf)
            self._ceiling = self._ceiling_of(F[ok])
        step = violation[ok] / (1.0 + violation[ok])  # below 1, so that no violation dwarfs the others
        unit = np.where(self._ceiling == 0.0, 1.0, np.abs(self._ceiling))
        beyond = np.maximum(self._ceiling + step[:, None] * unit, np.nextafter(self._ceiling, np.inf))
        told = np.full(np.shape(F), np.inf)
        told[ok] = np.where(step[:, None] > 0.0, beyond, np.minimum(F[ok], self._ceiling))
        return told

    def _ceiling_of(self, F: FloatArray) -> FloatArray:
        """Return the ceilings ``(n_obj,)``, given the first rows told."""
        low, high = F.min(axis=0), F.max(axis=0)
        ceiling = high + np.maximum(high - low, np.abs(high))
        for j in range(len(ceiling)):
            bounds = [c.bound for c in self.problem.constraints if c.upper and c.objective == j]
            ceiling[j] = min(bounds, default=ceiling[j])
        return np.asarray(ceiling)
