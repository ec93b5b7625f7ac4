"""cli.py data list, info, verify, export, and the help and errors of its commands."""

import csv
import json

import numpy as np
import pytest
from data_files import macro_file
from import_cases import bring_in, save_csv, toy_rows

from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table, header_digest, write_table
from smemnas.bench.data import macro, pins
from smemnas.bench.data.manage import describe_columns, export, list_data, open_named, verify
from smemnas.bench.data.recipe import fetch, recipes
from smemnas.bench.data.user import import_table
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.macro import Macro


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


# --- list, info, verify ------------------------------------------------------------------------------


def test_list_has_every_recipe_and_its_state(tmp_path, macro_table):
    rows = {r.name: r for r in list_data()}
    assert {r.name for r in recipes()} <= set(rows)
    assert rows["macro-cifar10"].state == "installed"
    assert rows["nb201-cifar10"].state == rows["nats_sss-cifar10"].state == "in the package"
    assert 0.1 < rows["nb201-cifar10"].megabytes < 1
    assert rows["nb201-imagenet16-120"].state == "not installed"
    assert rows["nb201-imagenet16-120"].megabytes == pytest.approx((2738705 + 2695560 + 3174386) / 1e6)
    assert rows["nb201/analog"].state == "installed"
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
    with pytest.raises(DataError, match="nb201/imagenet16-120 is not installed"):
        open_named("nb201-imagenet16-120")
    assert open_named("nb201/analog").n_rows == 15625


def verify_installed():
    """Verdicts on what lies in the data folder; those on the package's own tables are all good."""
    verdicts = verify()
    own = [(name, fault) for name, fault in verdicts if name.endswith(" (in the package)")]
    assert len(own) >= 4
    assert not any(fault for _, fault in own)
    return [v for v in verdicts if v not in own]


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
    assert verify_installed() == [("toy/mine", fault)]


def test_verify_knows_the_values_that_a_recipe_makes(monkeypatch):
    table = open_named("nb201/analog")
    assert verify_installed() == [("nb201/analog", "")]
    assert pins.CONTENT["nb201/analog"] == (table.header["recipe_version"], pins.content_digest(table))
    columns = {name: np.array(table.column(name)) for name in table.columns}
    columns["error"][7] += 0.5
    rest = {k: v for k, v in table.header.items() if k not in ("columns", "format", "n_rows", "sha256")}
    write_table(table.path, columns, describe=table.columns, **rest)
    [(name, fault)] = verify_installed()
    assert (name, fault) == ("nb201/analog", f"its values are not those of nb201/analog: remove {table.path}")


def test_verify_finds_what_is_wrong(macro_table):
    folder = table_folder("macro/cifar10")
    assert verify_installed() == [("macro/cifar10", "")]
    whole, header = (folder / "error.npy").read_bytes(), (folder / "header.json").read_text()
    (folder / "error.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "error.npy does not match its checksum" in verify("macro-cifar10")[0][1]
    (folder / "error.npy").unlink()
    assert "error.npy is missing" in verify_installed()[0][1]
    (folder / "error.npy").write_bytes(whole)
    rewrite_header(folder, recipe_version=0)
    assert verify_installed()[0][1] == "made by version 0 of its recipe, now 1: data fetch macro-cifar10"
    (folder / "header.json").write_text(header)
    rewrite_header(folder, source=[{"file": macro.SOURCE.file, "sha256": "0" * 64}])
    assert "made from another nas-bench-macro_cifar10.json" in verify_installed()[0][1]
    (folder / "header.json").write_text(header.replace("Apache", "apache"))
    assert "does not match its checksum" in verify_installed()[0][1]
    (folder / "header.json").write_text(header)
    rewrite_header(folder, n_rows=6560)
    assert verify_installed()[0][1] == "column error has 6561 of 6560 rows"


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
    one_line_error(cli("data", "info", "nb101-ecnas4", **here), "not installed", "data fetch", code=1)
    one_line_error(cli("data", "fetch", "makro", **here), "no data set 'makro'", code=2)
    one_line_error(cli("data", "ferify", **here), "Did you mean 'verify'")
    none = cli("data", "verify", **here)
    assert none.returncode == 0
    assert none.stdout.splitlines()[0] == "ok   macro/cifar10 (in the package)"
    assert "FAIL" not in none.stdout
    assert "in the package, " in cli("data", "info", "macro-cifar10", **here).stdout
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
    first, second, *_ = cli("data", "verify", **here).stdout.splitlines()
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
