"""What a method may ask and raise, and how a run ends whose method has nothing more to ask."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import SPACE, TWO, bench_of, job, rows_of, values

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.errors import RunError
from smemnas.bench.report.run import write_report
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.run import run
from smemnas.methods.base import METHODS, Method
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy

# ---- what a method may ask and raise ----


class Plugin(Method):
    """A method whose ask is replaced."""

    answer = None

    def ask(self):
        return type(self).answer(self)

    def tell(self, X, F):
        """Forget."""


@pytest.fixture
def plugin(monkeypatch):
    METHODS.register("odd", summary="for tests")(Plugin)

    def make(ask, tell=None):
        monkeypatch.setattr(Plugin, "answer", ask)
        if tell is not None:
            monkeypatch.setattr(Plugin, "tell", tell)

    yield make
    METHODS._entries.pop("odd")  # other tests go over all methods


def throw(error):
    def function(*_):
        raise error

    return function


def deep(self):
    return deep(self)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda self: None, r"asked for NoneType; expected integers \(m, 5\)"),
        (lambda self: np.int64(3), r"asked for int64; expected"),
        (lambda self: np.array(3), r"asked for int64 \(\); expected"),
        (lambda self: [[1, 2], [3]], r"rows of different lengths"),
        (lambda self: np.zeros((2, 5)), r"asked for float64 \(2, 5\); expected"),
        (lambda self: np.zeros((2, 4), int), r"asked for int64 \(2, 4\); expected"),
        (lambda self: [[]], r"asked for float64 \(1, 0\); expected"),
        (lambda self: "abc", r"asked for str; expected"),
        (lambda self: np.full((1, 5), 99), r"which is no architecture of space 'toy'"),
        (throw(RuntimeError("broken")), r"when it was asked: RuntimeError: broken \(test_method_answers\.py, line"),
        (throw(MemoryError()), r"failed when it was asked: MemoryError \("),
        (throw(GeneratorExit()), r"failed when it was asked: GeneratorExit"),
        (throw(SystemExit(0)), r"failed when it was asked: SystemExit"),
        (throw(type("Mine", (BaseException,), {})("x")), r"failed when it was asked: Mine: x"),
        (deep, r"failed when it was asked: RecursionError"),
    ],
)
def test_whatever_a_method_answers_is_one_line_that_names_it(tmp_path, plugin, ask, words):
    plugin(ask)
    with pytest.raises(RunError, match=r"^the method 'odd' .*" + words) as caught:
        run(job("odd"), tmp_path, benchmark=bench_of(lambda X, seed: values(X)))
    assert "\n" not in str(caught.value)


def test_what_tell_raises_is_one_line_that_names_the_method(tmp_path, plugin):
    plugin(lambda self: self.problem.space.sample(3, self.rng), throw(ZeroDivisionError("division by zero")))
    with pytest.raises(RunError, match=r"^the method 'odd' failed when it was told: ZeroDivisionError"):
        run(job("odd"), tmp_path, benchmark=bench_of(lambda X, seed: values(X)))
    assert len(rows_of(tmp_path)) == 3  # they were evaluated


def test_an_interrupt_of_a_method_is_an_interrupt(tmp_path, plugin):
    plugin(throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(job("odd"), tmp_path, benchmark=bench_of(lambda X, seed: values(X)))


@pytest.mark.parametrize("empty", [[], (), np.empty((0, 5)), np.empty(0)])
def test_no_rows_of_any_form_end_a_run_and_it_says_so(tmp_path, plugin, empty):
    plugin(lambda self: empty)
    bench = bench_of(lambda X, seed: values(X))
    result = run(job("odd"), tmp_path, benchmark=bench)
    assert (result.X.shape, result.F.shape) == ((0, 5), (0, 2))
    assert result.note == "Ended early, after 0 of 30 evaluations: the method had nothing more to ask."
    summary = write_report(tmp_path, result, bench)
    assert (summary["evaluations"], summary["front_size"]) == (0, 0)
    assert result.note in summary["notes"]


def test_why_a_run_ended_early_is_said(tmp_path, plugin):
    bench = bench_of(lambda X, seed: values(X))
    plugin(lambda self: np.zeros((1, 5), np.int64))
    assert (
        "asked for 300 architectures, nearly all of them known" in run(job("odd"), tmp_path / "a", benchmark=bench).note
    )
    everything = len(SPACE.enumerate())
    result = run(job("random", everything + 5), tmp_path / "b", benchmark=bench)
    assert result.note == (
        f"Ended early, after {everything} of {everything + 5} evaluations: these are all architectures that there are."
    )
    assert run(job("random", 9), tmp_path / "c", benchmark=bench).note == ""


# ---- where few genotypes are architectures ----


class Sparse(Toy):
    """About one genotype of 2,000 is an architecture, so that nearly all children are none."""

    name = "sparse"
    n_choices = (8,) * 8
    weights = np.array([3, 11, 29, 101, 233, 487, 977, 1999])

    def is_valid(self, X):
        return super().is_valid(X) & ((X * self.weights).sum(axis=1) % 2003 == 7)

    def sample(self, n, rng):
        kept = np.empty((0, 8), dtype=np.int64)
        while len(kept) < n:
            X = super().sample(4096, rng)
            kept = np.concatenate([kept, X[self.is_valid(X)]])
        return kept[:n]


@pytest.mark.parametrize("method", ["nsga2", "sms-emoa"])
def test_the_pymoo_methods_go_on_where_mating_gives_no_architecture(tmp_path, method):
    def measure(X, seed):
        return np.stack([60.0 - (X * np.arange(1, 9)).sum(axis=1), 1.0 + X.sum(axis=1)], axis=1)

    bench = CallableBenchmark(Sparse(), measure, (TWO[0], Objective("depth", "", False)))
    result = run(Job(method, "sparse", "callable", ("error", "depth"), 60), tmp_path, benchmark=bench)
    assert len(result.F) == 60
    assert result.note == ""
    whole = (tmp_path / "evals.jsonl").read_bytes()
    (tmp_path / "evals.jsonl").write_bytes(b"".join(whole.splitlines(True)[:33]))
    run(Job(method, "sparse", "callable", ("error", "depth"), 60), tmp_path, benchmark=bench)
    assert (tmp_path / "evals.jsonl").read_bytes() == whole


@pytest.mark.parametrize("method", ["nsga2", "sms-emoa"])
def test_the_pymoo_methods_evaluate_all_of_a_small_space_and_say_so(tmp_path, method):
    job, bench = make_job(method, "toy", budget=100, constraints=("flops>=19",))
    result = run(job, tmp_path, benchmark=bench)
    assert len(result.F) == 21
    assert result.note == "Ended early, after 21 of 100 evaluations: these are all architectures that there are."
