"""Which images a folder or tar file holds: split, class and place of every one; nothing is left out without a word.

The layout is that of torchvision's ImageFolder with its splits: ``train/CLASS/FILE`` and ``test/CLASS/FILE`` (or
``val``; with both, ``val`` is the validation split), at the top or below one more folder. Folders inside a class are
read too. Where a split has a file ``val_annotations.txt`` (Tiny ImageNet), it says the classes of that split.

A folder and the tar file of it give the same images in the same order.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.errors import DataError

#: Folder name -> split.
SPLIT_FOLDERS = {"train": "train", "test": "test", "val": "valid", "valid": "valid", "validation": "valid"}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
ANNOTATIONS = "val_annotations.txt"
#: Links that lead to links, at most.
LINKS = 40


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


class _File(NamedTuple):
    """A file below the folders of the splits: its path there, and where its bytes are."""

    path: tuple[str, ...]
    name: str
    file: str
    start: int
    length: int
    stamp: int = 0


def list_folder(source: Path) -> list[ImageEntry]:
    """Return the images of a folder, by split, class and name.

    Raises:
        DataError: There is no such folder, no split in it, a class without images, or a file that cannot be read.
    """
    if not source.is_dir():
        raise DataError(f"no folder or tar file of images at {printable(source)}.")
    try:
        places = [source, *(p for p in sorted(source.iterdir()) if p.is_dir() and p.name not in SPLIT_FOLDERS)]
        top = next((p for p in places if (p / "train").is_dir()), source)
        splits = [p for p in sorted(top.iterdir()) if p.name in SPLIT_FOLDERS and p.is_dir()]
        classes = {(p.name, c.name) for p in splits for c in p.iterdir() if c.is_dir() and not c.name.startswith(".")}
        files = [file for p in splits for file in _walk(str(p), (p.name,), ())]
    except OSError as error:
        raise DataError(
            f"cannot read {printable(error.filename or source)} ({error.strerror}): allow it, or copy."
        ) from error
    return _entries(source, files, classes)


def _walk(folder: str, path: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> Iterator[_File]:
    """Yield the images in a folder and below it.

    Raises:
        DataError: Something looks like an image and is none that can be read, or folders contain themselves.
    """
    stat = os.stat(folder)
    here = stat.st_dev, stat.st_ino
    if here in above:
        raise DataError(f"{printable(folder)} is a link to a folder that contains it: remove the link.")
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        if item.name.startswith("."):
            continue
        if item.is_dir():
            yield from _walk(item.path, (*path, item.name), (*above, here))
        elif item.is_file():
            if _is_image(item.name) or item.name == ANNOTATIONS:
                stat = item.stat()
                yield _File((*path, item.name), item.path, item.path, 0, stat.st_size, stat.st_mtime_ns)
        elif item.is_symlink() and (_is_image(item.name) or "." not in item.name):
            raise DataError(f"{printable(item.path)} is a link to what is not there: restore its target or remove it.")
        elif _is_image(item.name):
            raise DataError(f"{printable(item.path)} is no regular file: remove it.")


def list_tar(source: Path) -> list[ImageEntry]:
    """Return the images of a tar file, by split, class and name.

    Raises:
        DataError: It is no uncompressed tar file, is cut off, or a member cannot be read.
    """
    try:
        with tarfile.open(source, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            members = {posixpath.normpath(m.name).lstrip("/"): m for m in archive}  # of equal names the last counts
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{printable(source)} is no readable, uncompressed tar file ({error}): unpack it and name the folder."
        ) from error
    top = _top(members)
    files, classes = [], set()
    for name, member in members.items():
        parts = tuple(name.split("/"))
        path = parts[len(top) :]
        if parts[: len(top)] != top or len(path) < 2 or path[0] not in SPLIT_FOLDERS:
            continue
        if any(part.startswith(".") for part in path):
            continue
        if member.isdir():
            if len(path) == 2:
                classes.add((path[0], path[1]))
            continue
        classes |= {(path[0], path[1])} if len(path) > 2 else set()
        target = _followed(source, name, members)
        if target is not None and (_is_image(path[-1]) or path[-1] == ANNOTATIONS):
            files.append(_File(path, f"{source}:{member.name}", str(source), target.offset_data, target.size))
    return _entries(source, files, classes)


def _top(members: dict[str, tarfile.TarInfo]) -> tuple[str, ...]:
    """Return the folder of a tar file that holds the splits, as `list_folder` finds it."""
    inside = {tuple(name.split("/")[:2]) for name, member in members.items() if "/" in name}
    inside |= {(name,) for name, member in members.items() if member.isdir()}
    if any(parts[0] == "train" for parts in inside):
        return ()
    deeper = {tuple(name.split("/")[:2]) for name, m in members.items() if name.count("/") > 1 or m.isdir()}
    holders = sorted(p[0] for p in deeper if p[1:] == ("train",) and p[0] not in SPLIT_FOLDERS)
    return (holders[0],) if holders else ()


def _followed(source: Path, name: str, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Return the member whose bytes a member of a tar file stands for; None for what is no file and no link.

    Raises:
        DataError: A link leads out of the archive or to a folder, or the bytes are not in one piece.
    """
    member, at = members[name], name
    for _ in range(LINKS):
        if member.isreg():
            if member.issparse():
                raise DataError(f"{printable(source)}:{printable(name)} is stored sparse: pack without --sparse.")
            return member
        if not (member.issym() or member.islnk()):
            return None
        start = posixpath.dirname(at) if member.issym() else ""
        at = posixpath.normpath(posixpath.join(start, member.linkname)).lstrip("/")
        if at not in members or members[at].isdir():
            break
        member = members[at]
    last = posixpath.basename(name)
    if "." in last and not _is_image(last):
        return None
    raise DataError(
        f"{printable(source)}:{printable(name)} is a link to {printable(members[name].linkname)}, which is no file of "
        "the archive: pack with --dereference."
    )


def _entries(source: Path, files: Iterable[_File], classes: set[tuple[str, str]]) -> list[ImageEntry]:
    """Sort files into splits and classes.

    Args:
        source: For messages.
        files: Images, and files with annotations.
        classes: Folders of splits and of the classes in them, also empty ones.

    Raises:
        DataError: An image belongs to no class, a class is empty, or the splits do not fit together.
    """
    files = list(files)
    annotated = {f.path[0]: _annotations(f) for f in files if f.path[1:] == (ANNOTATIONS,)}
    entries, filled = [], set()
    for file in files:
        folder, *rest = file.path
        if rest[-1] == ANNOTATIONS:
            continue
        if folder in annotated:
            label = annotated[folder].get(rest[-1], "")
            if not label:
                raise DataError(
                    f"{printable(file.name)} has no line in {folder}/{ANNOTATIONS}: add it, or remove the image."
                )
        elif len(rest) == 1:
            raise DataError(
                f"{printable(file.name)} lies beside the class folders of {folder}, no class folders hold it: move it "
                "into the folder of its class, or away."
            )
        else:
            label, rest = rest[0], rest[1:]
            filled.add((folder, label))
        entries.append(
            ImageEntry(
                SPLIT_FOLDERS[folder], label, "/".join(rest), file.name, file.file, file.start, file.length, file.stamp
            )
        )
    empty = sorted((folder, label) for folder, label in classes - filled if folder not in annotated)
    if empty:
        where = printable(f"{source}/{'/'.join(empty[0])}")
        raise DataError(f"{where} holds no images: remove this class everywhere, or fill it.")
    return _checked(source, sorted(entries))


def _annotations(file: _File) -> dict[str, str]:
    """Return the class of each image by file name, from lines of name, class and more, separated by tabs."""
    with open(file.file, "rb") as stream:
        stream.seek(file.start)
        lines = stream.read(file.length).decode("utf-8", "surrogateescape").splitlines()
    return {parts[0]: parts[1] for parts in (line.split("\t") for line in lines) if len(parts) > 1}


def _checked(source: Path, entries: list[ImageEntry]) -> list[ImageEntry]:
    """Check that every split that is there has the same classes, two at least.

    Raises:
        DataError: A split or a class is missing.
    """
    found: dict[str, set[str]] = {}
    for entry in entries:
        found.setdefault(entry.split, set()).add(entry.label)
    where = printable(source)
    if "train" not in found or len(found) == 1:
        have = ", ".join(sorted(found)) or "none"
        raise DataError(f"{where} needs train/CLASS/FILE and test/CLASS/FILE (or val) with images, found: {have}.")
    for split in sorted(found.keys() - {"train"}):
        if found[split] == {"images"} != found["train"]:
            raise DataError(
                f"{where}: the images of {split} lie in one folder 'images' and have no classes: sort them into one "
                f"folder per class, or move {split} away if nobody knows their classes."
            )
        for one, other, names in ((split, "train", found[split]), ("train", split, found["train"])):
            missing = sorted(names - found[other])
            if missing:
                raise DataError(f"{where}: {one} has the class {printable(missing[0])!r}, which {other} lacks.")
    if len(found["train"]) < 2:
        only = printable(next(iter(found["train"])))
        raise DataError(f"{where} holds one class, {only!r}: give images of two classes at least.")
    return entries


def _is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(EXTENSIONS)


def printable(name: object) -> str:
    r"""Return a file's name as text that can be printed everywhere; bytes that are not UTF-8 become ``\xe9``."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")
