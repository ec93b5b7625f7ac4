"""Targets reached, regret in units of an objective and the choice under a cap, against plain loops and integrals."""

import numpy as np
import pytest

from smemnas.bench.metrics.indicators import Box, hypervolume_regret
from smemnas.bench.metrics.targets import TARGETS, least_under, reached, share_reached, units_per_regret


def test_there_are_fifty_targets_over_three_decades():
    assert len(TARGETS) == 50
    assert TARGETS[0] == pytest.approx(0.87096, abs=1e-5)
    assert TARGETS[-1] == pytest.approx(0.001, abs=1e-15)
    assert np.ptp(np.diff(np.log10(TARGETS))) < 1e-12


def test_shares_are_counted():
    curve = np.array([1.0, 0.6, 0.6, 0.05, 0.05])
    targets = np.array([0.8, 0.6, 0.1, 0.05, 0.01])
    at = np.array([1, 2, 3, 4, 5, 9])
    found = reached(curve, at, targets)
    assert found.tolist() == [0.0, 0.4, 0.4, 0.8, 0.8, 0.8]  # a target that is just met counts; the end stays
    for n, share in zip(at, found, strict=True):
        assert share == sum(min(curve[:n]) <= t for t in targets) / 5
    assert reached(np.empty(0), at, targets).tolist() == [0.0] * 6


def test_problems_weigh_the_same_however_many_runs_they_have():
    rng = np.random.default_rng(0)
    problems = [[np.minimum.accumulate(rng.random(30)) for _ in range(runs)] for runs in (1, 4, 2)]
    at = np.array([1, 7, 30])
    wanted = [np.mean([np.mean([c[n - 1] <= t for c in runs for t in TARGETS]) for runs in problems]) for n in at]
    assert share_reached(problems, at).tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("box", [None, Box(np.array([5.0, 10.0]), np.array([12.0, 80.0]), 1.1)])
def test_regret_in_points_is_the_mean_gap_over_the_costs(box):
    """The area between two attained curves, summed over 200,000 costs."""
    front = np.array([[5.0, 90.0], [6.0, 40.0], [9.0, 20.0], [15.0, 10.0]])
    F = front + np.array([[1.0, 3.0], [0.5, 0.0], [2.0, 5.0], [0.0, 1.0]])
    ideal, nadir = (front.min(axis=0), front.max(axis=0)) if box is None else box[:2]
    corner = ideal + 1.1 * (nadir - ideal)
    costs = np.linspace(ideal[1], corner[1], 200_001)
    costs = (costs[1:] + costs[:-1]) / 2

    def attained(points):
        values = np.where(points[None, :, 1] <= costs[:, None], points[None, :, 0], np.inf).min(axis=1)
        return np.minimum(values, corner[0])

    gap = (attained(F) - attained(front)).mean()
    points = units_per_regret(front, 0, box) * hypervolume_regret(F, front, box)
    assert points == pytest.approx(gap, rel=1e-4)
    assert gap > 0.5


def test_units_of_the_other_objective_and_of_a_single_one():
    front = np.array([[5.0, 90.0], [6.0, 40.0], [15.0, 10.0]])
    by_error, by_cost = units_per_regret(front, 0), units_per_regret(front, 1)
    assert by_cost / by_error == pytest.approx(80.0 / 10.0)
    single, box = np.array([[5.0]]), Box(np.array([5.0]), np.array([10.0]), 1.1)
    assert units_per_regret(single, 0, box) * hypervolume_regret(np.array([[7.0]]), single, box) == pytest.approx(2.0)


def test_the_choice_is_made_by_what_is_shown_and_judged_by_what_is_true():
    costs, shown = np.array([30.0, 10.0, 20.0, 20.0]), np.array([5.0, 9.0, 6.0, 6.0])
    judged = np.array([7.5, 8.0, 6.5, 1.0])
    assert least_under(costs, shown, judged, (5.0, 10.0, 20.0, 30.0)).tolist() == [np.inf, 8.0, 6.5, 7.5]
    assert least_under(costs, shown, shown, (19.9,)).tolist() == [9.0]
    assert least_under(np.array([1.0]), np.array([np.inf]), np.array([3.0]), (2.0,)).tolist() == [np.inf]
