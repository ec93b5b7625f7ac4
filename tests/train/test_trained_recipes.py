"""Recipes: the published numbers, and settings that make no sense."""

import math

import pytest

from smemnas.bench.errors import UserError
from smemnas.bench.train.recipes import RECIPES, TrainingRecipe, find_recipe

PLAIN = TrainingRecipe("plain", epochs=2, batch=30, lr=0.05, weight_decay=1e-3)


def test_recipes_are_the_published_ones():
    long, short, nb101 = (RECIPES[name] for name in ("nb201-200", "nb201-12", "nb101-108"))
    assert {**vars(short), "name": long.name, "epochs": 200} == vars(long)
    assert (short.epochs, long.batch, long.lr, long.momentum, long.weight_decay) == (12, 256, 0.1, 0.9, 5e-4)
    assert (long.optimizer, long.schedule, long.flip, long.crop, long.cutout) == ("sgd", "cosine", True, 4, 0)
    assert (nb101.epochs, nb101.batch, nb101.lr, nb101.weight_decay) == (108, 256, 0.2, 1e-4)
    assert (nb101.optimizer, nb101.epsilon, nb101.bn_momentum) == ("rmsprop_tf", 1.0, pytest.approx(1 - 0.997))
    assert [long.lr_at(e) for e in (0, 100, 200)] == pytest.approx([0.1, 0.05, 0.0])
    warm = long.overridden({"warmup": 4.0})
    assert [warm.lr_at(e) for e in (0, 2, 4, 102, 200)] == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0])
    assert long.overridden({"schedule": "constant"}).lr_at(150) == 0.1
    assert long.fingerprint != short.fingerprint
    assert (
        TrainingRecipe("other", **{k: v for k, v in vars(long).items() if k != "name"}).fingerprint == long.fingerprint
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"epochs": 0}, "at least 1"),
        ({"epochs": 2.5}, "takes a whole number"),
        ({"epochs": True}, "takes a whole number"),
        ({"lr": -1}, "0 or more"),
        ({"lr": math.nan}, "0 or more"),
        ({"optimizer": "sdg"}, "Did you mean 'sgd'"),
        ({"precision": "fp8"}, "bf16"),
        ({"label_smoothing": 1.0}, r"\[0, 1\)"),
        ({"flip": 1}, "takes true or false"),
    ],
)
def test_recipe_settings_that_make_no_sense(changes, words):
    with pytest.raises(UserError, match=words):
        PLAIN.overridden(changes)


def test_unknown_recipe():
    with pytest.raises(UserError, match="Did you mean 'nb201-12'"):
        find_recipe("nb201-1")
