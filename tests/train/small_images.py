"""Small image data for tests: folders, archives, and CIFAR-10 in its published form, made of random pixels."""

import hashlib
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def data_home(tmp_path, monkeypatch):
    """An empty data folder of the test's own."""
    home = tmp_path / "home"
    monkeypatch.setenv("SMEMNAS_DATA", str(home))
    return home


@pytest.fixture
def opened_anew(data_home):
    """Nothing that an earlier test has opened is taken for this one's images."""
    from smemnas.bench.train import images

    images._open.cache_clear()
    yield
    images._open.cache_clear()


@pytest.fixture
def one_thread():
    """Train on one thread, as the suite does."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_folder(folder, per_class=4, size=(8, 8), splits=("train", "test"), classes=CLASSES, seed=0):
    """Write PNG images; return pixels and labels of each split in the order of class and name."""
    rng = np.random.default_rng(seed)
    found = {}
    for split in splits:
        pixels, labels = [], []
        for label, name in enumerate(classes):
            place = folder / split / name
            place.mkdir(parents=True)
            for k in range(per_class):
                image = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(image).save(place / f"{k:02}.png")
                pixels.append(image)
                labels.append(label)
        found[split] = np.stack(pixels), np.array(labels)
    return found


def write_imagenet(folder, n_classes=1000, train=5, val=1):
    """Write JPEG images of several sizes in ImageNet's layout; a class is a colour, with noise on it.

    Five training images per class are the fewest of which one is held out for validation.
    """
    rng = np.random.default_rng(0)
    colours = rng.integers(30, 226, (n_classes, 3))
    noise = rng.integers(-30, 31, (8, 40, 40, 3))
    for split, n, first in (("train", train, 0), ("val", val, train)):
        for label, colour in enumerate(colours):
            name = f"n{label:08}"
            place = folder / split / name
            place.mkdir(parents=True)
            for k in range(n):
                height, width = ((32, 40), (36, 32), (32, 32))[(label + k) % 3]
                pixels = colour + noise[(label + k + first) % 8, :height, :width]
                file = f"{name}_{k}.JPEG" if split == "train" else f"ILSVRC2012_val_{label:08}.JPEG"
                Image.fromarray(pixels.astype(np.uint8)).save(place / file)


def write_tar(folder, file, top="pictures", mode="w"):
    """Pack a folder; members lie below one more folder."""
    with tarfile.open(file, mode) as archive:
        archive.add(folder, arcname=top)


def write_cifar10(root, monkeypatch, per_file=20):
    """Write CIFAR-10's six files in their published form and make torchvision expect their checksums."""
    from torchvision.datasets import CIFAR10

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng, found = np.random.default_rng(0), {}
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        data = rng.integers(0, 256, (per_file, 3072), dtype=np.uint8)
        found[name] = data, np.arange(per_file) % 10
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": found[name][1].tolist()}))
    names = [f"class {k}" for k in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))

    def digest(name):
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    monkeypatch.setattr(CIFAR10, "train_list", [digest(f"data_batch_{k}") for k in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [digest("test_batch")])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": digest("batches.meta")[1]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return found
