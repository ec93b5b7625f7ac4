"""Speed of installed data sets: opening, look-ups with device columns, exact front (--benchmark-enable shows it)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from clock import ratio

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data import nb201
from smemnas.spaces.nb201 import NB201

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data_files import nb201_accuracies, nb201_hardware, nb201_proxies

OBJECTIVES = ("error", "params", "flops", "latency_edgegpu", "energy_edgegpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of the nb201-cifar10 recipe made of random numbers, all 25 columns."""
    place = tmp_path_factory.mktemp("perf")
    nb201_accuracies(place / "nasbench201_cifar10.json")
    nb201_hardware(place / "hw_cifar10.csv")
    nb201_proxies(place / "nb201_zc_proxies.csv")
    return nb201.CIFAR10.make({s.file: place / s.file for s in nb201.CIFAR10.sources}, place / "table").path


def test_installed_table_opens_in_30_ms(benchmark, folder):
    """Checksums of the searched columns included; beside it reading the same bytes."""

    def open_and_ask():
        return TabularBenchmark(NB201(), Table(folder), OBJECTIVES).evaluate(np.zeros((1, 6), dtype=np.int64), 0)

    files = [folder / "header.json", *(folder / f"{c}.npy" for c in ("val_error", "latency_edgegpu", "energy_edgegpu"))]
    benchmark.pedantic(open_and_ask, rounds=20, warmup_rounds=2)
    times = ratio(open_and_ask, lambda: [f.read_bytes() for f in files], 20)
    benchmark.extra_info.update(ratio=times)
    assert benchmark.stats.stats.min < 0.030
    assert times < 20


@pytest.mark.parametrize("objectives", [("error", "flops"), OBJECTIVES, ("error", "latency_edgetpu")])
def test_look_ups_under_a_microsecond(benchmark, folder, objectives):
    """Per architecture in batches of 100,000, missing values included; beside it one gather per column."""
    bench = TabularBenchmark(NB201(), Table(folder), objectives)
    X = bench.space.sample(100_000, np.random.default_rng(0))
    rows, column = bench.space.index(X), np.array(bench.table.column("val_error"))
    benchmark.pedantic(bench.evaluate, args=(X, 0), rounds=5)
    times = ratio(lambda: bench.evaluate(X, 0), lambda: [column[rows] for _ in objectives])
    benchmark.extra_info.update(ratio=times)
    assert benchmark.stats.stats.min / len(X) < 1e-6
    assert times < 30


@pytest.mark.parametrize("objectives", [("error", "flops"), OBJECTIVES])
def test_exact_front_is_computed_not_stored(benchmark, folder, objectives):
    """All 15,625 cells in well under a second, so no front is stored; beside it the dominance test alone."""
    from moocore import is_nondominated

    bench = TabularBenchmark(NB201(), Table(folder), objectives)
    F = bench.evaluate(bench.space.enumerate(), 0).F
    benchmark.pedantic(bench.reference, rounds=3)
    times = ratio(bench.reference, lambda: is_nondominated(F))
    benchmark.extra_info.update(ratio=times)
    assert benchmark.stats.stats.min < 0.5
    assert times < 10
