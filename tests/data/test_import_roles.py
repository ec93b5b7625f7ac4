"""Columns of imported tables: unit, direction, split, partner; and files with several rows for each architecture."""

import json

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.data.manage import describe_columns, export, open_named
from smemnas.bench.data.user import import_table
from smemnas.bench.data.user_roles import split_of, without_split, words_of
from smemnas.bench.data.user_rows import Long
from smemnas.bench.errors import UserError
from smemnas.spaces.macro import Macro

ARCHS = ("00000000", "11111111", "22222222")
X = np.stack([Macro().from_str(a) for a in ARCHS])


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def bring_in(tmp_path, header, *rows, accuracies=(), metrics=(), **changes):
    lines = [f"arch,{header}", *(",".join(map(str, r)) for r in rows)]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    return import_table(tmp_path / "m.csv", "macro", "mine", accuracies=accuracies, metrics=metrics, **changes)


def of_archs(table, name):
    return np.asarray(table.column(name))[Macro().index(X)]


def columns_of(*values):
    return [(a, *row) for a, row in zip(ARCHS, zip(*values, strict=True), strict=True)]


# --- unit and scale


def test_fractions_become_percent(tmp_path):
    rows = columns_of((0.5, 0.75, 1.0), (0.25, 0.5, 0.125))
    table = bring_in(tmp_path, "acc,pgd", *rows, accuracies=("acc:single:fraction",), metrics=("pgd:%:fraction",))
    np.testing.assert_array_equal(of_archs(table, "error"), [50, 25, 0])
    np.testing.assert_array_equal(of_archs(table, "pgd"), [25, 50, 12.5])


def test_percentages_below_one_percent_where_the_user_says_so(tmp_path):
    rows = columns_of((0.5, 0.75, 1.0), (0.25, 0.5, 0.125))
    table = bring_in(tmp_path, "acc,gap", *rows, accuracies=("acc:single:percent",), metrics=("gap:%:percent",))
    np.testing.assert_array_equal(of_archs(table, "error"), [99.5, 99.25, 99])
    np.testing.assert_array_equal(of_archs(table, "gap"), [0.25, 0.5, 0.125])


def test_values_below_zero(tmp_path):
    rows = columns_of((-3.5, -2, 4), (-1, 2, 3), (-1, -2, 3))
    table = bring_in(tmp_path, "snr,drift,shift", *rows, metrics=("snr:dB", "drift:ms:signed", "shift:C"))
    np.testing.assert_array_equal(of_archs(table, "snr"), [-3.5, -2, 4])
    np.testing.assert_array_equal(of_archs(table, "drift"), [-1, 2, 3])
    np.testing.assert_array_equal(of_archs(table, "shift"), [-1, -2, 3])


def test_missing_values_of_accuracies_and_metrics(tmp_path):
    rows = columns_of((-1, 80, 90), ("", "NA", 3), ("?", 1, "nan"))
    table = bring_in(
        tmp_path, "acc,ms,s", *rows, accuracies=("acc:single",), metrics=("ms:ms", "s:s"), missing=(-1, "?")
    )
    np.testing.assert_array_equal(of_archs(table, "error"), [np.nan, 20, 10])
    np.testing.assert_array_equal(of_archs(table, "ms"), [np.nan, np.nan, 3])
    np.testing.assert_array_equal(of_archs(table, "s"), [np.nan, 1, np.nan])
    assert table.header["rows_given"] == 2  # the first has no value at all
    assert any(n.startswith("1 architectures of the file have no value") for n in table.header["notes"])
    assert "1 of them have no value of ms." in table.header["notes"]
    assert not any("no value of error" in n for n in table.header["notes"])


# --- direction


def test_more_is_better(tmp_path, capsys):
    rows = columns_of((900, 1000, 950), (-0.5, 0.25, 0.75))
    table = bring_in(tmp_path, "throughput,r2", *rows, metrics=("throughput:images/s:max", "r2:-:single:max"))
    np.testing.assert_array_equal(of_archs(table, "neg_throughput"), [-900, -1000, -950])
    assert table.columns["neg_r2"]["unit"] == ""
    bench = open_benchmark("macro", "mine", ("neg_throughput", "flops"))
    assert bench.reference().front[0, 0] == -1000  # the fastest, not the slowest
    info = {c.name: c for c in describe_columns(table)}
    assert (info["neg_throughput"].best, info["neg_throughput"].largest) == (1000, 1000)
    assert info["neg_throughput"].text == "throughput, of which more is better, with the opposite sign"
    with pytest.raises(UserError, match=r"no objective 'throughput'\. Did you mean 'neg_throughput'"):
        open_benchmark("macro", "mine", ("throughput",))
    export("macro/mine", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[:2] == ["arch,r2,throughput", "00000000,-0.5,900.0"]


@pytest.mark.parametrize(
    ("metric", "refused"),
    [
        *[(f"{n}:-", True) for n in ("acc", "x=ValAcc", "x=top-1", "fps", "ssim", "mIoU", "r2", "f1_macro", "score")],
        *[(f"{n}:-", False) for n in ("ms", "acc_loss", "top1_err", "latency", "params_m", "energy", "recall_error")],
        *[
            ("x:images/s", True),
            ("x:FPS", True),
            ("rate=x:images/s:min", False),
            ("acc:-:min", False),
            ("acc:-:max", False),
        ],
    ],
)
def test_names_and_units_of_which_more_looks_better(tmp_path, metric, refused):
    name = metric.partition(":")[0].rpartition("=")[2]
    if refused:
        with pytest.raises(UserError, match=r"more looks better: say .*:max"):
            bring_in(tmp_path, name, *columns_of((1, 2, 3)), metrics=(metric,))
    else:
        bring_in(tmp_path, name, *columns_of((1, 2, 3)), metrics=(metric,))


def test_words_of_names():
    assert words_of("valAcc-top1 (%)") == ["val", "acc", "top1"]
    assert words_of("Top-1 Acc (%)") == ["top1", "acc"]
    assert words_of("val_acc_200") == ["val", "acc", "200"]
    assert words_of("top10") == ["top10"]
    assert (split_of("val_loss"), split_of("x_test"), split_of("valtest"), split_of("val_test")) == (
        *("validation", "test", "", ""),
    )
    assert without_split("x_valid") == without_split("test_x") == ("x",)


# --- split and partner


@pytest.mark.parametrize(
    ("first", "second"),
    [("val_loss", "test_loss"), ("valid", "test"), ("x_valid", "x_test"), ("loss_validation_3", "loss_test_3")],
)
def test_validation_and_test_are_paired_by_their_names(tmp_path, first, second):
    rows = columns_of((1, 2, 3), (4, 5, 6))
    given = (f"{first}:nats:validation", f"{second}:nats:test")
    table = bring_in(tmp_path, f"{first},{second}", *rows, metrics=given)
    assert table.columns[first]["report"] == second
    assert table.columns[second]["role"] == "report"
    bench = open_benchmark("macro", "mine", (first,))
    np.testing.assert_array_equal(bench.evaluate(X, 0).F[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(bench.report(X)[:, 0], [4, 5, 6])
    assert not any("No validation/test split" in n for n in table.header["notes"])


def test_names_in_the_file_pair_columns_that_were_given_other_names(tmp_path):
    rows = columns_of((1, 2, 3), (4, 5, 6), (7, 8, 9))
    given = ("a=val_x:s:validation", "b=test_x:s:test", "c=test_y:s:test")
    table = bring_in(tmp_path, "val_x,test_x,test_y", *rows, metrics=given)
    assert (table.columns["a"]["report"], "report" in table.columns["c"]) == ("b", False)


def test_partners_as_the_user_says(tmp_path):
    rows = columns_of((0.5, 0.6, 0.7), (0.4, 0.5, 0.6), (1, 2, 3))
    given = ("a=iou_a:-:validation:max", "b=iou_b:-:test:max", "loss=c:-:test")
    table = bring_in(tmp_path, "iou_a,iou_b,c", *rows, metrics=given, partners=("a=b", "loss="))
    assert table.columns["neg_a"]["report"] == "neg_b"
    np.testing.assert_array_equal(open_benchmark("macro", "mine", ("neg_a",)).report(X)[:, 0], [-0.4, -0.5, -0.6])


@pytest.mark.parametrize(
    ("partners", "message"),
    [
        (("val_a",), "--partner takes SEARCHED=REPORTED"),
        (("test_a=val_a",), "expected a searched column and one of the test split"),
        (("val_a=test_a", "val_a=test_b"), "has a partner already"),
    ],
)
def test_partners_that_cannot_be(tmp_path, partners, message):
    rows = columns_of((1, 2, 3), (4, 5, 6), (7, 8, 9))
    given = ("val_a:s:validation", "test_a:s:test", "test_b:s:test")
    with pytest.raises(UserError, match=message):
        bring_in(tmp_path, "val_a,test_a,test_b", *rows, metrics=given, partners=partners)


def test_an_alias_never_changes_its_meaning(tmp_path):
    """`error` stands for val_error; a second accuracy must not take that name, and has one of its own if asked."""
    rows = columns_of((80, 81, 82), (70, 71, 72), (30, 31, 32))
    accuracies = ("val:validation", "tst:test", "pgd_error=pgd:single")
    bring_in(tmp_path, "val,tst,pgd", *rows, accuracies=accuracies)
    bench = open_benchmark("macro", "mine", ("error", "pgd_error"))
    assert [o.name for o in bench.objectives] == ["val_error", "pgd_error"]
    np.testing.assert_array_equal(bench.evaluate(X, 0).F, [[20, 70], [19, 69], [18, 68]])
    np.testing.assert_array_equal(bench.report(X), [[30, 70], [29, 69], [28, 68]])
    for second in ("pgd:single", "error=pgd:single"):
        with pytest.raises(UserError, match="'error' is another name of 'val_error'"):
            bring_in(tmp_path, "val,tst,pgd", *rows, accuracies=(*accuracies[:2], second), overwrite=True)


# --- several rows for each architecture


def test_trainings_in_rows_and_in_unequal_number(tmp_path):
    rows = [(ARCHS[0], 888, 88.5), (ARCHS[1], 777, 92), (ARCHS[0], 777, 89), (ARCHS[2], 888, ""), (ARCHS[2], 999, 90)]
    table = bring_in(tmp_path, "seed,acc", *rows, accuracies=("acc:single",), long=Long(seed="seed"))
    np.testing.assert_array_equal(of_archs(table, "error"), [[11, 11.5], [8, np.nan], [10, np.nan]])
    bench = open_benchmark("macro", "mine", ("error",))
    np.testing.assert_array_equal(bench.report(X)[:, 0], [11.25, 8, 10])
    seen = {tuple(bench.evaluate(X, s).F[:, 0]) for s in range(20)}
    assert seen == {(11.0, 8.0, 10.0), (11.5, 8.0, 10.0)}


def test_trainings_in_columns_with_gaps(tmp_path):
    rows = [(ARCHS[0], 89, "", 88), (ARCHS[1], "", "", 92), (ARCHS[2], 1, 2, 3)]
    table = bring_in(tmp_path, "s0,s1,s2", *rows, accuracies=("s0,s1,s2:single",))
    nan = np.nan
    np.testing.assert_array_equal(of_archs(table, "error"), [[11, 12, nan], [8, nan, nan], [99, 98, 97]])


@pytest.mark.parametrize(
    ("repeated", "expected"),
    [("mean", [11.25, 8]), ("first", [11.5, 8]), ("last", [11, 8]), ("trainings", [[11.5, 11], [8, np.nan]])],
)
def test_rows_that_nothing_tells_apart(tmp_path, repeated, expected):
    rows = [(ARCHS[0], 88.5), (ARCHS[1], 92), (ARCHS[0], 89)]
    table = bring_in(tmp_path, "acc", *rows, accuracies=("acc:single",), long=Long(repeated=repeated))
    np.testing.assert_array_equal(of_archs(table, "error")[:2], expected)
    assert f"3 rows name 2 architectures; repeated ones: {repeated}." in table.header["notes"]


def test_one_epoch_is_taken(tmp_path):
    rows = [(a, e, 80 + i + e / 10) for i, a in enumerate(ARCHS) for e in (1, 10, 2)]
    rows.remove((ARCHS[2], 10, 83.0))
    given = {"accuracies": ("acc:single",), "overwrite": True}
    with pytest.raises(UserError, match="22222222 ends at epoch 2, others at 10: give --epoch last, or --epoch 2"):
        bring_in(tmp_path, "ep,acc", *rows, **given, long=Long(epoch="ep"))
    table = bring_in(tmp_path, "ep,acc", *rows, **given, long=Long(epoch="ep", at="last"))
    np.testing.assert_allclose(of_archs(table, "error"), [19, 18, 17.8])
    assert "Of the epochs of m.csv, last was taken." in table.header["notes"]
    table = bring_in(tmp_path, "ep,acc", *rows, **given, long=Long(epoch="ep", at="2"))
    np.testing.assert_allclose(of_archs(table, "error"), [19.8, 18.8, 17.8])
    table = bring_in(tmp_path, "ep,acc", *rows, **given, long=Long(epoch="ep", at="10"))
    np.testing.assert_allclose(of_archs(table, "error"), [19, 18, np.nan])


def test_devices_become_columns(tmp_path):
    rows = [
        *[(ARCHS[0], "Pixel 3", 80, 1.5), (ARCHS[0], "edge-GPU", 80, 2.5), (ARCHS[1], "Pixel 3", "", 3.5)],
        *[(ARCHS[1], "edge-GPU", 81, ""), (ARCHS[2], "Pixel 3", 82, 4.5)],
    ]
    table = bring_in(
        tmp_path, "dev,acc,ms", *rows, accuracies=("acc:single",), metrics=("latency=ms:ms",), long=Long(device="dev")
    )
    np.testing.assert_array_equal(of_archs(table, "error"), [20, 19, 18])
    np.testing.assert_array_equal(of_archs(table, "latency_pixel_3"), [1.5, 3.5, 4.5])
    np.testing.assert_array_equal(of_archs(table, "latency_edge_gpu"), [2.5, np.nan, np.nan])
    assert set(table.columns) == {"error", "latency_pixel_3", "latency_edge_gpu"}


def test_seeds_epochs_and_devices_together(tmp_path):
    rows = [
        (a, s, e, d, 50 + 10 * i + s + e, 100 * i + (d == "b"))
        for i, a in enumerate(ARCHS) for s in (2, 1) for e in (1, 2) for d in "ba"
    ]  # fmt: skip
    long = Long(seed="s", epoch="e", device="d")
    table = bring_in(tmp_path, "s,e,d,acc,ms", *rows, accuracies=("acc:single",), metrics=("ms:ms",), long=long)
    np.testing.assert_array_equal(of_archs(table, "error"), [[47, 46], [37, 36], [27, 26]])
    np.testing.assert_array_equal(of_archs(table, "ms_a"), [0, 100, 200])  # the same in both trainings: one number
    np.testing.assert_array_equal(of_archs(table, "ms_b"), [1, 101, 201])


@pytest.mark.parametrize(
    ("long", "message"),
    [
        (Long(seed="sed"), "no column 'sed' for --seed-column. Did you mean 'seed'"),
        (Long(seed="acc"), "the column has another meaning already"),
        (Long(seed="seed", epoch="seed"), "the column has another meaning already"),
        (Long(at="3"), "--epoch needs --epoch-column"),
        (Long(epoch="seed", at="three"), "--epoch takes a number or last, got 'three'"),
        (Long(repeated="median"), "--repeated takes refuse, mean, first, last, trainings, got 'median'"),
    ],
)
def test_bad_options_of_long_files(tmp_path, long, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        bring_in(tmp_path, "seed,acc", (ARCHS[0], 1, 80), accuracies=("acc:single",), long=long)


# --- the description beside an exported file


@pytest.fixture
def exported(tmp_path):
    rows = columns_of((80, 81, 82), (1, 2, 3))
    bring_in(tmp_path, "acc,fps", *rows, accuracies=("acc:single",), metrics=("fps:1/s:max",))
    export("macro/mine", tmp_path / "out.csv")
    return tmp_path / "out.csv"


def test_an_edited_number_is_imported_and_checked(exported):
    exported.write_text(exported.read_text().replace("20.0", "25.0"))
    np.testing.assert_array_equal(of_archs(import_table(exported, "macro", "new"), "error"), [25, 19, 18])
    exported.write_text(exported.read_text().replace("25.0", "101"))
    with pytest.raises(UserError, match=r"out\.csv, row 1, column 'error': 101 is not a percentage"):
        import_table(exported, "macro", "newer")


@pytest.mark.parametrize(
    "change",
    [
        {"smemnas-table": 2},
        {"columns": []},
        {"columns": {"a/b": {}}},
        {"columns": {"error": {"unit": 3, "columns": ["error"], "trainings": False, "dtype": "float64"}}},
        {"columns": {"error": {"unit": "%", "columns": [], "trainings": False, "dtype": "float64"}}},
        {"columns": {"error": {"unit": "%", "columns": ["a", "b"], "trainings": False, "dtype": "float64"}}},
        {"aliases": {"error": "nothing"}},
        {"index": "name"},
        {"rows": {"error": {"dtype": "int64"}}},
        {"rows": {"key": {"dtype": "float64"}}},
        {"notes": "text"},
    ],
)
def test_a_broken_description_is_one_line(exported, change):
    beside = exported.with_name("out.csv.meta.json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **change}))
    with pytest.raises(UserError, match=r"out\.csv\.meta\.json describes no table") as caught:
        import_table(exported, "macro", "new")
    assert "\n" not in str(caught.value)


def test_options_win_over_the_description(exported):
    table = import_table(exported, "macro", "new", metrics=("error:%:single",))
    assert set(table.columns) == {"error"}


def test_description_of_another_space(exported):
    with pytest.raises(UserError, match=r"out\.csv\.meta\.json says that the file is of space macro, not nb201"):
        import_table(exported, "nb201", "new")


@pytest.mark.parametrize(
    ("changes", "given"), [({"partners": ("error=",)}, "--partner"), ({"time": "seconds"}, "--time")]
)
def test_options_that_a_description_leaves_no_room_for(exported, changes, given):
    with pytest.raises(UserError, match=rf"out\.csv\.meta\.json says already .*: leave {given} out, or declare"):
        import_table(exported, "macro", "new", **changes)


def test_the_column_that_is_wrong_is_named(tmp_path):
    bring_in(tmp_path, "a,b", *columns_of((80, 81, 82), (1, 2, 3)), accuracies=("a,b:single",))
    export("macro/mine", tmp_path / "out.csv")
    (tmp_path / "out.csv").write_text((tmp_path / "out.csv").read_text().replace("19.0,98.0", "19.0,980"))
    with pytest.raises(UserError, match=r"out\.csv, row 2, column 'error_1': 980 is not a percentage"):
        import_table(tmp_path / "out.csv", "macro", "new")


def test_export_replaces_its_own_files_only(exported, tmp_path):
    assert export("macro/mine", exported) == 3
    foreign = tmp_path / "thesis.csv"
    foreign.write_text("mine")
    beside = tmp_path / "thesis.csv.meta.json"
    for content in (None, '{"title": "thesis"}', "[]", "no JSON", "[" * 100_000):
        if content is not None:
            beside.write_text(content)
        with pytest.raises(UserError, match=r"thesis\.csv is there already, and no export wrote it"):
            export("macro/mine", foreign)
        assert foreign.read_text() == "mine"
        assert content is None or beside.read_text() == content
    foreign.unlink()
    beside.write_text('{"title": "thesis"}')
    with pytest.raises(UserError, match=r"thesis\.csv\.meta\.json is there already, and no export wrote it"):
        export("macro/mine", foreign)
    assert beside.read_text() == '{"title": "thesis"}'
    assert not foreign.exists()
    beside.unlink()
    assert export("macro/mine", foreign) == 3
    assert open_named("macro/mine").header["rows_given"] == 3
