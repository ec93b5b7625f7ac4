"""The page on one objective says what the files beside it say; its sentences, from networks made up by hand."""

import re

import numpy as np
import pytest
from conftest import docs_script
from scipy.stats import wilcoxon
from study_cases import made_up

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.plan import Plan, Variant, check_plan

MAKE, MAIN, DATA, WORDS = (docs_script(name) for name in ("make_single", "make_main", "main_data", "single_words"))
CASES = (Case("nb201", "cifar10", ("error",)), Case("nb201", "cifar100", ("error",)))
BUDGET, SEEDS, BEST = 100, tuple(range(1000, 1010)), 5.0
#: Method to the evaluation at which its first run is at the optimum, on each problem; None: it stays a point away.
SOON = {"smemnas": (20, 30), "smemnas/best": (25, 95), "local-search/authors": (40, 50), "rea": (60, None)}
NAMES = (*SOON, "random")


def trial(plan, case, variant, k, seed, reference):
    """Return a run that is a point away until, seed by seed an evaluation later, it has the optimum."""
    at = SOON.get(variant.name, (None, None))[k]
    errors = np.full(BUDGET, BEST + 1.0 + 0.01 * (seed - SEEDS[0]) + 0.2 * NAMES.index(variant.name))
    if at is not None:
        errors[at - 1 + seed - SEEDS[0] :] = BEST
    regret = errors[np.array(plan.at) - 1] - BEST
    return made_up(
        plan, variant, case, seed, reference=reference, incumbent=np.stack([errors, errors + 2.0], axis=1),
        regret=regret, F=errors[:, None], curve=errors - BEST, seconds=2.0, method_seconds=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    variants = tuple(Variant(name, name) for name in NAMES)
    plan = Plan(variants, CASES, SEEDS, BUDGET, "random", (50,), champion="smemnas", primary="smemnas")
    plan = check_plan(plan)
    one = np.array([[BEST]])
    reference = Reference(one, one[0], one[0], True, one + 2.0, one + 2.0)
    tables = tabulate(
        plan,
        [trial(plan, c, v, k, s, reference) for k, c in enumerate(plan.cases) for v in plan.variants for s in SEEDS],
    )
    found = tmp_path_factory.mktemp("results") / "made-up"  # no archive of the package has its name
    MAIN.keep(found, DATA.files_of(tables, tables), "Made by smemnas 0.2.0 at commit 01234567")
    MAIN.record(found, "89abcdef")
    return found


def test_the_published_page_and_its_picture_are_what_the_files_beside_them_say():
    place = MAKE.FOLDER
    assert (place / "README.md").read_text(encoding="utf-8") == MAKE.page(place), "python docs/make_single.py"
    assert (place / MAKE.FIGURE).read_text(encoding="utf-8") == MAKE.picture_of(place), "python docs/make_single.py"


def test_the_answer_stands_first_and_is_short(folder):
    lines = MAKE.page(folder).splitlines()
    assert lines[2] == "Made by smemnas 0.2.0 at commit 01234567; recorded in commit 89abcdef."
    assert lines[4].startswith("**Runs**: not kept; the figures of each are in [runs.csv]")
    assert len(lines[6].split()) <= 120
    assert lines[8].startswith("![Evaluations until")
    assert lines[8].endswith("](single.svg)")


def test_the_answer_is_what_the_runs_say(folder):
    """Better where the other has no optimum by the budget, on all seeds; ten of nearly all are there elsewhere."""
    short = MAKE.page(folder).splitlines()[6]
    p = wilcoxon(np.zeros(10), np.arange(1, 11), method="exact").pvalue
    better = 3 if 8 * p < 0.05 else 0  # rea on one problem, random on both, of eight comparisons
    assert f"lower in {better} of 8 comparisons, higher in 0; in 5 no difference is shown" in short
    assert (
        "It has the least error of the table in all 20 runs, the best method of others, `local-search/authors`, in 20"
        in short
    )
    assert "random search in 0." in short
    assert "half of its runs are after 24 and 34 evaluations (nb201/cifar10, nb201/cifar100)" in short  # 24.5 to even
    assert "of those of `local-search/authors` after 44 and 54." in short


def test_the_table_has_distances_verdicts_and_runs(folder):
    table = MAKE.page(folder).split("something else.")[1].split("## ")[0]
    rows = {row.split("`")[1]: [c.strip() for c in row.split("|")[2:4]] for row in table.splitlines() if "`" in row}
    assert rows["smemnas"] == ["0.000 [0.000, 0.000], 10/10"] * 2
    assert rows["local-search/authors"] == ["0.000 [0.000, 0.000] =, 10/10"] * 2
    assert rows["rea"][0] == "0.000 [0.000, 0.000] =, 10/10"
    distances = 1.6 + 0.01 * np.arange(10)
    assert re.fullmatch(rf"{distances.mean():.3f} \[1\.6\d\d, 1\.6\d\d\] \+, 0/10", rows["rea"][1])
    # The champion's rival among ours: six of ten runs are there by the budget, and too few differ for the test.
    assert re.fullmatch(r".* =, 6/10", rows["smemnas/best"][1])


def test_who_is_sooner_and_what_is_tested(folder):
    text = MAKE.page(folder)
    section = text.split("Within 0.1 points:")[1].split("To the optimum:")[0]
    row = next(line for line in section.splitlines() if "`smemnas/best`" in line).split("|")
    assert row[3].strip() == "100 [96, >100] +, 6/10"
    assert "fewer evaluations in 8 of 8 comparisons, more in 0" in text  # twenty or five later in every pair
    tested = text.split("## Test error")[1].split("## ")[0]
    assert "| the optimum itself | 7.00 | 7.00 |" in tested
    assert "lower in 3 of 8 comparisons" in tested


def test_published_figures_stand_beside_ours(folder):
    rows = [line for line in MAKE.page(folder).split("## Published")[1].split("\n## ")[0].splitlines() if "](" in line]
    cells = [[c.strip() for c in row.split("|")[2:-1]] for row in rows]
    assert [
        "nb201/cifar100",
        "`local-search/authors`",
        "evaluations to the optimum, mean",
        "127",
        "median 54, 10 of 10 runs there",
    ] in cells
    assert ["nb201/cifar10", "`rea`", "test accuracy (%), 12,000 simulated seconds", "93.92", "93.00"] in cells
    assert ["nb201/cifar10", "best possible", "test accuracy (%)", "94.37", "93.00"] in cells
    assert len(cells) == 4  # no local-search, no reinforce here


def test_the_picture_has_a_mark_for_each_method_and_problem(folder):
    svg = MAKE.picture_of(folder)
    assert svg.count("<circle") == 3 + 10 - 3  # the key, and all medians within the budget: not rea's, not random's two
    assert svg.count("l-7 -4v8z") == 4  # these, and the interval that ends beyond the budget
    order = [svg.index(f">{name}<") for name in ("smemnas", "local-search/authors", "rea", "random")]
    assert order == sorted(order)


def test_a_missing_row_is_named(folder):
    with pytest.raises(SystemExit, match="has no row of nobody on nb201/cifar10 after 100 evaluations"):
        WORDS.Single(folder).found("nb201/cifar10", "nobody")
