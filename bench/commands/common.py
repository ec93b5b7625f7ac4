"""What the commands share: types of their values, near misses, odd texts refused once for all options."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from smemnas.bench.errors import UserError, one_line, suggest
from smemnas.bench.program import named
from smemnas.bench.values import (
    LARGEST_BUDGET,
    LARGEST_SEED,
    LONGEST,
    MOST_SAMPLED,
    MOST_WORKERS,
    duration,
    fault_of_text,
    names,
    read_pairs,
    real,
    shown,
    whole,
)


class Whole(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """A whole number within bounds, which its error names."""

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        return whole(label(param), value, self.low, self.high)


class Real(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """A finite number within bounds, which its error names."""

    name = "number"

    def __init__(self, low: float = -1e300, high: float = 1e300, *, above: float | None = None) -> None:
        self.low, self.high, self.above = low, high, above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        return real(label(param), value, self.low, self.high, above=self.above)


class Duration(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """A duration with its unit, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        return duration(label(param), value) if isinstance(value, str) else float(value)


class Names(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """Names with commas between them; the value is a tuple of at least one, () only by default."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split it."""
        return names(label(param), value) if isinstance(value, str) else tuple(value)


F = TypeVar("F", bound=Callable[..., Any])

SEED = Whole(0, LARGEST_SEED)
BUDGET = Whole(1, LARGEST_BUDGET)
JOBS = Whole(1, MOST_WORKERS)
SECONDS = Real(0.0, LONGEST, above=0.0)
NUMBER = Real()
PORT = Whole(1, 65535)
EFFECT = Real(0.01, 100.0)
SAMPLE = Whole(0, MOST_SAMPLED)
NAMES = Names()
DURATION = Duration()

#: Bytes that file systems take for a path, and for one name in it.
PATH_BYTES, NAME_BYTES = 4095, 255


class UserPath(click.Path):
    """A path as a user writes it; "~" is the home folder wherever the shell left it, as in --out=~/runs."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or refuse what no file system takes."""
        text = os.path.expanduser(os.fspath(value))
        try:
            data = text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text.encode(errors='backslashreplace').decode()!r} is not UTF-8: rename it.", param, ctx)
        if not text.strip() or "\0" in text:
            self.fail(f"expected a path, got {text!r}.", param, ctx)
        if text.startswith("--"):  # click takes the next word for a value, whatever it is
            self.fail(f"expected a path, got {text!r}: a path that begins so is written ./{text}.", param, ctx)
        if len(data) > PATH_BYTES or any(len(name) > NAME_BYTES for name in data.split(b"/")):
            self.fail(f"{text[:40]}... is longer than a path can be.", param, ctx)
        return super().convert(text, param, ctx)


#: For every option and argument that takes a path: a folder, a file, or either.
FOLDER, FILE, ANY_PATH = UserPath(file_okay=False), UserPath(dir_okay=False), UserPath()

#: The same for every command that searches.
constraint_option = click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="NAME<=X",
    help="A bound, <= or >=, on an objective, a free cost or another column of the table, searched or not, in its own "
    "unit: 'flops<=150' (flops and params in millions, errors in %, latency in ms); repeatable.",
)
#: The same for `run` and `study`.
label_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=TEXT",
    help="What tables, figures and pages show instead of a method's name; repeatable.",
)
reference_option = click.option(
    "--reference",
    default="",
    metavar="A=IDEAL:NADIR,...",
    help="Measure by these ideal and nadir points instead of the reference front's, like 'error=0:20,flops=0:300', and "
    "by a reference point in units of that box, '...@1.2', or by a rule: within-5, errors up to five points above the "
    "best; front, whatever a plan says.  [default point: 1.1]",
)
start_option = click.option(
    "--start",
    type=click.Choice(["random", "uniform", "ends"]),
    default=None,
    help="With what every method begins, the same networks for all of a seed: random; uniform, spread over the first "
    "free objective; ends, its smallest and largest and then random ones. Default: each method's own.",
)
#: For the commands that may train, or read networks of a supernet.
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where networks are trained or read: cpu, cuda (all GPUs) or cuda:N; auto takes GPUs where there are some.",
)
full_space_option = click.option(
    "--full-space",
    is_flag=True,
    help="Where a table covers a part of its space: search all of it. What has no value then fails and costs budget. "
    "Default: search among what the table has.",
)


def place_options(task: str) -> Callable[[F], F]:
    """Return the options of a command that has many tasks: how many workers, where, and how long each task may take."""
    options = (
        click.option(
            "--jobs",
            "n_jobs",
            type=JOBS,
            help=f"Worker processes, never more than {task}s or four per CPU.  [default: one per CPU]",
        ),
        click.option(
            "--timeout",
            type=SECONDS,
            metavar="SECONDS",
            help=f"End a {task} that takes longer; it becomes a failed row.",
        ),
        click.option(
            "--backend",
            default="loky",
            show_default=True,
            metavar="loky|dask|ray",
            help="Processes of this machine, or the workers of an existing cluster.",
        ),
        click.option("--address", default="", help="Address of the Dask scheduler or of the Ray head."),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def label(param: click.Parameter | None) -> str:
    """Return what an error calls an option or argument."""
    if param is None:
        return "a value"
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name.upper()


def refuse_odd_texts(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Look at what was given, before any type reads it: '' would be a folder, a default or nothing to some of them.

    Raises:
        UserError: An option or argument is empty, holds control characters, is no UTF-8 or beyond any length.
    """
    if not args or ctx.resilient_parsing:
        return
    given, _, _ = command.make_parser(ctx).parse_args(args=list(args))
    for param in command.get_params(ctx):
        for text in _texts(given.get(param.name or "")):
            problem = fault_of_text(text)
            if problem:
                raise UserError(f"{label(param)} {problem}.")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


@contextlib.contextmanager
def pointing_to_help(ctx: click.Context) -> Iterator[None]:
    """Let a mistake that begins with an option's or an argument's name know the command whose --help explains it.

    Raises:
        click.UsageError: An option of a command above stands behind this one.
    """
    try:
        yield
    except UserError as error:
        words = one_line(error).split(maxsplit=1)
        own = {name for param in ctx.command.params for name in (label(param), *param.opts, *param.secondary_opts)}
        if error.exit_code == UserError.exit_code and not error.command and words and words[0].rstrip(":,") in own:
            error.command = ctx.command_path
        raise
    except click.NoSuchOption as error:
        above = ctx.parent
        while above is not None:
            for option in above.command.params:
                if error.option_name in option.opts:
                    behind = ctx.command_path.removeprefix(above.command_path).strip()
                    order = f"{above.command_path} {error.option_name} {option.make_metavar(above)} {behind}"
                    raise click.UsageError(f"{error.option_name} goes before {behind}: {order} ...", above) from error
            above = above.parent
        raise


class Command(click.Command):
    """A click command that refuses odd texts, whatever option they are given to."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, whose examples name the program as the user called it."""
        return named(super().get_help(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        with pointing_to_help(ctx):
            refuse_odd_texts(self, ctx, args)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with pointing_to_help(ctx):
            return super().invoke(ctx)


class CommandGroup(click.Group):
    """A click group that knows near misses and prints a user's mistake as one line."""

    command_class = Command
    group_class = type

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, see `Command.get_help`."""
        return named(super().get_help(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; without any, print the help and end with the status of a mistake."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        with pointing_to_help(ctx):
            refuse_odd_texts(self, ctx, args)
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or suggest the nearest one."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no command {shown(args[0])}.{suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def parse_params(items: tuple[str, ...], option: str = "--param") -> dict[str, Any]:
    """Turn KEY=VALUE items into parameters; "surrogate.width=1" goes to `surrogate_params`.

    Raises:
        UserError: An item has another form, a value cannot be held, or a name is given twice.
    """
    params: dict[str, Any] = {}
    for name, value in read_pairs(option, items).items():
        owner, dot, inner = name.partition(".")
        target = params.setdefault(f"{owner}_params", {}) if dot else params
        key = inner if dot else name
        if not isinstance(target, dict) or key in target:
            raise UserError(f"{option} sets {name!r} twice.")
        target[key] = value
    return params
