"""A space with the architectures of a list only, such as the rows of a table that covers a part of its space.

Variation hardly ever hits a list of 2 % of a space, and never one of 2,162 architectures among 10^19. So every
genotype of the whole space stands for a listed one, as genotypes with silent genes stand for the network that they
express: `ListedSpace.normalise` gives it. A listed genotype stands for itself; one that builds the same network as a
listed one for that; any other for the nearest listed one, by the number of genes that differ, of equally near ones
for the next in lexicographic order, cyclically, from a place that the genotype's genes decide. So no method needs to
know of the list, ties favour no region, and the same genotype stands for the same architecture on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.spaces.base import ENUMERABLE, IntArray, SearchSpace
from smemnas.spaces.view import SpaceView

#: Distances held at a time.
BLOCK = 2_000_000


class ListedSpace(SpaceView):
    """Another space's view: sampling, enumerating and what a genotype stands for know the listed ones only.

    Args:
        space: The whole space.
        X: The listed genotypes ``(n, n_var)``, in any order; repeated ones count once.

    Raises:
        UserError: The list is empty.
    """

    def __init__(self, space: SearchSpace, X: IntArray) -> None:
        super().__init__(space)
        if len(X) == 0:
            raise UserError(f"no architecture of space {space.name!r} is listed.")
        self.rows: IntArray = np.unique(space.normalise(np.asarray(X, dtype=np.int64)), axis=0)
        self._genes = np.ascontiguousarray(self.rows.T.astype(np.min_scalar_type(max(space.n_choices))))
        self._codes = _codes(self.rows)
        self._by_code = np.argsort(self._codes, kind="stable")
        self._sorted = self._codes[self._by_code]
        self._keys: tuple[NDArray[Any], IntArray] | None = None

    @property
    def whole(self) -> SearchSpace:
        """The space without the list."""
        return self._inner

    @property
    def size(self) -> int:
        """Number of listed genotypes."""
        return len(self.rows)

    @property
    def is_enumerable(self) -> bool:
        """Whether `enumerate` works."""
        return self.size <= ENUMERABLE

    def is_valid(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)``: valid in the whole space, so that it stands for a listed one."""
        return self._inner.is_valid(X)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, n_var)`` listed genotypes, independently and uniformly."""
        return self.rows[rng.integers(len(self.rows), size=n)]

    def enumerate(self) -> IntArray:
        """Return all listed genotypes ``(N, n_var)`` in lexicographic order."""
        return self.rows.copy()

    def normalise(self, X: IntArray) -> IntArray:
        """Return the listed genotypes ``(n, n_var)`` that genotypes stand for."""
        return self.rows[self.place(X)]

    def place(self, X: IntArray) -> IntArray:
        """Return the row of `rows` ``(n,)`` that each genotype stands for."""
        X = self._inner.normalise(np.asarray(X, dtype=np.int64))
        found = self.find(X)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            found[missing] = self.nearest(X[missing])
        return found

    def find(self, X: IntArray) -> IntArray:
        """Return the row ``(n,)`` of what is listed, or builds the same network as a listed one; -1 elsewhere."""
        X = np.asarray(X, dtype=np.int64)
        found = np.full(len(X), -1, dtype=np.int64)
        codes = _codes(X)
        at = np.searchsorted(self._sorted, codes)
        open_rows = np.flatnonzero(at < len(self._sorted))
        while len(open_rows):  # more than one step only where two listed genotypes share a code
            open_rows = open_rows[self._sorted[at[open_rows]] == codes[open_rows]]
            rows = self._by_code[at[open_rows]]
            same = (self.rows[rows] == X[open_rows]).all(axis=1)
            found[open_rows[same]] = rows[same]
            at[open_rows] += 1
            open_rows = open_rows[~same & (at[open_rows] < len(self._sorted))]
        missing = np.flatnonzero(found < 0)
        if len(missing):
            found[missing] = self._same_network(X[missing])
        return found

    def _same_network(self, X: IntArray) -> IntArray:
        """Return the first row ``(n,)`` with the same canonical key, or -1."""
        if self._keys is None:
            keys, first = np.unique(self._inner.canonical(self.rows), return_index=True)
            self._keys = keys, first.astype(np.int64)
        keys, first = self._keys
        wanted = self._inner.canonical(X)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, first[at], -1).astype(np.int64)

    def nearest(
        self, X: IntArray, *, among: NDArray[np.bool_] | None = None, apart_from: IntArray | None = None
    ) -> IntArray:
        """Return the row ``(n,)`` nearest to each genotype, by the number of genes that differ.

        Args:
            X: Genotypes ``(n, n_var)``.
            among: Which of the rows count ``(N,)``, at least one; all without.
            apart_from: One row ``(n,)`` for each genotype that does not count, unless the list has no other.
        """
        nearest = np.empty(len(X), dtype=np.int64)
        step = max(1, BLOCK // len(self.rows))
        for start in range(0, len(X), step):
            part = slice(start, min(start + step, len(X)))
            order = self._order(X[part])
            if among is not None:
                order[:, ~among] = np.iinfo(np.int64).max
            if apart_from is not None and len(self.rows) > 1:
                order[np.arange(len(order)), apart_from[part]] = np.iinfo(np.int64).max
            nearest[part] = order.argmin(axis=1)
        return nearest

    def around(self, x: IntArray, n: int) -> IntArray:
        """Return the up to ``n`` listed genotypes ``(<=n, n_var)`` nearest to a genotype ``(n_var,)``, itself apart."""
        x = np.asarray(x, dtype=np.int64)[None]
        order = np.argsort(self._order(x)[0], kind="stable")
        return np.array(self.rows[order[order != self.place(x)[0]][:n]])

    def _order(self, X: IntArray) -> IntArray:
        """Return ``(n, N)`` distinct numbers per genotype; the smaller, the nearer."""
        X = self._inner.normalise(np.asarray(X, dtype=np.int64))
        genes = X.astype(self._genes.dtype)  # one byte a gene: three times as fast
        distance = np.zeros((len(X), len(self.rows)), dtype=np.uint16)
        for gene, values in enumerate(self._genes):
            distance += values[None, :] != genes[:, gene : gene + 1]
        n = len(self.rows)
        start = (_codes(X) >> np.uint64(32)).astype(np.int64) % n
        return np.asarray(distance * np.int64(n) + (np.arange(n)[None, :] - start[:, None]) % n)


def _codes(X: IntArray) -> NDArray[np.uint64]:
    """Return 64-bit codes ``(n,)`` of genotypes: a linear hash with fixed odd weights, mixed once (modulo 2^64)."""
    gene = np.arange(1, X.shape[1] + 1, dtype=np.uint64)
    weights = _mixed(gene * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    return _mixed((X.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64))


def _mixed(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(codes ^ (codes >> np.uint64(31)), dtype=np.uint64)
