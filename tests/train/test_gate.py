"""The gate: networks of one cost, trained with seeds of their own; once."""

import numpy as np
import pytest

from smemnas.bench.errors import RunError, UserError

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
from small_images import one_thread  # noqa: F401

from smemnas.bench.gates import FILE, FIRST_SEED, GateStage, read_gate
from smemnas.bench.train.gate import of_one_cost, run_gate
from smemnas.bench.train.networks.trainable import trainable_space
from smemnas.bench.train.options import open_trained, reseeded
from smemnas.bench.train.results import RESULT

pytestmark = pytest.mark.usefixtures("one_thread")
NAME = "train+digits+tiny+batch=400+channels=1+epochs=1"


@pytest.mark.parametrize("name", ["nats_sss", "nb201", "macro", "mnv3"])
def test_networks_of_a_gate_have_one_cost_and_differ(name):
    size = {"size": 32} if name == "mnv3" else {}
    given = {"resolutions": (32,), "stem": "small", "width": 0.35} if size else {"channels": 2}
    space = trainable_space(name, 10, 32, **given)
    X = of_one_cost(space, "flops", GateStage())
    cost = space.cost(X, "flops")
    assert X.shape[0] == len(np.unique(space.canonical(X))) == 12
    assert np.ptp(cost) <= 0.04 * np.median(cost) * 1.001
    np.testing.assert_array_equal(X, of_one_cost(space, "flops", GateStage()))
    assert (of_one_cost(space, "flops", GateStage(draw=1000)) != X).any()


def test_a_gate_trains_each_network_with_each_seed_and_only_once(tmp_path):
    benchmark = open_trained("nats_sss", NAME, ("error", "flops"))
    benchmark.use_folder(tmp_path)
    steps = []
    gate = run_gate(benchmark, GateStage(networks=2, seeds=2), progress=lambda done, of: steps.append((done, of)))
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(int(f.parent.name.rpartition("seed")[2]) - FIRST_SEED for f in tmp_path.rglob(RESULT)) == [0, 0, 1, 1]
    X = benchmark.space.from_strs(gate.archs)
    for k in range(2):
        np.testing.assert_array_equal(gate.errors[:, k], benchmark.evaluate(X, FIRST_SEED + k).F[:, 0])
    gate.save(tmp_path / FILE)
    again = read_gate(tmp_path / FILE)
    np.testing.assert_array_equal(again.errors, gate.errors)
    assert again.line() == gate.line()
    assert again.archs == gate.archs
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace(gate.archs[0], gate.archs[1], 1))
    with pytest.raises(RunError, match="does not match its checksum"):
        read_gate(tmp_path / FILE)


@pytest.mark.parametrize(
    ("stage", "wanted"),
    [
        (GateStage(networks=1), "networks of the gate must be"),
        (GateStage(seeds=1), "trainings of each network of the gate must be"),
        (GateStage(ratio=-1.0), "the ratio of the gate must be 0 or more"),
    ],
)
def test_a_gate_that_tells_nothing_is_refused(stage, wanted):
    with pytest.raises(UserError, match=wanted):
        stage.check()


def test_a_name_gets_another_training_seed():
    assert reseeded(NAME, 7) == f"{NAME}+training_seed=7"
    assert reseeded(f"{NAME}+training_seed=7", None) == NAME
    assert reseeded(f"{NAME}+training_seed=7", 8) == f"{NAME}+training_seed=8"
