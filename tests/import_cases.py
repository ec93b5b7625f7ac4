"""Shared by the tests of imported tables: toy architectures with random values, as a CSV file and imported."""

import csv

import numpy as np

from smemnas.bench.data.user import import_table
from smemnas.spaces.toy import Toy


def toy_rows(n=5, seed=0):
    space = Toy()
    X = space.enumerate()[np.random.default_rng(seed).choice(space.size, n, replace=False)]
    rng = np.random.default_rng(seed + 1)
    return X, [
        {"arch": space.to_str(x), "val": v, "test": t, "ms": m}
        for x, v, t, m in zip(X, rng.uniform(50, 90, n), rng.uniform(50, 90, n), rng.uniform(1, 9, n), strict=True)
    ]


def save_csv(path, rows):
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def bring_in(path, **changes):
    arguments = {"accuracies": ("val:validation", "test:test"), "metrics": ("ms:ms",), **changes}
    return import_table(path, "toy", "mine", **arguments)
