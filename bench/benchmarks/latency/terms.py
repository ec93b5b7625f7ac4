"""How a space's networks are sums of blocks: which blocks a table must have, and which of them a genotype takes.

A block is named RESOLUTION/GROUP/CHOICE, like "224/stage2.rest/k5e4". Predictions are linear: each genotype takes some
blocks, each so many times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.program import PROGRAM
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace
from smemnas.spaces.cell201 import CONV1, EDGES, NONE, OPERATIONS, POOL, SKIP
from smemnas.spaces.macro import IDENTITY, Macro
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import EXPANSIONS, KERNELS, MAX_DEPTH, N_LAYERS, N_STAGES
from smemnas.spaces.mnv3_costs import N_STATES, STEMS
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE
from smemnas.spaces.nats_sss import CHANNELS, NATSSize
from smemnas.spaces.nb201 import CELLS_PER_STAGE, NB201
from smemnas.spaces.nb201 import CHANNELS as NB201_CHANNELS

SPACES = ("mnv3", "nb201", "nats_sss", "macro")
STAGES = 3
#: What a cell of NAS-Bench-201 consists of: operations that compute, and sums at its nodes.
CELL_PARTS = (*OPERATIONS[CONV1 : POOL + 1], "sum")
#: Blocks of nats_sss, and the genes whose channels each reads and gives.
SIZED_BLOCKS = {"first": (0, 0), "reduction1": (0, 1), "cell2": (1, 2), "reduction2": (2, 3), "last": (3, 4)}


@dataclass(frozen=True)
class Sum:
    """What a space's networks are sums of.

    Attributes:
        shape: All that decides the blocks, as JSON values.
        keys: Names of the blocks.
        times: How often each of `terms`' columns counts ``(m,)``.
        terms: Function of genotypes ``(n, n_var)``: which block each column is ``(n, m)``; ``len(keys)`` is none.
    """

    shape: dict[str, Any]
    keys: tuple[str, ...]
    times: FloatArray
    terms: Callable[[IntArray], IntArray]


def group_of(key: str) -> str:
    """Return the group of a block."""
    return key.split("/")[1]


def measuring_command(shape: Mapping[str, Any]) -> str:
    """Return the command that measures the networks of a shape, see `Sum`."""
    name, start = shape["name"], f"{PROGRAM} latency measure"
    items: dict[str, Any] = {}
    if name == "mnv3":
        strides = shape["stem_stride"], tuple(shape["strides"])
        stem = next((word for word, of in STEMS.items() if of == strides), None)
        if stem is None:
            return f"{start} --checkpoint SUPERNET"
        items = {"width": shape["width"], "stem": stem, "resolutions": "-".join(map(str, shape["resolutions"]))}
    else:
        channels = {"nb201": "channels", "nats_sss": "widths", "macro": "stem"}[name]
        items["channels"] = min(np.atleast_1d(shape[channels]))
        items |= {"cells": shape["cells"]} if name == "nb201" else {}
        items["size"] = shape["resolutions"][0]
    items["classes"] = shape["n_classes"]
    return " ".join([start, f"--space {name}", *(f"--shape {key}={value}" for key, value in items.items())])


def sum_of(space: SearchSpace) -> Sum:
    """Return what a space's networks are sums of.

    Raises:
        UserError: The space has no networks here.
    """
    if isinstance(getattr(space, "_inner", None), SearchSpace):  # a view of another
        return sum_of(space._inner)  # type: ignore[attr-defined]
    if isinstance(space, MNV3):
        return _mnv3(space)
    if isinstance(space, NB201):
        return _nb201(space)
    if isinstance(space, NATSSize):
        return _nats(space)
    if isinstance(space, Macro):
        return _macro(space)
    raise UserError(f"latency is measured for networks of {', '.join(SPACES)}, not of {space.name!r}.")


def _indexed(keys: list[str]) -> dict[str, int]:
    return {key: at for at, key in enumerate(keys)}


def mnv3_group(layer: int) -> str:
    """Return the group of one of the twenty layers: the first of a stage, or the rest of it."""
    stage, place = divmod(layer, MAX_DEPTH)
    return f"stage{stage + 1}.{'rest' if place else 'first'}"


def _mnv3(space: MNV3) -> Sum:
    if space.choices != "ofa":
        raise UserError(f"latency is measured of mnv3's choices 'ofa', these networks have {space.choices!r}.")
    shape = {
        "name": "mnv3",
        "width": space.width,
        "stem_stride": space.stem_stride,
        "strides": list(space.strides),
        "n_classes": space.n_classes,
        "resolutions": list(space.resolutions),
    }
    choices = [f"k{k}e{e}" for k in KERNELS for e in EXPANSIONS]
    groups = [mnv3_group(MAX_DEPTH * s + j) for s in range(N_STAGES) for j in (0, 1)]
    keys = [
        key
        for r in space.resolutions
        for key in (f"{r}/fixed/ends", *(f"{r}/{group}/{choice}" for group in groups for choice in choices))
    ]
    at, none = _indexed(keys), len(keys)
    table = np.full((len(space.resolutions), N_LAYERS, N_STATES), none)
    for i, r in enumerate(space.resolutions):
        for layer in range(N_LAYERS):
            table[i, layer, 1:] = [at[f"{r}/{mnv3_group(layer)}/{choice}"] for choice in choices]
    fixed = np.array([at[f"{r}/fixed/ends"] for r in space.resolutions])

    def terms(X: IntArray) -> IntArray:
        r = X[:, RESOLUTION_GENE]
        layers = table[r[:, None], np.arange(N_LAYERS), space.layer_states(X)]
        return np.hstack([fixed[r][:, None], layers]).astype(np.int64)

    return Sum(shape, tuple(keys), np.ones(1 + N_LAYERS), terms)


def computed_cell(X: IntArray) -> tuple[IntArray, IntArray]:
    """Return what of cells of NAS-Bench-201 is computed.

    An edge is where something that depends on the image reaches it and it reaches the output.

    Returns:
        Whether each edge is ``(n, 6)``, and how many sums there are ``(n,)``.
    """
    filled = np.zeros((len(X), 4), dtype=bool)
    filled[:, 0] = True
    reaching = np.zeros((len(X), 4), dtype=bool)
    reaching[:, 3] = True
    for target in (1, 2, 3):
        for gene, (source, end) in enumerate(EDGES):
            if end == target:
                filled[:, target] |= (X[:, gene] != NONE) & filled[:, source]
    for source in (2, 1, 0):
        for gene, (start, end) in enumerate(EDGES):
            if start == source:
                reaching[:, source] |= (X[:, gene] != NONE) & reaching[:, end]
    edges = np.stack(
        [(X[:, g] != NONE) & filled[:, source] & reaching[:, end] for g, (source, end) in enumerate(EDGES)], axis=1
    )
    entering = np.stack([edges[:, [g for g, e in enumerate(EDGES) if e[1] == t]].sum(axis=1) for t in (1, 2, 3)], 1)
    return edges.astype(np.int64), np.maximum(entering - 1, 0).sum(axis=1)


def _nb201(space: NB201) -> Sum:
    channels = int(getattr(space, "channels", NB201_CHANNELS[0]))
    cells = int(getattr(space, "cells", CELLS_PER_STAGE))
    size = space.image_size
    shape = {
        "name": "nb201",
        "channels": channels,
        "cells": cells,
        "n_classes": space.n_classes,
        "resolutions": [size],
    }
    keys = [f"{size}/fixed/ends", *(f"{size}/stage{s + 1}/{part}" for s in range(STAGES) for part in CELL_PARTS)]
    at, none = _indexed(keys), len(keys)

    def terms(X: IntArray) -> IntArray:
        edges, sums = computed_cell(X)
        computed = (edges == 1) & (X != SKIP)
        columns = [np.zeros((len(X), 1), dtype=np.int64)]
        for s in range(STAGES):
            first = at[f"{size}/stage{s + 1}/{CELL_PARTS[0]}"]
            columns.append(np.where(computed, first + X - CONV1, none))
            columns.append(np.where(np.arange(3) < sums[:, None], at[f"{size}/stage{s + 1}/sum"], none))
        return np.hstack(columns).astype(np.int64)

    return Sum(shape, tuple(keys), np.array([1.0, *[float(cells)] * (9 * STAGES)]), terms)


def _nats(space: NATSSize) -> Sum:
    size, n = space.image_size, len(CHANNELS)
    shape = {
        "name": "nats_sss",
        "widths": list(space.widths),
        "n_classes": space.n_classes,
        "resolutions": [size],
    }
    keys = [f"{size}/first/{w}" for w in space.widths]
    for block in list(SIZED_BLOCKS)[1:]:
        keys += [f"{size}/{block}/{a}-{b}" for a in space.widths for b in space.widths]

    def terms(X: IntArray) -> IntArray:
        columns = [X[:, 0]]
        for number, (a, b) in enumerate(list(SIZED_BLOCKS.values())[1:]):
            columns.append(n + number * n * n + n * X[:, a] + X[:, b])
        return np.stack(columns, axis=1).astype(np.int64)

    return Sum(shape, tuple(keys), np.ones(len(SIZED_BLOCKS)), terms)


def macro_group(layer: int) -> str:
    """Return the group of one of the eight layers."""
    stage = next(s for s, end in enumerate((2, 5, 8)) if layer < end)
    return f"stage{stage + 1}.{'first' if layer in (0, 2, 5) else 'rest'}"


def _macro(space: Macro) -> Sum:
    stem, layers, head, n_classes, size = space.network
    shape = {
        "name": "macro",
        "stem": stem,
        "layers": [list(layer) for layer in layers],
        "head": head,
        "n_classes": n_classes,
        "resolutions": [size],
    }
    groups = dict.fromkeys(macro_group(layer) for layer in range(space.n_var))
    keys = [f"{size}/fixed/ends"]
    keys += [f"{size}/{g}/{c}" for g in groups for c in range(3) if c != IDENTITY or g.endswith("first")]
    at, none = _indexed(keys), len(keys)
    names = [[f"{size}/{macro_group(layer)}/{c}" for c in range(3)] for layer in range(space.n_var)]
    table = np.array([[at.get(name, none) for name in row] for row in names])

    def terms(X: IntArray) -> IntArray:
        fixed = np.zeros((len(X), 1), dtype=np.int64)
        return np.hstack([fixed, table[np.arange(space.n_var), X]]).astype(np.int64)

    return Sum(shape, tuple(keys), np.ones(1 + space.n_var), terms)
