"""The contract of a method as functions; each takes ``make(problem, budget, seed) -> Method``.

Methods are driven by the suite's own loop on the toy space and on spaces made for the purpose.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.noisy import NoisyBenchmark
from smemnas.bench.checks.common import (
    CheckFailed,
    global_random_state_untouched,
    require,
    require_equal,
    scrambled_global_state,
)
from smemnas.bench.errors import UserError
from smemnas.bench.runs.history import History
from smemnas.bench.runs.reported import Recommended
from smemnas.bench.runs.run import search
from smemnas.methods.base import Method, initial_design
from smemnas.methods.start import STARTS, starting
from smemnas.spaces.base import FloatArray, IntArray, Objective, Problem, SearchSpace
from smemnas.spaces.toy import Toy, error

Make = Callable[[Problem, int, int], Method]
BUDGET = 45
ERROR, FLOPS, LATENCY = Objective("error", "%", False), Objective("flops", "M", True), Objective("latency", "ms", False)
BOTH = (ERROR, FLOPS)


class Tiny(SearchSpace):
    """Six genotypes, to be exhausted."""

    name = "tiny"
    n_choices = (2, 3)
    costs = (FLOPS,)

    def to_str(self, x: IntArray) -> str:
        """Join with a hyphen."""
        return f"{int(x[0])}-{int(x[1])}"

    def from_str(self, arch: str) -> IntArray:
        """Split at the hyphen."""
        return np.array([int(v) for v in arch.split("-")], dtype=np.int64)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return ``1 + sum(x)``."""
        return 1.0 + X.sum(axis=1) if name == "flops" else super().cost(X, name)


class Constrained(Toy):
    """The toy space without every genotype whose first two levels are equal: 2,500 of 3,125 are valid."""

    name = "constrained"

    def is_valid(self, X: IntArray) -> NDArray[np.bool_]:
        """On the grid, and the first two genes differ."""
        return np.asarray(super().is_valid(X) & (X[:, 0] != X[:, 1]))

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw the second gene among the four other levels."""
        X = super().sample(n, rng)
        X[:, 1] = (X[:, 0] + rng.integers(1, 5, size=n)) % 5
        return X


@dataclass
class Recorder(Method):
    """Passes everything on to a method and keeps what was asked."""

    method: Method
    asks: list[IntArray] = field(default_factory=list)

    def ask(self) -> IntArray:
        """Ask the method."""
        X = self.method.ask()
        self.asks.append(np.array(X, copy=True))
        return X

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Tell the method."""
        self.method.tell(X, F)


def toy(
    objectives: tuple[Objective, ...] = BOTH,
    space: SearchSpace | None = None,
    change: Callable[[FloatArray, IntArray], FloatArray] | None = None,
) -> CallableBenchmark:
    """Return a benchmark on the toy space (or another one) whose numbers `change` may alter."""
    space = space or Toy()

    def measure(X: IntArray, seed: int) -> FloatArray:
        columns = {
            "error": error(X),
            "flops": 1.0 + X.sum(axis=1),
            "latency": 2.0 + (X * np.arange(X.shape[1])).sum(axis=1),
        }
        F = np.stack([columns[o.name].astype(np.float64) for o in objectives], axis=1)
        return F if change is None else change(F, X)

    return CallableBenchmark(space, measure, objectives)


def drive(
    make: Make, benchmark: CallableBenchmark, budget: int = BUDGET, seed: int = 0
) -> tuple[Recorder, IntArray, FloatArray]:
    """Run a method with the suite's loop; return what it asked, and genotypes and objectives of its log.

    Raises:
        CheckFailed: The method raised, or asked for something that is no architecture.
    """
    recorder = Recorder(make(benchmark.problem, budget, seed))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        history = History(Path(folder) / "evals.jsonl")
        try:
            with history:
                search(recorder, benchmark, budget, seed, history, judged=False)
        except (Exception, SystemExit) as problem:
            raise CheckFailed(
                f"after {len(history.rows)} of {budget} evaluations: {type(problem).__name__}: {problem}"
            ) from problem
        X, F = history.arrays()
    require(len(X) > 0, "the first ask must return at least one genotype, got none.")
    return recorder, X, F


def check_asks(make: Make) -> None:
    """Asks are valid int64 ``(m, n_var)``, on a space with forbidden genotypes too, and spend the budget."""
    for space in (Toy(), Constrained()):
        recorder, X, _ = drive(make, toy(space=space))
        for asked in recorder.asks:
            require(
                asked.ndim == 2 and asked.shape[1] == space.n_var and asked.dtype == np.int64,
                f"ask must return int64 (m, {space.n_var}), got {asked.dtype} {asked.shape}.",
            )
        require(
            len(X) == BUDGET,
            f"a method must spend its budget while the space has more: {BUDGET} evaluations, got {len(X)}. "
            "Return no rows only when nothing is left to ask.",
        )


def check_same_seed_same_asks(make: Make) -> None:
    """The same seed gives the same asks, whatever the global generators hold; they are left alone."""
    logs = []
    for state in (1, 2):
        with scrambled_global_state(state), global_random_state_untouched("a method"):
            logs.append(drive(make, toy(), seed=3)[1])
    require_equal(logs[1], logs[0], "the same seed must give the same asks: draw from self.rng only.")


def check_other_seed_other_asks(make: Make) -> None:
    """Another seed gives other asks."""
    first, second = (drive(make, toy(), seed=s)[1] for s in (3, 4))
    require(not np.array_equal(first, second), "seeds 3 and 4 must give different asks: draw from self.rng.")


def check_shared_start(make: Make) -> None:
    """The first ask is a prefix of the seed's shared initial design, unless the class declares another start."""
    problem = toy().problem
    for seed in (0, 11):
        method = make(problem, BUDGET, seed)
        if not method.shared_start:
            return
        first = method.ask()
        require_equal(
            np.asarray(first),
            initial_design(problem, len(first), seed),
            "the first ask must be initial_design(problem, n, seed); else set shared_start = False on the class.",
        )


def check_start(make: Make) -> None:
    """Where the comparison says with what all methods begin, the first ask is a prefix of that, or it is refused."""
    for start in STARTS:
        problem = starting(toy().problem, start)
        try:
            first = np.asarray(make(problem, BUDGET, 3).ask())
        except UserError:
            return
        require_equal(
            first,
            initial_design(problem, len(first), 3),
            f"under --start {start} the first ask must be initial_design(problem, n, seed); else takes_start = False.",
        )


def check_small_budgets(make: Make) -> None:
    """Budgets of 1, 2, 3 and 7, below any initial size, are spent exactly."""
    for budget in (1, 2, 3, 7):
        _, X, _ = drive(make, toy(), budget)
        require(len(X) == budget, f"with budget {budget} it must evaluate {budget} architectures, got {len(X)}.")


def check_larger_budget(make: Make) -> None:
    """A run goes on with a larger budget as if it had had that from the start, unless the method plans with it."""
    larger = 2 * BUDGET // 3
    whole = drive(make, toy(), larger)[1]
    for budget in (7, larger // 2):
        if make(toy().problem, budget, 0).plans_with_budget:
            continue
        require_equal(
            drive(make, toy(), budget)[1],
            whole[:budget],
            f"with budgets of {budget} and {larger} the first {budget} evaluations must be the same, or finished runs "
            "cannot go on with a larger budget: set plans_with_budget = True on the class, or in the constructor for "
            "the budgets where it plans.",
        )


def check_failed_rows(make: Make) -> None:
    """A third of the evaluations fail: the search goes on and never stumbles over +inf."""

    def fail(F: FloatArray, X: IntArray) -> FloatArray:
        return np.where((X.sum(axis=1) % 3 == 0)[:, None], np.nan, F)

    for objectives in (BOTH, (ERROR,), (ERROR, FLOPS, LATENCY)):
        _, X, _ = drive(make, toy(objectives, change=fail))
        require(len(X) == BUDGET, f"with failed evaluations it must go on to {BUDGET}, got {len(X)}.")


def check_everything_fails(make: Make) -> None:
    """All evaluations fail, or all but the very first, or only the first ones: no exception."""
    order: list[bytes] = []

    def position(X: IntArray) -> IntArray:
        for x in X:
            if x.tobytes() not in order:
                order.append(x.tobytes())
        return np.array([order.index(x.tobytes()) for x in X], dtype=np.int64)

    for fails in (lambda at: at >= 0, lambda at: at >= 1, lambda at: at < 33):
        order.clear()
        _, X, _ = drive(make, toy(change=lambda F, X, f=fails: np.where(f(position(X))[:, None], np.nan, F)))  # type: ignore[misc]
        require(len(X) > 0, "with failing evaluations it must still ask.")


def check_constant_objectives(make: Make) -> None:
    """All architectures alike in one objective or in all."""
    for constant in ((0,), (1,), (0, 1)):

        def level(F: FloatArray, X: IntArray, columns: tuple[int, ...] = constant) -> FloatArray:
            F = F.copy()
            F[:, columns] = 4.0
            return F

        objectives = (ERROR, LATENCY)  # nothing free, so that the constant ones are measured
        _, X, _ = drive(make, toy(objectives, change=level))
        require(len(X) == BUDGET, f"with constant objectives it must go on to {BUDGET}, got {len(X)}.")


def check_numbers_of_objectives(make: Make) -> None:
    """One objective alone, two costly ones, and three; in any order."""
    for objectives in ((ERROR,), (FLOPS, ERROR), (ERROR, LATENCY), (ERROR, FLOPS, LATENCY)):
        _, X, F = drive(make, toy(objectives))
        names = ",".join(o.name for o in objectives)
        require(len(X) == BUDGET, f"with objectives {names} it must go on to {BUDGET}, got {len(X)}.")
        require(F.shape == (BUDGET, len(objectives)), f"with objectives {names}: F is {F.shape}.")


def check_warm_start(make: Make) -> None:
    """Rows told before the first ask, some failed and some twice, are taken; the search goes on from them."""
    benchmark = toy()
    X = Toy().sample(40, np.random.default_rng(8))
    F = benchmark.evaluate(X, 0).F
    F[::5] = np.inf
    method = make(benchmark.problem, BUDGET, 0)
    method.tell(np.vstack([X, X[:10]]), np.vstack([F, F[:10]]))
    method.tell(X[:3], F[:3])
    for _ in range(3):
        asked = method.ask()
        if len(asked) == 0:
            return
        require(Toy().is_valid(asked).all(), "after a warm start it must ask for valid genotypes.")
        method.tell(asked, benchmark.evaluate(asked, 0).F)
        method.tell(asked, benchmark.evaluate(asked, 0).F)


def check_exhausted_space(make: Make) -> None:
    """A space of six genotypes and a budget of 30: each is evaluated at most once and the run ends."""
    benchmark = toy(space=Tiny())
    recorder, X, _ = drive(make, benchmark, budget=30)
    require(len(np.unique(X, axis=0)) == len(X) <= 6, f"six genotypes can be evaluated once each, got {len(X)} rows.")
    asked = sum(len(a) for a in recorder.asks)
    require(asked <= 30 * 10 + 1000, f"with nothing new to ask it must return no rows, it asked for {asked}.")


def check_arguments_kept(make: Make) -> None:
    """`tell` does not write into its arguments, and `ask` does not hand out its own memory."""
    benchmark = toy()
    log = []
    for scribble in (False, True):
        method = make(benchmark.problem, BUDGET, 0)
        asks: list[IntArray] = []
        while sum(len(a) for a in asks) < BUDGET:
            X = method.ask()
            if len(X) == 0:
                break
            X, F = np.array(X), benchmark.evaluate(X, 0).F
            asks.append(X.copy())
            X.flags.writeable = F.flags.writeable = False
            try:
                method.tell(X, F)
            except ValueError as problem:
                raise CheckFailed(f"tell may not write into its arguments; copy first ({problem}).") from problem
            if scribble:
                X.flags.writeable = F.flags.writeable = True
                X[:], F[:] = 0, 0.0
        log.append(np.vstack(asks))
    require_equal(log[1], log[0], "tell must copy what it keeps: the caller may reuse its arrays.")


def check_free_objectives_only(make: Make) -> None:
    """A one-objective problem of free objectives alone is either searched or refused with `UserError`."""
    benchmark = toy((FLOPS,))
    try:
        make(benchmark.problem, BUDGET, 0)
    except UserError:
        return
    drive(make, benchmark)


def check_true_values_unknown(make: Make) -> None:
    """Two worlds that show the same values and differ in the true ones give the same asks; what it recommends is valid.

    Under noise only what was shown may count; a recommendation is checked by the loop.
    """
    budget, logs = 24, []
    for lift in (0.0, 5.0):
        noise = NoisyBenchmark(_Raised(lift), {"error": 1.0}, "toy+noise=1")
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder) / "evals.jsonl")
            method = make(noise.problem, budget, 5)
            said = Recommended(Path(folder) / "recommended.jsonl", method, noise, history, "method")
            try:
                with history, said:
                    told = said.after if said.wanted else None
                    search(method, noise, budget, 5, history, judged=False, told=told)
            except (Exception, SystemExit) as problem:
                raise CheckFailed(f"under noise: {type(problem).__name__}: {problem}") from problem
            logs.append([history.arrays()[0], *(s.rows for s in said.sets)])
    require(len(logs[0]) == len(logs[1]), "what a method recommends may not depend on the true values.")
    for one, other in zip(*logs, strict=True):
        require_equal(other, one, "asks and recommendations may depend on nothing but the values that were told.")


class _Raised(CallableBenchmark):
    """The toy benchmark, whose true errors lie somewhere else than what it shows."""

    def __init__(self, lift: float) -> None:
        shown = toy()
        super().__init__(shown.space, lambda X, seed: shown.evaluate(X, seed).F, BOTH)
        self._lift = lift

    def true_values(self, X: IntArray) -> FloatArray:
        """Return other errors than those shown."""
        return np.asarray(self.evaluate(X, 0).F + [self._lift, 0.0] * (X[:, :1] + 1))


CHECKS = (
    check_asks,
    check_same_seed_same_asks,
    check_other_seed_other_asks,
    check_shared_start,
    check_start,
    check_small_budgets,
    check_larger_budget,
    check_failed_rows,
    check_everything_fails,
    check_constant_objectives,
    check_numbers_of_objectives,
    check_warm_start,
    check_exhausted_space,
    check_arguments_kept,
    check_free_objectives_only,
    check_true_values_unknown,
)
