"""The final training's loop: schedules, randomness, resume after kill -9, two processes, moving average, teacher."""

import itertools
import json
import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT
from small_images import write_folder

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
timm = pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from torch.nn import functional as F  # noqa: E402

from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, own_content, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import extract_timm  # noqa: E402
from smemnas.bench.train.retrain import loop  # noqa: E402
from smemnas.bench.train.retrain.images import Photos, training_batches, training_transform  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.parts import make_optimizer, make_scheduler  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.recipes import OPTIMIZERS, SCHEDULES, find_retrain_recipe  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402
from smemnas.bench.train.supernet.recalibration import recalibrate  # noqa: E402
from smemnas.spaces.mnv3_choices import Choices, read_name  # noqa: E402

pytestmark = pytest.mark.usefixtures("alone")
ARCH = "r8-3333-3333-3333-3333-3333"
CPU = Machine("cpu")
#: Everything random at once.
RICH = (
    *("batch=12", "epochs=2", "lr=0.02", "ema=0.7", "mixup=0.4", "cutmix=1", "dropout=0.2", "drop_path=0.2"),
    *("autoaugment=rand-m5-mstd0.5", "erasing=0.5", "erasing_mode=pixel", "cutout=3", "crop=1", "clip=2"),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three classes of 8 x 8 noise: 36 images to train on, 3 to validate, 12 to test."""
    folder = tmp_path_factory.mktemp("noise") / "images"
    write_folder(folder, per_class=13)
    return folder


@pytest.fixture(scope="module")
def supernet(tmp_path_factory, images):
    """A supernet with random weights, as `supernet train` would write it for these images."""
    plan = SupernetPlan(str(images), width=0.1, strides=(1, 2, 1, 1, 1), epochs=1)
    torch.manual_seed(0)
    content = own_content(plan.shape(3), Supernet(plan.shape(3)))
    path = tmp_path_factory.mktemp("supernet") / "checkpoint.pt"
    save(path, {**content, "plan": plan.to_dict(), "resolutions": [8], "epoch": 1, "metrics": []})
    return path


def plan_of(supernet, *changes, arch=ARCH, **wishes):
    return make_plan(supernet, Wishes(arch=arch, preset="small", changes=changes, **wishes))[0]


def weights(folder):
    return torch.load(folder / "weights.pt", weights_only=True)


def assert_same(a, b):
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_schedules_follow_their_closed_forms():
    steps, net = 10, torch.nn.Linear(2, 2)

    def rates(recipe):
        optimizer = make_optimizer(net, recipe)
        scheduler = make_scheduler(optimizer, recipe, steps)
        found = []
        for update in range(steps * recipe.epochs):
            scheduler.step_update(update)
            found += {group["lr"] for group in optimizer.param_groups}
        return found

    small = find_retrain_recipe("small").overridden(["epochs=5", "warmup=1", "min_lr=0.001"])
    wanted = [
        0.05 * t / 10 if t < 10 else 0.001 + (0.05 - 0.001) * (1 + math.cos(math.pi * t / 50)) / 2 for t in range(50)
    ]
    assert rates(small) == pytest.approx(wanted, rel=1e-9)
    imagenet = find_retrain_recipe("imagenet").overridden(["epochs=9", "batch=64"])
    peak = 0.006 * 64 / 256
    wanted = [1e-6 + (peak - 1e-6) * t / 30 if t < 30 else peak * 0.97 ** (t // 24) for t in range(90)]
    assert rates(imagenet) == pytest.approx(wanted, rel=1e-9)


def test_every_optimizer_and_schedule_of_a_recipe_is_one_of_timm():
    base = find_retrain_recipe("small").overridden(["epochs=3", "warmup=0"])
    for name, schedule in itertools.zip_longest(OPTIMIZERS, SCHEDULES, fillvalue="cosine"):
        recipe = base.overridden([f"optimizer={name}", f"schedule={schedule}"])
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        optimizer = make_optimizer(net, recipe.overridden(["weight_decay=0.1"]))
        decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        assert [decay[id(p)] > 0 for p in net.parameters()] == [True, False, False, False]
        scheduler = make_scheduler(optimizer, recipe, 4)
        scheduler.step_update(0)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05, rel=0.01)
        scheduler.step_update(11)
        assert 0 <= optimizer.param_groups[0]["lr"] <= 0.05


def test_augmentation_depends_on_seed_epoch_and_image_only(images):
    recipe = find_retrain_recipe("small").overridden(["autoaugment=rand-m9-mstd0.5", "erasing=0.6", "rrc=0.3"])
    train = open_images(str(images), "train")
    photos = Photos([train], training_transform(recipe, train, 8), recipe)

    def batches(rows, *, epoch=0, workers=0, seed=0, parts=None):
        parts = list(range(len(rows))) if parts is None else parts
        found = training_batches(
            photos, rows, recipe, seed=seed, epoch=epoch, parts=parts, device=torch.device("cpu"), workers=workers
        )
        return [(x.clone(), y.clone()) for x, y in found]

    rows = np.arange(36).reshape(3, 12)
    first = batches(rows)
    for other in (batches(rows), batches(rows, workers=2)):
        assert all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, other, strict=True))
    assert all(
        torch.equal(a, c) for (a, _), (c, _) in zip(first[1:2], batches(rows[1:2], parts=[1]), strict=True)
    )  # what another process would load
    for other in (batches(rows, epoch=1), batches(rows, seed=1)):
        assert not any(torch.equal(a, c) for (a, _), (c, _) in zip(first, other, strict=True))
    assert torch.cat([y for _, y in first]).tolist() == train.labels.tolist()


def script(images, supernet, out, changes, extra=""):
    """Return code that trains like `plan_of` in another process."""
    return textwrap.dedent(f"""
        import os, signal, sys, torch
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        torch.set_num_threads(1)
        from smemnas.bench.train.retrain import loop
        from smemnas.bench.train.retrain.plan import Wishes, make_plan
        from smemnas.bench.train.retrain.state import Machine
        plan, _ = make_plan(Path({str(supernet)!r}), Wishes(arch={ARCH!r}, preset="small", changes={changes!r}))
        {extra}
        loop.retrain(plan, Path({str(out)!r}), Machine("cpu"))
    """)


def run_python(*args):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, timeout=600)


def test_killed_in_an_epoch_and_resumed_equals_uninterrupted(images, supernet, tmp_path):
    kill = (
        "real, steps = loop.cut_out, []\n"
        "        def cut(*args):\n"
        "            steps.append(1)\n"
        "            return os.kill(os.getpid(), signal.SIGKILL) if len(steps) == 5 else real(*args)\n"
        "        loop.cut_out = cut"
    )
    changes = (*RICH, "distill=0.5")
    done = run_python("-c", script(images, supernet, tmp_path / "killed", changes, kill))
    assert done.returncode == -9, done.stderr
    kept = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)
    assert [row["epoch"] for row in kept["rows"]] == [0, 1]
    plan = plan_of(supernet, *changes)
    resumed = retrain(plan, tmp_path / "killed", CPU)
    whole = retrain(plan, tmp_path / "whole", CPU)
    assert_same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    for result in (resumed, whole):
        assert result["weights"] == "moving average, last epoch"
        del result["seconds"], result["seconds_test"]
    assert resumed == whole
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("killed", "whole")]
    losses = [[row.get("loss") for row in map(json.loads, found)] for found in lines]
    assert losses[0] == losses[1]
    assert not (tmp_path / "whole" / "checkpoint.pt").exists()
    assert json.loads((tmp_path / "whole" / "result.json").read_text())["top1"] == whole["top1"]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.long)], ids=["whole", "killed"])
def test_two_processes_equal_one_that_accumulates_and_resume(images, supernet, tmp_path, killed):
    """By torchrun; one process that is killed in an epoch resumes in the test above."""
    if not torch.distributed.is_available():
        pytest.skip("install a torch build with distributed support (Linux wheels have it)")
    changes = ("batch=12", "epochs=2", "lr=0.02", "dropout=0.2", "mixup=0.4")
    code = tmp_path / "train.py"
    kill = (
        "real = loop._epoch\n        loop._epoch = lambda t, e, p: real(t, e, p) if e == 0 else os.kill(os.getpid(), 9)"
    )
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(code))
    if killed:
        code.write_text(script(images, supernet, tmp_path / "two", changes, kill))
        assert run_python(*torchrun).returncode != 0
    code.write_text(script(images, supernet, tmp_path / "two", changes))
    done = run_python(*torchrun)
    assert done.returncode == 0, done.stderr
    one = retrain(plan_of(supernet, *changes), tmp_path / "one", Machine("cpu", accumulate=2))
    two = json.loads((tmp_path / "two" / "result.json").read_text())
    assert (two["processes"], two["test_images"], one["test_images"]) == (2, 39, 39)
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()][1:]
        for name in ("one", "two")
    ]
    assert [row["loss"] for row in rows[1]] == pytest.approx([row["loss"] for row in rows[0]], rel=1e-4)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in a.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(b[name], value, rtol=1e-3, atol=1e-4)


def test_the_moving_average_is_the_recurrence(supernet, tmp_path, monkeypatch):
    from timm.utils import ModelEmaV3

    seen, real = [], ModelEmaV3.update

    def update(self, model, step=None):
        if not seen:
            seen.append({k: v.clone() for k, v in self.module.state_dict().items()})
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return real(self, model, step)

    monkeypatch.setattr(ModelEmaV3, "update", update)
    retrain(plan_of(supernet, "batch=12", "epochs=5", "ema=0.8"), tmp_path / "a", CPU)
    assert len(seen) == 1 + 15
    average = {k: v.double() for k, v in seen[0].items()}
    for now in seen[1:]:
        average = {k: 0.8 * v + 0.2 * now[k].double() for k, v in average.items()}
    for name, value in weights(tmp_path / "a").items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-6)
    seen.clear()
    retrain(plan_of(supernet, "batch=36", "epochs=1", "ema=0.8", "ema_warmup=true"), tmp_path / "b", CPU)
    assert_same(weights(tmp_path / "b"), seen[1])  # the decay starts at 0


def test_the_loss_is_that_of_labels_and_teacher(images, supernet, tmp_path):
    """One step on all images without augmentation, recomputed from the networks by hand."""
    changes = ("batch=36", "epochs=1", "crop=0", "flip=false", "smoothing=0.1", "distill=2", "warmup=0")
    result = retrain(plan_of(supernet, *changes), tmp_path, CPU)
    train = open_images(str(images), "train")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (train.mean, train.std))
    x = (torch.from_numpy(train.take()).permute(0, 3, 1, 2) / 255 - mean) / std
    y = torch.from_numpy(train.labels)
    net, teacher = (extract_timm(load_supernet(supernet)[0], a) for a in (read_name(ARCH)[0], Choices().largest()))
    recalibrate(teacher, [x])
    with torch.no_grad():
        logits, taught = net.train()(x), teacher(x).softmax(1)
        own = F.cross_entropy(logits, y, label_smoothing=0.1)
        told = -(taught * logits.log_softmax(1)).sum(1).mean()
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[1])
    assert row["loss"] == pytest.approx(float(own + 2 * told) / 3, rel=1e-4)
    assert result["start"] == "inherited weights"


def test_drop_path_and_dropout_reach_the_network(supernet):
    from timm.layers import DropPath

    from smemnas.bench.train.retrain.networks import build

    net = build(plan_of(supernet, "drop_path=0.3", "dropout=0.4"), 3, 8)
    rates = [m.drop_prob for m in net.modules() if isinstance(m, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.3, abs=0.05)
    assert net.drop_rate == 0.4


def test_progress_is_told_early_in_an_epoch(supernet, tmp_path):
    """Who measures a few steps of a long epoch need not wait for its fiftieth."""
    told = []
    retrain(plan_of(supernet, "batch=4", "epochs=2"), tmp_path / "a", CPU, progress=lambda *at: told.append(at))
    assert told == [(n, 18) for n in (1, 2, 4, 8, 9, 10, 11, 13, 17, 18)]


def test_a_loss_that_is_no_number_keeps_what_was(supernet, tmp_path, monkeypatch):
    real, count = loop.stream, itertools.count()
    with pytest.raises(RunError, match=r"loss became nan in epoch 1, step 3 of 3.*no epoch was finished"):
        retrain(plan_of(supernet, "batch=12", "lr=1e30", "warmup=0"), tmp_path / "lr", CPU)
    assert not (tmp_path / "lr" / "checkpoint.pt").exists()
    plan = plan_of(supernet, "batch=36", "epochs=3")

    def poisoned(*at):  # is asked for once per step, and there is one per epoch
        if next(count) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(*at)

    monkeypatch.setattr(loop, "stream", poisoned)
    with pytest.raises(
        RunError, match=r"out of memory with 36 images.*finished epochs are kept.*--accumulate 2"
    ) as error:
        retrain(plan, tmp_path / "oom", CPU)
    assert "\n" not in str(error.value)
    assert len(torch.load(tmp_path / "oom" / "checkpoint.pt", weights_only=True)["rows"]) == 2


def test_mistakes_are_one_line(images, supernet, tmp_path, monkeypatch):
    def refused(words, *changes, kind=UserError, out="x", machine=CPU, **wishes):
        with pytest.raises(kind, match=words) as error:
            retrain(plan_of(supernet, *changes, **wishes), tmp_path / out, machine)
        assert "\n" not in str(error.value)

    refused("fewer than a batch of 128")
    refused("cannot be split into 5 equal parts", "batch=12", machine=Machine("cpu", accumulate=5))
    refused("even number each", "batch=6", "mixup=0.2", machine=Machine("cpu", accumulate=2))
    refused("no augmentation policy 'ranm9'", "batch=12", "autoaugment=ranm9")
    refused("fp16 needs a CUDA device", "batch=12", "precision=fp16")
    refused("has width 0.1, not 0.35", width=0.35)
    refused("leave --stem and --strides out", stem="imagenet")
    refused(r"timm has no model 'mobilenetv3_smal_050'\. Did you mean", arch="timm:mobilenetv3_smal_050")
    refused("--resolution 16 contradicts", resolution=16)
    refused("no device 'tpu'", "batch=12", machine=Machine("tpu"))
    refused("no folder or tar file", data=str(tmp_path / "nowhere"))
    refused("knows 3 classes and cannot teach 10", "distill=1", "batch=12", data="digits")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    refused("this processor has no bf16", "batch=12", "precision=bf16")
    retrain(plan_of(supernet, "batch=36", "epochs=1"), tmp_path / "x", CPU)
    refused("holds a training with lr 0.05, not 0.1", "batch=36", "epochs=1", "lr=0.1", kind=RunError)
    refused("holds a training with seed 0, not 1", "batch=36", "epochs=1", seed=1, kind=RunError)
    for wishes, words in (
        ({"arch": ARCH, "pick": "knee"}, "give one of them"),
        ({"arch": ARCH}, "on which images"),
        ({"arch": "r8-33", "data": "digits"}, "not an mnv3 architecture"),
        ({"arch": ARCH, "data": "digits", "stem": "smal"}, "Did you mean 'small'"),
        ({"arch": ARCH, "data": "digits", "changes": ("distill=1",)}, "needs a teacher"),
        ({"data": "digits"}, "--pick belongs to the folder of a run"),
    ):
        with pytest.raises(UserError, match=words):
            make_plan(None, Wishes(**{"preset": "small", **wishes}))


def test_other_classes_get_a_new_classifier_and_all_images_leave_none_to_read(supernet, tmp_path):
    plan = plan_of(supernet, "batch=128", "epochs=1", "flip=false", "crop=1", data="digits", all_images=True)
    result = retrain(plan, tmp_path, CPU)
    assert (result["start"], result["start_classifier"]) == ("inherited weights", "random")
    assert result["definition"]["num_classes"] == 10
    assert (result["valid_top1"], result["training_images"]) == (None, 1797 - result["test_images"])
    stem = load_supernet(supernet)[0].state_dict()["first_conv.conv.weight"]
    assert weights(tmp_path)["conv_stem.weight"].shape == stem.shape
