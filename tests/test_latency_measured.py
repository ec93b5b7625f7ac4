"""Measuring latency with a made-up clock: tables, factors, kills, checks, and the folder for another device."""

import importlib.util
import json
import runpy
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from smemnas.bench.benchmarks.latency.benchmark import LatencySpace
from smemnas.bench.benchmarks.latency.table import read_latency
from smemnas.bench.benchmarks.latency.terms import sum_of
from smemnas.bench.commands.root import cli
from smemnas.bench.errors import UserError
from smemnas.bench.latency import device, rounds
from smemnas.bench.latency.networks import block_plans, whole_network
from smemnas.bench.latency.plan import measuring_plan, terms_of
from smemnas.bench.latency.spaces import measured_space, space_of_table
from smemnas.bench.library.latency import LatencyOptions, latency_lines, latency_script
from tests.latency_cases import OVERHEAD, table_file

MACHINE = {"processor": "p", "system": "s", "runtime": "onnxruntime", "runtime_version": "1", "threads": 1, "batch": 1}
TINY = ("width=0.35", "resolutions=24-32", "stem=small", "classes=10")
SPACES = {"mnv3": TINY, "nb201": (), "nats_sss": (), "macro": ()}


def madds(graph):
    """Count the multiply-adds of a graph from its operations."""
    sides, total = {0: graph.shape[1]}, 0
    for op in graph.operations:
        side = sides[op.inputs[0]]
        if op.kind in ("conv", "average"):
            pad = op.kernel // 2 if op.kind == "conv" or op.padded else 0
            side = (side + 2 * pad - op.kernel) // op.stride + 1
        if op.kind in ("pool", "mean"):
            side = 1
        sides[op.output] = side
        if op.kind == "conv":
            total += side**2 * op.c_out * (op.c_in // op.groups) * op.kernel**2
        elif op.kind == "linear":
            total += op.c_in * op.c_out
    return total


@pytest.mark.parametrize("name", SPACES)
def test_graphs_have_the_multiply_adds_of_their_space(name):
    space = measured_space(name, SPACES[name])
    X = space.sample(6, np.random.default_rng(3))
    biased = space.n_classes if name in ("nb201", "nats_sss") else 0  # these spaces count the classifier's bias
    for x, flops in zip(X, space.cost(X, "flops"), strict=True):
        graph = whole_network(space, x)
        unused = 0
        if name == "nb201":  # the space counts operations that no path needs
            from smemnas.bench.benchmarks.latency.terms import computed_cell

            dead = (computed_cell(x[None])[0][0] == 0) & ((x == 2) | (x == 3))
            unused = sum(5 * 32**2 * 16**2 * 3 * (9 if v == 3 else 1) for v in x[dead])
        assert madds(graph) + biased + unused == round(flops * 1e6)


@pytest.mark.parametrize("name", SPACES)
def test_every_block_of_a_table_is_measured_and_counted_as_in_whole_networks(name):
    """With multiply-adds for a clock, blocks add up to networks exactly."""
    space = measured_space(name, SPACES[name])
    form, plans = sum_of(space), block_plans(space)
    assert set(plans) == set(form.keys)
    cost = {
        key: (sum(madds(d()) for d in plan.plus) - sum(madds(d()) for d in plan.minus)) / plan.times
        for key, plan in plans.items()
    }
    for x in space.sample(8, np.random.default_rng(1)):
        expected = sum(times * cost[key] for key, times in terms_of(form, x).items())
        assert expected == pytest.approx(madds(whole_network(space, x)), rel=1e-12)


class FakeClock:
    """A clock that a call moves by the multiply-adds of its graph, with a fixed cost of each call."""

    def __init__(self, plan, fixed=0.002):
        self.now, self.plan, self.fixed, self.opened = 0.0, plan, fixed, []
        self.calls, self.slow = 0, 1.0

    def __call__(self):
        return self.now

    def open(self, name):
        seconds = self.fixed + madds(self.plan.graphs[name]()) * 1e-9
        self.opened.append(name)

        def call():
            self.calls += 1
            self.now += self.slow * seconds

        return call


@pytest.fixture
def faked(monkeypatch):
    """Return a plan for a small space with its clock in place of the machine's."""
    plan = measuring_plan(measured_space("macro"), fitted=6, checked=8)
    clock = FakeClock(plan)
    monkeypatch.setitem(rounds.CLOCKS, "wall", clock)
    monkeypatch.setattr(rounds, "ROUNDS", 3)
    return plan, clock


def test_a_table_predicts_what_a_clock_of_multiply_adds_says(faked, tmp_path):
    plan, clock = faked
    out = tmp_path / "t.json"
    made = device.measure_table(plan.content, MACHINE, clock.open, out)
    assert set(made["blocks"]) == {block["key"] for block in plan.content["blocks"]}
    assert not list(tmp_path.glob("*.part"))
    checked = device.check_table(plan.content, MACHINE, clock.open, out, made)
    table = read_latency(out)  # its checksum holds after the check too
    assert set(table.check) == {"range", "equal"}
    for group in checked["check"].values():
        assert len(group["networks"]) == 4
        assert group["error"] < 1.0
    assert checked["check"]["range"]["tau"] == pytest.approx(1.0)
    space = LatencySpace(measured_space("macro"), table, out)
    network = table.check["range"].networks[0]
    X = space.from_str(network.arch)[None]
    assert space.cost(X, "latency")[0] == pytest.approx(network.predicted, abs=1e-5)
    assert network.ms == pytest.approx(1e3 * (0.002 + madds(whole_network(measured_space("macro"), X[0])) * 1e-9))
    checks = [line for line in latency_lines(table) if line.startswith("check")]
    assert len(checks) == 2
    assert any(line.startswith("check        4 networks within 10 % of ") for line in checks)


def test_a_measurement_that_is_killed_loses_one_round_at_most(faked, tmp_path):
    plan, clock = faked
    out, told = tmp_path / "t.json", []
    whole = device.measure_table(plan.content, MACHINE, clock.open, out, lambda *round_: told.append(round_))["blocks"]
    n_graphs = len(set(clock.opened))
    assert len(told) == told[-1][1] == told[-1][2] == 3
    out.unlink()

    def killed(name, done, n):
        if done == 2:
            raise KeyboardInterrupt

    clock.opened.clear()
    with pytest.raises(KeyboardInterrupt):
        device.measure_table(plan.content, MACHINE, clock.open, out, killed)
    part = tmp_path / "t.json.part"
    lines = part.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines[1:]] == ["part 0, round 0", "part 0, round 1"]
    with open(part, "a", encoding="utf-8") as stream:
        stream.write('{"name": "part 0, round 2", "fou')  # a kill in the middle of a line
    calls = clock.calls
    again = device.measure_table(plan.content, MACHINE, clock.open, out)["blocks"]
    assert clock.calls - calls < calls  # one round and the first calls of each graph
    for key, block in whole.items():
        assert again[key]["ms"] == pytest.approx(block["ms"], abs=1e-6)
    assert len(clock.opened) == 2 * n_graphs


def test_graphs_are_measured_in_parts_of_bounded_size(faked, tmp_path, monkeypatch):
    plan, clock = faked
    whole = device.measure_table(plan.content, MACHINE, clock.open, tmp_path / "whole.json")["blocks"]
    monkeypatch.setattr(rounds, "OPEN", 7)
    clock.opened.clear()
    orders = []
    monkeypatch.setattr(rounds, "round_order", lambda n, *at: orders.append(n) or np.arange(n))
    monkeypatch.setattr(rounds, "ROUNDS", 1)
    parts = device.measure_table(plan.content, MACHINE, clock.open, tmp_path / "parts.json")["blocks"]
    n_common = len([n for n in plan.content["networks"] if n["use"] == "fit"])
    assert max(orders) <= 7 + n_common
    assert max(clock.opened.count(name) for name in set(clock.opened)) == len(orders)
    assert {key: block["ms"] for key, block in parts.items()} == pytest.approx(
        {key: block["ms"] for key, block in whole.items()}, rel=1e-9
    )


def test_equal_graphs_are_measured_once(faked):
    plan, _ = faked
    drawn = [graph() for name, graph in plan.graphs.items() if name.startswith("block")]
    assert len({(graph.shape, *graph.operations) for graph in drawn}) == len(drawn)
    used = [name for block in plan.content["blocks"] for name in (*block["plus"], *block["minus"])]
    assert set(used) == {name for name in plan.graphs if name.startswith("block")}
    assert len(used) > len(set(used))


def test_the_drift_of_a_machine_is_taken_out():
    """A machine that slows down by half and more while it measures gives the times of one that does not."""
    rng, n, n_rounds = np.random.default_rng(0), 120, 11
    true = np.exp(rng.uniform(-3, 3, n))
    orders = np.array([rounds.round_order(n, 0, k) for k in range(n_rounds)])
    walk = np.exp(np.cumsum(rng.normal(0, 0.03, n * n_rounds))).reshape(n_rounds, n)
    walk[3, 20:60] *= 1.6  # another program for a while
    seen = np.empty((n_rounds, n))
    for row, order, speed in zip(seen, orders, walk, strict=True):
        row[order] = true[order] * speed * np.exp(rng.normal(0, 0.02, n))
    naive, corrected = np.median(seen, axis=0), np.median(rounds.without_drift(seen, orders), axis=0)

    def error(found):
        level = np.median(found / true)
        return np.mean(np.abs(found / true / level - 1))

    assert error(naive) > 0.04
    assert error(corrected) < 0.015
    assert np.array_equal(rounds.without_drift(seen[:1], orders[:1]), np.exp(np.log(seen[:1])))


def test_parts_that_were_measured_at_other_speeds_come_to_one_level():
    parts = [{"a": np.array([2.0, 2.0]), "b": np.array([4.0, 4.0])}, {"a": np.array([3.0]), "c": np.array([6.0])}]
    assert rounds.on_one_level(parts, ["a"], {}) == 1.0
    assert parts[0]["a"][0] == parts[1]["a"][0] == pytest.approx(6**0.5)
    assert parts[0]["b"][0] == parts[1]["c"][0] == pytest.approx(2 * 6**0.5)
    parts = [{"a": np.array([3.0]), "b": np.array([5.0])}]
    assert rounds.on_one_level(parts, ["a"], {"a": 2.0}) == pytest.approx(1.5)
    assert parts[0]["b"][0] == pytest.approx(5.0 / 1.5)


def test_a_check_on_a_slower_day_is_told_apart_from_a_wrong_table(faked, tmp_path):
    plan, clock = faked
    out = tmp_path / "t.json"
    made = device.measure_table(plan.content, MACHINE, clock.open, out)
    clock.slow = 1.25
    checked = device.check_table(plan.content, MACHINE, clock.open, out, made)
    for group in checked["check"].values():
        assert group["slow"] == pytest.approx(1.25)
        assert group["error"] < 1.0
    assert "drift        1.25 times the table's times while it was checked, taken out" in latency_lines(
        read_latency(out)
    )


def test_what_was_kept_of_another_machine_does_not_count(tmp_path):
    kept = rounds.Kept(tmp_path / "k.part", {"machine": 1})
    kept.get("a", lambda: [1.0])
    assert rounds.Kept(tmp_path / "k.part", {"machine": 1}).rows == {"a": [1.0]}
    assert rounds.Kept(tmp_path / "k.part", {"machine": 2}).rows == {}


def test_factors_come_from_whole_networks():
    blocks = {"a": {"ms": 1.0}, "b": {"ms": 2.0}}
    groups = {"a": "A", "b": "B"}
    rng = np.random.default_rng(0)
    terms = [{"a": float(p), "b": float(q)} for p, q in rng.integers(1, 9, (40, 2))]
    networks = [{"terms": t, "ms": 0.05 + 1.3 * t["a"] + 0.8 * 2.0 * t["b"]} for t in terms]
    scale, overhead = device.fitted_factors(blocks, groups, networks)
    assert scale["A"] == pytest.approx(1.3, abs=0.02)
    assert scale["B"] == pytest.approx(0.8, abs=0.02)
    assert 0.0 <= overhead < 0.15
    assert device.fitted_factors(blocks, groups, []) == ({"A": 1.0, "B": 1.0}, 0.0)


def test_kendall_s_tau_counts_pairs():
    a, b = np.random.default_rng(0).integers(0, 9, (2, 30)).tolist()
    pairs = [((a[i] > a[j]) - (a[i] < a[j]), (b[i] > b[j]) - (b[i] < b[j])) for i in range(30) for j in range(i)]
    agree = sum(p * q for p, q in pairs)
    untied = [sum(pair[k] != 0 for pair in pairs) for k in (0, 1)]
    assert device.kendall(a, b) == pytest.approx(agree / (untied[0] * untied[1]) ** 0.5)
    assert device.kendall([1, 1], [1, 2]) == 0.0


def test_the_fastest_call_of_a_round_counts_and_the_middle_of_the_rounds():
    now, slow = [0.0], iter([3.0, 1.0, 2.0])

    def call():
        now[0] += next(slow)

    assert rounds.fastest(call, lambda: now[0], 3) == 1.0
    times = {"three": np.array([7.0, 7.0, 8.0]), "one": np.array([1.0, 3.0, 1.0])}
    found = device.block_time({"plus": ["three"], "minus": ["one"], "count": 2}, times)
    assert found == {"ms": 3.0, "spread": pytest.approx(0.75), "rounds": 3}


def test_plans_choose_networks_once_and_within_ten_percent():
    space = measured_space("mnv3", TINY)
    plan = measuring_plan(space, fitted=10, checked=20)
    networks = plan.content["networks"]
    archs = [n["arch"] for n in networks]
    assert len(set(archs)) == 30
    equal = space.from_strs([n["arch"] for n in networks if n["use"] == "equal"])
    flops = space.cost(equal, "flops")
    assert len(set(equal[:, -1].tolist())) == 1
    assert flops.max() / flops.min() <= 1.1 / 0.9
    spread = space.cost(space.from_strs([n["arch"] for n in networks if n["use"] == "range"]), "flops")
    assert spread.max() > 2 * spread.min()
    again = measuring_plan(space, fitted=0, checked=20, known=archs[-10:]).content["networks"]
    assert [n["arch"] for n in again if n["use"] == "fit"] == archs[-10:]
    assert not {n["arch"] for n in again if n["use"] != "fit"} & set(archs[-10:])


@pytest.mark.parametrize("name", SPACES)
def test_a_table_knows_its_space(name, tmp_path):
    space = measured_space(name, SPACES[name])
    again = space_of_table(json.loads(json.dumps(sum_of(space).shape)))
    assert sum_of(again).shape == sum_of(space).shape
    assert sum_of(again).keys == sum_of(space).keys


def test_wrong_wishes_are_refused():
    for name, items, words in [
        ("nb101", (), "no space whose latency is measured 'nb101'"),
        ("macro", ("width=2",), "width does not apply to macro"),
        ("mnv3", ("size=32",), "the sizes of mnv3 are resolutions"),
        ("nb201", ("chanels=2",), "chanels"),
    ]:
        with pytest.raises(UserError, match=words):
            measured_space(name, items)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["measure", "--space", "macro", "--runtime", "tflite"], "no runtime 'tflite'"),
        (["measure", "--space", "macro", "--clock", "sun"], "no clock 'sun'"),
        (["measure", "--space", "macro", "--clock", "cpu", "--threads", "2"], "sees what one CPU thread computes"),
        (["check", "nowhere.json"], "cannot be read"),
    ],
)
def test_commands_refuse(arguments, words):
    result = CliRunner().invoke(cli, ["latency", *arguments])
    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)


def test_info_shows_machine_and_factors(tmp_path):
    space = measured_space("macro")
    result = CliRunner().invoke(cli, ["latency", "info", str(table_file(tmp_path, space))])
    assert f"blocks       16, {OVERHEAD:.4g} ms for a call" in result.output
    assert "check        not yet: latency check" in result.output


def test_a_table_of_another_machine_is_not_checked_here(faked, tmp_path):
    plan, clock = faked
    made = device.measure_table(plan.content, MACHINE, clock.open, tmp_path / "t.json")
    with pytest.raises(device.DeviceError, match=r"measured elsewhere \(processor 'p', here 'q'\)"):
        device.check_table(plan.content, {**MACHINE, "processor": "q"}, clock.open, tmp_path / "t.json", made)


def test_the_files_for_devices_need_nothing_of_the_suite(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="onnx is missing: pip install -e '.[train]'")
    options = LatencyOptions(space="macro", shape=("channels=4", "size=8"), networks=0)
    folder = latency_script(options, tmp_path / "s")
    assert sorted(file.name for file in folder.glob("*.py")) == ["measure.py", "rounds.py"]
    assert not [file.name for file in folder.glob("*.py") if "smemnas." in file.read_text(encoding="utf-8")]
    monkeypatch.syspath_prepend(folder)
    assert runpy.run_path(str(folder / "measure.py"))["Kept"].__module__ == "rounds"


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime: pip install -e '.[train]'"
)
def test_a_real_table_of_small_networks_by_command_and_by_script(tmp_path):
    shape = [word for item in TINY for word in ("--shape", item)]
    start = [sys.executable, "-m", "smemnas.cli", "latency"]
    subprocess.run(
        [*start, "script", "--space", "mnv3", *shape, "--networks", "8", "--out", "s"], cwd=tmp_path, check=True
    )
    began = time.perf_counter()
    call = [sys.executable, "measure.py", "--out", "t.json", "--clock", "cpu"]
    subprocess.run(call, cwd=tmp_path / "s", check=True)
    subprocess.run([sys.executable, "measure.py", "--check", "t.json"], cwd=tmp_path / "s", check=True)
    table = read_latency(tmp_path / "s" / "t.json")
    assert len(table.blocks) == 182
    assert len(table.fitted) == 8
    assert [len(group.networks) for group in table.check.values()] == [25, 25]
    assert all(block.ms > 0.0 for key, block in table.blocks.items() if "fixed" in key)
    assert time.perf_counter() - began < 600
    subprocess.run([*start, "check", "s/t.json", "--networks", "8"], cwd=tmp_path, check=True)
    assert [len(group.networks) for group in read_latency(tmp_path / "s" / "t.json").check.values()] == [4, 4]
