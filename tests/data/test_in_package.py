"""Tables of the package: bit for bit what the recipes make, the same table to a run, and refused when damaged."""

import json
import socket
import zlib

import numpy as np
import pytest
from conftest import ROOT
from data_files import macro_file, original

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data import in_package, macro, pins
from smemnas.bench.data.in_package import PACKAGED, PackagedTable, pack, packaged, unpack
from smemnas.bench.data.manage import export, open_named, state_of, verify
from smemnas.bench.data.pack import LIMIT, TABLES, pack_table
from smemnas.bench.data.recipe import fetch, find, open_table
from smemnas.bench.errors import DataError

NAMES = [find(name).table for name in TABLES]
#: An original file of each, to find the folder by.
FILES = {
    "nb201/cifar10": ("nb201", "nasbench201_cifar10.json"),
    "nb201/cifar100": ("nb201", "nasbench201_cifar100.json"),
    "macro/cifar10": ("macro", "nas-bench-macro_cifar10.json"),
    "nats_sss/cifar10": ("nats_sss", "nats_cifar10_acc_rank.yml"),
}


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The packaged files of macro in a folder of the test's own."""
    folder = tmp_path / "package"
    folder.mkdir()
    for file in PACKAGED.glob("macro-cifar10.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(in_package, "PACKAGED", folder)
    return folder


# --- what is there -----------------------------------------------------------------------------------


def test_the_package_holds_what_the_maker_packs():
    assert packaged() == set(NAMES)
    for recipe in map(find, TABLES):
        table = PackagedTable(recipe.table)
        assert table.header["recipe_version"] == recipe.version
        assert table.header["name"] == recipe.table
        assert pins.CONTENT[recipe.table] == (recipe.version, pins.content_digest(table))
    sizes = [file.stat().st_size for file in PACKAGED.iterdir()]
    assert max(sizes) < LIMIT
    assert sum(sizes) < 1.5e6


def test_the_notice_names_original_and_copy_of_each():
    notice = (PACKAGED / "NOTICE").read_text()
    for name in NAMES:
        assert name.replace("/", "-") in notice
        for source in PackagedTable(name).header["source"]:
            if source["file"] != "nb201_zc_proxies.csv":  # its numbers are not in the package
                assert "/".join(source["url"].split("/")[3:5]) in notice, source["url"]
    for original_place in (
        "D-X-Y/NAS-Bench-201",
        "D-X-Y/NATS-Bench",
        "GATECH-EIC/HW-NAS-Bench",
        "xiusu/NAS-Bench-Macro",
    ):
        assert original_place in notice
    assert "Apache License" in (PACKAGED / "LICENSE-Apache-2.0").read_text()


def test_published_maxima():
    for dataset, best_val, best_test in (("cifar10", 91.61, 94.37), ("cifar100", 73.49, 73.51)):
        table = PackagedTable(f"nb201/{dataset}")
        assert round(100 - table.column("val_error").min(), 2) == best_val
        assert round(100 - table.column("test_error").min(), 2) == best_test
        assert np.isnan(table.column("latency_edgetpu")).sum() == 4699
    assert PackagedTable("macro/cifar10").column("error").shape == (6561, 3)
    assert round(100 - PackagedTable("macro/cifar10").column("error").mean(axis=1).min(), 2) == 93.13
    assert 100 - PackagedTable("nats_sss/cifar10").column("error").min() == pytest.approx(93.65)


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_packaged_equals_what_the_recipe_makes(name):
    """By the written rule: nothing is rounded. Header, checksum and every column are those of the fetched table."""
    made = fetch(name, original(*FILES[name]).parent)
    ours = PackagedTable(name)
    assert made.header == ours.header
    assert made.sha256 == made.identity == ours.sha256 == ours.identity
    assert {c for c in made.columns if made.columns[c]["role"] != "proxy"} == set(ours.columns)
    for column in ours.columns:
        assert np.asarray(made.column(column)).tobytes() == ours.column(column).tobytes()


@pytest.mark.data
def test_the_maker_makes_the_same_files(tmp_path):
    table = fetch("macro-cifar10", original(*FILES["macro/cifar10"]).parent)
    pack_table(table, tmp_path)
    about = json.loads((tmp_path / "macro-cifar10.json").read_text())
    assert about["header"] == json.loads((PACKAGED / "macro-cifar10.json").read_text())["header"]


# --- packing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1e308]),
        np.array([]),
        np.arange(12.0).reshape(4, 3),
        np.random.default_rng(0).normal(size=70_000),  # more distinct numbers than two bytes count
        np.round(np.random.default_rng(1).uniform(0, 100, 5000), 1),
        np.array([np.nan, np.frombuffer(b"\x01\0\0\0\0\0\xf8\x7f")[0]]),  # two marks of a missing value
    ],
)
def test_packing_keeps_every_bit(values):
    assert unpack(pack(values)).tobytes() == values.tobytes()


def test_what_every_search_opens_is_not_packed_where_that_saves_little():
    """One part: the numbers as they are. The others have 8 or 10."""
    for name, column, parts in (
        *(("nb201/cifar10", "val_error", {1}), ("nb201/cifar100", "val_error", {1}), ("macro/cifar10", "error", {10})),
        *(("nats_sss/cifar10", "error", {1}), ("nb201/cifar10", "test_error", {8, 10})),
    ):
        table = PackagedTable(name)
        places = json.loads((PACKAGED / f"{name.replace('/', '-')}.json").read_text())["columns"]
        assert len(places[column]["sizes"]) in parts, (name, column)
        assert np.isfinite(table.column(column)).all()
    values = np.random.default_rng(0).normal(size=30)
    assert unpack([values.astype("<f8").tobytes()]).tobytes() == values.tobytes()
    with pytest.raises(ValueError, match="expected 3"):
        unpack([zlib.compress(bytes(n)) for n in (3, 3, 3, 3, 3, 3, 3, 1)])


def test_few_distinct_numbers_are_written_once():
    few = np.random.default_rng(2).choice(np.random.default_rng(3).normal(size=50), 20_000)
    many = np.random.default_rng(4).normal(size=20_000)
    assert (len(pack(few)), len(pack(many))) == (10, 8)
    assert sum(map(len, pack(few))) < 0.2 * sum(map(len, pack(many)))


# --- in use ------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_needs_no_download_and_writes_no_table(name, tmp_path, no_network):
    from smemnas.bench.runs.job import make_job
    from smemnas.bench.runs.run import run

    space, dataset = name.split("/")
    job, benchmark = make_job("random", space, dataset=dataset, objectives=("error", "flops"), budget=20)
    run(job, tmp_path / "run", benchmark=benchmark)
    assert len((tmp_path / "run" / "evals.jsonl").read_text().splitlines()) == 20
    data = json.loads((tmp_path / "run" / "job.json").read_text())["data"]
    assert data == {"table": name, "sha256": PackagedTable(name).sha256}
    assert not (tmp_path / "cache").exists()


def test_old_runs_know_the_table_by_its_checksum():
    """What job.json of earlier versions says, which knew fetched tables only."""
    assert PackagedTable("macro/cifar10").sha256 == "a1ce10bb991004671c61f7267719c7147b96a05dfbc707d67cfbdefcc9498705"
    assert PackagedTable("nb201/cifar10").sha256 == "fbf5a7fd04e3981184e07dc935b4ffa8e67e195f28281dac74fd693daf6885cf"


@pytest.mark.data
def test_a_run_begun_on_the_package_goes_on_with_the_fetched_table(tmp_path):
    from smemnas.bench.runs.job import make_job
    from smemnas.bench.runs.run import run

    job, benchmark = make_job("nsga2", "nb201", dataset="cifar10", budget=60, seed=3)
    run(job, tmp_path / "whole", benchmark=benchmark)
    run(job, tmp_path / "part", benchmark=benchmark)
    log = tmp_path / "part" / "evals.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:25]))
    fetch("nb201-cifar10", original(*FILES["nb201/cifar10"]).parent)
    job, fetched = make_job("nsga2", "nb201", dataset="cifar10", budget=60, seed=3)
    assert "zc_synflow" in fetched.table.columns
    run(job, tmp_path / "part", benchmark=fetched)
    assert log.read_bytes() == (tmp_path / "whole" / "evals.jsonl").read_bytes()


def test_an_installed_table_comes_first_and_an_outdated_one_gives_way(tmp_path):
    values = macro_file(tmp_path / macro.SOURCE.file)
    folder = table_folder("macro/cifar10")
    macro.make({macro.SOURCE.file: tmp_path / macro.SOURCE.file}, folder)
    np.testing.assert_array_equal(open_table(macro.RECIPE).column("error"), 100 - values)
    assert open_table(macro.RECIPE).identity == Table(folder).sha256 != PackagedTable("macro/cifar10").sha256
    from test_data_manage import rewrite_header

    rewrite_header(folder, recipe_version=0)
    assert isinstance(open_table(macro.RECIPE), PackagedTable)
    assert state_of(macro.RECIPE) == "outdated"


def test_columns_are_read_only_and_read_once():
    table = PackagedTable("macro/cifar10")
    assert table.column("error") is table.column("error")
    with pytest.raises(ValueError, match="read-only"):
        table.column("error")[0] = 1.0
    with pytest.raises(DataError, match="no column 'zc_snip'"):
        PackagedTable("nb201/cifar10").column("zc_snip")
    assert PackagedTable("nb201/cifar10").left_out == tuple(
        c for c in PackagedTable("nb201/cifar10").header["columns"] if c.startswith("zc_")
    )


def test_shown_and_exported_like_any_other(tmp_path, call):
    assert export("nats_sss-cifar10", tmp_path / "out.csv") == 32768
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("8:8:8:8:8,")
    code, out, _ = call("data", "info", "nb201-cifar10")
    assert code == 0
    for words in ("in the package, ", "NOTICE", "zc_epe_nas", "--original adds them", "numbers of NAS-Bench-201 (MIT)"):
        assert words in out
    assert dict(verify("nb201-cifar100")) == {"nb201/cifar100": ""}


def test_fetching_says_that_it_is_here(call, no_network):
    code, out, _ = call("data", "fetch", "macro-cifar10", "nb201-cifar10")
    assert code == 0
    first, second = out.splitlines()
    assert first == "macro/cifar10: in the package, nothing to fetch; --original makes it from the original files"
    assert second.startswith("nb201/cifar10: in the package, nothing to fetch; --original makes it")
    assert "zc_zen" in second


@pytest.mark.data
def test_the_original_is_fetched_besides(call):
    folder = original(*FILES["nb201/cifar10"]).parent
    code, out, _ = call("data", "fetch", "nb201-cifar10", "--from", folder)
    assert (code, out) == (0, f"nb201/cifar10: 15,625 rows in {table_folder('nb201/cifar10')}\n")
    assert "zc_zen" in open_named("nb201-cifar10").columns


# --- damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_damaged_column_is_refused(copy, at):
    content = bytearray((copy / "macro-cifar10.bin").read_bytes())
    content[at] ^= 0x40
    (copy / "macro-cifar10.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"macro-cifar10\.bin.* the installation of smemnas is damaged"):
        PackagedTable("macro/cifar10").column("error")
    assert "damaged" in dict(verify("macro-cifar10"))["macro/cifar10"]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"header": {}, "columns": {}}', '{"header": 3, "columns": {}}'])
def test_a_damaged_header_is_refused(copy, text):
    (copy / "macro-cifar10.json").write_text(text)
    with pytest.raises(DataError, match=r"macro-cifar10\.json .*damaged"):
        PackagedTable("macro/cifar10")
    (copy / "macro-cifar10.json").unlink()
    with pytest.raises(DataError, match=r"macro-cifar10\.json cannot be read"):
        PackagedTable("macro/cifar10")


def test_a_changed_number_is_noticed(copy):
    """Whoever repacks other numbers under the old header is found out."""
    about = json.loads((copy / "macro-cifar10.json").read_text())
    values = np.array(PackagedTable("macro/cifar10").column("error"))
    values[7, 1] += 0.01
    parts = pack(values)
    about["columns"]["error"]["sizes"] = [len(p) for p in parts]
    (copy / "macro-cifar10.bin").write_bytes(b"".join(parts))
    (copy / "macro-cifar10.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="does not match its checksum"):
        PackagedTable("macro/cifar10").column("error")


def test_the_default_problem_of_each_space_opens():
    for space in ("macro", "nats_sss"):
        assert open_benchmark(space).reference().exact
    assert (ROOT / "bench" / "data" / "embedded" / "NOTICE").is_file()
