"""What must not happen: lost or changed results after a kill, a flipped bit, a full disk, a wrong word."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
from conftest import ROOT

from smemnas.bench.benchmarks import store
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import DataError

MAIN_JOB = ("run", "--method", "smemnas", "--space", "nb201", "--dataset", "analog", "--budget", "120", "--quiet")


def log_of(folder):
    return (folder / "evals.jsonl").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(embedded, tmp_path_factory):
    """Log of the main job, and the seconds its process takes until the log begins and until it ends."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    process = start(embedded, folder)
    begin = time.perf_counter()
    first = None
    while process.poll() is None:
        log = folder / "evals.jsonl"
        if first is None and log.exists() and log.stat().st_size:
            first = time.perf_counter() - begin
        if log.exists() and log.read_bytes().count(b"\n") == 120:
            break
        time.sleep(0.002)
    last = time.perf_counter() - begin
    assert process.wait(60) == 0
    assert log_of(folder).count(b"\n") == 120
    return log_of(folder), first or 0.0, last


def start(data, folder, **environment):
    command = [sys.executable, str(ROOT / "cli.py"), *MAIN_JOB, "--out", str(folder)]
    env = {**os.environ, "SMEMNAS_DATA": str(data), "OPENBLAS_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, cwd=folder.parent, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_killed_at_random_moments_and_resumed(embedded, uninterrupted, tmp_path, kills):
    data, first, last = uninterrupted
    draw = random.Random(2023)
    found = []
    for attempt in range(kills):
        folder = tmp_path / f"run-{attempt}"
        process = start(embedded, folder)
        # Half of the kills wait for a number of rows, so that they hit the search itself on any machine; the
        # others are moments between the start of the process and the end of the log.
        rows = draw.randrange(1, 120) if attempt % 2 else None
        deadline = time.perf_counter() + (60.0 if rows else draw.uniform(0.5 * first, last))
        while time.perf_counter() < deadline and process.poll() is None:
            if rows and (folder / "evals.jsonl").exists() and log_of(folder).count(b"\n") >= rows:
                break
            time.sleep(0.0005)
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            found.append(log_of(folder).count(b"\n") if (folder / "evals.jsonl").exists() else 0)
        if (folder / "evals.jsonl").exists():
            assert data.startswith(log_of(folder))
        again = forked.run(*MAIN_JOB, "--out", folder, SMEMNAS_DATA=embedded)
        assert again.returncode == 0, again.stderr
        assert log_of(folder) == data
        assert (folder / "summary.json").exists()
    assert len(found) >= kills // 2, "most of the processes must have been alive when they were killed"
    assert any(0 < rows < 120 for rows in found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "77", "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    ],
)
def test_the_log_does_not_depend_on_hash_seed_or_threads(embedded, uninterrupted, tmp_path, environment):
    process = start(embedded, tmp_path / "out", **environment)
    _, problem = process.communicate(timeout=120)
    assert process.returncode == 0, problem.decode()
    assert log_of(tmp_path / "out") == uninterrupted[0]


@pytest.mark.parametrize(("method", "budget"), [("nsga2", 60), ("smemnas/enumerate", 30), ("random", 60)])
def test_other_methods_too(cli, tmp_path, method, budget):
    logs = []
    for k, threads in enumerate((1, 2)):
        out = tmp_path / str(k)
        arguments = (
            "--method",
            method,
            "--space",
            "nb201",
            "--dataset",
            "analog",
            "--budget",
            budget,
            "--out",
            out,
            "--quiet",
        )
        process = cli("run", *arguments, PYTHONHASHSEED=k, OPENBLAS_NUM_THREADS=threads, OMP_NUM_THREADS=threads)
        assert process.returncode == 0, process.stderr
        logs.append(log_of(out))
    assert logs[0] == logs[1]


# ---- the cached table ----


# ---- full disk, read-only folders ----


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """Mount a file system of a few kilobytes, where that is possible."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("needs a small file system of its own: run as root on Linux with the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_during_a_run_loses_nothing(cli, one_line_error, uninterrupted, tmp_path):
    data = uninterrupted[0]
    with small_disk(tmp_path / "disk", 16) as disk:
        ballast = disk / "ballast"
        out = disk / "out"
        ballast.write_bytes(b"x" * 4096)  # leaves two blocks beside job.json
        one_line_error(cli(*MAIN_JOB, "--out", out), "No space left on device", "Everything before it is kept", code=1)
        kept = log_of(out)
        assert data.startswith(kept)
        assert kept.endswith(b"\n")
        assert 0 < kept.count(b"\n") < 120
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=4096k", str(disk)], check=True)
        process = cli(*MAIN_JOB, "--out", out)
        assert process.returncode == 0, process.stderr
        assert log_of(out) == data
        assert (out / "front.png").exists()


def test_a_disk_too_full_for_the_table_is_one_line(cli, one_line_error, tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        process = cli(
            "run",
            "--method",
            "random",
            "--space",
            "nb201",
            "--dataset",
            "analog",
            "--budget",
            3,
            SMEMNAS_DATA=disk / "data",
        )
        one_line_error(process, "the disk is full", "SMEMNAS_DATA", code=1)
        assert not [p for p in (disk / "data" / "tables" / "nb201").iterdir() if p.is_dir()]


def test_a_data_folder_that_cannot_be_written_gives_a_temporary_table(cli, tmp_path):
    (tmp_path / "file").write_text("")
    process = cli(
        "run", "--method", "random", "--space", "nb201", "--dataset", "analog", "--budget", 3,
        "--out", tmp_path / "out", SMEMNAS_DATA=tmp_path / "file" / "data", TMPDIR=tmp_path,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    (note,) = process.stderr.strip().splitlines()
    assert note.startswith("note: ")
    assert "Point SMEMNAS_DATA at a writable folder" in note
    assert "3 of 3" in process.stdout
    assert not list(tmp_path.glob("smemnas-*")), "the temporary table must be gone with the process"


def test_a_read_only_data_folder_in_the_same_process(embedded, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "file" / "data"))
    monkeypatch.setattr(store, "_temporary_folders", {})
    first = open_benchmark("nb201", "analog").provenance()
    assert "cannot be written" in caplog.text
    caplog.clear()
    assert open_benchmark("nb201", "analog").provenance() == first
    assert caplog.text == ""
    monkeypatch.setenv("SMEMNAS_DATA", str(embedded))
    monkeypatch.setattr(store, "_temporary_folders", {})
    assert open_benchmark("nb201", "analog").provenance() == first


def test_nothing_writable_at_all_is_one_error(tmp_path, monkeypatch):
    import tempfile

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "file"))
    monkeypatch.setattr(store, "_temporary_folders", {})

    def refuse(prefix):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(DataError, match=r"neither .* nor a temporary folder can be written"):
        open_benchmark("nb201", "analog")


# ---- wrong words ----

RANDOM = ("run", "--method", "random", "--space", "toy")


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("run", "--method", "smemnsa", "--space", "toy"), ("no method 'smemnsa'", "Did you mean 'smemnas'"), 2),
        (("run", "--method", "random", "--space", "nb2o1"), ("no space 'nb2o1'", "'nb201'"), 2),
        ((*RANDOM, "--dataset", "none"), ("no data set 'none'", "closed-form"), 2),
        ((*RANDOM, "--objectives", "eror,flops"), ("no objective 'eror'", "Did you mean 'error'"), 2),
        (("run", "--method", "random", "--space", "nb201", "--objectives", "error,error"), ("once",), 2),
        (("run", "--method", "random", "--space", "nb201", "--objectives", "accuracy"), ("no objective", "error"), 2),
        ((*RANDOM, "--budget", "0"), ("--budget must be at least 1",), 2),
        ((*RANDOM, "--budget", "-5"), ("--budget must be at least 1",), 2),
        ((*RANDOM, "--budget", "many"), ("--budget", "'many'"), 2),
        ((*RANDOM, "--seed", "-1"), ("--seed must be at least 0",), 2),
        ((*RANDOM, "--param", "batch"), ("KEY=VALUE",), 2),
        ((*RANDOM, "--param", "batsh=3"), ("no parameter 'batsh'", "'batch'"), 2),
        ((*RANDOM, "--param", "batch=0"), ("'batch'", "at least 1"), 2),
        ((*RANDOM, "--param", "batch.size=3"), ("no parameter",), 2),
        (("run", "--method", "smemnas", "--space", "toy", "--param", "surrogate=gpp"), ("surrogate 'gpp'", "'gp'"), 2),
        (("run", "--method", "smemnas", "--space", "toy", "--param", "surrogate.wdth=1"), ("no parameter 'wdth'",), 2),
        (("run", "--method", "smemnas", "--space", "toy", "--param", "encoding=pth"), ("no encoding 'pth'",), 2),
        (("run", "--method", "smemnas", "--space", "toy", "--objectives", "flops"), ("needs an objective",), 2),
        (("run", "--space", "toy"), ("--method",), 2),
        (("runn",), ("no command 'runn'", "'run'"), 2),
        (("run", "--nonsense"), ("--nonsense",), 2),
        (("check", "smemnsa"), ("'smemnsa'", "Did you mean 'smemnas'"), 2),
        (("check", "front-climber"), ("'front-climber'", "--plugin FILE"), 2),
        (("check", "nb201/analgo"), ("nb201/analog",), 2),
        (("--plugin", "nowhere.py", "list"), ("'nowhere.py' is not a file",), 2),
        (("run", "--method", "random", "--space", "nb101", "--budget", "3"), ("not installed", "data fetch"), 1),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line(cli, one_line_error, tmp_path, arguments, words, code):
    one_line_error(cli(*arguments), *words, code=code)
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_below_a_file_is_one_line(cli, one_line_error, tmp_path):
    (tmp_path / "file").write_text("mine")
    one_line_error(cli(*RANDOM, "--out", tmp_path / "file" / "out"), "cannot write to", "--out", code=1)
    one_line_error(cli(*RANDOM, "--out", tmp_path / "file"), "file", code=2)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_folder_on_a_read_only_disk_is_one_line(cli, one_line_error, tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        one_line_error(cli(*RANDOM, "--out", disk / "out"), "Read-only file system", "--out", code=1)


def test_ctrl_c_is_one_line_and_the_run_continues(embedded, uninterrupted, tmp_path):
    folder = tmp_path / "out"
    process = start(embedded, folder)
    while process.poll() is None and not ((folder / "evals.jsonl").exists() and log_of(folder).count(b"\n") > 20):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    if process.returncode != 0:  # it may have been done already
        assert process.returncode == 130
        assert message.decode().strip() == "interrupted; give the same command again to continue."
    assert start(embedded, folder).wait(120) == 0
    assert log_of(folder) == uninterrupted[0]


def test_no_traceback_where_the_picture_cannot_be_written(cli, one_line_error, tmp_path):
    out = tmp_path / "out"
    assert cli(*RANDOM, "--budget", 5, "--out", out).returncode == 0
    (out / "front.png").unlink()
    (out / "front.png").mkdir()
    process = cli(*RANDOM, "--budget", 5, "--out", out)
    one_line_error(process, "cannot write", "front.png", code=1)
    assert log_of(out).count(b"\n") == 5
    shutil.rmtree(out / "front.png")
    assert cli(*RANDOM, "--budget", 5, "--out", out).returncode == 0
    assert Path(out / "front.png").stat().st_size > 0
