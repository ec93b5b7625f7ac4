"""Removing an installed table: exactly the files that it consists of, and what it takes to have it again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.benchmarks.store import data_folder, table_folder
from smemnas.bench.data.in_package import packaged
from smemnas.bench.data.manage import EXTRA, imported, open_or_corrupt
from smemnas.bench.data.recipe import find, recipes
from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.bench.files import is_unfinished, why
from smemnas.bench.program import PROGRAM

HEADER = "header.json"


class Removal(NamedTuple):
    """What would be removed.

    Attributes:
        table: "space/dataset".
        folder: Where it lies.
        files: Its own files, the header first: without it there is no table, whatever is left of a killed removal.
        size: Bytes of these files.
        others: Names of what else is in the folder, which stays.
        again: How to have the table again.
    """

    table: str
    folder: Path
    files: tuple[Path, ...]
    size: int
    others: tuple[str, ...]
    again: str


def plan_removal(name: str) -> Removal:
    """Return what `remove` would do to the table of this name.

    Raises:
        UserError: No such data set, or it is not installed.
        DataError: The folder cannot be read, or is a link.
    """
    table, again = _named(name)
    folder = table_folder(table)
    if not (folder / HEADER).exists():
        where = "in the package and was not fetched besides" if table in packaged() else "not installed"
        raise UserError(f"{table} is {where}: there is nothing to remove.")
    if folder.is_symlink():
        raise DataError(f"{folder} is a link to {os.path.realpath(folder)}: remove the link yourself.")
    try:
        own = _own_files(folder)
        files = (folder / HEADER, *sorted(p for p in own if p.name != HEADER))
        others = tuple(sorted(p.name for p in folder.iterdir() if p not in set(files)))
        size = sum(f.lstat().st_size for f in files)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {why(error)}.") from error
    return Removal(table, folder, files, size, others, again)


def _named(name: str) -> tuple[str, str]:
    """Return the table that a name stands for, and how to have it again."""
    if name == EXTRA:
        return name, "it is made again from the installed package whenever it is needed"
    if name in imported():
        return name, "it was imported: only the file it came from brings it back (data export NAME FILE writes one)"
    known = {key for r in recipes() for key in (r.name, r.table, *r.formerly)}
    if name not in known:
        listed = [*(r.name for r in recipes()), EXTRA, *imported()]
        raise UserError(f"no data set {name!r}.{suggest(name, listed)}")
    recipe = find(name)
    own = recipe.table in packaged()
    option = " --original" if own else ""
    again = f"{PROGRAM} data fetch {recipe.name}{option} makes it again"
    if own:
        again = f"that of the package takes its place, {again}"
    kept = [p for s in recipe.sources if (p := data_folder() / "downloads" / s.file).exists()]
    if kept:
        return recipe.table, f"{again}, from the downloaded files, which stay in {kept[0].parent}"
    return (
        recipe.table,
        f"{again}, from the original files ({recipe.size / 1e6:.1f} MB to get)" if recipe.size else again,
    )


def _own_files(folder: Path) -> list[Path]:
    """Return the files of the table: header and columns; of a table whose header is corrupt, every column file."""
    table = open_or_corrupt(folder)
    columns = [p for p in folder.iterdir() if p.suffix == ".npy" and (table is None or p.stem in table.columns)]
    unfinished = [p for p in folder.iterdir() if is_unfinished(p.name)]
    return [p for p in (folder / HEADER, *columns, *unfinished) if p.is_file() and not p.is_symlink()]


def remove(plan: Removal) -> None:
    """Remove the files of a plan, and the folder if nothing else is in it.

    Raises:
        DataError: A file cannot be removed.
    """
    try:
        for file in plan.files:
            file.unlink(missing_ok=True)
        if not plan.others:
            plan.folder.rmdir()
    except OSError as error:
        raise DataError(f"{plan.table} is removed in part only: {why(error)} ({error.filename}).") from error
