"""What a method is told beyond genes and values: its information track.

* *black-box*: genes and the values it is told, nothing else;
* *grey-box*: also the exact free costs of any architecture, evaluated or not;
* *expert*: also an encoding that was made for the space, or what else is known of it.

Tables of methods are fair within a track. A method declares `Method.uses_free_costs`; whether its encoding is one of
the neutral ones follows from its parameters, so that presets and a user's own settings are placed as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smemnas.methods.base import METHODS
from smemnas.methods.encodings import is_neutral

TRACKS = ("black-box", "grey-box", "expert")


def track_of(name: str, params: Mapping[str, Any] | None = None) -> str:
    """Return the track of a method under parameters of its own, one of `TRACKS`.

    An encoding left to the space (None) or chosen for it ("recommended", "path", "graph", ...) is an expert's, and so
    are zero-cost proxies beside it, and merging architectures that build one network. A parameter `free_costs` that is
    off makes a method one that reads none.

    Raises:
        UserError: The method or a parameter is unknown.
    """
    entry = METHODS.get(name)
    known = entry.parameters()
    settings = {key: parameter.default for key, parameter in known.items()} | entry.resolve(params or {})
    if "encoding" in known and not is_neutral(settings["encoding"]):
        return "expert"
    if settings.get("proxies") or settings.get("merge_isomorphic"):
        return "expert"
    reads = getattr(entry.factory, "uses_free_costs", False) and settings.get("free_costs", True)
    return "grey-box" if reads else "black-box"
