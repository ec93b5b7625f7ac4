"""Folders and tar files of images, decoded once into arrays that are memory-mapped afterwards.

`bench.train.image_lists` says which images there are. An archive is read in place, nothing is unpacked.

Decoded images take 3 x side x side bytes each, on disk and not in memory: ImageNet (1.33 million) 200 GB at 224
pixels, 65 GB at 128, 16 GB at 64. One corrupt image stops the decoding and is named; nothing is skipped silently.

They are decoded anew when a name, size or time of change of a file differs (of a tar file, its own). Each decoded
image has a checksum, which is compared when the image is used for the first time in a process.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.files import replacing_folder, why
from smemnas.bench.log import note
from smemnas.bench.train.image_decoding import decode
from smemnas.bench.train.image_entries import ImageEntry, printable
from smemnas.bench.train.image_lists import list_folder, list_tar
from smemnas.bench.train.image_splits import VALID_SHARE
from smemnas.bench.train.image_sums import Sums, image_sum, repeated, repeated_note
from smemnas.bench.train.image_tables import ENDINGS, is_table, list_table, write_table

#: Splits that are there once they were drawn.
DRAWN = ("train", "valid", "test")
#: At most about so many images give mean, standard deviation and checksum.
SAMPLED = 10_000
#: Images that a thread decodes at a time.
BLOCK = 64
#: Goes up where the same files give other pixels; 3: images stand upright as their EXIF says.
FORMAT = 3
#: Beside decoded images: file, class and split of every one.
FILES = "files.csv"
ADVICE = "Decoded images take space: free some, or point SMEMNAS_DATA at another folder."
#: Grey values that a data set spans at least, of 255, if its images are scaled as they should be.
SPAN = 32
#: GB of decoded images that nobody opens any more which the user is told about.
WORTH_A_LINE = 0.1


class Arrays(NamedTuple):
    """What one split of a data set holds: pixels ``(n, h, w, 3)`` uint8, labels ``(n,)`` and perhaps checksums."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sums: Sums | None = None


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


def open_files(source: Path, size: int | None, valid_share: float | None = None) -> ImageSet:
    """Return the images of a folder or tar file, decoded now or earlier.

    Args:
        source: The folder, or an uncompressed tar file.
        size: Side to resize and crop to; None keeps the size, which must then be the same for all.
        valid_share: Share of each class for validation, where all splits are drawn; None is a tenth. Images that are
            divided otherwise are decoded once more.

    Raises:
        DataError: The layout, a class, or an image is wrong, or the decoded images are; the message names it.
        UserError: The share is given, and the source has a validation split of its own.
    """
    packed = source.is_file() and not is_table(source)
    entries = list_images(source, valid_share) if not packed or valid_share is not None else None
    drawn = valid_share not in (None, VALID_SHARE) and len({entry.split for entry in entries or ()}) == len(DRAWN)
    share = valid_share if drawn else None
    folder = data_folder() / "images" / "decoded" / _key(source, size, None if packed else entries, share)
    if not (folder / "header.json").exists():
        _make(source, size, entries if entries is not None else list_images(source), folder, share)
    try:
        header = json.loads((folder / "header.json").read_bytes())
        splits = {split: _open_split(folder, split, str(header["labels"][split])) for split in header["splits"]}
        found = ImageSet(
            splits, tuple(header["classes"]), tuple(header["mean"]), tuple(header["std"]), str(header["sha256"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"the decoded images in {folder} cannot be read ({reason}): remove this folder, and the same command "
            "decodes all images again."
        ) from error
    if "test" not in splits:  # as ImageNet comes: what it calls val is what is reported
        splits["test"] = splits.pop("valid")
    return found


def list_images(source: Path, valid_share: float | None = None) -> list[ImageEntry]:
    """Return the images of a folder, a tar file or a table, with their splits.

    Args:
        source: Where they are.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

    Raises:
        DataError: It is none of these, or something in it is wrong.
        UserError: The share is given, and the source has a validation split of its own.
    """
    if is_table(source) and source.is_file():
        return list_table(source, valid_share)
    return list_tar(source, valid_share) if source.is_file() else list_folder(source, valid_share)


def _open_split(folder: Path, split: str, labels_sha256: str) -> Arrays:
    """Open one split of decoded images.

    Raises:
        ValueError: A file is not what was written.
    """
    file = folder / f"{split}-pixels.npy"
    pixels, labels = map_array(file), np.load(folder / f"{split}-labels.npy")
    values = np.load(folder / f"{split}-sums.npy")
    if hashlib.sha256(labels.tobytes() + values.tobytes()).hexdigest() != labels_sha256:
        raise ValueError(f"{split}-labels.npy or {split}-sums.npy changed")
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != len(labels):
        raise ValueError(f"{split}-pixels.npy changed")
    return Arrays(pixels, labels, Sums(values, file))


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


def _key(source: Path, size: int | None, entries: list[ImageEntry] | None, share: float | None) -> str:
    """Return what names the decoded form: path and size asked for, then what the files look like from outside.

    With entries their splits are in it; of a tar file the share by which splits are drawn, where it is not the usual.
    """
    place = hashlib.sha256(json.dumps([FORMAT, str(source.resolve()), size]).encode())
    state = hashlib.sha256()
    if entries is None:
        stat = source.stat()
        state.update(f"{stat.st_size} {stat.st_mtime_ns}{'' if share is None else f' {share}'}".encode())
    else:
        for entry in entries:
            state.update(os.fsencode(f"{entry.split}/{entry.label}/{entry.inside} {entry.length} {entry.stamp}\n"))
    return f"{place.hexdigest()[:12]}-{state.hexdigest()[:16]}"


def _make(source: Path, size: int | None, entries: list[ImageEntry], folder: Path, share: float | None) -> None:
    """Decode all images into a folder that is there whole or not at all.

    Raises:
        DataError: An image is corrupt, the sizes differ, or the disk is too small.
    """
    from filelock import FileLock

    place = folder.name.partition("-")[0]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{place}.lock", mode=0o666):
            if (folder / "header.json").exists():
                return
            _remove_abandoned(folder.parent, place)
            with replacing_folder(folder, failure=DataError, advice=ADVICE) as work:
                _decode_all(source, size, entries, work, share)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {why(error)}. {ADVICE}") from error
    _note_superseded(source, size, folder, share)


def _note_superseded(source: Path, size: int | None, folder: Path, share: float | None) -> None:
    """Name decoded images of an earlier state of a source: they may be large, and only the user knows their use."""
    for header in sorted(folder.parent.glob("[!.]*/header.json")):
        try:
            content = json.loads(header.read_bytes())
            same = content["source"] in (printable(source), printable(source.resolve())) and content["size"] == size
            same = same and content.get("valid_share") == share
            held = sum(file.stat().st_size for file in header.parent.iterdir()) / 1e9
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same and header.parent != folder and held >= WORTH_A_LINE:
            note(
                f"{header.parent} holds an earlier state of {printable(source)} ({held:.1f} GB): remove it if "
                "nothing uses it any more."
            )


def _remove_abandoned(parent: Path, place: str) -> None:
    """Remove what killed decodings left: of this source, whose lock is held, and of any other whose lock is free."""
    from filelock import FileLock, Timeout

    for left in sorted(p for p in parent.glob(".*.*") if p.is_dir()):
        owner = left.name.split(".")[1].partition("-")[0]
        if owner == place:
            shutil.rmtree(left, ignore_errors=True)
            continue
        try:
            with FileLock(parent / f".{owner}.lock", timeout=0, mode=0o666):
                shutil.rmtree(left, ignore_errors=True)
        except (Timeout, OSError):
            continue  # it is being written, or belongs to somebody else


def _decode_all(source: Path, size: int | None, entries: list[ImageEntry], work: Path, share: float | None) -> None:
    """Write arrays and header of all splits into a folder."""
    classes = sorted({e.label for e in entries})
    number = {name: label for label, name in enumerate(classes)}
    height, width, _ = decode(entries[0], size).shape
    if height != width:
        raise DataError(f"{printable(entries[0].name)} is {width} x {height} pixels: give size=... to crop to squares.")
    needed, free = len(entries) * 3 * height * width, shutil.disk_usage(work).free
    if needed > free:
        raise DataError(
            f"{printable(source)} needs {needed / 1e9:.1f} GB decoded at {height} pixels, {work.parent} has "
            f"{free / 1e9:.1f} GB free: give a smaller size=..., or point SMEMNAS_DATA at a larger disk."
        )
    splits, digests, turned = {}, {}, list[str]()
    for split in sorted({e.split for e in entries}):
        mine = [e for e in entries if e.split == split]
        labels = np.array([number[e.label] for e in mine], dtype=np.int64)
        file = work / f"{split}-pixels.npy"
        sums = _write_pixels(file, mine, size, height, turned)
        np.save(work / f"{split}-labels.npy", labels)
        np.save(work / f"{split}-sums.npy", sums)
        digests[split] = hashlib.sha256(labels.tobytes() + sums.tobytes()).hexdigest()
        splits[split] = Arrays(map_array(file), labels, Sums(sums, file))
    _note_repeated(source, splits)
    mean, std = moments(splits["train"].pixels)
    _note_span(source, splits["train"].pixels)
    header = {
        "splits": sorted(splits),
        "classes": [printable(name) for name in classes],
        "mean": mean,
        "std": std,
        "sha256": _identity(checksum(splits), turned),
        "labels": digests,
        "source": printable(source.resolve()),
        "size": size,
        **({} if share is None else {"valid_share": share}),
    }
    write_table(work / FILES, entries)
    (work / "header.json").write_text(json.dumps(header, indent=1), encoding="utf-8")


def _identity(checksum: str, turned: Sequence[str]) -> str:
    """Return the identity of images: their checksum, which sees a sample, and how many were turned upright.

    Before format 3 none was: what was trained on them then is not taken for trained on these.
    """
    return hashlib.sha256(f"{checksum} {len(turned)} upright".encode()).hexdigest() if turned else checksum


def _write_pixels(
    file: Path, entries: Sequence[ImageEntry], size: int | None, side: int, turned: list[str]
) -> NDArray[np.uint64]:
    """Decode the images of a split into an array's file; return their checksums ``(n,)``; names of `turned` are added.

    Written and not mapped: on a full disk a write fails with an error, a mapped page with a signal.

    Raises:
        DataError: An image is corrupt or has another size than the first.
    """
    from concurrent.futures import ThreadPoolExecutor
    from threading import Lock

    sums = np.zeros(len(entries), dtype=np.uint64)
    lock, each = Lock(), 3 * side * side
    with open(file, "wb") as stream:
        form = {"descr": "|u1", "fortran_order": False, "shape": (len(entries), side, side, 3)}
        np.lib.format.write_array_header_1_0(stream, form)
        start = stream.tell()

        def fill(rows: range) -> None:
            images = []
            for row in rows:
                image = decode(entries[row], size, turned)
                if image.shape != (side, side, 3):
                    found = f"{image.shape[1]} x {image.shape[0]}"
                    name = printable(entries[row].name)
                    raise DataError(f"{name} is {found} pixels, others are {side} x {side}: give size=... for all.")
                sums[row] = image_sum(image)
                images.append(image.tobytes())
            with lock:
                stream.seek(start + rows[0] * each)
                stream.write(b"".join(images))

        pool = ThreadPoolExecutor()  # Pillow decodes outside the interpreter lock
        try:
            list(pool.map(fill, [range(k, min(k + BLOCK, len(entries))) for k in range(0, len(entries), BLOCK)]))
        finally:
            pool.shutdown(cancel_futures=True)
    return sums


def _note_repeated(source: Path, splits: dict[str, Arrays]) -> None:
    """Say where images are in the training split and in another one, under two names."""
    values = {split: arrays.sums.values for split, arrays in splits.items() if arrays.sums is not None}
    for split in sorted(values.keys() - {"train"}, reverse=True):
        called = split if "test" in splits else "test"  # see `open_files`
        text = repeated_note(printable(source), called, repeated(values[split], values["train"]), len(values[split]))
        if text:
            note(text)


def _note_span(source: Path, pixels: NDArray[np.uint8]) -> None:
    """Say where all images are of nearly one grey value, as 12-bit images in files of 16 bits are."""
    rows = _sampled(len(pixels))
    low, high = min(int(pixels[r].min()) for r in rows), max(int(pixels[r].max()) for r in rows)
    if high - low < SPAN:
        note(
            f"the pixels of {printable(source)} lie between {low} and {high} of 255: are its images scaled to "
            "the full range of their files?"
        )


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
        pixels, labels, *_ = splits[split]
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
    """Return the folder or tar file of a name or path, or None if it is neither.

    Raises:
        UserError: It is a path of nothing.
    """
    place = f"{data_folder()}/images/{name}"
    for path in (place, f"{place}.tar", os.path.expanduser(name)):
        if os.path.isfile(path) or os.path.isdir(path):  # which take any text for a path, also one that is too long
            return Path(path)
    if "/" in name or name.endswith((".tar", *ENDINGS)):
        raise UserError(f"no folder or tar file of images at {printable(name)}, and no CSV file.")
    return None
