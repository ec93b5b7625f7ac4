"""Latency tables: what is read and refused, what they predict, and searches with them."""

import copy
import csv
import json
import pickle

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.latency.benchmark import LatencySpace, without_latency
from smemnas.bench.benchmarks.latency.table import content_digest, read_latency
from smemnas.bench.benchmarks.latency.terms import computed_cell
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.library.run import RunOptions, run, run_job
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.spaces.cell201 import EDGES, NONE, PATHS
from smemnas.spaces.macro import Macro
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import NB201
from tests.latency_cases import OVERHEAD, content, made_up, table_file, write

SMALL = MNV3(0.35, (24, 32), 10, stem_stride=1, strides=(2, 2, 2, 1, 1))


def by_hand(space, arch):
    """Add up a network's blocks from its name."""
    if space.name == "mnv3":
        side, *stages = arch.split("-")
        r = side[1:]
        keys = [f"{r}/fixed/ends"]
        for s, stage in enumerate(stages):
            for j in range(len(stage) // 2):
                group = f"stage{s + 1}.{'rest' if j else 'first'}"
                keys.append(f"{r}/{group}/k{stage[2 * j]}e{stage[2 * j + 1]}")
        return OVERHEAD + sum(map(made_up, keys))
    if space.name == "nats_sss":
        a, b, c, d, e = arch.split(":")
        keys = (f"first/{a}", f"reduction1/{a}-{b}", f"cell2/{b}-{c}", f"reduction2/{c}-{d}", f"last/{d}-{e}")
        return OVERHEAD + sum(made_up(f"32/{key}") for key in keys)
    keys = ["32/fixed/ends"]
    for place, choice in enumerate(arch):
        stage = 1 + (place >= 2) + (place >= 5)
        group = f"stage{stage}.{'first' if place in (0, 2, 5) else 'rest'}"
        keys += [f"32/{group}/{choice}"] if choice != "0" or place in (0, 2, 5) else []
    return OVERHEAD + sum(map(made_up, keys))


@pytest.mark.parametrize("space", [MNV3(), SMALL, NATSSize(), Macro()], ids=lambda s: f"{s.name}-{len(s.n_choices)}")
def test_a_prediction_is_the_sum_of_its_blocks(space, tmp_path):
    file = table_file(tmp_path, space)
    timed = LatencySpace(space, read_latency(file), file)
    X = space.sample(30, np.random.default_rng(0))
    expected = [by_hand(space, space.to_str(x)) for x in X]
    np.testing.assert_allclose(timed.cost(X, "latency"), expected, atol=1e-5)
    again = pickle.loads(pickle.dumps(timed))
    np.testing.assert_array_equal(again.cost(X, "latency"), timed.cost(X, "latency"))
    np.testing.assert_array_equal(timed.cost(X, "flops"), space.cost(X, "flops"))


def test_cells_count_what_is_computed_and_no_more(tmp_path):
    space = NB201()
    X = space.sample(200, np.random.default_rng(1))
    edges, sums = computed_cell(X)
    for x, found, n_sums in zip(X, edges, sums, strict=True):
        live = {g for path in PATHS if all(x[g] != NONE for g in path) for g in path}
        assert set(np.flatnonzero(found)) == live
        entering = [sum(1 for g in live if EDGES[g][1] == node) for node in (1, 2, 3)]
        assert n_sums == sum(max(n - 1, 0) for n in entering)
    file = table_file(tmp_path, space)
    timed = LatencySpace(space, read_latency(file), file)
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    parts = ("nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "sum")
    expected = OVERHEAD + made_up("32/fixed/ends")
    expected += 5 * sum(made_up(f"32/stage{s}/{part}") for s in (1, 2, 3) for part in parts)
    assert timed.cost(space.from_str(arch)[None], "latency")[0] == pytest.approx(expected, abs=1e-5)


def test_a_group_s_factor_and_the_overhead_count(tmp_path):
    space = Macro()
    plain = table_file(tmp_path, space)
    scale = read_latency(plain).scale | {"stage2.rest": 3.0}
    other = write(tmp_path / "other.json", content(space, scale=scale, overhead=2.0))
    X = space.from_strs(["00020000", "00000000"])
    one, two = (LatencySpace(space, read_latency(file), file).cost(X, "latency") for file in (plain, other))
    np.testing.assert_allclose(two - one, [2.0 - OVERHEAD + 2 * made_up("32/stage2.rest/2"), 2.0 - OVERHEAD], atol=1e-5)


def damaged(key, value):
    """Return a damage: a table with one value replaced, by its path, signed again."""

    def make(found):
        *path, last = key
        place = found
        for part in path:
            place = place[part]
        place[last] = value
        return found | {"sha256": content_digest(found)}

    return make


BLOCK = ("blocks", "32/stage1.first/0")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged((*BLOCK, "ms"), -1.0), "blocks, 32/stage1.first/0, ms is -1.0, no time"),
        (damaged((*BLOCK, "ms"), float("nan")), "blocks, 32/stage1.first/0, ms is nan, no time"),
        (damaged((*BLOCK, "ms"), "fast"), "corrupt"),
        (damaged(("version",), 9), "of version 9, this reads 1"),
        (damaged(("format",), "other"), "is no latency table"),
        (damaged(("groups",), {}), "belongs to no group"),
        (damaged(("new",), 1), "corrupt"),
        (lambda found: found | {"overhead": 0.0}, "was edited or cut"),
    ],
)
def test_a_damaged_table_is_refused_with_what_is_wrong(damage, message, tmp_path):
    file = write(tmp_path / "t.json", damage(copy.deepcopy(content(Macro()))))
    with pytest.raises(DataError, match=message):
        read_latency(file)


def test_a_file_that_is_none_is_refused(tmp_path):
    for text in ("", "[1]", "{", '{"format": 3}', "[" * 5000):
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(DataError, match="latency table"):
            read_latency(tmp_path / "t.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_latency(tmp_path / "none.json")


def test_a_table_of_other_networks_is_refused_by_what_differs(tmp_path):
    file = table_file(tmp_path, SMALL)
    table = read_latency(file)
    cases = [
        (MNV3(0.5, (24,), 10, stem_stride=1, strides=SMALL.strides), "with width 0.35, this space has width 0.5"),
        (MNV3(0.35, (24,), 10, strides=SMALL.strides), "stem_stride 1, this space has stem_stride 2"),
        (MNV3(0.35, (24,), 10, stem_stride=1), "strides 2, 2, 2, 1, 1, this space has strides 2, 2, 2, 1, 2"),
        (MNV3(0.35, (28,), 10, stem_stride=1, strides=SMALL.strides), "resolutions 24, 32, this space has"),
        (MNV3(0.35, (24,), 7, stem_stride=1, strides=SMALL.strides), "n_classes 10, this space has n_classes 7"),
        (NB201(), "name mnv3, this space has name nb201"),
    ]
    for space, message in cases:
        with pytest.raises(UserError, match=message):
            LatencySpace(space, table, file)
    fewer = MNV3(0.35, (32,), 10, stem_stride=1, strides=SMALL.strides)  # a part of the resolutions is enough
    x = fewer.from_str("r32-3333-3333-3333-3333-3333")[None]
    assert LatencySpace(fewer, table, file).cost(x, "latency")[0] == pytest.approx(by_hand(fewer, fewer.to_str(x[0])))


def test_a_table_without_a_block_names_it(tmp_path):
    found = content(Macro())
    del found["blocks"]["32/stage3.rest/1"]
    found["sha256"] = content_digest(found)
    file = write(tmp_path / "t.json", found)
    with pytest.raises(DataError, match=r"lacks 1 of 16 blocks, the first is '32/stage3.rest/1'"):
        LatencySpace(Macro(), read_latency(file), file)


def test_latency_is_an_objective_a_constraint_and_part_of_the_reference(tmp_path):
    file = table_file(tmp_path, NB201())
    name = f"cifar10+latency={file}"
    benchmark = open_benchmark("nb201", name, ("error", "latency"), ("latency<=20",))
    plain = open_benchmark("nb201", "cifar10", ("error",))
    assert [o.name for o in benchmark.objectives] == ["val_error", "latency"]
    assert benchmark.dataset == f"cifar10+latency={str(file).replace('/', '%2F')}"
    assert without_latency(benchmark.dataset) == "cifar10"
    assert benchmark.report_names == ("test_error", "latency")
    X = benchmark.problem.space.sample(200, np.random.default_rng(0))
    F = benchmark.evaluate(X, 0).F
    assert F[:, 1].max() <= 20.0 < benchmark.space.cost(NB201().sample(200, np.random.default_rng(0)), "latency").max()
    np.testing.assert_array_equal(F[:, 0], plain.evaluate(X, 0).F[:, 0])
    reference = benchmark.reference()
    assert reference.exact
    assert reference.front[:, 1].max() <= 20.0
    assert benchmark.provenance()["latency_sha256"] == json.loads(file.read_text())["sha256"]
    default = open_benchmark("nb201", name)
    assert [o.name for o in default.objectives] == ["val_error", "latency"]


def test_notes_say_whose_machine_it_was_and_how_well_it_predicts(tmp_path):
    group = {"about": "over the range", "tau": 0.97, "error": 3.21, "networks": []}
    file = table_file(tmp_path, Macro(), machine={"processor": "Phone 3"}, check={"range": group})
    (note,) = open_benchmark("macro", f"cifar10+latency={file}").notes[-1:]
    assert "Phone 3, onnxruntime 1.0, 1 thread, batch 1 (another machine than this one)" in note
    assert "tau 0.970, error 3.2 % on 0 networks over the range" in note
    here = table_file(tmp_path, Macro())
    assert "this machine's processor" in open_benchmark("macro", f"cifar10+latency={here}").notes[-1]


def test_a_search_with_latency_resumes_and_its_front_has_it(tmp_path):
    file = table_file(tmp_path, NB201())
    names, bounds = ("error", "latency"), ("latency<=20",)
    found = run(RunOptions("nsga2", "nb201", "", names, 30, latency=file, constraints=bounds, out=tmp_path / "r"))
    front = (tmp_path / "r" / "front.csv").read_text().splitlines()
    assert "latency" in front[0]
    assert found.F[:, 1].max() <= 20.0
    log = (tmp_path / "r" / "evals.jsonl").read_bytes()
    (tmp_path / "r" / "evals.jsonl").write_bytes(b"".join(log.splitlines(keepends=True)[:17]))
    run_job(found.job, tmp_path / "r")
    assert (tmp_path / "r" / "evals.jsonl").read_bytes() == log


def test_imagenet_w12_keeps_its_own_latency(tmp_path):
    space = MNV3(1.2, (160,), latency=None)
    file = table_file(tmp_path, space)
    timed = copy.copy(space)
    timed.costs = (
        *space.costs,
        open_benchmark("macro", f"cifar10+latency={table_file(tmp_path, Macro())}").objectives[1],
    )
    with pytest.raises(UserError, match="a latency of its own"):
        LatencySpace(timed, read_latency(file), file)


def test_noise_and_latency_are_the_same_in_both_orders(tmp_path):
    """Results are judged by the values without noise, whatever stands first behind the data set."""
    file = table_file(tmp_path, NB201())
    names = ("error", "latency")
    first = open_benchmark("nb201", f"cifar10+noise=1+latency={file}", names)
    last = open_benchmark("nb201", f"cifar10+latency={file}+noise=1", names)
    quiet = open_benchmark("nb201", f"cifar10+latency={file}", names)
    X = first.space.sample(40, np.random.default_rng(2))
    np.testing.assert_array_equal(first.evaluate(X, 3).F, last.evaluate(X, 3).F)
    for found in (first, last):
        assert found.noisy
        assert not found.plain.noisy
        assert (found.evaluate(X, 3).F[:, 0] != quiet.evaluate(X, 3).F[:, 0]).all()
        np.testing.assert_array_equal(found.plain.evaluate(X, 3).F, quiet.evaluate(X, 3).F)
        np.testing.assert_array_equal(found.true_values(X), quiet.true_values(X))
        np.testing.assert_array_equal(found.reference().front, quiet.reference().front)
    assert first.plain.dataset == quiet.dataset
    with pytest.raises(UserError, match="gives val_error noise twice"):
        open_benchmark("nb201", f"cifar10+noise=1+latency={file}+noise=2", names)


def test_a_table_s_trainings_are_found_behind_a_latency(tmp_path):
    file = table_file(tmp_path, Macro())
    found = open_benchmark("macro", f"cifar10+latency={file}+noise=table", ("error", "latency"))
    X = found.space.sample(20, np.random.default_rng(0))
    shown = {tuple(found.evaluate(X, seed).F[:, 0]) for seed in range(9)}
    assert len(shown) > 1  # one of three trainings each
    with pytest.raises(UserError, match="has none to choose from"):
        open_benchmark("nb201", f"cifar10+latency={table_file(tmp_path, NB201())}+noise=table", ("error", "latency"))


def test_a_noisy_search_with_latency_is_judged_by_true_values(tmp_path):
    file = table_file(tmp_path, NB201())
    out, names = tmp_path / "run", ("error", "latency")
    found = run(RunOptions("random", "nb201", "cifar10+noise=1", names, 60, latency=file, out=out))
    benchmark = open_benchmark("nb201", f"cifar10+latency={file}", names)
    rows = list(csv.DictReader((out / "front.csv").read_text().splitlines()))
    X = benchmark.space.from_strs([row["arch"] for row in rows])
    true = [float(row["true_val_error"]) for row in rows]
    np.testing.assert_allclose(true, benchmark.true_values(X)[:, 0], atol=1e-6)
    summary, front = json.loads((out / "summary.json").read_text()), benchmark.reference().front
    assert summary["hypervolume_regret"] == pytest.approx(hypervolume_regret(benchmark.true_values(X), front), abs=1e-9)
    assert summary["observed_regret"] == pytest.approx(hypervolume_regret(found.F, front), abs=1e-9)


def test_a_space_of_other_choices_has_no_latency(tmp_path):
    file = table_file(tmp_path, SMALL)
    wide = MNV3(0.35, (24, 32), 10, stem_stride=1, strides=(2, 2, 2, 1, 1), choices="wide")
    with pytest.raises(UserError, match="of mnv3's choices 'ofa', these networks have 'wide'"):
        LatencySpace(wide, read_latency(file), file)
