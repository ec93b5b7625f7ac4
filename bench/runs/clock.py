"""Training time as a budget: what a run may spend, and where that ends it.

As in the published loops of NAS-Bench-101, a run is over with the first evaluation that takes the sum beyond the
budget: that one was paid for, is in the log and in the front, and is the last. Of a batch what comes after it is not
evaluated. What is read off at a training time, the budget too, counts what was finished by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.errors import Unusable
from smemnas.bench.runs.evaluation import evaluate
from smemnas.bench.runs.history import Row
from smemnas.spaces.base import IntArray

#: A method may ask this often for what is known before it counts as stuck, where no number of evaluations says it.
PATIENCE = 100

#: Whether a run or a training is to end, given what is done of it: a caller whose own time is up says so.
Ends = Callable[[int], bool]


class Clock:
    """What a run has spent of its training time.

    Args:
        limit: Seconds that it may spend; 0 is no limit, and then no row has a time.
        ends: Asked before evaluations that are not logged yet, with the evaluations so far; True ends the run.

    Attributes:
        limit: That.
        spent: Seconds so far.
        ended: Whether the caller ended the run.
    """

    def __init__(self, limit: float, ends: Ends | None = None) -> None:
        self.limit, self.ends = limit, ends
        self.spent = 0.0
        self.ended = False

    @property
    def over(self) -> bool:
        """Whether the budget is passed, or the caller ended the run."""
        return self.ended or 0.0 < self.limit < self.spent

    def patience(self, budget: int, known: int) -> int:
        """Return for how many paid evaluations a method may ask, where `known` are paid and `budget` is the most."""
        return min(budget, known + PATIENCE) if self.limit else budget

    def charge(self, rows: Sequence[Row], path: Path) -> list[Row]:
        """Spend the time of logged rows and return them up to the one that passes the budget.

        Raises:
            Unusable: A row has no time although that is the budget, or the other way round.
        """
        taken = []
        for row in rows:
            if self.over:
                break
            if (row.seconds is None) == bool(self.limit):
                odd = "has no training time" if self.limit else "has a training time, which is not the budget"
                raise Unusable(f"{path}: evaluation {row.i} {odd}", "choose another --out, or --overwrite it.")
            self.spent += row.seconds or 0.0
            taken.append(row)
        return taken

    def evaluate(self, benchmark: Benchmark, X: IntArray, seed: int, first: int, judged: bool, path: Path) -> list[Row]:
        """Evaluate genotypes ``(n, n_var)`` in their order, see `bench.runs.evaluation`, up to the end of the budget.

        What costs real time is evaluated so many at a time as run side by side, and not beyond the end.
        """
        if not self.limit and self.ends is None:
            return evaluate(benchmark, X, seed, first, judged)
        rows: list[Row] = []
        step = benchmark.at_once or (len(X) if self.ends is None else 1)
        for start in range(0, len(X), step):
            self.ended = self.ended or (self.ends is not None and self.ends(first + len(rows)))
            if self.over:
                break
            part = evaluate(benchmark, X[start : start + step], seed, first + len(rows), judged, timed=bool(self.limit))
            rows += self.charge(part, path)
        return rows
