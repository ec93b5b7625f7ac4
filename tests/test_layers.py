"""Imports point one way, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache

import pytest
from conftest import ROOT

FOLDERS = ("bench", "methods", "spaces", "surrogates")
#: All modules, lowest first: each belongs to the longest of these names that its own begins with, and may import
#: from its own line and from those above. What a line is there for: the docstring of its package.
LAYERS = (
    "smemnas.bench.display",
    "smemnas.bench.colours",
    "smemnas.bench.program",
    "smemnas.bench.log",
    "smemnas.bench.errors",
    "smemnas.bench.callbacks",
    "smemnas.bench.registry",
    "smemnas.bench.provenance",
    "smemnas.bench.values",
    "smemnas.bench.files",
    "smemnas.bench.schema",
    "smemnas.bench.outputs",
    "smemnas.spaces",
    "smemnas.surrogates",
    "smemnas.methods",
    "smemnas.bench.metrics",
    "smemnas.bench.gates",
    "smemnas.bench.workers",
    "smemnas.bench.benchmarks",
    "smemnas.bench.runs",
    "smemnas.bench.data",
    "smemnas.bench.train",
    "smemnas.bench.train.networks",
    "smemnas.bench.train.options",
    "smemnas.bench.train.proxies",
    "smemnas.bench.train.supernet",
    "smemnas.bench.train.retrain",
    "smemnas.bench.train.entries",
    "smemnas.bench.latency",
    "smemnas.bench.archive",
    "smemnas.bench.studies",
    "smemnas.bench.ranking",
    "smemnas.bench.staged",
    "smemnas.bench.report",
    "smemnas.bench.report.architecture",
    "smemnas.bench.report.study",
    "smemnas.bench.report.ranking",
    "smemnas.bench.report.page",
    "smemnas.bench.report.staged",
    "smemnas.bench.report.leaderboard",
    "smemnas.bench.checks",
    "smemnas.bench.library",
    "smemnas.bench.fit",
    "smemnas.bench.commands",
    "smemnas.cli",
)
HEAVY = {
    "torch", "torchvision", "timm", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib",
    "threadpoolctl", "filelock", "pooch", "lightgbm", "dask", "ray", "platformdirs", "yaml", "analognasbench",
}  # fmt: skip
FILES = [*sorted(p for package in FOLDERS for p in (ROOT / package).rglob("*.py")), ROOT / "cli.py"]


def module_name(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(["smemnas", *(parts[:-1] if parts[-1] == "__init__" else parts)])


MODULES = {module_name(path) for path in FILES} - {f"smemnas.{name}" for name in FOLDERS}


@cache
def read(path):
    """Return absolute names of the imported modules: of all, and of those at the top level alone.

    A block under TYPE_CHECKING imports nothing at run time.
    """
    everywhere, top = set(), set()

    def visit(node, inside):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        names = set()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            if names - MODULES:  # at least one is no module, so it comes from the package's own file
                names.add(node.module)
        everywhere.update(names)
        if not inside:
            top.update(names)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.expr):  # no expression imports
                visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return everywhere, top


def imports(path, *, top_level_only):
    """Return absolute names of the modules that a file imports, see `read`."""
    return set(read(path)[top_level_only])


def of_the_suite(names):
    """Keep what exists as a module of the suite, so that names of functions drop out."""
    return names & MODULES


def layer_of(name):
    """Return the place of a module in `LAYERS`."""
    mine = [k for k, layer in enumerate(LAYERS) if f"{name}.".startswith(f"{layer}.")]
    return max(mine, key=lambda k: len(LAYERS[k]))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_one_way(path):
    name = module_name(path)
    for target in of_the_suite(imports(path, top_level_only=False)):
        assert layer_of(target) <= layer_of(name), f"{name} may not import {target}, which stands above it"


def test_no_module_imports_itself_on_a_way_round():
    waits_for = {}
    for path in FILES:
        name = module_name(path)
        waits_for[name] = of_the_suite(imports(path, top_level_only=False)) - {name}
    while True:
        free = {name for name, targets in waits_for.items() if not targets}
        if not free:
            break
        waits_for = {name: targets - free for name, targets in waits_for.items() if name not in free}
    assert not waits_for, f"each of these imports another of them: {sorted(waits_for)}"


def test_every_layer_has_modules():
    assert {layer_of(name) for name in MODULES} == set(range(len(LAYERS)))


def test_surrogates_take_arrays_only():
    for path in (ROOT / "surrogates").glob("*.py"):
        assert not any(n.startswith("smemnas.spaces") for n in imports(path, top_level_only=False)), path


def trains(name):
    """Whether a module is one of those that build and train networks: they may import torch at the top."""
    return name.startswith("smemnas.bench.train.") and name != "smemnas.bench.train.entries"


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
            ground = {f"smemnas.bench.{name}" for name in ("display", "errors", "program", "registry")}
            assert {n for n in names if n.startswith("smemnas.bench.")} <= ground, path
