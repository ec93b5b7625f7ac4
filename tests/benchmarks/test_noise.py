"""Benchmarks with noise: what is drawn, by what it is known, and that the true values stay hidden."""

import numpy as np
import pytest
from scipy.special import ndtri

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import base_of, open_benchmark
from smemnas.bench.benchmarks.constraints import parse_constraint
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.noisy import NoisyBenchmark, _words
from smemnas.bench.benchmarks.normal import FAR, STEPS, deviates
from smemnas.bench.benchmarks.problems import find_problem
from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.checks import benchmarks as checks
from smemnas.bench.checks import check_name
from smemnas.bench.data.noise import add_noise
from smemnas.bench.errors import UserError
from smemnas.bench.ranking.data import data_of
from smemnas.bench.studies.plan import make_cases
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy


@pytest.fixture(scope="module")
def cells():
    return open_benchmark("nb201", "cifar10").space.enumerate()


def test_deviates_are_the_exact_inverse_up_to_half_a_step():
    words = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    exact = ndtri((words.astype(np.float64) + 0.5) / 2.0**64)
    assert np.abs(deviates(words) - exact).max() < 0.501 / STEPS
    ends = deviates(np.array([0, 2**63 - 1, 2**63, 2**64 - 1], dtype=np.uint64))
    assert ends.tolist() == [-FAR, 0.0, 0.0, FAR]


def test_words_of_neighbours_are_uniform_and_have_nothing_in_common(cells):
    bits = (_words(cells, 7)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(len(cells))
    assert len(np.unique(_words(cells, 7))) == len(cells)
    z, other = deviates(_words(cells, 7)), deviates(_words(cells, 8))
    grid = z.reshape((5,) * 6)
    related = [np.corrcoef(np.roll(grid, 1, axis).ravel(), z)[0, 1] for axis in range(6)]
    assert np.abs([*related, np.corrcoef(z, other)[0, 1]]).max() < 4.5 / np.sqrt(len(cells))


#: In 1024ths: two cells under seeds 0 and 1.
RULE_ONE = [[-987.0, -451.0], [245.0, 2584.0]]


def test_noise_is_what_it_always_was():
    """The values of a written rule: a change moves every run with noise."""
    bench = open_benchmark("nb201", "cifar10+noise=1")
    X = np.array([[0, 1, 2, 3, 4, 0], [4, 4, 4, 4, 4, 4]])
    drawn = [(bench.evaluate(X, seed).F - bench.true_values(X))[:, 0] * STEPS for seed in (0, 1)]
    np.testing.assert_allclose(drawn, RULE_ONE, atol=1e-9)


def test_noise_has_its_deviation_and_no_mean(cells):
    bench = open_benchmark("nb201", "cifar10+noise=.25")
    true = bench.true_values(cells)
    z = np.stack([(bench.evaluate(cells, seed).F - true)[:, 0] / 0.25 for seed in range(20)])
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1.0) < 4 / np.sqrt(2 * z.size)
    assert np.abs(np.corrcoef(z)[~np.eye(20, dtype=bool)]).max() < 4.5 / np.sqrt(len(cells))
    assert np.array_equal(bench.evaluate(cells, 3).F[:, 1], true[:, 1])


def test_cells_that_build_one_network_are_drawn_apart(cells):
    bench = open_benchmark("nb201", "cifar10+noise=1")
    names = bench.space.canonical(cells)
    _, first, counts = np.unique(names, return_index=True, return_counts=True)
    twins = cells[names == names[first[np.argmax(counts)]]]
    noise = bench.evaluate(twins, 0).F[:, 0] - bench.true_values(twins)[:, 0]
    assert len(twins) > 10
    assert len(np.unique(noise)) > 0.9 * len(twins)


def test_deviations_of_other_sizes_scale_the_same_noise(cells):
    small, large = (open_benchmark("nb201", f"cifar10+noise={sd}") for sd in (0.25, 1))
    X = cells[::50]
    drawn = [(b.evaluate(X, 5).F - b.true_values(X))[:, 0] for b in (small, large)]
    np.testing.assert_allclose(4 * drawn[0], drawn[1], atol=1e-9)


def test_errors_stay_between_nothing_and_all(cells):
    bench = open_benchmark("nb201", "cifar10+noise=60")
    F = bench.evaluate(cells, 0).F[:, 0]
    assert F.min() == 0.0
    assert F.max() == 100.0


def test_shares_with_another_sign_are_not_cut():
    """What is maximised is stored as negative percentages."""
    base = CallableBenchmark(Toy(), lambda X, seed: -80.0 - X[:, :1], (Objective("neg_score", "%", False),))
    X = Toy().sample(200, np.random.default_rng(0))
    moved = add_noise(base, "2").evaluate(X, 0).F - base.evaluate(X, 0).F
    assert abs(moved.mean()) < 0.5
    assert abs(moved.std() - 2.0) < 0.4


def test_noise_of_zero_and_of_the_tables_trainings_change_nothing(cells):
    X = open_benchmark("macro").space.enumerate()
    plain, zero, own = (open_benchmark("macro", f"cifar10{change}") for change in ("", "+noise=0", "+noise=table"))
    for seed in (0, 4):
        F = plain.evaluate(X, seed).F
        assert np.array_equal(zero.evaluate(X, seed).F, F)
        assert np.array_equal(own.evaluate(X, seed).F, F)
    trainings = plain.table.column("error")
    np.testing.assert_allclose(own.true_values(X)[:, 0], trainings[plain.space.index(X)].mean(axis=1), rtol=1e-12)
    assert (plain.noisy, zero.noisy, own.noisy) == (False, True, True)
    single, without = open_benchmark("nb201", "cifar10"), open_benchmark("nb201", "cifar10+noise=0")
    assert np.array_equal(single.evaluate(cells, 2).F, without.evaluate(cells, 2).F)


@pytest.mark.parametrize(
    ("space", "given", "canonical", "deviations"),
    [
        ("nb201", "cifar10+noise=.250", "cifar10+noise=0.25", {"val_error": 0.25}),
        ("nb201", "cifar10+noise=error:1e-1", "cifar10+noise=val_error:0.1", {"val_error": 0.1}),
        ("macro", "cifar10+noise=table", "cifar10+noise=table", {}),
        ("toy", "closed-form+noise=2", "closed-form+noise=2", {"error": 2.0}),
        ("mnv3", "ofa+noise=.02", "ofa+noise=0.02", {"error": 0.02}),
    ],
)
def test_names(space, given, canonical, deviations):
    bench = open_benchmark(space, given)
    assert (bench.dataset, bench.deviations) == (canonical, deviations)
    assert bench.provenance()["noise"] == {"rule": 1, "deviations": deviations}
    assert base_of(canonical) == base_of(f"{canonical}+noise=1") == canonical.partition("+")[0]


def test_named_problems_and_studies_take_noise():
    problem = find_problem("c10-mop5-like+noise=.25")
    assert (problem.space, problem.dataset) == ("nb201", "cifar10+noise=.25")
    [named, place] = make_cases(["c10-mop5-like+noise=.25", "nb201/cifar10+noise=1"], [], ())
    assert (named.dataset, len(named.objectives), place.dataset) == ("cifar10+noise=.25", 5, "cifar10+noise=1")
    assert [case.dataset for case in make_cases(["macro"], ["cifar10+noise=table"], ())] == ["cifar10+noise=table"]
    with pytest.raises(UserError, match=r"no problem 'c10-mop6-like'\. Did you mean"):
        find_problem("c10-mop6-like+noise=.25")


def test_a_benchmark_with_noise_can_be_checked_by_name():
    found = dict(check_name("toy/closed-form+noise=1"))
    assert "benchmark toy/closed-form+noise=1: hidden from methods" in found
    assert set(found.values()) == {None}


def test_other_columns_have_noise_only_where_it_is_asked_for(cells):
    names = ("error", "flops", "latency_edgegpu")
    bench = open_benchmark("nb201", "cifar10+noise=.25", names)
    both = open_benchmark("nb201", "cifar10+noise=.25+noise=latency_edgegpu:.1", names)
    X = cells[::40]
    true = bench.true_values(X)
    assert [np.array_equal(bench.evaluate(X, 0).F[:, j], true[:, j]) for j in range(3)] == [False, True, True]
    drawn = both.evaluate(X, 0).F - true
    assert np.array_equal(bench.evaluate(X, 0).F[:, 0], both.evaluate(X, 0).F[:, 0])
    assert abs(drawn[:, 2].std() - 0.1) < 0.02
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 0.2
    assert both.deviations == {"val_error": 0.25, "latency_edgegpu": 0.1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "takes a standard deviation .*; got 'x'"),
        ("-1", "takes a standard deviation .*; got '-1'"),
        ("nan", "got 'nan'"),
        ("", "got ''"),
        ("1e9", "got '1e9'"),
        (":1", "got ':1'"),
        ("latency:1", "'latency' is no evaluated objective"),
        ("flops:1", "'flops' is no evaluated objective"),
        ("table", "several each, like macro/cifar10; nb201/cifar10 has none"),
        ("1+noise=error:2", "gives val_error noise twice"),
        ("1+noise=table", "give a deviation"),
    ],
)
def test_refusals(value, expected):
    with pytest.raises(UserError, match=expected):
        open_benchmark("nb201", f"cifar10+noise={value}")


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("place", ["toy/closed-form+noise=1", "macro/cifar10+noise=table"])
def test_contract(place, check):
    space, _, dataset = place.partition("/")
    check(lambda names: open_benchmark(space, dataset, names))


def test_reference_is_that_of_the_true_values():
    for limits in ((), ("flops<=60",), ("error<=12",)):
        plain = open_benchmark("nb201", "cifar10", (), limits).reference()
        noisy = open_benchmark("nb201", "cifar10+noise=1", (), limits).reference()
        assert np.array_equal(plain.front, noisy.front)
        assert np.array_equal(plain.report_best, noisy.report_best)


def reachable(thing, path="problem", seen=None):
    """Yield whatever Python can reach from an object through its attributes, items, closures and functions."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type):
        return
    seen.add(id(thing))
    yield path, thing
    inner = list(getattr(thing, "__dict__", {}).items())
    inner += [(k, getattr(thing, k)) for k in getattr(thing, "__slots__", ()) if hasattr(thing, k)]
    inner += [("closure", c.cell_contents) for c in getattr(thing, "__closure__", None) or ()]
    inner += [("self", thing.__self__)] if hasattr(thing, "__self__") and not hasattr(thing, "__file__") else []
    if isinstance(thing, dict):
        inner += [(f"[{k!r}]", v) for k, v in thing.items()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inner += [("[]", v) for v in thing]
    for name, value in inner:
        if not name.startswith("__") and type(value).__name__ != "module":
            yield from reachable(value, f"{path}.{name}", seen)


@pytest.mark.parametrize("place", ["nb201/cifar10+noise=1", "macro/cifar10+noise=table", "mnv3/ofa+noise=.02"])
def test_nothing_leads_from_the_problem_to_the_true_values(place):
    space, _, dataset = place.partition("/")
    bench = open_benchmark(space, dataset, (), ("flops<=300",))
    found = [path for path, thing in reachable(bench.problem) if isinstance(thing, Benchmark | Table)]
    assert found == []
    leak = [path for path, thing in reachable({"a": (bench,)}) if isinstance(thing, Benchmark)]
    assert leak  # the walk finds what is there


def test_errors_that_are_not_searched_cannot_be_bounded():
    """A bound on them would tell a method what is true."""
    bench = open_benchmark("nb201", "cifar10+noise=1", ("flops", "latency_edgegpu"))
    with pytest.raises(UserError, match="not 'val_error'"):
        parse_constraint("error<=9", bench)
    assert parse_constraint("latency_edgegpu<=5", bench).bound == 5.0


def test_failures_stay_failures():
    def half(X, seed):
        return np.where(X[:, :1] % 2 == 0, np.nan, 5.0 + X[:, :1])

    base = CallableBenchmark(Toy(), half, (Objective("error", "%", False),))
    bench = add_noise(base, "1")
    X = Toy().sample(50, np.random.default_rng(0))
    outcome = bench.evaluate(X, 0)
    assert isinstance(bench, NoisyBenchmark)
    assert np.array_equal(np.isnan(outcome.F), np.isnan(base.evaluate(X, 0).F))
    assert outcome.errors == base.evaluate(X, 0).errors


def test_rank_trains_on_what_is_shown_and_judges_by_what_is_true():
    plain, noisy = data_of("macro", "cifar10"), data_of("macro", "cifar10+noise=1")
    rows = np.arange(300)
    assert np.array_equal(plain.truth["error"], noisy.truth["error"])
    moved = noisy.labels(rows, 2) - plain.labels(rows, 2)
    assert abs(moved.std() - 1.0) < 0.2
    assert plain.digest != noisy.digest


@pytest.mark.parametrize(("width", "several"), [(1, False), (2, True)])
def test_a_column_of_one_training_has_none_to_choose_from(tmp_path, width, several):
    entry = {"unit": "%", "split": "single", "role": "objective"}
    table = write_table(
        tmp_path / "t", {"error": np.full((Toy().size, width), 5.0)}, describe={"error": entry}, name="toy/t",
        space="toy", dataset="t", index="grid", default_objectives=["error"],
    )  # fmt: skip
    benchmark = TabularBenchmark(Toy(), table)
    if several:
        assert add_noise(benchmark, "table").evaluate(Toy().enumerate()[:1], 0).F.tolist() == [[5.0]]
    else:
        with pytest.raises(UserError, match="takes the trainings of a table that has several each"):
            add_noise(benchmark, "table")
