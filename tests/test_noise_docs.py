"""docs/noise.md and the page on noise-check say what the tables and the study say."""

import re

import numpy as np
import pytest
from conftest import docs_script

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.studies.plan import check_plan
from smemnas.bench.studies.published import named_plan


@pytest.fixture(scope="module")
def script():
    return docs_script("make_noise")


def test_deviations_in_the_document_are_those_of_the_tables(script):
    text = script.NOTES.read_text(encoding="utf-8")
    assert script.notes(text) == text, "python docs/make_noise.py"
    trainings = open_benchmark("macro", "cifar10").table.column("error")
    macro = {name: every for name, _, every, _ in script.deviations()}["macro/cifar10"]
    assert macro == pytest.approx(np.sqrt(np.var(trainings, axis=1, ddof=1).mean()), rel=1e-12)
    assert f"{macro:.2f}" == "0.21"


def test_pooled_deviations_by_hand(script):
    values = np.array([1.0, 3.0, 10.0, 10.0, 16.0, 99.0])
    groups = np.array(["a", "a", "b", "b", "b", "c"])
    assert script.pooled(values, groups, 1.0) == pytest.approx(np.sqrt((2.0 + 24.0) / 3))
    assert script.pooled(values, groups, 0.3) == pytest.approx(np.sqrt(2.0))


def test_the_page_is_made_from_the_study(script):
    page = script.FOLDER / "README.md"
    if not page.exists():
        pytest.skip("docs/results/noise-check is not there; study --plan noise-check would un-skip it")
    rows = script.records()
    assert page.read_text(encoding="utf-8") == script.results(rows), "python docs/make_noise.py"
    plan = check_plan(named_plan("noise-check"))
    assert {row["method"] for row in rows} == {v.name for v in plan.variants}
    assert {f"{row['space']}/{row['dataset']}" for row in rows} == {case.place for case in plan.cases}
    for row in rows:
        assert float(row["optimism"]) == pytest.approx(float(row["regret"]) - float(row["observed_regret"]), abs=1e-9)
    assert re.search(r"\(error, flops\), 100 evaluations, 11 seeds", page.read_text(encoding="utf-8"))


def test_the_plan_asks_what_its_name_says():
    plan = check_plan(named_plan("noise-check"))
    assert (len(plan.variants), len(plan.cases), len(plan.seeds), plan.budget) == (6, 6, 11, 100)
    assert {case.dataset for case in plan.cases} == {"cifar10+noise=0", "cifar10+noise=0.25", "cifar10+noise=1"}
