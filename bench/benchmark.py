"""What measures an architecture: a table, a formula, a predictor, or a training.

A benchmark is pure in (architecture, seed): the same call gives the same numbers whatever was asked before.
`evaluate` answers from the searched (validation) column; `report` answers from the test column and is called
by the suite only, never by a method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, UserError, suggest
from bench.indicators import nondominated
from bench.registry import Registry
from bench.store import table_folder
from bench.table import Table
from spaces.base import SPACES, Constraint, FloatArray, IntArray, Objective, Problem, SearchSpace
from spaces.feasible import feasible_space
from spaces.listed import ListedSpace


class Evaluation(NamedTuple):
    """Outcome of evaluating ``n`` architectures.

    Attributes:
        F: Objectives ``(n, n_obj)``, minimised; NaN where an evaluation failed.
        seconds: Cost of each evaluation ``(n,)`` in seconds (0 for tables).
        errors: Reason of each failure, "" where there is none.
    """

    F: FloatArray
    seconds: FloatArray
    errors: tuple[str, ...]


class Reference(NamedTuple):
    """The best that is possible on the searched columns.

    Attributes:
        front: Non-dominated points ``(k, n_obj)``, sorted by the first objective.
        ideal: Smallest value of each objective on the front ``(n_obj,)``.
        nadir: Largest value of each objective on the front ``(n_obj,)``.
        exact: Whether the whole space was enumerated, or the front is only the best known.
        report_front: Test-split values ``(k, n_obj)`` of the same architectures: what a perfect search
            would report, hence the floor of every reported regret.
        report_best: Non-dominated points of the test split itself.
    """

    front: FloatArray
    ideal: FloatArray
    nadir: FloatArray
    exact: bool
    report_front: FloatArray
    report_best: FloatArray


class Candidates(NamedTuple):
    """Architectures among which the best are.

    Attributes:
        X: Genotypes ``(k, n_var)``.
        F: Their searched objectives ``(k, n_obj)``, repeats averaged; NaN where there is no value.
        tested: The same quantities on the split that is reported ``(k, n_obj)``.
        exact: Whether these are all that can be evaluated, or only the best known.
    """

    X: IntArray
    F: FloatArray
    tested: FloatArray
    exact: bool

    def reference(self) -> Reference | None:
        """Return the front of the searched objectives; None where nothing has all of them."""
        front = np.flatnonzero(nondominated(self.F))
        if len(front) == 0:
            return None
        front = front[np.lexsort(self.F[front].T[::-1])]
        F = self.F[front]
        best = self.tested[nondominated(self.tested)]
        best = best[np.lexsort(best.T[::-1])]
        return Reference(F, F.min(axis=0), F.max(axis=0), self.exact, self.tested[front], best)


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
    #: Absolute difference within which a value that is measured again is the same, so that logs are compared when they
    #: are read; None where measuring again costs something.
    recheck: float | None = None
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
        """Return the reference front without constraints, or None where nothing is known."""
        return None

    def candidates(self) -> Candidates | None:
        """Return what the front under constraints is taken from, or None where that is not known."""
        return None

    def use_folder(self, folder: Path) -> None:  # noqa: B027  most benchmarks leave nothing
        """Keep what evaluations leave behind below this folder; tables leave nothing."""

    def provenance(self) -> dict[str, Any]:
        """Return what identifies the data: checksums, sources.

        Keys that begin with "reference_" identify the reference front; the others what an evaluation depends on.
        """
        return {}


class TabularBenchmark(Benchmark):
    """Look-ups in a `Table`.

    Where the table lacks architectures of the space, or some of their searched values, searches are restricted to
    those that have all of them (`listed`), unless `full_space` is set.

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
        self._listed: list[ListedSpace | None] = []

    @property
    def listed(self) -> ListedSpace | None:
        """What the table has all searched values of, computed once; None where that is the whole space."""
        if self.full_space:
            return None
        if not self._listed:
            self._listed.append(self._list())
        return self._listed[0]

    def _list(self) -> ListedSpace | None:
        """Return the architectures with all searched values, or None where none lacks any.

        Raises:
            DataError: No architecture has all of them.
        """
        columns = [o.name for o in self.objectives if o.name in self.table.columns]
        whole = self.table.header["index"] == "grid" or 0 < self.space.n_distinct <= self.table.n_rows
        if whole and not any(_lacks_values(self.table.column(name)) for name in columns):
            return None
        candidates = self.candidates()
        if candidates is None:
            return None
        have = np.isfinite(candidates.F).all(axis=1)
        if not have.any():
            raise DataError(
                f"no architecture of {self.space.name}/{self.dataset} has values of all of "
                f"{', '.join(o.name for o in self.objectives)}: choose other --objectives."
            )
        return None if self.space.is_enumerable and have.all() else ListedSpace(self.space, candidates.X[have])

    def rows(self, X: IntArray) -> IntArray:
        """Return the table row ``(n,)`` of each genotype; -1 where the table has none."""
        if self.table.header["index"] == "grid":
            return self.space.index(X)
        keys = self.table.column("key")
        wanted = self.space.canonical(X).astype(keys.dtype)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, at, -1).astype(np.int64)

    def _column(self, name: str, X: IntArray, rows: IntArray, seed: int | None) -> FloatArray:
        """Values of one objective; one of the repeats for a seed, their mean without."""
        if name not in self.table.columns:
            return self.space.cost(X, name)
        values = np.asarray(self.table.column(name)[rows], dtype=np.float64)
        if values.ndim == 2:
            trainings = np.isfinite(values).sum(axis=1)  # they come first, the rest of the row is NaN
            if seed is None:
                values = np.where(np.isfinite(values), values, 0.0).sum(axis=1) / np.maximum(trainings, 1)
                values[trainings == 0] = np.nan
            else:
                values = values[np.arange(len(rows)), repeat_of(rows, seed, np.maximum(trainings, 1))]
        return np.where(rows >= 0, values, np.nan)

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

    def reference(self) -> Reference | None:
        """Return the exact front of the searched columns (repeats averaged) where the space can be enumerated."""
        candidates = self.candidates()
        return None if candidates is None else candidates.reference()

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


def _lacks_values(values: NDArray[Any]) -> bool:
    """Whether a row of a column ``(n,)`` or ``(n, repeats)`` has no value."""
    missing = np.isnan(values)
    return bool((missing if missing.ndim == 1 else missing.all(axis=1)).any())


def repeat_of(rows: IntArray, seed: int, n_repeats: int | IntArray) -> IntArray:
    """Choose which of the recorded trainings ``(n,)`` a seed sees, independently for each architecture.

    `n_repeats` is their number, for all architectures alike or one for each ``(n,)``.
    """
    mixed = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= np.uint64(((seed & 0xFFFFFFFF) * 0xC2B2AE3D27D4EB4F) & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(33)) % np.asarray(n_repeats, dtype=np.uint64), dtype=np.int64)


#: Functions of the user's are asked about whole spaces up to this size only.
SMALL = 100_000


class CallableBenchmark(Benchmark):
    """Your own function as a benchmark.

    Args:
        space: The space to search.
        function: Maps genotypes ``(n, n_var)`` and a seed to objectives ``(n, n_obj)``, minimised.
        objectives: What the function returns, in order; cheap ones must be among `space.costs`.
        dataset: Name for logs and reports.
        front: The exact front ``(k, n_obj)`` where it is known.
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

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Call the function."""
        F = np.asarray(self._function(X, seed), dtype=np.float64).reshape(len(X), len(self.objectives))
        return Evaluation(F, np.zeros(len(X)), tuple("" if np.isfinite(f).all() else "not finite" for f in F))

    def report(self, X: IntArray) -> FloatArray:
        """Call the function with seed 0."""
        return self.evaluate(X, 0).F

    def reference(self) -> Reference | None:
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
BENCHMARKS: Registry[Benchmark] = Registry("benchmark", "bench.data")


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
        from bench.constraints import constrain

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
        from bench.train.options import open_trained

        return open_trained(space, chosen, objectives)
    if chosen.startswith(SUPERNET):
        from bench.train.supernet_options import open_supernet

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
