"""What a simulation foresees of an experiment."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.metrics.power import chance_to_find
from smemnas.bench.staged.plan import Arm
from smemnas.bench.staged.power import deviation_at_one_cost, foresee

ARMS = (Arm("evolution", "nsga2", {"population": 4}), Arm("random"))


def test_noise_is_the_deviation_at_one_cost_over_the_ratio():
    benchmark = open_benchmark("nats_sss", "cifar10", ("error", "flops"))
    X = benchmark.space.enumerate()
    cost, error = benchmark.space.cost(X, "flops"), benchmark.true_values(X)[:, 0]
    near = np.argsort(np.abs(cost - np.median(cost)))[:1500]  # all of them, where it looks at a sample
    deviation = deviation_at_one_cost(benchmark)
    assert deviation == pytest.approx(np.std(error[near], ddof=1), rel=0.25)
    found = foresee("nats_sss", 2.0, ARMS, budget=6, seeds=10, simulated=2)
    assert found.noise == pytest.approx(deviation / 2.0)
    assert found.table == "nats_sss/cifar10"
    assert found.power == chance_to_find(found.d.value, 10, 1)
    assert found == foresee("nats_sss", 2.0, ARMS, budget=6, seeds=10, simulated=2)


def test_nothing_is_foreseen_without_a_table_or_a_ratio():
    assert foresee("toy", 1.0, ARMS, budget=6, seeds=10) is None
    assert foresee("nats_sss", 0.0, ARMS, budget=6, seeds=10) is None
