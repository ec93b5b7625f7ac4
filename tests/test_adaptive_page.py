"""The page of the development of smemnas/adaptive is made from the runs beside it."""

from statistics import fmean

from conftest import docs_script

MAKE = docs_script("make_adaptive")


def test_the_page_is_what_its_runs_say():
    found = MAKE.runs()
    assert (MAKE.FOLDER / "README.md").read_text(encoding="utf-8") == MAKE.page(found)
    assert {setting for setting, _ in found} == MAKE.SETTINGS.keys()
    seeds = [seed for runs in found.values() for seed in runs]
    assert min(seeds) >= 1000
    macro = [v[1] for v in found["smemnas/best", "macro/cifar10"].values()]
    assert f"{fmean(macro):.4f} ± " in MAKE.page(found)
