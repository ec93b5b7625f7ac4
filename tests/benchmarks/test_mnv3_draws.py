"""Draws of mnv3/ofa: their distribution, their digits, and how they are named."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import base_of, open_benchmark
from smemnas.bench.benchmarks.process import Process
from smemnas.bench.benchmarks.process_draw import Draw
from smemnas.bench.checks import benchmarks as checks
from smemnas.bench.data import mnv3_ofa, mnv3_reference
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import hypervolume_regret, nondominated
from smemnas.bench.studies.plan import make_cases, parts_of

DIGEST = "e25f7eaabe7fdd3d62889197d547b10ba53db410530d3097302751ffccbd5b04"


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A data folder of the module's own: the reference front of a draw is searched once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(tmp_path_factory.mktemp("draws")))
        yield


@pytest.fixture(scope="module")
def small():
    """A process on 60 points and 40 places, some of them measured ones."""
    rng = np.random.default_rng(0)
    Z = rng.integers(-300, 300, (60, 3))
    y = 3.0 + np.sin(Z[:, 0] / 90) + Z[:, 1] / 200
    return Process(Z, y, 256, 2.0, 0.01, 3.0, np.zeros(60, dtype=np.int64)), np.vstack(
        [Z[:10], rng.integers(-300, 300, (30, 3))]
    )


def test_functions_of_the_prior_have_the_covariance_of_the_kernel(small):
    process, places = small
    values = np.stack([Draw(process, k).prior(places) for k in range(200)])
    distance = ((places[:, None] - places[None]) ** 2).sum(axis=2) / process.unit**2
    expected = process.signal / (1.0 + distance)
    error = process.signal * np.sqrt(2.0 / 200)  # standard error of a variance, the largest of all entries
    assert np.abs(values.T @ values / 200 - expected).max() < 4 * error
    assert np.abs(values.mean(axis=0)).max() < 4 * np.sqrt(process.signal / 200)


def test_draws_have_the_mean_and_the_deviation_of_the_posterior(small):
    process, places = small
    solved = process.solve(process.values - process.mean)
    mean = Process(*(process.inputs, process.values, 256, 2.0, 0.01, 3.0, solved)).posterior_mean(places)
    deviation = np.sqrt(process.deviation(places) ** 2 - process.noise)
    values = np.stack([Draw(process, k).values(places) for k in range(120)])
    assert np.abs((values.mean(axis=0) - mean) / deviation).max() < 4 / np.sqrt(120)
    np.testing.assert_allclose(values.std(axis=0), deviation, rtol=4 / np.sqrt(240))


def test_no_rounding_is_near_a_tie():
    """The table of cosines is the same whatever last bits a processor's cosine has."""
    steps = 2.0 * np.pi * (np.arange(1 << 14) + 0.5) / (1 << 14)
    units = np.cos(steps) * 2.0**20
    assert np.abs(np.abs(units - np.floor(units)) - 0.5).min() > 1e-4


def test_a_draw_is_another_world_near_the_mean():
    bench, first, second = (open_benchmark("mnv3", name) for name in ("ofa", "ofa+draw=0", "ofa+draw=1"))
    X = bench.space.sample(300, np.random.default_rng(0))
    F = bench.values(X)
    deviation = np.sqrt(bench.deviation(X) ** 2 - mnv3_ofa.CALIBRATION * mnv3_ofa.NOISE)
    for drawn in (first, second):
        G = drawn.values(X)
        assert np.array_equal(G[:, 1], F[:, 1])
        assert 0.7 < np.std((G[:, 0] - F[:, 0]) / deviation) < 1.4
        assert drawn.remarks(X[:2]) == ("", "")
    assert not np.array_equal(first.values(X), second.values(X))
    assert first.provenance()["sha256"] == bench.provenance()["sha256"]
    assert first.provenance()["draw"] == 0
    assert "function 0 drawn" in first.notes[0]
    assert first.dataset == "ofa+draw=0"


@pytest.mark.slow
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_contract(check):
    check(lambda names: open_benchmark("mnv3", "ofa+draw=0", names))


def test_the_reference_is_searched_once_and_kept():
    drawn, mean = open_benchmark("mnv3", "ofa+draw=0"), open_benchmark("mnv3", "ofa")
    front = drawn.reference().front
    file = mnv3_reference.user_file(drawn.space, drawn.dataset)
    assert file.name == "mnv3-ofa+draw=0.csv"
    assert file.read_text().startswith("# sha256 ")
    first = file.read_bytes()
    assert np.array_equal(open_benchmark("mnv3", "ofa+draw=0").reference().front, front)
    assert file.read_bytes() == first
    start = drawn.values(mean.candidates().X)
    assert hypervolume_regret(start, front) > 0.0005  # the search began with what is known of the mean, and went on


@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 3, 4, 5))])
def test_the_networks_of_the_first_draws_come_with_the_package(number, monkeypatch):
    """What a study of five draws is measured by is there at once, and agrees with the draw itself."""
    monkeypatch.setattr(mnv3_ofa, "_searched", lambda dataset: pytest.fail("it is searched"))
    drawn, mean = open_benchmark("mnv3", f"ofa+draw={number}"), open_benchmark("mnv3", "ofa")
    file = mnv3_reference.packaged_file(drawn.space, drawn.dataset)
    lines = list(csv.DictReader(file.read_text().splitlines()[1:]))
    known = drawn.candidates()
    assert len(lines) == len(known.X)
    stated = {row["arch"]: (float(row["error"]), float(row["flops"])) for row in lines}
    found = np.array([stated[drawn.space.to_str(x)] for x in known.X])
    np.testing.assert_allclose(known.F, found, rtol=1e-6)
    assert 0.005 < hypervolume_regret(drawn.values(mean.candidates().X), drawn.reference().front) < 0.06
    assert not mnv3_reference.user_file(drawn.space, drawn.dataset).exists()


@pytest.mark.long
def test_a_packaged_file_is_what_the_search_of_its_draw_finds(tmp_path, monkeypatch):
    drawn = open_benchmark("mnv3", "ofa+draw=3")
    packaged = mnv3_reference.packaged_file(drawn.space, drawn.dataset).read_bytes().replace(b"\r\n", b"\n")
    monkeypatch.setattr(mnv3_ofa, "packaged_file", lambda space, dataset: tmp_path / "none")
    mnv3_ofa.networks_of_draw(drawn)
    found = mnv3_reference.user_file(drawn.space, drawn.dataset).read_bytes()
    assert found.partition(b"\n")[2] == packaged


def test_what_beats_packaged_networks_of_a_draw_joins_them():
    drawn = open_benchmark("mnv3", "ofa+draw=2")
    before = drawn.candidates()
    assert mnv3_reference.improve_reference(drawn, drawn.space.sample(5, np.random.default_rng(0))) == 0
    front = before.X[nondominated(before.F)]
    near = np.unique(np.vstack([mnv3_reference._neighbours(drawn.space, x) for x in front[::40]]), axis=0)
    entered = mnv3_reference.improve_reference(drawn, near)
    assert entered > 0
    assert len(open_benchmark("mnv3", "ofa+draw=2").candidates().X) == len(before.X) + entered


def test_the_same_digits_on_every_processor():
    code = (
        "import hashlib, numpy as np\n"
        "from smemnas.bench.benchmarks.catalog import open_benchmark\n"
        "b = open_benchmark('mnv3', 'ofa+draw=5')\n"
        "F = b.values(b.space.sample(3000, np.random.default_rng(0)))\n"
        "print(hashlib.sha256(F.tobytes()).hexdigest())\n"
    )
    for settings in ({"OPENBLAS_CORETYPE": "Haswell"}, {"OPENBLAS_CORETYPE": "Nehalem"}):
        out = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True, text=True, check=True
        )
        assert out.stdout.strip() == DIGEST, settings


@pytest.mark.parametrize("name", ["ofa+draw=", "ofa+draw=-1", "ofa+draw=01", "ofa+draw=x", "ofa+draw=9999999999"])
def test_odd_numbers_are_refused(name):
    with pytest.raises(UserError, match="whole number"):
        open_benchmark("mnv3", name)


def test_only_the_posterior_is_drawn_from():
    for space, name in (("toy", "closed-form+draw=1"), ("mnv3", "ofa+draw=1+draw=2")):
        with pytest.raises(UserError, match="mnv3/ofa alone"):
            open_benchmark(space, name)
    with pytest.raises(UserError, match="no data set"):
        open_benchmark("mnv3", "ofa+drow=1")


def test_studies_take_draws():
    cases = make_cases(["mnv3"], ["ofa+draw=1", "ofa+draw=2"], ())
    assert [case.dataset for case in cases] == ["ofa+draw=1", "ofa+draw=2"]
    assert [case.dataset for case in make_cases(["mnv3/ofa+draw=3"], [], ())] == ["ofa+draw=3"]
    assert base_of("ofa+draw=3") == "ofa"
    assert base_of("train+digits+tiny+seed=1") == "train+digits+tiny+seed=1"
    kinds = [kind for kind, _ in parts_of("random", {}, "mnv3", "ofa+draw=3")]
    assert kinds == ["method", "space", "benchmark"]
