"""Studies under stress: runs that hang, kills at random moments with four workers, holes and repeats, clusters."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from study_cases import assert_same_study, command, logs, records, study

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.runs.folder import locked
from smemnas.bench.workers.backends import Place, run_tasks, workers_for

PLUGIN = """
import ctypes
import json
import os
import resource
import time

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS, open_benchmark
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.methods.base import METHODS, DesignStream, Method


@METHODS.register("hang", summary="For tests")
class Hang(Method):
    def __init__(self, problem, *, budget, seed, how: str = "", pause: float = 0.0):
        super().__init__(problem, budget=budget, seed=seed)
        self.stream, self.how, self.pause, self.told = DesignStream(problem, seed), how, pause, 0

    def ask(self):
        time.sleep(self.pause)
        if self.told >= int(os.environ.get("HANG_AFTER", 8)) and self.seed == 1:
            if self.how == "python":
                time.sleep(1000)
            if self.how == "native":
                ctypes.PyDLL(None).sleep(1000)  # holds the interpreter's lock: no other thread of it runs
        if self.how == "memory":
            if self.told >= int(os.environ.get("HANG_AFTER", 8)) and self.seed == 1:
                used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
                np.ones(1 << 27)
            if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
                raise RuntimeError("the limit of another run")
        if self.how == "data":
            print("what a plug-in prints goes nowhere near the results")
            if not os.path.isdir(os.path.join(os.environ["SMEMNAS_DATA"], "tables")):
                raise RuntimeError("not the data folder of the study")
        fresh = self.stream.take(4)
        return np.vstack([fresh, fresh]) if self.how == "twice" else fresh

    def tell(self, X, F):
        self.told += len(X)


@BENCHMARKS.register("toy/holes", summary="For tests: every fifth value is missing")
def holes(objectives=()):
    inner = open_benchmark("toy", None, objectives)

    def values(X, seed):
        F = inner.evaluate(X, seed).F.copy()
        F[X.sum(axis=1) % 5 == 0, 0] = np.nan
        return F

    return CallableBenchmark(inner.space, values, inner.objectives, dataset="holes", front=inner.reference().front)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "stress_plugin.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs POSIX processes")
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 2])
def test_runs_that_hang_are_ended_and_can_be_continued(
    tmp_path: Path, plugin: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hangs in Python, another in native code; with two workers both do at once."""
    out = tmp_path / "out"
    args = (
        *("--plugin", plugin, "study", "--methods", "random", "--variant", "bad=hang:how=python", "--spaces", "toy"),
        *("--variant", "worse=hang:how=native", "--seeds", "0-2", "--budget", 20, "--at", 10),
        *("--out", out, "--no-figures"),
    )
    text = study(*args, "--jobs", jobs, "--timeout", 3, code=1)
    rows = {(r["method"], r["seed"]): r for r in records(out / "trials.csv")}
    hung = {("bad", "1"), ("worse", "1")}
    assert {key for key, r in rows.items() if r["status"] != "done"} == hung
    assert all("no result after 3 s" in rows[key]["reason"] for key in hung)
    assert text.count("no result after 3 s") >= 2
    kept = {name: log for name, log in logs(out).items() if "hang" in name and "seed-1" in name}
    assert [log.count(b"\n") for log in kept.values()] == [8, 8]  # what they had is kept
    monkeypatch.setenv("HANG_AFTER", "800")  # an edited plug-in would be another one
    study(*args, "--jobs", 1)
    assert all(r["status"] == "done" for r in records(out / "trials.csv"))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
def test_four_workers_killed_five_times_give_the_identical_table(tmp_path: Path, plugin: Path) -> None:
    def args(out: Path) -> list[str]:
        return command(
            *("--plugin", plugin, "study", "--methods", "nsga2", "--variant", "slow=hang:pause=0.05"),
            *("--spaces", "toy", "--seeds", "0-5", "--budget", 40, "--at", 20, "--jobs", 4, "--out", out),
            *("--quiet", "--no-figures"),
        )

    def logged(out: Path) -> int:
        return sum(text.count(b"\n") for text in logs(out).values()) if out.exists() else 0

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    subprocess.run(args(whole), check=True, timeout=300)
    moments, unfinished = random.Random(5), 0
    for _ in range(5):
        before, more = logged(killed), moments.randint(1, 40)
        process = subprocess.Popen(args(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while logged(killed) < before + more and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            unfinished += 1
    assert unfinished >= 3
    subprocess.run(args(killed), check=True, timeout=300)
    assert_same_study(whole, killed)


def test_missing_values_and_repeats_are_rows(tmp_path: Path, plugin: Path) -> None:
    out = tmp_path / "out"
    study(
        *("--plugin", plugin, "study", "--methods", "nsga2", "--variant", "twice=hang:how=twice"),
        *("--spaces", "toy/holes", "--seeds", "0-1", "--budget", 30, "--at", 15, "--jobs", 1, "--out", out),
        "--no-figures",
    )
    assert all(r["status"] == "done" for r in records(out / "trials.csv"))
    for text in logs(out).values():
        rows = text.decode().splitlines()
        assert len(rows) == 30
        assert len({row.partition('"x": ')[2].partition("]")[0] for row in rows}) == 30  # a repeat costs nothing
        assert any('"failed"' in row for row in rows)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="run it on Linux: needs its limits of memory")
@pytest.mark.parametrize("options", [("--jobs", 1, "--timeout", 100), ("--jobs", 2)])
def test_a_run_without_memory_is_a_row_and_leaves_no_trace(
    tmp_path: Path, plugin: Path, options: tuple[object, ...]
) -> None:
    out = tmp_path / "out"
    study(
        *("--plugin", plugin, "study", "--methods", "random", "--variant", "big=hang:how=memory", "--spaces", "toy"),
        *("--seeds", "0-3", "--budget", 20, "--at", 10, "--out", out, "--no-figures", *options),
        code=1,
    )
    failed = [r for r in records(out / "trials.csv") if r["status"] != "done"]
    assert [(r["method"], r["seed"], r["status"]) for r in failed] == [("big", "1", "failed")]
    assert "MemoryError" in failed[0]["reason"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
@pytest.mark.parametrize("options", [("--jobs", 1, "--timeout", 500), ("--jobs", 2)])
def test_a_killed_study_leaves_nobody_behind(tmp_path: Path, plugin: Path, options: tuple[object, ...]) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(
            *("--plugin", plugin, "study", "--variant", "bad=hang:how=native", "--spaces", "toy"),
            *("--seeds", 1, "--budget", 20, "--at", 10, "--out", out, "--quiet", "--no-figures", *options),
        )
    )
    end = time.monotonic() + 60
    while not any(text.count(b"\n") == 8 for text in logs(out).values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    [folder] = [(out / name).parent for name in logs(out)]
    with pytest.raises(RunError, match="in use"), locked(folder):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while True:
        try:
            with locked(folder):
                return
        except RunError:
            assert time.monotonic() < end, "a process of the killed study still holds its run"
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="run it on Linux: finds the workers in /proc")
def test_a_killed_worker_is_replaced(tmp_path: Path, plugin: Path) -> None:
    """The process between the study and the one that runs a job: its job goes on from the log."""
    args = (
        *("--plugin", plugin, "study", "--methods", "nsga2", "--variant", "slow=hang:pause=0.1", "--spaces", "toy"),
        *("--seeds", "0-3", "--budget", 40, "--at", 20, "--quiet", "--no-figures"),
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(*args, "--jobs", 2, "--out", killed))
    end = time.monotonic() + 60
    while not any("hang" in name and text for name, text in logs(killed).items()):
        assert time.monotonic() < end
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [int(p) for p in children if b"LokyProcess" in Path("/proc", p, "cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    study(*args, "--jobs", 1, "--out", whole)  # meanwhile
    assert process.wait(timeout=300) == 0
    assert_same_study(whole, killed)


def on_a_cluster(tmp_path: Path, plugin: Path, *cluster: object) -> None:
    """Compare with this process alone; the cluster was started without the data folder, its workers must be told."""
    args = (
        *("--plugin", plugin, "study", "--methods", "nsga2,smemnas", "--variant", "own=hang:how=data"),
        *("--spaces", "nb201,toy", "--seeds", "0-1", "--budget", 30, "--at", 15, "--quiet", "--no-figures"),
    )
    study(*args, "--jobs", 1, "--out", tmp_path / "here")
    study(*args, "--jobs", 2, "--out", tmp_path / "there", *cluster)
    assert_same_study(tmp_path / "here", tmp_path / "there")
    assert len(logs(tmp_path / "there")) == 12


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bit_for_bit(
    tmp_path: Path, plugin: Path, embedded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster': pip install -e '.[cluster]'")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask")
    ) as cluster:
        monkeypatch.setenv("SMEMNAS_DATA", str(embedded))
        on_a_cluster(tmp_path, plugin, "--backend", "dask", "--address", cluster.scheduler_address)


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_bit_for_bit(
    tmp_path: Path, plugin: Path, embedded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs the extra 'cluster': pip install -e '.[cluster]'")
    head = (
        "import ray, sys\n"
        "context = ray.init(num_cpus=2, include_dashboard=False, logging_level='error')\n"
        "print(context.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    process = subprocess.Popen([sys.executable, "-c", head], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()  # type: ignore[union-attr]
        assert ":" in address, "the test's Ray cluster did not start"
        monkeypatch.setenv("SMEMNAS_DATA", str(embedded))
        on_a_cluster(tmp_path, plugin, "--backend", "ray", "--address", address)
    finally:
        process.communicate()


def test_never_more_workers_than_tasks_or_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert [workers_for(None, n) for n in (1, 2, 10)] == [1, 2, 2]
    assert [workers_for(1000, n) for n in (0, 1, 3, 1000)] == [1, 1, 3, 8]
    assert workers_for(3, 1000) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="run it on Linux: needs processor affinity")
def test_processors_that_others_use_are_not_counted() -> None:
    code = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); sys.path.insert(0, sys.argv[1])"
    code += "; from smemnas.bench.workers.backends import workers_for as w; print(w(None, 10), w(1000, 1000))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1", "4"]


def test_a_thousand_jobs_for_four_runs(tmp_path: Path) -> None:
    """It took minutes to start as many processes, and none of them had anything to do."""
    study(
        *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", 12, "--jobs", 1000),
        *("--out", tmp_path / "out", "--no-figures", "--quiet"),
    )
    assert {r["status"] for r in records(tmp_path / "out" / "trials.csv")} == {"done"}


@pytest.mark.slow
def test_a_lost_scheduler_is_one_line(tmp_path: Path, plugin: Path) -> None:
    pytest.importorskip("distributed", reason="pip install -e '.[cluster]' would run it")
    start = [sys.executable, "-c", "import sys; from distributed.cli.{0} import main; sys.argv[0] = 'dask'; main()"]
    address = tmp_path / "scheduler.json"
    log = tmp_path / "worker.log"
    one, two = ([*start[:2], start[2].format(name)] for name in ("dask_scheduler", "dask_worker"))
    scheduler = subprocess.Popen(
        [*one, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)],
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 120
    wait_for(lambda: address.exists() and address.read_text().rstrip().endswith("}"), end)
    where = json.loads(address.read_text())["address"]
    with open(log, "w") as stream:
        worker = subprocess.Popen(
            [*two, where, "--nworkers", "1", "--no-dashboard", "--local-directory", str(tmp_path)], stderr=stream
        )
    begun = None
    try:
        wait_for(lambda: "Registered" in log.read_text(), end)
        out = tmp_path / "out"
        begun = subprocess.Popen(
            command(
                *("--plugin", plugin, "study", "--variant", "slow=hang:pause=0.3", "--spaces", "toy", "--seeds", "0-1"),
                *("--budget", 400, "--at", 10, "--no-figures", "--backend", "dask", "--address", where, "--out", out),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: any(logs(out).values()), end)
        scheduler.kill()
        told, error = begun.communicate(timeout=120)
        assert (begun.returncode, told) == (1, "")
        assert error.count("\n") == 1, error
        assert error.startswith("error: the Dask cluster failed (its scheduler is gone)")
    finally:
        for process in (scheduler, worker, begun):
            if process is not None:
                process.kill()
                process.wait()


def wait_for(what: Callable[[], bool], end: float) -> None:
    """Wait until something is so."""
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_cluster_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, backend: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    place = Place(backend, address="tcp://127.0.0.1:1")
    words = r"needs the extra 'cluster': pip install -e '\.\[cluster\]' in the suite's folder"
    with pytest.raises(UserError, match=words):
        list(run_tasks(print, [("never",)], place, {}))


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_an_address_where_nothing_answers_is_one_line_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, module: str
) -> None:
    pytest.importorskip(module, reason="needs the extra 'cluster': pip install -e '.[cluster]'")
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        args = ("study", "--methods", "random", "--spaces", "toy", "--seeds", 0, "--budget", 10, "--quiet")
        start = time.monotonic()
        text = study(*args, "--out", tmp_path, "--backend", backend, "--address", address, code=1)
    assert time.monotonic() - start < 60
    assert len(text.strip().splitlines()) == 1
    assert f"no {backend.capitalize()} cluster answers at {address}" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backend", "dusk"), "--backend takes one of loky, dask, ray, got 'dusk'"),
        (("--backend", "dask"), "scheduler's --address"),
        (("--address", "tcp://127.0.0.1:1"), "--backend dask or --backend ray"),
        (("--timeout", 0), "--timeout must be above 0"),
        (("--jobs", 0), "--jobs must be at least 1"),
        (("--champion", "nsga3"), "Did you mean"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, options: tuple[object, ...], words: str) -> None:
    text = study("study", "--methods", "random,nsga2", "--spaces", "toy", "--out", tmp_path, *options, code=2)
    assert words in text
    assert len(text.strip().splitlines()) == 1
