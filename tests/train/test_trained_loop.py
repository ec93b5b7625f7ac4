"""The training loop: same steps as plain PyTorch, exact resume after a kill, and failures in one clear line."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs timm: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.train import loop  # noqa: E402
from smemnas.bench.train.batches import Pixels  # noqa: E402
from smemnas.bench.train.images import Images, open_images  # noqa: E402
from smemnas.bench.train.networks.nats_sss import SizedNetwork  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.recipes import TrainingRecipe, find_recipe  # noqa: E402

nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.usefixtures("one_thread")
PLAIN = TrainingRecipe("plain", epochs=2, batch=30, lr=0.05, weight_decay=1e-3)


def some(split="train", n=100):
    """The first digits of a split."""
    images = open_images("digits", split)
    return Images(**{**vars(images), "index": images.index[:n], "labels": images.labels[:n]})


def cell():
    return trainable_space("nb201", 10, 8, channels=3, cells=1).build(np.array([3, 2, 4, 1, 3, 2]), 10)


def train(folder, recipe=PLAIN, build=cell, seed=3, n=100, **options):
    return loop.train(build, some(n=n), some("valid", 50), recipe, seed=seed, folder=folder, **options)


def weights(folder):
    return torch.load(folder / loop.WEIGHTS, weights_only=True)


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_same_weights_as_plain_pytorch(tmp_path):
    """The same images in the same order by an ordinary loop: torch's own SGD, schedule and loader."""
    outcome = train(tmp_path)
    images, valid = some(), some("valid", 50)

    def standardised(part):
        pixels = torch.from_numpy(part.take()).permute(0, 3, 1, 2).float()
        mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (part.mean, part.std))
        return (pixels - mean) / std, torch.from_numpy(part.labels)

    torch.manual_seed(loop.stream(3, loop.INIT))
    network = cell()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    x, y = standardised(images)
    for epoch in range(2):
        order = torch.randperm(100, generator=torch.Generator().manual_seed(loop.stream(3, loop.ORDER, epoch)))
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[order], y[order]), batch_size=30)
        for inputs, labels in loader:
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(network(inputs), labels).backward()
            optimizer.step()
            schedule.step()
    found = weights(tmp_path)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    network.eval()
    x, y = standardised(valid)
    wrong = (network(x).argmax(1) != y).float().mean().item()
    assert outcome.valid_error == pytest.approx(100 * wrong, abs=1e-4)
    assert outcome.epochs == 2
    assert not outcome.reason
    curve = [json.loads(line) for line in (tmp_path / loop.CURVE).read_text().splitlines()]
    assert [row["epoch"] for row in curve] == [1, 2]
    assert curve[-1]["valid_error"] == outcome.valid_error
    assert not (tmp_path / loop.CHECKPOINT).exists()


def test_result_depends_on_seed_and_nothing_else(tmp_path):
    first = train(tmp_path / "a")
    torch.manual_seed(99)
    torch.rand(7)
    second = train(tmp_path / "b", PLAIN.overridden({"evaluate_every": 3}))  # decides nothing
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert first.valid_error == second.valid_error
    curve = [json.loads(line) for line in (tmp_path / "b" / loop.CURVE).read_text().splitlines()]
    assert [row.get("valid_error") for row in curve] == [None, second.valid_error]
    train(tmp_path / "c", seed=4)
    assert not torch.equal(weights(tmp_path / "a")["stem.0.weight"], weights(tmp_path / "c")["stem.0.weight"])


def test_each_split_is_brought_to_the_device_once(tmp_path, monkeypatch):
    """Not after each epoch: on a GPU that copies all images."""
    brought = []
    monkeypatch.setattr(loop, "Pixels", lambda images, device: brought.append(images.split) or Pixels(images, device))
    train(tmp_path)
    assert brought == ["train", "valid"]


def test_trainings_join_the_convolutions_of_a_cell(tmp_path):
    network = SizedNetwork([2] * 5, 10)
    assert np.isfinite(train(tmp_path, PLAIN.overridden({"epochs": 1}), lambda: network, n=30).valid_error)
    assert [getattr(cell, "joined", None) for cell in network.cells] == [True, None, True, None, True]


def test_the_callers_torch_is_left_as_it_was(tmp_path):
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tmp_path, PLAIN.overridden({"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


KILLED = """
    import os, signal, sys
    sys.path[:0] = {paths!r}
    from pathlib import Path
    import test_trained_loop as t

    calls = 0

    def dying():
        network = t.cell()
        inner = network.forward

        def forward(images):
            global calls
            calls += network.training
            if calls == {kill_at}:
                os.kill(os.getpid(), signal.SIGKILL)
            return inner(images)

        network.forward = forward
        return network

    t.train(Path({folder!r}), t.AUGMENTED, dying)
"""
#: Everything that draws random numbers; four steps an epoch.
AUGMENTED = TrainingRecipe("augmented", epochs=3, batch=30, lr=0.05, flip=True, crop=1, cutout=3)


@pytest.mark.long
def test_killed_in_the_middle_of_an_epoch_and_resumed(tmp_path):
    """Killed in the third of four steps of the second epoch: same weights, same curve, byte for byte.

    The default run kills such a training within a search: test_trained_search.py.
    """
    whole = train(tmp_path / "whole", AUGMENTED)
    folder = tmp_path / "killed"
    here = Path(__file__).parent
    paths = [str(ROOT), str(here), str(here.parent)]
    code = textwrap.dedent(KILLED).format(paths=paths, kill_at=7, folder=str(folder))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    state = torch.load(folder / loop.CHECKPOINT, weights_only=True)
    assert state["epoch"] == 1
    assert not (folder / loop.WEIGHTS).exists()
    resumed = train(folder, AUGMENTED)
    assert_same(weights(tmp_path / "whole"), weights(folder))
    assert (folder / loop.CURVE).read_bytes() == (tmp_path / "whole" / loop.CURVE).read_bytes()
    assert resumed.valid_error == whole.valid_error
    assert resumed.seconds > state["seconds"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_an_unreadable_checkpoint_costs_time_only(tmp_path, content):
    train(tmp_path / "whole")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / loop.CHECKPOINT).write_bytes(content)
    train(tmp_path / "torn")
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "torn"))


def test_a_training_nobody_waits_for_ends_after_its_epoch(tmp_path):
    with pytest.raises(SystemExit):
        train(tmp_path, parent=1 if os.getppid() != 1 else 2)
    assert torch.load(tmp_path / loop.CHECKPOINT, weights_only=True)["epoch"] == 1


def test_a_diverged_training_says_so(tmp_path):
    outcome = train(tmp_path, PLAIN.overridden({"lr": 1e30}))
    assert math.isnan(outcome.valid_error)
    assert "loss is nan in epoch" in outcome.reason
    assert not (tmp_path / loop.WEIGHTS).exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_out_of_memory_is_a_clear_message_and_no_result(tmp_path, error):
    def build():
        network = cell()

        def forward(images):
            raise error

        network.forward = forward
        return network

    with pytest.raises(RunError) as caught:
        train(tmp_path, build=build)
    assert "out of memory on cpu with 30 images per step" in str(caught.value)
    assert "batch=" in str(caught.value)


def test_a_full_disk_is_a_clear_message(tmp_path, monkeypatch):
    def full(state, file):
        file.write_bytes(b"some")
        raise RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match="Free space and give the same command again"):
        train(tmp_path)
    assert not list(tmp_path.glob("*.part"))


def test_devices_and_precisions_that_are_not_there(monkeypatch):
    bf16, fp16 = (PLAIN.overridden({"precision": p}) for p in ("bf16", "fp16"))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    for device, recipe, words in (
        ("cpu", bf16, "no bf16"),
        ("cpu", fp16, "fp16 needs a CUDA device"),
        ("cuda:99", PLAIN, "no device 'cuda:99'"),
        ("cuda:", PLAIN, "no device 'cuda:'"),
        ("gpu", PLAIN, "Known: auto, cpu"),
    ):
        with pytest.raises(UserError, match=words):
            loop.check_device(device, recipe.precision)


def test_bf16_and_memory_layout_train_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)  # emulated where it is not
    seen = []

    def build():
        network = cell()
        network.stem[0].register_forward_hook(lambda m, a, out: seen.append((a[0].dtype, out.dtype)))
        return network

    plain = train(tmp_path / "plain")
    wide = train(tmp_path / "wide", PLAIN.overridden({"channels_last": True}))
    half = train(tmp_path / "half", PLAIN.overridden({"precision": "bf16"}), build)
    assert seen[0] == (torch.float32, torch.bfloat16)
    a, b, c = (weights(tmp_path / k)["classifier.weight"] for k in ("plain", "wide", "half"))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(a, c, rtol=0.2, atol=0.05)
    assert c.dtype == torch.float32
    assert abs(plain.valid_error - wide.valid_error) <= 4
    assert math.isfinite(half.valid_error)


def test_label_smoothing_changes_the_loss_as_published(tmp_path):
    """With a network that answers nothing, the smoothed loss is log 10 whatever the smoothing; with bias it is not."""

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.arange(10.0))

        def forward(self, images):
            return self.logits.expand(len(images), 10)

    recipe = PLAIN.overridden({"label_smoothing": 0.2, "lr": 0.0, "epochs": 1, "batch": 100, "weight_decay": 0.0})
    train(tmp_path, recipe, Constant)
    logged = json.loads((tmp_path / loop.CURVE).read_text())["train_loss"]
    logp = np.arange(10) - np.log(np.exp(np.arange(10)).sum())
    labels = some().labels
    wanted = -(0.8 * logp[labels] + 0.2 * logp.mean()).mean()
    assert logged == pytest.approx(wanted, rel=1e-5)


def test_rmsprop_is_tensorflows():
    """Five steps against the formula of TensorFlow's RMSProp: ms starts at one, epsilon inside the root."""
    recipe = find_recipe("nb101-108")
    layer = nn.Linear(1, 1, bias=False)
    w, ms, momentum = layer.weight.item(), 1.0, 0.0
    optimizer = loop.make_optimizer(layer, recipe)
    for step in range(5):
        lr = recipe.lr_at(step)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        (3.0 * layer.weight.sum()).backward()
        optimizer.step()
        gradient = 3.0 + 1e-4 * w
        ms = 0.9 * ms + 0.1 * gradient**2
        momentum = 0.9 * momentum + lr * gradient / math.sqrt(ms + 1.0)
        w -= momentum
    assert layer.weight.item() == pytest.approx(w, rel=1e-5)


def test_one_image_left_over_is_dropped_and_a_batch_may_be_larger_than_the_data(tmp_path):
    train(tmp_path / "odd", PLAIN.overridden({"epochs": 1}), n=91)
    assert int(weights(tmp_path / "odd")["stem.1.num_batches_tracked"]) == 3
    train(tmp_path / "few", PLAIN.overridden({"epochs": 1, "batch": 500}))
    assert int(weights(tmp_path / "few")["stem.1.num_batches_tracked"]) == 1


def test_batch_norm_momentum_of_the_recipe_reaches_the_network(tmp_path):
    recipe = PLAIN.overridden({"epochs": 1, "batch": 100, "bn_momentum": 0.003, "lr": 0.0})
    train(tmp_path, recipe)
    var = weights(tmp_path)["stem.1.running_var"]
    train(tmp_path / "default", recipe.overridden({"bn_momentum": 0.1}))
    default = weights(tmp_path / "default")["stem.1.running_var"]
    torch.testing.assert_close((1 - var) / 0.003, (1 - default) / 0.1, rtol=1e-3, atol=1e-3)
