"""`fit` to its end on tiny images: every stage, both kinds of search, and kills in between."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[train]'")

from smemnas.bench.benchmarks.latency.benchmark import LatencySpace  # noqa: E402
from smemnas.bench.benchmarks.latency.table import read_latency  # noqa: E402
from smemnas.bench.fit import fit as module  # noqa: E402
from smemnas.bench.fit.fit import FitOptions, fit, plan_fit  # noqa: E402
from smemnas.bench.fit.measure import setting_for  # noqa: E402
from smemnas.bench.fit.plan import Speeds, make_fit_plan  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from tests.latency_cases import table_file  # noqa: E402

SUITE = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three classes that differ in colour, 40 images of 16 pixels each."""
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    for k, name in enumerate(("ant", "bee", "cow")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 120, (16, 16, 3))
            pixels[..., k] += 80
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{i:02}.png")
    return tmp_path / "photos"


def short(photos, search):
    """Return a plan of the shortest stages; its time is enough on the slowest machine."""
    setting = replace(setting_for(str(photos), 16, 0.1, strides=()), batch=28)
    plan = make_fit_plan(setting, Speeds(0.01, 0.01, 1.0), 36000.0, search)
    epochs = {"supernet_epochs": 2} if search == "supernet" else {"candidate_epochs": 1}
    return replace(plan, method="random", budget=8, final_epochs=2, **epochs)


@pytest.mark.long
@pytest.mark.parametrize("search", ["supernet", "scratch"])
def test_from_images_to_an_export(photos, tmp_path, monkeypatch, search):
    monkeypatch.setattr(module, "plan_fit", lambda options, began: short(photos, search))
    monkeypatch.setattr("smemnas.bench.fit.plan.MOST_EPOCHS", 3)
    monkeypatch.setattr("smemnas.bench.fit.plan.MOST_STEPS", 1)
    options = FitOptions(
        str(photos), 10.0, tmp_path / "net", width=0.1, search=search, max_flops=50.0, threads=1, device="cpu"
    )
    said = []
    found = fit(options, tell=said.append)
    report = found.report
    assert report["decisions"] == {"final": {"epochs": 3, "planned": 2}}
    assert 'Lengthened: final, {"epochs": 3, "planned": 2}.' in (tmp_path / "net" / "report.md").read_text()
    assert report["classes"] == ["ant", "bee", "cow"]
    assert report["network"]["start"] == ("inherited weights" if search == "supernet" else "random weights")
    assert report["network"]["madds"] <= 50e6
    assert report["baseline"]["arch"].startswith("timm:")
    assert report["network"]["epochs"] == report["baseline"]["epochs"] == 3
    assert list(report["seconds"]) == [
        "measuring", *(["supernet"] if search == "supernet" else []), "search", "final", "export", "baseline"
    ]  # fmt: skip
    config = json.loads((tmp_path / "net" / "export" / "config.json").read_text())
    assert config["classes"] == ["ant", "bee", "cow"]
    assert config["facts"]["test accuracy, top-1 (%)"] == round(report["network"]["top1"], 3)
    assert report["network"]["arch"] in (tmp_path / "net" / "report.md").read_text()
    assert fit(options).report == report


@pytest.mark.long
@pytest.mark.parametrize("search", ["supernet", "scratch"])
def test_a_bound_on_a_measured_latency(photos, tmp_path, monkeypatch, search):
    space = MNV3(0.1, (16,), 3, stem_stride=1, strides=(2, 2, 2, 1, 1))
    table = table_file(tmp_path, space)
    costs = LatencySpace(space, read_latency(table), table)
    middle = float(np.median(costs.cost(space.sample(50, np.random.default_rng(0)), "latency")))

    def plan_of(options, began):
        plan = short(photos, search)
        return replace(plan, setting=replace(plan.setting, strides=space.strides))

    monkeypatch.setattr(module, "plan_fit", plan_of)
    options = FitOptions(
        str(photos), 10.0, tmp_path / "net", latency=table, max_latency=middle, search=search, threads=1, device="cpu"
    )
    arch = fit(options).report["network"]["arch"]
    assert costs.cost(space.from_str(arch)[None], "latency")[0] <= middle


@pytest.mark.long
def test_a_plan_is_measured(photos, tmp_path):
    plan = plan_fit(FitOptions(str(photos), 2.0, tmp_path / "net", width=0.1, threads=1, device="cpu"))
    assert (plan.setting.size, plan.setting.resolutions, plan.setting.stem) == (16, (16,), "small")
    assert plan.speeds.supernet_step > plan.speeds.final_step > 0
    assert 0 < plan.speeds.spent < plan.estimates["reserve"]
    assert not (tmp_path / "net").exists()


@pytest.mark.long
def test_a_final_training_of_more_epochs_than_fit_is_ended_in_time(photos, tmp_path, monkeypatch):
    """The plan believes that a hundred thousand epochs take a second; the time is kept all the same."""
    seconds = 150.0

    def plan_of(options, began):
        plan = short(photos, "supernet")
        given = {"supernet": 60.0, "search": 30.0, "final": 5.0, "baseline": 5.0, "reserve": 40.0}
        return replace(plan, seconds=seconds, final_epochs=100_000, estimates={**plan.estimates, **given})

    monkeypatch.setattr(module, "plan_fit", plan_of)
    monkeypatch.setattr("smemnas.bench.fit.stages.epoch_seconds", lambda *_, baseline: 2e-5)
    began = time.monotonic()
    found = fit(FitOptions(str(photos), 1.0, tmp_path / "net", width=0.1, search="supernet", threads=1, device="cpu"))
    took = time.monotonic() - began
    assert took <= 1.05 * seconds
    stopped = found.report["decisions"]["final stopped"]
    assert found.report["network"]["epochs"] == stopped["epochs"] >= 1
    assert found.report["baseline"] is None
    assert (tmp_path / "net" / "export" / "model.safetensors").exists()
    assert sum(found.report["seconds"].values()) == pytest.approx(took, abs=3.0)


PROGRAM = """
import sys
sys.path.insert(0, {suite!r})
sys.path.insert(0, {tests!r})
from test_fit_run import short
from smemnas.bench.fit import fit as module, plan
from smemnas.bench.fit.fit import FitOptions, fit
module.plan_fit = lambda options, began: short({photos!r}, "supernet")
plan.MOST_EPOCHS, plan.MOST_STEPS = 3, 1
options = FitOptions({photos!r}, 10.0, sys.argv[1], width=0.1, search="supernet", threads=1, device="cpu")
print(fit(options, tell=lambda line: print(line, flush=True)))
"""


@pytest.mark.long
def test_a_kill_in_each_stage_changes_nothing(photos, tmp_path):
    code = PROGRAM.format(suite=str(SUITE), tests=str(Path(__file__).parent), photos=str(photos))

    def call(out, kill_in=""):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / out)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process:
            for line in process.stdout:
                if kill_in and line.startswith(f"{kill_in}: "):
                    time.sleep(0.7)
                    os.kill(process.pid, signal.SIGKILL)
        return process.returncode

    assert call("whole") == 0
    kills = [call("killed", stage) for stage in ("supernet", "search", "final", "export", "baseline")]
    assert -signal.SIGKILL in kills
    assert call("killed") == 0
    one, other = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "killed"))
    for key in ("network", "baseline", "decisions", "classes"):
        assert one[key] == other[key]
    weights = [(tmp_path / name / "export" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
