"""What takes a while and cannot be counted says on a terminal what it is; elsewhere it is silent."""

import io
import sys

import pytest

from smemnas.bench.report import terminal
from smemnas.bench.report.terminal import shown_work


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "shown"),
    [
        (True, Terminal(), True),
        (False, Terminal(), False),
        (True, io.StringIO(), False),
        (lambda done, total: None, Terminal(), False),
    ],
)
def test_work_is_shown_where_somebody_looks(progress, stream, shown, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with shown_work("comparing [runs]", progress):
        pass
    assert ("comparing [runs]" in stream.getvalue()) == shown


def test_study_and_report_say_what_they_compare(call, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stderr)
    study = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "10", "--jobs", "1")
    code, _, err = call(*study, "--no-figures", "--out", tmp_path / "s")
    assert code == 0
    assert "comparing the runs in" in err
    code, _, err = call("report", tmp_path / "s", "--no-figures", "--out", tmp_path / "r")
    assert code == 0
    assert "comparing runs and writing" in err
    assert "comparing" not in call("report", tmp_path / "s", "--no-figures", "--out", tmp_path / "r", "--quiet")[2]
