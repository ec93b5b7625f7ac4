"""The log of a run: `evals.jsonl`, one row per evaluation in ask order, only ever appended to.

A row is ``{"i", "arch", "x", "F", "status", "error", "sum"}``; a failed objective is null, `sum` is the checksum of
the text before it (see `bench.schema`; rows of earlier versions have none). There is no wall time in it, so a resumed
run is byte-identical to an uninterrupted one; those go to `timing.jsonl`. Only where training time is the budget a row
has `seconds` too, what its training took: a resumed run is charged what the log says.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple, Self, cast

import numpy as np

from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.schema import LogRow, TimeRow, decode, is_signed, signed_line
from smemnas.spaces.base import FloatArray, IntArray


class Row(NamedTuple):
    """One evaluation.

    Attributes:
        i: Position in ask order.
        arch: Name of the architecture.
        x: Genotype.
        F: Objectives; None where the evaluation failed.
        status: "ok" or "failed".
        error: Reason of a failure.
        seconds: Training time, where that is the budget.
    """

    i: int
    arch: str
    x: tuple[int, ...]
    F: tuple[float | None, ...]
    status: str = "ok"
    error: str = ""
    seconds: float | None = None

    def to_json(self) -> str:
        """Return the line, without its end: JSON, put together here because that takes half the time.

        Raises:
            ValueError: An objective is infinite or NaN.
        """
        F = repr([*self.F]).replace("None", "null")
        if "n" in F.replace("null", ""):
            raise ValueError(f"objectives in a log are finite or null, got {F[1:-1]}")
        time = "" if self.seconds is None else f', "seconds": {self.seconds!r}'
        end = f'"status": {_quote(self.status)}, "error": {_quote(self.error)}{time}}}'
        return signed_line(f'{{"i": {self.i}, "arch": {_quote(self.arch)}, "x": {[*self.x]}, "F": {F}, {end}')


_quote = json.encoder.encode_basestring
#: What to do about a broken log of a single run; a study has its own advice.
ADVICE = "restore the file, or start again with --overwrite."


class LineLog:
    """A log of one JSON text per line that is only appended to and survives a kill at any moment.

    Attributes:
        path: The file.
        lines: What was in it when it was opened, without a torn last line.
        repaired: Number of bytes of that torn line, which are cut off when the log is written to.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        """Read a log; `data` is what it holds, where that is not in a file.

        Raises:
            RunError: It cannot be read, or is no file.
        """
        self.path = path
        self._stream: IO[bytes] | None = None
        try:
            if data is None:
                data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise RunError(f"cannot read {path} ({error.strerror}): {ADVICE}") from error
        self._size = data.rfind(b"\n") + 1
        self.repaired = len(data) - self._size
        self.lines = data[: self._size].split(b"\n")[:-1]

    def __enter__(self) -> Self:
        try:
            self._stream = open(self.path, "ab", buffering=0)
            if self.repaired:
                self._stream.truncate(self._size)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}. Choose another folder with --out.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def write(self, *lines: str) -> None:
        """Append lines in one unbuffered write, so that a kill leaves at most one torn line.

        Raises:
            RunError: The disk is full or the file cannot be written; the lines that were written whole are kept.
        """
        assert self._stream is not None, "a log is written only inside its with block"
        write_line(self._stream, self.path, "\n".join(lines))


class History(LineLog):
    """The rows of a run, in memory and on disk.

    Args:
        path: The log.
        n_var: Genes of each row; None takes those of the first row, as `n_obj` does for objectives.
        n_obj: Objectives of each row.
        data: What the log holds, where it is in no file.

    Attributes:
        rows: All rows so far.
        before_append: Called once, before the first row is written.
    """

    before_append: Callable[[], None] | None = None

    def __init__(
        self, path: Path, n_var: int | None = None, n_obj: int | None = None, data: bytes | None = None
    ) -> None:
        """Open a log, dropping an incomplete last line as a killed process leaves it.

        Raises:
            Unusable: A line other than the last is corrupt, or rows are missing.
        """
        super().__init__(path, data)
        self.rows: list[Row] = []
        signed = False
        for number, line in enumerate(self.lines):
            found = decode(line, LogRow, f"{path}, line {number + 1}", ADVICE)
            if found.sum or signed:
                signed = True
                if not is_signed(line):
                    raise _broken(path, number, "is corrupt (it does not match its checksum)")
            if found.i != number:
                wrong = f"holds evaluation {found.i}, expected {number}, so a line is missing or doubled"
                raise _broken(path, number, wrong)
            n_var, n_obj = len(found.x) if n_var is None else n_var, len(found.F) if n_obj is None else n_obj
            if len(found.x) != n_var or len(found.F) != n_obj:
                have = f"{len(found.x)} genes and {len(found.F)} objectives"
                raise _broken(path, number, f"is corrupt ({have}, expected {n_var} and {n_obj})")
            if found.status == "ok" and None in found.F:
                raise _broken(path, number, "is corrupt (an objective is missing though nothing failed)")
            self.rows.append(Row(number, found.arch, found.x, found.F, found.status, found.error, found.seconds))

    def append(self, rows: list[Row]) -> None:
        """Write rows, see `LineLog.write`.

        Raises:
            RunError: The disk is full or the file cannot be written; what was logged before is kept.
        """
        if rows:
            if self.before_append is not None:
                self.before_append()
                self.before_append = None
            self.write(*[row.to_json() for row in rows])
            self.rows += rows

    @property
    def archs(self) -> tuple[str, ...]:
        """Names of the architectures."""
        return tuple(row.arch for row in self.rows)

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes ``(n, n_var)`` and objectives ``(n, n_obj)``, +inf rows for failures."""
        if not self.rows:
            return np.empty((0, 0), np.int64), np.empty((0, 0))
        X = np.array([r.x for r in self.rows], dtype=np.int64)
        return X, np.array([objectives_of(r) for r in self.rows])


def _broken(path: Path, number: int, what: str) -> Unusable:
    return Unusable(f"{path}, line {number + 1} {what}", ADVICE)


def objectives_of(row: Row) -> list[float]:
    """Return a row's objectives as a method is told them: +inf throughout if it failed."""
    return [math.inf] * len(row.F) if row.status != "ok" else cast(list[float], [*row.F])


#: How a line of times begins.
_TIME = b'{"first": '
_NO_TIMES = "remove it, then the run's times are not known."


def read_seconds(file: Path) -> tuple[float, float]:
    """Return the wall time of a finished run, in all and in the method, summed over its parts if it was continued.

    NaN where there is no file. What a kill tore is left out, where earlier versions went on in the same line.

    Raises:
        Unusable: A line is corrupt.
    """
    total = in_method = 0.0
    try:
        *lines, rest = file.read_bytes().split(b"\n")
    except OSError:
        return math.nan, math.nan
    if rest:
        raise Unusable(f"{file} ends in the middle of a line", _NO_TIMES)
    for number, line in enumerate(lines, start=1):
        whole = line[max(line.rfind(_TIME), 0) :]
        found = decode(whole, TimeRow, f"{file}, line {number}", _NO_TIMES)
        if found.sum and not is_signed(whole):
            raise Unusable(f"{file}, line {number} is corrupt (it does not match its checksum)", _NO_TIMES)
        in_method += found.ask + found.tell
        total += found.ask + found.tell + found.evaluate
    return total, in_method


def write_line(stream: IO[bytes], path: Path, line: str) -> None:
    """Write one line, or several, in a single system call and cut off what a full disk tore.

    Raises:
        RunError: Not all could be written; the lines that were written whole are kept.
    """
    data = (line + "\n").encode()
    written = 0
    try:
        written = stream.write(data) or 0
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        with contextlib.suppress(OSError):  # else the torn line is dropped when the log is opened again
            stream.truncate(stream.seek(0, os.SEEK_END) - written + data[:written].rfind(b"\n") + 1)
        raise RunError(
            f"cannot write {path}: {error.strerror}. Everything before it is kept: free space and run the same "
            "command again to continue."
        ) from error
