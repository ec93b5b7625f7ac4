"""The tables of a study: each variant on each case, against the baseline, the champion against each, contrasts, ranks.

Runs are paired by seed; a seed counts in a comparison where both sides finished. What is compared and corrected
together: `bench.studies.pairs`; the contrasts of a plan name their families.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import Ratio
from smemnas.bench.studies.curves import curve_of
from smemnas.bench.studies.execution import DONE, FAILED
from smemnas.bench.studies.in_time import step
from smemnas.bench.studies.incumbents import incumbent_rows
from smemnas.bench.studies.judged import cap_rows, points_per_regret, reaches
from smemnas.bench.studies.pairs import Pairs, Regret, adjust, compare, make_pairs, marks_of
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.ranks import problem_ranks, seed_ranks
from smemnas.bench.studies.tables import Arrival, ChampionRow, ContrastRow, Lead, StudyRow, Tables
from smemnas.bench.studies.trials import UNASKED, Trial, evaluations_to, reported_floor, spent
from smemnas.spaces.base import FloatArray

Groups = Mapping[tuple[Case, str], list[Trial]]


def tabulate(plan: Plan, trials: Sequence[Trial]) -> Tables:
    """Make the tables of a plan from its runs."""
    groups: dict[tuple[Case, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.case, trial.variant), []).append(trial)
    regret = {key: np.array([t.regret for t in group]) for key, group in groups.items()}  # (seeds, checkpoints)
    pairs = make_pairs(plan, regret)
    checkpoints = range(len(plan.at))
    rows = [row for case in plan.cases for k in checkpoints for row in _rows(plan, case, k, groups, regret, pairs)]
    evaluations: dict[tuple[Case, str], dict[int, float]] = {}
    arrivals = [a for case in plan.cases for a in _arrivals(plan, case, groups, evaluations)]
    done = {key: _done(group) for key, group in groups.items()}
    references = {trial.case: trial.reference for trial in trials}
    return Tables(
        plan,
        [t for t in trials if t.status != UNASKED],
        rows,
        arrivals,
        _contrasts(plan, regret),
        evaluations,
        _champion(plan, pairs),
        _leads(plan, groups),
        seed_ranks(plan, regret),
        problem_ranks(plan, {(r.case, r.variant, r.at): r.regret.value for r in rows}),
        {key: curve for key, runs in done.items() if (curve := curve_of(plan, runs)) is not None},
        references,
        cap_rows(plan, done, references),
        reaches(plan, done),
        {case: points_per_regret(case, reference) for case, reference in references.items()},
        incumbent_rows(plan, done, references),
    )


def _known(x: FloatArray) -> FloatArray:
    return x[~np.isnan(x)]


def _done(group: Sequence[Trial]) -> list[Trial]:
    return [t for t in group if t.status == DONE]


def _rows(plan: Plan, case: Case, k: int, groups: Groups, regret: Regret, pairs: Pairs) -> list[StudyRow]:
    """Return the rows of a case at the k-th checkpoint."""
    floor = reported_floor(benchmark_of(case), groups[case, plan.baseline][0].reference)
    noisy = benchmark_of(case).noisy
    columns = [regret[case, v.name][:, k] for v in plan.variants]
    rows = []
    for variant, values, (mark, p_best) in zip(plan.variants, columns, marks_of(plan, case, k, regret, pairs)):
        group = groups[case, variant.name]
        done = _done(group)

        def mean(of: Callable[[Trial], FloatArray], done: list[Trial] = done) -> Interval:
            return statistics.mean_interval(_known(np.array([of(t)[k] for t in done])))

        rows.append(
            StudyRow(
                case,
                variant.name,
                plan.at[k],
                len(done),
                sum(t.status == FAILED for t in group),
                mean(lambda t: t.regret),
                statistics.standard_deviation(_known(values)),
                mean(lambda t: t.igd_plus),
                mean(lambda t: t.reported),
                floor,
                None if variant.name == plan.baseline else pairs[case, k, variant.name, plan.baseline],
                mean(lambda t: t.epsilon),
                mean(lambda t: t.best),
                mean(lambda t: t.area),
                mark,
                p_best,
                sum(not spent(plan, len(t.F), t.clock, plan.at[k]) for t in done),
                sum(not np.isfinite(t.F).all(axis=1).any() for t in done),
                mean(lambda t: t.observed) if noisy else None,
                mean(lambda t: t.regret - t.observed) if noisy else None,
            )
        )
    return rows


def _arrivals(
    plan: Plan, case: Case, groups: Groups, evaluations: dict[tuple[Case, str], dict[int, float]]
) -> list[Arrival]:
    """Return how soon each variant reaches the target of a case; fill in the evaluations of each run."""
    target = _target(plan, groups[case, plan.baseline])
    for variant in plan.variants:
        evaluations[case, variant.name] = _evaluations(plan, groups[case, variant.name], target)
    base = evaluations[case, plan.baseline]
    arrivals = []
    for variant in plan.variants:
        mine = evaluations[case, variant.name]
        done = _done(groups[case, variant.name])
        arrivals.append(
            Arrival(
                case,
                variant.name,
                target,
                len(mine),
                int(np.isfinite(list(mine.values())).sum()),
                float(np.median(list(mine.values()))) if mine else math.nan,
                None if variant.name == plan.baseline else _ratio(plan, mine, base),
                float(np.median([t.seconds for t in done])) if done else math.nan,
                float(np.median([t.method_seconds for t in done])) if done else math.nan,
            )
        )
    return arrivals


def _target(plan: Plan, group: Sequence[Trial]) -> float:
    """Return the plan's target, or the mean regret of some runs at the budget; NaN where there is none."""
    last = _known(np.array([t.regret[-1] for t in group]))
    if plan.target is not None:
        return plan.target
    return float(np.mean(last)) if len(last) else math.nan


def _evaluations(plan: Plan, group: Sequence[Trial], target: float) -> dict[int, float]:
    """Return how many evaluations each finished run took to the target, by seed; nothing without a target."""
    measured = [t for t in _done(group) if not np.isnan(t.regret).any()]
    if math.isnan(target):
        return {}
    return {t.job.seed: evaluations_to(t.curve, target) * step(plan) for t in measured}


def _ratio(plan: Plan, mine: Mapping[int, float], other: Mapping[int, float]) -> Ratio:
    seeds = [seed for seed in mine if seed in other]
    return statistics.evaluations_ratio(
        np.array([mine[s] for s in seeds]), np.array([other[s] for s in seeds]), plan.end
    )


def _contrasts(plan: Plan, regret: Regret) -> list[ContrastRow]:
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
        for i, comparison in zip(
            members, adjust([rows[i].comparison for i in members], f"contrasts, {family}"), strict=True
        ):
            rows[i] = replace(rows[i], comparison=comparison)
    return rows


def _rivals(plan: Plan) -> list[str]:
    return [v.name for v in plan.variants if v.name != plan.champion] if plan.champion else []


def _champion(plan: Plan, pairs: Pairs) -> list[ChampionRow]:
    """Return the champion against each other variant everywhere."""
    return [
        ChampionRow(case, rival, at, pairs[case, k, plan.champion, rival])
        for case in plan.cases
        for k, at in enumerate(plan.at)
        for rival in _rivals(plan)
    ]


def _leads(plan: Plan, groups: Groups) -> list[Lead]:
    """Return how soon the champion has what each other variant has at the budget."""
    leads = []
    for case in plan.cases:
        for rival in _rivals(plan):
            target = _target(plan, groups[case, rival])
            mine, other = (_evaluations(plan, groups[case, name], target) for name in (plan.champion, rival))
            paired = np.array([mine[seed] for seed in mine if seed in other])
            median = float(np.median(paired)) if len(paired) else math.nan
            reached = int(np.isfinite(paired).sum())
            leads.append(Lead(case, rival, target, len(paired), reached, median, _ratio(plan, mine, other)))
    return leads
