"""Archives of runs, as the commands `archive make`, `verify` and `extract` treat them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.archive.extract import extract
from smemnas.bench.archive.form import MANIFEST, SUFFIX
from smemnas.bench.archive.locate import open_archive
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.archive.verify import Checked, Drawn, check_logs, check_run, draw, versions
from smemnas.bench.archive.write import pack
from smemnas.bench.errors import UserError
from smemnas.bench.files import make_folder, write_bytes
from smemnas.bench.outputs import check_output, has_content
from smemnas.bench.registry import load_plugin
from smemnas.bench.studies.discovery import find_sources


class Made(NamedTuple):
    """An archive that was written.

    Attributes:
        path: Of the file.
        runs: How many it holds.
        raw: How many of their logs are kept as they were, because they could not be packed.
        left: (run, reason) of what is left out.
    """

    path: Path
    runs: int
    raw: int
    left: tuple[tuple[str, str], ...]


def make_archive(studies: Sequence[str | Path], out: str | Path | None = None) -> Made:
    """Write the runs below some folders, and those of archives, as one archive.

    Args:
        studies: Folders of runs or studies, archives, or patterns of them.
        out: The file; None takes the name of the first folder with the ending ".runs".

    Raises:
        UserError: There is no run, or the file is something else.
        RunError: The file cannot be written.
    """
    found = find_sources([str(path) for path in studies])
    target = Path(out).expanduser() if out else _beside(Path(str(studies[0])).expanduser())
    check_output(target, has_content(MANIFEST.encode()), "archive make")
    packed = pack(found.sources, found.plans)
    if not packed.runs:
        raise UserError(f"no finished run in {', '.join(map(str, studies))}, so there is nothing to archive.")
    make_folder(target.parent)
    write_bytes(target, packed.data)
    return Made(target, packed.runs, packed.raw, (*packed.left, *found.broken))


def _beside(first: Path) -> Path:
    folder = first.resolve()
    return folder.with_name(f"{folder.name.removesuffix(SUFFIX)}{SUFFIX}")


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified of an archive.

    Attributes:
        archive: A path or an address.
        sample: Runs to run again; 0 compares checksums alone.
        seed: Of the draw.
        methods: Draw from these alone, whatever they need or take.
        plugins: Plug-in files.
    """

    archive: str | Path
    sample: int = 0
    seed: int = 0
    methods: Sequence[str] = ()
    plugins: Sequence[str | Path] = ()


class Verified(NamedTuple):
    """What verifying found.

    Attributes:
        archive: What was verified.
        logs: How many logs come back as they were.
        drawn: What was run again.
        checked: What became of each.
        versions: What made these runs and is not what runs here.
    """

    archive: RunArchive
    logs: int
    drawn: Drawn
    checked: tuple[Checked, ...]
    versions: tuple[str, ...]

    @property
    def identical(self) -> int:
        """How many of the logs of what was run again are the same, byte for byte."""
        return sum(not checked.reason for checked in self.checked)


def verify_archive(options: VerifyOptions, tell: Callable[[Checked], None] = lambda checked: None) -> Verified:
    """Compare an archive with its checksums, and some of its runs with what runs today.

    Args:
        options: Which and how many.
        tell: Called with each run that was run again.

    Raises:
        DataError: The archive is damaged.
        UserError: It has no run of a method that is asked for.
    """
    plugins = [load_plugin(plugin) for plugin in options.plugins]
    archive = open_archive(options.archive)
    logs = check_logs(archive)
    drawn = draw(archive, options.sample, options.seed, options.methods)
    checked = []
    for run in drawn.runs:
        checked.append(check_run(run, plugins))
        tell(checked[-1])
    return Verified(archive, logs, drawn, tuple(checked), tuple(versions(archive, drawn.runs or archive.runs)))


def extract_archive(archive: str | Path, out: str | Path) -> int:
    """Write the runs of an archive as the folder of a study and return how many there are.

    Raises:
        DataError: The archive is damaged.
        RunError: The folder is not empty, or cannot be written.
    """
    return extract(open_archive(archive), Path(out).expanduser())


def plans_of(archive: RunArchive) -> list[str]:
    """Return what the studies of an archive compared, one line each."""
    lines = []
    for entry in json.loads(json.dumps(archive.plans)):
        runs = len(entry["variants"]) * len(entry["cases"]) * len(entry["seeds"])
        lines.append(
            f"{len(entry['variants'])} methods on {len(entry['cases'])} problems, {len(entry['seeds'])} seeds, "
            f"{entry['budget']:,} evaluations ({runs:,} runs)"
        )
    return lines
