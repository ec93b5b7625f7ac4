"""What pairs do near the front is said as the contrasts beside the page say it."""

import pytest
from conftest import ROOT, docs_script


@pytest.fixture(scope="module")
def script():
    return docs_script("make_fronts")


def test_page_and_overview_are_made_from_the_files(script):
    assert len(script.kept()) == 4
    claims = docs_script("make_claims")
    assert (claims.ARMS / "README.md").read_text(encoding="utf-8") == claims.arms_page(), "python docs/make_claims.py"
    assert (claims.PAIRS / "README.md").read_text(encoding="utf-8") == claims.pairs_page(), "python docs/make_claims.py"
    assert (script.FOLDER / "README.md").read_text(encoding="utf-8") == script.page(), "python docs/make_fronts.py"
    text = script.OVERVIEW.read_text(encoding="utf-8")
    assert script.overview(text) == text, "python docs/make_fronts.py"


def test_the_arms_of_the_page_are_a_plan_that_can_be_run():
    from smemnas.bench.studies.plan import check_plan
    from smemnas.bench.studies.plan_file import read_plan

    plan = read_plan(ROOT / "docs" / "claims" / "development" / "arms.toml")
    check_plan(plan)
    assert len(plan.variants) == 13
    kinds = {v.params.get("surrogate", "kernel_pairwise") for v in plan.variants}
    assert {"kernel_svm_pairwise", "kernel_svm_pairwise_2000", "kernel_regression_rank", "kernel_regression"} < kinds


def row(n, difference, p, rival="kernel_ridge_rank"):
    names = {"first": "kernel_pairwise", "second": rival, "n_train": str(n)}
    return {**names, "difference": str(difference), "low": "-.001", "high": ".02", "p_holm": str(p)}


def test_a_sentence_names_what_is_significant_and_only_that(script):
    rows = [row(50, 0.015, 0.04), row(100, 0.0226, 0.01), row(200, 0.3, 0.06), row(400, -0.01, 0.002)]
    assert [script.verdict(r) for r in rows] == ["+", "+", "=", "-"]
    assert script.sentence("p", rows) == "p better at 2 of 4 sizes (+.015 to +.023) and worse at 1 of 4 sizes (-.010)"
    assert script.sentence("p", rows[2:3]) == "p no difference shown at any of 1 sizes"
    assert script.cell(rows[0]) == "+.015 [-.001, +.020] +"
    assert script.against([*rows[::-1], row(50, 1, 0, "gp")], "kernel_ridge_rank") == rows
