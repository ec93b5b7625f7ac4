"""`report`: runs and studies as one page, tables and figures."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import FOLDER, PORT, Command, label_option
from smemnas.bench.display import counted
from smemnas.bench.errors import UserError
from smemnas.bench.program import named


@click.command("report", cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/report"),
    show_default=True,
    help="Folder of the report.",
)
@click.option("--baseline", default="", help="The method that the others are tested against.  [default: the study's]")
@click.option(
    "--champion", default="", help="A method to compare with every other one.  [default: the study's, if any]"
)
@label_option
@click.option("--title", default="", help="Title of the page.")
@click.option("--evaluated", is_flag=True, help="Embed every evaluation in the page, not only the fronts.")
@click.option("--no-figures", is_flag=True, help="Write no PDF and PNG figures.")
@click.option(
    "--watch",
    is_flag=True,
    help="Serve a page on this machine that follows runs which are still going on, until Ctrl-C.",
)
@click.option("--port", type=PORT, help="Port of --watch.  [default: 8642, or any that is free]")
@click.option("--quiet", is_flag=True, help="Print nothing but what is unfinished.")
def report_command(
    runs: tuple[str, ...],
    out: Path,
    baseline: str,
    champion: str,
    labels: tuple[str, ...],
    title: str,
    evaluated: bool,
    no_figures: bool,
    watch: bool,
    port: int | None,
    quiet: bool,
) -> None:
    """Compare runs that are there: one HTML page, tables and figures.

    RUNS are folders of `run` or `study`, folders that hold some, or patterns of them, in any mixture. Runs are grouped
    by budget, problem and method; what is unfinished or broken is listed with its reason. index.html needs no network
    and no other file. Plug-ins are not loaded from run folders: name them with --plugin.

    With --watch a page in the browser follows a study while it runs, from any machine that sees its folder: progress
    and failures of each method, regrets of finished runs, and the report of what is finished.

    \b
    Examples:
      python -m smemnas report runs/study --out report
      python -m smemnas report runs/nb201/analog/error+flops/smemnas/seed-0 --out report
      python -m smemnas report runs 'studies/nb201-*' --baseline nsga2 --out report
      python -m smemnas report runs/study --watch
    """
    from smemnas.bench.library.report import ReportOptions, report

    if port is not None and not watch:
        raise UserError("--port is that of --watch: give both, or neither.")
    options = ReportOptions(runs, out, baseline, champion, labels, title, evaluated, not no_figures)
    if watch:
        from smemnas.bench.library.watch import watch_report

        watch_report(options, port=port, say=lambda line: click.echo(line, err=False))
        return
    from smemnas.bench.report.terminal import shown_work

    with shown_work(f"comparing runs and writing {out}", not quiet):
        made = report(options)
    for left in made.unfinished:
        click.echo(f"left out     {left.method} on {left.case}, seeds {left.seeds}: {named(left.reason)}", err=quiet)
    if not quiet:
        what = f"{counted(made.n_runs, 'run')} on {counted(made.n_problems, 'problem')}"
        nothing = "nothing: no run is finished; the command that began one continues it"
        click.echo(f"compared     {what if made.n_runs else nothing}")
        click.echo(f"page         {made.page} ({made.page.stat().st_size / 1e6:.1f} MB)")
        click.echo(
            f"files        {out}: {len(made.files)} tables and figures beside it (CSV, Markdown, LaTeX, PDF, PNG)"
        )
