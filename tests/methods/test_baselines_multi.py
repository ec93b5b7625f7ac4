"""The multi-objective baselines: pymoo's against its own loop, MSuNAS and ParEGO on hand-worked cases."""

from itertools import combinations

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.checks import methods as checks
from smemnas.methods.base import METHODS, initial_design
from smemnas.methods.moead import make_moead, weight_lattice
from smemnas.methods.msunas import MSuNAS, extremes
from smemnas.methods.nsga2 import make_nsga2
from smemnas.methods.parego import GridProcess, chebyshev, expected_improvement, simplex_lattice
from smemnas.methods.pymoo_adapter import library_seed
from smemnas.methods.selection import even_gaps, gap_spread
from smemnas.methods.sms_emoa import make_sms_emoa
from smemnas.spaces.base import Problem
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb101 import NB101
from smemnas.surrogates.rbf import CubicRBF
from smemnas.surrogates.settled import settle, step_of


def toy(*names):
    return open_benchmark("toy", objectives=names)


# ---- pymoo's algorithms against their own loop ----


class Recording:
    """Makes a pymoo problem of a benchmark that remembers what it evaluated, in order."""

    def __new__(cls, bench, scale):
        from pymoo.core.problem import Problem as PymooProblem

        class View(PymooProblem):
            def __init__(self):
                upper = np.asarray(bench.space.n_choices) - 1
                super().__init__(n_var=bench.space.n_var, n_obj=len(bench.objectives), xl=0, xu=upper, vtype=int)
                self.asked = []

            def _evaluate(self, X, out, *args, **kwargs):
                X = np.asarray(X, dtype=np.int64)
                self.asked.append(X)
                out["F"] = bench.evaluate(X, 0).F / scale

        return View()


@pytest.mark.parametrize("objectives", [("error", "flops"), ("error",)], ids="+".join)
@pytest.mark.parametrize("name", ["nsga2", "sms-emoa", "moead"])
def test_pymoos_own_loop_gives_the_identical_trajectory(name, objectives):
    from pymoo.optimize import minimize

    bench, seed, budget = toy(*objectives), 5, 90
    space, n_obj, s = bench.space, len(objectives), library_seed(5)
    design = initial_design(bench.problem, 10, seed)
    first = bench.evaluate(design, 0).F
    scale = np.ptp(first, axis=0) if name == "moead" else 1.0
    algorithm = {
        "nsga2": lambda: make_nsga2(space, 10, "choice", design, s),
        "sms-emoa": lambda: make_sms_emoa(space, n_obj, 10, 1, "choice", design, s),
        "moead": lambda: make_moead(space, weight_lattice(n_obj, 10), 5, 0.9, "choice", design, s),
    }[name]()
    view = Recording(bench, scale)
    minimize(view, algorithm, ("n_eval", budget), seed=s)
    theirs = np.vstack(view.asked)[:budget]

    method, ours = METHODS.create(name, bench.problem, budget=budget, seed=seed), []
    while sum(map(len, ours)) < budget:
        X = method.ask()
        ours.append(X)
        method.tell(X, bench.evaluate(X, 0).F)
    np.testing.assert_array_equal(np.vstack(ours)[:budget], theirs)


def test_weight_lattices():
    np.testing.assert_allclose(weight_lattice(2, 3), [[0, 1], [0.5, 0.5], [1, 0]])
    assert len(weight_lattice(3, 20)) == 15  # the largest lattice of three objectives below 21
    assert len(weight_lattice(3, 21)) == 21
    np.testing.assert_array_equal(weight_lattice(1, 4), np.ones((4, 1)))


def test_moead_takes_rows_it_did_not_ask_for():
    """At the start each subproblem gets the best told row; later a row replaces what it beats."""
    bench = toy("error", "flops")
    method = METHODS.create(
        "moead", bench.problem, budget=60, seed=0, params={"population": 3, "neighbours": 2, "scaled": False}
    )
    X = np.array([[0, 0, 0, 0, 0], [4, 4, 4, 4, 4], [2, 2, 2, 2, 2], [0, 0, 0, 0, 4]])
    method.tell(X, bench.evaluate(X, 0).F)  # errors 44, 4, 14, 36 and flops 1, 21, 11, 5; weights by flops first
    assert method._algorithm.pop.get("X").tolist() == [X[0].tolist(), X[2].tolist(), X[1].tolist()]
    method.ask()
    better = np.array([[1, 2, 2, 2, 2]])
    method.tell(better, np.array([[3.0, 10.0]]))
    assert method._algorithm.pop.get("X").tolist()[1:] == [better[0].tolist()] * 2


# ---- MSuNAS ----


def test_gap_filling_by_hand():
    """Front at 0, 4, 10: of 1, 2, 5, 7 the pair 2, 7 gives the gaps 2, 2, 3, 3."""
    front, candidates = np.array([0.0, 4.0, 10.0]), np.array([1.0, 2.0, 5.0, 7.0])
    assert even_gaps(candidates, front, 2).tolist() == [1, 3]
    assert gap_spread(candidates[[1, 3]][None], front)[0] == pytest.approx(0.5)
    assert even_gaps(candidates, front, 4).tolist() == [0, 1, 2, 3]
    assert even_gaps(candidates[:0], front, 4).tolist() == []
    assert even_gaps(candidates, np.empty(0), 1).tolist() == [0]


def test_gap_filling_against_all_subsets():
    rng = np.random.default_rng(0)
    exact = 0
    for _ in range(40):
        front, candidates = rng.random(4), rng.random(11)
        chosen = even_gaps(candidates, front, 4)
        best = min(gap_spread(candidates[list(c)][None], front)[0] for c in combinations(range(11), 4))
        ours = gap_spread(candidates[chosen][None], front)[0]
        assert ours <= 1.5 * best + 1e-12
        exact += ours <= best + 1e-12
    assert exact >= 25


def test_the_first_sample_has_the_extremes_in_front_of_the_shared_stream():
    bench = toy()
    method = METHODS.create("msunas", bench.problem, budget=340, seed=0)
    X = method.ask()
    assert X[:2].tolist() == [[0] * 5, [4] * 5]
    design = initial_design(bench.problem, 100, 0)
    rest = design[~((design == 0).all(axis=1) | (design == 4).all(axis=1))]
    np.testing.assert_array_equal(X[2:], rest[:98])
    np.testing.assert_array_equal(METHODS.create("msunas", bench.problem, budget=4, seed=0).ask(), X[:4])


def test_extremes_of_spaces_with_invalid_and_silent_genes():
    mnv3 = MNV3()
    problem = Problem(mnv3, (checks.ERROR, checks.FLOPS))
    np.testing.assert_array_equal(extremes(problem), [[0] * 46, np.asarray(mnv3.n_choices) - 1])
    found = extremes(Problem(NB101(), (checks.ERROR, checks.FLOPS)))
    assert NB101().is_valid(found).all()
    assert np.diff(NB101().cost(found, "flops"))[0] > 5000.0
    assert len(extremes(Problem(NB101(), (checks.ERROR,)))) == 0  # both corners are no architectures


def test_msunas_evaluates_what_rbf_and_gaps_choose():
    """The eight asked ones are the most even completion of the front by the RBF's own population."""
    bench = toy()
    method = MSuNAS(bench.problem, budget=200, seed=0, initial=40)
    X = method.ask()
    F = bench.evaluate(X, 0).F
    method.tell(X, F)
    kept = {}
    search = method._search
    method._search = lambda start: kept.setdefault("found", search(start))
    asked = method.ask()
    found, predicted = kept["found"]
    rbf = CubicRBF(seed=0).fit(bench.space.encode(X, "int"), F[:, 0])
    step = step_of(rbf.rank(bench.space.encode(X, "int")))
    assert step == 2.0**-18  # standardised outcomes spread over some four deviations: a millionth of it
    np.testing.assert_array_equal(predicted[:, 0], settle(rbf.rank(bench.space.encode(found, "int")), step))
    np.testing.assert_array_equal(predicted[:, 1], bench.space.cost(found, "flops"))
    front = bench.space.cost(X[(F[:, None] >= F[None]).all(axis=2).sum(axis=1) == 1], "flops")
    assert len(asked) == 8
    assert {bytes(x) for x in asked} <= {bytes(x) for x in found} - {bytes(x) for x in X}
    ours = gap_spread(bench.space.cost(asked, "flops")[None], front)[0]
    new = np.array([x for x in found if bytes(x) not in {bytes(k) for k in X}])
    rng = np.random.default_rng(0)
    for _ in range(300):
        other = bench.space.cost(new[rng.permutation(len(new))[:8]], "flops")
        assert ours <= gap_spread(other[None], front)[0] + 1e-12


def test_the_rbf_on_a_hand_worked_case():
    """Values 0, 1, 0 at 0, 1, 2: the tail is flat, weights (1, -2, 1) / w, so s(1.5) follows by hand."""
    rbf = CubicRBF(seed=0).fit(np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0]))
    at = rbf.rank(np.array([[0.0], [1.0], [2.0], [1.5]]))
    # phi = |z|^3 with weights w(1, -2, 1): s(0) = w(-2 + 8) + b, s(1) = 2w + b, so w = -1/4 and b = 3/2
    # s(1.5) = w(1.5^3 - 2 * 0.5^3 + 0.5^3) + b = 1.5 - 3.25 / 4
    unit = (at - at[0]) / (at[1] - at[0])
    np.testing.assert_allclose(unit, [0.0, 1.0, 0.0, 1.5 - 3.25 / 4], atol=1e-9)


# ---- ParEGO ----


def test_chebyshev_by_hand():
    F = np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(chebyshev(F, np.array([0.25, 0.75])), [0.6 + 0.05 * 0.65, 0.375 + 0.05 * 0.5])


def test_expected_improvement_is_the_integral():
    from scipy.integrate import quad
    from scipy.stats import norm

    mean, deviation = np.array([0.3, -1.0, 5.0, 0.0, 2.0]), np.array([0.5, 2.0, 1.0, 0.0, 0.0])
    found = expected_improvement(mean, deviation, 1.0)
    for m, s, value in zip(mean[:3], deviation[:3], found):
        exact = quad(lambda y, m=m, s=s: (1.0 - y) * norm.pdf(y, m, s), m - 12 * s, 1.0)[0]
        assert value == pytest.approx(exact, rel=1e-6)
    assert found[3:].tolist() == [1.0, 0.0]


def test_the_process_equals_scikit_learns():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(0)
    Z, new = rng.normal(size=(40, 3)), rng.normal(size=(9, 3))
    y = np.sin(Z[:, 0]) + 0.1 * rng.normal(size=40)
    process = GridProcess(Z)
    process.fit(y)
    unit = np.sqrt(((Z[:, None] - Z[None]) ** 2).sum(axis=2).mean())
    t = (y - y.mean()) / y.std()
    kernel = process.variance * Matern(process.length * unit, nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=process.variance * process.noise, optimizer=None).fit(Z, t)
    mean, deviation = theirs.predict(new, return_std=True)
    ours = process.predict(new)
    np.testing.assert_allclose(ours[0], y.mean() + y.std() * mean, rtol=1e-7)
    np.testing.assert_allclose(ours[1], y.std() * deviation, rtol=1e-6)
    constant = 20 * np.log(2 * np.pi) + 20  # of 40 rows, with the signal variance in closed form
    assert process.evidence - constant == pytest.approx(theirs.log_marginal_likelihood_value_, rel=1e-8)
    for length in (0.5, 1.0, 2.0):  # no other setting is more likely
        other = GaussianProcessRegressor(
            process.variance * Matern(length * unit, nu=2.5), alpha=0.01 * process.variance, optimizer=None
        )
        assert other.fit(Z, t).log_marginal_likelihood_value_ <= process.evidence - constant + 1e-6


def test_the_simplex_lattice():
    assert simplex_lattice(1, 1).tolist() == [[1.0]]
    np.testing.assert_allclose(simplex_lattice(2, 10)[:, 0], np.arange(11) / 10)
    lattice = simplex_lattice(3, 4)
    assert len({tuple(row) for row in lattice}) == 15
    np.testing.assert_allclose(lattice.sum(axis=1), 1.0)
