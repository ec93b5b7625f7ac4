"""Made-up latency tables: each block's time is a function of its name, so that tests can add them up by hand."""

import json
import zlib

from smemnas.bench.benchmarks.latency.table import content_digest
from smemnas.bench.benchmarks.latency.terms import group_of, sum_of
from smemnas.bench.provenance import processor

OVERHEAD = 0.25


def made_up(key):
    """Return the time of a block: between 0.1 and 1.1 ms."""
    return 0.1 + (zlib.crc32(key.encode()) % 1000) / 1000


def content(space, *, machine=None, **changes):
    """Return a whole table for a space, its checksum with it."""
    form = sum_of(space)
    groups = {key: group_of(key) for key in form.keys}
    found = {
        "format": "smemnas-latency",
        "version": 1,
        "space": form.shape,
        "machine": {
            "processor": processor(),
            "system": "Linux",
            "runtime": "onnxruntime",
            "runtime_version": "1.0",
            "threads": 1,
            "batch": 1,
        }
        | (machine or {}),
        "protocol": {},
        "blocks": {key: {"ms": made_up(key), "spread": 0.01, "rounds": 5} for key in form.keys},
        "groups": groups,
        "scale": dict.fromkeys(groups.values(), 1.0),
        "overhead": OVERHEAD,
        "fitted": [],
    } | changes
    return found | {"sha256": content_digest(found)}


def write(path, found):
    path.write_text(json.dumps(found))
    return path


def table_file(folder, space, **changes):
    """Write a table for a space."""
    return write(folder / f"{space.name}.json", content(space, **changes))
