"""Nothing damaged is believed: flipped bytes, cuts, and archives that somebody made so."""

import io
import json
import zipfile

import numpy as np
import pytest
from contents import edited, small_study, write_zip

import smemnas
from smemnas.bench.archive import form
from smemnas.bench.archive.evaluations import Evaluations
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.errors import DataError
from smemnas.bench.library.archive import make_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return make_archive([small_study(tmp_path_factory.mktemp("studies") / "small")]).path


def test_every_flipped_byte_and_every_cut_is_noticed(archive, tmp_path):
    data = archive.read_bytes()
    file = tmp_path / "damaged.runs"
    for place in sorted({*range(0, len(data), 37), *range(40), *range(len(data) - 90, len(data))}):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :])
        with pytest.raises(DataError) as error:
            RunArchive(file)
        assert "\n" not in str(error.value)
    for size in (*range(0, len(data), 211), len(data) - 1, len(data) - 64):
        file.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"truncated|no archive of runs"):
            RunArchive(file)


def test_a_flipped_byte_of_a_member_is_named(archive, tmp_path):
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo("problem-0/genes.npy.xz")
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    (tmp_path / "a.runs").write_bytes(data)
    with pytest.raises(DataError, match=r"problem-0/genes\.npy"):
        RunArchive(tmp_path / "a.runs")


def _member(name, data):
    return lambda manifest, members: members.update({name: data})


def _genes(shape):
    def change(manifest, members):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        members["problem-0/genes.npy"] = stream.getvalue() + b"\0" * 100

    return change


def _code(manifest, members):
    codes = np.load(io.BytesIO(members["problem-0/evaluations.npy"]))
    codes[0] = 200
    members["problem-0/evaluations.npy"] = form.npy(codes)


def _listed_names(manifest, members):
    manifest["problems"][0]["spelled"] = False
    members["problem-0/names.json"] = b'["a"]'


def _word(genes, texts, width):
    part = {"genes": genes, "texts": texts, "width": width}
    return _member("problem-0/words.json", json.dumps([part]).encode())


def _missing_value(manifest, members):
    manifest["problems"][0]["decimals"][0] = -1
    members["problem-0/objective-0.npy"] = form.npy(np.full(manifest["problems"][0]["rows"], np.nan))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, _: m.update(format=3, news=1), "archive format 3, this version reads 1 and 2: update smemnas"),
        (lambda m, _: m.update(news=1), "corrupt"),
        (lambda m, _: m["problems"][0].update(rows=2**40), "corrupt"),
        (lambda m, _: m["jobs"][0].update(data=7), "data or environment"),
        (lambda m, _: m["jobs"][0]["job"].update(budget="many"), "corrupt"),
        (lambda m, _: m["problems"][0].update(codes=3), "counts its evaluations wrongly"),
        (_member("runs.json", b"[" * 100_000), "corrupt"),
        (_member("runs.json", b"[]"), "counts its evaluations wrongly"),
        (_listed_names, "names"),
        (_word([0], ["a"], 1), "no names for some"),
        (_word([99], ["a"], 1), "does not hold"),
        (_word([0, 1], ["a"] * 50, 1 << 28), "no names for some"),
        (_word([], [], 1), "no names for some"),
        (lambda m, _: m["problems"][0].update(units=[1]), "other evaluations"),
        (lambda m, _: m["problems"][0].update(genotypes=1), "does not hold"),
        (lambda m, _: m["members"].update(more={"bytes": 1 << 31, "sha256": "0" * 64}), "more than any archive"),
        (_genes((10**15, 10**3)), "not the array"),
        (_genes((7,)), "not the array"),
        (_member("problem-0/genes.npy", b"\x93NUMPY\x01\x00"), "not the array"),
        (_code, "does not hold"),
        (_missing_value, "without values"),
        (lambda m, members: members.pop("problem-0/ok.npy"), "ok.npy"),
    ],
)
def test_what_no_archive_holds_is_refused(archive, tmp_path, change, words):
    """Its checksums all fit: somebody made it so."""
    file = edited(archive, tmp_path, change)
    with pytest.raises(smemnas.UserError, match=words) as error:
        [(run.job(), run.log()) for run in RunArchive(file).runs]
    assert "\n" not in str(error.value)


def test_a_problem_that_cannot_be_read_is_read_once(archive, tmp_path, monkeypatch):
    damaged, read, calls = RunArchive(edited(archive, tmp_path, _code)), Evaluations.read, []
    monkeypatch.setattr(Evaluations, "read", lambda path, k, *rest: calls.append(k) or read(path, k, *rest))
    broken = [run for run in damaged.runs if run.entry.problem == 0]
    for run in broken:
        with pytest.raises(smemnas.UserError, match="does not hold"):
            run.log()
    assert len(broken) > 1
    assert calls == [0]


def test_nothing_is_unpacked_that_claims_to_be_too_large(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(form, "LARGEST_CONTENT", 1000)
    monkeypatch.setattr("smemnas.bench.archive.read.LARGEST_CONTENT", 1000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(DataError, match="more than any archive"):
        RunArchive(archive)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(archive, tmp_path):
    members = {"manifest.json": b" " * 3_000_000}
    file = write_zip(tmp_path / "bomb.runs", members, [("manifest.json", 10)])
    with pytest.raises(DataError) as error:
        RunArchive(file)
    assert "\n" not in str(error.value)


def test_no_run_is_extracted_outside_its_folder(archive, tmp_path, fails):
    file = edited(archive, tmp_path, lambda m, _: [g["job"].update(dataset="../../../../x") for g in m["jobs"]])
    fails(["archive", "extract", file, tmp_path / "a" / "out"], "outside")
    assert not (tmp_path / "a" / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    fails(["archive", "extract", archive, tmp_path / "mine"], "not empty")
