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
METHODS = docs_script("answer_methods")
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
        assert sections[-3:] == ["How it was measured", "Caveats", "Published"], name
        assert after.index("\n|") < after.index("\n## "), f"{name}: no table after the figure"


def test_the_table_of_the_readme_is_that_of_the_study():
    text = MAKE.README.read_text(encoding="utf-8")
    assert MAKE.readme(text) == text, "python docs/make_answers.py"
    study = METHODS.newest()
    for name in ("random", study.best(study.problems[0])):
        [row] = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        _, _, told, *cells = row.split("|")
        assert told.strip() == study.track(name)
        shown = [float(cell.strip(" *")) for cell in cells[:-1]]
        assert shown == pytest.approx([study.regret(p, name) for p in study.problems], abs=0.0005)


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


def study(tmp_path, monkeypatch, name, rows, tracks=()):
    """Write a study.csv; rows of (dataset, method, evaluations, regret, low, mark)."""
    head = "space,dataset,objectives,method,evaluations,n,regret,regret_low,regret_high,mark,track"
    told = dict(tracks)
    lines = [
        f"nb201,{d},error+flops,{m},{at},11,{r},{low},{r},{mark},{told.get(m, '')}" for d, m, at, r, low, mark in rows
    ]
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "study.csv").write_text("\n".join([head, *lines]) + "\n")
    (tmp_path / name / "study.md").write_text("# Study\n")
    monkeypatch.setattr("study_rows.RESULTS", tmp_path)  # as other pages import it
    return METHODS.Study(name)


def test_labels_of_a_picture_lie_on_it(written):
    """A label ends at its x; to the left of that its letters have room."""
    for name, (_, figure) in written.items():
        labels = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">([^<]+)<', figure)
        assert labels, name
        assert [text for x, text in labels if 6.9 * len(text) > float(x)] == [], name


def test_which_method_where_is_said_as_the_marks_have_it(tmp_path, monkeypatch):
    rows = [
        ("a", "smemnas", 50, 0.9, 0.8, "best"), ("a", "smemnas", 100, 0.1, 0.05, "best"),
        ("a", "nsga2", 100, 0.3, 0.2, ""), ("a", "random", 100, 0.4, 0.3, ""),
        ("b", "nsga2", 100, 0.2, 0.1, "equal"), ("b", "smemnas", 100, 0.1, 0.05, "best"),
        ("b", "random", 100, 0.5, 0.4, ""),
        ("c", "random", 100, 0.5, 0.4, "unknown"), ("c", "smemnas", 100, 0.3, 0.05, "equal"),
        ("c", "nsga2", 100, 0.01, -0.01, "best"),
    ]  # fmt: skip
    found = study(tmp_path, monkeypatch, "adaptive", rows)
    assert (found.at, found.seeds, found.problems) == (100, 11, ["nb201/a", "nb201/b", "nb201/c"])
    assert found.methods == ["smemnas", "nsga2", "random"]
    first = METHODS.first_sentence(found)
    assert first.endswith("is that of `smemnas` on nb201/a and nb201/b and `nsga2` on nb201/c.")
    second = METHODS.second_sentence(found)
    assert second == (
        "It is told from every other method on nb201/a; on nb201/b and nb201/c these runs do not tell it from one or "
        "more of `nsga2` and `random`."
    )
    third = METHODS.third_sentence(found)
    assert third.endswith("has 2.0 to 3.0 times that regret (where that is near zero: nb201/c 0.010 against 0.010).")
    assert "| nb201/c | `nsga2` | `smemnas` (too few runs: `random`) | `nsga2` |" in "\n".join(
        METHODS.lines_of_table(found)
    )


def test_what_is_told_no_more_is_compared(tmp_path, monkeypatch):
    tracks = {"smemnas": "expert", "smemnas/b": "black-box", "msunas": "grey-box", "nsga2": "black-box"}
    regrets = {"smemnas": 0.1, "msunas": 0.2, "nsga2": 0.3, "smemnas/b": 0.6}
    rows = [("a", m, 100, r, 0.05, "") for m, r in regrets.items()]
    found = study(tmp_path, monkeypatch, "adaptive", rows, tracks)
    assert found.told_no_more("nb201/a", "black-box") == ("smemnas/b", "nsga2")
    assert found.told_no_more("nb201/a", "grey-box") == ("smemnas/b", "msunas")
    assert found.told_no_more("nb201/a", "expert") == ("smemnas", "msunas")
    assert METHODS.third_sentence(found).endswith(
        "has 2.0 to 2.0 times that regret; told genes and values alone, the best of ours has 2.0 to 2.0 times the best "
        "other's."
    )
    assert (
        "| nb201/a | `smemnas/b` 0.6000, `nsga2` 0.3000 | `smemnas/b` 0.6000, `msunas` 0.2000 | "
        "`smemnas` 0.1000, `msunas` 0.2000 |"
    ) in METHODS.by_what_is_told(found)
    lucky = [("b", m, 100, 0.01 if m == "nsga2" else r - 0.7, -0.1, "") for m, r in regrets.items()]
    assert METHODS.third_sentence(study(tmp_path, monkeypatch, "adaptive", [*rows, *lucky], tracks)).endswith(
        "has 2.0 to 2.0 times the best other's (nb201/b -0.100 against 0.010)."
    )  # a mean that is beaten by luck is below zero: no ratio
    assert METHODS.by_what_is_told(study(tmp_path, monkeypatch, "adaptive", rows)) == []


def test_whether_an_order_survives_noise_and_draws(tmp_path, monkeypatch):
    names = ("smemnas", "nsga2", "mo-rea", "random")
    rows = [("a", m, 100, 0.1 * (k + 1), 0.01, "") for k, m in enumerate(names)]
    found = study(tmp_path, monkeypatch, "adaptive", rows)
    assert METHODS.under_noise(found) == METHODS.on_draws(found) == []
    swapped = [(f"a+noise=.2{k}", m, 100, r, 0.01, "") for k in (1, 2) for m, r in zip(names, (0.2, 0.1, 0.3, 0.4))]
    study(tmp_path, monkeypatch, "noise", swapped)
    study(tmp_path, monkeypatch, "draws", [("a+draw=1", m, 100, r, 0.01, "") for m, r in zip(names, (1, 2, 3, 4))])
    noise, draws = "\n".join(METHODS.under_noise(found)), "\n".join(METHODS.on_draws(found))
    assert "stays in 0 of 2 cases" in noise
    assert "between +0.67 and +0.67" in noise, "one of six pairs is turned round: (5 - 1) / 6"
    assert "| nb201/a+noise=.21 | `smemnas` | `nsga2` | `nsga2` | 4 | +0.67 |" in noise
    assert "stays in 1 of 1 cases" in draws
    assert "| nb201/a+draw=1 | `smemnas` | `smemnas` | `smemnas` | 4 | +1.00 |" in draws


def test_an_order_is_compared_after_as_many_evaluations_and_who_is_missing_is_said(tmp_path, monkeypatch):
    names = ("smemnas/best", "smemnas", "nsga2", "random")
    early = [("a", m, 100, r, 0.01, "") for m, r in zip(names, (0.1, 0.2, 0.3, 0.4), strict=True)]
    late = [("a", m, 340, r, 0.01, "") for m, r in zip(names, (0.05, 0.02, 0.06, 0.3), strict=True)]
    rows = [*early, *late, ("a", "smemnas/new", 100, 0.05, 0.01, ""), ("a", "smemnas/new", 340, 0.01, 0.01, "")]
    found = study(tmp_path, monkeypatch, "main", rows)
    assert (found.at, found.earlier(100).at, found.earlier(50).at) == (340, 100, 340)
    study(tmp_path, monkeypatch, "noise", [(f"{d}+noise=1", *row) for d, *row in early])
    text = "\n".join(METHODS.under_noise(found))
    assert "stays in 1 of 1 cases" in text
    assert "between +1.00 and +1.00" in text
    assert "against [main](../results/main/study.md) after 100)" in text
    assert "Not run there, though first before: `smemnas/new`; of them this says nothing." in text


def test_test_values_stand_beside_what_was_searched(tmp_path, monkeypatch):
    rows = [("a", m, 100, r, 0.01, "") for m, r in (("smemnas", 0.1), ("nsga2", 0.2), ("random", 0.4))]
    found = study(tmp_path, monkeypatch, "main", rows)
    assert METHODS.on_test(found) == ""
    for method, tested in (("smemnas", "0.3"), ("nsga2", "0.35"), ("random", "0.25")):
        found._rows["nb201/a", method] |= {"reported_regret": tested, "reported_floor": "0.2"}
    assert METHODS.on_test(found).endswith(
        "nb201/a `smemnas` 0.300, the best that is not ours, `random`, 0.250, the validation front of the whole table "
        "0.200."
    )


def test_what_the_record_of_the_inherited_run_says():
    script = docs_script("answer_inherited")
    count, taus = script.survival()
    assert count == 14
    assert [tau[1:] for tau in taus] == [(0.01, -0.41, 0.47), (0.19, -0.28, 0.59), (-0.16, -0.61, 0.35)]
    assert [tau.images for tau in taus] == ["3,000 images outside the training set", "held-out", "test images"]
    mark = script.spread(76.0, 2000)
    assert (mark.low, mark.high) == pytest.approx((74.08, 77.82), abs=0.01)
    assert script.both_ways() == [(75.9, 63.8), (76.3, 64.9)]


def test_equal_is_what_lies_within_the_margin_as_a_whole():
    script = docs_script("answer_populations")
    rows = {
        name: {"difference_low": str(low), "difference_high": str(high)}
        for name, low, high in (("a", -0.004, 0.009), ("b", -0.011, 0.001), ("c", 0.001, 0.02))
    }
    assert script.within(rows) == ["a"]
    assert script.within(rows, 0.03) == ["a", "b", "c"]


@pytest.mark.long
def test_make_results_changes_nothing_in_a_clean_clone(tmp_path):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a clone with git would un-skip it")
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(tmp_path / "clone")], check=True)
    command = [sys.executable, "docs/make_results.py", "--check"]
    done = subprocess.run(command, cwd=tmp_path / "clone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("changed: none")
