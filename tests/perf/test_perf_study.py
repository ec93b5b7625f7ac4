"""Speed of the statistics of a study, as ratios to the plain way timed beside them."""

import inspect

import numpy as np
import pytest
from clock import ratio
from scipy.stats import bootstrap

from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.indicators import hypervolume_regret, regret_curve


def test_an_interval_costs_a_fifth_of_scipys(benchmark):
    """Beside it `scipy.stats.bootstrap` with as many resamples as a ratio of medians has."""
    x = np.random.default_rng(0).exponential(size=31)
    statistics.mean_interval(x)  # imports what it needs

    name = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"

    def plain():
        stream = {name: np.random.default_rng(statistics.STREAM)}
        return bootstrap((x,), np.mean, n_resamples=statistics.RESAMPLES, method="BCa", **stream)

    interval = benchmark.pedantic(statistics.mean_interval, args=(x,), rounds=30)
    limits = plain().confidence_interval
    assert (interval.low, interval.high) == pytest.approx((limits.low, limits.high), rel=0.2)
    times = ratio(lambda: [statistics.mean_interval(x) for _ in range(10)], lambda: [plain() for _ in range(10)])
    benchmark.extra_info.update(ratio=times)
    assert times < 0.2


def test_a_curve_costs_third_of_its_prefixes(benchmark):
    """The regret after each of 340 evaluations; beside it the hypervolume of every prefix anew."""
    rng = np.random.default_rng(0)
    t = rng.random(340)
    F = np.stack([t, 1.0 - np.sqrt(t) + rng.exponential(0.3 / np.arange(1, 341) ** 0.5)], axis=1)
    grid = np.linspace(0.0, 1.0, 40)
    front, at = np.stack([grid, 1.0 - np.sqrt(grid)], axis=1), np.arange(1, 341)
    curve = benchmark.pedantic(regret_curve, args=(F, front, at), rounds=10)
    plain = [hypervolume_regret(F[:n], front) for n in at]
    assert len(np.unique(plain)) > 30
    np.testing.assert_allclose(curve, plain, atol=1e-12)
    times = ratio(lambda: regret_curve(F, front, at), lambda: [hypervolume_regret(F[:n], front) for n in at])
    benchmark.extra_info.update(ratio=times)
    assert times < 1 / 3
