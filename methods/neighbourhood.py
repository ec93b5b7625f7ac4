"""Steps from one architecture to the next, in terms of what a space expresses.

Two genotypes are neighbours when they differ in one gene. On spaces with silent genes everything is normalised
first, so that a neighbour is always another network and never the same one under another name.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from smemnas.methods.variation import mutate, unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem, SearchSpace
from smemnas.spaces.listed import ListedSpace

#: Mutants drawn at once, and how often, before a genotype counts as having no valid mutant.
BLOCK, ATTEMPTS = 32, 32


def target_column(problem: Problem) -> int:
    """Return the objective a single-objective method minimises: the first costly one, else the first."""
    return problem.costly[0] if problem.costly else 0


def target_values(problem: Problem, F: FloatArray) -> FloatArray:
    """Return ``(m,)`` values of the objective of `target_column`; +inf where an evaluation failed."""
    F = np.asarray(F, dtype=np.float64)
    return np.where(np.isfinite(F).all(axis=1), F[:, target_column(problem)], np.inf)


def neighbours(space: SearchSpace, x: IntArray) -> IntArray:
    """Return all valid genotypes ``(m, n_var)`` that differ from ``x`` ``(n_var,)`` in one gene.

    By gene, then by value. Without ``x`` itself and without repetition, also after `SearchSpace.normalise`. In a
    listed space: the listed genotypes nearest to it, as many as it has such changes.
    """
    if isinstance(space, ListedSpace):
        return space.around(space.normalise(x[None])[0], sum(space.n_choices) - space.n_var)
    x = space.normalise(np.asarray(x, dtype=np.int64)[None])[0]
    genes = np.repeat(np.arange(space.n_var), space.n_choices)
    values = np.concatenate([np.arange(n) for n in space.n_choices])
    moved = values != x[genes]
    X = np.repeat(x[None], int(moved.sum()), axis=0)
    X[np.arange(len(X)), genes[moved]] = values[moved]
    X = space.normalise(X[space.is_valid(X)])
    X = X[(X != x).any(axis=1)]
    distinct: IntArray = X[unique_rows(X)] if len(X) else X
    return distinct


def mutate_one_gene(space: SearchSpace, X: IntArray, rng: np.random.Generator) -> IntArray:
    """Return one mutant ``(n, n_var)`` of each row: a gene drawn uniformly takes another value.

    Drawn again where the result is no architecture or the same network; a row without such a mutant is
    replaced by a random architecture. In a listed space the mutant is the listed architecture nearest to it, the row
    itself apart.
    """
    X = space.normalise(np.asarray(X, dtype=np.int64))
    choices = np.asarray(space.n_choices)
    free = np.flatnonzero(choices > 1)
    if isinstance(space, ListedSpace):
        tries, genes = X.copy(), free[rng.integers(len(free), size=len(X))]
        rows = np.arange(len(X))
        tries[rows, genes] = (tries[rows, genes] + rng.integers(1, choices[genes])) % choices[genes]
        return space.rows[space.nearest(tries, apart_from=space.place(X))]
    mutants, open_rows = X.copy(), np.arange(len(X))
    for _ in range(ATTEMPTS):
        if len(open_rows) == 0:
            return mutants
        tries = np.repeat(X[open_rows], BLOCK, axis=0)
        rows = np.arange(len(tries))
        genes = free[rng.integers(len(free), size=len(tries))]
        tries[rows, genes] = (tries[rows, genes] + rng.integers(1, choices[genes])) % choices[genes]
        good = space.is_valid(tries)
        tries[good] = space.normalise(tries[good])
        good &= (tries != np.repeat(X[open_rows], BLOCK, axis=0)).any(axis=1)
        good = good.reshape(-1, BLOCK)
        found = good.any(axis=1)
        first = good.argmax(axis=1)[found] + np.flatnonzero(found) * BLOCK
        mutants[open_rows[found]] = tries[first]
        open_rows = open_rows[~found]
    mutants[open_rows] = space.sample(len(open_rows), rng)
    return mutants


def mutate_each_gene(space: SearchSpace, X: IntArray, probability: float, rng: np.random.Generator) -> IntArray:
    """Return mutants ``(<=n, n_var)``: every gene of a row takes another value with a probability.

    Rows whose mutant is no architecture are left out; a row may come back as it was.
    """
    X = space.normalise(np.asarray(X, dtype=np.int64))
    drawn = mutate(X, np.asarray(space.n_choices), rng, kind="reset", rate=probability * space.n_var)
    return np.ascontiguousarray(space.normalise(drawn[space.is_valid(drawn)]), dtype=np.int64)


def random_unseen(space: SearchSpace, n: int, seen: Container[bytes], rng: np.random.Generator) -> IntArray:
    """Return up to ``n`` distinct random architectures whose bytes are not in ``seen``, ``(<=n, n_var)``.

    Fewer than ``n`` only when a space that can be enumerated has no more.
    """
    if n <= 0:
        return np.empty((0, space.n_var), np.int64)
    drawn = space.sample(max(20 * n, 64), rng)
    fresh, some = np.empty((0, space.n_var), np.int64), max(2 * n, 64)
    for start in range(0, len(drawn), some):  # the first of them are nearly always enough
        part = np.vstack([fresh, space.normalise(drawn[start : start + some])])
        part = part[unique_rows(part)]
        fresh = part[unseen(part, seen)]
        if len(fresh) >= n:
            break
    if len(fresh) < n and space.is_enumerable:
        grid = np.ascontiguousarray(space.normalise(space.enumerate()), dtype=np.int64)
        grid = grid[unique_rows(grid)]
        fresh = grid[unseen(grid, seen)]
        fresh = fresh[rng.permutation(len(fresh))]
    return fresh[:n]


def unseen(X: IntArray, seen: Container[bytes]) -> IntArray:
    """Return the indices of the rows ``(n, n_var)`` whose bytes are not in ``seen``."""
    return np.array([k for k, x in enumerate(X) if x.tobytes() not in seen], dtype=np.int64)
