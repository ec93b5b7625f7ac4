"""The tables of a study say what the logs say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_cases import made_up, records, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.data.toy import open_toy
from smemnas.bench.metrics.indicators import hypervolume_regret, igd_plus, nondominated
from smemnas.bench.report.study import files as reports
from smemnas.bench.report.study.files import write_study
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.history import History
from smemnas.bench.studies import references
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import DONE, MISSING, folder_of, run_study
from smemnas.bench.studies.plan import Contrast, Plan
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import Trial, collect, evaluations_to, measure, reported_floor
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.toy import error, front


def test_the_table_says_what_the_logs_say(tmp_path: Path) -> None:
    plan = toy_plan(seeds=tuple(range(8)))
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    regret = {}
    for variant in plan.variants:
        for seed in plan.seeds:
            log = folder_of(tmp_path, plan.job(variant, plan.cases[0], seed)) / LOG
            F = History(log).arrays()[1]
            for n in (10, 25, 40):
                regret[variant.name, n, seed] = hypervolume_regret(F[:n], front())
                assert igd_plus(F[:n], front()) >= 0
    for row in tables.rows:
        mine = [regret[row.variant, row.at, s] for s in plan.seeds]
        base = [regret["random", row.at, s] for s in plan.seeds]
        assert row.n == 8
        assert row.regret.value == pytest.approx(np.mean(mine))
        assert row.regret.low <= row.regret.value <= row.regret.high
        if row.variant == "random":
            assert row.against is None
        else:
            against = row.against or pytest.fail("no comparison with the baseline")
            assert against.difference.value == pytest.approx(np.mean(mine) - np.mean(base))
            assert against.ratio.value == pytest.approx(np.mean(mine) / np.mean(base))
            assert against.family_size == 3
            assert against.p <= against.p_holm <= 3 * against.p + 1e-12
    write_study(tmp_path, tables)
    assert len(records(tmp_path / "study.csv")) == 6
    assert len(records(tmp_path / "trials.csv")) == len(records(tmp_path / "times.csv")) == 16


def test_where_no_front_is_known_that_of_all_runs_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (references, reports):
        monkeypatch.setattr(module, "known_reference", lambda case: None)
    plan = toy_plan(seeds=(0, 1, 2))
    run_study(list(plan.jobs())[:-1], tmp_path)
    trials = collect(plan, tmp_path)
    done = [t for t in trials if t.status == DONE]
    assert len(done) == len(trials) - 1
    everything = np.vstack([t.F for t in done])
    union = everything[nondominated(everything)]
    for trial in done:
        assert trial.regret.tolist() == pytest.approx([hypervolume_regret(trial.F[:n], union) for n in plan.at])
        assert np.isnan(trial.reported).all()
    assert min(t.regret[-1] for t in done) >= -1e-12
    tables = tabulate(plan, trials)
    np.testing.assert_array_equal(tables.references[plan.cases[0]].front, np.unique(union, axis=0))
    some = replace(plan, seeds=(0,))  # fewer runs, another union: what was compared before does not reach into it
    [reference] = tabulate(some, collect(some, tmp_path)).references.values()
    first = np.vstack([t.F for t in done if t.job.seed == 0])
    np.testing.assert_array_equal(reference.front, np.unique(first[nondominated(first)], axis=0))
    write_study(tmp_path, tables)
    assert "that of all finished runs of this study stands for it" in (tmp_path / "study.md").read_text()


def test_evaluations_to_target_is_the_first_such_number(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0, 2, 3, 4))  # one of its runs does not get there
    run_study(list(plan.jobs()), tmp_path)
    trials = collect(plan, tmp_path)
    for trial in trials:
        curve = [hypervolume_regret(trial.F[:n], front()) for n in range(1, 41)]
        for target in (0.05, 0.1, 0.2, 0.4, curve[-1]):
            hits = [n for n, value in enumerate(curve, start=1) if value <= target + 1e-12]
            assert evaluations_to(trial.curve, target) == (hits[0] if hits else np.inf)
    tables = tabulate(plan, trials)
    [base, evo] = tables.arrivals
    assert base.target == pytest.approx(np.mean([t.regret[-1] for t in trials if t.variant == "random"]))
    assert base.ratio is None
    needed = {name: list(tables.evaluations_to_target[plan.cases[0], name].values()) for name in ("random", "evo")}
    assert evo.median == np.median(needed["evo"]) < np.inf
    expected = np.median(needed["evo"]) / np.median(np.minimum(needed["random"], 40))
    assert [a.ratio.value for a in (evo,) if a.ratio] == [expected]
    [base, evo] = tabulate(replace(plan, target=0.99), trials).arrivals
    assert base.reached == evo.reached == 4


def test_contrasts_average_within_a_seed(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0, 1, 2, 3))
    both = ("random", "evo")
    plan = replace(
        plan,
        contrasts=(
            Contrast("evo - both", ("evo",), both, "a"),
            Contrast("both - both", both, ("evo", "random"), "b"),
        ),
    )
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    evo = next(r for r in tables.rows if r.variant == "evo" and r.at == 40)
    first, last = (
        next(r for r in tables.contrasts if r.name == n and r.at == 40) for n in ("evo - both", "both - both")
    )
    mean = {n: np.mean([t.regret[-1] for t in tables.trials if t.variant == n]) for n in both}
    assert first.comparison.difference.value == pytest.approx((mean["evo"] - mean["random"]) / 2)
    assert (evo.against or pytest.fail("no comparison")).difference.value == pytest.approx(
        2 * first.comparison.difference.value
    )
    assert first.comparison.family_size == 3
    assert last.comparison.p == 1.0
    write_study(tmp_path, tables)
    assert len(records(tmp_path / "contrasts.csv")) == 6


class TwoSplits(CallableBenchmark):
    """The toy benchmark with another error on the test split, which favours high levels of the first gene."""

    def __init__(self) -> None:
        toy = open_toy()
        super().__init__(toy.space, lambda X, seed: toy.evaluate(X, seed).F, toy.objectives, front=front())
        self.report_names = ("test_error", "flops")

    def report(self, X: IntArray) -> FloatArray:
        return np.stack([error(X) + (4 - X[:, 0]), 1.0 + X.sum(axis=1)], axis=1)


def test_the_test_split_is_measured_on_what_the_searched_split_selects() -> None:
    benchmark = TwoSplits()
    X = benchmark.space.enumerate()
    F, tested = benchmark.evaluate(X, 0).F, benchmark.report(X)

    def is_best(A: FloatArray) -> np.ndarray:
        return np.array([not ((a >= A).all(axis=1) & (a > A).any(axis=1)).any() for a in A])

    best = tested[is_best(tested)]
    chosen = tested[is_best(F)]
    reference = Reference(front(), front().min(axis=0), front().max(axis=0), True, chosen, best)
    floor = reported_floor(benchmark, reference)
    assert 0 <= floor < 0.1
    order = np.random.default_rng(0).permutation(len(X))[:200]
    found = measure(X[order], F[order], (50, 200), benchmark, reference)
    for k, n in enumerate((50, 200)):
        part = order[:n]
        # Equal searched values: only the first asked is in the run's set.
        selected = [i for i in part[is_best(F[part])] if (F[part] == F[i]).all(axis=1).argmax() == list(part).index(i)]
        assert found.reported[k] == pytest.approx(hypervolume_regret(tested[selected], best))
        assert found.regret[k] == pytest.approx(hypervolume_regret(F[part], front()))
        assert found.igd_plus[k] == pytest.approx(igd_plus(F[part], front()))
    assert np.isnan(measure(X[order], F[order], (50,), open_toy(), reference).reported).all()
    assert np.isnan(reported_floor(open_toy(), reference))
    blind = measure(X[order], F[order], (50,), benchmark, None)
    assert np.isnan([blind.regret, blind.igd_plus, blind.reported, blind.epsilon, blind.area]).all()
    assert blind.best == F[order][:50, 0].min()
    assert len(blind.curve) == 0


CORNERS = np.array([[0.0, 1.0], [1.0, 0.0]])
INF = math.inf


def reference_of_corners() -> Reference:
    return Reference(CORNERS, CORNERS.min(axis=0), CORNERS.max(axis=0), True, CORNERS, CORNERS)


def test_the_area_is_the_mean_regret_so_far_by_hand() -> None:
    # HV of the two corners is .21, of one of them .11; nothing before the first point within the reference point.
    F = np.array([[INF, INF], [2.0, 2.0], [0.0, 1.0], [1.5, 0.5], [1.0, 0.0]])
    X = np.zeros((5, 5), dtype=np.int64)
    half = 1 - 0.11 / 0.21
    found = measure(X, F, (1, 3, 5, 8), open_toy(), reference_of_corners())
    assert found.curve == pytest.approx([1, 1, half, half, 0])
    assert found.regret == pytest.approx([1, half, 0, 0])
    assert found.area == pytest.approx([1, (2 + half) / 3, (2 + 2 * half) / 5, (2 + 2 * half) / 8])
    assert found.best.tolist() == [INF, 0.0, 0.0, 0.0]
    # From (0, 1) to (1, 0): one unit in the second objective; nothing at all before.
    assert found.epsilon == pytest.approx([INF, 1, 0, 0])


def test_a_run_without_any_evaluation_has_found_nothing() -> None:
    found = measure(np.empty((0, 0), np.int64), np.empty((0, 0)), (1, 9), open_toy(), reference_of_corners())
    assert found.regret.tolist() == found.area.tolist() == [1.0, 1.0]
    assert found.best.tolist() == found.epsilon.tolist() == [INF, INF]
    assert len(found.curve) == 0


def test_best_is_the_first_objective_that_costs_an_evaluation() -> None:
    X = np.array([[0, 0, 0, 0, 0], [4, 4, 4, 4, 3], [1, 1, 1, 1, 1]])
    for names, column in ((("error", "flops"), 0), (("flops", "error"), 1)):
        benchmark = open_toy(names)
        F = benchmark.evaluate(X, 0).F
        best = measure(X, F, (1, 2, 3), benchmark, benchmark.reference()).best
        assert best.tolist() == [44.0, 4.5, 4.5] == np.minimum.accumulate(F[:, column]).tolist()
    free = open_toy(("flops",))
    assert np.isnan(measure(X, free.evaluate(X, 0).F, (3,), free, free.reference()).best).all()


def test_a_run_under_which_the_machine_slept_says_nothing_of_the_method() -> None:
    plan = toy_plan(seeds=(0, 1, 2))
    clocks = {0: 3.0, 1: 2000.0, 2: 4.0}
    trials = [
        made_up(
            plan,
            variant,
            plan.cases[0],
            seed,
            regret=np.full(len(plan.at), 0.1),
            curve=np.full(plan.budget, 0.1),
            F=np.ones((plan.budget, 2)),
            seconds=clocks[seed],
            method_seconds=clocks[seed] - 1.0,
        )
        for variant in plan.variants
        for seed in plan.seeds
    ]
    for arrival in tabulate(plan, trials).arrivals:
        assert (arrival.seconds, arrival.method_seconds) == (4.0, 3.0)


def test_censored_evaluations_are_infinite() -> None:
    curve = np.array([1.0, 0.5, 0.5, 0.2])
    assert [evaluations_to(curve, t) for t in (1.0, 0.5, 0.2, 0.1)] == [1, 2, 4, INF]
    assert evaluations_to(np.empty(0), 1.0) == INF


def studied(tmp_path: Path, **change: object) -> tuple[Plan, Tables, dict[tuple[Case, str, int], FloatArray]]:
    """Return a plan with two problems, its tables, and the regret after each evaluation of each run, one by one."""
    cases = (Case("toy"), Case("toy", "", ("error",)))
    plan = toy_plan(seeds=tuple(range(6)), cases=cases, **change)
    run_study(list(plan.jobs()), tmp_path)
    curves = {}
    for case in plan.cases:
        exact = open_toy(case.objectives).reference() or pytest.fail("the toy's front is known")
        for variant in plan.variants:
            for seed in plan.seeds:
                F = History(folder_of(tmp_path, plan.job(variant, case, seed)) / LOG).arrays()[1]
                steps = [hypervolume_regret(F[:n], exact.front) for n in range(1, plan.budget + 1)]
                curves[case, variant.name, seed] = np.array(steps)
    return plan, tabulate(plan, collect(plan, tmp_path)), curves


def test_the_champion_is_compared_with_every_other_variant(tmp_path: Path) -> None:
    plan, tables, curves = studied(tmp_path, champion="evo", baseline="evo")
    assert [(r.case, r.variant, r.at) for r in tables.champion] == [
        (case, "random", at) for case in plan.cases for at in plan.at
    ]
    for row in tables.champion:
        mine, other = (np.array([curves[row.case, n, s][row.at - 1] for s in plan.seeds]) for n in ("evo", "random"))
        assert row.comparison.pairs == 6
        assert row.comparison.difference.value == pytest.approx(np.mean(mine - other))
        assert row.comparison.ratio.value == pytest.approx(np.mean(mine) / np.mean(other))
        assert row.comparison.a12 == np.mean((mine[:, None] < other) + 0.5 * (mine[:, None] == other))
        assert row.comparison.family_size == 6
    smallest = min(r.comparison.p for r in tables.champion)
    assert min(r.comparison.p_holm for r in tables.champion) == pytest.approx(min(1.0, 6 * smallest))
    for lead in tables.leads:
        target = np.mean([curves[lead.case, "random", s][-1] for s in plan.seeds])
        first = []
        for name in ("evo", "random"):
            hits = [np.flatnonzero(curves[lead.case, name, s] <= target + 1e-12) for s in plan.seeds]
            first.append([float(h[0] + 1) if len(h) else INF for h in hits])
        assert lead.target == pytest.approx(target)
        assert lead.reached == np.isfinite(first[0]).sum()
        assert lead.median == np.median(first[0])
        assert lead.ratio.value == np.median(np.minimum(first[0], 40)) / np.median(np.minimum(first[1], 40))
    assert tabulate(replace(plan, champion=""), tables.trials).champion == []


def test_curves_are_means_over_runs_and_meet_the_table(tmp_path: Path) -> None:
    plan, tables, curves = studied(tmp_path)
    for (case, name), curve in tables.curves.items():
        values = np.array([curves[case, name, s] for s in plan.seeds])
        assert curve.mean == pytest.approx(values.mean(axis=0)[curve.at - 1])
        for row in (r for r in tables.rows if (r.case, r.variant) == (case, name)):
            [k] = np.flatnonzero(curve.at == row.at)
            assert (curve.mean[k], curve.low[k], curve.high[k]) == row.regret
            assert row.area.value == pytest.approx(values[:, : row.at].mean())
    assert len(tables.curves) == 4


def test_seeds_that_a_method_lacks_are_no_blocks(tmp_path: Path) -> None:
    plan, tables, curves = studied(tmp_path, champion="evo")

    def drop(t: Trial) -> Trial:
        gone = t.variant == "evo" and t.job.seed > 3
        return replace(t, status=MISSING, regret=np.full(3, math.nan), curve=np.empty(0)) if gone else t

    some = tabulate(plan, [drop(t) for t in tables.trials])
    assert {t.status for t in some.trials} == {DONE, MISSING}
    for test in some.seed_ranks:
        assert test.seeds == (0, 1, 2, 3)
        values = np.array([[curves[test.case, n, s][test.at - 1] for n in test.methods] for s in range(4)])
        wins = np.mean((values[:, 0] < values[:, 1]) + 0.5 * (values[:, 0] == values[:, 1]))
        assert test.mean_ranks == pytest.approx([2 - wins, 1 + wins])
    assert {r.comparison.pairs for r in some.champion} == {4}
    assert {(r.variant, r.n) for r in some.rows} == {("random", 6), ("evo", 4)}
    none = tabulate(plan, [drop(replace(t, job=replace(t.job, seed=9))) for t in tables.trials])
    assert none.seed_ranks == []
    assert {(r.problems, r.of) for r in none.problem_ranks if r.variant == "evo"} == {(0, 2)}


def test_every_point_of_a_finished_run_is_measured_against_the_reference(tmp_path: Path) -> None:
    plan, tables, _ = studied(tmp_path)
    exact = front()
    span = exact.max(axis=0) - exact.min(axis=0)
    for t in (t for t in tables.trials if t.case == plan.cases[0]):
        F = t.F[:25][nondominated(t.F[:25])] / span
        epsilon = max(min(max(a - z) for a in F) for z in exact / span)
        assert t.epsilon[plan.at.index(25)] == pytest.approx(epsilon)
        assert t.best[plan.at.index(25)] == t.F[:25, 0].min()


def test_what_breaks_a_constraint_is_no_part_of_the_front(tmp_path: Path) -> None:
    plan = toy_plan(seeds=(0, 1, 2), cases=(Case("toy", "", (), ("error<=20",)),))
    run_study(list(plan.jobs()), tmp_path)
    trials = collect(plan, tmp_path)
    allowed = front()[front()[:, 0] <= 20]
    assert sum(t.infeasible_evaluations for t in trials) > 0
    for t in trials:
        F = History(folder_of(tmp_path, t.job) / LOG).arrays()[1]
        inside = F[:, 0] <= 20
        assert t.infeasible_evaluations == (~inside).sum()
        assert t.failed_evaluations == 0
        for k, n in enumerate(plan.at):
            kept = F[:n][inside[:n]]
            assert t.regret[k] == pytest.approx(hypervolume_regret(kept, allowed))
            assert t.best[k] == min(kept[:, 0], default=INF)
