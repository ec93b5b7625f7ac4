"""Mistakes and misfortunes with supernets: one clear line each, and what was finished before stays usable."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, one_thread, write_folder  # noqa: E402, F401

from smemnas.bench.train import images as data  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.layers import ElasticDepthwise  # noqa: E402
from smemnas.bench.train.supernet import loop as supernet_training  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402

ARCH = "r8-3333-3333-3333-3333-3333"
OUT_OF_MEMORY = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "Python": MemoryError(),
}


@pytest.fixture(autouse=True)
def images(data_home, one_thread, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(supernet_training, "RANDOM_READ", 1)  # reading accuracies takes most of so short a training
    data._open.cache_clear()
    write_folder(tmp_path / "images", per_class=10)
    yield tmp_path / "images"
    data._open.cache_clear()


def train(images, out, **changed):
    options = {
        "width": 0.1, "strides": "2,2,1,1,1", "epochs": 2, "batch": 9, "random": 0, "crop": 1, "lr": 0.01,
        "device": "cpu", **changed,
    }  # fmt: skip
    flat = [word for key, value in options.items() for word in (f"--{key}", value)]
    return ("supernet", "train", "--data", images, "--out", out, *flat)


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_unknown_images_leave_no_folder(tmp_path, fails):
    fails(train("nowhere", tmp_path / "new" / "er"), "no data set 'nowhere'")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", OUT_OF_MEMORY)
def test_out_of_memory_names_a_way_out_that_works(images, tmp_path, monkeypatch, call, fails, kind):
    """Memory runs out in the second epoch; the first is kept, and the command that the message names goes on."""
    real, calls, out = supernet_training.sandwich, [], tmp_path / "net"

    def short(*args):
        calls.append(1)
        if len(calls) == 3 + 2:
            raise OUT_OF_MEMORY[kind]
        return real(*args)

    monkeypatch.setattr(supernet_training, "sandwich", short)
    words = ("out of memory with 8 images per step", "--accumulate 2", "epochs are kept")
    fails(train(images, out, batch=8), *words, note=f"{images} holds out 3 images for validation")
    first = rows(out)
    assert [row["epoch"] for row in first] == [1]
    code, _, error = call(*train(images, out, batch=8, accumulate=2))
    assert (code, error) == (0, "")
    assert [row["epoch"] for row in rows(out)] == [1, 2]
    assert rows(out)[0] == first[0]


def test_out_of_memory_while_reading_is_one_line(images, tmp_path, monkeypatch, call, fails):
    out = tmp_path / "net"
    assert call(*train(images, out, epochs=1))[0] == 0

    def short(*_):
        raise OUT_OF_MEMORY["CPU"]

    monkeypatch.setattr(torch.nn.Conv2d, "forward", short)
    fails(("supernet", "eval", out / "checkpoint.pt", "--device", "cpu"), "out of memory on cpu", "8 x 8 pixels")


def test_other_errors_are_not_taken_for_a_lack_of_memory(images, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(ElasticDepthwise, "forward", broken)
    plan = SupernetPlan(str(images), width=0.1, epochs=1, batch=9, n_random=0)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        supernet_training.train_supernet(plan, tmp_path / "net", device="cpu")


def test_a_divergence_keeps_the_epochs_before_it(images, tmp_path, monkeypatch, call, fails):
    """A learning rate that is far too large for the second epoch only."""
    out, lr_at = tmp_path / "net", supernet_training.TrainingRecipe.lr_at
    monkeypatch.setattr(
        supernet_training.TrainingRecipe, "lr_at", lambda self, at: 1e20 if at >= 1 else lr_at(self, at)
    )
    fails(
        train(images, out),
        "the loss became",
        "in epoch 2",
        "weights after epoch 1 are kept",
        "--lr",
        note=f"{images} holds out 3",
    )
    assert [row["epoch"] for row in rows(out)] == [1]
    net, content = load_supernet(out / "checkpoint.pt")
    assert content["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in net.state_dict().values())
    code, text, _ = call("supernet", "eval", out / "checkpoint.pt", ARCH, "--device", "cpu")
    assert code == 0
    assert text.strip().endswith(ARCH)


def test_a_checkpoint_of_another_width_is_refused_and_stays(images, tmp_path, call, fails):
    out = tmp_path / "net"
    assert call(*train(images, out, epochs=1))[0] == 0
    before = (out / "checkpoint.pt").read_bytes()
    fails(train(images, out, epochs=1, width=0.2), "width 0.1, not 0.2", "--out")
    assert (out / "checkpoint.pt").read_bytes() == before
    # A file whose tensors are not those of the width it states.
    content = torch.load(out / "checkpoint.pt", weights_only=True)
    content["shape"]["width"] = 0.35
    save(tmp_path / "wide.pt", content)
    for command in (("supernet", "eval"), ("supernet", "info")):
        fails((*command, tmp_path / "wide.pt"), "wide.pt holds no MobileNetV3 supernet of width 0.35")
    fails(("export", tmp_path / "wide.pt", ARCH, "--out", tmp_path / "export"), "of width 0.35")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.99])
def test_a_truncated_checkpoint_is_named(images, tmp_path, call, fails, share):
    out = tmp_path / "net"
    assert call(*train(images, out, epochs=1))[0] == 0
    file = out / "checkpoint.pt"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    words = str(file), "no readable torch file"
    fails(("supernet", "eval", file, "--device", "cpu"), *words)
    fails(("export", file, ARCH, "--out", tmp_path / "export"), *words)
    fails(train(images, out, epochs=1), *words)
    assert len(rows(out)) == 1


def test_missing_data_is_named(images, tmp_path, call, fails):
    fails(train(tmp_path / "nowhere", tmp_path / "net"), "no folder or tar file of images at", "nowhere")
    out = tmp_path / "net"
    assert call(*train(images, out, epochs=1))[0] == 0
    (tmp_path / "images").rename(tmp_path / "moved")
    data._open.cache_clear()
    fails(("supernet", "eval", out / "checkpoint.pt", "--device", "cpu"), "no folder or tar file of images at")
    moved = ("--data", tmp_path / "moved", "--device", "cpu")
    code, text, _ = call("supernet", "eval", out / "checkpoint.pt", ARCH, *moved)
    assert code == 0
    assert text.strip().endswith(ARCH)


def test_a_processor_without_bfloat16_is_named(images, tmp_path, monkeypatch, fails):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    fails((*train(images, tmp_path / "net"), "--amp"), "--amp computes in bfloat16, which this processor lacks")
    assert not (tmp_path / "net" / "checkpoint.pt").exists()
