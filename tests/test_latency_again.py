"""Latency measured where a table is there already, and what a device's script must refuse as the command does."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from smemnas.bench.commands.root import cli
from smemnas.bench.errors import UserError
from smemnas.bench.latency import device, rounds
from smemnas.bench.latency.plan import measuring_plan
from smemnas.bench.latency.spaces import measured_space
from smemnas.bench.library import latency as library
from smemnas.bench.library.latency import LatencyOptions, latency_script, measure_latency
from smemnas.bench.values import MOST_THREADS

SHAPE = ("channels=4", "size=8")


def machine(threads, batch):
    """Return a made-up machine."""
    return {
        "processor": "p", "system": "s", "runtime": "onnxruntime", "runtime_version": "1", "threads": threads,
        "batch": batch,
    }  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of `latency script` without its ONNX files, on a machine where each call takes a moment."""
    plan = measuring_plan(measured_space("macro", SHAPE), fitted=6, checked=8).content
    graphs = {name: {"file": f"{name}.onnx", "shape": [3, 8, 8]} for name in plan_graphs(plan)}
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "graphs": graphs}))
    monkeypatch.setattr(device, "onnx_machine", machine)
    monkeypatch.setattr(device, "onnx_call", lambda *_: lambda: None)
    monkeypatch.setattr(rounds, "ROUNDS", 2)
    monkeypatch.setattr(rounds, "SECONDS", 0.0)
    return tmp_path


def plan_graphs(plan):
    """Return the names of the graphs of a plan."""
    blocks = [name for block in plan["blocks"] for name in (*block["plus"], *block["minus"])]
    return [*blocks, *(network["graph"] for network in plan["networks"])]


def say(here, *words):
    """Return what the script says."""
    return device.measured_here(device.parser_of_options().parse_args(words), here)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--clock", "cpu", "--threads", "2"), "--clock cpu sees what one CPU thread computes"),
        (("--threads", "0", "--batch", "0"), "--threads takes 1 to 1,024, got 0"),
        (("--threads", "-1"), "--threads takes 1 to 1,024, got -1"),
        (("--threads", "1025"), "--threads takes 1 to 1,024, got 1,025"),
        (("--batch", "0"), "--batch takes 1 to 65,536, got 0"),
        (("--batch", "65537"), "--batch takes 1 to 65,536, got 65,537"),
    ],
)
def test_the_script_refuses_what_the_command_refuses(here, words, said):
    out = here / "t.json"
    with pytest.raises(device.DeviceError, match=said):
        say(here, *words, "--out", str(out))
    assert not list(here.glob("t.json*"))
    refused = CliRunner().invoke(cli, ["latency", "measure", "--space", "macro", *words, "--out", str(out)])
    assert refused.exception
    numbers = dict(zip(words[::2], words[1::2], strict=True))
    options = {key: int(numbers.get(f"--{key}", 1)) for key in ("threads", "batch")}
    with pytest.raises(UserError):
        measure_latency(LatencyOptions(space="macro", clock=numbers.get("--clock", "wall"), out=out, **options))
    assert device.MOST_THREADS == MOST_THREADS


def test_the_script_replaces_no_table_and_nothing_else(here):
    out = here / "t.json"
    assert say(here, "--out", str(out)) == [f"{out} is complete"]
    kept = out.read_bytes()
    assert say(here, "--out", str(out)) == [f"{out} was measured before, in the same way: remove it to measure again"]
    for words, said in [
        (("--threads", "2"), r"measured otherwise \(threads 1, not 2\): choose another --out"),
        (("--batch", "3"), r"\(batch 1, not 3\)"),
        (("--clock", "cpu"), r"\(clock 'wall', not 'cpu'\)"),
    ]:
        with pytest.raises(device.DeviceError, match=said):
            say(here, *words, "--out", str(out))
    with pytest.raises(device.DeviceError, match=r"plan\.json is no latency table"):
        say(here, "--out", str(here / "plan.json"))
    assert out.read_bytes() == kept


def test_a_check_measures_as_the_table_was(here):
    out = here / "t.json"
    say(here, "--out", str(out))
    for words in (("--threads", "1"), ("--batch", "1"), ("--clock", "wall")):
        with pytest.raises(device.DeviceError, match="--check measures as the table was measured"):
            say(here, "--check", str(out), *words)
    (here / "no.json").write_text("[1, 2")
    with pytest.raises(device.DeviceError, match=r"no\.json is no latency table"):
        say(here, "--check", str(here / "no.json"))
    assert len(say(here, "--check", str(out))) >= 2


def test_a_table_that_is_there_is_taken_for_no_other_measurement(here, monkeypatch):
    notes, out = [], here / "t.json"
    monkeypatch.setattr(library, "note", notes.append)

    def runtime_of(plan, runtime, threads, batch, clock):
        return lambda name: lambda: None, machine(threads, batch) | {"runtime": runtime}

    monkeypatch.setattr(library, "_runtime", runtime_of)
    asked = {"space": "macro", "shape": SHAPE, "networks": 2, "clock": "cpu", "out": out}
    made = measure_latency(LatencyOptions(**asked))
    assert notes == []
    assert measure_latency(LatencyOptions(**asked)) == made
    assert notes == [f"{out} was measured before, in the same way: this is that table; --overwrite measures again."]
    for other, said in [
        ({"clock": "wall"}, r"\(clock 'cpu', not 'wall'\)"),
        ({"clock": "wall", "threads": 2}, r"\(threads 1, not 2; clock 'cpu', not 'wall'\)"),
        ({"networks": 30}, r"\(networks 2, not 30\): choose another --out, or --overwrite it"),
        ({"batch": 4}, r"\(batch 1, not 4\)"),
        ({"runtime": "torch"}, r"\(runtime 'onnxruntime', not 'torch'\)"),
        ({"shape": ("channels=4", "size=8", "classes=7")}, r"\(n_classes 10, not 7\)"),
    ]:
        with pytest.raises(UserError, match=said):
            measure_latency(LatencyOptions(**asked | other))
    monkeypatch.setattr(rounds, "ROUNDS", 3)
    with pytest.raises(UserError, match=r"\(rounds 2, not 3\)"):
        measure_latency(LatencyOptions(**asked))
    again = measure_latency(LatencyOptions(**asked | {"networks": 3, "clock": "wall"}, overwrite=True))
    assert (len(again.fitted), again.protocol["clock"]) == (3, "wall")


def test_the_script_itself_says_so_in_a_line(tmp_path):
    pytest.importorskip("onnx", reason="onnx is missing: pip install -e '.[train]'")
    folder = latency_script(LatencyOptions(space="macro", shape=SHAPE, networks=0), tmp_path / "s")
    call = [sys.executable, "measure.py", "--clock", "cpu", "--threads", "2", "--out", "t.json"]
    ran = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: --clock cpu sees what one CPU thread computes")
    assert not (folder / "t.json").exists()
