"""Constraints of a run: "flops<=150" and its like, read, attached to a benchmark, and the front that is left.

A constraint bounds an objective of the run or a free cost of its space, in the unit of that quantity. It is judged
on the searched split. How methods see it: `spaces.base.Problem`, `spaces.feasible`, `bench.penalty`.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence

import numpy as np

from bench.benchmark import Benchmark, Reference, TabularBenchmark
from bench.errors import UserError, suggest
from spaces.base import Constraint, FloatArray, IntArray

FORM = re.compile(r"\s*([A-Za-z]\w*)\s*(<=|>=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*", re.ASCII)


def constrain(benchmark: Benchmark, texts: Sequence[str]) -> Benchmark:
    """Return the benchmark under constraints.

    Args:
        benchmark: Left as it is.
        texts: Each "NAME<=NUMBER" or "NAME>=NUMBER".

    Raises:
        UserError: A text has another form, names no quantity that can be bounded, or leaves (almost) nothing.
    """
    found = {parse_constraint(text, benchmark) for text in texts}
    constrained = copy.copy(benchmark)
    constrained.constraints = tuple(sorted(found, key=str))
    constrained.problem.space.sample(1, np.random.default_rng(0))  # raises where nothing is feasible
    return constrained


def parse_constraint(text: str, benchmark: Benchmark) -> Constraint:
    """Read one constraint.

    Raises:
        UserError: It has another form, or names no quantity that can be bounded.
    """
    match = FORM.fullmatch(text)
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise UserError(f"--constraint takes NAME<=NUMBER or NAME>=NUMBER, like 'flops<=150'; got {text!r}.")
    name = match[1]
    if isinstance(benchmark, TabularBenchmark):
        name = benchmark.table.header.get("aliases", {}).get(name, name)
    names = [o.name for o in benchmark.objectives]
    costs = {c.name: c for c in benchmark.space.costs}
    if name not in names and name not in costs:
        where = f"{benchmark.space.name}/{benchmark.dataset}"
        raise UserError(
            f"a constraint of {where} bounds one of its free costs or an objective of the run, not {name!r}."
            f"{suggest(name, {*names, *costs})}"
        )
    at = names.index(name) if name in names else -1
    quantity = benchmark.objectives[at] if at >= 0 else costs[name]
    return Constraint(name, match[2] == "<=", bound, quantity.unit, quantity.cheap, at)


def feasible_only(benchmark: Benchmark, X: IntArray, F: FloatArray) -> FloatArray:
    """Return evaluated objectives ``(n, n_obj)`` with rows of +inf where a constraint is broken."""
    if not benchmark.constraints or len(F) == 0:
        return F
    return np.where((benchmark.problem.violation(X, F) == 0.0)[:, None], F, np.inf)


def reference_front(benchmark: Benchmark) -> Reference | None:
    """Return the front of what satisfies the benchmark's constraints, or None where it is not known.

    Raises:
        UserError: All architectures are known, and none satisfies the constraints.
    """
    if not benchmark.constraints:
        return benchmark.reference()
    candidates = benchmark.candidates()
    if candidates is None:
        return _within_bounds(benchmark)
    feasible = benchmark.problem.violation(candidates.X, candidates.F) == 0.0
    if candidates.exact and not feasible.any():
        raise UserError(_nothing(benchmark, candidates.F))
    return candidates._replace(
        X=candidates.X[feasible], F=candidates.F[feasible], tested=candidates.tested[feasible]
    ).reference()


def _within_bounds(benchmark: Benchmark) -> Reference | None:
    """Return the part of the unconstrained front within the bounds, where that is the front under constraints.

    It is where all constraints are upper bounds of objectives: what dominates a feasible point is feasible then.
    """
    whole = benchmark.reference()
    if whole is None or not all(c.upper and c.objective >= 0 for c in benchmark.constraints):
        return None
    if not np.array_equal(whole.report_best, whole.report_front):  # which of the best tested are feasible is not known
        return None
    keep = np.ones(len(whole.front), dtype=bool)
    for c in benchmark.constraints:
        keep &= whole.front[:, c.objective] <= c.bound
    if not keep.any():
        return None
    front, tested = whole.front[keep], whole.report_front[keep]
    return Reference(front, front.min(axis=0), front.max(axis=0), whole.exact, tested, tested)


def _nothing(benchmark: Benchmark, F: FloatArray) -> str:
    """Return the message that no architecture at all is feasible, with the nearest value of each measured bound."""
    found = []
    for c in benchmark.constraints:
        if c.objective >= 0:
            values = F[:, c.objective]
            nearest = np.nanmin(values) if c.upper else np.nanmax(values)
            found.append(f"the {'smallest' if c.upper else 'largest'} {c.name} is {nearest:.6g} {c.unit}")
    wanted = " and ".join(map(str, benchmark.constraints))
    where = f"{benchmark.space.name}/{benchmark.dataset}"
    return f"no architecture of {where} satisfies {wanted}: {', '.join(found) or 'not together'}."
