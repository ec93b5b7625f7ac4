"""`data export` and `data import` are inverse: every table that the importer can make comes back equal."""

import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data.manage import export, verify
from smemnas.bench.data.user import import_table
from smemnas.bench.data.user_rows import Long
from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES
from smemnas.spaces.mnv3 import MNV3
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
