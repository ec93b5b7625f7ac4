"""The log of a run: `evals.jsonl`, one row per evaluation in ask order, only ever appended to.

A row is ``{"i", "arch", "x", "F", "status", "error"}``; a failed objective is null. There is no time in it, so a
resumed run is byte-identical to an uninterrupted one; times go to `timing.jsonl`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from pathlib import Path
from typing import IO, NamedTuple, Self

import numpy as np

from bench.errors import RunError
from spaces.base import FloatArray, IntArray


class Row(NamedTuple):
    """One evaluation.

    Attributes:
        i: Position in ask order.
        arch: Name of the architecture.
        x: Genotype.
        F: Objectives; None where the evaluation failed.
        status: "ok" or "failed".
        error: Reason of a failure.
    """

    i: int
    arch: str
    x: tuple[int, ...]
    F: tuple[float | None, ...]
    status: str = "ok"
    error: str = ""

    def to_json(self) -> str:
        """Return the line, without its end: JSON, put together here because that takes half the time.

        Raises:
            ValueError: An objective is infinite or NaN.
        """
        F = ", ".join(["null" if v is None else repr(v) for v in self.F])
        if "n" in F.replace("null", ""):
            raise ValueError(f"objectives in a log are finite or null, got {F}")
        end = f'"status": {_quote(self.status)}, "error": {_quote(self.error)}}}'
        return f'{{"i": {self.i}, "arch": {_quote(self.arch)}, "x": {list(self.x)}, "F": [{F}], {end}'


_quote = json.encoder.encode_basestring


class LineLog:
    """A log of one JSON text per line that is only appended to and survives a kill at any moment.

    Attributes:
        path: The file.
        lines: What was in it when it was opened, without a torn last line.
        repaired: Number of bytes of that torn line, which are cut off when the log is written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: IO[bytes] | None = None
        data = path.read_bytes() if path.exists() else b""
        self._size = data.rfind(b"\n") + 1
        self.repaired = len(data) - self._size
        self.lines = data[: self._size].splitlines()

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

    Attributes:
        rows: All rows so far.
    """

    def __init__(self, path: Path) -> None:
        """Open a log, dropping an incomplete last line as a killed process leaves it.

        Raises:
            RunError: A line other than the last is corrupt, or rows are missing.
        """
        super().__init__(path)
        self.rows: list[Row] = []
        for number, line in enumerate(self.lines, start=1):
            self.rows.append(self._parse(number, line))

    def _parse(self, number: int, line: bytes) -> Row:
        try:
            entry = json.loads(line, parse_constant=_refuse)
            row = Row(
                int(entry["i"]),
                str(entry["arch"]),
                tuple(int(v) for v in entry["x"]),
                tuple(None if v is None else float(v) for v in entry["F"]),
                str(entry["status"]),
                str(entry["error"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path}, line {number} is corrupt ({error}): restore the file, or start again with --overwrite."
            ) from error
        if row.i != number - 1:
            raise RunError(
                f"{self.path}, line {number} holds evaluation {row.i}, expected {number - 1}: a line is missing or "
                "doubled. Restore the file, or start again with --overwrite."
            )
        return row

    def append(self, rows: list[Row]) -> None:
        """Write rows, see `LineLog.write`.

        Raises:
            RunError: The disk is full or the file cannot be written; what was logged before is kept.
        """
        if rows:
            self.write(*[row.to_json() for row in rows])
            self.rows += rows

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes ``(n, n_var)`` and objectives ``(n, n_obj)``, +inf rows for failures."""
        if not self.rows:
            return np.empty((0, 0), np.int64), np.empty((0, 0))
        X = np.array([r.x for r in self.rows], dtype=np.int64)
        return X, np.array([objectives_of(r) for r in self.rows])


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which a log never holds.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{constant} is no value")


def objectives_of(row: Row) -> list[float]:
    """Return a row's objectives as a method is told them: +inf throughout if it failed."""
    if row.status != "ok":
        return [math.inf] * len(row.F)
    return [math.inf if v is None else v for v in row.F]


def write_line(stream: IO[bytes], path: Path, line: str) -> None:
    """Write one line, or several, in a single system call and cut off what a full disk tore.

    Raises:
        RunError: Not all could be written; the lines that were written whole are kept.
    """
    data = (line + "\n").encode()
    position = stream.seek(0, os.SEEK_END)
    written = 0
    try:
        written = stream.write(data) or 0
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        with contextlib.suppress(OSError):  # else the torn line is dropped when the log is opened again
            stream.truncate(position + data[:written].rfind(b"\n") + 1)
        raise RunError(
            f"cannot write {path}: {error.strerror}. Everything before it is kept: free space and run the same "
            "command again to continue."
        ) from error
