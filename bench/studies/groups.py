"""Runs from anywhere, put together so that they can be compared: one group per budget.

A method may plan with its budget, so only runs of one budget are compared. Within a group a method with its
parameters is one variant whatever folder its runs come from, under the name that a study's plan gives it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.registry import Plugin
from smemnas.bench.runs.folder import read_status
from smemnas.bench.runs.guard import fault
from smemnas.bench.runs.job import Job
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import Found, Run
from smemnas.bench.studies.execution import DONE, FAILED, MISSING
from smemnas.bench.studies.labels import Labels, read_labels
from smemnas.bench.studies.plan import CHECKPOINTS, Contrast, Plan, Variant, parts_of_time
from smemnas.bench.studies.references import reference_for
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.training_clock import training_clock
from smemnas.bench.studies.trials import UNASKED, Trial, ended_early, measure_by, unfinished
from smemnas.bench.values import duration_text, seed_text
from smemnas.spaces.base import FloatArray

Key = tuple[Case, str, int]
#: Training time and number of evaluations of a run.
Budgets = tuple[float, int]
NOT_MADE = "not made yet"


class _Unmeasured(Exception):
    """A run that cannot be measured, by its key, and why."""

    def __init__(self, key: Key, reason: str) -> None:
        super().__init__(reason)
        self.key, self.reason = key, reason


class Unfinished(NamedTuple):
    """Runs that are not part of the comparison, with the same reason."""

    method: str
    case: str
    seeds: str
    reason: str


@dataclass(frozen=True)
class Group:
    """All finished runs of one budget.

    Attributes:
        tables: Their comparison.
        runs: Case, variant and seed to the run.
    """

    tables: Tables
    runs: dict[Key, Run]

    @property
    def end(self) -> int:
        """The last checkpoint: paid evaluations of a run, or its seconds of training."""
        return self.tables.plan.end

    @property
    def bound(self) -> str:
        """The budget of a run in words."""
        return self.tables.plan.after(self.end)

    @property
    def folder(self) -> str:
        """Name of the folder of its tables, where there are several groups."""
        plan = self.tables.plan
        return f"time-{duration_text(plan.budget_time)}" if plan.budget_time else f"budget-{plan.budget}"

    def of(self, case: Case, variant: str) -> list[Run]:
        """Return the finished runs of a variant on a case, by seed."""
        return [
            run for key, run in sorted(self.runs.items(), key=lambda item: item[0][2]) if key[:2] == (case, variant)
        ]


def make_groups(
    found: Found, baseline: str = "", champion: str = "", labels: Labels = ()
) -> tuple[list[Group], list[Unfinished]]:
    """Return the groups, smallest budget first, and what is left out with its reason.

    Args:
        found: Runs and plans.
        baseline: What the others are tested against; "" takes that of the first plan, else the first method found.
        champion: What is compared with every other one; "" takes that of the first plan that has one, if any.
        labels: What is shown instead of names.

    Raises:
        UserError: No method found has the name of the baseline or the champion, or `labels` make no sense.
    """
    found = _measured_alike(found)
    names = _names(found)
    for role, name in (("baseline", baseline), ("champion", champion)):
        if name and name not in names.values():
            raise UserError(f"--{role} takes one of the methods found, got {name!r}.{suggest(name, names.values())}")
    said = read_labels(labels, dict.fromkeys(names.values()))
    names = {label: said.get(name, name) for label, name in names.items()}
    baseline, champion = said.get(baseline, baseline), said.get(champion, champion)
    left: dict[tuple[str, str, str], list[int]] = {}

    def leave_out(job: Job, reason: str) -> None:
        case, budget = str(job.case), job.bound if job.budget_time else job.budget
        left.setdefault((names[job.label], f"{case}, budget {budget}", reason), []).append(job.seed)

    reasons: dict[Case, str] = {}
    versions: dict[tuple[str, str], tuple[Plugin, ...]] = {}
    done: dict[Budgets, dict[tuple[Case, str, int], Run]] = {}
    for run in found.runs:
        reason = run.reason or reasons.setdefault(run.case, _closed(run.case)) or _fault(run)
        reason = reason or _other_version(run, versions)
        others = done.setdefault((run.job.budget_time, run.job.budget), {})
        key = (run.case, names[run.job.label], run.job.seed)
        if not reason and key in others:
            same = np.array_equal(run.F, others[key].F)
            reason = (
                "found twice, counted once" if same else f"found again with other values: {others[key].source} is kept"
            )
        if reason:
            leave_out(run.job, reason)
        else:
            others[key] = run
    groups = []
    for budget in sorted({*done, *map(_budgets, found.plans)}):
        plans = [plan for plan in found.plans if _budgets(plan) == budget]
        missing = _missing(found, plans, names)
        for job in missing:
            leave_out(job, _why_missing(found.studies, job))
        while done.get(budget):
            try:
                groups.append(_group(budget, done[budget], plans, names, (baseline, champion)))
                break
            except _Unmeasured as error:
                leave_out(done[budget].pop(error.key).job, error.reason)
    listed = [Unfinished(m, c, seed_text(sorted(set(seeds))), r) for (m, c, r), seeds in left.items()]
    return groups, listed + [Unfinished("-", folder, "-", reason) for folder, reason in found.broken]


def _measured_alike(found: Found) -> Found:
    """Let the last plan of a case say by what reference all of its runs are measured."""
    last = {replace(case, reference=""): case.reference for plan in found.plans for case in plan.cases}
    plans = [
        replace(p, cases=tuple(dict.fromkeys(replace(c, reference=last[replace(c, reference="")]) for c in p.cases)))
        for p in found.plans
    ]
    runs = [
        replace(r, job=replace(r.job, reference=last.get(replace(r.case, reference=""), r.job.reference)))
        for r in found.runs
    ]
    return replace(found, runs=tuple(runs), plans=tuple(plans))


def _budgets(plan: Plan) -> Budgets:
    return plan.budget_time, plan.budget


def _names(found: Found) -> dict[str, str]:
    """Return the name of each variant by its label; a name that is taken gets the label beside it."""
    names: dict[str, str] = {}
    pairs = [(Job(v.method, "", "", (), 1, params=v.params).label, v.name) for p in found.plans for v in p.variants]
    pairs += [(run.job.label, run.job.label) for run in found.runs]
    for label, name in pairs:
        if label not in names:
            names[label] = f"{name} ({label})" if name in names.values() else name
    return names


def _closed(case: Case) -> str:
    """Return why a case cannot be measured here, or ""."""
    try:
        known_reference(case)
    except (Exception, SystemExit) as error:  # whatever a plug-in's benchmark raises is the reason
        return f"it cannot be measured here: {' '.join(str(error).split()) or type(error).__name__}"
    return ""


def _fault(run: Run) -> str:
    """Return why a finished run cannot be measured by the installed benchmark, or ""."""
    try:
        return fault(benchmark_of(run.case), run.job, run.data, run.X, run.F)
    except (Exception, SystemExit) as error:  # whatever a plug-in's space or benchmark raises is the reason
        return f"it cannot be measured here: {' '.join(str(error).split()) or type(error).__name__}"


def _other_version(run: Run, versions: dict[tuple[str, str], tuple[Plugin, ...]]) -> str:
    """Return why a run may not be compared with those before it: its plug-in was edited between them; or ""."""
    first = versions.setdefault((run.job.label, str(run.case)), run.job.plugins)
    known = {plugin.file: plugin.sha256 for plugin in first if plugin.sha256}
    for plugin in run.job.plugins:
        if plugin.sha256 and known.get(plugin.file, plugin.sha256) != plugin.sha256:
            return f"it was made by another version of the plug-in {plugin.file} than the first run found"
    return ""


def _missing(found: Found, plans: Sequence[Plan], names: dict[str, str]) -> list[Job]:
    """Return the runs that plans ask for and that no folder holds."""
    there = {(run.case, run.job.label, run.job.seed, run.job.budget_time, run.job.budget) for run in found.runs}
    wanted = {}
    for plan in plans:
        for case in plan.cases:
            for variant in plan.variants:
                job = replace(plan.job(variant, case, 0), plugins=())
                for seed in plan.seeds_for(variant):
                    key = (case, job.label, seed, *_budgets(plan))
                    if key not in there:
                        wanted[key] = replace(job, seed=seed)
    return list(wanted.values())


def _why_missing(studies: Sequence[Path], job: Job) -> str:
    """Return the reason that a study noted for a run that ended before it had begun, else that it was not made."""
    noted = [read_status(study / job.folder_in_study) for study in studies]
    return next((status.error for status in noted if status.status == FAILED and status.error), NOT_MADE)


def _group(
    budget: Budgets, runs: dict[Key, Run], plans: Sequence[Plan], names: dict[str, str], roles: tuple[str, str]
) -> Group:
    """Return the comparison of finished runs of one budget."""
    plan = _merged(budget, runs, plans, names, roles)
    references = {case: reference_for(case, partial(_found, case, runs)) for case in plan.cases}
    trials = [
        _trial(plan, case, variant, seed, runs.get((case, variant.name, seed)), references[case])
        for case in plan.cases
        for variant in plan.variants
        for seed in plan.seeds
    ]
    tables = tabulate(plan, trials)
    # What was never asked for is no row of a report: the tables need the full grid, their readers do not.
    kept = {(case, name) for case, name, _ in runs}
    tables = replace(
        tables,
        trials=[t for t in tables.trials if t.status == DONE],
        rows=[r for r in tables.rows if (r.case, r.variant) in kept],
        arrivals=[a for a in tables.arrivals if (a.case, a.variant) in kept],
        contrasts=[c for c in tables.contrasts if c.comparison.pairs],
    )
    return Group(tables, runs)


def _found(case: Case, runs: dict[Key, Run]) -> FloatArray:
    """Return what the runs of a case evaluated and what satisfies its constraints ``(n, n_obj)``, as in a study."""
    F = np.vstack([feasible_only(benchmark_of(case), run.X, run.F) for key, run in runs.items() if key[0] == case])
    return np.asarray(F[np.isfinite(F).all(axis=1)])


def _merged(
    budget: Budgets, runs: dict[Key, Run], plans: Sequence[Plan], names: dict[str, str], roles: tuple[str, str]
) -> Plan:
    """Return one plan of everything that was found of a budget, in the order of the plans and then of the runs.

    `roles` are the names of baseline and champion, "" for those of the plans.
    """
    variants: dict[str, Variant] = {}
    cases: dict[Case, None] = {}
    contrasts: dict[Contrast, None] = {}
    baselines, champions = [roles[0]], [roles[1]]
    stated: set[str] = set()
    at: set[int] = set()
    seeds: dict[int, None] = {}
    own: dict[str, set[int]] = {}
    places, there = {case for case, _, _ in runs}, {name for _, name, _ in runs}
    for plan in plans:
        renamed = {v.name: names[Job(v.method, "", "", (), 1, params=v.params).label] for v in plan.variants}
        for variant in plan.variants:
            name = renamed[variant.name]
            if name in there:
                variants.setdefault(name, replace(variant, name=name))
                own.setdefault(name, set()).update(plan.seeds_for(variant))
        cases |= dict.fromkeys(case for case in plan.cases if case in places)
        at.update(plan.at)
        seeds |= dict.fromkeys(plan.seeds)
        baselines.append(renamed.get(plan.baseline, ""))
        champions.append(renamed.get(plan.champion, ""))
        stated.add(renamed.get(plan.primary, ""))
        for contrast in plan.contrasts:
            first, second = (tuple(renamed[name] for name in side) for side in (contrast.first, contrast.second))
            if {*first, *second} <= there:
                contrasts.setdefault(replace(contrast, first=first, second=second))
    for _, name, seed in sorted(runs, key=lambda key: key[2]):
        seeds.setdefault(seed)
        own.setdefault(name, set()).add(seed)
    for (case, name, _), run in runs.items():
        cases.setdefault(case)
        variants.setdefault(name, Variant(name, run.job.method, run.job.params))
    targets = {plan.target for plan in plans}
    baseline = next((name for name in baselines if name in variants), next(iter(variants)))
    champion = next((name for name in champions if name in variants), "")
    others = parts_of_time(budget[0]) if budget[0] else CHECKPOINTS
    end = math.ceil(budget[0]) or budget[1]
    return Plan(
        tuple(variants.values()),
        tuple(cases),
        tuple(seeds),
        budget[1],
        baseline,
        tuple(sorted({n for n in at or others if n < end} | {end})),
        targets.pop() if len(targets) == 1 else None,
        tuple(contrasts),
        champion=champion,
        primary=champion or baseline if stated == {champion or baseline} else "",  # one question, and asked before
        seeds_of={n: tuple(s for s in seeds if s in own[n]) for n in variants if len(own[n]) < len(seeds)},
        budget_time=budget[0],
    )


def _trial(plan: Plan, case: Case, variant: Variant, seed: int, run: Run | None, reference: Reference | None) -> Trial:
    """Return one run as the tables take it.

    Raises:
        _Unmeasured: It cannot be measured.
    """
    if run is None:
        asked = seed in plan.seeds_for(variant)
        job = plan.job(variant, case, seed)
        status, reason = (MISSING, NOT_MADE) if asked else (UNASKED, "")
        return unfinished(plan, variant, case, job, status, reason, reference)
    benchmark = benchmark_of(case)
    try:
        recommended = run.source.recommended(len(run.X)) if benchmark.noisy else ()
        clock = run.clock if plan.budget_time else training_clock(benchmark, run.X, run.job.seed)
        measured = measure_by(plan, run.X, run.F, clock, benchmark, reference, recommended)
        F = np.where(np.isfinite(run.F) & np.isinf(feasible_only(benchmark, run.X, run.F)), math.nan, run.F)
    except (Exception, SystemExit) as error:  # one run never stops the report of all others
        reason = f"it cannot be measured here: {' '.join(str(error).split()) or type(error).__name__}"
        raise _Unmeasured((case, variant.name, seed), reason) from error
    reason = ended_early(run.source, len(F), plan, clock)
    times = run.seconds, run.method_seconds
    return Trial(variant.name, case, run.job, DONE, reason, F, *measured, *times, reference, clock)
