"""A sample of odd calls and broken folders; `python -m tests.fuzz --calls 3000` is the long form."""

from __future__ import annotations

import os
import shlex

import pytest
from fuzz.__main__ import fuzz
from fuzz.broken import change_json
from fuzz.calls import BASES, EVERY
from fuzz.verdict import judge


def test_every_command_has_a_call_to_start_from():
    assert set(BASES) == set(EVERY)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="calls are forked: a system with fork would run it")
@pytest.mark.parametrize("n", [80, pytest.param(150, marks=pytest.mark.long)])
def test_a_sample_of_odd_calls_and_broken_folders(n):
    counts, bad = fuzz(n, seed=2024, seconds=300, show=False)
    assert not bad, "\n".join(f"{b.verdict}: {shlex.join(b.args)[:300]!a}\n{b.text[-600:]}" for b in bad[:8])
    assert counts["ok 0"] > 2
    assert counts["ok 2"] > 10


@pytest.mark.parametrize(
    ("ended", "options", "verdict"),
    [
        ((0, "done\n", ""), {}, ""),
        ((2, "", "error: a\n"), {}, ""),
        ((1, "unfinished   x\n", ""), {}, ""),
        ((0, "done\n", "left out     x\n"), {}, ""),
        ((0, "done\n", ""), {"must_fail": True}, "RC0"),
        ((2, "", ""), {}, "NOERRORLINE"),
        ((1, "", ""), {}, "NOERRORLINE"),
        ((2, "", "error: a\nerror: b\n"), {}, "MANYLINES"),
        ((2, "", "a warning\nerror: a\n"), {}, "NOISE"),
        ((0, "", "error: a\n"), {}, "ERROR"),
        ((1, "", "Traceback (most recent call last):\n"), {}, "TRACEBACK"),
        ((70, "", "error: this is a fault of the suite\n"), {}, "FAULT"),
        ((-9, "", ""), {}, "CODE"),
        ((-99, "", ""), {}, "HANG"),
        ((130, "", "interrupted\n"), {"interrupted": True}, ""),
        ((130, "", "interrupted\n"), {}, "CODE"),
    ],
)
def test_the_judge(ended, options, verdict):
    code, out, err = ended
    found = judge({"code": code, "out": out, "err": err, "seconds": 1.0, "outside": []}, **options)
    assert found.partition(" ")[0] == verdict


def test_changes_of_json_are_made():
    assert change_json(b'{"a": [1, 2]}', "value", 0, 1, None) == b'{\n  "a": null\n}'
    assert change_json(b'{"a": 1}\n{"a": 2}\n', "raw", 1, 1, "NaN") == b'{"a": 1}\n{"a": NaN}\n'
    assert change_json(b'{"a": 1}\n{"a": 2}\n', "drop", 0, 1) == b'{}\n{"a": 2}\n'
    assert change_json(b'{"a": 1}\n{"a": 2}\n', "drop", 0, 0) == b'{"a": 2}\n'
