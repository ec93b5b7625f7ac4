"""Archives of runs, as the commands `archive make`, `verify` and `extract` treat them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.archive.extract import extract
from smemnas.bench.archive.form import MANIFEST, SUFFIX, distinct
from smemnas.bench.archive.locate import open_archives
from smemnas.bench.archive.parts import in_parts
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.archive.verify import Checked, Drawn, check_logs, check_run, draw, versions
from smemnas.bench.archive.write import pack
from smemnas.bench.display import counted
from smemnas.bench.errors import UserError
from smemnas.bench.files import make_folder, replacing_folder, write_bytes
from smemnas.bench.outputs import check_output, has_content
from smemnas.bench.registry import load_plugin
from smemnas.bench.studies.discovery import find_sources


class Made(NamedTuple):
    """An archive that was written.

    Attributes:
        path: Of the file, or of the folder of its parts.
        runs: How many it holds.
        raw: How many of their logs are kept as they were, because they could not be packed.
        left: (run, reason) of what is left out.
        files: That were written: one, or its parts.
    """

    path: Path
    runs: int
    raw: int
    left: tuple[tuple[str, str], ...]
    files: tuple[Path, ...] = ()


def make_archive(studies: Sequence[str | Path], out: str | Path | None = None, *, largest: int | None = None) -> Made:
    """Write the runs below some folders, and those of archives, as one archive, or as one in parts.

    Args:
        studies: Folders of runs or studies, archives, or patterns of them.
        out: The file; None takes the name of the first folder with the ending ".runs".
        largest: Bytes that no file is over; then `out` is a folder with files by problem, and by seeds.

    Raises:
        UserError: There is no run, or the file is something else.
        RunError: The file cannot be written.
    """
    found = find_sources([str(path) for path in studies])
    if largest is not None and out is None:
        raise UserError("an archive in parts is a folder: name it with --out FOLDER.")
    target = Path(out).expanduser() if out else _beside(Path(str(studies[0])).expanduser())
    if largest is None:
        check_output(target, has_content(MANIFEST.encode()), "archive make")
        parts = {target.name: pack(found.sources, found.plans)}
    else:
        _check_folder(target)
        parts = in_parts(found.sources, found.plans, largest)
    runs = sum(packed.runs for packed in parts.values())
    if not runs:
        raise UserError(f"no finished run in {', '.join(map(str, studies))}, so there is nothing to archive.")
    if largest is None:
        make_folder(target.parent)
        write_bytes(target, parts[target.name].data)
        files: tuple[Path, ...] = (target,)
    else:
        named = {f"{name}{SUFFIX}": packed.data for name, packed in parts.items() if packed.runs}
        with replacing_folder(target) as folder:
            for name, data in named.items():
                write_bytes(folder / name, data)
        files = tuple(target / name for name in sorted(named))
    left = [one for packed in parts.values() for one in packed.left]
    return Made(target, runs, sum(packed.raw for packed in parts.values()), (*left, *found.broken), files)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but archives, which are replaced.

    Raises:
        UserError: It is a file, or holds something else.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: an archive in parts is a folder, give a new one.")
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.suffix != SUFFIX:
            raise UserError(f"{folder} holds {entry.name}, which is no archive: give a new folder.")
        check_output(entry, has_content(MANIFEST.encode()), "archive make")


def _beside(first: Path) -> Path:
    folder = first.resolve()
    return folder.with_name(f"{folder.name.removesuffix(SUFFIX)}{SUFFIX}")


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified of an archive.

    Attributes:
        archive: A path or an address; a folder of archives is one in parts.
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
        archives: What was verified: one, or its parts.
        logs: How many logs come back as they were.
        drawn: What was run again.
        checked: What became of each.
        versions: What made these runs and is not what runs here.
    """

    archives: tuple[RunArchive, ...]
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
    archives = open_archives(options.archive)
    runs = [run for archive in archives for run in archive.runs]
    logs = check_logs(runs)
    drawn = draw(runs, options.sample, options.seed, options.methods)
    checked = []
    for run in drawn.runs:
        checked.append(check_run(run, plugins))
        tell(checked[-1])
    return Verified(archives, logs, drawn, tuple(checked), tuple(versions(drawn.runs or runs)))


def extract_archive(archive: str | Path, out: str | Path) -> int:
    """Write the runs of an archive, or of its parts, as the folder of a study and return how many there are.

    Raises:
        DataError: The archive is damaged.
        RunError: The folder is not empty, or cannot be written.
    """
    return extract(open_archives(archive), Path(out).expanduser())


def plans_of(archives: Sequence[RunArchive]) -> list[str]:
    """Return what the studies of an archive, or of its parts, compared, one line each."""
    lines = []
    for entry in distinct(plan for archive in archives for plan in archive.plans):
        runs = len(entry["variants"]) * len(entry["cases"]) * len(entry["seeds"])
        lines.append(
            f"{counted(len(entry['variants']), 'method')} on {counted(len(entry['cases']), 'problem')}, "
            f"{counted(len(entry['seeds']), 'seed')}, {entry['budget']:,} evaluations ({counted(runs, 'run')})"
        )
    return lines
