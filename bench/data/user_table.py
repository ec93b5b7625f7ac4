"""What is understood of a user's file as the columns, the rows and the header of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smemnas.bench.data.build import Column
from smemnas.bench.data.user_columns import Read
from smemnas.bench.data.user_export import Described
from smemnas.bench.data.user_names import Named
from smemnas.bench.errors import DataError
from smemnas.spaces.base import FloatArray, SearchSpace


def found_by_keys(space: SearchSpace, described: Described | None) -> bool:
    """Whether rows of the table are found by `SearchSpace.canonical`, not by their place on the grid.

    Raises:
        DataError: The description beside the file says that they are on a grid, and the space has none.
    """
    if described is not None and described.found_by == "grid" and not space.is_enumerable:
        raise DataError(f"{described.name} says that rows are found by a grid, which {space.name} has none of.")
    if described is not None and described.found_by is not None:
        return described.found_by == "key"
    return space.rows_are_networks or not space.is_enumerable


def column_of(
    name: str, read: Read, values: FloatArray, pairs: Mapping[str, str], described: Described | None
) -> Column:
    """Return one column with its description."""
    if described is not None:
        column = described.columns[name]
        return column._replace(values=_of_kind(values, column))
    role = read.role
    text = ", ".join(role.sources)
    if role.accuracy:
        text = f"100 - {text}" if role.scale != "fraction" else f"100 - 100 x {text}"
    elif role.more:
        text = f"{text}, of which more is better, with the opposite sign"
    elif role.scale == "fraction":
        text = f"100 x {text}"
    report, negated = pairs.get(name, ""), role.name if role.more else ""
    return Column(values, role.unit, role.split, role.role, text, report, negated, role.signed)


def _of_kind(values: Any, column: Column) -> Any:
    """Return numbers in the kind that a description says, where it holds them."""
    kind = column.values.dtype
    if kind.kind == "f":
        return values.astype(kind)
    lost = values.dtype.kind == "f" and not np.isfinite(values).all()
    return values if lost or not np.array_equal(values.astype(kind), values) else values.astype(kind)


def rows_in_order(
    columns: Mapping[str, Column], named: Named, known: Any, space: SearchSpace, described: Described | None
) -> dict[str, Column]:
    """Return the columns in the order of the table's rows, and those that say which row is of what.

    Args:
        columns: By name, their values those of the known architectures.
        named: The architectures of the file.
        known: Which of them ``(a,)`` have a value.
        space: The space.
        described: The description beside the file.
    """
    keys, X = named.keys[known], named.X[known]
    if not named.by_key:
        return {name: c._replace(values=_placed(c.values, keys, space)) for name, c in columns.items()}
    rows = {
        "key": Column(keys, "", "none", "info", "canonical key"),
        "genotype": Column(X, "", "none", "info", "genotype"),
    }
    said = described.rows if described is not None else {}
    for name in set(rows) & set(said):
        values = rows[name].values
        rows[name] = said[name]._replace(values=_of_kind(values, said[name]) if values.dtype.kind == "i" else values)
    return {**columns, **rows}


def _placed(values: Any, keys: Any, space: SearchSpace) -> Any:
    """Return values at their places on the grid, NaN elsewhere."""
    if len(keys) == space.size:
        return values  # sorted by place
    placed = np.full((space.size, *values.shape[1:]), np.nan, dtype=np.result_type(values.dtype, np.float16))
    placed[keys] = values
    return placed


def default_objectives(columns: Mapping[str, Column], space: SearchSpace) -> list[str]:
    """Return what is searched unless told otherwise: an error if there is one, and one thing that opposes it."""
    searched = [n for n, c in columns.items() if c.role == "objective"]
    first = next((n for n in ("val_error", "error") if n in searched), searched[0])
    costs = [c.name for c in space.costs]
    others = [*(c for c in costs if c == "flops"), *searched, *costs]
    return [first, *[n for n in others if n not in (first, "error", "val_error")][:1]]


def notes_of(columns: Mapping[str, Column], file: str, named: Named, empty: int, space: SearchSpace) -> list[str]:
    """Return what a reader of results must know.

    Args:
        columns: The table's.
        file: Name of the file.
        named: Its architectures.
        empty: How many of them have no value at all.
        space: The space.
    """
    n = len(named.keys) - empty
    notes = [f"Imported from {file}, {n:,} architectures."]
    for name, column in columns.items():
        without = int((~np.isfinite(column.values)).reshape(n, -1).all(axis=1).sum())
        if without:
            notes.append(f"{without:,} of them have no value of {name}.")
    if space.is_enumerable:
        size = len(np.unique(space.canonical(space.enumerate()))) if named.by_key else space.size
        if n < size:
            notes.append(f"The table covers {n:,} of {size:,} {'networks' if named.by_key else 'genotypes'}.")
    if empty:
        notes.append(f"{empty:,} architectures of the file have no value at all and were left out.")
    if not any(c.report for c in columns.values()):
        notes.append("No validation/test split: this run searches and reports on the same column.")
    if all(c.values.ndim == 1 for c in columns.values()):
        notes.append("One number per architecture: the evaluation seed is ignored.")
    return notes
