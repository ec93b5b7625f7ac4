"""Imports point one way, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDERS = ("bench", "methods", "spaces", "surrogates")
PACKAGES = {f"smemnas.{name}" for name in FOLDERS}
HEAVY = {
    "torch", "torchvision", "timm", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib",
    "threadpoolctl", "filelock", "pooch", "lightgbm", "dask", "ray", "platformdirs", "yaml", "analognasbench",
}  # fmt: skip
#: Modules of bench that everybody may import.
GROUND = {"smemnas.bench.errors", "smemnas.bench.registry"}
#: Who may import what of the suite, beside its own package and `GROUND`.
ALLOWED = {
    "spaces": set(),
    "surrogates": set(),
    "methods": {"spaces", "surrogates"},
    "bench": {"spaces", "surrogates", "methods"},
    "cli": {"bench", "methods", "spaces", "surrogates"},
}
#: Lower storeys of bench: what each of these may import of the suite.
BENCH_GROUND = {
    "smemnas.bench.errors": set(),
    "smemnas.bench.registry": {"smemnas.bench.errors"},
    "smemnas.bench.files": {"smemnas.bench.errors"},
    "smemnas.bench.benchmarks.table": {"smemnas.bench.errors", "smemnas.bench.files"},
    "smemnas.bench.benchmarks.store": {"smemnas.bench.errors", "smemnas.bench.files", "smemnas.bench.benchmarks.table"},
    "smemnas.bench.metrics.volume": {"smemnas.spaces.base"},
    "smemnas.bench.metrics.indicators": {"smemnas.bench.metrics.volume", "smemnas.spaces.base"},
    "smemnas.bench.benchmarks.outcomes": {
        "smemnas.bench.errors",
        "smemnas.bench.metrics.indicators",
        "smemnas.spaces.base",
    },
    "smemnas.bench.benchmarks.lookup": {"smemnas.bench.benchmarks.table", "smemnas.spaces.base"},
    "smemnas.bench.benchmarks.base": GROUND
    | {
        "smemnas.bench.benchmarks.constraints",
        "smemnas.bench.benchmarks.lookup",
        "smemnas.bench.benchmarks.outcomes",
        "smemnas.bench.benchmarks.store",
        "smemnas.bench.benchmarks.table",
        "smemnas.spaces.base",
        "smemnas.spaces.feasible",
        "smemnas.spaces.listed",
        "smemnas.bench.train.options",
        "smemnas.bench.train.supernet.options",
    },
}
FILES = [*sorted(p for package in FOLDERS for p in (ROOT / package).rglob("*.py")), ROOT / "cli.py"]


def module_name(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(["smemnas", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def imports(path, *, top_level_only):
    """Return absolute names of the imported modules; a block under TYPE_CHECKING imports nothing at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def of_the_suite(names):
    """Keep what exists as a module of the suite, so that names of functions drop out."""
    known = {module_name(p) for p in FILES}
    return {n for n in names if n in known and n not in PACKAGES}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_one_way(path):
    name = module_name(path)
    package = name.split(".")[1]
    for target in of_the_suite(imports(path, top_level_only=False)):
        home = target.split(".")[1]
        if name in BENCH_GROUND:
            assert target in BENCH_GROUND[name], f"{name} may not import {target}"
        elif home != package and target not in GROUND:
            assert home in ALLOWED[package], f"{name} may not import {target}"


def test_surrogates_take_arrays_only():
    for path in (ROOT / "surrogates").glob("*.py"):
        assert not any(n.startswith("smemnas.spaces") for n in imports(path, top_level_only=False)), path


def trains(name):
    """Whether a module is one of those that build and train networks: they may import torch at the top."""
    return name.startswith("smemnas.bench.train.")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_heavy_at_the_top_of_a_module(path):
    names = imports(path, top_level_only=True)
    heavy = {n for n in names if n.partition(".")[0] in HEAVY}
    if trains(module_name(path)):
        heavy = {n for n in heavy if n.partition(".")[0] not in {"torch", "torchvision", "timm"}}
    else:
        heavy |= {n for n in of_the_suite(names) if trains(n)}
    assert not heavy, f"import {sorted(heavy)} inside the functions that need it"


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["run", "--help"]])
def test_commands_that_only_show_import_nothing_heavy(arguments):
    code = (
        "import sys, json, contextlib, io\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from smemnas import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    cli.main({arguments!r})\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    loaded = set(json.loads(out.splitlines()[-1]))
    assert "click" in loaded
    assert not loaded & HEAVY


def test_methods_and_spaces_hold_no_door_to_the_tables():
    for package in ("methods", "spaces", "surrogates"):
        for path in (ROOT / package).rglob("*.py"):
            names = of_the_suite(imports(path, top_level_only=False))
            assert {n for n in names if n.startswith("smemnas.bench.")} <= GROUND, path
