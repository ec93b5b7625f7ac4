"""Every page of docs/results says which version made it and where its runs are, truly where they are kept."""

import re
import subprocess

import pytest
from conftest import ROOT, docs_script

import smemnas
from smemnas.bench.archive.locate import open_archives
from smemnas.bench.studies.against import SHIPPED, shipped
from smemnas.bench.studies.published import named_plan

KEPT = docs_script("make_kept")
RESULTS = ROOT / "docs" / "results"
PAGES = sorted(page for page in RESULTS.rglob("*.md") if page != RESULTS / "README.md")
COMMIT = r"[0-9a-f]{8,40}"
MADE = (
    rf"Made by smemnas (\d+\.\d+\.\d+)(?: at commit ({COMMIT}(?:, \d+ runs at {COMMIT})*))?; "
    rf"recorded in commit ({COMMIT})\."
)


def made(page):
    """Version, commits of the code where they are known, and commit that holds the page."""
    title, blank, line, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert blank == ""
    found = re.fullmatch(MADE, line)
    assert found, f"{page}: its third line says {line!r}, expected {MADE}"
    return found.groups()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(RESULTS).as_posix())
def test_a_page_says_which_version_made_it(page):
    version, _, _ = made(page)
    assert [int(n) for n in version.split(".")] <= [int(n) for n in smemnas.__version__.split(".")]
    assert len({made(other) for other in page.parent.glob("*.md") if other in PAGES and page.parent != RESULTS}) <= 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(RESULTS).as_posix())
def test_a_page_says_where_its_runs_are(page):
    text = page.read_text(encoding="utf-8")
    assert text == KEPT.with_kept(text, page.parent), "python docs/make_kept.py"
    line = text.splitlines()[4]
    if page.parent.name in {entry.stem for entry in SHIPPED.iterdir()}:
        assert f"bench/data/archives/{shipped(page.parent.name).name}" in line
    else:
        assert line.startswith("**Runs**: not kept; ")
        for address in re.findall(r"\]\((.+?)\)", line):
            assert (page.parent / address).is_file()


#: Plans of which some runs are kept, to go on from; nothing is said of them before all are there.
UNFINISHED = ("slow",)


def test_every_archive_of_the_package_has_a_page_once_it_is_complete():
    names = ("in-the-box", "claims", "draws", "hardware", "main", "noise", "noise-check", "single")
    assert {entry.stem for entry in SHIPPED.iterdir()} == {*names, *UNFINISHED}
    for name in UNFINISHED:
        assert 0 < sum(map(len, open_archives(shipped(name)))) < len(list(named_plan(name).jobs()))
        assert not (RESULTS / name).exists()
        assert f"`study --plan {name}` is not finished" in (RESULTS / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert f"all {sum(map(len, open_archives(shipped(name))))} are in the package" in KEPT.kept(RESULTS / name, "")


def test_there_are_pages_and_the_table_names_all_of_them():
    assert len(PAGES) > 20
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    for folder in {page.relative_to(RESULTS).parts[0] for page in PAGES}:
        assert f"({folder}" in text, folder


@pytest.mark.parametrize("name", [page.parent.name for page in PAGES if page.name == "study.md"])
def test_it_is_the_version_of_the_runs_where_these_are_kept(name):
    archive = shipped(name)
    if archive is None:
        assert name != "in-the-box", "its runs come with the package"
        return
    version, commit, _ = made(RESULTS / name / "study.md")
    found = [run.recorded.environment for part in open_archives(archive) for run in part.runs]
    assert {entry["packages"]["smemnas"] for entry in found} == {version}
    if commit:  # else it is no commit of this history
        assert {entry["git_commit"][:8] for entry in found} == {name[:8] for name in re.findall(COMMIT, commit)}


def test_the_commits_are_in_the_history_and_hold_the_pages():
    git = ["git", "-C", str(ROOT)]
    shallow = subprocess.run(
        [*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True, check=False
    )
    if shallow.stdout.strip() != "false":
        pytest.skip("a whole clone of the repository would un-skip it")
    for page in PAGES:
        _, codes, record = made(page)
        name = page.relative_to(ROOT).as_posix()
        for commit, path in (*((code, "pyproject.toml") for code in re.findall(COMMIT, codes or "")), (record, name)):
            # An object may lie in one clone without being part of the history that others get.
            done = subprocess.run([*git, "merge-base", "--is-ancestor", commit, "HEAD"], check=False)
            assert done.returncode == 0, f"{name}: commit {commit} is not in the history"
            done = subprocess.run([*git, "cat-file", "-e", f"{commit}:{path}"], check=False, capture_output=True)
            assert done.returncode == 0, f"{name}: commit {commit} has no {path}"


def test_the_ratios_in_prose_are_those_of_the_table():
    """Those to the best foreign method with all 31 runs at 340 evaluations, on each of the five problems."""
    study = (RESULTS / "five-problems" / "study.md").read_text(encoding="utf-8")
    table = study.split("## smemnas/best over each other method: ratio of mean regrets after 340 evaluations")[1]
    lines = [line for line in table.split("\n## ")[0].splitlines() if "|" in line][2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    ours = ("smemnas", "random-inside", "msunas/adaptive")  # and one of 11 runs
    foreign = {row[0]: row[1:6] for row in rows if not row[0].startswith(ours)}
    assert len(foreign) == 12
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    text = text.split("with 31 runs after 340 evaluations the ratio is ")[1]
    names = {"optuna-tpe": "Optuna TPE", "parego": "ParEGO", "msunas": "MSuNAS"}
    for problem, label in ((0, "CIFAR-10"), (1, "CIFAR-100"), (3, "nats_sss"), (4, "mnv3")):
        ratios = {name: float(cells[problem].split()[0]) for name, cells in foreign.items()}
        best = max(ratios, key=lambda name: ratios[name])
        assert f"{ratios[best]:.2f}".lstrip("0") + f" ({names[best]}, {label})" in text
    on_macro = {name: float(cells[2].split()[0].strip("()")) for name, cells in foreign.items()}
    best = max(on_macro, key=lambda name: on_macro[name])
    assert "on macro, where a mean regret is negative and a ratio says nothing, the difference is " in text
    assert f"-{-on_macro[best]:.4f}".replace("0.", ".") + f" ({names[best]})" in text
