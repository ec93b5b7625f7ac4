"""The CSV files behind a page of docs/make_main.py: made from runs, and read back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pages import read_rows

from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.report.cells import short_names, to_csv
from smemnas.bench.report.study.files import texts
from smemnas.bench.report.study.incumbents import FILE as INCUMBENTS
from smemnas.bench.report.study.incumbents import incumbent_columns
from smemnas.bench.studies.discovery import Found, find_runs
from smemnas.bench.studies.execution import DONE
from smemnas.bench.studies.groups import Group, make_groups
from smemnas.bench.studies.information import tracks_of
from smemnas.bench.studies.tables import Tables
from smemnas.methods.tracks import TRACKS
from smemnas.spaces.base import FloatArray

#: Files of a study that are kept beside the page.
KEPT = ("study.md", "details.md", "study.csv", "champion.csv", "caps.csv", "contrasts.csv", INCUMBENTS)
RUNS, MADE = "runs.csv", "made.txt"
#: Column of runs.csv with the regret on the test split, where there is one, at the budget.
REPORTED = "reported_regret"
#: The other rule by which the first three are ranked once more: "" is the front's own range.
OTHER = ""


# --- made


def collected(sources: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the text of each file of a page, and which version made the runs.

    Args:
        sources: Folders of studies and archives; of several budgets the largest counts.
    """
    found = find_runs(sources)
    group = _largest(found)
    made = made_by([run.environment for run in group.runs.values()])
    other = _largest(_measured_by(found, OTHER)).tables
    return files_of(group.tables, other), made


def made_by(environments: Sequence[Mapping[str, Any]]) -> str:
    """Return which version made some runs, at which commits, that of most of them first."""
    versions = sorted({str(entry["packages"]["smemnas"]) for entry in environments})
    (first, _), *others = Counter(str(entry["git_commit"])[:8] for entry in environments).most_common()
    later = "".join(f", {n} runs at {commit}" for commit, n in others)
    return f"Made by smemnas {', '.join(versions)} at commit {first}{later}"


def _largest(found: Found) -> Group:
    return make_groups(found)[0][-1]


def _measured_by(found: Found, reference: str) -> Found:
    """Return runs and plans that are measured by another rule."""
    plans = [replace(p, cases=tuple(replace(c, reference=reference) for c in p.cases)) for p in found.plans]
    runs = [replace(r, job=replace(r.job, reference=reference)) for r in found.runs]
    return replace(found, runs=tuple(runs), plans=tuple(plans))


def files_of(tables: Tables, other: Tables) -> dict[str, str]:
    """Return the text of each file of a page.

    Args:
        tables: The study.
        other: The same runs, measured by another rule.
    """
    made = texts(tables)
    kept = {name: made[name] for name in KEPT if made.get(name)}
    return kept | {RUNS: to_csv(_records(tables, other))}


def _records(tables: Tables, other: Tables) -> list[dict[str, object]]:
    """Return one record for each finished run."""
    plan = tables.plan
    names, tracks = short_names(plan.cases), tracks_of(plan)
    ours = {v.name: v.method.split("/")[0] == "smemnas" for v in plan.variants}
    again = {(t.job.space, t.job.dataset, t.job.objectives, t.variant, t.job.seed): t for t in other.trials}
    found = []
    for t in tables.trials:
        if t.status != DONE:
            continue
        twin = again.get((t.job.space, t.job.dataset, t.job.objectives, t.variant, t.job.seed))
        found.append(
            {
                "problem": names[t.case],
                "objectives": "+".join(t.case.objectives),
                "method": t.variant,
                "track": tracks.get(t.variant, ""),
                "ours": int(ours[t.variant]),
                "seed": t.job.seed,
                **{f"regret_{n}": f"{t.regret[k]:.8g}" for k, n in enumerate(plan.at)},
                "regret_other": f"{twin.regret[-1]:.8g}" if twin else "",
                REPORTED: f"{t.reported[-1]:.8g}" if math.isfinite(t.reported[-1]) else "",
                "seconds": f"{t.seconds:.4g}",
                "method_seconds": f"{t.method_seconds:.4g}",
                **incumbent_columns(tables, t),
            }
        )
    return found


# --- read back


class Pair(NamedTuple):
    """Two methods on one problem: ratio of mean regrets, exact paired p, number of pairs, mean regrets."""

    ratio: Interval
    p: float
    pairs: int
    means: tuple[float, float]


class Results:
    """What a folder of results says, run by run and as the study's tables.

    Attributes:
        study: Rows of study.csv.
        champion: Rows of champion.csv.
        caps: Rows of caps.csv.
        contrasts: Rows of contrasts.csv.
        incumbents: Rows of incumbents.csv.
        made: Which version made the runs, and which commit holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.study = read_rows(folder / "study.csv")
        self.contrasts = read_rows(folder / "contrasts.csv") if (folder / "contrasts.csv").exists() else []
        self.champion = read_rows(folder / "champion.csv") if (folder / "champion.csv").exists() else []
        self.caps = read_rows(folder / "caps.csv") if (folder / "caps.csv").exists() else []
        self.incumbents = read_rows(folder / INCUMBENTS) if (folder / INCUMBENTS).exists() else []
        self.made = (folder / MADE).read_text(encoding="utf-8").strip() if (folder / MADE).exists() else ""
        self._runs = read_rows(folder / RUNS)

    @cached_property
    def at(self) -> list[int]:
        """Checkpoints."""
        return sorted({int(row["evaluations"]) for row in self.study})

    @cached_property
    def problems(self) -> list[str]:
        """Names of the problems, in the order of the plan."""
        return list(dict.fromkeys(row["problem"] for row in self._runs))

    @cached_property
    def objectives(self) -> dict[str, str]:
        """Objectives of each problem, joined by +."""
        return {row["problem"]: row["objectives"] for row in self._runs}

    @cached_property
    def methods(self) -> dict[str, tuple[str, bool]]:
        """Track of each method and whether it is of this project, by track and then in the order of the plan."""
        found = {row["method"]: (row["track"], row["ours"] == "1") for row in self._runs}
        order = [*TRACKS, ""]
        return dict(sorted(found.items(), key=lambda item: order.index(item[1][0])))

    @cached_property
    def values(self) -> dict[tuple[str, str, str], dict[int, float]]:
        """Every number of runs.csv by problem, method and column, then by seed."""
        found: dict[tuple[str, str, str], dict[int, float]] = {}
        for row in self._runs:
            for name, text in row.items():
                if name.startswith("regret") or name == REPORTED or name.endswith("seconds"):
                    key = (row["problem"], row["method"], name)
                    found.setdefault(key, {})[int(row["seed"])] = float(text) if text else math.nan
        return found

    def mean(self, problem: str, method: str, column: str) -> float:
        """Return the mean of a column of runs.csv; NaN without a run."""
        values = list(self.values.get((problem, method, column), {}).values())
        return float(np.mean(values)) if values else math.nan

    def typical(self, problem: str, method: str, column: str) -> float:
        """Return the median of a column of runs.csv; NaN without a run."""
        values = list(self.values.get((problem, method, column), {}).values())
        return float(np.median(values)) if values else math.nan

    def row_of(self, rows: Sequence[Mapping[str, str]], problem: str, method: str, at: int) -> Mapping[str, str] | None:
        """Return the row of one of the study's tables; None where there is none."""
        return next((row for row in rows if row["method"] == method and self.is_on(row, problem, at)), None)

    def is_on(self, row: Mapping[str, str], problem: str, at: int) -> bool:
        """Whether a row of one of the study's tables is of a problem at a checkpoint."""
        place = (f"{row['space']}/{row['dataset']}", row["objectives"])
        return (place, row["evaluations"]) == (self._place(problem), str(at))

    def _place(self, problem: str) -> tuple[str, str]:
        return problem.split(" ")[0], self.objectives[problem]

    def pair(self, problem: str, first: str, second: str, at: int) -> Pair:
        """Compare the regrets of two methods at a checkpoint."""
        return self.pair_of(problem, first, second, f"regret_{at}")

    def pair_of(self, problem: str, first: str, second: str, column: str) -> Pair:
        """Compare two methods in a column of runs.csv by the seeds that both have."""
        x, y = (self.values.get((problem, name, column), {}) for name in (first, second))
        seeds = sorted(x.keys() & y.keys())
        a, b = np.array([x[s] for s in seeds]), np.array([y[s] for s in seeds])
        means = (float(a.mean()), float(b.mean())) if seeds else (math.nan, math.nan)
        return Pair(statistics.ratio_of_means(a, b), statistics.wilcoxon(a, b), len(seeds), means)

    def best(self, problem: str, names: Sequence[str], at: int) -> str:
        """Return which of some methods has the least mean regret on a problem; "" without any run."""
        return self.best_by(problem, names, f"regret_{at}")

    def best_by(self, problem: str, names: Sequence[str], column: str) -> str:
        """Return which of some methods has the least mean of a column of runs.csv on a problem; "" without any run."""
        means = {name: self.mean(problem, name, column) for name in names}
        known = {name: value for name, value in means.items() if not math.isnan(value)}
        return min(known, key=lambda name: known[name]) if known else ""

    def everywhere(self) -> list[str]:
        """Return the methods with runs on every problem."""
        return [
            name
            for name in self.methods
            if all((problem, name, f"regret_{self.at[-1]}") in self.values for problem in self.problems)
        ]

    def ranks(self, names: Sequence[str], problems: Sequence[str], column: str) -> FloatArray:
        """Return the mean rank over problems of each method ``(methods,)``, by mean regret."""
        means = np.array([[self.mean(problem, name, column) for name in names] for problem in problems])
        return np.asarray(np.mean([statistics.ranked(row) for row in means], axis=0))

    def first(self, names: Sequence[str], problems: Sequence[str], column: str, count: int = 3) -> tuple[str, ...]:
        """Return the methods with the least mean ranks, in order; of equal ones that of the plan's first."""
        ranks = self.ranks(names, problems, column)
        return tuple(names[k] for k in np.argsort(ranks, kind="stable")[:count])
