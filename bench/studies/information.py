"""Which information track each variant of a plan is in, from its method and parameters: old folders have it too."""

from __future__ import annotations

from collections.abc import Iterable

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


def tracks_of(plan: Plan) -> dict[str, str]:
    """Return the track of each variant that is known here; runs of an archive may be of a method that is not.

    A start by a free cost tells every method something of costs: none is in the black-box track then.
    """
    by_cost = any(case.start in BY_COST for case in plan.cases)
    found = {}
    for variant in plan.variants:
        try:
            track = track_of(variant.method, variant.params)
            found[variant.name] = "grey-box" if by_cost and track == "black-box" else track
        except UserError:
            continue
    return found


#: What tables across tracks say.
ACROSS = "A comparison across tracks compares what methods are told, too."
#: How narrow tables name a track, and one that is not known here.
SIGNS = {"black-box": "B", "grey-box": "G", "expert": "E"}
UNKNOWN = "?"


def signs_of(plan: Plan) -> dict[str, str]:
    """Return the sign of each variant's track; none where all are in one and a column would say nothing."""
    found = tracks_of(plan)
    signs = {v.name: SIGNS[found[v.name]] if v.name in found else UNKNOWN for v in plan.variants}
    return signs if len(set(signs.values())) > 1 else {}


def on_signs(signs: Iterable[str]) -> str:
    """Return what signs of tracks mean, and what a comparison across tracks is, in one sentence."""
    shown = set(signs)
    meant = [f"{sign} {track}" for track, sign in SIGNS.items() if sign in shown]
    return f"Track: {', '.join(meant + [f'{UNKNOWN} not known here'] * (UNKNOWN in shown))}. {ACROSS}"


def on_tracks(plan: Plan) -> list[str]:
    """Return who is told what, and that a comparison across tracks is also one of what was told."""
    found = tracks_of(plan)
    groups = {track: [name for name, its in found.items() if its == track] for track in TRACKS}
    told = [f"{track} ({TOLD[track]}): {', '.join(names)}" for track, names in groups.items() if names]
    unknown = [variant.name for variant in plan.variants if variant.name not in found]
    told += [f"not known here: {', '.join(unknown)}"] * bool(unknown)
    across = sum(map(bool, groups.values())) > 1
    end = f" {ACROSS}" if across else ""
    return [f"Information tracks: {'; '.join(told)}.{end}"]
