"""Running what is missing of a registered experiment, stage by stage.

All trainings lie in one folder, by network and training seed, so that whatever two arms, seeds or plans have in common
is trained once, and an experiment that was killed goes on in the middle of a training. A search's trainings have the
search's seed, a gate's and the fresh ones seeds of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smemnas.bench.errors import RunError
from smemnas.bench.files import write_json
from smemnas.bench.gates import FILE as GATE_FILE
from smemnas.bench.gates import Gate
from smemnas.bench.metrics.indicators import front_rows
from smemnas.bench.program import variable
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.source import RunFolder
from smemnas.bench.staged.gate import ERROR, measured_gate, trained_in
from smemnas.bench.staged.plan import LARGEST_SEED, StagedPlan
from smemnas.bench.studies.execution import FAILED, folder_of, run_study
from smemnas.bench.workers.backends import TRAININGS, Place
from smemnas.spaces.base import FloatArray, IntArray

if TYPE_CHECKING:
    from smemnas.bench.train.benchmark import TrainedBenchmark

#: Folder of trainings within that of the experiment, unless `TRAININGS` names another, and what is left of a stage.
FOLDER, PROGRESS = "trainings", "progress.json"
#: Seconds between two looks at how many trainings there are.
LOOK = 2.0
#: Called with (stage, trainings done, all trainings of the stage).
Tell = Callable[[str, int, int], None]


class Search(NamedTuple):
    """What one search found, and what its front is worth in fresh trainings.

    Attributes:
        arm: Name.
        seed: Of search and trainings.
        X: Genotypes ``(n, n_var)`` in the order of their trainings.
        F: Validation error and cost ``(n, 2)``, +inf where a training failed.
        front: Rows of the observed front ``(k,)``.
        fresh: Test errors of their fresh trainings ``(k,)``, +inf where one failed; empty before the last stage.
    """

    arm: str
    seed: int
    X: IntArray
    F: FloatArray
    front: IntArray
    fresh: FloatArray


class StagesDone(NamedTuple):
    """What is there of an experiment.

    Attributes:
        gate: Of the first stage.
        searches: Arm by arm, seed by seed; none where the gate was not passed.
    """

    gate: Gate
    searches: tuple[Search, ...]


def run_stages(plan: StagedPlan, out: Path, place: Place, tell: Tell, *, go_on: bool = False) -> StagesDone:
    """Run what is missing of all stages.

    Args:
        plan: Checked.
        out: Folder of the experiment.
        place: Where searches run; the trainings of the other stages take as many processes of this machine.
        tell: Called as trainings end.
        go_on: Search although the gate says that it would see chance.

    Raises:
        UserError: Something of the plan is unknown or cannot be trained.
        RunError: The folder cannot be written, or a search failed.
    """
    with trainings_in(out) as folder:
        gate = _gate(plan, out, folder, place, tell)
        if not gate.passed and not go_on:
            return StagesDone(gate, ())
        searches = _search(plan, out, folder, place, tell)
        return StagesDone(gate, _fresh(plan, searches, folder, place, tell))


@contextlib.contextmanager
def trainings_in(out: Path) -> Iterator[Path]:
    """Yield the folder of trainings, which all processes that are started within the block take too."""
    before = os.environ.get(TRAININGS)
    folder = Path(before).expanduser().absolute() if before else (out / FOLDER).absolute()
    with variable(TRAININGS, str(folder)):
        yield folder


def opened(plan: StagedPlan, folder: Path, seed: int | None, place: Place) -> TrainedBenchmark:
    """Open the benchmark of a plan with some training seed, or with one for each call."""
    from smemnas.bench.train.options import reseeded

    return trained_in(folder, plan.space, reseeded(plan.dataset, seed), plan.cost, place)


def _gate(plan: StagedPlan, out: Path, folder: Path, place: Place, tell: Tell) -> Gate:
    """Return the gate, trained and written down."""
    benchmark = opened(plan, folder, None, place)
    gate = measured_gate(benchmark, plan.gate, plan.cost, lambda n, of: tell("gate", n, of))
    gate.save(out / GATE_FILE)
    return gate


def jobs_of(plan: StagedPlan) -> list[tuple[str, Job]]:
    """Return the searches with their arms; arm by arm, so that two processes seldom want the same training at once."""
    from smemnas.bench.train.options import reseeded

    return [
        (
            arm.name,
            Job(
                *(arm.method or arm.name, plan.space, reseeded(plan.dataset, seed), (ERROR, plan.cost)),
                *(plan.budget, seed, arm.params),
            ),
        )
        for arm in plan.arms
        for seed in plan.runs
    ]


def _search(plan: StagedPlan, out: Path, folder: Path, place: Place, tell: Tell) -> list[Search]:
    """Run the searches and return them without fresh trainings.

    Raises:
        RunError: One failed.
    """
    named = jobs_of(plan)
    jobs = [job for _, job in named]
    at_most = len(plan.runs) * (plan.shared + len(plan.arms) * (plan.budget - plan.shared))
    trained = opened(plan, folder, None, place).folder
    with _watched(lambda: _count(trained, plan), lambda n: tell("search", min(n, at_most), at_most)):
        states = run_study(jobs, out, place=place)
    failed = [(job, state) for job, state in zip(jobs, states, strict=True) if state.status == FAILED]
    if failed:
        raise RunError(
            f"{len(failed)} of {len(jobs)} searches failed, the first ({failed[0][0].label}): {failed[0][1].reason}"
        )
    searches = []
    for arm, job in named:
        X, F = RunFolder(folder_of(out, job)).log().arrays()
        searches.append(Search(arm, job.seed, X, F, front_rows(F), np.empty(0)))
    return searches


def _fresh(plan: StagedPlan, searches: list[Search], folder: Path, place: Place, tell: Tell) -> tuple[Search, ...]:
    """Train the networks of all fronts again, those that arms of a seed have in common once, and judge them."""
    wanted = {seed: _distinct(searches, seed) for seed in plan.runs}
    done, of = 0, sum(map(len, wanted.values()))
    errors: dict[tuple[int, bytes], float] = {}
    for seed, X in wanted.items():
        benchmark = opened(plan, folder, 2 * LARGEST_SEED + seed, place)
        for at in range(0, len(X), benchmark.at_once):
            tell("fresh", done, of)
            part = X[at : at + benchmark.at_once]
            benchmark.evaluate(part, seed)
            tested = benchmark.report(part)[:, 0]
            errors |= {
                (seed, x.tobytes()): e if np.isfinite(e) else np.inf for x, e in zip(part, tested.tolist(), strict=True)
            }
            done += len(part)
    tell("fresh", done, of)
    return tuple(s._replace(fresh=np.array([errors[s.seed, x.tobytes()] for x in s.X[s.front]])) for s in searches)


def _distinct(searches: list[Search], seed: int) -> IntArray:
    """Return the networks of the observed fronts of a seed ``(k, n_var)``."""
    return np.unique(np.concatenate([s.X[s.front] for s in searches if s.seed == seed]), axis=0)


def _count(trained: Path, plan: StagedPlan) -> int:
    """Return how many trainings with the seeds of the search are there."""
    return sum(len(list(trained.glob(f"*-seed{seed}/result.json"))) for seed in plan.runs)


@contextlib.contextmanager
def _watched(count: Callable[[], int], tell: Callable[[int], None]) -> Iterator[None]:
    """Tell now and then how far something is that happens elsewhere, and at the end."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            tell(count())

    tell(count())
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    tell(count())


class Progress:
    """How far an experiment is, in its folder for whoever looks, and to a bar.

    Args:
        out: Folder of the experiment.
        show: Called with (stage, done, all).
    """

    def __init__(self, out: Path, show: Tell) -> None:
        self._file, self._show = out / PROGRESS, show
        self._stage, self._start, self._first = "", 0.0, 0

    def __call__(self, stage: str, done: int, of: int) -> None:
        """Take (stage, trainings done, all trainings of the stage)."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._first = stage, now, done
        self._show(stage, done, of)
        made = done - self._first
        left = round((now - self._start) / made * (of - done)) if made else None
        entry = {"stage": stage, "done": done, "of": of, "seconds_left": left}
        write_json(self._file, json.loads(json.dumps(entry)), durable=False)
