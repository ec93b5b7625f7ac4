"""One search: what the command `run` does, and a job that is there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import evaluator_of
from smemnas.bench.benchmarks.problems import find_problem
from smemnas.bench.callbacks import SEARCH, Callback, attached, with_tensorboard
from smemnas.bench.errors import UserError, choose
from smemnas.bench.log import logger
from smemnas.bench.report.run import write_report
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.runs import run as runs
from smemnas.bench.runs.clock import Ends
from smemnas.bench.runs.history import objectives_of
from smemnas.bench.runs.job import Job, make_job, short_place
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.runs.result import Result
from smemnas.bench.values import duration, several
from smemnas.spaces.base import SPACES

EVALUATORS = ("table", "train", "supernet")


@dataclass(frozen=True)
class RunOptions:
    """One search.

    Attributes:
        method: Registered method or preset.
        space: Registered space; "" with `problem`.
        dataset: Data set of the space; "" takes its default.
        objectives: What to minimise; none takes the data set's defaults.
        budget: Paid evaluations; None takes 340, or as many as `budget_time` allows.
        budget_time: Training time that the run may spend, in seconds or like "2h"; 0 is no limit.
        seed: Root of all randomness.
        params: Method parameters that differ from the defaults.
        problem: A named problem instead of space, data set and objectives.
        constraints: What an architecture must satisfy, like "flops<=150".
        full_space: Search the whole space where a table covers a part of it.
        reference: Ideal and nadir to measure by, like "error=0:20,flops=0:300".
        start: With what every method begins: "random", "uniform", "ends"; "" leaves each its own (`methods.start`).
        evaluator: Look up, train every architecture, or read networks with a supernet's weights.
        checkpoint: With "supernet": its file.
        data: With "train" or "supernet": images; "" takes digits, or what the supernet was trained on.
        recipe: With "train": its name.
        training: With "train" or "supernet": items "KEY=VALUE" of the recipe and the setting.
        latency: Table of `latency measure`; "latency" is an objective then, and can be bounded.
        device: Where networks are trained or read, of an evaluator that does so: "auto", "cpu", "cuda" or "cuda:N".
        plugins: Plug-in files.
        out: Run folder; None takes one below "runs".
        overwrite: Delete what an earlier run left in the folder.
        continue_from_log: Go on from a log that does not replay.
        tensorboard: Write TensorBoard's files too.
    """

    method: str
    space: str = ""
    dataset: str = ""
    objectives: Sequence[str] = ()
    budget: int | None = None
    budget_time: float | str = 0.0
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    constraints: Sequence[str] = ()
    full_space: bool = False
    reference: str = ""
    start: str = ""
    evaluator: Literal["table", "train", "supernet"] = "table"
    checkpoint: str | Path | None = None
    data: str = ""
    recipe: str = ""
    training: Sequence[str] = ()
    latency: str | Path | None = None
    device: str = "auto"
    plugins: Sequence[str | Path] = ()
    out: str | Path | None = None
    overwrite: bool = False
    continue_from_log: bool = False
    tensorboard: bool = False


def run(
    options: RunOptions, *, progress: Shown = False, ends: Ends | None = None, callbacks: Sequence[Callback] = ()
) -> Result:
    """Run one search, write its report into the folder and return what it found, as the command `run` does.

    A run that was killed continues where it stopped when it is called again; a complete one returns at once.

    Args:
        options: What to run.
        progress: Show a bar on a terminal or in a notebook, or call this with (evaluations so far, budget).
        ends: Asked before each new evaluation, with the evaluations so far; True ends the run there.
        callbacks: Told of each new evaluation, see `smemnas.bench.callbacks`.

    Raises:
        UserError: A name, number or combination makes no sense.
        DataError: The table is not installed or is corrupt.
        RunError: The folder is in use, belongs to another job, or cannot be written.
    """
    from smemnas.bench.train.devices import on_device

    what = _what(options)
    check_device_used(options.device, [what[1]])
    with on_device(options.device):
        return _run(options, what, progress, ends, callbacks)


def _run(
    options: RunOptions,
    what: tuple[str, str, tuple[str, ...]],
    progress: Shown,
    ends: Ends | None,
    callbacks: Sequence[Callback],
) -> Result:
    """Do what `run` says; `what` are space, data set and objectives."""
    space, dataset, objectives = _with_latency(options, *what)
    job, benchmark = make_job(
        options.method,
        space,
        dataset=dataset or None,
        objectives=objectives,
        budget=options.budget,
        seed=options.seed,
        params=options.params,
        plugins=tuple(map(str, options.plugins)),
        constraints=several("--constraint", options.constraints),
        full_space=options.full_space,
        reference=options.reference,
        start=options.start,
        budget_time=duration("--budget-time", options.budget_time) if options.budget_time else 0.0,
    )
    folder = Path("runs") / job.folder if options.out is None else Path(options.out).expanduser()
    result = run_job(
        job,
        folder,
        benchmark=benchmark,
        overwrite=options.overwrite,
        continue_from_log=options.continue_from_log,
        progress=progress,
        ends=ends,
        callbacks=with_tensorboard(callbacks, options.tensorboard),
    )
    return result.with_summary(write_report(folder, result, benchmark))


def check_device_used(device: str, datasets: Iterable[str]) -> None:
    """Refuse a device where nothing is trained or read.

    Raises:
        UserError: All data sets are looked up.
    """
    if device != "auto" and not any(map(evaluator_of, datasets)):
        raise UserError("--device says where networks are trained, or read from a supernet: nothing is here.")


def run_job(
    job: Job,
    folder: str | Path,
    *,
    benchmark: Benchmark | None = None,
    overwrite: bool = False,
    continue_from_log: bool = False,
    progress: Shown = False,
    ends: Ends | None = None,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Run a job in its folder, or finish it there; the log is all that is written.

    Args:
        job: What to run, see `make_job`.
        folder: Run folder; made if it is not there.
        benchmark: Opened benchmark of the job; needed where it is your own.
        overwrite: Delete what an earlier run left in the folder first.
        continue_from_log: If the log does not replay, tell the method all logged rows and go on.
        progress: Show a bar on a terminal or in a notebook, or call this with (evaluations so far, budget).
        ends: Asked before each new evaluation, with the evaluations so far; True ends the run there.
        callbacks: Told of each new evaluation, see `smemnas.bench.callbacks`.

    Raises:
        RunError: The folder is in use, belongs to another job, or cannot be written.
        UserError: The job makes no sense.
    """
    place = Path(folder).expanduser()
    with (
        shown_progress(f"{job.label} on {short_place(job.place)}", progress) as tell,
        attached(callbacks, SEARCH, place) as step,
    ):
        result = runs.run(
            job,
            place,
            benchmark=benchmark,
            overwrite=overwrite,
            continue_from_log=continue_from_log,
            progress=tell,
            ends=ends,
            observe=lambda row: step(row.i, dict(zip(job.objectives, objectives_of(row), strict=True))),
        )
    logger.info("%r in %s", result, result.folder)
    for note in (*notes_of(result.benchmark), *filter(None, (result.note,))):
        logger.info("note: %s", note)
    return result


def _what(options: RunOptions) -> tuple[str, str, tuple[str, ...]]:
    """Return the space, the data set ("": its default) and the objectives (none: the data set's) of a run.

    Raises:
        UserError: Options do not go together.
    """
    choose("evaluator", options.evaluator, dict.fromkeys(EVALUATORS))
    space, dataset, objectives = options.space, options.dataset, several("--objectives", options.objectives)
    if options.evaluator == "supernet" and not (space or options.problem):
        space = "mnv3"
    if options.problem:
        if space or dataset or objectives:
            raise UserError("--problem brings its space, data set and objectives: leave those out.")
        case = find_problem(options.problem)
        space, dataset, objectives = case.space, case.dataset, case.objectives
    elif not space:
        raise UserError("a run needs a --space or a --problem.")
    training = options.checkpoint or options.data or options.recipe or options.training
    if options.evaluator == "table":
        if training:
            raise UserError("--checkpoint, --data, --recipe and --train belong to --evaluator train or supernet.")
        return space, dataset, objectives
    if dataset:
        raise UserError(f"--evaluator {options.evaluator} takes --data, not --dataset.")
    return space, _named(options), objectives


def _with_latency(
    options: RunOptions, space: str, dataset: str, objectives: tuple[str, ...]
) -> tuple[str, str, tuple[str, ...]]:
    """Return space, data set and objectives of a run with its latency table, where it has one."""
    if options.latency is None:
        return space, dataset, objectives
    from smemnas.bench.benchmarks.latency.benchmark import named_with_latency

    dataset = dataset or str(getattr(SPACES.get(space).factory, "default_dataset", ""))
    return space, named_with_latency(dataset, options.latency), objectives


def _named(options: RunOptions) -> str:
    """Return the data set's name that stands for a training or a supernet."""
    items = tuple(options.training)
    if options.evaluator == "train":
        from smemnas.bench.train.options import make_options

        if options.checkpoint:
            raise UserError("--checkpoint belongs to --evaluator supernet.")
        return make_options(options.data or "digits", options.recipe, items).name
    from smemnas.bench.train.supernet import options as supernet_options

    if options.checkpoint is None:
        raise UserError("--evaluator supernet needs --checkpoint FILE, which `supernet train` writes.")
    if options.recipe:
        raise UserError("--recipe belongs to --evaluator train.")
    return supernet_options.make_options(Path(options.checkpoint), options.data, items).name
