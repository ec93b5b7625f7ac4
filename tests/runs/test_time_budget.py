"""Training time as a budget: against the table, cut within a batch, resumed, and refused where there is none."""

from __future__ import annotations

import json

import forked
import numpy as np
import pytest
from edits import edit_rows

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.benchmarks.timed import time_column
from smemnas.bench.data.manage import export
from smemnas.bench.data.user import import_table
from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.library.run import RunOptions
from smemnas.bench.library.run import run as run_options
from smemnas.bench.runs.clock import Clock
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run, search
from smemnas.bench.values import duration, duration_text
from smemnas.methods.base import METHODS
from smemnas.spaces.base import Objective
from smemnas.spaces.macro import Macro
from smemnas.spaces.toy import Toy, error

SPACE = Macro()


@pytest.fixture(scope="module", autouse=True)
def table(tmp_path_factory):
    """A table of 200 architectures, three trainings each, with the seconds of each training."""
    folder = tmp_path_factory.mktemp("times")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(folder / "cache"))
        yield made(folder)


def made(folder):
    rng = np.random.default_rng(5)
    X = SPACE.enumerate()[rng.permutation(SPACE.size)[:200]]
    lines = ["arch,a,b,c,s,t,u"]
    for x in X:
        accuracy, seconds = rng.uniform(50, 95, 3).tolist(), rng.integers(500, 5000, 3).tolist()
        lines.append(",".join([SPACE.to_str(x), *map(repr, accuracy), *map(str, seconds)]))
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    import_table(folder / "m.csv", "macro", "mine", accuracies=("a,b,c:single",), time="s,t,u")
    return {line.split(",")[0]: line.split(",")[1:] for line in lines[1:]}


def go(folder, method="nsga2", time=36_000.0, seed=1, budget=None, dataset="mine"):
    job, _ = make_job(method, "macro", dataset=dataset, seed=seed, budget=budget, budget_time=time)
    return run(job, folder)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "evals.jsonl").read_text().splitlines()]


# --- against the table


@pytest.mark.parametrize("method", ["random", "nsga2", "smemnas"])
def test_a_run_ends_with_the_evaluation_whose_time_passes_the_budget(tmp_path, table, method):
    result = go(tmp_path / "r", method)
    spent = []
    for row in rows_of(tmp_path / "r"):
        values, seconds = table[row["arch"]][:3], table[row["arch"]][3:]
        trained = [100.0 - float(value) for value in values].index(row["F"][0])  # which of the three was seen
        assert row["seconds"] == float(seconds[trained])
        spent.append(row["seconds"])
    assert sum(spent[:-1]) <= 36_000 < sum(spent)
    assert len({row["seconds"] for row in rows_of(tmp_path / "r")}) > 5
    assert result.seconds["training"] == sum(spent)
    assert result.note == ""


def test_within_a_batch_the_order_decides(tmp_path):
    go(tmp_path / "whole", "random", time=200_000.0)  # random asks for 64 at once
    log = (tmp_path / "whole" / "evals.jsonl").read_bytes().splitlines(keepends=True)
    times = [json.loads(line)["seconds"] for line in log]
    for n in (1, 2, 17):
        go(tmp_path / str(n), "random", time=sum(times[:n]) - 1)
        assert (tmp_path / str(n) / "evals.jsonl").read_bytes() == b"".join(log[:n])
    go(tmp_path / "exactly", "random", time=sum(times[:3]))  # spent, not passed: one more fits in the door
    assert len(rows_of(tmp_path / "exactly")) == 4


def test_whichever_budget_ends_first(tmp_path):
    assert len(go(tmp_path / "a", budget=4).F) == 4
    assert len(go(tmp_path / "b", budget=10_000, time=3_000).F) < 10
    assert make_job("random", "toy")[0].bound == "340 evaluations"
    assert go(tmp_path / "c", budget=4).job.bound == "4 evaluations or 10h of training"


def test_a_table_that_ends_before_the_time_says_so(tmp_path):
    result = go(tmp_path / "r", "random", time=86_400.0 * 300)
    assert len(result.F) == 200
    assert result.note.startswith("Ended after 6d6h4m24s of 300d of training: all architectures of the list")


def test_a_resumed_run_is_the_same_to_the_byte(tmp_path):
    go(tmp_path / "whole")
    whole = (tmp_path / "whole" / "evals.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (0, 1, len(lines) - 1, len(lines)):
        folder = tmp_path / f"cut-{cut}"
        go(folder, time=36_000.0)
        torn = lines[cut][:9] if cut < len(lines) else b""
        (folder / "evals.jsonl").write_bytes(b"".join(lines[:cut]) + torn)
        go(folder)
        assert (folder / "evals.jsonl").read_bytes() == whole


def test_a_log_whose_times_are_gone_is_refused(tmp_path):
    go(tmp_path / "r")
    edit_rows(tmp_path / "r", lambda rows: rows[2].pop("seconds"))
    with pytest.raises(RunError, match=r"evaluation 2 has no training time"):
        go(tmp_path / "r")
    with pytest.raises(RunError, match=r"holds a run with budget_time 36000"):
        go(tmp_path / "r", time=100.0)


# --- real trainings


class Trained(CallableBenchmark):
    """Evaluations that cost real time, each another one whenever it is measured."""

    timed, at_once, recheck = True, 1, None

    def __init__(self):
        objectives = (Objective("error", "%", False), Objective("flops", "M", True))
        super().__init__(Toy(), lambda X, seed: np.stack([error(X), 1.0 + X.sum(axis=1)], axis=1), objectives)
        self.measured = 0

    def evaluate(self, X, seed):
        F, _, errors = super().evaluate(X, seed)
        self.measured += len(X)
        return Evaluation(F, 10.0 + self.measured + np.arange(len(X)), errors)


def train(folder, benchmark, limit):
    method = METHODS.create("random", benchmark.problem, budget=1000, seed=0, params={})
    history = History(folder / "evals.jsonl")
    with history:
        search(method, benchmark, 1000, 0, history, clock=Clock(limit))
    return [row.seconds for row in history.rows]


def test_nothing_is_trained_beyond_the_budget_and_a_resumed_run_is_charged_what_the_log_says(tmp_path):
    first = Trained()
    assert train(tmp_path, first, 49.0) == [11.0, 12.0, 13.0, 14.0]
    assert first.measured == 4
    whole = (tmp_path / "evals.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "evals.jsonl").write_bytes(b"".join(whole[:2]))
    again = Trained()  # a machine that is faster now: the log's 11 and 12 stay
    assert train(tmp_path, again, 49.0) == [11.0, 12.0, 11.0, 12.0, 13.0]
    assert again.measured == 3


def test_what_runs_side_by_side_is_charged_in_order(tmp_path):
    benchmark = Trained()
    benchmark.at_once = 3
    assert train(tmp_path, benchmark, 20.0) == [13.0, 14.0]  # the third was trained and is not counted
    assert benchmark.measured == 3


# --- what is refused


def test_a_data_set_without_times_names_those_that_have_them():
    done = forked.run("run", "--method", "random", "--space", "nb201", "--budget-time", "2h")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --budget-time needs training times, which nb201/cifar10 does not have.")
    for name in ("macro/mine", "nb101/cifar10", "nb101/ecnas4", "--evaluator train", "data import --time"):
        assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1.5h", 5400)]
)
def test_durations(text, seconds):
    assert duration("--budget-time", text) == seconds
    assert duration("--budget-time", duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "2 hours", "-2h", "0s", "1m1h", "2hh", "nan", "1e3s", "\u0663h", "99999d"]
)
def test_what_is_no_duration(text):
    with pytest.raises(UserError, match="--budget-time"):
        duration("--budget-time", text)


def test_the_time_is_that_of_as_many_epochs_as_the_objectives_need():
    columns = {f"{name}{end}": {"role": "objective"} for name in ("val_error", "energy") for end in ("", "_36")}
    columns |= {f"train_seconds{end}": {"role": "info"} for end in ("", "_36")}
    assert time_column(columns, ["val_error_36", "flops"]) == "train_seconds_36"
    assert time_column(columns, ["val_error_36", "energy_36"]) == "train_seconds_36"
    assert time_column(columns, ["val_error_36", "energy"]) == "train_seconds"
    assert time_column(columns, ["flops"]) == "train_seconds"
    assert time_column({"val_error": {"role": "objective"}}, ["val_error"]) == ""


# --- imported times


def bring_in(tmp_path, text, **options):
    (tmp_path / "n.csv").write_text(text)
    return import_table(tmp_path / "n.csv", "macro", "other", **options)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ("11111111,60,,,", {"time": "t"}, "11111111 has 1 value of error and 0 of --time t"),
        ("11111111,60,0,,", {"time": "t"}, "a training of 0 seconds"),
        ("11111111,60,5,6,", {"time": "t,u"}, "has 1 value of error and 2 of --time t,u"),
        ("11111111,60,5,6,", {"time": "mine=t"}, "--time takes COLUMN or COLUMN,COLUMN"),
        ("11111111,60,-3,6,", {"time": "t"}, "-3 is negative"),
    ],
)
def test_times_that_do_not_fit_are_refused(tmp_path, row, options, message):
    with pytest.raises((UserError, DataError), match=message):
        bring_in(tmp_path, f"arch,acc,t,u,v\n{row}\n00000000,70,9,9,9\n", accuracies=("acc:single",), **options)


def test_times_survive_export_and_import(tmp_path):
    export("macro/mine", tmp_path / "e.csv")
    again = import_table(tmp_path / "e.csv", "macro", "again")
    assert again.columns["train_seconds"]["role"] == "time"
    go(tmp_path / "a")
    go(tmp_path / "b", dataset="again")
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    assert open_benchmark("macro", "again").timed


def test_the_command_says_what_was_spent(tmp_path):
    args = ("run", "--method", "nsga2", "--space", "macro", "--dataset", "mine", "--seed", 1)
    done = forked.run(*args, "--budget-time", "10h", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    total = sum(row["seconds"] for row in rows_of(tmp_path / "r"))
    assert f"{len(rows_of(tmp_path / 'r'))} evaluations, {duration_text(total)} of 10h of training" in done.stdout
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert (summary["budget_time"], summary["training_seconds"]) == (36_000.0, total)
    library = run_options(RunOptions("nsga2", "macro", "mine", seed=1, budget_time="10h", out=tmp_path / "lib"))
    assert (tmp_path / "lib" / "evals.jsonl").read_bytes() == (tmp_path / "r" / "evals.jsonl").read_bytes()
    assert "of 10h of training" in repr(library)


def test_a_caller_ends_a_run_within_a_batch_and_it_stays_ended(tmp_path):
    """A run whose caller has no time left has the first evaluations of the whole run, and goes on or not as told."""
    whole = run(make_job("random", "toy", budget=12, seed=2)[0], tmp_path / "whole")
    job, _ = make_job("random", "toy", budget=12, seed=2)
    asked = []
    short = run(job, tmp_path / "short", ends=lambda done: bool(asked.append(done)) or done >= 5)
    assert asked == [0, 1, 2, 3, 4, 5]
    assert short.note == "Ended early, after 5 of 12 evaluations: its time was up."
    np.testing.assert_array_equal(short.X, whole.X[:5])
    again = run(job, tmp_path / "short", ends=lambda done: done >= 5)
    np.testing.assert_array_equal(again.F, whole.F[:5])
    full = run(job, tmp_path / "short")
    np.testing.assert_array_equal(full.F, whole.F)
    assert (tmp_path / "short" / "evals.jsonl").read_bytes() == (tmp_path / "whole" / "evals.jsonl").read_bytes()
