"""Finding, checking and downloading original files; all traffic stays on 127.0.0.1."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import serve

from smemnas.bench.benchmarks.store import data_folder, table_folder
from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.data import download as download_module
from smemnas.bench.data.download import Source
from smemnas.bench.data.recipe import RECIPES, Recipe, fetch, find, open_table, recipes, register
from smemnas.bench.errors import DataError, UserError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 4000  # about 1 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
FILE = "original.bin"


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    for name in ("TORCH_HOME", "NASBENCH101_PATH", "NASBENCH201_PATH", "NASBENCHMARK_DIR"):
        monkeypatch.delenv(name, raising=False)
    recipes()


def make(paths, target):
    data = np.frombuffer(paths[FILE].read_bytes(), dtype=np.uint8)
    return write_table(
        target,
        {"error": np.array([float(data.sum() % 100)])},
        describe={"error": {"unit": "%", "split": "single", "role": "objective"}},
        name="toy/made",
        recipe_version=1,
    )


@pytest.fixture
def recipe(monkeypatch):
    """Return a function that registers the recipe toy-made with some source addresses."""

    def add(url="", mirrors=(), sha256=DIGEST, size=SIZE):
        source = Source(FILE, url, sha256, size, "MIT", tuple(mirrors))
        made = Recipe("toy-made", "toy/made", 1, (source,), make, "a test", "error")
        monkeypatch.setitem(RECIPES, made.name, made)
        return made

    return add


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / FILE).write_bytes(CONTENT)
    with serve(folder) as running:
        yield running


def downloads():
    """Files in the download folder under their final name."""
    return sorted(p.name for p in (data_folder() / "downloads").glob("*") if not p.name.startswith("."))


def no_table():
    return not list((data_folder() / "tables").rglob("*.npy"))


def put(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(content)
    return folder


# --- where a file is found ---------------------------------------------------------------------------


def test_from_folder_folder_above_and_file_itself(tmp_path, recipe):
    recipe()
    put(tmp_path / "a" / "b")
    for place in (tmp_path / "a" / "b", tmp_path / "a", tmp_path / "a" / "b" / FILE):
        table = fetch("toy-made", place)
        assert table.path == table_folder("toy/made")
        assert open_table(find("toy/made")).sha256 == table.sha256
        for file in table.path.iterdir():
            file.unlink()
    assert not (data_folder() / "downloads").exists()  # used in place, not copied


@pytest.mark.parametrize("variable", ["TORCH_HOME", "NASBENCH101_PATH", "NASBENCH201_PATH", "NASBENCHMARK_DIR"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_files_of_other_packages_are_found(tmp_path, monkeypatch, recipe, variable, kind):
    recipe()
    folder = put(tmp_path / "theirs")
    monkeypatch.setenv(variable, str(folder if kind == "folder" else folder / FILE))
    assert fetch("toy-made").n_rows == 1


def test_a_wrong_file_of_another_package_is_passed_over(tmp_path, monkeypatch, recipe, server):
    recipe(server.url + FILE)
    monkeypatch.setenv("TORCH_HOME", str(put(tmp_path / "theirs", CONTENT[:-1] + b"x")))
    fetch("toy-made")
    assert downloads() == [FILE]


def test_from_comes_first_then_downloads(tmp_path, recipe, server):
    recipe(server.url + FILE)
    put(data_folder() / "downloads")
    fetch("toy-made")
    assert server.requests == []
    (table_folder("toy/made") / "header.json").unlink()
    folder = put(tmp_path / "mine", CONTENT[:-1] + b"x")
    with pytest.raises(DataError, match="wrong checksum"):
        fetch("toy-made", folder)


def test_what_the_folder_lacks_is_downloaded(tmp_path, recipe, server):
    recipe(server.url + FILE)
    (tmp_path / "empty").mkdir()
    fetch("toy-made", tmp_path / "empty")
    assert downloads() == [FILE]


def test_an_installed_table_is_not_made_again(tmp_path, recipe):
    recipe()
    first = fetch("toy-made", put(tmp_path / "a"))
    assert fetch("toy-made").sha256 == first.sha256


# --- what can be wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1] + b"x", r"original\.bin has the wrong checksum \(sha256 .*expected "),
        (CONTENT[:1000], r"original\.bin is truncated \(1,000 bytes, expected 1,024,000\)"),
        (CONTENT + b"x", r"original\.bin is of the wrong size"),
    ],
)
def test_bad_file_in_from(tmp_path, recipe, content, message):
    recipe()
    with pytest.raises(DataError, match=message) as caught:
        fetch("toy-made", put(tmp_path / "a", content))
    assert "\n" not in str(caught.value)
    assert no_table()


def test_missing_folder_and_missing_file(tmp_path, recipe):
    recipe()
    with pytest.raises(DataError, match=r"no such folder\. Expected one with original\.bin"):
        fetch("toy-made", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"original\.bin \(1\.0 MB\) of toy-made is missing: not in .*--from DIR"):
        fetch("toy-made", tmp_path / "empty")


def test_unknown_name_suggests():
    with pytest.raises(UserError, match=r"no data set 'nb201-cifar1'\. Did you mean .*'nb201-cifar10'"):
        fetch("nb201-cifar1")


def test_uninstalled_and_outdated_tables_say_what_to_run(tmp_path, recipe):
    made = recipe()
    with pytest.raises(DataError, match=r"is not installed: python -m smemnas data fetch toy-made \(or --from"):
        open_table(made)
    fetch("toy-made", put(tmp_path / "a"))
    newer = Recipe(made.name, made.table, 2, made.sources, made.make, made.text, made.gives)
    with pytest.raises(
        DataError, match="version 1 of its recipe, not 2: python -m smemnas data fetch toy-made".replace(".", r"\.")
    ):
        open_table(newer)


def test_names_are_taken_once():
    with pytest.raises(UserError, match="already registered"):
        register(Recipe("other", "nb201/cifar10", 1, (), make, "", ""))
    assert "other" not in RECIPES


# --- downloads ---------------------------------------------------------------------------------------


def test_download_is_checked_and_kept(recipe, server):
    recipe(server.url + FILE)
    fetch("toy-made")
    assert downloads() == [FILE]
    assert (data_folder() / "downloads" / FILE).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_interrupted_download_is_continued(recipe, server):
    recipe(server.url + FILE)
    server.cuts, server.cut = 1, 300_000
    fetch("toy-made")
    assert [r[1] for r in server.requests] == [None, "bytes=262144-"]  # whole chunks of 64 KiB
    assert (data_folder() / "downloads" / FILE).read_bytes() == CONTENT
    assert downloads() == [FILE]


def test_a_later_fetch_continues_too(recipe, server):
    recipe(server.url + FILE)
    server.cuts, server.cut = 3, 100_000
    with pytest.raises(DataError, match=r"original\.bin .*is missing.*download failed.*no complete answer"):
        fetch("toy-made")
    assert downloads() == [f"{FILE}.part"]
    assert no_table()
    fetch("toy-made")
    assert server.requests[-1][1] == "bytes=196608-"  # one chunk of each attempt
    assert downloads() == [FILE]


def test_server_without_ranges_starts_anew(recipe, server):
    recipe(server.url + FILE)
    server.cuts, server.cut, server.ranges = 1, 300_000, False
    fetch("toy-made")
    assert (data_folder() / "downloads" / FILE).read_bytes() == CONTENT


def test_a_part_of_something_else_does_not_survive(recipe, server):
    recipe(server.url + FILE)
    folder = data_folder() / "downloads"
    folder.mkdir(parents=True)
    (folder / f"{FILE}.part").write_bytes(b"z" * 5000)
    with pytest.raises(DataError, match="wrong checksum"):
        fetch("toy-made")
    assert downloads() == []
    fetch("toy-made")
    (folder / FILE).unlink()
    (folder / f"{FILE}.part").write_bytes(CONTENT + b"more")  # longer than the file
    (table_folder("toy/made") / "header.json").unlink()
    fetch("toy-made")
    assert (folder / FILE).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", b"<html>not here</html>", CONTENT + b"x"])
def test_wrong_content_never_gets_the_final_name(tmp_path, recipe, server, content):
    recipe(server.url + FILE)
    (tmp_path / "www" / FILE).write_bytes(content)
    with pytest.raises(DataError, match="download failed") as caught:
        fetch("toy-made")
    assert "\n" not in str(caught.value)
    assert FILE not in downloads()
    assert no_table()


def test_a_corrupt_earlier_download_is_replaced(recipe, server):
    recipe(server.url + FILE)
    put(data_folder() / "downloads", CONTENT[:-1] + b"x")
    fetch("toy-made")
    assert (data_folder() / "downloads" / FILE).read_bytes() == CONTENT


def test_mirrors_are_tried_in_order(recipe, server):
    recipe(server.url + "gone/" + FILE, [server.url + "also-gone", server.url + FILE])
    fetch("toy-made")
    assert [r[0] for r in server.requests] == ["/gone/" + FILE, "/also-gone", "/" + FILE]


def test_every_address_failing_names_each(recipe, server):
    recipe(server.url + "gone", ["http://127.0.0.1:9/closed"])
    with pytest.raises(DataError, match=r"gone: the server answers 404; http://127\.0\.0\.1:9/closed: no complete"):
        fetch("toy-made")


def test_unknown_checksum_is_recorded_by_size_only(recipe, server):
    recipe(server.url + FILE, sha256="", size=0)
    fetch("toy-made")
    assert (data_folder() / "downloads" / FILE).read_bytes() == CONTENT


def test_progress_bar_goes_to_standard_error(recipe, server, capfd):
    recipe(server.url + FILE)
    fetch("toy-made", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert FILE in err


# --- full disk, two processes ------------------------------------------------------------------------


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_while_downloading(recipe, server, monkeypatch):
    recipe(server.url + FILE)
    monkeypatch.setattr(download_module, "_stream", full)
    with pytest.raises(DataError, match="the disk is full"):
        fetch("toy-made")
    assert downloads() == []


def test_full_disk_while_writing_the_table(tmp_path, recipe, monkeypatch):
    recipe()
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"cannot write .*: the disk is full"):
        fetch("toy-made", put(tmp_path / "a"))
    assert not [p for p in table_folder("toy").iterdir() if p.is_dir()]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="run it as root on Linux: mounts a small disk")
def test_a_really_full_disk(tmp_path, recipe, server, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("run it where root may mount a tmpfs, as in a virtual machine")
    try:
        monkeypatch.setenv("SMEMNAS_DATA", str(disk))
        recipe(server.url + FILE)
        with pytest.raises(DataError, match="the disk is full"):
            fetch("toy-made")
        assert FILE not in downloads()
        assert no_table()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


PLUGIN = """
from pathlib import Path
import numpy as np
from smemnas.bench.data.download import Source
from smemnas.bench.data.recipe import Recipe, register
from smemnas.bench.benchmarks.table import write_table

def make(paths, target):
    return write_table(target, {{"error": np.arange(3.0)}}, recipe_version=1, name="toy/two", default_objectives=[],
                       describe={{"error": {{"unit": "%", "split": "single", "role": "objective"}}}})

register(Recipe("toy-two", "toy/two", 1, (Source("{file}", "{url}", "{sha}", {size}, "MIT"),), make, "", ""))
"""


def test_two_processes_fetch_at_once(tmp_path, server):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.format(file=FILE, url=server.url + FILE, sha=DIGEST, size=len(CONTENT)))
    command = [sys.executable, "cli.py", "--plugin", str(plugin), "data", "fetch", "toy-two"]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert out.startswith("toy/two: 3 rows in ")
    assert len(server.requests) == 1
    assert downloads() == [FILE]
    left = [p.name for p in table_folder("toy").iterdir()]
    assert sorted(left) == [".two.lock", "two"]
