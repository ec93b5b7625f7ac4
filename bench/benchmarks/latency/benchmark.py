"""DATASET+latency=FILE: any data set with the latency of a measured table as a free objective."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.latency.table import LatencyFile, read_latency
from smemnas.bench.benchmarks.latency.terms import measuring_command, sum_of
from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation, Reference
from smemnas.bench.benchmarks.wrapping import WrappingBenchmark
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.listed import ListedSpace
from smemnas.spaces.view import SpaceView

NAME = "latency"
LATENCY = Objective(NAME, "ms", True)
#: Predictions are rounded to this many decimals of a ms, so that the last bits of a sum never enter a log.
DECIMALS = 6


class LatencySpace(SpaceView):
    """Another space's view whose architectures have a latency too.

    Args:
        space: The space.
        table: Measured on its blocks.
        path: The table's file, for messages.

    Raises:
        UserError: The table was measured on other networks, or the space has a latency already.
        DataError: The table lacks a block.
    """

    def __init__(self, space: SearchSpace, table: LatencyFile, path: Path) -> None:
        super().__init__(space)
        if any(c.name == NAME for c in space.costs):
            raise UserError(f"{space.name} has a latency of its own with this data set: leave --latency out.")
        form = sum_of(space)
        _check_shape(form.shape, table.space, path)
        missing = [key for key in form.keys if key not in table.blocks]
        if missing:
            raise DataError(
                f"the latency table {path} lacks {len(missing)} of {len(form.keys)} blocks, the first is "
                f"{missing[0]!r}: measure it again with `{measuring_command(form.shape)}`."
            )
        self.costs = (*space.costs, LATENCY)
        self._values = np.array([*(table.value(key) for key in form.keys), 0.0])
        self._overhead, self._form = table.overhead, form

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return the predicted latency ``(n,)`` in ms, or a cost of the space."""
        if name != NAME:
            return super().cost(X, name)
        X = np.asarray(X, dtype=np.int64)
        return np.asarray(np.round(self._overhead + self._values[self._form.terms(X)] @ self._form.times, DECIMALS))

    def __reduce__(self) -> Any:
        """Pickle without the functions in it."""
        return _again, (self._inner, self._values, self._overhead, self.costs)


def _again(space: SearchSpace, values: FloatArray, overhead: float, costs: tuple[Objective, ...]) -> LatencySpace:
    """Return a view that was pickled."""
    made = LatencySpace.__new__(LatencySpace)
    SpaceView.__init__(made, space)
    made.costs, made._values, made._overhead, made._form = costs, values, overhead, sum_of(space)
    return made


def _check_shape(wanted: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    """Refuse a table of other networks.

    Raises:
        UserError: It is one; the message says what differs.
    """
    for key, value in wanted.items():
        other = found.get(key)
        same = set(value) <= set(other) if key == "resolutions" and isinstance(other, list) else other == value
        if not same:
            raise UserError(
                f"the latency table {path} was measured on {found.get('name')} with {key} {_text(other)}, this space "
                f"has {key} {_text(value)}: `{measuring_command(wanted)}` measures one for this space."
            )


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


class LatencyBenchmark(WrappingBenchmark):
    """A benchmark with a latency beside its objectives.

    Args:
        opened: Function that opens the benchmark without latency for some objectives.
        objectives: Any of its own and "latency"; empty means its first one and "latency".
        path: File of the table.

    Raises:
        UserError: An objective is unknown, or the table was measured on other networks.
        DataError: The table cannot be read.
    """

    def __init__(self, opened: Callable[[Sequence[str]], Benchmark], objectives: Sequence[str], path: Path) -> None:
        table = read_latency(path)
        base = opened([name for name in objectives if name != NAME])
        mine = objectives or (base.objectives[0].name, NAME)
        self._path = path
        super().__init__(base, named_with_latency(base.dataset, path))
        self.space = LatencySpace(base.space, table, path)
        known = {o.name: o for o in (*base.objectives, LATENCY)}
        self.objectives = choose_objectives(
            f"{base.space.name}/{base.dataset}", mine, known, default=(), aliases=base.aliases
        )
        reported = dict(zip((o.name for o in base.objectives), base.report_names, strict=True))
        self.report_names = tuple(reported.get(o.name, o.name) for o in self.objectives)
        self._columns = [
            [o.name for o in base.objectives].index(o.name) if o != LATENCY else -1 for o in self.objectives
        ]
        self._sha256 = table.sha256
        self._told = latency_notes(table)
        self._adopt(base)

    def _adopt(self, base: Benchmark) -> None:
        """Stand around a benchmark of the same objectives, with or without noise."""
        self._base = base
        self.dataset = named_with_latency(base.dataset, self._path)
        self.noisy, self.deviations = base.noisy, base.deviations
        self.notes = (*base.notes, *self._told)

    @property
    def plain(self) -> Benchmark:
        """The same without noise, under the same constraints."""
        if not self.noisy:
            return self
        made = copy.copy(self)
        made._adopt(self._bounded.plain)
        return made

    @property
    def at_once(self) -> int:  # type: ignore[override]
        """As many as without latency."""
        return self._base.at_once

    @property
    def _bounded(self) -> Benchmark:
        """The benchmark without latency, with the constraints that it knows and the same share of its space."""
        base = copy.copy(self._base)
        names = [o.name for o in base.objectives]
        base.constraints = tuple(
            c._replace(objective=names.index(c.name) if c.name in names else -1)
            for c in self.constraints
            if c.name != NAME
        )
        base.full_space = self.full_space
        return base

    @property
    def listed(self) -> ListedSpace | None:
        """What the benchmark without latency lists, with latency."""
        found = self._bounded.listed
        return None if found is None else ListedSpace(self.space, found.rows)

    def _with_latency(self, X: IntArray, F: FloatArray) -> FloatArray:
        """Return the objectives ``(n, n_obj)`` given those without latency."""
        if -1 not in self._columns:
            return F[:, self._columns]
        latency = self.space.cost(X, NAME)
        return np.stack([latency if c < 0 else F[:, c] for c in self._columns], axis=1)

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Evaluate as without latency, and predict it."""
        outcome = self._base.evaluate(X, seed)
        return outcome._replace(F=self._with_latency(X, outcome.F))

    def true_values(self, X: IntArray) -> FloatArray:
        """Return the searched objectives ``(n, n_obj)``, averaged over trainings."""
        return self._with_latency(X, self._base.true_values(X))

    def report(self, X: IntArray) -> FloatArray:
        """Return the values of the test split, and the same latency."""
        return self._with_latency(X, self._base.report(X))

    def whole_reference(self) -> Reference | None:
        """Return the front of what is known, or None where nothing is."""
        candidates = self.candidates()
        return None if candidates is None else candidates.reference()

    def candidates(self) -> Candidates | None:
        """Return what the benchmark without latency knows, with latency."""
        found = self._base.candidates()
        if found is None:
            return None
        F, tested = (self._with_latency(found.X, values) for values in (found.F, found.tested))
        return found._replace(F=F, tested=tested)

    @property
    def measurable(self) -> tuple[Objective, ...]:
        """Quantities beside the objectives, as without latency."""
        names = {o.name for o in self.objectives}
        return tuple(o for o in self._base.measurable if o.name not in names)

    def provenance(self) -> dict[str, Any]:
        """Return what identifies the data, and the latency table."""
        return {**self._base.provenance(), "latency_sha256": self._sha256}


def latency_notes(table: LatencyFile) -> tuple[str, ...]:
    """Return what a reader of a latency must know: where it was measured, and how well it predicts."""
    where = "another machine than this one" if table.elsewhere else "this machine's processor"
    checks = [
        f"tau {group.tau:.3f}, error {group.error:.1f} % on {len(group.networks)} networks {group.about}"
        for group in table.check.values()
    ]
    compared = "; ".join(checks) if checks else "its predictions were not compared with whole networks (latency check)"
    return (f"latency is a sum of blocks measured on {table.machine} ({where}): {compared}.",)


def with_latency(opened: Callable[[Sequence[str]], Benchmark], objectives: Sequence[str], value: str) -> Benchmark:
    """Open a benchmark with the latency of the table that a data set's name holds.

    Raises:
        UserError: The value names no file, or an objective is unknown.
        DataError: The table cannot be read.
    """
    return LatencyBenchmark(opened, objectives, table_path(unquote(value)))


def table_path(text: str | Path) -> Path:
    """Return the whole path of a table.

    Raises:
        UserError: It is none.
    """
    if not str(text).strip() or "\0" in str(text):
        raise UserError(f"+{NAME}= takes the file of a latency table, got {str(text)!r}.")
    return Path(text).expanduser().absolute()


def named_with_latency(dataset: str, path: str | Path) -> str:
    """Return the name of a data set with the latency of a table."""
    return f"{dataset}+{NAME}={quote(str(table_path(path)), safe='')}"


def without_latency(dataset: str) -> str:
    """Return the name of a data set without a latency table behind it."""
    base, found, _ = dataset.rpartition(f"+{NAME}=")
    return base if found else dataset
