"""What measures an architecture: a table, a formula, a predictor, or a training.

A benchmark is pure in (architecture, seed): the same call gives the same numbers whatever was asked before.
`evaluate` answers from the searched (validation) column; `report` from the test column, and only the suite calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import numpy as np

from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation, Reference
from smemnas.bench.display import html_table
from smemnas.bench.errors import UserError
from smemnas.spaces.base import Constraint, FloatArray, IntArray, Objective, Problem, SearchSpace
from smemnas.spaces.feasible import feasible_space
from smemnas.spaces.listed import ListedSpace


class Benchmark(ABC):
    """A space, a data set and the objectives to minimise."""

    space: SearchSpace
    dataset: str
    objectives: tuple[Objective, ...]
    #: Names of the same quantities on the split that is reported.
    report_names: tuple[str, ...]
    #: Statements a reader of results must know (single split, seeds ignored, ...).
    notes: tuple[str, ...] = ()
    #: What an architecture must satisfy; `bench.benchmarks.constraints.constrain` sets it.
    constraints: tuple[Constraint, ...] = ()
    #: How far a logged value may be from one measured when the log is read; None where measuring costs something.
    recheck: float | None = None
    #: Where measuring again takes longer than reading: of the rows beside the front, one in how many is compared.
    recheck_every: int = 1
    #: Whether searches leave the listed architectures, see `listed`; all others then fail.
    full_space: bool = False
    #: Whether `Evaluation.seconds` are the training time of what was evaluated, so that it can be a budget.
    timed: bool = False
    #: How many evaluations go on side by side where each costs real time; 0 where it does not.
    at_once: int = 0
    #: Whether searched values differ from the true ones, which judge results then, see `true_values`.
    noisy: bool = False
    #: Standard deviation of the noise that is added to an objective, by its name.
    deviations: Mapping[str, float] = MappingProxyType({})
    #: Whether an evaluation that fails is a gap of the data, which says nothing of the next one.
    gaps_are_known: bool = False
    #: Other names of objectives, such as "error" for "val_error".
    aliases: Mapping[str, str] = MappingProxyType({})
    _problem: tuple[object, Problem] | None = None

    def __repr__(self) -> str:
        limits = f"; {', '.join(map(str, self.constraints))}" if self.constraints else ""
        place = f"{self.space.name}/{unquote(self.dataset)}"
        return f"<{type(self).__name__} {place}: minimise {', '.join(map(str, self.objectives))}{limits}>"

    def _repr_html_(self) -> str:
        names = zip(self.objectives, self.report_names, strict=True)
        rows = [(o.name, o.unit, "free" if o.cheap else "evaluated", reported) for o, reported in names]
        title = f"{self.space.name}/{unquote(self.dataset)}"
        notes = [repr(self.space)[1:-1], *map(str, self.constraints), *self.notes]
        return html_table(("minimise", "unit", "known", "reported as"), rows, title=title, notes=notes)

    @property
    def listed(self) -> ListedSpace | None:
        """The architectures to which a search is restricted, where not all of the space can be evaluated."""
        return None

    @property
    def problem(self) -> Problem:
        """What a method may see."""
        key = (self.objectives, self.constraints, self.full_space)
        if self._problem is None or self._problem[0] != key:
            space = feasible_space(self.listed or self.space, [c for c in self.constraints if c.free])
            self._problem = key, Problem(space, self.objectives, self.constraints)
        return self._problem[1]

    @abstractmethod
    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Evaluate genotypes ``(n, n_var)`` on the searched split."""

    @abstractmethod
    def report(self, X: IntArray) -> FloatArray:
        """Return ``(n, n_obj)`` on the test split, the mean over trainings; for the final report only."""

    @property
    def plain(self) -> Benchmark:
        """The benchmark without noise: itself where there is none."""
        return self

    def true_values(self, X: IntArray) -> FloatArray:
        """Return the searched objectives ``(n, n_obj)`` without noise, averaged over trainings; no method sees them."""
        return self.evaluate(X, 0).F

    def reference(self) -> Reference | None:
        """Return the reference front of what satisfies the constraints, or None where nothing is known.

        Raises:
            UserError: All architectures are known, and none satisfies the constraints.
        """
        return reference_front(self)

    def whole_reference(self) -> Reference | None:
        """Return the reference front without constraints, or None where nothing is known; subclasses override it."""
        candidates = self.candidates()
        return None if candidates is None else candidates.reference()

    def candidates(self) -> Candidates | None:
        """Return what the front under constraints is taken from, or None where that is not known."""
        return None

    @property
    def measurable(self) -> tuple[Objective, ...]:
        """Quantities beside the objectives that `measured` gives, so that a constraint may bound them."""
        return ()

    def measured(self, X: IntArray, name: str) -> FloatArray:
        """Return ``(n,)`` values of a quantity of `measurable`, NaN where there is none; for the suite, no method."""
        raise UserError(f"{self.space.name}/{self.dataset} measures no {name!r} beside its objectives.")

    def violation(self, X: IntArray, F: FloatArray) -> FloatArray:
        """Return the total violation ``(n,)`` as `Problem.violation` does, with constraints on what is not searched.

        A value that is missing breaks its bound beyond all others (+inf).
        """
        total = self.problem.violation(X, F)
        ok = np.isfinite(total)
        for c in self.constraints:
            if c.measured and ok.any():
                excess = c.excess(self.measured(X[ok], c.name))
                total[ok] += np.where(np.isnan(excess), np.inf, excess)
        return total

    def remarks(self, X: IntArray) -> tuple[str, ...]:
        """Return what a reader must know of the values of each genotype ``(n, n_var)``, "" where there is nothing."""
        return ("",) * len(X)

    def remarked(self, X: IntArray) -> tuple[str, ...]:
        """Return the remarks on some genotypes ``(n, n_var)``, an empty tuple where there is nothing to say of any."""
        found = self.remarks(X) if len(X) else ()
        return found if any(found) else ()

    def use_folder(self, folder: Path) -> None:  # noqa: B027  most benchmarks leave nothing
        """Keep what evaluations leave behind below this folder; tables leave nothing."""

    def provenance(self) -> dict[str, Any]:
        """Return what identifies the data: checksums, sources.

        Keys that begin with "reference_" identify the reference front; the others what an evaluation depends on.
        """
        return {}


def reference_front(benchmark: Benchmark) -> Reference | None:
    """Return the front of what satisfies the benchmark's constraints, or None where it is not known.

    Raises:
        UserError: All architectures are known, and none satisfies the constraints.
    """
    if not benchmark.constraints:
        return _whole(benchmark)
    candidates = benchmark.candidates()
    if candidates is None:
        return _within_bounds(benchmark)
    feasible = benchmark.violation(candidates.X, candidates.F) == 0.0
    if candidates.exact and not feasible.any():
        raise UserError(_nothing(benchmark, candidates.X, candidates.F))
    return candidates._replace(
        X=candidates.X[feasible], F=candidates.F[feasible], tested=candidates.tested[feasible]
    ).reference()


def _whole(benchmark: Benchmark) -> Reference | None:
    """Return the front without constraints; a plug-in may override `reference` itself, which knows none then."""
    own = type(benchmark).reference is not Benchmark.reference
    return benchmark.reference() if own else benchmark.whole_reference()


def _within_bounds(benchmark: Benchmark) -> Reference | None:
    """Return the part of the unconstrained front within the bounds, where that is the front under constraints.

    It is where all constraints are upper bounds of objectives: what dominates a feasible point is feasible then.
    """
    whole = _whole(benchmark)
    if whole is None or not all(c.upper and c.objective >= 0 for c in benchmark.constraints):
        return None
    if not np.array_equal(whole.report_best, whole.report_front):  # which of the best tested are feasible is not known
        return None
    keep = np.ones(len(whole.front), dtype=bool)
    for c in benchmark.constraints:
        keep &= whole.front[:, c.objective] <= c.bound
    if not keep.any():
        return None
    front, tested = whole.front[keep], whole.report_front[keep]
    return Reference(front, front.min(axis=0), front.max(axis=0), whole.exact, tested, tested)


def _nothing(benchmark: Benchmark, X: IntArray, F: FloatArray) -> str:
    """Return the message that no architecture at all is feasible, with the nearest value of each measured bound."""
    found = []
    for c in benchmark.constraints:
        if c.objective >= 0 or c.measured:
            values = F[:, c.objective] if c.objective >= 0 else benchmark.measured(X, c.name)
            nearest = np.nanmin(values) if c.upper else np.nanmax(values)
            found.append(f"the {'smallest' if c.upper else 'largest'} {c.name} is {nearest:.6g} {c.unit}")
    wanted = " and ".join(map(str, benchmark.constraints))
    where = f"{benchmark.space.name}/{benchmark.dataset}"
    return f"no architecture of {where} satisfies {wanted}: {', '.join(found) or 'not together'}."


def has_two_splits(benchmark: Benchmark) -> bool:
    """Whether the benchmark reports on other columns than it searches."""
    return benchmark.report_names != tuple(o.name for o in benchmark.objectives)
