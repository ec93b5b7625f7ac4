"""What SMEM-NAS believes between two evaluations: fitted surrogates as predicted objectives, with uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from smemnas.methods.features import Features, standardised
from smemnas.methods.selection import hypervolume_gains
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import Surrogate
from smemnas.surrogates.settled import Settled, settle, translated

#: Points at which an expectation over predicted outcomes is computed.
NODES = 9


class BelievedObjectives(Protocol):
    """A fitted model of the objectives, as the inner search asks it.

    Attributes:
        X: Evaluated genotypes ``(n, n_var)``.
        F: Their objectives ``(n, n_obj)``.
        archive_prediction: What is believed of these.
    """

    X: IntArray
    F: FloatArray
    archive_prediction: FloatArray

    def predict(self, X: IntArray) -> FloatArray:
        """Return ``(m, n_obj)``: exact values of the free objectives, predicted values of the others."""

    def outcomes(self, X: IntArray) -> FloatArray:
        """Return ``(NODES, m, n_obj)``: equally likely outcomes."""


class Model:
    """The fitted surrogates of one iteration: predicted objectives of any genotypes.

    A surrogate only orders. To weigh an improvement in error against one in complexity its score is mapped to
    the unit of the objective by the archive: the score of an architecture between two evaluated ones is
    interpolated between their (sorted) outcomes. The mapping is monotone, so it never changes an order.

    Args:
        problem: Space and objectives.
        surrogates: One for each costly objective; fitted here.
        encodings: Encoding of the space for each of them.
        X: Evaluated genotypes ``(n, n_var)``.
        F: Their objectives ``(n, n_obj)``.
        features: Columns beside the encoding, in units of the evaluated ones.
    """

    def __init__(
        self,
        problem: Problem,
        surrogates: list[Surrogate],
        encodings: Sequence[str | None],
        X: IntArray,
        F: FloatArray,
        features: Features | None = None,
    ) -> None:
        self.problem = problem
        self.X = X
        self.F = F
        self._encodings = tuple(encodings)
        self._features = features
        self._known = None if features is None else features.values(X)
        Z = self._encode(X)
        self._surrogates = [Settled(s, z, F[:, j]) for s, z, j in zip(surrogates, Z, problem.costly, strict=True)]
        self._maps = [
            (np.sort(s.own_scores), np.sort(F[:, j])) for s, j in zip(self._surrogates, problem.costly, strict=True)
        ]
        self.archive_prediction = self.predict(X)
        self._archive_encoding = Z

    def _encode(self, X: IntArray) -> list[FloatArray]:
        """Return what each surrogate sees of genotypes ``(n, n_var)``."""
        known = {kind: self.problem.space.encode(X, kind) for kind in dict.fromkeys(self._encodings)}
        if self._features is not None and self._known is not None:
            beside = standardised(self._features.values(X), self._known)
            known = {kind: np.hstack([Z, beside]) for kind, Z in known.items()}
        return [known[kind] for kind in self._encodings]

    @cached_property
    def _posterior_maps(self) -> list[tuple[FloatArray, FloatArray]]:
        """Sorted posterior means of the archive beside its sorted outcomes, one pair per surrogate."""
        means = [s.posterior(Z)[0] for s, Z in zip(self._surrogates, self._archive_encoding, strict=True)]
        return [(np.sort(mean), values) for mean, (_, values) in zip(means, self._maps, strict=True)]

    def outcomes(self, X: IntArray) -> FloatArray:
        """Return ``(NODES, n, n_obj)``: equally likely outcomes by the surrogates' posteriors.

        With one costly objective the nodes are the midpoints of equal shares of the normal distribution; with
        several they are paired across the objectives in a fixed random order each.
        """
        from scipy.special import ndtri

        z = settle(ndtri((np.arange(NODES) + 0.5) / NODES))
        F = np.empty((NODES, len(X), self.problem.n_obj))
        F[:, :, list(self.problem.cheap)] = self.problem.cheap_values(X)
        Z = self._encode(X)
        for surrogate, (means, values), j, z_j in zip(
            self._surrogates, self._posterior_maps, self.problem.costly, Z, strict=True
        ):
            mean, deviation = surrogate.posterior(z_j)
            order = np.arange(NODES) if j == self.problem.costly[0] else np.random.default_rng(j).permutation(NODES)
            for k, node in enumerate(z[order]):
                F[k, :, j] = translated(mean + node * deviation, means, values)
        return F

    def predict(self, X: IntArray) -> FloatArray:
        """Return ``(n, n_obj)``: exact values of the free objectives, predicted values of the others."""
        F = np.empty((len(X), self.problem.n_obj))
        F[:, list(self.problem.cheap)] = self.problem.cheap_values(X)
        Z = self._encode(X)
        for surrogate, (scores, values), j, z in zip(self._surrogates, self._maps, self.problem.costly, Z, strict=True):
            F[:, j] = translated(surrogate.rank(z), scores, values)
        return F


def greedy_expected_gain(outcomes: FloatArray, front: FloatArray, reference: FloatArray, n: int) -> IntArray:
    """Choose up to ``n`` candidates one after the other by their expected hypervolume gain.

    Args:
        outcomes: Equally likely outcomes ``(k, m, n_obj)`` of the candidates.
        front: Known points ``(l, n_obj)``; a chosen candidate joins them with its mean outcome.
        reference: Reference point ``(n_obj,)``.
        n: How many.

    Returns:
        Indices; fewer than ``n`` where no other candidate can gain anything.
    """
    chosen: list[int] = []
    for _ in range(min(n, outcomes.shape[1])):
        gains = np.mean([hypervolume_gains(F, front, reference) for F in outcomes], axis=0)
        gains[chosen] = 0.0
        best = int(np.argmax(gains))
        if gains[best] <= 0.0:
            break
        chosen.append(best)
        front = np.vstack([front, outcomes[:, best].mean(axis=0)])
    return np.array(chosen, dtype=np.int64)
