"""Public files imported by command, as they lie there; their values are those of the suite's own recipes."""

import csv

import numpy as np
import pytest
from data_files import macro_file, nb201_accuracies, nb201_hardware, original, sss_file, tuples_of

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data import macro, mnv3, nats_sss, nb201
from smemnas.bench.data.nb201 import HARDWARE
from smemnas.bench.data.user import import_table
from smemnas.bench.data.user_rows import Long
from smemnas.cli import main
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb201 import NB201

ON_EDGETPU = 4699  # cells that the device cannot run


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


def command(file, space, *given):
    """Run `data import` and open what it made."""
    with pytest.raises(SystemExit) as ended:
        main(["data", "import", str(file), "--space", space, "--name", "theirs", *given])
    assert not ended.value.code
    return Table(table_folder(f"{space}/theirs"))


def test_macro_json(tmp_path):
    check_macro(tmp_path, original("macro", "nas-bench-macro_cifar10.json"))


def test_macro_json_of_the_same_form(tmp_path):
    macro_file(tmp_path / "made.json")
    check_macro(tmp_path, tmp_path / "made.json")


def check_macro(tmp_path, path):
    table = command(path, "macro", "--accuracy", "test_acc:single", "--metric", "spread=std:%:percent")
    recipe = macro.make({macro.SOURCE.file: path}, tmp_path / "recipe")
    assert table.column("error").shape == (6561, 3)
    np.testing.assert_array_equal(table.column("error"), recipe.column("error"))
    assert table.header["notes"][0] == f"Imported from {path.name}, 6,561 architectures."


def test_nats_sss_yaml(tmp_path):
    check_sss(tmp_path, original("nats_sss", "nats_cifar10_acc_rank.yml"))


def test_nats_sss_yaml_of_the_same_form(tmp_path):
    sss_file(tmp_path / "made.yml")
    check_sss(tmp_path, tmp_path / "made.yml")


def check_sss(tmp_path, path):
    table = command(path, "nats_sss", "--accuracy", "value:single")
    recipe = nats_sss.make({nats_sss.SOURCE.file: path}, tmp_path / "recipe")
    np.testing.assert_array_equal(table.column("error"), recipe.column("error"))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_genius_json(dataset):
    check_genius(original("nb201", f"nasbench201_{dataset}.json"))


def test_genius_json_of_the_same_form(tmp_path):
    nb201_accuracies(tmp_path / "made.json")
    check_genius(tmp_path / "made.json")


def check_genius(path):
    table = command(path, "nb201", "--accuracy", "val_acc_200:validation", "--accuracy", "test_acc_200:test")
    validation, test = nb201.read_accuracies(path, NB201())
    np.testing.assert_array_equal(table.column("val_error"), validation)
    np.testing.assert_array_equal(table.column("test_error"), test)
    assert table.columns["val_error"]["report"] == "test_error"


def test_hardware_csv():
    check_hardware(original("nb201", "hw_cifar10.csv"), ON_EDGETPU)


def test_hardware_csv_of_the_same_form(tmp_path):
    values = nb201_hardware(tmp_path / "made.csv")
    check_hardware(tmp_path / "made.csv", int((values[:, list(HARDWARE).index("edgetpu_latency")] == -1).sum()))


def check_hardware(path, unsupported):
    """Tuples in an order of operations of their own, no accuracy, -1 for what a device cannot run."""
    metrics = [f"{ours}={theirs}:{unit}" for theirs, (ours, unit, *_) in HARDWARE.items() if unit]
    given = [word for metric in metrics for word in ("--metric", metric)]
    table = command(path, "nb201", "--arch", "net", "--arch-form", "naslib", "--missing", "-1", *given)
    recipe = nb201.read_hardware(path, NB201())
    names = [n for n, (_, unit, *_) in zip(recipe, HARDWARE.values(), strict=True) if unit]
    assert len(names) >= 9
    for name in names:
        np.testing.assert_array_equal(table.column(name), recipe[name])
    assert np.isnan(table.column("latency_edgetpu")).sum() == unsupported
    assert "val_error" not in table.columns


def test_tuples_in_an_order_that_the_user_states(tmp_path):
    """The order of the hardware file spelt out gives the same table as its form."""
    values = nb201_hardware(tmp_path / "made.csv")
    given = ("--arch", "net", "--metric", "pixel3_latency:ms")
    order = "skip_connect,none,nor_conv_3x3,nor_conv_1x1,avg_pool_3x3"
    stated = command(
        *(tmp_path / "made.csv", "nb201", *given, "--arch-form", "source-major", "--operations", order),
    ).column("pixel3_latency")
    np.testing.assert_array_equal(stated, values[:, list(HARDWARE).index("pixel3_latency")])
    named = command(tmp_path / "made.csv", "nb201", *given, "--arch-form", "naslib", "--overwrite")
    np.testing.assert_array_equal(named.column("pixel3_latency"), stated)


def test_tuples_whose_order_nobody_states_are_refused(tmp_path, fails):
    (tmp_path / "m.csv").write_text('net,acc\n"(2, 0, 3, 1, 4, 2)",81.5\n')
    given = ("data", "import", tmp_path / "m.csv", "--space", "nb201", "--name", "x", "--arch", "net")
    fails((*given, "--accuracy", "acc:single"), "row 1", "(2, 0, 3, 1, 4, 2)", "--arch-form")


def test_naslib_csv(tmp_path):
    """A file as NASLib writes it: operation tuple and validation accuracy."""
    space, rng = NB201(), np.random.default_rng(0)
    X = space.enumerate()[rng.choice(space.size, 300, replace=False)]
    accuracy = rng.uniform(20, 91, len(X))
    with open(tmp_path / "naslib.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["net", "val_accs"], *zip(tuples_of(X), map(float, accuracy), strict=True)])
    command(
        *(tmp_path / "naslib.csv", "nb201", "--arch", "net", "--arch-form", "naslib"),
        *("--accuracy", "val_accs:validation"),
    )
    F = open_benchmark("nb201", "theirs", ("error",)).evaluate(X, 0).F[:, 0]
    np.testing.assert_array_equal(F, 100 - accuracy)


def test_proxies_with_tuple_and_string_side_by_side():
    """The published file names each cell twice, as tuple and as string: both give the same table."""
    path = original("nb201", "nb201_zc_proxies.csv")
    metrics = ("jacov=jacov:-", "synflow=synflow:-")
    one = import_table(path, "nb201", "tuples", arch="net", form="naslib", metrics=metrics)
    other = import_table(path, "nb201", "strings", arch="net_str", metrics=metrics)
    recipe = nb201.read_proxies(path)
    for name in ("jacov", "synflow"):
        np.testing.assert_array_equal(one.column(name), other.column(name))
        np.testing.assert_array_equal(one.column(name), recipe[name])


@pytest.mark.parametrize("file", ["mbnv3w10_evoga_acc.csv", "mbnv3w10_evonsga2_acc_macs.csv"])
def test_dynast_csv(file):
    check_dynast(original("mnv3", file))


def test_dynast_csv_of_the_same_form(tmp_path):
    space, rng = MNV3(), np.random.default_rng(0)
    X = space.sample(50, rng)
    X = np.concatenate([X, X[:3]])
    with open(tmp_path / "dynast.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Sub-network", "Date", "Model Parameters", "Latency (ms)", "MACs", "Top-1 Acc (%)"])
        for x, accuracy in zip(X, rng.uniform(70, 78, len(X)), strict=True):
            spec = {"wid": None, **space.to_ofa(x)}
            spec["r"] = [spec["r"]]
            writer.writerow([str(spec), "2022-11-01 05:40:09", 5029656, 0, 255502624, round(float(accuracy), 3)])
    check_dynast(tmp_path / "dynast.csv")


def check_dynast(path):
    """OFA dictionaries; what was measured twice is one network with the mean."""
    command(path, "mnv3", "--arch", "Sub-network", "--accuracy", "Top-1 Acc (%):single", "--repeated", "mean")
    bench = open_benchmark("mnv3", "theirs", ("error",))
    measured = mnv3.read_measured([path])
    keys, number = np.unique(bench.space.canonical(measured.X), return_inverse=True)
    mean = np.bincount(number.reshape(-1), weights=measured.accuracy) / np.bincount(number.reshape(-1))
    np.testing.assert_allclose(bench.evaluate(measured.X, 0).F[:, 0], 100 - mean[number.reshape(-1)], rtol=0, atol=1e-9)
    assert bench.table.n_rows == len(keys)


def test_dynast_keeps_every_measurement_where_asked(tmp_path):
    test_dynast_csv_of_the_same_form(tmp_path)
    table = import_table(
        *(tmp_path / "dynast.csv", "mnv3", "all"), arch="Sub-network", accuracies=("Top-1 Acc (%):single",),
        long=Long(repeated="trainings"),
    )  # fmt: skip
    assert table.column("error").shape == (50, 2)
    assert np.isfinite(table.column("error")).sum() == 53


def test_long_parquet(tmp_path):
    """One row for each cell, seed and epoch, fractions, as learning curves are published."""
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    import pandas as pd

    space, rng = NB201(), np.random.default_rng(0)
    X = space.enumerate()[rng.choice(space.size, 40, replace=False)]
    rows = [
        (space.to_str(x), seed, epoch, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), 5.5 + i)
        for i, x in enumerate(X) for seed in (777, 888, 999)[: 2 + i % 2] for epoch in (11, 199)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["arch", "seed", "epoch", "valid_acc", "test_acc", "train_time"])
    frame.sample(frac=1, random_state=0).to_parquet(tmp_path / "long.parquet")  # rows in any order
    table = command(
        *(tmp_path / "long.parquet", "nb201", "--seed-column", "seed", "--epoch-column", "epoch"),
        *("--accuracy", "valid_acc:validation:fraction", "--accuracy", "test_acc:test:fraction"),
        *("--metric", "train_time:s"),
    )
    at = space.index(X)
    last = frame[frame.epoch == 199]
    for name, column in (("val_error", "valid_acc"), ("test_error", "test_acc")):
        expected = np.full((len(X), 3), np.nan)
        for i, x in enumerate(X):
            mine = last[last.arch == space.to_str(x)].sort_values("seed")[column].to_numpy()
            expected[i, : len(mine)] = 100.0 - 100.0 * mine
        np.testing.assert_array_equal(table.column(name)[at], expected)
    np.testing.assert_array_equal(table.column("train_time")[at], 5.5 + np.arange(len(X)))
