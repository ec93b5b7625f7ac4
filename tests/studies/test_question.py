"""The question of a study: its family, its one verdict per pair, and what its seeds can show."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_cases import made_up, records, study, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.library.study import StudyOptions, plan_of
from smemnas.bench.metrics import power
from smemnas.bench.metrics.statistics import holm, smallest_p, wilcoxon
from smemnas.bench.report.study.files import conventions, markdown, texts
from smemnas.bench.report.study.primary import pairs_of, primary, sentences
from smemnas.bench.report.study.sections import sections
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.execution import MISSING, PLANS
from smemnas.bench.studies.pairs import BASELINE, CHAMPION, EARLIER, PRIMARY, families
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.published import named_plan
from smemnas.bench.studies.question import question_of, said, with_enough_seeds
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import unfinished

NAMES = ("a", "b", "c", "d")
TWO = (Case("toy"), Case("toy", "", ("flops", "error")))
VARIANTS = tuple(Variant(name, "nsga2", {"population": 10 + k}) for k, name in enumerate(NAMES))


def plan_with(seeds: int, **rest: object) -> Plan:
    return toy_plan(variants=VARIANTS, cases=TWO, seeds=tuple(range(seeds)), **rest)


def tables_of(plan: Plan, shift: dict[str, float], stream: int = 0) -> Tables:
    """Return the tables of made-up regrets: standard normal, moved by a shift of each variant."""
    rng = np.random.default_rng(stream)
    c = len(plan.at)
    trials = []
    for case in plan.cases:
        for v in plan.variants:
            for seed in plan.seeds:
                regret = 20.0 + rng.standard_normal(c) * 0.5**0.5 + shift.get(v.name, 0.0)
                F = rng.random((plan.budget, 2))
                trials.append(made_up(plan, v, case, seed, F=F, regret=regret, curve=np.ones(plan.budget)))
    return tabulate(plan, trials)


# --- the test itself


def brute_limit(n: int, tests: int) -> int:
    """Return the critical sum by trying the p-value of every sum."""
    best = -1
    for total in range(n * (n + 1) // 2 // 2 + 1):
        signs = np.ones(n)
        left = total  # the largest ranks that fit have the other sign
        for rank in range(n, 0, -1):
            if rank <= left:
                signs[rank - 1], left = -1, left - rank
        if wilcoxon(signs * np.arange(1, n + 1), np.zeros(n)) * tests < 0.05:
            best = total
    return best


@pytest.mark.parametrize(("n", "tests"), [(5, 1), (6, 1), (11, 4), (11, 80), (31, 80)])
def test_the_critical_sum_is_that_of_the_test_in_use(n: int, tests: int) -> None:
    assert power.critical_sum(n, tests) == brute_limit(n, tests)


def test_so_few_seeds_cannot_show_anything() -> None:
    # 2^(1-n) times the comparisons: 5 seeds and one comparison give 1/16, 6 seeds 1/32
    assert [power.fewest_to_show(tests) for tests in (1, 2, 16, 80, 100)] == [6, 7, 10, 12, 12]
    assert np.isnan(power.smallest_effect(5, 1))
    assert power.chance_to_find(9.0, 5, 1) == 0.0
    assert power.chance_to_find(9.0, 6, 1) == 1.0
    assert smallest_p(100, 10) == pytest.approx(0.1953125)


@pytest.mark.parametrize(("n", "tests", "effect"), [(6, 1, 1.5), (11, 1, 1.0), (11, 4, 1.2), (31, 80, 0.9)])
def test_a_chance_is_that_of_a_simulation_of_the_whole_test(n: int, tests: int, effect: float) -> None:
    rng = np.random.default_rng(7)
    found = [wilcoxon(rng.standard_normal(n) + effect, np.zeros(n)) * tests < 0.05 for _ in range(400)]
    assert power.chance_to_find(effect, n, tests) == pytest.approx(np.mean(found), abs=4 * 0.5 / 400**0.5)


def test_effects_and_numbers_of_seeds_fit_each_other() -> None:
    for n, tests in ((11, 2), (31, 80)):
        least = power.smallest_effect(n, tests)
        assert power.chance_to_find(least, n, tests) >= 0.8 > power.chance_to_find(least - 0.02, n, tests)
    enough = power.fewest_pairs(4, 1.0)
    assert enough == 15
    assert power.chance_to_find(1.0, 15, 4) >= 0.8 > power.chance_to_find(1.0, 14, 4)
    assert power.fewest_pairs(80, 0.1) is None
    assert power.fewest_pairs(1, 50.0) == 6


# --- the families


def test_the_primary_family_is_the_champion_at_the_budget_on_every_case() -> None:
    plan = plan_with(9, baseline="b", champion="a", primary="a")
    found = families(plan)
    last = len(plan.at) - 1
    assert found[PRIMARY] == [(case, last, "a", name) for case in plan.cases for name in "bcd"]
    assert len(found[EARLIER]) == 2 * 3 * last
    assert {key[2:] for key in found[BASELINE]} == {("c", "b"), ("d", "b")}
    assert len(found[BASELINE]) == 2 * 2 * (last + 1)
    alone = families(replace(plan, champion="", primary="b"))
    assert alone[PRIMARY] == [(case, last, name, "b") for case in plan.cases for name in "acd"]
    assert alone[BASELINE] == []
    old = families(replace(plan, primary=""))
    assert [len(old[name]) for name in (BASELINE, CHAMPION)] == [2 * 3 * (last + 1)] * 2


def test_the_primary_family_is_corrected_by_itself() -> None:
    plan = plan_with(12, baseline="b", champion="a", primary="a")
    tables = tables_of(plan, {"a": -1.2, "c": 1.0})
    pairs = pairs_of(tables)
    assert len(pairs) == 6
    by_hand = holm([c.p for c in pairs.values()])
    assert [c.p_holm for c in pairs.values()] == pytest.approx(by_hand.tolist())
    assert {c.family_size for c in pairs.values()} == {6}
    old = tabulate(replace(plan, primary=""), tables.trials)
    assert pairs_of(old) == {}
    everything = holm([r.comparison.p for r in old.champion])
    assert [r.comparison.p_holm for r in old.champion] == pytest.approx(everything.tolist())
    assert {r.comparison.family_size for r in old.champion} == {2 * 3 * len(plan.at)}


@pytest.mark.parametrize("primary_of", ["a", ""])
@pytest.mark.parametrize("baseline", ["a", "b"])
@pytest.mark.parametrize("seeds", [4, 9])
def test_a_pair_has_one_verdict_wherever_it_is_shown(primary_of: str, baseline: str, seeds: int) -> None:
    """Marks, rows against the baseline and rows of the champion: where two of them speak of a pair, they agree."""
    plan = plan_with(seeds, baseline=baseline, champion="a", primary=primary_of)
    for stream in range(2):
        tables = tables_of(plan, {"a": -0.5, "c": 0.6, "d": 1.3}, stream)
        told: dict[tuple[object, ...], set[str]] = {}

        def tell(
            case: Case, at: int, x: str, y: str, word: str, told: dict[tuple[object, ...], set[str]] = told
        ) -> None:
            told.setdefault((case, at, *sorted((x, y))), set()).add(word)

        words = {"+": "apart", "-": "apart", "=": "equal", "?": "unknown"}
        for r in tables.champion:
            tell(r.case, r.at, "a", r.variant, words[r.comparison.verdict])
        best = {(r.case, r.at): r.variant for r in tables.rows if r.mark == "best"}
        for row in tables.rows:
            if row.against is not None:
                tell(row.case, row.at, row.variant, baseline, words[row.against.verdict])
            if row.mark != "best":
                tell(row.case, row.at, row.variant, best[row.case, row.at], row.mark or "apart")
        assert len(told) >= 2 * len(plan.at) * 3
        assert {pair: len(said) for pair, said in told.items() if len(said) > 1} == {}


@pytest.mark.parametrize("primary_of", ["b", ""])
def test_what_was_not_compared_is_not_marked_as_different(primary_of: str) -> None:
    """Four methods of which one has no seed of the best's, and one no run at all."""
    own = {"a": (0, 1, 2, 3), "c": (4, 5, 6, 7)}
    plan = plan_with(8, baseline="b", primary=primary_of, seeds_of=own)
    rng = np.random.default_rng(1)
    trials = []
    for case in plan.cases:
        for v in plan.variants:
            for seed in plan.seeds:
                if v.name == "d" or seed not in plan.seeds_for(v):
                    trials.append(unfinished(plan, v, case, plan.job(v, case, seed), MISSING, "", None))
                    continue
                regret = rng.random(len(plan.at)) + {"a": 1.0, "b": 5.0, "c": 9.0}[v.name]
                F = rng.random((plan.budget, 2))
                trials.append(made_up(plan, v, case, seed, F=F, regret=regret, curve=np.ones(plan.budget)))
    tables = tabulate(plan, trials)
    marks = {name: {(r.mark, np.isfinite(r.p_best)) for r in tables.rows if r.variant == name} for name in NAMES}
    assert marks["a"] == {("best", False)}
    assert marks["b"] == {("unknown", True)}  # four pairs, too few
    assert marks["c"] == {("unknown", False)}
    assert marks["d"] == {("", False)}
    assert re.search(r"\| c \| 9\.\d+\? ", markdown(tables))


def test_every_output_shows_the_same_signs() -> None:
    plan = plan_with(14, baseline="b", champion="a", primary="a")
    tables = tables_of(plan, {"a": -1.0, "c": 1.0, "d": -3.0})
    [section] = primary(tables)
    assert section.title.startswith("Primary comparison: a against each other method after 40 evaluations")
    assert [row[0] for row in section.rows] == ["b", "c", "d"]
    cells = [[re.fullmatch(r"\S+ \[.*\] ([-+=?])( \(0\.\d{4}\))?", cell) for cell in row[1:-1]] for row in section.rows]
    grid = [[cell[1] for cell in row] for row in cells]
    assert {(cell[1] == "=") == (cell[2] is not None) for row in cells for cell in row} == {True}
    [ratios] = [s for s in sections(tables) if s.title.startswith("a over each other") and "after 40" in s.title]
    assert [[cell.rsplit(" ", 1)[1] for cell in row[1:-1]] for row in ratios.rows] == grid
    assert grid[2] == ["-", "-"]
    assert section.rows[1][-1] == "2/0/0"
    for k, line in enumerate(sentences(tables)):
        column = [row[k] for row in grid]
        assert f"better than {column.count('+')}, worse than {column.count('-')}" in line
    text = markdown(tables)
    assert text.index("## Primary comparison") < text.index("## Mean hypervolume regret")
    assert "Primary comparison, stated before the runs: a against each other method" in text
    assert "everything else is secondary" in text.lower()
    assert "primary, at the budget on every problem: 6" in text
    old = conventions(replace(tables, plan=replace(plan, primary="")))
    assert any(line.startswith("No primary comparison was stated before these runs") for line in old)


def test_one_problem_has_effects_before_p_values() -> None:
    plan = replace(plan_with(14, baseline="b", primary="b"), cases=plan_with(1).cases[:1])
    tables = tables_of(plan, {"a": -2.0, "b": 0.0, "c": 2.5})
    [section] = primary(tables)
    assert section.head.index("d") < section.head.index("A12") < section.head.index("p (Holm)")
    rows = {row[0]: dict(zip(section.head, row, strict=True)) for row in section.rows}
    assert [rows[name]["verdict"] for name in NAMES] == ["better", "", "worse", "no difference shown"]
    a = pairs_of(tables)[plan.cases[0], "a"]
    values = {t.variant: [] for t in tables.trials}
    for t in tables.trials:
        values[t.variant].append(t.regret[-1])
    d = np.subtract(values["a"], values["b"])
    assert a.effect.value == pytest.approx(d.mean() / d.std(ddof=1))
    assert rows["a"]["d"] == f"{a.effect.value:+.2f}"
    assert a.effect.low < a.effect.value < a.effect.high < 0
    assert "primary" in texts(tables)["study.csv"]


# --- what is said before the first run


def said_of(seeds: int, **rest: object) -> list[str]:
    question = question_of(plan_with(seeds, champion="a", primary="a", **rest)) or pytest.fail("it states a question")
    return said(question)


def test_five_eleven_and_thirty_one_seeds() -> None:
    five, eleven, many = (said_of(n) for n in (5, 11, 31))
    assert five[0] == (
        "primary comparison: a against each of the 3 other methods after 40 evaluations on 2 problems "
        "(6 comparisons, one Holm family); everything else is secondary"
    )
    assert five[1] == (
        "5 seeds: no difference can be shown, the smallest p after Holm is 0.38; 8 seeds can show one at all"
    )
    enough = power.fewest_pairs(6, 1.0)
    assert 11 < (enough or 0) < 31
    assert five[2] == eleven[2]
    assert five[2].startswith(f"{enough} seeds find a difference of 1 sd")
    found = re.fullmatch(
        r"11 seeds: the smallest p after Holm is 0.0059; a difference of (\d.\d\d) sd of the paired differences is "
        r"found in 80 % of studies, one of 1 sd in (\d\d) %",
        eleven[1],
    )
    assert found
    assert float(found[1]) == pytest.approx(power.smallest_effect(11, 6), abs=0.005)
    assert int(found[2]) == round(100 * power.chance_to_find(1.0, 11, 6))
    assert len(many) == 2
    assert "one of 1 sd in over 99 %" in many[1]


def test_variants_with_fewer_seeds_are_named() -> None:
    lines = said_of(31, seeds_of={"c": (0, 1, 2), "d": tuple(range(11))})
    assert lines[2] == "c has 3 seeds: no difference to it can be shown"
    assert lines[3].startswith("d has 11 seeds: a difference of ")


def test_pairs_are_counted_and_not_seeds() -> None:
    """Seeds of both sides of a comparison, without the runs that there will not be."""
    plan = replace(plan_with(20, champion="a", primary="a"), variants=VARIANTS[:2])
    apart = replace(plan, seeds_of={"a": tuple(range(10)), "b": tuple(range(10, 20))})
    assert said(question_of(apart) or pytest.fail("it states a question"))[1:] == [
        "no pairs: no difference can be shown"
    ]
    half = replace(plan, seeds_of={"a": tuple(range(10)), "b": tuple(range(2, 14))})
    lines = said(question_of(half) or pytest.fail("it states a question"))
    assert lines[1].startswith("8 pairs: the smallest p after Holm is 0.016; a difference of")
    assert lines[2].endswith(f"{power.fewest_pairs(2, 1.0)} pairs find a difference of 1 sd of the paired differences "
                             "in 80 % of studies")  # fmt: skip
    assert len(lines) == 3
    one = plan.cases[0]
    absent = {(v.label, one, seed) for v in plan.variants for seed in ((0, 1, 2) if v.name == "a" else range(2, 16))}
    lines = said(question_of(plan, absent) or pytest.fail("it states a question"))
    assert [line.partition(":")[0] for line in lines[1:]] == ["20 seeds", "b has 4 pairs on 1 problem"]


def test_what_has_no_pair_is_no_test() -> None:
    """The tests that are said are the family that the tables correct."""
    plan = plan_with(12, champion="a", primary="a", seeds_of={"a": tuple(range(8)), "c": (8, 9, 10), "d": (6, 7, 8)})
    question = question_of(plan) or pytest.fail("it states a question")
    assert (question.tests, question.pairs) == (4, 8)
    assert said(question)[-2:] == [
        "c has no pairs: no difference to it can be shown",
        "d has 2 pairs: no difference to it can be shown",
    ]
    trials = [
        made_up(plan, v, case, seed, F=np.ones((plan.budget, 2)), curve=np.ones(plan.budget),
                regret=np.full(len(plan.at), 1.0 + seed if seed in plan.seeds_for(v) else np.nan))
        for case in plan.cases for v in plan.variants for seed in plan.seeds
    ]  # fmt: skip
    tables = tabulate(plan, trials)
    assert {c.family_size for c in pairs_of(tables).values()} == {question.tests}
    assert {key[1]: c.pairs for key, c in pairs_of(tables).items()} == {"b": 8, "c": 0, "d": 2}


def test_methods_without_a_common_seed_are_not_said_to_have_too_few() -> None:
    plan = plan_with(8, baseline="b", primary="b", seeds_of={"a": (0, 1), "b": (2, 3), "c": (4, 5), "d": (6, 7)})
    text = markdown(tables_of(plan, {}))
    assert "No two methods have a seed in common, so none is compared with another." in text
    assert "So few seeds" not in text


def test_published_plans_state_nothing_and_stay_as_they_are() -> None:
    for name in ("ablation", "five-problems"):
        plan = plan_of(StudyOptions(plan=name))
        assert (plan.primary, plan.variants) == ("", named_plan(name).variants)
        assert "primary" not in plan.to_dict()
    assert plan_of(StudyOptions(plan="five-problems", champion="nsga2")).primary == "nsga2"
    assert plan_of(StudyOptions(methods=("random", "nsga2"), spaces=("toy",))).primary == "random"


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="primary comparison is that of the champion"):
        check_plan(plan_with(3, champion="a", primary="b"))
    plan = plan_with(3, champion="a", primary="a")
    assert with_enough_seeds(plan).seeds == tuple(range(power.fewest_pairs(6, 1.0) or 0))
    with pytest.raises(UserError, match="more than 200 seeds"):
        with_enough_seeds(plan, 0.05)
    with pytest.raises(UserError, match="needs two methods"):
        with_enough_seeds(replace(plan, variants=VARIANTS[:1]))
    with pytest.raises(UserError, match="those of 'c' must be among them"):
        with_enough_seeds(replace(plan, seeds_of={"c": (90,)}), 2.0)


def test_the_command_says_it_first_and_takes_enough_seeds(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--budget", 20, "--no-figures", "--jobs", 1)
    args = (*args, "--out", tmp_path)
    text = study(*args, "--seeds", "auto", "--effect", 3)
    assert text.startswith("primary comparison: the other method against random after 20 evaluations on 1 problem")
    assert "6 seeds: the smallest p after Holm is 0.031; a difference of" in text
    [plan] = read_plans(tmp_path / PLANS)
    assert (plan.seeds, plan.primary) == (tuple(range(6)), "random")
    assert {r["family"] for r in records(tmp_path / "study.csv") if r["evaluations"] == "20"} == {"", PRIMARY}
    again = study(*args, "--seeds", "0-4", "--quiet")
    assert again == ""


# --- as often as was said


def share_found(n: int, repetitions: int) -> tuple[float, float]:
    """Return how often a planted difference of one sd is found among 16 comparisons, and how often it was said to."""
    variants = (Variant("new", "random"), *(Variant(f"v{k}", "nsga2", {"population": 4 + k}) for k in range(16)))
    plan = toy_plan(variants=variants, seeds=tuple(range(n)), champion="new", primary="new", at=())
    question = question_of(plan) or pytest.fail("it states a question")
    found = []
    rng = np.random.default_rng(n)
    case = plan.cases[0]
    for _ in range(repetitions):
        new = rng.standard_normal(n) * 0.5**0.5
        others = rng.standard_normal((16, n)) * 0.5**0.5
        others[0] += 1.0  # sd 1 of the paired differences
        p = holm([wilcoxon(new, other) for other in others])
        found.append(p[0] < 0.05)
    assert {key[0] for key in families(plan)[PRIMARY]} == {case}
    return float(np.mean(found)), power.chance_to_find(1.0, question.pairs, question.tests)


@pytest.mark.parametrize(
    ("n", "repetitions"),
    [(5, 20), (11, 60), *(pytest.param(n, 200, marks=pytest.mark.long) for n in (5, 11, 31))],
)
def test_a_planted_difference_is_found_as_often_as_was_said(n: int, repetitions: int) -> None:
    found, expected = share_found(n, repetitions)
    assert found == pytest.approx(expected, abs=3 * 0.5 / repetitions**0.5 if expected else 0.0)
