"""Say on every page of docs/results where its runs are: `python docs/make_kept.py`.

The line stands below the one on versions and is made from the archives of the package and from what lies beside the
page, so that it cannot promise what is not there. Scripts that make whole pages add it by `with_kept`.
"""

from __future__ import annotations

from pathlib import Path

from pages import RESULTS

from smemnas.bench.archive.locate import open_archives
from smemnas.bench.studies.against import shipped

START = "**Runs**: "


def kept(folder: Path, versions: str) -> str:
    """Return where the runs of a folder of results are; `versions` is the line on versions of its page."""
    archive = shipped(folder.name)
    if archive is not None:
        runs = [run for part in open_archives(archive) for run in part.runs]
        commits = sorted({str(run.recorded.environment["git_commit"])[:8] for run in runs})
        gone = "" if all(c in versions for c in commits) else " (rewritten since: not in this history)"
        return (
            f"{START}all {len(runs)} are in the package, made at commit {', '.join(commits)}{gone}: "
            f"`archive verify bench/data/archives/{archive.name} --sample 20` runs some of them again."
        )
    if (folder / "runs.csv").exists():
        return f"{START}not kept; the figures of each are in [runs.csv](runs.csv)."
    if (folder / "searches.csv").exists():
        return f"{START}not kept; their evaluations are in [searches.csv](searches.csv)."
    overview = "README.md" if folder == RESULTS else "../README.md"
    return f"{START}not kept; [the overview]({overview}) says which command made them."


def with_kept(text: str, folder: Path) -> str:
    """Return a page with its line on runs, made anew; a page without a line on versions as it is."""
    lines = text.split("\n")
    if not lines[2].startswith("Made by "):
        return text
    rest = lines[3:]
    if len(rest) > 1 and rest[1].startswith(START):
        rest = rest[2:]
    return "\n".join([*lines[:3], "", kept(folder, lines[2]), *rest])


def pages() -> list[Path]:
    """Return all pages of results but their overview."""
    return sorted(page for page in RESULTS.rglob("*.md") if page != RESULTS / "README.md")


def main() -> None:
    """Write the line on every page."""
    for page in pages():
        page.write_text(with_kept(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
