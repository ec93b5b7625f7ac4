"""`data`: tables: list, fetch, info, verify, import, export, remove."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from smemnas.bench.commands.common import ANY_PATH, CommandGroup, parse_params
from smemnas.bench.program import PROGRAM, named

FORM_HELP = "How architectures are written: `list spaces` shows the forms of each space."
OPERATIONS_HELP = "What the numbers 0, 1, ... of a tuple stand for, for forms that take an order."
REPEATED_HELP = "Rows of one architecture that nothing tells apart: refuse, mean, first, last, trainings."


@click.group("data", cls=CommandGroup)
def data_group() -> None:
    """Install, inspect and import the tables that searches run on.

    \b
    Examples:
      python -m smemnas data list
      python -m smemnas data fetch nb201-imagenet16-120
      python -m smemnas data fetch nb201-cifar10 nb201-imagenet16-120 --from ~/downloads
      python -m smemnas data info nb201-cifar10
    """


@data_group.command("list")
def data_list() -> None:
    """Show every data set: installed or not, size, columns, licence."""
    from smemnas.bench.data.manage import list_data
    from smemnas.bench.report.data import print_list

    print_list(list_data())


@data_group.command("fetch")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--plan", metavar="NAME", help="What a named study needs and is not there, see `study --plan`.")
@click.option(
    "--from",
    "folder",
    type=ANY_PATH,
    metavar="DIR",
    help="Folder with the original files; what is missing there is downloaded.",
)
@click.option("--original", is_flag=True, help="Also where the table is in the package: it may have more columns.")
def data_fetch(names: tuple[str, ...], plan: str | None, folder: Path | None, original: bool) -> None:
    """Download the original files, check them and make the table.

    Each file has several addresses, tried in turn. Of several data sets, those that can be had are made. What a table
    can do without (zero-cost proxies; latency and energy) stops nothing: fetching again adds it.

    Files that other packages' users already have are found through TORCH_HOME, NASBENCH101_PATH,
    NASBENCH201_PATH and NASBENCHMARK_DIR. An interrupted download is continued.

    \b
    Examples:
      python -m smemnas data fetch mnv3
      python -m smemnas data fetch nb201-cifar10 --original
      python -m smemnas data fetch --plan five-problems
      python -m smemnas data fetch nb201-cifar10 nb201-imagenet16-120 --from ~/downloads
    """
    from smemnas.bench.data.manage import EXTRA, here_without_fetching
    from smemnas.bench.data.recipe import fetch, find
    from smemnas.bench.errors import DataError
    from smemnas.bench.report.terminal import is_terminal

    wanted, faults = _what_to_fetch(names, plan)
    total = len(wanted) + len(faults)
    for name in names:
        _say_new_name(name)
        if name != EXTRA:
            find(name)  # a name that is unknown is refused before anything is fetched
    for name in wanted:
        here = "" if original or folder else here_without_fetching(name)
        if here:
            click.echo(here)
            continue
        try:
            table = fetch(name, folder, progress=is_terminal(sys.stderr))
        except DataError as error:
            if total == 1:
                raise
            faults.append(f"{name}: {error}")
            continue
        click.echo(f"{table.header['name']}: {table.n_rows:,} rows in {table.path}")
    if faults:
        raise DataError(f"{len(faults)} of {total} could not be had: {' | '.join(faults)}")


def _what_to_fetch(names: tuple[str, ...], plan: str | None) -> tuple[list[str], list[str]]:
    """Return the data sets to fetch, and what else a plan lacks.

    Raises:
        UserError: Nothing is named, or no such plan.
    """
    from smemnas.bench.benchmarks.missing import missing_data
    from smemnas.bench.data.recipe import find
    from smemnas.bench.errors import UserError
    from smemnas.bench.studies.published import named_plan

    if plan is None:
        if not names:
            raise UserError("name at least one data set (data list shows them), or --plan NAME.")
        return list(dict.fromkeys(names)), []
    missing = missing_data(named_plan(plan).cases)
    sizes = [f"{name} ({size / 1e6:.1f} MB)" if (size := find(name).size) else name for name in missing.fetched]
    click.echo(f"plan {plan} lacks {', '.join(sizes)}" if sizes else f"plan {plan}: nothing is to be fetched")
    return list(dict.fromkeys((*names, *missing.fetched))), list(missing.others)


@data_group.command("info")
@click.argument("name")
def data_info(name: str) -> None:
    """Show columns, units, splits, sources, checksums, best values, ranges and cost caps of an installed data set.

    \b
    Examples:
      python -m smemnas data info nb201-cifar10
      python -m smemnas data info nb201/analog
      python -m smemnas data info mnv3/ofa
    """
    from smemnas.bench.data.manage import is_model, model, open_named
    from smemnas.bench.report.data import print_info, print_model

    if is_model(name):
        from smemnas.bench.data.mnv3_ofa import about

        print_model(model(), about())
        return
    _say_new_name(name)
    print_info(open_named(name))


@data_group.command("verify")
@click.argument("name", required=False)
def data_verify(name: str | None) -> None:
    """Check every table, those in the package too (or one), against its checksums and its recipe.

    \b
    Examples:
      python -m smemnas data verify
      python -m smemnas data verify nb201-cifar10
    """
    from smemnas.bench.data.manage import verify

    _say_new_name(name)
    results = verify(name)
    for table, fault in results:
        click.echo(f"{'FAIL' if fault else 'ok  '} {table}{': ' + named(fault) if fault else ''}")
    if any(fault for _, fault in results):
        raise SystemExit(1)


@data_group.command("import")
@click.argument("file", type=ANY_PATH)
@click.option("--space", required=True, help="Search space that the architectures belong to.")
@click.option("--name", required=True, help="Name of the new data set of that space.")
@click.option(
    "--arch", default="arch", show_default=True, help="Column of architectures, or what the keys of a file are."
)
@click.option("--arch-form", "form", metavar="FORM", help=f"{FORM_HELP} Needed where a name does not say it itself.")
@click.option("--operations", default="", metavar="A,B,...", help=OPERATIONS_HELP)
@click.option(
    "--accuracy",
    "accuracies",
    multiple=True,
    metavar="COLUMN:SPLIT[:fraction]",
    help="Accuracy of split validation, test or single, in % or a fraction; A,B,C:SPLIT for several trainings; "
    "NAME=COLUMN:SPLIT to name it.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="COLUMN:UNIT[:SPLIT][:max]",
    help="Any other quantity, for example latency_pixel3:ms, less is better unless :max (stored negated as neg_NAME); "
    "unit - for none; :signed where values may be negative.",
)
@click.option(
    "--time",
    "times",
    multiple=True,
    metavar="COLUMN",
    help="Seconds that the training took; A,B,C where each of several trainings has its own. For --budget-time.",
)
@click.option(
    "--partner",
    "partners",
    multiple=True,
    metavar="SEARCHED=REPORTED",
    help="Test column that reports a searched one, where their names (val_x, test_x) do not say it; COLUMN= for none.",
)
@click.option("--missing", multiple=True, metavar="MARK", help="Means no value, beside empty, nan and NA: -1, '?'.")
@click.option("--separator", metavar="CHAR", help="Of a CSV, where it is not to be seen: , ; tab.")
@click.option("--decimal", metavar=". or ,", help="Decimal sign, where the numbers leave it open.")
@click.option("--encoding", help="Of a CSV, where it is neither UTF-8, UTF-16 nor Windows-1252.")
@click.option("--seed-column", metavar="COLUMN", help="One row per training: the column that tells them apart.")
@click.option("--epoch-column", metavar="COLUMN", help="One row per epoch: the column of epochs.")
@click.option("--epoch", "at", metavar="N|last", help="Which epoch; the last, where all trainings end with the same.")
@click.option("--device-column", metavar="COLUMN", help="One row per device: metrics become NAME_DEVICE.")
@click.option("--repeated", default="refuse", show_default=True, metavar="HOW", help=REPEATED_HELP)
@click.option("--space-param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter of the space.")
@click.option("--licence", help="Licence of the numbers.")
@click.option("--overwrite", is_flag=True, help="Replace a table imported under the same name.")
@click.option(
    "--dry-run", is_flag=True, help="Show how each column was understood and all that is refused; write nothing."
)
def data_import(
    file: Path,
    space: str,
    name: str,
    arch: str,
    form: str | None,
    operations: str,
    accuracies: tuple[str, ...],
    metrics: tuple[str, ...],
    times: tuple[str, ...],
    partners: tuple[str, ...],
    missing: tuple[str, ...],
    separator: str | None,
    decimal: str | None,
    encoding: str | None,
    seed_column: str | None,
    epoch_column: str | None,
    at: str | None,
    device_column: str | None,
    repeated: str,
    params: tuple[str, ...],
    licence: str | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Import your own table as it lies there: CSV, TSV, JSON, YAML or Parquet, maybe compressed.

    Nothing is kept if any value is wrong. What `data export` wrote is imported without any declaration. See
    docs/tables.md for formats and options.

    \b
    Examples:
      python -m smemnas data import mine.csv --space nb201 --name mine --dry-run \\
          --accuracy val_acc:validation --accuracy test_acc:test --metric latency:ms --missing -1
      python -m smemnas data import runs.csv --space macro --name five-seeds --accuracy s0,s1,s2,s3,s4:single
      python -m smemnas data import long.parquet --space nb201 --name long --seed-column seed \\
          --accuracy acc:single:fraction
      python -m smemnas data import tuples.csv --space nb201 --name theirs --arch net --arch-form naslib \\
          --accuracy acc:single
      python -m smemnas run --method smemnas --space nb201 --dataset mine
    """
    from smemnas.bench.data.user import Request, draft_table, write_draft
    from smemnas.bench.data.user_rows import Long
    from smemnas.bench.data.user_sheet import Dialect

    draft = draft_table(
        Request(
            *(file, space, name, arch, accuracies, metrics, partners, missing),
            *(parse_params(params, "--space-param"), licence, overwrite, Dialect(separator, decimal, encoding)),
            *(Long(seed_column, epoch_column, at, device_column, repeated), form, operations, times),
        )
    )
    if dry_run:
        from smemnas.bench.report.data import print_draft

        print_draft(draft)
        raise SystemExit(1 if draft.faults else 0)
    table = write_draft(draft)
    click.echo(f"{table.header['name']}: {table.header['rows_given']:,} architectures in {table.path}")
    info = named(f"{PROGRAM} data info {table.header['name']}")
    click.echo(f"read as {', '.join(draft.said)}; how each column was understood: {info}")


@data_group.command("export")
@click.argument("name")
@click.argument("file", type=ANY_PATH)
@click.option("--form", metavar="FORM", help=FORM_HELP)
@click.option("--operations", default="", metavar="A,B,...", help=OPERATIONS_HELP)
def data_export(name: str, file: Path, form: str | None, operations: str) -> None:
    """Write an installed table to FILE, one row per architecture: .csv, .tsv, .json (also .gz) or .parquet.

    FILE.meta.json beside it says what the columns are; `data import FILE` makes the same table again.

    \b
    Examples:
      python -m smemnas data export nb201-cifar10 nb201.csv
      python -m smemnas data export mnv3-measured measured.json --form ofa
    """
    from smemnas.bench.data.manage import export

    _say_new_name(name)
    click.echo(f"{export(name, file, form, operations):,} rows in {file}")


@data_group.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def data_remove(names: tuple[str, ...], yes: bool) -> None:
    """Remove installed tables: their own files and nothing else; downloads, runs and other files stay.

    Says first what is removed, how large it is, and how to have it again.

    \b
    Examples:
      python -m smemnas data remove nb201-cifar10
      python -m smemnas data remove nb201/mine --yes
    """
    from smemnas.bench.data.remove import plan_removal, remove
    from smemnas.bench.errors import UserError

    plans = {}
    for name in names:
        _say_new_name(name)
        plan = plan_removal(name)
        plans[plan.table] = plan
    for plan in plans.values():
        click.echo(
            f"{plan.table}: {len(plan.files)} files, {plan.size / 1e6:.1f} MB in {plan.folder}; {named(plan.again)}."
        )
        if plan.others:
            click.echo(f"  stays, for it is not of the table: {', '.join(plan.others[:10])}")
    try:
        agreed = yes or click.confirm("Remove?", default=False)
    except click.Abort as error:
        click.echo()  # the question has no end of line
        raise UserError("nobody answered, so nothing was removed: --yes removes without asking.") from error
    if not agreed:
        click.echo("nothing was removed")
        return
    for plan in plans.values():
        remove(plan)
        click.echo(f"removed {plan.table}")


def _say_new_name(name: str | None) -> None:
    """Print a note where a data set was asked for by a name that it no longer has."""
    from smemnas.bench.data.recipe import renamed

    note = renamed(name) if name else ""
    if note:
        click.echo(f"note: {named(note)}", err=True)


@data_group.command("improve")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=ANY_PATH)
def data_improve(runs: tuple[Path, ...]) -> None:
    """Add networks of finished runs that beat a best-known reference front to your copy of it.

    Only spaces too large to enumerate (mnv3) have a best-known front. The packaged file is never changed: what
    beats it goes into the data folder, and later regrets are measured against both together.

    \b
    Examples:
      python -m smemnas data improve runs/mnv3/imagenet/error+flops/smemnas/seed-0
    """
    from smemnas.bench.data.manage import improve

    for run in runs:
        entered = improve(run)
        click.echo(f"{run}: {entered} networks entered the best-known front")
