"""Images for training: three splits, of which the test split is for reports only.

Where data comes without a validation split of its own (all built-in sets do), one is held out of the training
images: the same share of every class, drawn with a fixed seed, the same for every architecture, recipe and seed.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.bench.log import note
from smemnas.bench.program import install
from smemnas.bench.train.image_decoding import resize
from smemnas.bench.train.image_entries import ImageEntry, printable
from smemnas.bench.train.image_files import (
    Arrays,
    ImageSet,
    checksum,
    find_files,
    known_files,
    map_array,
    moments,
    open_files,
)
from smemnas.bench.train.image_splits import none_of, too_few
from smemnas.bench.train.image_sums import Sums
from smemnas.spaces.base import IntArray

SPLITS = ("train", "valid", "test")
SPLIT_SEED = 2407
#: A network's input is at most so many times as large as the images.
LARGEST_FACTOR = 8
#: A random crop shifts images by a fourth of their side at most, unless it is said.
SMALLEST_FACTOR = 4
#: Bytes of images that are made larger than that all the same, where a check of classes or an export asks for it.
LARGEST_MADE = 2**30
#: Share of the training images held out for validation.
VALID_SHARE = 0.1
#: Of scikit-learn's digits, which are one set without splits: shares for test and, of the rest, for validation.
DIGITS_TEST, DIGITS_VALID = 0.2, 0.25


@dataclass(frozen=True)
class Images:
    """One split of a data set.

    Attributes:
        name: Data set.
        split: "train", "valid" or "test".
        pixels: ``(N, h, w, 3)`` uint8, perhaps memory-mapped and shared with another split; do not write.
        index: Rows of `pixels` that are this split ``(n,)``.
        labels: Class of each image of this split ``(n,)``.
        n_classes: Number of classes.
        mean: Mean of the training pixels' channels, from 0 to 1.
        std: Their standard deviation.
        sha256: Identity of the data set (all splits).
        classes: Names in the order of the labels.
        sums: Checksums of `pixels`, where they were decoded from files.
    """

    name: str
    split: str
    pixels: NDArray[np.uint8]
    index: IntArray
    labels: IntArray
    n_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    classes: tuple[str, ...] = ()
    sums: Sums | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getstate__(self) -> dict[str, Any]:
        """Send memory-mapped pixels to another process as the name of their file."""
        state = dict(vars(self))
        if self.sums is not None and isinstance(self.pixels, np.memmap):
            state["pixels"] = self.sums.file
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the pixels again."""
        if isinstance(state["pixels"], Path):
            state = {**state, "pixels": map_array(state["pixels"])}
        vars(self).update(state)

    @property
    def size(self) -> int:
        """Side of the images."""
        return int(self.pixels.shape[1])

    def take(self, rows: IntArray | slice = slice(None)) -> NDArray[np.uint8]:
        """Return images ``(k, h, w, 3)`` by their position in this split.

        Raises:
            DataError: A decoded image changed on the disk.
        """
        self.check(rows)
        return self.pixels[self.index[rows]]

    def check_side(self, side: int) -> None:
        """Check that images can be brought to a network's input without making them up.

        Raises:
            UserError: They are far smaller.
        """
        check_side(side, self.size, self.name)

    def check(self, rows: IntArray | slice = slice(None)) -> None:
        """Compare images, by their position in this split, with their checksums; each once in a process.

        Raises:
            DataError: A decoded image changed on the disk.
        """
        if self.sums is not None:
            self.sums.check(self.pixels, self.index[rows])


def check_side(side: int, pixels: int, name: str) -> None:
    """Check that images of some side can be brought to another one without making them up.

    Raises:
        UserError: They are far smaller.
    """
    if side > LARGEST_FACTOR * pixels:
        raise UserError(
            f"a resolution of {side} is more than {LARGEST_FACTOR} times the {pixels} pixels of {name}: "
            "give a smaller one, or larger images (--size)."
        )


def open_images(
    data: str,
    split: str,
    *,
    size: int | None = None,
    n_classes: int | None = None,
    valid_share: float | None = None,
) -> Images:
    """Open one split of a data set.

    Args:
        data: "digits", "cifar10", "cifar10-12k" (1,000 and 200 images of each class), "cifar100", "fashion-mnist", or
            the path of a folder or tar file of images; also
            the name of one that lies in the folder ``images`` of the data folder.
        split: "train", "valid" or "test".
        size: Side to resize images to; None keeps theirs.
        n_classes: Classes that the caller expects; None takes what is there.
        valid_share: Share of the training images held out for validation, the same for all three splits; None takes
            a tenth (a quarter of the digits). Of images that come without splits it is the share of each class, as
            that for testing is; images with a validation split of their own take none.

    Raises:
        UserError: Unknown data set or split, a size or share that makes no sense, or a share of images that have a
            validation split of their own.
        DataError: The data is not there, corrupt, or has another number of classes.
    """
    if split not in SPLITS:
        raise UserError(f"no split {split!r}.{suggest(split, SPLITS)}")
    if size is not None and not 4 <= size <= 1024:
        raise UserError(f"size is the side of the images, 4 to 1024 pixels, got {size}.")
    share = (DIGITS_VALID if data == "digits" else VALID_SHARE) if valid_share is None else valid_share
    if not 0 < share < 1:
        raise UserError(f"valid_share must lie between 0 and 1, got {share!r}.")
    found = _open(data, size, None if data in SETS else valid_share)
    if n_classes is not None and n_classes != len(found.classes):
        raise DataError(f"{data} has {len(found.classes)} classes, expected {n_classes}.")
    pixels, labels, sums = found.splits["train" if split == "valid" and "valid" not in found.splits else split]
    index = np.arange(len(labels))
    if "valid" not in found.splits and split != "test":
        held = held_out(labels, share)
        index = held if split == "valid" else np.setdiff1d(index, held)
    if len(index) == 0:
        raise DataError(f"the {split} split of {data} would be empty: give more images or another valid_share.")
    return Images(
        data,
        split,
        pixels,
        index,
        labels[index],
        len(found.classes),
        found.mean,
        found.std,
        found.sha256,
        found.classes,
        sums,
    )


def held_out(labels: IntArray, share: float) -> IntArray:
    """Return the rows held out ``(m,)``, ascending: the same share of each class, by a fixed seed."""
    rng = np.random.default_rng(SPLIT_SEED)
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    by_class = [order[shuffled == c] for c in np.unique(labels)]
    return np.sort(np.concatenate([rows[: math.floor(share * len(rows) + 0.5)] for rows in by_class]))


def note_small(images: Images) -> None:
    """Say where held-out images of a user's own are too few to tell networks apart."""
    if images.name in SETS:
        return
    missing = [images.classes[c] for c in np.setdiff1d(np.arange(images.n_classes), images.labels)]
    for text in (
        too_few(images.name, images.split, len(images)),
        none_of(images.name, images.split, missing, images.n_classes),
    ):
        if text:
            note(text)


def note_crop(images: Images, crop: int, option: str) -> None:
    """Say where a user's own images are so small that a random crop, meant for larger ones, takes much of them.

    Args:
        images: Of a training.
        crop: Pixels by which they are shifted at most.
        option: What sets it, up to the number.
    """
    if images.name not in SETS and SMALLEST_FACTOR * crop > images.size:
        note(
            f"{printable(images.name)} has images of {images.size} pixels, which are shifted by up to {crop} in "
            f"training: {option}{max(1, images.size // 8)} leaves more of them (and see whether they may be mirrored)."
        )


def with_held_out(entries: Sequence[ImageEntry]) -> list[ImageEntry]:
    """Return images with those of the training split that `open_images` holds out by default as validation images."""
    if any(entry.split == "valid" for entry in entries) and any(entry.split == "test" for entry in entries):
        return list(entries)
    named = {"valid": "test"}  # as ImageNet comes, see `open_files`
    entries = [entry._replace(split=named.get(entry.split, entry.split)) for entry in entries]
    training = [k for k, entry in enumerate(entries) if entry.split == "train"]
    number = {name: label for label, name in enumerate(sorted({entry.label for entry in entries}))}
    for row in held_out(np.array([number[entries[k].label] for k in training]), VALID_SHARE).tolist():
        entries[training[row]] = entries[training[row]]._replace(split="valid")
    return entries


@lru_cache(maxsize=4)
def _open(data: str, size: int | None, valid_share: float | None = None) -> ImageSet:
    """Return a data set, opened once per process."""
    if data in SETS:
        return SETS[data](size)
    source = find_files(data)
    if source is None:
        raise UserError(f"no data set {printable(data)!r}; a path has a slash.{suggest(data, [*SETS, *known_files()])}")
    return open_files(source, size, valid_share)


def _digits(size: int | None) -> ImageSet:
    """Return scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.round(found.images * (255 / 16)).astype(np.uint8)
    labels = np.asarray(found.target, dtype=np.int64)
    pixels = _resized(np.repeat(grey[..., None], 3, axis=3), size, "digits")
    test = held_out(labels, DIGITS_TEST)
    rest = np.setdiff1d(np.arange(len(labels)), test)
    splits = {"train": Arrays(pixels[rest], labels[rest]), "test": Arrays(pixels[test], labels[test])}
    return ImageSet(splits, tuple("0123456789"), *moments(splits["train"].pixels), checksum(splits))


class _Published(NamedTuple):
    """A data set of torchvision.

    Attributes:
        cls: Name of torchvision's class.
        archives: What it downloads, for messages.
        mean: Mean of the training pixels, or empty to compute it.
        std: Their standard deviation.
    """

    cls: str
    archives: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


#: Moments of CIFAR are those that NAS-Bench-201 uses.
PUBLISHED = {
    "cifar10": _Published(
        "CIFAR10",
        "cifar-10-python.tar.gz",
        (125.3 / 255, 123.0 / 255, 113.9 / 255),
        (63.0 / 255, 62.1 / 255, 66.7 / 255),
    ),
    "cifar100": _Published(
        "CIFAR100",
        "cifar-100-python.tar.gz",
        (129.3 / 255, 124.1 / 255, 112.4 / 255),
        (68.2 / 255, 65.4 / 255, 70.4 / 255),
    ),
    "fashion-mnist": _Published("FashionMNIST", "the four *-ubyte.gz files in FashionMNIST/raw"),
}


def _published(name: str, size: int | None) -> ImageSet:
    """Return a data set of torchvision, which downloads it once and compares checksums at every opening."""
    try:
        from torchvision import datasets
    except ImportError as error:
        raise UserError(f"{name} comes through torchvision: {install('train')}") from error
    from filelock import FileLock

    kind, root = PUBLISHED[name], data_folder() / "images"
    maker: Any = getattr(datasets, kind.cls)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            parts = {split: _installed(maker, root, split == "train") for split in ("train", "test")}
    except (OSError, RuntimeError) as error:  # no network, a checksum, a full disk
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name} is not installed in {root} and cannot be downloaded ({reason}): put {kind.archives} there, or "
            "connect once."
        ) from error
    splits = {}
    for split, part in parts.items():
        pixels = np.asarray(part.data)
        if pixels.ndim == 3:
            pixels = np.repeat(pixels[..., None], 3, axis=3)
        splits[split] = Arrays(_resized(pixels, size, name), np.asarray(part.targets, dtype=np.int64))
    computed = moments(splits["train"].pixels) if not kind.mean else (kind.mean, kind.std)
    return ImageSet(splits, tuple(parts["train"].classes), *computed, checksum(splits))


#: Parts of a published set by name: the set, and how many images of each class they have for training and for test.
PARTS = {"cifar10-12k": ("cifar10", {"train": 1000, "test": 200})}


def _part(name: str, size: int | None) -> ImageSet:
    """Return the first images of each class of a published set."""
    of, numbers = PARTS[name]
    whole = _published(of, size)
    splits = {}
    for split, n in numbers.items():
        found = whole.splits[split]
        rows = np.sort(np.concatenate([np.flatnonzero(found.labels == c)[:n] for c in range(len(whole.classes))]))
        splits[split] = Arrays(found.pixels[rows], found.labels[rows])
    return replace(whole, splits=splits, sha256=checksum(splits))


def _installed(maker: Any, root: Path, train: bool) -> Any:
    """Open one part of a torchvision data set; what is complete on disk is not asked for on the network."""
    with contextlib.suppress(RuntimeError):
        return maker(root, train=train, download=False)
    return maker(root, train=train, download=True)


def _resized(pixels: NDArray[np.uint8], size: int | None, name: str) -> NDArray[np.uint8]:
    """Return images ``(n, h, w, 3)`` at another size.

    Raises:
        UserError: It is far beyond theirs, and the images would fill the memory.
    """
    if size is None or pixels.shape[1:3] == (size, size):
        return pixels
    if 3 * len(pixels) * size**2 > LARGEST_MADE:
        check_side(size, pixels.shape[1], name)
    from PIL import Image

    return np.stack([resize(Image.fromarray(image), size) for image in pixels])


SETS: dict[str, Callable[[int | None], ImageSet]] = {
    "digits": _digits,
    **{name: lambda size, name=name: _published(name, size) for name in PUBLISHED},  # type: ignore[misc]
    **{name: lambda size, name=name: _part(name, size) for name in PARTS},  # type: ignore[misc]
}


def absolute(data: str) -> str:
    """Return the name of a data set as it is, and the path of images that are there made absolute and free of links.

    Names go before paths, as in `open_images`.
    """
    path = os.path.expanduser(data)
    if data in SETS or data in known_files() or not (os.path.isfile(path) or os.path.isdir(path)):
        return data
    return os.path.realpath(path)
