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
    [found] = foresee("nats_sss", 2.0, ARMS, budget=6, seeds=10, simulated=2)
    assert found.noise == pytest.approx(deviation / 2.0)
    assert found.table == "nats_sss/cifar10"
    assert found.power == chance_to_find(found.d.value, 10, 1)
    assert (found,) == foresee("nats_sss", 2.0, ARMS, budget=6, seeds=10, simulated=2)
    assert "simulated seeds of evolution against random give an effect of d = " in found.line()


def test_every_comparison_is_foreseen_as_one_of_its_family():
    [alone] = foresee("nats_sss", 2.0, ARMS, budget=6, seeds=10, simulated=3)
    both = foresee("nats_sss", 2.0, (*ARMS, Arm("more", "nsga2")), budget=6, seeds=10, simulated=3)
    assert [(f.first, f.other) for f in both] == [("evolution", "random"), ("evolution", "more")]
    assert both[0].d == alone.d
    assert [f.power for f in both] == [chance_to_find(f.d.value, 10, 2) for f in both]


def test_nothing_is_foreseen_without_a_table_or_a_ratio():
    assert foresee("toy", 1.0, ARMS, budget=6, seeds=10) == ()
    assert foresee("nats_sss", 0.0, ARMS, budget=6, seeds=10) == ()


def test_networks_that_hardly_learn_do_not_make_the_deviation():
    """As the median absolute deviation says, which a few of them do not move."""
    found = {}
    for space in ("nb201", "nats_sss"):
        plain = open_benchmark(space, "cifar10", ("error", "flops"))
        X = np.unique(plain.space.sample(4_000, np.random.default_rng(3)), axis=0)
        cost = plain.space.cost(X, "flops")
        errors = plain.true_values(X[np.argsort(np.abs(cost - np.median(cost)), kind="stable")[:200]])[:, 0]
        robust = 1.4826 * np.median(np.abs(errors - np.median(errors)))
        found[space] = deviation_at_one_cost(plain) / robust, np.std(errors) / robust
    assert 0.8 < found["nb201"][0] < 1.25 < 4 < found["nb201"][1]
    assert found["nats_sss"] == pytest.approx((1.0, 1.0), abs=0.15)
