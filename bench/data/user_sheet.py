"""A file of columns, whatever its format: CSV in its dialects, JSON, YAML, Parquet; `user_files` opens it.

A sheet knows the names of its columns at once and reads the cells of some of them when asked, so that a wide or long
file costs no more than what is imported. Cells come as they stand in the file; `bench.data.user_numbers` reads them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from smemnas.bench.data.user_numbers import Cells
from smemnas.bench.errors import DataError, UserError, suggest

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
