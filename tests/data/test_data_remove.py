"""`data remove`, and names of data sets that are near others or no longer used."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from data_files import macro_file

from smemnas.bench.data.build import Column, write
from smemnas.bench.data.manage import installed
from smemnas.bench.data.recipe import Recipe, fetch, find
from smemnas.bench.data.user import import_table
from smemnas.bench.errors import suggest


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with macro/cifar10 made from a file of the published format; returns its tables."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "tables"


@pytest.fixture
def mine(data, tmp_path):
    """An imported table of three rows; returns its folder."""
    file = tmp_path / "mine.csv"
    file.write_text("arch,acc\n00000000,50\n01201201,71.5\n22222222,90\n")
    import_table(file, "macro", "mine", accuracies=["acc:single"])
    return data / "macro" / "mine"


def test_exactly_the_files_of_the_table_go(call, mine, data):
    (mine / "notes.txt").write_text("my own")
    (mine / "other.npy").write_text("no column of the table")
    (mine / ".header.json.1-2.part").write_text("left by a kill")
    outside = data / "macro" / "neighbour.txt"
    outside.write_text("stays")
    size = sum(f.stat().st_size for f in mine.iterdir() if f.name not in ("notes.txt", "other.npy"))
    code, out, err = call("data", "remove", "macro/mine", "--yes")
    assert (code, err) == (0, "")
    assert f"macro/mine: 3 files, {size / 1e6:.1f} MB in {mine}; it was imported" in out
    assert "stays, for it is not of the table: notes.txt, other.npy" in out
    assert sorted(f.name for f in mine.iterdir()) == ["notes.txt", "other.npy"]
    assert outside.read_text() == "stays"
    assert installed() == []


def test_an_empty_folder_goes_too_and_the_rest_of_the_data_stays(call, mine, data, tmp_path):
    (data.parent / "downloads").mkdir()
    (data.parent / "downloads" / "big.bin").write_text("download")
    assert call("data", "remove", "macro/mine", "--yes")[0] == 0
    assert not mine.exists()
    assert (data.parent / "downloads" / "big.bin").exists()
    assert (tmp_path / "mine.csv").exists()


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_it_asks(mine, answer, gone):
    process = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "data", "remove", "macro/mine"],
        input=answer, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "Remove? [y/N]" in process.stdout
    assert ("removed macro/mine" in process.stdout, "nothing was removed" in process.stdout) == (gone, not gone)
    assert mine.exists() is not gone


def test_the_error_where_nobody_answers_has_a_line_of_its_own(mine):
    process = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "data", "remove", "macro/mine"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stdout.splitlines()[-1].startswith("error: nobody answered")
    assert mine.exists()


def test_mistakes_are_one_line_and_remove_nothing(fails, mine, data, monkeypatch):
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: (_ for _ in ()).throw(EOFError))
    fails(["data", "remove", "macro/mine"], "nothing was removed", "--yes")
    fails(["data", "remove", "macro/min", "--yes"], "no data set 'macro/min'. Did you mean 'macro/mine'")
    fails(["data", "remove", "macro-cifar10", "--yes"], "macro/cifar10 is in the package and was not fetched besides")
    fails(["data", "remove", "macro/mine", "mnv3-measured", "--yes"], "mnv3/measured is not installed")
    fails(["data", "remove", "../../mine", "--yes"], "no data set")
    assert len(list(mine.iterdir())) == 2


def test_a_link_is_left_alone(fails, mine, tmp_path):
    mine.rename(tmp_path / "elsewhere")
    mine.symlink_to(tmp_path / "elsewhere")
    fails(["data", "remove", "macro/mine", "--yes"], "is a link to", "remove the link yourself")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2


def test_a_corrupt_table_is_removed_and_fetched_again(call, data, tmp_path):
    values = macro_file(tmp_path / "nas-bench-macro_cifar10.json")
    recipe = find("macro-cifar10")
    file = tmp_path / "nas-bench-macro_cifar10.json"
    source = recipe.sources[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smemnas.bench.data.recipe.check", lambda path, source: "")
        table = fetch(recipe.name, file)
        header = data / "macro" / "cifar10" / "header.json"
        header.write_text(header.read_text()[:-40])
        code, out, _ = call("data", "remove", "macro-cifar10", "--yes")
        assert code == 0
        assert "python -m smemnas data fetch macro-cifar10 --original makes it again" in out
        assert not header.parent.exists()
        again = fetch(recipe.name, file)
    assert source.file == file.name
    assert again.sha256 == table.sha256
    assert np.isfinite(again.column("error")).sum() == values.size


def test_the_embedded_table_is_made_again(call, data):
    assert call("data", "info", "nb201/analog")[0] == 0
    code, out, _ = call("data", "remove", "nb201/analog", "--yes")
    assert (code, installed()) == (0, [])
    assert "made again from the installed package" in out
    assert call("data", "info", "nb201/analog")[0] == 0


def test_old_name_works_everywhere_and_says_the_new_one(call, data):
    for command in (["fetch"], ["info"], ["verify"], ["export"], ["remove", "--yes"]):
        where = ["out.csv"] if command == ["export"] else []
        code, _, err = call("data", command[0], "nats-sss-cifar10", *where, *command[1:])
        assert code in (1, 2)
        lines = err.splitlines()
        assert lines[0].startswith(
            "note: nats-sss-cifar10 is now called nats_sss-official-cifar10 (NATS-Bench size folder"
        )
        assert "nats_sss" in lines[1] or "NATS-sss" in lines[1]
        assert len(lines) == 2


def test_a_renamed_recipe_makes_the_table_that_it_made(tmp_path):
    """The header keeps the oldest name: its checksum, which runs record, does not move with a new name."""

    def table_of(name, formerly):
        recipe = Recipe(name, "toy/x", 1, (), lambda *_: None, "", "", formerly)
        column = Column(np.zeros(3125), "%", "single", "objective", "")
        return write(recipe, {}, tmp_path / name, {"error": column}, default_objectives=("error",), notes=())

    assert table_of("new", ("newer", "old")).sha256 == table_of("old", ()).sha256
    assert table_of("other", ()).sha256 != table_of("old", ()).sha256


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("macro", "'macro-cifar10'"),
        ("NATS_SSS-CIFAR10", "'nats_sss-cifar10'"),
        ("nats-sss-cifar10", "'nats_sss-cifar10'"),
        ("mnv3", "'mnv3-imagenet' or 'mnv3-imagenet-w12' or 'mnv3-measured'"),
        ("nb201cifar10", "'nb201-cifar10'"),
    ],
)
def test_near_misses(word, near):
    known = [
        "macro-cifar10",
        "mnv3-imagenet",
        "mnv3-imagenet-w12",
        "mnv3-measured",
        "nats_sss-cifar10",
        "nb201-cifar10",
    ]
    assert suggest(word, known).startswith(f" Did you mean {near}?")


@pytest.mark.parametrize("word", ["mine", "MINE", "macro-mine"])
def test_a_name_without_its_space_is_near(word):
    assert suggest(word, ["macro-cifar10", "macro/mine", "mines"]).startswith(" Did you mean 'macro/mine'?")


@pytest.mark.parametrize("word", ["--", "", "x", "zzz"])
def test_what_is_near_nothing(word):
    assert suggest(word, ["macro-cifar10", "x-y"]).startswith(" Known:")


def test_fetch_of_a_space_names_its_data_set(fails, data):
    fails(["data", "fetch", "macro"], "no data set 'macro'", "Did you mean 'macro-cifar10'")
