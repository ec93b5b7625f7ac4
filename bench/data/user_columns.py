"""Columns of a user's file with their meaning: declared, read, converted, checked, and paired.

Every check is made on its own and what it refuses is collected, so that `data import --dry-run` shows all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from smemnas.bench.benchmarks.objectives import FRONT_COLUMNS, TRUE
from smemnas.bench.data.user_numbers import Cells, MissingWords, read_numbers
from smemnas.bench.data.user_roles import (
    IDENTIFIER,
    RESERVED,
    SIGNED_UNITS,
    Role,
    parse_accuracy,
    parse_metric,
    parse_time,
    without_split,
)
from smemnas.bench.data.user_sheet import Sheet
from smemnas.bench.display import counted
from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.spaces.base import FloatArray, SearchSpace

#: Numbers that stand for "no value" in many files.
USUAL_MARKS = (-1.0, -99.0, -100.0, -999.0, -9999.0)


class Faults:
    """What is refused, in the order in which it was found."""

    def __init__(self) -> None:
        self.found: list[UserError] = []

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Keep a mistake and go on behind the block."""
        try:
            yield
        except UserError as error:
            self.found.append(error)

    def raise_first(self) -> None:
        """Raise the first mistake, if there is one, and say how many more there are.

        Raises:
            UserError: There is one.
        """
        if self.found:
            more = len(self.found) - 1
            first = self.found[0]
            raise type(first)(f"{first}{f' ({more} more: --dry-run shows all.)' if more else ''}")


class Read(NamedTuple):
    """A column as it will be stored, row by row of the file.

    Attributes:
        role: What it is.
        values: Minimised ``(n,)`` or ``(n, trainings)``; NaN where a value is missing.
        missing: Number of cells without a value.
        how: What was done to the numbers of the file, in words; "" for nothing.
        origin: Column of the file that each training is of.
    """

    role: Role
    values: FloatArray
    missing: int
    how: str
    origin: tuple[str, ...]


def declared(
    sheet: Sheet,
    accuracies: Sequence[str],
    metrics: Sequence[str],
    space: SearchSpace,
    faults: Faults,
    times: Sequence[str] = (),
) -> list[Role]:
    """Return the roles that a user declares, each under a name of its own."""
    roles: list[Role] = []
    costs = {c.name for c in space.costs}
    given_as = ((parse_accuracy, accuracies), (parse_metric, metrics), (parse_time, times))
    for given, parse in [(given, parse) for parse, options in given_as for given in options]:
        with faults.noted():
            role = parse(given, sheet)
            check_name(role, roles, costs, space.name)
            again = {s for r in roles for s in r.sources} & set(role.sources)
            if again:
                name = sorted(again)[0]
                raise UserError(f"{role.given}: the column {name!r} is declared twice: leave one of them out.")
            roles.append(role)
    if not faults.found and not any(r.role == "objective" for r in roles):
        faults.found.append(
            UserError("nothing to search: declare an --accuracy of split validation or single, or a --metric.")
        )
    return roles


def check_name(role: Role, before: Sequence[Role], costs: Container[str], space: str) -> None:
    """Refuse a name that is taken or cannot be stored.

    Raises:
        UserError: It is.
    """
    names = {n for r in before for n in (r.stored, r.name)}
    mine = {role.stored, role.name}
    rename = f"give it a name of its own, NAME={role.given.partition(' ')[2]}."
    if role.time:  # it has no other name
        rename = "give the other column another name, or all times in one --time A,B."
    if mine & names:
        raise UserError(f"{role.given}: {role.name!r} is there twice: {rename}")
    if any(name in costs for name in mine):
        raise UserError(f"{role.given}: {role.name!r} is a cost that {space} computes: leave it out, or {rename}")
    if mine & set(RESERVED):
        raise UserError(f"{role.given}: {role.name!r} is a name that tables keep for themselves: {rename}")
    if role.stored in FRONT_COLUMNS or role.stored.startswith(TRUE):
        raise UserError(f"{role.given}: {role.stored!r} is the name of another column of front.csv: {rename}")
    if not IDENTIFIER.fullmatch(role.stored):
        raise UserError(f"{role.given}: {role.stored[:40]!r}... is longer than 100 characters: {rename}")
    if {"error", "val_error"} <= names | mine:
        # runs of tables with val_error may say "error" for it
        raise UserError(f"{role.given}: 'error' is another name of 'val_error', which is there too: {rename}")


def read_columns(
    roles: Sequence[Role], cells: Mapping[str, Cells], file: str, decimal: str, missing: MissingWords, faults: Faults
) -> list[Read]:
    """Return the columns that can be read, converted to what is stored."""
    columns = []
    for role in roles:
        with faults.noted():
            columns.append(_read(role, cells, file, decimal, missing))
    return columns


def _read(role: Role, cells: Mapping[str, Cells], file: str, decimal: str, missing: MissingWords) -> Read:
    """Read one column, see `Read`.

    Raises:
        DataError: A cell is no number, or out of the range of the unit.
        UserError: The numbers look like a mistake in the declaration.
    """
    parts = [read_numbers(cells[s], file, s, decimal, missing) for s in role.sources]
    if len({p.percent for p in parts}) > 1:
        raise DataError(f"{file}: the columns {', '.join(role.sources)} have a percent sign in some of them only.")
    percent = parts[0].percent
    values, origin = side_by_side([p.values for p in parts], role.sources)
    if percent and role.unit not in ("%", ""):
        advice = "mend them" if role.time else "give the unit %"
        raise DataError(f"{file}, column {role.sources[0]!r}: the cells are in %, not in {role.unit}: {advice}.")
    if percent and role.scale == "fraction":
        raise UserError(f"{role.given}: the cells have a percent sign and are no fractions: leave :fraction out.")
    values, how = _scaled(role, values, percent, file, origin)
    if role.accuracy:
        values, how = 100.0 - values, f"100 - {how or 'value'}"
    elif role.more:
        _check_sign(role, values, file, origin)
        values, how = -values, f"negated{f', {how}' if how else ''}"
    elif role.unit != "%":
        _check_sign(role, values, file, origin)
    return Read(role, values, sum(p.missing for p in parts), how, origin)


def side_by_side(parts: Sequence[FloatArray], sources: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return columns ``(n,)`` or ``(n, k)`` as one, and of which column of the file each training is."""
    origin = [s for s, v in zip(sources, parts, strict=True) for _ in range(1 if v.ndim == 1 else v.shape[1])]
    return parts[0] if len(parts) == 1 else np.column_stack(parts), tuple(origin)


def _scaled(role: Role, values: FloatArray, percent: bool, file: str, origin: Sequence[str]) -> tuple[FloatArray, str]:
    """Return percentages in percent, and what was done.

    Raises:
        DataError: A value is out of range.
        UserError: Percentages that look like fractions.
    """
    if role.unit != "%":
        if role.scale:
            raise UserError(f"{role.given}: fraction and percent are for the unit %, not for {role.unit or '-'}.")
        return values, ""
    known = values[np.isfinite(values)]
    low = -np.inf if role.signed else 0.0
    high = np.inf if role.signed else 1.0 if role.scale == "fraction" else 100.0
    wrong = np.isfinite(values) & ~((values >= low) & (values <= high))
    if wrong.any():
        row, source, found = first_wrong(values, wrong, origin)
        kind = "fraction (0 to 1)" if role.scale == "fraction" else "percentage (0 to 100)"
        mark = "" if found >= 0 else f": if it means that there is no value, give --missing {found:g}"
        if not role.accuracy and role.scale != "fraction":
            mark = f"{mark or ':'}{'; ' if mark else ' '}if it is a value, {role.given}:signed"
        raise DataError(f"{file}, row {row}, column {source!r}: {found:g} is not a {kind}{mark}.")
    if role.scale == "fraction":
        return 100.0 * values, "100 x value"
    if not percent and not role.scale and np.abs(known).max(initial=0.0) <= 1.0:
        raise UserError(
            f"{file}, column {role.sources[0]!r}: no value is above {known.max():g} %, which looks like fractions: "
            f"give {role.given}:fraction, or :percent if they are percentages."
        )
    return values, ""


def _check_sign(role: Role, values: FloatArray, file: str, origin: Sequence[str]) -> None:
    """Refuse values below zero where the unit has none, or where they look like a mark.

    Raises:
        DataError: There is one.
    """
    negative = values < 0
    if role.signed or not negative.any():
        return
    row, source, found = first_wrong(values, negative, origin)
    marks = np.unique(values[negative])
    mark = len(marks) == 1 and found in USUAL_MARKS and (values >= 0).any()
    if role.unit in SIGNED_UNITS and not mark:
        return
    what = f"{found:g} is negative" if role.unit not in SIGNED_UNITS else f"{found:g} is the only value below zero"
    means = "that there is none" if role.time else "infeasible"
    signed = "" if role.time else f"; if it is a value, {role.given}:signed"
    raise DataError(
        f"{file}, row {row}, column {source!r}: {what}. If it means {means}, give --missing {found:g}{signed}."
    )


def check_times(values: Mapping[str, tuple[Read, FloatArray]], file: str, label: Callable[[int], str]) -> None:
    """Refuse an architecture that has a value of a column that is searched and no training time.

    Args:
        values: Each column and its numbers ``(a,)`` or ``(a, trainings)``.
        file: For messages.
        label: Name of an architecture by its position.

    Raises:
        DataError: There is one, or a training took no time at all.
    """
    for read, seconds in (pair for pair in values.values() if pair[0].role.time):
        if (seconds <= 0).any():
            raise DataError(f"{file}, {read.role.given}: a training of 0 seconds; leave the cell empty or mend it.")
        trainings = np.isfinite(seconds).reshape(len(seconds), -1).sum(axis=1)
        for other, numbers in values.values():
            have = np.isfinite(numbers).reshape(len(numbers), -1).sum(axis=1)
            lacking = (have > 0) & (trainings != have) & ((trainings != 1) | (seconds.ndim > 1))
            if other.role.role == "objective" and lacking.any():
                k = int(np.flatnonzero(lacking)[0])
                raise DataError(
                    f"{file}: {label(k)} has {counted(int(have[k]), 'value')} of {other.role.name} and {trainings[k]} "
                    f"of {read.role.given}: give a time for each training, or one column for all."
                )


def first_wrong(
    values: FloatArray, wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], origin: Sequence[str]
) -> tuple[int, str, float]:
    """Return row (from 1), column of the file and value of the first that is wrong."""
    row, at = (int(i) for i in np.argwhere(wrong.reshape(len(values), -1))[0])
    return row + 1, origin[at], float(values.reshape(len(values), -1)[row, at])


def pair(roles: Sequence[Role], partners: Sequence[str], faults: Faults) -> dict[str, str]:
    """Return which column reports a searched one: what the user says, else names that differ by the split only."""
    by_name = {n: r for r in roles for n in (r.name, r.stored)}
    pairs: dict[str, str] = {}
    alone: set[str] = set()
    for given in partners:
        with faults.noted():
            searched, reported = _partner(given, by_name)
            if reported is None:
                alone.add(searched.stored)
            elif searched.stored in pairs:
                raise UserError(f"--partner {given}: {searched.name!r} has a partner already: give one.")
            else:
                _check_pair(searched, reported, f"--partner {given}")
                pairs[searched.stored] = reported.stored
    for role in roles:
        if role.split == "validation" and role.stored not in {*pairs, *alone}:
            with faults.noted():
                found = _by_name(role, roles, {*pairs.values(), *alone})
                if found is not None:
                    pairs[role.stored] = found.stored
    with faults.noted():
        _check_left(roles, pairs, alone)
    return pairs


def _partner(given: str, by_name: Mapping[str, Role]) -> tuple[Role, Role | None]:
    """Read "SEARCHED=REPORTED" or "COLUMN=".

    Raises:
        UserError: Another form, or no such columns.
    """
    first, equals, second = (p.strip() for p in given.partition("="))
    if not equals or not first:
        raise UserError(f"--partner takes SEARCHED=REPORTED, or COLUMN= for none, got {given!r}.")
    for name in (first, second):
        if name and name not in by_name:
            raise UserError(f"--partner {given}: no imported column {name!r}.{suggest(name, by_name)}")
    one, other = by_name[first], by_name[second] if second else None
    if other is not None and (one.role == "report" or other.role != "report"):
        raise UserError(f"--partner {given}: expected a searched column and one of the test split that reports it.")
    return one, other


def _check_pair(searched: Role, reported: Role, given: str) -> None:
    """Refuse a pair of different kinds.

    Raises:
        UserError: Unit or direction differ.
    """
    kinds = [(r.unit, "max" if r.more else "min") for r in (searched, reported)]
    if kinds[0] != kinds[1]:
        shown = " and ".join(
            f"{r.name} ({u or '-'}, {d})" for r, (u, d) in zip((searched, reported), kinds, strict=True)
        )
        raise UserError(
            f"{given}: {shown} are different quantities: declare both alike, or --partner {searched.name}=."
        )


def _by_name(searched: Role, roles: Sequence[Role], taken: set[str]) -> Role | None:
    """Return the test column whose name, or else whose name in the file, differs by its split only.

    Raises:
        UserError: There are several, or it is of another kind.
    """
    free = [r for r in roles if r.split == "test" and r.stored not in taken]
    found = [r for r in free if without_split(r.name) == without_split(searched.name)]
    if not found:
        found = [r for r in free if without_split(r.sources[0]) == without_split(searched.sources[0])]
    if len(found) > 1:
        names = " and ".join(r.name for r in found)
        raise UserError(f"{names} may both report {searched.name}: give --partner {searched.name}={found[0].name}.")
    if found:
        _check_pair(searched, found[0], f"{searched.name} and {found[0].name}")
    return found[0] if found else None


def _check_left(roles: Sequence[Role], pairs: Mapping[str, str], alone: set[str]) -> None:
    """Refuse a validation and a test column that are both left without partner.

    Raises:
        UserError: There are such.
    """
    used = {*pairs, *pairs.values(), *alone}
    left = [r for r in roles if r.stored not in used]
    validation = [r.name for r in left if r.split == "validation"]
    test = [r.name for r in left if r.split == "test"]
    if validation and test:
        raise UserError(
            f"the test column {test[0]!r} belongs to no validation column by its name: give "
            f"--partner {validation[0]}={test[0]}, or --partner {test[0]}= if to none."
        )
