"""How a member of an archive is packed: the streams of xz, small and read within bounds."""

from __future__ import annotations

from typing import Any

from smemnas.bench.errors import DataError, RunError

#: What the name of a packed member ends in.
PACKED = ".xz"
#: Bytes that unpacking may take beside what comes out: those of the largest window that is written, and some.
_WINDOW = 1 << 23
_MEMORY = 4 * _WINDOW


def packed(data: bytes, width: int = 1) -> bytes:
    """Return the stream of some bytes.

    Args:
        data: What is packed.
        width: Bytes of one number where it holds numbers (1, 2, 4 or 8): like bytes of numbers are then set together.

    Raises:
        RunError: This Python has no lzma.
    """
    lzma = _lzma()
    if lzma is None:
        raise RunError("this Python has no module lzma, which packs archives: use one that was built with it.")
    position = width.bit_length() - 1
    own = {"lc": 0, "lp": position, "pb": position} if position else {"pb": 0}
    kind = {"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME, "dict_size": _WINDOW, **own}
    found: bytes = lzma.compress(data, lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[kind])
    return found


def unpacked(data: bytes, size: int, what: str) -> bytes:
    """Return what a stream holds, which has to be so many bytes; never more of it is unpacked.

    Raises:
        DataError: It is damaged or holds another number of bytes, or this Python has no lzma.
    """
    lzma = _lzma()
    if lzma is None:
        raise DataError(f"{what} needs the module lzma, which this Python lacks: use one that was built with it.")
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
    try:
        found: bytes = stream.decompress(data, size + 1)
    except (lzma.LZMAError, EOFError, MemoryError) as error:
        raise DataError(f"{what} is damaged: get the file again.") from error
    if len(found) != size or not stream.eof or stream.unused_data:
        raise DataError(f"{what} does not hold what it should: get the file again.")
    return found


def _lzma() -> Any:
    """Return the module, None where Python was built without it."""
    try:
        import lzma
    except ImportError:
        return None
    return lzma
