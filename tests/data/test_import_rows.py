"""Rows of one architecture that seeds, devices and repeats tell apart: nothing is lost, nothing counts twice."""

import json

import numpy as np
import pytest

from smemnas.bench.data.user import import_table
from smemnas.bench.data.user_rows import REPEATED, Long
from smemnas.bench.errors import UserError
from smemnas.spaces.toy import Toy

A, B, C = "0-0-0-0-0", "1-0-0-0-0", "4-4-4-4-4"
DEVICES = Long(device="dev")


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def bring_in(tmp_path, header, *rows, **given):
    lines = [f"arch,{header}", *(",".join(map(str, r)) for r in rows)]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    return import_table(tmp_path / "m.csv", "toy", "mine", overwrite=True, **given)


def of(table, name, *archs):
    rows = Toy().index(np.stack([Toy().from_str(a) for a in archs]))
    return np.asarray(table.column(name))[rows].tolist()


# --- devices


@pytest.mark.parametrize("metrics", [("lat:ms", "lat_p:ms:single"), ("lat_p:ms:single", "lat:ms")])
def test_a_column_of_a_device_overwrites_none(tmp_path, metrics):
    rows = [(A, "p", 1, 70), (A, "q", 2, 70)]
    with pytest.raises(UserError, match="'lat_p' is there twice: give it a name of its own, NAME="):
        bring_in(tmp_path, "dev,lat,lat_p", *rows, metrics=metrics, long=DEVICES)
    table = bring_in(tmp_path, "dev,lat,lat_p", *rows, metrics=("lat:ms", "own=lat_p:ms:single"), long=DEVICES)
    assert [of(table, n, A) for n in ("lat_p", "lat_q", "own")] == [[1], [2], [70]]


def test_a_column_of_a_device_has_a_name_that_can_be_stored(tmp_path):
    with pytest.raises(UserError, match=r"'true_x' is the name of another column of front\.csv"):
        bring_in(tmp_path, "dev,true", (A, "x", 1), metrics=("true:ms",), long=DEVICES)
    name = "l" * 95
    with pytest.raises(UserError, match="is longer than 100 characters"):
        bring_in(tmp_path, f"dev,{name}", (A, "pixel", 1), metrics=(f"{name}:ms",), long=DEVICES)


@pytest.mark.parametrize(("first", "second", "column"), [("91,92", "91,55", "a2"), ("91,92", "55,92", "a1")])
def test_every_training_is_the_same_on_all_devices(tmp_path, first, second, column):
    rows = [(A, "p", first, 1), (A, "q", second, 2)]
    given = {"accuracies": ("a1,a2:single",), "metrics": ("lat:ms",), "long": DEVICES}
    with pytest.raises(UserError, match=f"row 2, column '{column}': differs between the devices of {A}"):
        bring_in(tmp_path, "dev,a1,a2,lat", *rows, **given)
    table = bring_in(tmp_path, "dev,a1,a2,lat", rows[0], (A, "q", first, 2), **given)
    assert of(table, "error", A) == [[9, 8]]


def test_each_training_by_whichever_device_tells_it(tmp_path):
    rows = [(A, "p", "", ""), (B, "p", 91, ""), (A, "q", "", ""), (B, "q", "", 92), (C, "p", 80, 81), (C, "q", 80, 81)]
    table = bring_in(tmp_path, "dev,a1,a2", *rows, accuracies=("a1,a2:single",), long=DEVICES)
    assert of(table, "error", B, C) == [[9, 8], [20, 19]]
    assert np.isnan(of(table, "error", A)).all()
    with pytest.raises(UserError, match=f"row 6, column 'a2': differs between the devices of {C}"):
        bring_in(tmp_path, "dev,a1,a2", *rows[:5], (C, "q", 80, 99), accuracies=("a1,a2:single",), long=DEVICES)


@pytest.mark.parametrize(
    ("repeated", "expected"), [("mean", 8.5), ("first", 9.0), ("last", 8.0), ("trainings", [9.0, 8.0])]
)
def test_repeats_that_are_the_same_on_each_device(tmp_path, repeated, expected):
    rows = [(A, "p", 91, 1), (A, "p", 92, 3), (A, "q", 91, 2), (A, "q", 92, 2)]
    given = {"accuracies": ("acc:single",), "metrics": ("lat:ms",), "long": Long(device="dev", repeated=repeated)}
    table = bring_in(tmp_path, "dev,acc,lat", *rows, **given)
    assert of(table, "error", A) == [expected]
    assert of(table, "lat_q", A) == [2]
    with pytest.raises(UserError, match="column 'acc': differs between the devices"):
        bring_in(tmp_path, "dev,acc,lat", *rows[:2], (A, "q", 55, 2), (A, "q", 56, 2), **given)


def test_means_are_the_same_in_whatever_order(tmp_path):
    values = (90.1, 90.2, 90.3)
    rows = [(A, d, v) for d, order in (("p", (0, 1, 2)), ("q", (2, 1, 0))) for v in np.take(values, order)]
    table = bring_in(tmp_path, "dev,acc", *rows, accuracies=("acc:single",), long=Long(device="dev", repeated="mean"))
    np.testing.assert_allclose(of(table, "error", A), [9.8])


def test_repeats_on_one_device_are_refused_of_every_column(tmp_path):
    rows = [(A, "p", 91), (A, "p", 91), (A, "q", 91)]
    with pytest.raises(UserError, match=f"row 2: {A} is there twice, first in row 1"):
        bring_in(tmp_path, "dev,acc", *rows, accuracies=("acc:single",), long=DEVICES)


# --- seeds


def test_seeds_are_numbers_where_they_can_be(tmp_path):
    rows = [(A, "1", 91), (A, "1.0", 92)]
    given = {"accuracies": ("acc:single",), "long": Long(seed="seed")}
    with pytest.raises(UserError, match=f"row 2: {A} is there twice, first in row 1: also for its seed"):
        bring_in(tmp_path, "seed,acc", *rows, **given)
    table = bring_in(tmp_path, "seed,acc", *rows, accuracies=("acc:single",), long=Long(seed="seed", repeated="mean"))
    assert of(table, "error", A) == [8.5]
    great = 2**53  # beyond it two numbers are one in double precision
    rows = [(A, great + 1, 91), (A, great, 92), (A, "x", 93), (A, "9" * 5000, 94)]
    table = bring_in(tmp_path, "seed,acc", *rows, **given)
    assert of(table, "error", A) == [[8, 9, 6, 7]]


@pytest.mark.parametrize(("empty", "repeated"), [("", "refuse"), ("nan", "mean"), ("NA", "trainings")])
@pytest.mark.parametrize(("what", "long"), [("seed", {"seed": "s"}), ("device", {"device": "s"})])
def test_a_seed_or_device_that_is_missing(tmp_path, empty, repeated, what, long):
    rows = [(A, 1, 91), (A, empty, 91)]
    with pytest.raises(UserError, match=f"row 2, column 's': the {what} is missing"):
        bring_in(tmp_path, "s,acc", *rows, accuracies=("acc:single",), long=Long(**long, repeated=repeated))
    (tmp_path / "m.json").write_text(json.dumps([{"arch": A, "s": 1, "acc": 91}, {"arch": A, "acc": 91}]))
    with pytest.raises(UserError, match=f"row 2, column 's': the {what} is missing"):
        import_table(tmp_path / "m.json", "toy", "x", accuracies=("acc:single",), long=Long(**long))


def test_versions_of_devices_are_no_numbers(tmp_path):
    table = bring_in(tmp_path, "dev,lat", (A, "1.10", 1), (A, "1.1", 2), metrics=("lat:ms",), long=DEVICES)
    assert [of(table, n, A) for n in ("lat_1_10", "lat_1_1")] == [[1], [2]]


# --- all together, against plain Python


@pytest.mark.parametrize("repeated", REPEATED[1:])
def test_seeds_devices_and_repeats_against_loops(tmp_path, repeated):
    rng = np.random.default_rng(3)
    runs = {(a, s): rng.uniform(50, 90, rng.integers(1, 4)) for a in (A, B, C) for s in (0, 1, 2)}
    rows = [
        (a, s, d, v if rng.random() < 0.8 or d == "p" else "", rng.uniform())
        for (a, s), values in runs.items() for d in "qp" for v in values
    ]  # fmt: skip
    if repeated != "trainings":  # a repeat that is missing would move what is merged
        rows = [(a, s, d, acc or v, lat) for (a, s, d, acc, lat), v in zip(rows, _every(runs), strict=True)]
    long = Long(seed="seed", device="dev", repeated=repeated)
    table = bring_in(tmp_path, "seed,dev,acc,lat", *rows, accuracies=("acc:single",), metrics=("lat:ms",), long=long)
    merge = {"mean": np.mean, "first": lambda v: v[0], "last": lambda v: v[-1], "trainings": list}[repeated]
    for a in (A, B, C):
        expected = np.hstack([merge(runs[a, s]) for s in (0, 1, 2)])
        found = np.ravel(of(table, "error", a))
        np.testing.assert_allclose(100 - found[np.isfinite(found)], expected, rtol=1e-12)
        for d in "pq":
            mine = np.hstack([merge([r[4] for r in rows if r[:3] == (a, s, d)]) for s in (0, 1, 2)])
            found = np.ravel(of(table, f"lat_{d}", a))
            np.testing.assert_allclose(found[np.isfinite(found)], mine, rtol=1e-12)


def _every(runs):
    return [v for values in runs.values() for _ in "qp" for v in values]
