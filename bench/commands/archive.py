"""`archive`: runs as one small file: make, info, verify, extract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smemnas.bench.commands.common import ANY_PATH, FOLDER, NAMES, SEED, CommandGroup, Whole
from smemnas.bench.display import counted
from smemnas.bench.program import named

if TYPE_CHECKING:
    from smemnas.bench.archive.read import RunArchive
    from smemnas.bench.archive.verify import Checked

#: More runs than any archive has.
MOST_RUNS = 1_000_000


@click.group("archive", cls=CommandGroup)
def archive_group() -> None:
    """Keep runs in one small, checksummed file, and compare with those of others.

    An archive stands wherever the folder of a run or study does: `report`, `study --against`, frames. docs/archive.md
    says what is in it.
    """


@archive_group.command("make")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...", type=ANY_PATH)
@click.option("--out", type=ANY_PATH, metavar="FILE", help="The archive.  [default: STUDY.runs]")
@click.option(
    "--parts",
    type=Whole(1, 512),
    metavar="MIB",
    help="Several files in the folder --out, none over so many MiB: one for each problem, or for some seeds of it.",
)
def archive_make(studies: tuple[Path, ...], out: Path | None, parts: int | None) -> None:
    """Write the runs below STUDY (folders of runs or studies, archives) as one archive.

    Finished runs go in, and failed ones with the reason; what is unfinished or broken is left out by name. The same
    runs give the same bytes. A folder of archives is taken as one archive in parts wherever an archive is.

    \b
    Examples:
      python -m smemnas archive make runs/study
      python -m smemnas archive make studies/a studies/b theirs.runs --out all.runs
      python -m smemnas archive make studies/large --parts 20 --out large-runs
    """
    from smemnas.bench.library.archive import make_archive
    from smemnas.bench.report.terminal import shown_work

    with shown_work("packing runs"):
        made = make_archive(studies, out, largest=None if parts is None else parts << 20)
    for run, reason in made.left[:20]:
        click.echo(f"left out: {named(run)}: {named(reason)}", err=True)
    if len(made.left) > 20:
        click.echo(f"left out: {len(made.left) - 20} more", err=True)
    size = sum(file.stat().st_size for file in made.files)
    n = len(made.files)
    several = "" if parts is None else f"{counted(n, 'part')}, "
    each = f"{size / made.runs:,.0f} bytes a run"
    click.echo(f"{counted(made.runs, 'run')} in {made.path} ({several}{size / 1e6:.2f} MB, {each})")
    if made.raw:
        click.echo(f"{made.raw:,} logs are kept as they were: they are not of today's form")


@archive_group.command("info")
@click.argument("archive", metavar="ARCHIVE")
@click.option("--runs", "each", is_flag=True, help="One line for each run.")
def archive_info(archive: str, each: bool) -> None:
    """Show what is in an archive: plans, methods, problems, who made it with which versions.

    ARCHIVE is a file, a folder of its parts, or an address, "https://...", with "#sha256=..." after it where its
    checksum is known.

    \b
    Examples:
      python -m smemnas archive info study.runs
      python -m smemnas archive info study.runs --runs
    """
    from smemnas.bench.archive.locate import open_archives
    from smemnas.bench.errors import one_line

    found = open_archives(archive)
    if each:
        for run in (run for part in found for run in part.runs):
            job, _ = run.job()
            state = run.status().status or "done"
            click.echo(one_line(f"{job.label} on {job.case}, seed {job.seed}: {run.count()} of {job.bound}, {state}"))
        return
    for key, value in _facts(found):
        click.echo(one_line(f"{key:<12} {value}"))


def _facts(archives: Sequence[RunArchive]) -> list[tuple[str, str]]:
    """Return what to say of an archive, or of its parts, line by line."""
    from smemnas.bench.archive.verify import versions
    from smemnas.bench.library.archive import plans_of

    runs = [run for archive in archives for run in archive.runs]
    jobs = [run.job() for run in runs]
    commits = [str(recorded.environment.get("git_commit") or "no commit") for _, recorded in jobs]
    tables = {job.place: recorded.data for job, recorded in jobs}
    evaluations = sum(run.count() for run in runs)
    return [
        *(("archive", f"{one.path}, {len(one.content) / 1e6:.2f} MB, sha256 {one.sha256}") for one in archives),
        ("runs", f"{len(runs):,}, {evaluations:,} evaluations"),
        *(("plan", line) for line in plans_of(archives)),
        *_runs_of("method", [job.label for job, _ in jobs]),
        *_runs_of("problem", [str(job.case) for job, _ in jobs]),
        *(("data", f"{place}: {data.get('sha256') or data}") for place, data in sorted(tables.items())),
        *_runs_of("made at", commits),
        *(("version", line) for line in versions(runs)),
    ]


def _runs_of(word: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return a line for each of the names that runs have, with the number of these runs."""
    from collections import Counter

    return [(word, f"{name}: {counted(n, 'run')}") for name, n in sorted(Counter(names).items())]


@archive_group.command("verify")
@click.argument("archive", metavar="ARCHIVE")
@click.option("--sample", type=Whole(0, MOST_RUNS), default=0, metavar="N", help="Run N of the runs again.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the draw.")
@click.option(
    "--methods",
    type=NAMES,
    default=(),
    metavar="A,B",
    help="Draw from these alone, whatever packages they need and however long they take.",
)
@click.pass_obj
def archive_verify(plugins: tuple[str, ...], archive: str, sample: int, seed: int, methods: tuple[str, ...]) -> None:
    """Check an archive's checksums, and run some of its runs again: their logs must be the same, byte for byte.

    Methods that need packages which are absent, or that took over a minute, are drawn only where --methods names them.
    Versions that differ from those which made the runs are named. The exit status is 1 if a log differs.

    \b
    Examples:
      python -m smemnas archive verify study.runs
      python -m smemnas archive verify study.runs --sample 20 --seed 3
      python -m smemnas --plugin mine.py archive verify theirs.runs --sample 5 --methods front-climber
    """
    from smemnas.bench.library.archive import VerifyOptions, verify_archive

    found = verify_archive(VerifyOptions(archive, sample, seed, methods, plugins), _tell)
    click.echo(f"checksums    {found.logs:,} of {found.logs:,} logs come back as they were")
    for line in found.versions:
        click.echo(f"version      {line}")
    if sample:
        if found.drawn.passed_over:
            passed = ", ".join(f"{reason} ({counted(n, 'run')})" for reason, n in found.drawn.passed_over)
            click.echo(f"not drawn    {named(passed)}; --methods draws them")
        click.echo(f"run again    {found.identical} of {len(found.checked)} identical")
        if found.identical < len(found.checked):
            raise SystemExit(1)


def _tell(checked: Checked) -> None:
    """Print what became of a run."""
    from smemnas.bench.errors import one_line

    job, _ = checked.run.job()
    outcome = "identical" if not checked.reason else "DIFFERENT"
    reason = f": {named(checked.reason)}" if checked.reason else ""
    click.echo(one_line(f"{outcome}    {job.label} on {job.case}, seed {job.seed}{reason}"))


@archive_group.command("extract")
@click.argument("archive", metavar="ARCHIVE")
@click.argument("out", type=FOLDER, metavar="FOLDER")
def archive_extract(archive: str, out: Path) -> None:
    """Write the runs of an archive as the folder of a study, their logs byte for byte as they were.

    \b
    Example:
      python -m smemnas archive extract study.runs studies/theirs
    """
    from smemnas.bench.library.archive import extract_archive
    from smemnas.bench.report.terminal import shown_work

    with shown_work("unpacking runs"):
        n = extract_archive(archive, out)
    click.echo(f"{counted(n, 'run')} in {out}")
