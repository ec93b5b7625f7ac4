"""Command line of the suite: `smemnas`, or `python cli.py`."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from bench.commands.common import Group, one_line
from bench.commands.data import data_group
from bench.commands.export import export_command
from bench.commands.rank import rank_command
from bench.commands.registry import check_command, list_command
from bench.commands.report import report_command
from bench.commands.retrain import retrain_command
from bench.commands.run import run_command
from bench.commands.show import show_command
from bench.commands.study import study_command
from bench.commands.supernet import supernet_group
from bench.errors import UserError

VERSION = "0.1.0"


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="smemnas")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help="Python file that registers something new.")
@click.pass_context
def cli(ctx: click.Context, plugins: tuple[str, ...]) -> None:
    """Compare neural architecture search methods, fairly and fast.

    \b
    Examples:
      python cli.py run --method smemnas --space nb201
      python cli.py run --method nsga2 --space nb201 --objectives error,params --budget 200
      python cli.py study --methods smemnas,nsga2,random --spaces nb201 --seeds 0-10 --budget 100
      python cli.py rank --space nb201 --surrogates core --seeds 5
      python cli.py list
    """
    from bench.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    ctx.obj = plugins


for command in (
    run_command,
    study_command,
    rank_command,
    report_command,
    show_command,
    supernet_group,
    retrain_command,
    export_command,
    data_group,
    list_command,
    check_command,
):
    cli.add_command(command)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; a user's mistake is one line on standard error, never a traceback."""
    try:
        cli.main(args=args, standalone_mode=False)
        code = 0
    except UserError as error:
        click.echo(f"error: {one_line(error)}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        message = one_line(error.format_message())
        hint = f" See {error.ctx.command_path} --help." if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"error: {message}{hint}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; give the same command again to continue.", err=True)
        code = 130
    except BrokenPipeError:
        code = 141
    sys.exit(code)


if __name__ == "__main__":
    main()
