"""Where methods are compared: a space, a data set, objectives and what bounds and measures them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import unquote

from smemnas.bench.benchmarks.base import Benchmark, reference_front
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.outcomes import Reference


@dataclass(frozen=True)
class Case:
    """One benchmark: where the variants are compared. An empty dataset or no objectives: the default."""

    space: str
    dataset: str = ""
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    #: Whether a partial table is searched among its own architectures; `check_plan` says.
    listed: bool = False
    #: By what it is measured, where that is given, see `bench.benchmarks.given_reference`.
    reference: str = ""
    #: With what every method begins, see `methods.start`; "": each with its own.
    start: str = ""

    @property
    def place(self) -> str:
        """Space and data set, as a reader is shown them: paths in a data set's name with their slashes."""
        return f"{self.space}/{unquote(self.dataset)}"

    @property
    def given(self) -> dict[str, Any]:
        """What else tells it from a problem of the same names, each only where given: a column of a table."""
        entry = {"listed": self.listed, "reference": self.reference, "start": self.start}
        return {name: value for name, value in entry.items() if value}

    def __str__(self) -> str:
        limits = f"; {', '.join(self.constraints)}" if self.constraints else ""
        begun = f"; start {self.start}" if self.start else ""
        measured = f"; reference {self.reference}" if self.reference else ""
        return (
            f"{self.place} ({', '.join(self.objectives)}{limits}{'; listed' if self.listed else ''}{measured}{begun})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; constraints, a restriction, a reference and a start enter only where given."""
        limits = {"constraints": list(self.constraints)} if self.constraints else {}
        entry = {"space": self.space, "dataset": self.dataset, "objectives": list(self.objectives), **limits}
        return {**entry, **self.given}


@cache
def benchmark_of(case: Case) -> Benchmark:
    """Return a case's benchmark, opened once per process."""
    place = case.space, case.dataset or None, case.objectives, case.constraints
    if case.reference or case.start:
        return benchmark_of(replace(case, reference="", start=""))
    if case.listed:
        return open_benchmark(*place)
    benchmark = benchmark_of(replace(case, listed=True))  # the same where there is nothing to restrict
    return benchmark if benchmark.listed is None else open_benchmark(*place, full_space=True)


@cache
def known_reference(case: Case) -> Reference | None:
    """Return the reference front that a case's data knows, computed once per process."""
    if case.start:
        return known_reference(replace(case, start=""))
    benchmark = benchmark_of(case)
    return measured_by(reference_front(benchmark), case.reference, benchmark)
