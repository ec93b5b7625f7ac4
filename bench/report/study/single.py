"""What a reader must know of methods of one objective in tables of several."""

from __future__ import annotations

from smemnas.bench.studies.plan import Plan
from smemnas.methods.base import METHODS

#: Methods of one objective and those that do alike with several.
COUNTERPARTS = {"rea": "mo-rea", "local-search": "mo-local-search and pareto-local-search"}


def single_names(plan: Plan) -> list[str]:
    """Return the variants whose method minimises one objective where the plan has several."""
    if not any(len(case.objectives) > 1 for case in plan.cases):
        return []
    known = [v for v in plan.variants if v.method in METHODS]
    return [v.name for v in known if getattr(METHODS.get(v.method).factory, "single_objective", False)]


def single_text(plan: Plan) -> list[str]:
    """Return one sentence on the methods of one objective, and what stands in their place; nothing without them."""
    names = single_names(plan)
    if not names:
        return []
    bases = {v.method.partition("/")[0] for v in plan.variants if v.name in names}
    others = [f"{name}: {other}" for name, other in COUNTERPARTS.items() if name in bases]
    text = (
        f"{', '.join(names)}: a method of one objective, which minimises the first one that costs an evaluation. It "
        "enters by its evaluated set: the front of everything that it evaluated, like every other method; so its place "
        "says nothing of how it does at its own task, and a lead over it is no lead over a search for several."
    )
    return [text + (f" For several objectives stand {'; '.join(others)}." if others else "")]
