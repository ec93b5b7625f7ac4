"""docs/tuning.md says what its settings and runs are, and the tuned presets are what its rule chooses."""

from collections import Counter

import pytest
from conftest import docs_script

from smemnas.bench.studies.plan_file import read_plan
from smemnas.methods.base import METHODS
from smemnas.methods.tracks import track_of


@pytest.fixture(scope="module")
def script():
    return docs_script("make_tuning")


def test_the_page_is_made_from_the_runs(script):
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "python docs/make_tuning.py"


@pytest.mark.parametrize("name", ["settings.toml", "settings-slow.toml"])
def test_every_method_has_six_settings_and_the_default_first(script, name):
    plan = read_plan(script.FOLDER / name)
    assert set(Counter(v.method for v in plan.variants).values()) == {6}
    assert plan.seeds == script.SEEDS
    assert plan.budget == 100
    assert [(f"{c.space}/{c.dataset}", c.reference) for c in plan.cases] == [(p, "within-5") for p in script.PROBLEMS]
    for method, six in script.settings(name).items():
        assert six[0].params == {}
        assert len({str(s.params) for s in six}) == 6
        for setting in six:
            METHODS.get(method).resolve(setting.params)
        if "encoding" in METHODS.get(method).parameters():  # tried with a neutral one and with an expert's
            assert {track_of(method, s.params) == "expert" for s in six} == {True, False}


def test_the_rule_by_hand(script, monkeypatch):
    """Against the default .2 and .1: ratios .5 and 1.2 mean .85, 1 and .8 mean .9; ties go to the first."""
    six = [script.Setting(f"m {k}", "m", {"k": k} if k else {}) for k in range(3)]
    regrets = {"nb201/cifar10": (0.2, 0.1, 0.2), "mnv3/ofa": (0.1, 0.12, 0.08)}
    made = {
        (s.name, place): dict.fromkeys(script.SEEDS, (values[k], 1.0))
        for place, values in regrets.items()
        for k, s in enumerate(six)
    }
    monkeypatch.setattr(script, "runs", lambda: made)
    found = script.rows(six)
    assert [row.ratio for row in found] == pytest.approx([1.0, 0.85, 0.9])
    assert [row.chosen for row in found] == [False, True, False]
    del made["m 2", "mnv3/ofa"][1003]  # a seed that one setting lacks counts for none
    assert script.rows(six)[0].runs == (8, 7)


def test_tuned_presets_are_the_chosen_settings(script):
    chosen = {f"{method}/tuned": params for method, params in script.chosen().items()}
    assert {entry.name: dict(entry.params) for entry in METHODS if entry.name.endswith("/tuned")} == chosen
