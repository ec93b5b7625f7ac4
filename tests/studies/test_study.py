"""The study runner: what is missing is run, whatever happens."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from edits import edit_rows
from study_cases import assert_same_study, command, logs, records, study, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import RunError
from smemnas.bench.report.study.files import markdown
from smemnas.bench.runs.folder import LOG, locked
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import DONE, FAILED, MISSING, folder_of, record_plan, run_study, state_of
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect

PLUGIN = """
import itertools
import os
import signal
import time

import numpy as np

from smemnas.methods.base import METHODS, DesignStream, Method


class Stream(Method):
    def __init__(self, problem, *, budget, seed, pause: float = 0.0, trouble: str = "", when: int = 12):
        super().__init__(problem, budget=budget, seed=seed)
        self.stream = DesignStream(problem, seed)
        self.pause, self.trouble, self.when, self.told = pause, trouble, when, 0

    def ask(self):
        time.sleep(self.pause)
        if self.told >= self.when and self.seed == 1:
            if self.trouble == "raise":
                raise ArithmeticError("no more ideas")
            if self.trouble == "exit":
                raise SystemExit(3)
            if self.trouble == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.trouble == "nonsense":
                return np.full((1, self.problem.space.n_var), 99)
        return self.stream.take(4)

    def tell(self, X, F):
        self.told += len(X)


METHODS.register("stream", summary="For tests")(Stream)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "stream_plugin.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return file


def test_workers_and_one_process_write_the_same(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-3", "--budget", 40, "--quiet")
    args = (*args, "--no-figures")
    study(*args, "--jobs", 1, "--out", tmp_path / "one")
    study(*args, "--jobs", 2, "--out", tmp_path / "two")
    assert_same_study(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_killed_study_continues_to_the_identical_table(tmp_path: Path, plugin: Path, jobs: int) -> None:
    args = (
        *("--plugin", plugin, "study", "--methods", "random", "--variant", "slow=stream:pause=0.05", "--spaces", "toy"),
        *("--seeds", "0-3", "--budget", 40, "--at", 20, "--quiet", "--no-figures"),
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    again = command(*args, "--jobs", jobs, "--out", killed)
    study(*args, "--jobs", 1, "--out", whole)
    unfinished = 0
    for _ in range(2):
        rows = sum(text.count(b"\n") for text in logs(killed).values()) if killed.exists() else 0
        process = subprocess.Popen(again)
        wait_for = time.monotonic() + 60
        while sum(text.count(b"\n") for text in logs(killed).values()) <= rows + 10 and process.poll() is None:
            assert time.monotonic() < wait_for
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            unfinished += 1
    assert unfinished >= 1
    assert not (killed / "study.csv").exists()
    study(*args, "--jobs", 1, "--out", killed)
    assert_same_study(whole, killed)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("raise", "ArithmeticError: no more ideas (stream_plugin.py, line "),
        ("exit", "SystemExit: 3"),
        ("nonsense", "no architecture of space 'toy'"),
    ],
)
def test_a_failing_run_is_a_row_and_the_rest_go_on(tmp_path: Path, plugin: Path, trouble: str, reason: str) -> None:
    out = tmp_path / "out"
    args = (
        *("--plugin", plugin, "study", "--methods", "random", "--variant", f"bad=stream:trouble={trouble}"),
        *("--spaces", "toy", "--seeds", "0-2", "--budget", 20, "--jobs", 1, "--out", out),
    )
    text = study(*args, "--no-figures", code=1)
    rows = records(out / "trials.csv")
    assert [r["status"] for r in rows] == ["done"] * 3 + ["done", "failed", "done"]
    assert reason in rows[4]["reason"]
    assert rows[4]["regret_20"] == ""
    assert "bad on toy/closed-form (error, flops), seed 1: " in text
    summary = {(r["method"], r["evaluations"]): r for r in records(out / "study.csv")}
    assert summary["bad", "20"]["n"] == "2"
    assert summary["bad", "20"]["failed"] == "1"
    assert summary["bad", "20"]["pairs"] == "2"
    assert summary["random", "20"]["n"] == "3"
    assert reason in (out / "study.md").read_text()


def test_a_run_ended_before_it_began_is_a_row_with_its_reason(tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("study", "--methods", "random", "--spaces", "toy", "--seeds", "0-1", "--budget", 20, "--jobs", 1)
    args = (*args, "--no-figures", "--out", out)
    text = study(*args, "--timeout", 0.001, code=1)
    assert "seed 0-1: no result after 0.001 s" in text
    rows = records(out / "trials.csv")
    assert [(r["status"], r["reason"]) for r in rows] == [("failed", "no result after 0.001 s")] * 2
    _, left = make_groups(find_runs([str(out)]))
    assert [(u.seeds, u.reason) for u in left] == [("0-1", "no result after 0.001 s")]
    study(*args)  # what is there is in no other run's way
    assert [r["status"] for r in records(out / "trials.csv")] == ["done"] * 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
def test_a_worker_that_dies_takes_no_other_run_with_it(tmp_path: Path, plugin: Path) -> None:
    out = tmp_path / "out"
    study(
        *("--plugin", plugin, "study", "--methods", "random", "--variant", "bad=stream:trouble=die,pause=0.02"),
        *("--spaces", "toy", "--seeds", "0-4", "--budget", 40, "--jobs", 2, "--no-figures", "--out", out),
        code=1,
    )
    failed = [r for r in records(out / "trials.csv") if r["status"] != "done"]
    assert [(r["method"], r["seed"], r["status"]) for r in failed] == [("bad", "1", "failed")]
    assert "SIGKILL" in failed[0]["reason"]


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-4", "--budget", 30, "--jobs", 1)
    args = (*args, "--no-figures")
    study(*args, "--quiet", "--out", tmp_path / "whole")
    parts = tmp_path / "parts"
    first = study(*args, "--out", parts, "--shard", "1/3")
    assert "6 of 10 runs have not been made yet." in first
    assert {r["status"] for r in records(parts / "trials.csv")} == {"done", "missing"}
    study(*args, "--quiet", "--out", parts, "--shard", "2/3")
    study(*args, "--quiet", "--out", parts, "--shard", "3/3")
    assert_same_study(tmp_path / "whole", parts)


def test_every_shard_gets_some_of_every_variant() -> None:
    plan = toy_plan(seeds=tuple(range(12)))
    jobs = list(plan.jobs())
    assert len({repr(j) for j in jobs}) == 24
    for n in (2, 3, 4, 24):
        shards = [list(plan.jobs(k, n)) for k in range(1, n + 1)]
        assert sorted(repr(j) for shard in shards for j in shard) == sorted(map(repr, jobs))
        for shard in shards:
            assert sum(j.method == "random" for j in shard) == pytest.approx(12 / n, abs=0.5)
            assert len(shard) == 24 / n


def test_a_finished_study_is_not_touched_and_others_add_to_it(tmp_path: Path) -> None:
    plan = toy_plan()
    assert {s.status for s in run_study(list(plan.jobs()), tmp_path)} == {DONE}
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    run_study(list(plan.jobs()), tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    more = toy_plan(seeds=(0, 1, 2, 3), budget=30)
    assert {t.status for t in collect(more, tmp_path)} == {MISSING}
    run_study(list(more.jobs()), tmp_path)
    assert {t.status for t in collect(more, tmp_path)} == {DONE}
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_plug_in_joins_a_finished_study(tmp_path: Path, plugin: Path) -> None:
    out = tmp_path / "out"
    rest = ("--spaces", "toy", "--seeds", "0-1", "--budget", 20, "--jobs", 1, "--out", out, "--quiet", "--no-figures")
    study("study", "--methods", "random", *rest)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("random/**/*") if p.is_file()}
    study("--plugin", plugin, "study", "--methods", "random,stream", *rest)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    rows = records(out / "trials.csv")
    assert [r["method"] for r in rows] == ["random", "random", "stream", "stream"]
    # The plug-in's method is the shared random stream, so its runs tie with random search exactly.
    last = records(out / "study.csv")[-1]
    assert (last["p"], last["a12"], last["difference"]) == ("1.0", "0.5", "0.0")


def test_a_method_that_ends_early_is_done(tmp_path: Path) -> None:
    plan = replace(toy_plan(seeds=(0,), budget=3200), variants=(Variant("random", "random"),))
    [state] = run_study(list(plan.jobs()), tmp_path)
    assert state.status == DONE
    [trial] = collect(plan, tmp_path)
    assert len(trial.F) == 5**5
    assert trial.regret[-1] == pytest.approx(0.0, abs=1e-12)


def test_a_run_in_other_hands_is_waited_for(tmp_path: Path) -> None:
    import threading

    plan = toy_plan(seeds=(0,))
    jobs = list(plan.jobs())
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with locked(folder_of(tmp_path, jobs[0])):
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if (1, 2) in seen:
            release.set()

    states = run_study(jobs, tmp_path, progress=progress)
    thread.join()
    assert [s.status for s in states] == [DONE, DONE]
    assert seen[-1] == (2, 2)


def test_a_corrupt_log_is_a_failed_run(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0,))
    jobs = list(plan.jobs())
    run_study(jobs, tmp_path)
    log = folder_of(tmp_path, jobs[0]) / LOG
    log.write_bytes(log.read_bytes().replace(b'"i": 3', b'"i": 4', 1))
    tables = tabulate(plan, collect(plan, tmp_path))
    assert [t.status for t in tables.trials] == [FAILED, DONE]
    assert "line 4 is corrupt (it does not match its checksum): study --rerun makes it anew" in markdown(tables)


def test_a_finished_run_that_cannot_be_used_is_listed_until_it_is_run_again(tmp_path: Path) -> None:
    args = ("study", "--methods", "random", "--spaces", "toy", "--seeds", "0-2", "--budget", 20, "--jobs", 1)
    args = (*args, "--no-figures", "--out", tmp_path)
    study(*args)
    whole = logs(tmp_path)
    first, second, third = (log.parent for log in sorted(tmp_path.rglob(LOG)))
    log = first / LOG
    log.write_bytes(log.read_bytes().replace(b'"i": 3', b'"i": 2', 1))
    edit_rows(second, lambda rows: rows[7].update(F=[1.5, 2.0]))
    (third / "timing.jsonl").write_text('{"first": 0}\n')
    before = logs(tmp_path)
    text = study(*args, code=1)
    assert logs(tmp_path) == before
    assert [r["status"] for r in records(tmp_path / "trials.csv")] == ["failed"] * 3
    for reason in (
        "line 4 is corrupt (it does not match its checksum): study --rerun makes it anew",
        "its log was changed: evaluation 7 has error 1.5, looked up again it is ",
        "timing.jsonl, line 1 is corrupt (Object missing required field `n`",
    ):
        assert reason in " ".join(text.split())
    study(*args, "--rerun")
    assert [r["status"] for r in records(tmp_path / "trials.csv")] == ["done"] * 3
    assert logs(tmp_path) == whole


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "null", "3", '"a"', '{"a": 1}', "[{}]", '[{"variants": 3}]', "[[]]", "["]
)
def test_a_corrupt_list_of_plans_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "plans.json").write_text(text)
    with pytest.raises(RunError, match=r"plans\.json is corrupt \(.*\): remove it, the runs are not touched\."):
        record_plan(tmp_path, toy_plan())
    assert (tmp_path / "plans.json").read_text() == text


@pytest.mark.parametrize("text", ["[" * 100_000, "null", '{"status": 3}', '{"status": "done", "rows": "40"}', "{"])
def test_a_corrupt_status_counts_for_nothing(tmp_path: Path, text: str) -> None:
    plan = toy_plan(seeds=(0,))
    jobs = list(plan.jobs())
    run_study(jobs, tmp_path)
    (folder_of(tmp_path, jobs[0]) / "status.json").write_text(text)
    assert [state_of(tmp_path, job).status for job in jobs] == [DONE, DONE]
    (folder_of(tmp_path, jobs[0]) / LOG).write_bytes(b"")
    assert [state_of(tmp_path, job).status for job in jobs] == [MISSING, DONE]


def test_a_table_that_was_imported_anew_is_not_mixed_with_the_old_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    names = ["".join(x) for x in itertools.product("012", repeat=8)]

    def install(shift: int) -> None:
        values = [f"{name},{60 + 2 * sum(map(int, name)) - shift}" for name in names]
        (tmp_path / "table.csv").write_text("\n".join(["arch,acc", *values, ""]))
        study(
            *("data", "import", tmp_path / "table.csv", "--space", "macro", "--name", "mine"),
            *("--accuracy", "acc:single", "--overwrite"),
        )

    args = ("study", "--methods", "random", "--spaces", "macro/mine", "--budget", 10, "--jobs", 1, "--no-figures")
    args = (*args, "--out", tmp_path / "study", "--seeds")
    install(0)
    study(*args, "0-1")
    install(20)
    text = " ".join(study(*args, "0-2", code=1).split())
    assert "it was run on another version of the table" in text
    assert [r["status"] for r in records(tmp_path / "study" / "trials.csv")] == ["failed", "failed", "done"]
    study(*args, "0-2", "--rerun")
    rows = records(tmp_path / "study" / "trials.csv")
    assert [r["status"] for r in rows] == ["done"] * 3
    assert all(float(r["regret_10"]) >= 0 for r in rows)


def test_a_log_cut_short_is_completed(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0,))
    jobs = list(plan.jobs())
    run_study(jobs, tmp_path)
    whole = logs(tmp_path)
    log = folder_of(tmp_path, jobs[1]) / LOG
    log.write_bytes(log.read_bytes()[:-7])
    assert state_of(tmp_path, jobs[1]).status == MISSING
    run_study(jobs, tmp_path)
    assert logs(tmp_path) == whole


def test_a_case_that_a_method_refuses_is_a_failed_run(tmp_path: Path) -> None:
    plan = Plan(
        (Variant("random", "random"), Variant("sm", "smemnas")),
        (Case("toy"), Case("toy", "", ("flops",))),
        (0,),
        12,
    )
    plan = check_plan(plan)
    states = run_study(list(plan.jobs()), tmp_path)
    assert sorted(s.status for s in states) == [DONE, DONE, DONE, FAILED]
    assert "an objective that is not free" in next(s.reason for s in states if s.status == FAILED)
