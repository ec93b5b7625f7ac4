"""cli.py data list, info, verify, import, export, and imported tables as benchmarks."""

import csv
import json

import numpy as np
import pytest
from data_files import macro_file

from bench.benchmark import datasets_of, open_benchmark
from bench.data import macro, pins
from bench.data.manage import describe_columns, export, imported, list_data, open_named, verify
from bench.data.recipe import fetch, recipes
from bench.data.user import import_table
from bench.errors import DataError, UserError
from bench.store import data_folder, table_folder
from bench.table import Table, header_digest, write_table
from spaces.macro import Macro
from spaces.nb201 import NB201
from spaces.toy import Toy


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


@pytest.fixture
def macro_table(tmp_path, monkeypatch):
    """An installed macro table of random numbers, which are not the pinned ones."""
    monkeypatch.setattr(pins, "CONTENT", {})
    path = tmp_path / macro.SOURCE.file
    values = macro_file(path)
    macro.make({path.name: path}, table_folder("macro/cifar10"))
    return 100 - values


def toy_rows(n=5, seed=0):
    space = Toy()
    X = space.enumerate()[np.random.default_rng(seed).choice(space.size, n, replace=False)]
    rng = np.random.default_rng(seed + 1)
    return X, [
        {"arch": space.to_str(x), "val": v, "test": t, "ms": m}
        for x, v, t, m in zip(X, rng.uniform(50, 90, n), rng.uniform(50, 90, n), rng.uniform(1, 9, n), strict=True)
    ]


def save_csv(path, rows):
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def bring_in(path, **changes):
    arguments = {"accuracies": ("val:validation", "test:test"), "metrics": ("ms:ms",), **changes}
    return import_table(path, "toy", "mine", **arguments)


# --- list, info, verify ------------------------------------------------------------------------------


def test_list_has_every_recipe_and_its_state(tmp_path, macro_table):
    rows = {r.name: r for r in list_data()}
    assert {r.name for r in recipes()} <= set(rows)
    assert rows["macro-cifar10"].state == "installed"
    assert rows["nb201-cifar10"].state == "not installed"
    assert rows["nb201-cifar10"].megabytes == pytest.approx((2625770 + 2711039 + 3174386) / 1e6)
    assert rows["nb201/analog"].state == "embedded"
    assert all(r.licence and r.text and r.gives for r in rows.values())
    bring_in(save_csv(tmp_path / "m.csv", toy_rows()[1]))
    row = next(r for r in list_data() if r.name == "toy/mine")
    assert (row.state, row.text) == ("imported", "imported: 5 rows")


def test_info_of_columns(macro_table):
    (error,) = describe_columns(open_named("macro-cifar10"))
    assert (error.name, error.unit, error.split, error.role) == ("error", "%", "single", "objective")
    assert (error.shape, error.known) == ((6561, 3), 6561)
    assert (error.best, error.largest) == (macro_table.min(), macro_table.max())
    assert len(error.sha256) == 64


def test_open_named_errors(macro_table):
    assert open_named("macro/cifar10").n_rows == 6561
    with pytest.raises(UserError, match=r"no data set 'macro-cifar'. Did you mean 'macro-cifar10'"):
        open_named("macro-cifar")
    with pytest.raises(DataError, match="nats_sss/cifar10 is not installed"):
        open_named("nats_sss-cifar10")
    assert open_named("nb201/analog").n_rows == 15625


def rewrite_header(folder, **changes):
    file = folder / "header.json"
    header = {**json.loads(file.read_text()), **changes}
    header["sha256"] = header_digest(header)
    file.write_text(json.dumps(header))


@pytest.mark.parametrize(
    ("values", "unit", "fault"),
    [
        ([5.0, 0.0, 100.0, np.nan], "%", ""),
        ([5.0, -5.0, 7.0, 8.0], "%", "column error has -5 %, expected values of between 0 and 100"),
        ([5.0, 100.5, 7.0, 8.0], "%", "column error has 100.5 %, expected values of between 0 and 100"),
        ([5.0, np.inf, 7.0, 8.0], "%", "column error has infinite values"),
        ([5.0, -np.inf, 7.0, 8.0], "score", "column error has infinite values"),
        ([5.0, -0.1, 7.0, 8.0], "ms", "column error has -0.1 ms, expected values of 0 or more"),
        ([5.0, -0.1, 7.0, 8.0], "score", ""),
    ],
)
def test_verify_knows_what_values_are_possible(values, unit, fault):
    """A table whose own checksums are right."""
    write_table(
        table_folder("toy/mine"),
        {"error": np.array(values)},
        describe={"error": {"unit": unit, "split": "single", "role": "objective"}},
        name="toy/mine",
    )
    assert verify() == [("toy/mine", fault)]


def test_verify_knows_the_values_that_a_recipe_makes(monkeypatch):
    table = open_named("nb201/analog")
    assert verify() == [("nb201/analog", "")]
    assert pins.CONTENT["nb201/analog"] == (table.header["recipe_version"], pins.content_digest(table))
    columns = {name: np.array(table.column(name)) for name in table.columns}
    columns["error"][7] += 0.5
    rest = {k: v for k, v in table.header.items() if k not in ("columns", "format", "n_rows", "sha256")}
    write_table(table.path, columns, describe=table.columns, **rest)
    [(name, fault)] = verify()
    assert (name, fault) == ("nb201/analog", f"its values are not those of nb201/analog: remove {table.path}")


def test_verify_finds_what_is_wrong(macro_table):
    folder = table_folder("macro/cifar10")
    assert verify() == [("macro/cifar10", "")]
    whole, header = (folder / "error.npy").read_bytes(), (folder / "header.json").read_text()
    (folder / "error.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "error.npy does not match its checksum" in verify("macro-cifar10")[0][1]
    (folder / "error.npy").unlink()
    assert "error.npy is missing" in verify()[0][1]
    (folder / "error.npy").write_bytes(whole)
    rewrite_header(folder, recipe_version=0)
    assert verify()[0][1] == "made by version 0 of its recipe, now 1: data fetch macro-cifar10"
    (folder / "header.json").write_text(header)
    rewrite_header(folder, source=[{"file": macro.SOURCE.file, "sha256": "0" * 64}])
    assert "made from another nas-bench-macro_cifar10.json" in verify()[0][1]
    (folder / "header.json").write_text(header.replace("Apache", "apache"))
    assert "does not match its checksum" in verify()[0][1]
    (folder / "header.json").write_text(header)
    rewrite_header(folder, n_rows=6560)
    assert verify()[0][1] == "column error has 6561 of 6560 rows"


# --- import ------------------------------------------------------------------------------------------


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
    from spaces.base import SPACES

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


def test_unknown_data_set_lists_imported_ones(tmp_path):
    bring_in(save_csv(tmp_path / "m.csv", toy_rows()[1]))
    with pytest.raises(UserError, match=r"no data set 'mune'\. Did you mean 'mine'\? Known: closed-form, mine"):
        open_benchmark("toy", "mune")


# --- export ------------------------------------------------------------------------------------------


def test_export_has_every_number_and_goes_back_in(tmp_path, macro_table):
    assert export("macro-cifar10", tmp_path / "out.csv") == 6561
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert list(rows[0]) == ["arch", "error_0", "error_1", "error_2"]
    space = Macro()
    X = np.stack([space.from_str(r["arch"]) for r in rows])
    assert (space.index(X) == np.arange(6561)).all()
    values = np.array([[float(r[f"error_{i}"]) for i in range(3)] for r in rows])
    np.testing.assert_array_equal(values, macro_table)
    table = import_table(tmp_path / "out.csv", "macro", "again", metrics=("error_0:%:single", "error_2:%:single"))
    np.testing.assert_array_equal(table.column("error_2"), macro_table[:, 2])
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["cache", "nas-bench-macro_cifar10.json", "out.csv", "out.csv.meta.json"]


def test_parquet(tmp_path, macro_table):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    import pandas as pd

    export("macro-cifar10", tmp_path / "out.parquet")
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "out.parquet")["error_1"], macro_table[:, 1])
    table = import_table(tmp_path / "out.parquet", "macro", "again", metrics=("error_1:%:single",))
    np.testing.assert_array_equal(table.column("error_1"), macro_table[:, 1])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, macro_table):
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install pyarrow"):
            export("macro-cifar10", tmp_path / "out.parquet")
        assert not (tmp_path / "out.parquet").exists()
        (tmp_path / "in.parquet").write_bytes(b"PAR1")
        with pytest.raises(UserError, match="pip install pyarrow"):
            import_table(tmp_path / "in.parquet", "macro", "x", metrics=("a:ms",))
    else:
        (tmp_path / "in.parquet").write_bytes(b"PAR1 this is none")
        with pytest.raises(DataError, match="cannot be read"):
            import_table(tmp_path / "in.parquet", "macro", "x", metrics=("a:ms",))


def test_export_errors(tmp_path, macro_table):
    describe = {"value": {"unit": "", "split": "none", "role": "info"}}
    header = {"name": "toy/weights", "space": "toy", "index": "none", "default_objectives": []}
    write_table(table_folder("toy/weights"), {"value": np.zeros(4)}, describe=describe, **header)
    with pytest.raises(UserError, match="toy/weights has no row per architecture"):
        export("toy/weights", tmp_path / "out.csv")
    with pytest.raises(UserError, match=r"expected \.csv, .* or \.parquet"):
        export("macro-cifar10", tmp_path / "out.txt")
    with pytest.raises(DataError, match="cannot write"):
        export("macro-cifar10", tmp_path / "no" / "out.csv")


# --- command line ------------------------------------------------------------------------------------


def test_command_line(tmp_path, cli, one_line_error):
    here = {"SMEMNAS_DATA": tmp_path / "cache"}
    macro_file(tmp_path / macro.SOURCE.file)
    shown = cli("data", "list", **here)
    assert shown.returncode == 0
    assert "nb201-imagenet16-120" in shown.stdout
    assert "Apache-2.0" in shown.stdout
    one_line_error(cli("data", "fetch", "macro-cifar10", "--from", ".", **here), "of the wrong size", code=1)
    one_line_error(cli("data", "info", "macro-cifar10", **here), "not installed", "data fetch macro-cifar10", code=1)
    one_line_error(cli("data", "fetch", "makro", **here), "no data set 'makro'", code=2)
    one_line_error(cli("data", "ferify", **here), "Did you mean 'verify'")
    none = cli("data", "verify", **here)
    assert (none.returncode, none.stdout) == (0, "no table is installed: python cli.py data fetch NAME\n")
    macro.make({macro.SOURCE.file: tmp_path / macro.SOURCE.file}, tmp_path / "cache" / "tables" / "macro" / "cifar10")
    info = cli("data", "info", "macro/cifar10", **here).stdout
    for word in ("6,561 rows", "objective", "single", "686dee8363cc21cc", "Apache-2.0", "one of three trainings"):
        assert word in info
    save_csv(tmp_path / "m.csv", toy_rows()[1])
    given = ("--space", "toy", "--accuracy", "val:validation", "--accuracy", "test:test", "--metric", "ms:ms")
    done = cli("data", "import", "m.csv", "--name", "mine", *given, **here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("toy/mine: 5 architectures in ")
    run = cli("run", "--method", "random", "--space", "toy", "--dataset", "mine", "--budget", "9", "--quiet", **here)
    assert (run.returncode, run.stderr) == (0, "")
    assert cli("data", "export", "toy/mine", "out.csv", **here).stdout == "5 rows in out.csv\n"
    first, second = cli("data", "verify", **here).stdout.splitlines()
    assert first.startswith("FAIL macro/cifar10: its values are not those that its recipe makes")  # random ones
    assert second == "ok   toy/mine"
    (tmp_path / "cache" / "tables" / "toy" / "mine" / "ms.npy").unlink()
    broken = cli("data", "verify", **here)
    assert broken.returncode == 1
    assert "FAIL toy/mine: " in broken.stdout


def test_help_of_every_command_has_examples(cli):
    for command in ((), ("fetch",), ("info",), ("verify",), ("import",), ("export",)):
        shown = cli("data", *command, "--help")
        assert shown.returncode == 0
        assert "python cli.py data" in shown.stdout


def test_fetch_from_folder_through_the_store(tmp_path, macro_table):
    """An installed table of the right version is opened, whatever the folder holds."""
    assert fetch("macro-cifar10", tmp_path).sha256 == Table(table_folder("macro/cifar10")).sha256
