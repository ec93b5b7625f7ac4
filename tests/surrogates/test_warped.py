"""The Gaussian process that learns which target to regress on, and how much each column matters."""

import math

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RationalQuadratic, WhiteKernel

from smemnas.surrogates import warped
from smemnas.surrogates.relevance import learn_relevance, relevance_kernel
from smemnas.surrogates.warped import NOISES, WarpedProcess, make_target

RNG = np.random.default_rng(3)
Z = RNG.random((60, 6))
QUERY = RNG.random((40, 6))


def smooth(Z):
    return 3.0 * Z[:, 0] + np.sin(3.0 * Z[:, 1]) - Z[:, 2]


@pytest.mark.parametrize(
    ("planted", "target"),
    [
        (lambda u: u, "value"),
        (lambda u: np.exp(4.0 * u), "log"),
        # in steps of six sizes: the order is smooth, neither the values nor their logarithms are
        (lambda u: np.where(u < 1.5, u, u + 50.0) + np.where(u < 0.5, -40.0, 0.0) + 200.0 * (u > 2.5), "rank"),
    ],
)
def test_the_target_is_what_was_planted(planted, target):
    process = WarpedProcess().fit([[Z]], planted(smooth(Z)))
    assert process.target == target


def test_predictions_are_in_the_unit_of_the_outcomes():
    y = np.exp(4.0 * smooth(Z))
    process = WarpedProcess().fit([[Z]], y)
    found = process.predict([QUERY])
    assert np.corrcoef(found, np.exp(4.0 * smooth(QUERY)))[0, 1] > 0.98
    assert np.corrcoef(process.predict([Z]), y)[0, 1] > 0.999
    low, middle, high = process.quantiles([QUERY], np.array([-1.0, 0.0, 1.0]))
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_the_posterior_is_that_of_a_library():
    process = WarpedProcess(offsets=(math.inf,), ranks=False, relevance=False).fit([[Z]], smooth(Z))
    fit = process._fit
    unit = np.sqrt(process._described[0].scales[0])
    kernel = RationalQuadratic(length_scale=fit.length, alpha=1.0) + WhiteKernel(fit.noise)
    target = (smooth(Z) - fit.target.low) / fit.target.unit
    t = (target - fit.target.mean) / fit.target.deviation - fit.level
    library = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(Z / unit, t)
    mean = library.predict(QUERY / unit)
    expected = ((mean + fit.level) * fit.target.deviation + fit.target.mean) * fit.target.unit + fit.target.low
    assert np.allclose(process.predict([QUERY]), expected, atol=1e-4)


def test_evidence_of_targets_is_comparable():
    """The density of outcomes integrates to the same whatever the target: shift and unit of y change nothing."""
    y = np.exp(2.0 * smooth(Z))
    first = WarpedProcess().fit([[Z]], y)
    second = WarpedProcess().fit([[Z]], 5.0 * y + 100.0)
    assert first.target == second.target
    assert np.allclose(5.0 * first.predict([QUERY]) + 100.0, second.predict([QUERY]), rtol=1e-3)
    for offset in (math.inf, 1.0, 0.1):
        target, t = make_target(y, offset)
        step = 1e-6 * np.ptp(y)
        u = np.array([(v - target.low + step) / target.unit for v in y])
        raw = u if math.isinf(offset) else np.log(u + offset)
        moved = (raw - target.mean) / target.deviation
        slope = (moved - t) / step * target.unit
        assert np.log(slope).sum() == pytest.approx(target.density(y), rel=1e-3)


def test_columns_that_matter_weigh_more():
    y = smooth(Z)
    learned = learn_relevance(Z, (y - y.mean()) / y.std())
    assert learned.weights[:3].min() > 3.0 * learned.weights[3:].max()
    K = relevance_kernel(Z, Z, learned.weights)
    assert np.allclose(K, K.T)
    assert np.allclose(np.diag(K), 1.0)


def test_the_likelier_description_is_taken():
    other = np.random.default_rng(9).random((60, 6))
    assert WarpedProcess().fit([[other], [Z]], smooth(Z)).description == 1
    assert WarpedProcess().fit([[Z], [other]], smooth(Z)).description == 0


def test_noise_is_seen():
    noise = np.random.default_rng(5).normal(0.0, 0.7, 60)
    clean, noisy = (
        WarpedProcess(offsets=(math.inf,), ranks=False, relevance=False).fit([[Z]], smooth(Z) + share * noise)
        for share in (0.0, 1.0)
    )
    assert noisy.noise > 30.0 * clean.noise


def test_constant_and_few_outcomes_teach_nothing_and_do_no_harm():
    process = WarpedProcess().fit([[Z]], np.full(60, 2.5))
    assert process.target == "constant"
    assert process.predict([QUERY]).tolist() == [2.5] * 40
    two = WarpedProcess().fit([[Z[:2]]], np.array([1.0, 2.0])).predict([QUERY])
    assert np.isfinite(two).all()
    same = WarpedProcess().fit([[np.ones((10, 2))]], np.arange(10.0)).predict([np.ones((3, 2))])
    assert np.isfinite(same).all()


def test_many_rows_are_tuned_on_some_and_solved_on_all(monkeypatch):
    monkeypatch.setattr(warped, "TUNE_ROWS", 30)
    process = WarpedProcess().fit([[Z]], smooth(Z))
    assert np.allclose(process.predict([Z]), smooth(Z), atol=0.1)
    assert process.noise in NOISES


def test_choices_are_kept_until_the_rows_have_grown():
    y = np.exp(smooth(Z))
    kept = WarpedProcess(relearn=0.5).fit([[Z[:40]]], y[:40])
    first = kept._fit
    second = kept.fit([[Z[:50]]], y[:50])._fit
    assert (second.target.offset, second.blocks) == (first.target.offset, first.blocks)
    assert np.array_equal(second.columns, first.columns)
    assert len(second.weights) == 50
    assert np.abs(kept.predict([Z[50:]]) - y[50:]).mean() < 0.5 * np.abs(y[50:] - y.mean()).mean()
    grown = kept.fit([[Z]], y)
    assert np.array_equal(grown.predict([QUERY]), WarpedProcess().fit([[Z]], y).predict([QUERY]))
