"""The pages of docs/answers say what the data say, can be read in a minute, and are reached in the site."""

import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from conftest import ROOT, docs_script

MAKE = docs_script("make_answers")
PARTS = docs_script("answer_parts")
PLACE = r"-?\d+\.\d+"


@pytest.fixture(scope="module")
def written():
    return {name: MAKE.made(name) for name in MAKE.ANSWERS}


def test_every_page_is_what_its_data_say(written):
    folder = MAKE.FOLDER
    assert {file.stem for file in folder.glob("*.md")} == {file.stem for file in folder.glob("*.svg")} == set(written)
    for name, (text, figure) in written.items():
        assert (folder / f"{name}.md").read_text(encoding="utf-8") == text, f"python docs/make_answers.py {name}"
        ElementTree.fromstring(figure)
        kept = (folder / f"{name}.svg").read_text(encoding="utf-8")
        assert re.sub(PLACE, "#", kept) == re.sub(PLACE, "#", figure), f"python docs/make_answers.py {name}"
        pairs = zip(re.findall(PLACE, kept), re.findall(PLACE, figure), strict=True)
        assert all(abs(float(a) - float(b)) <= 0.15 for a, b in pairs), f"python docs/make_answers.py {name}"


def test_the_answer_is_read_in_a_minute_and_the_rest_follows(written):
    for name, (text, _) in written.items():
        before, figure, after = text.partition(f"]({name}.svg)")
        assert figure, name
        title, answer, *_ = before.split("\n\n")
        assert title.startswith("# "), name
        assert title.endswith("?"), name
        assert len(answer.split()) < 120, (name, len(answer.split()))
        assert len(re.findall(r"[.!?](?= [A-Z*`]|$)", answer)) <= 3, (name, answer)
        sections = re.findall(r"^## (.*)$", after, re.MULTILINE)
        assert sections == ["How it was measured", "Caveats", "Published"], name
        assert after.index("\n|") < after.index("\n## "), f"{name}: no table after the figure"


def test_tables_are_read_back_from_markdown():
    text = "# T\n\nAfter 5:\n\n| a | b |\n|---|---:|\n| x | **0.5** ± 0.1 |\n| y | <u>0.25</u> |\n"
    text += "\n## U\n\n| c |\n|---|\n| - |\n"
    found = PARTS.tables(text)
    assert found == {
        "After 5:": [{"a": "x", "b": "**0.5** ± 0.1"}, {"a": "y", "b": "<u>0.25</u>"}],
        "U": [{"c": "-"}],
    }
    assert [PARTS.plain(row["b"]) for row in PARTS.only(found, "After")] == ["0.5", "0.25"]
    assert PARTS.limits("[-0.0084, 0.0310]") == (-0.0084, 0.031)
    with pytest.raises(SystemExit, match="no table 'V' among After 5:, U"):
        PARTS.only(found, "V")


def test_an_answer_that_is_too_long_is_refused():
    short = PARTS.Answer("Q?", ("word " * 100,), "c", "<svg/>", [], [])
    assert "# Q?" in PARTS.page("q", short)
    with pytest.raises(SystemExit, match="has 121 words"):
        PARTS.page("q", short._replace(answer=("word " * 121,)))


def test_marks_beyond_the_axis_become_arrows():
    axis = PARTS.Axis("difference", (-1, 0, 1))
    figure = PARTS.forest("t", [("p", [PARTS.Mark(0.5, -3, 2), PARTS.Mark(4, 3, 5, 1)])], axis, ("a", "b"))
    root = ElementTree.fromstring(figure)
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert len(circles) == 2 + 1, "two of the key; the second value lies outside"
    across = PARTS.LEFT + 0.75 * (PARTS.WIDTH - PARTS.LEFT - PARTS.RIGHT)
    assert float(circles[-1].get("cx")) == pytest.approx(across, abs=0.1)
    assert figure.count("l7 -4v8z") == 1, "one arrow to the left"
    assert figure.count("l-7 -4v8z") == 2, "two to the right"


PAIRS = docs_script("answer_pairs")


def contrast(verdict, difference=0.01):
    return PAIRS.Contrast(100, difference, difference - 0.01, difference + 0.01, verdict)


def test_what_is_said_of_pairs_follows_the_verdicts():
    found = {
        "a": [contrast("+"), contrast("=")],
        "b": [contrast("-", -0.02)],
        "c": [contrast("?")],
        "d": [contrast("=")],
    }
    said = PAIRS.against_values(found)
    assert "better on a (Kendall's tau +.010 to +.010), worse on b (Kendall's tau -.020 to -.020)" in said
    assert said.endswith("no difference shown on d, too few seeds on c.")
    assert "hardly: tau differs by -.010 to +.010, significantly in favour of pairs in 0 of 1 " in PAIRS.against_ranks(
        {"a": [contrast("=", -0.01), contrast("?")]}
    )
    assert "sometimes: " in PAIRS.against_ranks({"a": [contrast("+", 0.03)]})
    assert PAIRS._sided("+-==?") == "1 (against: 1) of 4"


@pytest.mark.long
def test_make_results_changes_nothing_in_a_clean_clone(tmp_path):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a clone with git would un-skip it")
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(tmp_path / "clone")], check=True)
    command = [sys.executable, "docs/make_results.py", "--check"]
    done = subprocess.run(command, cwd=tmp_path / "clone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("changed: none")
