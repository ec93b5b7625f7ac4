"""NAS-Bench-101: reading speed and memory, opening a table of full size, look-ups.

Every figure is a ratio against a reference timed in the same run; absolute targets with a wide margin stand
beside it. `pytest tests/perf --benchmark-enable` prints the times.
"""

import base64
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clock import ratio

from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.data.nb101_file import collect
from smemnas.bench.data.tfrecord import POLYNOMIAL, masked_crc32c, read_records
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.graph101 import OPERATIONS
from smemnas.spaces.nb101 import N_GRAPHS, NB101, hash_of

N_SMALL, N_LARGE = 4_000, 16_000  # just below powers of two, where buffers double


def framed(payload):
    head = struct.pack("<Q", len(payload))
    return b"".join((head, struct.pack("<I", masked_crc32c(head)), payload, struct.pack("<I", masked_crc32c(payload))))


def write_file(path, n_graphs):
    """Three trainings of 108 epochs for different graphs, in the original format and size of record."""
    space, rng = NB101(), np.random.default_rng(0)
    dense = rng.integers(0, np.array(space.n_choices), size=(30 * n_graphs, space.n_var))
    keys = np.unique(space.canonical(dense[space.is_valid(dense)]))
    keys = rng.permutation(keys)[:n_graphs]
    assert len(keys) == n_graphs
    code, labels = graphs.from_keys(keys)
    counts = graphs.parameters(code, labels, 10)
    with open(path, "wb") as stream:
        for edges, names, count in zip(code.tolist(), labels.tolist(), counts.tolist(), strict=True):
            pairs = [(x, y) for y in range(1, 7) for x in range(y) if edges >> graphs.edge_bit(x, y) & 1]
            last = max(x for x, _ in pairs) + 1
            matrix = np.zeros((last + 1, last + 1), dtype=int)
            for x, y in pairs:
                matrix[x, last if y == 6 else y] = 1
            interior = [OPERATIONS[names >> graphs.label_shift(v) & 3] for v in range(1, last)]
            head = [hash_of(edges, names), 108, "".join(map(str, matrix.ravel()))]
            head.append(",".join(["input", *interior, "output"]))
            varint = bytes([count >> s & 127 | 128 for s in (0, 7, 14, 21)]) + bytes([count >> 28])
            for _ in range(3):
                message = b""
                for epoch in (0.0, 54.0, 108.0):
                    numbers = (epoch, 10 * epoch, *rng.random(3).tolist())
                    evaluation = b"".join(bytes([n << 3 | 1]) + struct.pack("<d", v) for n, v in enumerate(numbers, 1))
                    message += b"\x0a" + bytes([len(evaluation)]) + evaluation
                message += b"\x10" + varint + b"\x19" + struct.pack("<d", 1.0)
                stream.write(framed(json.dumps([*head, base64.encodebytes(message).decode()]).encode()))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("nb101") / "small.tfrecord"
    write_file(path, N_SMALL)
    return path


def naive_crc(data, table):
    register = 0xFFFFFFFF
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


def test_reading_records(benchmark, small):
    """Checked reading against the usual table-driven checksum alone, one byte at a time."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    payloads = benchmark.pedantic(lambda: list(read_records(small)), rounds=1)
    assert len(payloads) == 3 * N_SMALL
    naive = lambda: [naive_crc(p, table) for p in payloads[:500]]  # noqa: E731
    part = len(payloads) / 500
    times = ratio(lambda: list(read_records(small)), naive, 3, limit=0.5 * part) / part
    benchmark.extra_info.update(ratio=times)
    assert times < 0.5


def test_converting_records(benchmark, small):
    """Everything (checksums, hashes, protobuf) against decoding JSON and base64 alone."""
    payloads = list(read_records(small))
    found = benchmark.pedantic(lambda: collect(small), rounds=1)
    assert len(found.code) == N_SMALL
    decoding = lambda: [base64.b64decode(json.loads(p)[4]) for p in payloads]  # noqa: E731
    times = ratio(lambda: collect(small), decoding, 2, warmed=True)
    benchmark.extra_info.update(ratio=times, records_per_minute=60 * len(payloads) / benchmark.stats.stats.min)
    assert times < 40


#: Peak resident memory in MB of the process that runs it; ru_maxrss would include that of its parent.
RSS = """
import re
from pathlib import Path as _Path
rss = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", _Path("/proc/self/status").read_text())[1]) / 1024
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="run it on Linux: reads /proc/self/status"
)


def run(code, *arguments, **environment):
    """Run Python code in a fresh process and return the JSON it prints."""
    done = subprocess.run(
        [sys.executable, "-c", RSS + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path), **environment},
    )
    return json.loads(done.stdout)


@needs_proc
def test_memory_of_reading_does_not_grow_with_the_file(small, tmp_path):
    large = tmp_path / "large.tfrecord"
    with open(large, "wb") as stream:
        content = small.read_bytes()
        for _ in range(20):
            stream.write(content)
    code = """
import json, sys
from smemnas.bench.data.tfrecord import read_records
before = rss()
n = sum(1 for _ in read_records(sys.argv[1]))
print(json.dumps([n, before, rss()]))
"""
    n, before, after = run(code, large)
    assert n == 60 * N_SMALL
    assert large.stat().st_size > 90e6
    assert after - before < 40


@needs_proc
def test_memory_of_converting_the_official_file(small, tmp_path):
    """Growth per graph between two sizes, taken to 423,624 graphs, is under 500 MB."""
    large = tmp_path / "large.tfrecord"
    write_file(large, N_LARGE)
    code = """
import json, sys
from pathlib import Path
from smemnas.bench.data import nb101
n, folder = int(sys.argv[2]), Path(sys.argv[3])
nb101.DATASETS["cifar10"] = nb101.DATASETS["cifar10"]._replace(n_graphs=n)
nb101.make_nb101(Path(sys.argv[1]), folder, "cifar10")
print(json.dumps(rss()))
"""
    little = run(code, small, N_SMALL, tmp_path / "a")
    much = run(code, large, N_LARGE, tmp_path / "b")
    assert much > little > 30
    assert much + (much - little) / (N_LARGE - N_SMALL) * (N_GRAPHS - N_LARGE) < 500


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """A table with as many rows as NAS-Bench-101 has graphs; 2,000 keys are real ones."""
    folder, rng, space = tmp_path_factory.mktemp("data"), np.random.default_rng(1), NB101()
    real = np.unique(space.canonical(space.sample(20_000, rng)))[:2000]
    drawn = np.unique(rng.integers(2 << 31, 8 << 31, size=2 * N_GRAPHS))
    rest = rng.permutation(np.setdiff1d(drawn, real))[: N_GRAPHS - len(real)]
    keys = np.sort(np.concatenate([real, rest]))
    columns = {"key": keys, "genotype": rng.integers(0, 2, size=(N_GRAPHS, 26)).astype(np.int8)}
    describe = {name: {"unit": "", "split": "none", "role": "info"} for name in columns}
    for name, split, role in (
        ("val_error", "validation", "objective"),
        ("test_error", "test", "report"),
        ("train_error", "none", "info"),
        ("train_seconds", "none", "info"),
    ):
        columns[name] = rng.uniform(5, 90, size=(N_GRAPHS, 3))
        describe[name] = {"unit": "%", "split": split, "role": role}
    describe["val_error"]["report"] = "test_error"
    write_table(
        folder / "tables" / "nb101" / "cifar10",
        columns,
        describe=describe,
        name="nb101/cifar10",
        space="nb101",
        dataset="cifar10",
        index="key",
        recipe_version=1,
        space_params={"max_vertices": 7},
        default_objectives=["val_error", "flops"],
        notes=[],
    )
    return folder, space.from_canonical(real)


@needs_proc
def test_opening_a_table_of_full_size(full_size, tmp_path):
    """Open and answer a first query within 0.1 s and 100 MB; most of it is the checksum of two columns."""
    folder, X = full_size
    np.save(tmp_path / "X.npy", X)
    code = """
import hashlib, json, sys, time
import numpy as np
from smemnas.bench.benchmarks.catalog import BENCHMARKS, open_benchmark
BENCHMARKS.discover()
X, folder = np.load(sys.argv[1]), sys.argv[2]
start = time.perf_counter()
for name in ("key", "val_error"):
    with open(f"{folder}/tables/nb101/cifar10/{name}.npy", "rb") as stream:
        hashlib.file_digest(stream, "sha256")
reference = time.perf_counter() - start
start = time.perf_counter()
benchmark = open_benchmark("nb101", "cifar10")
opened = time.perf_counter() - start
first = benchmark.evaluate(X[:1], 0)
answered = time.perf_counter() - start
known = int(np.isfinite(benchmark.evaluate(X, 0).F).all(axis=1).sum())
benchmark.report(X)
print(json.dumps([reference, opened, answered, known, rss()]))
"""
    runs = [run(code, tmp_path / "X.npy", folder, SMEMNAS_DATA=str(folder)) for _ in range(3)]
    reference, opened, answered = (min(r[i] for r in runs) for i in range(3))
    assert all(r[3] == len(X) for r in runs)
    assert 20 < max(r[4] for r in runs) < 100
    assert opened < 0.1
    assert answered < 0.1
    assert answered < 5 * reference


def test_finding_rows(benchmark, full_size, monkeypatch):
    """Batched look-ups by canonical key against the published hash of the same graphs."""
    from smemnas.bench.benchmarks.catalog import open_benchmark

    folder, X = full_size
    monkeypatch.setenv("SMEMNAS_DATA", str(folder))
    opened = open_benchmark("nb101", "cifar10")
    rows = benchmark.pedantic(lambda: opened.rows(X), rounds=10)
    assert (rows >= 0).all()
    times = ratio(lambda: opened.rows(X), lambda: opened.space.hashes(X))
    benchmark.extra_info.update(ratio=times, us_per_architecture=benchmark.stats.stats.min / len(X) * 1e6)
    assert times < 1 / 10
