"""Speed of the core: start-up, table, look-ups, closed-form surrogate. Run with --benchmark-enable."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clock import ratio, timed
from scipy.stats import kendalltau

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.kernel_pairwise import KernelPairwise

ROOT = Path(__file__).resolve().parents[2]


def seconds_of_child(function):
    """Processor seconds of the processes that a call starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    function()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_list_starts_fast(benchmark):
    """`cli.py list` takes at most six times a bare interpreter that imports NumPy and click."""

    def start(*args):
        subprocess.run([sys.executable, *args], check=True, capture_output=True, cwd=ROOT)

    def ours():
        start(str(ROOT / "cli.py"), "list")

    benchmark.pedantic(ours, rounds=1)
    times = ratio(ours, lambda: start("-c", "import numpy, click"), seconds_of=seconds_of_child, limit=6, warmed=True)
    benchmark.extra_info.update(ratio=times)
    assert times < 6


def test_cached_table_opens_in_30_ms(benchmark):
    open_benchmark("nb201", "analog")
    benchmark.pedantic(open_benchmark, args=("nb201",), rounds=20)
    assert benchmark.stats.stats.median < 0.030


def test_a_million_lookups_per_second(benchmark):
    """Architectures to (error, flops); the reference is indexing a plain array with known rows."""
    bench = open_benchmark("nb201", "analog")
    X = np.tile(bench.space.enumerate(), (8, 1))
    rows = np.tile(np.arange(15625), 8)
    plain = np.array(bench.table.column("error"))
    benchmark.pedantic(bench.evaluate, args=(X, 0), rounds=5)
    times, per_second = ratio(lambda: bench.evaluate(X, 0), lambda: plain[rows]), len(X) / benchmark.stats.stats.min
    benchmark.extra_info.update(ratio=times, per_second=per_second)
    assert per_second > 1_000_000
    assert times < 200


@pytest.mark.long
@pytest.mark.slow
def test_closed_form_against_svc_on_identical_pairs(benchmark):
    """nb201 one-hot, n = 100, all 9,900 ordered pairs, 2 draws: 200 times faster, tau within 0.01."""
    from sklearn.svm import SVC

    bench = open_benchmark("nb201", "analog")
    grid = bench.space.enumerate()
    ours_seconds, svc_seconds, ours_tau, svc_tau = [], [], [], []
    with single_thread():
        KernelPairwise().fit(np.eye(4), np.arange(4.0)).rank(np.eye(4))  # warm up BLAS and LAPACK
        for draw in range(2):
            rows = np.random.default_rng(draw).permutation(len(grid))[:300]
            Z = bench.space.encode(grid[rows], "onehot")
            y = bench.evaluate(grid[rows], 0).F[:, 0]
            train, test = slice(0, 100), slice(100, 300)
            seconds, score = timed(lambda: KernelPairwise().fit(Z[train], y[train]).rank(Z[test]))  # noqa: B023
            ours_seconds.append(seconds)
            ours_tau.append(kendalltau(score, y[test])[0])
            a, b = np.nonzero(~np.eye(100, dtype=bool))
            pairs = np.hstack([Z[train][a], Z[train][b]])
            label = np.sign(y[train][b] - y[train][a])
            untied = label != 0
            seconds, svc = timed(lambda: SVC(C=1.0, gamma="scale").fit(pairs[untied], label[untied]))  # noqa: B023
            opponents = np.repeat(Z[test], 100, axis=0), np.tile(Z[train], (200, 1))
            more, f = timed(lambda: svc.decision_function(np.hstack(opponents)))  # noqa: B023
            svc_seconds.append(seconds + more)
            svc_tau.append(kendalltau(-np.sign(f).reshape(200, 100).mean(axis=1), y[test])[0])
        benchmark.pedantic(lambda: KernelPairwise().fit(Z[train], y[train]).rank(Z[test]), rounds=5)
    times = np.median(svc_seconds) / np.median(ours_seconds)
    benchmark.extra_info.update(ratio=times, tau_ours=np.mean(ours_tau), tau_svc=np.mean(svc_tau))
    assert times > 200
    assert np.mean(ours_tau) > np.mean(svc_tau) - 0.01


def test_a_thousand_architectures_fit_at_the_cost_of_eight_decompositions(benchmark):
    """Width and penalty given: fit on n = 1,000, beside one eigendecomposition of that size."""
    bench = open_benchmark("nb201", "analog")
    X = bench.space.enumerate()[np.random.default_rng(0).permutation(15625)[:1000]]
    Z, y = bench.space.encode(X, "onehot"), bench.evaluate(X, 0).F[:, 0]
    symmetric = Z @ Z.T
    model = KernelPairwise(width=0.7, penalty=0.1)
    with single_thread():
        benchmark.pedantic(model.fit, args=(Z, y), rounds=1)
        times = ratio(lambda: model.fit(Z, y), lambda: np.linalg.eigh(symmetric), limit=8, warmed=True)
    benchmark.extra_info.update(ratio=times)
    assert times < 8
