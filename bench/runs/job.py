"""What is run: a job names everything that determines a run's log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from smemnas.bench.benchmarks.base import Benchmark, reference_front
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.constraints import check_bounds
from smemnas.bench.benchmarks.given_reference import canonical, measured_by
from smemnas.bench.benchmarks.time_names import require_times
from smemnas.bench.display import counted
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.registry import Plugin, load_plugin
from smemnas.bench.schema import JobEntry, PluginEntry
from smemnas.bench.values import LARGEST_BUDGET, duration, duration_text
from smemnas.methods.base import METHODS
from smemnas.methods.start import check_start, starting
from smemnas.spaces.base import Problem

#: Paid evaluations of a run, unless told otherwise.
EVALUATIONS = 340


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
        constraints: What an architecture must satisfy, like "flops<=150"; see `bench.benchmarks.constraints`.
        listed: Whether it is searched among the architectures that a partial table has values of.
        reference: By what it is measured, where that is given, see `bench.benchmarks.given_reference`; the log does not
            depend on it.
        budget_time: Training time that it may spend, in seconds, see `bench.runs.clock`; 0 is no limit.
        start: With what all methods of the comparison begin, see `methods.start`; "" leaves each its own.
    """

    method: str
    space: str
    dataset: str
    objectives: tuple[str, ...]
    budget: int
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    constraints: tuple[str, ...] = ()
    listed: bool = False
    reference: str = ""
    budget_time: float = 0.0
    start: str = ""

    @property
    def bound(self) -> str:
        """What ends it, in words: "340 evaluations", "2h of training", or both."""
        count = "" if self.budget_time and self.budget == LARGEST_BUDGET else counted(self.budget, "evaluation")
        time = f"{duration_text(self.budget_time)} of training" if self.budget_time else ""
        return " or ".join(filter(None, (count, time)))

    @property
    def case(self) -> Case:
        """Where it runs."""
        return Case(
            self.space, self.dataset, self.objectives, self.constraints, self.listed, self.reference, self.start
        )

    def problem(self, benchmark: Benchmark) -> Problem:
        """Return what its method sees of its benchmark.

        Raises:
            UserError: The start makes no sense there.
        """
        return starting(benchmark.problem, self.start)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; what is optional enters only where given."""
        plugins = [plugin._asdict() for plugin in self.plugins]
        entry = {**asdict(self), "objectives": list(self.objectives), "plugins": plugins}
        del entry["constraints"], entry["listed"], entry["reference"], entry["budget_time"], entry["start"]
        limits = {"constraints": list(self.constraints)} if self.constraints else {}
        listed = {"listed": True} if self.listed else {}
        time = {"budget_time": self.budget_time} if self.budget_time else {}
        start = {"start": self.start} if self.start else {}
        reference = {"reference": self.reference} if self.reference else {}
        return {**entry, **limits, **listed, **reference, **time, **start}

    @staticmethod
    def of(entry: JobEntry) -> Job:
        """Invert `to_dict`."""
        values = {name: getattr(entry, name) for name in JobEntry.__struct_fields__}
        return Job(**{**values, "plugins": tuple(map(_plugin, entry.plugins))})

    def differs_from(self, entry: JobEntry) -> str:
        """Return the first thing in which a recorded job is another one than this, "" where there is none.

        A plug-in is known by its name and content, wherever it lies; in folders of earlier versions by its path.
        """
        its = replace(Job.of(entry), reference=self.reference)  # how it is measured may change
        for mine, other in zip(self.plugins, its.plugins, strict=False):
            if other.sha256 and mine.file == other.file and mine.sha256 != other.sha256:
                return f"another version of the plug-in {mine.file}"
        if [_name(p, q) for p, q in zip(self.plugins, its.plugins, strict=False)] == [_name(q, q) for q in its.plugins]:
            its = replace(its, plugins=self.plugins)
        wanted, found = (json.loads(json.dumps(job.to_dict())) for job in (self, its))
        for name in sorted({*wanted, *found}, key=lambda name: (name.startswith("budget"), name)):  # which may grow
            if found.get(name) != wanted.get(name):
                return f"{name} {_shown(found.get(name))}, this one has {_shown(wanted.get(name))}"
        return ""

    def smaller(self, entry: JobEntry) -> Job | None:
        """Return a recorded job where it is this one with a smaller budget: evaluations, training time or both."""
        found = Job.of(entry)
        before, now = (found.budget, found.budget_time), (self.budget, self.budget_time)
        grown = before[0] <= now[0] and before[1] <= now[1] and (before[1] > 0) == (now[1] > 0)
        alike = replace(self, budget=found.budget, budget_time=found.budget_time)
        return found if grown and before != now and not alike.differs_from(entry) else None

    @property
    def evaluation_seed(self) -> int:
        """What evaluations draw from (which training, which noise): the run's seed, the same for all its methods."""
        return self.seed

    @property
    def label(self) -> str:
        """Method with its changed parameters, as tables and folders name it."""
        changed = ",".join(f"{k}={json.dumps(v, sort_keys=True)}" for k, v in sorted(self.params.items()))
        return self.method + (f"[{changed}]" if changed else "")

    @property
    def place(self) -> str:
        """Space and data set, as a reader is shown them: paths in a data set's name with their slashes."""
        return f"{self.space}/{unquote(self.dataset)}"

    @property
    def folder(self) -> Path:
        """Relative folder: space/dataset/objectives/method/seed-N; restrictions stand beside the objectives."""
        limits = [c.replace("<=", "-max-").replace(">=", "-min-") for c in self.constraints]
        start = [f"start-{self.start}"] if self.start else []
        problem = ",".join(["+".join(self.objectives), *limits, *(["listed"] if self.listed else []), *start])
        safe = "".join(c if c.isalnum() or c in "._-+=,[]" else "-" for c in self.label.replace('"', ""))
        return Path(self.space, self.dataset, problem, safe, f"seed-{self.seed}")

    @property
    def folder_in_study(self) -> Path:
        """Relative folder in a study: that of a single run, with the budget, which may change a run."""
        time = [f"time-{duration_text(self.budget_time)}"] if self.budget_time else []
        count = [] if time and self.budget == LARGEST_BUDGET else [f"budget-{self.budget}"]
        return self.folder.parent / ",".join([*count, *time]) / self.folder.name


def short_place(place: str) -> str:
    """Return a job's place with the last two parts of each path: whole ones go beyond titles and pictures."""
    return re.sub(r"(?<=[+=])/\S*/(?=[^/\s]+/[^/\s]+)", ".../", place)


def _plugin(entry: PluginEntry | str) -> Plugin:
    if isinstance(entry, str):
        return Plugin(Path(entry).name, "", entry)
    return Plugin(entry.file, entry.sha256, entry.path)


def _name(plugin: Plugin, other: Plugin) -> tuple[str, ...]:
    """Return by what a plug-in is compared with a recorded one."""
    return (plugin.file, plugin.sha256) if other.sha256 else (plugin.path,)


def _shown(value: Any) -> str:
    """Return a value of a job as a message shows it."""
    paths = isinstance(value, list) and value and isinstance(value[0], dict)
    return repr([plugin["path"] for plugin in value] if paths else value)


def load_plugins(job: Job) -> None:
    """Load the plug-ins of a job.

    Raises:
        UserError: One is missing or fails to import.
        RunError: One is not what it was when the job was made.
    """
    for plugin in job.plugins:
        if plugin.sha256 not in ("", load_plugin(plugin.path).sha256):
            raise RunError(f"the plug-in {plugin.path} was edited since this job was made: give the command again.")


def make_job(
    method: str,
    space: str,
    *,
    dataset: str | None = None,
    objectives: tuple[str, ...] = (),
    budget: int | None = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    plugins: tuple[str, ...] = (),
    constraints: tuple[str, ...] = (),
    full_space: bool = False,
    reference: str = "",
    budget_time: float = 0.0,
    start: str = "",
) -> tuple[Job, Benchmark]:
    """Check a user's wishes, fill in the defaults and return the job with its benchmark.

    On a table that covers a part of its space the search is restricted to that part, unless `full_space` is set.
    Without a budget it is 340 evaluations, or as many as a budget of training time allows.

    Raises:
        UserError: A name, parameter or number makes no sense, or (almost) nothing satisfies the constraints.
    """
    if budget is None:
        budget = LARGEST_BUDGET if budget_time else EVALUATIONS
    loaded = tuple(load_plugin(plugin) for plugin in plugins)
    if budget < 1:
        raise UserError(f"--budget must be at least 1 evaluation, got {budget}.")
    if seed < 0:
        raise UserError(f"--seed must be at least 0, got {seed}.")
    METHODS.get(method).resolve(params or {})
    benchmark = open_benchmark(space, dataset, objectives, constraints, full_space=full_space)
    if budget_time:
        budget_time = duration("--budget-time", budget_time)
        require_times(benchmark)
    names = tuple(o.name for o in benchmark.objectives)
    limits, listed = tuple(map(str, benchmark.constraints)), benchmark.listed is not None
    job = Job(
        method,
        space,
        benchmark.dataset,
        names,
        budget,
        seed,
        dict(params or {}),
        loaded,
        limits,
        listed,
        canonical(reference, benchmark),
        budget_time,
        check_start(start),
    )
    check_bounds(benchmark, constraints)
    if job.reference:
        measured_by(reference_front(benchmark), job.reference, benchmark)
    METHODS.create(method, job.problem(benchmark), budget=budget, seed=seed, params=params)
    return job, benchmark


def open_job(job: Job) -> Benchmark:
    """Return the benchmark of a job, restricted as its search is.

    Raises:
        UserError: The space, the data set or a name is unknown.
        DataError: The table is not installed or is corrupt.
    """
    return open_benchmark(job.space, job.dataset, job.objectives, job.constraints, full_space=not job.listed)
