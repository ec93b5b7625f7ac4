"""Names of NAS-Bench-201 cells in other people's files: the official index, NASLib's tuples, tuples in a stated order.

The official index is the position in the list that the files of NAS-Bench-201 and of NATS-Bench's topology space
store. Its authors made that list by one shuffle of all cells with a fixed seed, so it can be computed; a test
compares the positions that they publish.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.spaces.base import IntArray, SearchSpace
from smemnas.spaces.cell201 import EDGES, OPERATIONS
from smemnas.spaces.forms import Form, Operations, as_tuple, index_form, numbers, short, words

#: Seed of the authors' shuffle.
SHUFFLE = 88
#: What NASLib's numbers stand for; HW-NAS-Bench's and analog-nasbench's files use the same.
NASLIB = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
#: Position in a source-major tuple (edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3) of each of our genes.
SOURCE_MAJOR = tuple(sorted(EDGES).index(edge) for edge in EDGES)
TARGET_MAJOR = tuple(range(len(EDGES)))


def cell_forms(space: SearchSpace) -> tuple[Form, ...]:
    """Return the forms of NAS-Bench-201 beyond those of every space."""

    def official() -> IntArray:
        order = list(range(space.size))
        random.Random(SHUFFLE).shuffle(order)
        return space.enumerate()[order]

    index = "index in the official NAS-Bench-201 and NATS-Bench (tss) files"
    naslib = "NASLib's tuple, edges by source; also in HW-NAS-Bench tables and analog-nasbench"
    source = "six operations, edges 0-1 0-2 0-3 1-2 1-3 2-3; numbers need --operations"
    target = "six operations, edges 0-1 0-2 1-2 0-3 1-3 2-3; numbers need --operations"
    return (
        index_form("official", index, official, "NAS-Bench-201"),
        _tuples("naslib", naslib, SOURCE_MAJOR, NASLIB),
        _tuples("source-major", source, SOURCE_MAJOR),
        _tuples("target-major", target, TARGET_MAJOR),
    )


def _tuples(name: str, text: str, position: tuple[int, ...], fixed: Operations = ()) -> Form:
    """Return the form of six operations, by name or by number.

    Args:
        name: Of the form.
        text: One line.
        position: Of each of our genes in the tuple.
        fixed: What the numbers stand for; without, whoever reads a tuple says so.
    """

    def read(value: Any, operations: Operations) -> IntArray:
        order, found = fixed or operations, words(value) or []
        if not fixed and len(found) == len(EDGES) and all(w in OPERATIONS for w in found):
            tokens = [OPERATIONS.index(w) for w in found]
            return np.array(tokens, dtype=np.int64)[list(position)]
        if not order:
            raise UserError(
                f"expected six operations of {', '.join(OPERATIONS)}, got {short(value)}; numbers need the order "
                f"that they count, like --operations {','.join(NASLIB)}"
            )
        codes = numbers(value, len(EDGES), f"a {name} tuple of nb201")
        if codes.max() >= len(order):
            raise UserError(f"a {name} tuple of nb201 has numbers 0 to {len(order) - 1}, got {short(value)}.")
        return np.array([OPERATIONS.index(w) for w in order], dtype=np.int64)[codes[list(position)]]

    def write(x: IntArray, operations: Operations) -> str:
        order, names = fixed or operations, [""] * len(EDGES)
        for gene, place in enumerate(position):
            names[place] = OPERATIONS[int(x[gene])]
        if not order:
            return ",".join(names)
        absent = [n for n in names if n not in order]
        if absent:
            raise UserError(f"{absent[0]} is not among the operations {','.join(order)}, so it has no number.")
        return as_tuple(order.index(n) for n in names)

    example = "(4, 0, 3, 1, 4, 3)" if fixed else ",".join(["nor_conv_3x3", *["none"] * 4, "skip_connect"])
    return Form(name, text, example, read, write, () if fixed else OPERATIONS)
