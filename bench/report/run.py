"""What one run found: summary.json, front.csv and front.png in its folder."""

from __future__ import annotations

import csv
import hashlib
import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.files import write_json, write_text
from smemnas.bench.metrics.indicators import (
    REFERENCE_POINT,
    hypervolume_regret,
    hypervolumes,
    igd_plus,
    is_approximated,
    nondominated,
)
from smemnas.bench.report.figure_file import save_figure
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.runs.run import Result
from smemnas.spaces.base import FloatArray, IntArray

#: Okabe-Ito colours, distinguishable with any colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
#: What readers of approximated hypervolumes are told.
APPROXIMATED = (
    "Hypervolumes of so many points and objectives are approximated (Deng and Zhang 2019, fixed directions: a regret "
    "is off by some 0.003), since exact ones would take too long."
)
#: With more objectives than these a picture shows each against the first alone: all pairs of 12 would be 66.
ALL_PAIRS = 6
#: Characters of a title's line over one picture.
TITLE = 80


def front_of(result: Result) -> tuple[IntArray, FloatArray]:
    """Return the run's non-dominated feasible genotypes ``(k, n_var)`` and objectives, by the first objective."""
    feasible = np.flatnonzero(result.feasible)
    keep = feasible[nondominated(result.F[feasible])] if len(feasible) else feasible
    F = result.F[keep]
    order = np.lexsort(F.T[::-1]) if len(F) else np.arange(0)
    return result.X[keep][order], F[order]


def summarise(result: Result, benchmark: Benchmark, reference: Reference | None) -> dict[str, Any]:
    """Return what the run achieved, with the conventions that make the numbers comparable."""
    job = result.job
    X, F = front_of(result)
    failed = int((~np.isfinite(result.F).all(axis=1)).sum()) if len(result.F) else 0
    infeasible = int((~result.feasible).sum()) - failed
    summary: dict[str, Any] = {
        "method": job.label,
        "space": job.space,
        "dataset": job.dataset,
        "objectives": list(job.objectives),
        "reported": list(benchmark.report_names),
        "seed": job.seed,
        "budget": job.budget,
        "evaluations": len(result.F),
        "failed": failed,
        **({"constraints": list(job.constraints), "infeasible": infeasible} if job.constraints else {}),
        "front_size": len(F),
        "notes": [*notes_of(benchmark), *([result.note] if result.note else [])],
    }
    if reference is not None and len(F):
        box = reference.box
        corner = reference.nadir if box is None else box.stretched()
        point = REFERENCE_POINT if box is None else box.point
        unit = (point / REFERENCE_POINT) ** len(corner)
        found = np.where(result.feasible[:, None], result.F, np.inf)
        rough = is_approximated(found, reference.front, box)
        mine, whole, _ = hypervolumes(F, reference.front, box, rough)
        summary["hypervolume"] = unit * mine
        summary["hypervolume_of_reference"] = unit * whole
        summary["hypervolume_regret"] = 1.0 - mine / whole
        if rough:
            summary["hypervolume_approximated"] = True
            summary["notes"].append(APPROXIMATED)
        summary["igd_plus"] = igd_plus(F, reference.front, box)
        summary["reference"] = {
            "exact": reference.exact,
            "points": len(reference.front),
            "sha256": hashlib.sha256(np.ascontiguousarray(reference.front).tobytes()).hexdigest(),
            "ideal": reference.ideal.tolist(),
            "nadir": reference.nadir.tolist(),
            "reference_point": point,
            **({"given": job.reference} if box is not None else {}),
        }
        if benchmark.report_names != tuple(job.objectives) and len(reference.report_best):
            summary["reported_regret"] = hypervolume_regret(benchmark.report(X), reference.report_best, box)
            floor = hypervolume_regret(reference.report_front, reference.report_best, box)
            summary["reported_regret_floor"] = floor
    return summary


def write_report(folder: Path, result: Result, benchmark: Benchmark) -> dict[str, Any]:
    """Write front.csv, summary.json and front.png into the run's folder and return the summary.

    What was found comes first. The indicators, which may take a while, follow in a second summary.

    Raises:
        RunError: A file cannot be written.
    """
    X, F = front_of(result)
    reported = benchmark.report(X) if len(X) else F
    write_text(folder / "front.csv", front_csv(benchmark, X, F, reported))
    write_json(folder / "summary.json", summarise(result, benchmark, None))
    reference = measured_by(benchmark.reference(), result.job.reference, benchmark)
    summary = summarise(result, benchmark, reference)
    plot_run(folder / "front.png", result, benchmark, reference)
    write_json(folder / "summary.json", summary)
    return summary


def front_csv(benchmark: Benchmark, X: IntArray, F: FloatArray, reported: FloatArray) -> str:
    """Return the front as CSV: architecture, searched objectives, reported values where they differ, genes."""
    names = [o.name for o in benchmark.objectives]
    extra = [j for j, name in enumerate(benchmark.report_names) if name != names[j]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", *names, *(benchmark.report_names[j] for j in extra), "x"])
    for x, f, r in zip(X, F, reported, strict=True):
        genes = " ".join(str(int(v)) for v in x)
        writer.writerow([benchmark.space.to_str(x), *f.tolist(), *(r[j] for j in extra), genes])
    return text.getvalue()


def plot_run(file: Path, result: Result, benchmark: Benchmark, reference: Reference | None) -> None:
    """Draw all feasible evaluations, the front found and the reference front; for one objective the best so far.

    Several objectives are drawn in pairs, see `ALL_PAIRS`.

    Raises:
        RunError: The picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    objectives = benchmark.objectives
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
            _draw_pair(axes, F, (a, b), objectives, reference)
        axes.spines[["top", "right"]].set_visible(False)
    for unused in figure.axes[len(pairs) :]:
        unused.set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    job = result.job
    measured = [f"reference {job.reference}"] if job.reference else []
    place = ", ".join([f"{job.label} on {job.place}", *job.constraints, *measured])
    title = f"{place}, seed {job.seed}, {len(result.F)} evaluations"
    figure.suptitle(textwrap.fill(title, TITLE * columns), fontsize=11)
    save_figure(figure, file, dpi=120)


def _draw_pair(axes: Any, F: FloatArray, pair: tuple[int, int], objectives: Any, reference: Reference | None) -> None:
    x, y = pair
    finite = F[np.isfinite(F).all(axis=1)]
    found = finite[nondominated(finite)] if len(finite) else finite
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


def read_summary(folder: Path) -> Mapping[str, Any] | None:
    """Return the summary of a finished run, or None."""
    import json

    file = folder / "summary.json"
    if not file.exists():
        return None
    summary: Mapping[str, Any] = json.loads(file.read_bytes())
    return summary
