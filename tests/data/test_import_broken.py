"""Damaged files and odd declarations end in a table or in one line, never in a traceback."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_import_dialects import DIALECTS

from smemnas.bench.data.user import Request, draft_table
from smemnas.bench.data.user_rows import Long
from smemnas.bench.data.user_sheet import Dialect
from smemnas.bench.errors import UserError, one_line

FILES = [f for f in DIALECTS if not f.endswith((".gz", ".bz2", ".xz"))]
PIECES = (
    "\0",
    '"',
    "'",
    "\n",
    "\r",
    ",",
    ";",
    "\t",
    "#",
    "{",
    "[",
    "]",
    "}",
    ":",
    "&a ",
    "*a",
    "!!",
    "\ufeff",
    "é",
    "|",
)
NUMBERS = ("nan", "inf", "-", "1e999", "1_0", "٣", "9" * 400, "true", "null", "0x1f", "1,2,3", "--1", "%", "86 %%")
KEYWORDS = ("single", "validation", "test", "none", "max", "min", "fraction", "percent", "signed", "key", "neg_a")
SIGNS = ("", "x=", "=x", ":", "::", ":ms", "%", "-", ",", "é", "\0", "x" * 300)
WORDS = st.sampled_from((*KEYWORDS, *SIGNS, "arch", "val_acc", "a", "val_acc,val_acc"))
declaration = st.lists(WORDS, max_size=5).map(":".join)


@contextlib.contextmanager
def folder_of_its_own():
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", os.path.join(folder, "cache"))
        yield Path(folder)


def in_one_line(request):
    """Draft a table; every mistake is a `UserError` of one line of bounded length."""
    try:
        faults = draft_table(request).faults
    except UserError as error:
        faults = (error,)
    for fault in faults:
        assert one_line(fault).isprintable()
        assert "\n" not in str(fault)
        assert len(str(fault)) < 1500


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    file=st.sampled_from(FILES),
    at=st.floats(0, 1),
    length=st.integers(0, 12),
    piece=st.one_of(st.sampled_from(PIECES), st.sampled_from(NUMBERS), st.binary(max_size=6)),
)
def test_damaged_files(file, at, length, piece):
    data = DIALECTS[file]
    start = int(at * len(data))
    damaged = data[:start] + (piece if isinstance(piece, bytes) else piece.encode()) + data[start + length :]
    with folder_of_its_own() as folder:
        (folder / file).write_bytes(damaged)
        in_one_line(Request(folder / file, "macro", "x", accuracies=("val_acc:single",)))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    accuracies=st.lists(declaration, max_size=2),
    metrics=st.lists(declaration, max_size=2),
    partners=st.lists(declaration, max_size=1),
    missing=st.lists(st.one_of(WORDS, st.floats()), max_size=2),
    dialect=st.builds(Dialect, *(st.one_of(st.none(), st.text(max_size=3), WORDS),) * 3),
    long=st.builds(Long, *(st.one_of(st.none(), WORDS),) * 4, st.one_of(st.just("mean"), WORDS)),
    form=st.sampled_from([None, "name", "genes", "row", "x"]),
    operations=st.one_of(st.just(""), WORDS),
)
@example([], ["a:ms"], [], [], Dialect(), Long(device="val_acc"), None, "")
def test_odd_declarations(accuracies, metrics, partners, missing, dialect, long, form, operations):
    with folder_of_its_own() as folder:
        (folder / "m.csv").write_text("arch,val_acc,a\n00000000,80,1\n11111111,81,\n22222222,nan,3\n")
        in_one_line(
            Request(
                *(folder / "m.csv", "macro", "x", "arch", tuple(accuracies), tuple(metrics), tuple(partners)),
                *(tuple(missing), {}, None, False, dialect, long, form, operations),
            )
        )


def test_damaged_parquet(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install pyarrow")
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    path = tmp_path / "m.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"arch": ["00000000", "11111111"], "val_acc": [80.0, 81.0]}), path)
    whole = path.read_bytes()
    in_one_line(Request(path, "macro", "x", accuracies=("val_acc:single",)))
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        in_one_line(Request(path, "macro", "x", accuracies=("val_acc:single",)))
        path.write_bytes(whole[:at])
        in_one_line(Request(path, "macro", "x", accuracies=("val_acc:single",)))
