"""The long form: `python -m tests.kernels` prints for every method and space where logs part from the first way's.

`=` stands for logs that are the same byte for byte in all seeds; `3/5 from 27` for three of five that part, the
earliest at evaluation 27; `-` for a method that the space does not suit. Exit status 1 where one parts.
"""

from __future__ import annotations

import argparse
import sys

from smemnas.methods.base import METHODS

from .runs import Search, logs_under, parts_at, variants
from .ways import possible, ways


def cell(first: list[list[str]], others: list[list[str]]) -> str:
    """Return the text of one cell, from the logs of all seeds under the first way and under another."""
    if not any(first):
        return "-"
    rows = [parts_at(a, b) for a, b in zip(first, others, strict=True)]
    apart = [row for row in rows if row is not None]
    return f"{len(apart)}/{len(rows)} from {min(apart)}" if apart else "="


def main() -> int:
    """Run the searches under every way, row by row of the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("--methods", default=",".join(METHODS.names()), help="names, comma separated")
    parser.add_argument("--spaces", default="nb201,mnv3", help="spaces or space/dataset, comma separated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=60)
    parser.add_argument("--ways", default="", help="names, comma separated; all that this processor has")
    parser.add_argument("--quick", action="store_true", help="leave out the encodings that are not a method's default")
    options = parser.parse_args()
    taken = [way for way in possible() if not options.ways or way.name in options.ways.split(",")]
    missing = [way.name for way in ways() if way not in possible()]
    if missing:
        print(f"not on this processor: {', '.join(missing)}", flush=True)
    print("| method | space | " + " | ".join(way.name for way in taken[1:]) + " |")
    print("|" + "---|" * (len(taken) + 1), flush=True)
    parted = 0
    for method in options.methods.split(","):
        cases = [(s, p) for s in options.spaces.split(",") for p in variants(method)[: 1 if options.quick else None]]
        searches = [Search(method, s, seed, options.budget, p) for s, p in cases for seed in range(options.seeds)]
        logs = [logs_under(way, searches) for way in taken]
        for k, (space, _) in enumerate(cases):
            its = slice(k * options.seeds, (k + 1) * options.seeds)
            cells = [cell(logs[0][its], others[its]) for others in logs[1:]]
            parted += sum("from" in text for text in cells)
            print(f"| {searches[its][0].row} | {space} | " + " | ".join(cells) + " |", flush=True)
    return 1 if parted else 0


if __name__ == "__main__":
    sys.exit(main())
