"""Many rows of one architecture to one.

A file may have a row for each architecture and epoch, seed or device. Seeds become trainings, devices columns of
their own, and of epochs one is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.data.user_columns import Faults, Read
from smemnas.bench.data.user_names import Named
from smemnas.bench.data.user_numbers import Cells, missing_marks, read_numbers
from smemnas.bench.data.user_sheet import Sheet
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import FloatArray, IntArray

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

    Returns:
        Stored name -> column and its values ``(a,)`` or ``(a, trainings)``.
    """
    keep = named.group >= 0
    device, devices = _codes(cells[long.device]) if long.device else (np.zeros(len(keep), dtype=np.int64), [])
    seed = _codes(cells[long.seed])[0] if long.seed else np.zeros(len(keep), dtype=np.int64)
    with faults.noted():
        slugs = _slugs(devices, long.device or "", sheet.file)
    if long.epoch:
        with faults.noted():
            keep &= _at_epoch(named.group, device, seed, cells[long.epoch], long, sheet.file, label, keep)
    rows = np.flatnonzero(keep)
    result: dict[str, tuple[Read, FloatArray]] = {}
    if faults.found:
        return result
    spread = _Spread(named, long, rows, seed[rows], device[rows], label, sheet.file)
    for column in columns:
        with faults.noted():
            if long.device and column.role.split == "none" and not column.role.time:
                for i, slug in enumerate(slugs):
                    here = column._replace(role=column.role._replace(name=f"{column.role.name}_{slug}"))
                    result[here.role.stored] = (here, spread.values(column, device[rows] == i))
            else:
                result[column.role.stored] = (column, spread.values(column, None))
    return result


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

    def values(self, column: Read, only: NDArray[np.bool_] | None) -> FloatArray:
        """Return the values ``(a,)`` or ``(a, trainings)`` of one column, of one device or of whatever there is.

        Raises:
            DataError: Rows that nothing tells apart, or that differ where they must not.
        """
        some = np.ones(len(self._rows), dtype=bool) if only is None else only
        values = column.values[self._rows[some]]
        group, seed, rows = self._group[some], self._seed[some], self._rows[some]
        if only is None and self._long.device:
            kept = self._same_on_all_devices(column, values, group, seed, rows)
            values, group, seed, rows = values[kept], group[kept], seed[kept], rows[kept]
        order = np.lexsort((rows, seed, group))
        g, s = group[order], seed[order]
        again = np.flatnonzero((g[1:] == g[:-1]) & (s[1:] == s[:-1]))
        policy = self._long.repeated
        if len(again) and policy == "refuse":
            first, second = int(rows[order[again[0]]]), int(rows[order[again[0] + 1]])
            raise DataError(
                f"{self._file}, row {second + 1}: {self._label(int(g[again[0]]))} is there twice, first in row "
                f"{first + 1}: {self._advice()}."
            )
        if len(again) and policy != "trainings":
            values, g, s = _merged(values[order], g, s, policy)
            order = np.arange(len(g))
        return self._side_by_side(column, values[order], g)

    def _advice(self) -> str:
        if self._long.seed or self._long.epoch or self._long.device:
            return "also for its seed, epoch or device; --repeated mean, first, last or trainings says what that means"
        return (
            "name the column that tells them apart (--seed-column, --epoch-column, --device-column), or give "
            "--repeated mean, first, last or trainings"
        )

    def _same_on_all_devices(
        self, column: Read, values: FloatArray, group: IntArray, seed: IntArray, rows: IntArray
    ) -> IntArray:
        """Return the rows ``(m,)`` that stay of a column that has nothing to do with devices: one of each training.

        Raises:
            DataError: The rows of one training differ.
        """
        flat = values.reshape(len(values), -1)[:, 0]
        order = np.lexsort((rows, np.isnan(flat), seed, group))
        g, s, v = group[order], seed[order], flat[order]
        same = (g[1:] == g[:-1]) & (s[1:] == s[:-1])
        differ = np.flatnonzero(same & (v[1:] != v[:-1]) & np.isfinite(v[1:]))
        if len(differ):
            row = int(rows[order[differ[0] + 1]])
            raise DataError(
                f"{self._file}, row {row + 1}, column {column.role.sources[0]!r}: differs between the devices of "
                f"{self._label(int(g[differ[0]]))}: declare it as a --metric without split, or mend it."
            )
        return np.asarray(order[np.concatenate(([True], ~same))], dtype=np.int64)

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
        return whole[:, 0] if width == 1 else _compact(whole)


def _range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return smallest and largest known value of each row ``(a,)``, NaN where there is none."""
    known = np.isfinite(values)
    low, high = np.where(known, values, np.inf).min(axis=1), np.where(known, values, -np.inf).max(axis=1)
    none = ~known.any(axis=1)
    low[none] = high[none] = np.nan
    return low, high


def _compact(values: FloatArray) -> FloatArray:
    """Move what is known of each row to its front, and leave out columns without any value."""
    order = np.argsort(np.isnan(values), axis=1, kind="stable")
    moved = np.take_along_axis(values, order, axis=1)
    width = max(int(np.isfinite(moved).any(axis=0).sum()), 1)
    return moved[:, :width]


def _merged(values: FloatArray, group: IntArray, seed: IntArray, policy: str) -> tuple[FloatArray, IntArray, IntArray]:
    """Make one row of those, next to one another, that have one group and one seed."""
    new = np.concatenate(([True], (group[1:] != group[:-1]) | (seed[1:] != seed[:-1])))
    start = np.flatnonzero(new)
    if policy == "mean":
        known = np.isfinite(values)
        total = np.add.reduceat(np.where(known, values, 0.0), start, axis=0)
        count = np.add.reduceat(known.astype(np.int64), start, axis=0)
        merged = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    else:
        at = start if policy == "first" else np.append(start[1:], len(values)) - 1
        merged = values[at]
    return merged, group[start], seed[start]


def _codes(cells: Cells) -> tuple[IntArray, list[str]]:
    """Return which of its distinct values each row has ``(n,)``, in ascending order, numbers as numbers; and these."""
    texts = [str(v).strip() for v in (cells.tolist() if isinstance(cells, np.ndarray) else cells)]
    distinct = sorted(
        set(texts), key=lambda t: (0, float(t), t) if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", t) else (1, 0.0, t)
    )
    at = {t: i for i, t in enumerate(distinct)}
    return np.array([at[t] for t in texts], dtype=np.int64), distinct


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
