"""Crossover and mutation on integer genotypes, vectorised over parents."""

from __future__ import annotations

import numpy as np

from smemnas.spaces.base import IntArray, row_keys


def crossover(A: IntArray, B: IntArray, rng: np.random.Generator, *, kind: str, probability: float) -> IntArray:
    """Cross parents row by row and return one child each.

    Args:
        A: First parents ``(n, n_var)``.
        B: Second parents ``(n, n_var)``.
        rng: Source of randomness.
        kind: "uniform" (each gene from either parent) or "two-point" (a segment from the second parent).
        probability: Share of the pairs that are crossed; the others copy the first parent.
    """
    n, n_var = A.shape
    if kind == "uniform":
        from_b = rng.random((n, n_var)) < 0.5
    else:
        cuts = np.sort(rng.integers(0, n_var + 1, size=(n, 2)), axis=1)
        gene = np.arange(n_var)
        from_b = (gene >= cuts[:, :1]) & (gene < cuts[:, 1:])
    from_b &= rng.random((n, 1)) < probability
    return np.where(from_b, B, A)


def mutate(X: IntArray, n_choices: IntArray, rng: np.random.Generator, *, kind: str, rate: float) -> IntArray:
    """Mutate every gene with probability ``rate / n_var``.

    Args:
        X: Genotypes ``(n, n_var)``.
        n_choices: Alphabet sizes ``(n_var,)``.
        rng: Source of randomness.
        kind: "reset" draws another value uniformly; "step" moves by one up or down, inside the alphabet.
        rate: Expected number of mutated genes per genotype.
    """
    mutated = rng.random(X.shape) < rate / X.shape[1]
    if kind == "reset":
        shifted = (X + rng.integers(1, np.maximum(n_choices, 2), size=X.shape)) % n_choices
    else:
        step = np.where(rng.random(X.shape) < 0.5, 1, -1)
        shifted = X + step
        outside = (shifted < 0) | (shifted >= n_choices)
        shifted = np.clip(np.where(outside, X - step, shifted), 0, n_choices - 1)
    return np.where(mutated, shifted, X)


def unique_rows(X: IntArray) -> IntArray:
    """Return the indices of the first occurrence of each distinct row, in their order."""
    first: dict[bytes, int] = {}
    for i, key in enumerate(row_keys(X)):
        first.setdefault(key, i)
    return np.fromiter(first.values(), dtype=np.int64, count=len(first))
