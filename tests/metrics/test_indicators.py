"""Indicators against sums over cells, definitions in plain Python, and hand-worked figures."""

from __future__ import annotations

import numpy as np
import pytest
from slow_indicators import dominates, hypervolume_by_cells

from smemnas.bench.metrics import indicators
from smemnas.bench.metrics.indicators import (
    epsilon,
    hypervolume,
    hypervolume_regret,
    igd_plus,
    nondominated,
    normalise,
    regret_curve,
)


@pytest.mark.parametrize("n_obj", [1, 2, 3, 4])
def test_nondominated_is_the_definition(n_obj):
    rng = np.random.default_rng(n_obj)
    for _ in range(20):
        F = rng.integers(0, 6, (30, n_obj)).astype(float)
        keep = nondominated(F)
        for k, f in enumerate(F):
            beaten = any(dominates(g, f) for g in F)
            repeated = any((g == f).all() for g in F[:k])
            assert keep[k] == (not beaten and not repeated)


def test_nondominated_leaves_out_what_is_not_finite():
    F = np.array([[np.inf, 0.0], [1.0, 2.0], [np.nan, 0.0], [2.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(nondominated(F), [False, True, False, True, False])
    assert not nondominated(np.full((3, 2), np.inf)).any()
    assert not nondominated(np.full((3, 1), np.inf)).any()


def test_hypervolume_by_hand():
    ideal, nadir = np.array([0.0, 0.0]), np.array([1.0, 1.0])
    assert hypervolume(np.array([[0.0, 0.0]]), ideal, nadir) == pytest.approx(1.21)
    assert hypervolume(np.array([[0.0, 1.0], [1.0, 0.0]]), ideal, nadir) == pytest.approx(0.11 + 0.11 - 0.01)
    assert hypervolume(np.array([[1.1, 0.0], [2.0, 2.0], [np.inf, 0.0]]), ideal, nadir) == 0.0
    assert hypervolume(np.empty((0, 2)), ideal, nadir) == 0.0
    assert hypervolume(np.array([[0.25], [0.5]]), ideal[:1], nadir[:1]) == pytest.approx(0.85)
    # (10, 300) and (30, 100) in units of their own are the two corners of the unit square
    F = np.array([[10.0, 300.0], [30.0, 100.0]])
    assert hypervolume(F, np.array([10.0, 100.0]), np.array([30.0, 300.0])) == pytest.approx(0.21)


@pytest.mark.parametrize("n_obj", [2, 3])
def test_hypervolume_is_the_volume_of_the_dominated_cells(n_obj):
    rng = np.random.default_rng(n_obj)
    for n in (1, 5, 9):
        F = rng.random((n, n_obj)) * 1.3
        wanted = hypervolume_by_cells(F, np.full(n_obj, 1.1))
        assert hypervolume(F, np.zeros(n_obj), np.ones(n_obj)) == pytest.approx(wanted, abs=1e-12)


def test_regret():
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert hypervolume_regret(front, front) == 0.0
    assert hypervolume_regret(np.empty((0, 2)), front) == 1.0
    assert hypervolume_regret(front[:1], front) == pytest.approx(1 - 0.11 / 0.21)
    assert hypervolume_regret(np.array([[0.0, 0.0]]), front) == pytest.approx(1 - 1.21 / 0.21)


def test_regret_curve_never_rises():
    rng = np.random.default_rng(4)
    F = rng.random((40, 2)) + 0.05
    front = F[nondominated(F)]
    front = front[np.argsort(front[:, 0])]
    at = np.arange(1, 41)
    curve = regret_curve(F, front, at)
    assert (np.diff(curve) <= 1e-12).all()
    assert curve[-1] == pytest.approx(0.0, abs=1e-12)
    assert [hypervolume_regret(F[:n], front) for n in at] == curve.tolist()


def test_normalise_maps_ideal_and_nadir_and_survives_a_flat_objective():
    ideal, nadir = np.array([2.0, 5.0]), np.array([4.0, 5.0])
    np.testing.assert_allclose(normalise(np.array([[2.0, 5.0], [4.0, 5.0], [3.0, 7.5]]), ideal, nadir),
                               [[0, 0], [1, 0], [0.5, 0.5]])  # fmt: skip


@pytest.mark.parametrize("n_obj", [1, 2, 3])
def test_igd_plus_is_the_definition(n_obj):
    rng = np.random.default_rng(n_obj)
    front = rng.random((6, n_obj))
    front = front[nondominated(front)]
    F = rng.random((8, n_obj)) * 1.5
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    span = np.where(nadir > ideal, nadir - ideal, np.where(ideal != 0.0, abs(ideal), 1.0))
    total = 0.0
    for z in (front - ideal) / span:
        total += min(np.sqrt((np.maximum(a - z, 0.0) ** 2).sum()) for a in (F - ideal) / span)
    assert igd_plus(F, front) == pytest.approx(total / len(front))


def test_igd_plus_at_the_ends():
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert igd_plus(front, front) == 0.0
    assert igd_plus(np.array([[-1.0, -1.0]]), front) == 0.0
    assert igd_plus(np.full((2, 2), np.inf), front) == np.inf
    # from (1, 1): one unit to each of the two
    assert igd_plus(np.array([[1.0, 1.0]]), front) == pytest.approx(1.0)


@pytest.mark.parametrize("block", [512, 7])
@pytest.mark.parametrize("n_obj", [1, 2, 3, 4])
def test_regret_curve_is_the_regret_of_every_prefix(n_obj, block, monkeypatch):
    monkeypatch.setattr(indicators, "BLOCK", block)
    rng = np.random.default_rng(n_obj)
    front = rng.random((7, n_obj))
    front = front[nondominated(front)]
    F = rng.integers(0, 12, (60, n_obj)) / 6  # with ties, repeats and points beyond the reference point
    F[[0, 1, 5]] = np.inf
    F[7, 0] = np.nan
    at = np.array([1, 2, 60, 30, 17, 60, 99])
    wanted = [hypervolume_regret(F[:n], front) for n in at]
    assert wanted[0] == 1.0 > wanted[2]
    np.testing.assert_allclose(regret_curve(F, front, at), wanted, atol=1e-12)
    assert regret_curve(F[:0], front, at[:2]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n_obj", [1, 2, 3])
def test_epsilon_is_the_definition(n_obj):
    rng = np.random.default_rng(n_obj)
    front = rng.random((6, n_obj))
    front = front[nondominated(front)]
    F = rng.random((8, n_obj)) * 1.5
    F[3] = np.inf
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    span = np.where(nadir > ideal, nadir - ideal, np.where(ideal != 0.0, abs(ideal), 1.0))
    worst = max(min(max((a - z) / span) for a in F) for z in front)
    assert epsilon(F, front) == pytest.approx(worst)


def test_epsilon_by_hand():
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert epsilon(front, front) == 0.0
    assert epsilon(np.array([[1.0, 1.0]]), front) == 1.0
    assert epsilon(np.array([[0.25, 0.5]]), front) == 0.5
    assert epsilon(np.array([[-1.0, -1.0]]), front) == -1.0
    assert epsilon(np.full((2, 2), np.inf), front) == np.inf
    # (10, 300) and (30, 100): 20 and 200 to a unit
    scaled = np.array([[10.0, 300.0], [30.0, 100.0]])
    assert epsilon(np.array([[12.0, 160.0]]), scaled) == pytest.approx(0.3)
