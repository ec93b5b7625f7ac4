"""Which information track each variant of a plan is in, from its method and parameters: old folders have it too."""

from __future__ import annotations

from smemnas.bench.errors import UserError
from smemnas.bench.studies.plan import Plan
from smemnas.methods.tracks import TRACKS, track_of

#: What the methods of a track are told, as tables say it.
TOLD = {
    "black-box": "genes and told values only",
    "grey-box": "also the exact free costs of any architecture",
    "expert": "also an encoding made for the space",
}


def tracks_of(plan: Plan) -> dict[str, str]:
    """Return the track of each variant that is known here; runs of an archive may be of a method that is not."""
    found = {}
    for variant in plan.variants:
        try:
            found[variant.name] = track_of(variant.method, variant.params)
        except UserError:
            continue
    return found


def on_tracks(plan: Plan) -> list[str]:
    """Return who is told what, and that a comparison across tracks is also one of what was told."""
    found = tracks_of(plan)
    groups = {track: [name for name, its in found.items() if its == track] for track in TRACKS}
    told = [f"{track} ({TOLD[track]}): {', '.join(names)}" for track, names in groups.items() if names]
    unknown = [variant.name for variant in plan.variants if variant.name not in found]
    told += [f"not known here: {', '.join(unknown)}"] * bool(unknown)
    across = sum(map(bool, groups.values())) > 1
    end = " A comparison across tracks compares what methods are told, too." if across else ""
    return [f"Information tracks: {'; '.join(told)}.{end}"]
