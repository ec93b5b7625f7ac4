"""What the pages of docs/make_headline.py have in common: outcomes, gate, surrogates, how it was measured, caveats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from headline_data import Experiment
from headline_words import limits, signed, verdict
from pages import table

from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.report.cells import number, p_value
from smemnas.bench.staged.outcome import ArmPair, ArmValues
from smemnas.bench.staged.plan import STAGED


def outcomes(e: Experiment) -> list[str]:
    """Return the table of primary and secondary outcomes; with more than two arms, a row for each comparison."""
    first, others = e.arms[0], e.arms[1:]
    several = len(others) > 1
    quantities = [("hypervolume of fresh trainings (**primary**)", e.volumes, e.primaries, 3)]
    for k, cap in enumerate(e.plan.caps):
        what = f"fresh error (%) at {e.plan.cost} <= {cap:g} M"
        values = e.caps[k * len(e.arms) : (k + 1) * len(e.arms)]
        quantities.append((what, values, e.secondary[k * len(others) : (k + 1) * len(others)], 2))
    rows = [_row(what, values, pair, several, d) for what, values, pairs, d in quantities for pair in pairs]
    flattered = {row.arm: number(row.mean.value, 3) for row in e.observed}
    for other in others:
        named = [other] if several else []
        rows.append(["hypervolume by the searched values", *named, flattered[first], flattered[other], "", "", "", ""])
        rows[-1][-1] = "judges nothing"
    arms = ["against", first, "the other"] if several else e.arms
    head = ("outcome", *arms, "difference", "d", "p (Holm)", f"{first} is")
    family = (
        "the primary ones as one family, the errors as another"
        if several
        else ("the primary one alone, the errors as a family of their own")
    )
    return [
        *table(head, rows, 1 + several),
        f"Differences are {first} minus {'the other' if several else others[0]}, paired by seed, with 95 % intervals; "
        f"d in standard deviations of the paired differences. Exact signed-rank tests: {family}. Values of every seed: "
        "[experiment.md](experiment.md).",
        "",
    ]


def _row(what: str, values: Sequence[ArmValues], pair: ArmPair, several: bool, digits: int) -> list[str]:
    """Return the row of a comparison; seeds that an arm has no value for are left out, and it says so.

    Args:
        what: Is compared: hypervolume with three digits, of which more is better, or errors.
        values: Of all arms, the first of the comparison before.
        pair: The comparison.
        several: Whether the other arm has to be named.
        digits: Behind the point.
    """
    seeds = len(values[0].values)
    means = {row.arm: number(row.mean.value, digits) for row in values}
    return [
        what + (f" ({pair.n} of {seeds} seeds)" if pair.n < seeds else ""),
        *([pair.other] if several else []),
        means[values[0].arm],
        means[pair.other],
        f"{signed(pair.difference.value, digits)} [{limits(pair.difference, digits, '+')}]",
        f"{signed(pair.d.value, 2)} [{limits(pair.d, 2, '+')}]",
        p_value(pair.p_holm),
        verdict(pair, pair.what == "hypervolume"),
    ]


def gate(e: Experiment) -> list[str]:
    """Return what the first stage measured."""
    g, c = e.gate, e.gate.components
    n, k = g.errors.shape
    low = f"{g.costs.min():.2f} to {g.costs.max():.2f}"
    text = (
        f"{n} networks of one cost ({low} M {g.cost}), {k} trainings each, before anything was searched "
        f"([gate.json](gate.json)): standard deviation between architectures {c.architecture:.2f} points of validation "
        f"error, between trainings of one {c.seed:.2f}; **ratio {c.ratio.value:.2f}** (95 % interval "
        f"{limits(c.ratio, 2)}), of which the plan asks at least {g.stage.ratio:g}. A training took "
        f"{g.typical_seconds:.1f} s (median)."
    )
    if c.ratio.low < 1.0:
        text += " The interval holds ratios below 1: that architectures differ more than trainings do is not certain."
    return ["## The gate", "", text, ""]


def surrogates(e: Experiment) -> list[str]:
    """Return the table of taus."""
    if not e.taus:
        return []
    first = e.taus[0].surrogate
    rows = []
    for row in e.taus:
        lead = "" if row.surrogate == first else f"{row.ahead.value:+.3f} [{limits(row.ahead, 3, '+')}]"
        tau = f"{row.mean.value:.3f} [{limits(row.mean, 3)}]"
        rows.append([f"`{row.surrogate}`", str(row.n), tau, lead])
    draws, ordered = len(e.taus[0].values), e.taus[0].ordered
    return [
        "## Order of the trained networks (secondary)",
        "",
        f"All {e.networks} networks of the searches: a surrogate learns some of them and orders {ordered} others; "
        f"Kendall's tau, {draws} random divisions, 95 % intervals.",
        "",
        *table(("surrogate", "learned", "tau", f"`{first}` ahead by"), rows),
        "The intervals are over divisions of this one pool, which overlap: they say how sure the order is on these "
        "networks, not on others. The pool is what the searches asked for, more of it near the front.",
        "",
    ]


def measured(e: Experiment, name: str) -> list[str]:
    """Return how it was measured, by the plan of that name."""
    counts = Counter(row["stage"] for row in e.trainings)
    hours = sum(float(row["seconds"]) for row in e.trainings) / 3600
    failed = sum(bool(row["reason"]) for row in e.trainings)
    packages = e.environment["packages"]
    assert isinstance(packages, dict)
    (low, high), (cheap, dear) = e.plan.corners
    recipe = e.gate.setting["recipe"]
    text = [
        f"`study --plan {name}` on `{e.plan.space}`, data set `{e.plan.dataset}` ({recipe['epochs']} epochs, images of "
        f"{e.gate.setting['size']} pixels); plan with sha256 `{e.digest[:12]}`, written into "
        "[experiment.json](experiment.json) before anything ran.",
        f"{len(e.plan.runs)} seeds of search and training, {e.plan.budget} trainings a search, the first {e.shared} "
        f"the same for {'both' if len(e.arms) == 2 else 'all'} arms{_less(e)}. Then every network of each observed "
        "front was trained again with another seed, and the test images were looked at.",
        f"Hypervolume as a share of the box of {low:g} to {high:g} % error and {cheap:g} to {dear:g} M "
        f"{e.plan.cost}, fixed before.",
        f"{len(e.trainings):,} trainings ({', '.join(f'{stage} {n}' for stage, n in counts.items())}; {failed} "
        f"failed), {hours:.1f} h of one core: {e.environment['processor']}, PyTorch {packages['torch']}, machine "
        "shared with other work. All of them: [trainings.csv](trainings.csv); the searches: "
        "[searches.csv](searches.csv).",
    ]
    plan = STAGED[name]()
    if tuple(e.plan.runs) != tuple(plan.runs) or e.plan.budget != plan.budget:
        text.append(
            f"**Not the whole plan**: `{name}` has {len(plan.runs)} seeds and {plan.budget} trainings a search."
        )
    return ["## How it was measured", "", *(f"* {line}" for line in text), ""]


def _less(e: Experiment) -> str:
    return f" (caution: the plan says {e.plan.shared})" if e.shared < e.plan.shared else ""


def caveats(e: Experiment) -> list[str]:
    """Return what it does not show."""
    flattered = [fmean(seen.values - fresh.values) for seen, fresh in zip(e.observed, e.volumes, strict=True)]
    by = ", ".join(f"{more:+.3f} for {arm}" for more, arm in zip(flattered, e.arms, strict=True))
    others = len(e.arms) - 1
    tests = "One primary test" if others == 1 else f"{others} primary tests, one family,"
    setting = e.gate.setting
    return [
        "## Caveats",
        "",
        f"* One space, one data set, images of {setting['size']} pixels, {setting['recipe']['epochs']} epochs: what "
        "a search gains where trainings are long and good is not asked here.",
        f"* The searched values flatter: hypervolume by {by} (validation images and the seed that was searched, "
        "against test images and a fresh seed).",
        f"* {tests} at {SIGNIFICANCE:g}; everything else is secondary, and the surrogates' intervals are no tests.",
        "",
        "Written by `python docs/make_headline.py` from the files named here.",
        "",
    ]
