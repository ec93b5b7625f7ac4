"""Look-ups in a table as a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.lookup import lacks_values, rows_of, values_of
from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.timed import time_column
from smemnas.bench.errors import DataError
from smemnas.spaces.base import FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.listed import ListedSpace


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
    gaps_are_known = True

    def __init__(self, space: SearchSpace, table: Table, objectives: Sequence[str] = ()) -> None:
        self.space = space
        self.table = table
        self.dataset = str(table.header["dataset"])
        self.notes = tuple(table.header.get("notes", ()))
        self.aliases = dict(table.header.get("aliases", {}))
        columns = table.columns
        searchable = {n: Objective(n, c["unit"], False) for n, c in columns.items() if c["role"] == "objective"}
        self.objectives = choose_objectives(
            f"{space.name}/{self.dataset}",
            objectives,
            {**{c.name: c for c in space.costs}, **searchable},
            default=table.header["default_objectives"],
            aliases=self.aliases,
            tested=[name for name, c in columns.items() if c["role"] == "report"],
        )
        self.report_names = tuple(
            str(columns[o.name].get("report", o.name)) if o.name in searchable else o.name for o in self.objectives
        )
        self._time = time_column(table.columns, [o.name for o in self.objectives])
        self.timed = bool(self._time)
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
        seconds = values_of(self.table.column(self._time), rows, seed) if self._time else np.zeros(len(X))
        if not bad.any():
            return Evaluation(F, seconds, ("",) * len(X))
        texts = np.array(["", *(f"no value of {o.name} in the table" for o in self.objectives)], dtype=object)
        errors = texts[np.where(bad.any(axis=1), 1 + bad.argmax(axis=1), 0)]
        return Evaluation(F, seconds, tuple(errors.tolist()))

    def true_values(self, X: IntArray) -> FloatArray:
        """Look up the searched columns, averaged over trainings."""
        rows = self.rows(X)
        return np.stack([self._column(o.name, X, rows, None) for o in self.objectives], axis=1)

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
        return {"table": self.table.header["name"], "sha256": self.table.identity}
