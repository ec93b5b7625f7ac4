"""The rule "within-N" and the cost caps: what they are on the five problems of the package, and what they leave out."""

import numpy as np
import pytest
from conftest import docs_script

from smemnas.bench.benchmarks import ranges
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.given_reference import canonical, measured_by
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import hypervolume, hypervolume_regret

PROBLEMS = [("nb201", "cifar10"), ("nb201", "cifar100"), ("macro", "cifar10"), ("nats_sss", "cifar10"), ("mnv3", "ofa")]


@pytest.mark.parametrize(("space", "dataset"), PROBLEMS)
def test_the_range_is_five_points_of_error_and_the_costs_of_the_networks_within_them(space, dataset):
    bench = open_benchmark(space, dataset, ("error", "flops"))
    whole = bench.reference()
    mine = measured_by(whole, "within-5", bench)
    best = whole.front[:, 0].min()
    near = whole.front[whole.front[:, 0] <= best + 5]
    assert 3 < len(near) <= len(whole.front)
    assert mine.ideal.tolist() == [best, near[:, 1].min()]
    assert mine.nadir.tolist() == [best + 5, near[:, 1].max()]
    assert mine.box.point == 1.1
    assert np.array_equal(mine.front, whole.front)
    assert measured_by(whole, "", bench) is whole
    text = ranges.range_text(bench, mine)
    assert f"error {best:.4g} to {best + 5:.4g} %" in text
    assert text.endswith(" M")


def excess_share(F, reference, far):
    """Which share of the lost hypervolume lies at errors more than `far` points above the best."""
    ideal, nadir = reference.ideal, reference.nadir
    corner = ideal + 1.1 * (nadir - ideal)

    def area(points, top):
        inside = points[(points < [top, corner[1]]).all(axis=1)]
        edge = ideal + (np.array([top, corner[1]]) - ideal) / 1.1
        return hypervolume(inside, ideal, edge) * np.prod(edge - ideal)

    cut = min(corner[0], ideal[0] + far)
    lost = area(reference.front, corner[0]) - area(F, corner[0])
    return 1.0 - (area(reference.front, cut) - area(F, cut)) / lost


def test_no_useless_network_decides():
    """Macro: by the corners of its front nearly all that random search loses lies where nobody would look."""
    bench = open_benchmark("macro", "cifar10", ("error", "flops"))
    whole = bench.reference()
    assert whole.nadir[0] == pytest.approx(54.64, abs=0.01)
    mine = measured_by(whole, "within-5", bench)
    assert mine.nadir[0] == pytest.approx(11.87, abs=0.01)
    samples = [bench.evaluate(bench.space.sample(100, np.random.default_rng(s)), s).F for s in range(5)]
    assert np.mean([excess_share(F, whole, 10.0) for F in samples]) > 0.8
    assert np.mean([excess_share(F, mine, 10.0) for F in samples]) == pytest.approx(0.0, abs=1e-12)
    assert np.mean([excess_share(F, mine, 5.0) for F in samples]) < 0.15
    accurate = whole.front[whole.front[:, 0] > whole.ideal[0] + 1]  # without all within a point of the best error
    assert hypervolume_regret(accurate, whole.front) < 0.02
    assert hypervolume_regret(accurate, whole.front, mine.box) > 0.1


def test_the_test_split_has_its_own_range():
    bench = open_benchmark("nb201", "cifar10", ("error", "flops"))
    mine = measured_by(bench.reference(), "within-5", bench)
    assert mine.tested_box.ideal[0] == mine.report_best[:, 0].min() < mine.ideal[0] - 1
    assert mine.tested_box.nadir[0] == mine.tested_box.ideal[0] + 5
    assert bench.reference().tested_box is None
    given = measured_by(bench.reference(), "error=5:20,flops=0:200", bench)
    assert given.tested_box is given.box


def test_rules_are_recorded_in_one_form():
    bench = open_benchmark("macro", "cifar10", ("error", "flops"))
    assert [canonical(t, bench) for t in ("within-5", " within-5.0 ", "within-2.5")] == [
        "within-5",
        "within-5",
        "within-2.5",
    ]
    assert canonical("front", bench) == canonical("", bench) == ""
    for text in ("within-0", "within-0.0"):
        with pytest.raises(UserError, match="points above 0"):
            canonical(text, bench)
    for text in ("within", "within--5", "within-1e9", "within-5,flops=0:3"):
        with pytest.raises(UserError, match="within-5, front"):
            canonical(text, bench)
    costs = open_benchmark("macro", "cifar10", ("params", "flops"))
    with pytest.raises(UserError, match=r"none of the objectives is one \(params \(M\), flops \(M\)\)"):
        canonical("within-5", costs)


@pytest.mark.parametrize("key", ranges.CAPS, ids="/".join)
def test_fixed_caps_are_those_of_the_rule_and_each_has_a_best_of_its_own(key):
    space, dataset, cost = key
    bench = open_benchmark(space, dataset, ("error", cost))
    reference = bench.reference()
    assert ranges.caps_of(bench, reference) == ranges.caps_of_front(*reference.front.T) == ranges.CAPS[key]
    best = ranges.best_under(bench, reference)
    assert best.tolist() == [reference.front[reference.front[:, 1] <= cap, 0].min() for cap in ranges.CAPS[key]]
    assert (np.diff(best) < 0).all()
    assert (best < reference.front[:, 0].min() + 5).all()


def test_each_problem_of_the_package_has_fixed_caps():
    assert {key[:2] for key in ranges.CAPS} == set(PROBLEMS)


def test_caps_without_a_table_and_where_there_are_none():
    errors, costs = np.array([20.0, 12.0, 11.0, 10.0, 9.0]), np.array([1.0, 21.4, 33.3, 88.8, 101.0])
    assert ranges.caps_of_front(errors, costs) == (22.0, 34.0, 89.0)  # four of them are within five points
    assert ranges.caps_of_front(np.array([3.0]), np.array([0.0])) == (0.0, 0.0, 0.0)
    for names in (("error",), ("params", "flops")):
        bench = open_benchmark("macro", "cifar10", names)
        assert ranges.caps_of(bench, bench.reference()) == ()
        assert ranges.best_under(bench, bench.reference()).shape == (0,)
    turned = open_benchmark("macro", "cifar10", ("flops", "error"))
    assert ranges.caps_of(turned, turned.reference()) == ranges.CAPS["macro", "cifar10", "flops"]
    assert ranges.caps_of(turned, None) == ()


def test_the_page_of_the_problems_is_current():
    """All ranges, shares and caps of docs/problems.md follow from the tables of the package."""
    script = docs_script("make_problems")
    shown = script.FILE.read_text(encoding="utf-8")
    assert shown == script.text(), "what is judged has changed: python docs/make_problems.py"
    assert "| macro/cifar10 | error 6.873 to 54.64 %, flops 7.713 to 85.16 M |" in shown


def test_data_info_prints_ranges_and_caps(call):
    code, out, _ = call("data", "info", "macro-cifar10")
    assert code == 0
    assert "range, front" in out
    assert "error 6.873 to 11.87 %, flops 25.65 to 85.16 M (--reference within-5)" in out
    assert "flops: least error 9.253 % within 34 M, 8.25 % within 41 M, 7.583 % within 57 M" in out


def test_data_info_and_list_name_the_model_of_the_package(call):
    for name in ("mnv3/ofa", "mnv3-ofa"):
        code, out, _ = call("data", "info", name)
        assert code == 0
        assert "2,162 measured, all others predicted" in out
        assert (
            "277 networks, best known, not proven: 0 measured, the others predicted +- 0.05 (at most 0.08) points"
            in out
        )
        assert "error 22.41 to 27.41 %" in out
    assert "mnv3-ofa" in call("data", "list")[1]
    code, _, error = call("data", "export", "mnv3-ofa", "x.csv")
    assert code == 2
    assert "mnv3/ofa is a model in the package and no table" in error
