"""Files that are there whole or not at all, however many processes write them, and paths as users write them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from conftest import ROOT

from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.commands.common import ANY_PATH, FILE, FOLDER
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.files import STALE, replacing, replacing_folder, write_bytes, write_text

DESCRIBE = {"a": {"unit": "%", "split": "single", "role": "objective"}}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.csv", "old")
    with pytest.raises(KeyError), replacing(tmp_path / "a.csv") as part:  # noqa: PT012
        part.write_text("half")
        raise KeyError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "old")]


def test_what_a_library_raises_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"^cannot write .*a.pt: zip failed twice. Ask.$"):  # noqa: SIM117, PT012
        with replacing(tmp_path / "a.pt", failure=DataError, advice="Ask.", also=(RuntimeError,)) as part:
            part.write_text("half")
            raise RuntimeError("zip failed\n twice")
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(RunError, match="is no regular file"):
            write_text(path, "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_modes_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
        with replacing_folder(tmp_path / "folder") as part:
            (part / "inner").write_text("")
        write_table(tmp_path / "table", {"a": np.arange(3.0)}, describe=DESCRIBE, name="x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == mode(tmp_path / "folder" / "inner") == 0o640
    assert mode(tmp_path / "folder") == mode(tmp_path / "table") == 0o750
    assert mode(tmp_path / "table" / "a.npy") == 0o640


def test_what_a_killed_process_left_goes_after_an_hour(tmp_path):
    write_text(tmp_path / "a.csv", "old")
    old, new, other = (tmp_path / f".{name}.part" for name in ("a.csv.1-aa", "a.csv.2-bb", "b.csv.3-cc"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (time.time() - STALE - 60,) * 2)
    write_text(tmp_path / "a.csv", "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([new.name, other.name, "a.csv"])


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    with replacing_folder(tmp_path / "t") as part:
        (part / "x").write_text("old")
    with pytest.raises(RunError, match="the disk is full"), replacing_folder(tmp_path / "t") as part:  # noqa: PT012
        (part / "x").write_text("half")
        raise OSError(errno.ENOSPC, "")
    assert (tmp_path / "t" / "x").read_text() == "old"
    with replacing_folder(tmp_path / "t") as part:
        (part / "y").write_text("new")
    assert [p.name for p in (tmp_path / "t").iterdir()] == ["y"]
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from smemnas.bench.files import replacing, replacing_folder, write_text
from smemnas.bench.benchmarks.table import write_table
import numpy as np
out, me = Path(sys.argv[1]), sys.argv[2]
for k in range(40):
    write_text(out / "a.csv", me * 20000, durable=False)
    with replacing_folder(out / "folder") as part:
        (part / "x").write_text(me)
        (part / "y").write_text(me)
    write_table(out / "table", {{"a": np.full(500, float(me))}}, describe={describe!r}, name="x")
"""


def test_processes_that_write_the_same_places_at_once(tmp_path):
    code = WRITER.format(root=str(ROOT), describe=DESCRIBE)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, str(k)], stderr=subprocess.PIPE, text=True)
        for k in range(4)
    ]
    try:
        while any(p.poll() is None for p in processes):
            if (tmp_path / "a.csv").exists():
                text = (tmp_path / "a.csv").read_text()
                assert len(text) == 20000
                assert len(set(text)) == 1
    finally:
        errors = [p.communicate(timeout=120)[1] for p in processes]
    assert errors == [""] * 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "folder", "table"]
    assert (tmp_path / "folder" / "x").read_text() == (tmp_path / "folder" / "y").read_text()
    column = Table(tmp_path / "table").column("a")
    assert len(set(column.tolist())) == 1


# ---- paths on the command line ----


@pytest.mark.parametrize("kind", [FOLDER, FILE, ANY_PATH])
def test_a_tilde_is_the_home_folder(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kind.convert("~/x/y", None, None) == tmp_path / "x" / "y"
    assert kind.convert("x~/~y", None, None) == Path("x~/~y")


@pytest.mark.parametrize("text", ["", " ", "a\0b", "x" * 256, "a/" * 3000, "caf\udce9"])
def test_what_no_file_system_takes_is_refused(text):
    with pytest.raises(click.BadParameter):
        ANY_PATH.convert(text, None, None)


def paths_of(command, name=""):
    if isinstance(command, click.Group):
        for key, inner in command.commands.items():
            yield from paths_of(inner, f"{name} {key}")
    else:
        yield from ((name, p) for p in command.params if isinstance(p.type, click.Path | click.File))


def test_every_path_option_is_of_the_one_type():
    from smemnas.bench.commands.root import cli

    found = list(paths_of(cli))
    assert len(found) >= 15
    assert [(name, p.name) for name, p in found if p.type not in (FOLDER, FILE, ANY_PATH)] == []


def test_out_equals_tilde(cli, tmp_path):
    process = cli("run", "--method", "random", "--space", "toy", "--budget", 5, "--out=~/mine", HOME=tmp_path / "home")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "home" / "mine" / "evals.jsonl").exists()
    assert not (tmp_path / "~").exists()
