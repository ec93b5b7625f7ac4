"""Features of a NAS-Bench-201 cell that equal graphs share: what its paths compute, on scales that compare.

Counts along paths tell surrogates more than the operations edge by edge, but a count of four paths outweighs a
rare sequence, and the summary of one genotype differs from that of another with the same graph. Here counts enter
by their square root, every group of columns has mean 0 and total variance 1 over the space, and all of it is
averaged over the genotypes of a graph (`NB201.canonical`), so that equal graphs have equal features bit by bit.

Which groups belong was decided by how well surrogates order nb201/cifar100 and nb201/analog (whose accuracies are
CIFAR-10's); the scales are not tuned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.spaces.cell201 import CONV1, CONV3, EDGES, NONE, PATHS, POOL, SKIP

FloatArray = NDArray[np.float64]

#: Columns of the path encoding that count sequences of operations.
SEQUENCES = 40


def graph_features(grid: NDArray[np.int64], path: FloatArray, canonical: NDArray[Any]) -> FloatArray:
    """Return the features of every genotype, ``(15625, 87)``.

    Args:
        grid: All genotypes ``(15625, 6)``.
        path: Their path encoding ``(15625, 48)``.
        canonical: Their ids ``(15625,)``, equal exactly where graphs are.

    Groups of columns:
        40: sequences of operations on live paths (square roots of the path counts).
        8: the summary counts of the path encoding.
        20: paths by their numbers of 1x1, 3x3 and poolings, whatever the order (square roots).
        15: mean, most and fewest over the live paths of: 1x1, 3x3, poolings, convolutions, operations.
        4: paths through an edge, summed over the edges with a skip, 1x1, 3x3, pooling (square roots).
    """
    live, counts = _along_paths(grid)
    weight = np.expand_dims(live, 2)
    n_live = np.maximum(live.sum(axis=1), 1)[:, None]
    mean = (counts * weight).sum(axis=1) / n_live
    most = np.where(weight, counts, -1.0).max(axis=1)
    fewest = np.where(live.any(axis=1, keepdims=True), np.where(weight, counts, 9.0).min(axis=1), -1.0)
    groups = [np.sqrt(path[:, :SEQUENCES]), path[:, SEQUENCES:], np.sqrt(_bags(live, counts[:, :, :3]))]
    groups += [mean, most, fewest, np.sqrt(_flow(grid))]
    _, graph = np.unique(canonical, return_inverse=True)
    return np.hstack([_mean_by(graph.reshape(-1), _scaled(g)) for g in groups])


def _along_paths(grid: NDArray[np.int64]) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return which of the four paths are live ``(n, 4)``, and the five counts along each ``(n, 4, 5)``."""
    live = np.stack([(grid[:, p] != NONE).all(axis=1) for p in PATHS], axis=1)
    three = np.stack([[(grid[:, p] == op).sum(axis=1) for op in (CONV1, CONV3, POOL)] for p in PATHS])
    three = np.moveaxis(three, 2, 0).astype(np.float64)
    convolutions = three[:, :, :1] + three[:, :, 1:2]
    return live, np.concatenate([three, convolutions, convolutions + three[:, :, 2:]], axis=2)


def _bags(live: NDArray[np.bool_], counts: FloatArray) -> FloatArray:
    """Return how many live paths have each combination of the three counts, ``(n, 20)``."""
    code = (counts @ np.array([16.0, 4.0, 1.0])).astype(np.int64)
    kinds = np.unique(code[live])
    return np.stack([((code == kind) & live).sum(axis=1) for kind in kinds], axis=1).astype(np.float64)


def _flow(grid: NDArray[np.int64]) -> FloatArray:
    """Return for each operation the number of live paths through its edges, ``(n, 4)``."""
    n = len(grid)
    into, out = np.zeros((n, 4)), np.zeros((n, 4))
    into[:, 0], out[:, 3] = 1.0, 1.0
    for gene, (source, target) in enumerate(EDGES):
        into[:, target] += into[:, source] * (grid[:, gene] != NONE)
    for gene, (source, target) in reversed(list(enumerate(EDGES))):
        out[:, source] += out[:, target] * (grid[:, gene] != NONE)
    through = np.stack([into[:, source] * out[:, target] for source, target in EDGES], axis=1)
    return np.stack([(through * (grid == op)).sum(axis=1) for op in (SKIP, CONV1, CONV3, POOL)], axis=1)


def _scaled(columns: FloatArray) -> FloatArray:
    """Centre a group of columns and scale it to a total variance of 1 over the space."""
    columns = columns - columns.mean(axis=0)
    return np.asarray(columns / np.sqrt(columns.var(axis=0).sum()), dtype=np.float64)


def _mean_by(graph: NDArray[np.intp], columns: FloatArray) -> FloatArray:
    """Replace every row by the mean over the rows of the same graph."""
    sums = np.zeros((graph.max() + 1, columns.shape[1]))
    np.add.at(sums, graph, columns)
    return np.asarray((sums / np.bincount(graph)[:, None])[graph], dtype=np.float64)
