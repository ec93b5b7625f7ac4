"""Nothing that the suite did not write is ever removed, replaced or added to, whatever --out and --overwrite name."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from test_reliability import small_disk

from bench import folder as run_folder
from bench import study
from bench.errors import RunError, UserError
from bench.outputs import (
    EXPORT,
    KINDS,
    RANKING,
    REPORT,
    RETRAINING,
    RUN,
    RUN_FILES,
    STUDY,
    SUPERNET,
    TRAINED,
    TRAINED_FILES,
    check_output,
    claim,
    files_of_a_run,
    has_columns,
)
from bench.ranking import study as ranking_study
from bench.report import page

FOREIGN = {
    "thesis.tex": "years of work",
    "src/a.py": "print()",
    ".git/HEAD": "ref: refs/heads/main",
    "notes.md": "# notes",
    "data.csv": "arch,val_acc\n1,2\n",
    "model.pt": "weights",
    "picture.svg": "<svg/>",
    "index.html": "<html>my page</html>",
    "study.csv": "mine",
    "config.json": '{"architectures": ["mine"]}',
    "model.safetensors": "weights",
    "metrics.jsonl": "{}",
    "trained/notes/a-seed1/result.txt": "mine",
}
ARCH = "r32-3333-3333-3333-3333-3333"
RUN_CALL = ("run", "--method", "random", "--space", "toy", "--budget", 5, "--quiet")
STUDY_CALL = ("study", "--methods", "random", "--spaces", "toy", "--seeds", "0", "--budget", 5, "--jobs", 1, "--quiet")
RANK_CALL = (
    *("rank", "--space", "toy", "--surrogates", "random", "--n-train", 20, "--n-test", 30, "--seeds", 1, "--jobs", 1),
    *("--no-figures", "--quiet"),
)
#: Commands that write into a folder or a file; {runs} is a folder of finished runs.
INTO_FOLDERS = {
    "run": RUN_CALL,
    "run --overwrite": (*RUN_CALL, "--overwrite"),
    "study": STUDY_CALL,
    "rank": RANK_CALL,
    "report": ("report", "{runs}", "--no-figures"),
    "supernet train": ("supernet", "train", "--data", "digits", "--epochs", 1),
    "retrain": ("retrain", "--arch", ARCH, "--data", "digits", "--preset", "small"),
    "export": ("export", "model.pt", ARCH, "--as-is"),
}
TRAINING = ("supernet train", "retrain", "export", "supernet eval")
TO_FILES = {
    "show": (("show", "#0", "--space", "toy", "--out"), "picture.svg"),
    "supernet eval": (("supernet", "eval", "model.pt", "--out"), "model.pt"),
    "supernet eval, another file": (("supernet", "eval", "model.pt", "--out"), "data.csv"),
    "supernet eval, its list": (("supernet", "eval", "model.pt", "--from", "notes.md", "--out"), "notes.md"),
    "data export": (("data", "export", "nb201/analog"), "data.csv"),
}


def need(command):
    if command.startswith(TRAINING):
        pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")


def fill(folder, files=FOREIGN):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def picture_of(folder):
    """Return everything in a folder: names, kinds, contents, times."""
    return {
        p.relative_to(folder).as_posix(): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None)
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from bench.run import make_job, run

    place = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        job, benchmark = make_job("random", "toy", budget=10, seed=seed)
        run(job, place / f"seed-{seed}", benchmark=benchmark)
    return place


@pytest.fixture
def mine(tmp_path, monkeypatch, use_embedded):
    folder = tmp_path / "mine"
    fill(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("job", [None, '{"name": "my job of another program"}'])
@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_a_folder_with_foreign_files_is_left_as_it_is(mine, runs, fails, command, job):
    need(command)
    if job is not None and command.startswith("run"):
        (mine / "job.json").write_text(job)
    before = picture_of(mine)
    arguments = [str(a).format(runs=runs) for a in INTO_FOLDERS[command]]
    for out in (".", str(mine), "src/.."):
        fails([*arguments, "--out", out])
        assert picture_of(mine) == before
    fails([*arguments, "--out", "thesis.tex"])
    assert picture_of(mine) == before


@pytest.mark.parametrize("command", TO_FILES)
def test_a_foreign_file_is_left_as_it_is(mine, fails, command):
    need(command)
    arguments, file = TO_FILES[command]
    before = picture_of(mine)
    fails([*arguments, file], file)
    assert picture_of(mine) == before


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_the_error_names_what_is_there(mine, runs, fails, command):
    need(command)
    arguments = [str(a).format(runs=runs) for a in INTO_FOLDERS[command]]
    fails([*arguments, "--out", "."], ".git", "config.json", "another --out" if "job" in arguments else "--out")


MARKS = {
    "run": (RUN, {"job.json": '{\n "job": {}}', "evals.jsonl": ""}),
    "study": (STUDY, {"plans.json": "[]", "study.csv": "", "toy/a/job.json": "{}"}),
    "rank": (RANKING, {"ranking.json": '{"plan": {}}', "ranking.jsonl": '{"key": 1}\n', "trials.csv": ""}),
    "report": (REPORT, {"index.html": page._asset("page.html"), "study.md": ""}),
    "retrain": (RETRAINING, {"result.json": '{"format": "smemnas-retraining"}', "weights.pt": "", "metrics.jsonl": ""}),
    "supernet train": (SUPERNET, {"checkpoint.pt": "", "metrics.jsonl": ""}),
    "export": (EXPORT, {"config.json": '{"architecture": "a", "timm": {}}', "model.safetensors": ""}),
}


@pytest.mark.parametrize("owner", MARKS)
@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_the_folder_of_another_command_is_refused(tmp_path, monkeypatch, use_embedded, runs, fails, command, owner):
    need(command)
    if command.startswith(owner) or {command, owner} == {"retrain", "supernet train"}:
        pytest.skip("its own folder, or one whose checkpoint tells them apart: tests/train/ try that")
    theirs = tmp_path / "theirs"
    fill(theirs, MARKS[owner][1])
    before = picture_of(theirs)
    monkeypatch.chdir(tmp_path)
    fails([str(a).format(runs=runs) for a in (*INTO_FOLDERS[command], "--out", theirs)], "choose", "--out")
    assert picture_of(theirs) == before


def test_marks_tell_folders_apart(tmp_path):
    for name, (kind, files) in MARKS.items():
        fill(tmp_path / name, files)
        claim(tmp_path / name, kind)
        for other in KINDS:
            if other is kind or {other, kind} == {RETRAINING, SUPERNET}:
                continue
            with pytest.raises(RunError, match=r"is the folder of|holds files but no"):
                claim(tmp_path / name, other)
    with pytest.raises(RunError, match=r"study is the folder of a study, not of a run: choose another --out"):
        claim(tmp_path / "study", RUN)


def test_runs_of_a_study_without_its_plan_are_a_study(tmp_path):
    fill(tmp_path, {"toy/closed-form/error+flops/random/budget-5/seed-0/job.json": '{"job": {}}'})
    claim(tmp_path, STUDY)
    with pytest.raises(RunError, match="is the folder of a study, not of a run"):
        claim(tmp_path, RUN)


def test_names_in_the_rules_are_those_that_are_written():
    assert RUN.marks[0].name == run_folder.JOB
    assert {run_folder.JOB, run_folder.LOG, run_folder.TIMING, run_folder.LOCK, study.STATUS} <= set(RUN_FILES)
    assert STUDY.marks[0].name == study.PLANS
    assert [m.name for m in RANKING.marks] == [ranking_study.PLAN, ranking_study.LOG]
    assert REPORT.marks[0].name == page.PAGE
    assert REPORT.marks[0].content.decode() in page._asset("page.html")[:2000]


def test_names_of_trainings_are_those_that_are_written():
    pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    from bench.train import export, loop, retrain_folder, supernet_training, trained

    assert TRAINED[0] == trained.FOLDER
    assert {trained.RESULT, trained.TEST, loop.CHECKPOINT, loop.WEIGHTS, loop.CURVE} <= set(TRAINED_FILES)
    assert [m.name for m in RETRAINING.marks] == [retrain_folder.RESULT, retrain_folder.CHECKPOINT]
    assert [m.name for m in SUPERNET.marks] == [supernet_training.CHECKPOINT]
    assert [m.name for m in EXPORT.marks] == [export.CONFIG]


@pytest.mark.parametrize("place", ["run", "study"])
def test_everything_that_a_run_leaves_is_on_the_list(call, tmp_path, use_embedded, place):
    arguments = RUN_CALL if place == "run" else STUDY_CALL
    assert call(*arguments, "--out", tmp_path / "out")[0] == 0
    found = [p.parent for p in (tmp_path / "out").rglob("job.json")]
    assert len(found) == 1
    names = {p.name for p in found[0].iterdir()}
    assert names <= set(RUN_FILES)
    assert {p.name for p in files_of_a_run(found[0])} == names - {".lock"}
    assert files_of_a_run(found[0])[-1].name == "job.json"


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
