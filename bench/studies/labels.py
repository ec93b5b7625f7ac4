"""Display names: what tables, figures and pages call a variant, whatever its name in plans and options is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.studies.plan import Plan
from smemnas.bench.values import shown

#: A name to what is shown, or texts like "smemnas/best=SMEM-NAS (ours)".
Labels = Mapping[str, str] | Sequence[str]


def read_labels(labels: Labels, names: Iterable[str]) -> dict[str, str]:
    """Return what is shown instead of some names; a name may hold "=" itself.

    Args:
        labels: What a user gave.
        names: All names that there are.

    Raises:
        UserError: A text has another form, a name is unknown, or two variants would be shown alike.
    """
    known = list(names)
    given = labels.items() if isinstance(labels, Mapping) else [_split(text, known) for text in labels]
    found: dict[str, str] = {}
    for name, label in given:
        if name not in known:
            raise UserError(f"--label: {name!r} is not among the methods.{suggest(name, known)}")
        if not label.strip():
            raise UserError(f"--label takes NAME=TEXT with a text to show for {name!r}.")
        found[name] = label.strip()
    seen: dict[str, str] = {}
    for name in known:
        label = found.get(name, name)
        if label in seen and seen[label] != name:
            raise UserError(f"--label: {seen[label]!r} and {name!r} would both be shown as {label!r}.")
        seen[label] = name
    return found


def _split(text: str, known: Sequence[str]) -> tuple[str, str]:
    """Return name and label of "NAME=TEXT".

    Raises:
        UserError: There is no "=".
    """
    for name in sorted(known, key=len, reverse=True):
        if text.startswith(f"{name}="):
            return name, text[len(name) + 1 :]
    name, equals, label = text.partition("=")
    if not equals:
        raise UserError(f"--label takes NAME=TEXT, for example smemnas/best='SMEM-NAS (ours)'; got {shown(text)}.")
    return name.strip(), label


def labelled(plan: Plan, labels: Labels) -> Plan:
    """Return a checked plan whose variants have the names that are shown.

    Raises:
        UserError: As `read_labels`.
    """
    names = read_labels(labels, (v.name for v in plan.variants))

    def show(name: str) -> str:
        return names.get(name, name)

    return replace(
        plan,
        variants=tuple(replace(v, name=show(v.name)) for v in plan.variants),
        baseline=show(plan.baseline),
        champion=show(plan.champion),
        primary=show(plan.primary),
        contrasts=tuple(
            replace(c, first=tuple(map(show, c.first)), second=tuple(map(show, c.second))) for c in plan.contrasts
        ),
        seeds_of={show(name): seeds for name, seeds in plan.seeds_of.items()},
    )
