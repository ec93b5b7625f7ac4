"""Plans of studies: options, named plans, and what is refused before anything runs."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import pytest
from study_cases import records, study, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.commands.study_text import parse_method_seeds, parse_shard, split_variant
from smemnas.bench.errors import UserError
from smemnas.bench.library.study import StudyOptions, plan_of
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs, read_plans
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.frames import trials_frame
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Variant, check_plan, make_cases
from smemnas.bench.studies.published import PLANS, named_plan
from smemnas.bench.studies.question import question_of
from smemnas.bench.studies.trials import collect
from smemnas.bench.values import parse_numbers, parse_seeds, seed_text
from smemnas.methods.base import METHODS

#: Checksums of the plans that are files.
FROZEN = {
    "claims": "69ba0358f89d1c448eb0ec9a6156b0a5a139e097d6e4fa0ba8b164a7fe5a623e",
    "draws": "e8c9517c7dc398dde8dd2c0b748aad066878bcfa313a7f7644f16322d1c9481d",
    "hardware": "282a826aa32d7ae950c41f8dfb9ce24469cb54354a4301c7a5bd56f930b6d81f",
    "main": "7cefa57db940291da5f897ab3c05992ad35567380ba608974b7e524c35e9337a",
    "noise": "3f82f37ee2cddda29d9d452df268e5ba5f3c6a8d597610011bbe8dc7f404d18c",
    "single": "30ee0d1af9f648162bd0a5460ba9eef3ef59a3537bf9747e757f76fecca8f0aa",
    "slow": "7ce41d15a035e6a055d44268c95b9e9d755e11f96777fde429917f5b52374744",
}
#: Their seeds, and on how many problems.
SEEDS = {
    "claims": (range(11), 5),
    "draws": (range(11), 5),
    "hardware": (range(100, 131), 2),
    "main": (range(100, 131), 5),
    "noise": (range(31), 5),
    "single": (range(100, 131), 4),
    "slow": (range(100, 115), 3),
}


def needs_extra(variant: Variant) -> None:
    """Skip where the package of a method is not installed."""
    extra = METHODS.get(variant.method).factory.needs
    if extra and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs {extra}: pip install -e '.[{extra}]'")


def test_the_ablation_changes_one_thing_at_a_time() -> None:
    plan = named_plan("ablation")
    assert len(plan.variants) == 4 * 2 * 2
    assert plan.seeds == tuple(range(31))
    params = {v.name: dict(v.params) for v in plan.variants}
    assert {v.method for v in plan.variants} == {"smemnas"}
    assert all(set(p) == {"surrogate", "inner", "encoding"} for p in params.values())
    assert plan.baseline in params
    for contrast in plan.contrasts:
        changed = set()
        for a, b in zip(contrast.first, contrast.second, strict=True):
            changed |= {(key, params[a][key], params[b][key]) for key in params[a] if params[a][key] != params[b][key]}
        assert len(changed) == 1, contrast.name
    averaged = [c for c in plan.contrasts if len(c.first) > 1]
    assert {len(c.first) for c in averaged} == {4, 8}  # 16 variants over 4, 2 and 2 levels
    assert len(plan.contrasts) - len(averaged) == 3 * 4 + 8 + 8


@pytest.mark.parametrize("name", sorted(PLANS))
def test_named_plans_can_run(name: str, use_embedded: Path) -> None:
    """On the embedded table, for the data of a plan need not be installed."""
    named = named_plan(name)
    for variant in named.variants:
        needs_extra(variant)
    plan = check_plan(replace(named, cases=(Case("nb201", "analog", ("error", "flops")),)))
    assert len(list(plan.jobs())) == sum(len(plan.seeds_for(variant)) for variant in plan.variants)
    names = {v.name for v in plan.variants}
    assert all({*c.first, *c.second} <= names for c in plan.contrasts)


def test_published_plans_are_never_edited() -> None:
    """Another question is another plan: what a file of the package says (not its comments) has a checksum here."""
    files = {name: named_plan(name).origin[1] for name in PLANS if named_plan(name).origin[0]}
    assert {name: digest for name, digest in files.items() if name in FROZEN} == FROZEN


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_a_plan_in_a_file_is_checked_whole(name: str) -> None:
    """Every case opens, every arm takes them, and the seeds can show something."""
    named = named_plan(name)
    for variant in named.variants:
        needs_extra(variant)
    plan = check_plan(named)
    assert plan.variants == named_plan(name).variants
    assert {case.reference for case in plan.cases} == {
        "" if name == "single" else "within-5"
    }  # one objective: no front
    assert (plan.seeds, len(plan.cases)) == (tuple(SEEDS[name][0]), SEEDS[name][1])
    assert plan.primary == plan.champion
    question = question_of(plan)
    assert question is not None and question.can_show  # noqa: PT018  # the first half tells the type


@pytest.mark.slow
def test_the_ablation_is_one_command(tmp_path: Path, use_embedded: Path) -> None:
    args = ("study", "--plan", "ablation", "--seeds", "1000-1001", "--budget", 40, "--jobs", 1, "--no-figures")
    text = study(*args, "--out", tmp_path)
    assert "no primary comparison is stated" in text
    tables = (tmp_path / "study.md").read_text()
    assert "averaged over the other factors" in tables
    assert "pairwise - rank-regression" in tables
    rows = records(tmp_path / "contrasts.csv")
    assert len(rows) == 5 + 28
    assert {r["pairs"] for r in rows} == {"2"}
    assert {r["family_size"] for r in rows} == {"5", "28"}


def test_seeds_variants_and_shards_are_read() -> None:
    assert parse_seeds("0-3") == (0, 1, 2, 3)
    assert parse_seeds("0,3,5-7,3") == (0, 3, 5, 6, 7)
    assert seed_text(parse_seeds("0-30,40,42-43")) == "0-30,40,42-43"
    assert split_variant("gp=smemnas:surrogate=gp,inner=nsga2") == ("gp", "smemnas", ("surrogate=gp", "inner=nsga2"))
    assert split_variant("a=smemnas/enumerate") == ("a", "smemnas/enumerate", ())
    name, method, items = split_variant("w=smemnas:surrogate.widths=[1, 2],x={'a': (1, 2)},y='p,q'")
    assert (name, method) == ("w", "smemnas")
    assert items == ("surrogate.widths=[1, 2]", "x={'a': (1, 2)}", "y='p,q'")
    assert parse_shard("2/8") == (2, 8)
    assert parse_method_seeds("smemnas[batch=4]=0-2,7") == ("smemnas[batch=4]", (0, 1, 2, 7))
    assert parse_numbers("--at", "100, 300", 300) == (100, 300)


def test_cases_combine_spaces_and_data_sets() -> None:
    assert make_cases(["toy", "nb201"], [], ()) == (Case("toy"), Case("nb201"))
    assert make_cases(["nb201/analog", "toy"], [], ("error",)) == (
        Case("nb201", "analog", ("error",)),
        Case("toy", "", ("error",)),
    )
    assert make_cases(["nb201"], ["cifar10", "analog"], ()) == (Case("nb201", "cifar10"), Case("nb201", "analog"))
    plan = toy_plan(cases=(Case("toy"), Case("toy", "closed-form", ("error", "flops"))))
    assert plan.cases == (Case("toy", "closed-form", ("error", "flops")),)


def test_a_plan_without_a_champion_is_written_as_before_there_were_any() -> None:
    assert set(toy_plan().to_dict()) == {
        *("variants", "cases", "seeds", "budget", "baseline", "at", "target", "contrasts"),
    }
    assert toy_plan(champion="evo").to_dict() == {**toy_plan().to_dict(), "champion": "evo"}


def test_a_method_may_run_fewer_seeds(tmp_path: Path) -> None:
    plan = toy_plan(seeds=tuple(range(6)), seeds_of={"evo": (0, 1, 3, 0)})
    assert plan.to_dict()["seeds_of"] == {"evo": [0, 1, 3]}
    wanted = [("random", s) for s in range(6)] + [("nsga2", s) for s in (0, 1, 3)]
    assert sorted((j.method, j.seed) for j in plan.jobs()) == sorted(wanted)
    parts = [list(plan.jobs(k, 3)) for k in (1, 2, 3)]
    assert sorted((j.method, j.seed) for part in parts for j in part) == sorted(wanted)
    assert [sum(j.method == "nsga2" for j in part) for part in parts] == [1, 1, 1]
    run_study(list(plan.jobs()), tmp_path)
    tables = tabulate(plan, collect(plan, tmp_path))
    assert sorted((t.variant, t.job.seed) for t in tables.trials) == sorted(
        (name.replace("nsga2", "evo"), s) for name, s in wanted
    )
    assert tables.unfinished() == []
    row = next(r for r in tables.rows if r.variant == "evo" and r.at == 40)
    assert (row.n, row.failed) == (3, 0)
    whole = toy_plan(seeds=(0, 1, 3))
    alone = next(r for r in tabulate(whole, collect(whole, tmp_path)).rows if r.variant == "evo" and r.at == 40)
    compared = [r.against for r in (row, alone) if r.against]
    assert [c.pairs for c in compared] == [3, 3]
    assert compared[0].difference == compared[1].difference
    record_plan(tmp_path, plan)
    assert read_plans(tmp_path / "plans.json") == [replace(plan, plugins=())]
    assert len(trials_frame(tmp_path)) == 9 * len(plan.at)
    _, unfinished = make_groups(find_runs([str(tmp_path)]))
    assert unfinished == []


def test_fewer_seeds_on_the_command_line(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-3", "--budget", 20, "--jobs", 1)
    text = study(*args, "--method-seeds", "nsga2=1-2", "--out", tmp_path, "--no-figures")
    assert "nsga2 has 2 seeds: no difference to it can be shown" in text
    assert "Seeds: 0-3, nsga2 only 1-2; runs of a seed are paired" in (tmp_path / "study.md").read_text()
    made = [(r["method"], r["seed"]) for r in records(tmp_path / "trials.csv")]
    assert made == [("random", "0"), ("random", "1"), ("random", "2"), ("random", "3"), ("nsga2", "1"), ("nsga2", "2")]
    assert "not asked for" not in "".join(p.read_text() for p in tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"budget": 0}, "--budget must be at least 1"),
        ({"variants": ()}, "at least one method"),
        ({"cases": ()}, "at least one space"),
        ({"seeds": ()}, "at least one seed"),
        ({"baseline": "rando"}, "the baseline 'rando' is not among the methods. Did you mean 'random'"),
        ({"seeds_of": {"eva": (0,)}}, "--method-seeds: 'eva' is not among the methods. Did you mean 'evo'"),
        ({"seeds_of": {"evo": (0, 9)}}, "--method-seeds: the seeds of 'evo' must be among the study's --seeds"),
        ({"seeds_of": {"evo": ()}}, "--method-seeds: the seeds of 'evo'"),
        ({"champion": "ev"}, "the champion 'ev' is not among the methods. Did you mean 'evo'"),
        ({"variants": (Variant("a", "random"), Variant("a", "nsga2"))}, "two variants are called 'a'"),
        ({"variants": (Variant("a", "random"), Variant("b", "random"))}, "'a' and 'b' are the same"),
        ({"variants": (Variant("a", "randon"),)}, "Did you mean 'random'"),
        ({"variants": (Variant("a", "nsga2", {"popul": 3}),)}, "Did you mean 'population'"),
        ({"variants": (Variant("a", "nsga2", {"population": 0}),)}, "a: parameter 'population'"),
        ({"cases": (Case("toy", "other"),)}, "has no data set 'other'"),
        ({"cases": (Case("toy", "", ("accuracy",)),)}, "no objective 'accuracy'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(change: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=r"\w") as caught:
        toy_plan(**change)  # type: ignore[arg-type]
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: plan_of(StudyOptions("random", "toy", target=math.nan)), "--target takes a finite number, got nan"),
        (lambda: parse_seeds("3-1"), "--seeds takes"),
        (lambda: parse_seeds("a"), "--seeds takes"),
        (lambda: parse_seeds("-3"), "--seeds takes"),
        (lambda: split_variant("smemnas"), "--variant takes"),
        (lambda: split_variant("a=smemnas:"), "--variant takes"),
        (lambda: parse_shard("0/3"), "--shard takes"),
        (lambda: parse_method_seeds("0-3"), "--method-seeds takes NAME=SEEDS"),
        (lambda: parse_method_seeds("a="), "--method-seeds takes NAME=SEEDS"),
        (lambda: parse_shard("4/3"), "--shard takes"),
        (lambda: parse_numbers("--at", "0,10", 300), "--at takes"),
        (lambda: parse_numbers("--at", "301", 300), "--at takes"),
        (lambda: make_cases(["toi"], [], ()), "Did you mean 'toy'"),
        (lambda: make_cases(["toy"], ["cifar10"], ()), "none of the data sets cifar10"),
        (lambda: make_cases(["toy/closed-form"], ["cifar9"], ()), "has a data set 'cifar9'"),
        (lambda: named_plan("ablatoin"), "Did you mean 'ablation'"),
    ],
)
def test_misspelt_options_say_what_was_expected(call: object, text: str) -> None:
    with pytest.raises(UserError) as caught:
        call()  # type: ignore[operator]
    assert text in str(caught.value)
