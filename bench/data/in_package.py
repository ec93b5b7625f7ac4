"""Tables that lie in the package itself: exactly the numbers that their recipes make, without a download.

For each there are two files in `embedded/`: `NAME.json` with the header of the table as its recipe writes it, and
where each column lies in `NAME.bin`. Nothing is rounded: a column is the 64-bit patterns of its values as integers,
and what comes out has the checksum of the recipe's own column file, which is compared whenever a column is read. The
package may leave out columns that no search needs (zero-cost proxies). As header and checksum are those of the whole
table, a run knows no difference. `bench.data.pack` makes the files; NOTICE beside them says whose numbers these are.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.table import FORMAT, Table, header_digest
from smemnas.bench.errors import DataError

PACKAGED = Path(__file__).parent / "embedded"
REINSTALL = "the installation of smemnas is damaged, install it again."


class PackagedTable(Table):
    """A read-only table of the package; columns are unpacked when they are asked for.

    Args:
        name: "space/dataset".

    Raises:
        DataError: Its files are damaged.
    """

    def __init__(self, name: str) -> None:
        self._stem = PACKAGED / name.replace("/", "-")
        self._places: dict[str, dict[str, Any]] = {}
        super().__init__(PACKAGED)

    def _read_header(self) -> dict[str, Any]:
        """Return the header of the whole table, and note which columns are here."""
        file = self._stem.with_suffix(".json")
        try:
            content = json.loads(file.read_bytes())
            header, self._places = dict(content["header"]), dict(content["columns"])
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror}): {REINSTALL}") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{file} is corrupt: {REINSTALL}") from error
        if header.get("format") != FORMAT or header.get("sha256") != header_digest(header):
            raise DataError(f"{file} does not match its checksum: {REINSTALL}")
        return header

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Description of each column that is in the package."""
        return {name: entry for name, entry in self.header["columns"].items() if name in self._places}

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns of the whole table that are not in the package."""
        return tuple(name for name in self.header["columns"] if name not in self._places)

    @property
    def size(self) -> int:
        """Bytes of its two files."""
        return sum(self._stem.with_suffix(end).stat().st_size for end in (".json", ".bin"))

    def _read_column(self, name: str) -> NDArray[Any]:
        """Unpack a column and compare it with the checksum of the recipe's column file."""
        place, file = self._places[name], self._stem.with_suffix(".bin")
        try:
            with open(file, "rb") as stream:
                stream.seek(place["offset"])
                content = memoryview(stream.read(sum(place["sizes"])))
            ends = list(accumulate(place["sizes"], initial=0))
            values = unpack([content[a:b] for a, b in pairwise(ends)]).reshape(place["shape"])
        except (OSError, ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
            raise DataError(f"{file} cannot be read ({error}): {REINSTALL}") from error
        if column_digest(values) != self.columns[name]["sha256"]:
            raise DataError(f"{file}, column {name}, does not match its checksum: {REINSTALL}")
        values.flags.writeable = False
        return values


@cache
def packaged() -> frozenset[str]:
    """Return the names "space/dataset" of the tables in the package."""
    stems = (file.stem for file in PACKAGED.glob("*.bin"))
    return frozenset(stem.replace("-", "/", 1) for stem in stems)


def whole_identity(table: Table) -> str:
    """Return the checksum that runs on a table record: of the whole table, where this one has a part of its columns.

    A table made without an optional part, such as the proxies, is the packaged table as far as both go.
    """
    name = str(table.header.get("name"))
    if "lacks" not in table.header or name not in packaged():
        return table.sha256
    whole = PackagedTable(name).header
    mine = {key: entry["sha256"] for key, entry in table.columns.items()}
    same = all(mine[key] == whole["columns"].get(key, {}).get("sha256") for key in mine)
    return str(whole["sha256"]) if same else table.sha256


def column_digest(values: NDArray[Any]) -> str:
    """Return the sha256 of the file that `write_table` makes of a column."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(values))
    found = hashlib.sha256(stream.getbuffer())
    found.update(values.data)  # not copied: this is a good part of the time that opening takes
    return found.hexdigest()


def pack(values: NDArray[np.float64]) -> list[bytes]:
    """Compress numbers without loss: their patterns, or where that is shorter the distinct ones and which is where.

    Returns:
        8 parts, one for each byte of the patterns, or 10, with the two bytes of their numbers.
    """
    patterns = np.ascontiguousarray(values).reshape(-1).view(np.int64)
    distinct, codes = np.unique(patterns, return_inverse=True)
    plain = _planes(patterns)
    if len(distinct) > 1 << 16:
        return plain
    coded = _planes(np.diff(distinct, prepend=np.int64(0))) + _planes(codes.reshape(-1).astype(np.uint16))
    return min(plain, coded, key=lambda parts: sum(map(len, parts)))


def unpack(parts: Sequence[bytes | memoryview]) -> NDArray[np.float64]:
    """Return the numbers ``(n,)`` that `pack` was given.

    Raises:
        ValueError: These are no such parts; also zlib.error or IndexError.
    """
    if len(parts) == 1:  # as they are, for what every search reads
        return np.frombuffer(parts[0], dtype="<f8").astype(np.float64, copy=False)
    patterns = _integers(parts[:8], "<i8")
    if len(parts) > 8:
        patterns = np.cumsum(patterns)[_integers(parts[8:], "<u2")]
    return np.asarray(patterns, dtype=np.int64).view(np.float64)


def _planes(integers: NDArray[Any]) -> list[bytes]:
    """Compress integers byte by byte, the first bytes of all of them, then the second: some are regular, some not."""
    little = integers.astype(integers.dtype.newbyteorder("<"), copy=False)
    return [zlib.compress(plane.tobytes(), 9) for plane in little.view(np.uint8).reshape(-1, little.itemsize).T]


def _integers(parts: Sequence[bytes | memoryview], kind: str) -> NDArray[Any]:
    """Return the integers that `_planes` compressed."""
    planes = [np.frombuffer(zlib.decompress(part), dtype=np.uint8) for part in parts]
    mixed = np.empty((len(planes[0]), len(planes)), dtype=np.uint8)
    for k, plane in enumerate(planes):
        if len(plane) != len(mixed):  # one number would be spread over all
            raise ValueError(f"{len(plane)} bytes, expected {len(mixed)}")
        mixed[:, k] = plane
    return mixed.reshape(-1).view(kind)
