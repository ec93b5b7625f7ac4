"""Which images are held out where a source does not say so: a share of each class, by a fixed draw, file by file.

A file's place in the draw depends on the seed, its class and its name and on nothing else: images that are added or
removed later leave (nearly) all others where they are.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.train.image_entries import ImageEntry, printable

#: Shares of each class that are held out for testing and for validation.
TEST_SHARE, VALID_SHARE = 0.2, 0.1
#: Images of a class that can be divided: one for each split.
LEAST = 3
#: Points of accuracy between two networks from which on held-out images tell them apart well enough.
COARSE = 5.0
#: Accuracy for which that is stated, and the quantile of a 95 % interval.
TYPICAL, QUANTILE = 0.8, 1.96


def divide(
    source: Path, entries: Sequence[ImageEntry], *, test: float = TEST_SHARE, valid: float = VALID_SHARE, seed: int = 0
) -> list[ImageEntry]:
    """Return images with splits drawn for them, at least one of each class in each split.

    Args:
        source: For messages.
        entries: The images; what split they have does not count.
        test: Share of each class for testing.
        valid: Share of each class for validation.
        seed: Of the draw.

    Raises:
        UserError: The shares leave nothing.
        DataError: A class has too few images.
    """
    if not (0 < test < 1 and 0 < valid < 1 and test + valid < 1):
        raise UserError(f"shares for test and validation lie above 0 and sum to less than 1, got {test} and {valid}.")
    classes: dict[str, list[ImageEntry]] = {}
    for entry in entries:
        classes.setdefault(entry.label, []).append(entry)
    few = sorted(label for label, members in classes.items() if len(members) < LEAST)
    if few:
        more = f" and {len(few) - 1} more classes" if len(few) > 1 else ""
        count = len(classes[few[0]])
        raise DataError(
            f"{printable(source)}: the class {printable(few[0])!r} has {count} image{'s' * (count > 1)}{more}, "
            f"{LEAST} are the fewest that can be divided into train, validation and test: add some, or leave it out."
        )
    found = []
    for members in classes.values():
        members = sorted(members, key=lambda entry: _draw(entry, seed))
        n_test, n_valid = (max(1, math.floor(share * len(members) + 0.5)) for share in (test, valid))
        n_test = min(n_test, len(members) - 2)
        n_valid = min(n_valid, len(members) - n_test - 1)
        for place, entry in enumerate(members):
            split = "test" if place < n_test else "valid" if place < n_test + n_valid else "train"
            found.append(entry._replace(split=split))
    return sorted(found)


def _draw(entry: ImageEntry, seed: int) -> bytes:
    """Return what a file is sorted by within its class."""
    return hashlib.blake2b(os.fsencode(f"{seed}\n{entry.label}\n{entry.inside}"), digest_size=16).digest()


def resolution(n_images: int) -> float:
    """Return the points of accuracy below which a difference of two networks on so many images means nothing.

    Half a 95 % interval of the difference of two independent accuracies near 80 %.
    """
    return 100 * QUANTILE * math.sqrt(2 * TYPICAL * (1 - TYPICAL) / n_images)


def too_few(name: str, split: str, n_images: int) -> str:
    """Return a warning where held-out images are too few to tell networks apart, "" where they are enough."""
    points = resolution(n_images)
    if points <= COARSE:
        return ""
    enough = math.ceil(2 * TYPICAL * (1 - TYPICAL) * (100 * QUANTILE / COARSE) ** 2)
    what = {"valid": "for validation", "test": "for testing"}[split]
    return (
        f"{printable(name)} holds out {n_images} image{'s' * (n_images > 1)} {what}: differences of accuracy below "
        f"{points:.0f} points mean nothing there; {enough} images tell {COARSE:.0f} points."
    )


def none_of(name: str, split: str, classes: Sequence[str], n_classes: int) -> str:
    """Return a warning where a split has no images of some classes, "" where it has of all."""
    if not classes:
        return ""
    what = {"valid": "validation", "test": "test"}[split]
    shown = ", ".join(repr(printable(label)) for label in classes[:3]) + ", ..." * (len(classes) > 3)
    return (
        f"{printable(name)} has no {what} images of {len(classes)} of its {n_classes} classes ({shown}): how well "
        "networks tell these is not seen there. Give more images of them, or hold out a larger share."
    )


def counts(entries: Sequence[ImageEntry]) -> dict[str, Counter[str]]:
    """Return the number of images by split and class."""
    found: dict[str, Counter[str]] = {}
    for entry in entries:
        found.setdefault(entry.split, Counter())[entry.label] += 1
    return found
