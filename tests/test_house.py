"""What whoever carries this on relies on: documents that name what exists, a picture that is current, a workflow."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT, docs_script

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/results/*.md")])


def layers_script():
    return docs_script("make_layers")


@pytest.fixture(scope="module")
def measured():
    """The imports of this repository."""
    return layers_script().measure(ROOT)


# ---- the picture of the layers ----


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_levels_and_circles_are_read_from_the_imports(tmp_path):
    write(
        tmp_path,
        {
            "bench/__init__.py": "",
            "bench/errors.py": "import os\n",
            "bench/runs/__init__.py": "",
            "bench/runs/job.py": "from smemnas.bench.errors import X\nfrom smemnas.spaces import base\n",
            "bench/runs/run.py": "from smemnas.bench.runs.job import Job\ndef f():\n    import smemnas.bench.errors\n",
            "spaces/base.py": "import typing\nif typing.TYPE_CHECKING:\n    from smemnas.bench.runs import job\n",
            "cli.py": "from smemnas.bench.runs import run\n",
        },
    )
    layers = layers_script().measure(tmp_path)
    assert layers.level == {"bench.errors": 0, "spaces": 0, "bench.runs": 1, "cli": 2}
    assert layers.uses["bench.runs"] == {"bench.errors", "spaces"}
    assert layers.modules == {"bench.errors": 1, "bench.runs": 3, "spaces": 1, "cli": 1}
    assert (layers.circles, layers.imports) == ([], 4)
    write(tmp_path, {"bench/errors.py": "def f():\n    from smemnas.bench.runs.job import Job\n"})
    assert layers_script().measure(tmp_path).circles == [("bench.errors", "bench.runs")]


def test_the_picture_is_current(measured):
    script = layers_script()
    assert measured.circles == []
    shown = (ROOT / script.PICTURE).read_text(encoding="utf-8")
    assert shown == script.draw(measured), "the imports have changed: python docs/make_layers.py"


def test_boxes_of_the_picture_lie_on_the_page_and_apart(measured):
    script = layers_script()
    root = ElementTree.fromstring((ROOT / script.PICTURE).read_text(encoding="utf-8"))
    _, _, width, height = map(float, root.get("viewBox").split())
    boxes = [[float(e.get(k)) for k in ("x", "y", "width", "height")] for e in root.iter() if e.tag.endswith("rect")]
    assert len(boxes) == len(measured.level)
    for k, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for a, b, v, u in boxes[:k]:
            assert x + w <= a or a + v <= x or y + h <= b or b + u <= y


def test_the_script_of_the_picture_prints_numbers_of_another_checkout(tmp_path):
    write(tmp_path, {"bench/errors.py": "", "spaces/base.py": "import smemnas.bench.errors\n"})
    words = [sys.executable, str(ROOT / "docs" / "make_layers.py"), str(tmp_path)]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert out.startswith(
        "2 modules in 2 units on 2 levels, 1 imports between units (1 between their modules), circles: none"
    )
    assert not (tmp_path / "docs").exists()


# ---- documents ----


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (document.parent / target.partition("#")[0]).exists(), f"{document.name}: {target}"


def cells(line):
    """Number of cells in a line of a table; a bar within code, or behind a backslash, parts none."""
    return re.sub(r"`[^`]*`", "", line.strip()).replace(r"\|", "").strip("|").count("|") + 1


def uneven(text):
    """Lines of tables with another number of cells than their heading: the rule below it makes a table, or words."""
    found, head, outside = [], "", True
    for line in text.splitlines():
        outside ^= line.lstrip().startswith("```")
        inside = outside and line.lstrip().startswith("|")
        head = (head or line) if inside else ""
        if inside and cells(line) != cells(head):
            found.append(line)
    return found


def test_tables_have_as_many_cells_in_each_line():
    rows = ["| a | b |", "|---|---|", r"| `x|y` | 1 \| 2 |"]
    assert not uneven("\n".join(rows))
    assert uneven("\n".join([*rows, "| only |"])) == ["| only |"]
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(pages) > 60
    assert {str(page): bad for page in pages if (bad := uneven(page.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "docs/design.md"])
def test_files_that_a_document_names_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w./])((?:bench|methods|spaces|surrogates|tests|docs|smemnas)/[\w./]*)", text)
    assert len(paths) > (0 if name == "SECURITY.md" else 10) or name == "SECURITY.md"
    missing = {p for p in paths if not (ROOT / p.rstrip(".")).exists() and not re.search(r"\b[A-Z]{4,}\b", p)}
    assert not missing


def test_nothing_names_a_machine():
    """Paths and hosts of whoever wrote a line are nobody else's."""
    own = re.compile(r"(?<![\w.~])/(?:root|work|home/\w+)/|file:///|\.local/simple")
    kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".cff", ".js", ".css", ""}
    folders = ("bench", "methods", "spaces", "surrogates", "smemnas", "docs", ".github")
    files = [p for f in folders for p in (ROOT / f).rglob("*") if p.is_file() and p.suffix in kinds]
    files += [p for p in ROOT.iterdir() if p.is_file() and p.suffix in kinds and p.name != ".git"]
    found = {p.relative_to(ROOT) for p in files if own.search(p.read_text(encoding="utf-8"))}
    assert not found


def test_the_citation_says_what_the_project_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["project"]["license"]
    holder = re.search(r"Copyright \(c\) \d+ (.*)", (ROOT / "LICENSE").read_text(encoding="utf-8"))[1]
    assert citation["authors"] == [{"name": holder}]
    assert "2407.15600" in citation["references"][0]["identifiers"][0]["value"]


# ---- what runs elsewhere ----


def test_the_workflow_runs_what_the_makefile_has_on_the_versions_that_are_promised():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    versions = [c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert jobs["core"]["strategy"]["matrix"]["python"] == versions
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {t for line in re.findall(r"run: make (.+)", WORKFLOW) for t in line.split()}
    assert {"run", "lint", "types", "unit", "test-lowest"} <= targets
    for target in targets:
        assert re.search(rf"^{re.escape(target.replace('.venv', '$(VENV)'))}:", makefile, re.MULTILINE), target
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert all(("uses" in step) != ("run" in step) for step in steps)


def test_hooks_are_local_and_run_what_the_makefile_runs():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = {hook["id"]: hook["entry"] for hook in repos[0]["hooks"]}
    assert hooks == {
        "ruff-check": ".venv/bin/ruff check --fix",
        "ruff-format": ".venv/bin/ruff format",
        "mypy": "make types",
    }


@pytest.mark.parametrize("template", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md")), ids=lambda p: p.stem)
def test_templates_of_issues_have_name_and_purpose(template):
    _, head, body = template.read_text(encoding="utf-8").split("---\n", 2)
    assert {"name", "about"} == set(yaml.safe_load(head))
    assert "**" in body
