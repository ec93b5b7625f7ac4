"""The main table of a study as a notebook shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smemnas.bench.display import html_table
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import SIGNIFICANCE, WORSE

if TYPE_CHECKING:
    from smemnas.bench.studies.tables import StudyRow, Tables

HEAD = ("problem", "method", "runs", "regret", "95 % interval", "p (Holm)", "beside the best")


def html(tables: Tables, title: str, notes: Sequence[str] = ()) -> str:
    """Return the mean regret of each method on each problem after the whole budget, as an HTML table."""
    end, baseline = tables.plan.end, tables.plan.baseline
    rows = [(r.case, r.variant, r.n, *_regret(r.regret), _p(r, baseline), _mark(r)) for r in tables.rows if r.at == end]
    return html_table(HEAD, rows, title=title, notes=(f"after {tables.plan.after(end)}", *notes))


def _regret(regret: Interval) -> tuple[str, str]:
    """Return a mean and its interval as texts, "-" where there is none."""
    value, low, high = (f"{x:.4f}" if math.isfinite(x) else "-" for x in regret)
    return value, f"{low} to {high}"


def _p(row: StudyRow, baseline: str) -> str:
    if row.against is None:
        return "baseline" if row.variant == baseline else "-"
    return f"{row.against.p_holm:.3g}" if math.isfinite(row.against.p_holm) else "-"


def _mark(row: StudyRow) -> str:
    """Return the mark of a row in words: what is significantly worse than the best has none of its own."""
    return row.mark or (WORSE if row.p_best < SIGNIFICANCE else "-")
