"""A report: runs and studies that are there as one page, tables and figures, as the command `report` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smemnas.bench.display import counted, html_table
from smemnas.bench.log import logger
from smemnas.bench.outputs import REPORT, claim
from smemnas.bench.registry import load_plugin
from smemnas.bench.report.page.page import write_page, write_report_files
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.groups import Group, Unfinished, make_groups
from smemnas.bench.studies.labels import Labels

#: Folder of a report where none is named.
FOLDER = Path("runs/report")


@dataclass(frozen=True)
class ReportOptions:
    """A report.

    Attributes:
        runs: Folders of runs or studies, folders that hold some, or patterns of them.
        out: Folder of the report.
        baseline: The method that the others are tested against; "" takes the study's.
        champion: A method to compare with every other one; "" takes the study's, if any.
        labels: A name to what is shown instead, or texts like "smemnas/best=SMEM-NAS (ours)".
        title: Title of the page; "" makes one.
        evaluated: Embed every evaluation in the page, not only the fronts.
        figures: Write PDF and PNG figures.
        plugins: Plug-in files; they are not loaded from run folders.
    """

    runs: Sequence[str | Path]
    out: str | Path = FOLDER
    baseline: str = ""
    champion: str = ""
    labels: Labels = ()
    title: str = ""
    evaluated: bool = False
    figures: bool = True
    plugins: Sequence[str | Path] = ()


@dataclass(frozen=True, repr=False)
class Report:
    """A report.

    Attributes:
        page: index.html, which needs no network and no other file.
        groups: What is compared, one group per budget.
        unfinished: What is left out, with the reasons.
        files: Tables and figures beside the page.
    """

    page: Path
    groups: Sequence[Group]
    unfinished: Sequence[Unfinished]
    files: Sequence[Path]

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.page.parent

    @property
    def n_runs(self) -> int:
        """Number of runs compared."""
        return sum(len(group.runs) for group in self.groups)

    @property
    def n_problems(self) -> int:
        """Number of problems that they are of."""
        return sum(len(group.tables.plan.cases) for group in self.groups)

    def __repr__(self) -> str:
        return f"<Report of {self._summary()}: {self.page}>"

    def _summary(self) -> str:
        return f"{counted(self.n_runs, 'run')} on {counted(self.n_problems, 'problem')}"

    def _repr_html_(self) -> str:
        rows = [(left.method, left.case, left.seeds, left.reason) for left in self.unfinished]
        head = ("left out", "problem", "seeds", "reason") if rows else ()
        where = f"{self.page}, and {counted(len(self.files), 'file')} beside it"
        return html_table(head, rows, title=f"Report of {self._summary()}", notes=[where])


def report(options: ReportOptions) -> Report:
    """Compare runs that are there and write the page, tables and figures, as the command `report` does.

    Raises:
        UserError: A path does not exist, there is no run below any of them, or no method has a name.
        RunError: The folder holds something else or cannot be written.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    out = Path(options.out).expanduser()
    claim(out, REPORT)
    runs = [options.runs] if isinstance(options.runs, str | Path) else options.runs
    found = find_runs([str(path) for path in runs])
    groups, unfinished = make_groups(found, options.baseline, options.champion, options.labels)
    files = write_report_files(out, groups, unfinished, figures=options.figures, studies=found.studies)
    page = write_page(out, groups, unfinished, title=options.title, files=files, evaluated=options.evaluated)
    made = Report(page, tuple(groups), tuple(unfinished), tuple(out / name for name in files))
    logger.info("%r", made)
    for left in unfinished:
        logger.warning("left out: %s on %s, seeds %s: %s", left.method, left.case, left.seeds, left.reason)
    return made
