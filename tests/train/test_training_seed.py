"""The seed of trainings apart from that of the search, and trainings that runs share."""

import json

import numpy as np
import pytest

from smemnas.bench.errors import UserError

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.library.run import RunOptions, run  # noqa: E402
from smemnas.bench.train import loop  # noqa: E402
from smemnas.bench.train.options import make_options, open_trained, parse_name  # noqa: E402
from smemnas.bench.train.results import RESULT  # noqa: E402
from smemnas.bench.workers.backends import TRAININGS  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
NAME = "train+digits+tiny+batch=400+channels=2+epochs=1"
X = np.array([[1, 0, 2, 0, 1]])


@pytest.fixture
def trained(monkeypatch):
    """Count the trainings by their seeds."""
    seeds, train = [], loop.train

    def counted(*arguments, seed, **options):
        seeds.append(seed)
        return train(*arguments, seed=seed, **options)

    monkeypatch.setattr(loop, "train", counted)
    return seeds


def opened(folder, items=""):
    benchmark = open_trained("nats_sss", NAME + items, ("error", "flops"))
    benchmark.use_folder(folder)
    return benchmark


def test_the_seed_of_a_search_does_not_reach_trainings_that_have_their_own(tmp_path, trained):
    fixed = opened(tmp_path, "+training_seed=3")
    first, second = fixed.evaluate(X, 0), fixed.evaluate(X, 1)
    np.testing.assert_array_equal(first.F, second.F)
    assert trained == [3]
    np.testing.assert_array_equal(opened(tmp_path).evaluate(X, 3).F, first.F)  # the same training, named otherwise
    opened(tmp_path).evaluate(X, 1)
    assert trained == [3, 1]
    assert any("trained with seed 3" in note for note in fixed.notes)


def test_a_report_judges_the_weights_of_its_own_training_seed(tmp_path, trained):
    values = []
    for seed in (3, 4):
        benchmark = opened(tmp_path, f"+training_seed={seed}")
        benchmark.evaluate(X, 0)
        values.append(benchmark.report(X)[0, 0])
    assert trained == [3, 4]
    assert values[0] != values[1]
    assert opened(tmp_path).report(X)[0, 0] == pytest.approx(np.mean(values))  # without one: the mean over seeds
    assert np.isnan(opened(tmp_path, "+training_seed=5").report(X)[0, 0])


def test_runs_share_trainings_of_a_fixed_seed_and_no_others(tmp_path, trained, monkeypatch):
    shared = tmp_path / "shared"
    monkeypatch.setenv(TRAININGS, str(shared))

    def search(out, method, *items, seed=0):
        training = ("batch=400", "channels=2", "epochs=1", *items)
        return run(
            RunOptions(
                method,
                space="nats_sss",
                evaluator="train",
                recipe="tiny",
                training=training,
                budget=2,
                seed=seed,
                out=tmp_path / out,
            )
        )

    a, b = (search(method, method, "training_seed=7") for method in ("random", "nsga2"))  # the first sample is shared
    np.testing.assert_array_equal(a.F, b.F)
    assert trained == [7, 7]
    assert {json.loads(f.read_bytes())["seed"] for f in shared.rglob(RESULT)} == {7}
    assert not list((tmp_path / "nsga2").rglob(RESULT))
    assert a.job.dataset.endswith("+training_seed=7")
    search("own", "random", seed=2)
    assert trained == [7, 7, 2, 2]
    assert len(list((tmp_path / "own").rglob(RESULT))) == 2  # those take the run's seed and stay in its folder


def test_names_hold_the_training_seed_and_it_is_no_part_of_the_recipe(tmp_path):
    options = make_options("digits", "tiny", ["training_seed=5"])
    assert options.name == "train+digits+tiny+training_seed=5"
    assert parse_name(options.name) == options
    assert options.recipe == make_options("digits", "tiny").recipe
    assert opened(tmp_path, "+training_seed=5").fingerprint == opened(tmp_path).fingerprint
    with pytest.raises(UserError, match="training_seed must be 0 or more, got -1"):
        opened(tmp_path, "+training_seed=-1")
