"""What --overwrite and a command given again replace, several commands at once, and a disk that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from output_cases import INTO_FOLDERS, RANK_CALL, RUN_CALL, STUDY_CALL, fill, picture_of
from test_reliability import small_disk

from smemnas.bench.errors import UserError
from smemnas.bench.outputs import REPORT, RUN_FILES, TRAINED_FILES, check_output, claim, has_columns
from smemnas.bench.report.page import page

# ---- --overwrite


def test_overwrite_removes_trainings_and_keeps_retrainings(call, tmp_path, use_embedded):
    out = tmp_path / "out"
    assert call(*RUN_CALL, "--out", out)[0] == 0
    ours = {f"trained/0123456789abcdef/c1-seed0/{name}": "" for name in (*TRAINED_FILES, ".weights.pt.1-ab.part")}
    fill(out, {**ours, "retrain/knee/result.json": "{}", "front.csv.part": ""})
    code, _, error = call(*RUN_CALL, "--seed", 3, "--overwrite", "--out", out)
    assert (code, error) == (0, "")
    assert {p.name for p in out.iterdir()} <= {*RUN_FILES, "retrain"}
    assert (out / "retrain" / "knee" / "result.json").exists()
    assert json.loads((out / "job.json").read_text())["job"]["seed"] == 3


@pytest.mark.parametrize(
    "name", ["notes.md", "figures/a.png", "trained/x/c1-seed0/notes.md", "trained/mine.txt", ".env"]
)
def test_overwrite_refuses_a_run_with_foreign_files_beside_it(call, fails, tmp_path, use_embedded, name):
    out = tmp_path / "out"
    assert call(*RUN_CALL, "--out", out)[0] == 0
    fill(out, {name: "mine", "trained/x/c1-seed0/weights.pt": "ours"})
    before = picture_of(out)
    shown = name if name.startswith("trained") else name.partition("/")[0]
    fails([*RUN_CALL, "--seed", 3, "--overwrite", "--out", out], f"({shown})", "nothing is deleted")
    assert picture_of(out) == before
    assert call(*RUN_CALL, "--out", out)[0] == 0, "the same run goes on beside them"
    assert (out / name).read_text() == "mine"


def test_links_are_removed_and_not_what_they_name(call, tmp_path, use_embedded):
    out = tmp_path / "out"
    assert call(*RUN_CALL, "--out", out)[0] == 0
    (tmp_path / "elsewhere.csv").write_text("mine")
    (out / "front.csv").unlink()
    (out / "front.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert call(*RUN_CALL, "--overwrite", "--out", out)[0] == 0
    assert (tmp_path / "elsewhere.csv").read_text() == "mine"


def test_a_lock_that_is_not_ours_is_not_emptied(fails, tmp_path, use_embedded):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").write_text("mine")
    fails([*RUN_CALL, "--out", tmp_path / "out"], ".lock")
    assert (tmp_path / "out" / ".lock").read_text() == "mine"


def test_what_systems_leave_in_folders_is_no_obstacle(call, tmp_path, use_embedded):
    fill(tmp_path / "out", {".DS_Store": "x", "Thumbs.db": "x"})
    assert call(*RUN_CALL, "--out", tmp_path / "out")[0] == 0
    assert call(*RUN_CALL, "--overwrite", "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / ".DS_Store").read_text() == "x"


# ---- giving a command again


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_a_picture_is_drawn_again(call, fails, tmp_path, use_embedded, ending):
    file = tmp_path / f"a.{ending}"
    arguments = ("show", "#3", "--space", "toy", "--out", file)
    assert call(*arguments)[0] == 0
    first = file.read_bytes()
    assert call(*arguments)[0] == 0
    assert file.read_bytes() == first
    file.write_bytes(b"mine")
    fails(arguments, "was not written by `show`")
    assert file.read_bytes() == b"mine"


def test_reports_studies_and_rankings_are_made_again(call, runs, tmp_path, use_embedded):
    for name in ("report", "study", "rank"):
        arguments = [str(a).format(runs=runs) for a in (*INTO_FOLDERS[name], "--out", tmp_path / name)]
        assert call(*arguments)[0] == 0
        fill(tmp_path / name, {"notes.md": "mine"})
        code, _, error = call(*arguments)
        assert (code, error) == (0, "")
        assert (tmp_path / name / "notes.md").read_text() == "mine"


def test_a_report_that_was_killed_is_made_again(runs, tmp_path):
    page.start_page(tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text()
    assert "This report is being written." in text
    assert "{{" not in text
    fill(tmp_path / "out", {"study.md": "half"})
    claim(tmp_path / "out", REPORT)


def test_an_input_is_no_output(tmp_path):
    file, link = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text("arch,accuracy\n")
    link.symlink_to(file)
    check_output(file, has_columns(["arch", "accuracy"]), "x")
    check_output(tmp_path / "new.csv", has_columns(["arch"]), "x")
    with pytest.raises(UserError, match="is read by this command"):
        check_output(link, has_columns(["arch", "accuracy"]), "x", [file])
    with pytest.raises(UserError, match="was not written by `x`"):
        check_output(file, has_columns(["arch", "accuracy", "images"]), "x")
    with pytest.raises(UserError, match="was not written by `x`"):
        check_output(tmp_path, has_columns(["arch"]), "x")


# ---- a full disk


@pytest.mark.parametrize("command", ["report", "report with figures", "study", "rank", "show", "data export", "run"])
def test_a_disk_that_is_full_while_drawing_or_reporting_is_one_line(call, runs, tmp_path, use_embedded, command):
    disk = tmp_path / "disk"
    calls = {
        "report": ("report", runs, "--no-figures", "--out", disk / "out"),
        "report with figures": ("report", runs, "--out", disk / "out"),
        "study": (*STUDY_CALL, "--out", disk / "out"),
        "rank": (*[a for a in RANK_CALL if a != "--no-figures"], "--out", disk / "out"),
        "show": ("show", "#3", "--space", "toy", "--out", disk / "a.png"),
        "data export": ("data", "export", "nb201/analog", disk / "a.csv"),
        "run": (*RUN_CALL, "--out", disk / "out"),
    }
    size = {"report": 16, "report with figures": 100, "study": 56, "rank": 40, "run": 24}.get(command, 8)
    with small_disk(disk, size):
        code, _, error = call(*calls[command])
        lines = [line for line in error.splitlines() if not line.startswith("note:")]
        assert code == 1, error
        assert len(lines) == 1, error
        assert lines[0].startswith("error: cannot write"), error
        assert "the disk is full" in error
        assert not [p for p in disk.rglob("*") if p.name.endswith(".part")]


# ---- tables


IMPORT = ("data", "import", "{csv}", "--space", "macro", "--name", "mine", "--accuracy", "acc:single")


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    csv = tmp_path / "mine.csv"
    csv.write_text("arch,acc\n" + "".join(f"{k:08d},9{k % 2}.5\n" for k in (0, 1, 10, 11, 12, 20, 21)))
    return csv


def test_import_replaces_a_table_and_nothing_else(call, fails, table, tmp_path):
    arguments = [str(a).format(csv=table) for a in IMPORT]
    assert call(*arguments)[0] == 0
    assert call(*arguments, "--overwrite")[0] == 0
    place = tmp_path / "data" / "tables" / "macro" / "mine"
    (place / "thesis.tex").write_text("years of work")
    before = picture_of(place)
    fails([*arguments, "--overwrite"], "thesis.tex")
    assert picture_of(place) == before


def test_several_imports_at_once(call, table, tmp_path):
    arguments = [str(a).format(csv=table) for a in (*IMPORT, "--overwrite")]
    env = {**os.environ, "SMEMNAS_DATA": str(tmp_path / "data")}
    processes = [
        subprocess.Popen([sys.executable, str(ROOT / "cli.py"), *arguments], env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [p.communicate(timeout=240)[1] for p in processes]
    assert errors == [""] * 4
    assert [p.name for p in (tmp_path / "data" / "tables" / "macro").iterdir()] == ["mine"]
    assert call("data", "verify", "macro-mine")[0] == 0 or call("data", "verify", "macro/mine")[0] == 0


def test_several_reports_and_exports_at_once(runs, tmp_path, embedded):
    env = {**os.environ, "SMEMNAS_DATA": str(embedded)}
    commands = [
        *[["report", runs, "--out", tmp_path / "report", "--no-figures", "--quiet"]] * 3,
        *[["data", "export", "nb201/analog", tmp_path / "a.csv"]] * 3,
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)], env=env, stderr=subprocess.PIPE, text=True
        )
        for arguments in commands
    ]
    errors = [p.communicate(timeout=240)[1] for p in processes]
    assert errors == [""] * 6
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]
    assert (tmp_path / "report" / "index.html").read_text().rstrip().endswith("</html>")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 15_626
