"""Pages of the published plans are made from the files beside them; their judgements, from regrets made up by hand."""

import re

import numpy as np
import pytest
from conftest import ROOT, docs_script
from study_cases import made_up, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.statistics import wilcoxon
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.plan import Contrast, Variant

MAKE, DATA, WORDS, PARTS = (docs_script(name) for name in ("make_main", "main_data", "main_words", "answer_parts"))
NAMES = ("smemnas/adaptive", "smemnas/adaptive-black", "smemnas/best", "msunas", "nsga2", "random")
CASES = (Case("toy"), Case("toy", "", ("flops", "error")))
#: Mean regrets of the methods on the two problems: the order of the first three is another one on each.
MEANS = {
    "smemnas/adaptive": (0.10, 0.30),
    "smemnas/adaptive-black": (0.20, 0.50),
    "smemnas/best": (0.30, 0.20),
    "msunas": (0.22, 0.60),
    "nsga2": (0.50, 0.40),
    "random": (0.90, 0.80),
}
PLANS = [name for name in MAKE.TITLES if (ROOT / "docs" / "results" / name / "runs.csv").exists()]


def tables(noise=0.01, means=MEANS):
    plan = toy_plan(
        variants=tuple(Variant(name, name) for name in NAMES),
        cases=CASES,
        seeds=tuple(range(12)),
        baseline="nsga2",
        champion=NAMES[0],
        primary=NAMES[0],
        contrasts=(Contrast("adaptive - best", (NAMES[0],), (NAMES[2],), "presets"),),
    )
    rng = np.random.default_rng(3)
    trials = []
    for k, case in enumerate(plan.cases):
        for v in plan.variants:
            for seed in plan.seeds:
                regret = means[v.name][k] + noise * rng.standard_normal() + np.linspace(0.2, 0.0, len(plan.at))
                values = {
                    "regret": regret,
                    "F": rng.random((plan.budget, 2)),
                    "curve": np.full(plan.budget, regret[-1]),
                }
                if k == 0:  # the first problem has a test split, on which the order is turned round
                    values["reported"] = 1.0 - values["regret"]
                trials.append(made_up(plan, v, case, seed, seconds=2.0, method_seconds=1.0, **values))
    return tabulate(plan, trials)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("results") / "main"
    other = tables(means=MEANS | {"smemnas/best": (0.05, 0.20)})  # another range, and another first one
    MAKE.keep(found, DATA.files_of(tables(), other), "Made by smemnas 0.2.0 at commit 01234567")
    MAKE.record(found, "89abcdef")
    return found


@pytest.mark.parametrize("name", PLANS)
def test_a_published_page_is_what_its_files_say(name):
    place = ROOT / "docs" / "results" / name
    assert (place / "README.md").read_text(encoding="utf-8") == MAKE.page(name, place), f"docs/make_main.py {name}"


@pytest.mark.parametrize("name", PLANS)
def test_a_published_page_begins_with_its_picture(name):
    """What a reader of one minute sees: at most 120 words, a picture that is what the files say, then who is best."""
    place = ROOT / "docs" / "results" / name
    before, _, after = (place / "README.md").read_text(encoding="utf-8").partition("![")
    assert len(before.split()) <= 120
    caption, _, rest = after.partition(f"]({MAKE.FIGURE})\n\n")
    assert rest.startswith(f"{caption}\n\n## Who is best\n")
    assert (place / MAKE.FIGURE).read_text(encoding="utf-8") == MAKE.picture_of(place), f"docs/make_main.py {name}"


def test_names_of_a_picture_have_their_place(folder):
    """Two long ones do not lie over each other; the place that all have in common is left out."""
    found = re.findall(r'<text x="(\d+)" y="(\d+)">([^<]+)</text>', MAKE.picture_of(folder))
    assert [name for *_, name in found] == ["toy/closed-form", "toy/closed-form (flops, error)"]
    assert len({y for _, y, _ in found}) == 1
    long = [f"{k} val_error, params, flops, latency_edgegpu, energy_edgegpu" for k in range(2)]
    assert (PARTS.beside(long), PARTS.beside(["nb201/cifar100+noise=0.25"] * 3)) == (1, 2)
    hardware = MAKE.picture_of(ROOT / "docs" / "results" / "hardware")
    assert ">val_error, flops, latency_edgegpu</text>" in hardware


def test_every_page_says_which_version_made_it(folder):
    line = "Made by smemnas 0.2.0 at commit 01234567; recorded in commit 89abcdef."
    assert MAKE.page("main", folder).splitlines()[2] == line
    assert (folder / "study.md").read_text(encoding="utf-8").splitlines()[:3] == ["# Study", "", line]
    MAKE.record(folder, "fedcba98")
    assert "recorded in commit fedcba98." in (folder / "study.md").read_text(encoding="utf-8")
    MAKE.record(folder, "89abcdef")


def test_duels_are_against_the_best_foreign_method_that_is_told_no_more(folder):
    results = MAKE.Results(folder)
    found = {(d.track, d.problem): d for d in WORDS.duels(results, NAMES[0], 40)}
    first, second = results.problems
    assert {key: d.foreign for key, d in found.items()} == {
        ("expert", first): "msunas", ("expert", second): "nsga2",
        ("black-box", first): "nsga2", ("black-box", second): "nsga2",
    }  # fmt: skip
    assert [d.reached for d in found.values()] == [True, False, True, False]
    d = found["expert", first]
    x, y = (
        np.array(list(results.values[first, name, "regret_40"].values())) for name in ("smemnas/adaptive", "msunas")
    )
    assert d.pair.ratio.value == pytest.approx(x.mean() / y.mean())
    assert d.p_holm == pytest.approx(min(1.0, 4 * wilcoxon(x, y)))  # the same p four times: Holm's first step
    text = MAKE.page("main", folder)
    assert "* **expert**, `smemnas/adaptive`: reached 0.6 on 1 of 2 problems, significantly better on 2." in text
    assert (
        "* **black-box**, `smemnas/adaptive-black`: reached 0.6 on 1 of 2 problems, significantly better on 1." in text
    )
    assert f"{second}: ratio 1.2" in text
    assert "`nsga2` is better." in text
    assert "Significantly worse than `smemnas/best` on 1 of 2 problems" in text


def test_the_order_of_the_first_three_and_what_changes_it(folder):
    results = MAKE.Results(folder)
    first, second = results.problems
    names = results.everywhere()
    assert sorted(names) == sorted(NAMES)
    # Ranks: adaptive 1 and 2, best 4 and 1, black 2 and 4, nsga2 5 and 3, msunas 3 and 5, random 6 and 6.
    assert results.first(names, results.problems, "regret_40") == (NAMES[0], NAMES[2], NAMES[1])
    assert results.first(names, [first], "regret_40") == (NAMES[0], NAMES[1], "msunas")
    assert results.first(names, [second], "regret_40") == (NAMES[2], NAMES[0], "nsga2")
    text = MAKE.page("main", folder)
    assert "changes in 2 of 2 cases with one problem left out, and with the other rule" in text
    assert "the first one in 1, 1 and 1 of them" in text


def test_tables_say_what_the_files_say(folder):
    text = MAKE.page("main", folder)
    [row] = [line for line in text.split("## Run time")[1].split("\n## ")[0].splitlines() if "`msunas`" in line]
    assert row == "| `msunas` grey-box | 2.0 (1.0) | 2.0 (1.0) |"
    study = next(r for r in MAKE.Results(folder).study if r["method"] == "random" and r["evaluations"] == "40")
    shown = "{:.4f} [{:.4f}, {:.4f}]".format(*(float(study[f"regret{end}"]) for end in ("", "_low", "_high")))
    assert shown in text.split("After 40 evaluations")[1].split("After 25")[0]
    rows = text.split("After 40 evaluations")[1].split("\n\n")[1].splitlines()[2:]
    tracks = [row.split(" | ")[0].split()[-1] for row in rows]
    assert tracks == ["black-box"] * 3 + ["grey-box"] + ["expert"] * 2
    assert "Better in 9, worse in 1, no difference shown in 0 of 10 comparisons." in text


def test_test_values_are_a_section_of_their_own(folder):
    text = MAKE.page("main", folder)
    section = text.split("## On test values")[1].split("\n## ")[0]
    results = MAKE.Results(folder)
    first, second = results.problems
    assert second not in section
    means = {name: results.mean(first, name, DATA.REPORTED) for name in NAMES}
    assert means["random"] < means["nsga2"] < means["msunas"] < means["smemnas/adaptive"]
    rows = [line for line in section.splitlines() if line.startswith(f"| {first} | ")]
    assert [row.split(" | ")[1:5:2] for row in rows] == [
        ["expert", f"{means['smemnas/adaptive']:.4f}"], ["black-box", f"{means['smemnas/adaptive-black']:.4f}"]
    ]  # fmt: skip
    assert all(f" | `random` | {means['random']:.4f} | " in row for row in rows)
    x, y = ([results.values[first, n, DATA.REPORTED][s] for s in range(12)] for n in ("smemnas/adaptive", "random"))
    p = wilcoxon(np.array(x), np.array(y))
    assert p < 0.001
    assert (
        f"* **{first}**: of these 2 duels ours is ahead in 0 and behind in 2; in 0 no difference is shown." in section
    )


def test_contrasts_say_what_their_intervals_leave_open(folder):
    text = MAKE.page("main", folder)
    section = text.split("## Contrasts after 40 evaluations")[1].split("\n## ")[0]
    assert (
        "* adaptive - best: the first is better on 1, worse on 1, no difference is shown on 0 of 2 problems" in section
    )
    rows = [r for r in MAKE.Results(folder).contrasts if r["evaluations"] == "40"]
    assert [float(r["difference"]) for r in rows] == pytest.approx([-0.2, 0.1], abs=0.02)
    largest = max(abs(float(r[f"difference_{end}"])) for r in rows for end in ("low", "high"))
    assert f"on none do the intervals leave a difference above {largest:.4f} open." in section
    assert f"{float(rows[1]['difference']):+.4f} [" in section


def test_what_served_development_is_said(folder):
    names = ("smemnas/adaptive", "random")
    assert MAKE.developed("mnv3/ofa", "error+flops", names) == "`smemnas/adaptive` and its parts, `/tuned` presets"
    assert MAKE.developed("nats_sss/cifar10+noise=.2", "error+flops", names) == "`smemnas/adaptive` and its parts"
    assert MAKE.developed("mnv3/ofa+draw=2", "error+flops", names) == MAKE.developed("mnv3/ofa", "error+flops", names)
    assert "At their defaults, not tuned: `nsga2`, `msunas`." in MAKE.page("main", folder)
    later = MAKE.developed("macro/cifar10", "error+flops", ("smemnas/alternating", *names))
    assert later == "`smemnas/alternating` and its parts"
    assert MAKE.developed("macro/cifar10", "error+latency", names) == ""
    several = MAKE.developed("nb201/cifar10 (val_error, energy)", "val_error+energy", names)
    assert several == "an encoding for each objective, the choice of the champion"
    assert "Served nothing of ours: toy/" in MAKE.page("main", folder)


def test_under_noise_observed_regret_stands_in_brackets(folder):
    results = MAKE.Results(folder)
    row = dict(results.study[0], regret="0.5", regret_low="0.4", regret_high="0.6", observed_regret="0.25")
    assert MAKE._regret(row) == "0.5000 [0.4000, 0.6000] (0.2500)"
    assert MAKE._regret(replace_low(row)) == "0.5000 (0.2500)"


def replace_low(row):
    return row | {"regret_low": ""}
