"""The picture of one run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.colours import BLUE, GREY, ORANGE
from smemnas.bench.runs.job import short_place
from smemnas.spaces.base import FloatArray

if TYPE_CHECKING:
    from smemnas.bench.runs.result import Result

#: With more objectives than these a picture shows each against the first alone: all pairs of 12 would be 66.
ALL_PAIRS = 6
#: Characters of a title's line over one picture.
TITLE = 80


def draw_run(result: Result, reference: Reference | None) -> Any:
    """Draw all feasible evaluations, the front found and the reference front; for one objective the best so far.

    Under noise the true values of what is reported are drawn beside those that were observed.
    Several objectives are drawn in pairs, see `ALL_PAIRS`.

    Returns:
        A matplotlib figure, which is known to no window and no notebook.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    objectives = result.benchmark.objectives
    F = np.where(result.feasible[:, None], result.F, np.inf)
    seconds = range(len(objectives) if len(objectives) <= ALL_PAIRS else 1)
    pairs = [(a, b) for a in range(len(objectives)) for b in seconds if b < a] or [(0, 0)]
    columns = min(3, len(pairs))
    lines = -(-len(pairs) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (a, b) in zip(figure.subplots(lines, columns, squeeze=False).flat, pairs, strict=False):
        if len(objectives) == 1:
            _draw_progress(axes, F[:, 0], objectives[0], reference)
        else:
            _draw_pair(axes, F, result.front.F, (a, b), objectives, reference)
            if result.benchmark.noisy and len(result.front.X):
                true = result.benchmark.true_values(result.front.X)
                axes.plot(true[:, a], true[:, b], color=ORANGE, ls="", marker="x", ms=5.5, label="its true values")
        axes.spines[["top", "right"]].set_visible(False)
    for unused in figure.axes[len(pairs) :]:
        unused.set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    job = result.job
    measured = [f"reference {job.reference}"] if job.reference else []
    place = ", ".join([f"{job.label} on {short_place(job.place)}", *job.constraints, *measured])
    title = f"{place}, seed {job.seed}, {len(result.F)} evaluations"
    figure.suptitle(textwrap.fill(title, TITLE * columns), fontsize=11)
    return figure


def _draw_pair(
    axes: Any, F: FloatArray, found: FloatArray, pair: tuple[int, int], objectives: Any, reference: Reference | None
) -> None:
    x, y = pair
    finite = F[np.isfinite(F).all(axis=1)]
    two = F.shape[1] == 2
    axes.scatter(finite[:, x], finite[:, y], s=12, color=GREY, alpha=0.6, linewidths=0, label="evaluated")
    if reference is not None:
        label = "reference front" if reference.exact else "best-known front"
        front = reference.front[np.argsort(reference.front[:, x])]
        axes.plot(front[:, x], front[:, y], color=BLUE, lw=1.4, ls="-" if two else "", marker="o", ms=3.5, label=label)
        _zoom(axes, reference.front[:, y], finite[:, y])
    order = np.argsort(found[:, x])
    axes.plot(
        found[order, x],
        found[order, y],
        color=ORANGE,
        ls="",
        marker="s",
        ms=5.5,
        mfc="none",
        mew=1.4,
        label="front found",
    )
    axes.set_xlabel(axis_label(objectives[x]))
    axes.set_ylabel(axis_label(objectives[y]))


def _zoom(axes: Any, front: FloatArray, values: FloatArray) -> None:
    """Cut off far outliers above the front, which would flatten it; say how many are out of the picture."""
    low, high = float(front.min()), float(front.max())
    top = high + 1.5 * max(high - low, 1e-9)
    above = int((values > top).sum())
    if above:
        axes.set_ylim(low - 0.08 * (top - low), top)
        axes.text(0.99, 0.98, f"{above} above the picture", transform=axes.transAxes, ha="right", va="top", fontsize=8)


def _draw_progress(axes: Any, values: FloatArray, objective: Any, reference: Reference | None) -> None:
    count = np.arange(1, len(values) + 1)
    best = np.minimum.accumulate(values)
    axes.plot(
        count, np.where(np.isfinite(values), values, np.nan), ls="", marker=".", ms=4, color=GREY, label="evaluated"
    )
    axes.step(count, np.where(np.isfinite(best), best, np.nan), where="post", color=ORANGE, label="best so far")
    if reference is not None:
        axes.axhline(float(reference.ideal[0]), color=BLUE, lw=1.2, label="best in the space")
        spread = float(np.nanmedian(values[np.isfinite(values)])) if np.isfinite(values).any() else 1.0
        axes.set_ylim(top=max(spread, float(reference.ideal[0])) * 1.3)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(axis_label(objective))


def axis_label(objective: Any) -> str:
    """Return "name (unit)"."""
    return f"{objective.name} ({objective.unit})"
