"""cli.py data import, and imported tables as benchmarks."""

import csv

import numpy as np
import pytest
from import_cases import bring_in, save_csv, toy_rows

from smemnas.bench.benchmarks.catalog import datasets_of, open_benchmark
from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.data.manage import export, imported, verify
from smemnas.bench.data.user import import_table
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.nb201 import NB201


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


def test_import_opens_as_benchmark(tmp_path):
    X, rows = toy_rows(20)
    table = bring_in(save_csv(tmp_path / "m.csv", rows), licence="CC0")
    assert table.header["rows_given"] == 20
    assert "mine" in datasets_of("toy")
    bench = open_benchmark("toy", "mine", ("error", "ms", "flops"))
    assert [o.name for o in bench.objectives] == ["val_error", "ms", "flops"]
    assert bench.objectives[1].unit == "ms"
    F = bench.evaluate(X, 0).F
    np.testing.assert_allclose(F[:, 0], [100 - r["val"] for r in rows])
    np.testing.assert_allclose(F[:, 1], [r["ms"] for r in rows])
    np.testing.assert_allclose(F[:, 2], 1 + X.sum(axis=1))
    np.testing.assert_allclose(bench.report(X)[:, 0], [100 - r["test"] for r in rows])
    others = bench.space.sample(200, np.random.default_rng(5))
    known = (others[:, None] == X).all(axis=2).any(axis=1)
    result = bench.evaluate(others, 0)
    assert (np.isfinite(result.F).all(axis=1) == known).all()
    assert {e for e, k in zip(result.errors, known, strict=True) if not k} == {"no value of val_error in the table"}
    front = bench.reference().front
    assert {tuple(np.round(f, 9)) for f in front} <= {tuple(np.round(f, 9)) for f in F}
    assert any("covers 20 of 3,125" in note for note in bench.notes)
    assert [o.name for o in open_benchmark("toy", "mine").objectives] == ["val_error", "flops"]


def test_import_of_several_trainings_and_single_split(tmp_path):
    X, rows = toy_rows(6)
    table = bring_in(save_csv(tmp_path / "m.csv", rows), accuracies=("val,test:single",), metrics=())
    assert table.column("error").shape == (3125, 2)
    bench = open_benchmark("toy", "mine", ("error",))
    pair = np.array([[100 - r["val"], 100 - r["test"]] for r in rows])
    np.testing.assert_allclose(bench.report(X)[:, 0], pair.mean(axis=1))
    seen = np.array([bench.evaluate(X, s).F[:, 0] for s in range(20)])
    assert (np.isclose(seen[:, :, None], pair).any(axis=2)).all()
    assert (seen.std(axis=0) > 0).all()
    assert any("same column" in n for n in bench.notes)


def test_import_keeps_the_parameters_of_the_space(tmp_path):
    space = NB201(n_classes=37)
    X = space.enumerate()[:3]
    path = save_csv(tmp_path / "m.csv", [{"arch": space.to_str(x), "ms": 1.0 + i} for i, x in enumerate(X)])
    import_table(path, "nb201", "own", metrics=("ms:ms",), space_params={"n_classes": 37})
    bench = open_benchmark("nb201", "own", ("ms", "params"))
    np.testing.assert_array_equal(bench.evaluate(X, 0).F[:, 1], space.cost(X, "params"))
    with pytest.raises(UserError, match="has no parameter 'classes'"):
        import_table(path, "nb201", "own2", metrics=("ms:ms",), space_params={"classes": 37})


def test_import_on_a_space_too_large_to_enumerate(tmp_path):
    from smemnas.spaces.base import SPACES

    space = SPACES.create("mnv3")
    X = space.sample(30, np.random.default_rng(0))
    names = [space.to_str(x) for x in X]
    path = save_csv(tmp_path / "m.csv", [{"arch": n, "acc": 70 + i / 10} for i, n in enumerate(names)])
    import_table(path, "mnv3", "own", accuracies=("acc:single",))
    bench = open_benchmark("mnv3", "own", ("error",))
    np.testing.assert_allclose(bench.evaluate(X, 0).F[:, 0], 30 - np.arange(30) / 10)
    assert np.isnan(bench.evaluate(space.sample(5, np.random.default_rng(9)), 0).F).all()
    assert bench.reference().front.tolist() == [[pytest.approx(27.1)]]
    assert export("mnv3/own", tmp_path / "back.csv") == 30
    back = {r["arch"]: float(r["error"]) for r in csv.DictReader((tmp_path / "back.csv").read_text().splitlines())}
    assert back == pytest.approx({n: 30 - i / 10 for i, n in enumerate(names)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "9-9-9-9-9"}, r"m\.csv, row 2: toy architectures are"),
        ({"arch": ""}, r"m\.csv, row 2: toy architectures are"),
        ({"arch": None}, r"m\.csv, row 2: .* is there twice, first in row 1"),
        ({"val": "100.5"}, r"m\.csv, row 2, column 'val': 100.5 is not a percentage"),
        ({"test": "-0.1"}, r"m\.csv, row 2, column 'test': -0.1 is not a percentage"),
        ({"val": "?"}, r"m\.csv, row 2, column 'val': '\?' is not a finite number: .* give --missing '\?'"),
        ({"ms": "inf"}, r"m\.csv, row 2, column 'ms': 'inf' is not a finite number"),
        ({"ms": "fast"}, r"m\.csv, row 2, column 'ms': 'fast' is not a finite number"),
        ({"ms": "-1"}, r"m\.csv, row 2, column 'ms': -1 is negative\. If it means infeasible, give --missing -1"),
    ],
)
def test_bad_values_are_refused_in_one_line(tmp_path, change, message):
    _, rows = toy_rows()
    if change.get("arch", "") is None:
        change = {"arch": rows[0]["arch"]}
    rows[1].update(change)
    with pytest.raises(DataError, match=message) as caught:
        bring_in(save_csv(tmp_path / "m.csv", rows))
    assert "\n" not in str(caught.value)
    assert not list(data_folder().rglob("*.npy"))
    assert imported() == []


def test_missing_marks_infeasible(tmp_path):
    X, rows = toy_rows()
    rows[1]["ms"] = -1
    bring_in(save_csv(tmp_path / "m.csv", rows), missing=-1.0)
    bench = open_benchmark("toy", "mine", ("error", "ms"))
    result = bench.evaluate(X, 0)
    assert np.isnan(result.F[:, 1]).tolist() == [False, True, False, False, False]
    assert result.errors[1] == "no value of ms in the table"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracies": ("val",)}, "--accuracy takes COLUMN:SPLIT"),
        ({"accuracies": ("val:valid",)}, "split validation, test, single, got 'val:valid'"),
        ({"accuracies": ("vall:validation",)}, "has no column 'vall' for --accuracy. Did you mean 'val'"),
        ({"accuracies": ("val:single", "test:single")}, "'error' is there twice"),
        ({"accuracies": ("test:test",), "metrics": ()}, "nothing to search"),
        ({"metrics": ("ms",)}, "--metric takes COLUMN:UNIT"),
        ({"metrics": ("ms:",)}, "--metric takes COLUMN:UNIT"),
        ({"metrics": ("ms:ms:train",)}, "--metric takes COLUMN:UNIT"),
        ({"arch": "network"}, "has no column 'network'"),
    ],
)
def test_bad_declarations(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        bring_in(save_csv(tmp_path / "m.csv", toy_rows()[1]), **arguments)


def test_a_metric_cannot_take_the_name_of_a_cost(tmp_path):
    rows = [{"arch": r["arch"], "flops": r["ms"]} for r in toy_rows()[1]]
    with pytest.raises(UserError, match=r"'flops' is a cost that toy computes: leave it out, or .* NAME=flops:M"):
        bring_in(save_csv(tmp_path / "m.csv", rows), accuracies=(), metrics=("flops:M",))


def test_names_and_files(tmp_path):
    path = save_csv(tmp_path / "m.csv", toy_rows()[1])
    for name in ("Mine", "a/b", "../x", "", ".hidden"):
        with pytest.raises(UserError, match="a data set is named with"):
            import_table(path, "toy", name, metrics=("ms:ms",))
    with pytest.raises(UserError, match="is the name of a built-in data set"):
        import_table(path, "toy", "closed-form", metrics=("ms:ms",))
    with pytest.raises(UserError, match=r"no search space 'tou'|no space 'tou'"):
        import_table(path, "tou", "x", metrics=("ms:ms",))
    bring_in(path)
    with pytest.raises(UserError, match="already imported"):
        bring_in(path)
    bring_in(path, overwrite=True)
    with pytest.raises(DataError, match="is not there"):
        import_table(tmp_path / "no.csv", "toy", "x", metrics=("ms:ms",))
    with pytest.raises(UserError, match=r"expected \.csv, .* or \.parquet"):
        import_table(tmp_path / "m.txt", "toy", "x", metrics=("ms:ms",))
    (tmp_path / "empty.csv").write_text("arch,ms\n")
    with pytest.raises(DataError, match="has no rows"):
        import_table(tmp_path / "empty.csv", "toy", "x", metrics=("ms:ms",))
    (tmp_path / "void.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        import_table(tmp_path / "void.csv", "toy", "x", metrics=("ms:ms",))


@pytest.mark.parametrize("damaged", ["val_error.npy", "header.json"])
def test_a_damaged_import_is_never_advised_to_be_removed(tmp_path, damaged):
    X, rows = toy_rows()
    path = save_csv(tmp_path / "m.csv", rows)
    table = bring_in(path)
    file = table.path / damaged
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError) as error:
        open_benchmark("toy", "mine").reference()
    checked = dict(verify())["toy/mine"]
    for message in (str(error.value), checked):
        assert message.startswith(str(file))
        assert "remove" not in message
        assert message.endswith("data import FILE --space toy --name mine --overwrite")
    bring_in(path, overwrite=True)  # as it says
    again = open_benchmark("toy", "mine")
    errors = 100.0 - np.array([row["val"] for row in rows])
    np.testing.assert_allclose(again.evaluate(X, 0).F[:, 0], errors)
    assert again.reference().front[:, 0].min() == pytest.approx(errors.min())


def test_unknown_data_set_lists_imported_ones(tmp_path):
    bring_in(save_csv(tmp_path / "m.csv", toy_rows()[1]))
    with pytest.raises(UserError, match=r"no data set 'mune'\. Did you mean 'mine'\? Known: closed-form, mine"):
        open_benchmark("toy", "mune")
