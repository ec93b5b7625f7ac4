"""Final trainings of networks of other spaces than mnv3: from a search that trains, or by name, to an export."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from small_images import one_thread, write_folder  # noqa: F401

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("safetensors", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import UserError  # noqa: E402
from smemnas.bench.report.run import write_report  # noqa: E402
from smemnas.bench.runs.job import make_job  # noqa: E402
from smemnas.bench.runs.run import run  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.retrain import plan as plan_file  # noqa: E402
from smemnas.bench.train.retrain.export import Packing, export_retrained  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = Machine("cpu")
QUICK = {"preset": "small", "changes": ("batch=18", "epochs=1", "crop=1")}
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
NAMES = {"nb201": CELL, "nats_sss": "16:24:8:64:32", "macro": "02000011"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise") / "images"
    write_folder(folder, per_class=20)
    return folder


def test_the_images_of_a_search_have_its_size_however_they_are_named(images, tmp_path, monkeypatch):
    """As the search was given them, by a relative path, absolute; other images keep their own size."""
    name = f"train+{quote(str(images), safe='')}+tiny+channels=2+size=12"
    front = SimpleNamespace(job=SimpleNamespace(dataset=name, space="nats_sss"), archs=[NAMES["nats_sss"]])
    monkeypatch.setattr(plan_file, "read_front", lambda run: front)
    monkeypatch.chdir(images.parent)
    (tmp_path / "run").mkdir()
    arch = f"nats_sss:{NAMES['nats_sss']}"
    for data in ("", images.name, f"./{images.name}", str(images)):
        plan, _ = make_plan(tmp_path / "run", Wishes(arch=arch, data=data, **QUICK))
        assert (plan.data, plan.size, dict(plan.sizes)) == (str(images), 12, {"channels": 2})
    assert make_plan(tmp_path / "run", Wishes(arch=arch, data="digits", **QUICK))[0].size == 0


@pytest.mark.slow
def test_what_a_search_trained_is_trained_to_the_end_and_exported(images, tmp_path):
    name = f"train+{images}+tiny+batch=18+channels=2+epochs=1"
    job, benchmark = make_job("random", "nats_sss", dataset=name, objectives=("error", "flops"), budget=3)
    write_report(tmp_path / "run", run(job, tmp_path / "run", benchmark=benchmark), benchmark)
    plan, folder = make_plan(tmp_path / "run", Wishes(pick="best", **QUICK))
    assert folder == tmp_path / "run" / "retrain" / "best"
    assert (plan.data, dict(plan.sizes)) == (str(images), {"channels": 2})
    same, _ = make_plan(tmp_path / "run", Wishes(arch="nats_sss:8:8:8:8:8", **QUICK))
    other, _ = make_plan(tmp_path / "run", Wishes(arch=f"nb201:{CELL}", **QUICK))
    assert (dict(same.sizes), dict(other.sizes)) == ({"channels": 2}, {})  # those of the run are its space's
    space, _, arch = plan.arch.partition(":")
    assert space == "nats_sss"
    result = retrain(plan, tmp_path / "final", CPU)
    shape = trainable_space("nats_sss", 3, 8, channels=2)
    x = shape.from_str(arch)[None]
    assert result["params"] == round(1e6 * shape.cost(x, "params")[0])
    assert result["start"] == "random weights"
    assert retrain(plan, tmp_path / "final", CPU) == json.loads(json.dumps(result))
    config = export_retrained(tmp_path / "final", tmp_path / "export", Packing(onnx=False))
    assert config["classes"] == ["cat", "dog", "eel"]
    card = (tmp_path / "export" / "README.md").read_text()
    assert "# A network of the space nats_sss" in card
    assert "| sizes | channels 2 |" in card
    assert "library_name" not in card
    [code] = re.findall(r"```python\n(.*?)```", card, re.S)
    code += "print(sum(p.numel() for p in model.parameters()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "export", capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == result["params"]


@pytest.mark.parametrize(("space", "shape"), [("nb201", ("channels=3", "cells=1")), ("macro", ("channels=4",))])
def test_a_network_by_name_gives_the_same_by_onnxruntime(images, tmp_path, space, shape):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")
    plan, folder = make_plan(None, Wishes(arch=f"{space}:{NAMES[space]}", data=str(images), shape=shape, **QUICK))
    assert "/" not in folder.name
    result = retrain(plan, tmp_path / "final", CPU)
    assert result["arch"] == f"{space}:{NAMES[space]}"
    config = export_retrained(tmp_path / "final", tmp_path / "export", Packing(normalise=True))
    assert config["onnx_difference"] < 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "export" / "model.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["cat", "dog", "eel"]
    assert session.run(None, {"images": np.zeros((2, 3, 8, 8), np.float32)})[0].shape == (2, 3)


def test_a_killed_training_is_gone_on_with(images, tmp_path):
    wishes = Wishes(
        arch="nats_sss:8:8:8:8:8", data=str(images), shape=("channels=2",), preset="small",
        changes=("batch=18", "epochs=3", "crop=1"),
    )  # fmt: skip
    plan, _ = make_plan(None, wishes)
    whole = retrain(plan, tmp_path / "whole", CPU)

    class _Stop(Exception):
        pass

    def stop(row):
        if row["epoch"] == 2:
            raise _Stop

    with pytest.raises(_Stop):
        retrain(plan, tmp_path / "parts", CPU, report=stop)
    again = retrain(plan, tmp_path / "parts", CPU)
    assert (again["top1"], again["valid_top1"]) == (whole["top1"], whole["valid_top1"])
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "parts"))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_network_of_the_published_size_needs_no_size():
    plan, _ = make_plan(None, Wishes(arch=f"nb201:{CELL}", data="digits", preset="small"))
    assert dict(plan.sizes) == {}
    assert "sizes" not in plan.to_dict()
    assert (plan.recipe.dropout, plan.recipe.drop_path, plan.width, plan.strides) == (0.0, 0.0, 0.0, ())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch": "nats_sss:8:8:8:8"}, "nats_sss|NATS"),
        ({"arch": "nb201:conv"}, "not a NAS-Bench-201 architecture: .conv."),
        ({"shape": ("channels",)}, "--shape takes KEY=VALUE, got 'channels'"),
        ({"shape": ("chanels=8",)}, "Did you mean 'channels'"),
        ({"shape": ("channels=0",)}, "--shape channels"),
        ({"shape": ("cells=2",)}, "cells does not apply to nats_sss"),
        ({"width": 0.5}, "--width belongs to networks of mnv3, not of nats_sss"),
        ({"stem": "small"}, "--stem belongs"),
        ({"strides": (1,)}, "--strides belongs"),
        ({"scratch": True}, "--scratch belongs"),
        ({"weights": "pretrained"}, "--weights are those of a timm model"),
        ({"changes": ("drop_path=0.1",)}, "networks of nats_sss have no drop_path"),
        ({"data": ""}, "on which images"),
        ({"arch": "r32-3333-3333-3333-3333-3333", "shape": ("channels=2",)}, "--shape gives channels and cells"),
        ({"arch": "toy:00000"}, "no networks that can be built"),
    ],
)
def test_wrong_wishes(options, words):
    wishes = {"arch": "nats_sss:8:8:8:8:8", "data": "digits", "preset": "small", **options}
    with pytest.raises(UserError, match=words) as error:
        make_plan(None, Wishes(**wishes))
    assert "\n" not in str(error.value)


def test_images_of_a_side_that_is_not_halved_twice(tmp_path):
    write_folder(tmp_path / "odd", per_class=20, size=(9, 9))
    plan, _ = make_plan(None, Wishes(arch="nats_sss:8:8:8:8:8", data=str(tmp_path / "odd"), **QUICK))
    with pytest.raises(UserError, match="multiple of 4"):
        retrain(plan, tmp_path / "final", CPU)
