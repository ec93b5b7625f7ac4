"""Bad files and bad declarations: each is one line with row and column, what came, and the option that helps."""

import json
from typing import NamedTuple

import pytest

from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.data.manage import imported
from smemnas.bench.data.user import draft_table, import_table
from smemnas.bench.data.user_rows import Long
from smemnas.bench.data.user_sheet import Dialect
from smemnas.bench.errors import DataError, UserError


class Bad(NamedTuple):
    """A file, how it is imported, and the words that the refusal has in this order."""

    content: str | bytes
    words: tuple[str, ...]
    accuracies: tuple[str, ...] = ("acc:single",)
    metrics: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dialect: Dialect = Dialect()
    long: Long = Long()
    suffix: str = ".csv"


A, B = "00000000", "11111111"
HEAD = "arch,acc\n"
LONG = f"arch,seed,dev,acc,ms\n{A},1,x,80,1\n{A},1,y,80,2\n"
TABLE = {
    # cells
    "a word": Bad(f"{HEAD}{A},80\n{B},fast\n", ("row 2, column 'acc'", "'fast'", "--missing 'fast'")),
    "several words": Bad(f"{HEAD}{A},x\n{B},y\n", ("row 1, column 'acc'", "'x'", "and 1 more row", "--missing")),
    "infinity": Bad(f"{HEAD}{A},inf\n", ("row 1, column 'acc'", "'inf'", "--missing 'inf'")),
    "underscores": Bad(f"{HEAD}{A},8_0\n", ("row 1, column 'acc'", "'8_0'", "empty")),
    "other digits": Bad(f"{HEAD}{A},٨٠\n", ("row 1, column 'acc'", "'٨٠'")),
    "truth value": Bad(json.dumps([{"arch": A, "acc": True}]), ("row 1, column 'acc'", "True"), suffix=".json"),
    "huge": Bad(f'[{{"arch": "{A}", "acc": 1{"0" * 400}}}]', ("row 1, column 'acc'", "not a finite"), suffix=".json"),
    "nested list": Bad(json.dumps([{"arch": A, "acc": [[1]]}]), ("row 1, column 'acc'", "list"), suffix=".json"),
    "no value at all": Bad(f"{HEAD}{A},\n{B},nan\n", ("column 'acc'", "no row has a value", "Leave")),
    "above 100": Bad(f"{HEAD}{A},80\n{B},101\n", ("row 2, column 'acc'", "101", "percentage (0 to 100)")),
    "accuracy -1": Bad(f"{HEAD}{A},80\n{B},-1\n", ("row 2, column 'acc'", "-1", "--missing -1")),
    "percentage below 0": Bad(
        f"arch,miou\n{A},50\n{B},-3\n", ("row 2, column 'miou'", "-3", "--missing -3", "miou:%:max:signed"),
        (), ("miou:%:max",),
    ),
    "fraction above 1": Bad(
        f"{HEAD}{A},.8\n{B},80\n", ("row 2, column 'acc'", "80", "fraction"), ("acc:single:fraction",)
    ),
    "some percent signs": Bad(f"{HEAD}{A},80%\n{B},81\n", ("row 2, column 'acc'", "'81'", "percent sign")),
    "percent sign of ms": Bad(f"arch,ms\n{A},80%\n", ("column 'ms'", "%", "the unit %"), (), ("ms:ms",)),
    "negative ms": Bad(
        f"arch,ms\n{A},3\n{B},-2\n", ("row 2, column 'ms'", "-2 is negative", "--missing -2", ":signed"), (), ("ms:ms",)
    ),
    "mark of a signed unit": Bad(
        f"arch,r2\n{A},.3\n{B},-1\n", ("row 2, column 'r2'", "-1 is the only", "--missing -1"), (), ("r2:-:max",)
    ),
    "dictionary": Bad(
        json.dumps({"arch": [A, B], "acc": [{"x": 1}, {"x": 2}]}),
        ("row 1, column 'acc'", "{'x': 1} is not a finite number (and 1 more row"), suffix=".json",
    ),
    "second entry of a list": Bad(
        json.dumps([{"arch": A, "s0": [91, 920], "s1": 92}]), ("row 1, column 's0': 920",), ("s0,s1:single",),
        suffix=".json",
    ),
    "column behind a list": Bad(
        json.dumps([{"arch": A, "s0": [91, 92], "s1": 900}]), ("row 1, column 's1': 900",), ("s0,s1:single",),
        suffix=".json",
    ),
    "negative number behind a list": Bad(
        json.dumps([{"arch": A, "a": [1, 2], "b": -2}]), ("row 1, column 'b': -2",), (), ("ms=a,b:ms",),
        suffix=".json",
    ),
    # fractions, directions, splits, partners, names
    "fractions": Bad(f"{HEAD}{A},.89\n{B},.92\n", ("column 'acc'", "0.92 %", "acc:single:fraction", ":percent")),
    "fraction of errors": Bad(f"arch,pgd\n{A},.4\n", ("column 'pgd'", "0.4 %", "pgd:%:fraction"), (), ("pgd:%",)),
    "percent signs as fraction": Bad(f"{HEAD}{A},80%\n", ("acc:single:fraction", "leave"), ("acc:single:fraction",)),
    "more is better": Bad(f"arch,fps\n{A},9\n", ("'fps' more looks better", "fps:1/s:max", ":min"), (), ("fps:1/s",)),
    "accuracy as metric": Bad(
        f"arch,top1\n{A},9\n", ("'top1' more looks better", "top1:%:max", "--accuracy top1:SPLIT"), (), ("top1:%",)
    ),
    "rate as metric": Bad(f"arch,x\n{A},9\n", ("'x' more looks better", ":max"), (), ("x:images/s",)),
    "error as accuracy": Bad(f"arch,err\n{A},9\n", ("'err' looks", "--metric err:%:single", ":max"), ("err:single",)),
    "test searched": Bad(f"arch,test_acc\n{A},9\n", ("'test_acc'", "test split", "single"), ("test_acc:validation",)),
    "split not said": Bad(f"arch,val_loss\n{A},9\n", ("val_loss:nats:validation", ":none"), (), ("val_loss:nats",)),
    "no partner": Bad(
        f"arch,val_x,test_y\n{A},9,8\n",
        ("'test_y'", "--partner val_x=test_y", "--partner test_y="),
        (),
        ("val_x:s:validation", "test_y:s:test"),
    ),
    "partners of two units": Bad(
        f"arch,val_x,test_x\n{A},9,8\n", ("val_x (s, min)", "test_x (ms, min)", "--partner val_x="), (),
        ("val_x:s:validation", "test_x:ms:test"),
    ),
    "unknown partner": Bad(f"{HEAD}{A},80\n", ("--partner error=tst", "'tst'", "Known"), partners=("error=tst",)),
    "alias": Bad(
        f"arch,val,pgd\n{A},80,30\n", ("'error' is another name of 'val_error'", "NAME=pgd:single"),
        ("val:validation", "pgd:single"),
    ),
    "one source twice": Bad(f"{HEAD}{A},80\n", ("'acc' is declared twice",), ("acc:validation", "acc:test")),
    "name of the genes": Bad(
        f"arch,x\n{A},3\n", ("--metric x:ms", "'x' is the name of another column of front.csv", "NAME=x:ms"),
        (), ("x:ms",),
    ),
    "name of the remarks": Bad(f"{HEAD}{A},80\n", ("'remark'", "front.csv"), ("remark=acc:single",)),
    "name of a true value": Bad(f"arch,e\n{A},8\n", ("'true_error'", "front.csv"), (), ("true_error=e:%:single",)),
    "name that no export could hold": Bad(
        f"arch,e\n{A},8\n", ("longer than 100", "NAME=" + "e" * 98), (), ("e" * 98 + "=e:-:max",)
    ),
    "unfit name": Bad(f"arch,t (ms)\n{A},3\n", ("'t (ms)'", "--metric 't_ms=t (ms):ms'"), (), ("t (ms):ms",)),
    "contradiction": Bad(f"arch,x\n{A},3\n", ("'x:ms:max:min' contradicts itself",), (), ("x:ms:max:min",)),
    # columns and rows
    "two columns of one name": Bad(f"arch,acc,acc\n{A},1,80\n", ("two columns 'acc'", "rename")),
    "padded twin": Bad(f"arch,acc, acc\n{A},1,80\n", ("two columns 'acc'", "rename")),
    "no such column": Bad(f"arch,top\n{A},80\n", ("no column 'acc' for --accuracy", "Known: arch, top")),
    "no architectures": Bad(f"net,acc\n{A},80\n", ("no column 'arch' for --arch", "Known: acc, net")),
    "cut off": Bad(f"{HEAD}{A},80\n1111", ("row 2", "1 of 2 fields", "cut off")),
    "decimal comma between commas": Bad(f"{HEAD}{A},80,5\n", ("row 1", "3 fields", "decimal comma", "--separator")),
    "open quote": Bad(f'{HEAD}{A},80\n"{B},81\n', ("cannot be read as CSV behind row 1",)),
    "no architecture": Bad(f"{HEAD}{A},80\n00000009,81\n", ("row 2", "digits 0 to 2", "'00000009'")),
    "lost zeros": Bad(json.dumps([{"arch": 2012100, "acc": 8}]), ("row 1", "eight layers", "2012100"), suffix=".json"),
    "twice": Bad(f"{HEAD}{A},80\n{A},81\n", ("row 2", A, "first in row 1", "--seed-column", "--repeated mean")),
    "twice in one seed": Bad(
        LONG, ("row 2", A, "first in row 1", "--repeated"), long=Long(seed="seed")
    ),
    "differs between devices": Bad(
        LONG.replace(",80,2", ",81,2"), ("row 2, column 'acc'", "differs between the devices of 00000000", "--metric"),
        metrics=("ms:ms",), long=Long(device="dev"),
    ),
    "epochs end apart": Bad(
        f"arch,ep,acc\n{A},1,70\n{A},2,80\n{B},1,71\n",
        (f"{B} ends at epoch 1, others at 2", "--epoch last", "--epoch 1"),
        long=Long(epoch="ep"),
    ),
    "no such epoch": Bad(
        f"arch,ep,acc\n{A},1,70\n", ("no row has epoch 9", "largest is 1"), long=Long(epoch="ep", at="9")
    ),
    # files
    "two decimal signs": Bad(f"arch;acc\n{A};80,5\n{B};80.5\n", ("'80,5'", "row 1", "'80.5'", "row 2", "--decimal")),
    "open decimal sign": Bad(f"arch;ms\n{A};1,234\n", ("'1,234'", "row 1", "--decimal"), (), ("ms:ms",)),
    "wrong decimal sign": Bad(
        f"arch;acc\n{A};80,55\n", ("row 1, column 'acc'", "'80,55'", "--decimal ,"), dialect=Dialect(decimal=".")
    ),
    "two separators": Bad(f"x;net,acc\n{A};1,80\n", ("commas and semicolons", "--separator")),
    "wrong encoding": Bad(f"arch,größe\n{A},80\n".encode("cp1252"), ("no text in utf-8", "--encoding"),
                          dialect=Dialect(encoding="utf-8")),
    "empty": Bad("", ("cannot be read", "empty")),
    "header only": Bad(HEAD, ("has no rows",)),
    "cut off JSON": Bad('[{"arch": "0000', ("cannot be read as JSON",), suffix=".json"),
    "JSON of something": Bad('{"a": {}, "b": 1}', ("expected a list of records", "mixed"), suffix=".json"),
    "deep JSON": Bad("[" * 100_000, ("nested too deeply",), suffix=".json"),
    "JSON key twice": Bad(f'{{"{A}": 80, "{A}": 81}}', (f"'{A}' is there twice",), ("value:single",), suffix=".json"),
    "YAML by reference": Bad(f"a: &x [1]\n{A}: *x\n", ("by reference",), ("value:single",), suffix=".yaml"),
    "no gzip": Bad(f"{HEAD}{A},80\n", ("cut off, or not compressed",), suffix=".csv.gz"),
    "a spreadsheet": Bad(b"PK", ("no known ending", "Save the sheet as CSV"), suffix=".xlsx"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


def bring_in(path, bad, **changes):
    return import_table(
        path, "macro", "bad", accuracies=bad.accuracies, metrics=bad.metrics, partners=bad.partners,
        missing=bad.missing, dialect=bad.dialect, long=bad.long, **changes,
    )  # fmt: skip


def test_there_are_forty_and_more():
    assert len(TABLE) == 69


@pytest.mark.parametrize("name", TABLE)
def test_refused_in_one_line(tmp_path, name):
    bad = TABLE[name]
    path = tmp_path / f"bad{bad.suffix}"
    path.write_bytes(bad.content if isinstance(bad.content, bytes) else bad.content.encode())
    with pytest.raises(UserError) as caught:
        bring_in(path, bad)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    at = 0
    for word in bad.words:
        assert word in message[at:], message
        at = message.index(word, at) + len(word)
    assert not list(data_folder().rglob("*.npy"))
    assert imported() == []


def test_the_line_that_was_cut_off_is_not_a_missing_value(tmp_path):
    """A row without its last fields was filled up with nothing, which now would mean "missing"."""
    (tmp_path / "m.csv").write_text(f"arch,ms,acc\n{A},3,80\n{B},4\n")
    with pytest.raises(DataError, match="row 2: 2 of 3 fields"):
        import_table(tmp_path / "m.csv", "macro", "x", metrics=("ms:ms",))


def test_dry_run_shows_all_that_is_refused(tmp_path, cli):
    (tmp_path / "m.csv").write_text(f"arch,acc,fps,ms\n{A},0.8,9,x\n0000,0.9,8,-1\n{B},.7,7,y\n")
    given = ("--space", "macro", "--name", "x", "--accuracy", "acc:single", "--metric", "fps:1/s", "--metric", "ms:ms")
    done = cli("data", "import", "m.csv", *given, "--dry-run")
    assert done.returncode == 1
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    assert len(refused) == 4
    for line, word in zip(refused, (":max", ":fraction", "column 'ms'", "row 2"), strict=True):
        assert word in line
    failed = cli("data", "import", "m.csv", *given)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: --metric fps:1/s: metrics are minimised")
    assert "(3 more: --dry-run shows all.) See " in failed.stderr
    assert failed.stderr.endswith(" data import --help.\n")


def test_dry_run_shows_how_each_column_was_understood_and_writes_nothing(tmp_path, cli):
    (tmp_path / "m.csv").write_text(f"arch;val;tst;fps;x\n{A};0,8;0,7;9;\n{B};;0,6;8;1\n", encoding="utf-16")
    done = cli(
        *("data", "import", "m.csv", "--space", "macro", "--name", "shown", "--dry-run", "--metric", "fps:1/s:max"),
        *("--accuracy", "val:validation:fraction", "--accuracy", "tst:test:fraction"),
        SMEMNAS_DATA=tmp_path / "cache",
        COLUMNS=200,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "m.csv: CSV, UTF-16, separator semicolon, decimal comma"
    rows = {line.split()[0]: line for line in lines}
    words = {name: " ".join(rows[name].split()) for name in ("val", "tst", "fps")}
    assert words["val"] == "val val_error (100 - 100 x value) % validation less test_error 1 1 20 20"
    assert words["tst"] == "tst test_error (100 - 100 x value) % test less 1 0 30 40"
    assert words["fps"] == "fps neg_fps (negated) 1/s none more 1 0 8 9"
    assert "not imported: x" in lines
    assert "macro/shown: nothing is refused; nothing was written (--dry-run)." in lines
    assert not (tmp_path / "cache").exists()


def test_draft_keeps_what_it_understood_beside_what_it_refuses(tmp_path):
    from smemnas.bench.data.user import Request

    (tmp_path / "m.csv").write_text(f"arch,acc,ms\n{A},80,x\n")
    draft = draft_table(Request(tmp_path / "m.csv", "macro", "x", accuracies=("acc:single",), metrics=("ms:ms",)))
    assert [r.role.stored for r in draft.read.values()] == ["error"]
    assert draft.read["error"].values.tolist() == [20.0]
    assert len(draft.faults) == 1
    assert draft.columns == {}


@pytest.mark.parametrize(("cell", "words"), [("-1", "give --missing -1."), ("8%", "not in s: mend them.")])
def test_what_is_advised_for_times_exists(tmp_path, cell, words):
    """--time takes neither :signed nor a unit."""
    (tmp_path / "m.csv").write_text(f"arch,acc,sec\n{A},80,{cell}\n")
    with pytest.raises(DataError) as caught:
        import_table(tmp_path / "m.csv", "macro", "x", accuracies=("acc:single",), time="sec")
    assert str(caught.value).endswith(words)
    (tmp_path / "m.csv").write_text(f"arch,acc,sec,x\n{A},80,1,1\n")
    with pytest.raises(UserError, match="'train_seconds' is there twice: give the other column another name"):
        import_table(tmp_path / "m.csv", "macro", "x", metrics=("train_seconds=x:s",), time="sec")


def test_structures_of_parquet_are_no_numbers(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install pyarrow")
    pyarrow.parquet.write_table(
        pyarrow.table({"arch": [A, B], "acc": [{"a": 1.0}, {"a": 2.0}]}), tmp_path / "m.parquet"
    )
    with pytest.raises(DataError, match=r"row 1, column 'acc': \{'a': 1.0\} is not a finite number .and 1 more row"):
        import_table(tmp_path / "m.parquet", "macro", "x", accuracies=("acc:single",))
