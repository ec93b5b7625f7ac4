"""The sentences of docs/make_headline.py on `headline-inside`: parts of SMEM-NAS exchanged, every number a training."""

from __future__ import annotations

import math

import numpy as np
from answer_parts import together
from headline_data import Experiment
from headline_words import limits, seeds_for, setting, verdict
from pages import RESULTS, table

from smemnas.bench.metrics.power import chance_to_find, smallest_effect
from smemnas.bench.report.cells import number, p_value
from smemnas.bench.staged.outcome import ArmPair

#: The experiment whose first arm has the same networks to begin with, and the same seeds.
BEFORE = RESULTS / "headline"


def first_sentence(e: Experiment) -> str:
    """Say what the registered comparisons found."""
    first, means = e.arms[0], {row.arm: row.mean.value for row in e.volumes}
    found = "; ".join(_compared(e, pair, means[pair.other]) for pair in e.primaries)
    return (
        f"With every number a training ({setting(e)}), {first} has hypervolume {means[first]:.3f} by fresh trainings. "
        f"{found} (exact tests, Holm, registered before)."
    )


def _compared(e: Experiment, pair: ArmPair, theirs: float) -> str:
    """Say how the first arm compares with another one."""
    said = {
        "better": f"with {pair.other} instead it is worse",
        "worse": f"with {pair.other} instead it is better",
        "no difference shown": f"with {pair.other} instead no difference is shown",
    }[verdict(pair, True)]
    p = p_value(pair.p_holm)
    text = (
        f"{said}: {theirs:.3f}, lead of {e.arms[0]} {pair.difference.value:+.3f} "
        f"({limits(pair.difference, 3, '+')}; p {'' if p.startswith('<') else '= '}{p})"
    )
    return text[0].upper() + text[1:] if pair is e.primaries[0] else text


def second_sentence(e: Experiment) -> str:
    """Say what such an experiment can find at all."""
    n, tests = len(e.plan.runs), len(e.arms) - 1
    text = f"{n} seeds find d = {smallest_effect(n, tests):.2f} in 80 % of experiments"
    seen = [f"{number(pair.d.value, 2)} ({limits(pair.d, 2)})" for pair in e.primaries]
    text += f"; seen are {together(seen)}"
    if e.foreseen:
        text += f", a simulation gives {together([number(f.d.value, 2) for f in e.foreseen])}"
    return text + "."


def decided(e: Experiment) -> list[str]:
    """Return the sections on what would decide, and on the same searches trained before."""
    n, tests = len(e.plan.runs), len(e.arms) - 1
    rows = []
    simulated = {f.other: f for f in e.foreseen}
    for pair in e.primaries:
        f = simulated.get(pair.other)
        rows.append(
            [
                pair.other,
                f"{number(pair.d.value, 2)} [{limits(pair.d, 2)}]",
                seeds_for(pair.d.value, tests) or "-",
                f"{f.d.value:.2f} [{limits(f.d, 2)}]" if f else "-",
                f"{100 * f.power:.0f} %" if f else "-",
                (seeds_for(f.d.value, tests) or "-") if f else "-",
            ]
        )
    least = smallest_effect(n, tests)
    text = (
        ""
        if math.isnan(least)
        else (
            f" {n} seeds find an effect of {least:.2f} in 80 % of experiments, one of 0.5 in "
            f"{100 * chance_to_find(0.5, n, tests):.0f} %."
        )
    )
    head = ("instead", "d seen", "seeds that find it", "d simulated", f"{n} seeds find it", "seeds that find it")
    noise = ""
    if e.foreseen:
        f = e.foreseen[0]
        noise = f" Simulated: the gate's noise ({f.noise:.2f} points on {f.table}), {f.simulated} seeds."
    return [
        "## What would decide",
        "",
        *table(head, rows),
        f"Effects of {e.arms[0]} against each, in standard deviations of the paired differences, with 95 % intervals; "
        f"how many seeds find one in 80 % of experiments with {tests} comparisons.{text}{noise} Where no difference "
        "is shown, that is not that there is none.",
        "",
        *beside(e),
    ]


def beside(e: Experiment) -> list[str]:
    """Return how the trainings that the first experiment had as well came out here."""
    if not (BEFORE / "trainings.csv").exists():
        return []
    other = Experiment(BEFORE)
    theirs = {(row["arch"], row["seed"]): float(row["val_error"]) for row in other.trainings if row["val_error"]}
    pairs = [
        (float(row["val_error"]), theirs[row["arch"], row["seed"]])
        for row in e.trainings
        if row["val_error"] and (row["arch"], row["seed"]) in theirs
    ]
    if len(pairs) < 2:
        return []
    ours, before = np.array(pairs).T
    d = ours - before
    half = 1.96 * float(d.std(ddof=1)) / math.sqrt(len(d))
    first = e.arms[0]
    here, there = (next(row.mean.value for row in x.volumes if row.arm == first) for x in (e, other))
    return [
        "## Beside the first experiment",
        "",
        f"[The first experiment](../headline/README.md) has the same seeds and the arm {first} as well, on "
        f"{other.environment['processor']}; here everything was trained anew, on {e.environment['processor']}, so that "
        f"no arm has another machine's numbers. {len(d)} trainings have network and seed in common: validation errors "
        f"here differ from those by {d.mean():+.2f} points in the mean ({d.mean() - half:+.2f} to "
        f"{d.mean() + half:+.2f}), with a standard deviation of {d.std(ddof=1):.2f}; two training seeds on one machine "
        f"differ by {math.sqrt(2.0) * e.gate.components.seed:.2f}. It is the same code and the same seeds, so another "
        f"processor's last bits are much of a new seed. {first}'s mean hypervolume is {here:.3f} here and was "
        f"{there:.3f} there.",
        "",
    ]
