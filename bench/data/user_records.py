"""JSON, JSON lines, YAML and Parquet as columns.

JSON and YAML may be a list of records, records keyed by architecture, numbers keyed by architecture, or lists keyed
by column. Records within records become columns `outer.inner`. A key that is there twice is refused, where the usual
readers let the last one win.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.data.user_numbers import Cells
from smemnas.bench.data.user_sheet import VALUE, Sheet, as_table, check_names
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.program import install

#: Records within records are followed so deep.
DEEPEST = 8


class RecordSheet(Sheet):
    """JSON or YAML in memory."""

    def __init__(self, file: str, data: bytes, suffix: str, arch: str) -> None:
        """Read the file.

        Args:
            file: Name, for messages.
            data: Content.
            suffix: ".json", ".jsonl", ".yaml" or ".yml".
            arch: Column of architectures; where records are keyed by architecture the keys become it.

        Raises:
            DataError: The file is broken, or of none of the known shapes.
        """
        self.file = file
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{file} cannot be read: it is not UTF-8.") from error
        kind = "YAML" if suffix in (".yaml", ".yml") else "JSON"
        read = _yaml if kind == "YAML" else _json_lines if suffix == ".jsonl" else _json
        try:
            found = read(text)
        except RecursionError as error:
            raise DataError(f"{file} cannot be read: it is nested too deeply.") from error
        except (ValueError, DataError) as error:
            raise DataError(f"{file} cannot be read as {kind}: {' '.join(str(error).split())}.") from error
        shape, records = _records(found, file, arch)
        self._records = records
        self.names = check_names(list(dict.fromkeys(n for r in records for n in r)), file) if records else (arch,)
        self.said = (kind, shape)

    def cells(self, wanted: Sequence[str]) -> dict[str, Cells]:
        """Read columns; what a record leaves out is None."""
        return as_table({name: [r.get(name) for r in self._records] for name in wanted}, self.file)


class ParquetSheet(Sheet):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        """Read the names of its columns.

        Raises:
            UserError: pyarrow is not installed.
            DataError: The file is no Parquet, or has two columns of one name.
        """
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise UserError(f"Parquet needs pyarrow: {install('parquet')}, or give a CSV file.") from error
        self._path, self.file = path, path.name
        try:
            self.names = check_names(pyarrow.parquet.read_schema(path).names, path.name)
        except (OSError, ValueError) as error:
            raise DataError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
        self.said = ("Parquet",)

    def cells(self, wanted: Sequence[str]) -> dict[str, Cells]:
        """Read columns: arrays of numbers, NaN where there is none, and lists of whatever else there is."""
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.read_table(self._path, columns=list(wanted))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.file} cannot be read: {str(error).splitlines()[0]}") from error
        if not table.num_rows:
            raise DataError(f"{self.file} has no rows.")
        columns: dict[str, Cells] = {}
        for name in wanted:
            column = table.column(name)
            kind = column.type
            if pyarrow.types.is_dictionary(kind):
                column = column.cast(kind.value_type)
                kind = column.type
            if pyarrow.types.is_floating(kind) or (pyarrow.types.is_integer(kind) and not column.null_count):
                columns[name] = np.asarray(column.to_numpy())
            elif pyarrow.types.is_decimal(kind):
                columns[name] = [None if v is None else str(v) for v in column.to_pylist()]
            else:
                columns[name] = column.to_pylist()
        return columns


def _pairs(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Make a dictionary of the pairs of one object.

    Raises:
        DataError: A key is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise DataError(f"{twice!r} is there twice")
    return found


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_pairs)


def _json_lines(text: str) -> list[Any]:
    # str.splitlines also ends lines at U+2028 and others, which may stand within a text
    return [_json(line) for line in re.split(r"\r\n|\n|\r", text) if line.strip()]


def _yaml(text: str) -> Any:
    """Read YAML with every scalar as text, so that 16:16:16 is no number of base 60 and no is no False."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise DataError(str(error)) from error
    return None if node is None else _plain(node, set())


def _plain(node: Any, seen: set[int]) -> Any:
    """Return what a YAML node holds.

    Raises:
        DataError: A key is there twice or no text, or a part is there by reference.
    """
    if id(node) in seen:
        raise DataError("parts by reference (*name) are not read: write them out")
    if isinstance(node.value, str):
        return node.value
    seen.add(id(node))
    if node.id == "sequence":
        return [_plain(child, seen) for child in node.value]
    pairs = []
    for key, child in node.value:
        if not isinstance(key.value, str):
            raise DataError("a key is no text")
        pairs.append((key.value, _plain(child, seen)))
    return _pairs(pairs)


def _records(found: Any, file: str, arch: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the shape of a file in words, and its rows as records.

    Raises:
        DataError: It has none of the known shapes.
    """
    if isinstance(found, list) and found and all(isinstance(r, dict) for r in found):
        return "a list of records", [_flat(r, file, keep=arch) for r in found]
    if isinstance(found, dict) and found:
        values = list(found.values())
        if arch in found and all(isinstance(v, list) for v in values):
            return "lists keyed by column", _transposed(found, file)
        if arch in found and all(isinstance(v, dict) for v in values) and len({frozenset(v) for v in values}) == 1:
            rows = list(found[arch])  # the order of the rows may be another one in each column
            return "columns keyed by row", _transposed({k: [v[row] for row in rows] for k, v in found.items()}, file)
        if all(isinstance(v, dict) for v in values):
            keyed = [(key, _flat(record, file, keep="")) for key, record in found.items()]
            if any(arch in record for _, record in keyed):  # the key is a number of the row, say
                return "records keyed by something", [record for _, record in keyed]
            return "records keyed by architecture", [{arch: key, **record} for key, record in keyed]
        if not any(isinstance(v, dict) for v in values):
            return f"values keyed by architecture: column {VALUE!r}", [{arch: k, VALUE: v} for k, v in found.items()]
    raise DataError(
        f"{file}: expected a list of records, or records or numbers keyed by architecture, got {_what(found)}."
    )


def _flat(record: Mapping[str, Any], file: str, keep: str, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return a record whose inner records have become columns "outer.inner"; `keep` stays as it is.

    Raises:
        DataError: Nested too deeply, or two columns of one name.
    """
    if depth > DEEPEST:
        raise DataError(f"{file}: records within records are read {DEEPEST} deep.")
    pairs: list[tuple[str, Any]] = []
    for key, value in record.items():
        name = f"{prefix}{str(key).strip()}"
        if isinstance(value, dict) and name != keep:
            pairs.extend(_flat(value, file, keep, f"{name}.", depth + 1).items())
        else:
            pairs.append((name, value))
    try:
        return _pairs(pairs)
    except DataError as error:
        raise DataError(f"{file}: the column {error} in one record.") from error


def _transposed(columns: Mapping[str, list[Any]], file: str) -> list[dict[str, Any]]:
    """Return rows of lists of equal length.

    Raises:
        DataError: Their lengths differ.
    """
    if len({len(v) for v in columns.values()}) > 1:
        raise DataError(f"{file}: the columns differ in length.")
    rows: Iterable[tuple[Any, ...]] = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _what(found: Any) -> str:
    """Return what was found, in words."""
    if found is None or found in ([], {}):
        return "nothing"
    if isinstance(found, dict):
        return "a dictionary of mixed values"
    return "a list of other things" if isinstance(found, list) else f"one {type(found).__name__}"
