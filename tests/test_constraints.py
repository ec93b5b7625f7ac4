"""Constraints: feasibility first for every method, measured over what is feasible."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.benchmark import open_benchmark
from bench.constraints import reference_front
from bench.errors import UserError
from bench.history import History
from bench.indicators import nondominated
from bench.penalty import Penalised
from bench.run import LOG, make_job, run
from methods.base import METHODS

BOUND = 40.0


def test_the_reference_is_the_front_of_what_is_feasible():
    bench = open_benchmark("nb201", constraints=(f"flops<={BOUND}",))
    whole = open_benchmark("nb201")
    F = whole.evaluate(whole.space.enumerate(), 0).F
    F = F[F[:, 1] <= BOUND]
    expected = np.unique(F[nondominated(F)], axis=0)
    np.testing.assert_array_equal(np.unique(reference_front(bench).front, axis=0), expected)


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_keeps_a_free_constraint(tmp_path, name):
    pytest.importorskip(METHODS.get(name).factory.needs or "numpy")
    job, bench = make_job(name, "toy", budget=40, constraints=("flops<=12",))
    result = run(job, tmp_path / "run", benchmark=bench)
    assert len(result.F) == 40
    front = result.F[result.feasible]
    assert len(front) >= 35  # nearly everything that is paid for can be used
    assert (front[:, 1] <= 12).all()
    assert not result.feasible[result.F[:, 1] > 12].any()
    logged = History(tmp_path / "run" / LOG).arrays()[1]
    np.testing.assert_array_equal(logged, result.F)  # the log holds what was measured


@pytest.mark.parametrize("name", ["nsga2", "smemnas", "rea", "sms-emoa", "parego"])
def test_a_bound_on_the_error_is_searched_for(tmp_path, name):
    """Few architectures have an error below the bound: a method that cares finds more than chance would."""
    shares = {}
    for method in (name, "random"):
        job, bench = make_job(method, "nb201", budget=120, constraints=("error<=7.5",))
        shares[method] = run(job, tmp_path / method, benchmark=bench).feasible.mean()
    assert shares[name] > 2.0 * shares["random"]


def test_penalised_values_put_feasible_first_and_small_violations_next():
    bench = open_benchmark("nb201", constraints=("error<=10",))
    rng = np.random.default_rng(0)
    X = bench.space.sample(200, rng)
    F = bench.evaluate(X, 0).F
    method = METHODS.create("random", bench.problem, budget=300, seed=0)
    told = Penalised(method, bench.problem).penalise(X, F)
    ok = F[:, 0] <= 10.0
    assert 0 < ok.sum() < len(ok)
    np.testing.assert_array_equal(told[ok], F[ok])
    assert (told[~ok].min(axis=0) > told[ok].max(axis=0)).all()
    by_violation = np.argsort(F[~ok, 0])
    assert (np.diff(told[~ok][by_violation], axis=0) >= 0).all()


def test_without_constraints_the_job_is_what_it_was():
    job, bench = make_job("random", "toy", budget=10)
    assert "constraints" not in job.to_dict()
    assert bench.problem.constraints == ()
    other, _ = make_job("random", "toy", budget=10, constraints=("flops<=12",))
    assert other.folder != job.folder
    assert json.loads(json.dumps(other.to_dict()))["constraints"] == ["flops<=12"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flop<=12", "Did you mean 'flops'"),
        ("flops", "takes NAME<=NUMBER"),
        ("flops<=many", "takes NAME<=NUMBER"),
        ("flops<=-1", "the smallest flops is"),
    ],
)
def test_wrong_constraints_are_one_line(text, words):
    with pytest.raises(UserError, match=words) as error:
        make_job("random", "nb201", budget=10, constraints=(text,))
    assert "\n" not in str(error.value)


def test_a_study_under_a_constraint(cli, tmp_path):
    out = tmp_path / "out"
    done = cli(
        *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "30", "--at", "15"),
        *("--constraint", "flops<=12", "--jobs", "1", "--out", str(out), "--quiet", "--no-figures"),
    )
    assert done.returncode == 0, done.stderr
    assert "flops<=12" in (out / "study.md").read_text()
