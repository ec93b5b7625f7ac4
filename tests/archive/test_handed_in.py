"""What CI does with results that were handed in: a good archive passes, a tampered one is refused with the reason."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT
from edits import edit_rows

import smemnas
from smemnas.bench.library.study import plan_of
from smemnas.bench.studies.plan import check_plan
from smemnas.methods.base import METHODS

SCRIPT = ROOT / ".ci" / "archives"
PLUGIN = ROOT / "docs" / "examples" / "my_method.py"


def handed_in(folder, site):
    """Check a folder as CI does."""
    env = {**os.environ, "PYTHON": sys.executable, "SITE": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", str(SCRIPT), str(folder)], env=env, capture_output=True, text=True, check=False)


def better(rows):
    """Let the fourth evaluation of a run be a little better than it was."""
    rows[3]["F"][0] -= 0.5


def test_without_archives_there_is_nothing_to_check(tmp_path):
    done = handed_in(tmp_path, tmp_path / "site")
    assert (done.returncode, done.stdout.strip()) == (0, f"no archives in {tmp_path}: nothing to check")


def test_a_study_of_the_library_knows_the_plugins_that_it_names(monkeypatch, tmp_path):
    METHODS.discover()
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    (tmp_path / "mine.py").write_text(PLUGIN.read_text().replace('"front-climber"', '"mine"'))
    options = smemnas.StudyOptions(methods=("mine",), spaces=("toy",), plugins=(tmp_path / "mine.py",))
    assert [v.method for v in check_plan(plan_of(options)).variants] == ["mine"]


@pytest.mark.long
def test_a_good_archive_passes_and_a_tampered_one_is_refused_with_the_reason(tmp_path):
    folder = tmp_path / "leaderboard"
    folder.mkdir()
    options = {"spaces": ("toy",), "seeds": "0-1", "budget": 20, "figures": False, "plugins": (PLUGIN,)}
    smemnas.study(smemnas.StudyOptions(methods=("random", "front-climber"), out=tmp_path / "s", **options))
    good = smemnas.make_archive([tmp_path / "s"], folder / "good.runs").path
    shutil.copy(PLUGIN, folder / "good.py")
    done = handed_in(folder, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "run again    4 of 4 identical" in done.stdout
    assert (tmp_path / "site" / "index.html").exists()
    shutil.rmtree(tmp_path / "site")
    shutil.copy(PLUGIN, folder / "bad.py")
    edit_rows(next((tmp_path / "s").rglob("front-climber/*/seed-1")), better)
    smemnas.make_archive([tmp_path / "s"], folder / "bad.runs")
    data = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as file:
        at = file.getinfo("runs.json").header_offset + 60
    data[at] ^= 1
    (folder / "flipped.runs").write_bytes(bytes(data))
    done = handed_in(folder, tmp_path / "site")
    assert done.returncode == 1
    assert f"refused: {folder}/bad.runs {folder}/flipped.runs (the reasons stand above)" in done.stderr
    assert "3 of 4 identical" in done.stdout
    assert "DIFFERENT    front-climber on toy/closed-form (error, flops), seed 1: evaluation 3 differs" in done.stdout
    assert not (tmp_path / "site").exists()
    assert "its member runs.json is damaged" in done.stderr
