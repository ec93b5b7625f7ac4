"""No folder stays where a command refuses its arguments after it had begun."""

from __future__ import annotations

import pytest

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.outputs import RANKING, SUPERNET
from smemnas.bench.runs.folder import locked
from smemnas.bench.studies.execution import study_lock


@pytest.mark.parametrize("hold", [locked, study_lock, lambda folder: locked(folder, SUPERNET)])
def test_a_folder_made_for_nothing_is_taken_back(tmp_path, hold):
    def refuse():
        with hold(tmp_path / "new" / "er"):
            assert [path.name for path in (tmp_path / "new").iterdir()] == ["er"]
            raise UserError("no data set 'nowhere'.")

    with pytest.raises(UserError, match="nowhere"):
        refuse()
    assert not [*tmp_path.iterdir()]


def test_what_was_there_or_holds_something_stays(tmp_path):
    (tmp_path / "mine").mkdir()

    def fail(folder, name=""):
        with locked(folder, RANKING):
            if name:
                (folder / name).write_text('{"plan": 1}')
            raise RunError("broken")

    for folder, name in ((tmp_path / "mine", ""), (tmp_path / "new", "ranking.json"), (tmp_path / "mine" / "in", "")):
        with pytest.raises(RunError, match="broken"):
            fail(folder, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "new"]
    assert not (tmp_path / "mine" / "in").exists()
    assert (tmp_path / "new" / "ranking.json").read_text() == '{"plan": 1}'


def test_one_that_another_process_holds_is_not_touched(tmp_path):
    folder = tmp_path / "held"
    with locked(folder):
        with pytest.raises(RunError, match="in use"), locked(folder):
            pass
        assert [path.name for path in folder.iterdir()] == [".lock"]
