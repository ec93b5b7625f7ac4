"""Speed and memory of importing large tables. Run with --benchmark-enable."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clock import ratio

from smemnas.bench.data.user import import_table
from smemnas.spaces.mnv3 import MNV3

ROOT = Path(__file__).resolve().parents[2]
ROWS = 100_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A CSV of 100,000 networks with four columns of full precision."""
    space, rng = MNV3(), np.random.default_rng(0)
    X = space.sample(ROWS + 500, rng)
    X = X[np.sort(np.unique(space.canonical(X), return_index=True)[1])[:ROWS]]
    values = rng.uniform(50, 90, (ROWS, 4)).tolist()
    path = tmp_path_factory.mktemp("large") / "large.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "val", "tst", "ms", "mJ"])
        writer.writerows([space.to_str(x), *v] for x, v in zip(X, values, strict=True))
    return path


GIVEN = {"accuracies": ("val:validation", "tst:test"), "metrics": ("ms:ms", "mJ:mJ"), "overwrite": True}


def test_a_tenth_of_a_million_rows(benchmark, large, tmp_path, monkeypatch):
    """Beside it the rows are split at their commas and nothing else."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))

    def split():
        with open(large, newline="") as stream:
            assert sum(len(row) for row in csv.reader(stream)) == 5 * (ROWS + 1)

    def ours():
        return import_table(large, "mnv3", "large", **GIVEN)

    assert benchmark.pedantic(ours, rounds=1).n_rows == ROWS
    times = ratio(ours, split, 2, warmed=True)
    benchmark.extra_info.update(ratio=times)
    assert times < 24


def test_memory_grows_by_less_than_1400_bytes_a_row(large, tmp_path):
    """So that a million rows fit into 1.5 GB together with the interpreter."""
    code = (
        "import resource, sys; from smemnas.bench.data.user import import_table; import smemnas.spaces.mnv3\n"
        "import smemnas.bench.benchmarks.catalog as b; b.datasets_of('mnv3')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"import_table(sys.argv[1], 'mnv3', 'large', **{GIVEN!r})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(large)],
        **{"cwd": ROOT, "env": {"PATH": "", "SMEMNAS_DATA": str(tmp_path)}},
        **{"capture_output": True, "text": True, "check": True},
    )
    assert int(done.stdout) * 1024 < 1400 * ROWS


def test_names_are_read_together_five_times_faster_than_one_by_one(benchmark):
    space = MNV3()
    X = space.sample(20_000, np.random.default_rng(0))
    names = [space.to_str(x) for x in X]
    space.from_strs(names[:1])
    one_by_one = np.array([space.from_str(n) for n in names])
    together = benchmark.pedantic(space.from_strs, args=(names,), rounds=1)
    np.testing.assert_array_equal(together, one_by_one)
    np.testing.assert_array_equal(together, X)
    times = ratio(lambda: [space.from_str(n) for n in names], lambda: space.from_strs(names), 3, limit=5)
    benchmark.extra_info.update(ratio=times)
    assert times > 5
