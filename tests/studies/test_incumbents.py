"""The networks found by searches for one objective: files of a study against its logs, tests against SciPy's."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wilcoxon
from study_cases import made_up, records, written

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.report.study.files import write_study
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.history import History
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import folder_of
from smemnas.bench.studies.incumbents import MARGINS, spent_within, value_at
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect, measure

PLACES = (("macro", "cifar10"), ("nb201", "cifar10"))
BUDGET, AT = 30, (10, 30)


def make_plan(places=PLACES, objectives=("error",), **rest):
    cases = tuple(Case(*place, objectives) for place in places)
    variants = (Variant("random", "random"), Variant("rea", "rea"))
    return check_plan(Plan(variants, cases, (1000, 1001), BUDGET, at=AT[:1], **rest))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return written(make_plan(), tmp_path_factory.mktemp("incumbents"))


def by_hand(out, plan, case, variant, seed):
    """Return what a run had found after each evaluation, true and reported, evaluation by evaluation."""
    X, F = History(folder_of(out, plan.job(variant, case, seed)) / LOG).arrays()
    assert len(F) == BUDGET
    bench, found, best = benchmark_of(case), [], None
    for k in range(BUDGET):
        if best is None or F[k, 0] < F[best, 0]:
            best = k
        found.append((bench.true_values(X[[best]])[0, 0], bench.report(X[[best]])[0, 0]))
    return np.array(found)


def test_networks_found_are_those_of_the_logs(study):
    out, plan = study
    rows = records(out / "incumbents.csv")
    assert len(rows) == 2 * 2 * 2  # problems, checkpoints, methods
    for row in rows:
        case = next(c for c in plan.cases if c.space == row["space"])
        everything = benchmark_of(case).candidates()
        least = everything.F[:, 0].min()
        variant = next(v for v in plan.variants if v.name == row["method"])
        at = int(row["evaluations"])
        runs = [by_hand(out, plan, case, variant, seed)[:at] for seed in plan.seeds]
        assert (row["n"], row["runs"]) == ("2", "2")
        assert float(row["value"]) == pytest.approx(np.mean([run[-1, 0] for run in runs]))
        assert float(row["above_optimum"]) == pytest.approx(float(row["value"]) - least)
        assert float(row["reported"]) == pytest.approx(np.mean([run[-1, 1] for run in runs]))
        best = everything.tested[np.argmin(everything.F[:, 0]), 0]
        assert float(row["reported_floor"]) == pytest.approx(best, rel=1e-9)
        for margin in MARGINS:
            there = [np.flatnonzero(run[:, 0] <= least + margin + 1e-9) for run in runs]
            counts = [float(k[0] + 1) if len(k) else math.inf for k in there]
            assert int(row[f"within_{margin:g}_reached"]) == sum(map(math.isfinite, counts))
            assert float(row[f"within_{margin:g}_evaluations"]) == np.median(counts)
    assert {row["within_0.5_reached"] for row in rows} > {"0"}


def test_a_run_says_what_it_found(study):
    out, plan = study
    rows = records(out / "trials.csv")
    assert len(rows) == 2 * 2 * 2
    for row in rows:
        case = next(c for c in plan.cases if c.space == row["space"])
        variant = next(v for v in plan.variants if v.name == row["method"])
        found = by_hand(out, plan, case, variant, int(row["seed"]))
        for at in AT:
            values = float(row[f"found_{at}"]), float(row[f"found_reported_{at}"])
            assert values == pytest.approx(tuple(found[at - 1]))
        gaps = found[:, 0] - benchmark_of(case).candidates().F[:, 0].min()
        near = np.flatnonzero(gaps <= 0.5 + 1e-9)
        assert float(row["evaluations_to_within_0.5"]) == (near[0] + 1 if len(near) else math.inf)


def test_the_page_says_what_the_optimum_is_worth(study):
    out, plan = study
    text = (out / "study.md").read_text()
    everything = benchmark_of(plan.cases[1]).candidates()
    floor = everything.tested[np.argmin(everything.F[:, 0]), 0]
    assert f"## Best network found on nb201/cifar10 (val_error); the optimum has test_error {floor:.3f}" in text
    assert "| error, all trainings |" in text.replace("its interval", "|")  # macro has one split, of three trainings
    assert "Best network found: the one that showed the least value so far" in text


def test_several_objectives_have_no_such_table(tmp_path):
    plan = make_plan(PLACES[1:], ("error", "flops"))
    tables = tabulate(plan, collect(plan, tmp_path))
    assert tables.incumbents == []
    write_study(tmp_path, tables)
    assert not (tmp_path / "incumbents.csv").exists()
    assert "found_10" not in (tmp_path / "trials.csv").read_text()


def test_under_noise_it_is_chosen_by_what_was_shown_and_judged_by_what_is_true():
    case = check_plan(make_plan([("nb201", "cifar10+noise=1")])).cases[0]
    bench = benchmark_of(case)
    X = bench.space.sample(40, np.random.default_rng(5))
    F = bench.evaluate(X, 1000).F
    found = measure(X, F, [40], bench, bench.reference()).incumbent
    lucky = int(np.argmin(F[:, 0]))
    assert found[-1, 0] == bench.true_values(X[[lucky]])[0, 0]
    assert found[-1, 0] > bench.true_values(X)[:, 0].min()  # else luck decided nothing here


def made(plan, values, tested, reference):
    """Return runs whose networks have these values, method by seed, from the tenth evaluation on."""
    trials = []
    for variant in plan.variants:
        for k, seed in enumerate(plan.seeds):
            incumbent = np.full((BUDGET, 2), (9.0, 8.0))
            incumbent[9 + k :] = values[variant.name][k], tested[variant.name][k]
            what = {"incumbent": incumbent, "F": incumbent[:, :1], "regret": np.zeros(len(plan.at))}
            trials.append(made_up(plan, variant, plan.cases[0], seed, reference=reference, **what))
    return trials


def test_paired_tests_of_what_is_reported_and_of_who_is_sooner():
    plan = make_plan(PLACES[1:])
    third = Variant("late", "nsga2")
    plan = check_plan(replace(plan, variants=(*plan.variants, third), seeds=tuple(range(8)), champion="rea"))
    one = np.array([[1.0]])
    reference = Reference(one, one[0], one[0], True, 2 * one, 2 * one)
    tested = {
        "random": np.linspace(2.5, 3.5, 8),
        "rea": np.linspace(2.5, 3.5, 8) - np.array([1, 2, 3, -4, 5, 6, 7, 8]) / 10,
        "late": np.linspace(2.5, 3.5, 8),
    }
    values = {"random": np.full(8, 1.05), "rea": np.full(8, 1.0), "late": np.full(8, 1.2)}
    rows = {(r.variant, r.at): r for r in tabulate(plan, made(plan, values, tested, reference)).incumbents}
    reported = rows["random", BUDGET].reported
    wanted = wilcoxon(tested["rea"], tested["random"], method="exact").pvalue
    assert reported.p == pytest.approx(wanted)
    assert reported.p_holm == pytest.approx(2 * wanted)  # two methods, the same p
    assert reported.difference.value == pytest.approx((tested["rea"] - tested["random"]).mean())
    assert reported.family_size == 2
    assert rows["random", BUDGET].sooner.p == 1.0  # both there after as many
    sooner = rows["late", BUDGET].sooner
    assert sooner.difference.value == pytest.approx(np.mean(np.arange(10, 18)) - (BUDGET + 1))
    assert sooner.p_holm == pytest.approx(2 * 2 / 2**8)
    assert rows["rea", BUDGET].reported is rows["random", AT[0]].reported is None
    near = {n.margin: n for n in rows["random", BUDGET].near}
    assert [near[m].reached for m in MARGINS] == [8, 8, 0]
    assert [n.reached for n in rows["random", AT[0]].near] == [1, 1, 0]  # one of eight runs by the tenth evaluation
    assert near[0.1].median == (13.5, 10.0, 17.0)  # the least and the most of eight hold it in 1 - 2 / 2^8
    assert near[0.0].median.value == near[0.0].median.low == math.inf
    assert rows["random", BUDGET].tested_floor == 2.0


def test_where_training_time_is_the_budget_what_was_finished_counts():
    plan = replace(make_plan(PLACES[1:]), budget_time=100.0, at=(5, 50, 100))
    incumbent = np.array([[3.0, 4.0], [2.0, 5.0], [1.0, 6.0]])
    trial = made_up(
        plan, plan.variants[0], plan.cases[0], 1000, incumbent=incumbent, clock=np.array([10.0, 50.0, 101.0])
    )
    assert np.isnan(value_at(plan, trial, 5)).all()
    assert value_at(plan, trial, 50).tolist() == [2.0, 5.0]
    assert value_at(plan, trial, 100).tolist() == [2.0, 5.0]
    assert spent_within(plan, trial, 1.0, 1.0) == 50.0
    assert spent_within(plan, trial, 1.0, 0.0) == 101.0  # after the budget: no checkpoint counts it
