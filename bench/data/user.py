"""A user's own table: a column of architectures and any metric columns, from a file as it lies there.

The table is opened like any other benchmark, by its space and the name given at import. On a space that can be
enumerated it may cover a part: searches are then restricted to it.

Parts: `user_files` opens files (`user_text` CSV, `user_records` JSON, YAML, Parquet), `user_roles` reads what is said
of a column, `user_numbers` its cells, `user_columns` joins the two, `user_names` reads architectures, `user_rows`
gathers rows, `user_table` makes the table of it, `user_export` is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table, file_digest, write_table
from smemnas.bench.benchmarks.timed import TIME_ROLE
from smemnas.bench.data.build import Column, describe
from smemnas.bench.data.user_columns import Faults, Read, check_times, declared, pair, read_columns, side_by_side
from smemnas.bench.data.user_export import Described, check_described, read_description
from smemnas.bench.data.user_files import open_sheet
from smemnas.bench.data.user_names import Named, name_rows
from smemnas.bench.data.user_numbers import Cells, decimal_sign, missing_marks, read_numbers
from smemnas.bench.data.user_roles import Role
from smemnas.bench.data.user_rows import Long, check_long, gather
from smemnas.bench.data.user_sheet import Dialect, Sheet
from smemnas.bench.data.user_table import column_of, default_objectives, found_by_keys, notes_of, rows_in_order
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import SPACES, FloatArray, SearchSpace

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Request(NamedTuple):
    """What to import and how to understand it.

    Attributes:
        file: The file, see `bench.data.user_files.SUFFIXES`.
        space: Registered space.
        name: Name of the data set: the benchmark is `space/name`.
        arch: Column of architectures; the keys of a file that is keyed by architecture.
        accuracies: `--accuracy`, see `bench.data.user_roles`.
        metrics: `--metric`.
        partners: "SEARCHED=REPORTED", or "COLUMN=" for none.
        missing: Marks that mean "no value" beside the empty cell, nan and NA.
        space_params: Constructor arguments of the space, such as n_classes.
        licence: Shown by `data list` and `data info`; None takes that of the description, if there is one.
        overwrite: Replace a table that was imported under the same name.
        dialect: Separator, decimal sign and encoding.
        long: What several rows of one architecture mean.
        form: How architectures are written, one of the space's `forms`; None where they say it themselves.
        operations: What the numbers 0, 1, ... of a tuple stand for, with commas between.
        times: `--time`.
    """

    file: Path
    space: str
    name: str
    arch: str = "arch"
    accuracies: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    missing: tuple[str | float, ...] = ()
    space_params: Mapping[str, Any] = {}
    licence: str | None = None
    overwrite: bool = False
    dialect: Dialect = Dialect()
    long: Long = Long()
    form: str | None = None
    operations: str = ""
    times: tuple[str, ...] = ()


class Draft(NamedTuple):
    """A table that is understood and not yet written.

    Attributes:
        request: What was asked for.
        said: How the file was understood, in words.
        read: Columns, by the name they will be stored under.
        values: Their values ``(a,)`` or ``(a, trainings)``, for each of the architectures.
        columns: Columns of the table in the order of its rows; empty where something is refused.
        header: Further entries of the header.
        unused: Columns of the file that are not imported.
        faults: What is refused, all of it.
    """

    request: Request
    said: tuple[str, ...]
    read: dict[str, Read]
    values: dict[str, FloatArray]
    columns: dict[str, Column]
    header: dict[str, Any]
    unused: tuple[str, ...]
    faults: tuple[UserError, ...]


def import_table(
    file: str | Path,
    space: str,
    name: str,
    *,
    arch: str = "arch",
    accuracies: Sequence[str] = (),
    metrics: Sequence[str] = (),
    partners: Sequence[str] = (),
    missing: float | str | Sequence[float | str] | None = None,
    space_params: Mapping[str, Any] | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    dialect: Dialect = Dialect(),  # noqa: B008  immutable
    long: Long = Long(),  # noqa: B008
    form: str | None = None,
    operations: str = "",
    time: str = "",
) -> Table:
    """Read a user's file, check every value and write the table; nothing is written if anything is wrong.

    Args:
        file: See `Request`, as all others.
        space: Registered space.
        name: Name of the data set.
        arch: Column of architectures.
        accuracies: "COLUMN:SPLIT" and more.
        metrics: "COLUMN:UNIT" and more.
        partners: "SEARCHED=REPORTED".
        missing: One mark or several.
        space_params: Constructor arguments of the space.
        licence: Of the numbers.
        overwrite: Replace an imported table.
        dialect: Of a text file.
        long: Of a file with several rows for each architecture.
        form: Of the names of architectures.
        operations: Order of the operations of a tuple.
        time: Column of the seconds that a training took, or several with commas.

    Raises:
        UserError: An unknown space, parameter, column, split or unit; a name that is taken; a likely mistake.
        DataError: A bad value (row and column are named), or a file that cannot be read or written.
    """
    marks = () if missing is None else (missing,) if isinstance(missing, str | float | int) else tuple(missing)
    request = Request(
        *(Path(file).expanduser(), space, name, arch, tuple(accuracies), tuple(metrics), tuple(partners), marks),
        *(dict(space_params or {}), licence, overwrite, dialect, long, form, operations, (time,) * bool(time)),
    )
    return write_draft(draft_table(request))


def write_draft(draft: Draft) -> Table:
    """Write a table that was drafted.

    Raises:
        UserError: Something was refused: the first, and how many more.
        DataError: The table cannot be written.
    """
    faults = Faults()
    faults.found.extend(draft.faults)
    faults.raise_first()
    request = draft.request
    return write_table(
        table_folder(f"{request.space}/{request.name}"),
        {n: c.values for n, c in draft.columns.items()},
        describe={n: describe(c) for n, c in draft.columns.items()},
        **draft.header,
    )


def draft_table(request: Request) -> Draft:
    """Understand a file as far as possible; what is refused is collected, nothing is written.

    Raises:
        UserError: Nothing can be understood at all: an unknown space or name, a file that cannot be opened.
    """
    described = None
    if not request.accuracies and not request.metrics:
        described = read_description(request.file)
    if described is not None:
        request = request._replace(arch=described.arch) if request.arch == "arch" else request
        if request.form is None and not request.operations:
            request = request._replace(form=described.form, operations=described.operations)
        if request.partners or request.times:
            given = "--partner" if request.partners else "--time"
            raise UserError(
                f"{described.name} says already what the columns are: leave {given} out, or declare them with "
                "--accuracy and --metric."
            )
        if described.space != request.space:
            raise UserError(f"{described.name} says that the file is of space {described.space}, not {request.space}.")
        request = request._replace(space_params={**described.space_params, **request.space_params})
    space: SearchSpace = SPACES.create(request.space, params=dict(request.space_params))
    _check_target(request)
    sheet = open_sheet(request.file, request.dialect, request.arch)
    sheet.need(request.arch, "--arch")
    return _Understanding(request, space, sheet, described).draft()


def _check_target(request: Request) -> None:
    """Check the name of the new table.

    Raises:
        UserError: It cannot be a name, or is taken.
    """
    from smemnas.bench.benchmarks.catalog import BENCHMARKS

    full_name = f"{request.space}/{request.name}"
    if not NAME.fullmatch(request.name):
        raise UserError(f"a data set is named with a-z, 0-9 and . _ - like my-table, got {request.name!r}.")
    if full_name in BENCHMARKS:
        raise UserError(f"{full_name} is the name of a built-in data set: choose another --name.")
    if table_folder(full_name).exists() and not request.overwrite:
        raise UserError(f"{full_name} is already imported: choose another --name or give --overwrite.")


class _Understanding:
    """The steps from an open sheet to a draft."""

    def __init__(self, request: Request, space: SearchSpace, sheet: Sheet, described: Described | None) -> None:
        self._request, self._space, self._sheet, self._described = request, space, sheet, described
        self._faults = Faults()
        self._said = list(sheet.said)

    def draft(self) -> Draft:
        """Return the draft."""
        request, sheet, faults = self._request, self._sheet, self._faults
        roles = self._roles()
        pairs = pair(roles, request.partners, faults) if self._described is None else {}
        sources = list(dict.fromkeys(s for r in roles for s in r.sources))
        long = request.long
        with faults.noted():
            check_long(long, sheet, [request.arch, *sources])
        further = [c for c in long.columns if c in sheet.names]
        cells = sheet.cells(list(dict.fromkeys([request.arch, *sources, *further])))
        read = self._read(roles, {s: cells[s] for s in sources})
        by_key = found_by_keys(self._space, self._described)
        form = request.form, request.operations
        named = name_rows(self._space, cells[request.arch], sheet.file, *form, faults, by_key)
        values: dict[str, tuple[Read, FloatArray]] = {}
        if not faults.found:
            values = gather(named, read, cells, long, sheet, self._label(named), faults, self._space)
            with faults.noted():
                check_times(values, sheet.file, self._label(named))
        columns, header = self._finish(named, values, pairs) if not faults.found else ({}, {})
        return Draft(
            *(request, tuple(self._said), {r.role.stored: r for r in read} if not values else _reads(values)),
            *({n: v for n, (_, v) in values.items()}, columns, header),
            *(tuple(n for n in sheet.names if n not in cells), tuple(faults.found)),
        )

    def _roles(self) -> list[Role]:
        """Return what is declared: by options, or by the description beside the file."""
        request, found = self._request, self._described
        if found is None:
            given = request.accuracies, request.metrics, self._space, self._faults, request.times
            return declared(self._sheet, *given)
        self._said.append(f"columns as {found.name} describes them")
        roles = []
        for stored, column in found.columns.items():
            with self._faults.noted():
                for source in found.sources[stored]:
                    self._sheet.need(source, found.name)
                role = Role(
                    given=f"column {stored} of {found.name}",
                    sources=found.sources[stored],
                    name=column.negated or stored,
                    unit=column.unit,
                    split=column.split,
                    accuracy=False,
                    more=bool(column.negated),
                    scale="percent",
                    signed=True,
                    time=column.role == TIME_ROLE,
                )
                if role.stored != stored:
                    raise DataError(f"{found.name}: {stored!r} cannot be {role.name!r} with the opposite sign.")
                roles.append(role)
        return roles

    def _read(self, roles: Sequence[Role], cells: Mapping[str, Cells]) -> list[Read]:
        """Read the columns of the declared roles."""
        request, file, faults = self._request, self._sheet.file, self._faults
        decimal, marks = "", missing_marks(request.missing)
        with faults.noted():
            if request.dialect.decimal not in (None, ".", ","):
                raise UserError(f"--decimal takes . or , got {request.dialect.decimal!r}.")
            decimal = decimal_sign(cells, file, request.dialect.decimal, marks)
        if decimal == ",":
            self._said.append("decimal comma")
        elif not decimal:
            return []
        if self._described is None:
            return read_columns(roles, cells, file, decimal, marks, faults)
        columns = []
        for role in roles:
            with faults.noted():
                parts = [read_numbers(cells[s], file, s, decimal, marks) for s in role.sources]
                values, origin = side_by_side([p.values for p in parts], role.sources)
                check_described(self._described.columns[role.stored], values, origin, file)
                how = "negated" if role.more else ""
                columns.append(Read(role, -values if role.more else values, sum(p.missing for p in parts), how, origin))
        return columns

    def _label(self, named: Named) -> Callable[[int], str]:
        return lambda i: self._space.to_str(named.X[i].astype(np.int64))

    def _finish(
        self, named: Named, values: Mapping[str, tuple[Read, FloatArray]], pairs: Mapping[str, str]
    ) -> tuple[dict[str, Column], dict[str, Any]]:
        """Return the columns of the table and its header."""
        request, space, sheet = self._request, self._space, self._sheet
        known = np.zeros(len(named.keys), dtype=bool)
        for _, numbers in values.values():
            known |= np.isfinite(numbers).reshape(len(numbers), -1).any(axis=1)
        columns = {n: column_of(n, r, v[known], pairs, self._described) for n, (r, v) in values.items()}
        table = rows_in_order(columns, named, known, space, self._described)
        digest, licence = file_digest(request.file), request.licence or ""
        source = [{"file": sheet.file, "url": "", "sha256": digest, "licence": licence}]
        aliases = {"error": "val_error"} if "val_error" in columns else {}
        header: dict[str, Any] = {
            **{"default_objectives": default_objectives(columns, space), "aliases": aliases},
            "licence": request.licence or "not stated",
            "notes": [*notes_of(columns, sheet.file, named, int((~known).sum()), space), *self._how_rows(named)],
            "source": source,
        }
        if self._described is not None:
            header.update({k: v for k, v in self._described.header.items() if k != "licence" or not request.licence})
        return table, {
            **{"name": f"{request.space}/{request.name}", "space": request.space, "dataset": request.name},
            "index": "key" if named.by_key else "grid",
            **{"space_params": dict(request.space_params), "recipe_version": 0, "rows_given": int(known.sum())},
            **header,
        }

    def _how_rows(self, named: Named) -> list[str]:
        """Return what was made of several rows of one architecture."""
        long, rows = self._request.long, int((named.group >= 0).sum())
        notes = [f"Of the epochs of {self._sheet.file}, {long.at or 'last'} was taken."] if long.epoch else []
        if long.repeated != "refuse" and rows > len(named.keys):
            notes.append(f"{rows:,} rows name {len(named.keys):,} architectures; repeated ones: {long.repeated}.")
        return notes


def _reads(values: Mapping[str, tuple[Read, FloatArray]]) -> dict[str, Read]:
    return {name: read for name, (read, _) in values.items()}


__all__ = ["Dialect", "Draft", "Long", "Request", "draft_table", "import_table", "write_draft"]
