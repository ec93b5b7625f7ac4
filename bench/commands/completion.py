"""Names that a shell completes: methods, spaces, surrogates, plans, data sets; nothing heavy is imported for it.

`completion bash` and `completion zsh` print what a shell's start-up file evaluates. The shell then calls the program at
each press of the tab key, through click; the options named in `KINDS` know their values.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from smemnas.bench.commands.common import Command

#: What the values of an option are the names of, whatever command has it.
KINDS = {
    "--method": "methods",
    "--methods": "methods",
    "--add": "methods",
    "--baseline": "methods",
    "--champion": "methods",
    "--space": "spaces",
    "--spaces": "spaces",
    "--surrogates": "surrogates",
    "--plan": "plans",
    "--against": "plans",
    "--problem": "problems",
    "--dataset": "datasets",
    "--datasets": "datasets",
}
#: Arguments of commands that are names too: command's words to kind.
ARGUMENTS = {
    ("data", "fetch"): "tables",
    ("data", "info"): "tables",
    ("data", "remove"): "tables",
    ("check",): "methods",
}


def known(kind: str, space: str = "") -> list[str]:
    """Return all names of a kind, sorted; data sets are those of a space where one is given."""
    if kind == "methods":
        from smemnas.methods.base import METHODS

        return METHODS.names()
    if kind == "surrogates":
        from smemnas.surrogates.base import SURROGATES

        return SURROGATES.names()
    if kind == "plans":
        from smemnas.bench.studies.published import EXPERIMENTS, PLANS

        return sorted((*PLANS, *EXPERIMENTS))
    if kind == "tables":
        from smemnas.bench.data.recipe import recipes

        return sorted(recipe.name for recipe in recipes())
    if kind == "problems":
        from smemnas.bench.benchmarks.problems import PROBLEMS

        return sorted(PROBLEMS)
    if kind == "datasets":
        from smemnas.bench.benchmarks.catalog import BENCHMARKS

        found = (name.split("/", 1) for name in BENCHMARKS.names())
        return sorted({dataset for place, dataset in found if space in ("", place)})
    from smemnas.spaces.base import SPACES

    return SPACES.names()


def completer(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes names of a kind; of names with commas between them the last."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        names = known(kind, str(ctx.params.get("space") or ""))
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


def teach(command: click.Command, words: tuple[str, ...] = ()) -> None:
    """Let a command, and all below it, complete its options' and arguments' names."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            teach(inner, (*words, name))
        return
    for parameter in command.params:
        kinds = [KINDS[option] for option in parameter.opts if option in KINDS]
        if isinstance(parameter, click.Argument) and words in ARGUMENTS:
            kinds = [ARGUMENTS[words]]
        if kinds:
            parameter._custom_shell_complete = completer(kinds[0])


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print what completes names and options of the installed program `smemnas` in bash (from 4.4) or zsh.

    \b
    Examples:
      python -m smemnas completion bash >> ~/.bashrc
      python -m smemnas completion zsh >> ~/.zshrc
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "smemnas", "_SMEMNAS_COMPLETE").source())
