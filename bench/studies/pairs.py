"""All paired comparisons of a study: each pair is compared once, in one family, so it has one verdict everywhere.

With a stated primary comparison (`Plan.primary`) the families are:

- primary: the champion and each other variant, or each variant and the baseline without a champion, at the budget, on
  every case. This is the question of the study, corrected by itself;
- secondary, earlier checkpoints: the same pairs before the budget;
- secondary, baseline: each variant and the baseline at every checkpoint, where there is a champion beside it.

Without one, as in plans published before there was any: every variant and the baseline at all checkpoints are a family,
the champion and every variant another; the pair of the two belongs to the champion's. What no family compares, the best
of a column and another, is corrected within its column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.power import smallest_effect
from smemnas.bench.metrics.statistics import BEST, EQUAL, EXACT_UP_TO, UNKNOWN, WORSE
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.tables import Comparison
from smemnas.spaces.base import FloatArray

#: Names of families.
PRIMARY, EARLIER = "primary", "secondary, earlier checkpoints"
BASELINE, CHAMPION = "secondary, baseline", "secondary, champion"

#: A case, the position of a checkpoint, and the two variants: the first minus (over) the second.
Key = tuple[Case, int, str, str]
Pairs = Mapping[Key, Comparison]
#: Regrets ``(seeds, checkpoints)`` of each case and variant, NaN where a run is not finished.
Regret = Mapping[tuple[Case, str], FloatArray]


def compare(first: FloatArray, second: FloatArray) -> Comparison:
    """Compare regrets ``(n,)`` paired by seed; pairs with a NaN are left out."""
    both = np.isfinite(first) & np.isfinite(second)
    x, y = first[both], second[both]
    return Comparison(
        len(x),
        statistics.mean_difference(x, y),
        statistics.ratio_of_means(x, y),
        statistics.wilcoxon(x, y),
        math.nan,
        0,
        statistics.a12(x, y),
        statistics.paired_wins(x, y),
        statistics.standardised_difference(x, y),
        spread=statistics.standard_deviation(statistics.differences(x, y)),
    )


def adjust(comparisons: Sequence[Comparison], family: str = "") -> list[Comparison]:
    """Return the comparisons of one family with their p-values adjusted (Holm)."""
    adjusted = statistics.holm([c.p for c in comparisons])
    size = int(np.isfinite([c.p for c in comparisons]).sum())
    return [
        replace(c, p_holm=float(p), family_size=size, family=family) for c, p in zip(comparisons, adjusted, strict=True)
    ]


def with_detectable(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons of an adjusted family with the smallest difference that each would have found.

    As if it were the only one of its family: it must pass Holm's first and strictest step. Differences are taken as
    normal with the spread of those that were seen.
    """
    return [
        replace(c, detectable=c.spread * smallest_effect(min(c.pairs, EXACT_UP_TO), c.family_size)) if c.pairs else c
        for c in comparisons
    ]


def families(plan: Plan) -> dict[str, list[Key]]:
    """Return the pairs of each family of a checked plan; the champion's pairs come after those that it may share."""
    names = [v.name for v in plan.variants]
    last = len(plan.at) - 1
    everywhere = [(case, k) for case in plan.cases for k in range(last + 1)]
    champion = [(c, k, plan.champion, n) for c, k in everywhere for n in names if n != plan.champion and plan.champion]
    baseline = [(c, k, n, plan.baseline) for c, k in everywhere for n in names if n != plan.baseline]
    if not plan.primary:
        return {BASELINE: baseline, CHAMPION: champion}
    asked = champion or baseline
    beside = [key for key in baseline if champion and plan.baseline != plan.champion not in key[2:]]
    return {
        BASELINE: beside,
        EARLIER: [key for key in asked if key[1] < last],
        PRIMARY: [key for key in asked if key[1] == last],
    }


def make_pairs(plan: Plan, regret: Regret) -> dict[Key, Comparison]:
    """Compare everything that a checked plan compares; the pairs of each case and checkpoint by their two names."""
    raw: dict[Key, Comparison] = {}
    found: dict[Key, Comparison] = {}
    for family, keys in families(plan).items():
        for case, k, first, second in keys:
            if (case, k, first, second) not in raw:
                raw[case, k, first, second] = compare(regret[case, first][:, k], regret[case, second][:, k])
        adjusted = adjust([raw[key] for key in keys], family)
        found |= dict(zip(keys, with_detectable(adjusted) if family == PRIMARY else adjusted, strict=True))
    if plan.champion == plan.baseline:  # its rows see the same pairs from the other side
        found |= {
            (c, k, b, a): _reversed(pair, regret[c, b][:, k], regret[c, a][:, k])
            for (c, k, a, b), pair in found.items()
            if (c, k, b, a) not in found
        }
    return found


def _reversed(pair: Comparison, first: FloatArray, second: FloatArray) -> Comparison:
    """Return a comparison seen from the other side: the same test in the same family."""
    other = compare(first, second)
    same = {name: getattr(pair, name) for name in ("p", "p_holm", "family_size", "family", "detectable")}
    return replace(other, **same)


def marks_of(plan: Plan, case: Case, k: int, regret: Regret, pairs: Pairs) -> list[tuple[str, float]]:
    """Return the mark of each variant at a checkpoint and its p-value against the best; NaN for the best itself.

    What has runs and none of the best's seeds was not compared: that is unknown, and not different.
    """
    names = [v.name for v in plan.variants]
    columns = [regret[case, name][:, k] for name in names]
    tests = statistics.against_best(columns)
    best = next((name for name, test in zip(names, tests, strict=True) if test.mark == BEST), "")
    marks = []
    for name, column, test in zip(names, columns, tests, strict=True):
        pair = pairs.get((case, k, best, name)) or pairs.get((case, k, name, best))
        if test.mark == BEST:
            marks.append((BEST, test.p_holm))
        elif math.isnan(test.p):
            marks.append((UNKNOWN if np.isfinite(column).any() else "", math.nan))
        elif pair is not None:
            marks.append(({"=": EQUAL, "?": UNKNOWN}.get(pair.verdict, ""), pair.p_holm))
        else:
            marks.append(({"": UNKNOWN, WORSE: ""}.get(test.mark, test.mark), test.p_holm))
    return marks
