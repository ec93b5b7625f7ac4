"""NAS-Bench-201: a cell of six edges, five operations each (Dong and Yang, ICLR 2020).

Gene order is the one of the official string, target-major: edges 0-1 | 0-2 1-2 | 0-3 1-3 2-3.
Gene values are the official operation order: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3.

Costs follow the benchmark's own counts: multiply-adds of convolutions and of the classifier with its
bias (batch norm and pooling are free), parameters with batch norm. The convention of NASLib and fvcore,
which counts batch norm and pooling, has its own name: ``flops_naslib``. Its figures are known for the CIFAR-10
network, so that other sizes do not offer it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.cell201 import CONV1, CONV3, EDGES, NONE, OPERATIONS, PATHS, POOL, SKIP

if TYPE_CHECKING:
    from smemnas.spaces.forms import Form

CHANNELS = (16, 32, 64)
CELLS_PER_STAGE = 5


@SPACES.register("nb201", summary="NAS-Bench-201 cell, 5^6 = 15,625 genotypes (5,425 distinct graphs)")
class NB201(SearchSpace):
    """Six genes, one operation each.

    Args:
        n_classes: Size of the classifier (10, 100, or 120 for ImageNet16-120); enters both costs.
        image_size: Side of the input image (32 for CIFAR, 16 for ImageNet16-120); enters the MAdds.
    """

    name = "nb201"
    n_choices = (5,) * 6
    encodings = ("int", "onehot", "path", "graph")
    default_encoding = "path+onehot"
    recommended_encoding = "graph"
    cost_encoding = "onehot"  # operations that reach no output cost time and energy, and `graph` drops them
    costs: tuple[Objective, ...] = (
        Objective("flops", "M", True),
        Objective("params", "M", True),
        Objective("flops_naslib", "M", True),
    )
    default_dataset = "cifar10"

    def __init__(self, n_classes: int = 10, image_size: int = 32) -> None:
        self.n_classes = n_classes
        self.image_size = image_size
        if (n_classes, image_size) != (10, 32):
            self.costs = NB201.costs[:2]

    def to_str(self, x: IntArray) -> str:
        """Return the official string, for example ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``."""
        parts = [f"{OPERATIONS[int(op)]}~{source}" for op, (source, _) in zip(x, EDGES, strict=True)]
        return f"|{parts[0]}|+|{parts[1]}|{parts[2]}|+|{parts[3]}|{parts[4]}|{parts[5]}|"

    def from_str(self, arch: str) -> IntArray:
        """Parse the official string."""
        found = re.findall(r"([a-z0-9_]+)~(\d)", arch)
        for op, _ in found:
            if op not in OPERATIONS:
                raise UserError(f"no operation {op!r} in NAS-Bench-201.{suggest(op, OPERATIONS)}")
        x = np.array([OPERATIONS.index(op) for op, _ in found], dtype=np.int64)
        if len(x) != len(EDGES) or self.to_str(x) != arch.strip():
            raise UserError(
                f"not a NAS-Bench-201 architecture: {arch!r}. Expected six operations like "
                f"{self.to_str(np.array([3, 0, 1, 2, 4, 3]))}"
            )
        return x

    @property
    def forms(self) -> tuple[Form, ...]:
        """Adds the official index, NASLib's tuples and tuples in a stated order."""
        from smemnas.spaces.forms201 import cell_forms

        return (*super().forms, *cell_forms(self))

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return multiply-adds or parameters in millions (exact; units of the benchmark)."""
        conv3, conv1, pool = ((X == op).sum(axis=1) for op in (CONV3, CONV1, POOL))
        if name == "params":
            per_conv3, per_conv1 = _edge_parameters(9), _edge_parameters(1)
            return np.asarray((_fixed_parameters(self.n_classes) + per_conv3 * conv3 + per_conv1 * conv1) / 1e6)
        if name == "flops":
            edge = _edge_madds(self.image_size)
            fixed = _fixed_madds(self.image_size) + 65 * self.n_classes
            return np.asarray((fixed + edge * (9 * conv3 + conv1)) / 1e6)
        if name == "flops_naslib" and len(self.costs) == len(NB201.costs):
            return _naslib_flops(conv3, conv1, pool)
        return super().cost(X, name)

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return ``(n,)`` uint64 ids, equal exactly where the cells compute the same graph.

        A node is the multiset of what reaches it: a zeroed edge adds nothing, a skip adds the source
        node's own content, any other operation adds one term (operation, source). The sum of scrambled
        terms identifies the multiset whatever its order; the number of live operations of each kind tells
        one shared convolution from two equal ones. Operations that do not reach the output are dropped,
        though the benchmark's cost counts include them. The benchmark's own isomorphism string keeps a mark for
        zeroed edges and does not flatten sums of skips, so it separates some cells that are one graph here.
        """
        X = np.asarray(X, dtype=np.int64)
        nodes = [np.full(len(X), 0x9E3779B97F4A7C15, dtype=np.uint64)]
        for target in (1, 2, 3):
            content = np.zeros(len(X), dtype=np.uint64)
            for gene, (origin, end) in enumerate(EDGES):
                if end == target:
                    op, source = X[:, gene].astype(np.uint64), nodes[origin]
                    term = np.where(op == SKIP, source, _mix(source * np.uint64(8) + op))
                    content += np.where((op == NONE) | (source == 0), np.uint64(0), term)
            nodes.append(content)
        live = live_edges(X)
        counts = [((X == op) & live).sum(axis=1).astype(np.uint64) for op in (CONV1, CONV3, POOL)]
        return nodes[3] + _mix(counts[0] + np.uint64(8) * counts[1] + np.uint64(64) * counts[2] + np.uint64(1))

    def _encode(self, X: IntArray, part: str) -> FloatArray:
        if part == "graph":
            return _graph_table()[self.index(X)]
        return _path_table()[self.index(X)] if part == "path" else super()._encode(X, part)


def _edge_parameters(kernel: int) -> int:
    """Parameters of a convolution of `kernel` weights on one edge, over all cells (weights and batch norm)."""
    return CELLS_PER_STAGE * sum(kernel * c * c + 2 * c for c in CHANNELS)


def _edge_madds(image_size: int) -> int:
    """Multiply-adds of a 1x1 convolution on one edge, over all cells."""
    return CELLS_PER_STAGE * sum((image_size >> stage) ** 2 * c * c for stage, c in enumerate(CHANNELS))


def _fixed_madds(image_size: int) -> int:
    """Multiply-adds of the stem and of the two residual reductions (each with its 1x1 shortcut)."""
    total = image_size**2 * 9 * 3 * CHANNELS[0]
    for stage in (1, 2):
        wide, narrow = CHANNELS[stage], CHANNELS[stage - 1]
        total += (image_size >> stage) ** 2 * (9 * narrow * wide + 9 * wide * wide + narrow * wide)
    return total


def _fixed_parameters(n_classes: int) -> int:
    """Parameters of stem, reductions, last batch norm and classifier."""
    total = 9 * 3 * CHANNELS[0] + 2 * CHANNELS[0]
    for stage in (1, 2):
        wide, narrow = CHANNELS[stage], CHANNELS[stage - 1]
        total += 9 * narrow * wide + 9 * wide * wide + narrow * wide + 4 * wide
    return total + 2 * CHANNELS[-1] + (CHANNELS[-1] + 1) * n_classes


def _naslib_flops(conv3: NDArray[Any], conv1: NDArray[Any], pool: NDArray[Any]) -> FloatArray:
    """FLOPs in the convention of NASLib (fvcore) on CIFAR-10, in millions.

    Beside its multiply-adds a convolution edge costs 3 per output element (ReLU and batch norm) and a
    pooling edge 9. The fixed part is NASLib's own figure for the cell without operations.
    """
    elements = CELLS_PER_STAGE * sum((32 >> stage) ** 2 * c for stage, c in enumerate(CHANNELS))
    edge = _edge_madds(32)
    per_conv3, per_conv1, per_pool = 9 * edge + 3 * elements, edge + 3 * elements, 9 * elements
    return np.asarray(7.943872 + (per_conv3 * conv3 + per_conv1 * conv1 + per_pool * pool) / 1e6)


def _mix(v: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit integers (the finaliser of SplitMix64), so that sums of them tell multisets apart."""
    v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))


def live_edges(X: IntArray) -> NDArray[np.bool_]:
    """Return ``(n, 6)``: whether an edge lies on a path from input to output without a zeroed edge."""
    live = np.zeros(X.shape, dtype=bool)
    for path in PATHS:
        live[:, path] |= (X[:, path] != NONE).all(axis=1)[:, None]
    return live


@cache
def _path_table() -> FloatArray:
    """Path features of every genotype by grid index, ``(15625, 48)``.

    Forty path counts: for each sequence of up to three of {1x1, 3x3, pool} how many of the four paths from
    input to output compute it, with skips collapsed and paths through a zeroed edge dropped. Then eight
    summary counts: the four operations on live edges, dead edges, live paths, and the most and the fewest
    convolutions on a live path. An edge is live if it lies on a path without a zeroed edge.
    """
    grid = np.stack(np.unravel_index(np.arange(5**6), (5,) * 6), axis=1).astype(np.int64)
    n = len(grid)
    counts = np.zeros((n, 40))
    live_edge = live_edges(grid)
    convolutions = np.full((n, len(PATHS)), -1)
    for p, path in enumerate(PATHS):
        ops = grid[:, path]
        live = (ops != NONE).all(axis=1)
        code, length = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        for step in range(len(path)):
            real = ops[:, step] >= CONV1
            code = np.where(real, 3 * code + ops[:, step] - CONV1, code)
            length += real
        first = np.array([0, 1, 4, 13])  # column of the first sequence of each length
        np.add.at(counts, (np.flatnonzero(live), (first[length] + code)[live]), 1.0)
        convolutions[:, p] = np.where(live, ((ops == CONV1) | (ops == CONV3)).sum(axis=1), -1)
    live_path = convolutions >= 0
    fewest = np.where(live_path, convolutions, 9).min(axis=1)
    summary = [((grid == op) & live_edge).sum(axis=1) for op in (SKIP, CONV1, CONV3, POOL)]
    summary += [(~live_edge).sum(axis=1), live_path.sum(axis=1)]
    summary += [np.maximum(convolutions.max(axis=1), 0), np.where(live_path.any(axis=1), fewest, 0)]
    return np.hstack([counts, np.stack(summary, axis=1)])


@cache
def _graph_table() -> FloatArray:
    """Return the features that equal graphs share, of every genotype by grid index; see `spaces.graph201`."""
    from smemnas.spaces.graph201 import graph_features

    space = NB201()
    grid = space.enumerate()
    return graph_features(grid, space.encode(grid, "path"), space.canonical(grid))
