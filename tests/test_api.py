"""`import smemnas`: the public names, what they load, and that they are typed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys

import pytest
from conftest import ROOT

import smemnas

SOURCE = ROOT / "smemnas" / "__init__.py"


def in_a_process(code):
    """Run code in a fresh interpreter and return what it printed as JSON."""
    out = subprocess.run(
        [sys.executable, "-c", f"import sys, json\nsys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    return json.loads(out)


# ---- names ----


def test_every_public_name_is_that_of_its_home():
    for name, home in smemnas._HOME_OF.items():
        assert getattr(smemnas, name) is getattr(importlib.import_module(home), name)


def test_type_checkers_read_the_same_table():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    read = {alias.name: node.module for node in block.body for alias in node.names if alias.asname == alias.name}
    assert len(read) == len(block.body)
    assert read == smemnas._HOME_OF


def test_all_and_dir_are_the_public_names():
    assert smemnas.__all__ == sorted(set(smemnas.__all__))
    assert [name for name in dir(smemnas) if not name.startswith("__")] == smemnas.__all__
    names = {}
    exec("from smemnas import *", names)
    assert names.keys() - {"__builtins__"} == set(smemnas.__all__)
    with pytest.raises(AttributeError, match="module 'smemnas' has no attribute 'sturdy'"):
        smemnas.sturdy  # noqa: B018


# ---- what is loaded when ----


def test_importing_the_name_imports_nothing():
    code = "before = set(sys.modules)\nimport smemnas\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    assert in_a_process(code) == ["smemnas"]


def test_a_name_loads_its_home_and_nothing_heavy():
    code = """
import smemnas
smemnas.open_benchmark, smemnas.Method, smemnas.Surrogate, smemnas.SearchSpace, smemnas.UserError
print(json.dumps(sorted(sys.modules)))
"""
    loaded = in_a_process(code)
    assert "smemnas.bench.benchmarks.base" in loaded or "smemnas.bench.benchmarks.catalog" in loaded
    assert not any(name.startswith(("smemnas.bench.report", "smemnas.bench.library")) for name in loaded)
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib", "click"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_every_name_together_loads_nothing_heavy():
    code = "from smemnas import *\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib", "click"}
    assert not heavy & set(in_a_process(code))


# ---- commands are one call ----


@pytest.fixture
def empty(tmp_path, monkeypatch, use_embedded):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder, *, without=("timing.jsonl", "times.csv", "ranking.jsonl", ".lock", ".study.lock")):
    """Return name to content of what does not depend on the clock."""
    texts = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.suffix != ".pdf"}
    return {name: text for name, text in texts.items() if name.rpartition("/")[2] not in without}


@pytest.fixture
def command(capsys):
    def call(*arguments):
        from smemnas import cli

        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--quiet"])
        assert capsys.readouterr().out == ""
        return ended.value.code or 0

    return call
