"""Constraints of a run: "flops<=150" and its like, read, attached to a benchmark, and the front that is left.

A constraint bounds an objective of the run, a free cost of its space, or another column of its table that could be
searched, in the unit of that quantity. It is judged on the searched split; a column that is not
searched on the mean over its trainings, so that the same architectures are feasible for every seed. How methods see
it: `spaces.base.Problem`, `spaces.feasible`, `bench.runs.penalty`.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Candidates
from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import Constraint, FloatArray, IntArray

#: NAME<=NUMBER or NAME>=NUMBER; of digits, only those of ASCII.
FORM = re.compile(r"\s*([A-Za-z]\w*)\s*(<=|>=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*", re.ASCII)
#: The same, the unit perhaps behind it.
BOUND = re.compile(FORM.pattern + r"([^\s\d]*)\s*", re.ASCII)
#: A bound that much beyond all values is taken for a mistake in the unit.
FAR = 100.0
#: Architectures that are looked at for it, where not all are known.
SAMPLE = 1000


def constrain(benchmark: Benchmark, texts: Sequence[str]) -> Benchmark:
    """Return the benchmark under constraints.

    Args:
        benchmark: Left as it is.
        texts: Each "NAME<=NUMBER" or "NAME>=NUMBER"; the unit may be stated after the number.

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
    match = BOUND.fullmatch(text)
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise UserError(f"--constraint takes NAME<=NUMBER or NAME>=NUMBER, like 'flops<=150'; got {text!r}.")
    name = benchmark.aliases.get(match[1], match[1])
    names = [o.name for o in benchmark.objectives]
    costs = {c.name: c for c in benchmark.space.costs}
    known = {**{o.name: o for o in benchmark.measurable}, **costs, **{o.name: o for o in benchmark.objectives}}
    if name not in known:
        where = f"{benchmark.space.name}/{benchmark.dataset}"
        raise UserError(
            f"a constraint of {where} bounds an objective of the run, a free cost or another column that could be "
            f"searched, not {name!r}.{suggest(name, known)}"
        )
    quantity = known[name]
    if match[4] and match[4] != quantity.unit:
        raise UserError(
            f"--constraint {text!r}: {name} is in {quantity.unit or 'no unit'}, not in {match[4]!r}: give the bound "
            f"like '{name}{match[2]}NUMBER{quantity.unit}'."
        )
    at = names.index(name) if name in names else -1
    return Constraint(name, match[2] == "<=", bound, quantity.unit, quantity.cheap, at)


def check_bounds(benchmark: Benchmark, texts: Sequence[str]) -> None:
    """Look for bounds that nothing satisfies, or that everything satisfies by far: the unit is another one.

    Args:
        benchmark: Under the constraints.
        texts: The constraints as the user wrote them; of one that states its unit only the former is an error.

    Raises:
        UserError: There is such a bound.
    """
    candidates = benchmark.candidates() if texts else None
    for text in texts:
        c = parse_constraint(text, benchmark)
        values = _values(benchmark, c, candidates)
        values = values[np.isfinite(values)]
        if len(values) == 0:
            continue
        low, high = float(values.min()), float(values.max())
        stated = text.rstrip()[-1:] not in "0123456789."
        none = (low > c.bound if c.upper else high < c.bound) and candidates is not None and candidates.exact
        far = c.bound > FAR * high > 0.0 if c.upper else 0.0 < c.bound < low / FAR
        if none or (far and not stated):
            what = "no architecture satisfies" if none else "every architecture by far satisfies"
            meant = "" if none else f", or write '{c}{c.unit}' if it is meant"
            raise UserError(
                f"{what} {c}: in {benchmark.space.name}/{benchmark.dataset} {c.name} lies between {low:.6g} and "
                f"{high:.6g} {c.unit}. Give the bound in that unit{meant}."
            )


def _values(benchmark: Benchmark, c: Constraint, candidates: Candidates | None) -> FloatArray:
    """Return what is known of the bounded quantity ``(n,)``; nothing where only an evaluation tells."""
    if c.objective >= 0 and not c.free:
        return np.empty(0) if candidates is None else candidates.F[:, c.objective]
    if candidates is not None:
        X = candidates.X
    else:
        X = (benchmark.listed or benchmark.space).sample(SAMPLE, np.random.default_rng(0))
    return benchmark.measured(X, c.name) if c.measured else benchmark.space.cost(X, c.name)


def feasible_only(benchmark: Benchmark, X: IntArray, F: FloatArray) -> FloatArray:
    """Return evaluated objectives ``(n, n_obj)`` with rows of +inf where a constraint is broken."""
    if not benchmark.constraints or len(F) == 0:
        return F
    return np.where((benchmark.violation(X, F) == 0.0)[:, None], F, np.inf)
