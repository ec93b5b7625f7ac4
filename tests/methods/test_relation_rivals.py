"""REMO, CSEA and what they share, on steps worked by hand; SPNAS's surrogate."""

import numpy as np
import pytest
import sklearn.neural_network  # noqa: F401  # importing it draws from `random`, which a method's check would notice

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.checks import methods as checks
from smemnas.bench.errors import UserError
from smemnas.methods.assisted import assisted_search, offspring, radar_cells, radar_places, radar_selection
from smemnas.methods.base import METHODS, initial_design
from smemnas.methods.csea import LogisticNetwork, not_beaten, training_part, trust_in
from smemnas.methods.remo import Relations, better_class, relation_pairs, within_boundary
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.toy import Toy

SMALL = {
    "remo": {"initial": 33, "scored": 24, "epochs": 2},
    "csea": {"initial": 33, "scored": 24, "steps": 10},
    "pc-saea": {"initial": 33, "scored": 200},
    "smemnas/spnas": {"population": 10, "generations": 2, "batch": 20, "surrogate_params": {"epochs": 10}},
}


#: The checks that say most; the others are run by ``make test-long``.
SHORT = (checks.check_failed_rows, checks.check_same_seed_same_asks, checks.check_exhausted_space)


@pytest.mark.parametrize(
    "check", [pytest.param(c, id=c.__name__, marks=[] if c in SHORT else [pytest.mark.long]) for c in checks.CHECKS]
)
@pytest.mark.parametrize("name", ["remo", "csea", "pc-saea"])
def test_contract_beyond_the_initial_sample(name, check):
    check(lambda problem, budget, seed: METHODS.create(name, problem, budget=budget, seed=seed, params=SMALL[name]))


@pytest.mark.parametrize(
    ("name", "params", "word"),
    [
        ("remo", {"epochs": 0}, "epochs"),
        ("remo", {"encoding": "paths"}, "encoding"),
        ("csea", {"references": 0}, "references"),
        ("csea", {"retries": 0}, "retries"),
        ("pc-saea", {"population": 0}, "population"),
    ],
)
def test_wrong_parameters_are_refused(name, params, word):
    with pytest.raises(UserError, match=word):
        METHODS.create(name, open_benchmark("toy").problem, budget=30, seed=0, params=params)


def test_the_papers_initial_sample():
    """11 times the number of genes less 1, at most 100, of the seed's shared stream."""
    problem = open_benchmark("toy").problem
    for name in ("remo", "csea", "pc-saea"):
        first = METHODS.create(name, problem, budget=300, seed=4).ask()
        np.testing.assert_array_equal(first, initial_design(problem, 54, 4))
        assert METHODS.create(name, open_benchmark("mnv3", "ofa").problem, budget=300, seed=4).initial == 100


# ---- references: the radar plot ----


def test_places_and_cells_of_three_objectives():
    """The axes are three directions 120 degrees apart; equal objectives lie in the middle."""
    P = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    root = np.sqrt(3.0) / 4.0
    np.testing.assert_allclose(radar_places(P), [[1, 0.5], [0.25, 0.5 + root], [0.25, 0.5 - root], [0.5, 0.5]])
    # A grid of three by three over the box from (.25, .067) to (1, .933).
    np.testing.assert_array_equal(radar_cells(radar_places(P), 3), [7, 2, 0, 4])


def test_radar_selection_of_two_objectives_by_hand():
    """Six of one front on a line, normalised as they stand. The nearest to the diagonal is (.5, .5).

    Places along the line, (x - y) / (x + y) scaled to [0, 1]: 0, .1, .4, .5, .9, 1; k = 3 makes two cells, 0-2 and 3-5.
    After 3 the cell 0-2 is empty: fitness .2 - distance with equal sums, so the farthest, 0. Then both hold one, and
    of all the rest 5 is .5 from 3, farther than 1, 2 and 4 from theirs.
    """
    x = np.array([0.0, 0.1, 0.4, 0.5, 0.9, 1.0])
    F = np.stack([x, 1.0 - x], axis=1)
    np.testing.assert_array_equal(radar_selection(F, 1), [3])
    np.testing.assert_array_equal(radar_selection(F, 2), [0, 3])
    np.testing.assert_array_equal(radar_selection(F, 3), [0, 3, 5])
    np.testing.assert_array_equal(radar_selection(F, 9), np.arange(6))


def test_whole_fronts_come_first():
    F = np.array([[3.0, 3.0], [0.0, 2.0], [2.0, 0.0], [4.0, 4.0], [2.5, 2.5]])
    np.testing.assert_array_equal(radar_selection(F, 3), [1, 2, 4])


# ---- CSEA ----


def test_not_beaten_by_hand():
    F = np.array([[1.0, 1.0], [0.0, 3.0], [2.0, 2.0], [1.0, 2.0], [3.0, 0.5]])
    np.testing.assert_array_equal(not_beaten(F, np.array([[1.0, 1.0], [0.0, 3.0]])), [1, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("p0", "p1", "threshold", "found"),
    [
        (0.39, 0.9, 0.2, "good"),
        (0.6, 0.1, 0.2, "good"),
        (0.9, 0.1, 0.2, "none"),
        (0.6, 0.9, 0.2, "reverse"),
        (0.6, 0.5, 0.2, "chance"),
    ],
)
def test_trust_by_the_errors(p0, p1, threshold, found):
    assert trust_in(p0, p1, threshold) == found


def test_three_quarters_of_each_class_are_learned_from():
    labels = np.array([1.0] * 5 + [0.0] * 8)
    learn = training_part(labels, np.random.default_rng(0))
    assert (learn[:5].sum(), learn[5:].sum()) == (4, 6)


def test_the_networks_derivatives_are_finite_differences_and_it_learns_exclusive_or():
    rng = np.random.default_rng(0)
    Z = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    network = LogisticNetwork(4, 0, rng).fit(Z, np.zeros(4))
    network._w += rng.normal(size=len(network._w))
    J = network.jacobian(Z)
    for k in range(J.shape[1]):
        step = np.zeros(J.shape[1])
        step[k] = 1e-6
        network._w += step
        above = network.predict(Z)
        network._w -= 2 * step
        np.testing.assert_allclose(J[:, k], (above - network.predict(Z)) / 2e-6, atol=1e-8)
        network._w += step
    t = np.array([0.0, 1, 1, 0])
    learned = LogisticNetwork(4, 800, np.random.default_rng(1)).fit(Z, t)
    np.testing.assert_allclose(learned.predict(Z), t, atol=0.05)


# ---- REMO ----


def test_boundary_intersection_by_hand():
    """Reference (.5, .5), ideal (0, 0): d1 = (x + y) / root 2, d2 = |x - y| / root 2, bound 1 / root 2."""
    P = np.array([[0.0, 0.0], [0.5, 0.5], [0.2, 0.6], [0.1, 0.8], [0.6, 0.5]]) + 1e-12
    reference = P[1:2]
    np.testing.assert_array_equal(within_boundary(P, reference, 0.0), [True, True, True, True, False])
    # x + y + penalty |x - y| <= 1: .8 + .4 p, .9 + .7 p
    np.testing.assert_array_equal(within_boundary(P, reference, 0.3), [True, True, True, False, False])
    np.testing.assert_array_equal(within_boundary(P, reference, 0.6), [True, True, False, False, False])
    np.testing.assert_array_equal(within_boundary(P, reference, -1.5), [True] * 5)


def test_the_penalty_brings_the_better_class_between_thirty_and_seventy_percent():
    rng = np.random.default_rng(3)
    for _ in range(5):
        P = rng.random((60, 2)) + 1e-6
        better = better_class(P, P[radar_selection(P, 6)])
        assert 0.3 <= better.mean() <= 0.7


def test_relation_pairs_by_hand():
    """Two better, three worse: 6 mixed pairs in either order, 2 * 3 of one class: all 2 of the better, 4 of 6."""
    first, second, relation = relation_pairs(np.array([True, False, True, False, False]), np.random.default_rng(0))
    pairs = list(zip(first.tolist(), second.tolist(), relation.tolist()))
    assert len(pairs) == len(set(pairs)) == 18
    assert {(a, b) for a, b, r in pairs if r == 1} == {(a, b) for a in (0, 2) for b in (1, 3, 4)}
    assert {(a, b) for a, b, r in pairs if r == -1} == {(b, a) for a in (0, 2) for b in (1, 3, 4)}
    alike = [(a, b) for a, b, r in pairs if r == 0]
    assert {(0, 2), (2, 0)} <= set(alike)
    assert len(alike) == 6
    assert all(a != b and (a in (0, 2)) == (b in (0, 2)) for a, b in alike)


def test_scores_of_known_probabilities():
    """With the second better 0.7, alike 0.2, the first better 0.1 for every pair, whatever the order.

    Member first: better class 2 (.7 + .2) - 1, worse class 2 (.7) - 1; child first: 2 (.1 + .2) - 1 and 2 (.1) - 1.
    """
    network = Relations(1, 0)
    network._probabilities = lambda A, B: np.broadcast_to([0.7, 0.2, 0.1], (len(A), len(B), 3))
    score = network.score(np.zeros((2, 3)), np.zeros((5, 3)), np.array([True, True, False, False, False]))
    np.testing.assert_allclose(score, [0.8 + 0.4 - 0.4 - 0.8] * 2, atol=1e-12)
    # Certain of a good child: 4 of 4.
    network._probabilities = lambda A, B: np.broadcast_to(
        [1.0, 0, 0] if len(A) == 5 else [0, 0, 1.0], (len(A), len(B), 3)
    )
    np.testing.assert_allclose(network.score(np.zeros((1, 3)), np.zeros((5, 3)), np.arange(5) < 2), [4.0])


def test_the_network_learns_who_is_better():
    rng = np.random.default_rng(0)
    Z = rng.random((40, 4))
    better = Z[:, 0] + 0.5 * Z[:, 1] < 0.75
    first, second, relation = relation_pairs(better, rng)
    network = Relations(300, 1)
    network.fit(Z[first], Z[second], relation)
    new = rng.random((80, 4))
    score = network.score(new, Z, better)
    good = new[:, 0] + 0.5 * new[:, 1] < 0.75
    assert score[good].mean() > 1.5
    assert score[~good].mean() < -1.5
    assert np.abs(score).max() <= 4.0


# ---- variation under a score ----


def test_each_half_of_the_parents_mates_with_the_other():
    space = Toy()
    parents = np.repeat([[0] * 5, [4] * 5], 50, axis=0)
    children = offspring(space, parents, np.random.default_rng(0))
    assert len(children) == 100
    np.testing.assert_allclose(
        [(children == c).mean() for c in (0, 4)], 0.8 / 2 + 0.2 / 8, atol=0.05
    )  # a fifth mutates
    mixed = ((children == 0).any(axis=1) & (children == 4).any(axis=1)).mean()
    assert mixed > 0.75  # nine tenths cross
    nb101 = NB101()
    assert nb101.is_valid(offspring(nb101, nb101.sample(40, np.random.default_rng(1)), np.random.default_rng(2))).all()


def test_the_search_climbs_its_score_and_counts_what_it_scores():
    calls = []

    def score(X):
        calls.append(len(X))
        return -(X.sum(axis=1)).astype(float)

    X = Toy().sample(30, np.random.default_rng(0))
    best = X[np.argsort(X.sum(axis=1))[:6]]
    seen, scores, last = assisted_search(Toy(), X, best, 300, score, np.random.default_rng(1))
    assert calls[0] == 36
    assert set(calls[1:]) == {12}
    assert sum(calls[1:]) == 300
    assert (len(seen), last) == (336, 12)
    np.testing.assert_array_equal(scores, -seen.sum(axis=1))
    assert scores[-12:].mean() > scores[:36].mean() + 1.0


def test_spnas_is_a_network_on_pairs_of_one_hot_genes():
    assert METHODS.get("smemnas/spnas").params == {"surrogate": "ranknet", "encoding": "onehot"}
    bench = open_benchmark("toy")
    method = METHODS.create("smemnas/spnas", bench.problem, budget=40, seed=0, params=SMALL["smemnas/spnas"])
    X = method.ask()
    method.tell(X, bench.evaluate(X, 0).F)
    assert len(method.ask()) == 20
    assert method._learners.surrogates[0]._weights[0].shape == (25, 64)
