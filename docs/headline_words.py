"""The sentences of docs/make_headline.py: each follows from the data of the experiment, whatever they are."""

from __future__ import annotations

import math
from functools import lru_cache

from headline_data import Experiment

from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.power import chance_to_find, fewest_pairs, smallest_effect
from smemnas.bench.metrics.statistics import EXACT_UP_TO, SIGNIFICANCE
from smemnas.bench.report.cells import number, p_value
from smemnas.bench.staged.outcome import ArmPair, TauRow

#: The effect that was written down before the experiment, and what it came from; larger is better here.
PREDICTED, PILOTS = 1.2, "searches on the table of the space, 12 seeds, noise of 1 point"
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
    return (
        f"With every number a training, {said}: the fronts' hypervolume by fresh trainings is {means[0]:.3f} against "
        f"{means[1]:.3f}, difference {pair.difference.value:+.3f} (95 % interval "
        f"{limits(pair.difference, 3, '+')}; {pair.n} seeds, exact p {'' if p.startswith('<') else '= '}{p}, "
        "registered before)."
    )


def second_sentence(e: Experiment) -> str:
    """Say what was predicted, and what the noise of trainings leaves of it."""
    c, pair = e.gate.components, e.primary
    text = (
        f"An effect of d = {PREDICTED:g} was predicted, it is {number(pair.d.value, 2)} ({limits(pair.d, 2)}); "
        f"trainings of one network differ by {c.seed:.1f} points, networks of one cost by {c.architecture:.1f}"
    )
    if e.foreseen:
        text += f", with which a simulation gives {e.foreseen[0].d.value:.2f}"
    needed = seeds_for(pair.d.value)
    if verdict(pair, True) == "no difference shown" and needed:
        text += f", and an effect of the size seen takes {needed} seeds"
    return text + "."


def third_sentence(e: Experiment) -> str:
    """Say how surrogates order the trained networks."""
    if not e.taus:
        return f"The {e.networks} networks trained are too few to ask surrogates for their order."
    n = max(row.n for row in e.taus)
    rows = [row for row in e.taus if row.n == n]
    taus = [f"{row.mean.value:.3f} ({learned(row)})" for row in rows]
    text = f"Surrogates that learned {n} of the {e.networks} networks order others with Kendall's tau {', '.join(taus)}"
    than = [f"{ahead(row.ahead)} {learned(row)}" for row in rows[1:]]
    return text + (f": {learned(rows[0])} are {' and '.join(than)}." if than else ".")


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
        f"Written down before: d about {PREDICTED:g}, from pilots ({PILOTS}); {n} seeds find such an effect in "
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
