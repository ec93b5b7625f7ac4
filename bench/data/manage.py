"""What is there, what is in it, is it whole, and out again: the functions behind the command `data`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.store import data_folder, open_imported, open_or_make, table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data.in_package import PackagedTable, packaged
from smemnas.bench.data.pins import is_pinned_content
from smemnas.bench.data.recipe import Recipe, find, open_table, recipes
from smemnas.bench.errors import DataError, Unusable, UserError, suggest
from smemnas.spaces.base import SPACES, SearchSpace
from smemnas.spaces.forms import writer

#: The table that another package brings.
EXTRA = "nb201/analog"
#: The data set of the package that is a model and no table.
MODEL = "mnv3/ofa"
IN_PACKAGE = "in the package"


class Status(NamedTuple):
    """One data set for `data list`.

    Attributes:
        name: What `data fetch`, `info`, `export` take.
        table: "space/dataset".
        state: "in the package", "installed", "installed in part" (without what a recipe can do without),
            "not installed", "outdated", "corrupt" or "imported".
        megabytes: Size of what is in the package, else of the original files, or of the table; None if unknown.
        licence: Licence of the original files.
        text: What it is.
        gives: Columns in short.
    """

    name: str
    table: str
    state: str
    megabytes: float | None
    licence: str
    text: str
    gives: str


def list_data() -> list[Status]:
    """Return every data set: recipes, that of the extra `analog`, and what the user has imported."""
    known = recipes()
    rows = [Status(r.name, r.table, state_of(r), _megabytes(r), r.licence, r.text, r.gives) for r in known]
    from smemnas.bench.benchmarks.catalog import BENCHMARKS

    rows.append(model())
    rows.append(
        Status(
            *(EXTRA, EXTRA, _extra_state(), 0.0, "as published on PyPI: analog-nasbench"),
            *(BENCHMARKS.get(EXTRA).summary, "error, error_ptq, error_qat, error_noisy, error_analog, ..."),
        )
    )
    for name in imported():
        try:
            table = Table(table_folder(name))
        except DataError:
            rows.append(Status(name, name, "corrupt", None, "", "imported table", ""))
            continue
        size = sum(f.stat().st_size for f in table.path.iterdir()) / 1e6
        gives = ", ".join(c for c in table.columns if table.columns[c]["role"] != "info")
        text = f"imported: {table.header.get('rows_given', table.n_rows):,} rows"
        rows.append(Status(name, name, "imported", size, str(table.header["licence"]), text, gives))
    return rows


def is_model(name: str) -> bool:
    """Whether a name is that of the data set of the package that is a model and no table."""
    return name.strip().lower().replace("/", "-") == MODEL.replace("/", "-")


def model() -> Status:
    """Return the data set of the package that is a model and no table."""
    from smemnas.bench.data.mnv3_ofa import FILE, LICENCE, SUMMARY

    size = FILE.stat().st_size / 1e6 if FILE.exists() else None
    gives = "error (measured, or predicted +- its deviation, single split), params, flops"
    return Status("mnv3-ofa", MODEL, IN_PACKAGE, size, LICENCE, SUMMARY, gives)


def state_of(recipe: Recipe) -> str:
    """Return whether a recipe's table is there and of its version (checksums: see `verify`)."""
    folder = table_folder(recipe.table)
    if not (folder / "header.json").exists():
        return IN_PACKAGE if recipe.table in packaged() else "not installed"
    try:
        table = Table(folder)
        found = table.header.get("recipe_version")
    except DataError:
        return "corrupt"
    if found != recipe.version:
        return "outdated"
    return "installed in part" if table.header.get("lacks") else "installed"


def _extra_state() -> str:
    """Return whether the table that another package brings is there, or is made when it is asked for."""
    import importlib.util

    made = (table_folder(EXTRA) / "header.json").exists()
    return "installed" if made or importlib.util.find_spec("analognasbench") else "not installed"


def _megabytes(recipe: Recipe) -> float | None:
    """Return the size of a recipe's table in the package, else of its original files; None if unknown."""
    if state_of(recipe) == IN_PACKAGE:
        return PackagedTable(recipe.table).size / 1e6
    return recipe.size / 1e6 if recipe.size else None


def here_without_fetching(name: str) -> str:
    """Return one line about a data set that is not fetched: in the package and not installed besides; "" of any other.

    Raises:
        UserError: Unknown; near misses are suggested.
    """
    if name == EXTRA:
        from smemnas.bench.data.analog import INSTALL

        return f"{EXTRA}: {_extra_state()}, it comes with another package: {INSTALL}"
    recipe = find(name)
    if state_of(recipe) != IN_PACKAGE:
        return ""
    left_out = PackagedTable(recipe.table).left_out
    more = f", with the columns {', '.join(left_out)}" if left_out else ""
    return f"{recipe.table}: {IN_PACKAGE}, nothing to fetch; --original makes it from the original files{more}"


def installed() -> list[str]:
    """Return the names "space/dataset" of all tables on this machine."""
    root = data_folder() / "tables"
    names = (f"{p.parent.parent.name}/{p.parent.name}" for p in root.glob("*/*/header.json"))
    return sorted(n for n in names if "/." not in n)


def imported() -> list[str]:
    """Return the installed tables that neither a recipe nor the suite itself makes."""
    made = {r.table for r in recipes()} | {EXTRA}
    return [name for name in installed() if name not in made]


def open_or_corrupt(folder: Path) -> Table | None:
    """Return the table of a folder; None where its header is corrupt."""
    try:
        return Table(folder)
    except DataError:
        return None


def open_named(name: str) -> Table:
    """Open an installed table by the name of its recipe or "space/dataset".

    Raises:
        UserError: Unknown; near misses are suggested. Or it is no table.
        DataError: Not installed, of another version, or corrupt.
    """
    if is_model(name):
        raise UserError(f"{MODEL} is a model in the package and no table: data info {MODEL} shows what it is.")
    if name == EXTRA:
        from smemnas.bench.data.analog import RECIPE_VERSION, make

        return open_or_make(EXTRA, RECIPE_VERSION, make)
    if name in imported():
        return open_imported(name)
    known = {key: r for r in recipes() for key in (r.name, r.table, *r.formerly)}
    if name not in known:
        raise UserError(f"no data set {name!r}.{suggest(name, [*(r.name for r in recipes()), EXTRA, *imported()])}")
    return open_table(find(name))


class ColumnInfo(NamedTuple):
    """One column for `data info`.

    `best` is the smallest value of what is minimised, else None; where more is better, the largest with its own sign.
    """

    name: str
    unit: str
    split: str
    role: str
    shape: tuple[int, ...]
    known: int
    best: float | None
    largest: float | None
    sha256: str
    text: str


def describe_columns(table: Table) -> list[ColumnInfo]:
    """Return what `data info` shows of each column, searched ones first.

    Raises:
        DataError: A column does not match its checksum.
    """
    rank = {"objective": 0, "report": 1, "info": 3, "proxy": 2}
    rows = []
    for name, entry in sorted(table.columns.items(), key=lambda c: (rank.get(c[1]["role"], 4), c[0])):
        values = table.column(name)
        best = largest = None
        known = len(values)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            known = int(finite.reshape(len(values), -1).any(axis=1).sum())
            if entry["role"] in ("objective", "report") and known:
                best, largest = float(values[finite].min()), float(values[finite].max())
                if entry.get("negated"):  # shown with their own sign: the best is the largest
                    best, largest = -best, -best
        rows.append(
            ColumnInfo(
                *(name, entry["unit"], entry["split"], entry["role"], values.shape, known, best, largest),
                *(entry["sha256"], entry.get("text", "")),
            )
        )
    return rows


def verify(name: str | None = None) -> list[tuple[str, str]]:
    """Check tables: checksums, row counts, ranges of values, recipe version, sources and pinned content.

    Args:
        name: One data set; None checks all that are installed, and those in the package.

    Returns:
        Name and fault of each table, "" where there is none.
    """
    by_table = {r.table: r for r in recipes()}
    if name is not None:
        table = open_named(name)
        found, own = str(table.header["name"]), isinstance(table, PackagedTable)
        return [(found, _fault(found, by_table.get(found), own=own))]
    theirs = [(table, _fault(table, by_table.get(table))) for table in installed()]
    ours = [(f"{table} ({IN_PACKAGE})", _fault(table, by_table[table], own=True)) for table in sorted(packaged())]
    return theirs + ours


def _fault(name: str, recipe: Recipe | None, *, own: bool = False) -> str:
    """Return what is wrong with one installed table, or with the package's own."""
    try:
        if recipe is None and name != EXTRA:
            table = open_imported(name)
        else:
            table = PackagedTable(name) if own else Table(table_folder(name))
        for column in table.columns:
            values = table.column(column)
            if len(values) != table.n_rows:
                return f"column {column} has {len(values)} of {table.n_rows} rows"
            wrong = _out_of_range(column, table.columns[column], values)
            if wrong:
                return wrong
    except DataError as error:
        return str(error)
    if table.header.get("name") != name:
        return f"its header names it {table.header.get('name')}"
    if recipe is None:
        return "" if is_pinned_content(table) else f"its values are not those of {name}: remove {table.path}"
    if not recipe.opens(table.header.get("recipe_version")):
        found = table.header.get("recipe_version")
        return f"made by version {found} of its recipe, now {recipe.version}: data fetch {recipe.name}"
    written = {s["file"]: s["sha256"] for s in table.header["source"]}
    for source in recipe.sources:
        if source.file in table.header.get("lacks", ()):
            continue
        if source.sha256 and written.get(source.file) != source.sha256:
            return f"made from another {source.file} than the recipe names: remove {table.path} and fetch it again"
    if not is_pinned_content(table):
        return f"its values are not those that its recipe makes: remove {table.path} and fetch it again"
    return ""


#: Units of quantities that are not negative.
NOT_NEGATIVE = frozenset({"%", "ms", "s", "mJ", "J", "M", "G", "MB"})


def _out_of_range(name: str, entry: Mapping[str, Any], values: NDArray[Any]) -> str:
    """Return what is impossible about the values of a column, by its unit; NaN is a value that is missing."""
    if values.dtype.kind != "f" or entry["role"] not in ("objective", "report"):
        return ""
    known = -values[~np.isnan(values)] if entry.get("negated") else values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return f"column {name} has infinite values"
    signed = entry.get("signed", False)
    low = 0.0 if entry["unit"] in NOT_NEGATIVE and not signed else -np.inf
    high = 100.0 if entry["unit"] == "%" and not signed else np.inf
    outside = known[(known < low) | (known > high)]
    if not len(outside):
        return ""
    limits = "between 0 and 100" if entry["unit"] == "%" else "0 or more"
    return f"column {name} has {outside[0]:g} {entry['unit']}, expected values of {limits}"


def export(name: str, file: str | Path, form: str | None = None, operations: str = "") -> int:
    """Write an installed table to a file and its description beside it, see `bench.data.user_export`.

    Returns:
        Number of rows written.

    Raises:
        UserError: Unknown data set, ending or form of names, or a file that no export wrote has that name.
        DataError: The table is not installed or corrupt, or the file cannot be written.
    """
    from smemnas.bench.data.user_export import export_table

    table = open_named(name)
    names = architectures(table, form, operations)
    return export_table(table, names, Path(file).expanduser(), form, operations)


def space_of(table: Table) -> SearchSpace:
    """Return the search space a table belongs to."""
    return SPACES.create(str(table.header["space"]), params=table.header.get("space_params", {}))


def architectures(table: Table, form: str | None = None, operations: str = "") -> list[str]:
    """Return the architecture string of every row, the space's own or in one of its forms.

    Raises:
        UserError: The space cannot name the rows of this table, or has no such form.
    """
    space = space_of(table)
    if form is None and operations:
        raise UserError("an order of operations belongs to a form of names: give --form, `list spaces` shows them.")
    write = space.to_str if form is None else writer(space, form, operations)
    if table.header["index"] == "grid":
        X = np.stack(np.unravel_index(np.arange(table.n_rows), space.n_choices), axis=1)
    elif "genotype" in table.columns:
        X = np.asarray(table.column("genotype"))
    else:
        raise UserError(f"{table.header['name']} has no row per architecture: there is nothing to name or export.")
    return [write(x) for x in X.astype(np.int64)]


def improve(run: Path) -> int:
    """Merge the networks of a run into the user's copy of a best-known reference front.

    Returns:
        How many networks entered the front.

    Raises:
        UserError: The folder is no run, or its reference front is exact.
        DataError: The file cannot be written.
    """
    from smemnas.bench.benchmarks.catalog import open_benchmark
    from smemnas.bench.benchmarks.predictor import PredictorBenchmark
    from smemnas.bench.data.mnv3_reference import improve_reference
    from smemnas.bench.runs.folder import LOG, read_job
    from smemnas.bench.runs.history import History

    job, _ = read_job(run, "give the folder of a run.")
    benchmark = open_benchmark(job.space, job.dataset, job.objectives)
    if not isinstance(benchmark, PredictorBenchmark):
        raise UserError(f"the reference front of {job.space}/{job.dataset} is exact: nothing can improve it.")
    X, _ = History(run / LOG, benchmark.space.n_var, len(job.objectives)).arrays()
    if len(X) and not benchmark.space.is_valid(X).all():
        raise Unusable(f"{run / LOG} holds genotypes that are no networks of {job.space}/{job.dataset}")
    return improve_reference(benchmark, X) if len(X) else 0
