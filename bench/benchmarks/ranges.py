"""By what range hypervolumes are taken where a rule sets it, and at which costs the least error is read off.

The reference front of a benchmark may end in networks that nobody would use: that of macro has one with 54.6 % error,
and as it sets the nadir point, nine tenths of the regret of random search are the region of errors more than ten points
above the best. So there is the rule "within-N": the error is measured from the best of the reference front to N points
above it, every other objective between the extremes of the front's networks that are within these N points. What is
worse can add no more than the tenth by which the reference point lies beyond the nadir.

Three cost caps for each problem: what is the least error for at most so many MAdds?
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import base_of
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import REFERENCE_POINT, Box
from smemnas.bench.metrics.targets import least_under
from smemnas.spaces.base import FloatArray, Objective

#: The rule by name and, for what is measured by no rule, the corners of the reference front.
RULE = re.compile(r"within-(\d+(?:\.\d+)?)")
FRONT = "front"
#: The rule of new plans: five points are what networks that somebody would choose between differ by.
DEFAULT_RULE = "within-5"
#: What an error is measured in.
POINTS = "%"
#: Caps by space, data set and cost, in its unit: `caps_of_front` of the front of error and that cost, then fixed.
CAPS: dict[tuple[str, str, str], tuple[float, float, float]] = {
    ("nb201", "cifar10", "flops"): (20.0, 48.0, 79.0),
    ("nb201", "cifar10", "params"): (0.16, 0.35, 0.56),
    ("nb201", "cifar100", "flops"): (55.0, 83.0, 91.0),
    ("nb201", "cifar100", "params"): (0.41, 0.6, 0.65),
    ("macro", "cifar10", "flops"): (34.0, 41.0, 57.0),
    ("macro", "cifar10", "params"): (0.61, 0.73, 0.87),
    ("nats_sss", "cifar10", "flops"): (20.0, 34.0, 59.0),
    ("nats_sss", "cifar10", "params"): (0.093, 0.14, 0.28),
    ("mnv3", "ofa", "flops"): (180.0, 220.0, 300.0),
    ("mnv3", "ofa", "params"): (3.8, 4.3, 5.1),
}


def rule_points(text: str) -> float | None:
    """Return how many points of error a rule spans; None for what is no rule of this kind.

    Raises:
        UserError: It spans nothing.
    """
    found = RULE.fullmatch(text.strip())
    if found is None:
        return None
    if not float(found[1]) > 0.0:
        raise UserError(f"--reference within-N takes a number of points above 0, got {text.strip()!r}.")
    return float(found[1])


def error_column(objectives: Sequence[Objective]) -> int | None:
    """Return the column of the error: the first objective in points of percent that costs an evaluation, or None."""
    return next((j for j, o in enumerate(objectives) if o.unit == POINTS and not o.cheap), None)


def cost_column(objectives: Sequence[Objective]) -> int | None:
    """Return the column of the first objective that is no error, where there is an error too; else None."""
    if error_column(objectives) is None:
        return None
    return next((j for j, o in enumerate(objectives) if o.unit != POINTS), None)


def check_rule(benchmark: Benchmark, text: str) -> None:
    """Check that a rule makes sense for the objectives of a benchmark.

    Raises:
        UserError: None of them is an error.
    """
    if error_column(benchmark.objectives) is None:
        names = ", ".join(map(str, benchmark.objectives))
        raise UserError(
            f"--reference {text} is a range of an error in %, and none of the objectives is one ({names}): give "
            "ideal and nadir of each, NAME=IDEAL:NADIR."
        )


def box_within(front: FloatArray, column: int, points: float) -> Box:
    """Return the box of the rule "within-N".

    Args:
        front: Reference front ``(k, n_obj)``.
        column: Of the error.
        points: N.
    """
    best = float(front[:, column].min())
    near = front[front[:, column] <= best + points]
    ideal, nadir = near.min(axis=0), near.max(axis=0)
    nadir[column] = best + points
    return Box(ideal, nadir, REFERENCE_POINT)


def within(reference: Reference, benchmark: Benchmark, points: float) -> Reference:
    """Return a reference front that is measured by the rule "within-N"; the test split by its own front's range."""
    column = error_column(benchmark.objectives)
    assert column is not None, "check_rule has been called"
    box = box_within(reference.front, column, points)
    tested = box_within(reference.report_best, column, points) if len(reference.report_best) else None
    return reference._replace(ideal=box.ideal, nadir=box.nadir, box=box, report_box=tested)


def caps_of_front(errors: FloatArray, costs: FloatArray) -> tuple[float, float, float]:
    """Return the caps that the rule gives.

    Of the networks of the front that are within five points of its best error, in the order of their costs, the ones
    at one, two and three quarters of the way: their costs, rounded up to two digits.

    Args:
        errors: Of the reference front ``(k,)``.
        costs: Of the reference front ``(k,)``.
    """
    points = rule_points(DEFAULT_RULE)
    near = np.sort(costs[errors <= errors.min() + (points or 0.0)])
    first, second, third = (_up_to_two_digits(float(near[(len(near) - 1) * k // 4])) for k in (1, 2, 3))
    return first, second, third


def _up_to_two_digits(value: float) -> float:
    """Return the least number of two digits that is no less; 0 stays 0."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def caps_of(benchmark: Benchmark, reference: Reference | None) -> tuple[float, ...]:
    """Return the cost caps of a benchmark's objectives, none where it has no error, no cost or no reference front."""
    column, cost = error_column(benchmark.objectives), cost_column(benchmark.objectives)
    if column is None or cost is None or reference is None or not len(reference.front):
        return ()
    name = benchmark.objectives[cost].name
    fixed = CAPS.get((benchmark.space.name, base_of(benchmark.dataset), name))
    if fixed is not None:
        return fixed
    return caps_of_front(reference.front[:, column], reference.front[:, cost])


def under_caps(shown: FloatArray, judged: FloatArray, benchmark: Benchmark, caps: Sequence[float]) -> FloatArray:
    """Return the error of what a set offers under each cost cap ``(caps,)``, inf where it has nothing within one.

    Args:
        shown: Objectives of its members as the search saw them ``(k, n_obj)``, by which the choice is made.
        judged: Their true objectives ``(k, n_obj)``.
        benchmark: Its objectives.
        caps: As `caps_of` gives them.
    """
    column, cost = error_column(benchmark.objectives), cost_column(benchmark.objectives)
    assert column is not None, "there are no caps without an error"
    assert cost is not None, "nor without a cost"
    return least_under(judged[:, cost], shown[:, column], judged[:, column], caps)


def best_under(benchmark: Benchmark, reference: Reference | None) -> FloatArray:
    """Return the least error of the reference front under each of `caps_of` ``(3,)``; inf where it has none there."""
    caps = caps_of(benchmark, reference)
    if not caps or reference is None:
        return np.empty(0)
    return under_caps(reference.front, reference.front, benchmark, caps)


def range_text(benchmark: Benchmark, reference: Reference) -> str:
    """Return by what a reference front is measured, objective by objective: "error 8.393 to 13.39 %, ..."."""
    ends = zip(benchmark.objectives, reference.ideal.tolist(), reference.nadir.tolist(), strict=True)
    return ", ".join(f"{o.name} {low:.4g} to {high:.4g} {o.unit}".rstrip() for o, low, high in ends)


def cap_text(cap: float, objective: Objective) -> str:
    """Return a cap as text: "flops <= 22 M"."""
    value = f"{cap:.6g}" if math.isfinite(cap) else str(cap)
    return f"{objective.name} <= {value} {objective.unit}".rstrip()
