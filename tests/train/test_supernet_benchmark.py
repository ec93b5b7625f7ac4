"""Searching with inherited weights: against hand-made readings of the same checkpoint, killed runs, and mistakes."""

import json
import shutil
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
from small_images import data_home, one_thread, write_folder  # noqa: E402, F401

from smemnas.bench.benchmarks.catalog import open_benchmark  # noqa: E402
from smemnas.bench.errors import DataError, RunError, UserError  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.counting import multiply_adds, parameters  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import build_timm, extract_timm  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.supernet import benchmark as supernet_benchmark  # noqa: E402
from smemnas.bench.train.supernet import recalibration  # noqa: E402
from smemnas.bench.train.supernet.evaluation import CHUNK  # noqa: E402
from smemnas.bench.train.supernet.loop import train_supernet  # noqa: E402
from smemnas.bench.train.supernet.options import make_options, parse_name  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from smemnas.spaces.mnv3_choices import read_name  # noqa: E402
from tests.latency_cases import table_file  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread", "data_home")
IMAGES = 60


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A supernet trained on digits for one epoch, at two resolutions."""
    out = tmp_path_factory.mktemp("supernet")
    plan = SupernetPlan(
        "digits", width=0.1, resolutions=(8, 12), epochs=1, batch=256, lr=0.05, n_random=0, crop=1, flip=False
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train_supernet(plan, out, device="cpu")
    torch.set_num_threads(threads)
    return out / "checkpoint.pt"


def opened(checkpoint, objectives=(), items=(f"images={IMAGES}",), data=""):
    return open_benchmark("mnv3", make_options(checkpoint, data, items).name, objectives)


def by_hand(checkpoint, benchmark, x, split):
    """Error of one network: timm's model, statistics and accuracy computed with plain torch."""
    supernet, _ = load_supernet(checkpoint)
    arch, side = read_name(benchmark.space.to_str(x))
    net = extract_timm(supernet, arch)
    images = {name: open_images("digits", name) for name in ("train", split)}
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (images["train"].mean, images["train"].std))

    def prepared(name, rows):
        pixels = torch.from_numpy(images[name].take(rows)).permute(0, 3, 1, 2) / 255.0
        sized = (pixels - mean) / std
        if side != 8:
            sized = torch.nn.functional.interpolate(sized, (side, side), mode="bilinear", antialias=True)
        return sized

    n = len(images["train"])
    order = np.random.default_rng([0, 3]).permutation(n)[:1000]
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # torch's own average over batches of equal size
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        for k in range(4):
            net(prepared("train", order[250 * k : 250 * (k + 1)]))
        net.eval()
        size = len(images[split])
        rows = np.arange(IMAGES) * size // IMAGES if split == "valid" else np.arange(size)
        wrong = net(prepared(split, rows)).argmax(1).numpy() != images[split].labels[rows]
    return 100 * wrong.mean()


def test_errors_are_those_of_timm_networks_read_by_hand(checkpoint):
    benchmark = opened(checkpoint)
    assert [o.name for o in benchmark.objectives] == ["val_error", "flops"]
    X = np.vstack([benchmark.space.sample(2, np.random.default_rng(0)), np.zeros((1, 46), dtype=np.int64)])
    found = benchmark.evaluate(X, 0)
    one_image = 100 / IMAGES  # an extracted network sums in another order: one image may tip
    for x, error in zip(X, found.F[:, 0], strict=True):
        assert error == pytest.approx(by_hand(checkpoint, benchmark, x, "valid"), abs=1.01 * one_image)
    tested = benchmark.report(X[:2])
    n_test = len(open_images("digits", "test"))
    assert tested[0, 0] == pytest.approx(by_hand(checkpoint, benchmark, X[0], "test"), abs=101 / n_test)
    np.testing.assert_array_equal(tested[:, 1], found.F[:2, 1])
    assert (found.seconds > 0).all()


def test_errors_beside_a_measured_latency(checkpoint, tmp_path):
    """ "error" names the objective here too, in objectives and in bounds."""
    plain = opened(checkpoint)
    name = f"{plain.dataset}+latency={quote(str(table_file(tmp_path, plain.space)), safe='')}"
    found = open_benchmark("mnv3", name, ("error", "latency"), ("error<=99",))
    assert [o.name for o in found.objectives] == ["val_error", "latency"]
    assert [c.name for c in found.constraints] == ["val_error"]
    X = found.space.sample(2, np.random.default_rng(0))
    np.testing.assert_array_equal(found.evaluate(X, 0).F[:, 0], plain.evaluate(X, 0).F[:, 0])
    np.testing.assert_array_equal(found.evaluate(X, 0).F[:, 1], found.space.cost(X, "latency"))


def test_costs_are_those_of_the_networks(checkpoint):
    space = opened(checkpoint).space
    assert space.resolutions == (8, 12)
    X = space.sample(5, np.random.default_rng(1))
    shape = load_supernet(checkpoint)[0].shape
    for x, params, flops in zip(X, space.cost(X, "params"), space.cost(X, "flops"), strict=True):
        arch, side = read_name(space.to_str(x))
        net = build_timm(arch, shape)
        assert (parameters(net), multiply_adds(net, side)) == (round(params * 1e6), round(flops * 1e6))


def test_costs_of_any_strides_are_those_of_the_networks():
    space = trainable_space("mnv3", 7, 16, width=0.2, resolutions=(16, 20), stem="small")
    for x, params, flops in zip(
        X := space.sample(4, np.random.default_rng(2)), space.cost(X, "params"), space.cost(X, "flops"), strict=True
    ):
        net = space.build(x, 7)
        assert net.network.conv_stem.stride == (1, 1)
        assert parameters(net) == round(params * 1e6)
        assert multiply_adds(net.network, net.size) == round(flops * 1e6)


def test_values_do_not_depend_on_what_else_is_asked(checkpoint, monkeypatch, tmp_path):
    """Read in company, in a part of 8 and one of 2, and alone: the first and last of each part."""
    X = opened(checkpoint).space.sample(CHUNK + 2, np.random.default_rng(3))
    together = opened(checkpoint).evaluate(X, 0).F
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "other"))
    alone, rows = opened(checkpoint), [CHUNK + 1, CHUNK, CHUNK - 1, 0]
    np.testing.assert_array_equal(np.vstack([alone.evaluate(X[row][None], 7).F for row in rows]), together[rows])


def test_what_was_read_is_kept_even_behind_a_torn_line(checkpoint, data_home, monkeypatch):  # noqa: F811
    X = opened(checkpoint).space.sample(3, np.random.default_rng(4))
    first = opened(checkpoint).evaluate(X[:2], 0)
    (file,) = (data_home / "inherited").glob("*.jsonl")
    whole = file.read_bytes()
    assert [json.loads(line)["split"] for line in whole.splitlines()] == ["valid", "valid"]
    file.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(DataError, match="line 1 is corrupt"):
        opened(checkpoint).evaluate(X, 0)
    file.write_bytes(whole[:-9])
    benchmark = opened(checkpoint)
    asked = []
    measure = benchmark._measure
    monkeypatch.setattr(benchmark, "_measure", lambda some, split: asked.append(len(some)) or measure(some, split))
    again = benchmark.evaluate(X, 0)
    np.testing.assert_array_equal(again.F[:2], first.F)
    assert asked == [2], "the torn row and the new one"
    assert again.seconds[0] == first.seconds[0]
    monkeypatch.setattr(supernet_benchmark, "accuracies", None)
    np.testing.assert_array_equal(opened(checkpoint).evaluate(X, 0).F, again.F)


def test_fine_tuned_networks_start_from_the_inherited_weights(checkpoint, tmp_path):
    """With a learning rate of almost nothing, the network still has the weights that it inherited."""
    benchmark = opened(checkpoint, items=("epochs=1", "lr=1e-30", "batch=200"))
    benchmark.use_folder(tmp_path)
    x = benchmark.space.sample(1, np.random.default_rng(5))
    found = benchmark.evaluate(x, 3)
    assert found.errors == ("",)
    assert found.F[0, 1] == opened(checkpoint).evaluate(x, 0).F[0, 1]
    (file,) = tmp_path.rglob("weights.pt")
    weights = torch.load(file, weights_only=True)
    inherited = extract_timm(load_supernet(checkpoint)[0], x[0]).state_dict()
    learned = [key for key in inherited if "running" not in key and "tracked" not in key]
    assert len(learned) > 50
    assert all(torch.equal(weights[f"network.{key}"], inherited[key]) for key in learned)
    tuned = opened(checkpoint, items=("epochs=1", "batch=200"))
    tuned.use_folder(tmp_path)
    assert tuned.provenance() != benchmark.provenance()
    assert np.isfinite(tuned.evaluate(x, 3).F).all()


def test_other_classes_are_learned_by_fine_tuning(checkpoint, tmp_path):
    write_folder(tmp_path / "pets", per_class=12)
    benchmark = opened(checkpoint, items=("epochs=1", "batch=10"), data=str(tmp_path / "pets"))
    x = benchmark.space.sample(1, np.random.default_rng(8))[0]
    net, inherited = benchmark.space.build(x, 3).network, extract_timm(load_supernet(checkpoint)[0], x)
    assert net.classifier.weight.shape[0] == 3
    assert torch.equal(net.conv_head.weight, inherited.conv_head.weight)
    benchmark.use_folder(tmp_path)
    assert np.isfinite(benchmark.evaluate(x[None], 0).F).all()
    assert round(benchmark.space.cost(x[None], "params")[0] * 1e6) == parameters(net)


def test_names_are_read_back(tmp_path):
    options = make_options(tmp_path / "a+b" / "c=d.pt", "digits", ["epochs=2", "lr=0.5"])
    assert parse_name(options.name) == options
    assert "/" not in options.name
    assert parse_name(make_options(tmp_path / "x.pt").name).epochs == 0


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["image=3"], "Did you mean 'images'"),
        (["images"], "KEY=VALUE"),
        (["images=0"], "at least 1, got 0"),
        (["images=many"], "got 'many'"),
        (["epochs=-1"], "at least 0"),
        (["lr=0.1"], "give epochs too"),
        (["epochs=1", "images=5"], "leave it out with epochs"),
        (["epochs=1", "lr=0"], "positive"),
    ],
)
def test_wrong_options(tmp_path, items, words):
    with pytest.raises(UserError, match=words):
        make_options(tmp_path / "x.pt", "", items)


def test_wrong_checkpoints_data_and_objectives(checkpoint, tmp_path):
    with pytest.raises(DataError, match="no checkpoint at"):
        opened(tmp_path / "none.pt")
    with pytest.raises(UserError, match="not of 'nb201'"):
        open_benchmark("nb201", make_options(checkpoint).name)
    with pytest.raises(UserError, match="never searched"):
        opened(checkpoint, ("test_error",))
    with pytest.raises(UserError, match="Did you mean 'flops'"):
        opened(checkpoint, ("error", "flop"))
    with pytest.raises(UserError, match="once"):
        opened(checkpoint, ("error", "val_error"))
    write_folder(tmp_path / "pets")
    with pytest.raises(DataError, match="3 classes, expected 10"):
        opened(checkpoint, data=str(tmp_path / "pets"))


def test_memory_that_runs_out_keeps_what_was_read(checkpoint, monkeypatch):
    X = opened(checkpoint).space.sample(9, np.random.default_rng(6))
    real, calls = recalibration.extract_timm, []

    def ninth_fails(*arguments):
        net = real(*arguments)
        calls.append(1)
        if len(calls) == 9:
            net.forward = lambda images: torch.empty(1 << 60)
        return net

    monkeypatch.setattr(recalibration, "extract_timm", ninth_fails)
    with pytest.raises(RunError, match="out of memory on cpu"):
        opened(checkpoint).evaluate(X, 0)
    monkeypatch.setattr(supernet_benchmark, "accuracies", None)
    assert opened(checkpoint).evaluate(X[:8], 0).F.shape == (8, 2)


def test_accuracies_of_a_gpu_do_not_depend_on_threads(monkeypatch):
    files = {}
    for device in ("cpu", "cuda"):
        benchmark = SimpleNamespace(device=torch.device(device), provenance=lambda device=device: {"device": device})
        for threads in (1, 2):
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            files[device, threads] = supernet_benchmark.SupernetBenchmark._cache.func(benchmark)
    assert files["cpu", 1] != files["cpu", 2]
    assert files["cuda", 1] == files["cuda", 2] != files["cpu", 1]


@pytest.mark.long
@pytest.mark.slow
def test_search_from_the_command_line(cli, checkpoint, tmp_path, one_line_error):
    """A killed search ends with the log of one that was not."""
    search = ("run", "--method", "smemnas", "--evaluator", "supernet", "--checkpoint", str(checkpoint))
    search = (*search, "--train", "images=60", "--budget", "12", "--param", "initial=6", "--param", "batch=3")
    environment = {"OMP_NUM_THREADS": "1", "SMEMNAS_DATA": str(tmp_path / "home"), "timeout": 300}
    done = cli(*search, "--out", "whole", **environment)
    assert done.returncode == 0, done.stderr
    assert "val_error" in done.stdout
    log = tmp_path / "whole" / "evals.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    assert len(rows) == 12
    log.write_bytes(b"".join(rows[:-4]) + rows[-4][:20])
    shutil.rmtree(tmp_path / "home" / "inherited")  # so that the lost rows are measured again
    assert cli(*search, "--out", "whole", **environment).returncode == 0
    assert log.read_bytes().splitlines(keepends=True) == rows
    one_line_error(cli(*search[:5], timeout=60), "--evaluator supernet needs --checkpoint")
    one_line_error(cli(*search, "--space", "nb201", timeout=60), "not of 'nb201'")
    one_line_error(cli(*search, "--recipe", "tiny", timeout=60), "--recipe belongs")


def test_a_space_of_any_width_is_the_published_one_at_width_one():
    X = MNV3().sample(20, np.random.default_rng(7))
    same = MNV3(1.0, stem_stride=2, strides=(2, 2, 2, 1, 2))
    np.testing.assert_array_equal(same.cost(X, "flops"), MNV3().cost(X, "flops"))
