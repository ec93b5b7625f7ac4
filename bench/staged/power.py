"""What an experiment of some size can show, given what its gate measured: simulated on a table of the same space.

On the table (final values of published trainings) the architectures of one cost differ by some standard deviation. With
the gate's ratio that says how large the noise of a training is on the table's scale. Arms then search with such noise,
on seeds of their own, and their observed fronts are judged by the true values with a fresh noise of the same size, as
the experiment does. The effect that comes out, and the exact test, give the chance to find it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark, reference_front
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.ranges import box_within
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.indicators import front_rows, hypervolumes
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.power import chance_to_find
from smemnas.bench.staged.plan import Arm
from smemnas.bench.studies.published import IN_THE_BOX
from smemnas.methods.base import METHODS
from smemnas.spaces.base import FloatArray
from smemnas.surrogates.base import single_thread

#: Seeds of the simulated searches: the first of them, beyond those of any study.
FIRST = 50_000
#: Networks near the median cost by which a table's deviation is measured, and points of the range of the error.
NEAR, POINTS = 200, 5.0
#: Distances of the quartiles beyond them at which an error is far out.
FAR_OUT = 3.0
_STREAM = 17_003


class Foreseen(NamedTuple):
    """What a simulation says.

    Attributes:
        first: The first arm, which a positive effect says is better.
        other: The arm it is compared with.
        table: Space and data set of the table.
        noise: Standard deviation of a training on it, in points.
        d: Effect, in standard deviations of paired differences.
        power: Chance that so many seeds find it.
        seeds: How many.
        simulated: Seeds that were simulated.
    """

    first: str
    other: str
    table: str
    noise: float
    d: Interval
    power: float
    seeds: int
    simulated: int

    def line(self) -> str:
        """Return it in one line."""
        return (
            f"power: with noise of sd {self.noise:.2f} points on {self.table}, {self.simulated} simulated seeds of "
            f"{self.first} against {self.other} give an effect of d = {self.d.value:+.2f} ({self.d.low:+.2f} to "
            f"{self.d.high:+.2f}); {self.seeds} seeds find it in {100 * self.power:.0f} % of experiments"
        )


def foresee(
    space: str, ratio: float, arms: Sequence[Arm], *, budget: int, seeds: int, simulated: int = 20
) -> tuple[Foreseen, ...]:
    """Return what the first arm would show against each other one.

    Nothing without a table of the space, or where the ratio says nothing.

    Args:
        space: Registered space.
        ratio: Architecture over seed deviation.
        arms: Two or more; their comparisons are one family.
        budget: Trainings of a search.
        seeds: Of the experiment.
        simulated: Seeds to simulate.
    """
    dataset = next((name for at, name in IN_THE_BOX if at == space), None)
    if dataset is None or not 0.0 < ratio < math.inf:
        return ()
    plain = open_benchmark(space, dataset, ("error", "flops"))
    noise = deviation_at_one_cost(plain) / ratio
    noisy = open_benchmark(space, f"{dataset}+noise={noise:.6g}", ("error", "flops"))
    values = np.array(
        [[_searched(noisy, plain, arm, budget, FIRST + k, noise) for k in range(simulated)] for arm in arms]
    )
    found = []
    for arm, theirs in zip(arms[1:], values[1:], strict=True):
        d = statistics.standardised_difference(values[0], theirs)
        power = chance_to_find(d.value, seeds, len(arms) - 1) if math.isfinite(d.value) else 0.0
        found.append(Foreseen(arms[0].name, arm.name, f"{space}/{dataset}", noise, d, power, seeds, simulated))
    return tuple(found)


def deviation_at_one_cost(plain: Benchmark) -> float:
    """Return the standard deviation of the true errors of networks nearest to the median cost.

    Errors far out (Tukey 1977: beyond the quartiles by over three times their distance) are left out. They are of
    networks that hardly learn, of which a gate of a dozen has few; on NAS-Bench-201 they would be most of the
    deviation.
    """
    X = np.unique(plain.space.sample(4_000, np.random.default_rng(_STREAM)), axis=0)
    cost = plain.space.cost(X, plain.objectives[1].name)
    near = np.argsort(np.abs(cost - np.median(cost)), kind="stable")[:NEAR]
    values = plain.true_values(X[near])[:, 0]
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, (0.25, 0.75))
    beyond = np.maximum(low - values, values - high)
    return float(np.std(values[beyond <= FAR_OUT * (high - low)], ddof=1))


def _searched(noisy: Benchmark, plain: Benchmark, arm: Arm, budget: int, seed: int, noise: float) -> float:
    """Return the hypervolume of an observed front by true values with fresh noise."""
    method = METHODS.create(arm.method or arm.name, noisy.problem, budget=budget, seed=seed, params=arm.params)
    X, F = np.empty((0, len(noisy.space.sample(1, np.random.default_rng(0))[0])), dtype=np.int64), np.empty((0, 2))
    with single_thread():
        while len(X) < budget:
            asked = method.ask()[: budget - len(X)]
            if not len(asked):
                break
            told = noisy.evaluate(asked, seed).F
            method.tell(asked, told)
            X, F = np.concatenate([X, asked]), np.concatenate([F, told])
    front = front_rows(F)
    fresh = np.array(plain.true_values(X[front]), dtype=np.float64)
    keys = [np.random.default_rng([_STREAM, seed, *x.tolist()]).standard_normal() for x in X[front]]
    fresh[:, 0] += noise * np.array(keys)
    return _volume(fresh, plain)


def _volume(F: FloatArray, plain: Benchmark) -> float:
    reference = reference_front(plain)
    assert reference is not None, "tables of the package have one"
    return hypervolumes(F, reference.front, box_within(reference.front, 0, POINTS))[0]
