"""`list` and `check`: what is registered, and whether it keeps the contracts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from smemnas.bench.commands.common import Command
from smemnas.bench.display import counted
from smemnas.bench.errors import UserError, one_line
from smemnas.bench.program import named
from smemnas.bench.registry import Entry

KINDS = ("methods", "spaces", "surrogates", "data", "problems", "plans")


@click.command("list", cls=Command)
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.argument("name", required=False)
def list_command(kind: str | None, name: str | None) -> None:
    """Show what is registered: methods, spaces, surrogates, data sets, named problems, plans of studies.

    `list methods NAME` and `list surrogates NAME` show the parameters of one and, where that is known, where each is
    from: published, from the method's ancestor, from a sibling, or ours; the parameter first, then its setting.

    `list spaces` also shows the forms of architectures' names that each space reads (`show FORM:VALUE`,
    `data import --arch-form FORM`) and writes.
    """
    from smemnas.bench.benchmarks.catalog import BENCHMARKS
    from smemnas.bench.benchmarks.problems import PROBLEMS
    from smemnas.bench.registry import Registry, broken_plugins
    from smemnas.methods.base import METHODS
    from smemnas.methods.tracks import track_of
    from smemnas.spaces.base import SPACES
    from smemnas.surrogates.base import SURROGATES

    if name is not None:
        if kind not in ("methods", "surrogates"):
            raise UserError(f"{kind} have no parameters to show: give list methods NAME or list surrogates NAME.")
        _echo_parameters((METHODS if kind == "methods" else SURROGATES).get(name))
        return
    registries: dict[str, Registry[Any]] = {
        "methods": METHODS,
        "spaces": SPACES,
        "surrogates": SURROGATES,
        "data": BENCHMARKS,
    }
    for group, registry in registries.items():
        if kind in (None, group):
            entries = list(registry)
            width = max(len(e.name) for e in entries)
            click.echo(click.style(group, bold=True))
            for entry in entries:
                track = f"{track_of(entry.name):<9}  " if group == "methods" else ""
                click.echo(f"  {entry.name:<{width}}  {track}{entry.summary}")
                if kind == group == "spaces":
                    _echo_forms(entry.name, " " * (width + 4))
    if kind in (None, "problems"):
        click.echo(click.style("problems", bold=True))
        for problem, case in PROBLEMS.items():
            click.echo(f"  {problem:<14}  {case.place}: {', '.join(case.objectives)}")
    if kind in (None, "plans"):
        _echo_plans(whole=kind is not None)
    for plugin, reason in broken_plugins:
        click.echo(f"plug-in {plugin} could not be loaded: {named(one_line(reason))}", err=True)


def _echo_parameters(entry: Entry[Any]) -> None:
    """Print the parameters of a method or surrogate with their settings, and where both are from."""
    from smemnas.methods.origins import Origin, as_text

    click.echo(f"{click.style(entry.name, bold=True)}  {entry.summary}")
    origins: Mapping[str, Origin] = getattr(entry.factory, "origins", {})
    known = entry.parameters()
    settings = {name: p.default for name, p in known.items() if p.default is not p.empty} | dict(entry.params)
    texts = {name: as_text(value) for name, value in settings.items()}
    wide, deep = max(map(len, texts), default=0), max(map(len, texts.values()), default=0)
    for name, text in texts.items():
        line = f"  {name:<{wide}}  {text:<{deep}}"
        if name in origins:
            origin = origins[name]
            line += f"  {origin.parameter:<9}  {origin.of(settings[name]):<9}  {origin.note}"
        click.echo(line.rstrip())


def _echo_plans(*, whole: bool) -> None:
    """Print the named plans: what they run, and how long that took where runs of them are stored."""
    from smemnas.bench.staged.plan import STAGED
    from smemnas.bench.studies.against import shipped
    from smemnas.bench.studies.published import PLANS, named_plan

    click.echo(click.style("plans", bold=True))
    width = max(map(len, (*PLANS, *STAGED)))
    for name in PLANS:
        plan = named_plan(name)
        runs = len(plan.cases) * sum(len(plan.seeds_for(variant)) for variant in plan.variants)
        size = f"{counted(len(plan.variants), 'method')} on {counted(len(plan.cases), 'problem')}"
        size = f"{size}, {len(plan.seeds)} seeds, {plan.budget:,} evaluations"
        stored = shipped(name)
        took = f"; {_stored(stored)}" if whole and stored else ", stored" if stored else ""
        click.echo(f"  {name:<{width}}  {size}: {runs:,} runs{took}")
    for name, make in STAGED.items():
        experiment = make()
        size = f"{len(experiment.arms)} methods on {experiment.space}, {len(experiment.runs)} seeds"
        click.echo(f"  {name:<{width}}  registered experiment: {size}, {experiment.budget} trainings a search")


def _stored(file: Path) -> str:
    """Return what to say of a stored archive: its runs, and the time that they took on one core."""
    from smemnas.bench.archive.locate import open_archives

    runs = [run for archive in open_archives(file) for run in archive.runs]
    seconds = sum(run.seconds()[0] for run in runs if run.seconds()[0] > 0)
    return f"{len(runs):,} of them are stored, made in about {max(seconds / 60, 1):,.0f} minutes of one core"


def _echo_forms(space: str, indent: str) -> None:
    """Print the forms of names that a space reads and writes."""
    from smemnas.spaces.base import SPACES

    try:
        forms = SPACES.create(space).forms
    except UserError as error:
        click.echo(f"{indent}forms of names unknown: {one_line(str(error))}")
        return
    for form in forms:
        ways = " (written only)" if form.read is None else " (read only)" if form.write is None else ""
        click.echo(
            f"{indent}{form.name}: {form.text}{ways}{f', like {form.example}' if 0 < len(form.example) <= 90 else ''}"
        )


@click.command("check", cls=Command)
@click.argument("name")
@click.pass_obj
def check_command(plugins: tuple[str, ...], name: str) -> None:
    """Check a registered method, space, surrogate or data set against the contracts.

    \b
    Examples:
      python -m smemnas check smemnas
      python -m smemnas check nb201/analog
      python -m smemnas --plugin my_method.py check my-method
    """
    from smemnas.bench.checks import check_name

    failures = 0
    for check, problem in check_name(name):
        failures += problem is not None
        click.echo(f"{'ok  ' if problem is None else 'FAIL'} {check}{'' if problem is None else ': ' + named(problem)}")
    if failures:
        raise SystemExit(1)
