"""Reading runs: strict schemas, checksums and a second look-up cost no more than the plain reading before them."""

import json
import math
import time

import numpy as np
import pytest

from smemnas.bench.runs.guard import checked_log
from smemnas.bench.runs.history import History
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.surrogates.base import single_thread

RUNS, BUDGET, ROUNDS = 250, 340, 5


def plain(log):
    """Return what a log holds, read by the standard library and converted without a check of its shape."""
    rows = []
    for line in log.read_bytes().splitlines():
        entry = json.loads(line, parse_constant=float)
        x, F = tuple(int(v) for v in entry["x"]), tuple(None if v is None else float(v) for v in entry["F"])
        rows.append((int(entry["i"]), str(entry["arch"]), x, F, str(entry["status"]), str(entry["error"])))
    X = np.array([row[2] for row in rows], dtype=np.int64)
    return X, np.array([[math.inf if v is None else v for v in row[3]] for row in rows])


def seconds_of(function, times):
    start = time.process_time()
    for _ in range(times):
        function()
    return time.process_time() - start


@pytest.mark.slow
def test_reading_250_runs(benchmark, tmp_path):
    """CPU time of 250 runs of a table, in rounds that alternate, so that the machine's load meets all alike."""
    job, bench = make_job("random", "nb201", budget=BUDGET)
    run(job, tmp_path, benchmark=bench)
    log = tmp_path / "evals.jsonl"
    assert all(np.array_equal(a, b) for a, b in zip(History(log).arrays(), plain(log), strict=True))
    ways = (lambda: plain(log), lambda: History(log).arrays(), lambda: checked_log(tmp_path, job, bench))

    def read():
        with single_thread():
            spent = [[seconds_of(way, RUNS // ROUNDS) for way in ways] for _ in range(ROUNDS)]
        return np.sum(spent, axis=0)

    before, strict, guarded = benchmark.pedantic(read, rounds=1)
    benchmark.extra_info.update(plain=before, strict=strict / before, guarded=guarded / before)
    assert strict < 0.75 * before
    assert guarded < before
