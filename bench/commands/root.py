"""The command that all others are below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smemnas import __version__
from smemnas.bench.commands.archive import archive_group
from smemnas.bench.commands.common import ANY_PATH, CommandGroup
from smemnas.bench.commands.completion import completion_command, teach
from smemnas.bench.commands.data import data_group
from smemnas.bench.commands.export import export_command
from smemnas.bench.commands.fit import fit_command
from smemnas.bench.commands.gate import gate_command
from smemnas.bench.commands.guard import at_work
from smemnas.bench.commands.images import images_command
from smemnas.bench.commands.latency import latency_group
from smemnas.bench.commands.leaderboard import leaderboard_command
from smemnas.bench.commands.list import check_command, list_command
from smemnas.bench.commands.rank import rank_command
from smemnas.bench.commands.report import report_command
from smemnas.bench.commands.retrain import retrain_command
from smemnas.bench.commands.run import run_command
from smemnas.bench.commands.show import show_command
from smemnas.bench.commands.study import study_command
from smemnas.bench.commands.supernet import supernet_group


class Root(CommandGroup):
    """The outermost group: what its commands raise reaches `cli.main`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with at_work():
            return super().invoke(ctx)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="smemnas")
@click.option(
    "--plugin",
    "plugins",
    type=ANY_PATH,
    multiple=True,
    metavar="FILE",
    help="Python file that registers something new.",
)
@click.pass_context
def cli(ctx: click.Context, plugins: tuple[Path, ...]) -> None:
    """Compare neural architecture search methods, fairly and fast.

    \b
    Examples:
      python -m smemnas run --method smemnas --space nb201
      python -m smemnas run --method nsga2 --space nb201 --objectives error,params --budget 200
      python -m smemnas study --methods smemnas,nsga2,random --spaces nb201 --seeds 0-10 --budget 100
      python -m smemnas rank --space nb201 --surrogates core --seeds 5
      python -m smemnas list
    """
    from smemnas.bench.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    ctx.obj = tuple(map(str, plugins))


for command in (
    run_command,
    study_command,
    rank_command,
    report_command,
    archive_group,
    leaderboard_command,
    show_command,
    images_command,
    fit_command,
    gate_command,
    supernet_group,
    retrain_command,
    export_command,
    latency_group,
    data_group,
    list_command,
    check_command,
    completion_command,
):
    cli.add_command(command)
teach(cli)
