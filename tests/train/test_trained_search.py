"""A search whose evaluations are trainings, from the command line."""

import json
import signal
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
from small_images import data_home, one_thread  # noqa: E402, F401

#: A command that ends itself in the third step after the second training has finished an epoch.
KILLED = """
    import os, signal, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from smemnas.bench.train import loop
    from smemnas.cli import main

    real, steps = loop.augment, 0

    def augment(*args):
        global steps
        steps += len(list(Path({out!r}).rglob("curve.jsonl"))) == 2
        if steps == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    loop.augment = augment
    main({args!r})
"""


@pytest.mark.usefixtures("data_home", "one_thread")
def test_a_search_killed_in_a_training_continues_to_the_same_log(call, tmp_path):
    """Killed in the second epoch of the second of three trainings, which draw everything that can be random."""

    def args(folder):
        return [
            *("run", "--method", "random", "--space", "nb201", "--evaluator", "train", "--data", "digits", "--quiet"),
            *("--budget", "3", "--param", "batch=1", "--recipe", "tiny", "--train", "epochs=3", "--train", "batch=200"),
            *("--train", "channels=2", "--train", "flip=true", "--train", "crop=1", "--train", "cutout=3"),
            *("--out", str(folder)),
        ]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, _, error = call(*args(whole))
    assert code == 0, error
    script = textwrap.dedent(KILLED).format(root=str(ROOT), out=str(killed), args=args(killed))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (killed / "evals.jsonl").read_bytes().count(b"\n") == 1
    (checkpoint,) = killed.rglob("checkpoint.pt")
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 1
    assert not (killed / "summary.json").exists()
    code, _, error = call(*args(killed))
    assert code == 0, error
    assert (killed / "evals.jsonl").read_bytes() == (whole / "evals.jsonl").read_bytes()
    results = list(whole.rglob("result.json"))
    assert len(results) == 3
    for one in results:
        two = killed / one.relative_to(whole)
        a, b = json.loads(one.read_bytes()), json.loads(two.read_bytes())
        assert a["val_error"] == b["val_error"]
        assert one.with_name("curve.jsonl").read_bytes() == two.with_name("curve.jsonl").read_bytes()
        a, b = (torch.load(file.with_name("weights.pt"), weights_only=True) for file in (one, two))
        assert list(a) == list(b)
        assert all(torch.equal(a[name], b[name]) for name in a)
