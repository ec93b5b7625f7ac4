"""What was handed in: an archive or a folder of runs, and beside it who measured it, when, and where to read of it.

`mine.runs` may have a `mine.toml` beside it, and a folder `mine` too:

    by = "A. Researcher, University"
    when = 2026-11-28
    link = "https://example.org/paper"
    note = "one line"
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.runs.folder import JOB
from smemnas.bench.studies.discovery import Found, Run, find_runs, same_run
from smemnas.bench.studies.execution import PLANS
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.stored import Key, key_of

ENDING = ".runs"
KEYS = ("by", "when", "link", "note")


@dataclass(frozen=True)
class HandedIn:
    """One that was handed in.

    Attributes:
        number: By which tables name it, from 1.
        place: Path or address.
        by: Who measured it; "" where nobody says.
        when: The day; "" likewise.
        link: Where to read of it.
        note: One line.
        commits: Commits of the suite that made its runs.
        versions: Versions of the suite.
        runs: How many it has that no earlier one has too.
        copies: How many of its runs an earlier one has too, with the same values.
    """

    number: int
    place: str
    by: str
    when: str
    link: str
    note: str
    commits: tuple[str, ...]
    versions: tuple[str, ...]
    runs: int
    copies: int = 0


def read_entries(places: Sequence[str]) -> tuple[list[HandedIn], dict[str, int], Found]:
    """Read what was handed in.

    Args:
        places: Folders of runs or studies, archives, addresses of some, or folders of archives.

    Returns:
        The entries, the number of that of each run by where it is kept, and all runs and plans. A run that is there
        twice with the same values, as in a study and an archive of it, is one run, of the first entry that has it.

    Raises:
        UserError: A place has no runs, or what stands beside it is not as described above.
    """
    entries: list[HandedIn] = []
    numbers: dict[str, int] = {}
    runs: list[Run] = []
    seen: dict[Key, list[Run]] = {}
    plans: list[Plan] = []
    broken: list[tuple[str, str]] = []
    for number, place in enumerate((inner for outer in places for inner in _expand(outer)), start=1):
        found = find_runs([place])
        others = [run for run in found.runs if str(run.folder) not in numbers]
        fresh = [run for run in others if _is_new(run, seen)]
        numbers |= dict.fromkeys((str(run.folder) for run in fresh), number)
        runs += fresh
        plans += [plan for plan in found.plans if plan not in plans]
        broken += found.broken
        made = [run.environment for run in fresh]
        packages = [its for environment in made if isinstance(its := environment.get("packages"), dict)]
        commits = tuple(sorted({str(its["git_commit"]) for its in made if its.get("git_commit")}))
        versions = tuple(sorted({str(its["smemnas"]) for its in packages if "smemnas" in its}))
        n, copies = len(fresh), len(others) - len(fresh)
        about = _about(place)
        entries.append(HandedIn(number, place, **about, commits=commits, versions=versions, runs=n, copies=copies))
    return entries, numbers, Found(tuple(runs), tuple(plans), tuple(broken))


def _is_new(run: Run, seen: dict[Key, list[Run]]) -> bool:
    """Whether no run with the same job, status and values was seen before; if so, it is now."""
    known = seen.setdefault(key_of(run.job), [])
    new = not any(same_run(run, other) for other in known)
    if new:
        known.append(run)
    return new


def _expand(place: str) -> list[str]:
    """Return the archives, studies and runs in a folder that holds archives and is no study or run; else the place."""
    folder = Path(place).expanduser()
    if not folder.is_dir() or (folder / PLANS).exists() or (folder / JOB).exists():
        return [place]
    archives = [str(file) for file in sorted(folder.glob(f"*{ENDING}"))]
    inner = [path for path in sorted(folder.iterdir()) if (path / PLANS).exists() or (path / JOB).exists()]
    return [*archives, *map(str, inner)] if archives else [place]


def _about(place: str) -> dict[str, str]:
    """Return what stands beside a place, "" for what does not.

    Raises:
        UserError: The file is not as it should be.
    """
    about = dict.fromkeys(KEYS, "")
    if urlsplit(place).scheme in ("http", "https"):
        return {**about, "link": place.partition("#")[0]}
    path = Path(place).expanduser().resolve()
    file = path.with_name(f"{path.name.removesuffix(ENDING)}.toml")
    if not file.is_file():
        return about
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is no TOML file: {' '.join(str(error).split())}.") from error
    for key, value in found.items():
        if key not in KEYS:
            raise UserError(f"{file} has no use for {key!r}.{suggest(key, KEYS)}")
        text = value.isoformat() if isinstance(value, datetime.date) else value
        if not isinstance(text, str) or "\n" in text or len(text) > 500:
            raise UserError(f"{file}: {key} is one line of text, got {type(value).__name__}.")
        about[key] = text
    if about["link"] and urlsplit(about["link"]).scheme not in ("http", "https"):
        raise UserError(f"{file}: link is an address that begins with https://, got {about['link']!r}.")
    return about
