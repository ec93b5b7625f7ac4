"""Where the parameters of SMEM-NAS are from: every one has an origin, shown by the command and in docs/paper.md."""

import re

import pytest
from conftest import docs_script

from smemnas.methods.base import METHODS
from smemnas.methods.origins import ANCESTOR, OURS, PUBLISHED, SIBLING, SMEMNAS_ORIGINS, SOURCES


@pytest.fixture(scope="module")
def script():
    return docs_script("make_paper")


def test_every_parameter_has_an_origin_and_no_other():
    assert list(SMEMNAS_ORIGINS) == list(METHODS.get("smemnas").parameters())
    for origin in SMEMNAS_ORIGINS.values():
        assert {origin.parameter, *origin.settings.values()} <= set(SOURCES)
        assert origin.note


def test_a_setting_has_a_source_of_its_own():
    """N = 100 is the ancestor's, 20 is ours; that N random ones are evaluated at all is published."""
    initial = SMEMNAS_ORIGINS["initial"]
    assert (initial.parameter, initial.of(100), initial.of(20)) == (PUBLISHED, ANCESTOR, OURS)
    assert SMEMNAS_ORIGINS["main_share"].of(0.25) == SIBLING
    assert SMEMNAS_ORIGINS["surrogate_params"].of({"opponents": "set"}) == SIBLING
    assert SMEMNAS_ORIGINS["surrogate"].of("kernel_pairwise") == OURS


def test_the_presets_of_the_paper_have_all_pairs_and_n_and_k():
    for name, n, k in (("smemnas/paper-100-8", 100, 8), ("smemnas/paper-20-4", 20, 4)):
        params = METHODS.get(name).params
        assert (params["initial"], params["batch"], params["surrogate"]) == (n, k, "kernel_svm_pairwise")
        assert "max_pairs" not in params["surrogate_params"]
    old = METHODS.get("smemnas/paper")
    assert old.params["surrogate_params"] == {"combine": "concat", "max_pairs": 2000}
    assert "as published" not in old.summary


def test_the_page_says_what_the_data_say(script):
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, "python docs/make_paper.py"
    assert "| `initial` | published | `20` | ours |" in text
    assert re.search(r"\| `initial` \| 100 \(ancestor\) \| 20 \(ours\) \| 100 \(ancestor\) \|", text)


def test_the_command_shows_parameters_with_their_sources(call):
    code, out, _ = call("list", "methods", "smemnas/paper")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ")}
    assert code == 0
    assert set(rows) == set(SMEMNAS_ORIGINS)
    assert rows["initial"][1:4] == ["100", "published", "ancestor"]
    assert rows["crossover_rate"][1:4] == ["0.9", "ancestor", "ancestor"]
    code, out, _ = call("list", "surrogates", "kernel_svm_pairwise_2000")
    assert code == 0
    assert re.search(r"max_pairs +2000\n", out)
    code, _, text = call("list", "spaces", "nb201")
    assert code == 2
    assert "spaces have no parameters to show: give list methods NAME or list surrogates NAME." in text
