"""The run loop: budget, charging, failures, resume by replay, locks and refusals."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, SLOW_METHODS
from edits import edit_job, row_text

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.provenance import kernels
from smemnas.bench.report.run import summarise, write_report
from smemnas.bench.runs.folder import clear, locked
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import make_job, short_place
from smemnas.bench.runs.run import MAX_ASKS_PER_EVALUATION, check_genotypes, run, search
from smemnas.methods.base import METHODS, Method
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy, error

OBJECTIVES = (Objective("error", "%", False), Objective("flops", "M", True))


def toy(change=None, calls=None):
    """The toy benchmark, whose numbers may be changed and whose calls may be counted."""

    def measure(X, seed):
        if calls is not None:
            calls.append(len(X))
        F = np.stack([error(X), 1.0 + X.sum(axis=1)], axis=1)
        return F if change is None else change(F, X)

    return CallableBenchmark(Toy(), measure, OBJECTIVES)


def log_of(folder):
    return (folder / "evals.jsonl").read_bytes()


def toy_job(method="random", budget=30, seed=0, **params):
    return make_job(method, "toy", budget=budget, seed=seed, params=params)


class Scripted(Method):
    """Asks for given batches, then for nothing; remembers what it is told."""

    def __init__(self, batches):
        self.batches, self.told = [np.array(b, dtype=np.int64).reshape(-1, 5) for b in batches], []

    def ask(self):
        return self.batches.pop(0) if self.batches else np.empty((0, 5), np.int64)

    def tell(self, X, F):
        self.told.append((X.copy(), F.copy()))


def go(tmp_path, method, budget=10, benchmark=None):
    history = History(tmp_path / "evals.jsonl")
    with history:
        search(method, benchmark or toy(), budget, 0, history)
    return history


A, B, C, D = [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [2, 0, 0, 0, 0], [3, 0, 0, 0, 0]


# ---- the loop ----


def test_the_budget_cuts_a_batch(tmp_path):
    method = Scripted([[A, B, C, D], [[4, 4, 4, 4, 4]]])
    history = go(tmp_path, method, budget=3)
    assert [r.x for r in history.rows] == [tuple(v) for v in (A, B, C)]
    ((X, F),) = method.told
    np.testing.assert_array_equal(X, [A, B, C])
    np.testing.assert_allclose(F, [[44, 1], [40.5, 2], [38, 3]])


def test_a_known_genotype_is_told_for_free(tmp_path):
    calls = []
    method = Scripted([[A, B, A], [B, C], [C, D, A, A]])
    history = go(tmp_path, method, benchmark=toy(calls=calls))
    assert [r.x for r in history.rows] == [tuple(v) for v in (A, B, C, D)]
    assert sum(calls) == 4
    assert [len(X) for X, _ in method.told] == [3, 2, 4]
    for X, F in method.told:
        np.testing.assert_array_equal(F[:, 0], error(X))


def test_known_genotypes_come_back_although_the_budget_is_spent_within_the_batch(tmp_path):
    method = Scripted([[A, B], [C, A, D]])
    go(tmp_path, method, budget=3)
    np.testing.assert_array_equal(method.told[1][0], [C, A])


def test_a_method_that_only_repeats_is_stopped(tmp_path):
    class Repeats(Scripted):
        asked = 0

        def ask(self):
            self.asked += 1
            return np.array([A], dtype=np.int64)

    method = Repeats([])
    history = go(tmp_path, method, budget=7)
    assert len(history.rows) == 1
    assert method.asked == 7 * MAX_ASKS_PER_EVALUATION


def test_no_rows_end_the_run(tmp_path):
    assert len(go(tmp_path, Scripted([[A], []]), budget=5).rows) == 1


def test_failures_are_logged_and_told_as_infinity(tmp_path):
    def change(F, X):
        F = F.copy()
        F[X[:, 0] == 1] = np.nan
        F[X[:, 0] == 2, 1] = np.inf
        return F

    method = Scripted([[A, B, C]])
    rows = go(tmp_path, method, benchmark=toy(change)).rows
    assert [r.status for r in rows] == ["ok", "failed", "failed"]
    assert rows[1].F == (None, None)
    assert rows[2].F == (38.0, None)
    assert rows[1].error
    assert rows[0].error == ""
    np.testing.assert_array_equal(method.told[0][1], [[44, 1], [np.inf, np.inf], [np.inf, np.inf]])


def test_an_evaluation_that_raises_is_a_failed_row(tmp_path):
    def change(F, X):
        if (X[:, 0] == 1).any():
            raise RuntimeError("out of\nmemory")
        return F

    rows = go(tmp_path, Scripted([[A, B, C]]), benchmark=toy(change)).rows
    assert [r.status for r in rows] == ["ok", "failed", "ok"]
    assert rows[1].error == "RuntimeError: out of memory"
    assert rows[2].F == (38.0, 3.0)


def test_a_user_error_while_evaluating_stops_the_run(tmp_path):
    def change(F, X):
        raise UserError("the table is gone")

    with pytest.raises(UserError, match=r"the table is gone"):
        go(tmp_path, Scripted([[A]]), benchmark=toy(change))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((2, 4), np.int64), r"expected integers \(m, 5\)"),
        (np.zeros(5, np.int64), r"expected integers \(m, 5\)"),
        (np.zeros((2, 5)), r"float64 .* expected integers"),
        (np.array([[0, 0, 0, 0, 5]]), "no architecture of space 'toy'"),
        (np.array([[0, 0, 0, 0, -1]]), "no architecture of space 'toy'"),
    ],
)
def test_asks_are_checked(X, words):
    with pytest.raises(RunError, match=words):
        check_genotypes(X, toy())


def test_small_integer_types_are_taken():
    assert check_genotypes(np.array([A], dtype=np.int8), toy()).dtype == np.int64


# ---- resume ----


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Logs of uninterrupted runs, by method."""
    logs = {}
    for method in ("random", "nsga2", "smemnas"):
        job, benchmark = toy_job(method, 40)
        folder = tmp_path_factory.mktemp(method)
        run(job, folder, benchmark=benchmark)
        logs[method] = (job, benchmark, folder, log_of(folder))
    return logs


def cuts(data, n, seed):
    """Every end of a row, and `n` byte counts in between."""
    ends = [0, *(k + 1 for k, byte in enumerate(data) if byte == 10)]
    return sorted({*ends, *random.Random(seed).sample(range(len(data)), n)})


@pytest.mark.parametrize("method", ["random", "nsga2", "smemnas"])
def test_a_run_cut_anywhere_and_resumed_is_byte_identical(whole, tmp_path, method):
    job, benchmark, source, data = whole[method]
    assert data.count(b"\n") == 40
    (tmp_path / "job.json").write_bytes((source / "job.json").read_bytes())
    places = cuts(data, 12, seed=1)[::2] if method == "smemnas" else cuts(data, 60, seed=1)
    for cut in places:
        (tmp_path / "evals.jsonl").write_bytes(data[:cut])
        result = run(job, tmp_path, benchmark=benchmark)
        assert log_of(tmp_path) == data, f"cut after {cut} bytes"
        assert len(result.X) == 40


def test_a_finished_run_is_not_run_again(whole, tmp_path):
    job, _, source, _data = whole["random"]
    for name in ("job.json", "evals.jsonl"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    calls = []
    result = run(job, tmp_path, benchmark=toy(calls=calls))
    assert calls == []
    assert len(result.X) == 40


def test_another_history_is_refused_and_left_alone(whole, tmp_path):
    job, benchmark, source, data = whole["nsga2"]
    lines = data.splitlines(keepends=True)
    row = json.loads(lines[20])
    fresh = next(x for x in Toy().enumerate() if f'"{Toy().to_str(x)}"'.encode() not in data)
    row |= {"x": fresh.tolist(), "arch": Toy().to_str(fresh), "F": benchmark.evaluate(fresh[None], 0).F[0].tolist()}
    changed = b"".join([*lines[:20], row_text(row).encode() + b"\n", *lines[21:30]])
    (tmp_path / "job.json").write_bytes((source / "job.json").read_bytes())
    (tmp_path / "evals.jsonl").write_bytes(changed)
    with pytest.raises(RunError, match=r"does not replay: evaluation 20 .*--continue-from-log"):
        run(job, tmp_path, benchmark=benchmark)
    assert log_of(tmp_path) == changed

    result = run(job, tmp_path, benchmark=benchmark, continue_from_log=True)
    assert log_of(tmp_path).startswith(changed)
    assert len(result.X) == 40
    assert len(np.unique(result.X, axis=0)) == 40
    summary = write_report(tmp_path, result, benchmark)
    assert "Continued from a log of 30 rows without replay." in summary["notes"]
    assert summary["notes"] == json.loads((tmp_path / "summary.json").read_text())["notes"]


def test_an_ordinary_run_carries_no_such_note(whole, tmp_path):
    job, benchmark, _, _ = whole["random"]
    result = run(job, tmp_path, benchmark=benchmark)
    assert not any("without replay" in note for note in summarise(result, benchmark, None)["notes"])


# ---- folders ----


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 1), ("budget", 39), ("method", "random"), ("objectives", ("error",)), ("params", {"population": 10})],
)
def test_a_folder_of_another_job_is_refused(whole, tmp_path, field, value):
    job, benchmark, source, _ = whole["nsga2"]
    for name in ("job.json", "evals.jsonl"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    with pytest.raises(RunError, match=f"holds a run with {field} "):
        run(replace(job, **{field: value}), tmp_path, benchmark=benchmark)


def test_a_folder_of_another_table_is_refused(whole, tmp_path):
    job, benchmark, source, _ = whole["nsga2"]
    (tmp_path / "job.json").write_bytes((source / "job.json").read_bytes())
    edit_job(tmp_path, lambda entry: entry.update(data={"table": "toy/closed-form", "sha256": "0" * 64}))
    with pytest.raises(RunError, match=r"another version of the table"):
        run(job, tmp_path, benchmark=benchmark)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": 3}', "null"])
def test_a_corrupt_job_is_refused(whole, tmp_path, text):
    job, benchmark, _, _ = whole["random"]
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(RunError, match=r"job\.json is corrupt .*--overwrite"):
        run(job, tmp_path, benchmark=benchmark)


def test_a_log_without_a_job_is_refused(whole, tmp_path):
    job, benchmark, _source, data = whole["random"]
    (tmp_path / "evals.jsonl").write_bytes(data)
    with pytest.raises(RunError, match=r"a log but no job\.json"):
        run(job, tmp_path, benchmark=benchmark)


def test_overwrite_starts_again(whole, tmp_path):
    job, benchmark, _, data = whole["random"]
    run(toy_job("random", 10, seed=5)[0], tmp_path, benchmark=benchmark)
    for name in ("summary.json", "front.png", ".front.png.1-ab.part", "job.json.part"):
        (tmp_path / name).write_text("")
    run(job, tmp_path, benchmark=benchmark, overwrite=True)
    assert log_of(tmp_path) == data
    assert {p.name for p in tmp_path.iterdir()} - {".lock"} == {"job.json", "evals.jsonl", "timing.jsonl"}


def test_overwrite_refuses_a_folder_that_is_no_run(whole, tmp_path):
    job, benchmark, _, _ = whole["random"]
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"holds files but no job\.json"):
        run(job, tmp_path, benchmark=benchmark, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_clear_that_is_killed_leaves_a_folder_that_can_be_cleared(whole, tmp_path, monkeypatch):
    from pathlib import Path

    job, benchmark, _, _ = whole["random"]
    run(job, tmp_path, benchmark=benchmark)
    removed = []

    def unlink(path, missing_ok=False):
        removed.append(path.name)

    monkeypatch.setattr(Path, "unlink", unlink)
    clear(tmp_path)
    assert removed[-1] == "job.json"
    assert set(removed) == {"job.json", "evals.jsonl", "timing.jsonl"}


def test_two_processes_never_write_one_folder(whole, tmp_path):
    job, benchmark, _, _ = whole["random"]
    with locked(tmp_path):
        code = (
            "from pathlib import Path\nfrom smemnas.bench.runs.job import make_job\n"
            "from smemnas.bench.runs.run import run\n"
            "job, benchmark = make_job('random', 'toy', budget=40)\n"
            f"run(job, Path({str(tmp_path)!r}), benchmark=benchmark)\n"
        )
        other = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert other.returncode == 1
        assert "is in use by another run" in other.stderr
        assert not (tmp_path / "evals.jsonl").exists()
    run(job, tmp_path, benchmark=benchmark)
    assert len(History(tmp_path / "evals.jsonl").rows) == 40


def test_a_second_run_gets_one_line(cli, one_line_error, tmp_path):
    with locked(tmp_path / "out"):
        one_line_error(
            cli("run", "--method", "random", "--space", "toy", "--budget", 9, "--out", tmp_path / "out"),
            "is in use by another run",
            code=1,
        )


def test_the_log_depends_on_nothing_but_the_job(whole, tmp_path):
    job, _, _source, data = whole["smemnas"]
    run(job, tmp_path, benchmark=toy())
    assert log_of(tmp_path) == data
    entry = json.loads((tmp_path / "job.json").read_text())
    assert entry["environment"]["packages"]["numpy"] == np.__version__
    assert {"git_commit", "python", "platform", "machine", "processor"} <= set(entry["environment"])
    assert entry["environment"]["blas"] == kernels()["blas"] != ""
    assert entry["environment"]["simd"] == kernels()["simd"]


def test_every_method_is_charged_alike(tmp_path):
    for name in METHODS.names():
        if name in SLOW_METHODS or importlib.util.find_spec(METHODS.get(name).factory.needs or "numpy") is None:
            continue  # many proposals take long, or an extra brings it: run where that is installed
        job, benchmark = toy_job(name, 33)
        result = run(job, tmp_path / name, benchmark=benchmark)
        assert len(result.X) == 33 == len(np.unique(result.X, axis=0)), name


def test_times_go_to_their_own_file(whole):
    _, _, folder, _ = whole["nsga2"]
    lines = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    assert sum(line["n"] for line in lines) == 40
    assert [line["first"] for line in lines] == list(np.cumsum([0, *(line["n"] for line in lines[:-1])]))
    assert all(line[part] >= 0 for line in lines for part in ("ask", "evaluate", "tell"))


def test_a_benchmark_that_reports_reasons_has_them_in_the_log(tmp_path):
    class Reasons(CallableBenchmark):
        def evaluate(self, X, seed):
            return Evaluation(np.full((len(X), 2), np.nan), np.zeros(len(X)), ("no such row",) * len(X))

    rows = go(tmp_path, Scripted([[A]]), benchmark=Reasons(Toy(), lambda X, s: X, OBJECTIVES)).rows
    assert (rows[0].status, rows[0].error) == ("failed", "no such row")


def test_titles_name_the_last_parts_of_a_path_only(tmp_path):
    """The title of a search by a supernet went beyond the picture."""
    result = run(make_job("random", "toy", budget=20)[0], tmp_path)
    shown = repr(replace(result, job=replace(result.job, dataset="supernet+%2Fhome%2Fme%2Fruns%2Fnet%2Fcheckpoint.pt")))
    assert "supernet+.../net/checkpoint.pt, seed" in shown
    assert short_place("mnv3/supernet+/home/me/runs/7/net/checkpoint.pt") == "mnv3/supernet+.../net/checkpoint.pt"
    assert short_place("nb201/cifar10") == "nb201/cifar10"
    assert short_place("mnv3/ofa+latency=/a/b/c/my.json") == "mnv3/ofa+latency=.../c/my.json"
    assert short_place("mnv3/train+/data/photos+tiny") == "mnv3/train+/data/photos+tiny"
