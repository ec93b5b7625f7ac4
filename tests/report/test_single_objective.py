"""Methods of one objective in tables of several: what study.md says of them."""

import pytest

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.report.study.single import single_names, single_text
from smemnas.bench.studies.plan import Plan, Variant


def plan(methods, objectives):
    return Plan(tuple(Variant(m, m) for m in methods), (Case("toy", "closed-form", objectives),), (0,), 20)


def test_they_are_named_with_what_stands_in_their_place():
    methods = ("nsga2", "rea", "local-search/authors", "bananas", "mo-local-search")
    several = plan(methods, ("error", "flops"))
    assert single_names(several) == ["rea", "local-search/authors", "bananas"]
    (text,) = single_text(several)
    assert text.startswith("rea, local-search/authors, bananas: a method of one objective")
    assert "enters by its evaluated set" in text
    assert text.endswith("stand rea: mo-rea; local-search: mo-local-search and pareto-local-search.")
    assert single_text(plan(("bananas",), ("error", "flops")))[0].endswith("no lead over a search for several.")


@pytest.mark.parametrize(("methods", "objectives"), [(("rea",), ("error",)), (("nsga2", "mo-rea"), ("error", "flops"))])
def test_nothing_is_said_where_there_is_nothing_to_say(methods, objectives):
    assert single_text(plan(methods, objectives)) == []
