"""The notebooks of docs/notebooks are those of docs/make_notebooks.py, hold their pictures, and run."""

import json
import re

import pytest
from conftest import docs_script

MAKE = docs_script("make_notebooks")
KEPT = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(MAKE.FOLDER.glob("*.ipynb"))}


def printed(cells):
    """What the cells of a notebook print and show as words, one text for each output."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = [o["text"] if o["output_type"] == "stream" else o["data"].get("text/plain", "") for o in outputs]
    joined = ["".join(text) for text in texts]
    return [re.sub(r"0x[0-9a-f]+|\d+x\d+", "#", text) for text in joined]


def test_every_notebook_has_its_cells_and_shows_pictures():
    assert set(KEPT) == set(MAKE.NOTEBOOKS)
    for name, book in KEPT.items():
        assert ["".join(cell["source"]) for cell in book["cells"]] == list(MAKE.NOTEBOOKS[name]), (
            f"python docs/make_notebooks.py {name}"
        )
        kinds = {cell["cell_type"] for cell in book["cells"]}
        assert kinds == {"code", "markdown"}
        for text in MAKE.NOTEBOOKS[name]:
            if MAKE.is_code(text):
                compile(text, name, "exec")
        outputs = [o for cell in book["cells"] for o in cell.get("outputs", [])]
        assert not [o for o in outputs if o["output_type"] == "error"]
        assert sum(len(o.get("data", {}).get("image/png", "")) > 5000 for o in outputs) >= 2


def test_the_first_notebook_tells_what_the_archive_tells():
    [text] = [t for t in printed(KEPT["first-search"]["cells"]) if "front-climber  regret" in t]
    rows = dict(re.findall(r"^(\S+) +nsga2 +regret (\S+)$", text, re.MULTILINE))
    study = docs_script("answer_methods").Study("in-the-box")
    assert {p: float(r) for p, r in rows.items()} == pytest.approx(
        {p: study.regret(p, "nsga2") for p in study.problems}, abs=0.0005
    )


@pytest.mark.long
@pytest.mark.parametrize("name", MAKE.NOTEBOOKS)
def test_a_notebook_runs_and_prints_the_same(name, use_embedded, tmp_path):
    for module in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(module, reason="needs the extra dev: pip install -e '.[dev]'")
    book = MAKE.run(name, tmp_path)
    assert printed(book.cells) == printed(KEPT[name]["cells"])
