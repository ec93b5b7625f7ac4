"""Objectives are chosen by one rule, whoever measures them."""

import numpy as np
import pytest
from conftest import ROOT

from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.bench.benchmarks.predictor import Predictor, PredictorBenchmark
from smemnas.bench.benchmarks.table import write_table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.data.toy import open_toy
from smemnas.bench.errors import UserError
from smemnas.spaces.base import Objective
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.toy import Toy

KNOWN = {name: Objective(name, "%", name == "flops") for name in ("val_error", "latency", "flops")}


def choose(*wanted):
    found = choose_objectives(
        "a/b", wanted, KNOWN, default=("error", "flops"), aliases={"error": "val_error"}, tested=("test_error",)
    )
    return [o.name for o in found]


def table(tmp_path):
    """The toy space's error as a table with two splits."""
    X = Toy().enumerate()
    describe = {
        "val_error": {"unit": "%", "split": "validation", "role": "objective", "report": "test_error"},
        "test_error": {"unit": "%", "split": "test", "role": "report"},
    }
    header = {"name": "toy/t", "space": "toy", "dataset": "t", "index": "grid"}
    chosen = {"default_objectives": ["val_error", "flops"], "aliases": {"error": "val_error"}}
    values = {name: np.arange(len(X), dtype=np.float64) for name in describe}
    return write_table(tmp_path / "t", values, describe=describe, **header, **chosen)


def test_names_aliases_and_the_default_keep_their_order():
    assert choose() == ["val_error", "flops"]
    assert choose("flops", "error") == ["flops", "val_error"]
    assert choose("latency") == ["latency"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("error", "error"), "every objective can be named once, got val_error,val_error."),
        (("error", "val_error"), "every objective can be named once, got val_error,val_error."),
        (("flops", "latency", "flops"), "every objective can be named once, got flops,latency,flops."),
        (("test_error",), "'test_error' is the test split, which is reported and never searched. "
         "Search on one of: flops, latency, val_error."),
        (("flop",), "a/b has no objective 'flop'. Did you mean 'flops'? Known: error, flops, latency, val_error."),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused(wanted, message):
    with pytest.raises(UserError) as error:
        choose(*wanted)
    assert str(error.value) == message


def test_every_kind_of_benchmark_chooses_by_it(tmp_path):
    none = Predictor((np.zeros((1, 128)),), (np.zeros(1),), 0.0)
    for open_ in (
        open_toy,
        lambda names: TabularBenchmark(Toy(), table(tmp_path), names),
        lambda names: PredictorBenchmark(MNV3(), none, names, dataset="x"),
    ):
        with pytest.raises(UserError, match="every objective can be named once"):
            open_(("error", "flops", "error"))
        with pytest.raises(UserError, match=r"/\S+ has no objective 'flopps'\. Did you mean 'flops'"):
            open_(("flopps",))
    searched = TabularBenchmark(Toy(), table(tmp_path), ("flops", "error"))
    assert ([o.name for o in searched.objectives], searched.report_names) == (
        ["flops", "val_error"],
        ("flops", "test_error"),
    )
    with pytest.raises(UserError, match="'test_error' is the test split"):
        TabularBenchmark(Toy(), table(tmp_path), ("test_error",))


def test_no_other_module_words_these_refusals():
    words = ("can be named once", "reported and never searched", "has no objective {name!r}.")
    homes = {
        path.name: word
        for path in (ROOT / "bench").rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    }
    assert set(homes) == {"objectives.py"}
