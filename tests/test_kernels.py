"""Logs do not depend on the instructions that sums are made with: a small form of `python -m tests.kernels`."""

import json
import os
import subprocess
import sys

import pytest
from kernels.runs import Search, logs_under, parts_at, variants
from kernels.ways import Way, dispatched, possible, processor, ways

from smemnas.methods.base import METHODS

#: Their logs part on other kernels: what they train or call is not ours to round. See docs/reproducibility.md.
PARTING = ("csea",)


def test_small_searches_have_the_same_logs_under_the_newest_and_the_oldest_kernels():
    here = possible()
    if len(here) < 2:
        pytest.skip(f"needs an x86 processor with one of {', '.join(way.name for way in ways())}")
    searches = [
        Search("smemnas/best", "nb201", 0, 40),
        Search("nsga2", "nb201", 0, 60),
        Search("parego", "mnv3", 0, 30),
        Search("bananas", "nb201", 0, 21, {"epochs": 60}),
    ]
    newest, oldest = (logs_under(way, searches) for way in (here[0], here[-1]))
    assert [len(log) for log in newest] == [40, 60, 30, 21]
    for search, one, other in zip(searches, newest, oldest, strict=True):
        assert parts_at(one, other) is None, search


@pytest.mark.long
@pytest.mark.parametrize("method", sorted(set(METHODS.names()) - set(PARTING)))
def test_every_method_has_the_same_logs_under_all_kernels(method):
    pytest.importorskip(METHODS.get(method).factory.needs or "numpy", reason="needs optuna: pip install -e '.[optuna]'")
    searches = [Search(method, s, seed, 60, p) for s in ("nb201", "mnv3") for p in variants(method) for seed in (0, 1)]
    first, *others = [logs_under(way, searches) for way in possible()]
    for way, logs in zip(possible()[1:], others, strict=True):
        for search, one, other in zip(searches, first, logs, strict=True):
            assert parts_at(one, other) is None, (way.name, search)


def test_the_instrument_sees_where_logs_part():
    assert parts_at(["a", "b"], ["a", "b"]) is None
    assert parts_at(["a", "b"], ["a", "c"]) == 2
    assert parts_at(["a", "b"], ["a"]) == 2
    assert parts_at([], ["a"]) == 1


def test_the_ways_ask_for_what_they_use():
    names = {way.name: way for way in ways()}
    assert names["skylakex"].needs[0] == "avx512f"
    assert {way.name for way in possible()} <= set(names)
    assert "haswell" in names
    assert isinstance(names["oldest"], Way)
    assert [variants("random"), variants("smemnas")] == [[{}], [{}, {"encoding": "recommended"}]]
    assert variants("smemnas/best") == [{}]
    assert variants("csea")[0] == {"initial": 20}
    assert variants("smemnas/paper") == [{"initial": 20}, {"initial": 20, "encoding": "recommended"}]


def test_a_process_names_the_kernels_it_computes_with():
    """What `job.json` records is what the variables of this process ask for."""
    if "sse4_2" not in processor():
        pytest.skip("needs an x86 processor with SSE 4.2, for which OpenBLAS has the kernels Nehalem")
    groups = " ".join(dispatched())
    code = "from smemnas.bench.provenance import environment; import json; print(json.dumps(environment()))"
    env = {**os.environ, "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": groups}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    named = json.loads(done.stdout)
    if "openblas" not in named["blas"]:
        pytest.skip(f"needs a NumPy with OpenBLAS, this one has {named['blas'] or 'none that is known'}")
    assert named["blas"] == "openblas Nehalem"
    assert named["simd"] == ""
    assert named["processor"]
