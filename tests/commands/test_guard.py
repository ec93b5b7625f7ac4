"""Whatever happens around a command, a user sees one line: odd consoles, closed streams, Ctrl-C, faults."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from smemnas.bench.commands import guard
from smemnas.bench.commands.root import cli as root

RUN = ("run", "--method", "random", "--space", "toy", "--budget", "12", "--param", "batch=3")


def program(*args, **options):
    command = [sys.executable, str(ROOT / "cli.py"), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("path", [(), ("data",), ("supernet",)])
def test_groups_without_arguments_print_their_help(path, call):
    code, out, error = call(*path)
    assert (code, out) == (2, "")
    lines = error.splitlines()
    assert lines[0].startswith("Usage: ")
    assert len(lines) > 10
    assert any(line.strip() == "Commands:" for line in lines)
    assert call(*path, "--help")[0] == 0


def test_brackets_in_labels_and_paths_are_printed_as_they_are(call, use_embedded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(*RUN)
    assert code == 0
    folder = "runs/toy/closed-form/error+flops/random[batch=3]/seed-0"
    assert f"files        {folder}: evals.jsonl" in out
    assert "Front of random[batch=3] on toy/closed-form" in out
    assert Path(folder, "evals.jsonl").exists()
    code, out, _ = call(*RUN, "--out", "x[red]y:smile:[/]")
    assert code == 0
    assert "files        x[red]y:smile:[/]: evals.jsonl" in out


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_consoles_that_are_not_utf8(cli, environment):
    done = cli(
        *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "20"),
        *("--out", "o", "--jobs", "1", "--no-figures"),
        **environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"[-+]\d\.\d\d", done.stdout)
    assert "+ better" in done.stdout
    assert done.stdout.isascii()
    wrong = cli("run", "--method", "±", "--space", "toy", **environment)
    assert wrong.stderr.startswith(("error: no method '+-'.", "error: --method is not UTF-8"))
    assert wrong.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_under_the_output(embedded, tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(ROOT / "cli.py"), *RUN]
        env = {**os.environ, "SMEMNAS_DATA": str(embedded)}
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, env=env, timeout=60
        )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*No space left on device\.\n", done.stderr)


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both", "all"])
def test_closed_streams(embedded, tmp_path, closed):
    words = {"stdout": ">&-", "stderr": "2>&-", "both": ">&- 2>&-", "all": "<&- >&- 2>&-"}[closed]
    line = f"exec {sys.executable} {ROOT / 'cli.py'} {' '.join(RUN)} --out out {words}"
    env = {**os.environ, "SMEMNAS_DATA": str(embedded)}
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert (tmp_path / "out" / "evals.jsonl").read_bytes().count(b"\n") == 12  # and nothing that was printed


def test_a_reader_that_goes_is_no_error(embedded, tmp_path):
    process = program("list", cwd=tmp_path)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) in (0, guard.PIPE)


@pytest.fixture(scope="module")
def start():
    """Seconds that Python alone takes to start here and now; before, no code of ours can answer Ctrl-C."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import contextlib, threading"], check=True)
    return time.perf_counter() - begin


@pytest.mark.parametrize("parts", [2, 4, 8, 16, 24])
def test_ctrl_c_at_any_moment_is_one_line(embedded, tmp_path, start, parts):
    env = {**os.environ, "SMEMNAS_DATA": str(embedded)}
    arguments = ("run", "--method", "smemnas", "--space", "toy", "--budget", "3000", "--quiet")
    process = program(*arguments, cwd=tmp_path, env=env)
    time.sleep(start * parts + 0.1)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert out == ""
    assert (process.returncode, error) in (
        (guard.INTERRUPT, f"{guard.INTERRUPTED}\n"),
        (-signal.SIGINT, ""),  # in the first milliseconds
    )
    assert parts < 8 or error


def test_what_libraries_warn_of_is_not_shown(cli, tmp_path):
    (tmp_path / "loud.py").write_text("import warnings\nwarnings.warn('two\\nlines', UserWarning, stacklevel=1)\n")
    done = cli("--plugin", "loud.py", "list", "problems")
    assert (done.returncode, done.stderr) == (0, "")
    assert "two" in cli("--plugin", "loud.py", "list", "problems", PYTHONWARNINGS="default").stderr


class Strange(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TypeError("no such\nthing"), 70, ("a fault of the suite", "TypeError: no such thing", "SMEMNAS_TRACEBACK")),
        (Strange("odd"), 70, ("a fault of the suite", "Strange: odd")),
        (GeneratorExit(), 70, ("a fault of the suite", "GeneratorExit")),
        (RecursionError("deep"), 70, ("a fault of the suite", "RecursionError: deep", "test_guard.py")),
        (EOFError("torn"), 70, ("a fault of the suite", "EOFError: torn")),
        (ModuleNotFoundError("No module named 'a.b'", name="a.b"), 1, ("a is not installed for", sys.executable)),
        (ModuleNotFoundError("No smemnas.x", name="smemnas.x"), 70, ("a fault of the suite", "smemnas.x")),
        (MemoryError(), 1, ("out of memory",)),
        (OSError(28, "No space left on device", "a/b"), 1, ("a/b", "No space left on device")),
        (KeyboardInterrupt(), 130, ()),
        (BrokenPipeError(), 141, ()),
        (SystemExit(3), 3, ()),
    ],
)
def test_the_last_resort(error, code, words, call, monkeypatch):
    def fail(**_):
        raise error

    monkeypatch.setattr(root.commands["list"], "callback", fail)
    found, out, text = call("list")
    assert found == code
    assert out == ""
    if words:
        assert text.startswith("error: ")
        assert text.count("\n") == 1
        for word in words:
            assert word in text
    else:
        assert text == (f"{guard.INTERRUPTED}\n" if code == 130 else "")


FAILING = {
    "method": """
from smemnas.methods.base import METHODS, Method

@METHODS.register("fails", summary="x")
class Fails(Method):
    def __init__(self, problem, *, budget, seed):
        raise RuntimeError("no licence")
    ask = tell = None
""",
    "surrogate": """
from smemnas.surrogates.base import SURROGATES

@SURROGATES.register("fails", summary="x")
class Fails:
    def __init__(self, *, seed):
        {}["licence"]
""",
    "space": """
from smemnas.spaces.base import SPACES

@SPACES.register("fails", summary="x")
class Fails:
    def __init__(self):
        raise RuntimeError("no licence")
""",
}


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        ("method", ("run", "--method", "fails", "--space", "toy"), "line 7, failed: RuntimeError: no licence."),
        (
            "surrogate",
            ("run", "--method", "smemnas", "--param", "surrogate=fails", "--space", "toy"),
            "line 7, failed: KeyError: 'licence'.",
        ),
        ("space", ("list", "spaces"), "line 7, failed: RuntimeError: no licence."),
    ],
)
def test_what_a_plug_in_raises_is_said_of_the_plug_in(kind, arguments, told, cli, tmp_path):
    (tmp_path / "mine.py").write_text(FAILING[kind])
    done = cli("--plugin", "mine.py", *arguments)
    assert (done.returncode, done.stderr) == (1, f"error: plug-in mine.py, {told}\n")


@pytest.mark.parametrize("way", [[str(ROOT / "cli.py")], ["-m", "smemnas"]])
def test_a_python_that_has_not_the_suite_is_named(way):
    command = [sys.executable, "-S", *way, "list"]  # -S: no site-packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: click is not installed for {sys.executable}. Call the Python that has the suite (after make run: "
        f"source .venv/bin/activate), or install it for this one (python -m pip install -e . in {ROOT}).\n"
    )


def test_an_installation_that_lacks_a_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(guard, "in_clone", lambda: False)
    told = f"error: click is not installed for {sys.executable}: {sys.executable} -m pip install smemnas."
    assert guard.explain(ModuleNotFoundError("no click", name="click.core")) == (told, 1)


def test_a_python_that_is_too_old_is_named():
    start = f"import runpy, sys; sys.version_info = (3, 10, 13); runpy.run_path({str(ROOT / 'cli.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-c", start], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"error: Python 3\.11 or newer is needed, this is .+ \(.+\)\.\n", done.stderr)


def test_the_traceback_is_shown_on_request(call, monkeypatch):
    def fail(**_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(root.commands["list"], "callback", fail)
    monkeypatch.setenv(guard.TRACEBACK, "1")
    _, _, text = call("list")
    assert "Traceback (most recent call last)" in text
    assert text.splitlines()[-1].startswith("error: this is a fault of the suite")


def test_ctrl_c_that_a_library_turned_into_another_error(monkeypatch):
    monkeypatch.setattr(guard, "_interrupted", True)
    assert guard.explain(ImportError("numpy cannot be imported")) == (guard.INTERRUPTED, guard.INTERRUPT)
    monkeypatch.setattr(guard, "_interrupted", False)
    assert guard.explain(ImportError("numpy cannot be imported"))[1] == guard.FAULT


def test_signal_handlers_of_a_host_stay(call):
    before = signal.getsignal(signal.SIGINT)
    call("list", "problems")
    assert signal.getsignal(signal.SIGINT) is before
    with contextlib.suppress(SystemExit):
        guard.leave(0)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("code", "told"), [(0, "error: cannot print the result: No space left on device.\n"), (1, "")])
def test_a_full_disk_is_said_once(code, told, capsys, monkeypatch):
    class Full:
        def flush(self):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        with pytest.raises(SystemExit) as ended:
            guard.leave(code)
    assert ended.value.code == 1
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", ["run", "data import"])
def test_an_option_of_the_program_behind_a_command_is_shown_its_place(command, cli):
    done = cli(*command.split(), "--plugin", "mine.py")
    told = f"error: --plugin goes before {command}: python -m smemnas --plugin FILE {command} ... See python"
    assert done.returncode == 2
    assert done.stderr.replace("python cli.py", "python -m smemnas").startswith(told)
