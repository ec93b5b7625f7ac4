"""SMS-EMOA (Beume, Naujoks, Emmerich, EJOR 2007), pymoo's implementation driven by ask and tell.

A steady-state search: one child per step, then the member of the worst front that adds least hypervolume leaves.

Differs from the paper:

* genes are integers, so crossover and mutation act on integers (`operators`);
* the first population is the seed's shared initial design;
* parents win a binary tournament by dominance (pymoo's default) instead of being drawn uniformly;
* the least contributor is found in the objectives normalised by the population, against a reference point 10 units
  beyond it (pymoo's), where the paper keeps the extremes of two objectives by rule;
* a child that equals a member is made anew;
* with one objective the worst member leaves.
"""

from __future__ import annotations

from typing import Any

from smemnas.methods.base import METHODS, initial_design, require_choice, require_positive
from smemnas.methods.pymoo_adapter import OPERATORS, PymooMethod, genetic_operators, library_seed, new_and_valid, set_up
from smemnas.spaces.base import IntArray, Problem, SearchSpace


@METHODS.register("sms-emoa", summary="SMS-EMOA (pymoo): steady state, least hypervolume contribution leaves")
class SMSEMOA(PymooMethod):
    """pymoo's SMS-EMOA.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Population size; the best of 10, 20 and 40 on development seeds.
        offspring: Children per step (1 in the paper; pymoo's own default is as many as the population).
        operators: "choice" or "integer", see `nsga2`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        population: int = 10,
        offspring: int = 1,
        operators: str = "choice",
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(population=population, offspring=offspring)
        require_choice("operators", operators, OPERATORS)
        design = initial_design(problem, population, seed)
        algorithm = make_sms_emoa(
            problem.space, problem.n_obj, population, offspring, operators, design, library_seed(seed)
        )
        self._algorithm = set_up(algorithm, problem)


def make_sms_emoa(
    space: SearchSpace, n_obj: int, population: int, offspring: int, operators: str, sampling: IntArray, seed: int
) -> Any:
    """Return pymoo's SMSEMOA on integer genes, not set up yet; `sampling` ``(n, n_var)`` is its first population."""
    from pymoo.algorithms.moo.sms import SMSEMOA as PymooSMSEMOA
    from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival
    from pymoo.algorithms.soo.nonconvex.ga import FitnessSurvival

    crossover, mutation = genetic_operators(space, operators)
    return PymooSMSEMOA(
        pop_size=population,
        n_offsprings=offspring,
        sampling=sampling,
        crossover=crossover,
        mutation=mutation,
        survival=LeastHypervolumeContributionSurvival() if n_obj > 1 else FitnessSurvival(),
        eliminate_duplicates=new_and_valid(space),
        seed=seed,
    )
