"""NSGA-II (Deb et al., IEEE TEVC 2002), pymoo's implementation driven by ask and tell.

Differs from the paper: genes are integers, so crossover and mutation act on integers (`operators`), and the
first population is the seed's shared initial design. Survival, ranking, crowding and tournament are pymoo's own.
"""

from __future__ import annotations

from typing import Any

from smemnas.methods.base import METHODS, initial_design, require_choice, require_positive
from smemnas.methods.pymoo_adapter import OPERATORS, PymooMethod, genetic_operators, library_seed, new_and_valid, set_up
from smemnas.methods.pymoo_order import rank_and_crowding_survival
from smemnas.spaces.base import IntArray, Problem, SearchSpace


@METHODS.register("nsga2", summary="NSGA-II (pymoo), the evolutionary baseline without a surrogate")
class NSGA2(PymooMethod):
    """pymoo's NSGA-II.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Population size; offspring per generation are as many. The best of 10, 20 and 40 on
            development seeds.
        operators: "choice" treats genes as categories (uniform crossover, a mutated gene is drawn anew);
            "integer" treats them as numbers (two-point crossover at 0.9 and polynomial mutation with
            eta 1, the settings of MSuNAS).
    """

    def __init__(
        self, problem: Problem, *, budget: int, seed: int, population: int = 10, operators: str = "choice"
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(population=population)
        require_choice("operators", operators, OPERATORS)
        design = initial_design(problem, population, seed)
        self._algorithm = set_up(make_nsga2(problem.space, population, operators, design, library_seed(seed)), problem)


METHODS.preset(
    "nsga2/integer", "nsga2", "NSGA-II (pymoo), genes as numbers: two-point, polynomial", operators="integer"
)
METHODS.preset(
    "nsga2/integer-20",
    "nsga2",
    "NSGA-II (pymoo) on genes as numbers, population 20",
    operators="integer",
    population=20,
)


def make_nsga2(
    space: SearchSpace, population: int, operators: str, sampling: IntArray, seed: int, *, as_listed: bool = False
) -> Any:
    """Return pymoo's NSGA2 on integer genes, not set up yet; `sampling` ``(n, n_var)`` is its first population.

    `as_listed` is that of `new_and_valid`.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2

    crossover, mutation = genetic_operators(space, operators)
    return PymooNSGA2(
        pop_size=population,
        sampling=sampling,
        crossover=crossover,
        mutation=mutation,
        survival=rank_and_crowding_survival(),
        eliminate_duplicates=new_and_valid(space, as_listed=as_listed),
        seed=seed,
    )
