"""A registered experiment as lines and tables: the answer first, the gate beside it, then what is secondary."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smemnas.bench.display import counted
from smemnas.bench.gates import Gate
from smemnas.bench.metrics.power import chance_to_find, smallest_effect
from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.report.cells import Section, number, p_value, signed, span
from smemnas.bench.staged.outcome import ArmPair, ArmValues, StagedOutcome, TauRow
from smemnas.bench.staged.plan import StagedPlan
from smemnas.bench.staged.power import Foreseen


def answer(plan: StagedPlan, gate: Gate, found: StagedOutcome | None, foreseen: Sequence[Foreseen]) -> list[str]:
    """Return what a reader must know, one line each: the verdict, the noise ratio, what such an experiment can show."""
    lines = [] if found is None else [_verdict(plan, pair) for pair in found.primary]
    if found is None:
        lines.append(
            f"nothing was searched: the gate asks for an architecture sd of at least {plan.gate.ratio:g} times that "
            "between seeds"
        )
    elif found.shared < plan.shared:
        first = counted(found.shared, "first training")
        lines.append(f"caution: arms of a seed have {first} in common, the plan says {plan.shared}")
    lines.append(gate.line())
    lines += [f.line() for f in foreseen]
    n, tests = len(plan.runs), len(plan.arms) - 1
    least = smallest_effect(n, tests)
    if math.isfinite(least):
        lines.append(
            f"size: {counted(n, 'seed')} find an effect of d = {least:.2f} in 80 % of experiments, one of 1.2 in "
            f"{100 * chance_to_find(1.2, n, tests):.0f} %"
        )
    else:
        lines.append(f"size: {counted(n, 'seed')} cannot show any difference")
    return lines


def _verdict(plan: StagedPlan, pair: ArmPair) -> str:
    """Return the outcome of a primary comparison in words."""
    first = plan.arms[0].name
    found = "no difference is shown"
    if pair.p_holm < SIGNIFICANCE:
        found = f"{first} is {'better' if pair.difference.value > 0 else 'worse'}"
    return (
        f"primary: {first} against {pair.other}, hypervolume by fresh trainings on test images: {found} (difference "
        f"{signed(pair.difference.value)}, 95 % interval {span(pair.difference)}, d = {number(pair.d.value, 2)} "
        f"{span(pair.d, 2)}, exact signed-rank p = {p_value(pair.p_holm)}, {counted(pair.n, 'seed')})"
    )


def sections(plan: StagedPlan, gate: Gate, found: StagedOutcome | None) -> list[Section]:
    """Return the tables."""
    tables = [_gate(gate)]
    if found is None:
        return tables
    head = ("method", "n", "mean", "95 % interval", *(f"seed {seed}" for seed in plan.runs))
    tables.insert(0, Section("Primary: hypervolume by fresh values", head, map(_values, found.volumes)))
    tables.insert(1, _pairs("Primary: paired comparisons", found.primary))
    tables.append(Section("Hypervolume by the searched values, which flatter", head, map(_values, found.observed)))
    if found.caps:
        under = [[row.what, *_values(row, 2)] for row in found.caps]
        tables.append(Section("Secondary: error under cost caps, fresh (%)", ("cap", *head), under, True))
        tables.append(_pairs("Secondary: errors under caps, paired", found.secondary))
    if found.taus:
        rows = [
            [row.surrogate, str(row.n), str(row.ordered), number(row.mean.value, 3), span(row.mean, 3), *_ahead(row)]
            for row in found.taus
        ]
        first = found.taus[0].surrogate
        ahead = (f"{first} ahead by", "95 % interval of that")
        heads = ("method", "learned from", "ordered", "Kendall's tau", "95 % interval", *ahead)
        title = f"Secondary: order of {counted(found.networks, 'trained network')}"
        tables.append(Section(title, heads, rows, key="taus"))
    return tables


def _ahead(row: TauRow) -> list[str]:
    """Return how much the first surrogate is ahead of another one; nothing for itself."""
    return ["", ""] if row.ahead == (0.0, 0.0, 0.0) else [f"{row.ahead.value:+.3f}", span(row.ahead, 3)]


def _values(row: ArmValues, digits: int = 4) -> list[str]:
    n = sum(math.isfinite(v) for v in row.values.tolist())
    cells = [number(v, digits) for v in row.values.tolist()]
    return [row.arm, str(n), number(row.mean.value, digits), span(row.mean, digits), *cells]


def _pairs(title: str, pairs: tuple[ArmPair, ...]) -> Section:
    """Return the table of a family of comparisons."""
    head = ("contrast", "against", "n", "difference", "95 % interval", "d", "95 % interval of d", "p", "p (Holm)")
    rows = [
        [
            *(p.what, p.other, str(p.n), signed(p.difference.value), span(p.difference)),
            *(number(p.d.value, 2), span(p.d, 2), p_value(p.p), p_value(p.p_holm)),
        ]
        for p in pairs
    ]
    return Section(title, head, rows)


def _gate(gate: Gate) -> Section:
    """Return the table of the gate's trainings."""
    seeds = range(gate.errors.shape[1])
    head = ("method", gate.cost, *(f"training {k + 1}" for k in seeds))
    rows = [
        [arch, number(cost, 3), *(number(e, 2) for e in errors)]
        for arch, cost, errors in zip(gate.archs, gate.costs.tolist(), gate.errors.tolist(), strict=True)
    ]
    table = Section("Gate: validation errors of networks of one cost (%)", head, rows)
    table.head[0] = "architecture"
    return table


def conventions(plan: StagedPlan) -> list[str]:
    """Return how the numbers are made."""
    (low, high), (cheap, dear) = plan.corners
    seeds = counted(len(plan.runs), "seed")
    return [
        f"Stages: a gate ({plan.gate.networks} networks of one cost, {plan.gate.seeds} training seeds each), the "
        f"search ({len(plan.arms)} arms, {seeds}, {plan.budget} trainings each, the first {plan.shared} of a seed the "
        "same), and fresh trainings of every network on each observed front with another seed, judged on the test "
        "images.",
        "Trainings have the seed of their search, so all arms of a seed see the same value of a network.",
        f"The hypervolume is a share of the box of {low:g} to {high:g} % error and {cheap:g} to {dear:g} {plan.cost}; "
        "larger is better. Only fresh values judge; the searched number judges nothing.",
        f"The primary family is tested at {SIGNIFICANCE:g} by the exact signed-rank test over paired seeds (Holm among "
        "its comparisons); everything else is secondary.",
        f"Surrogates learn from and order the mean validation errors of all networks that the searches trained; "
        f"intervals are over {plan.ranking.draws} divisions of these networks and say nothing of others.",
    ]
