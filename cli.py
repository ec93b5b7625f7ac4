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
        click.echo(f"plug-in {plugin} could not be loaded: {one_line(reason)}", err=True)


def job_options(command: Any) -> Any:
    """Add the options that `run` and other commands share."""
    options = [
        click.option("--dataset", help="Data set of the space; its default is shown by `list data`."),
        click.option("--objectives", default="", metavar="A,B", help="What to minimise, for example error,flops."),
        click.option("--budget", default=340, show_default=True, help="Paid evaluations."),
        click.option(
            "--param",
            "params",
            multiple=True,
            metavar="NAME=VALUE",
            help="Method parameter; repeatable. surrogate.NAME=VALUE sets a parameter of its surrogate.",
        ),
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


@cli.command("study")
@click.option("--methods", default="", metavar="A,B", help="Registered methods or presets, with their defaults.")
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
    metavar="NAME",
    help="A named plan, for example ablation; other options replace what it says.",
)
@click.option("--spaces", default="", metavar="A,B", help="Spaces, or single data sets of them: nb201,nb201/cifar100.")
@click.option("--datasets", default="", metavar="A,B", help="Data sets: each space with those that it has.")
@click.option("--objectives", default="", metavar="A,B", help="What to minimise, for example error,flops.")
@click.option("--seeds", metavar="SEEDS", help="Like 0-30 or 0,3,5-7.  [default: 0-10]")
@click.option("--budget", type=int, help="Paid evaluations of a run.  [default: 300]")
@click.option("--jobs", "n_jobs", type=int, help="Worker processes.  [default: one per CPU]")
@click.option("--baseline", help="The variant that the others are tested against.  [default: the first]")
@click.option(
    "--at", metavar="N,N", help="Evaluations at which results are read off; the budget is added.  [default: 50,100,200]"
)
@click.option(
    "--target",
    type=float,
    help="Regret of the evaluations-to-target table.  [default: the baseline's mean at the budget]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study.  [default: runs/study, or runs/PLAN]",
)
@click.option("--shard", metavar="K/N", help="Run only the K-th of N parts, on several machines sharing --out.")
@click.option("--quiet", is_flag=True, help="No progress bar and no tables.")
@click.pass_obj
def study_command(
    plugins: tuple[str, ...],
    methods: str,
    variants: tuple[str, ...],
    plan_name: str | None,
    spaces: str,
    datasets: str,
    objectives: str,
    seeds: str | None,
    budget: int | None,
    n_jobs: int | None,
    baseline: str | None,
    at: str | None,
    target: float | None,
    out: Path | None,
    shard: str | None,
    quiet: bool,
) -> None:
    """Compare methods over many seeds, with tests and intervals.

    Runs what is missing in the folder and prints the tables of what was asked for. A study that was killed
    continues when the same command is given again; a run that fails is listed with its reason, the others go
    on, and the exit status is 1. Methods, seeds and spaces can be added later with the same --out.

    A variant is a method with parameters, NAME=METHOD:PARAM=VALUE,PARAM=VALUE; tables show its NAME. Values are
    written as for `run --param`; commas within brackets or quotes do not separate parameters.

    \b
    Examples:
      python cli.py study --methods smemnas,nsga2,random --spaces nb201 --seeds 0-30 --budget 300
      python cli.py study --methods nsga2 --variant gp=smemnas:surrogate=gp,inner=nsga2 --spaces nb201
      python cli.py study --methods smemnas,nsga2 --spaces nb201 --datasets cifar10,cifar100 \\
          --baseline nsga2 --at 100 --jobs 4 --out studies/nb201
      python cli.py study --plan ablation --jobs 2
      python cli.py study --plan ablation --shard 1/4 --out /shared/ablation
    """
    import os
    from dataclasses import replace

    from bench.comparison import tabulate
    from bench.plan import Plan, Variant, check_plan, make_cases, parse_numbers, parse_seeds, parse_shard, split_variant
    from bench.plans import named_plan
    from bench.report.study import failures, print_study, write_study
    from bench.report.terminal import console, progress_bar
    from bench.study import FAILED, record_plan, run_study, study_lock
    from bench.trials import collect

    if plan_name:
        if methods or variants:
            raise UserError("--plan brings its own methods: leave out --methods and --variant.")
        plan = named_plan(plan_name)
    else:
        chosen = [Variant(name, name) for name in split(methods)]
        for name, method, items in map(split_variant, variants):
            chosen.append(Variant(name, method, parse_params(items)))
        plan = Plan(tuple(chosen), (), tuple(range(11)), 300)
    part, parts = parse_shard(shard) if shard else (1, 1)
    if spaces or datasets or objectives:
        wanted = split(spaces) or tuple(dict.fromkeys(case.space for case in plan.cases))
        plan = replace(plan, cases=make_cases(wanted, split(datasets), split(objectives)))
    plan = replace(
        plan,
        seeds=parse_seeds(seeds) if seeds else plan.seeds,
        budget=plan.budget if budget is None else budget,
        baseline=baseline or plan.baseline,
        target=plan.target if target is None else target,
        plugins=plugins,
    )
    if at:
        plan = replace(plan, at=parse_numbers("--at", at, plan.budget))
    plan = check_plan(plan)
    out = out or Path("runs") / (plan_name or "study")
    record_plan(out, plan)
    jobs = list(plan.jobs(part, parts))
    with progress_bar(f"study in {out}", quiet) as progress:
        workers = (os.cpu_count() or 1) if n_jobs is None else n_jobs
        states = run_study(jobs, out, n_jobs=workers, plugins=plan.plugins, progress=progress)
    with study_lock(out):
        tables = tabulate(plan, collect(plan, out))
        write_study(out, tables)
    if quiet:
        for line in failures(tables):
            click.echo(line, err=True)
    else:
        print_study(tables, out, console())
    if any(state.status == FAILED for state in states):
        raise SystemExit(1)


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


@cli.group("data", cls=Group)
def data_group() -> None:
    """Install, inspect and import the tables that searches run on.

    \b
    Examples:
      python cli.py data list
      python cli.py data fetch nb201-cifar10
      python cli.py data fetch nb201-cifar10 nb201-cifar100 --from ~/downloads
      python cli.py data info nb201-cifar10
    """


@data_group.command("list")
def data_list() -> None:
    """Show every data set: installed or not, size, columns, licence."""
    from bench.data.manage import list_data
    from bench.data.show import print_list

    print_list(list_data())


@data_group.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with the original files; what is missing there is downloaded.",
)
def data_fetch(names: tuple[str, ...], folder: Path | None) -> None:
    """Download the original files, check them and make the table.

    Files that other packages' users already have are found through TORCH_HOME, NASBENCH101_PATH,
    NASBENCH201_PATH and NASBENCHMARK_DIR. An interrupted download is continued.

    \b
    Examples:
      python cli.py data fetch nb201-cifar10
      python cli.py data fetch macro-cifar10 nats_sss-cifar10 --from ~/downloads
    """
    from bench.data.recipe import fetch

    for name in names:
        table = fetch(name, folder, progress=sys.stderr.isatty())
        click.echo(f"{table.header['name']}: {table.n_rows:,} rows in {table.path}")


@data_group.command("info")
@click.argument("name")
def data_info(name: str) -> None:
    """Show columns, units, splits, sources, checksums and best values of an installed data set.

    \b
    Examples:
      python cli.py data info nb201-cifar10
      python cli.py data info nb201/analog
    """
    from bench.data.manage import open_named
    from bench.data.show import print_info

    print_info(open_named(name))


@data_group.command("verify")
@click.argument("name", required=False)
def data_verify(name: str | None) -> None:
    """Check every installed table (or one) against its checksums and its recipe.

    \b
    Examples:
      python cli.py data verify
      python cli.py data verify nb201-cifar10
    """
    from bench.data.manage import verify

    results = verify(name)
    for table, fault in results:
        click.echo(f"{'FAIL' if fault else 'ok  '} {table}{': ' + fault if fault else ''}")
    if not results:
        click.echo("no table is installed: python cli.py data fetch NAME")
    if any(fault for _, fault in results):
        raise SystemExit(1)


@data_group.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--space", required=True, help="Search space that the architectures belong to.")
@click.option("--name", required=True, help="Name of the new data set of that space.")
@click.option("--arch", default="arch", show_default=True, help="Column of architecture strings.")
@click.option(
    "--accuracy",
    "accuracies",
    multiple=True,
    metavar="COLUMN:SPLIT",
    help="Accuracy (%) of split validation, test or single; A,B,C:SPLIT for several trainings.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="COLUMN:UNIT[:SPLIT]",
    help="Quantity to minimise, for example latency_pixel3:ms.",
)
@click.option("--missing", type=float, help="Value of a metric that means infeasible, for example -1.")
@click.option("--space-param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter of the space.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the numbers.")
@click.option("--overwrite", is_flag=True, help="Replace a table imported under the same name.")
def data_import(
    file: Path,
    space: str,
    name: str,
    arch: str,
    accuracies: tuple[str, ...],
    metrics: tuple[str, ...],
    missing: float | None,
    params: tuple[str, ...],
    licence: str,
    overwrite: bool,
) -> None:
    """Import your own table from CSV or Parquet; nothing is kept if any value is wrong.

    \b
    Examples:
      python cli.py data import mine.csv --space nb201 --name mine \\
          --accuracy val_acc:validation --accuracy test_acc:test --metric latency:ms --missing -1
      python cli.py data import runs.csv --space macro --name five-seeds --accuracy s0,s1,s2,s3,s4:single
      python cli.py run --method smemnas --space nb201 --dataset mine
    """
    from bench.data.user import import_table

    table = import_table(
        file,
        space,
        name,
        arch=arch,
        accuracies=accuracies,
        metrics=metrics,
        missing=missing,
        space_params=parse_params(params),
        licence=licence,
        overwrite=overwrite,
    )
    click.echo(f"{table.header['name']}: {table.header['rows_given']:,} architectures in {table.path}")


@data_group.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def data_export(name: str, file: Path) -> None:
    """Write an installed table to FILE (.csv or .parquet), one row per architecture.

    \b
    Examples:
      python cli.py data export nb201-cifar10 nb201.csv
    """
    from bench.data.manage import export

    click.echo(f"{export(name, file):,} rows in {file}")


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


def one_line(message: object) -> str:
    """Put a message that somebody else wrote on one line."""
    return " ".join(str(message).splitlines())


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
