"""Which images a folder or tar file holds: split, class and place of every one; nothing is left out without a word.

The layout is that of torchvision's ImageFolder, at the top or below one more folder:

* ``train/CLASS/FILE`` with ``test/CLASS/FILE`` or ``val`` or both; with ``val`` alone it is what is tested on.
* ``CLASS/FILE`` or ``train/CLASS/FILE`` alone: validation and test images are held out, see `bench.train.image_splits`.

Folders inside a class are read too. Images beside the folders of the splits, and files in a class that are not named as
images are, are counted in a note. Where a split has a file ``val_annotations.txt`` (Tiny ImageNet), it says the classes
of that split. A folder and the tar file of it give the same images in the same order.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.train.image_entries import (
    EXTENSIONS,
    ImageEntry,
    is_foreign,
    is_hidden,
    is_image,
    is_sidecar,
    printable,
    split_of,
)
from smemnas.bench.train.image_left_out import LeftOut
from smemnas.bench.train.image_splits import divide

ANNOTATIONS = "val_annotations.txt"
#: Name of the folder that images without folders of splits are taken to lie in.
ALL = "train"
#: Links that lead to links, at most.
LINKS = 40


class _File(NamedTuple):
    """A file below the folders of the splits: its path there, and where its bytes are."""

    path: tuple[str, ...]
    name: str
    file: str
    start: int
    length: int
    stamp: int = 0


def list_folder(source: Path, valid_share: float | None = None) -> list[ImageEntry]:
    """Return the images of a folder, by split, class and name.

    Args:
        source: The folder.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

    Raises:
        DataError: There is no such folder, no split in it, a class without images, or a file that cannot be read.
        UserError: The share is given, and the folder has a validation split of its own.
    """
    left = LeftOut(source)
    if not source.is_dir():
        raise DataError(f"no folder or tar file of images at {printable(source)}.")
    try:
        top, divided = _place(source)
        if divided:
            splits = [p for p in _folders(top) if split_of(p.name)]
            classes = {(p.name, c.name) for p in splits for c in _folders(p)}
            files = [file for p in splits for file in _walk(str(p), (p.name,), (), left)]
            _beside(source, top, splits, left)
        else:
            classes = {(ALL, p.name) for p in _folders(top)}
            files = list(_walk(str(top), (ALL,), (), left))
    except OSError as error:
        raise DataError(
            f"cannot read {printable(error.filename or source)} ({error.strerror}): allow it, or copy."
        ) from error
    return _entries(source, files, classes, divided, left, valid_share)


def _beside(source: Path, top: Path, splits: Sequence[Path], left: LeftOut) -> None:
    """Count the images beside the folders of the splits, and beside the folder that holds these."""
    for place, taken in {source: [top], top: splits}.items():
        for item in sorted(place.iterdir()):
            if item in taken or is_hidden(item.name):
                continue
            if item.is_file() and is_image(item.name):
                left.beside[item.name] += 1
            for _, folders, names in os.walk(item):
                folders[:] = [name for name in folders if not is_hidden(name)]
                left.beside[item.name] += sum(is_image(name) and not is_hidden(name) for name in names)


def _folders(place: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, by name."""
    with os.scandir(place) as found:  # which needs no look at every file
        return sorted(Path(item.path) for item in found if item.is_dir() and not is_hidden(item.name))


def _place(source: Path) -> tuple[Path, bool]:
    """Return the folder that holds the images of a source, and whether it holds folders of splits (or of classes)."""
    inside = _folders(source)
    for place in (source, *(p for p in inside if not split_of(p.name))):
        if _has_splits(place):
            return place, True
    if any(split_of(p.name) and _folders(p) for p in inside):
        return source, True
    lone = inside[0] if len(inside) == 1 and not any(is_image(p.name) for p in source.iterdir()) else None
    return (lone if lone is not None and _folders(lone) else source), False


def _has_splits(place: Path) -> bool:
    """Whether a folder holds training images by class; a class may be called "train" too (beside "bus" and "car")."""
    inside = _folders(place)
    training = [p for p in inside if split_of(p.name) == "train"]
    return bool(training) and (any(map(_folders, training)) or all(split_of(p.name) for p in inside))


def _walk(folder: str, path: tuple[str, ...], above: tuple[tuple[int, int], ...], left: LeftOut) -> Iterator[_File]:
    """Yield the images in a folder and below it; other files are noted.

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
        if is_hidden(item.name):
            continue
        if is_foreign(item.name):
            raise _foreign(item.path)
        if item.is_dir():
            yield from _walk(item.path, (*path, item.name), (*above, here), left)
        elif item.is_file():
            if is_image(item.name) or item.name == ANNOTATIONS:
                stat = item.stat()
                yield _File((*path, item.name), item.path, item.path, 0, stat.st_size, stat.st_mtime_ns)
            elif len(path) > 1 and not is_sidecar(item.name):
                left.unknown.append("/".join((*path[1:], item.name)))
        elif item.is_symlink() and (is_image(item.name) or "." not in item.name):
            raise DataError(f"{printable(item.path)} is a link to what is not there: restore its target or remove it.")
        elif is_image(item.name):
            raise DataError(f"{printable(item.path)} is no regular file: remove it.")


def list_tar(source: Path, valid_share: float | None = None) -> list[ImageEntry]:
    """Return the images of a tar file, by split, class and name.

    Args:
        source: The tar file.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

    Raises:
        DataError: It is no uncompressed tar file, is cut off, or a member cannot be read.
        UserError: The share is given, and the tar file has a validation split of its own.
    """
    try:
        with tarfile.open(source, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            members = {posixpath.normpath(m.name).lstrip("/"): m for m in archive}  # of equal names the last counts
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{printable(source)} is no readable, uncompressed tar file ({error}): unpack it and name the folder."
        ) from error
    top, divided = _top(members)
    files, classes, left = [], set(), LeftOut(source)
    for name, member in members.items():
        parts = tuple(name.split("/"))
        path = parts[len(top) :] if divided else (ALL, *parts[len(top) :])
        if parts[: len(top)] != top or len(path) < 2 or not split_of(path[0]):
            if is_image(parts[-1]) and not member.isdir() and not any(map(is_hidden, parts)):
                left.beside[(parts[len(top) :] if parts[: len(top)] == top else parts)[0]] += 1
            continue
        if any(map(is_hidden, path)):
            continue
        if member.isdir():
            if len(path) == 2:
                classes.add((path[0], path[1]))
            continue
        if is_foreign(path[-1]):
            raise _foreign(f"{source}:{member.name}")
        classes |= {(path[0], path[1])} if len(path) > 2 else set()
        target = _followed(source, name, members)
        if target is not None and (is_image(path[-1]) or path[-1] == ANNOTATIONS):
            files.append(_File(path, f"{source}:{member.name}", str(source), target.offset_data, target.size))
        elif target is not None and len(path) > 2 and not is_sidecar(path[-1]):
            left.unknown.append("/".join(path[1:]))
    return _entries(source, files, classes, divided, left, valid_share)


def _top(members: dict[str, tarfile.TarInfo]) -> tuple[tuple[str, ...], bool]:
    """Return the folder of a tar file that holds the images, and whether by split, as `_place` finds it."""
    folders: dict[tuple[str, ...], set[str]] = {(): set()}
    loose = False
    for name, member in members.items():
        parts = tuple(part for part in name.split("/") if part != ".")
        if any(map(is_hidden, parts)):
            continue
        loose = loose or (len(parts) == 1 and is_image(name))
        deep = parts if member.isdir() else parts[:-1]
        for k in range(min(len(deep), 4)):
            folders.setdefault(deep[:k], set()).add(deep[k])

    def has_splits(place: tuple[str, ...]) -> bool:
        inside = folders.get(place, set())
        training = [name for name in inside if split_of(name) == "train"]
        deeper = any(folders.get((*place, name)) for name in training)
        return bool(training) and (deeper or all(map(split_of, inside)))

    inside = sorted(folders[()])
    for place in ((), *((name,) for name in inside if not split_of(name))):
        if has_splits(place):
            return place, True
    if any(split_of(name) and folders.get((name,)) for name in inside):
        return (), True
    return ((inside[0],) if len(inside) == 1 and not loose and folders.get((inside[0],)) else ()), False


def _foreign(name: str) -> DataError:
    """Return the error of a picture of a kind that is not read."""
    known = ", ".join(EXTENSIONS)
    return DataError(f"{printable(name)} is a picture of a kind that is not read: convert it ({known}), or remove it.")


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
    if "." in last and not is_image(last):
        return None
    raise DataError(
        f"{printable(source)}:{printable(name)} is a link to {printable(members[name].linkname)}, which is no file of "
        "the archive: pack with --dereference."
    )


def _entries(
    source: Path,
    files: Iterable[_File],
    classes: set[tuple[str, str]],
    divided: bool,
    left: LeftOut,
    valid_share: float | None,
) -> list[ImageEntry]:
    """Sort files into splits and classes.

    Args:
        source: For messages.
        files: Images, and files with annotations.
        classes: Folders of splits and of the classes in them, also empty ones.
        divided: Whether there are folders of splits.
        left: What is not among the files.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

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
            where = (
                f"beside the class folders of {folder}, no class folders hold it" if divided else "in no class folder"
            )
            raise DataError(
                f"{printable(file.name)} lies {where}: move it into the folder of its class, or away; or name a CSV "
                "file of files and labels instead of the folder."
            )
        else:
            label, rest = rest[0], rest[1:]
            filled.add((folder, label))
        entries.append(
            ImageEntry(
                split_of(folder) or folder,
                label.strip(),  # as in a table, which would join what differs in blanks only
                "/".join(rest),
                file.name,
                file.file,
                file.start,
                file.length,
                file.stamp,
            )
        )
    empty = sorted((folder, label) for folder, label in classes - filled if folder not in annotated)
    if empty:
        where = printable("/".join([str(source), *empty[0][0 if divided else 1 :]]))
        raise DataError(f"{where} holds no images: remove this class everywhere, or fill it.")
    folders = {folder for folder, _ in classes} | {file.path[0] for file in files}
    left.check({split_of(folder) for folder in folders} if divided else set())
    _check_blanks(source, {label for _, label in classes | filled})
    return checked(source, sorted(entries), valid_share)


def _check_blanks(source: Path, names: Iterable[str]) -> None:
    """Check that no two classes differ in blanks at their ends only, nor consist of them.

    Raises:
        DataError: Two do, or one does.
    """
    known: dict[str, str] = {}
    for name in sorted(names):
        other = known.setdefault(name.strip(), name)
        if other != name or not name.strip():
            also = f" and {printable(other)!r}" if other != name else ""
            raise DataError(
                f"{printable(source)}: the class {printable(name)!r}{also} cannot be told apart by what is not blank: "
                "rename the folder."
            )


def _annotations(file: _File) -> dict[str, str]:
    """Return the class of each image by file name, from lines of name, class and more, separated by tabs."""
    with open(file.file, "rb") as stream:
        stream.seek(file.start)
        lines = stream.read(file.length).decode("utf-8", "surrogateescape").splitlines()
    return {parts[0]: parts[1] for parts in (line.split("\t") for line in lines) if len(parts) > 1}


def checked(source: Path, entries: list[ImageEntry], valid_share: float | None = None) -> list[ImageEntry]:
    """Check that every split that is there has the same classes, two at least; divide what has one split.

    Args:
        source: For messages.
        entries: The images.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

    Raises:
        DataError: A split or a class is missing.
        UserError: The share is given, and there is a validation split.
    """
    found: dict[str, set[str]] = {}
    for entry in entries:
        found.setdefault(entry.split, set()).add(entry.label)
    where = printable(source)
    if "train" not in found:
        have = ", ".join(sorted(found)) or "none"
        raise DataError(
            f"{where} needs CLASS/FILE, or train/CLASS/FILE and test/CLASS/FILE (or val), with images, found: {have}."
        )
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
    if len(found) == 1:
        return divide(source, entries) if valid_share is None else divide(source, entries, valid=valid_share)
    if valid_share is not None and {"valid", "test"} <= found.keys():
        raise UserError(f"{where} has a validation split of its own: leave valid_share out, or remove that split.")
    return entries
