"""Exports: the card's own lines load the network with timm alone, and ONNX gives the same numbers."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install smemnas[train]")
pytest.importorskip("timm", reason="needs the extra 'train': pip install smemnas[train]")
pytest.importorskip("safetensors", reason="needs the extra 'train': pip install smemnas[train]")

from bench.errors import UserError  # noqa: E402
from bench.train.export import export_supernet  # noqa: E402
from bench.train.supernet_plan import SupernetPlan  # noqa: E402
from bench.train.supernet_training import train_supernet  # noqa: E402

ARCH = "r8-3333-765434-3334-5353-3333"


@pytest.fixture(scope="module")
def supernet(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("supernet")
    plan = SupernetPlan("digits", width=0.1, epochs=1, batch=128, crop=1, n_random=1)
    train_supernet(plan, folder, device="cpu")
    return folder / "checkpoint.pt"


def test_the_card_loads_the_network_and_onnx_agrees(supernet, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'train': pip install smemnas[train]")
    pytest.importorskip("onnxscript", reason="needs the extra 'train': pip install smemnas[train]")
    config = export_supernet(supernet, ARCH, tmp_path, onnx=True)
    card = (tmp_path / "README.md").read_text()
    assert f"{config['params']:,}" in card
    [code] = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(code.strip().splitlines()) <= 10
    assert "bench" not in code
    code += (
        "import numpy, torch\n"
        "x = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)\n"
        "numpy.save('out.npy', model(x).detach().numpy())\n"
        "print(sum(p.numel() for p in model.parameters()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) == config["params"]
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    x = np.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)
    [found] = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, np.load(tmp_path / "out.npy"), rtol=1e-3, atol=1e-4)
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == ARCH


@pytest.mark.parametrize("arch", ["r8-3333", "r8-9333-3333-3333-3333-3333", "small"])
def test_a_wrong_name_is_one_line(supernet, tmp_path, arch):
    with pytest.raises(UserError) as error:
        export_supernet(supernet, arch, tmp_path, onnx=False)
    assert "\n" not in str(error.value)
