"""Steps of CSEA, REMO and PC-SAEA beside those of their authors' code in PlatEMO.

platemo_steps.json holds random inputs and what PlatEMO's own functions (RefSelect, GetOutput, GetOutput_PBI,
GetRelationPairs, model_select, CalFitnessPC, ESCalFitness, Truncation, RBFNNPC) made of them under GNU Octave. One line
of theirs was changed: with two objectives the radar plot is a line, whose second coordinate is rounding noise that
RefSelect scales up to a grid of its own; it was set to 0, as ours has it.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from smemnas.methods.assisted import normalised, radar_selection
from smemnas.methods.csea import not_beaten
from smemnas.methods.pc_saea import (
    SPREAD,
    PairNetwork,
    dominance_fitness,
    followed,
    raw_fitness,
    scaled,
    spea2_selection,
    truncated,
    two_quarters,
)
from smemnas.methods.remo import Relations, better_class, relation_pairs
from smemnas.methods.selection import pareto_ranks

STEPS = json.loads((Path(__file__).parent / "platemo_steps.json").read_text())


@pytest.mark.parametrize("case", range(len(STEPS["ref"])))
def test_references_and_classes(case):
    step = STEPS["ref"][case]
    F = np.array(step["F"])
    references = np.sort(step["chosen"])
    np.testing.assert_array_equal(radar_selection(F, step["k"]), references)
    np.testing.assert_array_equal(not_beaten(F, F[references]), step["notbeaten"])  # CSEA
    P = normalised(F)
    np.testing.assert_array_equal(better_class(P, P[references]), np.array(step["better"], bool))  # REMO


def test_relation_pairs():
    pairs = STEPS["pairs"]
    X = np.array(pairs["X"])
    first, second, relation = relation_pairs(np.arange(6) < 4, np.random.default_rng(0))
    assert [int((relation == c).sum()) for c in (0, 1, -1)] == pairs["counts"]
    assert int(((relation == 0) & (first < 4)).sum()) == pairs["alikebetter"]
    ours = {(*X[a], *X[b]) for a, b, r in zip(first, second, relation) if r == 1}
    assert ours == {tuple(row) for row in pairs["mixed"]}


def test_scores_of_relations():
    given = STEPS["scores"]
    W = np.array(given["W"])
    network = Relations(1, 0)

    def probabilities(A, B):
        rows = np.hstack([np.repeat(A, len(B), axis=0), np.tile(B, (len(A), 1))])
        E = np.exp(rows @ W.T)
        return (E / E.sum(axis=1, keepdims=True))[:, ::-1].reshape(len(A), len(B), 3)  # theirs: first better first

    network._probabilities = probabilities
    found = network.score(np.array(given["next"]), np.array(given["X"]), np.array(given["better"], bool))
    np.testing.assert_allclose(found, given["scores"], atol=1e-10)


@pytest.mark.parametrize("case", range(len(STEPS["pc"])))
def test_the_pair_network_and_whom_it_learns_from(case):
    step = STEPS["pc"][case]
    F, X, given = np.array(step["F"]), np.array(step["X"]), np.array(step["input"])
    n, d = X.shape
    fitness = dominance_fitness(scaled(F), step["rate"])
    rows, good = two_quarters(fitness)
    np.testing.assert_array_equal(X[rows], given[:, :d])
    np.testing.assert_allclose(fitness[rows], given[:, d], atol=1e-12)
    np.testing.assert_array_equal(np.where(good, 2, 1), step["output"])
    train, test, middle = (np.array(step[key]) for key in ("train", "test", "pmid"))
    placed = PairNetwork(SPREAD).fit(train[:, :d], train[:, d]).placed(test[:, :d], middle[:, :d])
    np.testing.assert_array_equal(placed, step["label"])
    np.testing.assert_array_equal(np.select([placed > 0, placed < 0], [2, 1], 1.5), step["forward"])
    distance = np.sqrt(((F[:, None] - F[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    near = np.sort(distance, axis=1)[:, int(np.sqrt(n)) - 1]
    np.testing.assert_allclose(raw_fitness(F) + 1.0 / (near + 2.0), np.ravel(step["es"]), atol=1e-10)
    np.testing.assert_array_equal(truncated(distance, np.arange(n), n - step["k"]), step["trunc"])


def test_a_pair_network_by_hand():
    """One gene; rows 0, 1 and 2 lie at 0, s and 2 s, the smaller the better. At s the kernel is 1/2, at 2 s 1/16.

    A new one at 0 against the row at 2 s: better pairs (0,1), (0,2), (1,2) weigh 1 (1/2) + 1 (1) + (1/2) (1) = 2, worse
    ones (1,0), (2,0), (2,1) weigh (1/2)(1/16) + (1/16)(1/16) + (1/16)(1/2). In reverse order it is worse: placed 1.
    """
    Z = SPREAD * np.arange(3.0)[:, None]
    network = PairNetwork(SPREAD).fit(Z, np.arange(3.0))
    A, B = network._kernel(Z[:1]), network._kernel(Z[2:])
    np.testing.assert_allclose(A, [[1, 1 / 2, 1 / 16]])
    assert (A @ network._better * B).sum() == pytest.approx(2.0)
    assert (A @ network._worse * B).sum() == pytest.approx(17 / 256)
    np.testing.assert_array_equal(network.placed(Z, Z[2:]), [1, 1, 0])
    # Taken in turn from the second on: 0 against 2, 1 against 0, 2 against 2.
    np.testing.assert_array_equal(network.placed(Z, Z[[0, 2]]), [1, -1, 0])


def test_a_network_is_followed_reversed_or_ignored():
    good = np.array([True] * 5 + [False] * 5)
    right = np.where(good, 1.0, -1.0)
    assert followed(right, good) == 1
    assert followed(-right, good) == -1
    right[:2] *= -1
    assert followed(right, good) == 0  # a fifth is wrong, most are right
    right[1] = 0.0
    assert followed(right, good) == 1
    assert followed(np.array([1.0, -1.0]), np.array([True, True])) == 0


def test_truncation_is_what_sorting_anew_for_each_removal_gives():
    rng = np.random.default_rng(4)
    for n, d in ((40, 2), (60, 3), (80, 5)):
        F = rng.integers(6, size=(n, d)).astype(float)  # with ties and equal rows
        distance = np.sqrt(((F[:, None] - F[None]) ** 2).sum(axis=2))
        np.fill_diagonal(distance, np.inf)
        members = np.sort(rng.permutation(n)[: n - 5])
        kept = members
        while len(kept) > n // 3:
            near = np.sort(distance[np.ix_(kept, kept)], axis=1)
            kept = np.delete(kept, min(range(len(kept)), key=lambda k: (tuple(near[k]), k)))
        np.testing.assert_array_equal(truncated(distance, members, n // 3), kept)


def test_spea2_keeps_the_front_then_the_least_dominated():
    F = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.6, 0.6], [1.0, 1.0], [0.45, 0.55]])
    np.testing.assert_array_equal(spea2_selection(F, 4), [0, 1, 2, 5])
    assert set(spea2_selection(F, 3)) == {0, 1, 2}  # 2 and 5 are nearest; 5's next neighbour, 0, is nearer than 2's
    np.testing.assert_array_equal(spea2_selection(F, 5), [0, 1, 2, 3, 5])
    rng = np.random.default_rng(0)
    P = rng.random((50, 3))
    kept = spea2_selection(P, 10)
    assert (pareto_ranks(P)[kept] == 0).all() or (pareto_ranks(P) == 0).sum() < 10
