"""Ranks across problems and their stability, against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smemnas.bench.studies.stability import standings


def test_places_are_those_of_mean_ranks():
    table = [[[1.0, 3.0], [2.0, 4.0], [9.0, 9.0]], [[5.0, 5.0], [1.0, 1.0], [7.0, 7.0]], [[0.0], [0.1], [0.2]]]
    found = {s.variant: s for s in standings(("a", "b", "c"), [np.array(values) for values in table])}
    assert {name: s.ranks for name, s in found.items()} == {"a": (1, 2, 1), "b": (2, 1, 2), "c": (3, 3, 3)}
    assert {name: s.mean_rank for name, s in found.items()} == pytest.approx({"a": 4 / 3, "b": 5 / 3, "c": 3})
    assert [found[name].place for name in "abc"] == [1, 2, 3]
    # without the first problem a and b change ranks 2-1, 1-2 and share the first place; without the second a leads
    assert {name: s.without_one for name, s in found.items()} == {"a": (1, 1), "b": (1, 2), "c": (3, 3)}


def test_shares_over_seeds_and_problems_are_those_of_all_resamples():
    rng = np.random.default_rng(3)
    problems = [rng.normal(size=(2, 4)) + np.array([[0.0], [shift]]) for shift in (0.3, -0.2, 0.6)]
    first = {s.variant: s for s in standings(("a", "b"), problems)}["a"]
    draws = list(itertools.product(range(4), repeat=4))
    wins = [np.array([values[0, list(d)].mean() < values[1, list(d)].mean() for d in draws]) for values in problems]
    share = np.array([w.mean() for w in wins])  # a ahead on each problem, independently
    exact = sum(
        np.prod([share[k] if ahead else 1 - share[k] for k, ahead in enumerate(way)])
        for way in itertools.product((True, False), repeat=3)
        if sum(way) >= 2
    )
    assert first.first == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 1000))
    ahead = [values[0].mean() < values[1].mean() for values in problems]
    places = [1 if sum(ahead[k] for k in d) >= 1.5 else 2 for d in itertools.product(range(3), repeat=3)]
    expected = tuple(int(np.percentile(places, q, method="nearest")) for q in (2.5, 97.5))
    assert first.over_problems == expected


def test_a_single_problem_has_no_stability_over_problems_and_missing_seeds_count_for_their_method():
    values = np.array([[1.0, 1.1, 0.9, 1.0], [1.05, np.nan, np.nan, 1.05]])
    one, other = standings(("a", "b"), [values])
    assert (one.variant, one.place, one.over_problems, one.without_one) == ("a", 1, None, None)
    assert 0.5 < one.first < 1.0
    assert one.first + other.first >= 1.0


def test_ties_share_the_better_place():
    assert [s.place for s in standings(("a", "b"), [np.array([[1.0], [2.0]]), np.array([[2.0], [1.0]])])] == [1, 1]
