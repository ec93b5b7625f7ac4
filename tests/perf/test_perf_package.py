"""Speed of the tables of the package: opened as fast as the same tables in a folder of their own."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clock import ratio

from smemnas.bench.benchmarks.table import Table, write_table
from smemnas.bench.data.in_package import PackagedTable, packaged

TIMES = 20


@pytest.mark.parametrize("name", sorted(packaged()))
def test_a_packaged_table_opens_as_fast_as_an_installed_one(benchmark, name, tmp_path):
    """Header and the searched column with their checksums; beside it the same from memory-mapped files."""
    ours = PackagedTable(name)
    column = ours.header.get("aliases", {}).get("error", "error")
    about = {key: value for key, value in ours.header.items() if key not in ("columns", "format", "n_rows", "sha256")}
    values = {key: np.array(ours.column(key)) for key in ours.columns}
    write_table(tmp_path / "t", values, describe=ours.columns, **about)

    def opened(make):
        for _ in range(TIMES):
            values = make().column(column)
        return values

    assert opened(lambda: Table(tmp_path / "t")).tobytes() == opened(lambda: PackagedTable(name)).tobytes()
    benchmark.pedantic(opened, args=(lambda: PackagedTable(name),), rounds=5)

    def installed():
        return opened(lambda: Table(tmp_path / "t"))

    # a round takes some 15 ms: nine are over within one hiccup of a machine
    times = ratio(lambda: opened(lambda: PackagedTable(name)), installed, rounds=41, limit=1.2)
    benchmark.extra_info.update(ratio=times)
    assert times < 1.2
