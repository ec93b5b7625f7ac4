"""The network found by searches for one objective, as tables, as records and in words."""

from __future__ import annotations

import math
from typing import Any

from smemnas.bench.benchmarks.base import has_two_splits
from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.metrics.intervals import NOTHING, Interval
from smemnas.bench.report.cells import Section, number, p_value, short_names, span
from smemnas.bench.studies.incumbents import MARGINS, TESTED, optimum, spent_within, value_at
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.tables import Comparison, IncumbentRow, Near, Tables
from smemnas.bench.studies.trials import Trial

FILE = "incumbents.csv"


def near_text(margin: float) -> str:
    """Return a margin in words: "within 0.1", "optimum"."""
    return f"within {margin:g}" if margin else "optimum"


def incumbent_sections(tables: Tables, case: Case) -> list[Section]:
    """Return the table of the networks found on a case of one objective; none where there are several."""
    rows = [row for row in tables.incumbents if row.case == case]
    if not rows:
        return []
    plan, benchmark = tables.plan, benchmark_of(case)
    objective, tested = benchmark.objectives[0], benchmark.report_names[0]
    reported = tested if has_two_splits(benchmark) else f"{tested}, all trainings"
    head = (
        *(plan.axis, "method", "n", f"{objective.name} ({objective.unit})", "95 % interval", "above optimum"),
        *(reported, "its interval"),
        *(text for margin in MARGINS for text in (near_text(margin), f"median {plan.axis} to it")),
        *("p (Holm), reported", "p (Holm), sooner"),
    )
    floor = rows[0].tested_floor
    title = f"Best network found on {case}"
    title += "" if math.isnan(floor) else f"; the optimum has {tested} {floor:.3f}"
    key = f"incumbents {short_names(plan.cases)[case]}"
    return [Section(title, head, [_cells(plan, row) for row in rows], breaks=True, key=key)]


def _cells(plan: Plan, row: IncumbentRow) -> list[str]:
    near = [text for entry in row.near for text in (f"{entry.reached}/{row.runs}", _median(plan, entry, row.at))]
    return [
        *(plan.shown(row.at), row.variant, str(row.n)),
        *(number(row.value.value, 3), span(row.value, 3), number(row.gap.value, 3)),
        *(number(row.tested.value, 3), span(row.tested, 3)),
        *(near or [""] * 2 * len(MARGINS)),
        *("" if c is None else p_value(c.p_holm) for c in (row.reported, row.sooner)),
    ]


def _median(plan: Plan, entry: Near, at: int) -> str:
    return f">{plan.shown(at)}" if math.isinf(entry.median.value) else number(entry.median.value, 0)


def incumbent_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case of one objective, checkpoint and method."""
    column = tables.plan.column
    return [
        {
            "space": row.case.space,
            "dataset": row.case.dataset,
            "objectives": "+".join(row.case.objectives),
            "constraints": " ".join(row.case.constraints),
            **row.case.given,
            "method": row.variant,
            column: row.at,
            "n": row.n,
            "runs": row.runs,
            **_limits("value", row.value),
            **_limits("above_optimum", row.gap),
            **_limits("reported", row.tested),
            "reported_floor": row.tested_floor,
            **{name: value for entry in row.near for name, value in _near(entry, column).items()},
            **_test("reported", row.reported),
            **_test(f"sooner_{TESTED:g}", row.sooner),
        }
        for row in tables.incumbents
    ]


def _limits(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _near(entry: Near, column: str) -> dict[str, Any]:
    name = f"within_{entry.margin:g}"
    return {
        f"{name}_reached": entry.reached,
        **_limits(f"{name}_share", entry.share),
        **_limits(f"{name}_{column}", entry.median),
    }


def _test(name: str, c: Comparison | None) -> dict[str, Any]:
    """Return a test against the champion (baseline): the champion's minus this method's."""
    return {
        f"{name}_pairs": c and c.pairs,
        **_limits(f"{name}_difference", NOTHING if c is None else c.difference),
        f"{name}_p": c and c.p,
        f"{name}_p_holm": c and c.p_holm,
        f"{name}_family_size": c and c.family_size,
    }


def incumbent_columns(tables: Tables, trial: Trial) -> dict[str, Any]:
    """Return what a run's record says of its best network: nothing where the study has no case of one objective."""
    plan = tables.plan
    if not tables.incumbents:
        return {}
    known = bool(len(trial.incumbent))
    values = {n: value_at(plan, trial, n) if known else (None, None) for n in plan.at}
    best = optimum(tables.references.get(trial.case)) if known else math.nan
    return {
        **{f"found_{n}": value[0] for n, value in values.items()},
        **{f"found_reported_{n}": value[1] for n, value in values.items()},
        **{
            f"{plan.column}_to_within_{margin:g}": spent_within(plan, trial, best, margin) if known else None
            for margin in MARGINS
        },
    }


def incumbent_text(tables: Tables) -> list[str]:
    """Return what a reader must know of the tables of networks found; nothing without one."""
    if not tables.incumbents:
        return []
    first = tables.plan.champion or tables.plan.baseline
    margins = ", ".join(f"{margin:g}" for margin in MARGINS if margin)
    return [
        "Best network found: the one that showed the least value so far, with its true value (averaged over the "
        "trainings of a table; what was shown where each value is a training) and the one that is reported: of the "
        "test split where there is one. Above optimum: true value minus the least one of the reference front. "
        f"Optimum, within {margins}: runs that had such a network, by its true value, and the median of when, over "
        f"all runs (intervals in {FILE}: exact, Clopper and Pearson's of shares, order statistics of medians). Tests "
        f"are secondary, of {first} against each other method at the budget, exact and paired, Holm over all cases and "
        f"methods: of the reported values, and of the {tables.plan.axis} to within {TESTED:g}, where a run that does "
        "not get there counts as one more than the budget."
    ]
