"""Which plan a study is of, and which runs of it are stored: `--plan`, `--add`, `--against`, `--archive`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.archive.form import SUFFIX, distinct
from smemnas.bench.archive.locate import is_address, open_archives
from smemnas.bench.archive.read import ArchivedRun, RunArchive
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.runs.job import Job
from smemnas.bench.schema import PlanEntry, decode
from smemnas.bench.studies.execution import DONE, state_of
from smemnas.bench.studies.plan import Plan, Variant, plan_from
from smemnas.bench.studies.plan_file import is_plan_file, read_plan
from smemnas.bench.studies.published import named_plan
from smemnas.bench.studies.stored import StudyRuns, keep, key_of, stored_files, usable

#: Where runs of published plans come with the package: PLAN.runs.
SHIPPED = Path(__file__).resolve().parents[1] / "data" / "archives"


class Basis(NamedTuple):
    """A plan that is there, and where runs of it are stored.

    Attributes:
        plan: The plan.
        name: How it is called in messages and in a default folder.
        archives: Of its runs.
    """

    plan: Plan
    name: str
    archives: tuple[RunArchive, ...]


class Taken(NamedTuple):
    """What a study has of stored runs.

    Attributes:
        left: Jobs that are left to run.
        said: What to say of the stored ones.
        absent: Label, case and seed of all runs of the plan that are never made here and are not stored either.
    """

    left: list[Job]
    said: list[str]
    absent: frozenset[tuple[str, Case, int]] = frozenset()


def shipped(name: str) -> Path | None:
    """Return the archive of a published plan that comes with the package, None where there is none.

    One in parts is a folder: `open_archives` opens both.
    """
    file, folder = SHIPPED / f"{name}{SUFFIX}", SHIPPED / name
    return file if file.is_file() else folder if folder.is_dir() else None


def basis(text: str, archives: Sequence[str]) -> Basis:
    """Return the plan of a name, of a TOML file, or of an archive, by path or address.

    Args:
        text: Which.
        archives: Of its runs; none takes the one that comes with the package, or the archive that the plan is of.

    Raises:
        UserError: There is no such plan, or an archive holds several or none.
        DataError: An archive cannot be read.
    """
    given = opened(archives)
    if is_plan_file(text):
        return Basis(read_plan(Path(text).expanduser()), Path(text).stem, given)
    if is_address(text) or text.endswith(SUFFIX) or _in_parts(text):
        parts = opened([text])
        plans = distinct(plan for part in parts for plan in part.plans)
        if len(plans) != 1:
            raise UserError(f"{text} holds {len(plans)} plans, expected one: name the plan and give --archive.")
        entry = decode(json.dumps(plans[0]).encode(), PlanEntry, f"{text}, plan")
        name = Path(text).name if os.path.isdir(Path(text).expanduser()) else parts[0].path.name
        plan = replace(plan_from(entry, parts[0].path), full_space=None)  # it was checked: its cases say it
        return Basis(plan, name.removesuffix(SUFFIX), (*parts, *given))
    plan = named_plan(text)
    own = shipped(text)
    return Basis(plan, text, given or (open_archives(own) if own else ()))


def opened(places: Iterable[str]) -> tuple[RunArchive, ...]:
    """Open archives, those of a folder too.

    Raises:
        DataError: One cannot be read.
    """
    return tuple(archive for place in places for archive in open_archives(place))


def _in_parts(text: str) -> bool:
    """Whether a text is the path of an archive in parts: a folder with archives in it, and more than a name."""
    folder = Path(text).expanduser()
    return os.sep in text and os.path.isdir(folder) and any(folder.glob(f"*{SUFFIX}"))


def with_new(plan: Plan, new: Iterable[Variant], *, stored_only: bool) -> Plan:
    """Return a plan with further variants, which it now asks about: the first of them is its champion.

    Args:
        plan: Of the others.
        new: The further ones.
        stored_only: Whether the others are never run here.

    Raises:
        UserError: There is no new one, or the plan has one of its name.
    """
    added = tuple(new)
    names = {variant.name for variant in plan.variants}
    for variant in added:
        if variant.name in names:
            raise UserError(f"the plan has a method {variant.name!r} already: give yours another name with --variant.")
    first = added[0].name
    stored = frozenset(names) if stored_only else frozenset()
    return replace(plan, variants=(*plan.variants, *added), champion=first, primary=first, stored=stored)


def take_stored(out: Path, plan: Plan, archives: Sequence[RunArchive], jobs: Sequence[Job]) -> Taken:
    """Keep archives with a study and return what it has of them.

    Args:
        out: Folder of the study.
        plan: Its plan.
        archives: Where runs are stored.
        jobs: All of the plan that this call is about.

    Raises:
        RunError: The folder cannot be written.
    """
    if not archives and not stored_files(out):
        return Taken(list(jobs), [])
    for archive in archives:
        keep(out, archive)
    runs = StudyRuns(out)
    never = {v.label for v in plan.variants if v.name in plan.stored}
    kept = [job for job in plan.jobs() if job.label in never] if never else []  # those of other parts count too
    every = {key_of(job): job for job in (*jobs, *kept)}
    reasons = {key_of(job): reason for job, reason in usable(every.values(), runs)}
    left: list[Job] = []
    lost: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for job in jobs:
        reason = reasons.get(key_of(job))
        if reason == "":
            continue
        if job.label not in never:
            left.append(job)
        elif not isinstance(runs.of(job)[0], ArchivedRun) and runs.of(job)[0].exists():
            continue  # it has a folder of its own in the study
        if reason or job.label in never:
            reason = reason or "not in the archive"
            kind = job.label, reason.partition(":")[0]
            lost[kind] += 1
            first.setdefault(kind, reason)
    taken = sum(reasons.get(key_of(job)) == "" for job in jobs)
    unusable = [job for job in kept if reasons.get(key_of(job)) != "" and state_of(out, job).status != DONE]
    absent = frozenset((job.label, job.case, job.seed) for job in unusable)
    said = [f"stored runs: {taken:,} of {len(jobs):,} that are compared"] if archives else []
    for kind, n in lost.items():
        label, reason = kind[0], first[kind]
        what = "left out" if label in never else "run here, for the stored ones cannot be used"
        said.append(f"{what}: {label}, {n:,} {'run' if n == 1 else 'runs'}: {reason}")
    return Taken(left, said, absent)
