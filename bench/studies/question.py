"""The question of a study, and what its seeds can answer: said before the first run.

A difference is measured in standard deviations of the paired differences (paired d), see `bench.metrics.power`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.display import counted
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.power import POWER, chance_to_find, fewest_pairs, fewest_to_show, smallest_effect
from smemnas.bench.metrics.statistics import EXACT_UP_TO, SIGNIFICANCE, smallest_p
from smemnas.bench.studies.pairs import BASELINE, CHAMPION, PRIMARY, families
from smemnas.bench.studies.plan import Plan, Variant

#: The difference that `--seeds auto` looks for.
EFFECT = 1.0


#: Label of a variant, case and seed of a run.
Place = tuple[str, Case, int]


class Rival(NamedTuple):
    """A variant that has few pairs.

    Attributes:
        name: Of the variant.
        pairs: How many it has.
        seeds: Seeds that it runs.
        problems: On how many problems it has so few; 0 is on all.
    """

    name: str
    pairs: int
    seeds: int
    problems: int

    @property
    def text(self) -> str:
        """What it has, in words."""
        what = counted(self.pairs, "seed" if self.pairs == self.seeds else "pair") if self.pairs else "no pairs"
        where = f" on {counted(self.problems, 'problem')}" if self.problems else ""
        return f"{self.name} has {what}{where}"


@dataclass(frozen=True)
class Question:
    """What a plan compares, and what that can show.

    Attributes:
        text: The comparison in words.
        stated: Whether it is the plan's primary one.
        tests: Comparisons of its family, those without a pair left out unless none has any.
        pairs: Most pairs that one of them has.
        seeds: Seeds of what all others are compared with: as many pairs as there could be.
        fewer: Variants with fewer pairs, or with fewer seeds of their own than that.
    """

    text: str
    stated: bool
    tests: int
    pairs: int
    seeds: int
    fewer: tuple[Rival, ...]

    @property
    def smallest_p(self) -> float:
        """The smallest adjusted p-value that these pairs can give."""
        return smallest_p(self.tests, self.pairs)

    @property
    def can_show(self) -> bool:
        """Whether any difference can be significant."""
        return self.smallest_p < SIGNIFICANCE


def question_of(plan: Plan, absent: Collection[Place] = frozenset()) -> Question | None:
    """Return the question of a checked plan; None where there is nothing to compare.

    Without a primary comparison: the family of the champion, else that of the baseline.

    Args:
        plan: What is compared.
        absent: Runs that there will not be: what archives lack of variants that are never run here.
    """
    of = families(plan)
    family = PRIMARY if plan.primary else CHAMPION if plan.champion else BASELINE
    keys = of[family]
    if not keys:
        return None
    count = len(plan.variants) - 1
    others = "the other method" if count == 1 else f"each of the {count} other methods"
    text = f"{plan.champion} against {others}" if plan.champion else f"{others} against {plan.baseline}"
    when = f"after {plan.after(plan.end)}" if plan.primary else f"at {counted(len(plan.at), 'checkpoint')}"
    text += f" {when} on {counted(len(plan.cases), 'problem')}"
    one = plan.champion or plan.baseline
    there = {(v.name, case): _there(plan, v, case, absent) for v in plan.variants for case in plan.cases}
    pairs = {(name, case): len(seeds & there[one, case]) for (name, case), seeds in there.items()}
    seeds = len(plan.seeds_of.get(one, plan.seeds))
    most = max(pairs[name, case] for name, case in pairs if name != one)
    fewer = [
        Rival(v.name, n, len(plan.seeds_for(v)), times if times < len(plan.cases) else 0)
        for v in plan.variants
        if v.name != one
        for n, times in sorted(Counter(pairs[v.name, case] for case in plan.cases).items())
        if n < most or n == len(plan.seeds_for(v)) < seeds
    ]
    compared = [pairs[first if second == one else second, case] for case, _, first, second in keys]
    tests = sum(n > 0 for n in compared) or len(keys)
    return Question(text, bool(plan.primary), tests, min(most, EXACT_UP_TO), min(seeds, EXACT_UP_TO), tuple(fewer))


def _there(plan: Plan, variant: Variant, case: Case, absent: Collection[Place]) -> set[int]:
    """Return the seeds of which a variant has a run on a case, or will have one."""
    label = variant.label if absent else ""
    return {seed for seed in plan.seeds_for(variant) if (label, case, seed) not in absent}


def most_pairs(plan: Plan) -> int:
    """Return how many seeds any two variants of a plan have in common, the most that two of them have."""
    seeds = [{*plan.seeds_for(v)} for v in plan.variants]
    return max((len(one & other) for one, other in combinations(seeds, 2)), default=0)


def said(question: Question, effect: float = EFFECT) -> list[str]:
    """Return what is said of a question before the first run, one line each.

    Args:
        question: Of a checked plan.
        effect: The difference that the seeds should find.
    """
    q = question
    number = f"{counted(q.tests, 'comparison')}, one Holm family"
    if q.stated:
        lines = [f"primary comparison: {q.text} ({number}); everything else is secondary"]
    else:
        lines = [f"no primary comparison is stated, --champion states one; tested: {q.text} ({number})"]
    if not q.pairs:
        return [*lines, "no pairs: no difference can be shown"]
    sure = f"in {100 * POWER:.0f} % of studies"
    wanted = f"a difference of {effect:g} sd"
    unit, auto = ("seed", ": --seeds auto") if q.pairs == q.seeds else ("pair", "")
    if q.can_show:
        text = f"the smallest p after Holm is {_short(q.smallest_p)}; a difference of "
        text += f"{smallest_effect(q.pairs, q.tests):.2f} sd of the paired differences is found {sure}, "
        text += f"one of {effect:g} sd in {_percent(chance_to_find(effect, q.pairs, q.tests))}"
    else:
        text = f"no difference can be shown, the smallest p after Holm is {_short(q.smallest_p)}; "
        text += f"{fewest_to_show(q.tests)} {unit}s can show one at all"
    lines.append(f"{counted(q.pairs, unit)}: {text}")
    enough = fewest_pairs(q.tests, effect)
    if enough is None:
        lines.append(f"more than {EXACT_UP_TO} {unit}s would find {wanted} {sure}")
    elif enough > q.pairs:
        lines.append(f"{enough} {unit}s find {wanted} of the paired differences {sure}{auto}")
    for rival in q.fewer:
        n = min(rival.pairs, EXACT_UP_TO)
        if smallest_p(q.tests, n) >= SIGNIFICANCE:
            lines.append(f"{rival.text}: no difference to it can be shown")
        else:
            lines.append(f"{rival.text}: a difference of {smallest_effect(n, q.tests):.2f} sd to it is found {sure}")
    return lines


def _short(p: float) -> str:
    return f"{p:.2g}"


def _percent(chance: float) -> str:
    return "over 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"


def with_enough_seeds(plan: Plan, effect: float = EFFECT) -> Plan:
    """Return a checked plan with as many seeds, from 0 on, as find a difference in `POWER` of all studies.

    Raises:
        UserError: There is nothing to compare, no such number, or a variant has seeds of its own beyond them.
    """
    question = question_of(plan)
    if question is None:
        raise UserError("--seeds auto needs two methods to compare: name the seeds, for example --seeds 0-10.")
    if not math.isfinite(effect) or effect <= 0:
        raise UserError(f"--effect takes a number above 0, the difference to find in sd, got {effect!r}.")
    enough = fewest_pairs(question.tests, effect)
    if enough is None:
        raise UserError(
            f"--seeds auto: more than {EXACT_UP_TO} seeds would be needed to find a difference of {effect:g} sd in "
            f"{counted(question.tests, 'comparison')}: give a larger --effect, or name the seeds."
        )
    seeds = tuple(range(enough))
    for name, own in plan.seeds_of.items():
        if not set(own) <= set(seeds):
            raise UserError(f"--seeds auto takes {enough} seeds from 0 on; those of {name!r} must be among them.")
    return replace(plan, seeds=seeds)
