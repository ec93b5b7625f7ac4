"""Command line of the suite: `smemnas`, or `python cli.py`."""

from __future__ import annotations

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  (a clone can be started by any Python)
    sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable}).")

if __name__ == "__main__":
    # As a program, the suite comes after the standard library and before what is installed. The folder that Python
    # puts first, the current one with -m, would let a random.py or json.py in it take the standard library's place.
    if not sys.flags.safe_path:
        del sys.path[0]
    _installed = [k for k, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))]
    sys.path.insert(_installed[0] if _installed else len(sys.path), os.path.dirname(os.path.abspath(__file__)))

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a word, until the guard stands a moment later

from typing import NoReturn

from smemnas.bench.commands import guard


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; whatever happens is at most one line on standard error, never a traceback.

    Args:
        args: Without them, those of the process, which is then taken into hand: Ctrl-C, warnings, closed streams.
    """
    guard.prepare(program=args is None)
    try:
        code = _run(args)
    except BaseException as error:  # the last resort
        line, code = guard.explain(error)
        if line:
            guard.say(line)
    guard.leave(code)


def _run(args: list[str] | None) -> int:
    """Run the command line and return its exit status; a user's mistake is one line."""
    import click

    from smemnas.bench.commands.root import cli
    from smemnas.bench.errors import UserError, one_line
    from smemnas.bench.program import program, shown_notes
    from smemnas.bench.workers.child import safe_children

    try:
        with safe_children(), shown_notes():
            code = cli.main(args=args, prog_name=program(), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except UserError as error:
        return _refused(one_line(error), error.exit_code, error.command)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return _refused(one_line(error.format_message()), error.exit_code, where)
    except click.Abort:
        guard.say(guard.INTERRUPTED)
        return guard.INTERRUPT


def _refused(message: str, code: int, command: str) -> int:
    """Say what was wrong, and whose --help tells more where a command is named."""
    guard.say(f"error: {message} See {command} --help." if command else f"error: {message}")
    return code


if __name__ == "__main__":
    main()
