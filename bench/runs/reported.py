"""The reported set of a run under noise: what a method recommends, else the front of what it was shown.

`recommended.jsonl` holds what a method that defines `recommend` would report after each tell, in rows of the log. A
run that continues asks again and compares, so the file of a resumed run is that of an uninterrupted one. True values
judge the reported set (`Judged`) and are read here, after the search, alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.constraints import feasible_only
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.metrics.indicators import hypervolume_regret, nondominated
from smemnas.bench.runs.history import History, LineLog
from smemnas.bench.schema import RecommendedRow, decode, is_signed, signed_line
from smemnas.methods.base import Method
from smemnas.spaces.base import FloatArray, IntArray, row_keys

ADVICE = "start again with --overwrite."


class ReportedSet(NamedTuple):
    """What would be reported after so many evaluations.

    Attributes:
        n: Evaluations.
        rows: Of the log ``(k,)``.
        F: By what they were chosen ``(k, n_obj)``: what the method believes, or what it was shown.
    """

    n: int
    rows: IntArray
    F: FloatArray


class Recommended:
    """Asks a method after each tell what it would report, and keeps it; nothing where that is not wanted.

    Args:
        path: File of the sets.
        method: Before anything is wrapped around it.
        benchmark: Of the run; only where it is noisy a method is asked.
        history: Open log of the run.
        name: What the method is called in errors.

    Attributes:
        wanted: Whether the method is asked.
        sets: All so far.

    Raises:
        Unusable: The file is there and corrupt.
    """

    def __init__(self, path: Path, method: Method, benchmark: Benchmark, history: History, name: str) -> None:
        self.wanted = benchmark.noisy and type(method).recommend is not Method.recommend
        self.sets: list[ReportedSet] = []
        self._method, self._benchmark, self._history, self._name = method, benchmark, history, name
        self._file = LineLog(path) if self.wanted else None
        self._known = {} if self._file is None else {_row(line, path, k).n: line for k, line in _lines(self._file)}

    def __enter__(self) -> Self:
        if self._file is not None:
            self._file.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.__exit__()

    def after(self, n: int) -> None:
        """Ask the method what it would report after `n` evaluations.

        Raises:
            RunError: It recommends what it may not, something else than before, or it raises.
        """
        answer = self._method.recommend()
        found = self._shown(n) if answer is None else self._checked(answer, n)
        line = signed_line(json.dumps({"n": n, "rows": found.rows.tolist(), "F": found.F.tolist()}))
        if self._file is None:
            return
        if n not in self._known:
            self._file.write(line)
        elif self._known[n] != line.encode():
            raise RunError(
                f"{self._file.path} does not replay: after {n} evaluations the method now recommends something else "
                "than before (other code, processor or libraries). Start again with --overwrite."
            )
        self.sets.append(found)

    def _shown(self, n: int) -> ReportedSet:
        """Return the front of what the method was shown."""
        X, F = self._history.arrays()
        F = feasible_only(self._benchmark, X[:n], F[:n])
        rows = np.flatnonzero(nondominated(F))
        return ReportedSet(n, rows, F[rows])

    def _checked(self, answer: Any, n: int) -> ReportedSet:
        """Return a recommendation by rows of the log.

        Raises:
            RunError: It is none: another form, something that was not evaluated, failed or breaks a constraint, a
                member that another dominates by the method's own estimates, or more than the front of the log.
        """
        who, n_obj = f"the method {self._name!r}", len(self._benchmark.objectives)
        X, F = self._history.arrays()
        X, F = X[:n], feasible_only(self._benchmark, X[:n], F[:n])
        try:
            wanted, beliefs = np.asarray(answer[0]), np.array(answer[1], dtype=np.float64)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise RunError(f"{who} recommends {type(answer).__name__}; expected a Recommendation or None.") from error
        if wanted.ndim != 2 or wanted.shape[1] != X.shape[1] or beliefs.shape != (len(wanted), n_obj):
            raise RunError(
                f"{who} recommends X of shape {wanted.shape} and F of shape {beliefs.shape}; expected "
                f"(k, {X.shape[1]}) and (k, {n_obj})."
            )
        place = {key: row for row, key in enumerate(row_keys(X))}
        genes = self._benchmark.space.normalise(wanted.astype(np.int64))
        rows = np.array([place.get(key, -1) for key in row_keys(np.ascontiguousarray(genes))], dtype=np.int64)
        bad = [k for k, row in enumerate(rows.tolist()) if row < 0 or not np.isfinite(F[row]).all()]
        if bad or len(set(rows.tolist())) < len(rows):
            what = f"{genes[bad[0]].tolist()}, which it was not shown to be feasible" if bad else "one row twice"
            raise RunError(f"{who} recommends {what}; expected evaluated architectures that satisfy all, each once.")
        if not np.isfinite(beliefs).all() or (len(rows) and not _undominated(beliefs)):
            raise RunError(
                f"{who} recommends what its own estimates say is dominated, or estimates that are no numbers."
            )
        most = int(nondominated(F).sum())
        if len(rows) > most:
            raise RunError(
                f"{who} recommends {len(rows)} architectures; expected {most} at most, as on the log's front."
            )
        return ReportedSet(n, rows, beliefs)


def _undominated(F: FloatArray) -> bool:
    """Whether no row of ``(k, n_obj)`` dominates another; equal rows do not."""
    return bool(nondominated(np.unique(F, axis=0)).all())


def _lines(file: LineLog) -> list[tuple[int, bytes]]:
    return list(enumerate(file.lines, start=1))


def _row(line: bytes, path: Path, number: int) -> RecommendedRow:
    """Return a line of the file.

    Raises:
        Unusable: It is corrupt.
    """
    what = f"{path}, line {number}"
    row = decode(line, RecommendedRow, what, ADVICE)
    if not is_signed(line) or len(row.rows) != len(row.F):
        raise Unusable(f"{what} is corrupt (it does not match its checksum)", ADVICE)
    return row


def is_whole(path: Path, n: int, data: bytes | None = None) -> bool:
    """Whether a run of `n` evaluations has recommended after its last one, or recommends nothing at all.

    `data` is what the file holds, where it is in no folder.
    """
    if data is None and not path.exists():
        return True
    with contextlib.suppress(RunError, Unusable, IndexError):
        file = LineLog(path, data)
        return _row(file.lines[-1], path, len(file.lines)).n == n
    return False


def read_recommended(path: Path, n_rows: int, data: bytes | None = None) -> list[ReportedSet]:
    """Return what a finished run recommended; nothing where its method does not.

    Args:
        path: Its file.
        n_rows: Rows of its log.
        data: What it holds, where it is in no folder.

    Raises:
        Unusable: The file is corrupt, or is not of that log.
    """
    if data is None and not path.exists():
        return []
    found = [_row(line, path, number) for number, line in _lines(LineLog(path, data))]
    if not found or found[-1].n != n_rows or any(max(row.rows, default=-1) >= row.n for row in found):
        raise Unusable(f"{path} is not of the log beside it", ADVICE)
    return [ReportedSet(row.n, np.array(row.rows, dtype=np.int64), np.array(row.F)) for row in found]


class Judged:
    """What a run under noise reports, judged by its true values.

    Args:
        X: Genotypes of the log ``(n, n_var)``.
        F: Shown objectives ``(n, n_obj)``, +inf where an evaluation failed or a constraint is broken.
        benchmark: Knows the true values.
        recommended: What the method recommended, by evaluations.

    Attributes:
        true: True objectives ``(n, n_obj)``; +inf where they break a constraint.
    """

    def __init__(
        self, X: IntArray, F: FloatArray, benchmark: Benchmark, recommended: Sequence[ReportedSet] = ()
    ) -> None:
        self._F = F
        self._recommended = {found.n: found for found in recommended}
        true = benchmark.true_values(X) if len(X) else np.empty(F.shape)
        self.true: FloatArray = feasible_only(benchmark, X, true)

    def at(self, n: int) -> ReportedSet:
        """Return what would be reported after `n` evaluations: the latest recommendation, else the front shown."""
        earlier = [m for m in self._recommended if m <= n]
        if earlier:
            return self._recommended[max(earlier)]
        rows = np.flatnonzero(nondominated(self._F[:n]))
        return ReportedSet(n, rows, self._F[rows])

    def best_row(self, n: int, column: int) -> int:
        """Return the row of what looks best in one objective after `n` evaluations; -1 of nothing."""
        found = self.at(n)
        return int(found.rows[np.argmin(found.F[:, column])]) if len(found.rows) else -1

    def best(self, n: int, column: int) -> float:
        """Return the true value of what looks best in one objective after `n` evaluations; inf of nothing."""
        row = self.best_row(n, column)
        return float(self.true[row, column]) if row >= 0 else np.inf

    def regret_curve(self, n: int, reference: Reference) -> FloatArray:
        """Return the true hypervolume regret ``(n,)`` of what would be reported after 1, 2, ... evaluations."""
        curve, before, regret = np.empty(n), b"", 1.0
        for k in range(min(n, len(self._F))):
            rows = self.at(k + 1).rows
            if rows.tobytes() != before:
                before = rows.tobytes()
                regret = hypervolume_regret(self.true[rows], reference.front, reference.box)
            curve[k] = regret
        curve[len(self._F) :] = regret
        return curve
