"""Shared by the tests: the repository, original data where they are, and the command line as a user runs it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).resolve().parents[1]
ORIGINALS = ROOT.parent / "shared" / "data"


def docs_script(name):
    """Return the module docs/NAME.py, which makes a page; it may import its neighbours, as when it is run."""
    if str(ROOT / "docs") not in sys.path:
        sys.path.append(str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: Methods whose proposals take long, or that are another method with other settings: the tests of all methods are run
#: for them by ``make test-long``; what is their own is tested where they are.
SLOW_METHODS = (
    "bananas/authors",
    "botorch-ehvi",
    "botorch-qnehvi",
    "msunas/adaptive-authors",
    "msunas/small",
    "optuna-gp",
    "smac",
    "smemnas/adaptive",
    "smemnas/adaptive-black",
    "smemnas/adaptive-grey",
    "smemnas/alternating-black",
    "smemnas/alternating-grey",
    "smemnas/paper-100-8",
    "smemnas/paper-20-4",
    "smemnas/sibling",
    "smemnas/spnas",
    "smemnas/textbook-inside",
)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory):
    """A data folder of the session's own, with the table of the extra `analog` in it (the extra `dev` installs it)."""
    folder = tmp_path_factory.mktemp("data")
    before = os.environ.get("SMEMNAS_DATA")
    os.environ["SMEMNAS_DATA"] = str(folder)
    try:
        from smemnas.bench.benchmarks.catalog import open_benchmark

        open_benchmark("nb201", "analog")
    finally:
        if before is None:
            del os.environ["SMEMNAS_DATA"]
        else:
            os.environ["SMEMNAS_DATA"] = before
    return folder


@pytest.fixture
def use_embedded(embedded, monkeypatch):
    """Make this process read the session's data folder."""
    monkeypatch.setenv("SMEMNAS_DATA", str(embedded))
    return embedded


@pytest.fixture
def cli(embedded, tmp_path):
    """Run ``python cli.py ARGS`` in an empty folder; returns the finished process with text output."""

    def call(*args, cwd=tmp_path, timeout=120, **environment):
        return forked.run(*args, cwd=cwd, timeout=timeout, **{"SMEMNAS_DATA": embedded, **environment})

    return call


@pytest.fixture
def call(capsys):
    """Run a command line in this process, whose modules a test can patch; returns exit code, output and error."""
    from smemnas.cli import main

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in args])
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def fails(call):
    """Require one line of error that holds some words, after one note that begins as told, if there is to be one."""

    def run(args, *words, note=""):
        code, _, error = call(*args)
        assert code in (1, 2), error
        if note:
            said, _, error = error.partition("\n")
            assert said.startswith(f"note: {note}"), said
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        for word in words:
            assert word in error

    return run


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Train on one thread, with a data folder of the module's own."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(tmp_path_factory.mktemp("data")))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of two finished runs."""
    from smemnas.bench.runs.job import make_job
    from smemnas.bench.runs.run import run

    place = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        job, benchmark = make_job("random", "toy", budget=10, seed=seed)
        run(job, place / f"seed-{seed}", benchmark=benchmark)
    return place


def assert_one_line_error(process, *words, code=None):
    """Require an error of one line on standard error that holds some words, and no traceback."""
    assert process.returncode == code if code is not None else process.returncode in (1, 2), process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("error: "), lines
    assert "Traceback" not in process.stdout + process.stderr
    for word in words:
        assert word in lines[0], f"{word!r} not in {lines[0]!r}"


@pytest.fixture
def one_line_error():
    return assert_one_line_error


def pytest_collection_modifyitems(config, items):
    """Mark tests of slow methods as long. Speed is measured only where pytest-benchmark is on and nothing else runs."""
    for item in items:
        given = getattr(item, "callspec", None)
        about = {str(getattr(v, "entry", v)).removeprefix("method ") for v in given.params.values()} if given else set()
        slow = about & set(SLOW_METHODS) or any(name.endswith("/tuned") for name in about)  # as their methods are
        if slow and item.module.__name__ != "test_golden":
            item.add_marker(pytest.mark.long)
    if not config.getoption("benchmark_enable"):
        for item in items:
            if "perf" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="speed test: pytest tests/perf --benchmark-enable"))
