"""RBF kernels over encodings placed side by side.

An encoding such as "path+onehot" has one block of columns per part. Each block has its own squared distances,
divided by their mean over the training pairs so that a width means the same for every encoding, and its own
weight: one smooth and one local description of an architecture can share a kernel.

The order of use::

    blocks, weights = resolve_blocks(Z.shape[1], blocks, weights)
    distances = block_distances(Z, Z, blocks)         # once
    scales = distance_scales(distances)               # once, from the training rows only
    K = mixed_kernel(distances, scales, weights, 0.5)   # for every width
    K_new = mixed_kernel(block_distances(Z_new, Z, blocks), scales, weights, 0.5)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError

FloatArray = NDArray[np.float64]


def check_blocks(blocks: Sequence[int], weights: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return both settings as tuples after checking what can be checked without data.

    Args:
        blocks: Number of columns of each block; empty for one block.
        weights: Weight of each block, none negative, with sum 1; empty for equal weights.

    Raises:
        UserError: A width is not a positive whole number, or the weights do not fit.
    """
    sizes = tuple(int(b) for b in blocks)
    if any(b != size or size < 1 for b, size in zip(blocks, sizes)):
        raise UserError(f"blocks are positive numbers of columns, got {tuple(blocks)}.")
    shares = tuple(float(w) for w in weights)
    if shares and len(shares) != max(len(sizes), 1):
        raise UserError(f"there must be one weight per block ({max(len(sizes), 1)}), got {len(shares)}.")
    if shares and not (min(shares) >= 0.0 and abs(sum(shares) - 1.0) < 1e-9):
        raise UserError(f"weights must be at least 0 and sum to 1, got {shares}.")
    return sizes, shares


def resolve_blocks(
    d: int, blocks: Sequence[int] = (), weights: Sequence[float] = ()
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Fill in the defaults for ``d`` columns: one block with everything, equal weights.

    Raises:
        UserError: The blocks do not cover the columns exactly, or a setting is invalid (see `check_blocks`).
    """
    sizes, shares = check_blocks(blocks, weights)
    sizes = sizes or (d,)
    if sum(sizes) != d:
        raise UserError(f"blocks {sizes} cover {sum(sizes)} columns, but the encoding has {d}.")
    return sizes, shares or (1.0 / len(sizes),) * len(sizes)


def squared_distances(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return ``(n, m)`` squared Euclidean distances between rows ``(n, d)`` and ``(m, d)``; never negative.

    One matrix product; columns are centred first, which keeps the digits that |a|^2 + |b|^2 - 2ab cancels.
    """
    centre = B.mean(axis=0)
    A, B = A - centre, B - centre
    D = A @ B.T
    D *= -2.0
    D += np.einsum("ij,ij->i", A, A)[:, None]
    D += np.einsum("ij,ij->i", B, B)[None, :]
    return np.maximum(D, 0.0, out=D)


def plain_distances(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return the same by subtraction, column after column: slower, and bit for bit alike on every processor."""
    D = np.zeros((len(A), len(B)))
    for a, b in zip(A.T, B.T, strict=True):
        D += np.square(a[:, None] - b[None, :])
    return D


def block_distances(A: FloatArray, B: FloatArray, blocks: Sequence[int] = ()) -> list[FloatArray]:
    """Return one ``(n, m)`` matrix of squared distances per block of columns.

    Args:
        A: Encodings ``(n, d)``.
        B: Encodings ``(m, d)``.
        blocks: Widths of the blocks, with sum ``d``; empty for one block.

    Raises:
        UserError: The column counts do not match.
    """
    if A.shape[1] != B.shape[1]:
        raise UserError(f"encodings must have the same columns, got {A.shape[1]} and {B.shape[1]}.")
    sizes, _ = resolve_blocks(A.shape[1], blocks)
    ends = np.cumsum(sizes)
    return [squared_distances(A[:, e - s : e], B[:, e - s : e]) for s, e in zip(sizes, ends)]


def distance_scales(distances: Sequence[FloatArray]) -> tuple[float, ...]:
    """Return the mean squared distance of each block over the ``n (n - 1)`` pairs of training rows.

    Args:
        distances: Square matrices ``(n, n)`` of the training rows against themselves, with ``n >= 2``.

    Returns:
        One positive number per block; 1 for a block that is the same in all rows.
    """
    n = len(distances[0])
    means = [float((D.sum() - np.trace(D)) / (n * (n - 1))) for D in distances]
    return tuple(mean if mean > 1e-12 else 1.0 for mean in means)


def mixed_kernel(
    distances: Sequence[FloatArray], scales: Sequence[float], weights: Sequence[float], width: float
) -> FloatArray:
    """Return ``(n, m)`` values of sum_b weights[b] exp(-distances[b] / (2 width^2 scales[b])).

    Args:
        distances: Squared distances ``(n, m)`` of each block.
        scales: Mean squared training distance of each block.
        weights: Weight of each block, with sum 1, so that k(a, a) = 1.
        width: Width in units of the root mean squared distance.
    """
    K = np.zeros_like(distances[0])
    for D, scale, weight in zip(distances, scales, weights, strict=True):
        K += weight * np.exp(D * (-0.5 / (width * width * scale)))
    return K
