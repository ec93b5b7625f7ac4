"""Read the tensors of an old torch file without torch and without running its pickle freely.

Files of torch before 1.6 are a stream of five pickles (magic number, protocol, byte order, the object with
references to storages, the list of storages) and then each storage: its length as a 64-bit integer and its
raw values. The unpickler knows exactly the names that a dictionary of float tensors needs.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class _Storage(NamedTuple):
    """A reference to a storage that follows the pickles."""

    key: str
    size: int


class _Tensor(NamedTuple):
    """A view into a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    """Take the place of torch's own function of this role: note the view, touch no data."""
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


class _FloatStorage:
    """Stands for the storage class, which the file names only as a type."""


class _TensorUnpickler(pickle.Unpickler):
    """Knows ordered dictionaries, float storages and tensors, and refuses every other name."""

    _KNOWN = {  # noqa: RUF012 - never written
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): _FloatStorage,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a global of the pickle."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise DataError(
                f"the file names the foreign class {module}.{name}: not a dictionary of float tensors, refused."
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Resolve a reference ("storage", type, key, device, size, view)."""
        if not (isinstance(pid, tuple) and len(pid) == 6 and pid[0] == "storage" and pid[1] is _FloatStorage):
            raise DataError("the file refers to something else than a float storage: refused.")
        return _Storage(str(pid[2]), int(pid[4]))


def read_tensors(stream: IO[bytes]) -> dict[str, NDArray[np.float32]]:
    """Read a file that `torch.save` of version < 1.6 wrote from a dictionary of float32 tensors.

    Returns:
        Name -> array, copies in C order.

    Raises:
        DataError: Another format, a foreign class, or a truncated file.
    """
    try:
        if _TensorUnpickler(stream).load() != MAGIC or _TensorUnpickler(stream).load() != PROTOCOL:
            raise DataError("not a torch file of the old format (its magic number is another).")
        if not _TensorUnpickler(stream).load()["little_endian"]:
            raise DataError("the torch file was written on a big-endian machine: not supported.")
        tensors = _TensorUnpickler(stream).load()
        keys = _TensorUnpickler(stream).load()
        storages = {key: _read_storage(stream) for key in keys}
        if stream.read(1):
            raise DataError("the torch file goes on after its last tensor: it is corrupt.")
        return {str(name): _view(tensor, storages) for name, tensor in tensors.items()}
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"the torch file is truncated or corrupt ({type(error).__name__}: {error}).") from error


def _read_storage(stream: IO[bytes]) -> NDArray[np.float32]:
    """Read one storage ``(size,)``."""
    (size,) = struct.unpack("<q", stream.read(8))
    if size < 0:
        raise ValueError(f"a storage of {size} values")
    raw = stream.read(4 * size)
    if len(raw) != 4 * size:
        raise EOFError(f"{4 * size} bytes expected, {len(raw)} left")
    return np.frombuffer(raw, dtype="<f4")


def _view(tensor: Any, storages: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the tensor's values; the view must lie inside its storage."""
    if not isinstance(tensor, _Tensor):
        raise DataError(f"the torch file holds a {type(tensor).__name__} where a float tensor was expected.")
    storage = storages[tensor.storage.key]
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
    inside = len(storage) == tensor.storage.size and 0 <= tensor.offset <= last < len(storage)
    if not inside or min(tensor.shape, default=1) < 1 or min(tensor.stride, default=0) < 0:
        raise ValueError("a tensor lies outside its storage")
    strides = tuple(4 * s for s in tensor.stride)
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view, dtype=np.float32, order="C")
