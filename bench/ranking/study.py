"""Running a ranking study: what the log lacks, in parallel, one appended row per trial.

The log `ranking.jsonl` holds scores and times of finished and failed trials in the order in which they ended;
a torn last line, as a killed process leaves it, is dropped. Failed trials are tried again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.errors import Unusable, UserError
from smemnas.bench.files import write_json
from smemnas.bench.outputs import RANKING
from smemnas.bench.provenance import environment
from smemnas.bench.ranking.data import Data, data_of
from smemnas.bench.ranking.plan import RankPlan, Source, learns
from smemnas.bench.ranking.trial import Task, run_task
from smemnas.bench.registry import load_plugin, require_known_elsewhere
from smemnas.bench.runs.folder import locked
from smemnas.bench.runs.history import LineLog
from smemnas.bench.runs.run import Progress
from smemnas.bench.schema import RankRow, decode, is_signed, signed_line
from smemnas.bench.workers.backends import ALONE, Place, here, run_tasks, shared_children, workers_for
from smemnas.surrogates.base import SURROGATES

LOG, PLAN = "ranking.jsonl", "ranking.json"
ADVICE = "restore or remove the file."
Row = Mapping[str, Any]

#: What the `time` of a row holds at least.
TIMES = {"fit", "rank", "calibrate", "memory_mb"}
#: Scores that are undefined for one reason.
UNDEFINED_TOGETHER = ("tau", "spearman", "pair_accuracy")


def key_text(key: Mapping[str, Any]) -> str:
    """Return a trial's key as text."""
    return json.dumps(key, sort_keys=True)


class RankLog(LineLog):
    """The rows of a study, in memory and on disk; of several rows of a trial the last counts."""

    def __init__(self, path: Path) -> None:
        """Read a log, dropping a torn last line.

        Raises:
            Unusable: Another line is corrupt.
        """
        super().__init__(path)
        self.rows: dict[str, Row] = {}
        for number, line in enumerate(self.lines, start=1):
            found = decode(line, RankRow, f"{path}, line {number}", ADVICE)
            if found.sum and not is_signed(line):
                raise Unusable(f"{path}, line {number} is corrupt (it does not match its checksum)", ADVICE)
            if found.status == "ok" and not _is_whole(found):
                raise Unusable(f"{path}, line {number} is corrupt (scores or times are missing)", ADVICE)
            row = json.loads(line)
            row.pop("sum", None)
            self.rows[key_text(row["key"])] = row

    def append(self, row: Row) -> None:
        """Write one row as a whole.

        Raises:
            RunError: The disk is full; earlier rows are kept.
        """
        self.write(signed_line(json.dumps(row, allow_nan=False)))
        self.rows[key_text(row["key"])] = row

    def find(self, data: Data, task: Task, pool: str) -> Row | None:
        """Return a trial's row, or None.

        Raises:
            Unusable: It lacks the scores of a column that is ranked.
        """
        row = self.rows.get(key_text(task.key(data, pool)))
        missing = sorted(data.truth.keys() - row["scores"].keys()) if row is not None and row["status"] == "ok" else []
        if missing:
            raise Unusable(f"{self.path} is corrupt (a row has no scores of {missing[0]})", ADVICE)
        return row


def _is_whole(row: RankRow) -> bool:
    """Whether a row holds all that tables are made of; one without a checksum may have lost some.

    Where all truths are equal, tau, rank correlation and accuracy of pairs are undefined, all three or none.
    """
    scored = bool(row.scores) and all(
        "tau" in scores and len({scores.get(name) is None for name in UNDEFINED_TOGETHER}) == 1
        for scores in row.scores.values()
    )
    return scored and bool(row.n_ranked) and row.twins is not None and row.time.keys() >= TIMES


def run_ranking(
    plan: RankPlan, data: Data, out: Path, *, place: Place = ALONE, progress: Progress | None = None
) -> tuple[RankLog, dict[str, tuple[str, ...]]]:
    """Run what is missing of a study.

    Args:
        plan: The study.
        data: What it ranks.
        out: Its folder.
        place: Where its trials run, never on more workers than are missing, and the time that each may take.
        progress: Called with (trials done, trials).

    Returns:
        The log, and the encodings of each variant, by name.

    Raises:
        RunError: The folder is in use or cannot be written, or its log is corrupt.
        UserError: Workers do not know a surrogate, or `place` makes no sense.
    """
    place.check()
    for variant in plan.variants if place != ALONE else ():
        if not variant.column:
            require_known_elsewhere("surrogate", SURROGATES.get(variant.surrogate), plan.plugins)
    with locked(out, RANKING):
        log = RankLog(out / LOG)
        write_json(out / PLAN, {"plan": plan.to_dict(), "data": data.digest, "environment": environment()})
        with log, shared_children() as children:
            development = plan.development(data)
            needed = plan.rows_to_measure(data)
            count = _Count(progress, len(needed) + len(development) + _expected(plan, data))
            if data.measured is not None and len(needed):
                data.measured.measure(data.X[needed], jobs=workers_for(place.workers, len(needed)), progress=count.add)
            _run_missing(development, plan, data, log, place, children, count)
            chosen = choose_encodings(plan, data, log)
            _run_missing(list(plan.tasks(chosen)), plan, data, log, place, children, count)
    return log, chosen


def _expected(plan: RankPlan, data: Data) -> int:
    many = len(plan.candidates(data)) if plan.encodings != ("best",) else 1
    return len(plan.seeds) * len(plan.n_train) * sum(many if learns(v) else 1 for v in plan.variants)


class _Count:
    """Tells a progress bar how many tasks are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, n: int) -> None:
        self.done += n
        if self.progress is not None:
            self.progress(self.done, self.total)


def choose_encodings(plan: RankPlan, data: Data, log: RankLog) -> dict[str, tuple[str, ...]]:
    """Return the encodings of each variant: all that are compared, or the one with the best mean tau in development.

    Controls that look at no encoding have the first one; a quantity known without training has none.
    """
    names = plan.candidates(data)
    taus: dict[tuple[str, str], list[float]] = {}
    for task in plan.development(data):
        row = log.find(data, task, "uniform")
        tau = row["scores"][data.searched]["tau"] if row is not None and row["status"] == "ok" else None
        taus.setdefault((task.variant.name, task.encoding), []).append(-1.0 if tau is None else tau)
    chosen: dict[str, tuple[str, ...]] = {}
    for variant in plan.variants:
        if variant.column:
            chosen[variant.name] = ("",)
        elif not learns(variant):
            chosen[variant.name] = names[:1]
        elif plan.encodings == ("best",) and len(names) > 1:
            means = [float(np.mean(taus.get((variant.name, name), [-math.inf]))) for name in names]
            chosen[variant.name] = (names[int(np.argmax(np.round(means, 9)))],)
        else:
            chosen[variant.name] = names
    return chosen


def _run_missing(
    tasks: Sequence[Task], plan: RankPlan, data: Data, log: RankLog, place: Place, children: str, count: _Count
) -> None:
    """Run the pools of each task that the log has no finished row of."""
    pending = []
    for task in tasks:
        found = {pool: log.find(data, task, pool) for pool in task.pools}
        missing = tuple(pool for pool, row in found.items() if row is None or row["status"] != "ok")
        if missing:
            pending.append(replace(task, pools=missing))
    count.add(len(tasks) - len(pending))
    for done in _execute(pending, plan, data, place, children):
        for row in done:
            log.append(row)
        count.add(1)


def _execute(
    tasks: list[Task], plan: RankPlan, data: Data, place: Place, children: str
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each task as it finishes; those of one that was ended, or whose process died, are failures."""
    if place == ALONE:
        for task in tasks:
            yield run_task(data, task)
        return
    calls = [(task, plan.source, plan.plugins) for task in tasks]
    for k, answer, reason in run_tasks(_run_in_child, calls, place, here(), children):
        rows, refusal = answer or ([], "")
        reason = reason or refusal
        if reason:
            rows = [{"key": tasks[k].key(data, p), "status": "failed", "reason": reason} for p in tasks[k].pools]
        yield rows


def _run_in_child(
    task: Task, source: Source, plugins: tuple[str, ...]
) -> tuple[tuple[list[dict[str, Any]], str], bool]:
    """Run a task in a process that may be ended; return its rows, or why there are none."""
    try:
        for plugin in plugins:
            load_plugin(plugin)
        return (run_task(data_of(*source), task), ""), True
    except UserError as error:  # the data is not where this process is
        return ([], str(error)), True
