"""TFRecord files and protobuf messages, read without TensorFlow.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those 8 bytes, the payload, and the
masked CRC-32C of the payload. Records are read one block of the file at a time, so memory stays bounded
whatever the size of the file; nothing is believed before its checksum was compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError

#: Castagnoli polynomial, bits reversed.
POLYNOMIAL = 0x82F63B78
#: Bytes that one look-up of `crc32c` covers; its tables take 4 bytes x 256 entries for each of them.
SPAN = 1024
#: Below this length a loop over bytes beats the fixed cost of a NumPy call.
_SHORT = 16
BLOCK = 1 << 22
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = _LENGTH.size + _CRC.size
#: Longest payload that is believed (TensorFlow writes at most 2 GiB; these files have under 1 KiB).
MAX_PAYLOAD = 1 << 28


class _Tables(NamedTuple):
    """What `crc32c` looks up.

    Attributes:
        byte: Step of one byte, ``(256,)``, as a list for the loop over short messages.
        position: Contribution of a byte by its distance to the end of the message, ``(SPAN * 256,)``.
        offset: Start of the table of each byte of a message of length ``SPAN``, first byte first.
    """

    byte: list[int]
    position: NDArray[np.uint32]
    offset: NDArray[np.int64]


@cache
def _tables() -> _Tables:
    """Build the tables, about 5 ms."""
    step = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        step = (step >> np.uint32(1)) ^ (step & np.uint32(1)) * np.uint32(POLYNOMIAL)
    position = np.empty((SPAN, 256), dtype=np.uint32)
    position[0] = step
    for distance in range(1, SPAN):
        nearer = position[distance - 1]
        position[distance] = step[nearer & np.uint32(0xFF)] ^ (nearer >> np.uint32(8))
    return _Tables(step.tolist(), position.ravel(), np.arange(SPAN - 1, -1, -1, dtype=np.int64) * 256)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of `data`; RFC 3720, appendix B.4 has examples.

    The checksum is linear over GF(2): with the register folded into the first four bytes, it is the exclusive
    or of one table entry per byte, chosen by the byte and its distance to the end. So a message takes one
    gather and one reduction per `SPAN` bytes instead of one step per byte.
    """
    tables = _tables()
    register = 0xFFFFFFFF
    if len(data) < _SHORT:
        for byte in data:
            register = tables.byte[(register ^ byte) & 0xFF] ^ (register >> 8)
        return register ^ 0xFFFFFFFF
    start = 0
    while start < len(data):
        # No piece may be shorter than the register, so the last two share what is left.
        left = len(data) - start
        size = left if left <= SPAN else min(SPAN, left - 4)
        index = np.frombuffer(data, dtype=np.uint8, count=size, offset=start) + tables.offset[SPAN - size :]
        for i in range(4):
            index[i] ^= (register >> (8 * i)) & 0xFF
        register = int(np.bitwise_xor.reduce(tables.position.take(index)))
        start += size
    return register ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as TFRecord files store it: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: str | Path, *, block: int = BLOCK) -> Iterator[bytes]:
    """Yield the payloads of a TFRecord file in order, each one checked.

    Memory: one block plus the longest record.

    Args:
        path: The file.
        block: Bytes read at once.

    Raises:
        DataError: The file is missing, empty, cut, or a checksum differs; the message has record and byte.
    """
    file = Path(path)
    try:
        with open(file, "rb") as stream:
            buffer, at, base, number = stream.read(block), 0, 0, 0
            if not buffer:
                raise DataError(f"{file} is empty: get the file anew.")
            while at < len(buffer):
                number += 1
                place = f"{file}, record {number} at byte {base + at:,}"
                size = _HEADER
                for part in ("header", "whole"):
                    missing = at + size - len(buffer)
                    if missing > 0:
                        buffer = buffer[at:] + stream.read(max(block, missing))
                        base, at = base + at, 0
                        if len(buffer) < size:
                            raise DataError(f"{place} is cut ({len(buffer):,} of {size:,} bytes): get the file anew.")
                    if part == "header":
                        size += _payload_size(buffer, at, number, place) + _CRC.size
                payload = buffer[at + _HEADER : at + size - _CRC.size]
                if _CRC.unpack_from(buffer, at + size - _CRC.size)[0] != masked_crc32c(payload):
                    raise DataError(f"{place} does not match its checksum: get the file anew.")
                yield payload
                at += size
                if at == len(buffer):
                    buffer, base, at = stream.read(block), base + at, 0
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error


def _payload_size(buffer: bytes, at: int, number: int, place: str) -> int:
    """Return the length that a record's header states, checked."""
    head = buffer[at : at + _LENGTH.size]
    (length,) = _LENGTH.unpack(head)
    if _CRC.unpack_from(buffer, at + _LENGTH.size)[0] != masked_crc32c(head):
        if number == 1:
            raise DataError(f"{place}: the length does not match its checksum, so this is no TFRecord file.")
        raise DataError(f"{place}: the length does not match its checksum: get the file anew.")
    if length > MAX_PAYLOAD:
        raise DataError(f"{place} claims {length:,} bytes, more than the {MAX_PAYLOAD:,} this reader takes.")
    return int(length)


#: Number of a field and its value: int (wire type 0), float (1 and 5) or bytes (2).
Field = tuple[int, int | float | bytes]
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


def read_message(message: bytes) -> list[Field]:
    """Return the fields of a protobuf message in order, by their wire types alone.

    Fixed-width fields are taken as floating point, which is what these messages hold; length-delimited ones
    stay bytes, be they strings or nested messages.

    Raises:
        DataError: The message is cut or uses a wire type that does not exist any more.
    """
    fields: list[Field] = []
    at, end = 0, len(message)
    try:
        while at < end:
            tag, at = _varint(message, at)
            number, wire = tag >> 3, tag & 7
            if wire == 1:
                fields.append((number, _DOUBLE.unpack_from(message, at)[0]))
                at += 8
            elif wire == 2:
                length, at = _varint(message, at)
                if at + length > end:
                    raise IndexError
                fields.append((number, message[at : at + length]))
                at += length
            elif wire == 0:
                value, at = _varint(message, at)
                fields.append((number, value))
            elif wire == 5:
                fields.append((number, _FLOAT.unpack_from(message, at)[0]))
                at += 4
            else:
                raise DataError(f"protobuf field {number} has wire type {wire}, expected 0, 1, 2 or 5.")
    except (IndexError, struct.error) as error:
        raise DataError(f"a protobuf message of {end} bytes is cut.") from error
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the base-128 integer at `at` and the place behind it."""
    byte = message[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at + 1
