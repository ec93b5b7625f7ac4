"""Exports: the card's own lines load the network with timm alone, and ONNX gives the same numbers."""

import json
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra 'train': pip install -e '.[train]'")

from PIL import Image  # noqa: E402

import smemnas  # noqa: E402
from smemnas.bench.errors import DataError, RunError, UserError  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import extract, extract_timm  # noqa: E402
from smemnas.bench.train.retrain import export, int8  # noqa: E402
from smemnas.bench.train.retrain.export import Packing, export_supernet  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.onnx_file import write_onnx  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402
from smemnas.bench.train.supernet.evaluation import evaluate  # noqa: E402
from smemnas.bench.train.supernet.loop import train_supernet  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from smemnas.spaces.mnv3_choices import read_name  # noqa: E402
from smemnas.spaces.mnv3_costs import cost_tables  # noqa: E402

BARE = Packing(onnx=False)
ARCH = "r8-3333-765434-3334-5353-3333"
SNIPPET = re.compile(r"```python\n(.*?)```", re.S)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("supernet")
    plan = SupernetPlan("digits", width=0.1, epochs=1, batch=128, crop=1, n_random=1)
    train_supernet(plan, folder, device="cpu")
    return folder / "checkpoint.pt"


@pytest.fixture
def published(tmp_path):
    """A file as the OFA project publishes them, with three classes and random weights."""
    torch.manual_seed(0)
    net = Supernet(SupernetPlan("digits", width=0.5, stem="imagenet").shape(3))
    save(tmp_path / "published", {"state_dict": net.state_dict()})
    return tmp_path / "published"


def test_the_card_loads_the_network_and_onnx_agrees(supernet, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    config = export_supernet(supernet, ARCH, tmp_path)
    card = (tmp_path / "README.md").read_text()
    for figure in (f"{config['params']:,}", f"{config['madds']:,}", config["facts"]["validation accuracy (%)"], ARCH):
        assert str(figure) in card
    code, _ = SNIPPET.findall(card)
    assert len(code.strip().splitlines()) <= 10
    assert "bench" not in code
    code += (
        "import numpy, torch\n"
        "x = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)\n"
        "numpy.save('out.npy', model(x).detach().numpy())\n"
        "print(sum(p.numel() for p in model.parameters()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) == config["params"]
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    x = np.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)
    [found] = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, np.load(tmp_path / "out.npy"), rtol=1e-3, atol=1e-4)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads(json.dumps(config))
    assert config["architecture"] == ARCH
    assert 0 < config["onnx_difference"] < 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == config["classes"] == list("0123456789")
    assert json.loads(about["mean"]) == config["mean"]
    assert (json.loads(about["resolution"]), json.loads(about["architecture"])) == (8, ARCH)
    assert "| output | class |\n|---|---|\n| 0 | 0 |\n| 1 | 1 |\n" in card


def test_the_exported_network_is_the_one_that_was_read(supernet, tmp_path):
    config = export_supernet(supernet, ARCH, tmp_path, packing=BARE)
    [row] = evaluate(supernet, [ARCH], device="cpu")
    assert config["facts"]["validation accuracy (%)"] == pytest.approx(row["accuracy"], abs=1e-3)
    assert config["facts"]["validation images"] == row["images"]
    assert (config["params"], config["madds"]) == (row["params"], row["madds"])
    assert not (tmp_path / "model.onnx").exists()
    net, _ = load_supernet(supernet)
    weights, plain = safetensors.load_file(tmp_path / "model.safetensors"), extract(net, read_name(ARCH)[0])
    for name, value in weights.items():
        measured = "running" in name or "num_batches" in name
        assert torch.equal(value, plain[name]) or measured, name
    assert not torch.equal(weights["bn1.running_mean"], plain["bn1.running_mean"])


def test_a_published_file_is_exported_as_it_is_or_asks_for_data(published, tmp_path):
    space = MNV3()
    x = space.sample(1, np.random.default_rng(0))[0]
    name = space.to_str(x)
    with pytest.raises(UserError, match="name it with --data"):
        export_supernet(published, name, tmp_path / "x", packing=BARE)
    with pytest.raises(DataError, match="digits has 10 classes, expected 3"):
        export_supernet(published, name, tmp_path / "x", data="digits", packing=BARE)
    config = export_supernet(published, name, tmp_path / "as-is", as_is=True, packing=BARE)
    assert config["timm"]["stem_stride"] == 2
    assert config["mean"] == []
    assert "accuracy" not in (tmp_path / "as-is" / "README.md").read_text()
    net, _ = load_supernet(published)
    alone = extract_timm(net, read_name(name)[0])
    weights = safetensors.load_file(tmp_path / "as-is" / "model.safetensors")
    assert all(torch.equal(value, weights[key]) for key, value in alone.state_dict().items())
    counts = cost_tables(0.5, (config["resolution"],), 3)
    states = space.layer_states(x[None])[0]
    layers = np.arange(len(states))
    assert config["params"] == counts.fixed_params + counts.params[layers, states].sum()
    assert config["madds"] == counts.fixed_madds[0] + counts.madds[0, layers, states].sum()


def test_the_card_lists_the_first_classes_and_the_description_all(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 120, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    names = ("a|b", "two\nlines", *(f"class {k}" for k in range(118)))
    export.write_export(export.Exported(net, "made up", {"num_classes": 120}, 8, classes=names), tmp_path, packing=BARE)
    assert json.loads((tmp_path / "config.json").read_text())["classes"] == list(names)
    card = (tmp_path / "README.md").read_text()
    assert "| 0 | a\\|b |\n| 1 | two lines |\n| 2 | class 0 |" in card
    assert "| 99 | class 97 |\n\n20 more are in `config.json`." in card


def test_exported_files_have_the_rights_that_the_umask_gives(supernet, tmp_path):
    before = os.umask(0o027)
    try:
        export_supernet(supernet, ARCH, tmp_path / "out", as_is=True, packing=BARE)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == dict.fromkeys(("model.safetensors", "config.json", "README.md"), 0o640)


def test_a_folder_is_written_again_for_the_same_network_only(supernet, tmp_path):
    first = export_supernet(supernet, ARCH, tmp_path, packing=BARE)
    assert export_supernet(supernet, ARCH, tmp_path, packing=BARE) == first
    with pytest.raises(UserError, match=f"holds the export of {ARCH}"):
        export_supernet(supernet, ARCH.replace("765434", "3333"), tmp_path, packing=BARE)
    about, config = first["identity"], json.loads((tmp_path / "config.json").read_text())
    changes = (
        ({"classes": list("abcdefghij")}, "of other classes"),
        ({"identity": {**about, "data_sha256": "0"}}, "on other images"),
        ({"identity": {**about, "weights_sha256": "0"}}, "with other weights"),
    )
    for change, words in changes:
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(UserError, match=f"holds an export of {ARCH} {words}: choose another folder"):
            export_supernet(supernet, ARCH, tmp_path, packing=BARE)
    old = {key: value for key, value in config.items() if key != "identity"}
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert export_supernet(supernet, ARCH, tmp_path, packing=BARE) == first
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds files but no config.json of an export \(thesis.tex\)"):
        export_supernet(supernet, ARCH, other, packing=BARE)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        export_supernet(supernet, ARCH, tmp_path / "file", packing=BARE)


def test_an_onnx_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    assert write_onnx(net, 8, tmp_path / "good.onnx") < 1e-5
    real = torch.onnx.export

    def poisoned(model, *args, **options):
        real(model, *args, **options)
        with torch.no_grad():
            model[0].weight.mul_(1.01)

    monkeypatch.setattr(torch.onnx, "export", poisoned)
    with pytest.raises(RunError, match="differs from torch by"):
        write_onnx(net, 8, tmp_path / "bad.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["good.onnx"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training of a model that timm knows by name, on digits."""
    folder = tmp_path_factory.mktemp("trained")
    wishes = Wishes(
        arch="timm:lcnet_035",
        data="digits",
        stem="imagenet",
        size=32,
        preset="small",
        changes=("epochs=4", "batch=64", "crop=1", "flip=false"),
    )
    plan, _ = make_plan(None, wishes)
    retrain(plan, folder, Machine("cpu"))
    return folder


#: Loads what an export of a timm model is with timm alone, and its ONNX file with onnxruntime and Pillow alone.
WITH_TIMM = """
import json, numpy, timm, torch
model = timm.create_model("local-dir:.", pretrained=True).eval()
config = timm.data.resolve_data_config(model=model)
image = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
numpy.save("timm.npy", model((image - mean) / std).softmax(1).detach().numpy())
known = model.pretrained_cfg
print(json.dumps([config["input_size"], config["crop_pct"], known["label_names"], known["license"]]))
"""


def test_everything_in_one_export(trained, tmp_path):
    """Normalisation and softmax inside, timm's own form, metadata, 8 bits: each against the others."""
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    packing = Packing(normalise=True, softmax=True, int8=True, licence="CC-BY-4.0")
    config = export.export_retrained(trained, tmp_path, packing)
    call = [sys.executable, "-I", "-c", WITH_TIMM]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [[3, 32, 32], 1.0, list("0123456789"), "CC-BY-4.0"]
    pixels = np.linspace(0, 255, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)
    found = {}
    for name in ("model.onnx", "model.int8.onnx"):
        session = runtime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        assert [o.name for o in session.get_outputs()] == ["probabilities"]
        [found[name]] = session.run(None, {"images": pixels})
        about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
        assert (about["licence"], about["normalised_inside"], about["classes"]) == (
            "CC-BY-4.0",
            True,
            list("0123456789"),
        )
        assert about["metrics"]["test accuracy, top-1 (%)"] == config["facts"]["test accuracy, top-1 (%)"]
    np.testing.assert_allclose(found["model.onnx"], np.load(tmp_path / "timm.npy"), atol=1e-4)
    assert not np.array_equal(found["model.onnx"], found["model.int8.onnx"])
    before, after = config["int8"]["float"], config["int8"]["int8"]
    result = json.loads((trained / "result.json").read_text())
    assert config["int8"]["images"] == result["valid_images"]
    assert before["accuracy"] == pytest.approx(result["valid_top1"], abs=0.3)  # one image in 359
    assert after["bytes"] < 0.5 * before["bytes"]
    assert after["bytes"] == (tmp_path / "model.int8.onnx").stat().st_size
    card = (tmp_path / "README.md").read_text()
    assert 'license: "CC-BY-4.0"\n' in card
    assert f"| `model.int8.onnx` | {after['accuracy']:.2f} |" in card
    assert "local-dir:." in card
    again = export.export_retrained(trained, tmp_path, Packing())  # the same folder, with less
    assert "int8" not in again
    assert sorted(p.name for p in tmp_path.glob("*.onnx")) == ["model.onnx"]
    export.export_retrained(trained, tmp_path, BARE)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_training_that_was_ended_early_has_the_epochs_that_it_had(tmp_path):
    options = smemnas.RetrainOptions(
        arch="timm:lcnet_035", data="digits", stem="imagenet", preset="small", epochs=3, changes=("crop=1",),
        device="cpu", out=tmp_path / "net",
    )  # fmt: skip
    found = smemnas.retrain(options, ends=lambda done: done >= 1)
    assert (found.result["recipe"]["epochs"], found.result["stopped_after"]) == (3, 1)
    assert ">1<" in found._repr_html_()
    assert ">3<" not in found._repr_html_()
    assert (
        export.export_retrained(found.folder, tmp_path / "out", BARE)["facts"]["training"] == "1 epochs, preset small"
    )


def test_the_accuracy_in_8_bits_is_read_on_images_of_every_class(trained, supernet, tmp_path, monkeypatch):
    """Images are sorted by class: the first ones would be those of one."""
    pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    read, real = [], int8.write_int8

    def noted(net, source, path, samples, about):
        read.append(torch.cat([labels for _, labels in samples.held_out()]))
        return real(net, source, path, samples, about)

    monkeypatch.setattr(export, "READ", 50)
    monkeypatch.setattr(export, "write_int8", noted)
    config = export.export_retrained(trained, tmp_path / "one", Packing(int8=True))
    assert config["int8"]["images"] == 50
    export_supernet(supernet, ARCH, tmp_path / "other", packing=Packing(int8=True))
    rows = int8.spread(3000, 2000)
    assert [int((rows < 2100).sum()), int((rows >= 2100).sum())] == [1400, 600]
    for labels in read:
        valid = open_images("digits", "valid").labels
        np.testing.assert_array_equal(labels, valid[int8.spread(len(valid), 50)])


def test_the_card_names_the_class_of_a_file_with_onnxruntime_and_pillow(trained, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    for normalise in (False, True):
        out = tmp_path / str(normalise)
        export.export_retrained(trained, out, Packing(normalise=normalise))
        _, code = SNIPPET.findall((out / "README.md").read_text())
        assert "torch" not in code
        digit = open_images("digits", "test", size=96).take(slice(0, 1))[0]
        Image.fromarray(digit).save(out / "photo.jpg", quality=95)
        call = [sys.executable, "-I", "-c", code + "numpy.save('answer.npy', answer)"]
        done = subprocess.run(call, cwd=out, capture_output=True, text=True, timeout=120, check=True)
        assert done.stdout.strip() in list("0123456789")
    one, other = (np.load(tmp_path / str(normalise) / "answer.npy") for normalise in (False, True))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_command_writes_what_its_call_writes(trained, tmp_path, call):
    options = smemnas.ExportOptions(trained, onnx=False, licence="CC-BY-4.0", out=tmp_path / "called")
    network = smemnas.export(options)
    command = ("--no-onnx", "--licence", "CC-BY-4.0", "--out", tmp_path / "command")
    code, out, error = call("export", trained, *command)
    assert (code, error) == (0, "")
    for name in ("model.safetensors", "README.md", "config.json"):
        assert (tmp_path / "command" / name).read_bytes() == (network.folder / name).read_bytes(), name
    assert network.classes == tuple("0123456789")
    assert f"{network.config['params']:,} parameters" in out
    for text in (repr(network), network._repr_html_()):
        assert f"{network.config['params']:,} parameters" in text


def test_an_export_takes_what_belongs_to_its_source(supernet, trained, tmp_path):
    for options, message in (
        (smemnas.ExportOptions(supernet, out=tmp_path / "x"), "which sub-network of the supernet"),
        (smemnas.ExportOptions(trained, data="digits", out=tmp_path / "x"), "belong to a supernet's checkpoint"),
        (smemnas.ExportOptions(trained, as_is=True, out=tmp_path / "x"), "belong to a supernet's checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            smemnas.export(options)
    network = smemnas.export(smemnas.ExportOptions(supernet, ARCH, onnx=False, out=tmp_path / "net"))
    assert network.config["architecture"] == ARCH
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("packing", [{"int8": True}, {"softmax": True}, {"normalise": True}])
def test_options_of_a_file_that_is_not_written(packing):
    with pytest.raises(UserError, match="leave --no-onnx out"):
        Packing(onnx=False, **packing)


def test_what_is_not_known_cannot_be_inside(published, tmp_path):
    name = "r224-3333-3333-3333-3333-3333"
    with pytest.raises(UserError, match="mean and standard deviation are not known"):
        export_supernet(published, name, tmp_path / "x", as_is=True, packing=Packing(normalise=True))
    with pytest.raises(UserError, match="leave --as-is out"):
        export_supernet(published, name, tmp_path / "x", as_is=True, packing=Packing(int8=True))
    assert not (tmp_path / "x").exists()


def test_missing_onnx_is_said_before_anything_is_written(supernet, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs the package onnxruntime.*--no-onnx"):
        export.export_supernet(supernet, ARCH, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arch", ["r8-3333", "r8-9333-3333-3333-3333-3333", "small"])
def test_a_wrong_name_is_one_line(supernet, tmp_path, arch):
    with pytest.raises(UserError) as error:
        export_supernet(supernet, arch, tmp_path, packing=BARE)
    assert "\n" not in str(error.value)
