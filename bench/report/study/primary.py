"""The primary comparison of a study: its table, which stands before all others, and what it says in words."""

from __future__ import annotations

import math

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.display import counted
from smemnas.bench.metrics.power import POWER
from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.report.cells import Section, number, p_value, short_names, signed, span
from smemnas.bench.studies.pairs import BASELINE, CHAMPION, EARLIER, PRIMARY
from smemnas.bench.studies.tables import Comparison, Tables

#: Head of the smallest difference that these runs would have found.
FOUND = f"found in {100 * POWER:.0f} %"
HEAD = (
    "method",
    "n",
    "regret",
    "d",
    "its interval",
    "A12",
    "difference",
    "95 % interval",
    "p (Holm)",
    "verdict",
    FOUND,
)
WORDS = {"+": "better", "-": "worse", "=": "no difference shown", "?": "too few pairs", "": "-"}


def pairs_of(tables: Tables) -> dict[tuple[Case, str], Comparison]:
    """Return the comparisons of the primary family by case and other method; none where none is stated."""
    end = tables.plan.end
    if tables.plan.champion:
        found = {(r.case, r.variant): r.comparison for r in tables.champion if r.at == end}
    else:
        found = {(r.case, r.variant): r.against for r in tables.rows if r.at == end and r.against is not None}
    return {key: c for key, c in found.items() if c.family == PRIMARY}


def primary(tables: Tables) -> list[Section]:
    """Return the table of the primary comparison, effect sizes first; nothing where none is stated or finished."""
    plan = tables.plan
    pairs = pairs_of(tables)
    if not any(c.pairs for c in pairs.values()):
        return []
    what = f"{plan.champion} against each other method" if plan.champion else f"each method against {plan.baseline}"
    title = f"Primary comparison: {what} after {plan.after(plan.end)}"
    others = [v.name for v in plan.variants if any((case, v.name) in pairs for case in plan.cases)]
    if len(plan.cases) == 1:
        case = plan.cases[0]
        means = {r.variant: r for r in tables.rows if r.case == case and r.at == plan.end}
        rows = []
        for name, row in means.items():
            c = pairs.get((case, name))
            rows.append([name, str(c.pairs if c else row.n), number(row.regret.value), *_cells(c)])
        return [Section(f"{title} on {case}", HEAD, rows, key="primary")]
    names = short_names(plan.cases)
    rows = []
    for name in others:
        compared = [pairs.get((case, name)) for case in plan.cases]
        verdicts = [c.verdict if c else "" for c in compared]
        rows.append([name, *(_cell(c) for c in compared), "/".join(str(verdicts.count(v)) for v in "+=-")])
    return [
        Section(
            f"{title} (d, 95 % interval, verdict{_beside(pairs)})",
            ("method", *names.values(), "+/=/-"),
            rows,
            key="primary",
        )
    ]


def _cells(c: Comparison | None) -> list[str]:
    """Return the cells of a comparison; empty for the method that all others are compared with."""
    if c is None:
        return [""] * 8
    limits = span(c.effect, 2), number(c.a12, 2), signed(c.difference.value), span(c.difference)
    return [_effect(c), *limits, p_value(c.p_holm), WORDS[c.verdict], found(c)]


def _cell(c: Comparison | None) -> str:
    if c is None or not c.pairs:
        return "-"
    limits = "" if math.isnan(c.effect.low) else f" {span(c.effect, 2)}"
    least = f" ({found(c)})" if found(c) else ""
    return f"{_effect(c)}{limits} {c.verdict}{least}"


def found(c: Comparison) -> str:
    """Return the smallest difference that a comparison without a verdict would have found; empty for others."""
    return number(c.detectable) if c.verdict == "=" and c.detectable > 0.0 else ""


def _beside(pairs: dict[tuple[Case, str], Comparison]) -> str:
    """Return what stands in brackets beside the verdicts, where anything does."""
    return f"; after =, in brackets: the difference {FOUND} of studies" if any(found(c) for c in pairs.values()) else ""


def _effect(c: Comparison) -> str:
    return "-" if math.isnan(c.effect.value) else f"{c.effect.value:+.2f}"


def sentences(tables: Tables) -> list[str]:
    """Return what the primary comparison found on each problem, one sentence each."""
    plan = tables.plan
    pairs = pairs_of(tables)
    lines = []
    for case in plan.cases:
        verdicts = [c.verdict for (where, _), c in pairs.items() if where == case and c.pairs]
        if not verdicts:
            continue
        if plan.champion:
            who = f"{plan.champion} against {counted(len(verdicts), 'other method')}"
            words = {
                "+": "better than {}",
                "-": "worse than {}",
                "=": "no difference shown to {}",
                "?": "too few pairs for {}",
            }
        else:
            who = f"{counted(len(verdicts), 'method')} against {plan.baseline}"
            words = {
                "+": "{} better",
                "-": "{} worse",
                "=": "{} without a difference shown",
                "?": "{} with too few pairs",
            }
        said = ", ".join(words[v].format(verdicts.count(v)) for v in words if v in verdicts)
        lines.append(f"{case}: {who} after {plan.after(plan.end)}: {said} (level {SIGNIFICANCE}).")
    return lines


def on_families(tables: Tables) -> list[str]:
    """Return how the comparisons of a study are corrected, and which of them is its question."""
    plan = tables.plan
    sizes: dict[str, int] = {}
    for c in [r.comparison for r in tables.champion] + [r.against for r in tables.rows if r.against is not None]:
        sizes[c.family] = max(sizes.get(c.family, 0), c.family_size)
    if not any(sizes.values()):
        return []
    words = {
        PRIMARY: "primary, at the budget on every problem",
        EARLIER: "secondary, the same pairs at earlier checkpoints",
        BASELINE: "secondary, the other methods against the baseline",
        CHAMPION: "secondary, the champion against each other method",
    }
    if plan.primary:
        who = f"{plan.champion} against each other method" if plan.champion else f"each method against {plan.baseline}"
        lines = [
            f"Primary comparison, stated before the runs: {who} after {plan.after(plan.end)}. Everything else is "
            "secondary: it suggests, and shows nothing by itself."
        ]
    else:
        lines = ["No primary comparison was stated before these runs: every comparison here is secondary."]
        words[BASELINE] = "secondary, every method against the baseline"
    listed = "; ".join(f"{words[name]}: {size}" for name, size in sizes.items() if size and name in words)
    lines.append(
        "p: exact two-sided Wilcoxon signed-rank test of regrets paired by seed, adjusted by Holm within its family "
        f"({listed} comparisons). A pair has one verdict at a checkpoint, that of its family at level {SIGNIFICANCE}, "
        "wherever it is shown: + significantly better, - significantly worse, = neither, ? too few pairs to show a "
        "difference. d: mean paired difference of regret over its standard deviation, method minus baseline (champion "
        "minus method in the champion's tables), below 0 in favour of the first. A12: chance that a run of the first "
        "is better than one of the second (0.5: no difference)."
    )
    if any(found(c) for c in pairs_of(tables).values()):
        lines.append(
            f"Beside =, {FOUND}: the smallest difference of mean regrets that these runs would have found in "
            f"{100 * POWER:.0f} % of studies, so what is not ruled out. From the standard deviation of their paired "
            "differences, taken as normal, and as if it were the only difference of its family (Holm's strictest step)."
        )
    return lines
