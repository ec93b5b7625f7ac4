"""Selection: ranks, crowding, gap filling and hypervolume gains against definitions and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from slow_indicators import dominates, hypervolume_by_cells

from smemnas.methods.selection import (
    crowding_by_front,
    crowding_distance,
    gap_filling,
    greedy_hypervolume,
    hypervolume_gains,
    pareto_ranks,
    rank_and_crowding,
)


def ranks_by_peeling(F):
    ranks, left, r = np.full(len(F), -1), set(range(len(F))), 0
    while left:
        front = [k for k in left if not any(dominates(F[j], F[k]) for j in left)]
        ranks[front] = r
        left -= set(front)
        r += 1
    return ranks


@pytest.mark.parametrize("n_obj", [1, 2, 3])
def test_ranks_are_those_of_peeling(n_obj):
    rng = np.random.default_rng(n_obj)
    for high in (4, 1000):
        F = rng.integers(0, high, (40, n_obj)).astype(float)
        np.testing.assert_array_equal(pareto_ranks(F), ranks_by_peeling(F))


def test_crowding_by_hand():
    F = np.array([[0.0, 10.0], [4.0, 2.0], [1.0, 6.0], [10.0, 0.0]])
    # (1,6): (4-0)/10 + (10-2)/10 = 1.2; (4,2): (10-1)/10 + (6-0)/10 = 1.5
    np.testing.assert_allclose(crowding_distance(F), [np.inf, 1.5, 1.2, np.inf])
    assert (crowding_distance(F[:2]) == np.inf).all()
    assert crowding_distance(F[:0]).shape == (0,)


def test_crowding_of_a_flat_objective_counts_the_other_only():
    F = np.array([[0.0, 3.0], [1.0, 3.0], [3.0, 3.0], [4.0, 3.0]])
    np.testing.assert_allclose(crowding_distance(F), [np.inf, 0.75, 0.75, np.inf])


def test_survivors_are_whole_fronts_then_the_least_crowded():
    F = np.array([[0, 4], [4, 0], [1, 2], [5, 5], [1.5, 1.9], [6, 4.5]], dtype=float)
    ranks = ranks_by_peeling(F)
    np.testing.assert_array_equal(ranks, [0, 0, 0, 1, 0, 1])
    # within the front: extremes, then (1.5, 1.9): (4-1)/4 + (2-0)/4 = 1.25 before (1, 2): 1.5/4 + 2.1/4 = 0.9
    np.testing.assert_array_equal(rank_and_crowding(F, 4), [0, 1, 4, 2])
    assert set(rank_and_crowding(F, 5)[:4]) == {0, 1, 2, 4}
    assert len(rank_and_crowding(F, 99)) == 6


def test_survivors_are_the_first_of_all_in_order():
    rng = np.random.default_rng(5)
    for n_obj in (1, 2, 3):
        F = rng.integers(0, 12, size=(80, n_obj)).astype(float)
        ranks = pareto_ranks(F)
        whole = np.lexsort((-crowding_by_front(F, ranks), ranks))
        for n in (0, 1, 7, 40, 79, 80, 100):
            np.testing.assert_array_equal(rank_and_crowding(F, n), whole[:n])
        for front in np.unique(ranks):
            np.testing.assert_array_equal(
                crowding_by_front(F, ranks)[ranks == front], crowding_distance(F[ranks == front])
            )


def test_gap_filling_by_hand():
    archive = np.array([0.0, 10.0])
    candidates = np.array([1.0, 4.0, 5.5, 9.0, 2.0])
    # distances to the archive 1, 4, 4.5, 1, 2; after 5.5 is taken: 1, 1.5, -, 1, 2
    np.testing.assert_array_equal(gap_filling(candidates, archive, 2), [2, 4])
    np.testing.assert_array_equal(sorted(gap_filling(candidates, archive, 9)), range(5))
    assert gap_filling(candidates[:0], archive, 3).shape == (0,)
    assert len(gap_filling(candidates, archive[:0], 2)) == 2


def test_gap_filling_takes_the_farthest_each_time():
    rng = np.random.default_rng(3)
    candidates, archive = rng.random(30), rng.random(6)
    known, left = list(archive), set(range(30))
    for k in gap_filling(candidates, archive, 8):
        distance = {j: min(abs(candidates[j] - a) for a in known) for j in left}
        assert distance[k] == max(distance.values())
        known.append(candidates[k])
        left.remove(k)


@pytest.mark.parametrize("n_obj", [1, 2, 3])
def test_gains_are_differences_of_volumes(n_obj):
    rng = np.random.default_rng(n_obj)
    reference = np.full(n_obj, 1.1)
    for n in (0, 1, 6):
        front = rng.random((n, n_obj)) * 1.4
        candidates = np.vstack([rng.random((12, n_obj)) * 1.4, front[:2]])
        before = hypervolume_by_cells(front, reference) if n else 0.0
        wanted = [hypervolume_by_cells(np.vstack([front, c]), reference) - before for c in candidates]
        np.testing.assert_allclose(hypervolume_gains(candidates, front, reference), wanted, atol=1e-12)


@pytest.mark.parametrize("n_obj", [2, 3])
def test_greedy_takes_the_largest_gain_each_time(n_obj):
    rng = np.random.default_rng(n_obj + 7)
    reference = np.full(n_obj, 1.1)
    front, candidates = rng.random((4, n_obj)) + 0.2, rng.random((25, n_obj))
    chosen = greedy_hypervolume(candidates, front, reference, 6)
    assert len(set(chosen)) == len(chosen)
    for k in chosen:
        before = hypervolume_by_cells(front, reference)
        gains = [hypervolume_by_cells(np.vstack([front, c]), reference) - before for c in candidates]
        assert gains[k] == pytest.approx(max(gains))
        assert gains[k] > 0
        front = np.vstack([front, candidates[k]])


def test_greedy_ends_when_nothing_is_gained():
    front = np.array([[0.0, 0.0]])
    assert len(greedy_hypervolume(np.array([[0.5, 0.5], [2.0, 2.0]]), front, np.array([1.1, 1.1]), 2)) == 0
    one = greedy_hypervolume(np.array([[0.5, 0.5], [0.5, 0.5]]), front[:0], np.array([1.1, 1.1]), 2)
    np.testing.assert_array_equal(one, [0])
