"""What a benchmark may answer, and what stops a run instead of becoming a failed evaluation."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from evaluation_cases import SPACE, TWO, bench_of, job, rows_of, values

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.runs.evaluation import FIRST, check_costs, is_machine_fault
from smemnas.bench.runs.history import History
from smemnas.bench.runs.run import run, search
from smemnas.methods.base import Method
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import error

# ---- shapes of answers ----


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (lambda F: F.T, r"got ndarray of shape \(2, 10\)\. Its rows are columns"),
        (lambda F: (F[:, 0], F[:, 1]), r"got tuple of shape \(2, 10\)\. Its rows are columns"),
        (lambda F: np.zeros((len(F), 3)), r"got ndarray of shape \(10, 3\)\.$"),
        (lambda F: F.ravel(), r"got ndarray of shape \(20,\)\.$"),
        (lambda F: None, r"got NoneType\.$"),
        (lambda F: 3.0, r"got float of shape \(\)\.$"),
        (lambda F: [[1.0], [2.0, 3.0]], r"got list"),
        (lambda F: F + 1j, r"got ndarray of shape \(10, 2\)\.$"),
        (lambda F: np.array([["a", "b"]] * len(F)), r"got ndarray of shape"),
    ],
)
def test_a_wrong_shape_stops_the_run_before_anything_is_logged(tmp_path, answer, came):
    with pytest.raises(
        UserError, match=r"must return real numbers of shape \(10, 2\).*error, flops.*" + came
    ) as caught:
        run(job(), tmp_path, benchmark=bench_of(lambda X, seed: answer(values(X))))
    assert "\n" not in str(caught.value)
    assert rows_of(tmp_path) == []


def test_a_square_answer_is_never_asked_for():
    """As many rows as objectives could be transposed unnoticed, so the function is called in two parts."""
    shapes = []

    def turned(X, seed):
        shapes.append(X.shape)
        return values(X).T

    X = SPACE.enumerate()[[5, 700]]
    with pytest.raises(UserError, match=r"shape \(1, 2\).* got ndarray of shape \(2, 1\)"):
        bench_of(turned).evaluate(X, 0)
    assert shapes == [(1, 5)]
    np.testing.assert_array_equal(bench_of(lambda X, seed: values(X)).evaluate(X, 0).F, values(X))


def test_nothing_is_asked_about_no_architecture():
    F = bench_of(lambda X, seed: pytest.fail("called")).evaluate(np.empty((0, 5), np.int64), 0).F
    assert F.shape == (0, 2)


def test_one_objective_may_come_as_a_vector():
    X = SPACE.enumerate()[:3]
    bench = bench_of(lambda X, seed: error(X), TWO[:1])
    np.testing.assert_array_equal(bench.evaluate(X, 0).F, error(X)[:, None])


@pytest.mark.parametrize(
    "answer",
    [
        lambda X: values(X),
        lambda X: Evaluation(values(X).T, np.zeros(len(X)), ("",) * len(X)),
        lambda X: Evaluation(values(X), np.zeros(len(X)), ("",)),
        lambda X: Evaluation(values(X).tolist(), np.zeros(len(X)), ("",) * len(X)),
        lambda X: None,
    ],
)
def test_an_evaluation_of_another_form_stops_the_run(tmp_path, answer):
    class Mine(CallableBenchmark):
        def evaluate(self, X, seed):
            return answer(X)

    with pytest.raises(UserError, match=r"evaluate of toy/callable must return"):
        run(job(), tmp_path, benchmark=Mine(SPACE, values, TWO))
    assert rows_of(tmp_path) == []


# ---- what belongs to which architecture ----


@pytest.mark.parametrize("method", ["nsga2", "smemnas", "random"])
def test_a_function_that_changes_its_input_changes_nothing(tmp_path, method):
    weight = np.arange(1, 6)

    def measure(X, seed):
        F = np.stack([60.0 - (X * weight).sum(axis=1), SPACE.cost(X, "flops")], axis=1)
        X.sort(axis=1)
        X -= 1
        return F

    run(job(method), tmp_path, benchmark=bench_of(measure))
    whole = (tmp_path / "evals.jsonl").read_bytes()
    rows = rows_of(tmp_path)
    assert len(rows) == 30
    for row in rows:
        assert row["F"][0] == 60.0 - (np.array(row["x"]) * weight).sum()
        assert row["arch"] == SPACE.to_str(np.array(row["x"]))
    (tmp_path / "evals.jsonl").write_bytes(b"".join(whole.splitlines(True)[:20]))
    run(job(method), tmp_path, benchmark=bench_of(measure))
    assert (tmp_path / "evals.jsonl").read_bytes() == whole


def test_a_benchmark_that_changes_its_input_is_given_a_copy(tmp_path):
    class Mine(CallableBenchmark):
        def evaluate(self, X, seed):
            outcome = super().evaluate(X, seed)
            X[:] = 0
            return outcome

    run(job(), tmp_path, benchmark=Mine(SPACE, lambda X, seed: values(X), TWO))
    assert all(row["F"] == values(np.array([row["x"]]))[0].tolist() for row in rows_of(tmp_path))


def test_a_method_that_changes_what_it_is_told_changes_nothing(tmp_path):
    class Greedy(Method):
        def ask(self):
            return self.problem.space.sample(4, self.rng)

        def tell(self, X, F):
            X[:], F[:] = 0, -1.0

    bench = bench_of(lambda X, seed: values(X))
    with History(tmp_path / "evals.jsonl") as history:
        search(Greedy(bench.problem, budget=20, seed=0), bench, 20, 0, history)
    assert len(history.rows) == 20
    assert all(list(row.F) == values(np.array([row.x]))[0].tolist() for row in history.rows)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda F: F[::-1], "rows belong to other architectures"),
        (lambda F: F[:, ::-1], "column 1 holds these values"),
        (lambda F: F * [1, 1e6], r"factor 1e\+06: another unit\?"),
        (lambda F: F + np.array([0, 1]), "must be exactly space.cost"),
    ],
)
def test_free_objectives_are_compared_with_the_space(tmp_path, change, words):
    with pytest.raises(UserError, match=r"^toy/callable says flops .* but the space computes .* M: .*" + words):
        run(job(), tmp_path, benchmark=bench_of(lambda X, seed: change(values(X))))
    assert rows_of(tmp_path) == []


def test_an_exchanged_square_is_named():
    X = SPACE.enumerate()[[5, 700]]
    with pytest.raises(UserError, match="rows and columns are exchanged"):
        check_costs(bench_of(lambda X, seed: X), X, values(X).T.copy())


def test_single_precision_and_failures_are_no_difference():
    X = SPACE.enumerate()[:50]
    F = values(X).astype(np.float32).astype(np.float64)
    F[3] = np.nan
    check_costs(bench_of(lambda X, seed: X), X, F)


def test_an_objective_said_to_be_free_must_be_a_cost_of_the_space():
    with pytest.raises(UserError, match=r"'latency' is said to be free, but space 'toy' computes no such cost"):
        bench_of(lambda X, seed: X, (TWO[0], Objective("latency", "ms", True)))


# ---- whose fault ----


def raising(what, at=12):
    """Values, and from the evaluation `at` on an error."""
    seen = []

    def measure(X, seed):
        seen.extend(X)
        if len(seen) > at:
            raise what
        return values(X)

    return bench_of(measure)


@pytest.mark.parametrize(
    "what",
    [
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("file is truncated"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_fault_of_the_machine_is_never_logged_and_the_run_goes_on_after_it(tmp_path, what):
    with pytest.raises(RunError, match=r"^this machine failed while toy/callable evaluated .*Nothing of it is logged"):
        run(job("random"), tmp_path / "none", benchmark=raising(what, at=0))
    assert rows_of(tmp_path / "none") == []
    with pytest.raises(RunError, match="this machine failed"):
        run(job(), tmp_path / "one", benchmark=raising(what))
    part = (tmp_path / "one" / "evals.jsonl").read_bytes()
    assert part.count(b"\n") == 10
    good = bench_of(lambda X, seed: values(X))
    run(job(), tmp_path / "one", benchmark=good)
    run(job(), tmp_path / "again", benchmark=good)
    whole = (tmp_path / "one" / "evals.jsonl").read_bytes()
    assert whole.startswith(part)
    assert whole == (tmp_path / "again" / "evals.jsonl").read_bytes()


def test_corrupt_data_and_interrupts_pass_as_they_are(tmp_path):
    for what in (DataError("the cache is corrupt"), KeyboardInterrupt()):
        with pytest.raises(type(what)):
            run(job(), tmp_path, benchmark=raising(what))
        assert {row["status"] for row in rows_of(tmp_path)} == {"ok"}


def test_a_time_limit_of_the_users_is_a_property():
    assert not is_machine_fault(TimeoutError("training took too long"))
    assert is_machine_fault(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))


@pytest.mark.parametrize(
    "what",
    [NameError("x"), TypeError("x"), AttributeError("x"), ImportError("x"), SystemExit(0), GeneratorExit()],
    ids=lambda e: type(e).__name__,
)
def test_a_mistake_in_the_program_stops_the_run(tmp_path, what):
    with pytest.raises(
        RunError, match=r"has a mistake in its program: \w+.*\(test_evaluation\.py, line \d+\)"
    ) as caught:
        run(job(), tmp_path, benchmark=raising(what))
    assert "\n" not in str(caught.value)
    assert [row["status"] for row in rows_of(tmp_path)] == ["ok"] * 10


def test_what_an_architecture_raises_is_its_row(tmp_path):
    def measure(X, seed):
        if (X[:, 0] == 1).any():
            raise ValueError("no such network")
        return values(X)

    run(job("random"), tmp_path, benchmark=bench_of(measure))
    rows = rows_of(tmp_path)
    assert len(rows) == 30
    assert all((row["error"] == "ValueError: no such network") == (row["x"][0] == 1) for row in rows)
    assert 0 < sum(row["status"] == "failed" for row in rows) < 30


# ---- first evaluations that all fail ----


def failing(X, seed):
    raise ValueError(f"network {SPACE.to_str(X[0])} has no stage {X[0].sum()}")


@pytest.mark.parametrize("method", ["nsga2", "random", "rea"])
@pytest.mark.parametrize("budget", [5, 50])
def test_a_run_whose_first_evaluations_all_fail_for_one_reason_stops_once(tmp_path, method, budget):
    bench = bench_of(failing)
    n = min(FIRST, budget - 1)
    with pytest.raises(RunError, match=r"^the first \d+ evaluations of toy/callable all failed for one reason: Value"):
        run(job(method, budget), tmp_path, benchmark=bench)
    assert [row["status"] for row in rows_of(tmp_path)] == ["failed"] * n  # never the whole budget: it is not done
    result = run(job(method, budget), tmp_path, benchmark=bench)  # whoever asks again knows
    assert len(result.F) == budget == len(rows_of(tmp_path))


def test_not_finite_values_throughout_stop_the_run_too(tmp_path):
    with pytest.raises(RunError, match="all failed for one reason: not finite"):
        run(job(), tmp_path, benchmark=bench_of(lambda X, seed: values(X) * np.nan))


def test_one_success_or_several_reasons_stop_nothing(tmp_path):
    reasons = ("too deep", "too wide")

    def measure(X, seed):
        raise ValueError(reasons[int(X[0, 0]) % 2])

    result = run(job("random", 40), tmp_path / "a", benchmark=bench_of(measure))
    assert len(result.F) == 40

    def late(X, seed):
        F = values(X)
        F[X[:, 0] != 3] = np.nan
        return F

    rows = run(job("random", 40), tmp_path / "b", benchmark=bench_of(late)).F
    assert 0 < np.isfinite(rows).all(axis=1).sum() < 20
