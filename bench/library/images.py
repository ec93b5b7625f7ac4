"""What a folder, tar file or table of images holds, and how it is divided, as the command `images` shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smemnas.bench.display import html_table
from smemnas.bench.errors import UserError
from smemnas.bench.outputs import check_output, has_columns

#: Columns of the table of files that `images --out` writes.
COLUMNS = ("file", "label", "split")


@dataclass(frozen=True, repr=False)
class ImageFolder:
    """Images and their splits.

    Attributes:
        source: Folder, tar file or table.
        counts: Images by split and class; validation images that are held out of the training images count as such.
        warnings: What is too small to tell networks apart.
    """

    source: Path
    counts: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of a network's outputs."""
        return tuple(sorted(self.counts["train"]))

    def lines(self) -> list[str]:
        """Return the description line by line."""
        found = [f"{self.source}: {len(self.classes):,} classes"]
        for split in ("train", "valid", "test"):
            of = self.counts[split]
            n, low, high = sum(of.values()), min(of, key=of.__getitem__), max(of, key=of.__getitem__)
            found.append(f"{split:5} {n:9,} images, {of[low]:,} ({low}) to {of[high]:,} ({high}) per class")
        return found

    def __repr__(self) -> str:
        n = {split: sum(of.values()) for split, of in self.counts.items()}
        return f"<ImageFolder {self.source}: {len(self.classes)} classes, {n}>"

    def _repr_html_(self) -> str:
        rows = [(name, *(self.counts[s].get(name, 0) for s in ("train", "valid", "test"))) for name in self.classes]
        return html_table(("class", "train", "valid", "test"), rows, title=str(self.source), notes=self.warnings)


def images(
    source: str | Path,
    *,
    out: str | Path | None = None,
    test: float | None = None,
    valid: float | None = None,
    seed: int | None = None,
) -> ImageFolder:
    """Say what images there are and how they are divided; write it file by file.

    Args:
        source: Folder, tar file or CSV file.
        out: CSV file to write, which is a source of images itself; None writes none.
        test: Share of each class for testing, where the source has no splits; None takes a fifth.
        valid: Share of each class for validation; None takes a tenth.
        seed: Of the draw; None takes 0.

    Raises:
        UserError: There is nothing of that name, a share makes no sense, or the source has splits of its own.
        DataError: Something is wrong with the images' places.
        RunError: The file cannot be written.
    """
    from smemnas.bench.train.image_files import find_files, list_images
    from smemnas.bench.train.image_splits import TEST_SHARE, VALID_SHARE, counts, divide, none_of, too_few
    from smemnas.bench.train.image_tables import write_table
    from smemnas.bench.train.images import with_held_out

    place = find_files(str(source))
    if place is None:
        raise UserError(f"no folder, tar file or CSV file of images at {source}.")
    target = None if out is None else Path(out).expanduser()
    if target is not None:
        if place.is_file() and place.suffix == ".tar":
            raise UserError(f"a table names files, {place} is an archive: unpack it and name the folder.")
        check_output(target, has_columns(COLUMNS), "images", [place])
    entries = list_images(place)
    if (test, valid, seed) != (None, None, None):
        drawn = divide(
            place,
            entries,
            test=TEST_SHARE if test is None else test,
            valid=VALID_SHARE if valid is None else valid,
            seed=seed or 0,
        )
        if drawn != entries and entries != divide(place, entries):
            raise UserError(f"{place} has splits of its own: leave --test, --valid and --seed out.")
        entries = drawn
    entries = with_held_out(entries)
    if target is not None:
        write_table(target, entries, target.parent)
    number = counts(entries)
    classes = sorted(number["train"])
    warned = []
    for split in ("valid", "test"):
        of = number.setdefault(split, Counter())
        missing = [label for label in classes if not of[label]]
        of.update(dict.fromkeys(missing, 0))
        warned.append(too_few(str(source), split, sum(of.values())))
        warned.append(none_of(str(source), split, missing, len(classes)))
    return ImageFolder(place, number, tuple(filter(None, warned)))
