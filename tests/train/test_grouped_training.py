"""Seeds of one network trained as a group: what each is alone, the same cache, kills, members that fail."""

import json

import numpy as np
import pytest

from smemnas.bench.errors import UserError

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs timm: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.gates import FIRST_SEED, GateStage  # noqa: E402
from smemnas.bench.train import loop  # noqa: E402
from smemnas.bench.train.gate import run_gate  # noqa: E402
from smemnas.bench.train.grouped import groups  # noqa: E402
from smemnas.bench.train.grouped import loop as group_loop  # noqa: E402
from smemnas.bench.train.images import Images, open_images  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.options import open_trained  # noqa: E402
from smemnas.bench.train.recipes import TrainingRecipe  # noqa: E402
from smemnas.bench.train.results import RESULT, write_result  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = TrainingRecipe(
    *("all", 2, 8, 0.05),
    **{"weight_decay": 1e-3, "flip": True, "crop": 1, "cutout": 3, "label_smoothing": 0.1, "bn_momentum": 0.2},
)
NAME = "train+digits+tiny+batch=400+channels=1+epochs=1"
X = np.array([[1, 0, 2, 0, 1]])


def some(split, n):
    """The first digits of a split."""
    images = open_images("digits", split)
    return Images(**{**vars(images), "index": images.index[:n], "labels": images.labels[:n]})


def build():
    """A network of double precision, whatever its images have."""
    network = trainable_space("nats_sss", 10, 8, channels=1).build(X[0], 10).double()
    network.register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    return network


def train_group(folder, seeds=(3, 8), recipe=RECIPE, **options):
    places = [folder / f"seed{seed}" for seed in seeds]
    options = {"seeds": seeds, "folder": folder / "group", "places": places, **options}
    return group_loop.train_group(build, some("train", 33), some("valid", 20), recipe, **options)


def weights(folder):
    return torch.load(folder / loop.WEIGHTS, weights_only=True)


def curve(folder):
    return [json.loads(line) for line in (folder / loop.CURVE).read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder and outcomes of a group that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_group(folder)


@pytest.mark.parametrize("changes", [{}, pytest.param({"optimizer": "rmsprop_tf", "lr": 0.01}, marks=pytest.mark.long)])
def test_each_member_is_what_its_training_alone_gives(tmp_path, whole, changes):
    recipe = RECIPE.overridden(changes)
    folder, together = (tmp_path, train_group(tmp_path, recipe=recipe)) if changes else whole
    for seed, outcome in zip((3, 8), together, strict=True):
        alone, place = tmp_path / f"alone{seed}", folder / f"seed{seed}"
        single = loop.train(build, some("train", 33), some("valid", 20), recipe, seed=seed, folder=alone)
        assert (outcome.valid_error, outcome.epochs) == (single.valid_error, single.epochs)
        torch.testing.assert_close(weights(place), weights(alone), rtol=1e-9, atol=1e-10)
        for row, other in zip(curve(place), curve(alone), strict=True):
            assert list(row) == list(other)
            assert row == pytest.approx(other, rel=1e-6)  # the mean loss is kept in single precision
    assert not torch.equal(weights(folder / "seed3")["stem.0.weight"], weights(folder / "seed8")["stem.0.weight"])


def test_a_group_that_was_killed_goes_on_and_ends_the_same(tmp_path, whole):
    with pytest.raises(SystemExit):
        train_group(tmp_path, parent=-1)  # gone: it ends after its first epoch
    assert len(curve(tmp_path / "seed8")) == 1
    outcomes = train_group(tmp_path)
    for seed, outcome in zip((3, 8), outcomes, strict=True):
        a, b = tmp_path / f"seed{seed}", whole[0] / f"seed{seed}"
        assert curve(a) == curve(b)
        assert outcome.valid_error == curve(b)[-1]["valid_error"]
        torch.testing.assert_close(weights(a), weights(b), rtol=0, atol=0)


def opened(folder, more=""):
    found = open_trained("nats_sss", NAME + more, ("error", "flops"))
    found.use_folder(folder)
    return found


def results(benchmark):
    """Results by seed, of one network."""
    found = [json.loads(file.read_bytes()) for file in benchmark.folder.glob(f"*/{RESULT}")]
    return {row["seed"]: row for row in found}


def test_a_gate_trains_the_seeds_of_a_network_together_and_says_so(tmp_path):
    benchmark = opened(tmp_path, "+grouped=2")
    steps = []
    gate = run_gate(benchmark, GateStage(networks=2, seeds=3), progress=lambda done, of: steps.append(done))
    assert steps == [0, 2, 4, 5, 6]
    seeds = [FIRST_SEED + k for k in range(3)]
    for arch in gate.archs:
        x = benchmark.space.from_str(arch)
        for k, seed in enumerate(seeds):
            found = json.loads((benchmark.place(x, seed) / RESULT).read_bytes())
            assert (found["arch"], found["seed"], found["epochs"]) == (arch, seed, 1)
            assert found["grouped"] == (seeds[:2] if k < 2 else seeds[2:])
    assert gate.setting["grouped"] == 2
    assert not list(benchmark.folder.glob("*-seeds-*"))
    assert "Where several seeds of a network are asked for, 2 are trained as one network." in benchmark.notes

    alone = opened(tmp_path)  # the same to some figures, and kept apart
    assert alone.fingerprint != benchmark.fingerprint
    assert "grouped" not in alone.provenance()
    x = benchmark.space.from_strs(gate.archs[:1])
    single = alone.evaluate(x, seeds[1]).F[0, 0]
    assert gate.errors[0, 1] == pytest.approx(single, abs=1.0)
    assert np.isfinite(benchmark.report(x)).all()  # weights that the network alone loads
    a, b = (weights(which.place(x[0], seeds[1])) for which in (alone, benchmark))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_a_kill_between_results_and_seeds_that_are_missing(tmp_path, monkeypatch):
    benchmark = opened(tmp_path, "+grouped=3")

    def once(*arguments):
        write_result(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(groups, "write_result", once)
        with pytest.raises(KeyboardInterrupt):
            groups.train_together(benchmark, X, [4, 5])
    assert list(results(benchmark)) == [4]
    with monkeypatch.context() as patched:
        patched.setattr(group_loop, "augment", None)  # nothing is left to train
        groups.train_together(benchmark, X, [4, 5])
    assert {seed: row["grouped"] for seed, row in results(benchmark).items()} == {4: [4, 5], 5: [4, 5]}
    before = (benchmark.place(X[0], 4) / loop.WEIGHTS).read_bytes()
    groups.train_together(benchmark, X, [4, 5, 6])
    assert results(benchmark)[6]["grouped"] == [6]
    assert (benchmark.place(X[0], 4) / loop.WEIGHTS).read_bytes() == before
    monkeypatch.setattr(groups, "run_group", None)  # not called any more
    groups.train_together(benchmark, X, [4, 5, 6])


def test_a_member_whose_loss_is_not_finite_leaves_the_others_alone(tmp_path, monkeypatch):
    benchmark, made = opened(tmp_path, "+grouped=2"), type(opened(tmp_path).space).build

    def built(self, x, n_classes):
        network = made(self, x, n_classes)
        if torch.initial_seed() == loop.stream(5, loop.INIT):
            network.classifier.weight.data *= 1e38
        return network

    monkeypatch.setattr(type(benchmark.space), "build", built)
    groups.train_together(benchmark, X, [4, 5])
    good, bad = results(benchmark)[4], results(benchmark)[5]
    assert (good["reason"], good["grouped"], good["epochs"]) == ("", [4], 1)
    assert (bad["val_error"], bad["grouped"], bad["epochs"]) == (None, [5], 0)
    assert bad["reason"] in ("loss is nan in epoch 1", "loss is inf in epoch 1")
    assert not (benchmark.place(X[0], 5) / loop.WEIGHTS).exists()
    assert not list(benchmark.folder.glob("*-seeds-*"))


@pytest.mark.long
def test_groups_are_trained_in_processes_side_by_side(tmp_path):
    one, two = (
        open_trained("nats_sss", f"{NAME}+grouped=2", ("error", "flops"), device="cpu", jobs=jobs) for jobs in (1, 2)
    )
    both = np.vstack([X, X + 1])
    for benchmark, folder in ((one, tmp_path / "one"), (two, tmp_path / "two")):
        benchmark.use_folder(folder)
        groups.train_together(benchmark, both, [4, 5])
    for seed in (4, 5):
        np.testing.assert_array_equal(one.evaluate(both, seed).F, two.evaluate(both, seed).F)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("+grouped=1", "grouped must be at least 2, got 1"),
        ("+grouped=65", "grouped must be at most 64, got 65"),
        ("+grouped=2+precision=fp16", "share one scale of losses in fp16: set precision=bf16 or float32"),
        ("+grouped=2+autoaugment=True", "autoaugment draws image by image for one training at a time"),
    ],
)
def test_groups_that_would_learn_something_else_are_refused(tmp_path, more, wanted):
    with pytest.raises(UserError, match=wanted):
        opened(tmp_path, more)
