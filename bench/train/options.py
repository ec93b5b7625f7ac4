"""How a benchmark that trains is named: ``train+DATA+RECIPE+KEY=VALUE+...`` stands where a data set stands.

The name holds everything that decides a result, so a run folder, a study and a worker process need nothing else:
``train+digits+tiny``, ``train+cifar10+nb201-12+channels=8+cells=1``. What does not decide it (device, number of
networks side by side) is not in it. A path of a folder or tar file of images is written with its slashes quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote, unquote

from smemnas.bench.errors import UserError
from smemnas.bench.train.benchmark import TrainedBenchmark
from smemnas.bench.train.images import absolute, open_images
from smemnas.bench.train.recipes import TrainingRecipe, find_recipe
from smemnas.bench.values import read_pairs

KIND = "train"
DEFAULT_RECIPE = "nb201-12"
DEFAULT_RECIPES = {"digits": "tiny"}
#: Keys beside the fields of a recipe, and what they take.
KEYS: dict[str, Any] = {
    "channels": int,
    "cells": int,
    "width": float,
    "resolutions": tuple,
    "stem": str,
    "choices": str,
    "size": int,
    "valid_share": float,
    "training_seed": int,
    "grouped": int,
}
RECIPE_KEYS = {f.name for f in fields(TrainingRecipe)} - {"name", *KEYS}


@dataclass(frozen=True)
class TrainOptions:
    """What is trained on what and how, checked.

    Attributes:
        data: Data set, or the path of a folder or tar file of images.
        recipe: Recipe with the changes asked for.
        values: Values of `KEYS` that were given.
        name: The name that stands for all of this.
    """

    data: str
    recipe: TrainingRecipe
    values: dict[str, Any]
    name: str

    def open(
        self, space: str, objectives: Sequence[str] = (), *, device: str = "auto", jobs: int = 1
    ) -> TrainedBenchmark:
        """Open the benchmark of a space.

        Raises:
            UserError: The space cannot be trained so, or an objective is unknown.
            DataError: The data is not there.
        """
        from smemnas.bench.train.networks.trainable import SIZED, trainable_space

        split = {"size": self.values.get("size"), "valid_share": self.values.get("valid_share")}
        images = open_images(self.data, "train", **split)
        shape = {
            key: self.values[key]
            for key in ("channels", "cells", "width", "resolutions", "stem", "choices")
            if key in self.values
        }
        brought = {key: getattr(self.recipe, key) for key in ("channels", "cells") if key in SIZED.get(space, ())}
        shape = brought | shape  # a recipe may bring a size where the space has a free one
        return TrainedBenchmark(
            trainable_space(space, images.n_classes, images.size, **shape),
            self.data,
            self.recipe,
            objectives,
            dataset=self.name,
            device=device,
            jobs=jobs,
            training_seed=self.values.get("training_seed"),
            grouped=self.values.get("grouped"),
            **split,
        )


def make_options(data: str, recipe: str = "", items: Sequence[str] = ()) -> TrainOptions:
    """Check what a user asks for.

    Args:
        data: Data set, or the path of a folder or tar file of images.
        recipe: Name of a recipe; "" takes the data set's default.
        items: KEY=VALUE, each a field of the recipe or one of `KEYS`.

    Raises:
        UserError: An unknown recipe or key, or a value that makes no sense.
    """
    base = find_recipe(recipe or DEFAULT_RECIPES.get(data, DEFAULT_RECIPE))
    given = read_pairs("a training", items, KEYS | dict.fromkeys(sorted(RECIPE_KEYS), Any))  # the recipe checks its own
    values = {key: value for key, value in given.items() if key in KEYS}
    changes = {key: value for key, value in given.items() if key not in KEYS}
    data = absolute(data)
    named = [f"{key}={_text(given[key])}" for key in sorted(given)]
    parts = [KIND, quote(data, safe=""), base.name, *named]
    return TrainOptions(data, base.overridden(changes), values, "+".join(parts))


def parse_name(name: str) -> TrainOptions:
    """Read a name back, in full or with the recipe left out.

    Raises:
        UserError: It is no such name.
    """
    kind, *parts = name.split("+")
    if kind != KIND or not parts or not parts[0]:
        raise UserError(f"a training is named {KIND}+DATA+RECIPE+KEY=VALUE..., like {KIND}+digits+tiny, got {name!r}.")
    data, *rest = parts
    recipe = rest.pop(0) if rest and "=" not in rest[0] else ""
    return make_options(unquote(data), recipe, rest)


def reseeded(name: str, seed: int | None) -> str:
    """Return the name with another training seed; None leaves it to the seed of each run.

    Raises:
        UserError: It is no such name.
    """
    kept = [part for part in name.split("+") if not part.startswith("training_seed=")]
    return parse_name("+".join(kept + ([] if seed is None else [f"training_seed={seed}"]))).name


def open_trained(
    space: str, name: str, objectives: Sequence[str] = (), *, device: str = "auto", jobs: int = 1
) -> TrainedBenchmark:
    """Open the benchmark of a space and a name.

    Raises:
        UserError: The name, the space or an objective makes no sense.
        DataError: The data is not there.
    """
    return parse_name(name).open(space, objectives, device=device, jobs=jobs)


def _text(value: Any) -> str:
    """Invert `read_pairs`."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
