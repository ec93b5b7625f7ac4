"""Evidence that checks itself: stored runs are run again, and their logs compared byte for byte."""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.bench.archive.read import ArchivedRun
from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.case import benchmark_of
from smemnas.bench.errors import UserError, describe, suggest
from smemnas.bench.provenance import environment
from smemnas.bench.registry import Plugin
from smemnas.bench.runs.folder import needs_of
from smemnas.bench.runs.guard import installed_data, same_data
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.run import run as run_search
from smemnas.bench.runs.source import RunFolder
from smemnas.methods.base import METHODS
from smemnas.surrogates.base import single_thread

#: Stored seconds beyond which a run is drawn only where its method is asked for.
A_MINUTE = 60.0
#: Bytes of a line that a difference shows.
SHOWN = 90


class Checked(NamedTuple):
    """A run that was run again: its reason is "" where the log is the same."""

    run: ArchivedRun
    reason: str


class Drawn(NamedTuple):
    """What is run again, and (reason, number of runs) of what was not drawn from."""

    runs: tuple[ArchivedRun, ...]
    passed_over: tuple[tuple[str, int], ...]


def check_logs(runs: Sequence[ArchivedRun]) -> int:
    """Write out every log in memory and compare its digest; return how many there are.

    Raises:
        UserError: One is not what it was.
    """
    for run in runs:
        run.text()
    return len(runs)


def draw(runs: Sequence[ArchivedRun], n: int, seed: int = 0, methods: Sequence[str] = ()) -> Drawn:
    """Draw runs to run again.

    Args:
        runs: Of an archive, or of several.
        n: How many; all where there are fewer.
        seed: Of the draw.
        methods: Only runs of these, by method or label, whatever they need or take; without any, those of methods that
            need no package that is absent and took less than a minute.

    Raises:
        UserError: No run is of one of the methods.
    """
    known = {name for run in runs for name in (run.job()[0].method, run.job()[0].label)}
    for name in methods:
        if name not in known:
            raise UserError(f"the archive has no run of {name!r}.{suggest(name, known)}")
    eligible: list[ArchivedRun] = []
    reasons: Counter[str] = Counter()
    for run in runs:
        job, _ = run.job()
        if methods:
            reason = "" if {job.method, job.label} & {*methods} else "another method"
        else:
            reason = _not_drawn(run, job)
        if run.status().status == "failed":
            reason = "the run failed"
        if reason:
            reasons[reason] += 1
        else:
            eligible.append(run)
    order = np.random.default_rng(seed).permutation(len(eligible))[:n]
    drawn = tuple(eligible[k] for k in sorted(order.tolist()))
    del reasons["another method"]
    return Drawn(drawn, tuple(sorted(reasons.items())))


def _not_drawn(run: ArchivedRun, job: Job) -> str:
    """Return why a run is not drawn unless its method is asked for, or ""."""
    if job.method not in METHODS:
        return f"{job.method} is not registered here"
    absent = sorted(name for name in needs_of(job) if importlib.util.find_spec(name) is None)
    if absent:
        return f"{job.method} needs {', '.join(absent)}"
    return f"{job.method} takes over a minute" if run.seconds()[0] > A_MINUTE else ""


def check_run(run: ArchivedRun, plugins: Sequence[Plugin] = ()) -> Checked:
    """Run a stored run again and compare the logs.

    Args:
        run: The run.
        plugins: What is loaded, for a run that needs some.
    """
    job, recorded = run.job()
    loaded = {plugin.sha256: plugin for plugin in plugins}  # a file that was handed in may have another name
    absent = [plugin.file for plugin in job.plugins if plugin.sha256 not in loaded]
    if absent:
        return Checked(run, f"it was made with a version of the plug-in {absent[0]} that is not loaded: give --plugin")
    job = Job(**{**vars(job), "plugins": tuple(loaded[plugin.sha256] for plugin in job.plugins)})
    try:
        benchmark = benchmark_of(job.case)
        if not same_data(recorded.data, benchmark):
            return Checked(run, f"it was run on another version of the table: {_changed(recorded.data, benchmark)}")
        with tempfile.TemporaryDirectory(prefix="smemnas-verify-") as folder, single_thread():
            run_search(job, Path(folder) / "run", benchmark=benchmark)
            now = RunFolder(Path(folder) / "run")
            reason = difference(run.text(), now.text())
            if not reason and run.recommended_text() != now.recommended_text():
                reason = "it now recommends something else"
            return Checked(run, reason)
    except UserError as error:
        return Checked(run, f"it cannot be run here: {error}")
    except (Exception, SystemExit) as error:  # a method of another version may do anything
        return Checked(run, f"it cannot be run here: {describe(error)}")


def difference(stored: bytes, now: bytes) -> str:
    """Return where two logs differ, "" where they do not."""
    if stored == now:
        return ""
    old, new = stored.split(b"\n")[:-1], now.split(b"\n")[:-1]
    for k, (first, second) in enumerate(zip(old, new, strict=False)):
        if first != second:
            return f"evaluation {k} differs: stored {_shown(first)}, now {_shown(second)}"
    return f"{len(old)} evaluations are stored, now there are {len(new)}"


def _shown(line: bytes) -> str:
    """Return the part of a line of a log that tells evaluations apart, shortened."""
    text = line[line.find(b'"x": ') :].decode(errors="replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _changed(data: Mapping[str, Any], benchmark: Benchmark) -> str:
    """Return in which entries the recorded data is not the installed one."""
    here = installed_data(benchmark)
    keys = sorted(key for key in {*data, *here} if data.get(key) != here.get(key) and not key.startswith("reference_"))
    return "; ".join(f"{key} {_short(data.get(key))}, installed {_short(here.get(key))}" for key in keys)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."


def versions(runs: Sequence[ArchivedRun]) -> list[str]:
    """Return what made some runs and is not what runs here: "numpy 2.1.0 (here 2.4.0)", ..."""
    theirs: dict[str, set[str]] = {}
    for run in runs:
        for name, version in _versions(run.recorded.environment).items():
            theirs.setdefault(name, set()).add(version)
    here = _versions(environment(*theirs))  # packages of methods too, which are not always recorded
    return [
        f"{name} {', '.join(sorted(found))} (here {here.get(name, 'absent')})"
        for name, found in sorted(theirs.items())
        if found != {here.get(name)}
    ]


def _versions(entry: dict[str, object]) -> dict[str, str]:
    """Return the versions in a recorded environment by name, those that can change a log."""
    packages = entry.get("packages")
    found = {str(k): str(v) for k, v in packages.items()} if isinstance(packages, dict) else {}
    for name in ("git_commit", "python", "machine"):
        if entry.get(name):
            found[name] = str(entry[name])
    return found
