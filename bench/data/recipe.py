"""Recipes: from the original files of a benchmark to one `Table`, run once and never at search time.

A module of this folder describes what it needs and how it is read, and registers it:

    RECIPE = register(Recipe(
        name="nb201-cifar10",        # what `data fetch` takes
        table="nb201/cifar10",       # "space/dataset", the folder below tables/
        version=1,                   # raise it whenever the written numbers or columns change
        sources=(Source("file.json", "https://...", sha256, n_bytes, "MIT"),),
        make=make,                   # make({"file.json": Path(...)}, target) -> Table, by write_table
        text="15,625 cells, 200 epochs",          # one line for `data list`
        gives="val_error, test_error, latency_*", # columns, for `data list`
    ))

    @BENCHMARKS.register(RECIPE.table)
    def open_it(objectives: Sequence[str] = ()) -> TabularBenchmark:
        return TabularBenchmark(Space(), open_table(RECIPE), objectives)

`make` must store `recipe_version=<version>` and the entries that TabularBenchmark reads (name, space,
dataset, index, default_objectives, notes); `write` of bench/data/build.py does that. It gets checked files:
their size and sha256 are right. A recipe makes one table; several recipes may share a source, which is
downloaded once.

A source without `url` is one that users bring themselves (`how` says where it comes from); a source without
`sha256` has no published checksum, so it is recorded instead of compared. A source may be a folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smemnas.bench.benchmarks.store import data_folder, open_or_make, table_folder
from smemnas.bench.benchmarks.table import Table, header_digest
from smemnas.bench.data.download import Source, check, download
from smemnas.bench.data.in_package import PackagedTable, packaged, whole_identity
from smemnas.bench.errors import DataError, NotInstalled, UserError, suggest
from smemnas.bench.program import PROGRAM

#: Folders or files that users of the official packages already name.
ENVIRONMENT = ("TORCH_HOME", "NASBENCH101_PATH", "NASBENCH201_PATH", "NASBENCHMARK_DIR")


@dataclass(frozen=True)
class Recipe:
    """How one table is made; see the module's docstring.

    `formerly` lists names that it had: each is accepted, and the oldest (the last) stays in the header of its table,
    whose checksum says for ever which table a run was made on.

    `added` lists columns that the last version only added: tables of the version before open too, without them, and
    both are the same table for the runs that were made on either.
    """

    name: str
    table: str
    version: int
    sources: tuple[Source, ...]
    make: Callable[[Mapping[str, Path], Path], Table]
    text: str
    gives: str
    formerly: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def opens(self, version: object) -> bool:
        """Whether a table of this version of the recipe can be opened."""
        return version == self.version or bool(self.added and version == self.version - 1)

    @property
    def size(self) -> int:
        """Bytes to download (0 where unknown)."""
        return sum(s.bytes for s in self.sources)

    @property
    def licence(self) -> str:
        """Licences of the sources, each once."""
        return " + ".join(dict.fromkeys(s.licence for s in self.sources))


#: Recipe name -> recipe; filled by `register`, complete after `recipes()`.
RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> Recipe:
    """Add a recipe and return it.

    Raises:
        UserError: The name or the table is taken.
    """
    for other in RECIPES.values():
        if {recipe.name, *recipe.formerly} & {other.name, *other.formerly} or recipe.table == other.table:
            raise UserError(f"recipe {recipe.name!r} ({recipe.table}) is already registered: choose another name.")
    RECIPES[recipe.name] = recipe
    return recipe


def recipes() -> list[Recipe]:
    """Return all recipes by name, after importing every module that has one."""
    from smemnas.bench.benchmarks.catalog import BENCHMARKS

    BENCHMARKS.discover()
    return [RECIPES[name] for name in sorted(RECIPES)]


def find(name: str) -> Recipe:
    """Return a recipe by its name, or by the name of its table.

    Raises:
        UserError: Unknown; near misses are suggested.
    """
    known = {r.name: r for r in recipes()}
    others = {key: r for r in known.values() for key in (r.table, *r.formerly)}
    if name not in known and name not in others:
        raise UserError(f"no data set {name!r}.{suggest(name, known)}")
    return known.get(name) or others[name]


def renamed(name: str) -> str:
    """Return one line about a name that a recipe no longer has; "" for any other."""
    for recipe in recipes():
        if name in recipe.formerly:
            return f"{name} is now called {recipe.name} ({recipe.text}); both names work."
    return ""


def open_table(recipe: Recipe) -> Table:
    """Open the table of a recipe: the installed one, which may have more columns, else that of the package.

    Raises:
        NotInstalled: It is neither installed nor in the package, or of another version.
        DataError: It is corrupt. Both messages say what to run.
    """
    folder = table_folder(recipe.table)
    command = f"{PROGRAM} data fetch {recipe.name} (or --from DIR with {_names(recipe)})"
    there = (folder / "header.json").exists()
    table = Table(folder) if there else None
    found = table.header.get("recipe_version") if table is not None else None
    if table is not None and recipe.opens(found):
        table.identity = identity_without(table, recipe.added) if recipe.added else whole_identity(table)
        return table
    if recipe.table in packaged():
        return PackagedTable(recipe.table)
    if not there:
        raise NotInstalled(recipe.name, f"{recipe.table} is not installed: {command}")
    was = f"{recipe.table} was made by version {found} of its recipe, not {recipe.version}"
    raise NotInstalled(recipe.name, f"{was}: {command}")


def identity_without(table: Table, added: Sequence[str]) -> str:
    """Return the checksum that runs on a table record: that of the version before, which had none of some columns."""
    columns = {name: entry for name, entry in table.columns.items() if name not in added}
    version = int(table.header["recipe_version"]) - (len(columns) < len(table.columns))
    return header_digest({**table.header, "columns": columns, "recipe_version": version})


def fetch(
    name: str,
    from_dir: str | Path | None = None,
    *,
    progress: bool = False,
) -> Table:
    """Install a data set: find or download its original files, check them, make the table.

    Each file is looked for in `from_dir`, among earlier downloads, in the folders of `ENVIRONMENT`, and is
    downloaded last, from one address after the other. What a table can do without (`Source.optional`) and cannot be had
    is left out and said; fetching again adds it. Two processes may fetch the same thing at once: one works, the other
    waits.

    Args:
        name: Recipe (or table) name.
        from_dir: Folder with the original files (or one folder above), or the file itself.
        progress: Show a progress bar on standard error.

    Raises:
        UserError: Unknown name.
        DataError: A file is missing, truncated, corrupt or not what the recipe reads; no table is left then.
    """
    from smemnas.bench.log import note

    recipe = find(name)
    if from_dir is not None and not Path(from_dir).expanduser().exists():
        raise DataError(f"--from {from_dir}: no such folder. Expected one with {_names(recipe)}.")
    try:
        table_folder(recipe.table).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{data_folder()} cannot be written ({error.strerror}): set SMEMNAS_DATA.") from error

    faults: dict[str, str] = {}

    def make(target: Path) -> Table:
        paths = {}
        for source in recipe.sources:
            try:
                paths[source.file] = obtain(source, recipe, from_dir, progress=progress)
            except DataError as error:
                if not source.optional:
                    raise
                faults[source.optional] = str(error)
        return recipe.make(paths, target)

    def whole(table: Table) -> bool:
        lacking = [s for s in recipe.sources if s.file in table.header.get("lacks", ())]
        had = [_is_there(s, recipe, from_dir, faults, progress=progress) for s in lacking]  # each one is tried
        return not any(had)

    table = open_or_make(recipe.table, recipe.version, make, whole)
    for optional, fault in faults.items():
        note(f"{recipe.table} is without {optional}: {fault}")
    return table


def _is_there(
    source: Source, recipe: Recipe, from_dir: str | Path | None, faults: dict[str, str], *, progress: bool
) -> bool:
    """Whether an optional file can be had now; if not, the reason is noted."""
    try:
        obtain(source, recipe, from_dir, progress=progress)
    except DataError as error:
        faults[source.optional] = str(error)
        return False
    return True


def obtain(source: Source, recipe: Recipe, from_dir: str | Path | None = None, *, progress: bool = False) -> Path:
    """Return the path of one checked source file; see `fetch` for the order of the search.

    Raises:
        DataError: The file is nowhere, or the one in `from_dir` is not the published one.
    """
    if from_dir is not None:
        for path in _candidates(Path(from_dir).expanduser(), source.file):
            fault = check(path, source)
            if fault:
                raise DataError(f"{path} {fault}: get the file anew{_origin(source)}")
            return path
    downloads = data_folder() / "downloads"
    path = downloads / source.file
    if path.exists() and not check(path, source):
        return path
    for variable in ENVIRONMENT:
        value = os.environ.get(variable)
        if value:
            for path in _candidates(Path(value).expanduser(), source.file):
                if not check(path, source):
                    return path
    tried = f"not in {from_dir}" if from_dir is not None else "not among the downloads"
    wanted = f"{source.file} ({_size(source)}) of {recipe.name} is missing: {tried}"
    instead = f"run: {PROGRAM} data fetch {recipe.name} --from DIR (DIR with {source.file})"
    if not source.addresses:
        raise DataError(f"{wanted}, and it has no address to download from. {source.how or 'Get it'}, then {instead}")
    faults = []
    for address in source.addresses:
        try:
            return download(source, address, downloads, progress=progress)
        except DataError as error:
            faults.append(f"{address}: {error}")
    raise DataError(f"{wanted}, and the download failed ({'; '.join(faults)}). Try again or {instead}")


def _candidates(place: Path, file: str) -> Iterator[Path]:
    """Yield the existing paths that a user may mean by naming `place`: the file, its folder, or one above."""
    if place.name == file and place.exists():
        yield place
    elif place.is_dir():
        yield from (p for p in (place / file, *sorted(place.glob(f"*/{file}"))) if p.exists())


def _size(source: Source) -> str:
    """Return the size of a source in words."""
    return f"{source.bytes / 1e6:.1f} MB" if source.bytes else "size unknown"


def _names(recipe: Recipe) -> str:
    """Return the file names of a recipe in one line."""
    return ", ".join(s.file for s in recipe.sources)


def _origin(source: Source) -> str:
    """Return " from ..." for a message, where an origin is known."""
    return f" from {source.url}" if source.url else ""
