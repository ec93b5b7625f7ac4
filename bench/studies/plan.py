"""What a study compares: variants of methods, cases to run them on, seeds; and its jobs in a fixed order.

A plan holds names only. `check_plan` fills in defaults and refuses what cannot work before anything runs.
Named plans are in `bench.studies.published`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.benchmarks.catalog import BENCHMARKS, base_of, datasets_of, evaluator_of
from smemnas.bench.benchmarks.constraints import check_bounds
from smemnas.bench.benchmarks.given_reference import canonical
from smemnas.bench.benchmarks.missing import refuse_missing
from smemnas.bench.benchmarks.problems import PROBLEMS, find_problem
from smemnas.bench.benchmarks.time_names import require_times
from smemnas.bench.errors import Unusable, UserError, suggest
from smemnas.bench.registry import Entry, load_plugin
from smemnas.bench.runs.job import Job
from smemnas.bench.schema import PlanEntry
from smemnas.bench.values import duration_text
from smemnas.methods.base import METHODS
from smemnas.methods.start import starting
from smemnas.spaces.base import SPACES
from smemnas.surrogates.base import SURROGATES

#: Where curves are read off unless the plan says otherwise; the budget is always added.
CHECKPOINTS = (50, 100, 200)
#: Evaluations of a run unless the plan says otherwise.
BUDGET = 300
BUILT_IN = ("smemnas.",)


@dataclass(frozen=True)
class Variant:
    """A method with parameters, under the name that tables show."""

    name: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Method and parameters, as its jobs have them (`Job.label`)."""
        return Job(self.method, "", "", (), 1, params=self.params).label


@dataclass(frozen=True)
class Contrast:
    """A comparison of two groups of variants, each averaged within a seed.

    Attributes:
        name: What is compared, as tables show it.
        first: Names of the variants on the one side; a negative difference means that they are better.
        second: Names of those on the other side.
        family: Contrasts of one family are corrected together (Holm).
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    family: str


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        variants: What is compared.
        cases: Where.
        seeds: Runs of each variant on each case.
        budget: Paid evaluations of a run.
        budget_time: Training time of a run in seconds, see `bench.runs.clock`; 0 is no limit. Where there is one,
            results are read off at times: `at` is seconds, and counts what was finished by then.
        baseline: Name of the variant that the others are tested against; "" is the first.
        at: Evaluations, or seconds of training, at which results are read off.
        target: Hypervolume regret of "evaluations to target"; None is the baseline's mean at the budget.
        contrasts: Further comparisons.
        plugins: Plug-in files.
        champion: Name of the variant that is compared with every other one; "" is none.
        seeds_of: Name of a variant to those of the seeds that it runs; all where it is not named.
        full_space: Whether partial tables are searched beyond what they have; None: as each case says (`Case.listed`),
            for a plan that was checked when it was stored. A checked plan says whether any is.
        primary: Name of the variant that the study's primary comparison is about, the champion or else the baseline: it
            and each other variant at the budget on every case, one Holm family. "" states none, as in plans that were
            published without one.
        stored: Names of variants whose runs are taken from archives and never made here: they may need what is absent.
        origin: Name and checksum of the file that it was read from; "" for a plan of another origin.
    """

    variants: tuple[Variant, ...]
    cases: tuple[Case, ...]
    seeds: tuple[int, ...]
    budget: int
    baseline: str = ""
    at: tuple[int, ...] = CHECKPOINTS
    target: float | None = None
    contrasts: tuple[Contrast, ...] = ()
    plugins: tuple[str, ...] = ()
    champion: str = ""
    seeds_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    full_space: bool | None = False
    primary: str = ""
    stored: frozenset[str] = frozenset()
    origin: tuple[str, str] = ("", "")
    budget_time: float = 0.0

    @property
    def end(self) -> int:
        """The last checkpoint: the budget, in seconds where that is training time."""
        return math.ceil(self.budget_time) or self.budget

    @property
    def axis(self) -> str:
        """What `at` counts, in words."""
        return "training time" if self.budget_time else "evaluations"

    @property
    def column(self) -> str:
        """What `at` counts, as the name of a column."""
        return "training_seconds" if self.budget_time else "evaluations"

    def shown(self, at: float) -> str:
        """Return a checkpoint as tables show it: "100", or "2h"."""
        return duration_text(at) if self.budget_time else f"{at:g}"

    def after(self, at: int) -> str:
        """Return a checkpoint in words: "100 evaluations", or "2h of training"."""
        return f"{self.shown(at)} of training" if self.budget_time else f"{at} evaluations"

    def seeds_for(self, variant: Variant) -> tuple[int, ...]:
        """Return the seeds that a variant runs."""
        return self.seeds_of.get(variant.name, self.seeds)

    def job(self, variant: Variant, case: Case, seed: int) -> Job:
        """Return one run. Plug-in files belong to it only where something of it is not built in."""
        own = self.plugins and variant.name not in self.stored and not _is_built_in(variant, case)
        needed = self.plugins if own else ()
        plugins = tuple(load_plugin(plugin) for plugin in needed)
        return Job(
            variant.method,
            case.space,
            case.dataset,
            case.objectives,
            self.budget,
            seed,
            dict(variant.params),
            plugins,
            case.constraints,
            case.listed,
            case.reference,
            self.budget_time,
            case.start,
        )

    def jobs(self, part: int = 1, parts: int = 1) -> Iterator[Job]:
        """Yield the runs, or one of several parts of them, seed by seed: an unfinished study is already paired.

        The seeds of each variant are dealt out in turn, so every part gets its share of the slow ones.
        """
        for c, case in enumerate(self.cases):
            for seed in self.seeds:
                for v, variant in enumerate(self.variants):
                    own = self.seeds_for(variant)
                    first = (c * len(self.variants) + v) * len(own)
                    if seed in own and (first + own.index(seed)) % parts == part - 1:
                        yield self.job(variant, case, seed)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "variants": [{"name": v.name, "method": v.method, "params": dict(v.params)} for v in self.variants],
            "cases": [case.to_dict() for case in self.cases],
            "seeds": list(self.seeds),
            "budget": self.budget,
            **({"budget_time": self.budget_time} if self.budget_time else {}),
            "baseline": self.baseline,
            "at": list(self.at),
            "target": self.target,
            "contrasts": [
                {"name": c.name, "first": list(c.first), "second": list(c.second), "family": c.family}
                for c in self.contrasts
            ],
            **({"champion": self.champion} if self.champion else {}),
            **({"primary": self.primary} if self.primary else {}),
            **({"seeds_of": {name: list(seeds) for name, seeds in self.seeds_of.items()}} if self.seeds_of else {}),
            **({"of": dict(zip(("name", "sha256"), self.origin, strict=True))} if any(self.origin) else {}),
        }


def parts_of_time(seconds: float) -> tuple[int, ...]:
    """Return the checkpoints of a budget of training time where none are named: a quarter of it, and half."""
    return tuple(sorted({max(1, math.ceil(seconds / 4)), max(1, math.ceil(seconds / 2))}))


def plan_from(entry: PlanEntry, file: Path) -> Plan:
    """Invert `Plan.to_dict`; `file` is where the entry was found.

    Raises:
        Unusable: It speaks of variants that it does not have.
    """
    plan = Plan(
        tuple(Variant(v.name, v.method, v.params) for v in entry.variants),
        tuple(
            Case(c.space, c.dataset, c.objectives, c.constraints, c.listed, c.reference, c.start) for c in entry.cases
        ),
        entry.seeds,
        entry.budget,
        entry.baseline,
        entry.at,
        entry.target,
        tuple(Contrast(c.name, c.first, c.second, c.family) for c in entry.contrasts),
        champion=entry.champion,
        seeds_of=entry.seeds_of,
        origin=(entry.of.name, entry.of.sha256) if entry.of else ("", ""),
        primary=entry.primary,
        budget_time=entry.budget_time,
    )
    names = {v.name for v in plan.variants}
    others = {*plan.seeds_of, *(name for c in plan.contrasts for name in (*c.first, *c.second))}
    others |= {plan.baseline, plan.champion, plan.primary} - {""}
    if not others <= names:
        raise Unusable(f"{file} is corrupt (it speaks of {min(others - names)!r}, which is none of its variants)")
    return plan


def _is_built_in(variant: Variant, case: Case) -> bool:
    """Whether method, space, data and every surrogate named in the parameters come with the suite."""
    parts = parts_of(variant.method, variant.params, case.space, case.dataset)
    return all(entry.origin.startswith(BUILT_IN) for _, entry in parts)


def parts_of(method: str, params: Mapping[str, Any], space: str, dataset: str) -> Iterator[tuple[str, Entry[Any]]]:
    """Yield kind and entry of everything registered that a run needs."""
    yield "method", METHODS.get(method)
    yield "space", SPACES.get(space)
    if f"{space}/{base_of(dataset)}" in BENCHMARKS:
        yield "benchmark", BENCHMARKS.get(f"{space}/{base_of(dataset)}")
    for value in params.values():
        if isinstance(value, str) and value in SURROGATES:
            yield "surrogate", SURROGATES.get(value)


def check_plan(plan: Plan) -> Plan:
    """Return the plan with defaults filled in.

    A variant that no case accepts is refused here; one that some cases refuse gets failed runs there.

    Raises:
        UserError: Something is unknown, named twice, or makes no sense.
        DataError: A table is not installed.
    """
    for plugin in plan.plugins:
        load_plugin(plugin)
    baseline = _check_names(plan)
    wanted = [replace(case, listed=_among_listed(plan, case)) for case in plan.cases]
    refuse_missing(wanted)
    cases: list[Case] = []
    whole = False
    for case in wanted:
        benchmark = benchmark_of(case)
        whole |= not case.listed and benchmark_of(replace(case, listed=True)).listed is not None
        check_bounds(benchmark, case.constraints)
        if plan.budget_time:
            require_times(benchmark)
        objectives, limits = tuple(o.name for o in benchmark.objectives), tuple(map(str, benchmark.constraints))
        full = Case(case.space, benchmark.dataset, objectives, limits, benchmark.listed is not None)
        full = replace(full, reference=canonical(case.reference, benchmark), start=case.start)
        starting(benchmark.problem, full.start)  # raises where it makes no sense
        if full.reference:
            known_reference(full)  # raises where nothing lies within it
        if full not in cases:
            cases.append(full)
    plan = replace(
        plan,
        full_space=whole,
        cases=tuple(cases),
        seeds=tuple(dict.fromkeys(plan.seeds)),
        baseline=baseline,
        at=tuple(sorted({n for n in plan.at if n < plan.end} | {plan.end})),
        plugins=tuple(str(Path(p).expanduser().resolve()) for p in plan.plugins),
        seeds_of={name: tuple(dict.fromkeys(seeds)) for name, seeds in plan.seeds_of.items()},
    )
    for variant in plan.variants:
        if variant.name in plan.stored:
            continue
        refusals = [refusal for case in plan.cases if (refusal := _refusal(plan, variant, case)) is not None]
        if len(refusals) == len(plan.cases):
            raise UserError(f"{variant.name}: {refusals[0]}")
    return plan


def _among_listed(plan: Plan, case: Case) -> bool:
    """Whether a case of a plan is searched among the architectures of its table, where that is partial."""
    return case.listed if plan.full_space is None else not plan.full_space


def _check_names(plan: Plan) -> str:
    """Return the baseline's name after a look at what needs no table: budget, names, roles and seeds."""
    if plan.budget < 1:
        raise UserError(f"--budget must be at least 1 evaluation, got {plan.budget}.")
    for kind, items in (("method", plan.variants), ("space", plan.cases), ("seed", plan.seeds)):
        if not items:
            raise UserError(f"a study needs at least one {kind}.")
    names = [v.name for v in plan.variants]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two variants are called {name!r}: give each its own name, --variant NAME=METHOD:...")
    made: dict[str, str] = {}
    for variant in plan.variants:
        if variant.name not in plan.stored:
            METHODS.get(variant.method).resolve(variant.params)
        if variant.label in made:
            raise UserError(f"variants {made[variant.label]!r} and {variant.name!r} are the same: {variant.label}.")
        made[variant.label] = variant.name
    baseline = plan.baseline or names[0]
    for role, name in (("baseline", baseline), ("champion", plan.champion or baseline)):
        if name not in names:
            raise UserError(f"the {role} {name!r} is not among the methods.{suggest(name, names)}")
    if plan.primary not in ("", plan.champion or baseline):
        raise UserError(
            f"the primary comparison is that of the champion, or of the baseline without one: expected "
            f"{plan.champion or baseline!r}, got {plan.primary!r}."
        )
    for name, seeds in plan.seeds_of.items():
        if name not in names:
            raise UserError(f"--method-seeds: {name!r} is not among the methods.{suggest(name, names)}")
        if not seeds or not set(seeds) <= set(plan.seeds):
            raise UserError(f"--method-seeds: the seeds of {name!r} must be among the study's --seeds.")
    return baseline


def _refusal(plan: Plan, variant: Variant, case: Case) -> UserError | None:
    """Return why a method does not take a case, or None; a crash is left to the run, which records it."""
    problem = starting(benchmark_of(case).problem, case.start)
    try:
        METHODS.create(variant.method, problem, budget=plan.budget, seed=plan.seeds[0], params=variant.params)
    except UserError as error:
        return error
    except Exception:
        return None
    return None


def make_cases(spaces: Sequence[str], datasets: Sequence[str], objectives: tuple[str, ...]) -> tuple[Case, ...]:
    """Combine spaces ("nb201" or "nb201/cifar10") with those of the data sets that each of them has.

    A named problem ("in1k-mop8-like") among the spaces is taken as it is.

    Raises:
        UserError: A space is unknown, or a data set belongs to none of the spaces, or a space has none of them.
    """
    cases: list[Case] = []
    used: set[str] = set()
    for item in spaces:
        if base_of(item) in PROBLEMS:
            cases.append(find_problem(item))
            continue
        space, slash, dataset = item.partition("/")
        SPACES.get(space)
        known = datasets_of(space)
        wanted = [dataset] if slash else [d for d in datasets if base_of(d) in known or evaluator_of(d)]
        used.update(wanted)
        if datasets and not wanted:
            raise UserError(
                f"space {space!r} has none of the data sets {', '.join(datasets)}.{suggest(datasets[0], known)}"
            )
        cases += [Case(space, d, objectives) for d in wanted or [""]]
    for dataset in datasets:
        if dataset not in used:
            known = [d for item in spaces if base_of(item) not in PROBLEMS for d in datasets_of(item.partition("/")[0])]
            raise UserError(f"none of the spaces has a data set {dataset!r}.{suggest(dataset, known)}")
    return tuple(cases)
