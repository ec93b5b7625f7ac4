"""One run: the loop ask -> evaluate -> record -> tell, in a run folder.

The loop owns budget, log and clock, so every method is charged alike. A run that was killed continues by
replay: the method is made again and asked again, rows that are in the log are told without an evaluation. If
it asks for something else than the log holds (another processor or BLAS, changed code), the run stops with a
message instead of mixing two histories. What a method asks is checked, and whatever it raises stops the run with
one line that names it; what is a failed evaluation and what stops the run says `bench.runs.evaluation`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.function import SMALL
from smemnas.bench.errors import NotReplayed, RunError, Unusable, UserError, describe
from smemnas.bench.runs.clock import Clock, Ends
from smemnas.bench.runs.evaluation import FIRST, refuse_hopeless
from smemnas.bench.runs.folder import ELSEWHERE, LOG, RECOMMENDED, TIMING, adopt, clear, locked
from smemnas.bench.runs.guard import fault
from smemnas.bench.runs.history import History, LineLog, Row, objectives_of
from smemnas.bench.runs.job import Job, load_plugins, open_job
from smemnas.bench.runs.larger import clear_the_way, grown
from smemnas.bench.runs.listing import among_listed, end_of_list
from smemnas.bench.runs.penalty import told_under_constraints
from smemnas.bench.runs.reported import Recommended
from smemnas.bench.runs.result import Result
from smemnas.bench.schema import signed_line
from smemnas.bench.values import duration_text
from smemnas.methods.base import METHODS, Method
from smemnas.spaces.base import IntArray, row_keys

#: A method may ask for at most this many rows per paid evaluation; beyond it is taken to be stuck.
MAX_ASKS_PER_EVALUATION = 10


Progress = Callable[[int, int], None]


class Loop(NamedTuple):
    """How the loop went.

    Attributes:
        seconds: Spent in "method", "evaluate", "total"; "training" is that of the whole log, where it is the budget.
        ended: Why it ended before the budget was spent, "" where it did not.
    """

    seconds: dict[str, float]
    ended: str


def search(
    method: Method,
    benchmark: Benchmark,
    budget: int,
    seed: int,
    history: History,
    *,
    record_time: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    told: Callable[[int], None] | None = None,
    told_already: int = 0,
    name: str = "",
    judged: bool = True,
    clock: Clock | None = None,
    observe: Callable[[Row], None] | None = None,
) -> Loop:
    """Run the loop until the budget is spent, the method is done, or it asks too often for known rows.

    In one piece: the order of ask, check, evaluate, log and tell is what makes runs resume, and is read in one sitting.

    Args:
        method: Asked and told.
        benchmark: Evaluates.
        budget: Total number of rows in the log at the end.
        seed: Evaluation seed.
        history: Open log; its rows are replayed first.
        record_time: Takes one JSON line per ask.
        progress: Called with (evaluations so far, budget) after each batch, in seconds where time is the budget.
        told: Called with the evaluations so far after each tell.
        told_already: Rows of the log that the method knows and that are not to be replayed.
        name: What the method is called in errors.
        judged: Whether free objectives are compared with the space's, and first evaluations that all fail stop the
            run; contracts of methods turn it off, whose numbers are made up.
        clock: Training time, where that is a budget too.
        observe: Told each row once it is in the log; those that were there are not told.

    Raises:
        RunError: The method asks for something else than the log holds or for something invalid, or it raises; the
            machine fails; or the first evaluations all fail for one reason.
    """
    start, clock = time.perf_counter(), clock or Clock(0.0)
    name = name or type(method).__name__
    hopeful = not judged or len(history.rows) >= min(
        FIRST, budget - 1
    )  # else a run that was stopped once could never go on
    in_method = in_evaluation = 0.0
    replayed = told_already
    known: dict[bytes, Row] = {}
    for row in history.rows[:replayed]:
        known[np.array(row.x, dtype=np.int64).tobytes()] = row
    clock.charge(history.rows[:replayed], history.path)
    asked = 0
    while not (len(known) >= budget or clock.over or asked >= _most_asks(clock, budget, len(known))):
        before = time.perf_counter()
        with blamed(f"the method {name!r} failed when it was asked"):
            answer = method.ask()
        after_ask = time.perf_counter()
        X = check_genotypes(answer, benchmark, name)
        if len(X) == 0:
            break
        asked += len(X)
        expressed = np.ascontiguousarray(benchmark.space.normalise(X))
        keys = row_keys(expressed)
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
                raise NotReplayed(
                    f"{history.path} does not replay: evaluation {row.i} is {row.arch!r} in the log, but the method "
                    f"now asks for {wanted!r} (other code, processor or libraries). Run with "
                    "--continue-from-log to tell the method all logged rows and go on, or --overwrite to start again."
                )
        logged = clock.charge(logged, history.path)
        fresh = [] if clock.over else new[len(logged) :]
        if fresh:
            rows = clock.evaluate(benchmark, expressed[fresh], seed, replayed + len(logged), judged, history.path)
            after_evaluation = time.perf_counter()
            in_evaluation += after_evaluation - after_ask
            hopeful = hopeful or any(row.status == "ok" for row in rows)
            if rows and not hopeful:
                _refuse_hopeless(history, rows, budget, benchmark)
            history.append(rows)
            if observe is not None:
                for row in rows:
                    observe(row)
        else:
            rows, after_evaluation = [], after_ask
        replayed += len(logged) + len(rows)
        new = new[: len(logged) + len(rows)]  # shorter where the training time ended within the batch
        for position, row in zip(new, [*logged, *rows], strict=True):
            known[keys[position]] = row
        found = [position for position, key in enumerate(keys) if key in known]
        if not found:  # the caller ended the run before anything of this batch
            break
        before_tell = time.perf_counter()
        with blamed(f"the method {name!r} failed when it was told"):
            method.tell(X[found], np.array([objectives_of(known[keys[p]]) for p in found]))
        done = time.perf_counter()
        in_method += (after_ask - before) + (done - before_tell)
        if told is not None:
            with blamed(f"the method {name!r} failed when it was asked what it recommends"):
                told(len(known))
        if record_time is not None and rows:
            record_time(
                f'{{"first": {rows[0].i}, "n": {len(rows)}, "ask": {after_ask - before:.6f}, '
                f'"evaluate": {after_evaluation - after_ask:.6f}, "tell": {done - before_tell:.6f}}}'
            )
        if progress is not None:
            progress(*((int(min(clock.spent, clock.limit)), int(clock.limit)) if clock.limit else (len(known), budget)))
    seconds = {"method": in_method, "evaluate": in_evaluation, "total": time.perf_counter() - start}
    seconds |= {"training": clock.spent} if clock.limit else {}
    return Loop(seconds, _why_ended(benchmark, len(known), budget, asked, clock))


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """Make whatever is raised an error of one line that says what failed; a user's mistakes pass as they are.

    Raises:
        RunError: Something else than a `UserError` or an interrupt was raised.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # what a plug-in raises may be anything, and a SystemExit would look like success
        raise RunError(
            f"{what}: {describe(error)}. The log is kept: mend it and give the same command again."
        ) from error


def _refuse_hopeless(history: History, rows: list[Row], budget: int, benchmark: Benchmark) -> None:
    """Stop where all first evaluations failed for one reason; some of them are logged, but never the whole budget.

    Raises:
        RunError: They did.
    """
    try:
        refuse_hopeless([*history.rows, *rows], budget, benchmark)
    except RunError:
        history.append(rows[: max(min(FIRST, budget - 1) - len(history.rows), 0)])
        raise


def _most_asks(clock: Clock, budget: int, known: int) -> int:
    """Return how many rows a method may have asked for when so many are known; beyond it is stuck."""
    return MAX_ASKS_PER_EVALUATION * clock.patience(budget, known)


def _why_ended(benchmark: Benchmark, n: int, budget: int, asked: int, clock: Clock) -> str:
    """Return why a run ended after `n` evaluations, "" where its budget is spent."""
    if n >= budget or (clock.over and not clock.ended):
        return ""
    spent = f"{duration_text(clock.spent)} of {duration_text(clock.limit)} of training" if clock.limit else ""
    where = f"Ended early, after {spent or f'{n} of {budget} evaluations'}"
    if clock.ended:
        return f"{where}: its time was up."
    listed = end_of_list(benchmark, n, budget, spent)
    if listed:
        return listed
    space = benchmark.problem.space
    if n and space.size <= SMALL and n == len(np.unique(space.normalise(space.enumerate()), axis=0)):
        return f"{where}: these are all architectures that there are."
    if asked >= _most_asks(clock, budget, n):
        return f"{where}: the method asked for {asked:,} architectures, nearly all of them known already."
    return f"{where}: the method had nothing more to ask."


def check_genotypes(answer: Any, benchmark: Benchmark, name: str = "") -> IntArray:
    """Return what a method asked for as int64 ``(m, n_var)``; an empty answer of any form is no row.

    Raises:
        RunError: Wrong shape, not integers, or not architectures of the space.
    """
    space = benchmark.space
    who = f"the method {name!r}" if name else "the method"
    try:
        X = np.asarray(answer)
    except ValueError as error:
        raise RunError(f"{who} asked for rows of different lengths; expected integers (m, {space.n_var}).") from error
    if X.ndim in (1, 2) and len(X) == 0:
        return np.empty((0, space.n_var), np.int64)
    if X.ndim != 2 or X.shape[1] != space.n_var or not np.issubdtype(X.dtype, np.integer):
        came = f"{X.dtype} {X.shape}" if isinstance(answer, np.ndarray | list | tuple) else type(answer).__name__
        raise RunError(f"{who} asked for {came}; expected integers (m, {space.n_var}).")
    X = np.ascontiguousarray(X, dtype=np.int64)
    bad = ~space.is_valid(X)
    if bad.any():
        raise RunError(f"{who} asked for {X[bad][0].tolist()}, which is no architecture of space {space.name!r}.")
    return X


def run(
    job: Job,
    folder: Path,
    *,
    benchmark: Benchmark | None = None,
    overwrite: bool = False,
    continue_from_log: bool = False,
    progress: Progress | None = None,
    ends: Ends | None = None,
    observe: Callable[[Row], None] | None = None,
) -> Result:
    """Run a job in its folder, or finish it there.

    Args:
        job: What to run.
        folder: Run folder; made if it is not there.
        benchmark: Opened benchmark of the job, to save opening it again.
        overwrite: Delete what is in the folder first.
        continue_from_log: If the log does not replay, tell the method all logged rows and go on.
        progress: Called with (evaluations so far, budget).
        ends: Asked before each new evaluation, with the evaluations so far; True ends the run there.
        observe: Told each new row of the log.

    Raises:
        RunError: The folder is in use, belongs to another job, or cannot be written.
        UserError: The job makes no sense.
    """
    load_plugins(job)
    benchmark = benchmark or open_job(job)
    with locked(folder):
        if overwrite:
            clear(folder)
        smaller = adopt(folder, job, benchmark)
        benchmark.use_folder(folder)
        history = History(folder / LOG, benchmark.space.n_var, len(job.objectives))
        reason = fault(benchmark, job, {}, *history.arrays()) if history.rows else ""
        if reason:
            raise Unusable(f"{folder}: {reason}", ELSEWHERE)
        note = ""
        told_already = 0
        problem = job.problem(benchmark)
        with blamed(f"the method {job.method!r} failed when it was made"):
            method = METHODS.create(job.method, problem, budget=job.budget, seed=job.seed, params=job.params)
        if smaller is not None:
            clear_the_way(folder, smaller, job, benchmark, replay=not continue_from_log)
        recommended = Recommended(folder / RECOMMENDED, method, benchmark, history, job.method)
        method = among_listed(told_under_constraints(method, problem, benchmark.violation), problem)
        if continue_from_log and history.rows:
            with blamed(f"the method {job.method!r} failed when it was told the log"):
                method.tell(*history.arrays())
            told_already = len(history.rows)
            note = f"Continued from a log of {told_already} rows without replay."
        with grown(folder, smaller, job, history), history, recommended, LineLog(folder / TIMING) as timing:
            seconds, ended = search(
                method,
                benchmark,
                job.budget,
                job.evaluation_seed,
                history,
                record_time=lambda line: timing.write(signed_line(line)),
                progress=progress,
                told=recommended.after if recommended.wanted else None,
                told_already=told_already,
                name=job.method,
                clock=Clock(job.budget_time, ends),
                observe=observe,
            )
        X, F = history.arrays()
        X, F = X.reshape(-1, benchmark.space.n_var), F.reshape(-1, len(benchmark.objectives))  # also if there is none
        feasible = benchmark.violation(X, F) == 0.0 if job.constraints else np.ones(len(X), dtype=bool)
        said = " ".join(filter(None, (note, ended)))
        return Result(job, X, F, feasible, seconds, said, benchmark, folder, recommended=recommended.sets)
