"""`leaderboard`: everything that was handed in, on one page."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import FOLDER, Command
from smemnas.bench.display import counted
from smemnas.bench.program import named


@click.command("leaderboard", cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/leaderboard"),
    show_default=True,
    help="Folder of the leaderboard.",
)
@click.option("--title", default="Leaderboard", show_default=True, help="Title of the page.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.pass_obj
def leaderboard_command(plugins: tuple[str, ...], runs: tuple[str, ...], out: Path, title: str, quiet: bool) -> None:
    """Rank all methods that were handed in: one page (HTML, Markdown, CSV).

    RUNS are archives of runs, folders that hold some, folders of studies or runs, or addresses of archives. Who
    measured an archive mine.runs, and when, stands beside it in mine.toml: by, when, link, note. Each problem, budget
    and checkpoint has its table; ranks across problems stand with their stability.

    \b
    Examples:
      python -m smemnas leaderboard leaderboard/ --out site
      python -m smemnas leaderboard runs/study theirs.runs --out site
    """
    from smemnas.bench.library.leaderboard import LeaderboardOptions, leaderboard
    from smemnas.bench.report.terminal import shown_work

    with shown_work(f"comparing runs and writing {out}", not quiet):
        made = leaderboard(LeaderboardOptions(runs, out, title, plugins))
    if quiet:
        return
    for left in made.unfinished:
        click.echo(f"left out     {left.method} on {left.case}, seeds {left.seeds}: {named(left.reason)}")
    for entry in made.entries:
        who = f", measured by {entry.by}" if entry.by else ""
        click.echo(f"entry {entry.number:<6} {entry.place}: {counted(entry.runs, 'run')}{who}")
    for ranking in made.rankings[-1:]:
        for s in ranking.standings[:5]:
            first = f"first in {100 * s.first:.0f} % of the resamples of seeds"
            click.echo(f"place {s.place:<6} {s.variant}: mean rank {s.mean_rank:.2f}, {first}")
    click.echo(f"page         {made.page}, and {', '.join(file.name for file in made.files[1:])} beside it")
