"""Many rows of one architecture to one.

A file may have a row for each architecture and epoch, seed or device. Seeds become trainings, devices columns of
their own, and of epochs one is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.data.user_columns import Faults, Read, check_name
from smemnas.bench.data.user_names import Named
from smemnas.bench.data.user_numbers import Cells, is_missing, missing_marks, read_numbers
from smemnas.bench.data.user_sheet import Sheet
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace

#: What may be done with rows of one architecture that nothing tells apart.
REPEATED = ("refuse", "mean", "first", "last", "trainings")


class Long(NamedTuple):
    """What several rows of one architecture mean.

    Attributes:
        seed: Column that tells trainings apart.
        epoch: Column of epochs.
        at: Epoch that is taken: a number, "last" of each training, or None: the last, which all must have.
        device: Column of devices; a metric without split becomes one column for each.
        repeated: One of `REPEATED`, for rows that none of these tells apart.
    """

    seed: str | None = None
    epoch: str | None = None
    at: str | None = None
    device: str | None = None
    repeated: str = "refuse"

    @property
    def columns(self) -> list[str]:
        """Columns of the file that are needed."""
        return [c for c in (self.seed, self.epoch, self.device) if c]


def check_long(long: Long, sheet: Sheet, used: Sequence[str]) -> None:
    """Check the options of long files.

    Raises:
        UserError: An unknown column or word, or a column with two meanings.
    """
    for column, option in (
        (long.seed, "--seed-column"),
        (long.epoch, "--epoch-column"),
        (long.device, "--device-column"),
    ):
        if column is not None:
            sheet.need(column, option)
            if column in used or long.columns.count(column) > 1:
                raise UserError(f"{option} {column}: the column has another meaning already.")
    if long.repeated not in REPEATED:
        raise UserError(f"--repeated takes {', '.join(REPEATED)}, got {long.repeated!r}.")
    if long.at is not None and long.epoch is None:
        raise UserError("--epoch needs --epoch-column: the column of epochs.")
    if long.at is not None and long.at != "last" and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", long.at):
        raise UserError(f"--epoch takes a number or last, got {long.at!r}.")


def gather(
    named: Named,
    columns: Sequence[Read],
    cells: dict[str, Cells],
    long: Long,
    sheet: Sheet,
    label: Callable[[int], str],
    faults: Faults,
    space: SearchSpace,
) -> dict[str, tuple[Read, FloatArray]]:
    """Bring the rows of one architecture together.

    Args:
        named: Architectures of the rows.
        columns: Columns, row by row.
        cells: Cells of the columns that `long` names.
        long: What several rows of one architecture mean.
        sheet: The file.
        label: Name of an architecture, for messages.
        faults: Takes what is refused.
        space: Whose costs are no names of columns.

    Returns:
        Stored name -> column and its values ``(a,)`` or ``(a, trainings)``.
    """
    keep = named.group >= 0
    device, seed = np.zeros(len(keep), dtype=np.int64), np.zeros(len(keep), dtype=np.int64)
    slugs: list[str] = []
    with faults.noted():
        if long.device:
            device, devices = _codes(cells[long.device], sheet.file, long.device, "device")
            slugs = _slugs(devices, long.device, sheet.file)
    with faults.noted():
        if long.seed:
            seed, _ = _codes(cells[long.seed], sheet.file, long.seed, "seed")
    if long.epoch:
        with faults.noted():
            keep &= _at_epoch(named.group, device, seed, cells[long.epoch], long, sheet.file, label, keep)
    rows = np.flatnonzero(keep)
    result: dict[str, tuple[Read, FloatArray]] = {}
    if faults.found:
        return result
    spread = _Spread(named, long, rows, seed[rows], device[rows], label, sheet.file)
    costs = {c.name for c in space.costs}
    for column in columns:
        apart = long.device and column.role.split == "none" and not column.role.time
        for i, slug in enumerate(slugs) if apart else [(None, "")]:
            with faults.noted():
                here = column._replace(role=column.role._replace(name=f"{column.role.name}_{slug}")) if slug else column
                check_name(here.role, [r.role for r, _ in result.values()], costs, space.name)
                result[here.role.stored] = (here, spread.values(column, i))
    return result


class _Rows(NamedTuple):
    """Some rows of one column.

    Attributes:
        values: ``(n, k)``.
        group: Architecture of each ``(n,)``.
        seed: Its seed ``(n,)``.
        device: Its device ``(n,)``.
        row: Its row in the file ``(n,)``, of several the first.
    """

    values: FloatArray
    group: IntArray
    seed: IntArray
    device: IntArray
    row: IntArray

    def take(self, at: NDArray[Any]) -> _Rows:
        """Return some of the rows, in the order of their positions."""
        return _Rows(*(part[at] for part in self))

    @property
    def starts(self) -> NDArray[np.bool_]:
        """Which rows ``(n,)`` differ from the one before by architecture, seed or device."""
        new = np.ones(len(self.row), dtype=bool)
        new[1:] = False
        for part in (self.group, self.seed, self.device):
            new[1:] |= part[1:] != part[:-1]
        return new


class _Spread:
    """Puts rows of one architecture side by side or takes their mean."""

    def __init__(
        self,
        named: Named,
        long: Long,
        rows: IntArray,
        seed: IntArray,
        device: IntArray,
        label: Callable[[int], str],
        file: str,
    ) -> None:
        self._n = len(named.keys)
        self._long, self._rows, self._group = long, rows, named.group[rows]
        self._seed, self._device, self._label, self._file = seed, device, label, file

    def values(self, column: Read, only: int | None) -> FloatArray:
        """Return the values ``(a,)`` or ``(a, trainings)`` of one column, of one device or of whatever there is.

        Raises:
            DataError: Rows that nothing tells apart, or that differ where they must not.
        """
        width = column.values[0].size
        every = _Rows(column.values[self._rows].reshape(-1, width), self._group, self._seed, self._device, self._rows)
        found = every if only is None else every.take(self._device == only)
        found = found.take(np.lexsort((found.row, found.device, found.seed, found.group)))
        again = np.flatnonzero(~found.starts)
        policy = self._long.repeated
        if len(again) and policy == "refuse":
            second = int(again[0])
            raise DataError(
                f"{self._file}, row {found.row[second] + 1}: {self._label(int(found.group[second]))} is there twice, "
                f"first in row {found.row[second - 1] + 1}: {self._advice()}."
            )
        if len(again) and policy != "trainings":
            found = _merged(found, policy)
        if only is None and self._long.device:
            found = self._same_on_all_devices(column, found)
        return self._side_by_side(column, found.values if width > 1 else found.values[:, 0], found.group)

    def _advice(self) -> str:
        if self._long.seed or self._long.epoch or self._long.device:
            return "also for its seed, epoch or device; --repeated mean, first, last or trainings says what that means"
        return (
            "name the column that tells them apart (--seed-column, --epoch-column, --device-column), or give "
            "--repeated mean, first, last or trainings"
        )

    def _same_on_all_devices(self, column: Read, rows: _Rows) -> _Rows:
        """Return one row of each training of a column that has nothing to do with devices, whichever of them tell it.

        Raises:
            DataError: The devices differ.
        """
        start = np.flatnonzero(rows.starts)
        repeat = np.arange(len(rows.row)) - np.repeat(start, np.diff(np.append(start, len(rows.row))))
        rows = rows.take(order := np.lexsort((rows.device, repeat, rows.seed, rows.group)))
        repeat = repeat[order]
        new = np.ones(len(repeat), dtype=bool)
        new[1:] = (rows.group[1:] != rows.group[:-1]) | (rows.seed[1:] != rows.seed[:-1]) | (repeat[1:] != repeat[:-1])
        start = np.flatnonzero(new)
        known = np.isfinite(rows.values)
        none = len(repeat)
        at = np.minimum.reduceat(np.where(known, np.arange(none)[:, None], none), start, axis=0)  # the first that knows
        told = np.take_along_axis(rows.values, np.where(at < none, at, start[:, None]), axis=0)
        near = 1e-12 if self._long.repeated == "mean" else 0.0  # a mean depends a little on the order of its parts
        first = told[np.cumsum(new) - 1]
        differ = np.argwhere(known & (np.abs(rows.values - first) > near * np.abs(first)))
        if len(differ):
            row, training = differ[0].tolist()
            raise DataError(
                f"{self._file}, row {rows.row[row] + 1}, column {column.origin[training]!r}: differs between the "
                f"devices of {self._label(int(rows.group[row]))}: declare it as a --metric without split, or mend it."
            )
        return rows.take(start)._replace(values=told)

    def _side_by_side(self, column: Read, values: FloatArray, group: IntArray) -> FloatArray:
        """Return values ``(a,)``, or ``(a, trainings)`` where an architecture has several, first come first."""
        start = np.searchsorted(group, np.arange(self._n))
        rank = np.arange(len(group)) - start[group]
        width = int(rank.max(initial=0)) + 1
        if values.ndim == 2:
            if width > 1:
                raise DataError(
                    f"{self._file}: {', '.join(column.role.sources)} are several trainings in one row, and there are "
                    "several rows: declare one of them."
                )
            whole = np.full((self._n, values.shape[1]), np.nan)
            whole[group] = values
            return _compact(whole)
        whole = np.full((self._n, width), np.nan)
        whole[group, rank] = values
        if width > 1 and column.role.split == "none" and not column.role.accuracy:
            low, high = _range(whole)
            if np.array_equal(low, high, equal_nan=True):  # a cost that is the same in every training
                return low
        return _compact(whole)


def _range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return smallest and largest known value of each row ``(a,)``, NaN where there is none."""
    known = np.isfinite(values)
    low, high = np.where(known, values, np.inf).min(axis=1), np.where(known, values, -np.inf).max(axis=1)
    none = ~known.any(axis=1)
    low[none] = high[none] = np.nan
    return low, high


def _compact(values: FloatArray) -> FloatArray:
    """Move what is known of each row to its front and leave out columns without any value; ``(a,)`` if one is left."""
    order = np.argsort(np.isnan(values), axis=1, kind="stable")
    moved = np.take_along_axis(values, order, axis=1)
    width = max(int(np.isfinite(moved).any(axis=0).sum()), 1)
    return moved[:, :width] if width > 1 else moved[:, 0]


def _merged(rows: _Rows, policy: str) -> _Rows:
    """Make one row of those, next to one another, that have one architecture, seed and device."""
    start = np.flatnonzero(rows.starts)
    if policy == "mean":
        known = np.isfinite(rows.values)
        total = np.add.reduceat(np.where(known, rows.values, 0.0), start, axis=0)
        count = np.add.reduceat(known.astype(np.int64), start, axis=0)
        merged = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    else:
        merged = rows.values[start if policy == "first" else np.append(start[1:], len(rows.row)) - 1]
    return rows.take(start)._replace(values=merged)


def _codes(cells: Cells, file: str, column: str, what: str) -> tuple[IntArray, list[str]]:
    """Return which of its distinct values each row has ``(n,)``, in ascending order, numbers as numbers; and these.

    Seeds 1 and 1.0 are one; devices 1.1 and 1.10 may be two versions.

    Raises:
        DataError: A row has none.
    """
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells
    empty = next((row for row, v in enumerate(values) if is_missing(v)), -1)
    if empty >= 0:
        raise DataError(f"{file}, row {empty + 1}, column {column!r}: the {what} is missing.")
    texts = [str(v).strip() for v in values]
    numbers = {t: Decimal(t) for t in set(texts) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?", t)}  # exact, of any length
    shown: dict[Any, str] = {}
    for text in texts:
        shown.setdefault(numbers.get(text, text) if what == "seed" else text, text)
    ascending = sorted(shown.items(), key=lambda e: (e[1] not in numbers, numbers.get(e[1], Decimal()), e[1]))
    at = {key: i for i, (key, _) in enumerate(ascending)}
    codes = [at[numbers.get(t, t) if what == "seed" else t] for t in texts]
    return np.array(codes, dtype=np.int64), [text for _, text in ascending]


def _slugs(devices: Sequence[str], column: str, file: str) -> list[str]:
    """Return the names of devices as parts of column names.

    Raises:
        DataError: Two devices would have one, or one has none.
    """
    slugs = [re.sub(r"[^a-z0-9]+", "_", d.lower()).strip("_") for d in devices]
    for device, slug in zip(devices, slugs, strict=True):
        if not slug or slugs.count(slug) > 1 or len(slug) > 60:
            raise DataError(f"{file}, column {column!r}: {device!r} names no device of its own: rename it.")
    return slugs


def _at_epoch(
    group: IntArray,
    device: IntArray,
    seed: IntArray,
    cells: Cells,
    long: Long,
    file: str,
    label: Callable[[int], str],
    keep: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which rows ``(n,)`` are those of the chosen epoch.

    Raises:
        DataError: Trainings end at different epochs and nobody says which to take, or none has the chosen one.
    """
    epochs = read_numbers(cells, file, str(long.epoch), ".", missing_marks(())).values
    if np.isnan(epochs[keep]).any():
        row = int(np.flatnonzero(np.isnan(epochs) & keep)[0])
        raise DataError(f"{file}, row {row + 1}, column {long.epoch!r}: the epoch is missing.")
    if long.at not in (None, "last"):
        chosen = epochs == float(str(long.at))
        if not (chosen & keep).any():
            raise DataError(f"{file}: no row has epoch {long.at}; the largest is {epochs[keep].max():g}.")
        return np.asarray(chosen)
    order = np.lexsort((epochs, seed, device, group))
    g, d, s = group[order], device[order], seed[order]
    end = np.append((g[1:] != g[:-1]) | (d[1:] != d[:-1]) | (s[1:] != s[:-1]), True)
    training = np.empty(len(order), dtype=np.int64)
    training[order] = np.concatenate(([0], np.cumsum(end[:-1])))
    last = epochs[order][end]
    ends = np.unique(last[np.unique(training[keep])])
    if long.at is None and len(ends) > 1:
        short = int(np.flatnonzero(keep & (last[training] == ends[0]))[0])
        raise DataError(
            f"{file}: {label(int(group[short]))} ends at epoch {ends[0]:g}, others at {ends[-1]:g}: give --epoch last, "
            f"or --epoch {ends[0]:g}."
        )
    return np.asarray(epochs == last[training])
