"""The figures of docs/training.md are those of the files beside it, and of the networks."""

import re

import pytest
from conftest import docs_script

MAKE = docs_script("make_training")


def test_the_page_is_what_its_files_say():
    pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    text = MAKE.PAGE.read_text(encoding="utf-8")
    for name in MAKE.SECTIONS:
        begin, end = MAKE.marks(name)
        assert text.count(begin) == text.count(end) == 1, name
    assert MAKE.written(text) == text, "python docs/make_training.py"


def test_memory_is_that_of_the_tensors_kept_on_a_cpu():
    torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    from smemnas.bench.train.networks.mnv3.subnet import Shape
    from smemnas.bench.train.networks.mnv3.supernet import Supernet
    from smemnas.spaces.mnv3_choices import Choices
    from smemnas.spaces.mnv3_costs import STEMS

    stride, strides = STEMS["small"]
    net = Supernet(Shape(0.35, 10, stride, strides)).train()
    weights = {p.data_ptr() for p in net.parameters()}

    def bytes_of(n):
        seen = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.setdefault(t.data_ptr(), t), lambda t: t):
            logits = net(torch.zeros(n, 3, 32, 32), Choices().largest())
        assert logits.shape == (n, 10)
        return sum(t.untyped_storage().nbytes() for at, t in seen.items() if at not in weights)

    each, own = MAKE.kept(0.35, 32, "small")
    assert each == pytest.approx(bytes_of(3) - bytes_of(2), rel=0.01)
    assert own == sum(4 * p.numel() for p in net.parameters())


def test_what_follows_from_the_files_is_said():
    networks = "\n".join(MAKE.networks())
    assert "smallest network has 76.3 %, a random sub-network of 2.1 times its cost 76.3 %" in networks
    assert "end within 2.2 points of each other, 10 to 12 below what inherited weights give" in networks
    assert MAKE.stages()[-2] == "| **all** | **4,350** (72.5 minutes) |"
    assert "So nothing was found" in "\n".join(MAKE.order())
    assert len(MAKE.epochs()) == 2 + len(MAKE.SHOWN) + 1


def test_the_wide_range_is_told_as_it_was_measured():
    rows, lines = MAKE.rows("wide"), "\n".join(MAKE.wide())
    assert len(rows) == 24
    assert {(r["bound"], r["kind"], r["seed"]) for r in rows} == {
        (bound, kind, seed) for bound in ("1.65", "3.0") for kind in MAKE.WIDE for seed in "012"
    }
    for row in rows:
        assert 0.9 * float(row["bound"]) <= int(row["madds"]) / 1e6 <= float(row["bound"])
    means = [sum(float(r["top1"]) for r in rows[at : at + 3]) / 3 for at in range(0, 24, 3)]
    assert [float(cell) for cell in re.findall(r"\*\*([\d.]+)\*\*", lines)] == pytest.approx(means, abs=0.0501)
    assert "better than 0 of 6 controls and worse than 1" in lines
