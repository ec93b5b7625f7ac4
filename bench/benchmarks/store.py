"""Where tables live on this machine, and how one is made exactly once.

The folder is `SMEMNAS_DATA` where that is set, else the user's cache folder. Several processes may ask for
the same table at once: one makes it, the others wait.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.errors import DataError
from smemnas.bench.program import PROGRAM


def data_folder() -> Path:
    """Return the folder of the installed tables (not necessarily there yet)."""
    chosen = os.environ.get("SMEMNAS_DATA")
    if chosen:
        try:
            return Path(chosen).expanduser()
        except RuntimeError as error:
            raise DataError(f"SMEMNAS_DATA names the home folder of nobody known here, got {chosen!r}.") from error
    import platformdirs

    return Path(platformdirs.user_cache_dir("smemnas", appauthor=False))


def table_folder(name: str) -> Path:
    """Return the folder of the table `name`, for example "nb201/analog"."""
    return data_folder() / "tables" / name


def open_imported(name: str) -> Table:
    """Open a table that no recipe makes: where it is damaged, removing it would remove the only copy.

    Args:
        name: "space/dataset".

    Raises:
        DataError: The table is not there, or corrupt.
    """
    space, _, dataset = name.partition("/")
    again = f"{PROGRAM} data import FILE --space {space} --name {dataset} --overwrite"
    return Table(table_folder(name), f"restore that folder from a copy, or import its file again: {again}")


_temporary_folders: dict[str, Path] = {}


def open_or_make(
    name: str, version: int, make: Callable[[Path], Table], whole: Callable[[Table], bool] = lambda table: True
) -> Table:
    """Open an installed table, or make it first.

    Args:
        name: "space/dataset".
        version: Version of the recipe; a table of another version is made anew.
        make: Writes the table to the given folder.
        whole: Whether a table of this version may stay as it is.

    Raises:
        DataError: The table is corrupt, or cannot be made.
    """
    folder = _temporary_folders.get(name) or table_folder(name)
    if (folder / "header.json").exists():
        table = Table(folder)
        if table.header.get("recipe_version") == version and whole(table):
            return table
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        lock.acquire()
    except OSError as error:
        return _make_temporary(name, make, error)
    try:
        if (folder / "header.json").exists():
            table = Table(folder)
            if table.header.get("recipe_version") == version and whole(table):
                return table
        return make(folder)
    finally:
        lock.release()


def _make_temporary(name: str, make: Callable[[Path], Table], error: OSError) -> Table:
    """Make a table for this process only, because the data folder cannot be written."""
    import atexit

    from smemnas.bench.log import note

    try:
        folder = Path(tempfile.mkdtemp(prefix="smemnas-"))
    except OSError as second:
        raise DataError(
            f"neither {data_folder()} nor a temporary folder can be written ({second.strerror}). "
            "Point SMEMNAS_DATA at a writable folder with free space."
        ) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    note(
        f"{data_folder()} cannot be written ({error.strerror}); the table is made for this process only. "
        "Point SMEMNAS_DATA at a writable folder to keep it."
    )
    _temporary_folders[name] = folder / name
    return make(folder / name)
