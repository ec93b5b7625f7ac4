"""The tables of a study: each variant on each case, against the baseline, and the contrasts of a plan.

Runs are paired by seed; a seed counts in a comparison where both sides finished. All rows of the main table
are one Holm family; the contrasts of a plan name theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench import statistics
from bench.plan import Case, Plan, benchmark_of, reference_of
from bench.statistics import Interval, Ratio
from bench.study import DONE, FAILED
from bench.trials import Trial, evaluations_to, reported_floor
from spaces.base import FloatArray


@dataclass(frozen=True)
class Comparison:
    """Two groups of runs compared by their hypervolume regret at one checkpoint.

    Attributes:
        pairs: Seeds that both sides finished.
        difference: Mean paired difference of regret; negative means that the first is better.
        ratio: Ratio of the mean regrets.
        p: Exact Wilcoxon signed-rank, two-sided.
        p_holm: Adjusted within the family; NaN until then.
        family_size: Number of comparisons adjusted together.
        a12: Chance that a run of the first is better than one of the second (Vargha-Delaney).
        wins: Share of seeds in which the first is better, ties one half.
    """

    pairs: int
    difference: Interval
    ratio: Interval
    p: float
    p_holm: float
    family_size: int
    a12: float
    wins: float


@dataclass(frozen=True)
class Row:
    """One variant on one case at one checkpoint.

    Attributes:
        at: Evaluations.
        n: Finished runs.
        failed: Runs that failed.
        regret: Mean hypervolume regret on the searched split.
        regret_sd: Its standard deviation over runs.
        igd_plus: Mean IGD+.
        reported: Mean hypervolume regret on the test split; NaN where there is one split.
        floor: Reported regret of a perfect search.
        against: Comparison with the baseline; None for the baseline itself.
    """

    case: Case
    variant: str
    at: int
    n: int
    failed: int
    regret: Interval
    regret_sd: float
    igd_plus: Interval
    reported: Interval
    floor: float
    against: Comparison | None


@dataclass(frozen=True)
class Arrival:
    """How soon a variant reaches a target on one case.

    Attributes:
        target: Hypervolume regret.
        n: Finished runs.
        reached: Runs that got there within the budget.
        median: Median evaluations; inf where more than half of the runs did not get there.
        ratio: Median evaluations over those of the baseline; None for the baseline itself.
        seconds: Mean wall time of a run.
        method_seconds: Mean wall time in the method.
    """

    case: Case
    variant: str
    target: float
    n: int
    reached: int
    median: float
    ratio: Ratio | None
    seconds: float
    method_seconds: float


@dataclass(frozen=True)
class ContrastRow:
    """A contrast of the plan on one case at one checkpoint."""

    case: Case
    family: str
    name: str
    at: int
    comparison: Comparison


@dataclass(frozen=True)
class Tables:
    """Everything that a study's report shows.

    Attributes:
        evaluations_to_target: For each case and variant, seed to evaluations (inf: not reached).
    """

    plan: Plan
    trials: Sequence[Trial]
    rows: Sequence[Row]
    arrivals: Sequence[Arrival]
    contrasts: Sequence[ContrastRow]
    evaluations_to_target: dict[tuple[Case, str], dict[int, float]]

    def unfinished(self) -> list[Trial]:
        """Return the runs that failed or are missing."""
        return [t for t in self.trials if t.status != DONE]


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
    )


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons of one family with their p-values adjusted (Holm)."""
    adjusted = statistics.holm([c.p for c in comparisons])
    size = int(np.isfinite([c.p for c in comparisons]).sum())
    return [replace(c, p_holm=float(p), family_size=size) for c, p in zip(comparisons, adjusted, strict=True)]


def tabulate(plan: Plan, trials: Sequence[Trial]) -> Tables:
    """Make the tables of a plan from its runs."""
    groups: dict[tuple[Case, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.case, trial.variant), []).append(trial)
    regret = {key: np.array([t.regret for t in group]) for key, group in groups.items()}  # (seeds, checkpoints)
    rows: list[Row] = []
    for case in plan.cases:
        floor = reported_floor(benchmark_of(case), reference_of(case))
        for k, at in enumerate(plan.at):
            for variant in plan.variants:
                group, values = groups[case, variant.name], regret[case, variant.name][:, k]
                against = None
                if variant.name != plan.baseline:
                    against = compare(values, regret[case, plan.baseline][:, k])
                done = [t for t in group if t.status == DONE]
                rows.append(
                    Row(
                        case,
                        variant.name,
                        at,
                        len(done),
                        sum(t.status == FAILED for t in group),
                        statistics.mean_interval(_finite(values)),
                        statistics.standard_deviation(_finite(values)),
                        statistics.mean_interval(_finite(np.array([t.igd_plus[k] for t in done]))),
                        statistics.mean_interval(_finite(np.array([t.reported[k] for t in done]))),
                        floor,
                        against,
                    )
                )
    tested = [i for i, row in enumerate(rows) if row.against is not None]
    for i, comparison in zip(tested, adjust([c for r in rows if (c := r.against) is not None]), strict=True):
        rows[i] = replace(rows[i], against=comparison)
    evaluations: dict[tuple[Case, str], dict[int, float]] = {}
    arrivals = [a for case in plan.cases for a in _arrivals(plan, case, groups, evaluations)]
    return Tables(plan, trials, rows, arrivals, _contrasts(plan, regret), evaluations)


def _finite(x: FloatArray) -> FloatArray:
    return np.asarray(x, dtype=np.float64)[np.isfinite(x)]


def _arrivals(
    plan: Plan,
    case: Case,
    groups: dict[tuple[Case, str], list[Trial]],
    evaluations: dict[tuple[Case, str], dict[int, float]],
) -> list[Arrival]:
    """Return how soon each variant reaches the target of a case; fill in the evaluations of each run."""
    reference = reference_of(case)
    target = plan.target
    if target is None:
        last = _finite(np.array([t.regret[-1] for t in groups[case, plan.baseline]]))
        target = float(np.mean(last)) if len(last) else math.nan
    for variant in plan.variants:
        done = [t for t in groups[case, variant.name] if t.status == DONE]
        if reference is None or math.isnan(target):
            evaluations[case, variant.name] = {}
        else:
            evaluations[case, variant.name] = {t.job.seed: evaluations_to(t.F, reference.front, target) for t in done}
    base = evaluations[case, plan.baseline]
    arrivals = []
    for variant in plan.variants:
        mine = evaluations[case, variant.name]
        done = [t for t in groups[case, variant.name] if t.status == DONE]
        ratio = None
        if variant.name != plan.baseline:
            seeds = [seed for seed in mine if seed in base]
            ratio = statistics.evaluations_ratio(
                np.array([mine[s] for s in seeds]), np.array([base[s] for s in seeds]), plan.budget
            )
        arrivals.append(
            Arrival(
                case,
                variant.name,
                target,
                len(mine),
                int(np.isfinite(list(mine.values())).sum()),
                float(np.median(list(mine.values()))) if mine else math.nan,
                ratio,
                float(np.mean([t.seconds for t in done])) if done else math.nan,
                float(np.mean([t.method_seconds for t in done])) if done else math.nan,
            )
        )
    return arrivals


def _contrasts(plan: Plan, regret: dict[tuple[Case, str], FloatArray]) -> list[ContrastRow]:
    """Return the plan's contrasts, adjusted family by family."""
    rows = []
    for case in plan.cases:
        for contrast in plan.contrasts:
            first, second = (
                np.mean([regret[case, name] for name in names], axis=0) for names in (contrast.first, contrast.second)
            )
            for k, at in enumerate(plan.at):
                rows.append(ContrastRow(case, contrast.family, contrast.name, at, compare(first[:, k], second[:, k])))
    for family in dict.fromkeys(row.family for row in rows):
        members = [i for i, row in enumerate(rows) if row.family == family]
        for i, comparison in zip(members, adjust([rows[i].comparison for i in members]), strict=True):
            rows[i] = replace(rows[i], comparison=comparison)
    return rows
