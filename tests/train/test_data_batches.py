"""Batches and augmentation against brute force on single images."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.train.batches import Pixels, augment, prepare, resized_crops  # noqa: E402
from smemnas.bench.train.devices import reproducible  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.recipes import TrainingRecipe  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
PLAIN = TrainingRecipe("plain", epochs=2, batch=30, lr=0.05)


def crops_of(image, border):
    """All windows of a padded image, plain and mirrored, as bytes."""
    h, w, _ = image.shape
    padded = np.pad(image, ((border, border), (border, border), (0, 0)))
    windows = {}
    for top in range(2 * border + 1):
        for left in range(2 * border + 1):
            window = padded[top : top + h, left : left + w]
            windows[window.tobytes()] = (top, left, False)
            windows[np.ascontiguousarray(window[:, ::-1]).tobytes()] = (top, left, True)
    return windows


def raw_batch(n, size=6):
    return torch.randint(1, 256, (n, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def undone(batch, images):
    """Normalised images back to pixels."""
    mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (images.mean, images.std))
    return (batch * std + mean).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_crop_and_flip_give_every_window_about_equally_often():
    images, raw = open_images("digits", "train"), raw_batch(1).repeat(3000, 1, 1, 1)
    recipe = PLAIN.overridden({"crop": 1, "flip": True})
    seen = undone(augment(raw, recipe, images, torch.Generator().manual_seed(1)), images)
    windows = crops_of(raw[0].numpy(), 1)
    found = [windows[image.tobytes()] for image in seen]
    counts = np.unique(np.array(found), axis=0, return_counts=True)[1]
    assert len(counts) == 18
    assert abs(counts - 3000 / 18).max() < 5 * math.sqrt(3000 / 18)


def test_cutout_hides_one_square_around_a_random_pixel():
    images, raw = open_images("digits", "train"), raw_batch(400, 8)
    batch = augment(raw, PLAIN.overridden({"cutout": 4}), images, torch.Generator().manual_seed(1))
    kept = prepare(raw, PLAIN, images)
    shapes = set()
    for cut, whole in zip(batch, kept):
        hidden = (cut == 0).all(dim=0)
        assert torch.equal(cut[:, ~hidden], whole[:, ~hidden])
        rows, columns = torch.nonzero(hidden.any(dim=1)).ravel(), torch.nonzero(hidden.any(dim=0)).ravel()
        assert hidden.sum() == len(rows) * len(columns)  # one rectangle
        shapes.add((len(rows), len(columns)))
    assert (4, 4) in shapes
    assert max(shapes) == (4, 4)
    assert len(shapes) > 3  # some reach over the border


def test_autoaugment_keeps_shape_and_depends_on_the_seed():
    pytest.importorskip("torchvision", reason="needs torchvision: pip install -e '.[train]'")
    images, raw, recipe = open_images("digits", "train"), raw_batch(16, 8), PLAIN.overridden({"autoaugment": True})
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augment(raw, recipe, images, torch.Generator()))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].shape == (16, 3, 8, 8)
    assert not torch.equal(results[0], prepare(raw, recipe, images))


def test_batches_picked_ahead_are_the_same():
    images = open_images("digits", "train")
    rows = list(torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split(30))
    stored, ahead = (Pixels(images, torch.device("cpu")) for _ in range(2))
    ahead.stored = None
    for a, b, at in zip(stored.batches(rows), ahead.batches(rows), rows, strict=True):
        assert torch.equal(a, b)
        np.testing.assert_array_equal(a.numpy(), images.take()[at.numpy()])


def test_a_device_gets_the_images_of_its_split_alone():
    valid = open_images("digits", "valid")
    assert len(valid) < len(valid.pixels)  # which it shares with the training images
    found = Pixels(valid, torch.device("meta"))
    assert found.stored.shape == (len(valid), 8, 8, 3)
    assert found.index.shape == (len(valid),)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_autoaugment_has_a_deterministic_form_on_a_gpu():
    images, recipe = open_images("digits", "train"), PLAIN.overridden({"autoaugment": True})
    results = []
    with reproducible("cuda"):
        for device in ("cpu", "cuda"):
            torch.manual_seed(0)
            results.append(augment(raw_batch(64, 8).to(device), recipe, images, torch.Generator()))
    assert results[1].device.type == "cuda"
    torch.testing.assert_close(results[1].cpu(), results[0])


def test_resized_crops_are_windows_within_the_image():
    """On a picture of its own coordinates, the result tells which window was taken."""
    n, side, out = 400, 12, 5
    at = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    picture = torch.stack([at.expand(side, side), at[:, None].expand(side, side), torch.zeros(side, side)])
    found = resized_crops(picture.expand(n, 3, side, side), out, 0.3, torch.Generator().manual_seed(0))
    assert found.shape == (n, 3, out, out)
    boxes = []
    for channel, axis in ((0, 2), (1, 1)):
        lines = found[:, channel].mean(3 - axis)  # equal along the other axis
        step = (lines[:, 3] - lines[:, 1]) / 2
        assert torch.allclose(lines[:, 2] - lines[:, 1], step)
        boxes.append(torch.stack([lines[:, 2] - step * out / 2, step * out], 1))
    start, size = (torch.stack([box[:, k] for box in boxes], 1) for k in (0, 1))
    assert start.min() > -1e-6
    assert (start + size).max() < 1 + 1e-6
    area, ratio = size.prod(1), size[:, 0] / size[:, 1]
    assert 0.3 - 1e-6 < area.min() < 0.35
    assert 0.9 < area.max() <= 1
    inside = (size < 1 - 1e-6).all(1)  # a side that was cut has another ratio
    extremes = ratio[inside].aminmax()
    assert (extremes.min.item(), extremes.max.item()) == pytest.approx((3 / 4, 4 / 3), rel=0.01)
    again = resized_crops(picture.expand(n, 3, side, side), out, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)
