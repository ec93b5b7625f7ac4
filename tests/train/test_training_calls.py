"""`retrain`, `supernet train` and `supernet eval`: one library call each, which does what its command does."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest

import smemnas
from smemnas import RetrainOptions, SupernetEvalOptions, SupernetTrainOptions, UserError
from smemnas.bench.commands.retrain import retrain_command
from smemnas.bench.commands.supernet import supernet_eval, supernet_train

CALLS = {
    "retrain": (smemnas.retrain, RetrainOptions("nowhere.pt"), retrain_command),
    "supernet train": (smemnas.supernet_train, SupernetTrainOptions("digits"), supernet_train),
    "supernet eval": (smemnas.supernet_eval, SupernetEvalOptions("nowhere.pt"), supernet_eval),
}
#: What is given to the command for the options above.
WORDS = {"retrain": ["nowhere.pt"], "supernet train": ["--data", "digits"], "supernet eval": ["nowhere.pt"]}
#: An option of a command that its call has the other way round.
REVERSED = {"no_flip": "flip"}


def plain(value):
    """Return a value of an option as one of several ways of writing it."""
    if isinstance(value, Path):
        return str(value)
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", CALLS)
def test_a_command_has_the_options_of_its_call_with_the_same_defaults(name):
    _, options, command = CALLS[name]
    given = command.make_context(name, WORDS[name]).params
    given = {REVERSED.get(key, key): not value if key in REVERSED else value for key, value in given.items()}
    expected = dataclasses.asdict(options) | ({"quiet": False} if "quiet" in given else {})
    assert {key: plain(value) for key, value in given.items()} == {key: plain(v) for key, v in expected.items()}


@pytest.mark.parametrize("name", CALLS)
def test_without_torch_a_call_names_the_extra(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere.pt").write_bytes(b"a supernet's file")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    function, options, _ = CALLS[name]
    with pytest.raises(UserError, match=r"this needs torch: pip install .*\[train\]"):
        function(options)
    assert [path.name for path in tmp_path.iterdir()] == ["nowhere.pt"]


needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("timm") is None,
    reason="needs the extra 'train': pip install -e '.[train]'",
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SupernetTrainOptions("digits", phases="progresive"), "no phase 'progresive'"),
        (SupernetTrainOptions("digits", resolutions=[8, "a"]), "--resolutions takes a whole number, got 'a'"),
        (SupernetTrainOptions("digits", accumulate=0), "--accumulate must be at least 1, got 0"),
        (SupernetTrainOptions("digits", threads=-1), "--threads must be at least 0, got -1"),
        (SupernetTrainOptions("digts"), "Did you mean 'digits'"),
        (SupernetEvalOptions("nowhere.pt", listed="nowhere.txt"), "--from: nowhere.txt is no readable text file"),
        (SupernetEvalOptions("nowhere.pt", archs=[""]), "ARCH takes names, got"),
        (RetrainOptions("nowhere"), "nowhere is not there"),
        (RetrainOptions(arch="timm:resnet18", epochs=0), "--epochs must be at least 1, got 0"),
        (RetrainOptions(arch="timm:resnet18", data="digits", changes="epochs=2"), "takes KEY=VALUE"),
        (RetrainOptions(arch="timm:resnet18", data="digits", workers=-1), "--workers must be at least 0, got -1"),
    ],
)
@needs_torch
def test_mistakes_are_one_line(options, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        {type(known): function for function, known, _ in CALLS.values()}[type(options)](options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


def rows_of(folder):
    """Return the rows of a training's metrics without what the clock says."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("seconds")} for row in rows]


def result_of(folder):
    """Return the result of a final training without what the clock says."""
    result = json.loads((folder / "result.json").read_text())
    return {key: value for key, value in result.items() if not key.startswith("seconds")}


ARCH = "r8-3333-3333-3333-3333-3333"


@needs_torch
def test_a_command_writes_what_its_call_writes(call, monkeypatch, tmp_path, caplog, capsys):
    """Supernet, reading and final training in turn: the same weights, metrics, results and lines."""
    torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    from small_images import write_folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    write_folder(tmp_path / "images", per_class=6)
    threads = torch.get_num_threads()
    said = []

    def tell(row):
        said.append((row["epoch"], row["epochs"]))

    train = "supernet train --data images --width 0.1 --strides 1,2,1,1,1 --epochs 1 --batch 9 --random 0 --crop 1"
    code, printed, error = call(*train.split(), "--no-flip", "--threads", 1, "--device", "cpu", "--out", "command")
    assert code == 0
    (note,) = error.splitlines()  # 3 held-out images tell little, which is said
    assert note.startswith(f"note: {tmp_path / 'images'} holds out 3 images for validation")
    with caplog.at_level("INFO", logger="smemnas"):
        options = SupernetTrainOptions(
            "images", width=0.1, strides=(1, 2, 1, 1, 1), epochs=1, batch=9, n_random=0, crop=1, flip=False, threads=1,
            device="cpu", out="called",
        )  # fmt: skip
        supernet = smemnas.supernet_train(options, on_epoch=tell)
    first, second = (torch.load(tmp_path / f / "checkpoint.pt", weights_only=True) for f in ("command", "called"))
    torch.testing.assert_close(first["state_dict"], second["state_dict"], rtol=0, atol=0)
    assert rows_of(tmp_path / "command") == rows_of(tmp_path / "called")
    assert supernet.rows[0]["largest"] == rows_of(tmp_path / "called")[0]["largest"]
    by_command, by_call, row, last = caplog.messages
    assert (by_command, by_call) == (note, note)
    assert row.rpartition(";")[0] == printed.strip().rpartition(";")[0]
    assert last == repr(supernet)

    code, printed, _ = call(*f"supernet eval called/checkpoint.pt {ARCH} --device cpu --out command.csv".split())
    assert code == 0
    read = smemnas.supernet_eval(SupernetEvalOptions(supernet.checkpoint, [ARCH], device="cpu", out="called.csv"))
    assert (tmp_path / "command.csv").read_bytes() == (tmp_path / "called.csv").read_bytes()
    (network,) = read.networks
    assert printed.split()[0] == f"{network.accuracy:.2f}"
    assert read.frame().to_dict("records") == [network._asdict()]

    retrain = f"retrain called/checkpoint.pt --arch {ARCH} --preset small --epochs 1 --set batch=9 --set crop=1"
    code, printed, _ = call(*retrain.split(), "--threads", 1, "--device", "cpu", "--workers", 0, "--out", "by-command")
    assert code == 0
    options = RetrainOptions(
        "called", arch=ARCH, preset="small", epochs=1, changes=["batch=9", "crop=1"], threads=1, device="cpu",
        workers=0, out="by-call",
    )  # fmt: skip
    found = smemnas.retrain(options, on_epoch=tell)
    first, second = (torch.load(tmp_path / f / "weights.pt", weights_only=True) for f in ("by-command", "by-call"))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert rows_of(tmp_path / "by-command") == rows_of(tmp_path / "by-call")
    assert result_of(tmp_path / "by-command") == result_of(tmp_path / "by-call")
    assert f"top-1 {found.top1:.2f} %" in printed
    assert said == [(1, 1), (0, 1), (1, 1)]
    assert found.arch == ARCH
    assert torch.get_num_threads() == threads
    for shown in (supernet, read, found):
        assert "<table>" in shown._repr_html_()
        assert len(repr(shown)) < 200
    assert capsys.readouterr() == ("", "")
