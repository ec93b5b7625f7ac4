"""Nothing that the suite did not write is ever removed, replaced or added to, whatever --out names."""

from __future__ import annotations

import pytest
from output_cases import INTO_FOLDERS, RUN_CALL, STUDY_CALL, fill, picture_of

from smemnas.bench.errors import RunError
from smemnas.bench.outputs import (
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
    claim,
    files_of_a_run,
)
from smemnas.bench.ranking import study as ranking_study
from smemnas.bench.report.page import page
from smemnas.bench.runs import folder as run_folder
from smemnas.bench.studies import execution as study

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
    "report": (REPORT, {"index.html": page.read_asset("page.html"), "study.md": ""}),
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
    assert REPORT.marks[0].content.decode() in page.read_asset("page.html")[:2000]


def test_names_of_trainings_are_those_that_are_written():
    pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    from smemnas.bench.train import benchmark as trained
    from smemnas.bench.train import loop
    from smemnas.bench.train.retrain import export
    from smemnas.bench.train.retrain import folder as retrain_folder
    from smemnas.bench.train.supernet import loop as supernet_training

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
