"""Training supernets: gradients, phases, resume after kill -9, two processes, failures."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
Image = pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.supernet import loop as supernet_training  # noqa: E402
from smemnas.bench.train.supernet.batches import step_subnets  # noqa: E402
from smemnas.bench.train.supernet.evaluation import describe, evaluate  # noqa: E402
from smemnas.bench.train.supernet.loop import sandwich, train_supernet  # noqa: E402
from smemnas.bench.train.supernet.plan import PHASES, PROGRESSIVE, SupernetPlan  # noqa: E402
from smemnas.spaces.mnv3_choices import Choices, name_of, read_name  # noqa: E402

pytestmark = pytest.mark.usefixtures("alone")
TIMES = {"seconds", "seconds_reading"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two classes that a network tells apart at once: horizontal and vertical stripes with noise, 8 x 8 pixels."""
    folder, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    stripes = np.where(np.arange(8) % 4 < 2, 200, 60)[:, None, None] * np.ones((8, 8, 3))
    for split, n in (("train", 40), ("test", 20)):
        for name, pattern in (("across", stripes), ("along", stripes.transpose(1, 0, 2))):
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(pattern + rng.normal(0, 20, pattern.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return folder


def tiny(images, **changes):
    fields = {"width": 0.1, "strides": (1, 2, 1, 1, 1), "epochs": 3, "batch": 24, "crop": 1, "lr": 0.05, "n_random": 1}
    return SupernetPlan(str(images), **{**fields, **changes})


def without_times(rows):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["state_dict"]


def script(images, out, before="", epochs=3):
    """A program of its own that trains the tiny plan."""
    return textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        import torch
        torch.set_num_threads(1)
        from smemnas.bench.train.supernet import loop as supernet_training
        from smemnas.bench.train.supernet.plan import SupernetPlan
        {before}
        plan = SupernetPlan.from_dict({tiny(images, deterministic=True, epochs=epochs).to_dict()!r})
        supernet_training.train_supernet(plan, Path({str(out)!r}), device="cpu")
    """)


def run(*command, code=None):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], env=env, input=code, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_gradient_of_a_step_is_the_sum_over_its_sub_networks():
    torch.manual_seed(0)
    shape = Shape(0.1, 3, 1, (1, 2, 1, 1, 1))
    plan = SupernetPlan("digits", smoothing=0.2)
    net, other = Supernet(shape).double().train(), Supernet(shape).double().train()
    other.load_state_dict(net.state_dict())
    x, y = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    large, small = Choices().largest(), Choices().smallest()
    losses = sandwich(net, x.float().double(), y, [large, small], plan.recipe, 0.5)

    top = other(x.float().double(), large).log_softmax(1)
    smooth = torch.full((6, 3), 0.2 / 3, dtype=torch.float64)
    smooth[torch.arange(6), y] += 0.8
    label_loss = -(smooth * top).sum(1).mean()
    distillation = -(top.detach().exp() * other(x.float().double(), small).log_softmax(1)).sum(1).mean()
    (0.5 * (label_loss + distillation)).backward()
    assert torch.allclose(losses.double(), 0.5 * torch.stack([label_loss, distillation]), rtol=1e-5)
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            assert torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-6), name


def test_phases_open_one_after_another():
    plan = SupernetPlan("digits", epochs=12, phases=PROGRESSIVE, n_random=3)
    assert [plan.phase(e) for e in range(0, 12, 2)] == list(PROGRESSIVE)
    assert [plan.shrinks_from(e) for e in range(12)] == [None] * 8 + [6, None, 4, None]
    for epoch in range(12):
        choices = PHASES[plan.phase(epoch)]
        nets, side = step_subnets(plan, (24, 32), epoch, 0)
        assert nets[0] == choices.largest()
        assert choices.smallest() in nets
        assert side in (24, 32)
        assert len(nets) == (1 if plan.phase(epoch) == "largest" else 5)
        for net in nets:
            assert set(net.depths) <= set(choices.depths)
            assert set(net.kernels) <= set(choices.kernels)
            assert set(net.expansions) <= set(choices.expansions)
    sizes = [(len(c.depths), len(c.kernels), len(c.expansions)) for c in PHASES.values()]
    assert sizes == [(1, 1, 1), (1, 3, 1), (2, 3, 1), (3, 3, 1), (3, 3, 2), (3, 3, 3)]
    assert {step_subnets(plan, (24, 32), 11, s)[1] for s in range(20)} == {24, 32}


@pytest.mark.long
@pytest.mark.slow
def test_it_learns_and_only_recalibrated_sub_networks_show_it(images, tmp_path):
    plan = tiny(images, epochs=12, phases=("largest", "expansion-4", "all"), n_random=2, resolutions=(8, 12))
    rows = train_supernet(plan, tmp_path, device="cpu")
    assert [row["phase"] for row in rows[::4]] == ["largest", "expansion-4", "all"]
    assert rows[-1]["loss"] < rows[0]["loss"]
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written == rows
    found = evaluate(tmp_path / "checkpoint.pt", split="test", n_random=3, device="cpu")
    assert [row["images"] for row in found] == [40] * 5
    assert min(row["accuracy"] for row in found) > 85
    assert read_name(found[0]["arch"]) == (Choices().largest(), 12)
    assert found[1]["madds"] < found[0]["madds"]
    text = describe(tmp_path / "checkpoint.pt")
    assert text["trained"] == "12 of 12 epochs, phases largest, expansion-4, all"
    assert text["smallest"].startswith(name_of(Choices().smallest(), 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "epochs"),
    [
        pytest.param("supernet_training.sandwich", 1, marks=pytest.mark.long),
        ("os.replace", 1),  # as far as the one above, and with a checkpoint that is half in place: for the default run
        pytest.param("torch.save", 2, marks=pytest.mark.long),
    ],
    ids=["in a step", "before the checkpoint is in place", "before a later checkpoint is written"],
)
def test_a_killed_training_ends_as_one_that_was_not(images, tmp_path, place, epochs):
    """Kill -9 in the second call after so many epochs; the same command then gives the same weights."""
    calls, counted = {
        "supernet_training.sandwich": (3 + 2, "True"),
        "os.replace": (2, "Path(args[1]).name == 'checkpoint.pt'"),  # images are put in their place too
        "torch.save": (3, "True"),
    }[place]
    killer = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        calls, real = 0, {place}
        def kill(*args, **kwargs):
            global calls
            calls += {counted}
            if calls == {calls}:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        {place} = kill
    """).replace("\n", "\n        ")
    killed = run("-", code=script(images, tmp_path / "killed", killer, epochs=epochs + 1))
    assert killed.returncode == -9, killed.stderr
    assert torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["epoch"] == epochs
    plan = tiny(images, deterministic=True, epochs=epochs + 1)
    resumed = train_supernet(plan, tmp_path / "killed", device="cpu")
    whole = train_supernet(plan, tmp_path / "whole", device="cpu")
    assert without_times(resumed) == without_times(whole)
    a, b = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert list(a) == list(b)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert (tmp_path / "killed" / "metrics.jsonl").read_text().count("\n") == epochs + 1


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_equal_one_that_accumulates_and_resume(images, tmp_path):
    pytest.importorskip(
        "torch.distributed", reason="install a torch build with distributed support (Linux wheels have it)"
    )
    code = tmp_path / "train.py"
    code.write_text(script(images, tmp_path / "two"))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(code))
    if not torch.distributed.is_available():
        pytest.skip("install a torch build with distributed support (Linux wheels have it)")
    broken = tmp_path / "broken.py"
    broken.write_text(
        script(
            images,
            tmp_path / "two",
            "real = supernet_training.read_accuracies\n"
            "        def read(training, epoch, *rest):\n"
            "            return real(training, epoch, *rest) if epoch == 0 else os.kill(os.getpid(), signal.SIGKILL)\n"
            "        supernet_training.read_accuracies = read",
        )
    )
    first = run(*torchrun[:-1], str(broken))
    assert first.returncode != 0
    assert torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)["epoch"] == 1
    second = run(*torchrun)
    assert second.returncode == 0, second.stderr
    code.write_text(script(images, tmp_path / "whole"))
    assert run(*torchrun).returncode == 0
    losses = [
        [
            [row["loss"], row["distillation_loss"]]
            for row in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        ]
        for name in ("two", "whole")
    ]
    assert losses[0] == losses[1]  # resumed and uninterrupted: bit for bit
    a, b = weights(tmp_path / "two"), weights(tmp_path / "whole")
    assert all(torch.equal(a[key], b[key]) for key in b)
    plan = tiny(images, deterministic=True)
    one = train_supernet(plan, tmp_path / "one", device="cpu", accumulate=2)
    expected = [[row["loss"], row["distillation_loss"]] for row in one]
    assert losses[0][0] == pytest.approx(expected[0], rel=1e-5)
    # Sums in another order differ in the last digits, which training then amplifies.
    assert losses[0][-1] == pytest.approx(expected[-1], rel=0.02)


def test_accumulation_differs_from_one_batch_by_batch_norm_only(images, tmp_path):
    rows = [
        train_supernet(tiny(images, epochs=1), tmp_path / str(parts), device="cpu", accumulate=parts)[0]
        for parts in (1, 2)
    ]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=0.2)
    assert rows[0]["loss"] != rows[1]["loss"]
    with pytest.raises(UserError, match="cannot be split into 5 equal parts"):
        train_supernet(tiny(images), tmp_path / "5", device="cpu", accumulate=5)


def test_a_loss_that_is_no_number_stops_and_keeps_what_was(images, tmp_path, monkeypatch):
    real, calls = supernet_training.sandwich, []

    def poisoned(net, *rest):
        calls.append(1)
        losses = real(net, *rest)
        return losses * float("nan") if len(calls) == 5 else losses

    monkeypatch.setattr(supernet_training, "sandwich", poisoned)
    with pytest.raises(RunError, match=r"became nan in epoch 2, step 2 of 3.*weights after epoch 1 are kept") as caught:
        train_supernet(tiny(images), tmp_path, device="cpu")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    net, content = load_supernet(tmp_path / "checkpoint.pt")
    assert content["epoch"] == 1
    assert all(p.isfinite().all() for p in net.parameters())


def test_a_real_divergence_is_caught(images, tmp_path):
    with pytest.raises(RunError, match="no epoch was finished"):
        train_supernet(tiny(images, lr=1e20), tmp_path, device="cpu")


def test_clipping_bounds_the_step(images, tmp_path):
    """Without momentum and decay, one step of rate lr moves the weights by at most lr times the bound."""
    plan = tiny(images, epochs=1, batch=60, clip=1e-3, momentum=0.0, weight_decay=0.0, lr=1.0)
    torch.manual_seed(plan.seed)
    before = Supernet(plan.shape(2)).state_dict()
    train_supernet(plan, tmp_path, device="cpu")
    after = weights(tmp_path)
    moved = sum(
        float((after[k] - before[k]).square().sum()) for k in before if "running" not in k and "num_batches" not in k
    )
    assert 0 < moved**0.5 <= 1e-3 * 1.01


def test_another_plan_or_other_images_are_refused(images, tmp_path, monkeypatch):
    train_supernet(tiny(images, epochs=1), tmp_path, device="cpu")
    with pytest.raises(RunError, match=r"holds a training with lr 0.05, not 0.2"):
        train_supernet(tiny(images, epochs=1, lr=0.2), tmp_path, device="cpu")
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({**content, "data_sha256": "0" * 64}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match="other images"):
        train_supernet(tiny(images, epochs=1), tmp_path, device="cpu")


def test_bfloat16_trains_or_says_why_not(images, tmp_path, monkeypatch):
    plan = tiny(images, epochs=1, amp=True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(UserError, match=r"--amp computes in bfloat16, which this processor lacks"):
        train_supernet(plan, tmp_path, device="cpu")
    monkeypatch.undo()
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("run it on a processor that computes in bfloat16 (AVX-512 BF16, AMX or Armv8.6)")
    row = train_supernet(plan, tmp_path, device="cpu")[0]
    plain = train_supernet(tiny(images, epochs=1), tmp_path / "plain", device="cpu")[0]
    assert row["loss"] == pytest.approx(plain["loss"], rel=0.1)
    assert row["loss"] != plain["loss"]


def test_options_that_make_no_sense_are_refused(images, tmp_path):
    for changes, words in (
        ({"stem": "smal"}, "Did you mean 'small'"),
        ({"phases": ("kernal",)}, "Did you mean 'kernel'"),
        ({"phases": ("all", "kernel")}, "in the order"),
        ({"phases": PROGRESSIVE, "epochs": 3}, "6 phases need"),
        ({"phases": ()}, "0 phases need"),
        ({"resolutions": (32, 24)}, "ascending"),
        ({"batch": 1}, "batch is at least 2"),
        ({"lr": 0.0}, "lr positive"),
        ({"lr": float("nan")}, "lr must be"),
        ({"clip": -1.0}, "clip are 0 or more"),
        ({"momentum": 1.0}, "momentum must lie"),
        ({"epochs": 0}, "need"),
        ({"width": 100.0}, "width multiplier"),
        ({"strides": (1, 2)}, "strides"),
    ):
        with pytest.raises(UserError, match=words):
            SupernetPlan(str(images), **changes)
    with pytest.raises(UserError, match="fewer than --batch 1000"):
        train_supernet(tiny(images, batch=1000), tmp_path, device="cpu")
    with pytest.raises(UserError, match="no device 'tpu'"):
        train_supernet(tiny(images), tmp_path / "x", device="tpu")


def test_names_of_architectures():
    arch = Choices().sample(np.random.default_rng(0))
    read, resolution = read_name(name_of(arch, 24))
    assert resolution == 24
    assert name_of(read, resolution) == name_of(arch, 24)
    assert read.depths == arch.depths
    for stage, depth in enumerate(arch.depths):  # layers beyond the depth are in no name
        used = slice(4 * stage, 4 * stage + depth)
        assert read.kernels[used] == arch.kernels[used]
        assert read.expansions[used] == arch.expansions[used]
    for wrong in ("3333", "r4-3333-3333-3333-3333-3333", "r32-3333", "r32-4333-3333-3333-3333-3333", "r-33"):
        with pytest.raises(UserError):
            read_name(wrong)
