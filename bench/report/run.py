"""What one run found: summary.json, front.csv and front.png in its folder."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.objectives import TRUE
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.files import write_json, write_text
from smemnas.bench.metrics.indicators import (
    REFERENCE_POINT,
    hypervolume_regret,
    hypervolumes,
    igd_plus,
    is_approximated,
)
from smemnas.bench.report.figure_file import save_figure
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.runs.picture import draw_run
from smemnas.bench.runs.result import Result
from smemnas.spaces.base import FloatArray, IntArray

#: What readers of approximated hypervolumes are told.
APPROXIMATED = (
    "Hypervolumes of so many points and objectives are approximated (Deng and Zhang 2019, fixed directions: a regret "
    "is off by some 0.003), since exact ones would take too long."
)


def summarise(result: Result, benchmark: Benchmark, reference: Reference | None) -> dict[str, Any]:
    """Return what the run achieved, with the conventions that make the numbers comparable."""
    job = result.job
    X, F = result.front.X, result.front.F
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
        **({"budget_time": job.budget_time, "training_seconds": result.seconds["training"]} if job.budget_time else {}),
        "evaluations": len(result.F),
        "failed": failed,
        **({"constraints": list(job.constraints), "infeasible": infeasible} if job.constraints else {}),
        "front_size": len(F),
        "notes": [*notes_of(benchmark), *([result.note] if result.note else [])],
    }
    if reference is not None and len(F):
        box, points = reference.box, true_front(result, benchmark)
        corner = reference.nadir if box is None else box.stretched()
        point = REFERENCE_POINT if box is None else box.point
        unit = (point / REFERENCE_POINT) ** len(corner)
        found = np.where(result.feasible[:, None], result.F, np.inf)
        rough = is_approximated(found, reference.front, box)
        mine, whole, _ = hypervolumes(points, reference.front, box, rough)
        summary["hypervolume"] = unit * mine
        summary["hypervolume_of_reference"] = unit * whole
        summary["hypervolume_regret"] = 1.0 - mine / whole
        if rough:
            summary["hypervolume_approximated"] = True
            summary["notes"].append(APPROXIMATED)
        summary["igd_plus"] = igd_plus(points, reference.front, box)
        if benchmark.noisy:
            shown = hypervolume_regret(found, reference.front, box)
            optimism = summary["hypervolume_regret"] - shown
            summary |= {"observed_regret": shown, "optimism": optimism, "recommended": bool(result.recommended)}
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
            best, box = reference.report_best, reference.tested_box
            summary["reported_regret"] = hypervolume_regret(benchmark.report(X), best, box)
            floor = hypervolume_regret(reference.report_front, best, box)
            summary["reported_regret_floor"] = floor
    return summary


def true_front(result: Result, benchmark: Benchmark) -> FloatArray:
    """Return what the members of a result's front are judged by ``(k, n_obj)``: under noise their true values.

    +inf where these break a constraint.
    """
    X, F = result.front.X, result.front.F
    return feasible_only(benchmark, X, benchmark.true_values(X)) if benchmark.noisy and len(X) else F


def write_report(folder: Path, result: Result, benchmark: Benchmark) -> dict[str, Any]:
    """Write front.csv, summary.json and front.png into the run's folder and return the summary.

    What was found comes first. The indicators, which may take a while, follow in a second summary.

    Raises:
        RunError: A file cannot be written.
    """
    X, F = result.front.X, result.front.F
    reported = benchmark.report(X) if len(X) else F
    write_text(folder / "front.csv", front_csv(benchmark, X, F, reported))
    write_json(folder / "summary.json", summarise(result, benchmark, None))
    reference = measured_by(benchmark.reference(), result.job.reference, benchmark)
    summary = summarise(result, benchmark, reference)
    save_figure(draw_run(result, reference), folder / "front.png", dpi=120)
    write_json(folder / "summary.json", summary)
    return summary


def front_csv(benchmark: Benchmark, X: IntArray, F: FloatArray, reported: FloatArray) -> str:
    """Return the front as CSV: architecture, searched objectives, reported values where they differ, genes.

    Under noise the true values of what is searched stand beside what was shown, as ``true_NAME``. Where a benchmark
    says of an architecture whether its value was measured, that is the column ``remark``.
    """
    names = [o.name for o in benchmark.objectives]
    costly = [j for j, o in enumerate(benchmark.objectives) if benchmark.noisy and not o.cheap]
    true = benchmark.true_values(X)[:, costly] if costly and len(X) else np.empty((len(X), len(costly)))
    extra = [j for j, name in enumerate(benchmark.report_names) if name != names[j]]
    remarks = [[text] for text in benchmark.remarked(X)] or [[]] * len(X)
    told = ["remark"] if any(remarks) else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    further = [*(f"{TRUE}{names[j]}" for j in costly), *(benchmark.report_names[j] for j in extra)]
    writer.writerow(["arch", *names, *further, *told, "x"])
    for x, f, t, r, remark in zip(X, F, true, reported, remarks, strict=True):
        genes = " ".join(str(int(v)) for v in x)
        writer.writerow([benchmark.space.to_str(x), *f.tolist(), *t.tolist(), *(r[j] for j in extra), *remark, genes])
    return text.getvalue()
