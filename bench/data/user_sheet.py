"""A file of columns, whatever its format: CSV in its dialects, JSON, YAML, Parquet, compressed or not.

A sheet knows the names of its columns at once and reads the cells of some of them when asked, so that a wide or long
file costs no more than what is imported. Cells come as they stand in the file; `bench.data.user_numbers` reads them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from smemnas.bench.data.user_numbers import Cells
from smemnas.bench.errors import DataError, UserError, suggest

#: How compressed files end.
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
TEXT, RECORDS = (".csv", ".tsv"), (".json", ".jsonl", ".yaml", ".yml")
SUFFIXES = (*TEXT, *RECORDS, ".parquet")
#: Name of the column of a file that maps architectures to numbers.
VALUE = "value"


class Dialect(NamedTuple):
    """What a user says about a text file; None is found out from the file.

    Attributes:
        separator: One character, or "tab".
        decimal: "." or ",".
        encoding: As Python names it.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None


class Sheet(ABC):
    """Columns of a file.

    Attributes:
        file: Name of the file, for messages.
        names: Its columns, each once; those without a name are left out.
        said: How the file was understood, in words.
    """

    file: str
    names: tuple[str, ...]
    said: tuple[str, ...]

    @abstractmethod
    def cells(self, wanted: Sequence[str]) -> dict[str, Cells]:
        """Read columns, all of one length.

        Raises:
            DataError: The file cannot be read, or a row is cut off or too long.
        """

    def need(self, name: str, option: str) -> None:
        """Require a column.

        Raises:
            UserError: There is none of that name; near misses are suggested.
        """
        if name not in self.names:
            raise UserError(f"{self.file} has no column {name!r} for {option}.{suggest(name, self.names)}")


def open_sheet(path: Path, dialect: Dialect, arch: str) -> Sheet:
    """Open a file by its ending.

    Args:
        path: The file; `.gz`, `.bz2` and `.xz` behind the ending mean that it is compressed.
        dialect: What the user says about it.
        arch: Column of architectures, which tells one separator from another.

    Raises:
        UserError: An unknown ending, or an option that does not go with the format.
        DataError: The file is not there, empty, broken, or names a column twice.
    """
    suffix = path.suffix.lower()
    unpack = COMPRESSED.get(suffix)
    if unpack is not None:
        suffix = Path(path.stem).suffix.lower()
    if suffix not in SUFFIXES:
        hint = " Save the sheet as CSV." if suffix in (".xlsx", ".xls", ".ods") else ""
        raise UserError(
            f"{path.name!r} has no known ending: expected {', '.join(SUFFIXES[:-1])} or .parquet, "
            f"maybe compressed ({', '.join(COMPRESSED)}).{hint}"
        )
    if suffix not in TEXT and (dialect.separator or dialect.encoding):
        raise UserError(f"--separator and --encoding are for {' and '.join(TEXT)}, not for {path.name}.")
    if suffix == ".parquet":
        from smemnas.bench.data.user_records import ParquetSheet

        if unpack is not None:
            raise UserError(f"{path.name}: Parquet is compressed within; unpack the file first.")
        _check_file(path)
        return ParquetSheet(path)
    data = read_bytes(path, unpack)
    if suffix in TEXT:
        from smemnas.bench.data.user_text import TextSheet

        return TextSheet(path.name, data, "\t" if suffix == ".tsv" else None, dialect, arch)
    from smemnas.bench.data.user_records import RecordSheet

    return RecordSheet(path.name, data, suffix, arch)


def read_bytes(path: Path, unpack: Callable[[bytes], bytes] | None = None) -> bytes:
    """Read a file, unpacked.

    Raises:
        DataError: It is not there, no file, empty, or not compressed as its ending says.
    """
    _check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    try:
        data = unpack(data) if unpack is not None else data
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path.name} cannot be read: it is cut off, or not compressed as its ending says.") from error
    if not data.strip():
        raise DataError(f"{path.name} cannot be read: it is empty.")
    return data


def _check_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path} is not there: give the path of a file ({', '.join(SUFFIXES)}).")
    if not path.is_file():
        raise DataError(f"{path} is no file: give the path of a file ({', '.join(SUFFIXES)}).")


def check_names(names: Sequence[str], file: str) -> tuple[str, ...]:
    """Return the names of columns without blank ones.

    Raises:
        DataError: Two columns have one name, or none has any.
    """
    kept = [n for n in names if n]
    seen: set[str] = set()
    for name in kept:
        if name in seen:
            raise DataError(f"{file} has two columns {name!r}: rename or remove one of them.")
        seen.add(name)
    if not kept:
        raise DataError(f"{file} has no columns: the first row names them.")
    return tuple(kept)


def as_table(columns: dict[str, list[Any]], file: str) -> dict[str, Cells]:
    """Return columns that have rows.

    Raises:
        DataError: They have none.
    """
    if not all(len(c) for c in columns.values()):
        raise DataError(f"{file} has no rows.")
    return dict(columns)
