"""`supernet` and `export` as a user runs them."""

import csv
import json

import pytest

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

OPTIONS = ("--data", "digits", "--width", "0.1", "--batch", "256", "--random", "0", "--crop", "1", "--no-flip")
THREADS = ("--threads", "1", "--device", "cpu")
ARCH = "r8-3333-3333-3333-3333-3333"


@pytest.mark.long
@pytest.mark.slow
def test_train_info_eval_export(cli, tmp_path, one_line_error):
    """Each command in turn on one training, and the mistakes that are likely with it."""

    def call(*args):
        done = cli(*args, timeout=600, OMP_NUM_THREADS=1)
        assert done.returncode == 0, done.stderr
        return done.stdout

    train = ("supernet", "train", *OPTIONS, *THREADS, "--out", "net")
    out = call(*train, "--epochs", "2", "--phases", "largest,all", "--resolutions", "8,10")
    assert [line.split(":")[0] for line in out.splitlines()] == ["epoch 1/2 (largest)", "epoch 2/2 (all)"]
    rows = [json.loads(line) for line in (tmp_path / "net" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert f"largest {rows[1]['largest']:.2f} %" in out
    assert call(*train, "--epochs", "2", "--phases", "largest,all", "--resolutions", "8,10") == ""
    one_line_error(cli(*train, "--epochs", "3", timeout=600), "holds a training with", "epochs 2, not 3")

    info = call("supernet", "info", "net/checkpoint.pt")
    assert "2 of 2 epochs" in info
    assert "r10-76767676-" in info

    found = call(
        "supernet", "eval", "net/checkpoint.pt", ARCH, "--random", "1", "--split", "test", "--images", "50",
        "--device", "cpu", "--out", "read.csv",
    )  # fmt: skip
    with open(tmp_path / "read.csv", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [row["images"] for row in read] == ["50", "50"]
    assert read[0]["arch"] == ARCH
    assert [line.split()[-1] for line in found.splitlines()] == [row["arch"] for row in read]

    assert "parameters" in call("export", "net/checkpoint.pt", ARCH, "--no-onnx")
    assert json.loads((tmp_path / "exports" / ARCH / "config.json").read_text())["params"] == int(read[0]["params"])
    (tmp_path / "text").write_text("no network")
    one_line_error(cli("supernet", "info", "text"), "no readable torch file")
    one_line_error(cli("export", "net/checkpoint.pt", "r8-33"), "not an mnv3 architecture")
    one_line_error(cli("supernet", "eval", "net/checkpoint.pt", "--device", "tpu"), "no device 'tpu'")
    one_line_error(cli("supernet", "eval", "net/checkpoint.pt", "--split", "tset"), "Did you mean 'test'")


def test_mistakes_before_anything_is_trained(fails, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fails(("supernet", "trian"), "Did you mean 'train'")
    fails(("supernet", "train", *OPTIONS, "--resolutions", "a"), "--resolutions takes a whole number")
    far = ("supernet", "train", *OPTIONS, "--resolutions", "8,96", "--out", tmp_path / "far")
    fails(far, "a resolution of 96 is more than 8 times the 8 pixels of digits")  # before anything is trained
    assert not (tmp_path / "far" / "checkpoint.pt").exists()
    fails(("supernet", "train", *OPTIONS, "--phases", "progresive"), "no phase", "kernel")
    fails(("supernet", "train", "--data", "cifar", *OPTIONS[2:]), "Did you mean 'cifar")
    fails(("supernet", "eval", "nowhere.pt"), "no checkpoint at")
