"""How a supernet's sub-networks are named as a data set: ``supernet+CHECKPOINT+KEY=VALUE+...``.

Like the names of `bench.train.options`, a name holds everything that decides a result, so a run folder, a study and
a worker process need nothing else: ``supernet+%2Fhome%2Fme%2Fcheckpoint.pt+images=2000``. Slashes are quoted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints
from urllib.parse import quote, unquote

from smemnas.bench.errors import UserError
from smemnas.bench.train.images import absolute
from smemnas.bench.values import fault_of_text, read_pairs, shown

KIND = "supernet"
#: MSuNAS reads networks on 10,000 held-out images of ImageNet, and fine-tunes on CIFAR with these settings.
IMAGES, LR, BATCH = 10_000, 0.01, 96


@dataclass(frozen=True)
class SupernetOptions:
    """Which sub-networks are judged, and how.

    Attributes:
        checkpoint: The supernet's file.
        data: Data set; "" takes the one that the supernet was trained on.
        images: Held-out training images to judge on, at most; without fine-tuning only.
        epochs: Epochs of fine-tuning before a network is judged; 0 judges the inherited weights as they are.
        lr: Learning rate of fine-tuning; it falls to 0 along a cosine.
        batch: Images per step of fine-tuning.
    """

    checkpoint: Path
    data: str = ""
    images: int = IMAGES
    epochs: int = 0
    lr: int | float = LR
    batch: int = BATCH

    def __post_init__(self) -> None:
        for key, least in (("images", 1), ("epochs", 0), ("batch", 2)):
            if type(getattr(self, key)) is not int or getattr(self, key) < least:
                raise UserError(f"{key} is a whole number of at least {least}, got {getattr(self, key)!r}.")
        if not isinstance(self.lr, int | float) or not 0 < self.lr < 1e3:
            raise UserError(f"lr is a positive number, got {self.lr!r}.")
        if self.epochs and self.images != IMAGES:
            raise UserError("images limits the reading of networks that are not fine-tuned: leave it out with epochs.")
        if not self.epochs and (self.lr, self.batch) != (LR, BATCH):
            raise UserError("lr and batch belong to fine-tuning: give epochs too.")

    @property
    def name(self) -> str:
        """The name that stands for all of this."""
        standard = {f.name: f.default for f in fields(self)}
        changed = {k: getattr(self, k) for k in sorted(standard) if k != "checkpoint"}
        parts = [f"{k}={quote(str(v), safe='')}" for k, v in changed.items() if v != standard[k]]
        return "+".join([KIND, quote(str(self.checkpoint), safe=""), *parts])


def make_options(checkpoint: Path, data: str = "", items: Sequence[str] = ()) -> SupernetOptions:
    """Check what a user asks for.

    Args:
        checkpoint: The supernet's file.
        data: Data set; "" takes the one that the supernet was trained on.
        items: KEY=VALUE, each one of images, epochs, lr, batch.

    Raises:
        UserError: An unknown key, or a value that makes no sense.
    """
    kinds = {key: kind for key, kind in get_type_hints(SupernetOptions).items() if key not in ("checkpoint", "data")}
    values = read_pairs("a supernet's evaluation", items, kinds)
    path = Path(os.path.realpath(os.path.expanduser(checkpoint)))
    return SupernetOptions(path, absolute(data) if data else "", **values)


def parse_name(name: str) -> SupernetOptions:
    """Read a name back.

    Raises:
        UserError: It is no such name.
    """
    kind, *parts = name.split("+")
    if kind != KIND or not parts or not parts[0]:
        raise UserError(f"a supernet's data set is named {KIND}+CHECKPOINT+KEY=VALUE..., got {name!r}.")
    items = [unquote(part) for part in parts[1:]]
    for text in (unquote(parts[0]), *items):
        problem = fault_of_text(text)
        if problem:
            raise UserError(f"a part of the data set {shown(name)} {problem}.")
    data = "".join(item.removeprefix("data=") for item in items if item.startswith("data="))
    rest = [item for item in items if not item.startswith("data=")]
    return make_options(Path(unquote(parts[0])), data, rest)
