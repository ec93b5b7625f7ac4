"""A benchmark around another one: what it does not change is the other's."""

from __future__ import annotations

from pathlib import Path

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.spaces.base import FloatArray, IntArray


class WrappingBenchmark(Benchmark):
    """Passes on what neither noise nor a further objective changes.

    Args:
        base: The other one.
        dataset: Name of the data set with what is added.
    """

    def __init__(self, base: Benchmark, dataset: str) -> None:
        self.space = base.space
        self.dataset = dataset
        self.objectives = base.objectives
        self.report_names = base.report_names
        self.aliases = base.aliases
        self.recheck, self.recheck_every = base.recheck, base.recheck_every
        self.gaps_are_known, self.timed = base.gaps_are_known, base.timed
        self._base = base

    @property
    def inner(self) -> Benchmark:
        """The other one."""
        return self._base

    def measured(self, X: IntArray, name: str) -> FloatArray:
        """Return values ``(n,)`` of a quantity of `measurable`, as the other one does."""
        return self._base.measured(X, name)

    def remarks(self, X: IntArray) -> tuple[str, ...]:
        """Return what the other one says of each genotype."""
        return self._base.remarks(X)

    def use_folder(self, folder: Path) -> None:
        """Pass the folder on."""
        self._base.use_folder(folder)
