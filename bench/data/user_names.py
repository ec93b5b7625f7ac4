"""Names of architectures in a user's file to genotypes, each spelling once and many at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.data.user_columns import Faults
from smemnas.bench.data.user_numbers import Cells
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import IntArray, SearchSpace
from smemnas.spaces.forms import reader

#: Architectures are read so many at a time, which bounds the memory.
CHUNK = 50_000


class Named(NamedTuple):
    """The architectures of a file.

    Attributes:
        X: Genotypes ``(a, n_var)``, sorted by key; small integers, for there may be a million.
        keys: ``(a,)`` row of the grid, or canonical key.
        group: ``(n,)`` which of them each row names; -1 where it names none.
        by_key: Whether `keys` are canonical ones, so that names of one network are one architecture.
    """

    X: NDArray[np.int16]
    keys: NDArray[Any]
    group: IntArray
    by_key: bool


def name_rows(
    space: SearchSpace,
    cells: Cells,
    file: str,
    form: str | None,
    operations: str,
    faults: Faults,
    by_key: bool,
) -> Named:
    """Read the architecture of every row.

    Args:
        space: The space.
        cells: Names, or lists and dictionaries.
        file: For messages.
        form: One of `space.forms`; None where the names say themselves what they are.
        operations: Order of the operations of tuples, for forms that take one.
        faults: Takes what is no architecture.
        by_key: See `Named`.

    Raises:
        UserError: No such form, or an order that it does not take.
    """
    read = reader(space, form, operations)
    found = cells.tolist() if isinstance(cells, np.ndarray) else cells
    values = [v.strip() if isinstance(v, str) else v for v in found]
    codes: dict[Any, int] = {}
    code = np.fromiter((codes.setdefault(_hashable(v), len(codes)) for v in values), np.int64, len(values))
    first = np.full(len(codes), len(values), dtype=np.int64)
    np.minimum.at(first, code, np.arange(len(values)))
    X, keys, good = [], [], np.zeros(len(codes), dtype=bool)
    wrong: list[tuple[int, str]] = []
    for start in range(0, len(first), CHUNK):
        rows = first[start : start + CHUNK]
        part, ok = _genotypes(space, [values[r] for r in rows.tolist()], rows, read, form is None, wrong)
        good[start : start + CHUNK] = ok
        part = part[ok]
        X.append(part.astype(np.int16))
        keys.append(space.canonical(part) if by_key else space.index(part))
    if wrong:
        lost = int(np.isin(code, np.flatnonzero(~good)).sum())
        more = f" ({lost - 1:,} more rows like it)" if lost > 1 else ""
        row, message = min(wrong)
        faults.found.append(DataError(f"{file}, row {row + 1}: {message}{more}"))
    unique, at, inverse = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
    group = np.full(len(codes), -1, dtype=np.int64)
    group[good] = inverse.reshape(-1)
    return Named(np.concatenate(X)[at], unique, group[code], by_key)


def _hashable(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return (type(value).__name__, json.dumps(value, sort_keys=True, default=str))


def _genotypes(
    space: SearchSpace,
    values: Sequence[Any],
    rows: IntArray,
    read: Callable[[Any], IntArray],
    own: bool,
    wrong: list[tuple[int, str]],
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return genotypes ``(m, n_var)`` and which of them are valid ``(m,)``; the others go to `wrong` with a reason.

    Names of the space's own (`own`) are read all at once, whatever is left one by one.
    """
    X = np.full((len(values), space.n_var), -1, dtype=np.int64)
    if own and all(isinstance(v, str) for v in values):
        X = space.from_strs(values)
    for i in np.flatnonzero((X < 0).any(axis=1)).tolist():
        value = values[i]
        try:
            X[i] = read(value)
        except UserError as error:
            wrong.append((int(rows[i]), str(error)))
    ok = np.asarray((X >= 0).all(axis=1))
    ok[ok] = space.is_valid(X[ok])
    known = {r for r, _ in wrong}
    for i in np.flatnonzero(~ok).tolist():
        if int(rows[i]) not in known:
            wrong.append((int(rows[i]), f"{str(values[i])[:100]} is no valid architecture of {space.name}."))
    return X, ok
