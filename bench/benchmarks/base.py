"""What measures an architecture: a table, a formula, a predictor, or a training.

A benchmark is pure in (architecture, seed): the same call gives the same numbers whatever was asked before.
`evaluate` answers from the searched (validation) column; `report` from the test column, and only the suite calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.lookup import lacks_values, rows_of, values_of
from smemnas.bench.benchmarks.outcomes import Candidates as Candidates
from smemnas.bench.benchmarks.outcomes import Evaluation as Evaluation
from smemnas.bench.benchmarks.outcomes import Reference as Reference
from smemnas.bench.benchmarks.outcomes import objective_values, require_costs
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.bench.registry import Registry
from smemnas.spaces.base import SPACES, Constraint, FloatArray, IntArray, Objective, Problem, SearchSpace
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
    #: What an architecture must satisfy; `bench.constraints.constrain` sets it.
    constraints: tuple[Constraint, ...] = ()
    #: How far a logged value may be from one measured when the log is read; None where measuring costs something.
    recheck: float | None = None
    #: Where measuring again takes longer than reading: of the rows beside the front, one in how many is compared.
    recheck_every: int = 1
    #: Whether searches leave the listed architectures, see `listed`; all others then fail.
    full_space: bool = False
    _problem: tuple[object, Problem] | None = None

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

    def reference(self) -> Reference | None:
        """Return the reference front of what satisfies the constraints, or None where nothing is known.

        Raises:
            UserError: All architectures are known, and none satisfies the constraints.
        """
        from smemnas.bench.benchmarks.constraints import reference_front

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

    def use_folder(self, folder: Path) -> None:  # noqa: B027  most benchmarks leave nothing
        """Keep what evaluations leave behind below this folder; tables leave nothing."""

    def provenance(self) -> dict[str, Any]:
        """Return what identifies the data: checksums, sources.

        Keys that begin with "reference_" identify the reference front; the others what an evaluation depends on.
        """
        return {}


class TabularBenchmark(Benchmark):
    """Look-ups in a `Table`.

    Searches leave out architectures of which it lacks a searched value (see `listed`), unless `full_space` is set.

    Args:
        space: The space; its `index` (or the table's sorted keys) finds the row.
        table: The table.
        objectives: Names of table columns with role "objective", or of the space's own costs. "error" also
            names the searched error column of a table that separates validation and test.

    Raises:
        UserError: An objective is unknown, repeated, or belongs to the test split.
    """

    recheck = 1e-12

    def __init__(self, space: SearchSpace, table: Table, objectives: Sequence[str] = ()) -> None:
        self.space = space
        self.table = table
        self.dataset = str(table.header["dataset"])
        self.notes = tuple(table.header.get("notes", ()))
        names = tuple(objectives) or tuple(table.header["default_objectives"])
        aliases: dict[str, str] = table.header.get("aliases", {})
        costs = {c.name: c for c in space.costs}
        searchable = {n: c for n, c in table.columns.items() if c["role"] == "objective"}
        chosen, report_names = [], []
        for name in (aliases.get(n, n) for n in names):
            column = table.columns.get(name)
            if name in searchable:
                chosen.append(Objective(name, searchable[name]["unit"], False))
                report_names.append(str(searchable[name].get("report", name)))
            elif name in costs:
                chosen.append(costs[name])
                report_names.append(name)
            elif column is not None and column["role"] == "report":
                raise UserError(
                    f"{name!r} is the test split, which is reported and never searched. "
                    f"Search on one of: {', '.join(sorted([*searchable, *costs]))}."
                )
            else:
                raise UserError(
                    f"{space.name}/{self.dataset} has no objective {name!r}."
                    f"{suggest(name, [*searchable, *costs, *aliases])}"
                )
        self.objectives = tuple(chosen)
        self.report_names = tuple(report_names)
        if len({o.name for o in chosen}) != len(chosen):
            raise UserError(f"every objective can be named once, got {','.join(names)}.")
        self._listed: dict[tuple[str, ...], ListedSpace | None] = {}

    @property
    def listed(self) -> ListedSpace | None:
        """What the table has all values searched or bounded of, computed once; None where that is the whole space."""
        if self.full_space:
            return None
        bounded = [c.name for c in self.constraints if c.measured]
        names = tuple(n for n in (*(o.name for o in self.objectives), *bounded) if n in self.table.columns)
        if names not in self._listed:
            self._listed[names] = self._list(names)
        return self._listed[names]

    def _list(self, names: tuple[str, ...]) -> ListedSpace | None:
        """Return the architectures with values of all of some columns, or None where none lacks any.

        Raises:
            DataError: No architecture has all of them.
        """
        whole = self.table.header["index"] == "grid" or 0 < self.space.n_distinct <= self.table.n_rows
        if not names or (whole and not any(lacks_values(self.table.column(name)) for name in names)):
            return None
        candidates = self.candidates()
        if candidates is None:
            return None
        have = np.isfinite([self.measured(candidates.X, name) for name in names]).all(axis=0)
        if not have.any():
            raise DataError(
                f"no architecture of {self.space.name}/{self.dataset} has values of all of {', '.join(names)}: choose "
                "other --objectives."
            )
        return None if self.space.is_enumerable and have.all() else ListedSpace(self.space, candidates.X[have])

    def rows(self, X: IntArray) -> IntArray:
        """Return the table row ``(n,)`` of each genotype; -1 where the table has none."""
        return rows_of(self.table, self.space, X)

    def _column(self, name: str, X: IntArray, rows: IntArray, seed: int | None) -> FloatArray:
        """Values of one objective; one of the repeats for a seed, their mean without."""
        if name not in self.table.columns:
            return self.space.cost(X, name)
        return values_of(self.table.column(name), rows, seed)

    @property
    def measurable(self) -> tuple[Objective, ...]:
        """The table's other columns that can be searched."""
        ours = {o.name for o in self.objectives}
        columns = {n: c for n, c in self.table.columns.items() if c["role"] == "objective" and n not in ours}
        return tuple(Objective(name, str(c["unit"]), False) for name, c in columns.items())

    def measured(self, X: IntArray, name: str) -> FloatArray:
        """Look up a column, averaged over trainings."""
        return self._column(name, X, self.rows(X), None)

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Look up the searched columns; vectorised. A missing value is a failed evaluation."""
        rows = self.rows(X)
        F = np.stack([self._column(o.name, X, rows, seed) for o in self.objectives], axis=1)
        bad = np.isnan(F)
        if not bad.any():
            return Evaluation(F, np.zeros(len(X)), ("",) * len(X))
        texts = np.array(["", *(f"no value of {o.name} in the table" for o in self.objectives)], dtype=object)
        errors = texts[np.where(bad.any(axis=1), 1 + bad.argmax(axis=1), 0)]
        return Evaluation(F, np.zeros(len(X)), tuple(errors.tolist()))

    def report(self, X: IntArray) -> FloatArray:
        """Look up the columns of the test split, averaged over trainings."""
        rows = self.rows(X)
        return np.stack([self._column(n, X, rows, None) for n in self.report_names], axis=1)

    def candidates(self) -> Candidates | None:
        """Return every architecture that the table holds, where the space can be enumerated."""
        if self.space.is_enumerable:
            X = self.space.enumerate()
            rows = self.rows(X)
        elif "genotype" in self.table.columns:  # what the table leaves out cannot be evaluated
            X = np.asarray(self.table.column("genotype"), dtype=np.int64)
            rows = np.arange(len(X))
        else:
            return None
        F = np.stack([self._column(o.name, X, rows, None) for o in self.objectives], axis=1)
        tested = np.stack([self._column(n, X, rows, None) for n in self.report_names], axis=1)
        return Candidates(X, F, tested, True)

    def provenance(self) -> dict[str, Any]:
        """Return name and checksum of the table."""
        return {"table": self.table.header["name"], "sha256": self.table.sha256}


#: Functions of the user's are asked about whole spaces up to this size only.
SMALL = 100_000


class CallableBenchmark(Benchmark):
    """Your own function as a benchmark.

    Args:
        space: The space to search.
        function: Maps a copy of genotypes ``(n, n_var)`` and a seed to minimised objectives ``(n, n_obj)``, also
            ``(n,)`` of one. With several it never gets as many rows as objectives, so that none can be mixed up.
        objectives: What the function returns, in order; cheap ones must be among `space.costs`.
        dataset: Name for logs and reports.
        front: The exact front ``(k, n_obj)`` where it is known.

    Raises:
        UserError: A cheap objective is none of the space's costs.
    """

    def __init__(
        self,
        space: SearchSpace,
        function: Callable[[IntArray, int], FloatArray],
        objectives: Sequence[Objective],
        *,
        dataset: str = "callable",
        front: FloatArray | None = None,
    ) -> None:
        self.space = space
        self.dataset = dataset
        self.objectives = tuple(objectives)
        self.report_names = tuple(o.name for o in objectives)
        self.notes = ("One function gives the searched and the reported value.",)
        self._function = function
        self._front = front
        require_costs(space, self.objectives)

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Call the function.

        Raises:
            UserError: It returns something else than ``(n, n_obj)`` numbers.
        """
        names, n_obj = [o.name for o in self.objectives], len(self.objectives)
        parts = [X[:1], X[1:]] if len(X) == n_obj > 1 else [X] if len(X) else []
        place = f"{self.space.name}/{self.dataset}"
        answers = (objective_values(self._function(part.copy(), seed), len(part), names, place) for part in parts)
        F = np.concatenate([np.empty((0, n_obj)), *answers])
        return Evaluation(F, np.zeros(len(X)), tuple("" if np.isfinite(f).all() else "not finite" for f in F))

    def report(self, X: IntArray) -> FloatArray:
        """Call the function with seed 0."""
        return self.evaluate(X, 0).F

    def whole_reference(self) -> Reference | None:
        """Return the front given at construction."""
        if self._front is None:
            return None
        front = np.asarray(self._front, dtype=np.float64)
        return Reference(front, front.min(axis=0), front.max(axis=0), True, front, front)

    def candidates(self) -> Candidates | None:
        """Return all architectures of a small space whose front is known, at the cost of evaluating them."""
        if self._front is None or self.space.size > SMALL:
            return None
        X = self.space.enumerate()
        F = self.evaluate(X, 0).F
        return Candidates(X, F, F, True)


#: How data sets begin whose architectures are trained, see `bench.train.options`.
TRAINED = "train+"
#: How data sets begin whose architectures are parts of a supernet, see `bench.train.supernet_options`.
SUPERNET = "supernet+"
#: How data sets begin that compute every value anew.
COMPUTED = (TRAINED, SUPERNET)
#: "space/dataset" -> function that opens the benchmark for some objectives (empty: its defaults).
BENCHMARKS: Registry[Benchmark] = Registry("benchmark", "smemnas.bench.data")


def open_benchmark(
    space: str,
    dataset: str | None = None,
    objectives: Sequence[str] = (),
    constraints: Sequence[str] = (),
    *,
    full_space: bool = False,
) -> Benchmark:
    """Open the benchmark of a space and data set.

    Args:
        space: Registered space.
        dataset: Data set; None takes the space's default.
        objectives: Objective names; empty takes the benchmark's defaults.
        constraints: What an architecture must satisfy, like "flops<=150", see `bench.constraints`.
        full_space: Search the whole space where a table covers a part of it; what it lacks then fails.

    Raises:
        UserError: Unknown space, data set, objective or constraint; near misses are suggested.
        DataError: The table is not installed or is corrupt.
    """
    if len(set(objectives)) != len(objectives):
        raise UserError(f"every objective can be named once, got {','.join(objectives)}.")
    if constraints:
        from smemnas.bench.benchmarks.constraints import constrain

        return constrain(open_benchmark(space, dataset, objectives, full_space=full_space), constraints)
    benchmark = _open(space, dataset, objectives)
    benchmark.full_space = full_space
    return benchmark


def _open(space: str, dataset: str | None, objectives: Sequence[str]) -> Benchmark:
    """Open a benchmark without constraints."""
    entry = SPACES.get(space)
    chosen = dataset or str(getattr(entry.factory, "default_dataset", ""))
    name = f"{space}/{chosen}"
    if name in BENCHMARKS:
        return BENCHMARKS.create(name, objectives=tuple(objectives))
    if chosen.startswith(TRAINED):
        from smemnas.bench.train.options import open_trained

        return open_trained(space, chosen, objectives)
    if chosen.startswith(SUPERNET):
        from smemnas.bench.train.supernet.options import open_supernet

        return open_supernet(space, chosen, objectives)
    if chosen not in datasets_of(space):
        raise UserError(f"space {space!r} has no data set {chosen!r}.{suggest(chosen, datasets_of(space))}")
    table = Table(table_folder(name))
    return TabularBenchmark(SPACES.create(space, params=table.header["space_params"]), table, objectives)


def datasets_of(space: str) -> list[str]:
    """Return the data sets of a space: the registered ones and the tables that a user has imported."""
    registered = {n.split("/", 1)[1] for n in BENCHMARKS.names() if n.startswith(f"{space}/")}
    imported = {path.parent.name for path in table_folder(space).glob("*/header.json")}
    return sorted(registered | {name for name in imported if not name.startswith(".")})
