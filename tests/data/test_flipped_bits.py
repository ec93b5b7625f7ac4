"""300 flipped bits in the files of a run: each is noticed, or all numbers stay as they are."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from report_runs import groups_of, single

from smemnas.bench.errors import RunError
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.frames import evaluations_frame
from smemnas.surrogates.base import single_thread

FLIPS = 300


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    return single(tmp_path_factory.mktemp("whole") / "run")


def numbers(folder: Path) -> list[list[float]] | None:
    """Return every number that a report has of a run; None where the run is listed with a reason instead."""
    groups, left = groups_of(folder)
    if left:
        assert groups == []
        assert all(entry.reason and "\n" not in entry.reason for entry in left)
        return None
    [group] = groups
    [trial] = group.tables.trials
    [done] = group.runs.values()
    curves = [trial.F.ravel(), trial.curve, trial.regret, trial.igd_plus, trial.epsilon, trial.best, trial.area]
    job = done.job
    return [
        *(np.asarray(curve).tolist() for curve in curves),
        done.X.ravel().tolist(),
        [trial.seconds, trial.method_seconds, job.seed, job.budget],
        [job.label, str(done.case), *done.archs],
    ]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evals.jsonl", "job.json", "timing.jsonl", "summary.json"])
def test_no_flipped_bit_changes_a_number_of_a_report_unnoticed(whole, tmp_path, name):
    before = numbers(whole)
    assert len(before[0]) == 2 * 30, "two objectives of each evaluation"
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    data, rng = (whole / name).read_bytes(), random.Random(name)
    noticed = 0
    with single_thread():
        for bit in rng.sample(range(8 * len(data)), FLIPS):
            (folder / name).write_bytes(flipped(data, bit))
            after = numbers(folder)
            noticed += after is None
            assert after in (None, before), f"bit {bit % 8} of byte {bit // 8}"
    assert noticed > {"summary.json": -1, "job.json": FLIPS // 2}.get(name, FLIPS - 10)


def test_no_flipped_bit_changes_what_a_run_continues_with(whole, tmp_path):
    """A resumed run and a frame: refused in one line, or the same values."""
    job, benchmark = make_job("random", "toy", budget=30)
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    frame = evaluations_frame(folder)
    want = run(job, folder, benchmark=benchmark).F.tolist()
    log, entry = ((whole / name).read_bytes() for name in ("evals.jsonl", "job.json"))
    rng, noticed = random.Random(0), 0
    for bit in rng.sample(range(8 * len(log)), FLIPS):
        (folder / "evals.jsonl").write_bytes(flipped(log, bit))
        try:
            assert evaluations_frame(folder).equals(frame) or bit // 8 == len(log) - 1
            assert run(job, folder, benchmark=benchmark).F.tolist() == want
            assert (folder / "evals.jsonl").read_bytes() == log
        except RunError:
            noticed += 1
    assert noticed > FLIPS - 10
    (folder / "evals.jsonl").write_bytes(log)
    for bit in rng.sample(range(8 * len(entry)), FLIPS):
        (folder / "job.json").write_bytes(flipped(entry, bit))
        try:
            assert run(job, folder, benchmark=benchmark).F.tolist() == want
        except RunError:
            noticed += 1
    assert noticed > FLIPS
