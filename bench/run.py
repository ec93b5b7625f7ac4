"""One run: the loop ask -> evaluate -> record -> tell, in a run folder.

The loop owns budget, log and clock, so every method is charged alike. A run that was killed continues by
replay: the method is made again and asked again, rows that are in the log are told without an evaluation. If
it asks for something else than the log holds (another processor or BLAS, changed code), the run stops with a
message instead of mixing two histories.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.benchmark import Benchmark, Evaluation
from bench.errors import RunError, Unusable, UserError
from bench.folder import ELSEWHERE
from bench.folder import JOB as JOB
from bench.folder import LOG as LOG
from bench.folder import TIMING as TIMING
from bench.folder import adopt as adopt
from bench.folder import clear as clear
from bench.folder import evaluated_data as evaluated_data
from bench.folder import locked as locked
from bench.guard import fault
from bench.history import History, LineLog, Row, objectives_of
from bench.job import Job as Job
from bench.job import load_plugins, open_job
from bench.job import make_job as make_job
from bench.listing import among_listed, end_of_list
from bench.penalty import told_under_constraints
from bench.schema import signed_line
from methods.base import METHODS, Method
from spaces.base import FloatArray, IntArray

#: A method may ask for at most this many rows per paid evaluation; beyond it is taken to be stuck.
MAX_ASKS_PER_EVALUATION = 10


@dataclass(frozen=True)
class Result:
    """What a finished run gives.

    Attributes:
        job: The job.
        X: Evaluated genotypes ``(n, n_var)`` in ask order.
        F: Their objectives ``(n, n_obj)``; +inf rows failed.
        feasible: Which of them satisfy the constraints ``(n,)``; all where there are none.
        seconds: Wall time of this process's part: total, in ask and tell, in evaluations.
        note: What a reader must know about how the run came about ("" for an ordinary one).
    """

    job: Job
    X: IntArray
    F: FloatArray
    feasible: NDArray[np.bool_]
    seconds: Mapping[str, float]
    note: str = ""


Progress = Callable[[int, int], None]


def search(
    method: Method,
    benchmark: Benchmark,
    budget: int,
    seed: int,
    history: History,
    *,
    record_time: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    told_already: int = 0,
) -> dict[str, float]:
    """Run the loop until the budget is spent, the method is done, or it asks too often for known rows.

    Args:
        method: Asked and told.
        benchmark: Evaluates.
        budget: Total number of rows in the log at the end.
        seed: Evaluation seed.
        history: Open log; its rows are replayed first.
        record_time: Takes one JSON line per ask.
        progress: Called with (evaluations so far, budget) after each batch.
        told_already: Rows of the log that the method knows and that are not to be replayed.

    Returns:
        Seconds spent: "method", "evaluate", "total".

    Raises:
        RunError: The method asks for something else than the log holds, or for something invalid.
    """
    start = time.perf_counter()
    in_method = in_evaluation = 0.0
    replayed = told_already
    known: dict[bytes, Row] = {}
    for row in history.rows[:replayed]:
        known[np.array(row.x, dtype=np.int64).tobytes()] = row
    asked = 0
    while len(known) < budget and asked < MAX_ASKS_PER_EVALUATION * budget:
        before = time.perf_counter()
        X = method.ask()
        after_ask = time.perf_counter()
        if len(X) == 0:
            break
        X = check_genotypes(X, benchmark)
        asked += len(X)
        expressed = np.ascontiguousarray(benchmark.space.normalise(X))
        keys = [x.tobytes() for x in expressed]
        new, taken = [], set()
        for position, key in enumerate(keys):
            if key not in known and key not in taken:
                taken.add(key)
                new.append(position)
        new = new[: budget - len(known)]
        logged = [history.rows[replayed + k] for k in range(min(len(new), len(history.rows) - replayed))]
        for row, position in zip(logged, new, strict=False):
            if row.x != tuple(expressed[position].tolist()):
                wanted = benchmark.space.to_str(expressed[position])
                raise RunError(
                    f"{history.path} does not replay: evaluation {row.i} is {row.arch!r} in the log, but the method "
                    f"now asks for {wanted!r} (other code, processor or libraries). Run with "
                    "--continue-from-log to tell the method all logged rows and go on, or --overwrite to start again."
                )
        fresh = new[len(logged) :]
        if fresh:
            rows = _evaluate(benchmark, expressed[fresh], seed, replayed + len(logged))
            after_evaluation = time.perf_counter()
            in_evaluation += after_evaluation - after_ask
            history.append(rows)
        else:
            rows, after_evaluation = [], after_ask
        replayed += len(logged) + len(rows)
        for position, row in zip(new, [*logged, *rows], strict=True):
            known[keys[position]] = row
        told = [position for position, key in enumerate(keys) if key in known]
        before_tell = time.perf_counter()
        method.tell(X[told], np.array([objectives_of(known[keys[p]]) for p in told]))
        done = time.perf_counter()
        in_method += (after_ask - before) + (done - before_tell)
        if record_time is not None and fresh:
            record_time(
                f'{{"first": {rows[0].i}, "n": {len(rows)}, "ask": {after_ask - before:.6f}, '
                f'"evaluate": {after_evaluation - after_ask:.6f}, "tell": {done - before_tell:.6f}}}'
            )
        if progress is not None:
            progress(len(known), budget)
    return {"method": in_method, "evaluate": in_evaluation, "total": time.perf_counter() - start}


def check_genotypes(X: IntArray, benchmark: Benchmark) -> IntArray:
    """Return asked genotypes as int64 ``(m, n_var)``.

    Raises:
        RunError: Wrong shape, not integers, or not architectures of the space.
    """
    X = np.asarray(X)
    space = benchmark.space
    if X.ndim != 2 or X.shape[1] != space.n_var or not np.issubdtype(X.dtype, np.integer):
        raise RunError(f"the method asked for {X.dtype} {X.shape}; expected integers (m, {space.n_var}).")
    X = np.ascontiguousarray(X, dtype=np.int64)
    bad = ~space.is_valid(X)
    if bad.any():
        raise RunError(f"the method asked for {X[bad][0].tolist()}, which is no architecture of space {space.name!r}.")
    return X


def _evaluate(benchmark: Benchmark, X: IntArray, seed: int, first: int) -> list[Row]:
    """Evaluate genotypes and make their log rows; a failure is a row with its reason."""
    outcome = _measure(benchmark, X, seed)
    to_str = benchmark.space.to_str
    finite = np.asarray(np.isfinite(outcome.F))
    ok = np.asarray(finite.all(axis=1))
    rows = []
    for k, (x, f) in enumerate(zip(X.tolist(), outcome.F.tolist(), strict=True)):
        if ok[k]:
            rows.append(Row(first + k, to_str(X[k]), tuple(x), tuple(f)))
        else:
            values = tuple(v if good else None for v, good in zip(f, finite[k], strict=True))
            reason = outcome.errors[k] or "an objective is not finite"
            rows.append(Row(first + k, to_str(X[k]), tuple(x), values, "failed", reason))
    return rows


def _measure(benchmark: Benchmark, X: IntArray, seed: int) -> Evaluation:
    """Evaluate genotypes; where that raises, one by one, so that each failure gets its own reason.

    Raises:
        UserError: Something is wrong with the benchmark itself, not with an architecture.
    """
    try:
        return benchmark.evaluate(X, seed)
    except UserError:
        raise
    except Exception as error:
        if len(X) == 1:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Evaluation(np.full((1, len(benchmark.objectives)), np.nan), np.zeros(1), (reason,))
    parts = [_measure(benchmark, X[k : k + 1], seed) for k in range(len(X))]
    F, seconds, errors = zip(*parts, strict=True)
    return Evaluation(np.vstack(F), np.concatenate(seconds), tuple(e for part in errors for e in part))


def run(
    job: Job,
    folder: Path,
    *,
    benchmark: Benchmark | None = None,
    overwrite: bool = False,
    continue_from_log: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Run a job in its folder, or finish it there.

    Args:
        job: What to run.
        folder: Run folder; made if it is not there.
        benchmark: Opened benchmark of the job, to save opening it again.
        overwrite: Delete what is in the folder first.
        continue_from_log: If the log does not replay, tell the method all logged rows and go on.
        progress: Called with (evaluations so far, budget).

    Raises:
        RunError: The folder is in use, belongs to another job, or cannot be written.
        UserError: The job makes no sense.
    """
    load_plugins(job)
    benchmark = benchmark or open_job(job)
    with locked(folder):
        if overwrite:
            clear(folder)
        adopt(folder, job, benchmark)
        benchmark.use_folder(folder)
        history = History(folder / LOG, benchmark.space.n_var, len(job.objectives))
        reason = fault(benchmark, job, {}, *history.arrays()) if history.rows else ""
        if reason:
            raise Unusable(f"{folder}: {reason}", ELSEWHERE)
        note = ""
        told = 0
        problem = benchmark.problem
        method = METHODS.create(job.method, problem, budget=job.budget, seed=job.seed, params=job.params)
        method = among_listed(told_under_constraints(method, problem, benchmark.violation), problem)
        if continue_from_log and history.rows:
            method.tell(*history.arrays())
            told = len(history.rows)
            note = f"Continued from a log of {told} rows without replay."
        with history, LineLog(folder / TIMING) as timing:
            seconds = search(
                method,
                benchmark,
                job.budget,
                job.seed,
                history,
                record_time=lambda line: timing.write(signed_line(line)),
                progress=progress,
                told_already=told,
            )
        X, F = history.arrays()
        feasible = benchmark.violation(X, F) == 0.0 if job.constraints else np.ones(len(X), dtype=bool)
        ended = end_of_list(benchmark, len(X), job.budget)
        return Result(job, X, F, feasible, seconds, " ".join(filter(None, (note, ended))))
