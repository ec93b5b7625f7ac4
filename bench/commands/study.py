"""`study`: many runs and their table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smemnas.bench.commands.common import (
    BUDGET,
    DURATION,
    EFFECT,
    FILE,
    FOLDER,
    NAMES,
    NUMBER,
    Command,
    constraint_option,
    device_option,
    full_space_option,
    label_option,
    parse_params,
    place_options,
    reference_option,
    start_option,
)
from smemnas.bench.display import counted
from smemnas.bench.program import named

if TYPE_CHECKING:
    from smemnas.bench.library.study import StudyOptions


@click.command("study", cls=Command)
@click.option(
    "--methods", type=NAMES, default=(), metavar="A,B", help="Registered methods or presets, with their defaults."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=METHOD:PARAM=VALUE,...",
    help="A method with parameters under a name of its own; repeatable.",
)
@click.option(
    "--plan",
    "plan_name",
    metavar="PLAN",
    help="A named plan, for example ablation, or a TOML file; other options replace what it says.",
)
@click.option(
    "--add", type=NAMES, default=(), metavar="A,B", help="Methods beside those of --plan; its stored runs are taken."
)
@click.option(
    "--against",
    metavar="PLAN",
    help="Compare --methods with the stored runs of a plan, or of an archive: only the new ones are run.",
)
@click.option(
    "--archive",
    "archives",
    multiple=True,
    metavar="FILE|URL",
    help="Take runs from this archive, see docs/archive.md; repeatable.  [default: that of a published plan]",
)
@click.option(
    "--save-plan", "plan_file", type=FILE, metavar="FILE", help="Write the plan as TOML, for --plan, and run nothing."
)
@click.option(
    "--spaces",
    type=NAMES,
    default=(),
    metavar="A,B",
    help="Spaces, data sets of them or named problems: nb201,nb201/cifar100,in1k-mop8-like.",
)
@click.option("--datasets", type=NAMES, default=(), metavar="A,B", help="Data sets: each space with those that it has.")
@click.option("--objectives", type=NAMES, default=(), metavar="A,B", help="What to minimise, for example error,flops.")
@constraint_option
@full_space_option
@reference_option
@start_option
@click.option(
    "--seeds", metavar="SEEDS", help="Like 0-30 or 0,3,5-7; auto takes as many as the study needs.  [default: 0-10]"
)
@click.option(
    "--effect",
    type=EFFECT,
    default=1.0,
    show_default=True,
    help="Difference that the seeds should find in 80 % of studies, in standard deviations of the paired differences.",
)
@click.option(
    "--method-seeds",
    "method_seeds",
    multiple=True,
    metavar="NAME=SEEDS",
    help="Fewer seeds for a method or variant that takes long, some of --seeds; repeatable.",
)
@click.option("--budget", type=BUDGET, help="Paid evaluations of a run.  [default: 300, or what --budget-time allows]")
@click.option(
    "--budget-time",
    type=DURATION,
    default=0.0,
    metavar="TIME",
    help="Training time of a run, like 2h or 1d12h, where evaluations have one; results are then read off at times.",
)
@place_options("run")
@device_option
@click.option("--baseline", help="The variant that the others are tested against.  [default: the first]")
@click.option("--champion", help="The variant that is tested against every other one.")
@label_option
@click.option(
    "--at",
    metavar="N,N",
    help="Evaluations, or times of training like 1h,2h, at which results are read off; the budget is added.  [default: "
    "50,100,200; a quarter and half of --budget-time]",
)
@click.option(
    "--target",
    type=NUMBER,
    help="Regret of the evaluations-to-target table.  [default: the baseline's mean at the budget]",
)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder of the study.  [default: runs/study, or runs/PLAN]",
)
@click.option("--shard", metavar="K/N", help="Run only the K-th of N parts, on several machines sharing --out.")
@click.option(
    "--rerun",
    is_flag=True,
    help="Clear and run again what cannot be used: a corrupt or changed log, another version of a table or plug-in.",
)
@click.option("--no-figures", is_flag=True, help="Tables only.")
@click.option("--quiet", is_flag=True, help="No progress bar and no tables.")
@click.pass_obj
def study_command(
    plugins: tuple[str, ...],
    methods: tuple[str, ...],
    variants: tuple[str, ...],
    plan_name: str | None,
    add: tuple[str, ...],
    against: str | None,
    archives: tuple[str, ...],
    plan_file: Path | None,
    spaces: tuple[str, ...],
    datasets: tuple[str, ...],
    objectives: tuple[str, ...],
    constraints: tuple[str, ...],
    full_space: bool,
    reference: str,
    start: str | None,
    seeds: str | None,
    effect: float,
    method_seeds: tuple[str, ...],
    budget: int | None,
    budget_time: float,
    n_jobs: int | None,
    timeout: float | None,
    backend: str,
    address: str,
    device: str,
    baseline: str | None,
    champion: str | None,
    labels: tuple[str, ...],
    at: str | None,
    target: float | None,
    out: Path | None,
    shard: str | None,
    rerun: bool,
    no_figures: bool,
    quiet: bool,
) -> None:
    """Compare methods over many seeds, with tests and intervals.

    Runs what is missing in the folder and prints the tables of what was asked for. A study that was killed
    continues when the same command is given again; a run that fails is listed with its reason, the others go
    on, and the exit status is 1; so does a finished run that cannot be used, which --rerun makes anew. Methods,
    seeds and spaces can be added later with the same --out.

    A variant is a method with parameters, NAME=METHOD:PARAM=VALUE,PARAM=VALUE; tables show its NAME. Values are
    written as for `run --param`; commas within brackets or quotes do not separate parameters.

    \b
    Examples:
      python -m smemnas study --methods smemnas,nsga2,random --spaces nb201 --seeds 0-30 --budget 300
      python -m smemnas study --methods nsga2 --variant gp=smemnas:surrogate=gp,inner=nsga2 --spaces nb201
      python -m smemnas study --methods smemnas,nsga2 --spaces nb201 --datasets cifar10,cifar100 \\
          --baseline nsga2 --at 100 --jobs 4 --out studies/nb201
      python -m smemnas study --methods smemnas,nsga2 --spaces nb201 --constraint "flops<=60" --timeout 600
      python -m smemnas study --plan ablation --jobs 2
      python -m smemnas --plugin mine.py study --against theirs.runs --methods mine
      python -m smemnas study --plan my.toml --add nsga2 --archive https://example.org/theirs.runs
      python -m smemnas study --plan ablation --backend dask --address tcp://HOST:8786 --out /shared/ablation
      python -m smemnas study --plan ablation --shard 1/4 --out /shared/ablation
    """
    from smemnas.bench.commands.study_text import parse_method_seeds, parse_shard, split_variant
    from smemnas.bench.library.study import StudyOptions, study
    from smemnas.bench.report.study.files import failures
    from smemnas.bench.report.study.screen import print_study
    from smemnas.bench.report.terminal import console
    from smemnas.bench.staged.plan import is_staged
    from smemnas.bench.studies.plan import Variant

    chosen = [
        Variant(name, method, parse_params(items, "--variant")) for name, method, items in map(split_variant, variants)
    ]
    options = StudyOptions(
        methods=methods,
        spaces=spaces,
        variants=chosen,
        plan=plan_name or "",
        add=add,
        against=against or "",
        archives=archives,
        datasets=datasets,
        objectives=objectives,
        constraints=constraints,
        full_space=full_space,
        reference=reference,
        start=start or "",
        seeds=seeds or None,
        effect=effect,
        seeds_of=dict(parse_method_seeds(text) for text in method_seeds),
        budget=budget,
        budget_time=budget_time,
        baseline=baseline or "",
        champion=champion or "",
        labels=labels,
        at=at,
        target=target,
        jobs=n_jobs,
        timeout=timeout,
        backend=backend,
        address=address,
        device=device,
        part=parse_shard(shard) if shard else (1, 1),
        rerun=rerun,
        figures=not no_figures,
        plugins=plugins,
        out=out,
    )
    if is_staged(options.plan):
        _staged(options, plan_file, quiet)
        return
    if plan_file is not None:
        _save(plan_file, options)
        return
    found = study(options, progress=not quiet, say=None if quiet else lambda line: click.echo(named(line)))
    if quiet:
        for line in failures(found.tables):
            click.echo(named(line), err=True)
    else:
        print_study(found.tables, found.folder, console(), figures=not no_figures)
    if found.failed:
        raise SystemExit(1)


def _save(file: Path, options: StudyOptions) -> None:
    """Write the plan of some options as a file."""
    from smemnas.bench.library.study import plan_of
    from smemnas.bench.studies.plan import check_plan
    from smemnas.bench.studies.plan_file import save_plan

    plan = check_plan(plan_of(options))
    save_plan(file, plan)
    click.echo(f"the plan is in {file}: {counted(sum(1 for _ in plan.jobs()), 'run')}; run it with --plan {file}")


def _staged(options: StudyOptions, file: Path | None, quiet: bool) -> None:
    """Run a registered experiment, or write its plan as a file."""
    from smemnas.bench.library.staged import experiment, staged_plan
    from smemnas.bench.staged.plan import save_staged

    if file is not None:
        plan = staged_plan(options)
        save_staged(file, plan)
        click.echo(f"the plan is in {file} (sha256 {plan.digest}); run it with --plan {file}")
        return
    found = experiment(options, progress=not quiet, say=None if quiet else lambda line: click.echo(named(line)))
    if not quiet:
        for line in found.lines():
            click.echo(line)
        click.echo(f"everything   {found.folder}: index.html, experiment.md, outcome.csv, trainings.csv, gate.json")
