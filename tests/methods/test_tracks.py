"""The information tracks: what each method is told."""

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.tracks import TRACKS, track_of
from smemnas.spaces.base import Problem


@pytest.mark.parametrize(
    ("name", "params", "track"),
    [
        ("random", {}, "black-box"),
        ("nsga2", {}, "black-box"),
        ("remo", {}, "black-box"),
        ("remo", {"encoding": "path"}, "expert"),
        ("msunas", {}, "grey-box"),
        ("msunas", {"encoding": "recommended"}, "expert"),
        ("smemnas", {}, "expert"),
        ("smemnas", {"encoding": "onehot"}, "grey-box"),
        ("smemnas", {"encoding": "onehot", "proxies": "all"}, "expert"),
        ("smemnas", {"encoding": "onehot", "merge_isomorphic": True}, "expert"),
        ("smemnas", {"encoding": "auto"}, "expert"),
        ("smemnas", {"encoding": "declared"}, "expert"),
        ("smemnas", {"encoding": "auto-neutral"}, "grey-box"),
        ("smemnas", {"encoding": "int,onehot"}, "grey-box"),
        ("smemnas", {"encoding": "onehot,graph"}, "expert"),
        ("smemnas/paper", {}, "grey-box"),
        ("parego", {}, "expert"),
        ("parego", {"encoding": "int+onehot"}, "black-box"),
        ("bananas", {}, "expert"),
        ("botorch-ehvi", {"encoding": "onehot"}, "grey-box"),
    ],
)
def test_tracks(name, params, track):
    assert track_of(name, params) == track


def test_an_unknown_parameter_is_refused():
    with pytest.raises(UserError, match="encodings"):
        track_of("remo", {"encodings": "int"})


@pytest.mark.parametrize("name", METHODS.names())
def test_who_declares_no_free_costs_reads_none(name, monkeypatch):
    """Black-box methods and experts without free costs never ask the problem for them."""
    factory = METHODS.get(name).factory
    assert track_of(name) in TRACKS
    if factory.uses_free_costs:
        return
    pytest.importorskip(factory.needs or "numpy", reason="needs an extra: pip install -e '.[optuna,botorch]'")

    def read(self, X):
        raise AssertionError(f"{name} reads free costs: set uses_free_costs")

    monkeypatch.setattr(Problem, "cheap_values", read)
    bench = open_benchmark("toy")
    method = METHODS.create(name, bench.problem, budget=20, seed=0)
    told = 0
    while told < 14:
        X = method.ask()
        told += len(X)
        method.tell(X, bench.evaluate(X, 0).F)


def test_the_list_shows_them(call):
    code, out, _ = call("list", "methods")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith("  ")}
    assert code == 0
    assert rows == {name: track_of(name) for name in METHODS.names()}
    assert np.unique(list(rows.values())).tolist() == sorted(TRACKS)
