"""A leaderboard of all that was handed in, as the command `leaderboard` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smemnas.bench.display import counted
from smemnas.bench.errors import UserError
from smemnas.bench.outputs import REPORT, claim
from smemnas.bench.registry import load_plugin
from smemnas.bench.report.leaderboard.board import AcrossProblems, BoardLine, lines_of, methods_of, rankings_of
from smemnas.bench.report.leaderboard.entries import HandedIn, read_entries
from smemnas.bench.report.leaderboard.files import write_board
from smemnas.bench.studies.groups import Unfinished, make_groups

#: Folder of a leaderboard where none is named.
FOLDER = Path("runs/leaderboard")
TITLE = "Leaderboard"


@dataclass(frozen=True)
class LeaderboardOptions:
    """A leaderboard.

    Attributes:
        runs: Archives, folders of archives, runs or studies, or addresses of archives.
        out: Folder of the leaderboard.
        title: Title of the page.
        plugins: Plug-in files, where runs need some.
    """

    runs: Sequence[str | Path]
    out: str | Path = FOLDER
    title: str = TITLE
    plugins: Sequence[str | Path] = ()


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """A leaderboard.

    Attributes:
        lines: Each method on each problem, budget and checkpoint.
        rankings: The methods across problems.
        entries: What was handed in.
        unfinished: What is left out, with the reasons.
        files: What was written, the page first.
    """

    lines: Sequence[BoardLine]
    rankings: Sequence[AcrossProblems]
    entries: Sequence[HandedIn]
    unfinished: Sequence[Unfinished]
    files: Sequence[Path]

    @property
    def page(self) -> Path:
        """index.html, which needs no network and no other file."""
        return self.files[0]

    def __repr__(self) -> str:
        problems = counted(len({line.case for line in self.lines}), "problem")
        return f"<Leaderboard of {counted(len(methods_of(self.lines)), 'method')} on {problems}: {self.page}>"


#: Why a run is not on the leaderboard.
BY_TIME = "training time was its budget, and the leaderboard compares after so many evaluations"


def leaderboard(options: LeaderboardOptions) -> Leaderboard:
    """Put everything that was handed in on one page, Markdown and CSV beside it.

    Raises:
        UserError: A place has no runs, none of them is finished, or what stands beside an archive makes no sense.
        RunError: The folder holds something else or cannot be written.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    out = Path(options.out).expanduser()
    claim(out, REPORT)
    places = [options.runs] if isinstance(options.runs, str | Path) else options.runs
    entries, numbers, found = read_entries([str(place) for place in places])
    timed = [run for run in found.runs if run.job.budget_time]
    plans = tuple(plan for plan in found.plans if not plan.budget_time)
    rest = tuple(run for run in found.runs if not run.job.budget_time)
    groups, unfinished = make_groups(replace(found, runs=rest, plans=plans))
    unfinished += [Unfinished(r.job.label, str(r.case), str(r.job.seed), BY_TIME) for r in timed]
    lines = [line for group in groups for line in lines_of(group, numbers)]
    if not lines:
        reasons = "; ".join(dict.fromkeys(u.reason for u in unfinished)) or "no run is finished"
        raise UserError(f"there is nothing to rank in {', '.join(map(str, places))}: {reasons}.")
    rankings = [ranking for group in groups for ranking in rankings_of(group)]
    files = write_board(out, options.title, lines, rankings, entries, unfinished)
    return Leaderboard(lines, rankings, entries, unfinished, files)
