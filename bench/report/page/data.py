"""The numbers behind the charts of a page: fronts, reference fronts, anytime curves, pictures of architectures.

Everything is JSON-able, short and the same for the same runs: numbers have five significant digits, names of
architectures are listed once and referred to by position.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark, has_two_splits
from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.metrics.indicators import front_rows
from smemnas.bench.program import program
from smemnas.bench.report.architecture.drawings import picture
from smemnas.bench.studies.curves import Curve
from smemnas.bench.studies.discovery import Run
from smemnas.bench.studies.groups import Group
from smemnas.bench.studies.training_time import curves_in_time
from smemnas.spaces.base import FloatArray, IntArray

#: Points of a reference front that are drawn.
REFERENCE_SHOWN = 2_000
#: Architectures of a page whose picture is embedded; for the others the page names the command that draws it.
PICTURES = 4_000
#: Dominated points are embedded if a page has at most so many evaluations, or if they are asked for.
EVALUATED_SHOWN = 3_000


def page_data(groups: Sequence[Group], evaluated: bool = False) -> dict[str, Any]:
    """Return what the page's script draws.

    Args:
        groups: The comparisons.
        evaluated: Embed the dominated points whatever their number.
    """
    names = method_names(groups)
    evaluated = evaluated or sum(len(run.F) for group in groups for run in group.runs.values()) <= EVALUATED_SHOWN
    cases = [(group, case) for group in groups for case in group.tables.plan.cases]
    found = [_problem(group, case, names, evaluated) for group, case in cases]
    in_time = {id(group): curves_in_time(group.tables) for group in groups}
    for (group, case), (problem, *_) in zip(cases, found, strict=True):
        problem |= _timed(case, in_time[id(group)], names)
    left = PICTURES
    for place, k in enumerate(sorted(range(len(found)), key=lambda k: len(found[k][1]))):  # what one leaves, others get
        problem, genotypes, shown = found[k]
        share = min(len(genotypes), left // (len(found) - place))
        left -= share
        drawn = set(sorted(shown, key=lambda at: (-shown[at], at))[:share])
        space = benchmark_of(cases[k][1]).space
        problem["pictures"] = [picture(space, x).to_list() if at in drawn else None for at, x in enumerate(genotypes)]
    return {
        "program": program(),
        "methods": names,
        "problems": [problem for problem, *_ in found],
        "reaches": [reach for _, reach in reaches(groups)],
    }


def reaches(groups: Sequence[Group]) -> list[tuple[tuple[int, Case | None], dict[str, Any]]]:
    """Return what the charts of targets draw, by number of the group and case; None is all of its cases."""
    names, found = method_names(groups), []
    for g, group in enumerate(groups):
        cases = group.tables.plan.cases
        for case in (*cases, *([None] if len(cases) > 1 else [])):
            own = {name: reach for (place, name), reach in group.tables.reaches.items() if place == case}
            if own:
                drawn = {
                    "title": "all problems" if case is None else str(case),
                    "share": True,
                    "budget": group.end,
                    "unit": group.tables.plan.axis,
                    "at": next(iter(own.values())).at.tolist(),
                    "curves": [{"m": names.index(n), "n": r.runs, "mean": shorts(r.share)} for n, r in own.items()],
                }
                found.append(((g, case), drawn))
    return found


def method_names(groups: Sequence[Group]) -> list[str]:
    """Return the names of all variants, each once, in the order of the groups."""
    return list(dict.fromkeys(v.name for group in groups for v in group.tables.plan.variants))


def short(value: float) -> float | None:
    """Return a number with five significant digits; None where there is none."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def shorts(values: Iterable[float]) -> list[float | None]:
    """Return numbers with five significant digits."""
    return [short(float(v)) for v in values]


def _problem(
    group: Group, case: Case, names: list[str], evaluated: bool
) -> tuple[dict[str, Any], list[IntArray], Counter[int]]:
    """Return fronts and curves of one case in one group; and of each architecture genotype and number of fronts."""
    benchmark, reference = benchmark_of(case), group.tables.references[case]
    tested = [j for j, name in enumerate(benchmark.report_names) if name != benchmark.objectives[j].name]
    if reference is None or len(reference.report_best) == 0 or not has_two_splits(benchmark):
        tested = []  # asking for the test split may be a training
    archs: dict[str, int] = {}
    shown: Counter[int] = Counter()
    genotypes: list[IntArray] = []
    fronts, clouds = [], []
    for name in (v.name for v in group.tables.plan.variants):
        for run in group.of(case, name):
            keep, values = _front(run, benchmark, tested)
            points = []
            for k, row in zip(keep.tolist(), values.tolist(), strict=True):
                at = archs.setdefault(run.archs[k], len(archs))
                if at == len(genotypes):
                    genotypes.append(run.X[k])
                shown[at] += 1
                points.append([at, *shorts(row)])
            fronts.append({"m": names.index(name), "seed": run.job.seed, "p": points})
            if evaluated:
                clouds.append(
                    {
                        "m": names.index(name),
                        "seed": run.job.seed,
                        "p": _rest(feasible_only(benchmark, run.X, run.F), keep),
                    }
                )
    problem = {
        "title": str(case),
        "space": case.space,
        "dataset": case.dataset,
        "budget": group.end,
        "bound": group.bound,
        "unit": group.tables.plan.axis,
        "objectives": [{"name": o.name, "unit": o.unit} for o in benchmark.objectives],
        "tested": [{"name": benchmark.report_names[j], "unit": benchmark.objectives[j].unit} for j in tested],
        "reference": None if reference is None else _reference(reference),
        "archs": list(archs),
        "remarks": list(benchmark.remarked(np.array(genotypes))) if genotypes else [],
        "fronts": fronts,
        "evaluated": clouds,
        **_curves(group, case, names),
    }
    return problem, genotypes, shown


def _front(run: Run, benchmark: Benchmark, tested: list[int]) -> tuple[IntArray, FloatArray]:
    """Return the rows of a run's front, by the first objective, and their values with the tested ones behind."""
    F = feasible_only(benchmark, run.X, run.F)
    keep = front_rows(F)
    values = run.F[keep].reshape(len(keep), len(benchmark.objectives))
    if tested and len(keep):
        values = np.hstack([values, benchmark.report(run.X[keep])[:, tested]])
    return keep, values


def _rest(F: FloatArray, keep: IntArray) -> list[float | None]:
    """Return the finite dominated points ``(n, n_obj)``, +inf where infeasible, one after another in one list."""
    rest = np.setdiff1d(np.flatnonzero(np.isfinite(F).all(axis=1)), keep)
    return shorts(F[rest].ravel())


def _reference(reference: Reference) -> dict[str, Any]:
    """Return the reference front, evenly thinned where it is large."""
    chosen = np.unique(np.linspace(0, len(reference.front) - 1, min(len(reference.front), REFERENCE_SHOWN)).astype(int))
    return {
        "exact": reference.exact,
        "n": len(reference.front),
        "points": [shorts(point) for point in reference.front[chosen].tolist()],
    }


def _curves(group: Group, case: Case, names: list[str]) -> dict[str, Any]:
    """Return the mean regret of each variant with its interval, after the same evaluations for all."""
    curves = {
        v.name: c for v in group.tables.plan.variants if (c := group.tables.curves.get((case, v.name))) is not None
    }
    return _drawn(curves, names)


def _timed(case: Case, in_time: Mapping[tuple[Case, str], Curve], names: list[str]) -> dict[str, Any]:
    """Return as "timed" mean regret against training time, where the table of a case knows times."""
    curves = {name: curve for (place, name), curve in in_time.items() if place == case}
    if not curves:
        return {}
    drawn = {"title": str(case), "unit": "training time", **_drawn(curves, names)}
    return {"timed": {**drawn, "budget": drawn["at"][-1]}}


def _drawn(curves: Mapping[str, Curve], names: list[str]) -> dict[str, Any]:
    """Return the curves of a chart, all of which are known at the same places."""
    return {
        "at": next(iter(curves.values())).at.tolist() if curves else [],
        "curves": [
            {"m": names.index(name), "n": c.n, "mean": shorts(c.mean), "low": shorts(c.low), "high": shorts(c.high)}
            for name, c in curves.items()
        ],
    }
