"""What is known of an image file before it is opened: split, class, place; and which names are images' names."""

from __future__ import annotations

import os
from typing import NamedTuple

#: Folder name, in lower case -> split.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
#: Pictures of kinds that are not read: they are named, not passed over.
FOREIGN = (".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".svg", ".npy", ".dcm", ".dng", ".cr2", ".nef")
#: Endings of what lies beside images and is none: not worth a word.
SIDECARS = (
    *(".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".pdf", ".mat", ".log", ".db", ".ini"),
    *(".md5", ".sha256"),
)


class ImageEntry(NamedTuple):
    """One image file: its split and class, its path in the class, its name for messages, and where its bytes are.

    `stamp` is when the file was changed last (ns); 0 in a tar file, which has one time for all.
    """

    split: str
    label: str
    inside: str
    name: str
    file: str
    start: int
    length: int
    stamp: int


def split_of(folder: str) -> str | None:
    """Return the split that a folder's name stands for, None for any other name."""
    return SPLIT_FOLDERS.get(folder.lower())


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(EXTENSIONS)


def is_foreign(name: str) -> bool:
    """Whether a file's name is that of a picture of a kind that is not read."""
    return name.lower().endswith(FOREIGN)


def is_sidecar(name: str) -> bool:
    """Whether a file's name is that of something that lies beside images and is none."""
    return name.lower().endswith(SIDECARS)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is left out by its name: hidden ones, and what macOS puts beside files in archives."""
    return name.startswith(".") or name == "__MACOSX"


def printable(name: object) -> str:
    r"""Return a file's name as text that can be printed everywhere; bytes that are not UTF-8 become ``\xe9``."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")
