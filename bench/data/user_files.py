"""Opens a file of columns by its ending, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from smemnas.bench.data.user_records import ParquetSheet, RecordSheet
from smemnas.bench.data.user_sheet import Dialect, Sheet
from smemnas.bench.data.user_text import TextSheet
from smemnas.bench.errors import DataError, UserError

#: How compressed files end.
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}


TEXT, RECORDS = (".csv", ".tsv"), (".json", ".jsonl", ".yaml", ".yml")


SUFFIXES = (*TEXT, *RECORDS, ".parquet")


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
        if unpack is not None:
            raise UserError(f"{path.name}: Parquet is compressed within; unpack the file first.")
        _check_file(path)
        return ParquetSheet(path)
    data = read_bytes(path, unpack)
    if suffix in TEXT:
        return TextSheet(path.name, data, "\t" if suffix == ".tsv" else None, dialect, arch)
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
