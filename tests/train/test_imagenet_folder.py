"""ImageNet's path on 1,000 classes of small JPEGs: training, reading, export, and what can be wrong with the data."""

import json
import re
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import write_imagenet  # noqa: E402

from smemnas.bench.train import image_files as data_files  # noqa: E402
from smemnas.bench.train import images as data  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import own_content, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402

ARCH = "r40-3333-3333-3333-3333-3333"
CLASS = "n00000500"


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A folder with the images, which are decoded beside them."""
    root = tmp_path_factory.mktemp("imagenet")
    write_imagenet(root / "images")
    return root


@pytest.fixture(autouse=True)
def own_data_folder(imagenet, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(imagenet / "home"))
    data._open.cache_clear()
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    data._open.cache_clear()


def train(folder, out, *more):
    return (
        "supernet", "train", "--data", folder, "--size", 40, "--stem", "imagenet", "--resolutions", "32,40",
        "--width", 0.1, "--epochs", 1, "--batch", 250, "--random", 0, "--lr", 0.05, "--device", "cpu",
        "--threads", 1, "--out", out, *more,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_one_epoch_reading_and_export(imagenet, tmp_path, call):
    folder, out = imagenet / "images", tmp_path / "net"
    code, text, error = call(*train(folder, out))
    assert (code, error) == (0, "")
    row = json.loads((out / "metrics.jsonl").read_text())
    assert row["steps"] == 16
    assert 0 < row["loss"] < 2 * np.log(1000)
    assert f"largest {row['largest']:.2f} %" in text

    sizes = {split: len(open_images(str(folder), split, size=40)) for split in ("train", "valid", "test")}
    assert sizes == {"train": 4000, "valid": 1000, "test": 1000}
    code, text, error = call(
        "supernet", "eval", out / "checkpoint.pt", ARCH, "--split", "test", "--images", 250, "--device", "cpu"
    )
    assert (code, error) == (0, "")
    assert re.fullmatch(rf" *\d+\.\d\d % .* {ARCH}\n", text)

    code, text, error = call("export", out / "checkpoint.pt", ARCH, "--no-onnx", "--out", tmp_path / "export")
    assert (code, error) == (0, "")
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert (config["timm"]["num_classes"], config["timm"]["stem_stride"], config["resolution"]) == (1000, 2, 40)
    assert config["facts"]["validation images"] == 1000


@pytest.mark.long
@pytest.mark.slow
def test_search_retraining_and_export(imagenet, tmp_path, call):
    folder, net, search = imagenet / "images", tmp_path / "net", tmp_path / "search"
    save_supernet(net, Shape(0.1, 1000), resolutions=[32, 40])
    code, text, error = call(
        "run", "--method", "smemnas", "--evaluator", "supernet", "--checkpoint", net / "checkpoint.pt",
        "--data", folder, "--train", "images=250", "--budget", 4, "--param", "initial=2", "--param", "batch=2",
        "--out", search,
    )  # fmt: skip
    assert code == 0, error
    rows = [json.loads(line) for line in (search / "evals.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert all(row["arch"].startswith(("r32-", "r40-")) for row in rows)

    code, text, error = call(
        "retrain", search, "--pick", "best", "--preset", "imagenet", "--epochs", 1, "--set", "batch=250",
        "--set", "precision=float32", "--threads", 1, "--device", "cpu",
    )  # fmt: skip
    assert code == 0, error
    (result,) = (json.loads(file.read_text()) for file in search.glob("retrain/*/result.json"))
    assert result["test_images"] == 1000
    assert 0 <= result["top1"] <= result["top5"] <= 100
    assert f"top-5 {result['top5']:.2f} %" in text

    code, text, error = call("export", search / "retrain" / "best", "--out", tmp_path / "export", "--no-onnx")
    assert code == 0, error
    assert f"top-1 (%) | {result['top1']:g} |" in (tmp_path / "export" / "README.md").read_text()


def save_supernet(folder, shape, **content):
    """Write the checkpoint of an untrained supernet."""
    folder.mkdir()
    torch.manual_seed(0)
    save(folder / "checkpoint.pt", {**own_content(shape, Supernet(shape)), **content})


def break_image(folder):
    victim = sorted((folder / "train" / CLASS).iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:200])
    return victim.name, "replace or remove it"


def lose_class(split):
    def spoil(folder):
        shutil.rmtree(folder / split / CLASS)
        return CLASS, "lacks"

    return spoil


@pytest.mark.parametrize(
    "spoil", [break_image, lose_class("train"), lose_class("val")], ids=["corrupt", "no train", "no val"]
)
def test_a_fault_in_the_data_is_one_line_and_earlier_work_is_kept(tmp_path, call, fails, spoil):
    """The faulty folder is where an earlier training had its images; its checkpoint stays as it is."""
    folder, out = tmp_path / "images", tmp_path / "net"
    write_imagenet(folder, 1000, train=2, val=1)
    out.mkdir()
    (out / "checkpoint.pt").write_bytes(b"earlier work")
    words = spoil(folder)
    fails(train(folder, out), *words)
    assert (out / "checkpoint.pt").read_bytes() == b"earlier work"


def test_another_number_of_classes_is_one_line(imagenet, tmp_path, fails):
    shape = Shape(0.1, 10)
    save(tmp_path / "ten.pt", own_content(shape, Supernet(shape)) | {"resolutions": [40]})
    where = ("--data", imagenet / "images")
    fails(
        ("supernet", "eval", tmp_path / "ten.pt", ARCH, "--device", "cpu", *where),
        "has 1000 classes, expected 10",
    )
    fails(("export", tmp_path / "ten.pt", ARCH, "--no-onnx", "--out", tmp_path / "net", *where), "expected 10")
    assert not (tmp_path / "net").exists()


def test_an_array_larger_than_memory_is_mapped(tmp_path):
    """As many bytes as no machine has, all in a hole of the file; real ImageNet at 224 pixels has 193 GB."""
    try:
        np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(1 << 22, 1 << 20))
    except OSError:
        pytest.skip("set --basetemp to a file system with sparse files, such as ext4 or tmpfs")
    pixels = data_files.map_array(tmp_path / "x.npy")
    assert pixels.shape == (1 << 22, 1 << 20)
    assert pixels[-1, -5:].tolist() == [0] * 5
