"""SMEM-NAS: its parts on hand-worked cases, its behaviour on the toy space."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.methods.base import METHODS, initial_design
from smemnas.methods.model import Model
from smemnas.methods.selection import crowding_by_front, crowding_distance
from smemnas.methods.smemnas import SMEMNAS
from smemnas.surrogates.kernel_pairwise import KernelPairwise


def finished(name, budget, objectives=(), seed=0, **params):
    """Run a method by hand with ask and tell; return its genotypes and objectives."""
    bench = open_benchmark("toy", objectives=objectives)
    method = METHODS.create(name, bench.problem, budget=budget, seed=seed, params=params)
    X, F = np.empty((0, bench.space.n_var), np.int64), np.empty((0, len(bench.objectives)))
    while len(X) < budget:
        asked = method.ask()[: budget - len(X)]
        assert len(asked), "the method stopped before its budget"
        values = bench.evaluate(asked, seed).F
        method.tell(asked, values)
        X, F = np.vstack([X, asked]), np.vstack([F, values])
    return X, F


def test_starts_with_the_shared_design():
    bench = open_benchmark("toy")
    X, _ = finished("smemnas", 40, initial=12)
    np.testing.assert_array_equal(X[:12], initial_design(bench.problem, 12, 0))


def test_never_asks_twice():
    X, _ = finished("smemnas", 120)
    assert len(np.unique(X, axis=0)) == 120


def test_finds_most_of_the_toy_front():
    bench = open_benchmark("toy")
    reference = bench.reference()
    ours = np.mean([hypervolume_regret(finished("smemnas", 80, seed=s)[1], reference.front) for s in range(3)])
    random = np.mean([hypervolume_regret(finished("random", 80, seed=s)[1], reference.front) for s in range(3)])
    assert ours < 0.25 * random


def test_extremes_follow_the_initial_sample():
    bench = open_benchmark("toy")
    X, F = finished("smemnas", 40, initial=12, extremes=True)
    sizes = bench.space.cost(bench.space.enumerate(), "flops")
    new = F[12:14, 1].tolist()
    assert set(new) <= {sizes.min(), sizes.max()}
    assert {sizes.min(), sizes.max()} <= set(F[:14, 1].tolist())
    assert len(np.unique(X, axis=0)) == 40


def test_single_objective_search_finds_the_optimum():
    _, F = finished("smemnas", 60, objectives=("error",))
    assert F.min() == 4.0


@pytest.mark.parametrize("inner", ["mp-moea", "nsga2", "textbook", "both", "enumerate", "random"])
@pytest.mark.parametrize("selection", ["hypervolume", "gap", "mixed", "split", "crowding"])
def test_every_inner_search_with_every_selection(inner, selection):
    X, _ = finished("smemnas", 45, inner=inner, selection=selection, initial=20, population=12, generations=3)
    assert len(np.unique(X, axis=0)) == 45


def test_presets_keep_what_the_paper_says():
    method = METHODS.create("smemnas/paper", open_benchmark("toy").problem, budget=340, seed=0)
    assert isinstance(method, SMEMNAS)
    assert (method.initial, method.batch, method.population, method.generations) == (100, 8, 40, 20)
    assert (method.inner, method.selection) == ("mp-moea", "gap")


def test_populations_of_one_generation():
    """Main = the non-dominated; vice = the most spread of all the rest, not front by front."""
    method = SMEMNAS(open_benchmark("toy").problem, budget=50, seed=0, population=6, main_share=0.5)
    F = np.array([[0, 4], [2, 2], [4, 0], [3, 3], [3.1, 3.1], [3.2, 3.2], [9, 9], [9, 8], [3.3, 3.3]], float)
    main, vice = method._split(np.arange(9)[:, None], F, "mp-moea", 6)
    assert sorted(main.ravel()) == [0, 1, 2]
    # extremes of the rest along each axis: 3 (smallest) and 6 (largest of both); then the widest gap
    assert {3, 6} <= set(vice.ravel())
    assert len(vice) == 3


def test_a_split_of_25_to_75_by_hand():
    """Eight places are two and six. Three non-dominated are cut to two; one is joined by the best of the next front."""
    problem = open_benchmark("toy").problem
    split = SMEMNAS(problem, budget=50, seed=0, population=8, main_share=0.25, main_fill=True)._split
    three = np.array([[0, 4], [2, 2], [4, 0], *[[5 + i, 5 + i] for i in range(7)]], float)
    main, vice = split(np.arange(10)[:, None], three, "mp-moea", 8)
    assert sorted(main.ravel()) == [0, 2]
    assert len(vice) == 6
    assert sorted(vice.ravel()) == [1, 3, 4, 5, 6, 9]  # equally crowded but for the ends: the first
    one = np.array([[0, 0], [1, 9], [2, 2], [9, 1], *[[10 + i, 10 + i] for i in range(6)]], float)
    main, vice = split(np.arange(10)[:, None], one, "mp-moea", 8)
    assert sorted(main.ravel()) == [0, 1]  # 1 and 3 are both extreme in the second front: the earlier one
    assert len(vice) == 6
    alone = SMEMNAS(problem, budget=50, seed=0, population=8, main_share=0.25)._split
    main, vice = alone(np.arange(10)[:, None], one, "mp-moea", 8)
    assert main.ravel().tolist() == [0]
    assert len(vice) == 7


def test_main_population_is_truncated_by_crowding():
    method = SMEMNAS(open_benchmark("toy").problem, budget=50, seed=0, population=6, main_share=0.5)
    F = np.array([[0, 9], [1, 8], [1.1, 7.9], [5, 4], [9, 0]], float)
    main, vice = method._split(np.arange(5)[:, None], F, "mp-moea", 6)
    assert sorted(main.ravel()) == [0, 3, 4]
    assert sorted(vice.ravel()) == [1, 2]


def test_a_textbook_nsga2_mates_by_crowding_within_each_front():
    """The second front is rows 3 to 5. Within it 3 and 5 are both extreme; among all 3 (.91) is less crowded than 5."""
    F = np.array([[0, 10], [1, 1], [10, 0], [2, 3], [3, 2.9], [6, 2]], float)
    crowding = crowding_by_front(F, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_allclose(crowding, [np.inf, 2.0, np.inf, np.inf, 2.0, np.inf])
    np.testing.assert_allclose(crowding_distance(F)[3:], [0.2 + 0.71, 0.4 + 0.1, 0.7 + 0.19])
    problem = open_benchmark("toy").problem
    parents = problem.space.enumerate()[::500][:6]

    class Known:
        """Predicts `F` of the parents."""

        @staticmethod
        def predict(X):
            return F

    wins = {}
    for kind in ("nsga2", "textbook"):
        method = SMEMNAS(problem, budget=50, seed=0, inner=kind, crossover_rate=0.0, mutation_rate=0.0)
        children = method._offspring(parents, parents[:0], Known(), kind, 36_000)
        wins[kind] = [int((children == row).all(axis=1).sum()) for row in parents]
    # Row 5 wins the tournaments with itself and with 4, of those with 3 half where both are extreme and else none.
    assert wins["textbook"][5] == pytest.approx(4000, abs=200)
    assert wins["nsga2"][5] == pytest.approx(3000, abs=200)


def test_predictions_keep_the_surrogates_order_and_the_exact_costs():
    bench = open_benchmark("toy")
    X = initial_design(bench.problem, 30, 0)
    F = bench.evaluate(X, 0).F
    model = Model(bench.problem, [KernelPairwise()], [None], X, F)
    new = initial_design(bench.problem, 80, 1)
    predicted = model.predict(new)
    np.testing.assert_array_equal(predicted[:, 1], bench.space.cost(new, "flops"))
    score = KernelPairwise().fit(bench.space.encode(X), F[:, 0]).rank(bench.space.encode(new))
    assert (np.diff(predicted[np.argsort(score), 0]) >= 0).all()


def test_two_costly_objectives_get_a_surrogate_each():
    bench = open_benchmark("nb201", "analog", ("error", "error_analog", "flops"))
    method = METHODS.create("smemnas", bench.problem, budget=60, seed=0, params={"initial": 20})
    design = method.ask()
    method.tell(design, bench.evaluate(design, 0).F)
    asked = method.ask()
    assert len(method._learners.surrogates) == 2
    assert len(asked) == method.batch


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"inner": "magic"}, "inner"),
        ({"batch": 0}, "batch"),
        ({"main_share": 1.5}, "main_share"),
        ({"surrogate": "kernel_pairwize"}, "Did you mean"),
        ({"encoding": "paths"}, "encoding"),
    ],
)
def test_wrong_parameters_are_refused(params, words):
    with pytest.raises(UserError, match=words):
        METHODS.create("smemnas", open_benchmark("toy").problem, budget=10, seed=0, params=params)


def test_free_objectives_alone_are_refused():
    with pytest.raises(UserError, match="not free"):
        METHODS.create("smemnas", open_benchmark("toy", objectives=("flops",)).problem, budget=10, seed=0)
