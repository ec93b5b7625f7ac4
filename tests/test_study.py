"""The study runner: what is missing is run, whatever happens; the tables say what the logs say."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.benchmark import CallableBenchmark, Reference
from bench.comparison import tabulate
from bench.data.toy import open_toy
from bench.errors import UserError
from bench.history import History
from bench.indicators import hypervolume_regret, igd_plus
from bench.plan import (
    Case,
    Contrast,
    Plan,
    Variant,
    check_plan,
    make_cases,
    parse_numbers,
    parse_seeds,
    parse_shard,
    split_variant,
)
from bench.plans import PLANS, named_plan
from bench.report.study import markdown, seed_text, write_study
from bench.run import LOG, locked
from bench.study import DONE, FAILED, MISSING, folder_of, run_study, state_of
from bench.trials import collect, evaluations_to, measure, reported_floor
from spaces.base import FloatArray, IntArray
from spaces.toy import error, front

ROOT = Path(__file__).resolve().parents[1]
SAME_FILES = ("study.csv", "trials.csv", "plans.json")

PLUGIN = """
import os
import signal
import time

import numpy as np

from methods.base import METHODS, DesignStream, Method


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


def command(*args: object) -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), *(str(a) for a in args)]


def study(*args: object, code: int = 0) -> str:
    """Run the command line in a process of its own and return what it printed."""
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def records(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def logs(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob(LOG))}


def without_times(text: str) -> str:
    return text.partition("## Time")[0]


def assert_same_study(a: Path, b: Path) -> None:
    assert logs(a) == logs(b)
    assert len(logs(a)) > 0
    for name in SAME_FILES:
        assert (a / name).read_text() == (b / name).read_text(), name
    assert without_times((a / "study.md").read_text()) == without_times((b / "study.md").read_text())


def toy_plan(*, seeds: tuple[int, ...] = (0, 1, 2), budget: int = 40, **rest: object) -> Plan:
    variants = (Variant("random", "random"), Variant("evo", "nsga2", {"population": 10}))
    plan = Plan(variants, (Case("toy"),), seeds, budget, at=(10, 25))
    return check_plan(replace(plan, **rest))  # type: ignore[arg-type]


# --- running


def test_workers_and_one_process_write_the_same(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-6", "--budget", 40, "--quiet")
    study(*args, "--jobs", 1, "--out", tmp_path / "one")
    study(*args, "--jobs", 2, "--out", tmp_path / "two")
    assert_same_study(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL, which this system lacks")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_study_continues_to_the_identical_table(tmp_path: Path, plugin: Path, jobs: int) -> None:
    def args(pause: float, out: Path) -> list[str]:
        slow = f"slow=stream:pause={pause}"
        return command(
            *("--plugin", plugin, "study", "--methods", "random", "--variant", slow, "--spaces", "toy"),
            *("--seeds", "0-3", "--budget", 40, "--at", 20, "--jobs", jobs, "--out", out, "--quiet"),
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    subprocess.run(args(0.05, whole), check=True, timeout=300)
    unfinished = 0
    for _ in range(3):
        rows = sum(text.count(b"\n") for text in logs(killed).values()) if killed.exists() else 0
        process = subprocess.Popen(args(0.05, killed))
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
    subprocess.run(args(0.05, killed), check=True, timeout=300)
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
    text = study(*args, code=1)
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


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL, which this system lacks")
def test_a_worker_that_dies_takes_no_other_run_with_it(tmp_path: Path, plugin: Path) -> None:
    out = tmp_path / "out"
    study(
        *("--plugin", plugin, "study", "--methods", "random", "--variant", "bad=stream:trouble=die,pause=0.02"),
        *("--spaces", "toy", "--seeds", "0-4", "--budget", 40, "--jobs", 2, "--out", out),
        code=1,
    )
    failed = [r for r in records(out / "trials.csv") if r["status"] != "done"]
    assert [(r["method"], r["seed"], r["status"]) for r in failed] == [("bad", "1", "failed")]
    assert "SIGKILL" in failed[0]["reason"]


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-4", "--budget", 30, "--jobs", 1)
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
    rest = ("--spaces", "toy", "--seeds", "0-1", "--budget", 20, "--jobs", 1, "--out", out, "--quiet")
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
    assert "a line is missing or doubled" in markdown(tables)


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


# --- tables


def test_the_table_says_what_the_logs_say(tmp_path: Path) -> None:
    plan = toy_plan(seeds=tuple(range(8)))
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    regret = {}
    for variant in plan.variants:
        for seed in plan.seeds:
            log = folder_of(tmp_path, plan.job(variant, plan.cases[0], seed)) / LOG
            F = History(log).arrays()[1]
            for n in (10, 25, 40):
                regret[variant.name, n, seed] = hypervolume_regret(F[:n], front())
                assert igd_plus(F[:n], front()) >= 0
    for row in tables.rows:
        mine = [regret[row.variant, row.at, s] for s in plan.seeds]
        base = [regret["random", row.at, s] for s in plan.seeds]
        assert row.n == 8
        assert row.regret.value == pytest.approx(np.mean(mine))
        assert row.regret.low <= row.regret.value <= row.regret.high
        if row.variant == "random":
            assert row.against is None
        else:
            assert row.against is not None
            assert row.against.difference.value == pytest.approx(np.mean(mine) - np.mean(base))
            assert row.against.ratio.value == pytest.approx(np.mean(mine) / np.mean(base))
            assert row.against.family_size == 3
            assert row.against.p <= row.against.p_holm <= 3 * row.against.p + 1e-12
    write_study(tmp_path, tables)
    assert len(records(tmp_path / "study.csv")) == 6
    assert len(records(tmp_path / "trials.csv")) == len(records(tmp_path / "times.csv")) == 16


def test_evaluations_to_target_is_the_first_such_number(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0, 1, 2, 3))
    run_study(list(plan.jobs()), tmp_path)
    trials = collect(plan, tmp_path)
    for trial in trials:
        curve = [hypervolume_regret(trial.F[:n], front()) for n in range(1, 41)]
        for target in (0.05, 0.1, 0.2, 0.4, curve[-1]):
            hits = [n for n, value in enumerate(curve, start=1) if value <= target + 1e-12]
            assert evaluations_to(trial.F, front(), target) == (hits[0] if hits else np.inf)
    [base, evo] = tabulate(plan, trials).arrivals
    assert base.target == pytest.approx(np.mean([t.regret[-1] for t in trials if t.variant == "random"]))
    assert base.ratio is None
    assert evo.ratio is not None
    [base, evo] = tabulate(replace(plan, target=0.99), trials).arrivals
    assert base.reached == evo.reached == 4


def test_contrasts_average_within_a_seed(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0, 1, 2, 3))
    both = ("random", "evo")
    plan = replace(
        plan,
        contrasts=(
            Contrast("evo - both", ("evo",), both, "a"),
            Contrast("both - both", both, ("evo", "random"), "b"),
        ),
    )
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    evo = next(r for r in tables.rows if r.variant == "evo" and r.at == 40)
    first, last = (
        next(r for r in tables.contrasts if r.name == n and r.at == 40) for n in ("evo - both", "both - both")
    )
    assert evo.against is not None
    assert first.comparison.difference.value == pytest.approx(evo.against.difference.value / 2)
    assert first.comparison.family_size == 3
    assert last.comparison.p == 1.0
    write_study(tmp_path, tables)
    assert len(records(tmp_path / "contrasts.csv")) == 6


class TwoSplits(CallableBenchmark):
    """The toy benchmark with another error on the test split, which favours high levels of the first gene."""

    def __init__(self) -> None:
        toy = open_toy()
        super().__init__(toy.space, lambda X, seed: toy.evaluate(X, seed).F, toy.objectives, front=front())
        self.report_names = ("test_error", "flops")

    def report(self, X: IntArray) -> FloatArray:
        return np.stack([error(X) + (4 - X[:, 0]), 1.0 + X.sum(axis=1)], axis=1)


def test_the_test_split_is_measured_on_what_the_searched_split_selects() -> None:
    benchmark = TwoSplits()
    X = benchmark.space.enumerate()
    F, tested = benchmark.evaluate(X, 0).F, benchmark.report(X)

    def is_best(A: FloatArray) -> np.ndarray:
        return np.array([not ((a >= A).all(axis=1) & (a > A).any(axis=1)).any() for a in A])

    best = tested[is_best(tested)]
    chosen = tested[is_best(F)]
    reference = Reference(front(), front().min(axis=0), front().max(axis=0), True, chosen, best)
    floor = reported_floor(benchmark, reference)
    assert 0 <= floor < 0.1
    order = np.random.default_rng(0).permutation(len(X))[:200]
    regret, distance, reported = measure(X[order], F[order], (50, 200), benchmark, reference)
    for k, n in enumerate((50, 200)):
        part = order[:n]
        # Equal searched values: only the first asked is in the run's set.
        selected = [i for i in part[is_best(F[part])] if (F[part] == F[i]).all(axis=1).argmax() == list(part).index(i)]
        assert reported[k] == pytest.approx(hypervolume_regret(tested[selected], best))
        assert regret[k] == pytest.approx(hypervolume_regret(F[part], front()))
        assert distance[k] == pytest.approx(igd_plus(F[part], front()))
    assert np.isnan(measure(X[order], F[order], (50,), open_toy(), reference)[2]).all()
    assert np.isnan(reported_floor(open_toy(), reference))
    assert np.isnan(measure(X[order], F[order], (50,), benchmark, None)[0]).all()


# --- plans


def test_the_ablation_changes_one_thing_at_a_time() -> None:
    plan = named_plan("ablation")
    assert len(plan.variants) == 4 * 2 * 2
    assert plan.seeds == tuple(range(31))
    params = {v.name: dict(v.params) for v in plan.variants}
    assert {v.method for v in plan.variants} == {"smemnas"}
    assert all(set(p) == {"surrogate", "inner", "encoding"} for p in params.values())
    assert plan.baseline in params
    for contrast in plan.contrasts:
        changed = set()
        for a, b in zip(contrast.first, contrast.second, strict=True):
            changed |= {(key, params[a][key], params[b][key]) for key in params[a] if params[a][key] != params[b][key]}
        assert len(changed) == 1, contrast.name
    averaged = [c for c in plan.contrasts if len(c.first) > 1]
    assert {len(c.first) for c in averaged} == {4, 8}  # 16 variants over 4, 2 and 2 levels
    assert len(plan.contrasts) - len(averaged) == 3 * 4 + 8 + 8


@pytest.mark.parametrize("name", sorted(PLANS))
def test_named_plans_can_run(name: str, use_embedded: Path) -> None:
    plan = check_plan(named_plan(name))
    assert len(list(plan.jobs())) == len(plan.variants) * len(plan.cases) * len(plan.seeds)
    names = {v.name for v in plan.variants}
    assert all({*c.first, *c.second} <= names for c in plan.contrasts)


@pytest.mark.slow
def test_the_ablation_is_one_command(tmp_path: Path, use_embedded: Path) -> None:
    args = ("study", "--plan", "ablation", "--seeds", "1000-1001", "--budget", 40, "--jobs", 1, "--out", tmp_path)
    text = study(*args)
    assert "averaged over the other factors" in text
    assert "pairwise - rank-regression" in text
    rows = records(tmp_path / "contrasts.csv")
    assert len(rows) == 5 + 28
    assert {r["pairs"] for r in rows} == {"2"}
    assert {r["family_size"] for r in rows} == {"5", "28"}


def test_seeds_variants_and_shards_are_read() -> None:
    assert parse_seeds("0-3") == (0, 1, 2, 3)
    assert parse_seeds("0,3,5-7,3") == (0, 3, 5, 6, 7)
    assert seed_text(parse_seeds("0-30,40,42-43")) == "0-30,40,42-43"
    assert split_variant("gp=smemnas:surrogate=gp,inner=nsga2") == ("gp", "smemnas", ("surrogate=gp", "inner=nsga2"))
    assert split_variant("a=smemnas/enumerate") == ("a", "smemnas/enumerate", ())
    name, method, items = split_variant("w=smemnas:surrogate.widths=[1, 2],x={'a': (1, 2)},y='p,q'")
    assert (name, method) == ("w", "smemnas")
    assert items == ("surrogate.widths=[1, 2]", "x={'a': (1, 2)}", "y='p,q'")
    assert parse_shard("2/8") == (2, 8)
    assert parse_numbers("--at", "100, 300", 300) == (100, 300)


def test_cases_combine_spaces_and_data_sets() -> None:
    assert make_cases(["toy", "nb201"], [], ()) == (Case("toy"), Case("nb201"))
    assert make_cases(["nb201/analog", "toy"], [], ("error",)) == (
        Case("nb201", "analog", ("error",)),
        Case("toy", "", ("error",)),
    )
    assert make_cases(["nb201"], ["cifar10", "analog"], ()) == (Case("nb201", "cifar10"), Case("nb201", "analog"))
    plan = toy_plan(cases=(Case("toy"), Case("toy", "closed-form", ("error", "flops"))))
    assert plan.cases == (Case("toy", "closed-form", ("error", "flops")),)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"budget": 0}, "--budget must be at least 1"),
        ({"variants": ()}, "at least one method"),
        ({"cases": ()}, "at least one space"),
        ({"seeds": ()}, "at least one seed"),
        ({"baseline": "rando"}, "Did you mean 'random'"),
        ({"variants": (Variant("a", "random"), Variant("a", "nsga2"))}, "two variants are called 'a'"),
        ({"variants": (Variant("a", "random"), Variant("b", "random"))}, "'a' and 'b' are the same"),
        ({"variants": (Variant("a", "randon"),)}, "Did you mean 'random'"),
        ({"variants": (Variant("a", "nsga2", {"popul": 3}),)}, "Did you mean 'population'"),
        ({"variants": (Variant("a", "nsga2", {"population": 0}),)}, "a: parameter 'population'"),
        ({"cases": (Case("toy", "other"),)}, "has no data set 'other'"),
        ({"cases": (Case("toy", "", ("accuracy",)),)}, "no objective 'accuracy'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(change: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=r"\w") as caught:
        toy_plan(**change)  # type: ignore[arg-type]
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: parse_seeds("3-1"), "--seeds takes"),
        (lambda: parse_seeds("a"), "--seeds takes"),
        (lambda: parse_seeds("-3"), "--seeds takes"),
        (lambda: split_variant("smemnas"), "--variant takes"),
        (lambda: split_variant("a=smemnas:"), "--variant takes"),
        (lambda: parse_shard("0/3"), "--shard takes"),
        (lambda: parse_shard("4/3"), "--shard takes"),
        (lambda: parse_numbers("--at", "0,10", 300), "--at takes"),
        (lambda: parse_numbers("--at", "301", 300), "--at takes"),
        (lambda: make_cases(["toi"], [], ()), "Did you mean 'toy'"),
        (lambda: make_cases(["toy"], ["cifar10"], ()), "none of the data sets cifar10"),
        (lambda: make_cases(["toy/closed-form"], ["cifar9"], ()), "has a data set 'cifar9'"),
        (lambda: named_plan("ablatoin"), "Did you mean 'ablation'"),
    ],
)
def test_misspelt_options_say_what_was_expected(call: object, text: str) -> None:
    with pytest.raises(UserError) as caught:
        call()  # type: ignore[operator]
    assert text in str(caught.value)


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
