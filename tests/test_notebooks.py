"""The notebooks of docs/notebooks are those of docs/make_notebooks.py, hold their pictures, and run."""

import json
import re
import sys
import warnings

import pytest
from conftest import docs_script
from notebook_cases import KEPT, MAKE, check_trained, printed, run_again

from smemnas.bench import display
from smemnas.bench.display import no_foreign_bars


def test_every_notebook_has_its_cells_and_shows_pictures():
    assert set(KEPT) == set(MAKE.NOTEBOOKS)
    for name, book in KEPT.items():
        assert ["".join(cell["source"]) for cell in book["cells"]] == list(MAKE.NOTEBOOKS[name]), (
            f"python docs/make_notebooks.py {name}"
        )
        kinds = {cell["cell_type"] for cell in book["cells"]}
        assert kinds == {"code", "markdown"}
        for text in MAKE.NOTEBOOKS[name]:
            if isinstance(text, MAKE.Code):
                compile(text, name, "exec")
        outputs = [o for cell in book["cells"] for o in cell.get("outputs", [])]
        assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
        assert not re.findall(
            r"(?<![\w.])/(?:tmp|home|root|usr|var|work|Users|private|opt)\b[^\"]*", json.dumps(outputs)
        )
        assert sum(len(o.get("data", {}).get("image/png", "")) > 5000 for o in outputs) >= 2


def test_the_first_notebook_tells_what_the_archive_tells():
    [text] = [t for t in printed(KEPT["first-search"]["cells"]) if "front-climber  regret" in t]
    rows = dict(re.findall(r"^(\S+) +nsga2 +regret (\S+)$", text, re.MULTILINE))
    study = docs_script("study_rows").Study("in-the-box")
    assert {p: float(r) for p, r in rows.items()} == pytest.approx(
        {p: study.regret(p, "nsga2") for p in study.problems}, abs=0.0005
    )


def test_the_second_notebook_ends_in_a_network_that_is_right():
    check_trained(KEPT["images-to-network"]["cells"])


@pytest.mark.slow
def test_the_first_notebook_runs_and_prints_the_same(use_embedded, tmp_path):
    assert printed(run_again("first-search", tmp_path)) == printed(KEPT["first-search"]["cells"])


def test_a_kernel_without_ipywidgets_is_not_told_so(tmp_path, monkeypatch):
    """What timm imports has bars of its own for notebooks, and warns with a path where these cannot be shown."""
    package = tmp_path / "tqdm"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "auto.py").write_text("import warnings\nwarnings.warn('IProgress not found. Please update jupyter')\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        no_foreign_bars()
        assert "tqdm.auto" not in sys.modules  # nothing is loaded where there is no notebook
        monkeypatch.setattr(display, "in_notebook", lambda: True)
        no_foreign_bars()
    assert "tqdm.auto" in sys.modules
    assert not told
    for name in ("tqdm", "tqdm.auto"):
        del sys.modules[name]
