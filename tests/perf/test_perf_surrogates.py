"""Speed of our surrogates beside scikit-learn's models on the same data. Run with --benchmark-enable.

The Gaussian process has its hyper-parameters fixed too (one Cholesky factorisation), so both sides fit once. Times
are processor seconds of one thread.
"""

import sys

import numpy as np
import pytest
from clock import ratio, timed
from scipy.stats import kendalltau

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.surrogates.base import SURROGATES, average_ranks, single_thread
from smemnas.surrogates.kernel_pairwise import KernelPairwise
from smemnas.surrogates.relevance_pairwise import RelevancePairwise


def table(n):
    """Encodings of the whole embedded table, a training set of n rows and the rest."""
    bench = open_benchmark("nb201", "analog")
    grid = bench.space.enumerate()
    rows = np.random.default_rng(0).permutation(len(grid))
    return bench.space.encode(grid, "path"), bench.evaluate(grid, 0).F[:, 0], rows[:n], rows[n:]


def gaussian_process(Z, y):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    return GaussianProcessRegressor(RBF(3.0) + WhiteKernel(0.05), optimizer=None, normalize_y=True).fit(Z, y)


@pytest.mark.slow
def test_a_thousand_rows_at_fixed_settings(benchmark):
    """n = 1,000: fit, and rank of 15,625, beside the Gaussian process."""
    Z, y, train, test = table(1000)
    with single_thread():
        model = KernelPairwise(width=0.7, penalty=0.03)
        model.fit(Z[train[:50]], y[train[:50]])  # warm up
        fit_gp = lambda: gaussian_process(Z[train], average_ranks(y[train]))  # noqa: E731
        benchmark.pedantic(model.fit, args=(Z[train], y[train]), rounds=1)
        gp = fit_gp()
        fit = ratio(lambda: model.fit(Z[train], y[train]), fit_gp, limit=8.0)
        rank = ratio(lambda: model.rank(Z), lambda: gp.predict(Z), limit=2.0)
        tau, gp_tau = (kendalltau(s[test], y[test])[0] for s in (model.rank(Z), gp.predict(Z)))
    benchmark.extra_info.update(fit_over_gp=fit, rank_over_gp=rank, tau=tau, gp_tau=gp_tau)
    assert fit < 8.0
    assert rank < 2.0
    assert tau > gp_tau - 0.005


@pytest.mark.long
@pytest.mark.slow
def test_thousands_of_rows_with_tuning(benchmark):
    """n = 2,500: tune, fit and rank 15,625 within 2 GB; the Gaussian process fits once, at fixed settings."""
    import resource

    Z, y, train, test = table(2500)
    with single_thread():
        model = KernelPairwise()
        gp_seconds, gp = timed(lambda: gaussian_process(Z[train], average_ranks(y[train])))
        run = lambda: timed(lambda: model.fit(Z[train], y[train]).rank(Z))  # noqa: E731
        seconds, ours = benchmark.pedantic(run, rounds=1)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    tau, gp_tau = kendalltau(ours[test], y[test])[0], kendalltau(gp.predict(Z[test]), y[test])[0]
    benchmark.extra_info.update(
        {"seconds_over_gp": seconds / gp_seconds, "peak_gb": gigabytes, "tau": tau, "gp": gp_tau}
    )
    assert seconds < 40.0 * gp_seconds
    assert gigabytes < 2.0
    assert tau > gp_tau - 0.005
    model.precision = "double"
    assert kendalltau(model.rank(Z[test[:2000]]), ours[test[:2000]])[0] > 0.9995


@pytest.mark.slow
def test_learned_relevance_costs_a_few_plain_fits(benchmark):
    """n = 400: the strongest surrogate against the plain closed form, tuning included on both sides."""
    Z, y, train, test = table(400)
    with single_thread():
        plain = lambda: KernelPairwise().fit(Z[train], y[train]).rank(Z)  # noqa: E731
        learned = lambda: RelevancePairwise().fit(Z[train], y[train]).rank(Z)  # noqa: E731
        ours = benchmark.pedantic(learned, rounds=1)
        times = ratio(learned, plain, 2, warmed=True)
    tau, plain_tau = (kendalltau(s[test], y[test])[0] for s in (ours, plain()))
    benchmark.extra_info.update(over_plain=times, tau=tau, plain_tau=plain_tau)
    assert times < 8.0
    assert tau > plain_tau


@pytest.mark.slow
def test_a_few_rows_by_many_trees(benchmark):
    """200 CARTs rank 40 rows, as in each generation of MSuNAS, beside scikit-learn's estimators asked for the same."""
    from sklearn.tree import DecisionTreeRegressor

    Z, y, train, test = table(150)
    with single_thread():
        model = SURROGATES.create("cart", seed=0, params={"n_trees": 200}).fit(Z[train], y[train])
        trees = [DecisionTreeRegressor(random_state=k).fit(Z[train], y[train]) for k in range(200)]
        few = Z[test[:40]]
        benchmark.pedantic(model.rank, args=(few,), rounds=3)
        share = ratio(lambda: model.rank(few), lambda: [tree.predict(few) for tree in trees], limit=0.25)
    benchmark.extra_info.update(over_estimators=share)
    assert share < 0.25
