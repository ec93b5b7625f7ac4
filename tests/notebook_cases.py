"""What tests of the notebooks share: what a notebook prints, and what has to hold of the one that trains."""

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


def run_again(name, folder):
    """The cells of a notebook that is run anew."""
    for module in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(module, reason="needs the extra dev: pip install -e '.[dev]'")
    return MAKE.run(name, folder).cells
