"""NSGA-II (Deb et al., IEEE TEVC 2002), pymoo's implementation driven by ask and tell.

Differs from the paper: genes are integers, so crossover and mutation act on integers (`operators`), and the
first population is the seed's shared initial design. Survival, ranking, crowding and tournament are pymoo's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods.base import METHOD_STREAM, METHODS, Method, initial_design, require_choice, require_positive
from spaces.base import FloatArray, IntArray, Problem, SearchSpace

#: Stands for the objectives of a failed evaluation: worse than any real value, but finite for the crowding.
FAILED = 1e9


@METHODS.register("nsga2", summary="NSGA-II (pymoo), the evolutionary baseline without a surrogate")
class NSGA2(Method):
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
        require_choice("operators", operators, ("choice", "integer"))
        self._algorithm = _make_algorithm(problem, seed, population, operators)
        self._asked: Any = None

    def ask(self) -> IntArray:
        """Return the initial design, then one generation of offspring at a time."""
        self._asked = self._algorithm.ask()
        if self._asked is None or len(self._asked) == 0:  # no new offspring can be made
            return np.empty((0, self.problem.space.n_var), np.int64)
        return np.asarray(self._asked.get("X"), dtype=np.int64)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Hand the evaluated generation to pymoo. Rows it did not ask for become its population."""
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.population import Population
        from pymoo.problems.static import StaticProblem

        F = np.where(np.isfinite(F).all(axis=1, keepdims=True), F, FAILED)
        asked = self._asked
        if asked is None or len(asked) != len(X) or not np.array_equal(asked.get("X"), X):
            asked = Population.new("X", X)
        Evaluator().eval(StaticProblem(self._algorithm.problem, F=F), asked)
        self._algorithm.tell(infills=asked)
        self._asked = None


def _make_algorithm(problem: Problem, seed: int, population: int, operators: str) -> Any:
    """Return a pymoo NSGA2 that is set up and waits for ask."""
    from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2
    from pymoo.config import Config
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.pm import PolynomialMutation
    from pymoo.operators.repair.rounding import RoundingRepair

    Config.warnings["not_compiled"] = False
    space = problem.space
    view = PymooProblem(n_var=space.n_var, n_obj=problem.n_obj, xl=0, xu=np.asarray(space.n_choices) - 1, vtype=int)
    if operators == "choice":
        crossover = UniformCrossover(prob=0.9)
        mutation = _reset_mutation(np.asarray(space.n_choices))
    else:
        crossover = TwoPointCrossover(prob=0.9)
        mutation = PolynomialMutation(prob=1.0, eta=1.0, vtype=float, repair=RoundingRepair())
    algorithm = PymooNSGA2(
        pop_size=population,
        sampling=initial_design(problem, population, seed),
        crossover=crossover,
        mutation=mutation,
        eliminate_duplicates=_new_and_valid(space),
        seed=int(np.random.default_rng([METHOD_STREAM, seed]).integers(2**31)),
    )
    algorithm.setup(view, termination=NoTermination(), verbose=False)
    return algorithm


def _new_and_valid(space: SearchSpace) -> Any:
    """Return pymoo's elimination of duplicates, which also drops children that are no architectures.

    Mating is repeated until a generation is full, so invalid children cost nothing but time.
    """
    from pymoo.core.duplicate import DefaultDuplicateElimination

    class NewAndValid(DefaultDuplicateElimination):  # type: ignore[misc]
        def _do(self, pop: Any, other: Any, is_duplicate: NDArray[np.bool_]) -> NDArray[np.bool_]:
            dropped: NDArray[np.bool_] = super()._do(pop, other, is_duplicate)
            return dropped | ~space.is_valid(np.asarray(pop.get("X"), dtype=np.int64))

    return NewAndValid()


def _reset_mutation(n_choices: IntArray) -> Any:
    """Return a pymoo mutation that draws each gene anew, to another value, with probability ``1 / n_var``."""
    from pymoo.core.mutation import Mutation

    class ResetMutation(Mutation):  # type: ignore[misc]
        def _do(self, problem: Any, X: IntArray, *_: Any, random_state: Any = None, **__: Any) -> IntArray:
            mutated = random_state.random(X.shape) < 1.0 / X.shape[1]
            shift = random_state.integers(1, np.maximum(n_choices, 2), size=X.shape)
            return np.where(mutated, (X + shift) % n_choices, X)

    return ResetMutation()
