"""A given reference: ideal and nadir point of each objective, and the reference point of hypervolumes between them.

"error=0:20,flops=0:300" or, with the reference point in units of that box, "error=0:20,flops=0:300@1.2". Without it
ideal and nadir are those of the reference front and the reference point is 1.1. In the place of numbers the name of a
rule may stand, "within-5" (`bench.benchmarks.ranges`), or "front" for what holds without any. It changes how a run is
measured, and never what it does.
"""

from __future__ import annotations

import math

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.benchmarks.ranges import FRONT, check_rule, rule_points, within
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.metrics.indicators import REFERENCE_POINT, Box

#: Largest reference point in units of the box: beyond it the ends of a front are all of a hypervolume, and regrets 0.
LARGEST_POINT = 1_000.0
#: Largest number of an ideal or a nadir; the box between larger ones has no finite size.
LARGEST_NUMBER = 1e100
FORM = "takes NAME=IDEAL:NADIR for each objective, joined by commas, and @POINT if it is not 1.1"
EXAMPLE = "like 'error=0:20,flops=0:300' or 'error=0:20,flops=0:300@1.2', or a rule: within-5, front"


def parse_reference(text: str, benchmark: Benchmark) -> Box:
    """Read a given reference.

    Args:
        text: As a user writes it.
        benchmark: Its objectives must all be named, in any order.

    Raises:
        UserError: The text has another form, an objective is missing, ideal and nadir are the wrong way round, or a
            number is too large.
    """
    body, at, last = text.partition("@")
    point = _number(last, text) if at else REFERENCE_POINT
    if not point > 0.0:
        raise UserError(f"--reference: the reference point must be greater than 0 (nadir is 1), got {last.strip()!r}.")
    if point > LARGEST_POINT:
        raise UserError(
            f"--reference: the reference point must be at most {LARGEST_POINT:,.0f} (nadir is 1), got {last.strip()!r}."
        )
    names = [o.name for o in benchmark.objectives]
    aliases = benchmark.aliases
    found: dict[str, tuple[float, float]] = {}
    for part in body.split(","):
        name, equals, corners = (piece.strip() for piece in part.partition("="))
        low, colon, high = corners.partition(":")
        if not equals or not colon:
            raise UserError(f"--reference {FORM}, {EXAMPLE}; got {text!r}.")
        name = aliases.get(name, name) if name not in names else name
        if name not in names:
            raise UserError(f"--reference: {name!r} is no objective of the run.{suggest(name, names)}")
        if name in found:
            raise UserError(f"--reference: {name} is there twice in {text!r}.")
        ideal, nadir = _number(low, text), _number(high, text)
        if not ideal < nadir:
            raise UserError(
                f"--reference: ideal must be below nadir (everything is minimised), got {name}={ideal:g}:{nadir:g}."
            )
        found[name] = ideal, nadir
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"--reference {FORM}; {', '.join(missing)} is missing in {text!r}.")
    corners_of = np.array([found[name] for name in names], dtype=np.float64)
    return Box(corners_of[:, 0], corners_of[:, 1], point)


def _number(text: str, whole: str) -> float:
    """Return a finite number.

    Raises:
        UserError: It is none, or larger than `LARGEST_NUMBER`.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"--reference {FORM}, {EXAMPLE}; {text.strip()!r} in {whole!r} is no finite number.")
    if abs(value) > LARGEST_NUMBER:
        bounds = f"from {-LARGEST_NUMBER:g} to {LARGEST_NUMBER:g}"
        raise UserError(f"--reference takes numbers {bounds}; got {text.strip()!r} in {whole!r}.")
    return value


def reference_text(box: Box, benchmark: Benchmark) -> str:
    """Return the text of a given reference in the order of the objectives."""
    parts = [
        f"{o.name}={low:.12g}:{high:.12g}"
        for o, low, high in zip(benchmark.objectives, box.ideal.tolist(), box.nadir.tolist(), strict=True)
    ]
    return ",".join(parts) + ("" if box.point == REFERENCE_POINT else f"@{box.point:.12g}")


def canonical(text: str, benchmark: Benchmark) -> str:
    """Return a given reference in the form in which it is recorded; "" stays "", and "front" becomes it.

    Raises:
        UserError: It makes no sense.
    """
    if text.strip() == FRONT:
        return ""
    points = rule_points(text)
    if points is not None:
        check_rule(benchmark, text.strip())
        return f"within-{points:g}"
    return reference_text(parse_reference(text, benchmark), benchmark) if text else ""


def measured_by(reference: Reference | None, text: str, benchmark: Benchmark) -> Reference | None:
    """Return a reference front that is measured by a given ideal, nadir and reference point or a rule; as it is for "".

    Raises:
        UserError: The whole front lies beyond the given reference point, so that nothing has a hypervolume.
    """
    if reference is None or not text:
        return reference
    points = rule_points(text)
    if points is not None:
        check_rule(benchmark, text)
        return within(reference, benchmark, points)
    box = parse_reference(text, benchmark)
    corner = box.ideal + (box.nadir - box.ideal) * box.point
    for front in (reference.front, reference.report_best):
        if len(front) and not (front < corner).all(axis=1).any():
            best = ", ".join(f"{o.name} {v:.6g}" for o, v in zip(benchmark.objectives, front.min(axis=0), strict=True))
            raise UserError(
                f"--reference {text}: no point of the reference front lies within its reference point, so nothing has "
                f"a hypervolume; the smallest values on the front are {best}."
            )
    return reference._replace(ideal=box.ideal, nadir=box.nadir, box=box)
