"""What a study that is running has done so far: progress, failures and regret of each method, read from its folder.

Nothing is written and no lock is taken, so a study can be watched from another machine that sees the folder. What a
finished run left is read once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.errors import Unusable
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.bench.runs.folder import JOB, LOG, read_job, read_status
from smemnas.bench.studies.discovery import expand, read_plans, read_run, walk
from smemnas.bench.studies.execution import DONE, FAILED, MISSING, PLANS, RUNNING, folder_of
from smemnas.bench.studies.labels import Labels, read_labels
from smemnas.bench.values import duration_text

#: Failures and latest runs that are told.
FAILURES, LATEST = 60, 12
#: A run of which nothing was written for so many seconds is silent.
SILENT = 600.0


class Seen(NamedTuple):
    """What a run folder says.

    Attributes:
        status: "done", "failed", "running" or "missing".
        rows: Evaluations in its log.
        reason: Of a failure.
        regret: Of a finished run; NaN where there is none.
        written: When its log was written last, in seconds since 1970; 0 without one.
    """

    status: str
    rows: int
    reason: str
    regret: float
    written: float


class Expected(NamedTuple):
    """Where a run is expected, and what it is of."""

    folder: Path
    case: Case
    method: str
    seed: int
    budget: int
    time: float = 0.0

    @property
    def bound(self) -> str:
        """The budget in words."""
        return f"{duration_text(self.time)} of training" if self.time else f"{self.budget} evaluations"


class Watched:
    """Some folders that are looked at again and again.

    Args:
        paths: Folders of studies or runs.
        labels: What is shown instead of names of methods.
    """

    def __init__(self, paths: Sequence[str], labels: Labels = ()) -> None:
        self._paths = list(paths)
        self._labels = labels
        self._finished: dict[Path, Seen] = {}

    def look(self) -> dict[str, Any]:
        """Return what is there now, as JSON-able records.

        Raises:
            UserError: A path does not exist, or a label names no method.
        """
        places = list(dict.fromkeys(self._places()))
        labels = read_labels(self._labels, dict.fromkeys(p.method for p in places)) if places else {}
        groups: dict[tuple[str, str, str], list[tuple[Expected, Seen]]] = {}
        for place in places:
            method = labels.get(place.method, place.method)
            groups.setdefault((str(place.case), method, place.bound), []).append((place, self._seen(place)))
        everything = [(key, place, seen) for key, runs in groups.items() for place, seen in runs]
        failed = [(key, place, seen) for key, place, seen in everything if seen.status == FAILED]
        latest = sorted((x for x in everything if x[2].status == DONE), key=lambda x: -x[2].written)[:LATEST]
        return {
            "watched": ", ".join(self._paths),
            "rows": [_row(*key, runs) for key, runs in groups.items()],
            "done": sum(seen.status == DONE for *_, seen in everything),
            "failed": len(failed),
            "running": sum(seen.status == RUNNING for *_, seen in everything),
            "total": len(everything),
            "failures": [
                {"problem": key[0], "method": key[1], "seed": place.seed, "reason": seen.reason}
                for key, place, seen in failed[:FAILURES]
            ],
            "latest": [
                {
                    "problem": key[0],
                    "method": key[1],
                    "seed": place.seed,
                    "evaluations": seen.rows,
                    "regret": _known(seen.regret),
                    "ago": round(max(0.0, time.time() - seen.written)),
                }
                for key, place, seen in latest
            ],
        }

    def _places(self) -> Iterator[Expected]:
        found = [place for path in self._paths for place in expand(path)]
        for folder in (place for place in found if isinstance(place, Path)):  # what is in an archive is finished
            for below in walk(folder):
                if (below / PLANS).exists():
                    yield from _planned(below)
                elif (below / JOB).exists():
                    with suppress(Unusable, OSError):
                        job, _ = read_job(below)
                        if not _in_a_study(below):
                            yield Expected(below, job.case, job.label, job.seed, job.budget, job.budget_time)

    def _seen(self, place: Expected) -> Seen:
        if place.folder in self._finished:
            return self._finished[place.folder]
        seen = _look_at(place)
        if seen.status == DONE:
            self._finished[place.folder] = seen
        return seen


def _planned(out: Path) -> Iterator[Expected]:
    """Yield the runs that the plans of a study ask for."""
    with suppress(Unusable, OSError):
        for plan in read_plans(out / PLANS):
            for case in plan.cases:
                for variant in plan.variants:
                    for seed in plan.seeds_for(variant):
                        job = plan.job(variant, case, seed)
                        yield Expected(folder_of(out, job), case, variant.name, seed, plan.budget, plan.budget_time)


def _in_a_study(folder: Path) -> bool:
    """Whether a run folder lies in that of a study, whose plans name it."""
    return any((above / PLANS).exists() for above in folder.parents)


def _look_at(place: Expected) -> Seen:
    """Return what one folder says now."""
    log = place.folder / LOG
    rows, written = 0, 0.0
    with suppress(OSError):
        rows = log.read_bytes().count(b"\n")
        written = log.stat().st_mtime
    status = read_status(place.folder)
    if rows >= place.budget or (status.status == DONE and status.rows == rows):
        return Seen(DONE, rows, "", _regret(place), written)
    if status.status == FAILED:
        return Seen(FAILED, rows, status.error, math.nan, written)
    return Seen(RUNNING if rows or status.status == RUNNING else MISSING, rows, "", math.nan, written)


def _regret(place: Expected) -> float:
    """Return the regret of a finished run; NaN where it cannot be measured here."""
    try:
        reference = known_reference(place.case)
        run = read_run(place.folder)
        if reference is None or run.status != DONE:
            return math.nan
        F = feasible_only(benchmark_of(place.case), run.X, run.F)
        return float(hypervolume_regret(F[np.isfinite(F).all(axis=1)], reference.front, reference.box))
    except (Exception, SystemExit):  # no plug-in, no table: progress is told all the same
        return math.nan


def _row(problem: str, method: str, bound: str, places: Sequence[tuple[Expected, Seen]]) -> dict[str, Any]:
    """Return what is told of one method on one problem."""
    runs = [seen for _, seen in places]
    timed, budget = places[0][0].time > 0.0, places[0][0].budget  # how long a run will be is not known of time
    counts = {status: sum(seen.status == status for seen in runs) for status in (DONE, RUNNING, FAILED, MISSING)}
    regrets = [seen.regret for seen in runs if math.isfinite(seen.regret)]
    silent = sum(seen.status == RUNNING and 0 < seen.written < time.time() - SILENT for seen in runs)
    return {
        "problem": problem,
        "method": method,
        "bound": bound,
        **counts,
        "silent": silent,
        "total": len(runs),
        "evaluations": counts[DONE] if timed else sum(min(seen.rows, budget) for seen in runs),
        "of": len(runs) if timed else budget * len(runs),
        "regret": _known(float(np.mean(regrets)) if regrets else math.nan),
        "measured": len(regrets),
    }


def _known(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
