"""Python files of the folder that a user stands in are never run: not by the program, not by its workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from smemnas.bench.workers.child import safe_children, safe_path

#: Modules of the standard library, of what is installed and of the suite that somebody may have a file of.
NAMES = ("random", "json", "bench", "numpy", "queue", "pickle", "spaces", "joblib", "click", "copy", "logging", "cli")
TRAP = "from pathlib import Path\nPath({marker!r}).touch()\nraise SystemExit({name!r} + ' of the current folder ran')\n"
SCRIPT = Path(sys.executable).with_name("smemnas")
STARTS = {
    "script": [sys.executable, str(ROOT / "cli.py")],
    "installed": [str(SCRIPT)],
    "module": [sys.executable, "-m", "smemnas"],
    "isolated": [sys.executable, "-P", str(ROOT / "cli.py")],
}
COMMANDS = {
    "run": ("run", "--method", "random", "--space", "toy", "--budget", 5, "--quiet", "--out", "out"),
    "study": (
        *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", 10, "--jobs", 2),
        *("--no-figures", "--quiet", "--out", "out"),
    ),
    "alone": (
        *("study", "--methods", "random", "--spaces", "toy", "--seeds", "0", "--budget", 10, "--jobs", 1),
        *("--timeout", 100, "--no-figures", "--quiet", "--out", "out"),
    ),
    "rank": (
        *("rank", "--space", "toy", "--surrogates", "gp,random", "--n-train", 20, "--n-test", 30, "--seeds", 2),
        *("--jobs", 2, "--no-figures", "--quiet", "--out", "out"),
    ),
}


@pytest.fixture
def trapped(tmp_path):
    """A folder with traps; returns it and the marker that a trap leaves."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(TRAP.format(marker=str(tmp_path / "ran"), name=name))
    return folder, tmp_path / "ran"


def start(kind, arguments, folder, data, **environment):
    if kind == "installed" and not SCRIPT.exists():
        pytest.skip(f"install the suite beside this Python to test its program: pip install -e . makes {SCRIPT}")
    if kind == "module":
        environment["PYTHONPATH"] = str(ROOT)
    env = {**os.environ, "SMEMNAS_DATA": str(data), **environment}
    command = [*STARTS[kind], *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        *(("script", command) for command in COMMANDS),
        ("installed", "run"),  # by which no other path is the first; workers are started alike
        *(pytest.param("installed", command, marks=pytest.mark.long) for command in COMMANDS if command != "run"),
    ],
)
def test_nothing_of_the_current_folder_runs(trapped, embedded, kind, command):
    folder, marker = trapped
    process = start(kind, COMMANDS[command], folder, embedded)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not marker.exists()
    assert (folder / "out").is_dir()
    assert sorted(p.stem for p in folder.glob("*.py")) == sorted(NAMES)


@pytest.mark.parametrize("kind", ["module", "isolated"])
def test_other_ways_to_start(trapped, embedded, kind):
    folder, marker = trapped
    process = start(kind, COMMANDS["run"], folder, embedded)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not marker.exists()


def test_an_empty_entry_of_pythonpath_is_not_for_workers(trapped, embedded, tmp_path):
    folder, marker = trapped
    environment = {**os.environ, "PYTHONPATH": os.pathsep + str(tmp_path)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        assert safe_path(os.environ) == {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(tmp_path)}
    code = (
        f"import sys; sys.path[:] = [p for p in sys.path if p not in ('', {str(folder)!r})]; "
        f"sys.path.insert(0, {str(ROOT)!r}); from smemnas.cli import main; "
        f"main({list(map(str, COMMANDS['study']))!r})"
    )
    process = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, env={**environment, "SMEMNAS_DATA": str(embedded)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert not marker.exists()


def test_the_environment_is_as_before_afterwards(monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", ":/a")
    with safe_children():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["PYTHONPATH"] == "/a"
    assert "PYTHONSAFEPATH" not in os.environ
    assert os.environ["PYTHONPATH"] == ":/a"


PLUGIN = """
from smemnas.methods.base import METHODS, DesignStream, Method


@METHODS.register("mine", summary="For tests")
class Mine(Method):
    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.stream = DesignStream(problem, seed)

    def ask(self):
        return self.stream.take(4)

    def tell(self, X, F):
        pass
"""


def test_a_plugin_named_by_its_path_runs_in_workers(trapped, embedded):
    folder, marker = trapped
    (folder / "my_method.py").write_text(PLUGIN)
    arguments = ["--plugin", "my_method.py", *COMMANDS["study"]]
    arguments[arguments.index("random,nsga2")] = "random,mine"
    process = start("script", arguments, folder, embedded)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not marker.exists()
    assert len(list((folder / "out").rglob("mine/**/evals.jsonl"))) == 2
