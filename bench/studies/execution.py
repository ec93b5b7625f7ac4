"""Running a study: what is missing of a list of jobs, in parallel, and what became of each.

Every run has its own folder and log, so a study that was killed goes on from there. A job that fails is a
row with its reason; the others go on. The folder of a study may hold runs of several plans.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from smemnas.bench.benchmarks.case import benchmark_of
from smemnas.bench.errors import RunError, Unusable, UserError
from smemnas.bench.files import make_folder, write_json
from smemnas.bench.log import note
from smemnas.bench.outputs import STUDY, claim, taken_back
from smemnas.bench.registry import load_plugin, require_known_elsewhere
from smemnas.bench.runs.folder import STATUS
from smemnas.bench.runs.guard import checked_log
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.run import Progress, run
from smemnas.bench.runs.source import RunFolder, RunSource
from smemnas.bench.schema import PlanEntry, read
from smemnas.bench.studies.larger import begin, cleared_unless_grown
from smemnas.bench.studies.plan import Plan, parts_of
from smemnas.bench.workers.backends import ALONE, Place, here, run_tasks
from smemnas.bench.workers.child import PAUSE
from smemnas.surrogates.base import single_thread

PLANS, STUDY_LOCK = "plans.json", ".study.lock"
DONE, FAILED, RUNNING, MISSING, BUSY = "done", "failed", "running", "missing", "busy"
#: What to do about a run that cannot be used.
RERUN = "study --rerun makes it anew"


class State(NamedTuple):
    """What became of a job: "done", "failed" or "missing", and the reason of a failure."""

    status: str
    reason: str = ""


def folder_of(out: Path, job: Job) -> Path:
    """Return a job's folder in a study."""
    return out / job.folder_in_study


def state_of(out: Path, job: Job) -> State:
    """Return what its folder in a study says about a job, see `state_in`."""
    return state_in(RunFolder(folder_of(out, job)), job)


def state_in(source: RunSource, job: Job) -> State:
    """Return what a run says about a job: it is done when its log has all rows or the method ended by itself."""
    rows, ours = source.count(), False
    with suppress(OSError, Unusable):
        ours = not job.differs_from(source.job()[1].job)
    status = source.status()
    whole = rows >= job.budget or (status.status == DONE and status.rows == rows)
    if ours and whole and source.is_whole(rows):
        return State(DONE)
    if status.status == FAILED:
        return State(FAILED, status.error)
    return State(MISSING)


def run_study(
    jobs: Sequence[Job],
    out: Path,
    *,
    place: Place = ALONE,
    plugins: Sequence[str] = (),
    progress: Progress | None = None,
    rerun: bool = False,
) -> list[State]:
    """Run what is missing of the jobs.

    Args:
        jobs: The runs; each has its own folder below `out`.
        out: Folder of the study.
        place: Where they run, and the time that each may take.
        plugins: Plug-in files that each worker loads.
        progress: Called with (finished jobs, jobs).
        rerun: Clear the folders of runs that cannot be used (see `bench.runs.guard`) and run them again.

    Returns:
        For each job what became of it; never "missing".

    Raises:
        UserError: The folder cannot be written, `place` makes no sense, or its cluster does not answer.
    """
    place.check()
    if place != ALONE:
        for job in jobs:
            _check_workers_know(job, plugins)
    states = {job_key(job): State(MISSING) for job in jobs}
    for job in jobs:
        if state_of(out, job).status == DONE and not (rerun and _fault_of(out, job)):
            states[job_key(job)] = State(DONE)
    pending = [job for job in jobs if states[job_key(job)].status != DONE]
    finished = len(jobs) - len(pending)
    if progress is not None:
        progress(finished, len(jobs))
    while pending:
        for job, state in _execute(pending, out, place, tuple(plugins), rerun):
            states[job_key(job)] = state
            finished += state.status != BUSY
            if progress is not None:
                progress(finished, len(jobs))
        pending = [job for job in pending if states[job_key(job)].status == BUSY]
        if pending:  # another process has these in hand
            time.sleep(PAUSE)
    return [states[job_key(job)] for job in jobs]


def job_key(job: Job) -> str:
    """Return a text that identifies a job."""
    return json.dumps(job.to_dict(), sort_keys=True)


def _execute(
    jobs: list[Job], out: Path, place: Place, plugins: tuple[str, ...], rerun: bool
) -> Iterator[tuple[Job, State]]:
    """Yield each job with its state as it finishes."""
    if place == ALONE:  # nothing to share and nothing to end: this process does it
        with single_thread():
            for job in jobs:
                yield job, run_job(job, out, plugins, rerun)
        return
    out = out.resolve()  # workers may stand in another folder
    tasks = [(job, out, plugins, rerun) for job in jobs]
    for k, answer, reason in run_tasks(_run_in_child, tasks, place, here()):
        if reason:
            _write_status(folder_of(out, jobs[k]), FAILED, error=reason)
        yield jobs[k], State(FAILED, reason) if reason else State(*answer)


def _run_in_child(job: Job, out: Path, plugins: Sequence[str], rerun: bool) -> tuple[tuple[str, str], bool]:
    """Run one job in a process that may be ended; one in which a run failed takes no other."""
    status, reason = run_job(job, out, plugins, rerun)
    return (status, reason), status != FAILED


def _check_workers_know(job: Job, plugins: Sequence[str]) -> None:
    """Refuse a job that workers cannot run because they do not know what it names; other mistakes become its state.

    Raises:
        UserError: So it is.
    """
    known = {*plugins, *(plugin.path for plugin in job.plugins)}
    try:
        parts = list(parts_of(job.method, job.params, job.space, job.dataset))
    except UserError:
        return
    for kind, entry in parts:
        require_known_elsewhere(kind, entry, known)


def _fault_of(out: Path, job: Job) -> str:
    """Return why what is in a job's folder cannot be used or continued, "" where it can or there is nothing."""
    source = RunFolder(folder_of(out, job))
    if not source.exists():
        return ""
    try:
        checked_log(source, job, benchmark_of(job.case))
        if state_in(source, job).status == DONE:
            source.seconds()
    except RunError as error:
        return str(error)
    return ""


def run_job(job: Job, out: Path, plugins: Sequence[str] = (), rerun: bool = False) -> State:
    """Run one job in its folder; whatever goes wrong becomes its state and `status.json`."""
    from filelock import Timeout

    folder = folder_of(out, job)
    if not rerun and state_of(out, job).status == DONE:
        return State(DONE)
    try:
        for plugin in plugins:
            load_plugin(plugin)
        benchmark = benchmark_of(job.case)
        again = rerun and bool(_fault_of(out, job))
        if not again and state_of(out, job).status == DONE:
            return State(DONE)
        folder.mkdir(parents=True, exist_ok=True)
        begun = not rerun and begin(folder, job, benchmark)
        _write_status(folder, RUNNING)
        with cleared_unless_grown(folder, begun):
            result = run(job, folder, benchmark=benchmark, overwrite=again)
    except RunError as error:
        if isinstance(error.__cause__, Timeout):
            return State(BUSY)
        reason, trace = f"{error.reason}: {RERUN}" if isinstance(error, Unusable) else str(error), _trace_of(error)
    except UserError as error:
        reason, trace = str(error), ""
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        reason, trace = " ".join(reason.split()), traceback.format_exc()
    else:
        _write_status(folder, DONE, rows=len(result.F), note=result.note)
        return State(DONE)
    _write_status(folder, FAILED, error=reason, trace=trace)
    return State(FAILED, reason)


def _trace_of(error: RunError) -> str:
    """Return the traceback of what a plug-in raised, "" for an error of another cause."""
    cause = error.__cause__
    mine = cause is None or isinstance(cause, UserError | OSError)
    return "" if mine else "".join(traceback.format_exception(cause))


def _write_status(
    folder: Path, status: str, *, rows: int | None = None, error: str = "", trace: str = "", note: str = ""
) -> None:
    """Write a run's status file; a disk that is full is the run's error and not another one."""
    entry: dict[str, Any] = {"status": status}
    if rows is not None:
        entry["rows"] = rows
    if error:
        entry["error"] = error
    if note:
        entry["note"] = note
    if trace:
        entry["traceback"] = trace.splitlines()
    with suppress(OSError, RunError):
        make_folder(folder)  # a run may end before it made its own
        write_json(folder / STATUS, entry, durable=False)  # without it the log says as much


@contextmanager
def study_lock(out: Path) -> Iterator[None]:
    """Hold the study's own files (not its runs), so that shards that end together do not mix them up.

    Raises:
        RunError: The folder cannot be written.
    """
    from filelock import FileLock

    with taken_back(out):
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock = FileLock(out / STUDY_LOCK)
            lock.acquire()
        except OSError as error:
            raise RunError(f"cannot write to {out}: {error.strerror}. Choose another folder with --out.") from error
        try:
            yield
        finally:
            lock.release()


def record_plan(out: Path, plan: Plan) -> None:
    """Add the plan to `plans.json` of the study's folder, unless it is there.

    Raises:
        RunError: The file is corrupt or cannot be written.
    """
    file = out / PLANS
    entry = json.loads(json.dumps(plan.to_dict()))
    claim(out, STUDY)
    with study_lock(out):
        plans = []
        if file.exists():
            read(file, tuple[PlanEntry, ...], "remove it, the runs are not touched.")
            plans = json.loads(file.read_bytes())
        for earlier in plans:
            if (
                entry.get("of")
                and earlier.get("of", {}).get("name") == entry["of"]["name"]
                and (earlier["of"]["sha256"] != entry["of"]["sha256"])
            ):
                note(
                    f"the plan {entry['of']['name']} was edited since this study began (sha256 "
                    f"{earlier['of']['sha256'][:12]}..., now {entry['of']['sha256'][:12]}...): its folder has runs of "
                    "both; another --out keeps them apart"
                )
                break
        if entry not in plans:
            write_json(file, [*plans, entry])
