"""Networks of other spaces than mnv3 in a final training: their names, their sizes, and how they are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smemnas.bench.train.networks.trainable import trainable_space
from smemnas.bench.values import read_pairs, whole
from smemnas.spaces.base import SPACES

if TYPE_CHECKING:
    from torch import nn

MNV3 = "mnv3"
#: What can be chosen of the size of such a network.
SIZES = ("channels", "cells")
#: Any size of images that all of them take: a name does not depend on it.
SIDE, CLASSES = 32, 10


def space_of(arch: str) -> tuple[str, str]:
    """Return the space of ``SPACE:NAME``, and the name in it; mnv3 where none is said."""
    space, colon, name = arch.partition(":")
    return (space, name) if colon and space in SPACES else (MNV3, arch)


def in_space(space: str, name: str) -> str:
    """Return how a network of a space is named here."""
    return name if space == MNV3 else f"{space}:{name}"


def read_sizes(items: Sequence[str]) -> dict[str, int]:
    """Read KEY=VALUE items.

    Raises:
        UserError: One has another form, or is no size.
    """
    found = read_pairs("--shape", items, dict.fromkeys(SIZES, int))
    return {key: whole(f"--shape {key}", value, 1) for key, value in found.items()}


def checked_name(space: str, name: str, sizes: Mapping[str, int]) -> str:
    """Return ``SPACE:NAME`` of a network as its space writes it.

    Raises:
        UserError: The space has no such network or size, or its networks cannot be built.
    """
    found = trainable_space(space, CLASSES, SIDE, **_given(sizes))
    return in_space(space, found.to_str(found.normalise(found.from_str(name)[None])[0]))


def space_definition(arch: str, sizes: Mapping[str, int], n_classes: int, side: int) -> dict[str, Any]:
    """Return what such a network is built from, as JSON values; `build_network` takes it."""
    space, name = space_of(arch)
    return {"space": space, "name": name, "sizes": dict(sizes), "num_classes": n_classes, "side": side}


def build_network(definition: Mapping[str, Any]) -> nn.Module:
    """Return the network of a `space_definition` with random weights from torch's global generator.

    Raises:
        UserError: The space has no such network, or takes no images of that side.
    """
    n_classes = definition["num_classes"]
    space = trainable_space(definition["space"], n_classes, definition["side"], **_given(definition["sizes"]))
    return space.build(space.from_str(definition["name"]), n_classes)


def _given(sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return sizes as `trainable_space` takes them."""
    return {key: sizes[key] for key in SIZES if key in sizes}
