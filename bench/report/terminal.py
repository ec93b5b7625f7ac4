"""What the suite prints: progress bars and tables, quiet where nobody looks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from smemnas.bench.display import in_notebook, notebook_bar
from smemnas.bench.program import named
from smemnas.bench.runs.result import Result, done_of
from smemnas.bench.runs.run import Progress

#: Fronts longer than this are shortened on screen; front.csv has them whole.
ROWS_SHOWN = 24


def console() -> Any:
    """Return a rich console on standard output that never wraps table cells to pieces when piped.

    Names, labels and paths hold square brackets and colons, so nothing that is printed is read as markup.
    """
    from rich.console import Console

    width = None if is_terminal(sys.stdout) else 140
    return Console(width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def first_process() -> bool:
    """Whether this is the process that shows something, where torchrun started several."""
    return os.environ.get("RANK", "0") == "0"


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at a stream; nobody does at one that is closed."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


#: Whether to show how far something is (on a terminal or in a notebook), or what to call with (done, total).
Shown = bool | Progress


@contextlib.contextmanager
def shown_progress(text: str, progress: Shown) -> Iterator[Progress | None]:
    """Yield the function to call with (done, total), or None: a user's own, or that of a bar that stands meanwhile."""
    if not isinstance(progress, bool):
        yield progress
        return
    with progress_bar(text, quiet=not progress) as tell:
        yield tell


@contextlib.contextmanager
def progress_bar(text: str, quiet: bool = False) -> Iterator[Progress | None]:
    """Show a progress bar on a terminal or in a notebook; yield the function to call with (done, total), or None."""
    quiet = quiet or not first_process()
    if not quiet and in_notebook():
        with notebook_bar(text) as tell:
            yield tell
        return
    if quiet or not is_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def shown_work(text: str, progress: Shown = True) -> Iterator[None]:
    """Show on a terminal, while something that cannot be counted is at work, what it is and for how long."""
    if progress is not True or not first_process() or not is_terminal(sys.stderr):
        yield
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(text, total=None)
        yield


def print_run(result: Result) -> None:
    """Print the front as a table, the indicators, the time and where the files are."""
    out, summary, F = console(), result.summary, result.front.F
    limits = f", {', '.join(summary['constraints'])}" if "constraints" in summary else ""
    place = f"{summary['space']}/{unquote(summary['dataset'])}"
    out.print(_front_table(result, f"Front of {summary['method']} on {place}{limits}"))
    if len(F) > ROWS_SHOWN:
        out.print(f"... and {len(F) - ROWS_SHOWN} more in front.csv")
    seconds = result.seconds
    failed = f", {summary['failed']} failed" if summary["failed"] else ""
    infeasible = f", {summary['infeasible']} infeasible ({', '.join(summary['constraints'])})" if limits else ""
    timed = done_of(summary["evaluations"], result.job, seconds) if result.job.budget_time else ""
    spent = timed or f"{summary['evaluations']} of {summary['budget']}"
    out.print(f"evaluations  {spent}{failed}{infeasible}", soft_wrap=True)
    if "hypervolume" in summary:
        given = summary["reference"].get("given")
        point = f"{summary['reference']['reference_point']:g}"
        point += f" between ideal and nadir as given, {given}" if given else ""
        kind = "exact" if summary["reference"]["exact"] else "best-known"
        out.print(
            f"hypervolume  {summary['hypervolume']:.4f} of {summary['hypervolume_of_reference']:.4f} "
            f"(regret {summary['hypervolume_regret']:.4f}, IGD+ {summary['igd_plus']:.4f}; reference: {kind} front of "
            f"{summary['reference']['points']} points, reference point {point})",
            soft_wrap=True,
        )
    if "optimism" in summary:
        out.print(
            f"noise        true regret {summary['hypervolume_regret']:.4f} of the reported set, "
            f"{summary['observed_regret']:.4f} by what was observed (optimism {summary['optimism']:.4f})",
            soft_wrap=True,
        )
    if "reported_regret" in summary:
        out.print(
            f"reported     regret {summary['reported_regret']:.4f} on {', '.join(summary['reported'])} "
            f"(a perfect search would report {summary['reported_regret_floor']:.4f})",
            soft_wrap=True,
        )
    out.print(
        f"time         {seconds['total']:.2f} s ({seconds['method']:.2f} s in the method, "
        f"{seconds['evaluate']:.2f} s in evaluations)"
    )
    for note in summary["notes"]:
        out.print(f"note         {named(note)}", soft_wrap=True)
    out.print(
        f"files        {result.folder}: evals.jsonl, front.csv, front.png, summary.json, job.json", soft_wrap=True
    )


def _front_table(result: Result, title: str) -> Any:
    """Return the front as a table: what was searched, under noise what is true, what is reported, and remarks."""
    from rich.table import Table

    benchmark, X, F = result.benchmark, result.front.X, result.front.F
    names = [f"{o.name} ({o.unit})" for o in benchmark.objectives]
    searched = [o.name for o in benchmark.objectives]
    extra = [j for j, name in enumerate(benchmark.report_names) if name != searched[j]]
    table = Table(title=title, title_justify="left")
    table.add_column("#", justify="right")
    noisy = [j for j, o in enumerate(benchmark.objectives) if benchmark.noisy and not o.cheap]
    for name in [*names, *(f"true {searched[j]}" for j in noisy), *(benchmark.report_names[j] for j in extra)]:
        table.add_column(name, justify="right", no_wrap=True)
    shown = X[:ROWS_SHOWN]
    remarks = [[text] for text in benchmark.remarked(shown)] or [[]] * len(shown)
    if any(remarks):
        table.add_column("remark", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    reported = benchmark.report(X) if len(X) and extra else F
    true = benchmark.true_values(X) if len(X) and noisy else F
    for number, (x, f, t, r, remark) in enumerate(zip(shown, F, true, reported, remarks, strict=False), start=1):
        values = [*f.tolist(), *(t[j] for j in noisy), *(r[j] for j in extra)]
        cells = [f"{v:.4g}" if abs(v) >= 1000 else f"{v:.3f}" for v in values]
        table.add_row(str(number), *cells, *remark, benchmark.space.to_str(x))
    return table
