"""Names as words of genes: learned from what there is, given back to the letter, and left alone where they are none."""

import lzma

import numpy as np
import pytest

import smemnas
from smemnas.bench.archive.form import Part
from smemnas.bench.archive.packing import packed, unpacked
from smemnas.bench.archive.words import learn, spell
from smemnas.bench.errors import DataError
from smemnas.spaces.base import SPACES


@pytest.mark.parametrize("name", ["macro", "mnv3", "nats_sss", "nb201", "toy"])
def test_spaces_that_name_gene_by_gene_are_learned(name):
    space = SPACES.create(name)
    X = space.normalise(space.sample(1500, np.random.default_rng(0)))
    names = [space.to_str(x) for x in X]
    parts = learn(names, X)
    assert spell(parts, X, "it") == names
    assert sum(len(part.texts) for part in parts) < 600  # rules, not a list of the 1,500
    assert not {gene for part in parts for gene in part.genes} - {*range(space.n_var)}


def test_a_letter_may_depend_on_whether_its_layer_is_there():
    X = np.array([[0, 0, 0], [1, 0, 1], [1, 2, 0], [0, 2, 0], [1, 2, 1]], dtype=np.uint8)
    names = ["a", "ab", "ca", "c", "cb"]
    parts = learn(names, X)
    assert [part.genes for part in parts] == [(1,), (0, 2)]
    assert parts[1].texts == ("", "", "a", "b")
    assert spell(parts, X, "it") == names


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["ä|x", "ö|x", "ä|x"], [[0], [1], [0]]),
        (["", ""], [[0], [1]]),
        (["one"], [[3]]),
        (["a-\\U0001f600", "b-\\n"], [[0, 1], [1, 0]]),
    ],
)
def test_any_text_comes_back(names, rows):
    X = np.array(rows, dtype=np.uint8)
    assert spell(learn(names, X), X, "it") == names


def test_names_that_no_two_genes_say_are_left_alone():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(64, 8)).astype(np.uint8)
    assert learn([str(int(x.sum())) for x in X], X) is None
    assert learn(["a\0", "b"], X[:2]) is None
    assert learn(["a", "b"], np.array([[1 << 20], [3]])) is None
    assert learn(["a", "b"], np.array([[1], [1]])) is None


def test_reading_names_needs_no_space(monkeypatch, tmp_path):
    """A plug-in that was never loaded spells as well: the archive stands alone."""
    options = {"methods": ("random",), "spaces": ("toy",), "seeds": "0", "budget": 20, "figures": False}
    smemnas.study(smemnas.StudyOptions(out=tmp_path / "s", **options))
    path = smemnas.make_archive([tmp_path / "s"], tmp_path / "s.runs").path
    monkeypatch.setattr(SPACES, "get", lambda name: pytest.fail("the space was asked"))
    run = smemnas.open_archive(path).runs[0]
    assert run.text() == next((tmp_path / "s").rglob("evals.jsonl")).read_bytes()


def test_names_longer_than_an_archive_may_hold_are_not_made():
    with pytest.raises(DataError, match="longer names"):
        spell([Part((), ("a" * 70_000,))], np.zeros((1 << 14, 1), dtype=np.uint8), "it")


# ---- how members are packed


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_what_is_packed_comes_back(width):
    data = np.arange(250).astype(f"u{width}").tobytes()
    assert unpacked(packed(data, width), len(data), "it") == data
    assert lzma.decompress(packed(data, width)) == data


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"nothing",
        packed(b"12345")[:-3],
        packed(b"1234"),
        packed(b"123456"),
        packed(b"12345") + b"more",
        lzma.compress(b"12345", preset=9),  # needs more memory than what is written here
    ],
)
def test_streams_that_hold_something_else_are_refused(stream):
    with pytest.raises(DataError, match="get the file again") as error:
        unpacked(stream, 5, "it")
    assert "\n" not in str(error.value)


def test_without_lzma_the_reason_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lzma", None)
    with pytest.raises(DataError, match="needs the module lzma"):
        unpacked(b"", 0, "it")
    with pytest.raises(smemnas.UserError, match="has no module lzma"):
        packed(b"")
