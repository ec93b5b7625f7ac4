"""From a search to a network that timm loads: the front, the pick, the final training, its figures, the export."""

import csv
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from small_images import write_folder

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("safetensors", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.report.run import write_report  # noqa: E402
from smemnas.bench.runs.job import make_job  # noqa: E402
from smemnas.bench.runs.run import run  # noqa: E402
from smemnas.bench.train.retrain import state as retrain_state  # noqa: E402
from smemnas.bench.train.retrain.export import Packing, export_retrained  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402
from smemnas.bench.train.supernet.loop import train_supernet  # noqa: E402
from smemnas.bench.train.supernet.options import make_options  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402
from smemnas.spaces.mnv3_costs import STEMS, cost_tables  # noqa: E402

SNIPPET = re.compile(r"```python\n(.*?)```", re.S)
CPU = Machine("cpu")
QUICK = ("batch=36", "epochs=1", "crop=1")

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise") / "images"
    write_folder(folder, per_class=20)
    return folder


@pytest.fixture(scope="module")
def search(tmp_path_factory, images):
    """The folder of a finished search by inherited weights."""
    folder = tmp_path_factory.mktemp("search")
    plan = SupernetPlan(str(images), width=0.1, strides=(1, 2, 1, 1, 1), epochs=1, batch=18, crop=1)
    train_supernet(plan, folder / "supernet", device="cpu")
    name = make_options(folder / "supernet" / "checkpoint.pt").name
    job, benchmark = make_job("random", "mnv3", dataset=name, budget=6)
    write_report(folder / "run", run(job, folder / "run", benchmark=benchmark), benchmark)
    return folder / "run"


@pytest.fixture(scope="module")
def front(search):
    with open(search / "front.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def card_code(folder, images, side):
    """Return the card's own lines and such as read the test images with Pillow and numpy."""
    [code] = SNIPPET.findall((folder / "README.md").read_text())
    assert len(code.strip().splitlines()) <= 10
    assert "bench" not in code
    return f"""{code}
import numpy, pathlib, torch
from PIL import Image
about = json.load(open("config.json"))
mean, std = (numpy.array(about[k], dtype=numpy.float32) for k in ("mean", "std"))
right = five = n = 0
for label, place in enumerate(sorted(pathlib.Path({str(images)!r}, "test").iterdir())):
    for file in sorted(place.iterdir()):
        x = numpy.asarray(Image.open(file).convert("RGB").resize(({side}, {side})), dtype=numpy.float32) / 255
        with torch.no_grad():
            logits = model(torch.from_numpy(((x - mean) / std).transpose(2, 0, 1))[None].float())[0]
        right += int(logits.argmax()) == label
        n += 1
print(100 * right / n, n, sum(p.numel() for p in model.parameters()))
"""


def alone_with_timm(folder, images, side):
    """Run the card's lines in a fresh interpreter, which finds nothing of the suite."""
    code = card_code(folder, images, side)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [float(v) for v in done.stdout.split()]


def test_a_found_network_is_trained_exported_and_loaded_by_timm_alone(search, front, images, tmp_path):
    plan, folder = make_plan(search, Wishes(pick="best", preset="small", changes=QUICK))
    assert folder == search / "retrain" / "best"
    assert (plan.arch, plan.data, plan.width) == (front[0]["arch"], str(images), 0.1)
    result = retrain(plan, tmp_path / "best", CPU)
    # the training starts where the search judged it: same weights, same statistics, same images
    assert result["start_valid_top1"] == pytest.approx(100 - float(front[0]["val_error"]), abs=1e-9)
    assert result["params"] < 1e6
    assert result["madds"] == pytest.approx(1e6 * float(front[0]["flops"]), abs=0.6)
    assert result["origin"] == {"run": str(search), "pick": "best"}
    assert (result["start_classifier"], result["weights"]) == ("inherited", "last epoch")
    config = export_retrained(tmp_path / "best", tmp_path / "export", packing=Packing(onnx=False))
    top1, n, params = alone_with_timm(tmp_path / "export", images, 8)
    assert (n, params) == (result["test_images"], result["params"])
    assert top1 == pytest.approx(result["top1"], abs=1e-9)
    assert config["facts"]["test accuracy, top-1 (%)"] == pytest.approx(result["top1"], abs=1e-3)
    assert f"| test images | {result['test_images']} |" in (tmp_path / "export" / "README.md").read_text()
    assert result["top5"] == 100.0  # of three classes


def test_a_finished_training_is_not_repeated(search, tmp_path, monkeypatch):
    plan, _ = make_plan(search, Wishes(pick="1", preset="small", changes=QUICK))
    opened, real = [], retrain_state.open_images

    def watched(data, split, **options):
        opened.append((split, (tmp_path / "a" / "metrics.jsonl").exists()))
        return real(data, split, **options)

    monkeypatch.setattr(retrain_state, "open_images", watched)
    result = retrain(plan, tmp_path / "a", CPU)
    assert opened == [("valid", False), ("test", True)]  # the test split once, after the last epoch
    before = (tmp_path / "a" / "weights.pt").stat().st_mtime_ns
    assert retrain(plan, tmp_path / "a", CPU) == json.loads(json.dumps(result))
    assert len(opened) == 2
    assert (tmp_path / "a" / "weights.pt").stat().st_mtime_ns == before
    (tmp_path / "a" / "result.json").write_text("{}")
    with pytest.raises(RunError, match="no result of a final training"):
        retrain(plan, tmp_path / "a", CPU)
    with pytest.raises(RunError, match=r"holds no result.json"):
        export_retrained(search, tmp_path / "x", packing=Packing(onnx=False))


def test_from_scratch_has_the_costs_of_the_space_and_a_folder_of_its_own(search, front, tmp_path):
    plan, folder = make_plan(search, Wishes(pick="best", preset="small", changes=QUICK, scratch=True))
    assert folder.name == "best-scratch"
    assert not plan.inherit
    result = retrain(plan, tmp_path, CPU)
    assert (result["start"], result["start_classifier"]) == ("random weights", "random")
    x = np.array([[int(gene) for gene in front[0]["x"].split()]])
    from smemnas.spaces.mnv3 import MNV3

    states, layers = MNV3().layer_states(x)[0], np.arange(20)
    counts = cost_tables(0.1, (8,), 3, 1, (1, 2, 1, 1, 1))
    assert result["params"] == counts.fixed_params + counts.params[layers, states].sum()
    assert result["madds"] == counts.fixed_madds[0] + counts.madds[0, layers, states].sum()


def test_a_timm_model_is_trained_by_the_same_recipe(search, images, tmp_path, monkeypatch, capsys):
    wishes = Wishes(arch="timm:mobilenetv3_small_050", preset="small", changes=QUICK, strides=(1, 2, 1, 1, 2))
    plan, folder = make_plan(search, wishes)
    assert folder == search / "retrain" / "timm-mobilenetv3_small_050"
    result = retrain(plan, tmp_path / "timm", CPU)
    assert result["definition"]["stem_stride"] == STEMS["small"][0] == 1
    assert (result["resolution"], result["start"], "origin" in result) == (8, "random weights", False)
    export_retrained(tmp_path / "timm", tmp_path / "export", packing=Packing(onnx=False))
    monkeypatch.chdir(tmp_path / "export")
    capsys.readouterr()
    exec(card_code(tmp_path / "export", images, 8), {})
    top1, n, params = map(float, capsys.readouterr().out.split())
    assert (n, params) == (result["test_images"], result["params"])
    assert top1 == pytest.approx(result["top1"], abs=1e-9)
    for strides, words in (((2,), "residual connection"), ((1,) * 9, "9")):
        wrong = Wishes(arch="timm:mobilenetv3_large_100", preset="small", changes=QUICK, strides=strides)
        with pytest.raises(UserError, match=words):
            retrain(make_plan(search, wrong)[0], tmp_path / "wrong", CPU)


def test_images_of_another_size_are_resized(search, images, tmp_path):
    arch = "r12-3333-3333-3333-3333-3333"
    changes = (*QUICK, "crop_pct=0.75", "rrc=0.5", "interpolation=bicubic")
    plan, folder = make_plan(search.parent / "supernet", Wishes(arch=arch, preset="small", changes=changes))
    assert folder == search.parent / "supernet" / "retrain" / arch
    assert (plan.resolution, plan.size) == (12, 16)
    result = retrain(plan, tmp_path, CPU)
    assert result["resolution"] == 12
    alone, folder = make_plan(None, Wishes(arch=arch, data=str(images), preset="cifar", width=0.2, stem="imagenet"))
    assert folder.parts == ("runs", "retrain", arch)
    assert (alone.width, alone.stem_stride, alone.inherit, alone.size) == (0.2, 2, False, 0)


def test_the_preset_for_imagenet_runs_whole(search, images, tmp_path):
    """RMSProp, RandAugment, erasing, moving average, the supernet as teacher, bfloat16, and TensorBoard's record."""
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard: pip install -e '.[train]'"
    )
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    changes = ("batch=18", "epochs=2", "ema=0.9", *([] if bf16 else ["precision=float32"]))
    plan, folder = make_plan(search, Wishes(pick="flops<=1", preset="imagenet", changes=changes))
    assert folder.name == "flops-max-1"
    assert plan.size == math.floor(8 / 0.875)
    result = retrain(plan, tmp_path, Machine("cpu", tensorboard=True))
    assert result["recipe"]["distill"] == 1.0
    assert result["weights"].startswith("moving average")
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert result["valid_top1"] == rows[-1]["valid_top1_ema"]
    record = events.EventAccumulator(str(tmp_path / "tensorboard"))
    record.Reload()
    for key in ("loss", "lr", "valid_top1", "valid_top1_ema"):
        assert [e.step for e in record.Scalars(key)] == [1, 2]
        assert [e.value for e in record.Scalars(key)] == pytest.approx([row[key] for row in rows[1:]], rel=1e-6)


def test_without_tensorboard_or_with_a_damaged_checkpoint_it_is_said(search, tmp_path, monkeypatch):
    plan, _ = make_plan(search, Wishes(pick="best", preset="small", changes=QUICK))
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(RunError, match=r"no readable torch file.*Remove it") as error:
        retrain(plan, tmp_path, CPU)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="needs the package tensorboard"):
        retrain(plan, tmp_path / "x", Machine("cpu", tensorboard=True))


@pytest.mark.slow
def test_the_commands(call, fails, search, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--preset", "small", "--set", "batch=36", "--set", "crop=1", "--device", "cpu", "--threads", "1")
    code, out, error = call("retrain", search, *options, "--epochs", "2", "--out", "out")
    assert code == 0, error
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["start", "epoch 1/2", "epoch 2/2"]
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert f"top-1 {result['top1']:.2f} %" in out
    assert result["origin"]["pick"] == "knee"
    code, _, error = call("export", "out", "--no-onnx")
    assert code == 0, error
    assert (tmp_path / "out" / "export" / "model.safetensors").exists()
    fails(("export", search.parent / "supernet" / "checkpoint.pt"), "Missing argument 'ARCH'")
    fails(("retrain", search, "--pick", "99"), "the front in", "got 99")
    fails(("retrain", "nowhere"), "nowhere is not there")
    fails(("retrain", search, "--preset", "imagnet"), "Did you mean 'imagenet'")
