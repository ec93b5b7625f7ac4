"""What recipes have in common: rows are checked, accuracies become errors, the table gets its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.table import Table, file_digest, write_table
from smemnas.bench.data.recipe import Recipe
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace
from smemnas.spaces.forms import reader


class Column(NamedTuple):
    """One column and what a reader must know about it.

    Attributes:
        values: ``(n,)``, or ``(n, repeats)`` with one value per training; NaN where there is none.
        unit: "%", "ms", "mJ", "M", "s" or "".
        split: "validation", "test", "single" (searched and reported alike) or "none".
        role: "objective" (may be searched), "report" (test split), "proxy" or "info".
        text: One phrase for `data info`.
        report: For an objective, the column that reports it; "" if it reports itself.
        negated: Where more is better: the name of the quantity that is stored with the opposite sign; else "".
        signed: Whether values below zero, or above 100 %, are values of this quantity.
    """

    values: NDArray[Any]
    unit: str
    split: str
    role: str
    text: str
    report: str = ""
    negated: str = ""
    signed: bool = False


def genotypes(
    space: SearchSpace,
    names: Sequence[Any],
    file: str,
    form: str | None = None,
    operations: str | Sequence[str] = (),
) -> IntArray:
    """Parse the names of architectures to ``(n, n_var)``.

    Args:
        space: The space.
        names: One per row: text, or lists and dictionaries as JSON and Parquet have them.
        file: For messages.
        form: One of `space.forms`; without, each name says by itself what it is (`spaces.forms.reader`).
        operations: What the numbers of a tuple stand for.

    Raises:
        UserError: No such form, or an order of operations that it does not take.
        DataError: A string names no architecture of the space; the message has the row.
    """
    read = reader(space, form, operations)
    X = np.empty((len(names), space.n_var), dtype=np.int64)
    for row, name in enumerate(names):
        try:
            X[row] = read(name)
        except UserError as error:
            raise DataError(f"{file}, row {row + 1}: {error}") from error
    return X


def grid_order(space: SearchSpace, X: IntArray, file: str) -> IntArray:
    """Return the order ``(n,)`` that brings rows ``(n, n_var)`` to grid order, each genotype exactly once.

    Raises:
        DataError: A genotype is there twice, or some are missing.
    """
    rows = space.index(X)
    order = np.argsort(rows, kind="stable")
    again = np.flatnonzero(np.diff(rows[order]) == 0)
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise DataError(
            f"{file}, row {second + 1}: {space.to_str(X[second])} is there twice, first in row {first + 1}."
        )
    if len(rows) != space.size:
        raise DataError(f"{file} has {len(rows):,} of the {space.size:,} architectures of {space.name}.")
    return order


def error_percent(accuracy: NDArray[Any], file: str, column: str) -> FloatArray:
    """Turn accuracies in percent to errors in percent.

    Raises:
        DataError: A value is missing or outside 0..100; the message has row and column.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    check_percent(values, file, column)
    return 100.0 - values


def check_percent(values: FloatArray, file: str, column: str) -> None:
    """Refuse values that are no percentages, naming row and column.

    Raises:
        DataError: A value is missing or outside 0..100.
    """
    wrong = ~((values >= 0.0) & (values <= 100.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(values), -1).any(axis=1))[0])
        found = values[row] if values.ndim == 1 else values[row][wrong[row]][0]
        raise DataError(f"{file}, row {row + 1}, column {column!r}: {found:g} is not a percentage (0 to 100).")


def header_source(recipe: Recipe, paths: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Describe the original files for a table's header; unpublished checksums are computed here."""
    entries: list[dict[str, Any]] = []
    for source in recipe.sources:
        if source.file not in paths and source.optional:
            continue
        path = paths[source.file]
        digest = source.sha256 or (file_digest(path) if path.is_file() else "")
        entries.append({"file": source.file, "url": source.url, "sha256": digest, "licence": source.licence})
    return entries


def write(
    recipe: Recipe,
    paths: Mapping[str, Path],
    target: Path,
    columns: Mapping[str, Column],
    *,
    default_objectives: Sequence[str],
    notes: Sequence[str],
    aliases: Mapping[str, str] | None = None,
    index: str = "grid",
    space_params: Mapping[str, int | float | str] | None = None,
) -> Table:
    """Write the table of a recipe.

    Args:
        recipe: Gives name, version, sources and licence.
        paths: The source files; optional ones may be missing, which the header then says.
        target: Folder of the table.
        columns: Rows in grid order, or sorted by the column "key" if `index` is "key".
        default_objectives: What is searched unless told otherwise.
        notes: What a reader of results must know.
        aliases: Other names of objectives, such as "error" of "val_error".
        index: "grid" or "key".
        space_params: Constructor arguments of the space that the data belongs to.

    Raises:
        DataError: The table cannot be written.
    """
    space, dataset = recipe.table.split("/", 1)
    lacks = [source.file for source in recipe.sources if source.file not in paths]
    return write_table(
        target,
        {name: column.values for name, column in columns.items()},
        describe={name: describe(column) for name, column in columns.items()},
        name=recipe.table,
        space=space,
        dataset=dataset,
        index=index,
        recipe=[recipe.name, *recipe.formerly][-1],
        recipe_version=recipe.version,
        default_objectives=list(default_objectives),
        aliases=dict(aliases or {}),
        space_params=dict(space_params or {}),
        source=header_source(recipe, paths),
        licence=recipe.licence,
        notes=list(notes),
        **({"lacks": lacks} if lacks else {}),
    )


def describe(column: Column) -> dict[str, Any]:
    """Return a column's entry of the header."""
    entry = {"unit": column.unit, "split": column.split, "role": column.role, "text": column.text}
    extra = {"report": column.report, "negated": column.negated, "signed": column.signed}
    return {**entry, **{k: v for k, v in extra.items() if v}}
