"""Architectures that are really trained: sizes against the closed form, determinism, resume, splits, proxies."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install smemnas[train]")

from bench.benchmark import open_benchmark  # noqa: E402
from bench.errors import UserError  # noqa: E402
from bench.train.cells import trainable_space  # noqa: E402
from bench.train.counting import multiply_adds, parameters  # noqa: E402
from bench.train.data import open_images  # noqa: E402
from bench.train.options import make_options, open_trained, parse_name  # noqa: E402
from bench.train.proxies import proxies  # noqa: E402
from spaces.nb201 import NB201  # noqa: E402

NAME = "train+digits+tiny"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cells(n, seed=0):
    return NB201().sample(n, np.random.default_rng(seed))


def test_fifty_networks_have_the_published_sizes():
    """At 16 channels and five cells the counts are those of NAS-Bench-201's own table."""
    space, published = trainable_space("nb201", 10, 32), NB201()
    X = cells(50)
    np.testing.assert_allclose(space.cost(X, "params"), published.cost(X, "params"), rtol=1e-12)
    built = [parameters(space.build(x, 10)) / 1e6 for x in X]
    np.testing.assert_allclose(built, space.cost(X, "params"), rtol=1e-12)


@pytest.mark.parametrize(("channels", "n_cells", "side"), [(4, 1, 8), (6, 2, 16)])
def test_small_networks_too(channels, n_cells, side):
    space = trainable_space("nb201", 7, side, channels=channels, cells=n_cells)
    X = cells(8, 1)
    built = [space.build(x, 7) for x in X]
    np.testing.assert_allclose([parameters(net) / 1e6 for net in built], space.cost(X, "params"), rtol=1e-12)
    # the closed form counts every edge of the cell; what no path uses is not computed
    counted = np.array([multiply_adds(net, side) / 1e6 for net in built])
    assert (counted <= space.cost(X, "flops") + 1e-12).all()
    full = np.full((1, 6), 3)
    net = space.build(full[0], 7)
    biases = 7  # the benchmark counts the classifier's as multiply-adds
    np.testing.assert_allclose((multiply_adds(net, side) + biases) / 1e6, space.cost(full, "flops")[0], rtol=1e-12)
    assert net(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_training_learns_and_repeats_exactly(tmp_path):
    X = np.array([[3, 3, 1, 3, 1, 3], [2, 1, 2, 1, 3, 1]])
    results = []
    for name in ("a", "b"):
        bench = open_benchmark("nb201", NAME, ("error", "flops"))
        bench.use_folder(tmp_path / name)
        results.append(bench.evaluate(X, 0).F)
        assert np.isfinite(bench.report(X)).all()
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0][:, 0] < 40).all()  # chance is 90
    other = bench.evaluate(X, 1).F
    assert (other[:, 0] != results[0][:, 0]).any()
    before = time.perf_counter()
    np.testing.assert_array_equal(bench.evaluate(X[::-1], 0).F, results[0][::-1])
    assert time.perf_counter() - before < 1.0  # read, not trained again


def test_the_test_split_is_reported_only(tmp_path):
    with pytest.raises(UserError, match="reported and never searched"):
        open_trained("nb201", NAME, ("test_error",))
    bench = open_trained("nb201", NAME, ("error",))
    bench.use_folder(tmp_path)
    assert np.isnan(bench.report(cells(1))).all()  # nothing was trained yet
    train, valid, test = (open_images("digits", split) for split in ("train", "valid", "test"))
    pixels = [{image.tobytes() for image in s.take()} for s in (train, valid, test)]
    assert not pixels[0] & pixels[1]
    assert len(train) + len(valid) + len(test) == 1797


def test_a_search_killed_in_a_training_continues_to_the_same_log(tmp_path):
    def args(folder):
        return [
            *(sys.executable, str(ROOT / "cli.py"), "run", "--method", "random", "--space", "nb201", "--quiet"),
            *("--evaluator", "train", "--data", "digits", "--recipe", "tiny", "--budget", "4", "--out", str(folder)),
        ]

    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SMEMNAS_DATA": str(tmp_path / "data")}
    subprocess.run(args(tmp_path / "whole"), check=True, env=env, timeout=300)
    process = subprocess.Popen(args(tmp_path / "killed"), env=env)
    end = time.monotonic() + 120
    while not list((tmp_path / "killed").rglob("curve.jsonl")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "summary.json").exists()
    subprocess.run(args(tmp_path / "killed"), check=True, env=env, timeout=300)
    whole, killed = ((tmp_path / n / "evals.jsonl").read_bytes() for n in ("whole", "killed"))
    assert whole == killed
    for one in (tmp_path / "whole").rglob("result.json"):
        two = tmp_path / "killed" / one.relative_to(tmp_path / "whole")
        a, b = json.loads(one.read_bytes()), json.loads(two.read_bytes())
        assert a["val_error"] == b["val_error"]


def test_a_training_that_diverges_is_a_failed_evaluation(tmp_path):
    bench = make_options("digits", "tiny", ["lr=1e30"]).open("nb201", ("error",))
    bench.use_folder(tmp_path)
    outcome = bench.evaluate(np.full((1, 6), 3), 0)
    assert np.isnan(outcome.F).all()
    assert "loss" in outcome.errors[0]


def test_names_of_trainings_read_back():
    options = make_options("digits", "tiny", ["channels=6", "epochs=2", "lr=0.05"])
    assert parse_name(options.name).name == options.name
    assert options.recipe.epochs == 2
    assert options.values == {"channels": 6}


@pytest.mark.parametrize(
    ("data", "recipe", "items", "words"),
    [
        ("digits", "tini", (), "Did you mean 'tiny'"),
        ("digits", "tiny", ("epoch=3",), "Did you mean 'epochs'"),
        ("digits", "tiny", ("epochs=0",), "at least 1"),
        ("digits", "tiny", ("channels=x",), "whole number"),
        ("no/such/folder", "tiny", (), "no/such/folder"),
    ],
)
def test_wrong_options_are_one_line(data, recipe, items, words):
    with pytest.raises(UserError) as error:
        make_options(data, recipe, items).open("nb201")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_proxies_repeat_and_grow_with_capacity():
    space = trainable_space("nb201", 10, 8, channels=4, cells=1)
    X = np.array([[3, 3, 3, 3, 3, 3], [1, 1, 1, 1, 1, 1]])
    values, again = (proxies(space, X, "digits", batch=16) for _ in range(2))
    assert {"synflow", "nwot", "grad_norm", "jacob_cov"} <= set(values)
    for name, found in values.items():
        np.testing.assert_array_equal(found, again[name])
    assert values["synflow"][0] > values["synflow"][1]
    assert values["nwot"][0] > values["nwot"][1]


def test_proxies_against_their_formulas_on_a_linear_network():
    """One linear layer: R = sum |w| for a one-pixel image of ones; the gradient has a closed form."""
    from bench.train.proxies import grad_norm, nwot, synflow

    torch.manual_seed(0)
    inputs, labels = torch.randn(6, 3, 2, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
    weight = net[1].weight.detach().clone()
    assert synflow(net, inputs, labels) == pytest.approx(float(weight.abs().sum()), rel=1e-5)
    flat = inputs.flatten(1)
    probability = (flat @ weight.T).softmax(1)
    gradient = (probability - torch.nn.functional.one_hot(labels, 2)).T @ flat / 6
    assert grad_norm(net, inputs, labels) == pytest.approx(float(gradient.norm()), rel=1e-4)
    rectified = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5, bias=False), torch.nn.ReLU())
    with torch.no_grad():
        codes = (rectified[:2](inputs) > 0).double()
    agreement = codes @ codes.T + (1 - codes) @ (1 - codes).T
    assert nwot(rectified, inputs, labels) == pytest.approx(float(torch.linalg.slogdet(agreement)[1]), rel=1e-6)
    assert torch.equal(net[1].weight, weight)
