"""Numbers without a unit, empty sets, and hypervolumes that are approximated because exact ones take too long."""

from __future__ import annotations

import json
import resource
import time

import numpy as np
import pytest

from smemnas.bench.metrics import volume
from smemnas.bench.metrics.indicators import (
    epsilon,
    hypervolume_regret,
    hypervolumes,
    igd_plus,
    median_attainment,
    nondominated,
    regret_curve,
)


def sphere(n, n_obj, seed=0):
    """Points ``(n, n_obj)`` of which none dominates another."""
    P = np.abs(np.random.default_rng(seed).standard_normal((n, n_obj)))
    return 1.0 - P / np.linalg.norm(P, axis=1, keepdims=True)


# ---- units ----

FRONTS = {
    "one objective": [[2.5]],
    "one objective, small": [[0.025]],
    "two": [[1.0, 9.0], [4.0, 2.0]],
    "two, one point": [[0.3, 7.0]],
    "three, one that does not vary": [[1.0, 9.0, 0.5], [4.0, 2.0, 0.5], [2.0, 5.0, 0.5]],
    "three, negative": [[-1.0, 9.0, -0.5], [-4.0, 12.0, -0.5]],
    "three, one point": [[0.1, 0.2, 0.3]],
}


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
@pytest.mark.parametrize("unit", [0.001, 0.01, 7.0, 1e6])
def test_no_indicator_depends_on_a_unit(front, unit):
    front = np.array(front)
    rng = np.random.default_rng(1)
    F = front[rng.integers(len(front), size=40)] + np.abs(front).max(axis=0) * 0.2 * rng.random((40, front.shape[1]))
    units = np.array([unit, 1.0 / unit, 3.0 * unit])[: front.shape[1]]
    for measure in (hypervolume_regret, igd_plus, epsilon):
        assert measure(F * units, front * units) == pytest.approx(measure(F, front), rel=1e-9, abs=1e-12)
    at = np.arange(1, 41)
    curve = regret_curve(F, front, at)
    np.testing.assert_allclose(regret_curve(F * units, front * units, at), curve, rtol=1e-9, atol=1e-12)
    assert 0.0 < curve[-1] < 1.0


def test_percent_and_fraction_give_the_same_regret():
    """The case in which the unit was seen: .124 in percent and .010 as a fraction for the same runs."""
    best, found = np.array([[8.0]]), np.array([[9.0]])
    assert hypervolume_regret(found, best) == pytest.approx(1 - (1.1 - 1 / 8) / 1.1)
    assert hypervolume_regret(found / 100, best / 100) == pytest.approx(1 - (1.1 - 1 / 8) / 1.1)


def test_a_front_of_zeros_has_no_scale_and_keeps_its_unit():
    assert hypervolume_regret(np.array([[0.55]]), np.array([[0.0]])) == pytest.approx(0.5)


# ---- empty sets ----


def test_sets_without_a_finite_row_reach_no_compiled_code():
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    for F in (np.empty((0, 2)), np.full((3, 2), np.inf), np.full((3, 2), np.nan)):
        assert hypervolume_regret(F, front) == 1.0
        assert igd_plus(F, front) == np.inf == epsilon(F, front)
        assert not nondominated(F).any()
        np.testing.assert_array_equal(regret_curve(F, front, np.arange(1, 4)), 1.0)
        assert median_attainment([F]).shape == (0, 2)
        assert median_attainment([F, F]).shape == (0, 2)
    assert median_attainment([]).shape == (0, 2)


def test_a_run_without_a_feasible_point_attains_nothing():
    """Half of all runs must attain a point, those that found nothing among them."""
    none, low, high = np.full((2, 2), np.inf), np.array([[1.0, 1.0]]), np.array([[2.0, 2.0]])
    assert median_attainment([low, high]).tolist() == [[1.0, 1.0]]  # one of two
    assert median_attainment([low, none]).tolist() == [[1.0, 1.0]]
    assert median_attainment([low, high, none]).tolist() == [[2.0, 2.0]]  # two of three
    assert median_attainment([low, high, none, none]).tolist() == [[2.0, 2.0]]
    assert median_attainment([low, none, none]).shape == (0, 2)


# ---- approximation ----


@pytest.mark.parametrize("n_obj", [2, 3, 5, 6, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_approximation_is_near_the_exact_volume(n_obj, seed):
    from moocore import hypervolume

    P = sphere(60, n_obj, seed)
    few = P[:15]
    reference = np.full(n_obj, 1.1)
    exact, part = hypervolume(P, ref=reference), hypervolume(few, ref=reference)
    assert volume.approximate(P, 1.1) == pytest.approx(exact, rel=0.01)
    regret = 1.0 - volume.approximate(few, 1.1) / volume.approximate(P, 1.1)
    assert regret == pytest.approx(1.0 - part / exact, abs=0.005)


def test_the_approximation_of_a_box_is_its_volume():
    point = np.array([[0.1, 0.4, 0.6]])
    assert volume.approximate(point, 1.1) == pytest.approx(1.0 * 0.7 * 0.5, rel=0.002)
    assert volume.approximate(np.array([[1.2, 0.0, 0.0]]), 1.1) == 0.0


def test_what_is_approximated_depends_on_numbers_of_points_and_objectives_alone():
    for n_obj in range(1, 6):
        assert not volume.is_costly(100_000, n_obj)
    limits = [max(n for n in range(1, 600) if not volume.is_costly(n, n_obj)) for n_obj in (6, 7, 8, 9, 12, 14, 30)]
    assert limits == [500, 170, 85, 50, 23, 16, 16]


def test_a_costly_front_is_approximated_and_its_curve_ends_at_the_regret():
    front = sphere(200, 9)
    F = sphere(80, 9, seed=5) + 0.02
    mine, whole, rough = hypervolumes(F, front)
    assert rough
    assert 0.0 < mine < whole
    curve = regret_curve(F, front, np.arange(1, 81))
    assert (np.diff(curve) <= 0.0).all()
    assert curve[-1] == hypervolume_regret(F, front) == pytest.approx(1.0 - mine / whole, abs=1e-15)
    assert hypervolume_regret(front, front) == 0.0
    assert hypervolumes(F, front) == hypervolumes(F, front)


def test_cheap_ones_of_many_objectives_are_exact():
    from moocore import hypervolume

    front, F = sphere(20, 8), sphere(12, 8, seed=5) + 0.02
    mine, whole, rough = hypervolumes(F, front)
    assert not rough
    span = front.max(axis=0) - front.min(axis=0)
    assert mine == hypervolume((F - front.min(axis=0)) / span, ref=np.full(8, 1.1))
    curve = regret_curve(F, front, np.arange(1, 13))
    assert curve[-1] == pytest.approx(1.0 - mine / whole, abs=1e-12)


def test_many_points_of_many_objectives_take_seconds():
    """500 points of 12 objectives take hours exactly."""
    front, F = sphere(500, 12), sphere(300, 12, seed=1)
    start = time.process_time()
    curve = regret_curve(F, front, np.arange(1, 301))
    assert time.process_time() - start < 30.0
    assert 0.0 < curve[-1] < curve[0] < 1.0


TWELVE = (
    "params,flops,error,error_analog,error_analog_drift_1d,error_analog_drift_1h,error_analog_drift_30d,"
    "error_analog_drift_60s,error_drift_1d,error_drift_1h,error_drift_30d,error_drift_60s"
)


def test_a_run_of_twelve_objectives_ends_and_says_what_is_approximated(cli, tmp_path):
    out = tmp_path / "run"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = cli(
        *(
            "run",
            "--method",
            "random",
            "--space",
            "nb201",
            "--dataset",
            "analog",
            "--objectives",
            TWELVE,
            "--budget",
            100,
            "--out",
            out,
        )
    )
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60.0
    assert done.returncode == 0, done.stderr
    assert "are approximated" in done.stdout
    summary = json.loads((out / "summary.json").read_text())
    assert summary["hypervolume_approximated"] is True
    assert 0.3 < summary["hypervolume_regret"] < 0.5
    assert len((out / "front.csv").read_text().splitlines()) == summary["front_size"] + 1


def test_what_was_found_is_written_before_the_indicators(tmp_path, monkeypatch):
    from smemnas.bench.benchmarks.function import CallableBenchmark
    from smemnas.bench.report.run import write_report
    from smemnas.bench.runs.job import make_job
    from smemnas.bench.runs.run import run

    job, bench = make_job("random", "toy", budget=20)
    result = run(job, tmp_path, benchmark=bench)

    def killed(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(CallableBenchmark, "reference", killed)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, result, bench)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["evaluations"], summary["front_size"]) == (
        20,
        len((tmp_path / "front.csv").read_text().splitlines()) - 1,
    )
    assert "hypervolume" not in summary
