"""Archives of runs: what goes in comes out, whatever reads folders reads them, and nothing damaged is believed."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from contents import content, digest, folders, small_study

import smemnas
from smemnas.bench.archive import form
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.archive.write import pack
from smemnas.bench.errors import DataError
from smemnas.bench.library.archive import extract_archive, make_archive
from smemnas.bench.runs.source import RunFolder
from smemnas.bench.schema import signed, signed_line
from smemnas.bench.studies.against import SHIPPED
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.trials import collect


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a study of two methods on one problem, two seeds."""
    return small_study(tmp_path_factory.mktemp("studies") / "small")


@pytest.fixture(scope="module")
def archive(study):
    return make_archive([study]).path


# ---- what goes in comes out


def test_folders_come_back_with_the_same_logs_and_jobs(study, archive, tmp_path):
    assert extract_archive(archive, tmp_path / "out") == 4
    assert [f.relative_to(tmp_path / "out") for f in folders(tmp_path / "out")] == [
        f.relative_to(study) for f in folders(study)
    ]
    for folder in folders(study):
        other = tmp_path / "out" / folder.relative_to(study)
        for name in ("evals.jsonl", "job.json", "status.json"):
            assert (other / name).read_bytes() == (folder / name).read_bytes()
        assert RunFolder(other).seconds() == pytest.approx(RunFolder(folder).seconds(), rel=1e-15)
    assert (tmp_path / "out" / "plans.json").read_bytes() == (study / "plans.json").read_bytes()


def test_the_same_runs_give_the_same_bytes(study, archive, tmp_path):
    shutil.copytree(study, tmp_path / "elsewhere")
    plans = json.loads((study / "plans.json").read_bytes())
    runs = [RunFolder(folder) for folder in folders(tmp_path / "elsewhere")]
    assert pack(runs[::-1], plans).data == archive.read_bytes()
    again = make_archive([archive], tmp_path / "again.runs")
    assert (again.runs, again.raw, again.path.read_bytes()) == (4, 0, archive.read_bytes())


def test_numpy_alone_reads_the_members(study, archive):
    """As docs/archive.md says."""
    members = content(archive)
    problem = json.loads(members["manifest.json"])["problems"][0]
    first = json.loads(members["runs.json"])[0]

    def array(name):
        return np.load(io.BytesIO(members[f"problem-0/{name}.npy"]))

    def numbers(name):
        codes = array(name).astype(int)
        return np.where(codes == 0, np.cumsum(codes == 0) - 1, codes - 1)

    stored, genotype, unit = array("objective-0"), numbers("genotypes"), problem["units"][0]
    values = stored if problem["decimals"][0] < 0 else stored * float(unit) / 10.0 ** problem["decimals"][0]
    if problem["shared"][0]:
        values = values[genotype]
    else:
        values[np.argsort(genotype, kind="stable")] = values.copy()
    log = [json.loads(line)["F"][0] for line in (folders(study)[0] / "evals.jsonl").read_text().splitlines()]
    assert values[numbers("evaluations")[: first["rows"]]].tolist() == log


KEPT = Path(__file__).parent / "kept"


def test_what_an_earlier_version_wrote_is_read_and_says_the_same_in_todays_format(tmp_path):
    """Noise (several values of a network), failures, training times and a log as it was."""
    old = RunArchive(KEPT / "format-1.runs")
    new = RunArchive(make_archive([KEPT / "format-1.runs"], tmp_path / "new.runs").path)
    assert (old.manifest.format, new.manifest.format) == (1, 2)
    assert digest(old) == digest(new) == DIGESTS["format-1"]
    for one, other in zip(old.runs, new.runs, strict=True):
        assert (one.log().archs, one.recorded) == (other.log().archs, other.recorded)
        assert all(np.array_equal(a, b) for a, b in zip(one.log().arrays(), other.log().arrays(), strict=True))
    problems = new.manifest.problems
    assert [problem.shared for problem in problems] == [(True, True), (True, True), (False, True), (False, False)]
    assert [problem.units for problem in problems] == [(1, 512), (1, 512), (390625, 16), (1, 1)]
    assert [problem.rows - problem.genotypes for problem in problems] == [0, 0, 2, 7]
    assert all(problem.spelled for problem in problems)


#: Of `kept/format-1.runs` and of the package's archives as format 1 had them, when that was written.
DIGESTS = json.loads((KEPT / "digests.json").read_text())


@pytest.mark.parametrize(
    "name",
    [
        "noise-check",
        *(pytest.param(n, marks=pytest.mark.long) for n in sorted({*DIGESTS} - {"noise-check", "format-1"})),
    ],
)
def test_shipped_archives_say_what_they_said_when_they_were_made(name):
    assert digest(RunArchive(SHIPPED / f"{name}.runs")) == DIGESTS[name]


def test_no_shipped_archive_is_over_a_mebibyte():
    assert {file.name for file in SHIPPED.rglob("*.runs") if file.stat().st_size > 1 << 20} == set()


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([1.0, 2.0], 0), ([0.1, 68.596224], 6), ([8.159999999999997, 0.1 + 0.2], -1), ([-0.0], -1), ([-3.5, 1e3], 1),
     ([1e300], -1), ([np.nan, 1.0], -1), ([5e-324], -1), ([], 0)],
)  # fmt: skip
def test_objectives_come_back_to_the_last_bit(values, decimals):
    stored, found = form.as_decimals(np.array(values, dtype=np.float64))
    assert found == decimals
    assert form.from_decimals(stored, found).tobytes() == np.array(values, dtype=np.float64).tobytes()


def test_codes_are_inverted():
    rows = np.array([0, 1, 0, 2, 2, 3, 1, 4])
    codes = form.as_codes(rows)
    assert codes.tolist() == [0, 0, 1, 0, 3, 0, 2, 0]
    assert form.from_codes(codes, 5, "it").tolist() == rows.tolist()
    with pytest.raises(DataError, match="does not hold"):
        form.from_codes(np.array([0, 2]), 5, "it")


def test_failed_unfinished_old_and_broken_runs(study, tmp_path):
    shutil.copytree(study, tmp_path / "s")
    failed, unfinished, old, broken = folders(tmp_path / "s")
    (failed / "status.json").write_text('{"status": "failed", "error": "RuntimeError: no memory"}')
    log = (failed / "evals.jsonl").read_bytes().splitlines(keepends=True)
    (failed / "evals.jsonl").write_bytes(b"".join(log[:7]))
    (unfinished / "status.json").write_text('{"status": "running"}')
    (unfinished / "evals.jsonl").write_bytes(b"".join(log[:3]) + b'{"i": 3')
    lines = [json.loads(line) for line in (old / "evals.jsonl").read_bytes().splitlines()]
    without_sums = "".join(json.dumps({k: v for k, v in line.items() if k != "sum"}) + "\n" for line in lines)
    (old / "evals.jsonl").write_text(without_sums)
    (broken / "evals.jsonl").write_bytes(b"".join(log[:2]) + b"nothing\n" + b"".join(log[3:]))
    made = make_archive([tmp_path / "s"])
    assert (made.runs, made.raw) == (2, 1)
    reasons = dict(made.left)
    assert reasons.keys() == {str(unfinished), str(broken)}
    assert reasons[str(unfinished)] == "unfinished: 3 of 25 evaluations in the log"
    assert "line 3 is corrupt" in reasons[str(broken)]
    first, second = RunArchive(made.path).runs
    assert first.status() == RunFolder(failed).status()
    assert (first.count(), first.text()) == (7, b"".join(log[:7]))
    assert second.text() == without_sums.encode()
    read = {run.status: run for run in find_runs([str(made.path)]).runs}
    assert read["failed"].reason == "RuntimeError: no memory"
    assert np.array_equal(read["done"].F, RunFolder(old).log().arrays()[1])


@pytest.mark.parametrize("left_over", [10, 0, None])
def test_a_log_that_was_cut_after_its_run_is_none_of_a_finished_one(study, tmp_path, left_over):
    """Its status still says that it is done; the report of the folder leaves it out, so its archive does too."""
    shutil.copytree(study, tmp_path / "s")
    cut, emptied_single, *_ = folders(tmp_path / "s")
    (emptied_single / "status.json").unlink()
    (emptied_single / "summary.json").write_text('{"evaluations": 25}')
    for folder in (cut, emptied_single):
        lines = (folder / "evals.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "evals.jsonl").unlink()
        if left_over is not None:
            (folder / "evals.jsonl").write_bytes(b"".join(lines[:left_over]))
    made = make_archive([tmp_path / "s"])
    reason = f"unfinished: {left_over or 0} of 25 evaluations in the log"
    assert (made.runs, dict(made.left)) == (2, {str(cut): reason, str(emptied_single): reason})
    read = {run.status for run in find_runs([str(made.path)]).runs}
    assert read == {"done"}


def test_what_was_recommended_for_another_log_is_broken(study, tmp_path):
    shutil.copytree(study, tmp_path / "s")
    whole, cut, *_ = folders(tmp_path / "s")
    for folder, n in ((whole, 25), (cut, 20)):
        line = signed_line(json.dumps({"n": n, "rows": [0], "F": [[1.0, 2.0]]}))
        (folder / "recommended.jsonl").write_text(f"{line}\n")
    made = make_archive([tmp_path / "s"])
    assert made.runs == 3
    assert [(place, "is not of the log beside it" in reason) for place, reason in made.left] == [(str(cut), True)]


# ---- read wherever folders are read


def test_a_report_of_an_archive_is_that_of_the_folders(study, archive):
    by_folders, by_archive = (make_groups(find_runs([str(place)]))[0][0].tables for place in (study, archive))
    assert repr(by_archive.rows) == repr(by_folders.rows)  # with their NaN
    assert by_archive.plan == by_folders.plan
    both, left = make_groups(find_runs([str(study), str(archive)]))
    assert repr(both[0].tables.rows) == repr(by_folders.rows)
    assert [item.reason for item in left] == ["found twice, counted once"] * 2


def test_frames_of_an_archived_run(study, archive):
    for run, folder in zip(smemnas.open_archive(archive).runs, folders(study), strict=True):
        assert smemnas.evaluations_frame(run).equals(smemnas.evaluations_frame(folder))


def test_a_study_reads_the_archives_that_it_keeps(study, archive, tmp_path):
    plan = find_runs([str(study)]).plans[0]
    out = tmp_path / "s"
    (out / "stored").mkdir(parents=True)
    shutil.copy(archive, out / "stored" / "theirs.runs")
    shutil.copy(study / "plans.json", out)
    kept, made = collect(plan, out), collect(plan, study)
    assert [t.status for t in kept] == ["done"] * 4
    assert all(np.array_equal(a.curve, b.curve) and a.seconds == b.seconds for a, b in zip(kept, made, strict=True))
    assert len(find_runs([str(out)]).runs) == 4
    (out / "plans.json").write_text(json.dumps([{**plan.to_dict(), "seeds": [1]}]))
    assert {run.job.seed for run in find_runs([str(out)]).runs} == {1}


# ---- the evidence checks itself


def doctored(study, out, change):
    """Return an archive of a study in whose run folders one file was changed, with its checksum."""
    shutil.copytree(study, out)
    change(out)
    return make_archive([out]).path


def test_stored_runs_are_run_again(archive, call):
    code, text, _ = call("archive", "verify", archive, "--sample", "2", "--seed", "1")
    assert code == 0
    assert "4 of 4 logs come back" in text
    assert text.count("identical    ") == 2
    assert "run again    2 of 2 identical" in text


def test_a_log_that_differs_is_named(study, tmp_path, call):
    def change(out):
        from smemnas.bench.runs.history import History

        folder = folders(out)[0]
        rows = History(folder / "evals.jsonl").rows
        rows[5] = rows[5]._replace(F=(1.25, *rows[5].F[1:]))
        (folder / "evals.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))

    code, text, _ = call("archive", "verify", doctored(study, tmp_path / "s", change), "--sample", "4")
    assert code == 1
    assert "run again    3 of 4 identical" in text
    assert 'evaluation 5 differs: stored "x": ' in text


def test_another_table_and_other_versions_are_named(study, tmp_path, call):
    def change(out):
        for folder in folders(out):
            entry = json.loads((folder / "job.json").read_bytes())
            del entry["sum"]
            entry["data"] = {"sha256": "5" * 64}
            entry["environment"]["packages"] |= {"numpy": "0.9", "pytest": "0.1", "no-such-package": "1.0"}
            (folder / "job.json").write_text(json.dumps(signed(entry), indent=1) + "\n")

    code, text, _ = call("archive", "verify", doctored(study, tmp_path / "s", change), "--sample", "1")
    assert code == 1
    assert "another version of the table: " in text
    assert "sha256 555555555555..., installed" in text
    assert f"version      numpy 0.9 (here {np.__version__})" in text
    assert f"version      pytest 0.1 (here {pytest.__version__})" in text  # here, though no run of today records it
    assert "version      no-such-package 1.0 (here absent)" in text


def test_methods_that_cannot_or_should_not_run_are_drawn_on_request(study, tmp_path, call, monkeypatch):
    def change(out):
        for folder in folders(out)[:2]:
            (folder / "timing.jsonl").write_text('{"first": 0, "n": 25, "ask": 61.0, "evaluate": 0.0, "tell": 0.0}\n')

    archive = doctored(study, tmp_path / "s", change)
    code, text, _ = call("archive", "verify", archive, "--sample", "9")
    assert code == 0
    assert "not drawn    nsga2 takes over a minute (2 runs); --methods draws them" in text
    assert "run again    2 of 2 identical" in text
    code, text, _ = call("archive", "verify", archive, "--sample", "1", "--methods", "nsga2")
    assert (code, text.count("identical    nsga2")) == (0, 1)
    monkeypatch.setattr("smemnas.methods.random_search.RandomSearch.needs", "no_such_package", raising=False)
    assert "random needs no_such_package (2 runs)" in call("archive", "verify", archive, "--sample", "1")[1]


def test_mistakes_are_one_line(archive, study, tmp_path, fails, call):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.runs").write_text("nothing")
    (tmp_path / "mine.txt").write_text("mine")
    fails(["archive", "info", tmp_path / "none.runs"], "cannot read the archive")
    fails(["archive", "info", tmp_path / "text.runs"], "no archive of runs")
    fails(["archive", "verify", archive, "--sample", "1", "--methods", "nsga"], "Did you mean 'nsga2'?")
    fails(["archive", "make", tmp_path / "empty"], "no runs in")
    fails(["archive", "make", study, "--out", tmp_path / "mine.txt"], "was not written by `archive make`")
    fails(["report", tmp_path / "mine.txt"], "is a file: give the folder")
    fails(["report", "https://127.0.0.1:9/x.runs#sha256=1"], "64 hexadecimal digits")
    fails(["archive", "info", "http://127.0.0.1:9/x.runs"], "cannot download the archive http://127.0.0.1:9/x.runs")
    assert "4, 100 evaluations" in call("archive", "info", archive)[1]
    assert "2 methods on 1 problem, 2 seeds" in call("archive", "info", archive)[1]
    assert call("archive", "info", archive, "--runs")[1].count("25 of 25 evaluations, done") == 4
