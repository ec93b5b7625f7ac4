"""What of a folder or tar file is not taken for an image to train on: counted and named, each once in a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from smemnas.bench.errors import DataError
from smemnas.bench.log import note
from smemnas.bench.train.image_entries import EXTENSIONS, printable

#: Names that a note gives.
SHOWN = 3
_said: set[str] = set()


class LeftOut:
    """What is left out of a source.

    Args:
        source: For messages.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        #: Images beside the folders of the splits, by the folder or file there.
        self.beside: Counter[str] = Counter()
        #: Files in classes that are no images by their names.
        self.unknown: list[str] = []

    def check(self, splits: Collection[str | None]) -> None:
        """Say what is left out.

        Args:
            splits: Those that have folders of classes; none where the source has no folders of splits.

        Raises:
            DataError: Folders of images lie beside a lone "train", which may be one class among them.
        """
        where, beside = printable(self.source), +self.beside
        if beside and set(splits) == {"train"}:
            raise DataError(
                f"{where} has a folder 'train' with folders in it, and images in {_listed(sorted(beside))} beside it: "
                "if 'train' is a class, rename it (trains); if it is a split, move the others away."
            )
        if beside:
            _say(
                f"{where}: {beside.total()} images in {_listed(sorted(beside))} are left out, for they lie beside the "
                "folders of the splits."
            )
        if self.unknown:
            count, known = len(self.unknown), ", ".join(EXTENSIONS)
            which = f"{count} file{'s are' if count > 1 else ' is'} left out ({_listed(sorted(self.unknown))})"
            _say(f"{where}: {which}, not named as images are ({known}): rename what is an image.")


def _listed(names: Collection[str]) -> str:
    """Return the first names as text."""
    shown = [repr(printable(name)) for name in names][:SHOWN]
    return ", ".join(shown) + ", ..." * (len(names) > SHOWN)


def _say(text: str) -> None:
    """Tell the user once in a process."""
    if text not in _said:
        _said.add(text)
        note(text)
