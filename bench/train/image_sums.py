"""Checksums of decoded images, one by one: what changed on the disk, and which images are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError


class Sums:
    """Checksums of the decoded images of one split, compared when an image is used first.

    Args:
        values: Of each image ``(n,)`` uint64.
        file: Where the pixels are, for messages.
    """

    def __init__(self, values: NDArray[np.uint64], file: Path) -> None:
        self.values = values
        self.file = file
        self._seen = np.zeros(len(values), dtype=bool)

    def check(self, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        """Compare images that were not compared yet in this process.

        Args:
            pixels: All images ``(n, h, w, 3)``.
            rows: Which of them ``(k,)``.

        Raises:
            DataError: One is not what was decoded.
        """
        for row in rows[~self._seen[rows]].tolist():
            if image_sum(pixels[row]) != self.values[row]:
                raise DataError(
                    f"decoded image {row} in {self.file} changed on the disk: remove {self.file.parent}, and the same "
                    "command decodes all images again."
                )
            self._seen[row] = True


def image_sum(image: NDArray[np.uint8]) -> int:
    """Return a checksum of one image ``(h, w, 3)``, 64 bits."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest(), "little")


def repeated(values: NDArray[np.uint64], others: NDArray[np.uint64]) -> int:
    """Return how many of some images are among others too, to the pixel."""
    return int(np.count_nonzero(np.isin(values, others)))


def repeated_note(name: str, split: str, count: int, n_images: int) -> str:
    """Return what to say where images that are held out are trained on under another name, "" where none is."""
    what = {"valid": "validation", "test": "test"}[split]
    return (
        f"{count} of {n_images} {what} images of {name} are among its training images too (the same pixels under "
        f"another name), so the {what} accuracy is too good: keep one of each."
        if count
        else ""
    )
