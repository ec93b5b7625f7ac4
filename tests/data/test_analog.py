"""The embedded table: what is read from the wheel, and what is refused."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data import analog
from smemnas.bench.data.analog import COLUMNS, make, read_records
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.nb201 import NB201


@pytest.fixture(scope="module")
def source():
    spec = importlib.util.find_spec("analognasbench")
    return Path(next(iter(spec.submodule_search_locations))) / "data.anb"


@pytest.fixture
def table(embedded):
    return Table(embedded / "tables" / "nb201" / "analog")


def test_every_record_lands_in_the_row_of_its_cell(source, table):
    with open(source, "rb") as stream:
        X, columns = read_records(stream)
    assert len(X) == 15625
    rows = NB201().index(X)
    for name, values in columns.items():
        np.testing.assert_array_equal(table.column(name)[rows], values)


def test_every_quantity_is_an_objective(use_embedded):
    names = [column for column, _ in COLUMNS.values()]
    assert len(names) == 13
    benchmark = open_benchmark("nb201", "analog", (*names, "params", "flops"))
    X = NB201().enumerate()[::97]
    F = benchmark.evaluate(X, 0).F
    assert F.shape == (len(X), 15)
    assert np.isfinite(F).all()
    assert ((F[:, :13] >= 0) & (F[:, :13] <= 100)).all()


def test_the_test_split_and_spreads_are_no_objectives(use_embedded):
    with pytest.raises(UserError, match=r"no objective 'error_drift_1h_sd'"):
        open_benchmark("nb201", "analog", ("error_drift_1h_sd",))


def test_dead_cells_guess(table):
    """A cell whose output is cut off can only guess among ten classes: 90 % error."""
    space = NB201()
    dead = np.array([[3, 3, 3, 0, 0, 0], [0, 0, 0, 0, 0, 0], [2, 4, 1, 0, 0, 0]])
    np.testing.assert_allclose(table.column("error")[space.index(dead)], 90.0, atol=0.01)


def test_columns_are_ordered_as_physics_orders_them(table):
    """Longer drift is worse in the mean, and hardware-aware training helps under noise."""
    drift = [np.median(table.column(f"error_drift_{t}")) for t in ("60s", "1h", "1d", "30d")]
    assert drift == sorted(drift)
    assert np.median(table.column("error_analog")) < np.median(table.column("error_noisy"))


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize("value", [Evil(), {(0, 0, 0, 0, 0, 0): Evil()}, np.arange(3), Path("x"), io.BytesIO(b"")])
def test_a_foreign_class_is_refused(value):
    with pytest.raises(DataError, match=r"foreign class .* refused"):
        read_records(io.BytesIO(pickle.dumps(value)))


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(source, share):
    data = source.read_bytes()
    with pytest.raises(DataError, match=r"corrupt"):
        read_records(io.BytesIO(data[: int(share * len(data))]))


@pytest.mark.parametrize("value", [None, 3, [], {}, {"a": 1}, {(1, 2): 3}])
def test_a_pickle_of_something_else_is_refused(value):
    with pytest.raises(DataError):
        read_records(io.BytesIO(pickle.dumps(value)))


def test_another_version_of_the_wheel_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(analog, "SOURCE_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"pip install --force-reinstall analog-nasbench==0\.1\.3"):
        make(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_missing_wheel_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=r"nb201/analog is not installed: pip install analog-nasbench==0.1.3 \(the extra analog\)"
    ):
        make(tmp_path / "t")


def test_the_table_says_where_it_comes_from(table):
    header = table.header
    assert header["source"]["sha256"] == analog.SOURCE_SHA256
    assert all(table.columns[c]["unit"] == "%" and table.columns[c]["split"] == "single" for c, _ in COLUMNS.values())
    assert any("no validation/test split" in note for note in header["notes"])
