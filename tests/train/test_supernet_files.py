"""Supernet files of others: wrapped, prefixed, with numbers of numpy; and what is refused, named on one line."""

import argparse

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import DataError  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(1)
    return Supernet(Shape(0.1, 10)).state_dict()


FORMS = {
    "plain": lambda w: w,
    "module": lambda w: {f"module.{k}": v for k, v in w.items()},
    "compiled": lambda w: {f"_orig_mod.{k}": v for k, v in w.items()},
    "both": lambda w: {"state_dict": {f"module._orig_mod.{k}": v for k, v in w.items()}},
    "lightning": lambda w: {"state_dict": {f"model.{k}": v for k, v in w.items()}, "epoch": 3},
    **{key: lambda w, key=key: {key: w, "epoch": 3} for key in ("model", "model_state_dict", "ema", "state_dict_ema")},
    "numbers": lambda w: {"state_dict": w, "best": np.float64(71.2), "epoch": np.int64(4), "ok": np.bool_(True)},
}


@pytest.mark.parametrize("form", FORMS)
def test_wrapped_and_prefixed_weights_are_found(weights, tmp_path, form):
    torch.save(FORMS[form](weights), tmp_path / "net.pt")
    net, _ = load_supernet(tmp_path / "net.pt")
    assert (net.shape.width, net.shape.n_classes) == (0.1, 10)
    for name, value in net.state_dict().items():
        assert torch.equal(value, weights[name])


def test_numbers_of_an_older_numpy_are_read(weights, tmp_path):
    torch.save({"state_dict": weights, "best": np.float64(71.2)}, tmp_path / "new.pt")

    archive = tmp_path / "old.pt"
    rewrite(tmp_path / "new.pt", archive)

    assert load_supernet(archive)[1]["best"] == 71.2


def rewrite(source, target):
    """Copy a torch file whose pickle names the module as numpy 1 does."""
    import zipfile

    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as after:
        for item in before.infolist():
            content = before.read(item)
            if item.filename.endswith("data.pkl"):
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            after.writestr(item, content)


def test_an_object_that_could_run_code_is_named(weights, tmp_path, recwarn):
    torch.save({"model": weights, "args": argparse.Namespace(lr=1)}, tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"it holds argparse\.Namespace, .* torch\.save\(network\.state_dict"):
        load_supernet(tmp_path / "net.pt")
    assert not list(recwarn)


def pickled(path):
    import pickle

    path.write_bytes(pickle.dumps({"a": 1}, protocol=4))


def cut(path):
    torch.save({"a": torch.ones(3)}, path)
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    "spoil", [pickled, cut, lambda p: p.write_text("no file of torch"), lambda p: p.write_bytes(b"")]
)
@pytest.mark.parametrize("command", ["info", "eval", "export", "retrain"])
def test_a_file_that_is_none_is_one_line_without_warnings(tmp_path, fails, recwarn, spoil, command):
    path = tmp_path / "net.pt"
    spoil(path)
    arch = "r8-3333-3333-3333-3333-3333"
    calls = {
        "info": ("supernet", "info", path),
        "eval": ("supernet", "eval", path),
        "export": ("export", path, arch, "--out", tmp_path / "out"),
        "retrain": ("retrain", path, "--arch", arch, "--out", tmp_path / "out"),
    }
    fails(calls[command], f"{path} is no readable torch file of plain tensors")
    assert not list(recwarn)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "no\nwhere"], ids=["long", "deep", "two lines"])
def test_a_path_that_cannot_be_one_is_one_line(fails, name):
    for call in (
        ("supernet", "info", name),
        ("supernet", "eval", name),
        ("export", name, "r8-3333-3333-3333-3333-3333"),
    ):
        fails(call, repr(name)[1:21])


def test_weights_that_belong_to_nothing_are_named(weights, tmp_path):
    torch.save({"model": {"conv.weight": torch.ones(3)}}, tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"'first_conv\.conv\.weight' is missing"):
        load_supernet(tmp_path / "net.pt")
