"""Named studies. A published plan is never edited: another question is another plan.

A plan is a function without arguments or a file of `plans`, see `bench.studies.plan_file`; `study --plan NAME` runs
it, and options given beside it (seeds, budget, spaces, ...) replace what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.ranges import DEFAULT_RULE
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.studies.plan import Contrast, Plan, Variant
from smemnas.bench.studies.plan_file import ENDING, read_plan

#: Plans as files, each under its own name.
FOLDER = Path(__file__).parent / "plans"

#: Data sets of the package whose architectures are really trained or measured.
IN_THE_BOX = (
    *(("nb201", "cifar10"), ("nb201", "cifar100"), ("macro", "cifar10")),
    *(("nats_sss", "cifar10"), ("mnv3", "ofa")),
)
#: Label of a level to the parameters that make it.
Factor = Mapping[str, Mapping[str, Any]]


def ablation() -> Plan:
    """Return the test of SMEM-NAS's two claims on NAS-Bench-201, everything else equal.

    Surrogate (pairwise, regression on the accuracy, regression on its ranks, random candidates) x inner search
    (MP-MOEA, NSGA-II) x encoding (path, one-hot). The initial sample, the choice of the
    evaluated architectures, populations, generations and tuning are the same throughout.
    """
    factors: dict[str, Factor] = {
        "surrogate": {
            "pairwise": {"surrogate": "kernel_pairwise"},
            "regression": {"surrogate": "kernel_ridge"},
            "rank-regression": {"surrogate": "kernel_ridge_rank"},
            "random": {"surrogate": "random"},
        },
        "inner": {"mp-moea": {"inner": "mp-moea"}, "nsga2": {"inner": "nsga2"}},
        "encoding": {"path": {"encoding": "path"}, "onehot": {"encoding": "onehot"}},
    }
    pairs = [
        ("surrogate", "pairwise", "regression"),
        ("surrogate", "pairwise", "rank-regression"),
        ("surrogate", "pairwise", "random"),
        ("inner", "mp-moea", "nsga2"),
        ("encoding", "path", "onehot"),
    ]
    return Plan(
        variants=factorial("smemnas", factors),
        cases=(Case("nb201", "analog", ("error", "flops")),),
        seeds=tuple(range(31)),
        budget=300,
        baseline="pairwise/mp-moea/path",
        at=(100, 200, 300),
        contrasts=factor_contrasts(factors, pairs),
    )


def five_problems() -> Plan:
    """Return the comparison of all methods on five problems, error and flops; the slow ones run fewer seeds.

    The two tables of NAS-Bench-201 are searched on validation accuracy. Methods of the extra `optuna` take part.
    Besides, SMEM-NAS with another inner search: the test of the second claim.
    """
    names = (
        *("smemnas/best", "smemnas", "smemnas/nsga2-inside", "nsga2", "random", "rea", "local-search", "reinforce"),
        *("moead", "sms-emoa", "msunas", "msunas/adaptive", "bananas", "parego", "optuna-tpe", "optuna-nsga2"),
    )
    problems = (
        *(("nb201", "cifar10"), ("nb201", "cifar100"), ("macro", "cifar10")),
        *(("nats_sss", "cifar10"), ("mnv3", "imagenet")),
    )
    inside = {"MP-MOEA": "smemnas", "NSGA-II": "smemnas/nsga2-inside", "random candidates": "random-inside"}
    return Plan(
        variants=(*(Variant(n, n) for n in names), Variant("random-inside", "smemnas", {"inner": "random"})),
        cases=tuple(Case(space, dataset, ("error", "flops")) for space, dataset in problems),
        seeds=tuple(range(31)),
        budget=340,
        baseline="nsga2",
        at=(50, 100, 200, 340),
        contrasts=tuple(
            Contrast(f"MP-MOEA - {other}", (inside["MP-MOEA"],), (inside[other],), "inner search")
            for other in ("NSGA-II", "random candidates")
        ),
        champion="smemnas/best",
        seeds_of={"msunas/adaptive": tuple(range(11))},
    )


def noise_check() -> Plan:
    """Return the check of what noise changes: observed and true regret at three deviations on two problems.

    +0 is the control: nothing is added, so nb201 has no noise and macro that of its own trainings (.21 points); .25 is
    about what trainings to the end differ by, 1 what short ones do (docs/noise.md).
    """
    methods = ("random", "nsga2", "sms-emoa", "parego", "smemnas", "smemnas/best")
    places = [(space, f"cifar10+noise={sd}") for space in ("nb201", "macro") for sd in ("0", "0.25", "1")]
    return Plan(
        variants=tuple(Variant(name, name) for name in methods),
        cases=tuple(Case(space, dataset, ("error", "flops")) for space, dataset in places),
        seeds=tuple(range(11)),
        budget=100,
        baseline="random",
        at=(50, 100),
        champion="smemnas/best",
        primary="smemnas/best",
    )


def in_the_box() -> Plan:
    """Return the comparison on the five problems of the package, which needs no download, no extra and little time.

    Methods of the core that take some seconds a run, in a budget that a real search has. The range of the error is five
    points from the best, so that no useless network decides.
    """
    names = (
        *("smemnas/best", "smemnas", "parego", "msunas/small", "nsga2", "moead", "mo-rea", "pareto-local-search"),
        "random",
    )
    return Plan(
        variants=tuple(Variant(name, name) for name in names),
        cases=tuple(Case(*place, ("error", "flops"), reference=DEFAULT_RULE) for place in IN_THE_BOX),
        seeds=tuple(range(11)),
        budget=100,
        baseline="nsga2",
        at=(50, 100),
        champion="smemnas/best",
        primary="smemnas/best",
    )


def factorial(method: str, factors: Mapping[str, Factor]) -> tuple[Variant, ...]:
    """Return one variant for each combination of levels, named by its levels, as in "gp/nsga2"."""
    variants = []
    for levels in product(*(factor.items() for factor in factors.values())):
        params = {key: value for _, part in levels for key, value in part.items()}
        variants.append(Variant("/".join(name for name, _ in levels), method, params))
    return tuple(variants)


def factor_contrasts(factors: Mapping[str, Factor], pairs: Sequence[tuple[str, str, str]]) -> tuple[Contrast, ...]:
    """Return contrasts of two levels of a factor: averaged over the other factors, then in each of their cells.

    Args:
        factors: As for `factorial`.
        pairs: (factor, level, level it is compared to).
    """
    names = list(factors)
    averaged, single = [], []
    for factor, first, second in pairs:
        position = names.index(factor)
        rest = [list(factors[name]) for name in names if name != factor]

        def variant(level: str, others: Sequence[str], position: int = position) -> str:
            return "/".join((*others[:position], level, *others[position:]))

        cells = list(product(*rest))
        averaged.append(
            Contrast(
                f"{first} - {second}",
                tuple(variant(first, cell) for cell in cells),
                tuple(variant(second, cell) for cell in cells),
                "averaged over the other factors",
            )
        )
        single += [
            Contrast(
                f"{first} - {second} ({', '.join(cell)})",
                (variant(first, cell),),
                (variant(second, cell),),
                "within each cell",
            )
            for cell in cells
        ]
    return (*averaged, *single)


PLANS: dict[str, Callable[[], Plan]] = {
    "ablation": ablation,
    "five-problems": five_problems,
    "noise-check": noise_check,
    "in-the-box": in_the_box,
    **{file.stem: partial(read_plan, file) for file in sorted(FOLDER.glob(f"*{ENDING}"))},
}


#: Registered experiments, whose plans of stages `bench.staged` has.
EXPERIMENTS = ("headline", "headline-inside")


def named_plan(name: str) -> Plan:
    """Return a named plan.

    Raises:
        UserError: The name is unknown, or that of a registered experiment.
    """
    if name in EXPERIMENTS:
        raise UserError(f"{name} is a registered experiment, which runs by itself: study --plan {name}.")
    if name not in PLANS:
        raise UserError(f"no plan {name!r}.{suggest(name, (*PLANS, *EXPERIMENTS))}")
    return PLANS[name]()
