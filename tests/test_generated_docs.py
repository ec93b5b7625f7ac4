"""Pictures of the concepts and the page of licences are made from what is there."""

import importlib.metadata
import re
from xml.etree import ElementTree

import pytest
from conftest import ROOT, docs_script
from scipy.stats import kendalltau


@pytest.fixture(scope="module")
def concepts():
    return docs_script("make_concepts")


@pytest.fixture(scope="module")
def licences():
    return docs_script("make_licences")


def test_the_pictures_are_those_of_the_data(concepts):
    """Places are rounded to tenths of a pixel; another processor may round one of them to the neighbour."""
    assert {file.stem for file in concepts.FOLDER.glob("*.svg")} == set(concepts.PICTURES)
    for name, make in concepts.PICTURES.items():
        kept = (concepts.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        made = make()
        ElementTree.fromstring(made)
        number = r"-?\d+\.\d+"
        assert re.sub(number, "#", made) == re.sub(number, "#", kept), f"python docs/make_concepts.py: {name}"
        pairs = zip(re.findall(number, made), re.findall(number, kept), strict=True)
        assert all(abs(float(a) - float(b)) <= 0.15 for a, b in pairs), f"python docs/make_concepts.py: {name}"


def test_what_the_page_says_of_splits(concepts):
    table = concepts.benchmark().table
    val, test = (table.column(name)[:] for name in ("val_error", "test_error"))
    best = val.argsort(kind="stable")[:200]
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    whole, near = kendalltau(val, test).statistic, kendalltau(val[best], test[best]).statistic
    assert f"(Kendall tau {whole:.2f})".replace("0.", ".") in text
    assert f"({near:.2f}):".replace("0.", ".") in text
    assert f"the second best is {(test < test[best[1]]).sum() + 1}th by test" in text


def test_every_concept_has_one_picture(concepts):
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    titles = [title.lower() for title in re.findall(r"^## (\w+)$", text, re.MULTILINE)]
    assert re.findall(r"\(concepts/(\w+)\.svg\)", text) == titles == list(concepts.PICTURES)
    for section in text.split("\n## ")[1:]:
        assert len(section.split()) < 110


def test_the_page_of_licences_is_current(licences):
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "python docs/make_licences.py"
    named = {name for names in licences.requirements().values() for name in names}
    assert named == set(licences.LICENCES)
    assert "| moocore | LGPL-2.1-or-later | core |" in licences.page()


def declared(name):
    """What an installed package says of its own licence, as one text."""
    data = importlib.metadata.metadata(name)
    classes = [c for c in data.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([data.get("License-Expression") or "", (data.get("License") or "")[:400], *classes])


WORDS = {
    "LGPL": "LGPL", "MPL-2.0": "MPL", "Apache-2.0": "Apache", "BSD-3-Clause": "BSD", "BSD-2-Clause": "BSD",
    "MIT": "MIT", "ISC": "ISC", "PSF": "matplotlib|Python Software Foundation",
}  # fmt: skip


def test_what_is_written_down_is_what_packages_declare(licences):
    checked = 0
    for name, licence in licences.LICENCES.items():
        try:
            text = declared(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if licence == "none declared":
            assert not text.strip(), name
            continue
        word = next(words for start, words in WORDS.items() if licence.startswith(start))
        if text.strip():
            assert re.search(word, text) or ("Copyright" in text and "BSD" in word), f"{name}: {licence} but {text}"
        strong = re.search(r"\b(A?GPL|LGPL|General Public)", text)
        assert not strong or licence.startswith("LGPL"), f"{name}: {text}"
        checked += 1
    assert checked >= 18
