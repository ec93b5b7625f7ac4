"""Make every page of results anew from what is committed: `make results`, or `python docs/make_results.py [--check]`.

The pages of plans whose runs are in the package from those runs, statistics and all; the others from the CSV files
beside them. Says what changed; with --check that is an error. Nothing changes in a clone that nobody has edited: the
data folder is an empty one, as reference fronts that somebody has improved there would move regrets.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from runpy import run_path

import make_answers
import make_main
import make_single
from pages import RESULTS

from smemnas.bench.studies.against import shipped

DOCS = Path(__file__).resolve().parent
#: Scripts that make pages and pictures from committed data alone, in this order: overviews read what others wrote.
SCRIPTS = (
    "claims",
    "fronts",
    "adaptive",
    "noise",
    "tuning",
    "intervals",
    "problems",
    "paper",
    "concepts",
    "headline",
    "training",
)


def plans() -> list[str]:
    """Return the plans that have a page of docs/make_main.py or docs/make_single.py."""
    return sorted(
        file.parent.name for file in RESULTS.glob(f"*/{make_main.RUNS}") if (file.parent / make_main.MADE).exists()
    )


def from_runs(name: str) -> None:
    """Make the page of a plan; from its runs where they are in the package."""
    archive = shipped(name)
    make, first = (make_single.main, []) if name == make_single.NAME else (make_main.main, [name])
    if archive is None:
        make(first)
        return
    recorded = (
        (RESULTS / name / make_main.MADE).read_text(encoding="utf-8").strip().rpartition("recorded in commit ")[2]
    )
    make([*first, str(archive), "--recorded", recorded.rstrip(".")])


def script(name: str) -> None:
    """Run a script of docs/ that makes pages."""
    before, sys.argv = sys.argv, [f"make_{name}.py"]
    try:
        run_path(str(DOCS / f"make_{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


def steps() -> dict[str, Callable[[], None]]:
    """Return all that is made, by name, in order."""
    found: dict[str, Callable[[], None]] = {}
    for name in plans():
        found[f"results/{name}"] = lambda name=name: from_runs(name)  # type: ignore[misc]
    for name in SCRIPTS:
        found[f"make_{name}.py"] = lambda name=name: script(name)  # type: ignore[misc]
    found["answers"] = lambda: make_answers.main([])
    return found


def state() -> dict[str, str]:
    """Return the checksum of each file below docs/, and of the README."""
    files = [file for file in DOCS.rglob("*") if file.is_file() and file.suffix in {".md", ".csv", ".svg", ".txt"}]
    files.append(make_answers.README)
    return {file.relative_to(DOCS.parent).as_posix(): sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def main(arguments: list[str]) -> int:
    """Make everything and say what changed."""
    before = state()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMEMNAS_DATA"] = folder
        for name, step in steps().items():
            print(name, flush=True)
            step()
    after = state()
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    print(f"{len(after)} files, changed: {', '.join(changed) or 'none'}")
    return int(bool(changed) and "--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
