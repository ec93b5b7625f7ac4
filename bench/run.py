"""One run: a job, its folder, and the loop ask -> evaluate -> record -> tell.

The loop owns budget, log and clock, so every method is charged alike. A run that was killed continues by
replay: the method is made again and asked again, rows that are in the log are told without an evaluation. If
it asks for something else than the log holds (another processor or BLAS, changed code), the run stops with a
message instead of mixing two histories.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.benchmark import Benchmark, Evaluation, open_benchmark
from bench.errors import RunError, UserError
from bench.history import History, Row, objectives_of, write_json, write_line
from bench.provenance import environment
from bench.registry import load_plugin
from methods.base import METHODS, Method
from spaces.base import FloatArray, IntArray

#: A method may ask for at most this many rows per paid evaluation; beyond it is taken to be stuck.
MAX_ASKS_PER_EVALUATION = 10
LOG, TIMING, JOB, LOCK = "evals.jsonl", "timing.jsonl", "job.json", ".lock"


@dataclass(frozen=True)
class Job:
    """Everything that determines a run's log.

    Attributes:
        method: Registered method or preset.
        space: Registered space.
        dataset: Data set of the space.
        objectives: Names, in order.
        budget: Number of paid evaluations.
        seed: Root of all randomness.
        params: Method parameters that differ from the defaults of `method`.
        plugins: Plug-in files to load first.
    """

    method: str
    space: str
    dataset: str
    objectives: tuple[str, ...]
    budget: int
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {**asdict(self), "objectives": list(self.objectives), "plugins": list(self.plugins)}

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> Job:
        """Invert `to_dict`."""
        return Job(**{**entry, "objectives": tuple(entry["objectives"]), "plugins": tuple(entry["plugins"])})

    @property
    def label(self) -> str:
        """Method with its changed parameters, as tables and folders name it."""
        changed = ",".join(f"{k}={json.dumps(v, sort_keys=True)}" for k, v in sorted(self.params.items()))
        return self.method + (f"[{changed}]" if changed else "")

    @property
    def folder(self) -> Path:
        """Relative folder: space/dataset/objectives/method/seed-N."""
        safe = "".join(c if c.isalnum() or c in "._-+=,[]" else "-" for c in self.label.replace('"', ""))
        return Path(self.space, self.dataset, "+".join(self.objectives), safe, f"seed-{self.seed}")


def make_job(
    method: str,
    space: str,
    *,
    dataset: str | None = None,
    objectives: tuple[str, ...] = (),
    budget: int = 340,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    plugins: tuple[str, ...] = (),
) -> tuple[Job, Benchmark]:
    """Check a user's wishes, fill in the defaults and return the job with its benchmark.

    Raises:
        UserError: A name, parameter or number makes no sense.
    """
    for plugin in plugins:
        load_plugin(plugin)
    if budget < 1:
        raise UserError(f"--budget must be at least 1 evaluation, got {budget}.")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, got {seed}.")
    METHODS.get(method).resolve(params or {})
    benchmark = open_benchmark(space, dataset, objectives)
    names = tuple(o.name for o in benchmark.objectives)
    files = tuple(str(Path(p).expanduser().resolve()) for p in plugins)
    job = Job(method, space, benchmark.dataset, names, budget, seed, dict(params or {}), files)
    METHODS.create(method, benchmark.problem, budget=budget, seed=seed, params=params)
    return job, benchmark


@dataclass(frozen=True)
class Result:
    """What a finished run gives.

    Attributes:
        job: The job.
        X: Evaluated genotypes ``(n, n_var)`` in ask order.
        F: Their objectives ``(n, n_obj)``; +inf rows failed.
        seconds: Wall time of this process's part: total, in ask and tell, in evaluations.
        note: What a reader must know about how the run came about ("" for an ordinary one).
    """

    job: Job
    X: IntArray
    F: FloatArray
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
    for plugin in job.plugins:
        load_plugin(plugin)
    benchmark = benchmark or open_benchmark(job.space, job.dataset, job.objectives)
    with locked(folder):
        if overwrite:
            clear(folder)
        adopt(folder, job, benchmark)
        history = History(folder / LOG)
        note = ""
        told = 0
        method = METHODS.create(job.method, benchmark.problem, budget=job.budget, seed=job.seed, params=job.params)
        if continue_from_log and history.rows:
            method.tell(*history.arrays())
            told = len(history.rows)
            note = f"Continued from a log of {told} rows without replay."
        with history, open(folder / TIMING, "ab", buffering=0) as timing:
            seconds = search(
                method,
                benchmark,
                job.budget,
                job.seed,
                history,
                record_time=lambda line: write_line(timing, folder / TIMING, line),
                progress=progress,
                told_already=told,
            )
        X, F = history.arrays()
        return Result(job, X, F, seconds, note)


@contextlib.contextmanager
def locked(folder: Path):  # type: ignore[no-untyped-def]
    """Hold a run folder for this process.

    Raises:
        RunError: Another process holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"{folder} is in use by another run: wait for it, or choose another --out or --seed.") from error
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
    try:
        yield
    finally:
        lock.release()


def clear(folder: Path) -> None:
    """Delete what an earlier run left in a run folder; anything that is not a run folder is refused.

    Raises:
        RunError: The folder holds files but no job.json.
    """
    entries = [p for p in folder.iterdir() if p.name not in (LOCK, f"{JOB}.part")]
    if entries and not (folder / JOB).exists():
        raise RunError(f"{folder} holds files but no {JOB}, so it is not deleted: choose another --out.")
    for entry in sorted(entries, key=lambda p: p.name == JOB):  # last, so that a kill leaves what is recognised
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def adopt(folder: Path, job: Job, benchmark: Benchmark) -> None:
    """Write the job into a new folder, or check that the folder belongs to it.

    Raises:
        RunError: The folder belongs to another job or to another version of the table.
    """
    file = folder / JOB
    wanted = json.loads(json.dumps({"job": job.to_dict(), "data": benchmark.provenance()}))
    if file.exists():
        try:
            found = json.loads(file.read_bytes())
            its, data = dict(found["job"]), dict(found["data"])
            differing = sorted(k for k in wanted["job"] if its.get(k) != wanted["job"][k])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} is corrupt ({error}): start again with --overwrite.") from error
        if differing:
            k = differing[0]
            raise RunError(
                f"{folder} holds a run with {k} {its.get(k)!r}, this one has {wanted['job'][k]!r}: "
                "choose another --out, or --overwrite it."
            )
        if evaluated_data(data) != evaluated_data(wanted["data"]):
            raise RunError(
                f"{folder} was run on another version of the table: choose another --out, or --overwrite it."
            )
        return
    if (folder / LOG).exists():
        raise RunError(f"{folder} holds a log but no {JOB}: choose another --out.")
    write_json(file, {**wanted, "environment": environment()})


def evaluated_data(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a log depends on; a reference front that was improved since only changes how it is measured."""
    return {k: v for k, v in provenance.items() if not k.startswith("reference_")}
