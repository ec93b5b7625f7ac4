"""What the figures of a study show, and files of an earlier drawing of just that: a report copies them.

Beside the figures stands `drawn.json`: a checksum of all that they depend on (what is shown, the suite's code, version
and settings of Matplotlib), and one of each file. A file is used again only where both hold, so whatever is outdated,
damaged or half written is drawn anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.files import write_text
from smemnas.bench.studies.curves import Curve
from smemnas.bench.studies.execution import DONE
from smemnas.bench.studies.judged import TargetsReached
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.ranks import SeedRanks
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.training_time import curves_in_time
from smemnas.spaces.base import FloatArray

NOTE = "drawn.json"


@dataclass(frozen=True)
class StudyDrawn:
    """All that the figures of a study are made of; equal ones have equal figures.

    Attributes:
        plan: The study, without what no figure shows.
        curves: As in `Tables`.
        reaches: As in `Tables`.
        seed_ranks: As in `Tables`.
        fronts: The reference front of each case ``(k, n_obj)``, where one is known.
        runs: Objectives ``(n, n_obj)`` and last regret of the finished and measured runs of each case and variant.
        axes: Name and unit of each objective of each case.
        in_time: Curves against seconds of training, where a table knows them and evaluations are the budget.
    """

    plan: Plan
    curves: Mapping[tuple[Case, str], Curve]
    reaches: Mapping[tuple[Case | None, str], TargetsReached]
    seed_ranks: Sequence[SeedRanks]
    fronts: Mapping[Case, FloatArray]
    runs: Mapping[tuple[Case, str], Sequence[tuple[FloatArray, float]]]
    axes: Mapping[Case, Sequence[tuple[str, str]]]
    in_time: Mapping[tuple[Case, str], Curve]


def drawn(tables: Tables) -> StudyDrawn:
    """Return what the figures of a study show."""
    plan = tables.plan
    runs: dict[tuple[Case, str], list[tuple[FloatArray, float]]] = {}
    for t in tables.trials:
        if t.status == DONE and len(t.curve):
            runs.setdefault((t.case, t.variant), []).append((t.F, float(t.curve[-1])))
    seen = Plan(
        tuple(Variant(v.name, "") for v in plan.variants),
        plan.cases,
        (),
        plan.budget,
        plan.baseline,
        (plan.end,),
        champion=plan.champion,
        budget_time=plan.budget_time,
    )
    fronts = {case: known.front for case in plan.cases if (known := tables.references.get(case)) is not None}
    axes = {case: [(o.name, o.unit) for o in benchmark_of(case).objectives] for case in plan.cases}
    return StudyDrawn(
        seen, tables.curves, tables.reaches, tables.seed_ranks, fronts, runs, axes, curves_in_time(tables)
    )


def key_of(shown: StudyDrawn) -> str:
    """Return the checksum of all that figures depend on."""
    import matplotlib

    sha = hashlib.sha256()
    _feed(sha, shown)
    _feed(sha, [matplotlib.__version__, np.__version__, sorted((k, str(v)) for k, v in matplotlib.rcParams.items())])
    code = Path(__file__).parents[2]
    for file in sorted(code.rglob("*.py")):
        _feed(sha, [file.relative_to(code).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()])
    return sha.hexdigest()


def _feed(sha: Any, thing: object) -> None:
    """Add a value to a checksum: its kind, its length and what it holds."""
    if isinstance(thing, np.ndarray):
        sha.update(f"array {thing.dtype.str} {thing.shape} ".encode())
        sha.update(np.ascontiguousarray(thing).tobytes())
    elif is_dataclass(thing) and not isinstance(thing, type):
        sha.update(f"{type(thing).__name__} ".encode())
        for field in fields(thing):
            _feed(sha, getattr(thing, field.name))
    elif isinstance(thing, Mapping):
        sha.update(b"mapping ")
        _feed(sha, [part for item in thing.items() for part in item])
    elif isinstance(thing, list | tuple | set | frozenset):
        sha.update(f"sequence {len(thing)} ".encode())
        for part in sorted(thing) if isinstance(thing, set | frozenset) else thing:
            _feed(sha, part)
    else:
        text = repr(thing)
        sha.update(f"{type(thing).__name__} {len(text)} {text} ".encode())


def kept_files(folders: Iterable[Path], key: str) -> dict[str, bytes]:
    """Return the contents of files that were drawn of the same, by name; unreadable folders hold none."""
    found: dict[str, bytes] = {}
    for folder in folders:
        try:
            note = json.loads((folder / NOTE).read_bytes())
            sums = note["files"] if note["key"] == key else {}
            for name, its in sums.items():
                data = (folder / Path(name).name).read_bytes()
                if hashlib.sha256(data).hexdigest() == its:
                    found.setdefault(name, data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def note_files(folder: Path, key: str, files: Sequence[Path]) -> None:
    """Write beside files what they were drawn of.

    Raises:
        RunError: It cannot be written.
    """
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    write_text(folder / NOTE, json.dumps({"key": key, "files": sums}, indent=1) + "\n", durable=False)
