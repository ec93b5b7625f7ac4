"""The pages of how presets were chosen are made from the runs beside them."""

from statistics import fmean

import pytest
from conftest import docs_script

MAKE = docs_script("make_adaptive")


@pytest.mark.parametrize("development", [MAKE.ADAPTIVE, MAKE.ALTERNATING], ids=lambda each: each.folder)
def test_the_page_is_what_its_runs_say(development):
    found = MAKE.runs(development)
    page = (MAKE.RESULTS / development.folder / "README.md").read_text(encoding="utf-8")
    assert page == MAKE.page(development, found)
    assert {setting for setting, _ in found} == development.settings.keys()
    seeds = [seed for runs in found.values() for seed in runs]
    assert min(seeds) >= 1000
    for (setting, problem), runs in found.items():
        if len(runs) > 1:
            assert f"{fmean(v[1] for v in runs.values()):.4f} ± " in page, (setting, problem)
