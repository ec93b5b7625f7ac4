"""Command line of the suite: each command parses, calls one function and prints."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from bench.errors import UserError

VERSION = "0.1.0"


class Group(click.Group):
    """A click group that knows near misses and prints a user's mistake as one line."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or suggest the nearest one."""
        from bench.errors import suggest

        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no command {args[0]!r}.{suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


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
      python cli.py list
    """
    from bench.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    ctx.obj = plugins


@cli.command("list")
@click.argument("kind", required=False, type=click.Choice(["methods", "spaces", "surrogates", "data"]))
def list_command(kind: str | None) -> None:
    """Show what is registered: methods, spaces, surrogates, data sets."""
    from bench.benchmark import BENCHMARKS
    from bench.registry import broken_plugins
    from methods.base import METHODS
    from spaces.base import SPACES
    from surrogates.base import SURROGATES

    registries = {"methods": METHODS, "spaces": SPACES, "surrogates": SURROGATES, "data": BENCHMARKS}
    for name, registry in registries.items():
        if kind in (None, name):
            entries = list(registry)
            width = max(len(e.name) for e in entries)
            click.echo(click.style(name, bold=True))
            for entry in entries:
                click.echo(f"  {entry.name:<{width}}  {entry.summary}")
    for plugin, reason in broken_plugins:
        click.echo(f"plug-in {plugin} could not be loaded: {reason}", err=True)


def job_options(command: Any) -> Any:
    """Add the options that `run` and other commands share."""
    options = [
        click.option("--dataset", help="Data set of the space; its default is shown by `list data`."),
        click.option("--objectives", default="", metavar="A,B", help="What to minimise, for example error,flops."),
        click.option("--budget", default=340, show_default=True, help="Paid evaluations."),
        click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Method parameter; repeatable. "
                     "surrogate.NAME=VALUE sets a parameter of its surrogate."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command("run")
@click.option("--method", required=True, help="Registered method or preset.")
@click.option("--space", required=True, help="Registered search space.")
@job_options
@click.option("--seed", default=0, show_default=True, help="Root of all randomness.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder. Default: below runs/.")
@click.option("--overwrite", is_flag=True, help="Delete what an earlier run left in the folder.")
@click.option("--continue-from-log", is_flag=True, help="Go on from a log that does not replay.")
@click.option("--quiet", is_flag=True, help="No progress bar and no table.")
@click.pass_obj
def run_command(
    plugins: tuple[str, ...],
    method: str,
    space: str,
    dataset: str | None,
    objectives: str,
    budget: int,
    params: tuple[str, ...],
    seed: int,
    out: Path | None,
    overwrite: bool,
    continue_from_log: bool,
    quiet: bool,
) -> None:
    """Run one search and show the front it found.

    A run that was killed continues where it stopped when the same command is given again.

    \b
    Examples:
      python cli.py run --method smemnas --space nb201
      python cli.py run --method smemnas --space nb201 --objectives error,flops,params --seed 3
      python cli.py run --method smemnas --space nb201 --param surrogate=gp --param initial=20
      python cli.py run --method random --space toy --budget 50 --out runs/mine
    """
    from bench.report.run import write_report
    from bench.report.terminal import print_run, progress_bar
    from bench.run import make_job, run

    job, benchmark = make_job(
        method,
        space,
        dataset=dataset,
        objectives=split(objectives),
        budget=budget,
        seed=seed,
        params=parse_params(params),
        plugins=plugins,
    )
    folder = out or Path("runs") / job.folder
    with progress_bar(f"{job.label} on {space}/{job.dataset}", quiet) as progress:
        result = run(
            job,
            folder,
            benchmark=benchmark,
            overwrite=overwrite,
            continue_from_log=continue_from_log,
            progress=progress,
        )
    summary = write_report(folder, result, benchmark)
    if not quiet:
        print_run(summary, result, benchmark, folder)


@cli.command("check")
@click.argument("name")
@click.pass_obj
def check_command(plugins: tuple[str, ...], name: str) -> None:
    """Check a registered method, space, surrogate or data set against the contracts.

    \b
    Examples:
      python cli.py check smemnas
      python cli.py check nb201/analog
      python cli.py --plugin my_method.py check my-method
    """
    from bench.checks import check_name

    failures = 0
    for check, problem in check_name(name):
        failures += problem is not None
        click.echo(f"{'ok  ' if problem is None else 'FAIL'} {check}{'' if problem is None else ': ' + problem}")
    if failures:
        raise SystemExit(1)


def split(text: str) -> tuple[str, ...]:
    """Split "a,b" at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_params(items: tuple[str, ...]) -> dict[str, Any]:
    """Turn NAME=VALUE items into parameters; "surrogate.width=1" goes to `surrogate_params`.

    Raises:
        UserError: An item has no "=".
    """
    params: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UserError(f"--param takes NAME=VALUE, got {item!r}.")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
        owner, dot, inner = name.partition(".")
        if dot:
            params.setdefault(f"{owner}_params", {})[inner] = value
        else:
            params[name] = value
    return params


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; a user's mistake is one line on standard error, never a traceback."""
    try:
        cli.main(args=args, standalone_mode=False)
        code = 0
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        message = error.format_message()
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
