"""What a finished run gives: all evaluations, and its front, as numbers, a table and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.display import counted, figure, html_table
from smemnas.bench.metrics.indicators import front_rows
from smemnas.bench.runs.job import Job, short_place
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.runs.reported import ReportedSet
from smemnas.bench.values import LARGEST_BUDGET, duration_text
from smemnas.spaces.base import FloatArray, IntArray, Objective

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def done_of(n: int, job: Job, seconds: Mapping[str, float]) -> str:
    """Return how much of its budget a run of `n` evaluations spent: "98 of 340 evaluations, 2h3m of 2h of training"."""
    if not job.budget_time:
        return f"{n:,} of {counted(job.budget, 'evaluation')}"
    count = counted(n, "evaluation") if job.budget == LARGEST_BUDGET else f"{n:,} of {job.budget:,} evaluations"
    return f"{count}, {duration_text(seconds['training'])} of {duration_text(job.budget_time)} of training"


@dataclass(frozen=True, repr=False, eq=False)
class Front:
    """Non-dominated architectures, by their first objective; iterates over (name, values).

    Attributes:
        archs: Names ``(k,)``.
        X: Genotypes ``(k, n_var)``.
        F: Objectives ``(k, n_obj)``, minimised.
        objectives: What they are.
    """

    archs: tuple[str, ...]
    X: IntArray
    F: FloatArray
    objectives: tuple[Objective, ...]

    def __len__(self) -> int:
        return len(self.archs)

    def __iter__(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        return iter([(arch, tuple(values)) for arch, values in zip(self.archs, self.F.tolist(), strict=True)])

    def frame(self) -> pd.DataFrame:
        """Return one row per architecture: its name ``arch`` and the objectives under their names."""
        import pandas as pd

        values = {o.name: self.F[:, j] for j, o in enumerate(self.objectives)}
        return pd.DataFrame({"arch": list(self.archs), **values})

    def __repr__(self) -> str:
        return f"<Front of {self._summary()}>"

    def _summary(self) -> str:
        if not len(self):
            return "no architectures"
        ends = zip(self.objectives, self.F.min(axis=0).tolist(), self.F.max(axis=0).tolist(), strict=True)
        spans = [f"{o.name} {figure(low)} to {figure(high)} {o.unit}".rstrip() for o, low, high in ends]
        return f"{counted(len(self), 'architecture')}: {', '.join(spans)}"

    def _repr_html_(self) -> str:
        return self.table()

    def table(self, title: str = "", notes: tuple[str, ...] = (), remarks: tuple[str, ...] = ()) -> str:
        """Return it as an HTML table under a title, with a column of remarks where there are any."""
        said = [[text] for text in remarks] or [[]] * len(self)
        head = [f"{o.name} ({o.unit})" if o.unit else o.name for o in self.objectives]
        head += ["remark", "architecture"] if remarks else ["architecture"]
        rows = [[*map(figure, values), *remark, arch] for (arch, values), remark in zip(self, said, strict=True)]
        return html_table(head, rows, title=title or f"Front of {counted(len(self), 'architecture')}", notes=notes)


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What a finished run gives.

    Attributes:
        job: The job.
        X: Evaluated genotypes ``(n, n_var)`` in ask order.
        F: Their objectives ``(n, n_obj)``; +inf rows failed.
        feasible: Which of them satisfy the constraints ``(n,)``; all where there are none.
        seconds: Wall time of this process's part: total, in ask and tell, in evaluations; "training" is the training
            time of all evaluations, where that is the budget.
        note: What a reader must know about how the run came about, and why it ended before its budget was spent
            ("" for an ordinary one).
        benchmark: What evaluated them.
        folder: Its folder.
        summary: What was measured of it, as in `summary.json`; empty until a report was written.
        recommended: What the method recommended, where evaluations are noisy and it does.
    """

    job: Job
    X: IntArray
    F: FloatArray
    feasible: NDArray[np.bool_]
    seconds: Mapping[str, float]
    note: str
    benchmark: Benchmark
    folder: Path
    summary: Mapping[str, Any] = field(default_factory=dict)
    recommended: Sequence[ReportedSet] = ()

    @cached_property
    def front(self) -> Front:
        """The non-dominated feasible architectures, or those that the method recommends, computed once."""
        feasible = np.flatnonzero(self.feasible)
        keep = feasible[front_rows(self.F[feasible])]
        if self.recommended:
            chosen = self.recommended[-1].rows
            keep = chosen[np.lexsort(self.F[chosen].T[::-1])]
        X = self.X[keep]
        return Front(tuple(map(self.benchmark.space.to_str, X)), X, self.F[keep], self.benchmark.objectives)

    def with_summary(self, summary: Mapping[str, Any]) -> Result:
        """Return the same result with what was measured of it."""
        other = replace(self, summary=summary)
        vars(other)["front"] = self.front
        return other

    def plot(self) -> Figure:
        """Return a picture of all evaluations, the front found and the reference front, where one is known.

        A notebook shows it where it is the last value of a cell; `savefig` writes it.
        """
        from smemnas.bench.benchmarks.given_reference import measured_by
        from smemnas.bench.display import notebook_picture
        from smemnas.bench.runs.picture import draw_run

        reference = measured_by(self.benchmark.reference(), self.job.reference, self.benchmark)
        drawn: Figure = notebook_picture(lambda: draw_run(self, reference))
        return drawn

    def __repr__(self) -> str:
        return f"<Result of {self._title()}: {self._done()}, front of {counted(len(self.front), 'architecture')}>"

    def _repr_html_(self) -> str:
        quality = [self._quality()] if "hypervolume" in self.summary else []
        notes = (f"{self._done()} in {self.folder}", *quality, *notes_of(self.benchmark), *filter(None, (self.note,)))
        return self.front.table(f"Front of {self._title()}", notes, self.benchmark.remarked(self.front.X))

    def _title(self) -> str:
        place = f"{self.job.label} on {short_place(self.job.place)}"
        return f"{', '.join([place, *self.job.constraints])}, seed {self.job.seed}"

    def _done(self) -> str:
        failed = int((~np.isfinite(self.F).all(axis=1)).sum()) if len(self.F) else 0
        return f"{done_of(len(self.F), self.job, self.seconds)}{f', {failed:,} failed' * bool(failed)}"

    def _quality(self) -> str:
        found, whole = self.summary["hypervolume"], self.summary["hypervolume_of_reference"]
        return f"hypervolume {found:.4f} of {whole:.4f} (regret {self.summary['hypervolume_regret']:.4f})"
