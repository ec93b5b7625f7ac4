"""What a benchmark minimises, chosen by name: the one place where objectives are looked up and refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import Objective

#: Columns of a run's front.csv beside what was measured, and what the name of an objective's true value begins with.
FRONT_COLUMNS = ("arch", "remark", "x")
TRUE = "true_"


def refuse_repeated(names: Sequence[str]) -> None:
    """Refuse an objective that is named more than once.

    Raises:
        UserError: One is.
    """
    if len(set(names)) != len(names):
        raise UserError(f"every objective can be named once, got {','.join(names)}.")


def choose_objectives(
    place: str,
    wanted: Sequence[str],
    known: Mapping[str, Objective],
    *,
    default: Sequence[str],
    aliases: Mapping[str, str] | None = None,
    tested: Collection[str] = (),
) -> tuple[Objective, ...]:
    """Return the objectives of some names, in their order.

    Args:
        place: Whose objectives they are, "space/dataset", as messages show it.
        wanted: Names, or aliases of them; empty takes the default.
        known: What can be searched, by name.
        default: Names of the objectives where none is wanted.
        aliases: Other names, such as "error" for "val_error".
        tested: Names of what belongs to the test split.

    Raises:
        UserError: One is unknown, named twice, or belongs to the test split.
    """
    others = aliases or {}
    names = [others.get(name, name) for name in wanted or default]
    for name in names:
        if name not in known and name in tested:
            raise UserError(
                f"{name!r} is the test split, which is reported and never searched. "
                f"Search on one of: {', '.join(sorted(known))}."
            )
        if name not in known:
            raise UserError(f"{place} has no objective {name!r}.{suggest(name, [*known, *others])}")
    refuse_repeated(names)
    return tuple(known[name] for name in names)
