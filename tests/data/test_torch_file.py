"""Reading old torch files without torch: views, foreign classes, damage."""

import io
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
from data_files import original

from smemnas.bench.data.torch_file import MAGIC, PROTOCOL, read_tensors
from smemnas.bench.errors import DataError


class Reference:
    """Pickles as a reference to a storage."""

    def __init__(self, key, size, kind):
        self.pid = ("storage", kind, key, "cpu", size, None)


class TensorPickler(pickle._Pickler):
    """Writes references as torch does."""

    def persistent_id(self, thing):
        return thing.pid if isinstance(thing, Reference) else None


class Global:
    """Pickles as the bare name of a class or function of some module."""

    def __init__(self, module, name):
        self.line = f"c{module}\n{name}\n".encode()


def save_global(pickler, thing):
    pickler.write(thing.line)


TensorPickler.dispatch = {**pickle._Pickler.dispatch, Global: save_global}
FLOAT = Global("torch", "FloatStorage")
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


class Call:
    """Pickles as the call of a global."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


def save_call(pickler, thing):
    pickler.save(thing.function)
    pickler.save(thing.arguments)
    pickler.write(pickle.REDUCE)


TensorPickler.dispatch[Call] = save_call


def torch_file(tensors, storages, *, kind=FLOAT, magic=MAGIC):
    """A file in the old format; `tensors` maps a name to a Call or (key, offset, shape, stride)."""
    stream = io.BytesIO()
    entries = OrderedDict()
    for name, entry in tensors.items():
        if isinstance(entry, tuple):
            key, offset, shape, stride = entry
            reference = Reference(key, len(storages[key]), kind)
            entry = Call(REBUILD, reference, offset, shape, stride, False, OrderedDict())
        entries[name] = entry
    for thing in (magic, PROTOCOL, {"little_endian": True}, entries, sorted(storages)):
        TensorPickler(stream, protocol=2).dump(thing)
    for key in sorted(storages):
        stream.write(struct.pack("<q", len(storages[key])) + np.asarray(storages[key], dtype="<f4").tobytes())
    return stream.getvalue()


PLAIN = ({"a": ("0", 0, (2, 3), (3, 1)), "b": ("1", 1, (3, 2), (1, 3))}, {"0": range(6), "1": range(8)})


def test_tensors_are_read_with_offset_and_strides():
    tensors = read_tensors(io.BytesIO(torch_file(*PLAIN)))
    assert list(tensors) == ["a", "b"]
    assert tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["b"].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert {t.dtype for t in tensors.values()} == {np.dtype(np.float32)}


def test_foreign_classes_are_refused_and_nothing_runs(tmp_path):
    target = tmp_path / "was-here"
    for harmful in (
        Call(Global("os", "system"), f"touch {target}"),
        Call(Global("builtins", "eval"), f"open({str(target)!r}, 'w')"),
        Call(Global("torch._utils", "_rebuild_parameter")),
        Call(Global("collections", "Counter")),
    ):
        name = harmful.function.line.decode().split()
        with pytest.raises(DataError, match=r"foreign class .*refused") as refused:
            read_tensors(io.BytesIO(torch_file({"a": harmful}, {})))
        assert f"{name[0][1:]}.{name[1]}" in str(refused.value)
    with pytest.raises(DataError, match=r"foreign class torch\.DoubleStorage"):
        read_tensors(io.BytesIO(torch_file(*PLAIN, kind=Global("torch", "DoubleStorage"))))
    with pytest.raises(DataError, match="float storage"):
        read_tensors(io.BytesIO(torch_file(*PLAIN, kind="torch.FloatStorage")))
    assert not target.exists()


def test_truncated_and_damaged_files_are_refused():
    whole = torch_file(*PLAIN)
    for end in range(0, len(whole), 3):
        with pytest.raises(DataError):
            read_tensors(io.BytesIO(whole[:end]))
    with pytest.raises(DataError, match="goes on"):
        read_tensors(io.BytesIO(whole + b"x"))
    with pytest.raises(DataError, match="magic"):
        read_tensors(io.BytesIO(torch_file(*PLAIN, magic=7)))
    with pytest.raises(DataError, match="truncated or corrupt"):
        read_tensors(io.BytesIO(b"PK\x03\x04 a zip file of a newer version"))
    for shape, stride, offset in (
        ((9,), (1,), 0),
        ((6,), (1,), 1),
        ((2, 3), (4, 1), 0),
        ((3,), (-1,), 2),
        ((2,), (1,), -1),
    ):
        with pytest.raises(DataError, match="outside its storage"):
            read_tensors(io.BytesIO(torch_file({"a": ("0", offset, shape, stride)}, {"0": range(6)})))
    with pytest.raises(DataError, match="float tensor was expected"):
        read_tensors(io.BytesIO(torch_file({"a": Call(Global("collections", "OrderedDict"))}, {})))


@pytest.mark.data
def test_predictor_file_against_torch():
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
    path = original("mnv3", "acc_predictor.pth")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    with open(path, "rb") as stream:
        ours = read_tensors(stream)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name].numpy()) for name in ours)
