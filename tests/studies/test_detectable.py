"""Beside each verdict "=" of the primary comparison: the difference that these runs would have found."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from test_question import PRIMARY, plan_with, tables_of

from smemnas.bench.metrics.power import smallest_effect
from smemnas.bench.metrics.statistics import SIGNIFICANCE, holm, wilcoxon
from smemnas.bench.report.study.files import markdown, texts
from smemnas.bench.report.study.primary import FOUND, pairs_of, primary
from smemnas.bench.studies.pairs import compare, with_detectable


def share_found(n, tests, draw, studies, seed=0):
    """Return how often a lone difference of the size that is said to be found in 80 % is found in whole families.

    Its size comes from the true standard deviation, 1; the other comparisons of the family have no difference.
    """
    rng = np.random.default_rng(seed)
    [known] = with_detectable([replace(compare(np.zeros(n), np.ones(n)), spread=1.0, family_size=tests)])
    found = 0
    for _ in range(studies):
        first = draw(rng, n) - known.detectable
        family = [first, *(draw(rng, n) for _ in range(tests - 1))]
        p = holm([wilcoxon(d, np.zeros(n)) for d in family])
        found += p[0] < SIGNIFICANCE and first.mean() < 0
    return found / studies


def normal(rng, n):
    return rng.standard_normal(n)


def skewed(rng, n):
    """Lognormal values of sd .5 on the logarithms, their mean 0 and standard deviation 1."""
    square = 0.25
    mean, sd = math.exp(square / 2), math.sqrt((math.exp(square) - 1) * math.exp(square))
    return (np.exp(0.5 * rng.standard_normal(n)) - mean) / sd


def test_it_is_found_in_four_of_five_studies():
    share = share_found(11, 3, normal, 250)
    assert 0.73 <= share <= 0.87  # .80 and 2.5 standard errors to each side


@pytest.mark.long
@pytest.mark.parametrize(("n", "tests", "draw", "least", "most"), [
    (11, 5, normal, 0.77, 0.84), (31, 78, normal, 0.77, 0.84), (31, 78, skewed, 0.72, 0.95),
])  # fmt: skip
def test_it_is_found_so_often_in_families_of_the_size_of_a_plan(n, tests, draw, least, most):
    """The lone difference must pass the strictest step whatever the others give; skewed differences are near it."""
    assert least <= share_found(n, tests, draw, 1000 if tests < 10 else 400, seed=1) <= most


def test_it_stands_beside_every_equal_and_nowhere_else():
    plan = plan_with(14, baseline="b", champion="a", primary="a")
    tables = tables_of(plan, {"a": -0.3, "c": 2.0})
    pairs = pairs_of(tables)
    equal = {key: c for key, c in pairs.items() if c.verdict == "="}
    assert 0 < len(equal) < len(pairs)
    for c in equal.values():
        assert c.detectable > abs(c.difference.value)
        assert c.detectable == pytest.approx(c.spread * smallest_effect(14, 6))
    a, b = (np.array([t.regret[-1] for t in tables.trials if t.variant == v and t.case == plan.cases[0]]) for v in "ab")
    assert pairs[plan.cases[0], "b"].spread == pytest.approx(np.std(a - b, ddof=1))
    [section] = primary(tables)
    text = markdown(tables)
    for (case, name), c in pairs.items():
        [row] = [row for row in section.rows if row[0] == name]
        cell = row[1 + plan.cases.index(case)]
        assert (f"({c.detectable:.4f})" in cell) == ((case, name) in equal)
        assert cell in text
    assert FOUND in section.title
    assert f"Beside =, {FOUND}: the smallest difference" in text
    made = texts(tables)
    assert f"({next(iter(equal.values())).detectable:.4f})" in made["tables/primary.tex"]
    rows = list(csv.DictReader(io.StringIO(made["champion.csv"])))
    assert {row["family"] == PRIMARY for row in rows if row["detectable"]} == {True}
    assert sum(bool(row["detectable"]) for row in rows) == len(pairs)


def test_a_single_problem_has_a_column_of_it():
    plan = replace(plan_with(14, baseline="b", champion="a", primary="a"), cases=plan_with(1).cases[:1])
    tables = tables_of(plan, {"c": 2.0})
    [section] = primary(tables)
    shown = {row[0]: row[section.head.index(FOUND)] for row in section.rows}
    pairs = pairs_of(tables)
    equal = pairs[plan.cases[0], "b"]
    assert (equal.verdict, shown["b"]) == ("=", f"{equal.detectable:.4f}")
    assert (pairs[plan.cases[0], "c"].verdict, shown["c"], shown["a"]) == ("+", "", "")


def test_where_nothing_can_be_shown_nothing_is_claimed():
    plan = plan_with(5, baseline="b", champion="a", primary="a")
    tables = tables_of(plan, {})
    assert {c.verdict for c in pairs_of(tables).values()} == {"?"}
    assert all(math.isnan(c.detectable) for c in pairs_of(tables).values())
    assert FOUND not in markdown(tables)
    assert "detectable" not in texts(tables)["champion.csv"]
