"""A finished run goes on with a larger budget: the same log as with that budget from the start, or a refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.checks.common import CheckFailed
from smemnas.bench.checks.methods import check_larger_budget
from smemnas.bench.errors import RunError
from smemnas.bench.report.run import write_report
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.discovery import read_run
from smemnas.methods.base import METHODS, Method, initial_design
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy, error


def toy_job(method, budget, **params):
    return make_job(method, "toy", budget=budget, seed=3, params=params)


def log_of(folder):
    return (folder / "evals.jsonl").read_bytes()


class Planner(Method):
    """Turns round halfway through its budget; may or may not say so."""

    says = False

    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.plans_with_budget = self.says
        self.told = 0

    def ask(self):
        X = initial_design(self.problem, 200, self.seed)
        return X[self.told : self.told + 1] if 2 * self.told < self.budget else X[-1 - self.told : -self.told]

    def tell(self, X, F):
        self.told += len(X)


class Frank(Planner):
    """The same, and says so."""

    says = True


@pytest.fixture
def planners(monkeypatch):
    METHODS.discover()
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    for name, kind in (("planner", Planner), ("frank", Frank)):
        METHODS.register(name, summary="turns round")(kind)


@pytest.mark.parametrize("method", ["random", "nsga2", "smemnas"])
def test_it_is_the_run_that_had_the_larger_budget_from_the_start(tmp_path, method):
    for budget in (13, 30, 44) if method == "random" else (13, 44):
        run(toy_job(method, budget)[0], tmp_path / "grown")
    run(toy_job(method, 44)[0], tmp_path / "whole")
    assert log_of(tmp_path / "grown") == log_of(tmp_path / "whole")
    jobs = [json.loads((tmp_path / name / "job.json").read_text())["job"] for name in ("grown", "whole")]
    assert jobs[0] == jobs[1]
    assert len(run(toy_job(method, 44)[0], tmp_path / "grown").F) == 44


def test_its_report_is_that_of_the_larger_budget(tmp_path):
    for name, budgets in (("grown", (13, 44)), ("whole", (44,))):
        for budget in budgets:
            job, benchmark = toy_job("nsga2", budget)
            write_report(tmp_path / name, run(job, tmp_path / name), benchmark)
    for file in ("front.csv", "summary.json"):
        assert (tmp_path / "grown" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_run_that_goes_on_says_no_more_that_it_has_ended(tmp_path):
    job, benchmark = toy_job("random", 13)
    write_report(tmp_path, run(job, tmp_path), benchmark)
    (job, benchmark), seen = toy_job("random", 44), []

    def killed(row):
        seen.extend(file.name for file in tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, tmp_path, benchmark=benchmark, observe=killed)
    assert {"summary.json", "front.csv", "front.png"} & {*seen} == set()
    log = tmp_path / "evals.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:13]))  # as where its first row is not written
    assert read_run(tmp_path).reason == "unfinished: 13 of 44 evaluations in the log"


def test_a_smaller_budget_and_another_job_are_refused_as_before(tmp_path):
    run(toy_job("random", 30)[0], tmp_path / "r")
    before = log_of(tmp_path / "r"), (tmp_path / "r" / "job.json").read_bytes()
    with pytest.raises(RunError, match="budget 30, this one has 20"):
        run(toy_job("random", 20)[0], tmp_path / "r")
    with pytest.raises(RunError, match="batch"):
        run(toy_job("random", 40, batch=3)[0], tmp_path / "r")
    assert before == (log_of(tmp_path / "r"), (tmp_path / "r" / "job.json").read_bytes())


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("frank", "frank plans with its budget: with 40 evaluations it would have begun otherwise"),
        ("planner", r"cannot go on to 40 evaluations: planner asks for other architectures .*plans_with_budget"),
    ],
)
def test_a_method_that_plans_is_refused_and_its_run_stays_what_it_was(tmp_path, planners, method, words):
    run(toy_job(method, 20)[0], tmp_path / "r")
    before = log_of(tmp_path / "r"), (tmp_path / "r" / "job.json").read_bytes()
    with pytest.raises(RunError, match=words) as caught:
        run(toy_job(method, 40)[0], tmp_path / "r")
    assert "choose another --out, or start again there with --overwrite" in str(caught.value)
    assert before == (log_of(tmp_path / "r"), (tmp_path / "r" / "job.json").read_bytes())
    assert len(run(toy_job(method, 20)[0], tmp_path / "r").F) == 20


def test_the_contract_finds_who_does_not_say_it():
    with pytest.raises(CheckFailed, match="plans_with_budget"):
        check_larger_budget(lambda problem, budget, seed: Planner(problem, budget=budget, seed=seed))
    check_larger_budget(lambda problem, budget, seed: Frank(problem, budget=budget, seed=seed))


def test_what_was_evaluated_is_not_evaluated_again(tmp_path):
    calls = []

    def measure(X, seed):
        calls.extend(X.tolist())
        return np.stack([error(X), 1.0 + X.sum(axis=1)], axis=1)

    objectives = (Objective("error", "%", False), Objective("flops", "M", True))
    benchmark = CallableBenchmark(Toy(), measure, objectives, dataset="closed-form")
    for budget in (20, 33):
        run(toy_job("nsga2", budget)[0], tmp_path / "r", benchmark=benchmark)
    assert len(calls) == 33
