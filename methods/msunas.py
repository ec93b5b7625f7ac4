"""MSuNAS, the search of NSGANetV2 (Lu, Deb, Goodman, Banzhaf, Boddeti, ECCV 2020, arXiv 2007.10396).

Evaluate the smallest, the largest and 98 random architectures. Then 30 times: fit a predictor of the error on all
evaluated architectures; search with it by NSGA-II (population 40, 20 generations, two-point crossover at 0.9, integer
polynomial mutation with eta 1), starting from the evaluated front; of its last population evaluate the 8 new ones
that make the gaps of the evaluated front along the complexity most even.

The predictor is a cubic RBF with a linear tail on the integer genes, the default of the published code. The preset
``msunas/adaptive`` chooses among several by cross-validation, as the paper does; ``msunas/adaptive-authors`` does so
with the 5,000 trees of the published code (``msunas/adaptive``: 1,000, and 50 in the folds). ``msunas/small`` has an
initial sample of 20 and batches of 5: with the published 100 a search of 100 evaluations is a random sample.

Differs from the paper:

* smallest and largest are those of the first free objective (in the whole space where it can be enumerated, else
  among 10,000 random ones, all genes at their smallest and all at their largest); on mnv3 these are the paper's;
* the 98 random architectures are the start of the seed's shared stream; with a budget of less than 100 the initial
  sample ends with it;
* the subset with the most even gaps is found by exchanges instead of a genetic algorithm;
* genes are scaled to [0, 1] for the predictor (`encoding` "int"), and duplicates are removed after normalising;
* where the last population holds fewer new architectures than wanted, random ones fill the batch;
* every costly objective has a predictor of its own; without a free objective the gaps are those of the last
  objective, and with one objective the 8 best predictions are evaluated;
* failed evaluations are left out of the predictor's data instead of counting with error 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, Archive, Method, initial_design, require_positive
from smemnas.methods.neighbourhood import random_unseen
from smemnas.methods.nsga2 import make_nsga2
from smemnas.methods.pymoo_adapter import as_population, evaluated, set_up
from smemnas.methods.selection import even_gaps, pareto_ranks
from smemnas.methods.start import corners_of, ends
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import Surrogate, make_surrogate, single_thread
from smemnas.surrogates.settled import Settled


@METHODS.register("msunas", summary="MSuNAS / NSGANetV2 (Lu et al. 2020): RBF predictor, NSGA-II inside, gap filling")
class MSuNAS(Method):
    """MSuNAS.

    Args:
        problem: Space and objectives, one of them costly at least.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the initial sample.
        batch: Architectures evaluated per fitted predictor.
        surrogate: Registered surrogate; one is fitted for each costly objective.
        surrogate_params: Its parameters.
        encoding: Encoding for it; None takes the space's default.
        population: Population of the inner NSGA-II.
        generations: Its generations, the first population included.
    """

    uses_free_costs = True
    shared_start = False  # the two extremes stand in front of the shared stream
    takes_start = True

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 100,
        batch: int = 8,
        surrogate: str = "rbf",
        surrogate_params: Mapping[str, Any] | None = None,
        encoding: str | None = "int",
        population: int = 40,
        generations: int = 20,
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, batch=batch, population=population, generations=generations)
        if not problem.costly:
            raise UserError("all objectives are free: a surrogate needs one that is not free, for example 'error'.")
        self.initial = min(initial, budget)
        self.batch = batch
        self.encoding = encoding
        self.population = population
        self.generations = generations
        self._archive = Archive(problem)
        blocks = problem.space.encoding_widths(encoding)
        self._surrogates: list[Surrogate] = [
            make_surrogate(surrogate, seed=seed, blocks=blocks, params=surrogate_params) for _ in problem.costly
        ]
        self._fitted: list[Settled] = []

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial sample, then `batch` architectures per fitted predictor."""
        if len(self._archive) < self.initial:
            sample = self._initial_sample()
            new = sample[self._archive.unseen(sample)]
            if len(new):
                return new
        space = self.problem.space
        X, F = self._archive.finite()
        picked = np.empty((0, space.n_var), np.int64)
        if len(X) >= 2:
            with single_thread():
                picked = self._next(X, F)
        seen = self._archive.seen | {x.tobytes() for x in picked}
        return np.vstack([picked, random_unseen(space, self.batch - len(picked), seen, self.rng)])

    def _initial_sample(self) -> IntArray:
        """Return the extremes, then the start of the shared stream, `initial` rows in all; a given start alone."""
        if self.problem.start:
            return initial_design(self.problem, self.initial, self.seed)
        sample = np.vstack([extremes(self.problem), initial_design(self.problem, self.initial, self.seed)])
        return sample[unique_rows(sample)][: self.initial]

    def _next(self, X: IntArray, F: FloatArray) -> IntArray:
        """Return up to `batch` new architectures, given the evaluated ones ``(n, n_var)`` and ``(n, n_obj)``."""
        space = self.problem.space
        Z = space.encode(X, self.encoding)
        self._fitted = [Settled(s, Z, F[:, j]) for s, j in zip(self._surrogates, self.problem.costly, strict=True)]
        front = pareto_ranks(F) == 0
        found, predicted = self._search(X[front])
        found = np.ascontiguousarray(space.normalise(found))
        new = unique_rows(found)
        new = new[self._archive.unseen(found[new])]
        found, predicted = found[new], predicted[new]
        if self.problem.n_obj == 1:
            return found[np.argsort(predicted[:, 0], kind="stable")[: self.batch]]
        axis = self.problem.cheap[0] if self.problem.cheap else self.problem.n_obj - 1
        if axis in self.problem.cheap:
            complexity = predicted[:, axis]
        else:  # predictions have a scale of their own: bring them to the one of the objective
            known = self._fitted[self.problem.costly.index(axis)].own_scores
            complexity = np.interp(predicted[:, axis], np.sort(known), np.sort(F[:, axis]))
        return found[even_gaps(complexity, F[front, axis], self.batch)]

    def _search(self, start: IntArray) -> tuple[IntArray, FloatArray]:
        """Return the last population of the inner NSGA-II and its predicted objectives."""
        seed = int(self.rng.integers(2**31))
        inner = make_nsga2(self.problem.space, self.population, "integer", start, seed, as_listed=True)
        algorithm = set_up(inner, self.problem)
        for _ in range(self.generations):
            asked = as_population(algorithm.ask())
            if asked is None or len(asked) == 0:
                break
            X = np.asarray(asked.get("X"), dtype=np.int64)
            algorithm.tell(infills=evaluated(asked, self._predict(X)))
        return np.asarray(algorithm.pop.get("X"), dtype=np.int64), np.asarray(algorithm.pop.get("F"))

    def _predict(self, X: IntArray) -> FloatArray:
        """Return ``(n, n_obj)``: exact values of the free objectives, scores of the others (smaller is better)."""
        X = self.problem.space.normalise(X)  # in a listed space what they stand for
        F = np.empty((len(X), self.problem.n_obj))
        F[:, list(self.problem.cheap)] = self.problem.cheap_values(X)
        Z = self.problem.space.encode(X, self.encoding)
        for surrogate, j in zip(self._fitted, self.problem.costly, strict=True):
            F[:, j] = surrogate.rank(Z)
        return F


METHODS.preset(
    "msunas/adaptive", "msunas", "MSuNAS, the predictor chosen among RBF, GP and CART (slow)", surrogate="adaptive"
)
METHODS.preset(
    "msunas/adaptive-authors",
    "msunas",
    "MSuNAS, the predictor chosen among RBF, GP and 5,000 CARTs as in its authors' code (very slow)",
    surrogate="adaptive",
    surrogate_params={"trees": 5000, "fold_trees": 5000},
)
METHODS.preset(
    "msunas/small", "msunas", "MSuNAS for small budgets: initial sample of 20, batches of 5", initial=20, batch=5
)


def extremes(problem: Problem) -> IntArray:
    """Return the smallest and the largest architecture ``(<=2, n_var)`` by the first free objective.

    Without a free objective: all genes at their smallest and at their largest value, where those are valid.
    """
    if problem.cheap:
        return ends(problem.space, problem.objectives[problem.cheap[0]].name)
    corners = corners_of(problem.space)
    return corners[unique_rows(corners)]
