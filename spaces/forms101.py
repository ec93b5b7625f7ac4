"""Names of NAS-Bench-101 cells in other people's files: matrix and operations, and the published hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import IntArray
from smemnas.spaces.forms import Form, Operations, literal, short
from smemnas.spaces.graph101 import OPERATIONS, SHORT

if TYPE_CHECKING:
    from smemnas.spaces.nb101 import NB101

#: Names under which files keep the two parts; the first is the one written.
MATRIX = ("matrix", "adjacency", "module_adjacency", "adjacency_matrix", "original_matrix")
LABELS = ("operations", "ops", "module_operations", "original_ops")
WHAT = 'a matrix and its operations, like {"matrix": [[0, 1], [0, 0]], "operations": ["input", "output"]}'


def graph_forms(space: NB101) -> tuple[Form, ...]:
    """Return the forms of NAS-Bench-101 beyond those of every space."""

    def read(value: Any, operations: Operations) -> IntArray:
        matrix, labels = _parts(literal(value, WHAT))
        names = _labels(labels, operations)
        adjacency = _matrix(matrix, len(names) + 2)
        if len(adjacency) > space.max_vertices:
            raise UserError(f"{space.name} has up to {space.max_vertices} vertices here, got {len(adjacency)}.")
        return space.from_matrix(adjacency, names)

    def write(x: IntArray, operations: Operations) -> str:
        size, n_edges = space.max_vertices, len(space.edges)
        adjacency = np.zeros((size, size), dtype=np.int64)
        adjacency[np.triu_indices(size, 1)] = x[:n_edges]
        rows = ", ".join(f"[{', '.join(map(str, row))}]" for row in adjacency.tolist())
        names = [OPERATIONS[int(g)] for g in x[n_edges:]]
        quoted = ", ".join(f'"{name}"' for name in ("input", *names, "output"))
        return f'{{"matrix": [{rows}], "operations": [{quoted}]}}'

    def hashed(x: IntArray, _: Operations) -> str:
        if not space.is_valid(np.asarray(x)[None])[0]:
            raise UserError(f"{space.to_str(x)} is not valid in nb101: it has no hash.")
        return space.hashes(np.asarray(x)[None])[0]

    text = "matrix (rows, or the bits of the upper triangle) and operations, with or without input and output"
    example = '{"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "operations": ["input", "conv3x3-bn-relu", "output"]}'
    return (
        Form("graph", text, example, read, write, operations=OPERATIONS, plain=True),
        Form("hash", "the published hash, from which no graph can be read", "", None, hashed),
    )


def _parts(found: Any) -> tuple[Any, Any]:
    """Return matrix and operations of a dictionary or a pair."""
    if isinstance(found, Mapping):
        matrix = [found[key] for key in MATRIX if key in found]
        labels = [found[key] for key in LABELS if key in found]
        if len(matrix) == len(labels) == 1:
            return matrix[0], labels[0]
    elif isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return found[0], found[1]
    raise UserError(f"expected {WHAT}, or a list of the two, got {short(found)}.")


def _labels(given: Any, operations: Operations) -> list[int]:
    """Return the labels of the interior vertices."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise UserError(f"operations are a list of {', '.join(OPERATIONS)}, got {short(given)}.")
    names = list(given)
    if names[:1] == ["input"]:
        names = names[1:]
    if names[-1:] == ["output"]:
        names = names[:-1]
    labels = []
    for name in names:
        if isinstance(name, int) and not isinstance(name, bool):
            if not 0 <= name < len(operations):
                raise UserError(
                    f"the number {name} of an operation says nothing by itself: --operations names what 0, 1, ... "
                    f"stand for, like {','.join(OPERATIONS)}."
                )
            name = operations[name]
        if name not in (*OPERATIONS, *SHORT):
            raise UserError(f"no operation {short(name)} in NAS-Bench-101.{suggest(str(name), OPERATIONS)}")
        labels.append((OPERATIONS if name in OPERATIONS else SHORT).index(name))
    return labels


def _matrix(given: Any, size: int) -> NDArray[np.int64]:
    """Return the upper-triangular matrix ``(size, size)`` of rows, or of the bits of its upper triangle."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, Sequence) and all(isinstance(row, str | Sequence | np.ndarray) for row in given):
        rows = [_bits(row, given) for row in ([given] if isinstance(given, str) else given)]
    else:
        rows = [_bits(given, given)]
    square = np.zeros((size, size), dtype=np.int64)
    above = np.triu_indices(size, 1)
    flat = [bit for row in rows for bit in row]
    if [len(row) for row in rows] == [size] * size or (len(rows) == 1 and len(flat) == size * size > 1):
        square = np.array(flat, dtype=np.int64).reshape(size, size)
    elif len(rows) == 1 and len(flat) == len(above[0]):
        square[above] = flat
    else:
        raise UserError(
            f"{size - 2} operations between input and output need a matrix of {size} x {size} or its "
            f"{len(above[0])} bits above the diagonal, got {short(given)}."
        )
    if np.tril(square).any():
        raise UserError(f"edges lead to later vertices only (upper triangle), got {short(given)}.")
    return square


def _bits(row: Any, given: Any) -> list[int]:
    """Return zeros and ones."""
    bits = list(row) if isinstance(row, str | Sequence | np.ndarray) else [row]
    try:
        found = [int(b) for b in bits if not isinstance(b, list | dict)]
    except (TypeError, ValueError, OverflowError):
        found = []
    if len(found) != len(bits) or not set(found) <= {0, 1} or not bits:
        raise UserError(f"a matrix of 0 and 1 was expected, got {short(given)}.")
    return found
