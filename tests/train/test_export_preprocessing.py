"""The steps that an export states are those that its accuracy was read with: the card's lines give it again."""

import json
import math
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install -e '.[train]'")

from PIL import Image  # noqa: E402
from small_images import data_home, one_thread  # noqa: E402, F401

import smemnas  # noqa: E402
from smemnas.bench.train.image_files import list_images  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.retrain.images import Photos, evaluation_batches, evaluation_transform  # noqa: E402
from smemnas.bench.train.retrain.preprocessing import as_one, resized_side, steps_of  # noqa: E402
from smemnas.bench.train.retrain.recipes import find_retrain_recipe  # noqa: E402

SNIPPET = re.compile(r"```python\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Photos of stripes so fine that every step of a resizing counts, of no even size."""
    folder, rng = tmp_path_factory.mktemp("stripes") / "photos", np.random.default_rng(3)
    y, x = np.mgrid[0:51, 0:66]
    for name, period in (("a", 3.0), ("b", 3.6)):
        (folder / name).mkdir(parents=True)
        for k in range(15):
            angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 6.28)
            waves = 127 + 60 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
            pixels = waves[..., None] + rng.normal(0, 25, (51, 66, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{k:02}.png")
    return folder


def measured(stripes, result, resolution):
    """Return the test images as the accuracy was read on them ``(n, 3, r, r)``."""
    recipe = find_retrain_recipe("small").overridden(
        [f"{key}={result['recipe'][key]}" for key in ("crop_pct", "interpolation")]
    )
    images = open_images(str(stripes), "test", size=result["plan"]["size"] or None)
    photos = Photos([images], evaluation_transform(recipe, resolution), recipe)
    batches = evaluation_batches(photos, np.arange(len(images)), torch.device("cpu"), 0)
    return torch.cat([batch for batch, _ in batches]).numpy()


@pytest.mark.parametrize(
    ("size", "changes", "resolution", "steps"),
    [
        (32, (), 32, [[32, "bilinear", 32, "down"]]),
        (32, ("interpolation=bicubic",), 32, [[32, "bilinear", 32, "down"]]),
        (32, (), 24, [[32, "bilinear", 32, "down"], [24, "bilinear", 24, "even"]]),
        (
            0,
            ("crop_pct=0.875", "interpolation=bicubic"),
            32,
            [[36, "bilinear", 36, "down"], [36, "bicubic", 32, "even"]],
        ),
        (40, ("crop_pct=0.8",), 25, [[40, "bilinear", 40, "down"], [31, "bilinear", 25, "even"]]),
    ],
)  # fmt: skip
def test_the_card_s_lines_do_to_a_photo_what_measuring_did(
    data_home, one_thread, stripes, tmp_path, monkeypatch, capsys, size, changes, resolution, steps  # noqa: F811
):  # fmt: skip
    options = smemnas.RetrainOptions(
        arch="timm:lcnet_035", data=str(stripes), size=size, resolution=resolution, preset="small", epochs=1,
        changes=("batch=4", "crop=1", *changes), stem="imagenet", device="cpu", out=tmp_path / "net",
    )  # fmt: skip
    found = smemnas.retrain(options)
    exported = smemnas.export(smemnas.ExportOptions(found.folder))
    assert exported.config["preprocessing"] == steps
    _, code = SNIPPET.findall((exported.folder / "README.md").read_text())
    monkeypatch.chdir(exported.folder)
    right, expected = 0, measured(stripes, found.result, resolution)
    entries = [entry for entry in list_images(stripes) if entry.split == "test"]
    for entry, fed in zip(entries, expected, strict=True):
        Image.open(entry.file).save("photo.png")
        known = {}
        exec(code.replace("photo.jpg", "photo.png"), known)
        np.testing.assert_allclose(known["pixels"].transpose(2, 0, 1), fed, atol=1e-5)
        right += known["about"]["classes"][known["answer"].argmax()] == entry.label
    assert 100 * right / len(entries) == pytest.approx(found.top1)
    capsys.readouterr()
    card = json.loads((exported.folder / "config.json").read_text())["facts"]["evaluation"]
    assert card.count("then") == len(steps) - 1


def test_the_side_is_the_one_that_timm_counts():
    recipe = find_retrain_recipe("imagenet")
    for side in range(8, 400):
        resize = evaluation_transform(recipe, side).transforms[0]
        assert resized_side(side, recipe.crop_pct) == resize.size
        one = as_one(steps_of(0, side, "bicubic", recipe.crop_pct))
        assert math.floor(side / one["crop_pct"]) == one["resized"] == resize.size
    assert as_one(steps_of(32, 32, "bicubic"))["interpolation"] == "bilinear"
    assert as_one(steps_of(32, 32, "bicubic"))["crop_pct"] == 1.0
