"""TFRecord and protobuf reading: known answers, an independent bit-by-bit checksum, damaged files."""

import struct

import numpy as np
import pytest

from smemnas.bench.data.tfrecord import SPAN, crc32c, masked_crc32c, read_message, read_records
from smemnas.bench.errors import DataError


def crc_bit_by_bit(data):
    """The definition: polynomial division, one bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def mask(crc):
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def record(payload):
    head = struct.pack("<Q", len(payload))
    return (
        head
        + struct.pack("<I", mask(crc_bit_by_bit(head)))
        + payload
        + struct.pack("<I", mask(crc_bit_by_bit(payload)))
    )


PAYLOADS = [b"first", b"", bytes(range(256)) * 3, b"x" * 5, np.random.default_rng(0).bytes(3000), b"last"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.tfrecord"
    path.write_bytes(b"".join(map(record, PAYLOADS)))
    return path


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (
            bytes.fromhex(
                "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000"
            ),
            0xD9963A56,
        ),
        (b"123456789", 0xE3069283),  # the check value of the CRC catalogue
        (b"", 0),
    ],
)
def test_crc32c_known_answers(data, crc):
    assert crc32c(data) == crc
    assert crc_bit_by_bit(data) == crc


def test_crc32c_equals_the_definition_at_every_length():
    data = np.random.default_rng(1).bytes(3 * SPAN)
    near_span = [k * SPAN + d for k in (1, 2) for d in range(-5, 6)]
    for length in [*range(70), *near_span, 3 * SPAN]:
        assert crc32c(data[:length]) == crc_bit_by_bit(data[:length]), length


def test_masking():
    for data in (b"", b"a", bytes(100)):
        assert masked_crc32c(data) == mask(crc_bit_by_bit(data))


@pytest.mark.parametrize("block", [1, 7, 100, 4096, 1 << 22])
def test_records_come_back_whatever_the_block(file, block):
    assert list(read_records(file, block=block)) == PAYLOADS


def test_every_cut_is_noticed(file):
    whole = file.read_bytes()
    ends = np.cumsum([0] + [len(record(p)) for p in PAYLOADS])
    for size in [1, 11, 12, 13, 20, 21, 40, len(whole) // 2, len(whole) - 1]:
        file.write_bytes(whole[:size])
        number = int(np.searchsorted(ends, size, side="right"))
        if size == ends[number - 1]:
            assert list(read_records(file)) == PAYLOADS[: number - 1]
            continue
        with pytest.raises(DataError, match=rf"record {number} at byte {ends[number - 1]:,} is cut"):
            list(read_records(file, block=16))


@pytest.mark.parametrize("block", [16, 1 << 22])
def test_every_flipped_bit_is_noticed(file, block):
    whole = bytearray(file.read_bytes())
    ends = np.cumsum([0] + [len(record(p)) for p in PAYLOADS])
    for at in [0, 7, 8, 11, 12, 16, 17, 20, 30, 60, 400, 900, 2000, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        file.write_bytes(damaged)
        number = int(np.searchsorted(ends, at, side="right"))
        with pytest.raises(DataError, match=rf"record {number} at byte .* checksum"):
            list(read_records(file, block=block))


def test_an_enormous_length_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "f"
    head = struct.pack("<Q", 1 << 40)
    path.write_bytes(head + struct.pack("<I", mask(crc_bit_by_bit(head))) + b"abc")
    with pytest.raises(DataError, match="claims 1,099,511,627,776 bytes"):
        list(read_records(path))


def test_empty_missing_and_foreign_files(tmp_path):
    path = tmp_path / "f"
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_records(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        list(read_records(path))
    path.write_bytes(b"<!DOCTYPE html><html>Not Found</html>")
    with pytest.raises(DataError, match="no TFRecord file"):
        list(read_records(path))


def test_messages():
    # Wire format by hand (protobuf encoding guide): varint 150, a double, a string, a float, two-byte tag.
    message = (
        b"\x08\x96\x01"
        + b"\x11"
        + struct.pack("<d", 0.25)
        + b"\x1a\x07testing"
        + b"\x25"
        + struct.pack("<f", 1.5)
        + b"\x80\x01\x05"
    )
    assert read_message(message) == [(1, 150), (2, 0.25), (3, b"testing"), (4, 1.5), (16, 5)]
    assert read_message(b"") == []
    assert read_message(b"\x0a\x03" + message[:3]) == [(1, message[:3])]
    for size in (1, 2, 5, 11, 14, 20, 23, 25, 28):
        with pytest.raises(DataError, match="is cut"):
            read_message(message[:size])
    with pytest.raises(DataError, match="wire type 3"):
        read_message(b"\x0b")
