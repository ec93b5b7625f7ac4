"""NAS-Bench-101 files to tables: the real EC-NAS file, files written here, and wrong ones."""

import base64
import itertools
import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from nb101_reference import graph_of, pruned, simple_parameters

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.data import nb101 as recipe
from smemnas.bench.data.nb101_file import collect
from smemnas.bench.data.tfrecord import masked_crc32c, read_message, read_records
from smemnas.bench.errors import DataError
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.graph101 import OPERATIONS
from smemnas.spaces.nb101 import NB101

EC_NAS = Path(__file__).resolve().parents[3] / "shared" / "data" / "nb101" / "energy_4V9E.tfrecord"
needs_file = pytest.mark.skipif(
    not EC_NAS.exists(), reason="put the original files there to run this: ../shared/data/nb101/energy_4V9E.tfrecord"
)


@needs_file
def test_every_hash_and_parameter_count_of_the_real_file():
    spaces = NB101(max_vertices=4), NB101()
    hashes, trainings = set(), Counter()
    for payload in read_records(EC_NAS):
        name, epochs, matrix, operations, encoded = json.loads(payload)
        for space in spaces:
            x = space.from_str(f"{matrix}:{operations}")[None]
            assert space.hashes(x) == [name]
            assert round(space.cost(x, "params")[0] * 1e6) == dict(read_message(base64.b64decode(encoded)))[2]
        hashes.add(name)
        trainings[name, epochs] += 1
    assert len(hashes) == 91
    assert set(trainings) == set(itertools.product(hashes, (4, 12, 36, 108)))
    assert set(trainings.values()) == {3}
    assert sum(trainings.values()) == 1092


@needs_file
def test_the_real_file_becomes_a_table(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    table = recipe.make_nb101(EC_NAS, tmp_path / "tables" / "nb101" / "ecnas4", "ecnas4")
    assert table.n_rows == 91
    benchmark = open_benchmark("nb101", "ecnas4")
    assert benchmark.space.max_vertices == 4
    X = benchmark.space.enumerate()
    rows = benchmark.rows(X)
    assert (rows >= 0).all()
    assert len(set(rows.tolist())) == 91
    assert (benchmark.rows(np.asarray(table.column("genotype"), dtype=np.int64)) == np.arange(91)).all()
    # Every number against the records, read here in another way.
    space, seen = benchmark.space, Counter()
    for payload in read_records(EC_NAS):
        _, epochs, matrix, operations, encoded = json.loads(payload)
        row = benchmark.rows(space.from_str(f"{matrix}:{operations}")[None])[0]
        evaluations = [v for n, v in read_message(base64.b64decode(encoded)) if n == 1]
        final = dict(read_message(evaluations[-1]))
        assert final[1] == epochs
        end, repeat = ("" if epochs == 108 else f"_{epochs}"), seen[row, epochs]
        seen[row, epochs] += 1
        assert table.column(f"val_error{end}")[row, repeat] == 100 - 100 * final[4]
        assert table.column(f"test_error{end}")[row, repeat] == 100 - 100 * final[5]
        assert table.column(f"train_error{end}")[row, repeat] == 100 - 100 * final[3]
        assert table.column(f"train_seconds{end}")[row, repeat] == final[2]
        assert table.column(f"energy{end}")[row, repeat] == final[6]
        assert table.column(f"co2eq{end}")[row, repeat] == final[7]
    assert (np.array(table.column("params_recorded")) == space.cost(table.column("genotype"), "params")).all()
    assert len(table.header["notes"]) == 2
    # A seed sees one training, the report is the mean of the test column.
    for objective, reported in (("val_error", "test_error"), ("val_error_4", "test_error_4")):
        chosen = open_benchmark("nb101", "ecnas4", [objective, "params"])
        assert chosen.report_names == (reported, "params")
        F = np.stack([chosen.evaluate(X, seed).F[:, 0] for seed in range(8)])
        repeats = table.column(objective)[rows]
        assert (F[:, :, None] == repeats[None]).any(axis=2).all()
        assert (F[0] != F).any()
        assert np.allclose(chosen.report(X)[:, 0], table.column(reported)[rows].mean(axis=1))
    reference = benchmark.reference()
    mean = np.stack([table.column(c)[:].mean(axis=1) for c in ("val_error", "energy")], axis=1)
    best = [f for f in mean if not ((mean <= f).all(axis=1) & (mean < f).any(axis=1)).any()]
    assert sorted(map(tuple, reference.front.tolist())) == sorted(map(tuple, np.unique(best, axis=0).tolist()))


def field(number, value):
    """One field in protobuf's wire format."""
    if isinstance(value, float):
        return bytes([number << 3 | 1]) + struct.pack("<d", value)
    if isinstance(value, bytes):
        return bytes([number << 3 | 2]) + varint(len(value)) + value
    return bytes([number << 3]) + varint(value)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def training(space, x, accuracy, **change):
    """One record in the original format, without energy."""
    matrix, labels = pruned(*graph_of(space, x))
    evaluations = b"".join(
        field(1, b"".join(field(n, v) for n, v in enumerate((epoch, 10.0 * epoch, *accuracy), 1)))
        for epoch in (0.0, 54.0, 108.0)
    )
    parts = {
        "name": space.hashes(x[None])[0],
        "epochs": 108,
        "matrix": "".join(str(bit) for row in matrix for bit in row),
        "operations": ",".join(["input", *(OPERATIONS[i] for i in labels), "output"]),
        "metrics": evaluations + field(2, simple_parameters(matrix, labels)) + field(3, 1.0),
    } | change
    return [*list(parts.values())[:4], base64.encodebytes(parts["metrics"]).decode()]


def write_records(path, records):
    with open(path, "wb") as stream:
        for entry in records:
            payload = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
            head = struct.pack("<Q", len(payload))
            stream.write(head + struct.pack("<I", masked_crc32c(head)))
            stream.write(payload + struct.pack("<I", masked_crc32c(payload)))


@pytest.fixture(scope="module")
def records():
    """Three trainings of 108 epochs of each of the 91 graphs of up to four vertices, repeats apart."""
    space, rng = NB101(max_vertices=4), np.random.default_rng(8)
    X = space.from_canonical(rng.permutation(np.unique(space.canonical(space.enumerate()))))
    return [training(space, x, rng.uniform(0.1, 1.0, 3).tolist()) for _ in range(3) for x in X]


def test_a_file_without_energy_and_with_one_budget(records, tmp_path):
    write_records(tmp_path / "f.tfrecord", records)
    table = recipe.make_nb101(tmp_path / "f.tfrecord", tmp_path / "t", "ecnas4")
    assert table.n_rows == 91
    assert set(table.columns) == {
        "key", "genotype", "params_recorded", "val_error", "test_error", "train_error", "train_seconds"
    }  # fmt: skip
    assert (np.diff(table.column("key")) > 0).all()
    assert (table.column("train_seconds")[:] == 1080.0).all()
    space = NB101(max_vertices=4)
    for i in (0, 90, 91, 200, 272):
        key = space.canonical(space.from_str(f"{records[i][2]}:{records[i][3]}")[None])[0]
        row = int(np.searchsorted(table.column("key"), key))
        final = dict(read_message(dict(read_message(base64.b64decode(records[i][4])))[1]))
        assert table.column("val_error")[row, i // 91] == 100 - 100 * final[4]


def test_a_network_trained_in_another_vertex_order_is_noted(tmp_path, monkeypatch):
    space = NB101()
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 1:4] = matrix[1:4, 4] = 1  # three branches of different widths
    orders = [space.from_matrix(matrix, names) for names in itertools.permutations((0, 1, 2))]
    keys = space.canonical(np.stack(orders))
    assert len(set(keys.tolist())) == 1
    x = next(x for x, key in zip(orders, keys, strict=True) if (space.from_canonical(key[None])[0] != x).any())
    write_records(tmp_path / "f", [training(space, x, (0.5, 0.5, 0.5))] * 3)
    monkeypatch.setitem(recipe.DATASETS, "cifar10", recipe.DATASETS["cifar10"]._replace(n_graphs=1))
    table = recipe.make_nb101(tmp_path / "f", tmp_path / "t", "cifar10")
    assert "1 networks were trained in another vertex order" in table.header["notes"][-1]
    assert (table.column("genotype")[0] == x).all()


def change_last(records, **change):
    """The same records with the last one altered."""
    space = NB101(max_vertices=4)
    x = space.from_str(f"{records[-1][2]}:{records[-1][3]}")
    return [*records[:-1], training(space, x, (0.5, 0.5, 0.5), **change)]


def metrics(*final, evaluations=3, parameters=True):
    """Metrics message with the given accuracies."""
    end = b"".join(field(n, v) for n, v in enumerate((108.0, 1.0, *final), 1))
    return field(1, end) * evaluations + (field(2, 5) if parameters else b"")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: r[:-1], "lacks trainings of 108 epochs for 1 graphs"),
        (lambda r: [*r, r[0]], "record 274: more than 3 trainings"),
        (lambda r: [x for x in r if x[0] != r[0][0]], "has 90 graphs, nb101/ecnas4 has 91"),
        (lambda r: change_last(r, name="0" * 32), "record 273: the hash 0{32} is not that of its graph"),
        (lambda r: [[*r[0][:0], "f" * 32, *r[0][1:]], *r[1:]], "record 1: the hash f{32} is not that of"),
        (lambda r: change_last(r, epochs=5), "record 273: .* 5 epochs do not go together"),
        (lambda r: change_last(r, operations="input,output"), "record 273: .* do not go together"),
        (lambda r: change_last(r, operations="input,conv5x5,output"), "unknown operations"),
        (lambda r: change_last(r, matrix="011"), "is no matrix"),
        (lambda r: change_last(r, matrix="0110001100010001"), "not upper triangular"),
        (lambda r: change_last(r, metrics=metrics(0.5, 0.5, 0.5)), "5 parameters, [0-9,]+ in an earlier record"),
        (lambda r: change_last(r, metrics=b"\x0a\xff"), "record 273: a protobuf message of 2 bytes is cut"),
        (lambda r: change_last(r, metrics=metrics(0.5, parameters=False)), "KeyError"),
        (lambda r: [b"{}", *r], "record 1: not .hash, epochs"),
        (lambda r: [b"\xff\xfe", *r], "record 1: not .hash, epochs"),
        (lambda r: [[1, 2, 3, 4, 5], *r], "record 1: not .hash, epochs"),
    ],
)  # fmt: skip
def test_wrong_files_leave_no_table(records, tmp_path, damage, message):
    write_records(tmp_path / "f.tfrecord", damage(records))
    with pytest.raises(DataError, match=message):
        recipe.make_nb101(tmp_path / "f.tfrecord", tmp_path / "t", "ecnas4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.tfrecord"]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf")])
def test_impossible_accuracies(records, tmp_path, value):
    space = NB101(max_vertices=4)
    x = space.from_str(f"{records[0][2]}:{records[0][3]}")
    write_records(tmp_path / "f", [training(space, x, (0.5, value, 0.5))])
    with pytest.raises(DataError, match="record 1: field 4 of the last evaluation is"):
        collect(tmp_path / "f")


def test_too_few_evaluations(records, tmp_path):
    write_records(tmp_path / "f", [[*records[0][:4], base64.b64encode(metrics(0.5, evaluations=2)).decode()]])
    with pytest.raises(DataError, match="record 1: 2 evaluations, expected start, half-way and end"):
        collect(tmp_path / "f")


def test_wrong_parameters_and_the_wrong_data_set(records, tmp_path):
    space = NB101()
    x = space.sample(50, np.random.default_rng(9))
    large = x[np.argmax(graphs.count_edges(graphs.prune(space.pack(x)[0])[0]))]
    write_records(tmp_path / "f", [training(space, large, (0.5, 0.5, 0.5))] * 3)
    with pytest.raises(DataError, match="more than 4 vertices, so it is not nb101/ecnas4"):
        recipe.make_nb101(tmp_path / "f", tmp_path / "t", "ecnas4")
    with pytest.raises(DataError, match="has 1 graphs, nb101/cifar10 has 423,624"):
        recipe.make_nb101(tmp_path / "f", tmp_path / "t", "cifar10")
    wrong = training(space, large, (0.5, 0.5, 0.5), metrics=metrics(0.5, 0.5, 0.5))
    write_records(tmp_path / "f", [wrong] * 3)
    with pytest.raises(DataError, match="records 5 parameters for"):
        recipe.make_nb101(tmp_path / "f", tmp_path / "t", "cifar10")


def test_what_is_not_installed_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    for dataset, file in (("cifar10", "nasbench_only108.tfrecord"), ("ecnas4", "energy_4V9E.tfrecord")):
        with pytest.raises(DataError, match=f"nb101/{dataset} is not installed.*nb101-{dataset}.*{file}"):
            open_benchmark("nb101", dataset)
