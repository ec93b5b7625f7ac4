"""The contract of a benchmark as functions; each takes ``make(objectives) -> Benchmark``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.checks.common import global_random_state_untouched, require, require_equal
from smemnas.bench.checks.spaces import rows
from smemnas.spaces.base import FloatArray, IntArray, Objective

#: Opens the benchmark with some objectives; none takes its defaults.
Make = Callable[[Sequence[str]], Benchmark]


def genotypes(benchmark: Benchmark) -> IntArray:
    """Return 200 random genotypes ``(200, n_var)``; half of them from the table where it lists what it covers."""
    X = rows(benchmark.space)
    table = getattr(benchmark, "table", None)
    if isinstance(table, Table) and "genotype" in table.columns:
        known = np.asarray(table.column("genotype"), dtype=np.int64)
        half = len(X) // 2
        X[:half] = known[np.random.default_rng(102).integers(len(known), size=half)]
    return X


def check_objectives(make: Make) -> None:
    """Objectives have distinct names and units; the free ones are exactly the space's own costs."""
    benchmark = make(())
    names = [o.name for o in benchmark.objectives]
    require(names and len(set(names)) == len(names), f"objectives must be distinct, got {names}.")
    require(
        len(benchmark.report_names) == len(names),
        f"report_names must name one quantity per objective {names}, got {benchmark.report_names}.",
    )
    require(benchmark.dataset and "/" not in benchmark.dataset, f"dataset must be a name, got {benchmark.dataset!r}.")
    X = genotypes(benchmark)
    F = benchmark.evaluate(X, 0).F
    for j, objective in enumerate(benchmark.objectives):
        require(
            isinstance(objective, Objective) and objective.unit and not set(objective.name) & set(",+/ "),
            f"an objective needs a unit and a name without spaces , + and /, got {objective!r}.",
        )
        if objective.cheap:
            wanted = benchmark.space.cost(X, objective.name)
            require_equal(F[:, j], wanted, f"free objective {objective.name!r} must equal space.cost exactly.")


def check_evaluate(make: Make) -> None:
    """`evaluate` returns float64 ``(n, n_obj)``, seconds, and a reason exactly where a value is missing."""
    benchmark = make(())
    X = genotypes(benchmark)
    for part in (X, X[:1], X[:0]):
        outcome = _evaluate(benchmark, part, 0)
        missing = np.asarray(~np.isfinite(outcome.F).all(axis=1))
        reasons = np.array([bool(text) for text in outcome.errors], dtype=bool)
        require_equal(reasons, missing, "errors must hold a text exactly where an objective is missing.")
        require(
            outcome.seconds.shape == (len(part),) and (outcome.seconds >= 0).all(),
            f"seconds must be ({len(part)},) and not negative, got {outcome.seconds.shape}.",
        )
    require(np.isfinite(benchmark.evaluate(X, 0).F).all(axis=1).any(), "some of 200 random genotypes must have values.")


def check_pure(make: Make) -> None:
    """Numbers depend on architecture and seed alone: not on order, company, repetition, or earlier calls."""
    benchmark, other = make(()), make(())
    X = genotypes(benchmark)
    rng = np.random.default_rng(3)
    with global_random_state_untouched("a benchmark"):
        for seed in (0, 7):
            F = _evaluate(benchmark, X, seed).F
            order = rng.permutation(len(X))
            require_equal(_evaluate(benchmark, X[order], seed).F, F[order], "evaluate must not depend on the order.")
            require_equal(_evaluate(benchmark, X[:9], seed).F, F[:9], "evaluate must not depend on the other rows.")
            single = np.vstack([_evaluate(benchmark, X[k : k + 1], seed).F for k in range(9)])
            require_equal(single, F[:9], "evaluate of one row must equal that row of many.")
            twice = _evaluate(benchmark, np.repeat(X[:20], 2, axis=0), seed).F
            require_equal(twice, np.repeat(F[:20], 2, axis=0), "a genotype asked twice must get the same numbers.")
            require_equal(_evaluate(other, X, seed).F, F, "a benchmark opened anew must give the same numbers.")
        require_equal(_evaluate(benchmark, X, 0).F, _evaluate(other, X, 0).F, "evaluate must not remember other seeds.")


def check_inputs_kept(make: Make) -> None:
    """Neither `evaluate` nor `report` writes into the genotypes."""
    benchmark = make(())
    X = rows(benchmark.space, 20)
    kept = X.copy()
    benchmark.evaluate(X, 0)
    benchmark.report(X)
    require_equal(X, kept, "genotypes are read only for a benchmark; copy before changing them.")


def check_report(make: Make) -> None:
    """`report` returns ``(n, n_obj)``, row-wise; where the reported column is the searched one it is the mean."""
    benchmark = make(())
    X = genotypes(benchmark)
    R = benchmark.report(X)
    shape = (len(X), len(benchmark.objectives))
    require(R.shape == shape and R.dtype == np.float64, f"report must be float64 {shape}, got {R.dtype} {R.shape}.")
    require_equal(benchmark.report(X[::-1]), R[::-1], "report must not depend on the order.")
    require_equal(benchmark.report(X[3:7]), R[3:7], "report must not depend on the other rows.")
    require(benchmark.report(X[:0]).shape == (0, shape[1]), "report of no rows must be (0, n_obj).")
    F = benchmark.evaluate(X, 0).F
    for j, objective in enumerate(benchmark.objectives):
        if objective.cheap and benchmark.report_names[j] == objective.name:
            require_equal(R[:, j], F[:, j], f"free objective {objective.name!r} must be reported as it is searched.")


def check_columns(make: Make) -> None:
    """Each objective alone, and all in reverse, gives the same columns."""
    benchmark = make(())
    names = [o.name for o in benchmark.objectives]
    X = rows(benchmark.space, 50)
    F = benchmark.evaluate(X, 1).F
    for chosen in ([name] for name in names):
        column = names.index(chosen[0])
        require_equal(
            make(chosen).evaluate(X, 1).F, F[:, [column]], f"objective {chosen[0]!r} alone must have the same values."
        )
    reverse = make(names[::-1])
    require_equal(reverse.evaluate(X, 1).F, F[:, ::-1], "objectives in another order must keep their values.")
    require([o.name for o in reverse.objectives] == names[::-1], "objectives must come in the order asked for.")


def check_reference(make: Make) -> None:
    """The reference front is non-dominated and sorted, has its ideal and nadir; nothing dominates an exact one."""
    benchmark = make(())
    reference = benchmark.reference()
    if reference is None:
        return
    front, n_obj = reference.front, len(benchmark.objectives)
    require(
        front.ndim == 2 and front.shape[1] == n_obj and len(front) > 0 and np.isfinite(front).all(),
        f"front must be finite (k, {n_obj}), got {front.shape}.",
    )
    require((np.diff(front[:, 0]) >= 0).all(), "front must be sorted by the first objective.")
    require(not _dominated(front, front).any(), "no point of the front may dominate another.")
    require(len(np.unique(front, axis=0)) == len(front), "the front must hold each point once.")
    require_equal(reference.ideal, front.min(axis=0), "ideal must be the smallest values on the front.")
    require_equal(reference.nadir, front.max(axis=0), "nadir must be the largest values on the front.")
    for name, points in (("report_front", reference.report_front), ("report_best", reference.report_best)):
        require(
            points.ndim == 2 and points.shape[1] == n_obj and np.isfinite(points).all(),
            f"{name} must be finite (k, {n_obj}), got {points.shape}.",
        )
    require(len(reference.report_front) == len(front), "report_front must have one row per point of the front.")
    require(not _dominated(reference.report_best, reference.report_best).any(), "report_best must be non-dominated.")
    again = benchmark.reference()
    require(again is not None and np.array_equal(again.front, front), "reference must answer the same every time.")
    X = rows(benchmark.space, 2000)
    F = benchmark.evaluate(X, 0).F
    same_for_all_seeds = all(np.array_equal(F, benchmark.evaluate(X, s).F, equal_nan=True) for s in (1, 2))
    if reference.exact and same_for_all_seeds:
        beaten = _dominated(front, F[np.isfinite(F).all(axis=1)])
        require(not beaten.any(), f"an exact front may not be dominated, {front[beaten][:1]} is: is it complete?")


def check_hidden_from_methods(make: Make) -> None:
    """What a method sees, the `Problem`, leads to no benchmark and no table."""
    benchmark = make(())
    stack: list[tuple[str, Any]] = [("problem", benchmark.problem)]
    seen: set[int] = set()
    while stack:
        path, thing = stack.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        require(
            not isinstance(thing, Benchmark | Table),
            f"{path} is a {type(thing).__name__}: a method could read the test split there. Keep it out of the space.",
        )
        if isinstance(thing, dict):
            stack.extend((f"{path}[{key!r}]", value) for key, value in thing.items())
        elif isinstance(thing, list | tuple | set | frozenset):
            stack.extend((f"{path}[...]", value) for value in thing)
        elif callable(thing) and getattr(thing, "__closure__", None):
            stack.extend((f"{path} (closure)", cell.cell_contents) for cell in thing.__closure__)
        elif hasattr(thing, "__self__"):
            stack.append((f"{path}.__self__", thing.__self__))
        elif hasattr(thing, "__dict__") and not isinstance(thing, type):
            stack.extend((f"{path}.{key}", value) for key, value in vars(thing).items())


def check_provenance(make: Make) -> None:
    """`provenance` is JSON-able and stable, so that a run folder can be recognised; notes are texts."""
    first, second = make(()).provenance(), make(()).provenance()
    require(json.loads(json.dumps(first)) == first, f"provenance must survive JSON unchanged, got {first!r}.")
    require(first == second, f"provenance must be the same every time, got {first!r} and {second!r}.")
    notes = make(()).notes
    require(isinstance(notes, tuple) and all(isinstance(n, str) for n in notes), f"notes must be texts, got {notes!r}.")


def _evaluate(benchmark: Benchmark, X: IntArray, seed: int) -> Evaluation:
    """Evaluate and check the shape."""
    outcome = benchmark.evaluate(X, seed)
    shape = (len(X), len(benchmark.objectives))
    require(
        outcome.F.shape == shape and outcome.F.dtype == np.float64,
        f"evaluate must give float64 {shape}, got {outcome.F.dtype} {outcome.F.shape}.",
    )
    require(len(outcome.errors) == len(X), f"errors must have {len(X)} texts, got {len(outcome.errors)}.")
    return outcome


def _dominated(points: FloatArray, by: FloatArray) -> NDArray[np.bool_]:
    """Return ``(n,)`` bool: which points ``(n, n_obj)`` some row of `by` dominates; by definition, no library."""
    result = np.zeros(len(points), dtype=bool)
    for k, point in enumerate(points):
        result[k] = bool(((by <= point).all(axis=1) & (by < point).any(axis=1)).any())
    return result


CHECKS = (
    check_objectives,
    check_evaluate,
    check_pure,
    check_inputs_kept,
    check_report,
    check_columns,
    check_reference,
    check_hidden_from_methods,
    check_provenance,
)
