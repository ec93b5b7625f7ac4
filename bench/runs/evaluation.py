"""One batch of evaluations: asked of the benchmark, checked, and made rows of the log.

What stops a run and what is a failed evaluation: a value that is missing or not finite, and what the benchmark raises
about an architecture, is a property of that architecture and becomes a row with its reason. A fault of the machine
(memory, disk, a corrupt file; out of memory always, since another machine or batch has more) and a fault of the
program (an unknown name, a wrong type, a wrong shape) is none: the run stops, nothing of it is logged, and the same
command goes on once it is mended. Where not one of the first evaluations succeeds and all fail for one reason, the
run stops too (`refuse_hopeless`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.errors import RunError, UserError, describe
from smemnas.bench.runs.history import Row
from smemnas.spaces.base import FloatArray, IntArray

#: So many evaluations (or all but one of a smaller budget) must fail for one reason before the run stops with it.
FIRST = 10
#: Free objectives may differ from the space's own by this share, which is more than single precision loses.
TOLERANCE = 1e-3
#: What a mistake in a program raises, whatever the architecture.
PROGRAM = (NameError, TypeError, AttributeError, ImportError, SyntaxError)
#: Errors of libraries that are the machine's, by name, so that no library is imported for them.
MACHINE_NAMES = {"OutOfMemoryError", "AcceleratorError"}
MACHINE_WORDS = ("DefaultCPUAllocator: can't allocate memory", "not enough memory", "CUDA error")


def evaluate(
    benchmark: Benchmark, X: IntArray, seed: int, first: int, costs: bool = True, timed: bool = False
) -> list[Row]:
    """Evaluate genotypes ``(n, n_var)`` and make their log rows; a failure is a row with its reason.

    Args:
        benchmark: Gets a copy of the genotypes.
        X: What to evaluate.
        seed: Evaluation seed.
        first: Position of the first row in the log.
        costs: Whether free objectives are compared with the space's.
        timed: Whether rows get their training times.

    Raises:
        UserError: Something is wrong with the benchmark itself, not with an architecture.
        RunError: The machine or the benchmark's program failed.
    """
    outcome = _measure(benchmark, X, seed)
    if costs and not isinstance(benchmark, TabularBenchmark):  # a table takes its free objectives from the space
        check_costs(benchmark, X, outcome.F)
    finite = np.asarray(np.isfinite(outcome.F))
    genes, values = map(tuple, X.tolist()), map(tuple, outcome.F.tolist())
    rows = [*map(Row, itertools.count(first), map(benchmark.space.to_str, X), genes, values)]
    for k in np.flatnonzero(~finite.all(axis=1)).tolist():
        F = tuple(v if good else None for v, good in zip(rows[k].F, finite[k], strict=True))
        reason = outcome.errors[k] or "an objective is not finite"
        rows[k] = rows[k]._replace(F=F, status="failed", error=reason)
    return _with_times(benchmark, rows, outcome.seconds.tolist()) if timed else rows


def _with_times(benchmark: Benchmark, rows: list[Row], seconds: list[float]) -> list[Row]:
    """Return rows with their training times; what failed before anything was trained took none.

    Raises:
        UserError: The time of an evaluation that succeeded is not known.
    """
    for row, time in zip(rows, seconds, strict=True):
        if row.status == "ok" and not 0.0 <= time < math.inf:
            place = f"{benchmark.space.name}/{benchmark.dataset}"
            raise UserError(
                f"{place} has no training time of {row.arch}, so training time cannot be the budget: leave out "
                "--budget-time and give --budget."
            )
    return [
        row._replace(seconds=time if 0.0 <= time < math.inf else 0.0) for row, time in zip(rows, seconds, strict=True)
    ]


def _measure(benchmark: Benchmark, X: IntArray, seed: int) -> Evaluation:
    """Evaluate genotypes; where that raises, one by one, so that each failure gets its own reason.

    Raises:
        UserError: As in `evaluate`.
    """
    try:
        return _checked(benchmark, X, benchmark.evaluate(X.copy(), seed))
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        _refuse_faults(benchmark, X, error)
        if len(X) == 1:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Evaluation(np.full((1, len(benchmark.objectives)), np.nan), np.zeros(1), (reason,))
    parts = [_measure(benchmark, X[k : k + 1], seed) for k in range(len(X))]
    F, seconds, errors = zip(*parts, strict=True)
    return Evaluation(np.vstack(F), np.concatenate(seconds), tuple(e for part in errors for e in part))


def _refuse_faults(benchmark: Benchmark, X: IntArray, error: BaseException) -> None:
    """Let pass what an architecture may be to blame for.

    Raises:
        RunError: The error is the machine's, or a mistake in the benchmark's program.
    """
    place = f"{benchmark.space.name}/{benchmark.dataset}"
    if is_machine_fault(error):
        which = benchmark.space.to_str(X[0]) if len(X) == 1 else f"{len(X)} architectures"
        raise RunError(
            f"this machine failed while {place} evaluated {which}: {describe(error)}. Nothing of it is logged: mend it "
            "and give the same command again to continue."
        ) from error
    if isinstance(error, PROGRAM) or not isinstance(error, Exception):
        raise RunError(
            f"the benchmark {place} has a mistake in its program: {describe(error)}. It is no property of an "
            "architecture, so nothing of it is logged: mend it and give the same command again to continue."
        ) from error


def is_machine_fault(error: BaseException) -> bool:
    """Whether an error says something about the machine: memory, disk, files, devices.

    A `TimeoutError` without an error number is none: it is what programs raise that bound a training's time.
    """
    if isinstance(error, TimeoutError) and error.errno is None:
        return False
    if isinstance(error, MemoryError | OSError) or MACHINE_NAMES & {kind.__name__ for kind in type(error).__mro__}:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MACHINE_WORDS)


def _checked(benchmark: Benchmark, X: IntArray, outcome: Any) -> Evaluation:
    """Return what a benchmark answered, if it has the form of an answer.

    Raises:
        UserError: It has not.
    """
    place = f"{benchmark.space.name}/{benchmark.dataset}"
    n, n_obj = len(X), len(benchmark.objectives)
    if not isinstance(outcome, tuple) or len(outcome) != len(Evaluation._fields):
        raise UserError(f"evaluate of {place} must return an Evaluation, got {type(outcome).__name__}.")
    F, seconds, errors = outcome
    if not isinstance(F, np.ndarray) or F.shape != (n, n_obj) or len(errors) != n or len(seconds) != n:
        raise UserError(
            f"evaluate of {place} must return F of shape {(n, n_obj)} with as many seconds and errors for {n} "
            f"architectures, got {getattr(F, 'shape', type(F).__name__)}, {len(seconds)} and {len(errors)}."
        )
    return Evaluation(F, seconds, errors)


def check_costs(benchmark: Benchmark, X: IntArray, F: FloatArray) -> None:
    """Compare the free objectives of evaluated genotypes with those that the space computes.

    Args:
        benchmark: Whose answer it is.
        X: Genotypes ``(n, n_var)``.
        F: Their objectives ``(n, n_obj)``.

    Raises:
        UserError: They differ, so that rows belong to other architectures or columns to other objectives.
    """
    ok = np.isfinite(F).all(axis=1)
    for j, objective in enumerate(benchmark.objectives):
        if not objective.cheap or not ok.any():
            continue
        own = np.asarray(benchmark.space.cost(X, objective.name), dtype=np.float64)
        wrong = np.flatnonzero(ok & ~_close(F[:, j], own))
        if len(wrong):
            k = wrong[0]
            place, arch = f"{benchmark.space.name}/{benchmark.dataset}", benchmark.space.to_str(X[k])
            raise UserError(
                f"{place} says {objective.name} {F[k, j]:.6g} for {arch}, but the space computes {own[k]:.6g} "
                f"{objective.unit}: {_guess(F, j, own)}"
            )


def _close(values: FloatArray, own: FloatArray) -> Any:
    return np.isclose(values, own, rtol=TOLERANCE, atol=1e-9)


def _guess(F: FloatArray, j: int, own: FloatArray) -> str:
    """Return what may have happened to a free objective."""
    if F.shape[0] == F.shape[1] > 1 and _close(F[j], own).all():
        return "its rows and columns are exchanged: return (n, n_obj), np.stack([...], axis=1)."
    for i in range(F.shape[1]):
        if i != j and _close(F[:, i], own).all():
            return f"column {i + 1} holds these values, so the objectives stand in another order."
    if len(own) > 1 and _close(np.sort(F[:, j]), np.sort(own)).all():
        return "the values are there in another order, so rows belong to other architectures."
    if len(own) > 1 and (own != 0).all() and _close(F[:, j] / own, np.full(len(own), F[0, j] / own[0])).all():
        return f"all differ by the factor {F[0, j] / own[0]:.6g}: another unit?"
    return "a free objective must be exactly space.cost (declare it as not cheap if it is another quantity)."


def refuse_hopeless(rows: Sequence[Row], budget: int, benchmark: Benchmark) -> None:
    """Stop a run whose first evaluations all failed for one reason, where that may be the benchmark's.

    Gaps of a table are known properties of architectures and stop nothing. Reasons that differ in numbers or in the
    name of the architecture alone count as one.

    Args:
        rows: All evaluations so far.
        budget: Of the run.
        benchmark: Evaluated them.

    Raises:
        RunError: None succeeded, there are `FIRST` or as many as the budget, and all have one reason.
    """
    if benchmark.gaps_are_known or len(rows) < min(FIRST, budget):
        return
    if any(row.status == "ok" for row in rows) or len({_kind(row) for row in rows}) > 1:
        return
    raise RunError(
        f"the first {len(rows)} evaluations of {benchmark.space.name}/{benchmark.dataset} all failed for one reason: "
        f"{rows[0].error}. Mend the benchmark and start again with --overwrite; or give the same command again to "
        "go on all the same."
    )


def _kind(row: Row) -> str:
    """Return a reason without its numbers and the architecture's name."""
    return re.sub(r"\d+", "#", row.error.replace(row.arch, "#"))
