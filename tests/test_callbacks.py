"""Callbacks: what they are told of searches and trainings, once each, and what TensorBoard's files then hold."""

import pytest

from smemnas.bench import callbacks
from smemnas.bench.errors import UserError
from smemnas.bench.library.run import RunOptions, run


class Recording:
    """Writes down what it is told."""

    def __init__(self, fail_at=None):
        self.told, self.fail_at = [], fail_at

    def begin(self, kind, folder):
        self.told.append((kind, folder))

    def step(self, step, values):
        self.told.append((step, dict(values)))
        if step == self.fail_at:
            raise ValueError("no more room")

    def end(self):
        self.told.append("end")


def options(out, **changes):
    return RunOptions("random", "toy", budget=6, seed=1, out=out, **changes)


def test_a_search_tells_each_evaluation_once(tmp_path):
    whole = Recording()
    found = run(options(tmp_path / "a"), callbacks=[whole])
    assert whole.told[0] == ("search", tmp_path / "a")
    assert whole.told[-1] == "end"
    names = found.job.objectives
    assert whole.told[1:-1] == [(i, dict(zip(names, F, strict=True))) for i, F in enumerate(found.F.tolist())]
    first, rest = Recording(), Recording()
    run(options(tmp_path / "b"), ends=lambda done: done >= 4, callbacks=[first])
    run(options(tmp_path / "b"), callbacks=[rest])
    assert [*first.told[1:-1], *rest.told[1:-1]] == whole.told[1:-1]
    assert len(rest.told) == 4


def test_what_a_callback_raises_ends_the_search_which_goes_on_when_called_again(tmp_path):
    failing, other = Recording(fail_at=2), Recording()
    with pytest.raises(ValueError, match="no more room"):
        run(options(tmp_path / "a"), callbacks=[other, failing])
    assert failing.told[-1] == other.told[-1] == "end"
    whole = run(options(tmp_path / "b"))
    assert run(options(tmp_path / "a")).F.tolist() == whole.F.tolist()


def test_only_finite_numbers_are_told(tmp_path):
    seen = Recording()
    with callbacks.attached([seen], "training", tmp_path) as step:
        step(3, {"loss": 1.5, "steps": 2, "classifier": "random", "flag": True, "error": float("inf"), "none": None})
    assert seen.told[1] == (3, {"loss": 1.5, "steps": 2.0})


def test_tensorboard_goes_on_at_the_step_where_a_search_does(tmp_path, monkeypatch):
    made = []

    class Writer:
        def __init__(self, folder, purge_step):
            self.rows = []
            made.append((folder, purge_step, self))

        def add_scalar(self, name, value, step):
            self.rows.append((name, value, step))

        def flush(self):
            pass

        def close(self):
            self.rows.append("closed")

    monkeypatch.setattr(callbacks, "summary_writer", lambda: Writer)
    run(options(tmp_path / "a", tensorboard=True), ends=lambda done: done >= 4)
    found = run(options(tmp_path / "a", tensorboard=True))
    run(options(tmp_path / "a", tensorboard=True))  # nothing is left to write
    assert [(folder, step) for folder, step, _ in made] == [(str(tmp_path / "a" / "tensorboard"), n) for n in (0, 4)]
    names = found.job.objectives
    rows = [(name, value, i) for i, F in enumerate(found.F.tolist()) for name, value in zip(names, F, strict=True)]
    assert [row for *_, writer in made for row in writer.rows if row != "closed"] == rows
    assert all(writer.rows[-1] == "closed" for *_, writer in made)


def test_a_missing_package_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="needs the package tensorboard"):
        run(options(tmp_path / "a", tensorboard=True))
    assert not (tmp_path / "a").exists()


@pytest.mark.long
def test_supernets_and_searches_write_what_tensorboard_reads(tmp_path):
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard: pip install -e '.[train]'"
    )
    from smemnas.bench.library.supernet import SupernetTrainOptions, supernet_train

    seen = Recording()
    wanted = SupernetTrainOptions(
        data="digits", width=0.1, epochs=2, batch=256, out=tmp_path / "s", device="cpu", threads=1, tensorboard=True
    )
    training = supernet_train(wanted, callbacks=[seen])
    assert [told[0] for told in seen.told[:-1]] == ["supernet", 1, 2]
    record = events.EventAccumulator(str(tmp_path / "s" / "tensorboard"))
    record.Reload()
    assert [e.value for e in record.Scalars("loss")] == pytest.approx([row["loss"] for row in training.rows], rel=1e-6)
    run(options(tmp_path / "a", tensorboard=True))
    record = events.EventAccumulator(str(tmp_path / "a" / "tensorboard"))
    record.Reload()
    assert [e.step for e in record.Scalars("error")] == list(range(6))
    run(options(tmp_path / "a", tensorboard=True, overwrite=True))
