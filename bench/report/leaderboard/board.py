"""The lines of a leaderboard, from the comparison of all that was handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.studies.groups import Group
from smemnas.bench.studies.information import tracks_of
from smemnas.bench.studies.stability import Standing, standings
from smemnas.spaces.base import FloatArray


@dataclass(frozen=True)
class BoardLine:
    """One method on one problem after so many evaluations.

    Attributes:
        case: The problem.
        budget: Of the runs.
        at: Evaluations.
        place: By mean regret, 1 is best.
        method: Its name.
        n: Finished runs.
        regret: Mean hypervolume regret with its interval.
        mark: "best", "equal" for what is not significantly worse, "unknown" where so few runs cannot tell, or "".
        target: Regret to reach, see `reached`.
        reached: Runs that reached it within the budget.
        median: Median evaluations to it; inf where half of the runs did not get there.
        seconds: Median wall time of a run.
        entries: Numbers of the entries that its runs are from.
        track: The information track of the method; "" where it is not known here.
    """

    case: Case
    budget: int
    at: int
    place: int
    method: str
    n: int
    regret: Interval
    mark: str
    target: float
    reached: int
    median: float
    seconds: float
    entries: tuple[int, ...]
    track: str = ""


@dataclass(frozen=True)
class AcrossProblems:
    """The methods across all problems of a budget, at one checkpoint.

    Attributes:
        budget: Of the runs.
        at: Evaluations.
        cases: The problems.
        standings: Methods with a run on each of them, by place.
        left_out: The others, with the problems that they lack.
        tracks: The information track of each method that is known here.
    """

    budget: int
    at: int
    cases: tuple[Case, ...]
    standings: tuple[Standing, ...]
    left_out: tuple[tuple[str, tuple[Case, ...]], ...]
    tracks: Mapping[str, str]


def lines_of(group: Group, numbers: Mapping[str, int]) -> list[BoardLine]:
    """Return the lines of one budget, by problem, checkpoint and place.

    Args:
        group: Finished runs of that budget.
        numbers: Where a run is kept to the number of its entry.
    """
    arrivals = {(a.case, a.variant): a for a in group.tables.arrivals}
    sources: dict[tuple[Case, str], set[int]] = {}
    for (case, variant, _), run in group.runs.items():
        sources.setdefault((case, variant), set()).add(numbers[str(run.folder)])
    found = []
    for case in group.tables.plan.cases:
        tracks = tracks_of(group.tables.plan, [case])
        for at in group.tables.plan.at:
            rows = [r for r in group.tables.rows if r.case == case and r.at == at and np.isfinite(r.regret.value)]
            for row in sorted(rows, key=lambda r: (r.regret.value, r.variant)):
                arrival = arrivals[case, row.variant]
                place = 1 + sum(other.regret.value < row.regret.value for other in rows)
                found.append(
                    BoardLine(
                        *(case, group.end, at, place, row.variant, row.n, row.regret, row.mark),
                        *(arrival.target, arrival.reached, arrival.median, arrival.seconds),
                        tuple(sorted(sources[case, row.variant])),
                        tracks.get(row.variant, ""),
                    )
                )
    return found


def rankings_of(group: Group) -> list[AcrossProblems]:
    """Return the methods across the problems of one budget at each checkpoint; nothing for fewer than two methods."""
    plan = group.tables.plan
    regret: dict[tuple[Case, str], FloatArray] = {}
    for case in plan.cases:
        for variant in plan.variants:
            values = np.full((len(plan.seeds), len(plan.at)), np.nan)
            for trial in group.tables.trials:
                if (trial.case, trial.variant) == (case, variant.name):
                    values[plan.seeds.index(trial.job.seed)] = trial.regret
            regret[case, variant.name] = values
    known = [case for case in plan.cases if any(_has(regret[case, v.name]) for v in plan.variants)]
    lacks = {v.name: tuple(case for case in known if not _has(regret[case, v.name])) for v in plan.variants}
    names = [name for name, cases in lacks.items() if not cases]
    if len(names) < 2 or not known:
        return []
    tracks = tracks_of(plan, known)
    left_out = tuple((name, cases) for name, cases in lacks.items() if cases)
    found = []
    for k, at in enumerate(plan.at):
        tables = [np.stack([regret[case, name][:, k] for name in names]) for case in known]
        kept = [table[:, np.isfinite(table).any(axis=0)] for table in tables]
        found.append(AcrossProblems(group.end, at, tuple(known), tuple(standings(names, kept)), left_out, tracks))
    return found


def _has(values: FloatArray) -> bool:
    return bool(np.isfinite(values).all(axis=1).any())


def methods_of(lines: Sequence[BoardLine]) -> list[str]:
    """Return the names of all methods, each once."""
    return list(dict.fromkeys(line.method for line in lines))
