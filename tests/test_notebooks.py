"""The notebooks of docs/notebooks are those of docs/make_notebooks.py, hold their pictures, and run."""

import json
import re
import sys
import warnings

import pytest
from conftest import docs_script

from smemnas.bench import display
from smemnas.bench.display import no_foreign_bars

MAKE = docs_script("make_notebooks")
#: Notebooks that train.
TRAINED = ("images-to-network",)
KEPT = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(MAKE.FOLDER.glob("*.ipynb"))}


def printed(cells):
    """What the cells of a notebook print and show as words, one text for each output."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = [o["text"] if o["output_type"] == "stream" else o["data"].get("text/plain", "") for o in outputs]
    joined = ["".join(text) for text in texts]
    return [re.sub(r"0x[0-9a-f]+|\d+x\d+", "#", text) for text in joined]


def without_numbers(texts):
    """Texts whose numbers come from trainings: processors round differently, and each step enlarges that."""
    return [re.sub(r"[\d.]+", "#", text) for text in texts]


def check_trained(cells):
    """What has to hold of the second notebook wherever it is run."""
    text = "\n".join(printed(cells))
    names = re.search(r"classes, in the order of the outputs: (.*)", text)[1].split()
    assert names == ["eight", "five", "four", "nine", "one", "seven", "six", "three", "two", "zero"]  # its folders
    share, images = map(int, re.search(r"(\d+)% of (\d+) test images are named rightly", text).groups())
    assert images == 359  # a fifth of each class of 1,797 digits
    assert share >= 90
    row = r"^{}, ([\d.]+) M MAdds\n +as inherited +(\d+) % .*\n +after training +(\d+) %"
    found, near = (
        [float(value) for value in re.search(row.format(who), text, re.MULTILINE).groups()]
        for who in ("found by SMEM-NAS", "random, near in cost")
    )
    assert found[2] == pytest.approx(share, abs=0.01)  # onnxruntime says what the final training said
    assert 0.6 < near[0] / found[0] < 1.4
    chance = 100 / len(names)
    assert min(found[1:] + near[1:]) > 3 * chance


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
    study = docs_script("answer_methods").Study("in-the-box")
    assert {p: float(r) for p, r in rows.items()} == pytest.approx(
        {p: study.regret(p, "nsga2") for p in study.problems}, abs=0.0005
    )


def test_the_second_notebook_ends_in_a_network_that_is_right():
    check_trained(KEPT["images-to-network"]["cells"])


@pytest.mark.long
@pytest.mark.parametrize("name", MAKE.NOTEBOOKS)
def test_a_notebook_runs_and_prints_the_same(name, use_embedded, tmp_path):
    for module in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(module, reason="needs the extra dev: pip install -e '.[dev]'")
    if name in TRAINED:
        for module in ("torch", "timm", "onnxruntime"):
            pytest.importorskip(module, reason="needs the extra 'train': pip install -e '.[train]'")
    cells = MAKE.run(name, tmp_path).cells
    if name in TRAINED:
        check_trained(cells)
        assert without_numbers(printed(cells)) == without_numbers(printed(KEPT[name]["cells"]))
    else:
        assert printed(cells) == printed(KEPT[name]["cells"])


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
