"""The benchmark that trains: parallel workers, plug-in spaces, reports, failures, names."""

import json
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs timm: pip install -e '.[train]'")
from small_images import data_home, one_thread, write_folder  # noqa: E402, F401

from smemnas.bench.benchmarks.constraints import parse_constraint  # noqa: E402
from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.registry import load_plugin  # noqa: E402
from smemnas.bench.train import benchmark as trained  # noqa: E402
from smemnas.bench.train import devices as places  # noqa: E402
from smemnas.bench.train import loop  # noqa: E402
from smemnas.bench.train.benchmark import TrainedBenchmark  # noqa: E402
from smemnas.bench.train.devices import find_devices  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.options import make_options, open_trained, parse_name  # noqa: E402
from smemnas.bench.train.recipes import TrainingRecipe  # noqa: E402
from smemnas.bench.train.results import RESULT  # noqa: E402
from smemnas.spaces.nb201 import NB201  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = "train+digits+tiny+batch=200+channels=3+epochs=1"
X = NB201().sample(3, np.random.default_rng(0))


def opened(folder, objectives=(), name=SHORT, space="nb201", **options):
    benchmark = open_trained(space, name, objectives, **options)
    benchmark.use_folder(folder)
    return benchmark


@pytest.fixture
def no_training(monkeypatch):
    """Forbid training from here on."""

    def forbid():
        def refuse(*arguments, **options):
            raise AssertionError("this must not train")

        monkeypatch.setattr(loop, "train", refuse)

    return forbid


@pytest.mark.long
def test_workers_give_what_one_process_gives(tmp_path):
    """Of the networks of nb201; the default run has those of a plug-in, below."""
    one = opened(tmp_path / "one").evaluate(X, 5)
    two = opened(tmp_path / "two", jobs=2).evaluate(X, 5)
    assert_same(one, two, tmp_path)


def assert_same(one, two, folder):
    """Require the same values and weights of two evaluations, below `one` and `two` in a folder."""
    np.testing.assert_array_equal(one.F, two.F)
    assert set(one.errors) == set(two.errors) == {""}
    assert (one.seconds > 0).all()
    files = list((folder / "one").rglob("weights.pt"))
    assert len(files) == len(one.F)
    for file in files:
        a, b = (torch.load(f, weights_only=True) for f in (file, folder / "two" / file.relative_to(folder / "one")))
        assert list(a) == list(b)
        assert all(torch.equal(a[k], b[k]) for k in a)


PLUGIN = """
import numpy as np
from smemnas.spaces.base import SPACES, Objective, SearchSpace


@SPACES.register("dots", summary="a linear network")
class Dots(SearchSpace):
    name = "dots"
    n_choices = (2, 2)
    costs = (Objective("params", "M", True),)

    def to_str(self, x):
        return f"{x[0]}{x[1]}"

    def from_str(self, arch):
        return np.array([int(c) for c in arch])

    def cost(self, X, name):
        return X.sum(axis=1) / 1e6

    def build(self, x, n_classes):
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.Linear(192, n_classes))
"""


def test_a_plug_in_space_is_trained_in_workers(tmp_path):
    file = tmp_path / "dots.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    rows = np.array([[0, 1], [1, 1]])
    one, two = (
        opened(tmp_path / name, name="train+digits+tiny", space="dots", jobs=jobs).evaluate(rows, 0)
        for name, jobs in (("one", 1), ("two", 2))
    )
    assert_same(one, two, tmp_path)
    assert (two.F[:, 0] < 20).all()  # chance is 90
    np.testing.assert_array_equal(two.F[:, 1], [1e-6, 2e-6])


def test_free_objectives_are_the_spaces(tmp_path):
    benchmark = opened(tmp_path, ("params", "error", "flops"))
    F = benchmark.evaluate(X, 0).F
    assert [o.name for o in benchmark.objectives] == ["params", "val_error", "flops"]
    assert benchmark.report_names == ("params", "test_error", "flops")
    for j, name in ((0, "params"), (2, "flops")):
        np.testing.assert_array_equal(F[:, j], benchmark.space.cost(X, name))
        np.testing.assert_array_equal(benchmark.report(X)[:, j], F[:, j])
    network = benchmark.space.build(X[0], 10)
    assert sum(p.numel() for p in network.parameters()) == round(F[0, 0] * 1e6)


def test_error_is_short_for_the_validation_error_in_bounds_too(tmp_path):
    found = parse_constraint("error<=60", opened(tmp_path, ("error", "flops")))
    assert (found.name, found.objective) == ("val_error", 0)


def test_report_judges_the_same_weights_on_the_test_images(tmp_path, no_training):
    benchmark = opened(tmp_path, ("error",))
    benchmark.evaluate(X[:1], 0)
    benchmark.evaluate(X[:1], 1)
    no_training()
    reported = benchmark.report(X[:2])
    test = open_images("digits", "test")
    images = torch.from_numpy(test.take()).permute(0, 3, 1, 2) / 255
    images = (images - torch.tensor(test.mean).view(3, 1, 1)) / torch.tensor(test.std).view(3, 1, 1)
    errors = []
    for file in sorted(tmp_path.rglob("weights.pt")):
        network = benchmark.space.build(X[0], 10)
        network.load_state_dict(torch.load(file, weights_only=True))
        with torch.no_grad():
            errors.append(100 * (network.eval()(images).argmax(1).numpy() != test.labels).mean())
    assert len(errors) == 2
    assert errors[0] != errors[1]
    assert reported[0, 0] == pytest.approx(np.mean(errors))
    assert np.isnan(reported[1, 0])  # never trained
    np.testing.assert_array_equal(opened(tmp_path, ("error",)).report(X[:2]), reported)


def test_searching_never_opens_the_test_split(tmp_path, monkeypatch):
    seen = []
    real = trained.open_images
    monkeypatch.setattr(trained, "open_images", lambda data, split, **k: seen.append(split) or real(data, split, **k))
    benchmark = opened(tmp_path, ("error",))
    benchmark.evaluate(X[:1], 0)
    assert set(seen) == {"train", "valid"}
    benchmark.report(X[:1])
    assert "test" in seen


def test_results_are_read_again_in_a_new_process_and_kept_apart(tmp_path, no_training):
    first = opened(tmp_path).evaluate(X, 0)
    other = opened(tmp_path, name=f"{SHORT}+lr=0.5").evaluate(X[:1], 0)
    assert other.F[0, 0] != first.F[0, 0]
    no_training()
    again = opened(tmp_path).evaluate(X[::-1], 0)
    np.testing.assert_array_equal(again.F, first.F[::-1])
    np.testing.assert_array_equal(again.seconds, first.seconds[::-1])
    with pytest.raises(AssertionError, match="must not train"):
        opened(tmp_path).evaluate(X[:1], 1)  # another seed is another training


def test_a_failure_is_kept_too(tmp_path, no_training):
    benchmark = opened(tmp_path, ("error", "params"), "train+digits+tiny+epochs=1+lr=1e30")
    outcome = benchmark.evaluate(X[:1], 0)
    assert np.isnan(outcome.F[0, 0])
    assert outcome.F[0, 1] == benchmark.space.cost(X[:1], "params")[0]
    assert outcome.errors[0].startswith("loss is nan in epoch 1")
    no_training()
    assert benchmark.evaluate(X[:1], 0).errors == outcome.errors
    assert np.isnan(benchmark.report(X[:1])[0, 0])


def test_weights_that_are_gone_are_said(tmp_path):
    benchmark = opened(tmp_path, ("error",))
    benchmark.evaluate(X[:1], 0)
    (file,) = tmp_path.rglob("weights.pt")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match="gone or unreadable"):
        benchmark.report(X[:1])


def test_what_is_written_tells_what_it_is(tmp_path):
    benchmark = opened(tmp_path, ("error",))
    benchmark.evaluate(X[:1], 4)
    (file,) = tmp_path.rglob(RESULT)
    result = json.loads(file.read_bytes())
    assert result["arch"] == NB201().to_str(X[0])
    assert (result["seed"], result["epochs"], result["reason"]) == (4, 1, "")
    assert {f.name for f in file.parent.iterdir()} <= {"weights.pt", "curve.jsonl", RESULT, ".lock"}
    notes = " ".join(benchmark.notes)
    assert "last epoch on 362 images" in notes
    assert "channels 3" in notes
    found = json.loads(json.dumps(benchmark.provenance()))
    assert found["sha256"] == open_images("digits", "train").sha256
    assert (found["device"], found["recipe"]["epochs"], found["network"]["channels"]) == ("cpu", 1, 3)


def test_without_a_folder_trainings_are_temporary():
    benchmark = open_trained("nb201", SHORT, ("error",))
    benchmark.evaluate(X[:1], 0)
    place = benchmark.folder
    assert place.is_dir()
    del benchmark
    assert not place.exists()


def test_a_folder_of_images_is_named_by_its_path(tmp_path, data_home):  # noqa: F811
    write_folder(tmp_path / "my pets+", per_class=10)
    options = make_options(str(tmp_path / "my pets+"), "small", ["epochs=1", "channels=2"])
    assert "/" not in options.name
    assert parse_name(options.name) == options
    benchmark = options.open("nb201", ("error",))
    benchmark.use_folder(tmp_path)
    assert benchmark.dataset == options.name
    assert np.isfinite(benchmark.evaluate(X[:1], 0).F).all()
    assert np.isfinite(benchmark.report(X[:1])).all()


def test_names_are_one_for_each_setting():
    long = make_options("digits", "", ["lr=0.10", "cells=2", "flip=true", "valid_share=0.5", "size=16"])
    assert long.name == "train+digits+tiny+cells=2+flip=True+lr=0.1+size=16+valid_share=0.5"
    assert parse_name(long.name) == long
    assert parse_name("train+digits").name == "train+digits+tiny"
    assert parse_name("train+cifar10").recipe.name == "nb201-12"
    mnv3 = parse_name("train+digits+tiny+resolutions=32-40+width=1.2").open("mnv3")
    assert (mnv3.space.resolutions, mnv3.space.width, mnv3.space.n_classes) == ((32, 40), 1.2, 10)
    assert parse_name("train+digits").open("nb101").provenance()["network"]["max_vertices"] == 7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: open_trained("nb201", "train+"), "train+DATA"),
        (lambda: open_trained("nb201", "train+digits+tiny+lr"), "KEY=VALUE"),
        (lambda: open_trained("nb201", SHORT, ("vall_error",)), "Did you mean 'val_error'"),
        (lambda: open_trained("nb201", SHORT, ("test_error",)), "never searched"),
        (lambda: open_trained("nb201", SHORT, ("error", "val_error")), "named once"),
        (lambda: open_trained("nb201", SHORT, jobs=0), "at least 1"),
        (lambda: open_trained("toy", SHORT), "toy"),
        (lambda: open_trained("mnv3", SHORT), "channels does not apply to mnv3"),
        (lambda: open_trained("nb201", "train+digits+tiny+resolutions=32"), "resolutions does not apply"),
        (lambda: open_trained("mnv3", "train+digits+tiny+resolutions=a-b"), "joined by dashes"),
        (lambda: open_trained("nb201", "train+digits+tiny+size=10"), "multiple of 4"),
        (lambda: find_devices("cuda:99"), "cuda:99"),
        (lambda: TrainedBenchmark(NB201(), "digits", TrainingRecipe("r", 1, 10, 0.1)), "image_size"),
    ],
)
def test_what_makes_no_sense_is_one_line(call, words):
    with pytest.raises(UserError) as error:
        call()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cuda_device_trains_one_at_a_time(tmp_path, monkeypatch):
    """The lock that pins trainings to devices, without a device: two are given out, the third waits."""
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: None)
    waits = []

    class Busy(Exception):
        pass

    def wait(seconds):
        waits.append(seconds)
        raise Busy

    monkeypatch.setattr(places.time, "sleep", wait)
    devices = ("cuda:0", "cuda:1")
    with places.claimed(devices) as first, places.claimed(devices) as second:
        assert (first, second) == devices
        with pytest.raises(Busy), places.claimed(devices):
            pass
    with places.claimed(devices) as again:
        assert again == "cuda:0"
    assert len(waits) == 1
    assert len(os.listdir(next(tmp_path.glob("smemnas-devices-*")))) <= 2
