"""MOEA/D (Zhang and Li, IEEE TEVC 2007), pymoo's implementation driven by ask and tell.

One subproblem per weight vector of the simplex lattice: the Chebyshev distance to the ideal point for up to two
objectives, penalised boundary intersection for more (pymoo's choice). Each step mates two members of a subproblem's
neighbourhood, and the child replaces every neighbour that it improves.

Differs from the paper:

* genes are integers, so crossover and mutation act on integers (`operators`);
* the first population is the seed's shared initial design, dealt to the subproblems in order;
* with probability 0.1 the parents come from the whole population (Li and Zhang, IEEE TEVC 2009; pymoo's default);
* subproblems are visited in a random order each generation, and there is no archive besides the log;
* children that are no architectures get one gene drawn anew; a child that was evaluated before takes part at no cost;
* objectives are not normalised (as in the paper's basic form; `scaled` divides them by the range of the first
  population, without which the objective with the larger numbers rules).
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, initial_design, require_choice, require_positive
from smemnas.methods.pymoo_adapter import (
    OPERATORS,
    PymooMethod,
    genetic_operators,
    library_seed,
    set_up,
    validity_repair,
)
from smemnas.methods.pymoo_order import nearest
from smemnas.spaces.base import FloatArray, IntArray, Problem, SearchSpace


@METHODS.register("moead", summary="MOEA/D (pymoo): one Chebyshev subproblem per weight vector")
class MOEAD(PymooMethod):
    """pymoo's MOEA/D, one child per ask.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Number of subproblems; for three objectives and more the largest lattice of at most so many.
            10, 20 and 40 did alike at 100 evaluations on development seeds, 10 did better later.
        neighbours: Size of a subproblem's neighbourhood, itself included.
        mating: Probability that the parents come from the neighbourhood.
        scaled: Divide each objective by its range in the first population.
        operators: "choice" or "integer", see `nsga2`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        population: int = 10,
        neighbours: int = 5,
        mating: float = 0.9,
        scaled: bool = True,
        operators: str = "choice",
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(population=population, neighbours=neighbours)
        if population < 2 or neighbours < 2:
            raise UserError(
                f"MOEA/D mates two subproblems: 'population' and 'neighbours' are at least 2, got {population} and "
                f"{neighbours}."
            )
        require_choice("operators", operators, OPERATORS)
        if not 0.0 <= mating <= 1.0:
            raise UserError(f"parameter 'mating' is a probability between 0 and 1, got {mating!r}.")
        self._scale: FloatArray | None = None if scaled else np.ones(problem.n_obj)
        directions = weight_lattice(problem.n_obj, population)
        design = initial_design(problem, len(directions), seed)
        algorithm = make_moead(
            problem.space, directions[: len(design)], neighbours, mating, operators, design, library_seed(seed)
        )
        self._algorithm = set_up(algorithm, problem)

    def ask(self) -> IntArray:
        """Return the first population, then one child at a time."""
        if self._algorithm.is_initialized and len(self._algorithm.pop) < 2:  # a space of one genotype
            return np.empty((0, self.problem.space.n_var), np.int64)
        return super().ask()

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Scale the objectives by the first rows told that hold a range, then hand them to pymoo."""
        ok = np.asarray(np.isfinite(F).all(axis=1))
        if self._scale is None and ok.any():
            span = F[ok].max(axis=0) - F[ok].min(axis=0)
            self._scale = np.where(span > 0.0, span, 1.0)
        scaled = np.where(ok[:, None], F / (1.0 if self._scale is None else self._scale), np.inf)
        super().tell(X, scaled)

    def _tell_others(self, population: Any) -> None:
        """Give every subproblem the best of the told rows: at the start always, later where it is better."""
        algorithm = self._algorithm
        F = population.get("F")
        weights = algorithm.ref_dirs
        if not algorithm.is_initialized:
            value = np.stack([subproblem_values(algorithm, row, F.min(axis=0)) for row in F])
            algorithm.tell(infills=population[value.argmin(axis=0)])
            return
        algorithm.ideal = np.minimum(algorithm.ideal, F.min(axis=0))
        for k in range(len(F)):
            old = algorithm.decomposition.do(
                algorithm.pop.get("F"), weights=weights, _type="one_to_one", ideal_point=algorithm.ideal
            )
            better = subproblem_values(algorithm, F[k], algorithm.ideal) < old
            algorithm.pop[better] = population[k]
        algorithm.generator = algorithm.state = None  # the child that was asked for is done with: the next one

    def _tell_asked(self, population: Any) -> None:
        """One individual at a time after the first population, as pymoo's generator wants it."""
        self._algorithm.tell(infills=population[0] if self._algorithm.is_initialized else population)


def subproblem_values(algorithm: Any, f: FloatArray, ideal: FloatArray) -> FloatArray:
    """Return the scalarised values ``(n_directions,)`` of one objective vector ``(n_obj,)``."""
    weights = algorithm.ref_dirs
    repeated = np.repeat(f[None], len(weights), axis=0)
    return np.asarray(
        algorithm.decomposition.do(repeated, weights=weights, _type="one_to_one", ideal_point=ideal)
    ).reshape(-1)


def weight_lattice(n_obj: int, n: int) -> FloatArray:
    """Return weight vectors ``(<=n, n_obj)`` of the simplex lattice; for one objective ``n`` equal ones."""
    from pymoo.util.ref_dirs import get_reference_directions

    if n_obj == 1:
        return np.ones((n, 1))
    parts = 1
    while comb(parts + n_obj, n_obj - 1) <= n:
        parts += 1
    return np.asarray(get_reference_directions("das-dennis", n_obj, n_partitions=parts))[:n]


def make_moead(
    space: SearchSpace,
    directions: FloatArray,
    neighbours: int,
    mating: float,
    operators: str,
    sampling: IntArray,
    seed: int,
) -> Any:
    """Return pymoo's MOEAD on integer genes, not set up yet; `sampling` has one row per direction."""
    from pymoo.algorithms.moo.moead import MOEAD as PymooMOEAD

    crossover, mutation = genetic_operators(space, operators)

    class StableMOEAD(PymooMOEAD):  # type: ignore[misc]
        def _setup(self, problem: Any, **kwargs: Any) -> None:
            super()._setup(problem, **kwargs)
            self.neighbors = nearest(self.ref_dirs, self.n_neighbors)

    return StableMOEAD(
        ref_dirs=directions,
        n_neighbors=min(neighbours, len(directions)),
        prob_neighbor_mating=mating,
        sampling=sampling,
        crossover=crossover,
        mutation=mutation,
        repair=validity_repair(space),
        seed=seed,
    )
