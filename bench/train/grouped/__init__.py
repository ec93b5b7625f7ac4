"""Several training seeds of one network trained as one grouped network; importing this package imports no torch."""

from __future__ import annotations

from smemnas.bench.errors import UserError
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.bench.values import whole

#: Trainings that one grouped network may hold.
MOST = 64


def check_grouped(grouped: int, recipe: TrainingRecipe) -> None:
    """Refuse a number that makes no group, and recipes in which members would not learn what they learn alone.

    Raises:
        UserError: It is one of these.
    """
    whole("grouped", grouped, 2, MOST)
    if recipe.precision == "fp16":
        raise UserError("the trainings of a group share one scale of losses in fp16: set precision=bf16 or float32.")
    if recipe.autoaugment:
        raise UserError("autoaugment draws image by image for one training at a time: leave out grouped=...")
