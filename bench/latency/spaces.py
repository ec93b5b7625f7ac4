"""Which networks are measured: a space in a size, a supernet's, or those of a table that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smemnas.bench.errors import UserError, choose
from smemnas.bench.train import need_torch
from smemnas.bench.values import read_pairs
from smemnas.spaces.base import SearchSpace
from smemnas.spaces.mnv3 import MNV3

#: What --shape takes.
KEYS: dict[str, Any] = {
    "channels": int,
    "cells": int,
    "width": float,
    "resolutions": tuple,
    "stem": str,
    "size": int,
    "classes": int,
}
#: Classes and side of the images of each space, unless told otherwise.
IMAGES = {"mnv3": (1000, 224), "nb201": (10, 32), "nats_sss": (10, 32), "macro": (10, 32)}


def measured_space(name: str, items: Sequence[str] = (), checkpoint: Path | None = None) -> SearchSpace:
    """Return the space whose networks are measured.

    Args:
        name: mnv3, nb201, nats_sss or macro; "" with a checkpoint.
        items: KEY=VALUE, each of `KEYS`; of the published networks where nothing is said.
        checkpoint: A supernet, whose networks are meant.

    Raises:
        UserError: The space has no networks here, or no such size.
        DataError: The checkpoint cannot be read.
    """
    if checkpoint is not None:
        if items or name not in ("", "mnv3"):
            raise UserError("--checkpoint says which networks are meant: leave --space and --shape out.")
        need_torch()
        from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet
        from smemnas.bench.train.supernet.evaluation import resolutions_of

        supernet, content = load_supernet(checkpoint)
        s = supernet.shape
        if s.choices != "ofa":
            raise UserError(f"latency is measured of the choices 'ofa', and {checkpoint} has {s.choices!r}.")
        sizes = resolutions_of(content)
        return MNV3(s.width, sizes, s.n_classes, stem_stride=s.stem_stride, strides=s.strides)
    from smemnas.bench.train.networks.trainable import trainable_space

    choose("space whose latency is measured", name, IMAGES)
    given = read_pairs("--shape", items, KEYS)
    classes, size = given.pop("classes", IMAGES[name][0]), given.pop("size", IMAGES[name][1])
    if name == "mnv3" and "size=" in "".join(items):
        raise UserError("the sizes of mnv3 are resolutions: --shape resolutions=160-192-224.")
    return trainable_space(name, classes, size, **given)


def space_of_table(shape: Mapping[str, Any]) -> SearchSpace:
    """Return the space that a table was measured on.

    Raises:
        UserError: It is none of this version.
    """
    from smemnas.bench.train.networks.sized import TrainableMacro, TrainableNATSSize
    from smemnas.bench.train.networks.trainable import TrainableNB201

    size = shape["resolutions"][0]
    if shape["name"] == "mnv3":
        strides = {"stem_stride": shape["stem_stride"], "strides": shape["strides"]}
        return MNV3(shape["width"], shape["resolutions"], shape["n_classes"], **strides)
    if shape["name"] == "nb201":
        return TrainableNB201(shape["n_classes"], size, shape["channels"], shape["cells"])
    if shape["name"] == "nats_sss":
        return TrainableNATSSize(shape["n_classes"], size, shape["widths"][0])
    if shape["name"] == "macro":
        return TrainableMacro(shape["n_classes"], size, shape["stem"])
    raise UserError(f"no networks of {shape['name']!r} are measured here.")
