"""The checks of `make gpu` on a CPU: each finds what it is there for, and the whole of it ends in one file."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
from torch.nn import functional as F  # noqa: E402

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
from tests.gpu import __main__ as program  # noqa: E402
from tests.gpu import calls, figures, seeds  # noqa: E402
from tests.gpu.figures import Found, within  # noqa: E402
from tests.gpu.sizes import TOY  # noqa: E402


def as_tf32(x):
    """Round to ten bits behind the point, as TF32 does."""
    return (x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)


def test_float32_passes_and_tf32_does_not():
    assert figures.float32("cpu", TOY).wrong == ""
    found = figures.float32("cpu", TOY, conv=lambda x, w, **k: F.conv2d(as_tf32(x), as_tf32(w), **k))
    assert found.wrong.startswith("convolution ")
    assert found.figures["convolution"] > 5 * figures.FLOAT32


def test_limits_and_what_raises_are_wrong_and_seen():
    assert within({"a": 1.0, "b": 3.0}, a=2.0, b=2.0).wrong == "b 3 is over 2"
    assert within({"a": float("nan")}, a=2.0).wrong == "a nan is over 2"
    found = program.attempted(lambda: 1 / 0)
    assert found == {"figures": {}, "wrong": "ZeroDivisionError: division by zero"}
    assert program.line("x", found, 3.0) == "[   3 s] WRONG x: ZeroDivisionError: division by zero"
    assert program.line("x", Found({"a": 0.12345, "n": 2})._asdict(), 3.0) == "[   3 s] ok    x: a 0.123, n 2"


def test_all_that_autograd_keeps_is_counted(monkeypatch):
    """For the derivative of a factor its input, of a sine its input, of a sigmoid its output; weights do not count."""

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            return torch.sigmoid(torch.sin(x * self.scale)).flatten(1)

    monkeypatch.setattr(figures, "build_timm", lambda *_: Scaled())
    found = figures.memory("cpu", TOY._replace(memory=(0.35, 32, "small", 8, 3.2)))
    values = 8 * 3 * 32 * 32 * 4
    small = 2 * 8 * 4  # of logsumexp its output; its input is what the sigmoid keeps
    assert found.figures["mib"] * 2**20 == pytest.approx(3 * values, abs=small)
    assert "is under 0.9" in found.wrong


def test_weights_that_differ_after_a_kill_are_wrong(monkeypatch, tmp_path):
    class Running:
        pid, returncode = 1, -9

        def poll(self):
            return None

        def wait(self):
            return -9

    def command(*words):
        folder, killed = words[-1], words[-1].name == "killed"
        folder.mkdir(exist_ok=True)
        torch.save({"w": torch.ones(2) * (1.0 + 1e-7 * killed)}, folder / "w.pt")

    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "sign").touch()
    monkeypatch.setattr(calls, "started", lambda *words: Running())
    monkeypatch.setattr(calls.os, "killpg", lambda *_: None)
    monkeypatch.setattr(calls, "call", command)
    assert calls.killed((), tmp_path, "sign", "w.pt").wrong.startswith("apart 1.19e-07 is over 0")


@pytest.mark.long
def test_members_of_a_group_that_learn_something_else_are_wrong(monkeypatch):
    size, train = TOY._replace(groups=()), seeds.train_group
    assert seeds.seeds("cpu", size).wrong == ""

    def others(*given, seeds, **options):
        return train(*given, seeds=[seed + 1 for seed in seeds], **options)

    monkeypatch.setattr(seeds, "train_group", others)
    assert seeds.seeds("cpu", size).wrong.startswith("apart ")


@pytest.mark.long
def test_without_a_gpu_all_of_it_runs_at_toy_size(tmp_path):
    command = [sys.executable, "-m", "tests.gpu", "--cpu", "--out", str(tmp_path / "r.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert "NO GPU: all of it at toy size on the CPU" in done.stdout
    assert (found["toy"], found["passed"]) == (True, True)
    assert found["device"].startswith("CPU")
    wanted = {"float32", "half", "against_cpu", "speed", "seeds", "memory", "resume", "inherited", "headline"}
    assert wanted <= found["checks"].keys()
    assert found["checks"]["headline"]["figures"]["trainings"] >= 1
