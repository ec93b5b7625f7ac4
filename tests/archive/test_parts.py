"""Archives in parts: a folder of files, none too large, that says what one archive would."""

import pytest
from contents import folders, small_study

import smemnas
from smemnas.bench.archive.locate import open_archives
from smemnas.bench.library.archive import extract_archive, make_archive
from smemnas.bench.studies import against


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a study of two methods on one problem, two seeds."""
    return small_study(tmp_path_factory.mktemp("parts") / "small")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same on another problem of the same table: its objectives differ."""
    out = tmp_path_factory.mktemp("parts") / "other"
    options = {"methods": ("random",), "spaces": ("toy",), "objectives": ("flops", "error")}
    smemnas.study(smemnas.StudyOptions(**options, seeds="0-1", budget=25, figures=False, out=out))
    return out


@pytest.fixture(scope="module")
def parts(study, tmp_path_factory):
    """Its archive in parts: too small for two seeds."""
    out = tmp_path_factory.mktemp("parts") / "small"
    whole = len(make_archive([study], out.with_suffix(".runs")).path.read_bytes())
    out.with_suffix(".runs").unlink()
    return make_archive([study], out, largest=whole - 1)


def logs(archives):
    return {run.job()[0].folder_in_study.as_posix(): run.text() for one in archives for run in one.runs}


def test_seeds_are_divided_where_a_problem_is_too_large(study, parts):
    assert [file.name for file in parts.files] == ["toy-closed-form-1.runs", "toy-closed-form-2.runs"]
    assert (parts.runs, parts.raw, parts.left) == (4, 0, ())
    archives = open_archives(parts.path)
    assert [{run.job()[0].seed for run in one.runs} for one in archives] == [{0}, {1}]
    assert archives[0].plans == archives[1].plans != []
    assert logs(archives) == {
        folder.relative_to(study).as_posix(): (folder / "evals.jsonl").read_bytes() for folder in folders(study)
    }


def test_each_problem_has_its_own(study, other, tmp_path):
    made = make_archive([study, other], tmp_path / "both", largest=1 << 20)
    names = ["toy-closed-form-error+flops.runs", "toy-closed-form-flops+error.runs"]
    assert [file.name for file in made.files] == names
    assert [len(one) for one in open_archives(tmp_path / "both")] == [4, 2]
    (alone,) = make_archive([study], tmp_path / "one", largest=1 << 20).files
    assert alone.read_bytes() == make_archive([study], tmp_path / "one.runs").path.read_bytes()


def test_what_reads_an_archive_reads_its_parts(study, parts, tmp_path, call):
    _, text, _ = call("archive", "info", parts.path)
    assert text.count("archive      ") == 2
    assert "runs         4, 100 evaluations" in text
    assert text.count("plan         ") == 1
    code, text, _ = call("archive", "verify", parts.path, "--sample", "4")
    assert code == 0
    assert "4 of 4 logs come back" in text
    assert "run again    4 of 4 identical" in text
    assert extract_archive(parts.path, tmp_path / "out") == 4
    for folder in folders(study):
        again = tmp_path / "out" / folder.relative_to(study) / "evals.jsonl"
        assert again.read_bytes() == (folder / "evals.jsonl").read_bytes()
    assert (tmp_path / "out" / "plans.json").read_bytes() == (study / "plans.json").read_bytes()
    whole = make_archive([parts.path], tmp_path / "whole.runs").path
    assert whole.read_bytes() == make_archive([study], tmp_path / "direct.runs").path.read_bytes()


def test_a_new_method_is_set_against_parts(study, parts, tmp_path, monkeypatch):
    said = []
    given = {"methods": ("rea",), "figures": False}
    one = smemnas.StudyOptions(**given, against=str(parts.path), out=tmp_path / "a")
    found = smemnas.study(one, say=said.append)
    assert "stored runs: 4 of 6 that are compared" in said
    assert len(list((tmp_path / "a" / "stored").iterdir())) == 2
    whole = make_archive([study], tmp_path / "whole.runs").path
    direct = smemnas.study(smemnas.StudyOptions(**given, against=str(whole), out=tmp_path / "b"))
    assert repr(found.tables.rows) == repr(direct.tables.rows)
    monkeypatch.setattr(against, "SHIPPED", parts.path.parent)
    assert against.shipped("small") == parts.path
    assert against.shipped("none") is None


def test_an_older_archive_is_replaced_whole_and_nothing_else(study, parts, tmp_path, call, fails):
    out = tmp_path / "again"
    make_archive([study], out, largest=parts.files[0].stat().st_size + 100)
    assert len(list(out.iterdir())) == 2
    code, text, _ = call("archive", "make", study, "--parts", "1", "--out", out)
    assert code == 0
    assert [file.name for file in out.iterdir()] == ["toy-closed-form.runs"]
    assert text.startswith(f"4 runs in {out} (1 part, 0.00 MB, ")
    (out / "mine.txt").write_text("mine")
    fails(["archive", "make", study, "--parts", "1", "--out", out], "holds mine.txt, which is no archive")
    fails(["archive", "make", study, "--parts", "1", "--out", out / "mine.txt"], "is a file: an archive in parts")
    fails(["archive", "make", study, "--parts", "1"], "name it with --out FOLDER")
    (tmp_path / "empty").mkdir()
    fails(["archive", "info", tmp_path / "empty"], "is a folder without archives of runs")
    with pytest.raises(smemnas.UserError, match=r"the runs of one seed on toy/.* take .* bytes, more than the 500"):
        make_archive([study], tmp_path / "tiny", largest=500)
    assert not (tmp_path / "tiny").exists()
