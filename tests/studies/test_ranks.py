"""Ranks of methods within and across problems against hand-worked cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.statistics import against_best, critical_difference, holm, smallest_p, wilcoxon
from smemnas.bench.report.rank_layout import rank_layout
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.ranks import SeedRanks, problem_ranks, seed_ranks
from smemnas.spaces.base import FloatArray

ONE, TWO = Case("toy", "t", ("error", "flops")), Case("toy", "u", ("error", "flops"))
NAN = math.nan


def plan(names: str, *cases: Case, seeds: int = 3, at: tuple[int, ...] = (9,)) -> Plan:
    variants = tuple(Variant(name, "random") for name in names)
    return Plan(variants, cases, tuple(range(10, 10 + seeds)), at[-1], names[0], at)


def column(*values: float) -> FloatArray:
    return np.array(values)[:, None]


def test_only_seeds_that_all_methods_finished_are_blocks() -> None:
    regret = {
        (ONE, "a"): column(0.1, 0.2, 0.3, 0.4),
        (ONE, "b"): column(0.2, 0.3, 0.1, NAN),
        (ONE, "c"): column(0.3, NAN, 0.2, 0.1),
        (ONE, "d"): column(NAN, NAN, NAN, NAN),
    }
    [test] = seed_ranks(plan("abcd", ONE, seeds=4), regret)
    assert (test.methods, test.left_out, test.seeds) == (("a", "b", "c"), ("d",), (10, 12))
    # Seed 10: 1 2 3; seed 12: 3 1 2.
    assert test.mean_ranks.tolist() == [2.0, 1.5, 2.5]
    assert test.critical_difference == critical_difference(3, 2)
    assert test.statistic == pytest.approx(12 * 2 / (3 * 4) * (4 + 2.25 + 6.25) - 3 * 2 * 4)
    assert test.p == pytest.approx(math.exp(-test.statistic / 2))  # two degrees of freedom


def test_a_method_with_few_runs_neither_shrinks_the_blocks_nor_is_called_equal() -> None:
    rng = np.random.default_rng(1)
    whole = {(ONE, name): column(*(rng.random(12) + k)) for k, name in enumerate("abc")}
    few = column(*rng.random(3), *[NAN] * 9)
    [alone] = seed_ranks(plan("abc", ONE, seeds=12), whole)
    [test] = seed_ranks(plan("abcd", ONE, seeds=12), {**whole, (ONE, "d"): few})
    assert (test.methods, test.left_out, len(test.seeds)) == (("a", "b", "c"), ("d",), 12)
    assert test.mean_ranks.tolist() == alone.mean_ranks.tolist()
    assert test.critical_difference == alone.critical_difference
    half = column(*rng.random(6), *[NAN] * 6)
    [test] = seed_ranks(plan("abcd", ONE, seeds=12), {**whole, (ONE, "d"): half})
    assert (test.left_out, len(test.seeds)) == ((), 6)
    base = whole[ONE, "a"][:, 0]
    marks = [mark for mark, *_ in against_best([base, base + np.resize([0.1, -0.09], 12), few[:, 0] + 9.0])]
    assert marks == ["best", "equal", ""]


def test_nothing_is_tested_without_a_common_seed() -> None:
    regret = {(ONE, "a"): column(0.1, NAN), (ONE, "b"): column(NAN, 0.2), (TWO, "a"): column(NAN, NAN)}
    [test] = seed_ranks(plan("ab", ONE, TWO, seeds=2), {**regret, (TWO, "b"): column(0.1, 0.2)})
    assert test.case == ONE
    assert test.seeds == ()
    assert np.isnan([*test.mean_ranks, test.p, test.critical_difference]).all()
    assert test.cliques == [(0, 1)]


def test_cliques_join_everything_unless_friedman_finds_a_difference() -> None:
    rng = np.random.default_rng(0)
    noise = {(ONE, name): column(*rng.random(12)) for name in "abcd"}
    [test] = seed_ranks(plan("abcd", ONE, seeds=12), noise)
    assert test.p >= 0.05
    assert test.cliques == [(0, 3)]
    ordered = {(ONE, name): column(*(rng.random(12) + k)) for k, name in enumerate("abcd")}
    [test] = seed_ranks(plan("abcd", ONE, seeds=12), ordered)
    assert test.mean_ranks.tolist() == [1, 2, 3, 4]
    assert test.critical_difference == pytest.approx(2.569 * math.sqrt(20 / 72), abs=1e-3)  # 1.354: neighbours
    assert test.cliques == [(0, 1), (1, 2), (2, 3)]


def test_problems_are_ranked_by_their_means_and_never_pooled() -> None:
    p = plan("abc", ONE, TWO, at=(5, 9))
    means = {
        **{(ONE, "a", 5): 0.9, (ONE, "b", 5): 0.8, (ONE, "c", 5): 0.8},
        **{(TWO, "a", 5): 0.1, (TWO, "b", 5): 0.2, (TWO, "c", 5): NAN},
        **{(ONE, "a", 9): 0.1, (ONE, "b", 9): 0.2, (ONE, "c", 9): 0.3},
        **{(TWO, "a", 9): 50.0, (TWO, "b", 9): 0.2, (TWO, "c", 9): 0.3},
    }
    found = {(r.variant, r.at): r for r in problem_ranks(p, means)}
    assert found["a", 5].ranks == (3.0, 1.0)
    assert found["b", 5].ranks == (1.5, 2.0)
    assert (found["a", 5].mean, found["b", 5].mean, found["c", 5].mean) == (2.0, 1.75, 1.5)
    assert [(found[v, 5].problems, found[v, 5].of) for v in "abc"] == [(2, 2), (2, 2), (1, 2)]
    assert math.isnan(found["c", 5].ranks[1])
    # One huge value moves a by its rank alone.
    assert [found[v, 9].mean for v in "abc"] == [2.0, 1.5, 2.5]
    assert problem_ranks(plan("abc", ONE, at=(5, 9)), means) == []


def test_what_is_not_significantly_worse_is_marked() -> None:
    rng = np.random.default_rng(3)
    best = rng.random(12)
    close, worse = best + rng.normal(0.001, 0.1, size=12), best + 1.0 + 0.1 * rng.random(12)
    few = np.where(np.arange(12) < 9, worse, NAN)
    columns = [worse, close, best, few, np.full(12, NAN)]
    order = np.argsort([np.nanmean(c) for c in columns[:3]])
    first = [worse, close, best][order[0]]
    marks = against_best(columns)
    assert marks[order[0]][0] == "best"
    assert marks[order[1]][0] == "equal"
    assert [m for m, *_ in (marks[0], marks[3], marks[4])] == ["worse", "worse", ""]
    second = [worse, close, best][order[1]]
    raw = [wilcoxon(worse, first), wilcoxon(second, first), wilcoxon(few[:9], first[:9])]
    adjusted = holm(raw)
    assert [marks[0].p, marks[order[1]].p, marks[3].p] == raw
    assert marks[0].p_holm == adjusted[0] < 0.05
    assert marks[order[1]].p_holm == adjusted[1] > 0.05
    assert marks[3].p_holm == adjusted[2] < 0.05
    assert math.isnan(marks[4].p_holm)


def test_few_seeds_mark_nothing_as_equal() -> None:
    # Five pairs: the smallest p of one test is 2 / 2^5 = 1/16.
    assert smallest_p(1, 5) == 1 / 16
    assert smallest_p(14, 3) == 1.0
    five = np.arange(5.0)
    assert [m for m, *_ in against_best([five, five + 9])] == ["best", ""]
    assert [m for m, *_ in against_best([five + 1e-3, five])] == ["", "best"]
    six = np.arange(6.0)
    assert [m for m, *_ in against_best([six, six + 1e-3 * np.array([1, -1, 1, 1, -1, 1])])] == ["best", "equal"]
    nothing = against_best([np.full(3, NAN)] * 2)
    assert [m for m, *_ in nothing] == ["", ""]
    assert np.isnan([p for *_, p in nothing]).all()


def test_the_layout_of_a_diagram_puts_names_and_bars_where_the_ranks_are() -> None:
    ranks = np.array([4.5, 1.0, 2.0, 3.5, 4.0])
    test = SeedRanks(ONE, 9, tuple("abcde"), (), tuple(range(20)), ranks, 30.0, 1e-6, 1.1)
    layout = rank_layout(test, 0.2)
    assert [(n.method, n.rank, n.right, n.line) for n in layout.names] == [
        ("b", 1.0, False, 0),
        ("c", 2.0, False, 1),
        ("d", 3.5, False, 2),
        ("e", 4.0, True, 1),
        ("a", 4.5, True, 0),
    ]
    assert [tuple(bar) for bar in layout.bars] == [(1.0, 2.0, 0), (3.5, 4.5, 0)]  # apart, so on one level
    assert [bar.level for bar in rank_layout(test, 1.6).bars] == [0, 1]
    assert (layout.lines, layout.levels, layout.difference) == (3, 1, 1.1)
    assert rank_layout(replace(test, critical_difference=4.0), 0.2).difference is None  # as long as the axis
    assert rank_layout(replace(test, critical_difference=NAN), 0.2).difference is None
