"""Makes the tables of the package from installed ones: `python -m smemnas.bench.data.pack` (for developers).

Fetch the originals first (`data fetch NAME --original`); then every table of `TABLES` is packed without the columns
that only rankings of surrogates use, read back, and compared bit for bit. The header keeps the checksum of every
column that the recipe makes, so the same originals give the same numbers on any machine.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data.in_package import PACKAGED, pack, unpack
from smemnas.bench.data.recipe import find
from smemnas.bench.errors import DataError

#: What is packed, by its recipe.
TABLES = ("nb201-cifar10", "nb201-cifar100", "macro-cifar10", "nats_sss-cifar10")
#: A file of the package may have so many bytes.
LIMIT = 1 << 20
#: Columns of this role stay out: nothing searches or reports them.
LEFT_OUT = "proxy"


def pack_table(table: Table, folder: Path) -> int:
    """Write the two files of a table.

    Args:
        table: As its recipe makes it, all optional parts included.
        folder: Where to write.

    Returns:
        Bytes written.

    Raises:
        DataError: A column is not of 64-bit numbers, does not come back bit for bit, or a file is too large.
    """
    stem = folder / str(table.header["name"]).replace("/", "-")
    content, places, opened = b"", {}, searched(table)
    for name, entry in sorted(table.columns.items()):
        if entry["role"] == LEFT_OUT:
            continue
        values = np.asarray(table.column(name))
        if values.dtype != np.float64:
            raise DataError(f"{table.header['name']}, column {name}: expected 64-bit numbers, got {values.dtype}.")
        parts = pack(values)
        if name in opened and sum(map(len, parts)) > values.nbytes // 8:
            parts = [values.astype("<f8").tobytes()]  # much to unpack, little saved: a wheel is compressed anyway
        elif name in opened:  # which number is where takes longest to unpack: it is laid down as it is
            parts = [*parts[:8], *(zlib.compress(zlib.decompress(part), 0) for part in parts[8:])]
        if unpack(parts).tobytes() != values.tobytes():
            raise DataError(f"{table.header['name']}, column {name}: packing loses something.")
        places[name] = {"offset": len(content), "sizes": [len(p) for p in parts], "shape": list(values.shape)}
        content += b"".join(parts)
    about = json.dumps({"header": table.header, "columns": places}, indent=1, sort_keys=True).encode() + b"\n"
    if max(len(content), len(about)) >= LIMIT:
        raise DataError(f"{table.header['name']}: a file of {len(content):,} bytes, at most {LIMIT:,} are allowed.")
    stem.with_suffix(".bin").write_bytes(content)
    stem.with_suffix(".json").write_bytes(about)
    return len(content) + len(about)


def searched(table: Table) -> set[str]:
    """Return the columns that a search with default objectives opens: these must open fast."""
    aliases = table.header.get("aliases", {})
    return {aliases.get(name, name) for name in table.header["default_objectives"]}


def main() -> None:
    """Pack all tables of the package from this machine's installed ones."""
    for name in TABLES:
        table = Table(table_folder(find(name).table))
        print(f"{table.header['name']}: {pack_table(table, PACKAGED):,} bytes")


if __name__ == "__main__":
    main()
