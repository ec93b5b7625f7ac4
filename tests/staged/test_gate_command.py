"""A gate by itself: the figures it writes, what a second call and an experiment find of it, what is refused."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
from closed_trainings import closed, true_error  # noqa: F401

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.gates import FIRST_SEED, Gate, GateStage, read_gate
from smemnas.bench.library.gate import GateOptions, gate
from smemnas.bench.library.staged import experiment
from smemnas.bench.library.study import StudyOptions
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.power import chance_to_tell_apart
from smemnas.bench.staged import gate as staged_gate
from smemnas.bench.staged.power import Foreseen

NAME = "train+digits+tiny+batch=400+channels=1+epochs=1"
FORESEEN = Foreseen("SMEM-NAS", "random", "nats_sss/cifar10", 0.5, Interval(1.2, 0.4, 2.0), 0.9, 10, 20)


@pytest.fixture
def foreseen(monkeypatch):
    """Take the simulation's place (test_power looks at it); return what was asked of it."""
    asked = []

    def foresee(*arguments, **options):
        asked.append((arguments, options))
        return (FORESEEN,)

    monkeypatch.setattr(staged_gate, "foresee", foresee)
    return asked


def rows_of(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def test_a_gate_is_trained_written_and_extended(tmp_path, closed, foreseen):  # noqa: F811
    steps = []
    options = GateOptions("nats_sss", NAME, networks=3, seeds=2, runs=10, budget=30, out=tmp_path / "g")
    found = gate(options, progress=lambda done, of: steps.append((done, of)))
    assert [seed for _, seed in closed] == [FIRST_SEED] * 3 + [FIRST_SEED + 1] * 3
    assert (steps[0], steps[-1]) == ((0, 6), (6, 6))
    values = np.array([[float(row["val_error"])] for row in rows_of(tmp_path / "g/trainings.csv")]).reshape(3, 2)
    np.testing.assert_allclose(values, found.gate.errors)
    seed_sd = np.sqrt(np.mean(np.ptp(values, axis=1) ** 2 / 2))  # two values differ by sqrt 2 of their deviation
    architecture_sd = np.sqrt(max(np.var(values.mean(axis=1), ddof=1) - seed_sd**2 / 2, 0.0))
    (row,) = rows_of(tmp_path / "g/gate.csv")
    assert float(row["seed_sd"]) == pytest.approx(seed_sd)
    assert float(row["architecture_sd"]) == pytest.approx(architecture_sd)
    assert float(row["ratio"]) == pytest.approx(architecture_sd / seed_sd)
    assert float(row["ratio_low"]) < float(row["ratio"]) < float(row["ratio_high"])
    assert [row[k] for k in ("space", "networks", "training_seeds", "seeds")] == ["nats_sss", "3", "2", "10"]
    assert [float(row[k]) for k in ("seconds", "d", "power", "noise")] == [2.0, 1.2, 0.9, 0.5]
    assert float(row["told_apart"]) == pytest.approx(chance_to_tell_apart(architecture_sd / seed_sd, 10))
    text = json.loads((tmp_path / "g/gate.json").read_bytes())
    assert text["power"]["told_apart"] == pytest.approx(float(row["told_apart"]))
    assert read_gate(tmp_path / "g/gate.json").line() == found.gate.line() == found.lines()[0]
    arguments, asked = foreseen[0]
    assert arguments[:2] == ("nats_sss", found.gate.components.ratio.value)
    assert [arm.method for arm in arguments[2]] == ["smemnas", "random"]
    assert (asked["budget"], asked["seeds"]) == (30, 10)
    closed.clear()
    assert gate(options).lines() == found.lines()
    assert closed == []
    more = gate(GateOptions("nats_sss", NAME, networks=3, seeds=3, out=tmp_path / "g"))
    assert [seed for _, seed in closed] == [FIRST_SEED + 2] * 3
    np.testing.assert_array_equal(more.gate.errors[:, :2], found.gate.errors)
    with pytest.raises(RunError, match=r"holds the gate of nats_sss/train\+digits.* choose another --out"):
        gate(GateOptions("nats_sss", NAME.replace("epochs=1", "epochs=2"), networks=3, seeds=2, out=tmp_path / "g"))


def test_an_experiment_finds_the_trainings_of_a_gate_and_keeps_its_folder(tmp_path, closed, foreseen, monkeypatch):  # noqa: F811
    from test_stages import written

    monkeypatch.setenv("SMEMNAS_TRAININGS", str(tmp_path / "shared"))
    found = gate(GateOptions("nats_sss", NAME, networks=4, seeds=3, out=tmp_path / "g"))
    closed.clear()
    made = experiment(StudyOptions(plan=written(tmp_path, ratio=1000.0), out=tmp_path / "e"))
    assert closed == []  # 3 of the 4 networks, 2 of the 3 seeds
    np.testing.assert_array_equal(made.found.gate.errors, found.gate.errors[:3, :2])
    (kept,) = (tmp_path / "shared").glob("trained/*/gate.json")  # the larger one stays with the trainings
    assert read_gate(kept).errors.shape == (4, 3)
    assert "power" not in json.loads((tmp_path / "e/gate.json").read_bytes())
    with pytest.raises(RunError, match="is the folder of a registered experiment, not of a gate"):
        gate(GateOptions("nats_sss", NAME, networks=4, seeds=3, out=tmp_path / "e"))
    with pytest.raises(RunError, match="is the folder of a gate, not of a registered experiment"):
        experiment(StudyOptions(plan=written(tmp_path), out=tmp_path / "g"))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (GateOptions("toy", "train+digits+nb201-12"), "space 'toy' describes no networks that can be"),
        (GateOptions("nats_sss", "cifar10"), r"a gate trains: its dataset is train\+DATA\+RECIPE"),
        (GateOptions("nats_sss", f"{NAME}+training_seed=3"), "training_seed belongs to the stages of a gate"),
        (GateOptions("nats_sss", NAME, data="digits"), "leave out --data, --recipe, --train"),
        (GateOptions("nats_sss", NAME, networks=1), "networks of the gate must be"),
        (GateOptions("nats_sss", NAME, runs=0), "--runs must be"),
        (GateOptions("nats_sss", data="digits", recipe="tniy"), "Did you mean 'tiny'"),
    ],
)
def test_what_makes_no_gate_is_refused(tmp_path, monkeypatch, options, wanted):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=wanted):
        gate(options)
    assert not list(tmp_path.iterdir())


def test_without_a_table_the_ratio_alone_says_what_can_be_shown():
    """nb101 has no table in the package; where trainings differ by nothing, every difference is seen."""
    errors = np.array([[10.0, 11.0], [20.0, 21.0], [30.0, 29.0]])
    made = Gate(GateStage(3, 2), {}, "nb101", NAME, "flops", ("a", "b", "c"), np.ones(3), errors, np.ones((3, 2)))
    power = staged_gate.power_of(made, seeds=10, budget=40)
    assert power.foreseen is None
    first, second = power.lines()
    assert first.startswith("power: 10 trainings each tell two networks of one cost apart in ")
    assert f" in {100 * power.told.value:.0f} % of pairs" in first
    assert second.startswith("power of a search: not simulated")
    assert power.entry()["power"] is None
    assert 0.8 < power.told.low < power.told.value < power.told.high <= 1.0


@pytest.mark.parametrize(("ratio", "n"), [(0.5, 10), (2.0, 10), (2.0, 6)])
def test_networks_are_told_apart_as_often_as_in_a_simulation(ratio, n):
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(5)
    true = ratio * rng.standard_normal((2000, 2, 1))
    a, b = (true + rng.standard_normal((2000, 2, n))).transpose(1, 0, 2)
    found = wilcoxon(a - b, axis=1, method="exact").pvalue < 0.05
    right = np.sign((a - b).sum(axis=1)) == np.sign(true[:, 0, 0] - true[:, 1, 0])
    assert chance_to_tell_apart(ratio, n) == pytest.approx(np.mean(found & right), abs=0.03)
    assert np.isnan(chance_to_tell_apart(np.nan, n))
    assert chance_to_tell_apart(np.inf, n) == 1.0
