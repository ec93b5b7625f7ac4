"""Which information track each variant of a plan is in, from its method and parameters: old folders have it too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.studies.plan import Plan
from smemnas.methods.start import BY_COST
from smemnas.methods.tracks import TRACKS, track_of

#: What the methods of a track are told, as tables say it.
TOLD = {
    "black-box": "genes and told values only",
    "grey-box": "also the exact free costs of any architecture",
    "expert": "also an encoding made for the space",
}


def tracks_of(plan: Plan, cases: Sequence[Case] | None = None) -> dict[str, str]:
    """Return the track of each variant that is known here; runs of an archive may be of a method that is not.

    A start by a free cost tells every method something of costs: none is in the black-box track then.

    Args:
        plan: Its variants are asked for.
        cases: On which of its problems; None takes all of them. A start of one of them counts.
    """
    by_cost = any(_by_cost(case) for case in (plan.cases if cases is None else cases))
    found = {}
    for variant in plan.variants:
        try:
            track = track_of(variant.method, variant.params)
            found[variant.name] = "grey-box" if by_cost and track == "black-box" else track
        except UserError:
            continue
    return found


def _by_cost(case: Case) -> bool:
    """Whether methods begin with architectures that were chosen by a free cost."""
    return case.start in BY_COST


def _unlike(plan: Plan) -> list[Case]:
    """Return the problems that begin by a free cost, where others of the plan do not."""
    begun = [case for case in plan.cases if _by_cost(case)]
    return begun if len(begun) < len(plan.cases) else []


#: What tables across tracks say.
ACROSS = "A comparison across tracks compares what methods are told, too."
#: How narrow tables name a track, and one that is not known here.
SIGNS = {"black-box": "B", "grey-box": "G", "expert": "E"}
UNKNOWN = "?"


def signs_of(plan: Plan) -> dict[str, str]:
    """Return the sign of each variant's track, "B/G" for one that changes with the problem.

    Returns:
        Nothing where all are in one track and a column would say nothing.
    """
    alone = [tracks_of(plan, [case]) for case in plan.cases]
    signs = {}
    for variant in plan.variants:
        its = {found[variant.name] for found in alone if variant.name in found}
        signs[variant.name] = "/".join(sign for track, sign in SIGNS.items() if track in its) or UNKNOWN
    return signs if len(set(signs.values())) > 1 else {}


def on_signs(signs: Iterable[str]) -> str:
    """Return what signs of tracks mean, and what a comparison across tracks is, in one sentence."""
    shown = {part for sign in signs for part in sign.split("/")}
    meant = [f"{sign} {track}" for track, sign in SIGNS.items() if sign in shown]
    return f"Track: {', '.join(meant + [f'{UNKNOWN} not known here'] * (UNKNOWN in shown))}. {ACROSS}"


def on_tracks(plan: Plan) -> list[str]:
    """Return who is told what, and that a comparison across tracks is also one of what was told."""
    unlike = _unlike(plan)
    found = tracks_of(plan, [case for case in plan.cases if case not in unlike])
    groups = {track: [name for name, its in found.items() if its == track] for track in TRACKS}
    told = [f"{track} ({TOLD[track]}): {', '.join(names)}" for track, names in groups.items() if names]
    unknown = [variant.name for variant in plan.variants if variant.name not in found]
    told += [f"not known here: {', '.join(unknown)}"] * bool(unknown)
    across = sum(map(bool, groups.values())) > 1
    end = f" {ACROSS}" if across or (unlike and groups["black-box"]) else ""
    if unlike and groups["black-box"]:
        places = "; ".join(map(str, unlike))
        end = f" The start tells costs, so that the black-box ones are grey-box on {places}.{end}"
    return [f"Information tracks: {'; '.join(told)}.{end}"]
