"""The contract of a search method: ask for architectures, be told their objectives.

The run loop owns budget, log and clock. It calls ``ask`` for genotypes, evaluates them (or finds them in
its log) and calls ``tell`` with exactly the rows it evaluated, until the budget is spent or ``ask`` returns
no row. ``tell`` carries the genotypes, so a warm start is one ``tell`` of old rows before the first ``ask``.
A method sees a `Problem` and nothing else. Failed evaluations arrive as rows of +inf. Under constraints
`Problem.space` holds no architecture that is known to break one, and rows that turn out to break another one arrive
with objectives beyond those of every feasible row, further the more they break it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.bench.registry import Registry
from smemnas.methods.origins import Origin
from smemnas.methods.start import SPREAD_DRAWS, first_of
from smemnas.spaces.base import FloatArray, IntArray, Problem

#: First numbers of the seed sequences: one stream for the shared initial design, one for the method itself.
DESIGN_STREAM, METHOD_STREAM = 1, 2


class Recommendation(NamedTuple):
    """What a method would report if the search ended now.

    Attributes:
        X: Evaluated genotypes ``(k, n_var)``, each once; no more than the front of the evaluated values has points.
        F: What the method believes of their objectives ``(k, n_obj)``; none dominates another.
    """

    X: IntArray
    F: FloatArray


class Method(ABC):
    """A search method. Subclasses add keyword parameters with defaults to ``__init__``.

    Args:
        problem: Space and objectives.
        budget: Number of evaluations the run will pay for; methods that plan with it set `plans_with_budget`.
        seed: Everything random follows from it.
    """

    #: Set where a method handles one costly objective only; others enter by their evaluated set.
    single_objective: ClassVar[bool] = False
    #: Whether the first ask is a prefix of the seed's shared initial design, so that methods start alike.
    shared_start: ClassVar[bool] = True
    #: Whether it begins with what a comparison says (`Problem.start`), by drawing its first candidates from the shared
    #: stream; None: where it has a shared start. The constructor refuses what it does not take.
    takes_start: ClassVar[bool | None] = None
    #: Whether it sorts by `Problem.violation` itself; else it is told objectives in which what is infeasible is worst.
    handles_constraints: ClassVar[bool] = False
    #: Whether what it asks depends on the budget, so that a run cannot go on with a larger one. A constructor may set
    #: it for the budgets where that is so.
    plans_with_budget: bool = False
    #: Whether it reads exact free costs of architectures that were not evaluated (see `methods.tracks`).
    uses_free_costs: ClassVar[bool] = False
    #: Where its parameters are from, by their names; empty where nobody has said it.
    origins: ClassVar[Mapping[str, Origin]] = {}
    #: Module beyond the core that the method needs, "" for none; without it the constructor raises `UserError`.
    needs: ClassVar[str] = ""

    def __init__(self, problem: Problem, *, budget: int, seed: int) -> None:
        if problem.start and not (self.shared_start if self.takes_start is None else self.takes_start):
            name = type(self).__name__
            raise UserError(f"{name} begins in a way of its own and takes no --start {problem.start}: leave it out.")
        self.problem = problem
        self.budget = budget
        self.seed = seed
        self.rng = np.random.default_rng([METHOD_STREAM, seed])

    @abstractmethod
    def ask(self) -> IntArray:
        """Return genotypes ``(m, n_var)`` to evaluate next; no rows when the method is done."""

    @abstractmethod
    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Take evaluated genotypes ``(m, n_var)`` with objectives ``(m, n_obj)``, minimised, +inf if failed."""

    def recommend(self) -> Recommendation | None:
        """Return what to report of all that was told; None, also where it is not defined: the front of what was told.

        Asked after each `tell` where evaluations are noisy (``DATASET+noise=SD``). It may draw nothing from `rng`.
        """
        return None


class DesignStream:
    """The shared stream of random architectures of one seed, without repetition.

    A method with initial size n takes the first n; random search simply continues. So all methods of a
    study start from the same architectures as far as their sizes allow. Where the problem has a start
    (`methods.start`), that stands in front.
    """

    _BLOCK = 64

    def __init__(self, problem: Problem, seed: int) -> None:
        self._space = problem.space
        self._problem = problem
        self._begun = problem.start in ("", "random")
        self._rng = np.random.default_rng([DESIGN_STREAM, seed])
        self._seen: set[bytes] = set()
        self._ready: list[IntArray] = []
        self._rest: IntArray | None = None

    def take(self, n: int) -> IntArray:
        """Return the next up to ``n`` genotypes ``(<=n, n_var)``; fewer only when the space is exhausted."""
        if not self._begun:
            self._begun = True
            self._begin()
        while len(self._ready) < n and self._draw():
            pass
        taken, self._ready = self._ready[:n], self._ready[n:]
        return np.array(taken, dtype=np.int64).reshape(len(taken), self._space.n_var)

    def _begin(self) -> None:
        """Put what the comparison begins with in front of the stream, where it would come later."""
        while len(self._ready) < SPREAD_DRAWS and self._draw():
            pass
        drawn = np.array(self._ready[:SPREAD_DRAWS], dtype=np.int64).reshape(-1, self._space.n_var)
        first = list(first_of(self._problem, drawn))
        keys = {x.tobytes() for x in first}
        self._ready = first + [x for x in self._ready if x.tobytes() not in keys]
        self._seen |= keys

    def _draw(self) -> bool:
        """Add a block of new genotypes; switch to the enumerated rest when most draws are repeats."""
        if self._rest is None:
            block = self._space.sample(self._BLOCK, self._rng)
            fresh = []
            for x in block:
                key = x.tobytes()
                if key not in self._seen:
                    self._seen.add(key)
                    fresh.append(x)
            self._ready.extend(fresh)
            if 2 * len(fresh) >= len(block):
                return True
            if not self._space.is_enumerable:
                return bool(fresh) or len(self._seen) < 10
            grid = self._space.enumerate()
            unseen = np.array([x.tobytes() not in self._seen for x in grid])
            self._rest = self._rng.permutation(grid[unseen])
        self._ready.extend(self._rest)
        more, self._rest = len(self._rest) > 0, self._rest[:0]
        return more


def initial_design(problem: Problem, n: int, seed: int) -> IntArray:
    """Return the first ``n`` genotypes of the seed's shared stream, ``(n, n_var)``."""
    return DesignStream(problem, seed).take(n)


class Archive:
    """Evaluated architectures in order of evaluation, failed ones apart."""

    def __init__(self, problem: Problem) -> None:
        self._n_obj = problem.n_obj
        self._x: list[IntArray] = []
        self._f: list[FloatArray] = []
        self.seen: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._x)

    def add(self, X: IntArray, F: FloatArray) -> None:
        """Append rows; a genotype that is already in is skipped."""
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            key = x.tobytes()
            if key not in self.seen:
                self.seen.add(key)
                self._x.append(x)
                self._f.append(f)

    @property
    def all_x(self) -> IntArray:
        """Every told genotype, failed ones too, ``(n, n_var)``."""
        return np.array(self._x, dtype=np.int64)

    def finite(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes and objectives of the evaluations that succeeded."""
        F = np.array(self._f).reshape(-1, self._n_obj)
        ok = np.isfinite(F).all(axis=1)
        return np.array(self._x, dtype=np.int64)[ok] if len(F) else np.empty((0, 0), np.int64), F[ok]

    def unseen(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)``: which genotypes were never told."""
        return np.array([x.tobytes() not in self.seen for x in np.asarray(X, dtype=np.int64)], dtype=bool)


def require_positive(**values: int) -> None:
    """Check that named integer parameters are at least 1.

    Raises:
        UserError: One is not a positive integer.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"parameter {name!r} must be an integer of at least 1, got {value!r}.")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check that a named parameter is one of its choices.

    Raises:
        UserError: It is not.
    """
    if value not in choices:
        raise UserError(f"parameter {name!r} must be one of {', '.join(choices)}, got {value!r}.")


METHODS: Registry[Method] = Registry("method", "smemnas.methods")
