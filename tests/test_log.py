"""What is worth a note: a warning of the logger "smemnas", and a line on standard error where a command works."""

from __future__ import annotations

import pickle
from contextlib import nullcontext

import pytest

from smemnas.bench.benchmarks.store import open_or_make
from smemnas.bench.log import note
from smemnas.bench.program import PROGRAM, named, shown_notes
from smemnas.bench.workers.backends import here
from smemnas.bench.workers.child import Slot


@pytest.fixture
def unwritable(tmp_path, monkeypatch):
    """A data folder that cannot be written, which is worth a note."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "file" / "data"))
    return tmp_path


def test_a_note_is_a_warning_and_a_program_hears_it_where_it_wants(caplog, capsys):
    note(f"see {PROGRAM} list")
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("smemnas.notes", "WARNING", f"note: see {PROGRAM} list")
    ]
    assert capsys.readouterr() == ("", "")


def test_a_command_shows_notes_and_stops_to_when_it_ends(capsys):
    with shown_notes():
        note(f"see {PROGRAM} list")
        with shown_notes():
            note("a second")
        note("a third")
    note("nobody hears")
    assert capsys.readouterr() == ("", f"note: {named(f'see {PROGRAM} list')}\nnote: a second\nnote: a third\n")


def test_a_library_call_says_on_the_logger_what_a_command_shows(unwritable, capsys, caplog):
    words = f"note: {unwritable / 'file' / 'data'} cannot be written"
    assert open_or_make("toy/made", 1, lambda folder: folder).name == "made"
    assert capsys.readouterr() == ("", "")
    assert caplog.messages[0].startswith(words)
    with shown_notes():
        open_or_make("toy/again", 1, lambda folder: folder)
    assert capsys.readouterr().err.startswith(words)


@pytest.mark.parametrize("shown", [True, False])
def test_a_worker_says_what_its_parent_would(shown, capfd):
    slot = Slot()
    with shown_notes() if shown else nullcontext():
        slot.run("a study", note.__module__, pickle.dumps((note, ("from a worker",))), 60, here())
    slot.close()
    assert capfd.readouterr().err == ("note: from a worker\n" if shown else "")
