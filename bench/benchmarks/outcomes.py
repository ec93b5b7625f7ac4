"""What a benchmark answers: evaluations, candidates for the best, and the reference front among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.display import counted, figure
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.metrics.indicators import Box, front_rows
from smemnas.spaces.base import FloatArray, IntArray, Objective, SearchSpace


class Evaluation(NamedTuple):
    """Outcome of evaluating ``n`` architectures.

    Attributes:
        F: Objectives ``(n, n_obj)``, minimised; NaN where an evaluation failed.
        seconds: Cost of each evaluation ``(n,)`` in seconds: measured, or the training time that a table records for
            the very training it answers with; NaN where it records none for a row, 0 where it records no times.
        errors: Reason of each failure, "" where there is none.
    """

    F: FloatArray
    seconds: FloatArray
    errors: tuple[str, ...]

    def __repr__(self) -> str:
        failed = sum(map(bool, self.errors))
        return f"<Evaluation of {counted(len(self.F), 'architecture')}, {failed:,} failed>"


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
        box: Where ideal, nadir and reference point were given, what everything is normalised by; else None.
        report_box: What the test split is normalised by where that is another box, see `tested_box`.
    """

    front: FloatArray
    ideal: FloatArray
    nadir: FloatArray
    exact: bool
    report_front: FloatArray
    report_best: FloatArray
    box: Box | None = None
    report_box: Box | None = None

    @property
    def tested_box(self) -> Box | None:
        """What values of the test split are normalised by; None takes the corners of `report_best`."""
        return self.box if self.report_box is None else self.report_box

    def __repr__(self) -> str:
        ends = zip(self.ideal.tolist(), self.nadir.tolist(), strict=True)
        spans = ", ".join(f"{figure(low)} to {figure(high)}" for low, high in ends)
        kind = "exact" if self.exact else "best known"
        return f"<Reference front of {counted(len(self.front), 'point')}, {kind}: {spans}>"


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

    def __repr__(self) -> str:
        return f"<Candidates: {counted(len(self.X), 'architecture')}, {'all' if self.exact else 'the best known'}>"

    def reference(self) -> Reference | None:
        """Return the front of the searched objectives; None where nothing has all of them."""
        front = front_rows(self.F)
        if len(front) == 0:
            return None
        F, best = self.F[front], self.tested[front_rows(self.tested)]
        return Reference(F, F.min(axis=0), F.max(axis=0), self.exact, self.tested[front], best)


def objective_values(answer: Any, n: int, names: Sequence[str], place: str) -> FloatArray:
    """Return what a user's function answered for ``n`` architectures as its own array ``(n, n_obj)``.

    Raises:
        UserError: It has another shape (but ``(n,)`` for one objective), or holds something else than real numbers.
    """
    wanted = (n, len(names))
    try:
        F = np.empty(0) if np.iscomplexobj(answer) else np.array(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        F = np.empty(0)  # no real numbers
    if F.shape == wanted or (wanted[1] == 1 and F.shape == wanted[:1]):
        return F.reshape(wanted)
    shape = getattr(answer, "shape", F.shape)
    came = type(answer).__name__ + (f" of shape {shape}" if answer is not None else "")
    turned = " Its rows are columns: return np.stack([...], axis=1)." if F.shape == wanted[::-1] else ""
    raise UserError(
        f"the function of {place} must return real numbers of shape {wanted}, a row for each architecture and a column "
        f"for each objective ({', '.join(names)}); got {came}.{turned}"
    )


def require_costs(space: SearchSpace, objectives: Sequence[Objective]) -> None:
    """Check that a space computes all objectives that are said to be free.

    Raises:
        UserError: It does not compute one.
    """
    costs = [c.name for c in space.costs]
    for objective in objectives:
        if objective.cheap and objective.name not in costs:
            raise UserError(
                f"objective {objective.name!r} is said to be free, but space {space.name!r} computes no such cost: "
                f"declare it with cheap=False.{suggest(objective.name, costs)}"
            )
