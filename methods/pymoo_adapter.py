"""pymoo's algorithms behind our contract: a problem view, operators for integer genes, ask and tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.methods.base import METHOD_STREAM, DesignStream, Method, require_choice
from smemnas.spaces.base import FloatArray, IntArray, Problem, SearchSpace, row_keys
from smemnas.spaces.listed import ListedSpace

#: Stands for the objectives of a failed evaluation: worse than any real value, but finite for the crowding.
FAILED = 1e9
#: How genes are crossed and mutated, see `genetic_operators`.
OPERATORS = ("choice", "integer")


class PymooMethod(Method):
    """Drives an algorithm of pymoo. Subclasses set `_algorithm` to one that is set up (`set_up`).

    Where few genotypes are architectures, mating may give no new one; then the seed's random stream goes on, as in
    random search, and what it brings competes with the population.
    """

    _algorithm: Any
    _asked: Any = None
    _asked_x: IntArray

    def __init__(self, problem: Problem, *, budget: int, seed: int) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        self._stream = DesignStream(problem, seed)
        self._told: set[bytes] = set()

    def ask(self) -> IntArray:
        """Return the initial design, then what the algorithm wants evaluated next; none when the space is exhausted."""
        self._asked = as_population(self._algorithm.ask())
        if self._asked is None or len(self._asked) == 0:  # no new offspring can be made
            self._asked = None
            return self._random()
        self._asked_x = genotypes(self._asked)
        return self._asked_x.copy()

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Hand the evaluated rows to pymoo. Rows it did not ask for go to `_tell_others`."""
        from pymoo.core.population import Population

        self._told.update(row_keys(np.ascontiguousarray(X, dtype=np.int64)))
        asked, self._asked = self._asked, None
        if asked is None or not np.array_equal(self._asked_x, X):
            self._tell_others(evaluated(Population.new("X", X), F))
        else:
            self._tell_asked(evaluated(asked, F))

    def _random(self) -> IntArray:
        """Return as many new architectures of the seed's random stream as a generation has, while there are any."""
        while True:
            X = self._stream.take(self._algorithm.n_offsprings)
            new = [x.tobytes() not in self._told for x in X]
            if len(X) == 0 or any(new):
                return X[new]

    def _tell_asked(self, population: Any) -> None:
        self._algorithm.tell(infills=population)

    def _tell_others(self, population: Any) -> None:
        """Take rows that were not asked for: they become the population, or compete with it."""
        self._algorithm.tell(infills=population)


def evaluated(population: Any, F: FloatArray) -> Any:
    """Return a population with its objectives ``(m, n_obj)`` filled in; a failed row is `FAILED` throughout.

    What pymoo's evaluator does, at a fifth of its time.
    """
    for individual, f in zip(
        population.tolist(), np.where(np.isfinite(F).all(axis=1, keepdims=True), F, FAILED), strict=True
    ):
        individual.F = f.copy()
        individual.evaluated.update(("F", "G", "H"))
    return population


def genotypes(population: Any) -> IntArray:
    """Return the genotypes ``(m, n_var)`` of a population."""
    return np.array([individual.X for individual in population.tolist()], dtype=np.int64)


def as_population(asked: Any) -> Any:
    """Return what an algorithm asks as a population: some ask for one individual, some for None."""
    from pymoo.core.individual import Individual
    from pymoo.core.population import Population

    return Population.create(asked) if isinstance(asked, Individual) else asked


def problem_view(problem: Problem) -> Any:
    """Return a pymoo problem with the genes and the number of objectives; it evaluates nothing."""
    from pymoo.core.problem import Problem as PymooProblem

    space = problem.space
    return PymooProblem(n_var=space.n_var, n_obj=problem.n_obj, xl=0, xu=np.asarray(space.n_choices) - 1, vtype=int)


def set_up(algorithm: Any, problem: Problem) -> Any:
    """Return a pymoo algorithm that waits for ask and never terminates by itself."""
    from pymoo.config import Config
    from pymoo.core.termination import NoTermination

    Config.warnings["not_compiled"] = False
    algorithm.setup(problem_view(problem), termination=NoTermination(), verbose=False)
    return algorithm


def library_seed(seed: int) -> int:
    """Return the seed of pymoo's own generator for a method's seed."""
    return int(np.random.default_rng([METHOD_STREAM, seed]).integers(2**31))


def genetic_operators(space: SearchSpace, operators: str) -> tuple[Any, Any]:
    """Return crossover and mutation of pymoo for integer genes.

    Args:
        space: Gives the alphabets.
        operators: "choice" treats genes as categories (uniform crossover at 0.9, each gene drawn anew with
            probability ``1 / n_var``); "integer" treats them as numbers (two-point crossover at 0.9 and
            polynomial mutation with eta 1, the settings of MSuNAS).
    """
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.pm import PolynomialMutation
    from pymoo.operators.repair.rounding import RoundingRepair

    require_choice("operators", operators, OPERATORS)
    if operators == "choice":
        return UniformCrossover(prob=0.9), reset_mutation(np.asarray(space.n_choices))
    mutation = PolynomialMutation(prob=1.0, eta=1.0, vtype=float, repair=RoundingRepair())
    return TwoPointCrossover(prob=0.9), mutation


def new_and_valid(space: SearchSpace, *, as_listed: bool = False) -> Any:
    """Return pymoo's elimination of duplicates, which also drops children that are no architectures.

    Mating is repeated until a generation is full, so invalid children cost nothing but time.

    Args:
        space: Says what is valid.
        as_listed: In a listed space children that stand for the same architecture are duplicates.
    """
    as_listed = as_listed and isinstance(space, ListedSpace)
    from pymoo.core.duplicate import DuplicateElimination

    def named(population: Any) -> IntArray:
        X = genotypes(population)
        return np.ascontiguousarray(space.normalise(X)) if as_listed else X

    class NewAndValid(DuplicateElimination):  # type: ignore[misc]
        def do(self, pop: Any, *others: Any) -> Any:
            if len(pop) == 0:
                return pop
            seen = {key for other in others if len(other) for key in row_keys(named(other))}
            X = named(pop)
            new = np.array(space.is_valid(X))
            for k, key in enumerate(row_keys(X)):
                if key in seen:
                    new[k] = False
                seen.add(key)  # among themselves the first one stays
            return pop[new]

    return NewAndValid()


def reset_mutation(n_choices: IntArray) -> Any:
    """Return a pymoo mutation that draws each gene anew, to another value, with probability ``1 / n_var``."""
    from pymoo.core.mutation import Mutation

    class ResetMutation(Mutation):  # type: ignore[misc]
        def _do(self, problem: Any, X: IntArray, *_: Any, random_state: Any = None, **__: Any) -> IntArray:
            mutated = random_state.random(X.shape) < 1.0 / X.shape[1]
            shift = random_state.integers(1, np.maximum(n_choices, 2), size=X.shape)
            return np.where(mutated, (X + shift) % n_choices, X)

    return ResetMutation()


def validity_repair(space: SearchSpace) -> Any:
    """Return a pymoo repair that mutates one gene of a child that is no architecture until it is one.

    For algorithms that make exactly one child per mating and so cannot drop it.
    """
    from pymoo.core.repair import Repair

    choices = np.asarray(space.n_choices)

    class ValidityRepair(Repair):  # type: ignore[misc]
        def _do(self, problem: Any, X: IntArray, *_: Any, random_state: Any = None, **__: Any) -> IntArray:
            X = np.array(X, dtype=np.int64)
            for k in np.flatnonzero(~space.is_valid(X)):
                tries = np.repeat(X[k][None], 64, axis=0)
                gene = random_state.integers(len(choices), size=len(tries))
                tries[np.arange(len(tries)), gene] = random_state.integers(0, choices[gene])
                good = np.flatnonzero(space.is_valid(tries))
                X[k] = tries[good[0]] if len(good) else space.sample(1, random_state)[0]
            return X

    return ValidityRepair()
