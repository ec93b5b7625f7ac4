"""A search whose evaluations are trainings, from the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")


def test_a_search_killed_in_a_training_continues_to_the_same_log(tmp_path):
    def args(folder):
        return [
            *(sys.executable, str(ROOT / "cli.py"), "run", "--method", "random", "--space", "nb201", "--quiet"),
            *("--evaluator", "train", "--data", "digits", "--recipe", "tiny", "--budget", "4", "--out", str(folder)),
        ]

    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SMEMNAS_DATA": str(tmp_path / "data")}
    subprocess.run(args(tmp_path / "whole"), check=True, env=env, timeout=300)
    process = subprocess.Popen(args(tmp_path / "killed"), env=env)
    end = time.monotonic() + 120
    while not list((tmp_path / "killed").rglob("curve.jsonl")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "summary.json").exists()
    subprocess.run(args(tmp_path / "killed"), check=True, env=env, timeout=300)
    whole, killed = ((tmp_path / n / "evals.jsonl").read_bytes() for n in ("whole", "killed"))
    assert whole == killed
    for one in (tmp_path / "whole").rglob("result.json"):
        two = tmp_path / "killed" / one.relative_to(tmp_path / "whole")
        a, b = json.loads(one.read_bytes()), json.loads(two.read_bytes())
        assert a["val_error"] == b["val_error"]
