"""A user's own table: one column of architecture strings and any metric columns, from CSV or Parquet.

The table is opened like any other benchmark, by its space and the name given at import. On a space that can be
enumerated it may cover a part: the other architectures have no value, and their evaluation fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.build import Column, check_percent, describe, genotypes
from bench.errors import DataError, UserError, suggest
from bench.store import table_folder
from bench.table import Table, file_digest, write_table
from spaces.base import SPACES, FloatArray, IntArray, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("validation", "test", "single", "none")
#: Column that an accuracy of a split becomes.
ERROR_NAMES = {"validation": "val_error", "test": "test_error", "single": "error"}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


def import_table(
    file: str | Path,
    space: str,
    name: str,
    *,
    arch: str = "arch",
    accuracies: Sequence[str] = (),
    metrics: Sequence[str] = (),
    missing: float | None = None,
    space_params: Mapping[str, Any] | None = None,
    licence: str = "not stated",
    overwrite: bool = False,
) -> Table:
    """Read a user's file, check every value and write the table; nothing is written if anything is wrong.

    Args:
        file: CSV or Parquet, one row per architecture.
        space: Registered space; its `from_str` reads the architecture strings.
        name: Name of the data set: the benchmark is `space/name`.
        arch: Column of architecture strings.
        accuracies: "COLUMN:SPLIT" in percent, stored as error; "A,B,C:SPLIT" for one column per training. A split
            is validation, test or single.
        metrics: "COLUMN:UNIT" or "COLUMN:UNIT:SPLIT", minimised; the split defaults to none.
        missing: Value of a metric that means "infeasible" and is stored as missing, such as -1.
        space_params: Constructor arguments of the space, such as n_classes.
        licence: Shown by `data list` and `data info`.
        overwrite: Replace a table that was imported under the same name.

    Raises:
        UserError: An unknown space, parameter, column, split or unit; a name that is taken.
        DataError: A bad value (row and column are named), or a file that cannot be read or written.
    """
    from bench.benchmark import BENCHMARKS

    params = dict(space_params or {})
    place = SPACES.create(space, params=params)
    full_name = f"{space}/{name}"
    if not NAME.fullmatch(name):
        raise UserError(f"a data set is named with a-z, 0-9 and . _ - like my-table, got {name!r}.")
    if full_name in BENCHMARKS:
        raise UserError(f"{full_name} is the name of a built-in data set: choose another --name.")
    target = table_folder(full_name)
    if target.exists() and not overwrite:
        raise UserError(f"{full_name} is already imported: choose another --name or give --overwrite.")
    path = Path(file).expanduser()
    frame = _read(path, arch)
    names = frame[arch].astype(str).str.strip().tolist()
    columns = _columns(frame, path.name, place, accuracies, metrics, missing)
    X = genotypes(place, names, path.name)
    wrong = np.flatnonzero(~place.is_valid(X))
    if len(wrong):
        raise DataError(f"{path.name}, row {wrong[0] + 1}: {names[wrong[0]]} is no valid architecture of {space}.")
    rows, index = _arrange(place, X, columns, path.name)
    return write_table(
        target,
        {n: c.values for n, c in rows.items()},
        describe={n: describe(c) for n, c in rows.items()},
        **{"name": full_name, "space": space, "dataset": name, "index": index, "space_params": params},
        recipe_version=0,
        rows_given=len(X),
        default_objectives=_defaults(columns, place),
        aliases={"error": "val_error"} if "val_error" in columns else {},
        source=[{"file": path.name, "url": "", "sha256": file_digest(path), "licence": licence}],
        licence=licence,
        notes=_notes(columns, path.name, len(X), place),
    )


def _read(path: Path, arch: str) -> pd.DataFrame:
    """Read the file as text (CSV) or as it is (Parquet)."""
    import pandas as pd

    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"{path.name!r} has no known ending: expected .csv or .parquet.")
    try:
        if path.suffix == ".csv":
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        else:
            frame = pd.read_parquet(path)
    except ImportError as error:
        raise UserError("Parquet needs pyarrow: pip install pyarrow, or give a CSV file.") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: give the path of a CSV or Parquet file.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    if arch not in frame:
        raise UserError(f"{path.name} has no column {arch!r} (--arch names it).{suggest(arch, map(str, frame))}")
    if not len(frame):
        raise DataError(f"{path.name} has no rows.")
    return frame


def _columns(
    frame: pd.DataFrame,
    file: str,
    space: SearchSpace,
    accuracies: Sequence[str],
    metrics: Sequence[str],
    missing: float | None,
) -> dict[str, Column]:
    """Return the checked columns ``(n,)`` or ``(n, trainings)`` by the name they are stored under."""
    columns: dict[str, Column] = {}

    def add(name: str, column: Column) -> None:
        if name in columns or name in [c.name for c in space.costs]:
            raise UserError(f"{name!r} is there twice, or is a cost that {space.name} computes: rename or leave it.")
        columns[name] = column

    for given in accuracies:
        sources, _, split = given.rpartition(":")
        if not sources or split not in ERROR_NAMES:
            raise UserError(f"--accuracy takes COLUMN:SPLIT, split {', '.join(ERROR_NAMES)}, got {given!r}.")
        values = np.stack([_numbers(frame, s, file, None) for s in sources.split(",")], axis=1)
        for i, source in enumerate(sources.split(",")):
            check_percent(values[:, i], file, source)
        error = 100.0 - (values[:, 0] if values.shape[1] == 1 else values)
        role = "report" if split == "test" else "objective"
        add(ERROR_NAMES[split], Column(error, "%", split, role, f"100 - {sources}"))
    for given in metrics:
        source, unit, split = (*given.split(":"), "none")[:3] if given.count(":") in (1, 2) else ("", "", "")
        if not source or not unit or split not in SPLITS:
            raise UserError(f"--metric takes COLUMN:UNIT or COLUMN:UNIT:SPLIT ({', '.join(SPLITS)}), got {given!r}.")
        if not IDENTIFIER.fullmatch(source.lower()):
            raise UserError(f"a metric is named with a-z, 0-9 and _, got {source!r}: rename the column.")
        metric = _numbers(frame, source, file, missing)
        if unit == "%":
            check_percent(metric[np.isfinite(metric)], file, source)
        negative = np.flatnonzero(metric < 0)
        if len(negative):
            raise DataError(
                f"{file}, row {negative[0] + 1}, column {source!r}: {metric[negative[0]]:g} is negative. If it "
                f"means infeasible, give --missing {metric[negative[0]]:g}."
            )
        add(source.lower(), Column(metric, unit, split, "report" if split == "test" else "objective", source))
    if not any(c.role == "objective" for c in columns.values()):
        raise UserError("nothing to search: declare an --accuracy of split validation or single, or a --metric.")
    if "val_error" in columns and "test_error" in columns:
        columns["val_error"] = columns["val_error"]._replace(report="test_error")
    return columns


def _numbers(frame: pd.DataFrame, column: str, file: str, missing: float | None) -> FloatArray:
    """Return one column as numbers ``(n,)``; NaN only where the value is `missing`.

    Raises:
        UserError: There is no such column.
        DataError: A value is no finite number.
    """
    import pandas as pd

    if column not in frame:
        raise UserError(f"{file} has no column {column!r}.{suggest(column, map(str, frame))}")
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, copy=True)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        found = str(frame[column].iloc[int(wrong[0])])
        raise DataError(f"{file}, row {wrong[0] + 1}, column {column!r}: {found!r} is not a finite number.")
    if missing is not None:
        values[values == missing] = np.nan
    return values


def _arrange(
    space: SearchSpace, X: IntArray, columns: Mapping[str, Column], file: str
) -> tuple[dict[str, Column], str]:
    """Bring the rows to grid order, or sort them by key where the space is too large.

    Raises:
        DataError: An architecture is there twice.
    """
    keys = space.index(X) if space.is_enumerable else space.canonical(X)
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(again):
        first, second = sorted((int(order[again[0]]), int(order[again[0] + 1])))
        raise DataError(
            f"{file}, row {second + 1}: {space.to_str(X[second])} is there twice, first in row {first + 1}."
        )
    if not space.is_enumerable:
        sorted_ = {n: c._replace(values=c.values[order]) for n, c in columns.items()}
        key = Column(keys[order], "", "none", "info", "canonical key")
        genotype = Column(X[order].astype(np.int16), "", "none", "info", "genotype")
        return {**sorted_, "key": key, "genotype": genotype}, "key"
    arranged = {}
    for name, column in columns.items():
        values = np.full((space.size, *column.values.shape[1:]), np.nan)
        values[keys] = column.values
        arranged[name] = column._replace(values=values)
    return arranged, "grid"


def _defaults(columns: Mapping[str, Column], space: SearchSpace) -> list[str]:
    """Return what is searched unless told otherwise: an error if there is one, and one thing that opposes it."""
    searched = [n for n, c in columns.items() if c.role == "objective"]
    first = next((n for n in ("val_error", "error") if n in searched), searched[0])
    costs = [c.name for c in space.costs]
    others = [*(c for c in costs if c == "flops"), *searched, *costs]
    return [first, *[n for n in others if n not in (first, "error", "val_error")][:1]]


def _notes(columns: Mapping[str, Column], file: str, n: int, space: SearchSpace) -> list[str]:
    """Return what a reader of results must know."""
    notes = [f"Imported from {file}, {n:,} architectures."]
    if space.is_enumerable and n < space.size:
        notes.append(f"The table covers {n:,} of {space.size:,} genotypes; the others fail.")
    if "val_error" not in columns or "test_error" not in columns:
        notes.append("No validation/test split: this run searches and reports on the same column.")
    if all(c.values.ndim == 1 for c in columns.values()):
        notes.append("One number per architecture: the evaluation seed is ignored.")
    return notes
