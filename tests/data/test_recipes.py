"""The recipes nb201-*, macro, nats_sss: published figures from the original files, and every kind of bad file."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from data_files import (
    macro_file,
    nb201_accuracies,
    nb201_hardware,
    nb201_proxies,
    original,
    serve,
    sss_file,
)

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.data import macro, nats_sss, nb201
from smemnas.bench.data.build import grid_order
from smemnas.bench.data.recipe import RECIPES, fetch, find
from smemnas.bench.errors import DataError
from smemnas.spaces.macro import Macro
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import NB201


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    for name in ("TORCH_HOME", "NASBENCH101_PATH", "NASBENCH201_PATH", "NASBENCHMARK_DIR"):
        monkeypatch.delenv(name, raising=False)


def nothing_written(tmp_path):
    return not [p for p in tmp_path.rglob("*") if p.suffix == ".npy" or p.name == "header.json"]


# --- published figures -------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(("dataset", "best_val", "best_test"), [("cifar10", 91.61, 94.37), ("cifar100", 73.49, 73.51)])
def test_nb201_maxima_and_columns(dataset, best_val, best_test):
    folder = original("nb201", f"nasbench201_{dataset}.json").parent
    table = fetch(f"nb201-{dataset}", folder)
    assert table.n_rows == 15625
    assert round(100 - table.column("val_error").min(), 2) == best_val
    assert round(100 - table.column("test_error").min(), 2) == best_test
    edgetpu = np.asarray(table.column("latency_edgetpu"))
    assert np.isnan(edgetpu).sum() == 4699
    assert np.nanmin(edgetpu) > 0
    zero_cost = [c for c in table.columns if table.columns[c]["role"] == "proxy"]
    assert len(zero_cost) == 13
    assert all(np.isfinite(table.column(c)).sum() == 9445 for c in zero_cost)
    # The proxy file counts parameters and FLOPs itself: the space's closed forms give the same on every cell.
    space, known = NB201(), np.isfinite(table.column("zc_params"))
    X = space.enumerate()
    assert np.abs(space.cost(X, "params") - table.column("zc_params"))[known].max() < 1e-9
    assert np.abs(space.cost(X, "flops_naslib") - table.column("zc_flops"))[known].max() < 1e-9


@pytest.mark.data
def test_nb201_rows_agree_with_the_files_read_independently():
    """Three random rows by hand: string in the JSON, tuple in the CSV, both through the benchmark."""
    import ast
    import csv

    path = original("nb201", "nasbench201_cifar10.json")
    fetch("nb201-cifar10", path.parent)
    bench = open_benchmark("nb201", "cifar10", ("error", "latency_pixel3"))
    accuracies = json.loads(path.read_text())
    names = ["skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    rows = list(csv.DictReader((path.parent / "hw_cifar10.csv").read_text().splitlines()))
    for row in (rows[0], rows[7777], rows[-1]):
        a, b, c, d, e, f = (names[i] for i in ast.literal_eval(row["net"]))  # edges 01 02 03 12 13 23
        arch = f"|{a}~0|+|{b}~0|{d}~1|+|{c}~0|{e}~1|{f}~2|"
        got = bench.evaluate(bench.space.from_str(arch)[None], 5).F[0]
        assert got[0] == pytest.approx(100 - accuracies[arch]["val_acc_200"], abs=1e-12)
        assert got[1] == float(row["pixel3_latency"])


@pytest.mark.data
def test_macro_figures():
    path = original("macro", "nas-bench-macro_cifar10.json")
    table = fetch("macro-cifar10", path.parent)
    assert table.column("error").shape == (6561, 3)
    records, space = json.loads(path.read_text()), Macro()
    bench = open_benchmark("macro", objectives=("error", "flops", "params"))
    X = np.stack([space.from_str(name) for name in records])
    reported = bench.report(X)
    assert np.abs(100 - reported[:, 0] - [r["mean_acc"] for r in records.values()]).max() < 1e-9
    assert round(100 - reported[:, 0].min(), 2) == 93.13  # the best network of the paper
    assert (np.rint(reported[:, 1] * 1e6) == [r["flops"] for r in records.values()]).all()
    assert (np.rint(reported[:, 2] * 1e6) == [r["params"] for r in records.values()]).all()


@pytest.mark.data
def test_macro_equal_networks_have_equal_records():
    """The file holds 3,969 distinct networks: exactly those that `canonical` tells apart."""
    path = original("macro", "nas-bench-macro_cifar10.json")
    records, space = json.loads(path.read_text()), Macro()
    keys = space.canonical(np.stack([space.from_str(name) for name in records]))
    by_key = {}
    for key, record in zip(keys, records.values(), strict=True):
        by_key.setdefault(key.tobytes(), set()).add((*record["test_acc"], record["params"], record["flops"]))
    assert len(by_key) == 3969
    assert all(len(values) == 1 for values in by_key.values())
    assert len(set.union(*by_key.values())) == 3969


@pytest.mark.data
def test_nats_sss_figures():
    path = original("nats_sss", "nats_cifar10_acc_rank.yml")
    table = fetch("nats_sss-cifar10", path.parent)
    assert table.n_rows == 32768
    assert 100 - table.column("error").min() == pytest.approx(93.65)
    names, _ = nats_sss.read_accuracies(path)
    assert all(isinstance(n, str) and len(n.split(":")) == 5 for n in names)
    bench = open_benchmark("nats_sss")
    x = bench.space.from_str("16:16:16:16:64")  # an unquoted key, a number in base 60 for YAML 1.1
    assert bench.evaluate(x[None], 0).F[0, 0] == pytest.approx(100 - 89.58)


# --- the same without original files -----------------------------------------------------------------


def make_nb201(folder, dataset="cifar10", hardware="hw_cifar10.csv"):
    folder.mkdir(exist_ok=True)
    return (
        nb201_accuracies(folder / f"nasbench201_{dataset}.json"),
        nb201_hardware(folder / hardware),
        nb201_proxies(folder / "nb201_zc_proxies.csv"),
    )


def test_nb201_round_trip(tmp_path):
    accuracies, hardware, (X, proxies) = make_nb201(tmp_path / "in")
    paths = {s.file: tmp_path / "in" / s.file for s in nb201.CIFAR10.sources}
    table = nb201.CIFAR10.make(paths, tmp_path / "out")
    np.testing.assert_allclose(table.column("val_error"), 100 - accuracies[:, 0])
    np.testing.assert_allclose(table.column("test_error"), 100 - accuracies[:, 1])
    for i, (column, *_) in enumerate(nb201.HARDWARE.values()):
        expected = np.where(hardware[:, i] == -1, np.nan, hardware[:, i])
        np.testing.assert_array_equal(table.column(column), expected)
    rows = NB201().index(X)
    for i, name in enumerate(nb201.PROXY_NAMES):
        column = np.asarray(table.column(f"zc_{name}"))
        np.testing.assert_array_equal(column[rows], proxies[:, i])
        assert np.isfinite(column).sum() == len(rows)


def test_edgetpu_minus_one_is_infeasible_not_fast(tmp_path):
    make_nb201(tmp_path / "in")
    paths = {s.file: tmp_path / "in" / s.file for s in nb201.CIFAR10.sources}
    from smemnas.bench.benchmarks.tabular import TabularBenchmark

    bench = TabularBenchmark(NB201(), nb201.CIFAR10.make(paths, tmp_path / "out"), ("error", "latency_edgetpu"))
    result = bench.evaluate(bench.space.enumerate()[:4], 0)
    assert np.isnan(result.F[:, 1]).tolist() == [True, False, False, True]
    assert result.errors == ("no value of latency_edgetpu in the table", "", "", result.errors[0])
    assert (bench.reference().front[:, 1] > 0).all()


def test_imagenet_is_fetched_by_url_and_checksum_alone(tmp_path, monkeypatch):
    """The code of the recipe whose files cannot be there, against a server on this machine."""
    recipe = find("nb201-imagenet16-120")
    accuracies, hardware, _ = make_nb201(tmp_path / "www", "imagenet", "hw_ImageNet16-120.csv")
    with serve(tmp_path / "www") as server:
        sources = []
        for source in recipe.sources:
            data = (tmp_path / "www" / source.file).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            sources.append(dataclasses.replace(source, url=server.url + source.file, sha256=digest, bytes=len(data)))
        monkeypatch.setitem(RECIPES, recipe.name, dataclasses.replace(recipe, sources=tuple(sources)))
        table = fetch(recipe.name)
    np.testing.assert_allclose(table.column("test_error"), 100 - accuracies[:, 1])
    np.testing.assert_allclose(table.column("energy_fpga"), hardware[:, -1])
    bench = open_benchmark("nb201", "imagenet16-120", ("error", "flops", "params"))
    none = np.zeros((1, 6), dtype=np.int64)
    assert bench.space.n_classes == 120
    # Stem and reductions at 16 pixels, then a classifier of 64 x 120 with bias.
    small = NB201().cost(none, "flops") - 650e-6
    assert bench.evaluate(none, 0).F[0, 1] == pytest.approx(small[0] / 4 + 65 * 120 / 1e6)


def test_the_imagenet_recipe_names_the_published_files():
    recipe = find("nb201-imagenet16-120")
    assert [s.file for s in recipe.sources][:2] == ["nasbench201_imagenet.json", "hw_ImageNet16-120.csv"]
    for source in recipe.sources:
        assert source.url.startswith("https://")
        assert source.url.endswith("/" + source.file)
        assert len(source.sha256) == 64
        assert source.bytes > 2_000_000


@pytest.mark.parametrize("file", ["json", "hw", "zc"])
def test_nb201_truncated_files(tmp_path, file):
    make_nb201(tmp_path)
    name = {"json": "nasbench201_cifar10.json", "hw": "hw_cifar10.csv", "zc": "nb201_zc_proxies.csv"}[file]
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-30])
    paths = {s.file: tmp_path / s.file for s in nb201.CIFAR10.sources}
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        nb201.CIFAR10.make(paths, tmp_path / "out")
    assert nothing_written(tmp_path)


def change(path, old, new, count=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_nb201_bad_accuracies(tmp_path):
    path = tmp_path / "a.json"

    def read():
        return nb201.read_accuracies(path, NB201())

    nb201_accuracies(path)
    change(path, '"val_acc_200": ', '"val_acc_200": 1')
    first = next(iter(json.loads(path.read_text()).values()))["val_acc_200"]
    if first <= 100:
        change(path, '"val_acc_200": ', '"val_acc_200": 1')
    with pytest.raises(DataError, match=r"a\.json, row 1, column 'val_acc_200'.*not a percentage"):
        read()
    nb201_accuracies(path)
    records = json.loads(path.read_text())
    names = list(records)
    records[names[4]]["test_acc_200"] = float("nan")
    path.write_text(json.dumps(records))
    with pytest.raises(DataError, match=r"row 5, column 'test_acc_200': nan is not a percentage"):
        read()
    nb201_accuracies(path)
    change(path, "skip_connect", "skip_connexion")
    with pytest.raises(DataError, match=r"a\.json, row \d+: no operation 'skip_connexion'"):
        read()
    nb201_accuracies(path)
    change(path, names[1], names[0])
    with pytest.raises(DataError, match="is there twice"):
        read()
    nb201_accuracies(path)
    del records[names[0]]
    records[names[4]]["test_acc_200"] = 50.0
    path.write_text(json.dumps(records))
    with pytest.raises(DataError, match="has 15,624 of the 15,625 architectures"):
        read()
    path.write_text("[1, 2]")
    with pytest.raises(DataError, match="is not"):
        read()


def test_nb201_bad_hardware(tmp_path):
    path, space = tmp_path / "h.csv", NB201()
    nb201_hardware(path)
    lines = path.read_text().splitlines()

    def read(row, column, value):
        cells = lines[row].rsplit(",", len(nb201.HARDWARE))
        cells[1 + list(nb201.HARDWARE).index(column)] = value
        path.write_text("\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]))
        return nb201.read_hardware(path, space)

    with pytest.raises(DataError, match=r"h\.csv, row 3, column 'fpga_energy': -1 is negative"):
        read(3, "fpga_energy", "-1")
    with pytest.raises(DataError, match=r"h\.csv, row 3, column 'edgetpu_latency': -2 is negative"):
        read(3, "edgetpu_latency", "-2")
    with pytest.raises(DataError, match=r"h\.csv, row 2, column 'pixel3_latency': nan is not a finite"):
        read(2, "pixel3_latency", "nan")
    with pytest.raises(DataError, match=r"row 9: a value is missing"):
        read(9, "pixel3_latency", "")
    path.write_text("\n".join([*lines, lines[5]]))
    with pytest.raises(DataError, match=r"row 15626: .* is there twice, first in row 5"):
        nb201.read_hardware(path, space)
    path.write_text("\n".join(["net,edgegpu_latency", *lines[1:]]))
    with pytest.raises(DataError, match="has no column 'edgegpu_energy'"):
        nb201.read_hardware(path, space)
    path.write_text("\n".join([lines[0], lines[1].replace("(", "(7")]))
    with pytest.raises(DataError, match=r"column 'net', row 1: .* naslib tuple"):
        nb201.read_hardware(path, space)


def test_nb201_proxies_that_contradict_themselves(tmp_path):
    path = tmp_path / "z.csv"
    nb201_proxies(path)
    lines = path.read_text().splitlines()
    one, two = lines[1].split('",', 1)[0], lines[2].split('",', 1)[0]
    path.write_text("\n".join([lines[0], lines[1].replace(one, two), *lines[2:]]))
    with pytest.raises(DataError, match=r"z\.csv, row 1: net, net_str, params and flops do not fit"):
        nb201.read_proxies(path)
    path.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(DataError, match="names a cell twice"):
        nb201.read_proxies(path)


def test_macro_round_trip_and_bad_files(tmp_path):
    path = tmp_path / macro.SOURCE.file
    values = macro_file(path)
    table = macro.make({path.name: path}, tmp_path / "out")
    np.testing.assert_allclose(table.column("error"), 100 - values)
    records = json.loads(path.read_text())
    names = list(records)

    def make(**change):
        path.write_text(json.dumps({**records, names[2]: {**records[names[2]], **change}}))
        macro.make({path.name: path}, tmp_path / "bad")

    with pytest.raises(DataError, match=r"row 3: params of .* differs from its network"):
        make(params=records[names[2]]["params"] + 1)
    with pytest.raises(DataError, match=r"row 3, column 'test_acc': 101 is not a percentage"):
        make(test_acc=[50.0, 101.0, 50.0])
    with pytest.raises(DataError, match="is not"):
        make(test_acc=[50.0, 51.0])
    path.write_text(json.dumps({**records, "99999999": records[names[2]]}))
    with pytest.raises(DataError, match=r"row 6562: macro architectures are eight digits"):
        macro.make({path.name: path}, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_macro_seed_sees_one_training_and_the_report_is_the_mean(tmp_path):
    from smemnas.bench.benchmarks.tabular import TabularBenchmark

    path = tmp_path / macro.SOURCE.file
    values = 100 - macro_file(path)
    bench = TabularBenchmark(Macro(), macro.make({path.name: path}, tmp_path / "out"))
    X = bench.space.enumerate()
    for seed in (0, 1, 2**40):
        seen = bench.evaluate(X, seed).F[:, 0]
        which = np.isclose(seen[:, None], values).argmax(axis=1)
        np.testing.assert_allclose(seen, values[np.arange(len(X)), which])
        assert np.bincount(which, minlength=3).min() > 1900  # of 6,561 / 3 = 2,187
        np.testing.assert_array_equal(seen[::-1], bench.evaluate(X[::-1], seed).F[:, 0])
    np.testing.assert_allclose(bench.report(X)[:, 0], values.mean(axis=1))
    assert any("among the three" in note for note in bench.notes)


def test_sss_round_trip_and_bad_lines(tmp_path):
    path = tmp_path / nats_sss.SOURCE.file
    values = sss_file(path)
    table = nats_sss.make({path.name: path}, tmp_path / "out")
    np.testing.assert_allclose(table.column("error"), 100 - values)
    lines = path.read_text().splitlines()

    def make(line):
        path.write_text("\n".join([lines[0], line, *lines[2:]]))
        nats_sss.make({path.name: path}, tmp_path / "bad")

    key = lines[1].split(": ")[0]
    for line, message in (
        ("'8:8:8:8': 90.0", "line 2: expected c1:c2:c3:c4:c5: accuracy"),
        ("1866240: 90.0", "line 2: expected c1:c2:c3:c4:c5: accuracy"),
        ("'8:8:8:8:8\": 90.0", "line 2: expected"),
        ("'8:8:8:8:9': 90.0", "row 2: nats_sss architectures are five"),
        (f"{key}: ninety", "line 2: 'ninety' is not a number"),
        (f"{key}: 190.0", "row 2, column 'accuracy': 190 is not a percentage"),
        (f"{key}: .nan", "line 2: '.nan' is not a number"),
        (lines[0], r"row 2: .* is there twice, first in row 1"),
    ):
        with pytest.raises(DataError, match=message):
            make(line)
    assert not (tmp_path / "bad").exists()


def test_grid_order_finds_missing_and_repeated():
    space = Macro()
    X = space.enumerate()[::-1]
    assert (grid_order(space, X, "f") == np.arange(6561)[::-1]).all()
    with pytest.raises(DataError, match="f has 6,560 of the 6,561"):
        grid_order(space, X[1:], "f")
    with pytest.raises(DataError, match=r"f, row 3: .* is there twice, first in row 1"):
        grid_order(space, X[[0, 1, 0]], "f")


def test_sizes_of_spaces():
    assert (NATSSize().size, Macro().size) == (32768, 6561)
