"""The notebook that trains, from images to a network, runs to its end and tells what is kept of it."""

import pytest

for module in ("torch", "timm", "onnxruntime"):
    pytest.importorskip(module, reason="needs the extra 'train': pip install -e '.[train]'")
from notebook_cases import KEPT, check_trained, printed, run_again, without_numbers  # noqa: E402

NAME = "images-to-network"


@pytest.mark.slow
def test_the_second_notebook_runs_and_tells_the_same(use_embedded, tmp_path):
    cells = run_again(NAME, tmp_path)
    check_trained(cells)
    assert without_numbers(printed(cells)) == without_numbers(printed(KEPT[NAME]["cells"]))
