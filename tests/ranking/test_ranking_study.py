"""The ranking study: running, continuing, choosing encodings, tables, files and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from conftest import ROOT
from ranking_cases import assert_same, make, rank, records, rows_without_times, toy_plan

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.ranking.data import data_of
from smemnas.bench.ranking.plan import (
    CORE,
    DEVELOPMENT_SEEDS,
    check_plan,
    choose_variants,
    groups,
    parse_draws,
    parse_n_test,
    parse_sizes,
)
from smemnas.bench.ranking.study import LOG, RankLog, choose_encodings, run_ranking
from smemnas.bench.ranking.trial import PROXY_SUFFIX, SurrogateVariant
from smemnas.bench.report.ranking.files import write_ranking
from smemnas.bench.workers.backends import Place
from smemnas.bench.workers.child import Child

PLUGIN = """
import os
import signal
import time

import numpy as np

from smemnas.surrogates.base import SURROGATES, Surrogate


class Slow(Surrogate):
    def __init__(self, *, seed, pause: float = 0.0, trouble: str = ""):
        self.seed, self.pause, self.trouble = seed, pause, trouble

    def fit(self, Z, y):
        time.sleep(self.pause)
        if self.seed == 1 and len(y) > 30:
            if self.trouble == "raise":
                raise ArithmeticError("no more ideas")
            if self.trouble == "exit":
                raise SystemExit(0)
            if self.trouble == "hang":
                time.sleep(1000)
            if self.trouble == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        self.w = np.linalg.lstsq(Z, y, rcond=None)[0]
        return self

    def rank(self, Z):
        return np.full(len(Z), np.nan) if self.seed == 1 and self.trouble == "nan" else Z @ self.w


SURROGATES.register("slow", summary="For tests")(Slow)
"""


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "slow_plugin.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def toy():
    return data_of("toy", "closed-form", "")


# --- plans


def test_groups_and_names(toy):
    known = groups(toy, False)
    assert known["core"][0] == "kernel_pairwise"
    assert {"random", "flops"} <= set(known["core"]) <= set(known["all"])
    assert not {"cart", "adaptive"} & set(known["all"])
    assert "cart" in groups(toy, True)["core"]
    assert set(CORE) <= set(known["core"])
    assert [v.column for v in choose_variants(toy, ("gp", "flops", "gp"), False)] == ["", "flops"]
    with pytest.raises(UserError, match="Did you mean 'forest'"):
        choose_variants(toy, ("forst",), False)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"n_train": (1, 20)}, "from 2 to 2,825"),
        ({"n_train": (3120,)}, "--n-train takes numbers"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (0, 1000)}, "below 1000"),
        ({"pools": ("back",)}, "no pool 'back'"),
        ({"split": "half"}, "no split 'half'"),
        ({"encodings": ("onehott",)}, "Did you mean 'onehot'"),
        ({"with_proxies": True}, "no zero-cost proxies"),
        ({"surrogates": ()}, "at least one surrogate"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(toy, wish, words):
    with pytest.raises(UserError, match=words):
        toy_plan(toy, **wish)


def test_the_same_surrogate_twice_is_refused(toy):
    plan = toy_plan(toy)
    for extra, words in (
        (SurrogateVariant("rbf", "gp"), "two surrogates are called 'rbf'"),
        (SurrogateVariant("other", "rbf"), "are the same"),
        (SurrogateVariant("x", "gp", {"restart": 1}), "Did you mean 'restarts'"),
    ):
        with pytest.raises(UserError, match=words):
            check_plan(replace(plan, variants=(*plan.variants, extra)), toy)
    with pytest.raises(UserError, match="Did you mean 'rbf'"):
        check_plan(plan, toy, [("kernel_ridge", "rbff")])


def test_parsing():
    assert parse_draws("4") == (0, 1, 2, 3)
    assert parse_draws("4-5,9") == (4, 5, 9)
    assert parse_sizes("50, 20") == (50, 20)
    assert parse_n_test("half", 15_625) == 7812
    for call in (lambda: parse_sizes("50,x"), lambda: parse_n_test("9", 100), lambda: parse_n_test("all", 100)):
        with pytest.raises(UserError):
            call()


# --- choosing encodings


def test_the_best_encoding_is_chosen_on_development_draws(toy, tmp_path):
    plan = toy_plan(toy, surrogates=("kernel_ridge", "random", "flops"), encodings=("best",))
    development = plan.development(toy)
    assert {t.seed for t in development} == set(DEVELOPMENT_SEEDS)
    assert not set(plan.seeds) & set(DEVELOPMENT_SEEDS)
    assert {(t.variant.name, t.encoding) for t in development} == {("kernel_ridge", e) for e in ("int", "onehot")}
    log = RankLog(tmp_path / LOG)
    with log:
        for tau, winner in ((0.5, "int"), (0.7, "onehot")):
            for t in development:
                scores = {"error": {"tau": tau if t.encoding == "onehot" else 0.6}}
                log.append(
                    {"key": t.key(toy, "uniform"), "status": "ok", "scores": scores, "n_ranked": 1, "time": {"a": 0}}
                )
            assert choose_encodings(plan, toy, log) == {"kernel_ridge": (winner,), "random": ("int",), "flops": ("",)}
    every = replace(plan, encodings=("all",))
    assert every.development(toy) == []
    assert choose_encodings(every, toy, log)["kernel_ridge"] == ("int", "onehot")
    named = replace(plan, encodings=("int+onehot",), with_proxies=True)
    assert choose_encodings(named, toy, log)["kernel_ridge"] == ("int+onehot" + PROXY_SUFFIX,)


# --- running


def test_what_is_there_is_not_run_again_and_everything_can_be_added_to(toy, tmp_path):
    make(toy, tmp_path, seeds=(0, 1))
    before = (tmp_path / LOG).read_bytes()
    assert before.count(b"\n") == 4 * 2 * 2
    make(toy, tmp_path, seeds=(1, 0))
    assert (tmp_path / LOG).read_bytes() == before
    tables = make(toy, tmp_path, surrogates=("kernel_ridge", "gp", "rbf"), seeds=(0, 1, 2), n_train=(20, 40, 60))
    after = (tmp_path / LOG).read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 16 + (3 * 3 * 3 - 2 * 2 * 2)
    assert {t.status for t in tables.trials} == {"ok"}


def test_a_torn_last_line_is_dropped_and_a_corrupt_one_refused(toy, tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for out in (whole, torn):
        write_ranking(out, make(toy, out))
    lines = (torn / LOG).read_bytes().splitlines(keepends=True)
    (torn / LOG).write_bytes(b"".join(lines[:5]) + lines[5][:60])
    tables = make(toy, torn)
    write_ranking(torn, tables)
    rows = [json.loads(line) for line in (torn / LOG).read_text().splitlines()]
    assert len(rows) == len(lines)
    assert rows_without_times(whole) == rows_without_times(torn)
    (torn / LOG).write_bytes(b"".join(lines[:3]) + b"{}\n" + b"".join(lines[3:]))
    with pytest.raises(RunError, match="line 4 is corrupt"):
        RankLog(torn / LOG)


@pytest.mark.parametrize("name", ["tau", "spearman", "pair_accuracy"])
def test_a_row_without_checksum_that_lost_one_score_is_refused(toy, tmp_path, name):
    """These three are undefined together or not at all, so that a surrogate does not vanish from the tables."""
    write_ranking(tmp_path, make(toy, tmp_path))
    lines = (tmp_path / LOG).read_text().splitlines()
    row = json.loads(lines[2])
    del row["sum"]
    (tmp_path / LOG).write_text("\n".join([*lines[:2], json.dumps(row), *lines[3:]]) + "\n")
    assert len(RankLog(tmp_path / LOG).rows) == len(lines)  # as earlier versions wrote it
    next(iter(row["scores"].values()))[name] = None
    (tmp_path / LOG).write_text("\n".join([*lines[:2], json.dumps(row), *lines[3:]]) + "\n")
    with pytest.raises(RunError, match="line 3 is corrupt"):
        RankLog(tmp_path / LOG)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_study_continues_to_the_identical_tables(tmp_path, plugin, jobs):
    def args(out, workers):
        return (
            *("--plugin", plugin, "rank", "--space", "toy", "--surrogates", "kernel_ridge,random,flops"),
            *("--variant", "slow=slow:pause=0.02", "--contrast", "slow,kernel_ridge", "--n-train", "20,40"),
            *("--seeds", 4, "--n-test", 200, "--pool", "uniform,front", "--jobs", workers),
            *("--no-calibration", "--no-figures", "--quiet", "--out", out),
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    rank(*args(whole, 1))

    def count():
        return (killed / LOG).read_bytes().count(b"\n") if (killed / LOG).exists() else 0

    unfinished = 0
    for _ in range(2):
        before = count()
        process = subprocess.Popen([sys.executable, str(ROOT / "cli.py"), *map(str, args(killed, jobs))])
        latest = time.monotonic() + 100
        while count() <= before + 12 and process.poll() is None:
            assert time.monotonic() < latest
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            unfinished += 1
    assert unfinished >= 1
    assert not (killed / "ranking.csv").exists()
    rank(*args(killed, jobs))
    assert_same(whole, killed)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("raise", "ArithmeticError: no more ideas"), ("exit", "SystemExit: 0"), ("nan", "no finite score")],
)
def test_a_failing_trial_is_listed_and_the_rest_go_on(tmp_path, plugin, trouble, reason):
    out = tmp_path / "out"
    args = (
        *("--plugin", plugin, "rank", "--space", "toy", "--surrogates", "kernel_ridge", "--encodings", "int"),
        *("--variant", f"bad=slow:trouble={trouble}", "--n-train", "20,40", "--seeds", 2, "--jobs", 1),
        *("--no-calibration", "--no-figures", "--out", out),
    )
    text = rank(*args, code=1)
    failed = [r for r in records(out / "trials.csv") if r["status"] != "ok"]
    assert {(r["surrogate"], r["seed"]) for r in failed} == {("bad", "1")}
    assert all(reason in r["reason"] and r["error_tau"] == "" for r in failed)
    assert "unfinished   bad on int, n=40, seed 1: " in text
    summary = {(r["surrogate"], r["n_train"]): r for r in records(out / "ranking.csv") if r["metric"] == "tau"}
    assert summary["bad", "40"]["seeds"] == "1"
    assert summary["kernel_ridge", "40"]["seeds"] == "2"
    assert reason in (out / "ranking.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run it on Linux or macOS: needs SIGKILL")
def test_a_worker_that_dies_takes_no_other_trial_with_it(tmp_path, plugin):
    out = tmp_path / "out"
    rank(
        *("--plugin", plugin, "rank", "--space", "toy", "--surrogates", "kernel_ridge", "--encodings", "int"),
        *("--variant", "bad=slow:trouble=die", "--n-train", "20,40", "--seeds", 3, "--jobs", 2),
        *("--no-calibration", "--no-figures", "--quiet", "--out", out),
        code=1,
    )
    failed = [r for r in records(out / "trials.csv") if r["status"] != "ok"]
    assert [(r["surrogate"], r["n_train"], r["seed"], r["status"]) for r in failed] == [("bad", "40", "1", "failed")]
    assert "worker process died" in failed[0]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_trial_that_hangs_is_ended(tmp_path, plugin, jobs):
    args = (
        *("--plugin", plugin, "rank", "--space", "toy", "--surrogates", "kernel_ridge", "--encodings", "int"),
        *("--variant", "bad=slow:trouble=hang", "--n-train", "20,40", "--seeds", 2, "--jobs", jobs),
        *("--no-calibration", "--no-figures", "--quiet"),
    )
    rank(*args, "--timeout", 12, "--out", tmp_path / "out", code=1)
    rows = records(tmp_path / "out" / "trials.csv")
    failed = [r for r in rows if r["status"] != "ok"]
    assert [(r["surrogate"], r["n_train"], r["seed"], r["reason"]) for r in failed] == [
        ("bad", "40", "1", "no result after 12 s")
    ]
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backend", "cloud"), "--backend takes one of loky, dask, ray"),
        (("--backend", "dask"), "needs the scheduler's --address"),
        (("--address", "tcp://127.0.0.1:1"), "--address names a cluster"),
        (("--timeout", "0"), "--timeout must be above 0"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused(tmp_path, options, words):
    text = rank("rank", "--space", "toy", "--surrogates", "random", "--out", tmp_path / "out", *options, code=2)
    assert words in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"status": "ok"', b'"status": "oj"', "Invalid enum value 'oj'"),
        (b'"tau": 0.', b'"tau": 1.', "it does not match its checksum"),
        (b'"scores": {', b'"scorer": {', "unknown field `scorer`"),
        (b'"n_ranked": ', b'"n_ranked": -', "Expected `int` >= 0"),
        (b'{"key": ', b'{"keys": ' + b"[" * 100_000 + b"]" * 100_000 + b', "key": ', "unknown field `keys`"),
    ],
)
def test_a_changed_row_is_refused_in_one_line(toy, tmp_path, old, new, reason):
    make(toy, tmp_path)
    log = tmp_path / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new, 1)
    log.write_bytes(b"".join(lines))
    with pytest.raises(RunError) as caught:
        make(toy, tmp_path)
    assert str(caught.value).startswith(f"{log}, line 3 is corrupt (")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("): restore or remove the file.")


def test_the_children_that_chose_the_encodings_take_the_trials_too(tmp_path, monkeypatch):
    """Each child imports and opens everything once, which on a large table is most of the time of a small study."""
    started = []

    class Counted(Child):
        def __init__(self, module, environment):
            super().__init__(module, environment)
            started.append(module)

    monkeypatch.setattr("smemnas.bench.workers.child.Child", Counted)
    data = data_of("toy", "closed-form")
    plan = toy_plan(data, ("knn",), n_train=(20,), seeds=(0,), encodings=("best",))
    log, _ = run_ranking(plan, data, tmp_path / "out", place=Place(workers=1, timeout=100.0))
    assert started == ["smemnas.bench.ranking.study"]
    assert {row["status"] for row in log.rows.values()} == {"ok"}
    assert len({row["key"]["seed"] for row in log.rows.values()}) == 1 + len(DEVELOPMENT_SEEDS)
