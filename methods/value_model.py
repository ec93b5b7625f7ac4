"""Predicted objectives in their own units, with uncertainty: what the adaptive SMEM-NAS believes (`methods.adaptive`).

One `WarpedProcess` for each costly objective, on an encoding of the space beside the logarithms of all free costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smemnas.methods.features import Standard
from smemnas.methods.model import NODES
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.settled import REMEMBERED, settle
from smemnas.surrogates.warped import WarpedProcess

#: Shares of the costs in the kernel that are tried.
SHARES = (0.0, 0.3, 0.6)


def shares_of(costs: Sequence[str]) -> tuple[float, ...]:
    """Return the shares that a process tries for the block of free costs, none where there is no such block."""
    return SHARES if costs else ()


class ValueModel:
    """The fitted processes of one iteration.

    Args:
        problem: Space and objectives.
        encodings: For each costly objective the encodings of the space to choose among.
        costs: Names of the free costs that are seen beside them.
        X: Evaluated genotypes ``(n, n_var)``, two at least.
        F: Their objectives ``(n, n_obj)``.
        processes: One for each costly objective; fitted here.

    Attributes:
        archive_prediction: What is believed of the evaluated: what was told.
        processes: One per costly objective.
    """

    def __init__(
        self,
        problem: Problem,
        encodings: Sequence[Sequence[str]],
        costs: Sequence[str],
        X: IntArray,
        F: FloatArray,
        processes: Sequence[WarpedProcess],
    ) -> None:
        self.problem = problem
        self.X = X
        self.F = F
        self.archive_prediction = F
        self._costs = tuple(costs)
        self._standard = Standard(self._cost_values(X))
        self._remembered: dict[bytes, FloatArray] = {}
        self.processes = list(processes)
        for process, names, j in zip(self.processes, encodings, problem.costly, strict=True):
            process.fit([self._blocks(X, name) for name in names], F[:, j])
        #: The encoding that each process sees.
        self.encodings = [names[p.description] for names, p in zip(encodings, self.processes, strict=True)]

    def predict(self, X: IntArray) -> FloatArray:
        """Return ``(n, n_obj)``: exact values of the free objectives, medians of the others."""
        if len(X) > REMEMBERED:
            return np.asarray(self._quantiles(X, np.zeros(1))[0])
        keys = [x.tobytes() for x in X]
        new = {key: i for i, key in enumerate(keys) if key not in self._remembered}
        if new:
            found = self._quantiles(X[list(new.values())], np.zeros(1))[0]
            self._remembered.update(zip(new, found, strict=True))
        return np.array([self._remembered[key] for key in keys]).reshape(len(X), self.problem.n_obj)

    def outcomes(self, X: IntArray) -> FloatArray:
        """Return ``(NODES, n, n_obj)``: equally likely outcomes, as `model.Model.outcomes` does."""
        from scipy.special import ndtri

        return self._quantiles(X, settle(ndtri((np.arange(NODES) + 0.5) / NODES)))

    def _quantiles(self, X: IntArray, z: FloatArray) -> FloatArray:
        """Return ``(k, n, n_obj)`` at deviates ``(k,)``; several costly objectives pair them in an order of each."""
        F = np.empty((len(z), len(X), self.problem.n_obj))
        if self.problem.cheap:
            F[:, :, list(self.problem.cheap)] = self.problem.cheap_values(X)
        blocks = {name: self._blocks(X, name) for name in dict.fromkeys(self.encodings)}
        for process, name, j in zip(self.processes, self.encodings, self.problem.costly, strict=True):
            first = len(z) == 1 or j == self.problem.costly[0]
            order = np.arange(len(z)) if first else np.random.default_rng(j).permutation(len(z))
            F[:, :, j] = process.quantiles(blocks[name], z[order])
        return F

    def _blocks(self, X: IntArray, name: str) -> list[FloatArray]:
        """Return the parts of an encoding, and last the free costs."""
        Z = self.problem.space.encode(X, name)
        ends = np.cumsum(self.problem.space.encoding_widths(name))
        parts = np.split(Z, ends[:-1], axis=1)
        if self._costs:
            parts.append(self._standard.of(self._cost_values(X)))
        return list(parts)

    def _cost_values(self, X: IntArray) -> FloatArray:
        columns = [self.problem.space.cost(X, name) for name in self._costs]
        return np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
