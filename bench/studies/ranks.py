"""Ranks of the methods of a study: within a problem over its seeds, and across problems over their means.

Seeds of different problems are never pooled: they are no blocks of one experiment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.studies.plan import Plan
from smemnas.spaces.base import FloatArray


@dataclass(frozen=True)
class SeedRanks:
    """The methods of one problem at one checkpoint, ranked within each seed by hypervolume regret.

    Attributes:
        at: Evaluations.
        methods: Those with at least half as many finished runs as the one with most, in the order of the plan.
        left_out: The others; they would leave few seeds to compare the rest on.
        seeds: The blocks of the test: seeds that all of `methods` finished.
        mean_ranks: Of `methods` ``(k,)``; 1 is best.
        statistic: Friedman's chi-square, corrected for ties; NaN with less than three methods or two seeds.
        p: Of the test that all methods are alike.
        critical_difference: Mean ranks that differ by less are not significantly different (Nemenyi).
    """

    case: Case
    at: int
    methods: tuple[str, ...]
    left_out: tuple[str, ...]
    seeds: tuple[int, ...]
    mean_ranks: FloatArray
    statistic: float
    p: float
    critical_difference: float

    @property
    def cliques(self) -> list[tuple[int, int]]:
        """Groups that do not differ, as first and last place in the order of rank: all if the test finds nothing."""
        if self.p >= SIGNIFICANCE or not self.seeds:
            return [(0, len(self.methods) - 1)]
        return statistics.cliques(self.mean_ranks, self.critical_difference)


def seed_ranks(plan: Plan, regret: Mapping[tuple[Case, str], FloatArray]) -> list[SeedRanks]:
    """Rank the methods of each problem at each checkpoint.

    Args:
        plan: Its cases, variants, seeds and checkpoints.
        regret: Hypervolume regret of each case and variant ``(seeds, checkpoints)``, NaN where a run is not finished.
    """
    found = []
    for case in plan.cases:
        done = {v.name: np.isfinite(regret[case, v.name]).all(axis=1) for v in plan.variants}
        most = max(seeds.sum() for seeds in done.values())
        methods = tuple(name for name, seeds in done.items() if seeds.any() and 2 * seeds.sum() >= most)
        if len(methods) < 2:
            continue
        common = np.logical_and.reduce([done[name] for name in methods])
        for k, at in enumerate(plan.at):
            values = np.stack([regret[case, name][common, k] for name in methods], axis=1)  # (seeds, methods)
            test = statistics.friedman(values)
            found.append(
                SeedRanks(
                    case,
                    at,
                    methods,
                    tuple(name for name in done if name not in methods),
                    tuple(seed for seed, kept in zip(plan.seeds, common, strict=True) if kept),
                    test.mean_ranks,
                    test.statistic,
                    test.p,
                    statistics.critical_difference(*reversed(values.shape)),
                )
            )
    return found


@dataclass(frozen=True)
class ProblemRanks:
    """A variant's ranks by mean hypervolume regret on all problems of a study, at one checkpoint.

    Attributes:
        at: Evaluations.
        ranks: On each case of the plan, among the methods with a finished run there; NaN without one.
        mean: Over the problems where it has one.
        problems: Their number.
        of: Number of problems where any method has one.
    """

    variant: str
    at: int
    ranks: tuple[float, ...]
    mean: float
    problems: int
    of: int


def problem_ranks(plan: Plan, means: Mapping[tuple[Case, str, int], float]) -> list[ProblemRanks]:
    """Rank the variants on each problem by their mean regret; nothing for a single problem.

    Args:
        plan: Its cases, variants and checkpoints.
        means: Mean regret of each case, variant and checkpoint; NaN without a finished run.
    """
    found = []
    for at in plan.at if len(plan.cases) > 1 else ():
        columns = [statistics.ranked(np.array([means[c, v.name, at] for v in plan.variants])) for c in plan.cases]
        table = np.stack(columns, axis=1)  # (variants, cases)
        of = int(np.isfinite(table).any(axis=0).sum())
        for variant, ranks in zip(plan.variants, table, strict=True):
            known = ranks[np.isfinite(ranks)]
            mean = float(known.mean()) if len(known) else math.nan
            found.append(ProblemRanks(variant.name, at, tuple(ranks.tolist()), mean, len(known), of))
    return found
