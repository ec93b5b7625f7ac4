"""Training times of the official files: read where the file has them, and tables without them stay the same tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data import official
from smemnas.bench.data.build import describe
from smemnas.bench.data.recipe import RECIPES, identity_without, open_table
from smemnas.spaces.nb201 import NB201

SPACE = NB201()
SEEDS = ((777, 888), (777, 888, 999))


def state(seeds, epochs, *, times=True):
    """State of one architecture as the official packages keep it."""

    def results(name, seed):
        sets = ("x-valid", "x-test", "ori-test")
        found = {"epochs": epochs, "eval_acc1es": {f"{s}@{epochs - 1}": 50.0 + seed / 1000 for s in sets}}
        spent = {epoch: 0.25 + seed / 1000 + len(name) for epoch in range(epochs)}
        return {**found, "train_times": spent if times else None}

    names = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
    return {
        "arch_str": "made for the test",
        "dataset_seed": {name: list(seeds) for name in names},
        "all_results": {(name, seed): results(name, seed) for name in names for seed in seeds},
    }


def columns(*, times=True, lacking=None):
    names = [SPACE.to_str(x) for x in SPACE.enumerate()]
    kinds = [official.trainings(state(seeds, 12, times=times), "cifar10") for seeds in SEEDS]
    found = [kinds[k % 2] for k in range(len(names))]
    if lacking is not None:
        found[lacking] = (*found[lacking][:2], [math.nan, *found[lacking][2][1:]])
    return official.columns_of(SPACE, names, found, 12, "made up")


def written(folder, made, version):
    recipe = RECIPES["nats-tss-cifar10"]
    return write_table(
        folder,
        {name: column.values for name, column in made.items()},
        describe={name: describe(column) for name, column in made.items()},
        name=recipe.table, space="nb201", dataset="nats-cifar10", index="grid", recipe=recipe.name,
        recipe_version=version, default_objectives=["error", "flops"], aliases={"error": "val_error"},
        space_params={}, source=[], licence="MIT", notes=[],
    )  # fmt: skip


def test_the_time_is_that_of_all_epochs_of_the_training_that_validation_is_read_of():
    _, _, seconds = official.trainings(state((777, 888), 12), "cifar10")
    assert seconds == pytest.approx(
        [12 * (0.25 + seed / 1000 + len("cifar10-valid")) for seed in (777, 888)], rel=1e-12
    )
    assert np.isnan(official.trainings(state((777,), 12, times=False), "cifar10")[2]).all()
    short = state((777,), 12)
    del short["all_results"]["cifar10-valid", 777]["train_times"][11]
    assert np.isnan(official.trainings(short, "cifar10")[2]).all()


def test_one_missing_time_gives_no_column():
    assert set(columns(lacking=7)) == {"val_error", "test_error"}


def test_a_table_with_times_spends_them_and_is_the_table_of_the_version_before(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    made = columns()
    new = written(tmp_path / "tables" / "nb201" / "nats-cifar10", made, 2)
    benchmark = TabularBenchmark(SPACE, new, ("error", "flops"))
    X = SPACE.enumerate()[:2]
    assert benchmark.timed
    for seed in range(6):
        F, seconds, _ = benchmark.evaluate(X, seed)
        trained = np.round(1000 * (50.0 - F[:, 0])).astype(int)  # which training was seen
        assert seconds == pytest.approx(12 * (0.25 + trained / 1000 + len("cifar10-valid")), rel=1e-9)
    del made["train_seconds"]
    old = written(tmp_path / "old", made, 1)
    recipe = RECIPES["nats-tss-cifar10"]
    assert identity_without(new, recipe.added) == old.sha256 != new.sha256
    assert open_table(recipe).identity == old.sha256
    written(tmp_path / "tables" / "nb201" / "nats-cifar10", made, 1)
    opened = open_table(recipe)
    assert (opened.identity, opened.header["recipe_version"]) == (old.sha256, 1)
    assert not TabularBenchmark(SPACE, opened, ("error", "flops")).timed
    assert Table(tmp_path / "old").identity == old.sha256
