"""Tables on disk: a flipped bit, a cut file, another version, several writers."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.errors import DataError


@pytest.fixture
def copied(embedded, tmp_path, monkeypatch):
    """A copy of the data folder that may be damaged; returns the folder of the embedded table in it."""
    folder = tmp_path / "copy"
    shutil.copytree(embedded, folder)
    monkeypatch.setenv("SMEMNAS_DATA", str(folder))
    return folder / "tables" / "nb201" / "analog"


def flip(file, position, bit=0):
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << bit
    file.write_bytes(bytes(data))


def test_a_flipped_bit_anywhere_in_a_column_is_noticed(copied):
    file = copied / "error.npy"
    size = file.stat().st_size
    for position in [*range(0, 140, 7), *random.Random(1).sample(range(size), 20), size - 1]:
        flip(file, position, position % 8)
        with pytest.raises(DataError, match=r"error\.npy does not match its checksum: remove that folder"):
            Table(copied).column("error")
        flip(file, position, position % 8)
    assert len(Table(copied).column("error")) == 15625


def test_a_flipped_bit_anywhere_in_the_header_is_noticed(copied):
    file = copied / "header.json"
    text = file.read_bytes()
    header, noticed = Table(copied).header, 0
    for position in random.Random(2).sample(range(len(text)), 150):
        flip(file, position, position % 8)
        try:
            assert Table(copied).header == header, f"byte {position}"  # one kind of white space became another
        except DataError as error:
            noticed += "remove that folder" in str(error)
        file.write_bytes(text)
    assert noticed > 100


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_a_damaged_column_is_noticed(copied, damage):
    file = copied / "error.npy"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 0 if damage == "empty" else 5000])
    with pytest.raises(DataError, match=r"error\.npy (is missing|does not match)"):
        Table(copied).column("error")


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", "[]", "3", '{"format": 1}', '{"format": 99}'])
def test_a_damaged_header_is_noticed(copied, text):
    (copied / "header.json").write_text(text)
    with pytest.raises(DataError, match=r"(corrupt|checksum|format).*remove that folder"):
        Table(copied)


def test_a_damaged_table_is_one_line_and_removing_it_repairs_it(cli, one_line_error, copied, tmp_path):
    arguments = (
        "run",
        "--method",
        "random",
        "--space",
        "nb201",
        "--dataset",
        "analog",
        "--budget",
        5,
        "--quiet",
        "--out",
        tmp_path / "out",
    )
    flip(copied / "error.npy", 4000)
    data = copied.parents[2]
    one_line_error(cli(*arguments, SMEMNAS_DATA=data), str(copied), "checksum", "remove that folder", code=1)
    shutil.rmtree(copied)
    assert cli(*arguments, SMEMNAS_DATA=data).returncode == 0
    assert Table(copied).column("error").shape == (15625,)


def test_a_table_of_another_recipe_version_is_made_anew(copied, monkeypatch):
    from smemnas.bench.data import analog

    old = Table(copied).header
    monkeypatch.setattr(analog, "RECIPE_VERSION", old["recipe_version"] + 1)
    open_benchmark("nb201", "analog")
    assert Table(copied).header["recipe_version"] == old["recipe_version"] + 1


def test_a_table_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    import numpy as np

    describe = {"a": {"unit": "%", "split": "single", "role": "objective"}}
    write_table(tmp_path / "t", {"a": np.arange(3.0)}, describe=describe, name="x")
    synced = []

    def full(fd):
        synced.append(fd)
        if len(synced) == 2:  # the column is written, the header is not
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"the disk is full. Free space or point SMEMNAS_DATA"):
        write_table(tmp_path / "t", {"a": np.arange(4.0)}, describe=describe, name="x")
    assert Table(tmp_path / "t").n_rows == 3
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_several_processes_make_one_table(tmp_path):
    opened = "open_benchmark('nb201', 'analog')"
    code = f"from smemnas.bench.benchmarks.catalog import open_benchmark; print({opened}.provenance()['sha256'])"
    env = {**os.environ, "SMEMNAS_DATA": str(tmp_path / "new")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    sums = {p.communicate(timeout=120)[0] for p in processes}
    assert all(p.returncode == 0 for p in processes)
    assert len(sums) == 1
    assert not [p for p in (tmp_path / "new" / "tables" / "nb201").iterdir() if p.name.endswith(".part")]
