"""The Gaussian process in whole numbers: against the textbook formulas, and the same whatever adds its sums."""

from dataclasses import replace

import numpy as np
import pytest

from smemnas.bench.benchmarks.process import COEFFICIENT_BITS, KERNEL_BITS, REACH, Process

UNIT, SIGNAL, NOISE, MEAN = 256, 2.0, 0.004, 3.0


@pytest.fixture(scope="module")
def data():
    """Points of a smooth function of four whole numbers, and places between them."""
    rng = np.random.default_rng(0)
    Z, places = rng.integers(-300, 300, (2, 150, 4))
    return Z, MEAN + np.sin(Z[:, 0] / 90) + Z[:, 1] / 200 + rng.normal(0, 0.05, 150), places


@pytest.fixture(scope="module")
def fitted(data):
    Z, y, _ = data
    blank = Process(Z, y, UNIT, SIGNAL, NOISE, MEAN, np.zeros(len(Z), dtype=np.int64))
    return replace(blank, coefficients=blank.solve(y - MEAN))


def covariance(A, B):
    """The kernel from differences, in double precision."""
    return SIGNAL / (1.0 + ((A[:, None] - B[None]) ** 2).sum(axis=2) / UNIT**2)


def test_posterior_is_that_of_the_textbook(data, fitted):
    Z, y, places = data
    A = covariance(Z, Z) + NOISE * np.eye(len(Z))
    k = covariance(places, Z)
    np.testing.assert_allclose(fitted.posterior_mean(places), MEAN + k @ np.linalg.solve(A, y - MEAN), atol=2e-5)
    variance = SIGNAL + NOISE - (k * np.linalg.solve(A, k.T).T).sum(axis=1)
    np.testing.assert_allclose(fitted.deviation(places), np.sqrt(variance), atol=1e-7)


def test_the_mean_is_a_sum_of_whole_numbers(data, fitted):
    """Python's integers, which have no last bit to lose, give the very same doubles."""
    Z, _, places = data
    for z, value in zip(places[:20], fitted.posterior_mean(places[:20]), strict=True):
        total = 0
        for point, coefficient in zip(Z.tolist(), fitted.coefficients.tolist(), strict=True):
            distance = sum((a - b) ** 2 for a, b in zip(z.tolist(), point, strict=True))
            total += round(2.0**KERNEL_BITS / (distance / UNIT**2 + 1.0)) * coefficient
        assert value == pytest.approx(MEAN + total / 2 ** (KERNEL_BITS + COEFFICIENT_BITS), abs=1e-14)


def test_order_company_and_layout_change_nothing(data, fitted):
    Z, y, places = data
    whole = fitted.posterior_mean(places)
    assert np.array_equal(np.concatenate([fitted.posterior_mean(z[None]) for z in places]), whole)
    assert np.array_equal(fitted.posterior_mean(np.asfortranarray(places)), whole)
    order = np.random.default_rng(1).permutation(len(Z))
    other = Process(Z[order], y[order], UNIT, SIGNAL, NOISE, MEAN, fitted.coefficients[order])
    assert np.array_equal(other.posterior_mean(places), whole)
    assert fitted.posterior_mean(places[:0]).shape == (0,)


def test_coefficients_are_those_of_the_exact_solution(data, fitted):
    """An inverse that is off in the sixth digit leads to the same whole numbers."""
    Z, y, _ = data
    rough = Process(Z, y, UNIT, SIGNAL, NOISE, MEAN, np.zeros(len(Z), dtype=np.int64))
    noise = np.random.default_rng(2).normal(size=(len(Z), len(Z)))
    rough.__dict__["_inverse"] = rough._inverse * (1 + 1e-6 * noise)
    assert np.array_equal(rough.solve(y - MEAN), fitted.coefficients)


def test_what_could_not_be_summed_exactly_is_refused(data, fitted):
    Z, _, places = data
    for changes, words in (
        ({"inputs": Z.astype(float)}, "integers"),
        ({"inputs": Z * 10}, f"below {REACH}"),
        ({"unit": 300}, "power of two"),
        ({"coefficients": np.full(len(Z), 2**32)}, "too large"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(fitted, **changes)
    with pytest.raises(ValueError, match="below"):
        fitted.posterior_mean(places * 10)
