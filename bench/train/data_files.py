"""Folders and tar files of images, decoded once into arrays that are memory-mapped afterwards.

The layout is that of torchvision's ImageFolder with its splits: ``train/CLASS/FILE`` and ``test/CLASS/FILE`` (or
``val``; with both, ``val`` is the validation split), at the top or below one more folder. An archive is read in
place, nothing is unpacked.

Decoded images take 3 x side x side bytes each, on disk and not in memory: ImageNet (1.33 million) 200 GB at 224
pixels, 65 GB at 128, 16 GB at 64. One corrupt image stops the decoding and is named; nothing is skipped silently.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, UserError
from bench.store import data_folder

#: Folder name -> split.
SPLIT_FOLDERS = {"train": "train", "test": "test", "val": "valid", "valid": "valid", "validation": "valid"}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
#: At most about so many images give mean, standard deviation and checksum.
SAMPLED = 10_000
#: Images that a thread decodes at a time.
BLOCK = 64
FORMAT = 1


class Arrays(NamedTuple):
    """What one split of a data set holds: pixels ``(n, h, w, 3)`` uint8 and labels ``(n,)``."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """A data set with its splits.

    Attributes:
        splits: "train" and "test", and "valid" where the data has its own.
        classes: Names in the order of the labels.
        mean: Of the training pixels' channels, from 0 to 1.
        std: Their standard deviation.
        sha256: Checksum of labels and of (a sample of) the pixels of all splits.
    """

    splits: dict[str, Arrays]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str


class Entry(NamedTuple):
    """One image file: its split, class, name for messages, and where its bytes are in which file."""

    split: str
    label: str
    name: str
    file: str
    start: int
    length: int


def open_files(source: Path, size: int | None) -> ImageSet:
    """Return the images of a folder or tar file, decoded now or earlier.

    Args:
        source: The folder, or an uncompressed tar file.
        size: Side to resize and crop to; None keeps the size, which must then be the same for all.

    Raises:
        DataError: The layout, a class, or an image is wrong; the message names it.
    """
    entries = None if source.is_file() else list_folder(source)
    folder = data_folder() / "images" / "decoded" / _key(source, size, entries)
    if not (folder / "header.json").exists():
        _make(source, size, entries if entries is not None else list_tar(source), folder)
    header = json.loads((folder / "header.json").read_bytes())
    splits = {}
    for split in header["splits"]:
        splits[split] = Arrays(map_array(folder / f"{split}-pixels.npy"), np.load(folder / f"{split}-labels.npy"))
    if "test" not in splits:  # as ImageNet comes: what it calls val is what is reported
        splits["test"] = splits.pop("valid")
    return ImageSet(
        splits, tuple(header["classes"]), tuple(header["mean"]), tuple(header["std"]), str(header["sha256"])
    )


def map_array(file: Path) -> NDArray[np.uint8]:
    """Return an array that stays on disk; nobody writes to it.

    Torch warns about arrays that cannot be written, hence copy-on-write. For that the system may want to set aside
    as much memory as the file is large, and refuse: then the array is read-only.
    """
    try:
        return np.load(file, mmap_mode="c")
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return np.load(file, mmap_mode="r")


def list_folder(source: Path) -> list[Entry]:
    """Return the images of a folder, by split, class and name.

    Raises:
        DataError: There is no such folder, no split in it, or a class without images.
    """
    if not source.is_dir():
        raise DataError(f"no folder or tar file of images at {source}.")
    entries: list[Entry] = []
    places = [source, *(p for p in sorted(source.iterdir()) if p.is_dir() and p.name not in SPLIT_FOLDERS)]
    top = next((p for p in places if (p / "train").is_dir()), source)
    for place in sorted(top.iterdir()):
        split = SPLIT_FOLDERS.get(place.name)
        if split is None or not place.is_dir():
            continue
        for folder in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
            found = sorted(_scan(folder))
            if not found:
                raise DataError(f"{folder} holds no images: remove this class everywhere, or fill it.")
            for name, length in found:
                file = f"{folder}/{name}"
                entries.append(Entry(split, folder.name, file, file, 0, length))
        if not any(e.split == split for e in entries) and any(_scan(place)):
            raise DataError(f"{place} holds images but no class folders: sort them into one folder per class.")
    return _checked(source, entries)


def _scan(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name and bytes of each image file in a folder."""
    with os.scandir(folder) as found:
        for item in found:
            if item.name.lower().endswith(EXTENSIONS) and not item.name.startswith(".") and item.is_file():
                yield item.name, item.stat().st_size


def list_tar(source: Path) -> list[Entry]:
    """Return the images of a tar file, by split, class and name.

    Raises:
        DataError: It is no uncompressed tar file, or is cut off.
    """
    entries = []
    try:
        with tarfile.open(source, "r:") as archive:
            for member in archive:
                parts = Path(member.name).parts
                if member.isfile() and len(parts) in (3, 4) and parts[-3] in SPLIT_FOLDERS:
                    split, label, name = SPLIT_FOLDERS[parts[-3]], parts[-2], parts[-1]
                    if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                        where = f"{source}:{member.name}"
                        entries.append(Entry(split, label, where, str(source), member.offset_data, member.size))
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{source} is no readable, uncompressed tar file ({error}): unpack it and name the folder."
        ) from error
    return _checked(source, sorted(entries))


def _checked(source: Path, entries: list[Entry]) -> list[Entry]:
    """Check that every split that is there has the same classes.

    Raises:
        DataError: A split or a class is missing.
    """
    found = {split: {e.label for e in entries if e.split == split} for split in {e.split for e in entries}}
    if "train" not in found or len(found) == 1:
        have = ", ".join(sorted(found)) or "none"
        raise DataError(f"{source} needs train/CLASS/FILE and test/CLASS/FILE (or val) with images, found: {have}.")
    for split in sorted(found.keys() - {"train"}):
        for one, other, names in ((split, "train", found[split]), ("train", split, found["train"])):
            missing = sorted(names - found[other])
            if missing:
                raise DataError(f"{source}: {one} has the class {missing[0]!r}, which {other} lacks.")
    return entries


def _key(source: Path, size: int | None, entries: list[Entry] | None) -> str:
    """Return what names the decoded form: path, size asked for, and what the files look like from outside."""
    text = hashlib.sha256(json.dumps([FORMAT, str(source.resolve()), size]).encode())
    if entries is None:
        stat = source.stat()
        text.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    else:
        for entry in entries:
            text.update(f"{entry.name} {entry.length}\n".encode())
    return text.hexdigest()[:24]


def _make(source: Path, size: int | None, entries: list[Entry], folder: Path) -> None:
    """Decode all images into a folder that is there whole or not at all.

    Raises:
        DataError: An image is corrupt, the sizes differ, or the disk is too small.
    """
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if (folder / "header.json").exists():
                return
            work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                _decode_all(source, size, entries, work)
                os.replace(work, folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"cannot write decoded images to {folder.parent} ({error.strerror}): free space, or point SMEMNAS_DATA at "
            "another folder."
        ) from error


def _decode_all(source: Path, size: int | None, entries: list[Entry], work: Path) -> None:
    """Write arrays and header of all splits into a folder."""
    from concurrent.futures import ThreadPoolExecutor

    classes = sorted({e.label for e in entries})
    number = {name: label for label, name in enumerate(classes)}
    height, width, _ = decode(entries[0], size).shape
    if height != width:
        raise DataError(f"{entries[0].name} is {width} x {height} pixels: give size=... to crop to squares.")
    needed, free = len(entries) * 3 * height * width, shutil.disk_usage(work).free
    if needed > free:
        raise DataError(
            f"{source} needs {needed / 1e9:.1f} GB decoded at {height} pixels, {work.parent} has {free / 1e9:.1f} GB "
            "free: give a smaller size=..., or point SMEMNAS_DATA at a larger disk."
        )
    splits = {}
    for split in sorted({e.split for e in entries}):
        mine = [e for e in entries if e.split == split]
        labels = np.array([number[e.label] for e in mine], dtype=np.int64)
        pixels = np.lib.format.open_memmap(
            work / f"{split}-pixels.npy", mode="w+", dtype=np.uint8, shape=(len(mine), height, width, 3)
        )

        pool = ThreadPoolExecutor()  # Pillow decodes outside the interpreter lock
        try:
            blocks = [range(start, min(start + BLOCK, len(mine))) for start in range(0, len(mine), BLOCK)]
            list(pool.map(lambda rows, mine=mine, pixels=pixels: _fill(pixels, mine, rows, size), blocks))
        finally:
            pool.shutdown(cancel_futures=True)
        pixels.flush()
        np.save(work / f"{split}-labels.npy", labels)
        splits[split] = Arrays(pixels, labels)
    mean, std = moments(splits["train"].pixels)
    header = {
        "splits": sorted(splits),
        "classes": classes,
        "mean": mean,
        "std": std,
        "sha256": checksum(splits),
        "source": str(source),
        "size": size,
    }
    (work / "header.json").write_text(json.dumps(header, indent=1), encoding="utf-8")


def _fill(pixels: NDArray[np.uint8], entries: Sequence[Entry], rows: range, size: int | None) -> None:
    """Decode some rows of a split.

    Raises:
        DataError: An image is corrupt or has another size than the first.
    """
    for row in rows:
        image = decode(entries[row], size)
        if image.shape != pixels.shape[1:]:
            found, wanted = (f"{shape[1]} x {shape[0]}" for shape in (image.shape, pixels.shape[1:]))
            raise DataError(f"{entries[row].name} is {found} pixels, others are {wanted}: give size=... for all.")
        pixels[row] = image


def decode(entry: Entry, size: int | None) -> NDArray[np.uint8]:
    """Return one image ``(h, w, 3)``; with `size`, its shorter side is resized and the centre cropped.

    Raises:
        DataError: The file is no image, or cut off.
    """
    from PIL import Image

    try:
        with open(entry.file, "rb") as stream:
            stream.seek(entry.start)
            data = stream.read(entry.length)
        with Image.open(io.BytesIO(data)) as opened:
            return resize(opened.convert("RGB"), size)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{entry.name} is no readable image ({reason}): replace or remove it.") from error


def resize(image: Any, size: int | None) -> NDArray[np.uint8]:
    """Return a Pillow image as an array, its shorter side resized to `size` and the centre cropped."""
    from PIL import Image

    if size is not None and image.size != (size, size):
        scale = size / min(image.size)
        width, height = (max(size, round(v * scale)) for v in image.size)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return np.asarray(image, dtype=np.uint8)


def moments(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, from 0 to 1, over an even sample of the images."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for row in _sampled(len(pixels)):
        values = pixels[row].astype(np.int64).reshape(-1, 3)
        count += len(values)
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def checksum(splits: dict[str, Arrays]) -> str:
    """Return a checksum of all labels and of an even sample of the images of each split."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        pixels, labels = splits[split]
        digest.update(f"{split} {pixels.shape}".encode())
        digest.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
        for row in _sampled(len(pixels)):
            digest.update(np.ascontiguousarray(pixels[row]).tobytes())
    return digest.hexdigest()


def _sampled(n: int) -> Sequence[int]:
    """Return at most about `SAMPLED` of ``n`` rows, evenly spread."""
    return range(0, n, max(1, n // SAMPLED))


def known_files() -> list[str]:
    """Return the names of the folders and tar files that were put where the suite looks for images."""
    place = data_folder() / "images"
    if not place.is_dir():
        return []
    return sorted(p.name.removesuffix(".tar") for p in place.iterdir() if p.suffix == ".tar" or (p / "train").is_dir())


def find_files(name: str) -> Path | None:
    """Return the folder or tar file of a name or path, or None if it is neither."""
    place = data_folder() / "images" / name
    for path in (place, place.with_name(f"{place.name}.tar"), Path(name).expanduser()):
        if path.is_file() or path.is_dir():
            return path
    if "/" in name or name.endswith(".tar"):
        raise UserError(f"no folder or tar file of images at {name}.")
    return None
