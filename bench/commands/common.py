"""What the commands share: near misses, splitting, parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from bench.errors import UserError, suggest
from bench.values import literal

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
    help="A bound, <= or >=, on an objective or a free cost in its own unit: 'flops<=150' (flops and params in "
    "millions, errors in %, latency in ms); repeatable.",
)


class Group(click.Group):
    """A click group that knows near misses and prints a user's mistake as one line."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or suggest the nearest one."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no command {args[0]!r}.{suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


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
        value = literal(text)
        owner, dot, inner = name.partition(".")
        if dot:
            params.setdefault(f"{owner}_params", {})[inner] = value
        else:
            params[name] = value
    return params


def first_process() -> bool:
    """Whether this is the process that prints, where torchrun started several."""
    return os.environ.get("RANK", "0") == "0"


def one_line(message: object) -> str:
    """Put a message that somebody else wrote on one line."""
    return " ".join(str(message).splitlines())
