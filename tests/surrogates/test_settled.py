"""Scores that decide: rounded, equal rows alike, the first of equals; products whose sums no order can change."""

from fractions import Fraction

import numpy as np
import pytest

from smemnas.methods.pymoo_order import least_last, nearest
from smemnas.surrogates.base import SURROGATES, Surrogate
from smemnas.surrogates.exact_products import bits_for, product, whole
from smemnas.surrogates.gp import LENGTHS, NOISES
from smemnas.surrogates.kernels import plain_distances, squared_distances
from smemnas.surrogates.settled import Settled, distinct_rows, first_least, settle, significant, step_of


@pytest.mark.parametrize(("span", "step"), [(1.0, 2.0**-20), (1.5, 2.0**-19), (2.0, 2.0**-19), (1e6, 2.0**0)])
def test_a_step_is_a_millionth_of_the_range_and_a_power_of_two(span, step):
    assert step_of(np.array([3.0, 3.0 + span, 3.0 + span / 2])) == step
    assert step_of(np.array([3.0, 3.0 + span * (1.0 - 1e-12)])) == step  # no border at a natural range


def test_scores_of_no_range_have_a_step_too():
    assert step_of(np.zeros(4)) == step_of(np.empty(0)) == 2.0**-20
    assert step_of(np.full(4, 5.0)) == 2.0**-18
    assert settle(np.array([-1e-9, 0.0])).tobytes() == np.zeros(2).tobytes()  # no negative zero


def test_last_bits_do_not_show_in_rounded_numbers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    other = x * (1.0 + 1e-15 * rng.normal(size=5000))
    assert (x != other).mean() > 0.9
    np.testing.assert_array_equal(settle(x), settle(other))
    np.testing.assert_array_equal(significant(1e-30 * x), significant(1e-30 * other))
    np.testing.assert_allclose(settle(x), x, rtol=0, atol=2.0**-21)
    np.testing.assert_allclose(significant(x, 4), x, rtol=1e-4)


def test_the_first_of_equal_errors_is_the_least():
    assert first_least([2.0, 1.0 + 1e-14, 1.0, 1.0 - 1e-14]) == 1
    assert first_least([2.0, 1.0, 0.999]) == 2


class Drifting(Surrogate):
    """Scores by the first column, and by last bits that change from row to row as in a matrix product."""

    has_posterior = True

    def __init__(self):
        self.rows = []

    def fit(self, Z, y):
        return self

    def rank(self, Z):
        self.rows.append(len(Z))
        return Z[:, 0] + 1e-13 * np.arange(len(Z))

    def posterior(self, Z):
        return self.rank(Z), np.full(len(Z), 0.5) + 1e-13 * np.arange(len(Z))


def test_equal_rows_are_scored_once_and_alike_in_every_call():
    Z = np.array([[0.3, 1.0], [0.1, 2.0], [0.3, 1.0], [0.1, 2.0], [0.9, -0.0], [0.9, 0.0]])
    surrogate = Drifting()
    fitted = Settled(surrogate, Z, np.arange(6.0))
    assert surrogate.rows == [3]
    np.testing.assert_array_equal(fitted.rank(Z[:3]), fitted.own_scores[:3])
    np.testing.assert_array_equal(fitted.rank(Z[1:]), fitted.own_scores[1:])
    assert surrogate.rows == [3, 2, 1]  # a row that was scored is remembered
    scores = fitted.rank(Z[[5, 4, 2, 0, 1]])
    np.testing.assert_array_equal(scores, fitted.own_scores[[4, 4, 0, 0, 1]])
    np.testing.assert_allclose(scores, [0.9, 0.9, 0.3, 0.3, 0.1], atol=1e-6)
    mean, deviation = fitted.posterior(Z)
    np.testing.assert_array_equal(mean, fitted.own_scores)
    assert set(deviation) == {0.5}
    assert fitted.rank(Z[:0]).shape == (0,)


def test_distinct_rows_are_those_of_numpy():
    Z = np.random.default_rng(1).integers(0, 2, (50, 4)).astype(float)
    rows, inverse = distinct_rows(Z)
    np.testing.assert_array_equal(rows[inverse], Z)
    assert len(rows) == len(np.unique(Z, axis=0)) == 16


def test_products_of_whole_numbers_do_not_round():
    rng = np.random.default_rng(2)
    A, B = whole(rng.normal(size=(6, 90)), bits_for(90)), whole(1e-5 * rng.normal(size=(90, 5)), bits_for(90))
    exact = [
        [float(sum(Fraction(a * A.unit) * Fraction(b * B.unit) for a, b in zip(row, column, strict=True)))
         for column in B.values.T] for row in A.values
    ]  # fmt: skip
    np.testing.assert_array_equal(product(A, B), exact)
    order = rng.permutation(90)
    shuffled = product(A._replace(values=A.values[:, order]), B._replace(values=B.values[order]))
    np.testing.assert_array_equal(shuffled, exact)
    np.testing.assert_allclose(
        A.values * A.unit, whole(A.values * A.unit, 40).values * whole(A.values * A.unit, 40).unit
    )


def test_plain_distances_are_the_squared_distances():
    rng = np.random.default_rng(3)
    A, B = rng.random((7, 4)), rng.random((9, 4))
    np.testing.assert_allclose(plain_distances(A, B), squared_distances(A, B), atol=1e-14)


def test_equal_crowding_is_ordered_by_the_seed_and_never_by_the_sort():
    values = np.array([np.inf, 0.5, np.inf, 0.5, 2.0] * 20)
    order = least_last(values, np.random.default_rng(4))
    np.testing.assert_array_equal(values[order], np.sort(values)[::-1])
    place = np.argsort(np.random.default_rng(4).permutation(100))  # where each stands in the drawn order
    for value in (np.inf, 0.5, 2.0):
        assert (np.diff(place[[k for k in order if values[k] == value]]) < 0).all()


def test_the_nearest_weight_vectors_come_by_distance_then_by_number():
    directions = np.array([[0.0, 1.0], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    np.testing.assert_array_equal(nearest(directions, 3), [[0, 1, 2], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 2]])


@pytest.mark.parametrize("kernel", ["rbf", "matern"])
def test_the_grid_of_the_process_comes_near_the_best_likelihood(kernel):
    """An optimiser with many starts finds no likelihood that is better by more than a tenth."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

    rng = np.random.default_rng(5)
    Z = rng.random((30, 3))
    y = np.sin(4.0 * Z[:, 0]) + Z[:, 1] + 0.1 * rng.normal(size=30)
    ours = SURROGATES.create("gp", seed=0, params={"kernel": kernel}).fit(Z, y)
    shape = RBF(1.0, (0.05, 50.0)) if kernel == "rbf" else Matern(1.0, (0.05, 50.0), nu=2.5)
    theirs = GaussianProcessRegressor(
        ConstantKernel(1.0, (1e-2, 1e3)) * shape + WhiteKernel(0.1, (1e-6, 10.0)),
        alpha=1e-10, normalize_y=True, n_restarts_optimizer=3, random_state=0,
    ).fit(Z / ours._unit, (y - y.mean()) / y.std())  # fmt: skip
    best = theirs.log_marginal_likelihood_value_
    assert best - 0.1 < ours._model.log_marginal_likelihood_value_ < best + 1e-3
    assert LENGTHS[0] == 0.05
    assert NOISES[0] == pytest.approx(1e-6)
