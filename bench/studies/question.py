"""The question of a study, and what its seeds can answer: said before the first run.

A difference is measured in standard deviations of the paired differences (paired d), see `bench.metrics.power`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from smemnas.bench.display import counted
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.power import POWER, chance_to_find, fewest_pairs, fewest_to_show, smallest_effect
from smemnas.bench.metrics.statistics import EXACT_UP_TO, SIGNIFICANCE, smallest_p
from smemnas.bench.studies.pairs import BASELINE, CHAMPION, PRIMARY, families
from smemnas.bench.studies.plan import Plan

#: The difference that `--seeds auto` looks for.
EFFECT = 1.0


@dataclass(frozen=True)
class Question:
    """What a plan compares, and what that can show.

    Attributes:
        text: The comparison in words.
        stated: Whether it is the plan's primary one.
        tests: Comparisons of its family.
        pairs: Seeds of each of them, unless a variant runs fewer.
        fewer: Those variants, with their numbers of seeds.
    """

    text: str
    stated: bool
    tests: int
    pairs: int
    fewer: dict[str, int]

    @property
    def smallest_p(self) -> float:
        """The smallest adjusted p-value that these seeds can give."""
        return smallest_p(self.tests, self.pairs)

    @property
    def can_show(self) -> bool:
        """Whether any difference can be significant."""
        return self.smallest_p < SIGNIFICANCE


def question_of(plan: Plan) -> Question | None:
    """Return the question of a checked plan; None where there is nothing to compare.

    Without a primary comparison: the family of the champion, else that of the baseline.
    """
    of = families(plan)
    family = PRIMARY if plan.primary else CHAMPION if plan.champion else BASELINE
    keys = of[family]
    if not keys:
        return None
    rivals = len(plan.variants) - 1
    others = "the other method" if rivals == 1 else f"each of the {rivals} other methods"
    text = f"{plan.champion} against {others}" if plan.champion else f"{others} against {plan.baseline}"
    when = f"after {plan.after(plan.end)}" if plan.primary else f"at {counted(len(plan.at), 'checkpoint')}"
    text += f" {when} on {counted(len(plan.cases), 'problem')}"
    n = len(plan.seeds_of.get(plan.champion or plan.baseline, plan.seeds))
    fewer = {name: len(own) for name, own in plan.seeds_of.items() if len(own) < n}
    return Question(text, bool(plan.primary), len(keys), min(n, EXACT_UP_TO), fewer)


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
    sure = f"in {100 * POWER:.0f} % of studies"
    wanted = f"a difference of {effect:g} sd"
    if q.can_show:
        text = f"the smallest p after Holm is {_short(q.smallest_p)}; a difference of "
        text += f"{smallest_effect(q.pairs, q.tests):.2f} sd of the paired differences is found {sure}, "
        text += f"one of {effect:g} sd in {_percent(chance_to_find(effect, q.pairs, q.tests))}"
    else:
        text = f"no difference can be shown, the smallest p after Holm is {_short(q.smallest_p)}; "
        text += f"{fewest_to_show(q.tests)} seeds can show one at all"
    lines.append(f"{counted(q.pairs, 'seed')}: {text}")
    enough = fewest_pairs(q.tests, effect)
    if enough is None:
        lines.append(f"more than {EXACT_UP_TO} seeds would find {wanted} {sure}")
    elif enough > q.pairs:
        lines.append(f"{enough} seeds find {wanted} of the paired differences {sure}: --seeds auto")
    for name, n in q.fewer.items():
        if smallest_p(q.tests, n) >= SIGNIFICANCE:
            lines.append(f"{name} has {counted(n, 'seed')}: no difference to it can be shown")
        else:
            least = smallest_effect(n, q.tests)
            lines.append(f"{name} has {counted(n, 'seed')}: a difference of {least:.2f} sd to it is found {sure}")
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
