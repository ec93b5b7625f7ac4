"""Tables out again as files, with a description beside each from which `data import` makes the same table.

`mine.csv` holds the numbers, a column `arch` and then every column of the table, and `mine.csv.meta.json` what a CSV
cannot say: unit, split, role, partner, sign, parameters of the space, licence, notes.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.timed import TIME_ROLE
from smemnas.bench.data.build import Column
from smemnas.bench.data.user_columns import first_wrong
from smemnas.bench.data.user_roles import IDENTIFIER, RESERVED, SPLITS
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.files import replacing, write_json
from smemnas.bench.program import install
from smemnas.spaces.base import FloatArray

#: Version of the description.
FORMAT = 1
#: What `data export` writes.
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".json", ".json.gz", ".parquet")
#: Columns of a table that say which architecture a row is of, as the column "arch" of a file does.
ROWS = ("key", "genotype")
ADVICE = "Free space or choose another file."


class Described(NamedTuple):
    """What the description beside a file says.

    Attributes:
        name: Name of the description's file, for messages.
        space: The space.
        space_params: Its parameters.
        arch: Column of architectures.
        form: How they are written; None for the space's own names.
        operations: Order of the operations in them.
        sources: Stored name -> columns of the file, one for each training.
        columns: Stored name -> column without values.
        several: Stored names of columns with one value for each training.
        header: default_objectives, aliases, licence, notes and source of the table.
        found_by: "grid" or "key", as the rows of the table are found; None where an earlier version did not say.
        rows: "key" and "genotype" of a table that is found by keys, without values.
    """

    name: str
    space: str
    space_params: dict[str, Any]
    arch: str
    form: str | None
    operations: str
    sources: dict[str, tuple[str, ...]]
    columns: dict[str, Column]
    several: frozenset[str]
    header: dict[str, Any]
    found_by: str | None
    rows: dict[str, Column]


def description_of(path: Path) -> Path:
    """Return where the description of a file is."""
    return path.with_name(f"{path.name}.meta.json")


def is_description(file: Path) -> bool:
    """Whether a file is a description as `export_table` writes it, of whatever version."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "smemnas-table" in found


def export_table(table: Table, names: list[str], path: Path, form: str | None = None, operations: str = "") -> int:
    """Write a table to a file, and its description beside it.

    Columns with several trainings become `name_0`, `name_1`, ... What is stored negated gets its own sign back. Rows
    without any value are left out.

    Args:
        table: The table.
        names: Architecture of every row.
        path: The file; its ending says the format.
        form: How the names are written; None for the space's own.
        operations: Order of the operations in them.

    Returns:
        Number of rows written.

    Raises:
        UserError: An unknown ending, or a file that no export wrote has that name.
        DataError: The file cannot be written.
    """
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), "")
    if not ending:
        raise UserError(f"{path.name!r} has no known ending: expected {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    beside = description_of(path)
    mine = is_description(beside)
    for file in (path, beside):
        if os.path.lexists(file) and not mine:
            raise UserError(f"{file} is there already, and no export wrote it: choose another name or remove it.")
    columns, entries = _columns(table)
    known = np.zeros(table.n_rows, dtype=bool)
    for values in columns.values():
        known |= np.isfinite(values) if values.dtype.kind == "f" else True
    rows = np.flatnonzero(known)
    kept = {"arch": [names[i] for i in rows.tolist()], **{n: v[rows] for n, v in columns.items()}}
    write = _parquet if ending == ".parquet" else _json if ".json" in ending else _csv("\t" if "tsv" in ending else ",")
    failures = _arrow_errors() if ending == ".parquet" else ()
    with replacing(path, failure=DataError, advice=ADVICE, also=failures) as part:
        write(part, kept, ending.endswith(".gz"))
    described = _description(table, path.name, entries)
    write_json(beside, {**described, "form": form, "operations": operations})
    return len(rows)


def _columns(table: Table) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, dict[str, Any]]]:
    """Return the columns of the file ``(n,)``, and for each of the table its entry of the description."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    entries: dict[str, dict[str, Any]] = {}

    def add(name: str, values: np.ndarray[Any, Any]) -> str:
        while name in columns or name == "arch":
            name += "_"
        columns[name] = values
        return name

    for name, entry in table.columns.items():
        if name in ROWS:
            continue
        values = np.asarray(table.column(name))
        shown = str(entry.get("negated") or name)
        values = -values if entry.get("negated") else values
        if values.ndim == 1:
            files = [add(shown, values)]
        else:
            files = [add(f"{shown}_{i}", values[:, i]) for i in range(values.shape[1])]
        kept = {k: v for k, v in entry.items() if k != "sha256"}
        entries[name] = {**kept, "columns": files, "trainings": values.ndim == 2, "dtype": str(values.dtype)}
    return columns, entries


def _description(table: Table, file: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    header = table.header
    return {
        **{"smemnas-table": FORMAT, "file": file, "name": header["name"], "space": header["space"], "arch": "arch"},
        "space_params": header.get("space_params", {}),
        "index": header["index"],
        "rows": {n: {**table.columns[n], "dtype": table.column(n).dtype.str} for n in ROWS if n in table.columns},
        "columns": entries,
        "default_objectives": header.get("default_objectives", []),
        "aliases": header.get("aliases", {}),
        "licence": str(header.get("licence", "not stated")),
        "notes": list(header.get("notes", [])),
        "source": header.get("source", []),
    }


def _rows(columns: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows, None where a number is missing."""
    lists = [
        v if isinstance(v, list) else [None if x != x else x for x in np.asarray(v).tolist()] for v in columns.values()
    ]
    return zip(*lists, strict=True)


def _csv(separator: str) -> Callable[[Path, Mapping[str, Any], bool], None]:
    def write(path: Path, columns: Mapping[str, Any], pack: bool) -> None:
        with _text(path, pack) as stream:
            writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(_rows(columns))

    return write


def _json(path: Path, columns: Mapping[str, Any], pack: bool) -> None:
    with _text(path, pack) as stream:
        stream.write("[")
        for number, row in enumerate(_rows(columns)):
            stream.write(",\n" if number else "\n")
            stream.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False))
        stream.write("\n]\n")


@contextlib.contextmanager
def _text(path: Path, pack: bool) -> Iterator[io.TextIOWrapper]:
    """Open a file for text, packed without the time, so that equal tables give equal files."""
    with open(path, "wb") as raw, contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if pack else raw
        yield stack.enter_context(io.TextIOWrapper(stream, encoding="utf-8", newline=""))


def _parquet(path: Path, columns: Mapping[str, Any], _: bool) -> None:
    import pyarrow.parquet

    data = {n: pyarrow.array(v, from_pandas=True) for n, v in columns.items()}  # NaN becomes null
    pyarrow.parquet.write_table(pyarrow.table(data), path)


def _arrow_errors() -> tuple[type[Exception], ...]:
    """Return what pyarrow raises.

    Raises:
        UserError: It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(f"Parquet needs pyarrow: {install('parquet')}, or choose a file ending in .csv.") from error
    return (pyarrow.ArrowException,)


def read_description(path: Path) -> Described | None:
    """Read the description beside a file, or return None where there is none.

    Raises:
        DataError: It is broken.
    """
    file = description_of(path)
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes())
        if found["smemnas-table"] != FORMAT:
            raise ValueError(f"version {found['smemnas-table']!r}, expected {FORMAT}")
        return _described(found, file.name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{file.name} describes no table ({' '.join(str(reason).split())[:120]}): export again, or remove it and "
            "declare the columns with --accuracy and --metric."
        ) from error


def _described(found: Mapping[str, Any], name: str) -> Described:
    """Check a description.

    Raises:
        ValueError: A part is not as `export_table` writes it (other exceptions: nor is its shape).
    """
    columns: dict[str, Column] = {}
    sources: dict[str, tuple[str, ...]] = {}
    entries = _typed(found["columns"], dict)
    for stored, entry in entries.items():
        if not IDENTIFIER.fullmatch(stored) or stored in RESERVED:
            raise ValueError(f"{stored!r} is no name of a column")
        texts = {k: str(_typed(entry.get(k, ""), str)) for k in ("unit", "split", "role", "text", "report", "negated")}
        kind = np.dtype(str(entry["dtype"]))
        if kind.kind not in "fiu" or texts["role"] not in ("objective", "report", "proxy", "info", TIME_ROLE):
            raise ValueError(f"column {stored!r} has dtype {kind} and role {texts['role']!r}")
        if texts["report"] and texts["report"] not in entries:
            raise ValueError(f"column {stored!r} is reported by {texts['report']!r}, which is not there")
        if texts["role"] in ("objective", "report") and texts["split"] not in (*SPLITS, "predicted"):
            raise ValueError(f"column {stored!r} has split {texts['split']!r}")
        columns[stored] = Column(np.empty(0, dtype=kind), **texts, signed=entry.get("signed") is True)
        sources[stored] = tuple(_typed(s, str) for s in _typed(entry["columns"], list))
        if not sources[stored] or (len(sources[stored]) > 1 and entry["trainings"] is not True):
            raise ValueError(f"column {stored!r} has {len(sources[stored])} columns in the file")
    objectives = [_typed(o, str) for o in _typed(found["default_objectives"], list)]
    aliases = {_typed(k, str): _typed(v, str) for k, v in _typed(found["aliases"], dict).items()}
    if set(aliases) & set(columns) or not set(aliases.values()) <= set(columns):
        raise ValueError("an alias is a column, or of none")
    return Described(
        name=name,
        space=_typed(found["space"], str),
        space_params=_typed(found["space_params"], dict),
        arch=_typed(found["arch"], str),
        form=_typed(found.get("form"), str | None),
        operations=_typed(found.get("operations", ""), str),
        sources=sources,
        columns=columns,
        several=frozenset(c for c, e in entries.items() if e["trainings"] is True),
        header={
            **{"default_objectives": objectives, "aliases": aliases, "licence": _typed(found["licence"], str)},
            **{"notes": [_typed(n, str) for n in _typed(found["notes"], list)]},
            "source": _typed(found["source"], list | dict),
        },
        found_by=_found_by(found),
        rows=_row_columns(found),
    )


def _found_by(found: Mapping[str, Any]) -> str | None:
    """Return how rows are found; as `_described`."""
    index = found.get("index")
    if index not in (None, "grid", "key"):
        raise ValueError(f"index {index!r}, expected grid or key")
    return None if index is None else str(index)


def _row_columns(found: Mapping[str, Any]) -> dict[str, Column]:
    """Return what is said of the columns of `ROWS`; as `_described`."""
    columns = {}
    for name, entry in _typed(found.get("rows", {}), dict).items():
        texts = {k: str(_typed(entry.get(k, ""), str)) for k in ("unit", "split", "role", "text")}
        kind = np.dtype(str(entry["dtype"]))
        if name not in ROWS or kind.kind not in ("iSV" if name == "key" else "i"):
            raise ValueError(f"{name!r} of dtype {kind} says of no row which it is")
        columns[name] = Column(np.empty(0, dtype=kind), texts["unit"], texts["split"], texts["role"], texts["text"])
    return columns


def _typed(value: Any, kind: Any) -> Any:
    """Return a value of a kind.

    Raises:
        ValueError: It is of another.
    """
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind}, got {type(value).__name__}")
    return value


def check_described(column: Column, values: FloatArray, origin: Sequence[str], file: str) -> None:
    """Refuse values ``(n,)`` or ``(n, trainings)`` that the unit of a described column cannot have.

    Args:
        column: What is said of it.
        values: As they are in the file.
        origin: Column of the file that each training is of.
        file: For messages.

    Raises:
        DataError: There is one.
    """
    if column.unit == "%" and not column.signed and column.role in ("objective", "report"):
        wrong = np.isfinite(values) & ~((values >= 0) & (values <= 100))
        if wrong.any():
            row, source, found = first_wrong(values, wrong, origin)
            raise DataError(f"{file}, row {row}, column {source!r}: {found:g} is not a percentage (0 to 100).")
