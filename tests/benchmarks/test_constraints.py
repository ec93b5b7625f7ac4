"""Constraints: feasibility first for every method, measured over what is feasible."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from smemnas.bench.benchmarks.base import reference_front
from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.constraints import constrain, feasible_only
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.predictor import Predictor, PredictorBenchmark
from smemnas.bench.checks.spaces import CHECKS
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.report.run import write_report
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.penalty import Penalised, told_under_constraints
from smemnas.bench.runs.run import run
from smemnas.bench.schema import JobEntry
from smemnas.bench.studies.trials import measure
from smemnas.methods.base import METHODS, DesignStream, Method, initial_design
from smemnas.methods.nsga2 import make_nsga2
from smemnas.methods.pymoo_adapter import library_seed
from smemnas.spaces.base import Constraint, Objective
from smemnas.spaces.feasible import FeasibleSpace
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.toy import Toy, error


def best_rows(F):
    """Distinct rows of ``F`` that no other dominates: sorted, each can be beaten by one that was kept before alone."""
    kept = np.empty((0, F.shape[1]))
    for f in np.unique(F, axis=0):  # which are in lexicographic order
        if not (kept <= f).all(axis=1).any():
            kept = np.vstack([kept, f])
    return kept


def needed(name):
    pytest.importorskip(METHODS.get(name).factory.needs or "numpy", reason="needs optuna: pip install -e '.[optuna]'")


# ---- the front ----


@pytest.mark.parametrize(
    ("space", "constraints", "keep"),
    [
        ("nb201", ("flops<=40",), lambda F, c: c["flops"] <= 40),
        ("nb201", ("flops>=40", "params<=0.6"), lambda F, c: (c["flops"] >= 40) & (c["params"] <= 0.6)),
        ("nb201", ("val_error<=9", "flops<=90"), lambda F, c: (F[:, 0] <= 9) & (c["flops"] <= 90)),
        ("nb201", ("val_error>=9.5",), lambda F, c: F[:, 0] >= 9.5),
        ("toy", ("flops<=12",), lambda F, c: c["flops"] <= 12),
        ("toy", ("flops>=5", "error>=10"), lambda F, c: (c["flops"] >= 5) & (F[:, 0] >= 10)),
    ],
)
def test_the_reference_is_the_front_of_what_is_feasible(space, constraints, keep, use_embedded):
    bench, whole = open_benchmark(space, constraints=constraints), open_benchmark(space)
    X = whole.space.enumerate()
    F = whole.evaluate(X, 0).F
    feasible = keep(F, {c.name: whole.space.cost(X, c.name) for c in whole.space.costs})
    assert 0 < feasible.sum() < len(F)
    reference = reference_front(bench)
    np.testing.assert_array_equal(np.unique(reference.front, axis=0), best_rows(F[feasible]))
    assert reference.exact
    np.testing.assert_array_equal(reference.ideal, reference.front.min(axis=0))
    np.testing.assert_array_equal(np.isfinite(feasible_only(bench, X, F)).all(axis=1), feasible)
    case = Case(space, bench.dataset, tuple(o.name for o in bench.objectives), tuple(map(str, bench.constraints)))
    assert [str(c) for c in benchmark_of(case).constraints] == sorted(constraints)
    np.testing.assert_array_equal(known_reference(case).front, reference.front)


def test_a_run_is_measured_by_what_is_feasible(use_embedded):
    bench = open_benchmark("nb201", "analog", constraints=("flops<=40",))
    X = bench.space.sample(300, np.random.default_rng(3))
    F = bench.evaluate(X, 0).F
    ok = F[:, 1] <= 40
    reference = reference_front(bench)
    some = measure(X, F, (300,), bench, reference)
    same = measure(X[ok], F[ok], (300,), open_benchmark("nb201", "analog"), reference)
    assert 0 < same.regret[0] < 1
    assert some.regret[0] == pytest.approx(same.regret[0])
    assert some.igd_plus[0] == pytest.approx(same.igd_plus[0])
    assert some.best[0] == F[ok, 0].min() > F[:, 0].min()


def test_the_best_known_networks_are_filtered():
    """Costs and bounds of the pool by hand; a bound that no known network keeps leaves no reference."""
    rng = np.random.default_rng(0)
    predictor = Predictor(
        (rng.normal(size=(6, 128)), rng.normal(size=(1, 6)) / 50), (np.zeros(6), np.full(1, 0.7)), 0.0
    )
    space = MNV3()
    pool = space.sample(400, rng)
    bench = PredictorBenchmark(space, predictor, dataset="made up", pool=lambda: pool)
    F, params = bench.values(pool), space.cost(pool, "params")
    keep = (params <= np.median(params)) & (F[:, 1] >= np.quantile(F[:, 1], 0.1))
    limits = (f"params<={np.median(params)}", f"flops>={np.quantile(F[:, 1], 0.1)}")
    reference = reference_front(constrain(bench, limits))
    assert not reference.exact
    np.testing.assert_allclose(np.unique(reference.front, axis=0), best_rows(F[keep]))
    assert reference_front(constrain(bench, (f"error<={F[:, 0].min() - 1}",))) is None


def test_a_front_given_by_hand_is_cut_where_that_is_right_and_left_out_where_not():
    big = MNV3()
    front = np.array([[1.0, 9.0], [2.0, 5.0], [4.0, 2.0]])
    costs = [Objective("error", "%", False), Objective("flops", "M", True)]
    bench = CallableBenchmark(big, lambda X, seed: X[:, :2] * 1.0, costs, front=front)
    np.testing.assert_array_equal(reference_front(constrain(bench, ("error<=3",))).front, front[:2])
    assert reference_front(constrain(bench, ("error>=3",))) is None
    assert reference_front(constrain(bench, ("params<=5",))) is None
    assert reference_front(constrain(bench, ("error<=0.5",))) is None


def test_a_bound_that_nothing_measured_keeps_is_one_line(use_embedded):
    bench = open_benchmark("nb201", "analog", constraints=("error<=1", "flops<=40"))
    with pytest.raises(UserError, match=r"no architecture of nb201/analog satisfies error<=1 and flops<=40: the"):
        reference_front(bench)


# ---- what a method sees ----


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_space_without_what_is_infeasible_keeps_the_contract_of_a_space(check):
    check(FeasibleSpace(Toy(), [Constraint("flops", True, 12.0, "M", True, 1)]))


def test_a_feasible_space_holds_exactly_what_is_feasible():
    space = FeasibleSpace(Toy(), [Constraint("flops", False, 18.0, "M", True, 1)])
    grid = Toy().enumerate()
    feasible = grid.sum(axis=1) + 1 >= 18
    np.testing.assert_array_equal(space.enumerate(), grid[feasible])
    np.testing.assert_array_equal(space.is_valid(grid), feasible)
    drawn = space.sample(8000, np.random.default_rng(0))
    counts = np.bincount(Toy().index(drawn), minlength=len(grid))
    assert (counts[~feasible] == 0).all()
    expected = 8000 / feasible.sum()  # uniform: chi-squared within five standard deviations of its mean
    statistic, freedom = ((counts[feasible] - expected) ** 2 / expected).sum(), feasible.sum() - 1
    assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom)


def test_what_rejection_cannot_find_is_enumerated_or_refused(monkeypatch):
    monkeypatch.setattr("smemnas.spaces.feasible.DRAWS", 2000)
    rare = FeasibleSpace(Toy(), [Constraint("flops", False, 21.0, "M", True, 1)])  # one of 3,125
    np.testing.assert_array_equal(rare.sample(5, np.random.default_rng(1)), np.full((5, 5), 4))
    assert len(DesignStream(open_benchmark("toy", constraints=("flops>=20.5",)).problem, 0).take(10)) == 1
    words = r"no architecture of space 'mnv3' satisfies flops<=20: of 4,032 random .*, the smallest flops is \d"
    with pytest.raises(UserError, match=words):
        FeasibleSpace(MNV3(), [Constraint("flops", True, 20.0, "M", True, -1)]).sample(1, np.random.default_rng(0))


def test_the_initial_design_is_shared_and_feasible(use_embedded):
    problem = open_benchmark("nb201", "analog", constraints=("flops<=40",)).problem
    design = initial_design(problem, 20, 4)
    assert len(np.unique(design, axis=0)) == 20
    assert (problem.space.cost(design, "flops") <= 40).all()
    np.testing.assert_array_equal(initial_design(problem, 8, 4), design[:8])
    for name in ("nsga2", "random", "smemnas"):
        first = METHODS.create(name, problem, budget=60, seed=4).ask()[:10]
        np.testing.assert_array_equal(first, initial_design(problem, len(first), 4))


@pytest.mark.parametrize("name", METHODS.names())
@pytest.mark.parametrize(("space", "bound"), [("toy", 12), ("nb201", 40)])
def test_every_method_keeps_a_free_constraint(tmp_path, use_embedded, name, space, bound):
    needed(name)
    job, bench = make_job(name, space, budget=40, constraints=(f"flops<={bound}",))
    result = run(job, tmp_path / "run", benchmark=bench)
    assert len(result.F) == 40
    assert result.feasible.all()  # nothing that is known to be infeasible is paid for
    assert (result.F[:, 1] <= bound).all()
    logged = History(tmp_path / "run" / LOG).arrays()[1]
    np.testing.assert_array_equal(logged, result.F)  # the log holds what was measured


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_takes_a_measured_constraint_and_reports_a_feasible_front(tmp_path, name):
    needed(name)
    job, bench = make_job(name, "toy", budget=60, constraints=("error<=16", "flops<=18"))
    result = run(job, tmp_path, benchmark=bench)
    np.testing.assert_array_equal(result.feasible, (error(result.X) <= 16) & (result.X.sum(axis=1) + 1 <= 18))
    F = result.front.F
    assert (F[:, 0] <= 16).all()
    np.testing.assert_array_equal(np.unique(F, axis=0), best_rows(result.F[result.feasible]))
    summary = write_report(tmp_path, result, bench)
    assert summary["infeasible"] == 60 - result.feasible.sum() > 0
    assert summary["constraints"] == ["error<=16", "flops<=18"]
    assert summary == json.loads((tmp_path / "summary.json").read_text())


@pytest.mark.parametrize("name", ["nsga2", "smemnas", "rea", "sms-emoa", "parego"])
def test_a_bound_on_the_error_is_searched_for(tmp_path, name):
    """Few architectures have an error below the bound: a method that cares finds more than chance would."""
    shares = {}
    for method in (name, "random"):
        job, bench = make_job(method, "nb201", dataset="analog", budget=120, constraints=("error<=7.5",))
        shares[method] = run(job, tmp_path / method, benchmark=bench).feasible.mean()
    assert shares[name] > 2.0 * shares["random"]


def test_penalised_values_put_feasible_first_and_small_violations_next():
    bench = open_benchmark("nb201", "analog", constraints=("error<=10",))
    rng = np.random.default_rng(0)
    X = bench.space.sample(200, rng)
    F = bench.evaluate(X, 0).F
    method = METHODS.create("random", bench.problem, budget=300, seed=0)
    told = Penalised(method, bench.problem).penalise(X, F)
    ok = F[:, 0] <= 10.0
    assert 0 < ok.sum() < len(ok)
    np.testing.assert_array_equal(told[ok], F[ok])
    assert (told[~ok].min(axis=0) > told[ok].max(axis=0)).all()
    by_violation = np.argsort(F[~ok, 0])
    assert (np.diff(told[~ok][by_violation], axis=0) >= 0).all()


def test_penalised_nsga2_is_pymoos_own_under_constraints(use_embedded):
    """pymoo's NSGA-II sorts by violation itself (Deb's domination); told penalised values it does the same."""
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination

    table = open_benchmark("nb201", "analog")
    space = table.space

    def untied(X, seed):  # cells that are alike have one error: who of them goes first is chance
        F = table.evaluate(X, seed).F
        F[:, 0] += 1e-9 * space.index(X)
        return F

    bench = constrain(CallableBenchmark(space, untied, table.objectives), ("error<=7.5",))

    class Native(Problem):
        def _evaluate(self, x, out, *_, **__):
            out["F"] = bench.evaluate(np.asarray(x, dtype=np.int64), 0).F
            out["G"] = out["F"][:, :1] / 7.5 - 1.0

    for seed in range(3):
        theirs = make_nsga2(space, 10, "choice", initial_design(bench.problem, 10, seed), library_seed(seed))
        native = Native(n_var=space.n_var, n_obj=2, n_ieq_constr=1, xl=0, xu=np.asarray(space.n_choices) - 1, vtype=int)
        theirs.setup(native, termination=NoTermination(), verbose=False)
        method = METHODS.create("nsga2", bench.problem, budget=300, seed=seed)
        ours = told_under_constraints(method, bench.problem)
        for _ in range(10):  # later on whole fronts are feasible, and who of equally crowded ones stays is chance
            X = ours.ask()
            population = theirs.ask()
            np.testing.assert_array_equal(X, population.get("X"))
            theirs.evaluator.eval(native, population)
            theirs.tell(infills=population)
            ours.tell(X, bench.evaluate(X, 0).F)


def test_later_values_keep_the_order_whatever_comes():
    """Feasible ones far beyond the first rows, failed ones, tiny and huge violations: always feasible first."""
    bench = CallableBenchmark(
        Toy(), lambda X, seed: X * 1.0, [Objective("error", "%", False), Objective("latency", "ms", False)]
    )
    problem = constrain(bench, ("latency<=5",)).problem
    told = Penalised(METHODS.create("random", problem, budget=9, seed=0), problem)
    batches = [[[3.0, 4.0]], [[1e9, 5.0], [2.0, 5.0 + 1e-9], [0.1, 1e12]], [[-5.0, -7.0], [np.inf, np.inf], [9.0, 5.5]]]
    F = np.array([row for batch in batches for row in batch])
    seen = np.vstack([told.penalise(np.zeros((len(b), 5), np.int64), np.array(b)) for b in batches])
    feasible = F[:, 1] <= 5
    infeasible = ~feasible & np.isfinite(F).all(axis=1)
    assert (seen[feasible].max(axis=0) < seen[infeasible].min(axis=0)).all()
    order = np.argsort(F[infeasible, 1])
    assert (np.diff(seen[infeasible][order], axis=0) > 0).all()
    np.testing.assert_array_equal(seen[~np.isfinite(F).all(axis=1)], [[np.inf, np.inf]])
    np.testing.assert_array_equal(seen[[0, 4]], F[[0, 4]])


def test_a_method_that_sorts_by_violation_itself_is_told_the_truth(tmp_path):
    told = []

    class Own(Method):
        handles_constraints = True

        def ask(self):
            return self.problem.space.sample(4, self.rng)

        def tell(self, X, F):
            told.append((F, self.problem.violation(X, F)))

    METHODS.register("own-constraints")(Own)
    try:
        job, bench = make_job("own-constraints", "toy", budget=20, constraints=("error<=16",))
        run(job, tmp_path, benchmark=bench)
    finally:
        del METHODS._entries["own-constraints"]
    F, violation = np.vstack([f for f, _ in told]), np.concatenate([v for _, v in told])
    assert (F[:, 0] > 16).any()
    np.testing.assert_allclose(violation, np.maximum(F[:, 0] - 16, 0) / 16)


def test_violations_add_up_in_units_of_their_bounds():
    problem = open_benchmark("toy", constraints=("error<=20", "flops>=8", "flops<=10")).problem
    X = np.array([[0, 0, 0, 0, 0], [4, 4, 4, 4, 4], [2, 2, 2, 2, 1], [2, 2, 2, 2, 1]])
    F = np.array([[44.0, 1.0], [4.0, 21.0], [14.5, 10.0], [np.inf, np.inf]])
    np.testing.assert_allclose(problem.violation(X, F), [24 / 20 + 7 / 8, 11 / 10, 0.0, np.inf])
    assert problem.violation(X[:0], F[:0]).shape == (0,)
    assert Constraint("a", True, 0.0, "", True, 0).excess(np.array([-1.0, 0.5])).tolist() == [0.0, 0.5]


def test_without_constraints_the_job_is_what_it_was():
    job, bench = make_job("random", "toy", budget=10)
    assert "constraints" not in job.to_dict()
    assert bench.problem.constraints == ()
    others = [
        make_job("random", "toy", budget=10, constraints=c)[0]
        for c in (("flops<=12",), ("flops>=12",), (" flops <= 12.0 ", "error<=2e1"), ("error<=20", "flops<=12"))
    ]
    assert [o.constraints for o in others[2:]] == [("error<=20", "flops<=12")] * 2
    assert len({o.folder for o in (job, *others)}) == 4
    assert json.loads(json.dumps(others[0].to_dict()))["constraints"] == ["flops<=12"]
    assert Job.of(msgspec.convert(json.loads(json.dumps(others[2].to_dict())), JobEntry)) == others[2]


def test_a_folder_of_other_constraints_is_refused(tmp_path):
    with_limit, bench = make_job("random", "toy", budget=10, constraints=("flops<=12",))
    run(with_limit, tmp_path, benchmark=bench)
    without, bench = make_job("random", "toy", budget=10)
    with pytest.raises(RunError, match="holds a run with constraints"):
        run(without, tmp_path, benchmark=bench)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flop<=12", "Did you mean 'flops'"),
        ("flops", "takes NAME<=NUMBER"),
        ("flops<=many", "takes NAME<=NUMBER"),
        ("flops<=1e999", "takes NAME<=NUMBER"),
        ("flops=12", "takes NAME<=NUMBER"),
        ("test_error<=12", "bounds an objective of the run, a free cost or another"),
        ("flops<=-1", "the smallest flops is"),
    ],
)
def test_wrong_constraints_are_one_line(text, words):
    with pytest.raises(UserError, match=words) as error:
        make_job("random", "nb201", dataset="analog", budget=10, constraints=(text,))
    assert "\n" not in str(error.value)


def test_a_study_under_a_constraint(cli, tmp_path):
    out = tmp_path / "out"
    done = cli(
        *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "30", "--at", "15"),
        *("--constraint", "flops<=12", "--jobs", "1", "--out", str(out), "--quiet", "--no-figures"),
    )
    assert done.returncode == 0, done.stderr
    assert "flops<=12" in (out / "study.md").read_text()


def test_reference_of_a_benchmark_respects_its_constraints():
    """`Benchmark.reference()` and `reference_front` are one; `whole_reference()` is that without constraints."""
    bench = open_benchmark("toy", constraints=("error<=10", "flops>=9"))
    F = bench.evaluate(bench.space.enumerate(), 0).F
    kept = F[(F[:, 0] <= 10) & (F[:, 1] >= 9)]
    expected = kept[[not any((k <= f).all() and (k < f).any() for k in kept) for f in kept]]
    front = bench.reference().front
    assert sorted(map(tuple, front)) == sorted({tuple(f) for f in expected})
    np.testing.assert_array_equal(front, reference_front(bench).front)
    np.testing.assert_array_equal(bench.whole_reference().front, open_benchmark("toy").reference().front)
    assert len(front) < len(bench.whole_reference().front)


def test_a_plug_in_that_overrides_reference_is_still_held_to_the_constraints():
    class Old(CallableBenchmark):
        def reference(self):
            return CallableBenchmark.whole_reference(self)

    toy = open_benchmark("toy")
    old = Old(toy.space, lambda X, seed: toy.evaluate(X, seed).F, toy.objectives, front=toy.reference().front)
    limits = ("error<=10",)
    np.testing.assert_array_equal(
        reference_front(constrain(old, limits)).front, constrain(toy, limits).reference().front
    )
