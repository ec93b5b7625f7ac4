"""What the recipes' tables hold, pinned: whoever makes one gets these values, whatever the machine.

A table's own checksums say that nothing was damaged since it was written; these say that it was written right. A
recipe whose numbers come out of matrix products, which differ in the last bits between processors, is not pinned.
"""

from __future__ import annotations

import hashlib

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data.in_package import packaged, whole_identity

#: Table to the version of its recipe and the digest of its columns.
CONTENT = {
    "macro/cifar10": (1, "482d576bfd3014ac08f513ff4ec0e87bd247802dcdfb036c06e8de6a764db80c"),
    "mnv3/imagenet": (1, "e8377a3070c0c52c37ee8cca77efc2e139f4fdb8d2de141674b982747b580e0d"),
    "nats_sss/cifar10": (1, "4d2a9cee283745efc50e7788c22c652c6a434c9c8dfbc4e7b3e10f2fae8503df"),
    "nb201/analog": (2, "e0ccbc3c8ccea77f28c67a03ca61626613923cf2fc5a6788e113069c74e845b7"),
    "nb201/cifar10": (1, "53416e736f1fedef99598ece87f12f60ce82c1a9a8d956305878315f9e7dbea1"),
    "nb201/cifar100": (1, "82f5bf133cf4059154ebdb49747f8186b52c686bce96d0ee70e77d4a5d16d77b"),
}


def content_digest(table: Table) -> str:
    """Return the digest of a table's columns, whatever else its header says; of a packaged one, of the whole table."""
    lines = (f"{name} {entry['sha256']}\n" for name, entry in sorted(table.header["columns"].items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_pinned_content(table: Table) -> bool:
    """Whether a table holds what its recipe makes; one that is not pinned may hold anything."""
    if "lacks" in table.header:  # compared column by column with the table in the package, where that is one
        return str(table.header.get("name")) not in packaged() or whole_identity(table) != table.sha256
    pinned = CONTENT.get(str(table.header.get("name")))
    return pinned is None or table.header.get("recipe_version") != pinned[0] or content_digest(table) == pinned[1]
