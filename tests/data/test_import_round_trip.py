"""`data export` and `data import` are inverse: every table that the importer can make comes back equal."""

import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_files import original
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data.in_package import PackagedTable, packaged
from smemnas.bench.data.manage import export, verify
from smemnas.bench.data.nb101 import make_nb101
from smemnas.bench.data.user import import_table
from smemnas.bench.data.user_rows import Long
from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.base import SPACES
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.toy import Toy

#: What of a header is the table itself; name and source say where it came from.
SAME = ("columns", "n_rows", "index", "space", "space_params", "default_objectives", "aliases", "licence", "rows_given")
ENDINGS = (".csv", ".csv.gz", ".tsv", ".json", ".parquet")
percent = st.one_of(st.floats(0, 100), st.sampled_from([0.0, 1.5, 100.0]))
amount = st.one_of(st.floats(0, 1e308, allow_subnormal=True), st.integers(0, 10**6).map(float))
anything = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([-0.0, 5e-324, -1e308]))
#: Declaration with {0}, {1}, ... for the columns of the file; number of columns; values.
METRICS = (
    ("{0}:ms", 1, amount),
    ("{0}:s:single", 1, amount),
    ("{0}:-:signed", 1, anything),
    ("{0}:images/s:max:signed", 1, anything),
    ("{0}:dB:signed", 1, anything),
    ("own_{0}={0}:%:percent", 1, percent),
    ("miou_{0}={0}:%:percent:max", 1, percent),
    ("gain_{0}={0}:%:percent:signed", 1, anything),
    ("drift_{0}={0}:ms:signed", 1, anything),
    ("runs_{0}={0},{1}:mJ", 2, amount),
    ("runs_{0}={0},{1},{2}:-:max:signed", 3, anything),
)
ACCURACIES = (
    ("{0}:validation:percent", 1, percent),
    ("{0},{1}:validation:percent", 2, percent),
    ("{0}:test:percent", 1, percent),
    ("{0},{1},{2}:single:percent", 3, percent),
    ("{0}:single:fraction", 1, st.floats(0, 1)),
    ("pgd_{0}={0}:single:percent", 1, percent),
)


@st.composite
def tables(draw):
    """Draw the lines of a CSV, its declarations, and its space."""
    space = draw(st.sampled_from([Toy(), MNV3(resolutions=(160, 224), n_classes=10)]))
    n = draw(st.integers(1, 6))
    X = space.sample(40, np.random.default_rng(draw(st.integers(0, 9))))
    _, first = np.unique(space.canonical(X), return_index=True)
    names = [space.to_str(x) for x in X[np.sort(first)][:n]]
    chosen = draw(st.lists(st.sampled_from(METRICS), max_size=3, unique=True))
    kinds = draw(st.sampled_from([(), (0,), (1,), (0, 2), (1, 2), (3,), (4,), (0, 5), (3, 5)]))
    if not kinds and not chosen:
        chosen = [METRICS[0]]
    declared, header, columns = ([], []), ["arch"], [names]
    for k, (text, width, values) in [(0, ACCURACIES[i]) for i in kinds] + [(1, m) for m in chosen]:
        mine = [f"c{len(header) + i}" for i in range(width)]
        declared[k].append(text.format(*mine))
        header += mine
        for _ in range(width):
            known = draw(st.integers(0, len(names) - 1))  # no column without any value
            cell = st.one_of(st.just(math.nan), values)
            columns.append([draw(values if i == known else cell) for i in range(len(names))])
    lines = [header, *([r[0], *("" if math.isnan(v) else repr(v) for v in r[1:])] for r in zip(*columns, strict=True))]
    return space, lines, declared


def same(first: Table, second: Table):
    for key in SAME:
        assert first.header[key] == second.header[key], key
    for name in first.columns:  # the checksums in the header say it already
        assert first.column(name).tobytes() == second.column(name).tobytes()
    assert second.header["notes"] == first.header["notes"]
    assert second.header["source"] == first.header["source"]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(drawn=tables(), ending=st.sampled_from(ENDINGS))
def test_every_table_comes_back_equal(drawn, ending, monkeypatch):
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    space, lines, (accuracies, metrics) = drawn
    params = {} if space.name == "toy" else {"resolutions": (160, 224), "n_classes": 10}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        monkeypatch.setenv("SMEMNAS_DATA", folder)
        (path / "m.csv").write_text("".join(",".join(line) + "\n" for line in lines))
        made = import_table(
            *(path / "m.csv", space.name, "one"), accuracies=accuracies, metrics=metrics, space_params=params,
            licence="CC0", long=Long(repeated="mean"),
        )  # fmt: skip
        assert export(f"{space.name}/one", path / f"out{ending}") == made.header["rows_given"]
        assert verify(f"{space.name}/one") == [(f"{space.name}/one", "")]
        back = import_table(path / f"out{ending}", space.name, "two")
        same(made, back)
        shutil.copy(path / f"out{ending}", path / "first")
        export(f"{space.name}/two", path / f"out{ending}")
        assert (path / f"out{ending}").read_bytes() == (path / "first").read_bytes()


def test_column_names_of_trainings_never_clash(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    given = ("ms=a,b:ms", "ms_0=c:ms", "fps=d:1/s:max")
    (tmp_path / "m.csv").write_text("arch,a,b,c,d\n0-0-0-0-0,1,2,3,7\n1-0-0-0-0,4,5,6,8\n")
    made = import_table(tmp_path / "m.csv", "toy", "one", metrics=given)
    export("toy/one", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "arch,ms_0,ms_1,ms_0_,fps"
    same(made, import_table(tmp_path / "out.csv", "toy", "two"))


@pytest.mark.parametrize("name", [*sorted(packaged()), "nb201/analog"])
def test_tables_of_the_package_come_back_equal(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    made = PackagedTable(name) if name in packaged() else open_benchmark("nb201", "analog").table
    assert export(name, tmp_path / "out.csv") == made.n_rows
    back = import_table(tmp_path / "out.csv", made.header["space"], "back")
    same_rows(made, back)


def test_tables_of_ec_nas_come_back_equal(tmp_path, monkeypatch):
    """Graphs of up to four vertices can be enumerated, and are yet found by the graph: 91 of them, 576 genotypes."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    source = original("nb101", "energy_4V9E.tfrecord")
    made = make_nb101(source, tmp_path / "tables" / "nb101" / "ecnas4", "ecnas4")
    assert export("nb101/ecnas4", tmp_path / "out.csv") == 91
    back = import_table(tmp_path / "out.csv", "nb101", "back")
    same_rows(made, back)
    space = NB101(max_vertices=4)
    X = space.sample(200, np.random.default_rng(0))
    benches = [TabularBenchmark(space, table) for table in (made, back)]
    assert [b.listed for b in benches] == [None, None]
    for seed in range(3):
        np.testing.assert_array_equal(*(b.evaluate(X, seed).F for b in benches))
    np.testing.assert_array_equal(*(b.report(X) for b in benches))


def test_a_table_of_trained_graphs_comes_back_equal(tmp_path, monkeypatch):
    """As a recipe writes it: which of the genotypes of a graph was trained, in one byte a gene."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    space, rng = NB101(max_vertices=4), np.random.default_rng(0)
    X = rng.permutation(space.enumerate())
    keys, first = np.unique(space.canonical(X), return_index=True)
    info = {"unit": "", "split": "none", "role": "info", "text": "sorted"}
    columns = {"key": keys, "genotype": X[first].astype(np.int8), "val_error": rng.uniform(5, 9, (len(keys), 3))}
    describe = {
        **{"key": info, "genotype": {**info, "role": "genotype", "text": "the network that was trained"}},
        "val_error": {"unit": "%", "split": "validation", "role": "objective", "text": "three trainings"},
    }
    made = write_table(
        tmp_path / "tables" / "nb101" / "trained", columns, describe=describe, name="nb101/trained", space="nb101",
        dataset="trained", index="key", space_params={"max_vertices": 4}, default_objectives=["val_error", "flops"],
        aliases={"error": "val_error"}, licence="CC0", notes=["note"], source=[], recipe_version=0,
    )  # fmt: skip
    for ending in (".csv", ".json"):
        assert export("nb101/trained", tmp_path / f"out{ending}") == len(keys) == 91
        same_rows(made, import_table(tmp_path / f"out{ending}", "nb101", f"back{ending}"))
    listed = [open_benchmark("nb101", name).listed for name in ("trained", "back.csv")]
    assert listed == [None, None]


def same_rows(first: Table, second: Table):
    """Compare a table that no import made: it does not say how many rows were given."""
    for key in ("space_params", "aliases"):
        assert first.header.get(key, {}) == second.header[key], key
    for key in ("n_rows", "index", "space", "default_objectives", "licence", "notes"):
        assert first.header[key] == second.header[key], key
    assert {n: dict(e) for n, e in first.columns.items()} == {n: dict(e) for n, e in second.columns.items()}
    for name in first.columns:
        assert first.column(name).tobytes() == second.column(name).tobytes()


@pytest.mark.parametrize("n", [4, 7])
def test_one_graph_under_two_names_is_there_twice(tmp_path, monkeypatch, n):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    space = NB101(max_vertices=n)
    square = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    X = np.stack([space.from_matrix(square, labels) for labels in ([0, 1], [1, 0], [0, 0])])
    (tmp_path / "m.csv").write_text("arch,acc\n" + "".join(f"{space.to_str(x)},{80 + i}\n" for i, x in enumerate(X)))
    given = {"accuracies": ("acc:single",), "space_params": {"max_vertices": n}}
    with pytest.raises(DataError, match=r"row 2: .* is there twice, first in row 1"):
        import_table(tmp_path / "m.csv", "nb101", "one", **given)
    table = import_table(tmp_path / "m.csv", "nb101", "one", **given, long=Long(repeated="mean"))
    assert table.header["index"] == "key"
    np.testing.assert_array_equal(np.sort(table.column("error")), [18, 19.5])
    bench = open_benchmark("nb101", "one", ("error",))
    np.testing.assert_array_equal(bench.evaluate(X, 0).F[:, 0], [19.5, 19.5, 18])
    assert ("The table covers 2 of 91 networks." in table.header["notes"]) == (n == 4)
    export("nb101/one", tmp_path / "out.csv")
    same(table, import_table(tmp_path / "out.csv", "nb101", "two"))


def test_a_table_of_genotypes_of_an_earlier_version_comes_back_equal(tmp_path, monkeypatch):
    """Such a table of nb101 lies on a grid, which its description says; one without that word is found by graphs."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    space = NB101(max_vertices=3)
    X = space.enumerate()
    error = np.full(space.size, np.nan)
    error[space.index(X)] = 10 + np.arange(len(X))
    entry = {"unit": "%", "split": "single", "role": "objective", "text": "100 - acc"}
    said = {"index": "grid", "space_params": {"max_vertices": 3}, "default_objectives": ["error"], "aliases": {}}
    made = write_table(
        tmp_path / "tables" / "nb101" / "old", {"error": error}, describe={"error": entry}, name="nb101/old",
        space="nb101", dataset="old", licence="CC0", notes=[], source=[], rows_given=len(X), recipe_version=0, **said,
    )  # fmt: skip
    assert export("nb101/old", tmp_path / "out.csv") == len(X) == 15
    same(made, import_table(tmp_path / "out.csv", "nb101", "back"))
    beside = tmp_path / "out.csv.meta.json"
    text = json.loads(beside.read_text())
    del text["index"], text["rows"]
    beside.write_text(json.dumps(text))
    with pytest.raises(DataError, match="is there twice"):
        import_table(tmp_path / "out.csv", "nb101", "graphs")
    beside.write_text(json.dumps({**text, "index": "grid", "space_params": {"max_vertices": 7}}))
    with pytest.raises(DataError, match="says that rows are found by a grid, which nb101 has none of"):
        import_table(tmp_path / "out.csv", "nb101", "seven")


@pytest.mark.parametrize("name", ["toy", "nb201", "nb101", "nats_sss", "macro", "mnv3"])
def test_tables_come_back_equal_in_every_form_of_names(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    space = SPACES.create(name)
    X = space.normalise(space.sample(30, np.random.default_rng(0)))
    X = X[np.unique(space.canonical(X), return_index=True)[1]]
    lines = [f"{space.to_str(x)};{50 + i / 7!r}\n" for i, x in enumerate(X)]
    (tmp_path / "m.csv").write_text("arch;acc\n" + "".join(lines))
    made = import_table(tmp_path / "m.csv", name, "one", accuracies=("acc:single",))
    forms = [form for form in space.forms if form.read is not None and form.write is not None]
    assert len(forms) >= 2
    for form in forms:
        order = ",".join(reversed(form.operations))
        path = tmp_path / f"{form.name}.csv"
        assert export(f"{name}/one", path, form.name, order) == len(X)
        same(made, import_table(path, name, f"form-{form.name}"))


def test_form_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    (tmp_path / "m.csv").write_text("arch,ms\n0-0-0-0-0,1\n")
    import_table(tmp_path / "m.csv", "toy", "one", metrics=("ms:ms",))
    with pytest.raises(UserError, match="space 'toy' has no form of names 'ofa'"):
        export("toy/one", tmp_path / "out.csv", "ofa")
    with pytest.raises(UserError, match="space 'toy' has no form of names 'ofa'"):
        import_table(tmp_path / "m.csv", "toy", "two", metrics=("ms:ms",), form="ofa")
    with pytest.raises(UserError, match="order of operations belongs to a form"):
        export("toy/one", tmp_path / "out.csv", operations="a,b")
    assert not (tmp_path / "out.csv").exists()
