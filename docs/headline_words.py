"""The sentences of docs/make_headline.py: each follows from the data of the experiment, whatever they are."""

from __future__ import annotations

import math
from functools import lru_cache

from answer_parts import together
from headline_data import Experiment

from smemnas.bench.display import counted
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.power import chance_to_find, fewest_pairs, smallest_effect
from smemnas.bench.metrics.statistics import EXACT_UP_TO, SIGNIFICANCE
from smemnas.bench.report.cells import number, p_value
from smemnas.bench.staged.outcome import ArmPair, TauRow

#: The effect that was written down before the experiment, and what it came from; larger is better here.
PREDICTED, PILOTS = 1.2, "searches on the table of the space, 12 seeds, noise of 1 point"
#: The commit whose reports of experiments have it.
WRITTEN = "f9381722"
#: What surrogates learn, in words.
LEARNED = {"kernel_pairwise": "pairs", "kernel_ridge_rank": "ranks", "kernel_ridge": "values"}


def verdict(pair: ArmPair, larger_is_better: bool) -> str:
    """Return "better", "worse" or "no difference shown" of the first arm."""
    if not pair.p_holm < SIGNIFICANCE:
        return "no difference shown"
    return "better" if (pair.difference.value > 0) == larger_is_better else "worse"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign; "-" where there is none."""
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def limits(interval: Interval, digits: int, sign: str = "") -> str:
    """Return the limits of an interval in words; "no interval" where there is none."""
    if math.isnan(interval.low):
        return "no interval"
    return f"{interval.low:{sign}.{digits}f} to {interval.high:{sign}.{digits}f}"


def first_sentence(e: Experiment) -> str:
    """Say what the registered comparison found."""
    first, other = e.arms
    pair, means = e.primary, [row.mean.value for row in e.volumes]
    said = {
        "better": f"{first} finds better networks than {other}",
        "worse": f"{first} finds worse networks than {other}",
        "no difference shown": f"no difference is shown between {first} and {other}",
    }[verdict(pair, True)]
    p = p_value(pair.p_holm)
    exact = f"exact p {'' if p.startswith('<') else '= '}{p}"
    return (
        f"With every number a training ({setting(e)}), {said}: hypervolume by fresh trainings {means[0]:.3f} against "
        f"{means[1]:.3f}, {pair.difference.value:+.3f} (95 % interval {limits(pair.difference, 3, '+')}; {pair.n} "
        f"seeds, {exact}, registered before){_caps(e)}."
    )


def setting(e: Experiment) -> str:
    """Return what was trained, and how."""
    g = e.gate.setting
    return f"{e.plan.space}, {g['size']} pixels, {counted(int(g['recipe']['epochs']), 'epoch')}"


def _caps(e: Experiment) -> str:
    """Say under how many caps of the cost the first arm's error is lower; "" without caps."""
    if not e.secondary:
        return ""
    better = sum(verdict(pair, False) == "better" for pair in e.secondary)
    return f"; error lower under {better} of {len(e.secondary)} caps of cost"


def second_sentence(e: Experiment) -> str:
    """Say what was predicted, and what the noise of trainings leaves of it."""
    c, pair = e.gate.components, e.primary
    text = f"Predicted was d = {PREDICTED:g}, seen is {number(pair.d.value, 2)} ({limits(pair.d, 2)})"
    if e.foreseen:
        text += f", simulated with their noise {e.foreseen[0].d.value:.2f}"
    text += f": trainings of one network differ by {c.seed:.1f} points, networks of one cost by {c.architecture:.1f}"
    needed = seeds_for(pair.d.value)
    if verdict(pair, True) == "no difference shown" and needed:
        text += f"; such an effect takes {needed} seeds"
    return text + "."


def third_sentence(e: Experiment) -> str:
    """Say how surrogates order the trained networks."""
    if not e.taus:
        return f"The {e.networks} networks trained are too few to ask surrogates for their order."
    sizes = sorted({row.n for row in e.taus})
    ends = sizes if len(sizes) == 1 else (sizes[0], sizes[-1])
    parts = []
    for n in ends:
        rows = [row for row in e.taus if row.n == n]
        how = [ahead(row.ahead) for row in rows[1:]]
        others = [f"{learned(row)} ({row.mean.value:.3f})" for row in rows[1:]]
        if len(set(how)) == 1:
            than = f", {how[0]} {together(others)}"
        else:
            than = "".join(f", {h} {o}" for h, o in zip(how, others, strict=True))
        part = f"after {n}{f' of {e.networks} networks' if n == ends[0] else ''} {learned(rows[0])} "
        parts.append(part + f"{rows[0].mean.value:.3f}{than}")
    return f"Surrogates' Kendall's tau on others: {'; '.join(parts)}."


def learned(row: TauRow) -> str:
    """Return what a surrogate learns in words, or its name."""
    return LEARNED.get(row.surrogate, row.surrogate)


def ahead(interval: Interval) -> str:
    """Return whether a first one is ahead of another, by the interval of its lead."""
    if interval.low > 0.0:
        return "ahead of"
    return "behind" if interval.high < 0.0 else "not told from"


@lru_cache(maxsize=16)
def seeds_for(effect: float, tests: int = 1) -> str:
    """Return how many seeds find an effect in 80 % of experiments, in words; "" where it is none at all."""
    if not math.isfinite(effect) or effect == 0.0:
        return ""
    found = fewest_pairs(tests, abs(effect))
    return f"more than {EXACT_UP_TO}" if found is None else str(found)


def prediction(e: Experiment) -> list[str]:
    """Return the section on what was predicted, and what would decide."""
    n, pair = len(e.plan.runs), e.primary
    lines = [
        "## What was predicted, and what would decide",
        "",
        f"Written down before: d about {PREDICTED:g}, from pilots ({PILOTS}), in the code since commit "
        f"{WRITTEN} (its reports say how often a number of seeds finds it); {n} seeds find such an effect in "
        f"{100 * chance_to_find(PREDICTED, n, 1):.0f} % of experiments, {_least(n)}.",
        "",
    ]
    if e.foreseen:
        f = e.foreseen[0]
        lines += [
            f"With the gate's own noise ({f.noise:.2f} points on {f.table}), {f.simulated} simulated seeds give d = "
            f"{f.d.value:.2f} (95 % interval {limits(f.d, 2)}), which {f.seeds} seeds find in {100 * f.power:.0f} %. "
            f"{_beside(e)}",
            "",
        ]
    if verdict(pair, True) != "no difference shown":
        return lines
    effects = {"the effect seen": pair.d.value, "the far end of its interval": _far(pair.d)}
    if e.foreseen:
        effects["the simulated effect"] = e.foreseen[0].d.value
    effects["the predicted effect"] = PREDICTED
    rows = [f"{what}, d = {d:.2f}: {seeds_for(d)}" for what, d in effects.items() if seeds_for(d)]
    ratio = e.gate.components.ratio
    each = len([row for row in e.trainings if row["stage"] != "gate"]) / n
    hours = each * e.gate.typical_seconds / 3600
    lines += [
        "No difference is shown, which is not that there is none: the interval leaves "
        f"{limits(pair.difference, 3, '+')} of hypervolume open, and the gate's ratio is {ratio.value:.2f} "
        f"({limits(ratio, 2)}). Seeds that decide in 80 % of experiments: {'; '.join(rows)}. A seed is about "
        f"{each:.0f} trainings, {hours:.2f} h of one core.",
        "",
    ]
    return lines


def _least(n: int) -> str:
    least = smallest_effect(n, 1)
    return "no effect at all" if math.isnan(least) else f"one of {least:.2f} in 80 %"


def _beside(e: Experiment) -> str:
    """Say whether what was seen agrees with what was simulated."""
    seen, f = e.primary.d, e.foreseen[0]
    if math.isnan(seen.low):
        return "Too few seeds to set what was seen beside it."
    if seen.low > f.d.high or seen.high < f.d.low:
        return "The two intervals do not meet: on real trainings it is otherwise than on the table."
    if seen.low <= PREDICTED <= seen.high:
        return "What was seen agrees with both."
    return "What was seen agrees with this, not with the pilots."


def _far(d: Interval) -> float:
    """Return the end of an interval that is farther from 0; NaN without one."""
    return d.low if abs(d.low) > abs(d.high) else d.high
