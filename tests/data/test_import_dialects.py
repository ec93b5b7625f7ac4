"""Files as spreadsheets and scripts write them: every dialect gives the same table."""

import bz2
import gzip
import json
import lzma

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.data.user import Request, draft_table, import_table
from smemnas.bench.data.user_sheet import Dialect
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.macro import Macro

ARCHS = ("00000000", "11111111", "22222222")
ACCURACY = (89.1, 92.25, 1000.5 / 11)
ERRORS = [100 - a for a in ACCURACY]
COMMA = "arch,val_acc\n" + "".join(f"{a},{v!r}\n" for a, v in zip(ARCHS, ACCURACY, strict=True))


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))


def values_of(table, name="error"):
    """Values of the three architectures, and nothing anywhere else."""
    column = np.asarray(table.column(name))
    rows = Macro().index(np.stack([Macro().from_str(a) for a in ARCHS]))
    assert np.isnan(np.delete(column, rows, axis=0)).all()
    return column[rows]


def bring_in(path, **changes):
    return import_table(path, "macro", "mine", **{"accuracies": ("val_acc:single",), **changes})


DIALECTS = {
    "plain.csv": COMMA.encode(),
    "bom.csv": b"\xef\xbb\xbf" + COMMA.encode(),
    "old-mac.csv": COMMA.replace("\n", "\r").encode(),
    "windows.csv": COMMA.replace("\n", "\r\n").encode(),
    "semicolon.csv": COMMA.replace(",", ";").encode(),
    "excel-german.csv": COMMA.replace(",", ";").replace(".", ",").encode(),
    "sep-line.csv": b"sep=;\r\n" + COMMA.replace(",", ";").replace(".", ",").encode(),
    "quoted-decimal-comma.csv": (
        "arch,val_acc\n" + "".join(f'{a},"{v}"\n'.replace(".", ",") for a, v in zip(ARCHS, ACCURACY, strict=True))
    ).encode(),
    "tabs.csv": COMMA.replace(",", "\t").encode(),
    "tabs.tsv": COMMA.replace(",", "\t").encode(),
    "utf16.csv": COMMA.encode("utf-16"),
    "utf16-no-mark.csv": COMMA.encode("utf-16-le"),
    "utf16-big.csv": COMMA.encode("utf-16-be"),
    "utf32.csv": COMMA.encode("utf-32"),
    "latin1.csv": ("größe," + COMMA.replace("\n", "\né,").removesuffix("é,")).encode("latin-1"),
    "padded-header.csv": COMMA.replace("arch,val_acc", " arch , val_acc ").encode(),
    "padded-values.csv": COMMA.replace(",", " ,  ").encode(),
    "comments.csv": ("# made by train.py\n#\n" + COMMA.replace("11111111", "# restarted, here\n11111111")).encode(),
    "comment-that-names-columns.csv": ("# arch, val_acc in percent\n" + COMMA).encode(),
    "comment-like-the-header.csv": ("# arch,val_acc\n" + COMMA).encode(),
    "savetxt.csv": ("# arch,val_acc\n" + COMMA.partition("\n")[2]).encode(),
    "index.csv": "".join(f"{i - 1 if i else ''},{line}\n" for i, line in enumerate(COMMA.splitlines())).encode(),
    "blank-columns.csv": COMMA.replace("\n", ",,\n").encode(),
    "blank-cells-behind.csv": COMMA.replace("\n", ",,\n").replace("val_acc,,", "val_acc").encode(),
    "blank-lines.csv": ("\n,,\n" + COMMA.replace("\n", "\n\n") + ",\n").encode(),
    "percent.csv": "".join(f"{line}{'%' if i else ''}\n" for i, line in enumerate(COMMA.splitlines())).encode(),
    "percent-blank.csv": "".join(f"{line}{' %' if i else ''}\n" for i, line in enumerate(COMMA.splitlines())).encode(),
    "plain.csv.gz": gzip.compress(COMMA.encode()),
    "plain.tsv.bz2": bz2.compress(COMMA.replace(",", "\t").encode()),
    "plain.csv.xz": lzma.compress(COMMA.encode()),
    "PLAIN.CSV": COMMA.encode(),
}
RECORDS = [{"arch": a, "val_acc": v} for a, v in zip(ARCHS, ACCURACY, strict=True)]
DIALECTS |= {
    "records.json": json.dumps(RECORDS).encode(),
    "records.json.gz": gzip.compress(json.dumps(RECORDS).encode()),
    "keyed.json": json.dumps({r["arch"]: {"val_acc": r["val_acc"]} for r in RECORDS}).encode(),
    "columns.json": json.dumps({"arch": ARCHS, "val_acc": ACCURACY}).encode(),
    "pandas.json": json.dumps({"arch": dict(enumerate(ARCHS)), "val_acc": dict(enumerate(ACCURACY))}).encode(),
    "pandas-shuffled.json": json.dumps(
        {"arch": dict(enumerate(ARCHS)), "val_acc": {i: ACCURACY[i] for i in (2, 0, 1)}}
    ).encode(),
    "numbered.json": json.dumps(dict(enumerate(RECORDS))).encode(),
    "texts.json": json.dumps([{**r, "val_acc": str(r["val_acc"])} for r in RECORDS]).encode(),
    "lines.jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
    "lines-windows.jsonl": "\r\n".join(map(json.dumps, RECORDS)).encode(),
    "lines-old-mac.jsonl": "\r".join(map(json.dumps, RECORDS)).encode(),
    "lines-within-text.jsonl": "\n".join(
        json.dumps({**r, "note": "a\u2028b\x85c\u2029"}, ensure_ascii=False) for r in RECORDS
    ).encode(),
    "records.yaml": "".join(f"- arch: {r['arch']}\n  val_acc: {r['val_acc']!r}\n" for r in RECORDS).encode(),
    "keyed.yml": "".join(f"{r['arch']}: {{val_acc: {r['val_acc']!r}}}\n" for r in RECORDS).encode(),
}


@pytest.mark.parametrize("file", DIALECTS)
def test_every_dialect_gives_the_same_table(tmp_path, file):
    (tmp_path / file).write_bytes(DIALECTS[file])
    np.testing.assert_array_equal(values_of(bring_in(tmp_path / file)), ERRORS)


def test_number_of_dialects():
    assert len(DIALECTS) == 45


@pytest.mark.parametrize(
    ("cells", "decimal", "expected"),
    [
        (("1,000.5", "2", "3"), None, (1000.5, 2, 3)),
        (("1.000,5", "2", "3"), None, (1000.5, 2, 3)),
        (("1,234", "89.1", "3"), None, (1234, 89.1, 3)),
        (("1.234", "89,1", "3"), None, (1234, 89.1, 3)),
        (("1,234", "2", "3"), ",", (1.234, 2, 3)),
        (("1,234", "2", "3"), ".", (1234, 2, 3)),
        (("1.234", "5.678", "3"), None, (1.234, 5.678, 3)),
        (("1.234", "5.678", "3"), ",", (1234, 5678, 3)),
        (("1,234,567", "2", "3"), None, (1234567, 2, 3)),
        (("1.234.567", "2", "3"), None, (1234567, 2, 3)),
        (("0,125", "2", "3"), None, (0.125, 2, 3)),
        (("1 234,5", "1\u00a0234", "1'234'567"), None, (1234.5, 1234, 1234567)),
        (("1e-3", "2.5E+2", "+.5"), None, (0.001, 250, 0.5)),
    ],
)
def test_decimal_sign_of_a_file(tmp_path, cells, decimal, expected):
    lines = "".join(f"{a};{c}\n" for a, c in zip(ARCHS, cells, strict=True))
    (tmp_path / "m.csv").write_text(f"arch;ms\n{lines}", encoding="utf-8")
    table = bring_in(tmp_path / "m.csv", accuracies=(), metrics=("ms:ms",), dialect=Dialect(decimal=decimal))
    np.testing.assert_array_equal(values_of(table, "ms"), expected)


def test_the_decimal_sign_is_one_of_the_whole_file(tmp_path):
    (tmp_path / "m.csv").write_text("arch;ms;val_acc\n00000000;1.234;89,1\n11111111;1.235;89,2\n22222222;1.236;90\n")
    table = bring_in(tmp_path / "m.csv", metrics=("ms:ms",))
    np.testing.assert_array_equal(values_of(table, "ms"), [1234, 1235, 1236])
    draft = draft_table(Request(tmp_path / "m.csv", "macro", "other", accuracies=("val_acc:single",)))
    assert draft.said == ("CSV", "UTF-8", "separator semicolon", "decimal comma")
    assert draft.unused == ("ms",)


def test_what_the_options_say_holds(tmp_path):
    (tmp_path / "m.csv").write_text("arch|val_acc\n00000000|89.1\n11111111|92.25\n22222222|90\n", encoding="utf-16-le")
    table = bring_in(tmp_path / "m.csv", dialect=Dialect(separator="|", encoding="utf-16-le"))
    np.testing.assert_allclose(values_of(table), [10.9, 7.75, 10])
    (tmp_path / "n.csv").write_text("a,b;arch\n1,5;00000000\n")
    table = import_table(tmp_path / "n.csv", "macro", "n", metrics=("ms=a,b:ms",))
    assert np.nanmax(table.column("ms")) == 1.5


def test_mojibake_in_a_column_that_nobody_asks_for_does_no_harm(tmp_path):
    text = COMMA.replace("\n", ",prüfung\n")
    (tmp_path / "m.csv").write_bytes(text.encode("cp1252"))
    assert draft_table(Request(tmp_path / "m.csv", "macro", "x", accuracies=("val_acc:single",))).said[1] == (
        "Windows-1252 (Latin-1)"
    )
    np.testing.assert_array_equal(values_of(bring_in(tmp_path / "m.csv")), ERRORS)


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (Dialect(separator="ab"), "--separator takes one character, or tab, got 'ab'"),
        (Dialect(separator="7"), "--separator takes one character"),
        (Dialect(encoding="utf-7000"), "no encoding 'utf-7000'"),
        (Dialect(encoding="base64"), "no encoding 'base64'"),
        (Dialect(decimal="x"), "--decimal takes . or , got 'x'"),
    ],
)
def test_options_that_are_none(tmp_path, dialect, message):
    (tmp_path / "m.csv").write_text(COMMA)
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        bring_in(tmp_path / "m.csv", dialect=dialect)


def test_yaml_takes_every_scalar_as_text(tmp_path):
    """YAML 1.1 reads 8:8:16:40:48 as a number of base 60, and no as False."""
    (tmp_path / "m.yml").write_text("8:8:16:40:48: 90.5\n'8:8:16:40:40': 91\n")
    table = import_table(tmp_path / "m.yml", "nats_sss", "x", accuracies=("value:single",))
    from smemnas.spaces.nats_sss import NATSSize

    row = NATSSize().index(np.stack([NATSSize().from_str("8:8:16:40:48")]))[0]
    assert table.column("error")[row] == 9.5
    (tmp_path / "again.yml").write_text("8:8:16:40:48: 90.5\n'8:8:16:40:48': 91\n")
    with pytest.raises(DataError, match="'8:8:16:40:48' is there twice"):
        import_table(tmp_path / "again.yml", "nats_sss", "y", accuracies=("value:single",))


def test_inner_records_and_lists(tmp_path):
    rows = {
        a: {"cifar10": {"acc": [89.0 + i, 88.0 + i, None][: 2 + (i == 0)]}, "cost": {"ms": i + 1}}
        for i, a in enumerate(ARCHS)
    }
    (tmp_path / "m.json").write_text(json.dumps(rows))
    table = bring_in(tmp_path / "m.json", accuracies=("cifar10.acc:single",), metrics=("ms=cost.ms:ms",))
    np.testing.assert_array_equal(values_of(table), [[11, 12], [10, 11], [9, 10]])
    np.testing.assert_array_equal(values_of(table, "ms"), [1, 2, 3])


def test_parquet_of_every_kind_of_column(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install pyarrow")
    from decimal import Decimal

    columns = {
        "arch": pyarrow.array(ARCHS).dictionary_encode(),
        "acc": pyarrow.array([0.5, None, 0.25], pyarrow.float32()),
        "runs": pyarrow.array([[89.0, 88.0], [87.0], []], pyarrow.list_(pyarrow.float64())),
        "ms": pyarrow.array([1, None, 3], pyarrow.int64()),
        "mJ": pyarrow.array([Decimal("1.5"), Decimal("2.5"), Decimal("3.5")], pyarrow.decimal128(4, 1)),
        "text": pyarrow.array(["1.5", "", "n/a"]),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "m.parquet")
    table = bring_in(
        tmp_path / "m.parquet",
        accuracies=("acc:validation:fraction", "single=runs:single"),
        metrics=("ms:ms", "mJ:mJ", "text:s"),
    )
    np.testing.assert_array_equal(values_of(table, "val_error"), [50, np.nan, 75])
    np.testing.assert_array_equal(values_of(table, "single"), [[11, 12], [13, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(values_of(table, "ms"), [1, np.nan, 3])
    np.testing.assert_array_equal(values_of(table, "mj"), [1.5, 2.5, 3.5])
    np.testing.assert_array_equal(values_of(table, "text"), [1.5, np.nan, np.nan])


def test_a_comment_above_a_header_of_another_separator(tmp_path):
    (tmp_path / "m.csv").write_text("# arch,val_acc: made by train.py\n" + COMMA.replace(",", "|"))
    np.testing.assert_array_equal(values_of(bring_in(tmp_path / "m.csv", dialect=Dialect(separator="|"))), ERRORS)


@pytest.mark.parametrize("file", ["m.yaml", "m.json"])
def test_decimal_sign_within_lists(tmp_path, file):
    lists = {a: [f"{i},234", "2,345"] for i, a in enumerate(ARCHS, 1)}
    (tmp_path / file).write_text(json.dumps(lists))
    with pytest.raises(DataError, match=r"'1,234' .column 'value', row 1. may be a thousand or a decimal comma"):
        bring_in(tmp_path / file, accuracies=(), metrics=("value:ms",))
    table = bring_in(tmp_path / file, accuracies=(), metrics=("value:ms",), dialect=Dialect(decimal=","))
    np.testing.assert_array_equal(values_of(table, "value"), [[1.234, 2.345], [2.234, 2.345], [3.234, 2.345]])
    (tmp_path / file).write_text(json.dumps({**lists, ARCHS[2]: ["3,5"]}))
    table = bring_in(tmp_path / file, accuracies=(), metrics=("value:ms",), overwrite=True)
    np.testing.assert_array_equal(values_of(table, "value"), [[1.234, 2.345], [2.234, 2.345], [3.5, np.nan]])


@pytest.mark.parametrize(("cells", "mark"), [(("-1", "80%"), "-1"), (("-1%", "80"), "-1"), (("-", "80%"), "-")])
def test_a_mark_needs_no_percent_sign(tmp_path, cells, mark):
    (tmp_path / "m.csv").write_text(f"arch,val_acc\n{ARCHS[0]},{cells[0]}\n{ARCHS[1]},{cells[1]}\n")
    table = bring_in(tmp_path / "m.csv", missing=(mark,))
    np.testing.assert_array_equal(values_of(table), [np.nan, 20, np.nan])
    (tmp_path / "m.json").write_text(json.dumps([{"arch": ARCHS[0], "val_acc": list(cells)}]))
    table = bring_in(tmp_path / "m.json", missing=(mark,), overwrite=True)
    np.testing.assert_array_equal(values_of(table), [20, np.nan, np.nan])


@pytest.mark.parametrize(("mark", "cell"), [("-99.0", "-99.0"), ("0.00", "0.00"), ("?.5", "?.5"), ("-1,0", "-1,0")])
def test_a_mark_says_nothing_of_the_decimal_sign(tmp_path, mark, cell):
    lines = f"{ARCHS[0]};{cell}\n{ARCHS[1]};80,5\n{ARCHS[2]};81,25\n"
    lines = lines.replace("80,5", "80.5").replace("81,25", "81.25") if "," in mark else lines
    (tmp_path / "m.csv").write_text(f"arch;val_acc\n{lines}")
    table = bring_in(tmp_path / "m.csv", missing=(mark,))
    np.testing.assert_array_equal(values_of(table), [np.nan, 19.5, 18.75])


def test_lists_of_one_value_are_one_number(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({a: [v] for a, v in zip(ARCHS, ACCURACY, strict=True)}))
    table = bring_in(tmp_path / "m.json", accuracies=("value:single",))
    np.testing.assert_array_equal(values_of(table), ERRORS)
    assert "One number per architecture: the evaluation seed is ignored." in table.header["notes"]
    (tmp_path / "n.csv").write_text(f"arch,a,b\n{ARCHS[0]},89,\n{ARCHS[1]},,90\n")
    table = bring_in(tmp_path / "n.csv", accuracies=("a,b:single",), overwrite=True)
    np.testing.assert_array_equal(values_of(table), [11, 10, np.nan])
    with pytest.raises(UserError, match="noise"):
        open_benchmark("macro", "mine+noise=table")
