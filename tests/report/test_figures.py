"""All figures have one set of colours and one way to a file."""

import re

from conftest import ROOT

from smemnas.bench.colours import COLOURS, KINDS, style_rules
from smemnas.bench.report.figure_file import new_figure, save_pair

OKABE_ITO = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}


def test_colours_are_those_that_any_colour_vision_tells_apart():
    assert {colour.lower() for colour in COLOURS} < OKABE_ITO
    assert len(set(COLOURS)) == len(COLOURS) == 6


def test_the_page_takes_them_from_the_same_place():
    rules = dict(re.findall(r"\.([\w-]+) \{ color: ([^;]+); \}", style_rules()))
    assert [rules[f"c{k}"] for k in range(7)] == [*(c.lower() for c in COLOURS), "var(--text)"]
    assert {name: rules[f"k-{name}"] for name in KINDS} == {name: kind.colour.lower() for name, kind in KINDS.items()}
    dashes = dict(re.findall(r"\.k-(\w+) \.series \{ stroke-dasharray: ([\d ]+); \}", style_rules()))
    assert dashes == {"none": "1 5", "skip": "6 4", "pool": "2 3"}
    for asset in (ROOT / "bench/report/page/assets").iterdir():
        found = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}\b", asset.read_text(encoding="utf-8"))}
        assert not found & OKABE_ITO - {"#56b4e9"}, asset.name  # that one frames what has the focus


def test_no_other_module_writes_one_of_them():
    for path in (ROOT / "bench").rglob("*.py"):
        found = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8"))}
        assert path.name == "colours.py" or not found & OKABE_ITO, path


def test_a_pair_of_files_has_the_same_bytes_every_time(tmp_path):
    written = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        figure, [left, right] = new_figure(4.0, 2.0, 2)
        left.plot([1, 2], [3, 4], color=COLOURS[0])
        right.set_xlabel("evaluations")
        files = save_pair(figure, folder, "x", dpi=50)
        assert [file.name for file in files] == ["x.pdf", "x.png"]
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"%PDF-")
    assert b"/Type3" not in written[0][0]
    assert written[0][1].startswith(b"\x89PNG")
    assert int.from_bytes(written[0][1][16:20], "big") == 200
