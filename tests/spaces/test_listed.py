"""The list's view of a space: what is drawn, what a genotype stands for, and that nothing depends on the machine."""

import numpy as np
import pytest

from smemnas.bench.errors import UserError
from smemnas.methods.neighbourhood import mutate_one_gene, neighbours
from smemnas.spaces.base import Constraint
from smemnas.spaces.feasible import feasible_space
from smemnas.spaces.listed import ListedSpace
from smemnas.spaces.macro import Macro
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.nb201 import NB201


def listed(space, n, seed=0):
    """A list of n genotypes drawn from a space."""
    return ListedSpace(space, space.sample(n, np.random.default_rng(seed)))


@pytest.fixture(params=[Macro(), NB201(), MNV3(), NB101()], ids=lambda space: space.name)
def view(request):
    return listed(request.param, 150)


def test_sampling_and_enumerating_know_the_list_only(view):
    drawn = view.sample(5000, np.random.default_rng(1))
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, view.enumerate())  # every one of them, and in lexicographic order
    assert view.size == len(rows)
    assert view.is_enumerable
    expected = 5000 / len(rows)
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)  # uniform
    assert view.is_valid(view.whole.sample(50, np.random.default_rng(2))).all()


def test_listed_genotypes_stand_for_themselves(view):
    np.testing.assert_array_equal(view.normalise(view.rows[::-1]), view.rows[::-1])
    np.testing.assert_array_equal(view.find(view.rows), np.arange(view.size))


def test_others_stand_for_the_nearest_by_genes_that_differ(view):
    X = view.whole.normalise(view.whole.sample(300, np.random.default_rng(3)))
    same = view.find(X) >= 0
    distance = (X[:, None, :] != view.rows[None]).sum(axis=2)  # brute force
    found = (X != view.normalise(X)).sum(axis=1)
    np.testing.assert_array_equal(found[~same], distance.min(axis=1)[~same])
    np.testing.assert_array_equal(view.normalise(X), np.vstack([view.normalise(x[None]) for x in X]))


def test_the_same_network_under_another_genotype_is_found():
    space = MNV3()
    grid = np.random.default_rng(5).integers(0, space.n_choices, size=(50, space.n_var))  # with silent genes
    view = ListedSpace(space, grid)
    assert (grid != space.normalise(grid)).any()
    np.testing.assert_array_equal(view.normalise(grid), space.normalise(grid))
    whole = Macro().enumerate()
    keys, first, number = np.unique(Macro().canonical(whole), return_index=True, return_inverse=True)
    assert len(keys) < len(whole)  # some networks have several genotypes
    view = ListedSpace(Macro(), whole[first[::3]])
    again = np.isin(number.ravel(), np.arange(0, len(keys), 3))
    np.testing.assert_array_equal(Macro().canonical(view.normalise(whole[again])), Macro().canonical(whole[again]))
    assert (view.find(whole[~again]) == -1).all()


def test_ties_favour_no_part_of_the_list():
    rows = np.array([[1 + (k >> j) % 2 for j in range(8)] for k in range(256)])  # all genes 1 or 2
    view = ListedSpace(Macro(), rows)
    X = np.unique(np.where(np.arange(8) < 6, 0, rows), axis=0)  # 64 rows are equally near to each of these four
    assert len(X) == 4
    X = np.vstack([np.where(np.arange(8) == j, 1, X) for j in range(6)])  # 32 rows to each of these
    tied = ((X[:, None] == view.rows[None]) | (X[:, None] == 0)).all(axis=2)
    assert (tied.sum(axis=1) == 32).all()
    chosen = view.place(X)
    assert tied[np.arange(len(X)), chosen].all()
    rank = (np.cumsum(tied, axis=1) - 1)[np.arange(len(X)), chosen]  # which of the 32
    assert 10 < rank.mean() < 21
    assert len(np.unique(rank)) > 8


def test_places_are_the_same_everywhere():
    """Fixed numbers: a log must replay on another machine and with another NumPy."""
    whole = Macro().enumerate()
    view = ListedSpace(Macro(), whole[np.arange(131) * 4177 % len(whole)])
    X = whole[(np.arange(12) * 1234 + 7) % len(whole)]
    assert view.place(X).tolist() == PLACES


PLACES = [25, 30, 52, 74, 99, 110, 80, 85, 63, 121, 73, 17]


def test_nearest_among_open_rows_and_apart_from_one():
    view = listed(Macro(), 120)
    X = view.rows[:20]
    own = np.arange(20)
    other = view.nearest(X, apart_from=own)
    distance = (X[:, None, :] != view.rows[None]).sum(axis=2)
    np.fill_diagonal(distance[:, :20], 99)
    np.testing.assert_array_equal((X != view.rows[other]).sum(axis=1), distance.min(axis=1))
    among = np.arange(view.size) % 2 == 1
    assert set(view.nearest(X, among=among) % 2) == {1}
    assert ListedSpace(Macro(), X[:1]).nearest(X[:1], apart_from=own[:1]).tolist() == [0]  # there is no other


def test_neighbours_are_the_nearest_listed_ones():
    view = listed(Macro(), 120)
    x = view.rows[33]
    around = neighbours(view, x)
    assert len(around) == 16  # as many as eight genes of three values have moves
    distance = np.sort((view.rows != x).sum(axis=1))[1:17]
    np.testing.assert_array_equal(np.sort((around != x).sum(axis=1)), distance)
    assert len(np.unique(around, axis=0)) == 16


def test_mutants_are_other_listed_ones_close_by():
    view = listed(Macro(), 120)
    parents = np.repeat(view.rows[5][None], 200, axis=0)
    mutants = mutate_one_gene(view, parents, np.random.default_rng(0))
    assert (view.find(mutants) >= 0).all()
    assert (mutants != parents).any(axis=1).all()
    closest = (view.rows != view.rows[5]).sum(axis=1)
    assert (mutants != parents).sum(axis=1).max() <= np.sort(closest)[1] + 2
    assert len(np.unique(mutants, axis=0)) > 3


def test_free_constraints_shorten_the_list():
    view = listed(Macro(), 120)
    flops = view.cost(view.rows, "flops")
    bound = float(np.median(flops))
    short = feasible_space(view, [Constraint("flops", True, bound, "M", True, -1)])
    assert isinstance(short, ListedSpace)
    np.testing.assert_array_equal(short.rows, view.rows[flops <= bound])
    # A cost is that of the genotype, not of what it stands for: what is infeasible must not look feasible.
    assert (short.cost(view.rows, "flops") == flops).all()
    with pytest.raises(UserError, match=r"satisfies flops<=0.1: of all architectures, the smallest flops is"):
        feasible_space(view, [Constraint("flops", True, 0.1, "M", True, -1)])


def test_an_empty_list_is_refused():
    with pytest.raises(UserError, match="no architecture of space 'macro' is listed"):
        ListedSpace(Macro(), np.empty((0, 8), dtype=np.int64))
