"""Trainings that take no time: an error that follows from widths and seed, written where a training writes it."""

import json

import numpy as np
import pytest


def true_error(x):
    """Return an error that falls with the widths, mostly with the last ones."""
    return 80.0 - 30.0 * np.tanh(np.asarray(x, dtype=float) @ [0.01, 0.02, 0.04, 0.08, 0.16])


@pytest.fixture
def closed(monkeypatch, tmp_path):
    """Replace trainings; return the list of (genotype, seed) of those that were made."""
    from smemnas.bench.library import staged
    from smemnas.bench.train import benchmark
    from smemnas.bench.train.grouped import groups

    monkeypatch.setattr(staged, "foresee", lambda *arguments, **options: ())  # test_power looks at it
    made = []
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SMEMNAS_TRAININGS", raising=False)

    def noise(x, seed, sd):
        return sd * np.random.default_rng([seed, *(int(v) for v in x)]).standard_normal()

    def train(setting, x, seed, place, devices, parent):
        if (place / "result.json").exists():
            return
        place.mkdir(parents=True, exist_ok=True)
        made.append((tuple(int(v) for v in x), seed))
        error = true_error(x) + noise(x, seed, 1.0)
        result = {"arch": setting.space.to_str(x), "seed": seed, "epochs": 1, "seconds": 2.0, "val_error": error}
        (place / "result.json").write_text(json.dumps({**result, "reason": ""}))

    def tested(setting, place, x, devices):
        error = float(true_error(x) + 3.0 + noise(x, int(place.name.rpartition("seed")[2]), 0.5))
        (place / "test.json").write_text(json.dumps({"test_error": error}))
        return error

    def train_group(setting, x, seeds, places, devices, parent):
        for seed, place in zip(seeds, places, strict=True):
            train(setting, x, seed, place, devices, parent)

    monkeypatch.setattr(benchmark, "run_training", train)
    monkeypatch.setattr(groups, "run_group", train_group)
    monkeypatch.setattr(benchmark, "_test_error", tested)
    return made
