"""A benchmark as a problem of pymoo, so that any of its optimisers can search our tables and trainings.

The view is for searches outside the suite: pymoo's own loop then owns budget and clock, and nothing is logged. Of
a benchmark with two splits it gives the searched (validation) columns only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark, reference_front
from smemnas.bench.errors import UserError
from smemnas.methods.pymoo_adapter import FAILED
from smemnas.spaces.base import Constraint, FloatArray, IntArray


def as_pymoo(benchmark: Benchmark, seed: int = 0) -> Any:
    """Return a ``pymoo.core.problem.Problem`` that evaluates a benchmark.

    Variables are integers from 0 to ``n_choices - 1``, and all objectives are minimised. A genotype that is no
    architecture, and an evaluation that fails, has 1e9 in every objective and constraint. Silent genes are normalised
    before the evaluation, as in our own loop; where a table covers a part of its space, a genotype has the values of
    the nearest architecture with values (`spaces.listed`). An exception of the benchmark is passed on. The benchmark's
    constraints are pymoo's inequality constraints, in units of their bounds. ``pareto_front()`` of the problem is the
    exact reference front, or None where it is not known.

    Args:
        benchmark: What to search.
        seed: Evaluation seed: which of several recorded trainings is seen, or the seed of a training.
    """
    from pymoo.core.problem import Problem

    space = benchmark.listed or benchmark.space
    n_obj, n_constraints = len(benchmark.objectives), len(benchmark.constraints)

    class BenchmarkProblem(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            upper = np.asarray(space.n_choices) - 1
            super().__init__(space.n_var, n_obj, n_ieq_constr=n_constraints, xl=0, xu=upper, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"], G = _measure(benchmark, integers(x), seed)
            if n_constraints:
                out["G"] = G

        def _calc_pareto_front(self, *_: Any, **__: Any) -> FloatArray | None:
            reference = reference_front(benchmark)
            return reference.front if reference is not None and reference.exact else None

        def name(self) -> str:
            return f"{space.name}/{benchmark.dataset}"

    return BenchmarkProblem()


def _measure(benchmark: Benchmark, X: IntArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return objectives ``(n, n_obj)`` and constraints ``(n, n_constraints)``, 0 where they hold."""
    F = np.full((len(X), len(benchmark.objectives)), FAILED)
    G = np.full((len(X), len(benchmark.constraints)), FAILED)
    space = benchmark.listed or benchmark.space
    valid = np.flatnonzero(space.is_valid(X))
    if len(valid):
        X = np.ascontiguousarray(space.normalise(X[valid]))
        found = benchmark.evaluate(X, seed).F
        ok = np.isfinite(found).all(axis=1)
        F[valid[ok]] = found[ok]
        for j, c in enumerate(benchmark.constraints):
            G[valid[ok], j] = c.excess(_bounded(benchmark, c, X[ok], found[ok]))
    return F, G


def _bounded(benchmark: Benchmark, c: Constraint, X: IntArray, F: FloatArray) -> FloatArray:
    """Return the values ``(n,)`` that a constraint bounds."""
    if c.measured:
        return benchmark.measured(X, c.name)
    return benchmark.space.cost(X, c.name) if c.free else F[:, c.objective]


def integers(X: Any) -> IntArray:
    """Return pymoo's variables ``(n, n_var)`` as int64; integers that became floats on the way are accepted.

    Raises:
        UserError: They are no integers: the algorithm works on real numbers.
    """
    values = np.asarray(X, dtype=np.float64)
    rounded = np.rint(values)
    if not np.array_equal(values, rounded):
        wrong = values[values != rounded][0]
        raise UserError(
            f"the problem has integer variables, got {wrong:.6g}: give the algorithm sampling=IntegerRandomSampling() "
            "and operators with vtype=float, repair=RoundingRepair()."
        )
    return rounded.astype(np.int64)
