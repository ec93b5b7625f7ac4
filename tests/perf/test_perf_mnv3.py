"""Speed of mnv3: exact costs in batches, the predictor, opening. Run with --benchmark-enable."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clock import ratio
from data_files import SHARED, original
from mnv3_walk import walk

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.table import file_digest
from smemnas.bench.data import mnv3, mnv3_ofa
from smemnas.bench.data.recipe import fetch
from smemnas.spaces.mnv3 import MNV3
from smemnas.surrogates.base import single_thread

BATCH = 10_000


def test_params_and_madds_cost_under_5_us(benchmark):
    """Both counts of a batch; beside it a plain walk over the layers of each network."""
    space = MNV3()
    X = space.sample(BATCH, np.random.default_rng(0))

    def both():
        return space.cost(X, "params"), space.cost(X, "flops")

    benchmark.pedantic(both, rounds=20, warmup_rounds=1)
    each = benchmark.stats.stats.min / BATCH
    part = BATCH / 100
    times = ratio(both, lambda: [walk(space, x) for x in X[:100]], limit=part / 20) / part
    benchmark.extra_info.update({"us per architecture": 1e6 * each, "ratio": times})
    assert each < 5e-6
    assert times < 1 / 20


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    for source in mnv3.RECIPE.sources:
        original("mnv3", source.file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(tmp_path_factory.mktemp("mnv3")))
        fetch("mnv3", SHARED)
        yield os.environ["SMEMNAS_DATA"]


@pytest.mark.data
def test_predictor_is_bound_by_its_matrix_products(benchmark, installed):
    """Evaluating error and MAdds of a batch; beside it the bare products of the predictor's four layers."""
    bench = open_benchmark("mnv3", "imagenet")
    X = bench.space.sample(4096, np.random.default_rng(0))
    inputs = [np.random.default_rng(1).random((4096, w.shape[1])) for w in bench.predictor.weights]

    def products():
        for z, w in zip(inputs, bench.predictor.weights, strict=True):
            z @ w.T

    benchmark.pedantic(bench.evaluate, args=(X, 0), rounds=5)
    with single_thread():
        times = ratio(lambda: bench.evaluate(X, 0), products)
    benchmark.extra_info.update({"us per architecture": 1e6 * benchmark.stats.stats.min / len(X), "ratio": times})
    assert times < 4


@pytest.mark.data
def test_installed_benchmark_opens_fast(benchmark, installed):
    """Opening; beside it the checksum of the same file."""
    open_benchmark("mnv3", "imagenet")
    file = Path(installed) / "tables" / "mnv3" / "imagenet" / "value.npy"
    benchmark.pedantic(open_benchmark, args=("mnv3", "imagenet-w12"), rounds=10)
    times = ratio(lambda: open_benchmark("mnv3", "imagenet-w12"), lambda: file_digest(file))
    benchmark.extra_info.update(ratio=times)
    assert times < 10
    assert benchmark.stats.stats.min < 0.060


@pytest.mark.parametrize(("dataset", "limit"), [("ofa", 50e-6), ("ofa+draw=1", 150e-6)])
def test_the_process_answers_within_50_us(benchmark, dataset, limit):
    """Error and MAdds of a batch, from 2,162 measured networks; a draw has 2,048 cosines besides."""
    bench = open_benchmark("mnv3", dataset)
    X = bench.space.sample(4096, np.random.default_rng(0))
    bench.evaluate(X[:10], 0)
    benchmark.pedantic(bench.evaluate, args=(X, 0), rounds=5)
    benchmark.extra_info["us per architecture"] = 1e6 * benchmark.stats.stats.min / len(X)
    assert benchmark.stats.stats.min / len(X) < limit


def test_the_packaged_process_opens_within_200_ms(benchmark):
    """From the file to the first answer, nothing kept from before."""
    X = MNV3(1.0, (224,)).sample(1, np.random.default_rng(0))

    def first_answer():
        mnv3_ofa.arrays.cache_clear()
        mnv3_ofa.process.cache_clear()
        open_benchmark("mnv3", "ofa").evaluate(X, 0)

    benchmark.pedantic(first_answer, rounds=5)
    assert benchmark.stats.stats.min < 0.2
