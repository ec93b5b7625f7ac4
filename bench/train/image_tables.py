"""Images by a table: a CSV file with one line per image, its file, its class and, if it says so, its split.

Columns go by usual names (`FILES`, `LABELS`, `SPLITS`), separators are found; without a first line of names the columns
are file, class and split. Files are relative to the folder of the table. Where no line has a split, or all are for
training, validation and test images are drawn as for a folder of classes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from smemnas.bench.errors import DataError
from smemnas.bench.files import why, write_text
from smemnas.bench.train.image_entries import SPLIT_FOLDERS, ImageEntry, is_image, printable, split_of
from smemnas.bench.train.image_lists import checked

ENDINGS = (".csv", ".tsv")
FILES = ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "image_file", "img")
LABELS = ("label", "class", "class_name", "category", "target", "y")
SPLITS = ("split", "subset", "set", "partition")
SEPARATORS = ",;\t|"


def is_table(source: Path) -> bool:
    """Whether a source is a table of images, by its name."""
    return source.suffix.lower() in ENDINGS


def list_table(source: Path, valid_share: float | None = None) -> list[ImageEntry]:
    """Return the images that a table names, by split, class and file.

    Args:
        source: The table.
        valid_share: Share of each class for validation, where the splits are drawn; None is a tenth.

    Raises:
        DataError: It is no such table, or names a file twice, one that is not there, or no class or split for it.
        UserError: The share is given, and the table has a validation split of its own.
    """
    at, lines = _columns(source, _lines(source))
    if "split" in at and not any(cells[at["split"]] for _, cells in lines if len(cells) > at["split"]):
        del at["split"]  # no line says it: drawn, as without the column
    found: dict[str, ImageEntry] = {}
    for number, cells in lines:
        if not any(cells):
            continue
        place = f"{printable(source)}, line {number}"
        cells = [*cells, *[""] * (1 + max(at.values()) - len(cells))]
        file, label = cells[at["file"]], cells[at["label"]]
        if not file or not label:
            raise DataError(f"{place} has no {'class' if file else 'file'}: fill it in, or remove the line.")
        split: str | None = "train"
        if "split" in at:
            split = split_of(cells[at["split"]])
            if split is None:
                known = ", ".join(SPLIT_FOLDERS)
                raise DataError(f"{place} has the split {printable(cells[at['split']])!r}, expected one of {known}.")
        path = os.path.join(source.parent, os.path.expanduser(file))
        real = os.path.normpath(path)
        if real in found:
            raise DataError(f"{place} names {printable(file)} again: keep one line for each image.")
        found[real] = _entry(place, split or "", label, file, path)
    if not found:
        raise DataError(f"{printable(source)} names no images: give one line per image, file,class.")
    return checked(source, sorted(found.values()), valid_share)


def _entry(place: str, split: str, label: str, file: str, path: str) -> ImageEntry:
    """Return the image of one line.

    Raises:
        DataError: Its file is not there, or no image's.
    """
    if not is_image(file):
        raise DataError(f"{place}: {printable(file)} has no ending of an image: give the whole name of the file.")
    try:
        stat = os.stat(path)
    except (OSError, ValueError) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        raise DataError(
            f"{place}: cannot read {printable(path)} ({reason}): files are relative to the folder of the table."
        ) from error
    return ImageEntry(split, label, file, path, path, 0, stat.st_size, stat.st_mtime_ns)


def _lines(source: Path) -> list[tuple[int, list[str]]]:
    """Return numbers and cells of all lines.

    Raises:
        DataError: It is no text.
    """
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {printable(source)}: {why(error)}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(source)} is no UTF-8 text ({error.reason}): save it as UTF-8.") from error
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{printable(source)} is no CSV file ({error}).") from error


def _columns(
    source: Path, lines: Sequence[tuple[int, list[str]]]
) -> tuple[dict[str, int], Sequence[tuple[int, list[str]]]]:
    """Return where file, label and perhaps split are, and the lines below the names.

    Raises:
        DataError: There is no column of files, or none of labels.
    """
    first = lines[0][1] if lines else []
    if first and is_image(first[0]) and len(first) in (2, 3):
        return dict(zip(("file", "label", "split"), range(len(first)))), lines
    names = [name.lower().replace(" ", "_") for name in first]
    at = {}
    for kind, known in (("file", FILES), ("label", LABELS), ("split", SPLITS)):
        found = next((name for name in known if name in names), None)
        if found is not None:
            at[kind] = names.index(found)
        elif kind != "split":
            raise DataError(
                f"{printable(source)} has the columns {', '.join(map(repr, map(printable, first))) or 'none'}: none is "
                f"the {kind}: name one {', '.join(known[:3])}, ..."
            )
    return at, lines[1:]


def write_table(file: Path, entries: Iterable[ImageEntry], root: Path | None = None) -> None:
    """Write a table that `list_table` reads, names of images relative to a folder where one is given.

    Raises:
        RunError: It cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label", "split"))
    for entry in sorted(entries, key=lambda entry: (entry.label, entry.inside)):
        name = entry.name if root is None else os.path.relpath(entry.name, root)
        writer.writerow((printable(name), printable(entry.label), entry.split))
    write_text(file, text.getvalue())
