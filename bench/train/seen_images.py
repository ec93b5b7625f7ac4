"""Which images a supernet was trained on, and whether those of today are the same.

A checkpoint holds the names of the classes, the identity of the images (`data_sha256`) and, where they were decoded
from files, the checksum of each training image. Where images were added or removed since, the split into training
and held-out images, which is drawn by number, is another one: some that the supernet was trained on would be held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from smemnas.bench.errors import DataError
from smemnas.bench.train.image_sums import repeated, repeated_note
from smemnas.bench.train.images import Images
from smemnas.spaces.base import IntArray


def describe_images(train: Images) -> dict[str, Any]:
    """Return what a checkpoint holds about its training images."""
    seen = {}
    if train.sums is not None:
        marks = np.unique(train.sums.values[train.index])
        seen = {"trained_images": torch.from_numpy(marks.view(np.int64)), "image_size": train.size}
    return {"data_sha256": train.sha256, "classes": list(train.classes), **seen}


def same_classes(content: Mapping[str, Any], images: Images) -> bool:
    """Whether images have a supernet's classes, as far as its file says."""
    known = content.get("classes")
    return known is None or tuple(known) == images.classes


def check_classes(content: Mapping[str, Any], images: Images) -> None:
    """Check that images have a supernet's classes, in its order.

    Raises:
        DataError: They have not.
    """
    if same_classes(content, images):
        return
    known = tuple(content["classes"])
    if len(known) != len(images.classes):
        raise DataError(f"{images.name} has {len(images.classes)} classes, expected {len(known)}.")
    number = next(k for k, pair in enumerate(zip(known, images.classes)) if pair[0] != pair[1])
    raise DataError(
        f"the supernet was trained on other classes than {images.name} has: class {number + 1} is {known[number]!r} "
        f"there and {images.classes[number]!r} here. Give the images the names of its classes, or train another one."
    )


def unseen(content: Mapping[str, Any], splits: Sequence[Images]) -> tuple[list[Images], str]:
    """Return splits of which the validation images are none that a supernet was trained on, and a note for the user.

    Args:
        content: Of the supernet's file.
        splits: Of one data set; with a validation split comes the training split.

    Returns:
        The splits, as they are where the images are those of its training or nothing is known about that; and what
        the user has to know, "" if nothing.

    Raises:
        DataError: The classes are others, or nothing is left to hold out, or it is not known what may be.
    """
    first = splits[0]
    check_classes(content, first)
    if content.get("data_sha256") in (None, first.sha256):
        return list(splits), ""
    note = f"{first.name} holds other images than the supernet was trained on"
    by_name = {images.split: images for images in splits}
    seen = {name: _seen(content, images) for name, images in by_name.items()}
    if any(rows is None for rows in seen.values()):
        if "valid" in by_name and content.get("plan", {}).get("data") == first.name:
            raise DataError(
                f"{note}, and its file does not say on which, so none can be held out: restore the images, read "
                "another split, or train the supernet again."
            )
        return list(splits), f"{note}; whether it was trained on some of these is not known."
    counts = {name: int(np.count_nonzero(rows)) for name, rows in seen.items() if rows is not None}
    if "valid" in by_name and counts["valid"]:
        by_name |= _split_again(by_name["train"], by_name["valid"], seen)
        left = len(by_name["valid"])
        note += (
            f": of those that would be held out now, {counts['valid']} were in its training; {left} that it was not "
            "trained on are held out instead"
        )
    if counts.get("test"):
        note += f": {counts['test']} of the test images were in its training"
    return [by_name[images.split] for images in splits], f"{note}."


def trained_on(content: Mapping[str, Any], images: Images) -> tuple[int | None, str]:
    """Return how many images of a split a supernet was trained on, and what a reader of accuracies on them must know.

    Args:
        content: Of the supernet's file.
        images: The validation or the test split of what a network with its weights is read on.

    Returns:
        The number, None if it cannot be known; and the note, "" if nothing is wrong.
    """
    if content.get("data_sha256") in (None, images.sha256):
        return 0, ""
    what = {"valid": "validation", "test": "test"}[images.split]
    seen = _seen(content, images)
    if seen is None:
        return None, (
            f"{images.name} holds other images than the supernet was trained on; whether it was trained on some of the "
            f"{what} images is not known."
        )
    count = int(np.count_nonzero(seen))
    if not count:
        return 0, ""
    return count, (
        f"{images.name} holds other images than the supernet was trained on: {count} of {len(images)} {what} images "
        f"were in its training, so the {what} accuracy is too good."
    )


def repeats(train: Sequence[Images], test: Images) -> tuple[int, str]:
    """Return how many test images are among training images too, by pixels, and what a reader must know of that."""
    if test.sums is None or any(part.sums is None for part in train):
        return 0, ""
    known = np.concatenate([part.sums.values[part.index] for part in train if part.sums is not None])
    count = repeated(test.sums.values[test.index], known)
    return count, repeated_note(test.name, test.split, count, len(test))


def _seen(content: Mapping[str, Any], images: Images) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return which images of a split a supernet was trained on ``(n,)``; None if that cannot be known."""
    marks = content.get("trained_images")
    if marks is None or images.sums is None or content.get("image_size") != images.size:
        return None
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.isin(
        images.sums.values[images.index], marks.numpy().view(np.uint64)
    )
    return found


def _split_again(train: Images, valid: Images, seen: Mapping[str, Any]) -> dict[str, Images]:
    """Hold out the images that were not trained on, of those that are not for testing.

    Raises:
        DataError: There are none.
    """
    if valid.pixels is not train.pixels:  # a folder of its own: some of it was used for training elsewhere
        parts = {"train": train, "valid": _part(valid, valid.index[~seen["valid"]])}
    else:
        index = np.concatenate([train.index, valid.index])
        known = np.concatenate([seen["train"], seen["valid"]])
        parts = {
            "train": _part(train, np.sort(index[known]), valid),
            "valid": _part(valid, np.sort(index[~known]), train),
        }
    if not len(parts["valid"]):
        raise DataError(
            f"the supernet was trained on every image of {train.name}, none can be held out: give other images."
        )
    return parts


def _part(images: Images, index: IntArray, other: Images | None = None) -> Images:
    """Return other rows of a data set as this split, with labels from it and from the other split."""
    labels = np.full(len(images.pixels), -1, dtype=np.int64)
    for source in (images, *(() if other is None else (other,))):
        labels[source.index] = source.labels
    return replace(images, index=index, labels=labels[index])
