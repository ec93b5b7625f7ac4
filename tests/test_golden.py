"""Golden runs: what each method asks for on the toy space, committed as data.

A change here changes results: it belongs under "Results changed" in the changelog. Write the files anew with
``python tests/test_golden.py``.
"""

import json
from pathlib import Path

import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.methods.base import METHODS

GOLDEN = Path(__file__).parent / "golden"
EVALUATIONS, SEED = 48, 7
#: Fewer where every proposal takes a good part of a second.
FEWER = {"botorch-ehvi": 20, "smac": 22, "botorch-qnehvi": 20, "optuna-gp": 14}


def asked(name):
    """Architectures in the order in which a method asks for them, each once."""
    bench = open_benchmark("toy")
    method = METHODS.create(name, bench.problem, budget=EVALUATIONS, seed=SEED)
    order, wanted = {}, FEWER.get(name, EVALUATIONS)
    while len(order) < wanted:
        X = method.ask()
        assert len(X), f"{name} stopped after {len(order)} evaluations"
        for x in X:
            order.setdefault(bench.space.to_str(x))
        method.tell(X, bench.evaluate(X, SEED).F)
    return list(order)[:wanted]


def file_of(name):
    return GOLDEN / f"{name.replace('/', '-')}.json"


@pytest.mark.parametrize("name", METHODS.names())
def test_method_asks_for_the_same_as_ever(name):
    why = "needs an extra: pip install -e '.[optuna,botorch]'"
    pytest.importorskip(METHODS.get(name).factory.needs or "numpy", reason=why)
    if name.startswith("optuna"):
        pytest.importorskip("optuna", reason=why)  # optuna-gp names PyTorch, which it needs too
    assert file_of(name).exists(), f"no golden run of {name}: python tests/test_golden.py writes it"
    assert asked(name) == json.loads(file_of(name).read_text())


def test_no_golden_run_is_orphaned():
    known = {file_of(name).name for name in METHODS.names()}
    assert {file.name for file in GOLDEN.glob("*.json")} == known


if __name__ == "__main__":
    for method_name in METHODS.names():
        file_of(method_name).write_text(json.dumps(asked(method_name), indent=0) + "\n")
