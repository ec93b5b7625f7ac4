"""Whatever tells a user what to type names the program that was called; what is kept does not depend on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import click
import pytest
from conftest import ROOT, assert_one_line_error

from smemnas.bench import program as home
from smemnas.bench.commands.root import cli as root
from smemnas.bench.program import PROGRAM, install, named, program

WAYS = {"script": "python cli.py", "installed": "smemnas", "module": "python -m smemnas"}
#: What an installation's program is: a file called smemnas that calls the entry point.
ENTRY = "import sys\nfrom smemnas.cli import main\nsys.exit(main())\n"
#: A method that looks for a table which is not there, in whatever process it is made.
PLUGIN = """
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.methods.base import METHODS, Method


@METHODS.register("greedy-reader", summary="For tests")
class Reader(Method):
    def ask(self):
        open_benchmark("nb201", "imagenet16-120")

    def tell(self, X, F):
        raise NotImplementedError
"""


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    file = tmp_path_factory.mktemp("bin") / "smemnas"
    file.write_text(ENTRY)
    return file


@pytest.fixture(params=WAYS)
def way(request, entry, embedded, tmp_path):
    """Yield the name that a user typed, and a function that starts the suite by it in another folder."""
    start = {"script": [str(ROOT / "cli.py")], "installed": [str(entry)], "module": ["-m", "smemnas"]}[request.param]

    def call(*arguments):
        path = {} if request.param == "script" else {"PYTHONPATH": str(ROOT)}
        env = {**os.environ, "SMEMNAS_DATA": str(embedded), "COLUMNS": "200", **path}
        words = [sys.executable, *start, *map(str, arguments)]
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False)

    return WAYS[request.param], call


def wrong_names(text, name):
    """Return what a text tells to type by another name than the one that was called."""
    commands = "|".join(root.commands)
    typed = rf"(?<![\w./'\"-])((?:python (?:-m )?)?(?:smemnas|cli\.py)) (?:--plugin \S+ )?(?:{commands})\b"
    lines = [line for line in text.splitlines() if "torchrun" not in line]  # see `test_help_and_hints_of_a_process`
    return [found for line in lines for found in re.findall(typed, line) if found != name]


def every_command(group=root, words=()):
    yield words
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name)


def test_the_three_ways_are_recognised(monkeypatch, tmp_path):
    for started, expected in {
        str(ROOT / "cli.py"): "python cli.py",
        "/usr/bin/smemnas": "smemnas",
        "C:/Scripts/smemnas.exe": "smemnas",
        str(ROOT / "smemnas" / "__main__.py"): PROGRAM,
        str(tmp_path / "cli.py"): PROGRAM,  # another project's
        "-c": PROGRAM,
        "": PROGRAM,
    }.items():
        monkeypatch.setattr(sys, "argv", [started])
        assert program() == expected, started
    monkeypatch.setattr(sys, "argv", ["cli.py"])
    monkeypatch.chdir(ROOT)
    assert program() == "python cli.py"


def test_a_text_takes_the_name_and_nothing_else_changes(monkeypatch):
    text = f"smemnas fails: {PROGRAM} data fetch a, or torchrun --nproc-per-node 2 -m smemnas retrain"
    monkeypatch.setattr(sys, "argv", ["/bin/smemnas"])
    assert named(text) == "smemnas fails: smemnas data fetch a, or torchrun --nproc-per-node 2 -m smemnas retrain"
    assert named("python cli.py data fetch a") == "smemnas data fetch a"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "cli.py")])
    assert named(text) == "smemnas fails: python cli.py data fetch a, or torchrun --nproc-per-node 2 cli.py retrain"
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert named(text) == text


def test_extras_are_installed_from_where_the_suite_came(monkeypatch):
    assert install("train") == "pip install -e '.[train]' in the suite's folder"
    monkeypatch.setattr(home, "in_clone", lambda: False)
    assert install("train") == "pip install 'smemnas[train]'"


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_help_names_what_was_called(call, monkeypatch, words):
    examples = set()
    for started, name in {ROOT / "cli.py": "python cli.py", "/bin/smemnas": "smemnas", "-c": PROGRAM}.items():
        monkeypatch.setattr(sys, "argv", [str(started)])
        code, text, _ = call(*words, "--help")
        assert code == 0
        assert text.startswith(f"Usage: {' '.join([name, *words])} "), text[:100]
        assert not wrong_names(text, name), (name, wrong_names(text, name))
        examples.add(text.count(f"  {name} "))
    assert len(examples) == 1
    assert examples != {0} or "Examples:" not in text


ERRORS = {
    "no table": (("data", "info", "nb201-imagenet16-120"), "{} data fetch nb201-imagenet16-120"),
    "no file": (("data", "fetch", "nb201-official-cifar10", "--from", "."), "{} data fetch nb201-official-cifar10"),
    "usage": (("run",), "See {} run --help."),
    "usage of a group": (("data", "improve", "--nothing"), "See {} data improve --help."),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_what_was_called(way, case):
    name, call = way
    arguments, words = ERRORS[case]
    process = call(*arguments)
    assert_one_line_error(process, words.format(name))
    assert not wrong_names(process.stderr, name), process.stderr


def test_help_and_hints_of_a_process(way):
    name, call = way
    shown = call("retrain", "--help").stdout
    assert f"  {name} retrain runs/search --pick knee" in shown
    launched = "cli.py" if name == "python cli.py" else "-m smemnas"
    assert f"  torchrun --nproc-per-node 8 {launched} retrain runs/search" in shown
    assert call("data", "verify").stdout.startswith("ok   nb201/analog\n")
    assert call("--version").stdout.startswith("smemnas, version ")
    nothing = call()
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.startswith(f"Usage: {name} [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    "way", ["script", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "script")], indirect=True
)
def test_workers_say_what_their_parent_says_and_files_hold_one_name(way, tmp_path):
    """Started as a script, whose name is not the one that is kept; the other ways take as long."""
    name, call = way
    (tmp_path / "reader.py").write_text(PLUGIN)
    process = call(
        *("--plugin", "reader.py", "study", "--methods", "greedy-reader,random", "--spaces", "toy", "--seeds", "0-1"),
        *("--budget", 5, "--jobs", 2, "--no-figures", "--out", "out"),
    )
    assert process.returncode == 1, process.stderr
    assert f"nb201/imagenet16-120 is not installed: {name} data fetch nb201-imagenet16-120" in process.stdout
    assert not wrong_names(process.stdout + process.stderr, name)
    failed = list((tmp_path / "out").rglob("greedy-reader/**/status.json"))
    assert len(failed) == 2
    reasons = {json.loads(file.read_bytes())["error"] for file in failed}
    assert all(
        f"nb201/imagenet16-120 is not installed: {PROGRAM} data fetch nb201-imagenet16-120" in r for r in reasons
    )
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not [p for p in kept if wrong_names(p.read_text(errors="replace"), PROGRAM)]

    page = call("report", "out", "--out", "page", "--no-figures")
    assert page.returncode == 0, page.stderr
    assert f"{name} data fetch nb201-imagenet16-120" in page.stdout
    text = (tmp_path / "page" / "index.html").read_text()
    assert f'"program":"{name}"' in text
    assert not wrong_names(text, name)


def test_the_name_has_one_home():
    folders = ("bench", "methods", "spaces", "surrogates")
    files = [p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in (".py", ".js", ".css")]
    said = {str(p.relative_to(ROOT)) for p in files if "cli.py" in p.read_text(encoding="utf-8")}
    assert said == {"bench/program.py"}
