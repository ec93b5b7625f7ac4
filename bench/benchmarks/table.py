"""One format for every tabular benchmark: a folder with `header.json` and one `.npy` file per column.

Columns are memory-mapped, so opening costs milliseconds whatever the size, and each column's sha256 is
checked the first time it is read. The header carries what a number needs to be understood (unit, split,
source, licence) and its own checksum. A table is written to a temporary folder and renamed: it is there
whole or not at all. NumPy only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.display import counted, html_table
from smemnas.bench.errors import DataError, suggest
from smemnas.bench.files import replacing_folder

FORMAT = 1
#: What to do about a damaged table that a recipe makes.
REPAIR = "remove that folder and run the command again; the table is then made anew."


class Table:
    """A read-only table.

    Attributes:
        path: Its folder.
        header: Parsed `header.json`. `columns` maps a name to unit, split, role and sha256.
    """

    def __init__(self, path: str | Path, repair: str = REPAIR) -> None:
        """Open a table; columns are read when they are asked for.

        Args:
            path: Its folder.
            repair: What a user is told to do where it is damaged.

        Raises:
            DataError: The folder is missing, of another format version, or its header is corrupt.
        """
        self.path = Path(path)
        self._repair = repair
        self.header: dict[str, Any] = self._read_header()
        self._columns: dict[str, NDArray[Any]] = {}
        #: What runs on it record: its checksum, or that of a table with the same numbers and more columns.
        self.identity = self.sha256

    def _read_header(self) -> dict[str, Any]:
        """Return the checked header.

        Raises:
            DataError: As the constructor.
        """
        try:
            header: dict[str, Any] = dict(json.loads((self.path / "header.json").read_bytes()))
        except FileNotFoundError as error:
            raise DataError(f"no table at {self.path} (header.json is missing).") from error
        except OSError as error:
            raise DataError(f"{self.path / 'header.json'} cannot be read ({error.strerror}): {self._repair}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{self.path / 'header.json'} is corrupt: {self._repair}") from error
        if header.get("format") != FORMAT:
            found = header.get("format")
            raise DataError(f"{self.path} has table format {found}, this version reads {FORMAT}: {self._repair}")
        if header.get("sha256") != header_digest(header):
            raise DataError(f"{self.path / 'header.json'} does not match its checksum: {self._repair}")
        if not _is_header(header):
            raise DataError(f"{self.path / 'header.json'} does not describe a table: {self._repair}")
        return header

    def __repr__(self) -> str:
        return f"<Table {self.header['name']}: {counted(self.n_rows, 'row')}, {counted(len(self.columns), 'column')}>"

    def _repr_html_(self) -> str:
        rows = [(name, c.get("unit", ""), c.get("role", ""), c.get("split", "")) for name, c in self.columns.items()]
        notes = tuple(self.header.get("notes", ()))
        return html_table(("column", "unit", "role", "split"), rows, title=repr(self)[1:-1], notes=notes)

    @property
    def sha256(self) -> str:
        """Checksum of the header, which holds those of all columns: the identity of the table."""
        return str(self.header["sha256"])

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.header["n_rows"])

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Description of each column."""
        columns: dict[str, dict[str, Any]] = self.header["columns"]
        return columns

    def column(self, name: str) -> NDArray[Any]:
        """Return one column, memory-mapped, ``(n_rows,)`` or ``(n_rows, repeats)``.

        Raises:
            DataError: No such column, or the file is missing or does not match its checksum.
        """
        if name not in self._columns:
            if name not in self.columns:
                raise DataError(f"table {self.path.name} has no column {name!r}.{suggest(name, self.columns)}")
            self._columns[name] = self._read_column(name)
        return self._columns[name]

    def _read_column(self, name: str) -> NDArray[Any]:
        """Return a column that is there.

        Raises:
            DataError: Its file is missing or does not match its checksum.
        """
        file = self.path / f"{name}.npy"
        try:
            if file_digest(file) != self.columns[name]["sha256"]:
                raise DataError(f"{file} does not match its checksum: {self._repair}")
            values: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise DataError(f"{file} is missing: {self._repair}") from error
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror or error}): {self._repair}") from error
        except (ValueError, EOFError) as error:
            raise DataError(f"{file} is no column of numbers: {self._repair}") from error
        return values


def _is_header(header: Mapping[str, Any]) -> bool:
    """Whether a header says what is read of every table, each in its type."""
    columns = header.get("columns")
    if type(header.get("n_rows")) is not int or header["n_rows"] < 0 or not isinstance(columns, dict):
        return False
    texts = ("unit", "split", "role", "sha256")
    return all(
        isinstance(entry, dict) and all(isinstance(entry.get(k), str) for k in texts) for entry in columns.values()
    )


def header_digest(header: Mapping[str, Any]) -> str:
    """Return the sha256 of a header without its own `sha256` entry."""
    body = {k: v for k, v in header.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def file_digest(file: Path) -> str:
    """Return the sha256 of a file."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_table(
    path: str | Path,
    columns: Mapping[str, NDArray[Any]],
    *,
    describe: Mapping[str, Mapping[str, Any]],
    **header: Any,
) -> Table:
    """Write a table as a whole or not at all, and open it.

    Args:
        path: Folder to make; an existing one is replaced.
        columns: Arrays with equally many rows.
        describe: For each column at least `unit`, `split` and `role`.
        header: Further entries: name, space, dataset, source, licence, notes, ...

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    target = Path(path)
    rows = {len(values) for values in columns.values()}
    if len(rows) != 1:
        raise ValueError(f"columns of one table have equally many rows, got {sorted(rows)}")
    foreign = sorted(p.name for p in target.glob("*") if p.name != "header.json" and p.suffix != ".npy")
    if foreign:
        raise DataError(f"{target} holds {foreign[0]}, which is no part of a table: move it away.")
    advice = "Free space or point SMEMNAS_DATA at a writable folder."
    with replacing_folder(target, failure=DataError, advice=advice) as part:
        entries = {}
        for name, values in columns.items():
            file = part / f"{name}.npy"
            with open(file, "wb") as stream:
                _save(stream, values)
                stream.flush()
                os.fsync(stream.fileno())
            entries[name] = {**describe[name], "sha256": file_digest(file)}
        full = {"format": FORMAT, "n_rows": rows.pop(), **header, "columns": entries}
        full["sha256"] = header_digest(full)
        with open(part / "header.json", "w", encoding="utf-8") as text:
            json.dump(full, text, indent=1, sort_keys=True)
            text.flush()
            os.fsync(text.fileno())
    return Table(target)


def _save(stream: IO[bytes], values: NDArray[Any]) -> None:
    """Write an array.

    Raises:
        OSError: The disk is full; numpy reports a short write, which nothing else causes, without a number.
    """
    try:
        np.save(stream, np.ascontiguousarray(values), allow_pickle=False)
    except OSError as error:
        if error.errno is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
