"""evals.jsonl: format, repair of a torn end, refusal of anything else that is wrong."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import zlib

import numpy as np
import pytest

from smemnas.bench.errors import RunError, Unusable
from smemnas.bench.files import write_json, write_text
from smemnas.bench.runs.history import History, LineLog, Row, objectives_of, write_line

ROWS = [
    Row(0, "0-1", (0, 1), (0.1, 7.0)),
    Row(1, "é|\n\u2028", (1, 1), (2.5, 1e-300)),
    Row(2, "1-0", (1, 0), (None, 3.0), "failed", "no value of error in the table"),
    Row(3, "0-0", (0, 0), (1 / 3, -0.0)),
]


def write(path, rows=ROWS):
    history = History(path)
    with history:
        history.append(rows)
    return history


def test_format_of_a_row(tmp_path):
    write(tmp_path / "evals.jsonl", ROWS[:1])
    assert (tmp_path / "evals.jsonl").read_text() == (
        '{"i": 0, "arch": "0-1", "x": [0, 1], "F": [0.1, 7.0], "status": "ok", "error": "", "sum": "185707ac"}\n'
    )


def test_rows_are_written_as_the_json_library_writes_them():
    rng = np.random.default_rng(0)
    numbers = [*(rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)).tolist(), 0.0, -0.0, 1e16, 5e-324, None]
    texts = ['"quoted" \\ \x00\x1f\t', "é\u2028😀", ""]
    rows = [*ROWS, *(Row(7, t, (1, 22, 333), tuple(numbers), "failed", t) for t in texts), Row(8, "a", (5,), (1.0,))]
    for row in rows:
        entry = {"i": row.i, "arch": row.arch, "x": row.x, "F": row.F, "status": row.status, "error": row.error}
        text = json.dumps(entry, ensure_ascii=False)[:-1]
        assert row.to_json() == f'{text}, "sum": "{zlib.crc32(text.encode()):08x}"}}'


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_never_written(value):
    with pytest.raises(ValueError, match="finite or null"):
        Row(0, "a", (1,), (1.0, value)).to_json()


def test_rows_come_back_exactly(tmp_path):
    path = tmp_path / "evals.jsonl"
    write(path)
    assert History(path).rows == ROWS
    assert path.read_bytes().count(b"\n") == len(ROWS)
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        entry = json.loads(line)
        assert list(entry) == ["i", "arch", "x", "F", "status", "error", "sum"]


def test_failed_rows_are_told_as_infinity():
    assert objectives_of(ROWS[2]) == [math.inf, math.inf]
    assert objectives_of(ROWS[0]) == [0.1, 7.0]


def test_arrays(tmp_path):
    history = write(tmp_path / "evals.jsonl")
    X, F = history.arrays()
    np.testing.assert_array_equal(X, [[0, 1], [1, 1], [1, 0], [0, 0]])
    np.testing.assert_array_equal(F[2], [np.inf, np.inf])
    assert X.dtype == np.int64
    assert History(tmp_path / "other").arrays()[0].shape == (0, 0)


def test_a_torn_last_line_is_dropped_at_every_length(tmp_path):
    path = tmp_path / "evals.jsonl"
    write(path)
    whole = path.read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        history = History(path)
        assert history.rows == ROWS[:3]
        assert history.repaired == end - last
        with history:
            history.append(ROWS[3:])
        assert path.read_bytes() == whole


def test_opening_to_read_changes_nothing(tmp_path):
    path = tmp_path / "evals.jsonl"
    write(path)
    torn = path.read_bytes()[:-5]
    path.write_bytes(torn)
    History(path)
    assert path.read_bytes() == torn


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:10],
        lambda line: line.replace(b'"F"', b'"G"'),
        lambda line: b"",
        lambda line: b"null",
        lambda line: line.replace(b'"x": [1, 1]', b'"x": 5'),
        lambda line: b"\xff" + line[1:],
        lambda line: line.replace(b"2.5", b"NaN"),
    ],
)
def test_a_corrupt_line_in_the_middle_is_refused_and_named(tmp_path, damage):
    path = tmp_path / "evals.jsonl"
    write(path)
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage(lines[1])
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RunError, match=r"evals\.jsonl, line 2 is corrupt"):
        History(path)


def line(i=1, x="[1, 1]", F="[2.5, 3.0]", **more):
    """Return a row as earlier versions wrote it."""
    rest = "".join(f', "{key}": {value}' for key, value in more.items())
    return f'{{"i": {i}, "arch": "a", "x": {x}, "F": {F}, "status": "ok", "error": ""{rest}}}'


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (line(x="[1]"), "1 genes and 2 objectives, expected 2 and 2"),
        (line(F="[2.5]"), "2 genes and 1 objectives, expected 2 and 2"),
        (line(F="[]"), "2 genes and 0 objectives"),
        (line(F='["2.5", 3.0]'), "Expected `float | null`, got `str`"),
        (line(F="[1e400, 3.0]"), "out of range"),
        (line(F="[null, 3.0]"), "an objective is missing though nothing failed"),
        (line(F="[Infinity, 3.0]"), "malformed"),
        (line(x="[1, 1.0]"), "Expected `int`, got `float`"),
        (line(x="[1, 99999999999999999999]"), "Expected `int` <= 9223372036854775807"),
        (line(x="[1, -1]"), "Expected `int` >= 0"),
        (line(x="[1, true]"), "Expected `int`, got `bool`"),
        (line(i='"1"'), "Expected `int`, got `str`"),
        (line(sul='"00000000"'), "unknown field `sul`"),
        (line(sum='"00000000"'), "it does not match its checksum"),
        (line(F="[" * 100_000), "Expected `float | null`, got `array`"),
        (line(deep="[" * 100_000 + "]" * 100_000), "unknown field `deep`"),
        (line().replace("ok", "okay"), "Invalid enum value 'okay'"),
        (line().replace('"arch": "a", ', ""), "missing required field `arch`"),
    ],
)
def test_a_row_of_the_wrong_shape_is_one_line_that_names_it(tmp_path, second, reason):
    path = tmp_path / "evals.jsonl"
    path.write_text(f"{line(0)}\n{second}\n")
    with pytest.raises(Unusable) as caught:
        History(path)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line 2 is corrupt (")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_log_is_read_with_the_numbers_of_genes_and_objectives_of_its_job(tmp_path):
    path = tmp_path / "evals.jsonl"
    path.write_text(f"{line(0)}\n")
    assert len(History(path, 2, 2).rows) == 1
    for n_var, n_obj in ((3, 2), (2, 3)):
        with pytest.raises(RunError, match=rf"\(2 genes and 2 objectives, expected {n_var} and {n_obj}\)"):
            History(path, n_var, n_obj)


def test_rows_of_earlier_versions_are_read_and_continued(tmp_path):
    path = tmp_path / "evals.jsonl"
    path.write_text("".join(re.sub(', "sum": "[0-9a-f]{8}"', "", row.to_json()) + "\n" for row in ROWS[:2]))
    with History(path) as history:
        assert history.rows == ROWS[:2]
        history.append(ROWS[2:])
    assert History(path).rows == ROWS
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:3], re.sub(', "sum": "[0-9a-f]{8}"', "", lines[3]), ""]))
    with pytest.raises(RunError, match=r"line 4 is corrupt \(it does not match its checksum"):
        History(path)


def test_any_flipped_bit_of_a_log_is_noticed(tmp_path):
    """All bits of a short log: refused, or a torn last line, which is evaluated again."""
    path = tmp_path / "evals.jsonl"
    write(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for position in (*range(8 * 150), *(rng.randrange(8 * len(whole)) for _ in range(1000))):
        data = bytearray(whole)
        data[position // 8] ^= 1 << position % 8
        path.write_bytes(data)
        try:
            rows = History(path).rows
        except RunError:
            continue
        assert position // 8 == len(whole) - 1  # the end of the last line
        assert rows == ROWS[:-1]


def test_a_missing_or_doubled_row_is_refused(tmp_path):
    path = tmp_path / "evals.jsonl"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    with pytest.raises(RunError, match=r"line 2 holds evaluation 2, expected 1"):
        History(path)
    path.write_bytes(b"".join(lines[:2] + lines[1:]))
    with pytest.raises(RunError, match=r"line 3 holds evaluation 1, expected 2"):
        History(path)


class FullDisk:
    """A raw stream that takes `room` bytes and then fails as a full disk does."""

    def __init__(self, path, room, *, short):
        self.stream = open(path, "ab", buffering=0)  # noqa: SIM115 - the test's end closes it
        self.room, self.short = room, short

    def write(self, data):
        if len(data) <= self.room:
            self.room -= len(data)
            return self.stream.write(data)
        if self.short and self.room:
            taken, self.room = self.room, 0
            return self.stream.write(data[:taken])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name):
        return getattr(self.stream, name)


@pytest.mark.parametrize("short", [True, False])
def test_a_full_disk_keeps_what_was_logged(tmp_path, short):
    path = tmp_path / "evals.jsonl"
    one = len(ROWS[0].to_json().encode()) + 1
    stream = FullDisk(path, one + 10, short=short)
    write_line(stream, path, ROWS[0].to_json())
    with pytest.raises(RunError, match=r"No space left on device.*run the same command again"):
        write_line(stream, path, ROWS[1].to_json())
    stream.close()
    assert History(path).rows == ROWS[:1]
    assert History(path).repaired == 0


def test_a_disk_that_fills_within_a_batch_keeps_the_rows_that_were_whole(tmp_path):
    path = tmp_path / "evals.jsonl"
    lines = [row.to_json() for row in ROWS]
    stream = FullDisk(path, sum(len(line.encode()) + 1 for line in lines[:2]) + 10, short=True)
    with pytest.raises(RunError, match="No space left on device"):
        write_line(stream, path, "\n".join(lines))
    stream.close()
    assert History(path).rows == ROWS[:2]
    assert History(path).repaired == 0


def test_text_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*summary.json: the disk is full"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_writing_below_a_file_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write"):
        write_text(tmp_path / "file" / "x.csv", "text")


def test_a_folder_in_the_place_of_a_log_is_one_line(tmp_path):
    (tmp_path / "timing.jsonl").mkdir()
    with pytest.raises(RunError, match=r"cannot read .*timing\.jsonl \(Is a directory\)"):
        LineLog(tmp_path / "timing.jsonl")
