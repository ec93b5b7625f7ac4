"""What surrogate-assisted searches of the CSEA family share: reference solutions, and variation under a score.

CSEA (Pan et al., IEEE TEVC 2019) and REMO (Hao et al., IEEE TEVC 2022) evaluate an initial sample, then repeat: choose
a population and a few reference solutions by their places in a radar plot (RSEA: He et al. 2017), teach a network what
the references say of the population, vary the population and the references under the network's score some 3,000
times, and evaluate what scores best.

PC-SAEA (Tian et al. 2023) shares the loop and the variation.

All differ from their papers in this:

* genes are integers: uniform crossover at 0.9 and a gene drawn anew with probability ``1 / n_var`` instead of simulated
  binary crossover and polynomial mutation; children that are no architectures are dropped;
* the initial sample is the start of the seed's shared stream instead of a Latin hypercube, ``11 n_var - 1``
  architectures and at most 100 (the papers have ten variables);
* a child that was evaluated before cannot be evaluated again: the best new one of all that were scored follows;
* free objectives are told like the others, they are not exploited.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from smemnas.methods.base import Archive, Method, initial_design, require_positive
from smemnas.methods.neighbourhood import random_unseen
from smemnas.methods.selection import IndexArray, pareto_ranks
from smemnas.methods.variation import crossover, mutate, unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem, SearchSpace
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.settled import settle

#: Largest initial sample, and how many of the first rows a place in the radar plot is worth at least.
MOST_INITIAL = 100
#: Moves the ideal point, so that no normalised objective vector is zero.
SHIFT = 1e-6
#: Maps genotypes ``(m, n_var)`` to scores ``(m,)``: larger is better.
Score = Callable[[IntArray], FloatArray]


class AssistedMethod(Method):
    """The common loop; subclasses write `_propose`."""

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int | None,
        references: int,
        population: int,
        scored: int,
        encoding: str | None,
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        if initial is None:
            initial = min(11 * problem.space.n_var - 1, MOST_INITIAL)
        require_positive(initial=initial, references=references, population=population, scored=scored)
        problem.space.encoding_parts(encoding)
        self.initial = min(initial, budget)
        self.references = references
        self.population = population
        self.scored = scored
        self.encoding = encoding
        self._archive = Archive(problem)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial sample, then what the network scores best; nothing when the space is exhausted."""
        if len(self._archive) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[self._archive.unseen(design)]
            if len(new):
                return new
        X, F = self._archive.finite()
        if len(X) >= 2:
            members = self._members(F)
            with single_thread():
                proposed = self._propose(X[members], F[members])
            if len(proposed):
                return proposed
        return random_unseen(self.problem.space, 1, self._archive.seen, self.rng)

    def _members(self, F: FloatArray) -> IndexArray:
        """Return the indices of the population among evaluated objectives ``(n, n_obj)``."""
        return radar_selection(F, self.population)

    @abstractmethod
    def _propose(self, X: IntArray, F: FloatArray) -> IntArray:
        """Return new architectures to evaluate, given the population ``(n, n_var)`` and ``(n, n_obj)``; may be none."""

    def _new(self, X: IntArray, score: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the distinct rows that were never told, best score first."""
        order = np.argsort(-score, kind="stable")
        X, score = X[order], score[order]
        first = unique_rows(X) if len(X) else np.arange(0)
        first = first[self._archive.unseen(X[first])] if len(first) else first
        return X[first], score[first]


def assisted_search(
    space: SearchSpace, X: IntArray, references: IntArray, scored: int, score: Score, rng: np.random.Generator
) -> tuple[IntArray, FloatArray, int]:
    """Vary a population and its references under a score.

    Each step mates the best children, as many as there are references, with the references.

    Args:
        space: Says what is valid.
        X: The population ``(n, n_var)``.
        references: Reference solutions ``(k, n_var)``.
        scored: Children to score, those of the first step apart.
        score: Larger is better.
        rng: Source of randomness.

    Returns:
        Every child that was scored, its score (rounded, so that no last bit decides), and how many of them, the last
        ones, are of the last step.
    """
    children = offspring(space, np.vstack([X, references]), rng)
    scores = [settle(score(children))]
    seen, done, idle = [children], 0, 0
    while done < scored and idle < 100:
        best = children[np.argsort(-scores[-1], kind="stable")[: len(references)]] if len(children) else references
        children = offspring(space, np.vstack([best, references]), rng)
        seen.append(children)
        scores.append(settle(score(children)))
        done += len(children)
        idle = 0 if len(children) else idle + 1
    return np.vstack(seen), np.concatenate(scores), len(children)


def offspring(space: SearchSpace, parents: IntArray, rng: np.random.Generator) -> IntArray:
    """Return up to ``n`` valid children: the first half of the parents ``(n, n_var)`` mates with the second half."""
    half = len(parents) // 2
    A, B = parents[:half], parents[half : 2 * half]
    children = np.vstack([crossover(a, b, rng, kind="uniform", probability=0.9) for a, b in ((A, B), (B, A))])
    children = mutate(children, np.asarray(space.n_choices), rng, kind="reset", rate=1.0)
    return np.ascontiguousarray(space.normalise(children[space.is_valid(children)]), dtype=np.int64)


def normalised(F: FloatArray) -> FloatArray:
    """Return objectives ``(n, n_obj)`` between the smallest value, moved by `SHIFT`, and the largest one of each."""
    low, high = F.min(axis=0), F.max(axis=0)
    return np.asarray((F - low) / np.where(high > low, high - low, 1.0) + SHIFT)


def radar_selection(F: FloatArray, k: int) -> IndexArray:
    """Choose ``k`` solutions that spread over a radar plot of the objectives and are near the ideal point.

    The environmental selection of RSEA (He, Tian, Jin, Zhang, Pan, "A radial space division based evolutionary
    algorithm for many-objective optimization", 2017). All fronts that fit are taken, then the solution nearest to the
    diagonal, then from the last front one after the other: in the cells of a grid that hold the fewest chosen ones,
    the one with the least ``0.1 n_obj convergence - distance to the chosen ones``. With two objectives the radar plot
    is a line, and the grid divides that.

    Args:
        F: Objectives ``(n, n_obj)``, finite.
        k: How many.

    Returns:
        ``min(k, n)`` indices in ascending order.
    """
    k = min(k, len(F))
    ranks = pareto_ranks(F)
    last = int(np.sort(ranks)[k - 1])
    candidates = np.flatnonzero(ranks <= last)
    P = normalised(F)[candidates]
    chosen = ranks[candidates] < last
    n_obj = F.shape[1]
    off_diagonal = (P**2).sum(axis=1) - P.sum(axis=1) ** 2 / n_obj
    chosen[int(np.argmin(off_diagonal))] = True
    convergence = P.sum(axis=1) / P.sum(axis=1).max()
    place = radar_places(P)
    cell = radar_cells(place, int(np.ceil(np.sqrt(k))))
    distance = np.sqrt(((place[:, None] - place[None]) ** 2).sum(axis=2))
    while chosen.sum() < k:
        held = np.bincount(cell[chosen], minlength=cell.max() + 1)
        rest = np.flatnonzero(~chosen)
        rest = rest[held[cell[rest]] == held[cell[rest]].min()]
        fitness = 0.1 * n_obj * convergence[rest] - distance[np.ix_(rest, np.flatnonzero(chosen))].min(axis=1)
        chosen[rest[int(np.argmin(fitness))]] = True
    return candidates[chosen]


def radar_places(P: FloatArray) -> FloatArray:
    """Return the places ``(n, 2)`` of positive objectives ``(n, n_obj)``: means of evenly spread directions."""
    angle = 2.0 * np.pi * np.arange(P.shape[1]) / P.shape[1]
    axes = np.stack([np.cos(angle), np.sin(angle)], axis=1).round(12)
    return np.asarray((P @ axes / P.sum(axis=1, keepdims=True) + 1.0) / 2.0)


def radar_cells(place: FloatArray, divisions: int) -> IntArray:
    """Return the number of the grid cell ``(n,)`` of each place ``(n, 2)``; the grid spans them all."""
    low, high = place.min(axis=0), place.max(axis=0)
    wide = high - low > 1e-12
    inside = np.where(wide, (place - low) / np.where(wide, high - low, 1.0), 0.0)
    index = np.minimum((inside * divisions).astype(np.int64), divisions - 1)
    return np.asarray(index[:, 0] * divisions + index[:, 1], dtype=np.int64)
