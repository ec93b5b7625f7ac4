"""mnv3 on ImageNet: the predictor and its bias, the benchmark, its data and its reference front."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_files import SHARED, original
from scipy.stats import kendalltau, pearsonr

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.predictor import Predictor, PredictorBenchmark, predictor_inputs
from smemnas.bench.benchmarks.problems import PROBLEMS, find_problem
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.checks import benchmarks as checks
from smemnas.bench.data import mnv3, mnv3_reference
from smemnas.bench.data.recipe import fetch
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.metrics.indicators import hypervolume_regret, nondominated
from smemnas.bench.runs.guard import fault
from smemnas.bench.runs.job import Job
from smemnas.spaces.mnv3 import MNV3

DATASETS = {"imagenet": ("error", "params", "flops"), "imagenet-w12": ("error", "params", "flops", "latency")}


def tiny_predictor(seed=0):
    """Random weights of the predictor's shapes."""
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape) / np.sqrt(shape[1]) for shape in mnv3.SHAPES)
    biases = tuple(rng.normal(size=shape[0]) for shape in mnv3.SHAPES)
    return Predictor(weights, (*biases[:-1], np.array([0.8])), 1.5)


def test_predictor_against_a_walk_over_neurons():
    predictor, space = tiny_predictor(), MNV3()
    X = space.sample(4, np.random.default_rng(0))
    for x, error in zip(X, predictor.error(predictor_inputs(space, X)), strict=True):
        spec = space.to_ofa(x)
        active = [i for i in range(20) if i % 4 < spec["d"][i // 4]]
        on = [3 * i + (3, 5, 7).index(spec["ks"][i]) for i in active]
        on += [60 + 3 * i + (3, 4, 6).index(spec["e"][i]) for i in active]
        on += [120 + (spec["r"] - 112) // 16]
        values = [float(i in on) for i in range(128)]
        for layer, (weight, bias) in enumerate(zip(predictor.weights, predictor.biases, strict=True)):
            values = [
                sum(w * v for w, v in zip(row, values, strict=True)) + b for row, b in zip(weight, bias, strict=True)
            ]
            if layer < 3:
                values = [max(v, 0.0) for v in values]
        assert error == pytest.approx(min(max(100 - (100 * values[0] - 1.5), 0), 100), abs=1e-9)


def test_predictor_alone_is_a_benchmark_without_data():
    bench = PredictorBenchmark(MNV3(), tiny_predictor(), ("params", "error"), dataset="random-weights")
    X = bench.space.sample(5000, np.random.default_rng(1))
    F = bench.evaluate(X, 3).F
    assert np.array_equal(F[:, 0], bench.space.cost(X, "params"))
    assert np.array_equal(np.vstack([bench.values(X[:1]), bench.values(X[1:17])]), F[:17])
    assert bench.reference() is None
    assert bench.provenance() == {}


@pytest.mark.parametrize("sides", [(144, 160), (160, 168), tuple(range(192, 257, 4))])
def test_resolutions_beyond_the_predictor_are_refused(sides):
    with pytest.raises(UserError, match="extrapolates"):
        PredictorBenchmark(MNV3(resolutions=sides), tiny_predictor(), dataset="x")


def test_wrong_objectives_are_refused():
    for names, words in (
        (("error", "parms"), "Did you mean 'params'"),
        (("error", "error"), "named once"),
        (("error", "latency"), r"width 1\.2 only"),
    ):
        with pytest.raises(UserError, match=words):
            PredictorBenchmark(MNV3(), tiny_predictor(), names, dataset="x")


def test_not_installed_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    for dataset in DATASETS:
        with pytest.raises(DataError, match=r"not installed: python -m smemnas data fetch mnv3"):
            open_benchmark("mnv3", dataset)
    with pytest.raises(UserError, match="Did you mean 'in1k-mop7-like'"):
        find_problem("in1k-mop7")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder with mnv3 installed from the original files."""
    for source in mnv3.RECIPE.sources:
        original("mnv3", source.file)
    folder = tmp_path_factory.mktemp("mnv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(folder))
        fetch("mnv3", SHARED)
    return folder


@pytest.fixture
def installed(data, tmp_path, monkeypatch):
    """Read that folder's tables from a data folder of the test's own."""
    (tmp_path / "tables").symlink_to(data / "tables")
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.data
def test_predictor_against_measured_accuracy(installed):
    measured = mnv3.read_measured([original("mnv3", s.file) for s in mnv3.MEASURED])
    assert len(measured.X) == 2373
    assert len(np.unique(MNV3().canonical(measured.X))) == 2162
    error = open_benchmark("mnv3", "imagenet", ("error",)).values(measured.X)[:, 0]
    assert kendalltau(100 - error, measured.accuracy).statistic == pytest.approx(0.881, abs=0.001)
    assert pearsonr(100 - error, measured.accuracy).statistic == pytest.approx(0.979, abs=0.001)
    left = [float(((100 - error) - measured.accuracy)[measured.file == k].mean()) for k in range(5)]
    fitted = [(measured.file == k).sum() for k in (0, 1)]
    assert np.average(left[:2], weights=fitted) == pytest.approx(0, abs=1e-4)
    assert max(map(abs, left[2:])) < 0.3
    table = Table(installed / "tables" / "mnv3" / "imagenet")
    assert table.header["offset"] == pytest.approx(5.81, abs=0.01)
    assert table.header["offset_left"] == pytest.approx(left[2:], abs=1e-4)
    assert np.array_equal(mnv3.part(table, "measured_accuracy"), measured.accuracy)


@pytest.mark.data
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_contract(check, dataset, installed):
    check(lambda names: open_benchmark("mnv3", dataset, names))


@pytest.mark.data
def test_notes_state_split_bias_and_evoxbench(installed):
    for dataset in DATASETS:
        notes = " ".join(open_benchmark("mnv3", dataset).notes)
        for words in (
            "no validation/test split",
            "5.81 points",
            "width 1.2",
            "EvoXBench",
            "seed is ignored",
            "22.53 % error",
        ):
            assert words in notes
    with pytest.raises(UserError, match="imagenet-w12"):
        open_benchmark("mnv3", "imagenet", ("error", "latency"))


@pytest.mark.data
def test_named_problems(installed):
    for name in (n for n, p in PROBLEMS.items() if p.space == "mnv3"):
        problem = PROBLEMS[name]
        bench = open_benchmark(problem.space, problem.dataset, problem.objectives)
        assert tuple(o.name for o in bench.objectives) == problem.objectives
        assert bench.dataset == problem.dataset
        reference = bench.reference()
        assert not reference.exact
        assert (
            hypervolume_regret(bench.values(bench.space.sample(340, np.random.default_rng(0))), reference.front) > 0.05
        )


@pytest.mark.data
@pytest.mark.parametrize("dataset", DATASETS)
def test_reference_files_hold_what_the_benchmark_says(dataset, installed):
    bench = open_benchmark("mnv3", dataset, DATASETS[dataset])
    file = mnv3_reference.PACKAGED / f"mnv3-w{round(10 * bench.space.width)}.csv"
    assert file.stat().st_size < 60_000
    lines = [line.split(",") for line in file.read_text().splitlines() if not line.startswith("#")]
    names, F = mnv3_reference.all_values(bench, np.array([bench.space.from_str(row[0]) for row in lines[1:]]))
    assert tuple(lines[0]) == ("arch", *names)
    assert np.array([row[1:] for row in lines[1:]], dtype=float) == pytest.approx(F, rel=1e-6)
    assert len({row[0] for row in lines}) == len(lines)
    for objectives in mnv3_reference.OBJECTIVE_SETS[dataset]:
        assert len(bench.with_objectives(objectives).reference().front) > 50


def small_reference(bench, folder, monkeypatch, n):
    """Put a packaged file of the benchmark's own front of a few random networks in place."""
    X = bench.space.sample(n, np.random.default_rng(0))
    X = X[nondominated(bench.values(X))]
    monkeypatch.setattr(mnv3_reference, "PACKAGED", folder)
    monkeypatch.setattr(mnv3_reference, "SHA256", {})
    mnv3_reference.write_networks(folder / "mnv3-w10.csv", bench, X, ("made up",))
    return X


def test_improved_reference_is_merged_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "user"))
    space = MNV3()
    bench = PredictorBenchmark(
        space,
        tiny_predictor(),
        ("error", "flops"),
        dataset="random-weights",
        pool=lambda: mnv3_reference.known_networks(space),
    )
    X = small_reference(bench, tmp_path, monkeypatch, 300)
    packaged = (tmp_path / "mnv3-w10.csv").read_bytes()
    before, digest = bench.reference(), bench.provenance()["reference_sha256"]
    assert np.array_equal(np.sort(before.front, axis=0), np.sort(bench.values(X), axis=0))
    assert mnv3_reference.improve_reference(bench, X) == 0
    assert not mnv3_reference.user_file(space).exists()
    more = space.sample(3000, np.random.default_rng(1))
    both = bench.values(np.vstack([X, more]))
    entered = nondominated(both)
    assert mnv3_reference.improve_reference(bench, more) == entered[len(X) :].sum() > 0
    after = bench.reference()
    expected = both[entered]
    assert np.array_equal(after.front, expected[np.lexsort(expected.T[::-1])])
    assert hypervolume_regret(before.front, after.front) > 0
    assert bench.provenance()["reference_sha256"] != digest
    assert mnv3_reference.improve_reference(bench, more) == 0
    assert (tmp_path / "mnv3-w10.csv").read_bytes() == packaged
    assert sorted(p.name for p in mnv3_reference.user_file(space).parent.glob("[!.]*")) == ["mnv3-w10.csv"]
    narrow = MNV3(resolutions=(192, 224))
    known = mnv3_reference.known_networks(narrow)
    assert {narrow.to_str(x) for x in known} == {
        name for x in mnv3_reference.known_networks(space) if (name := space.to_str(x))[:4] in ("r192", "r224")
    }
    file = mnv3_reference.user_file(space)
    assert_flips_are_noticed(file, space)
    file.write_text("arch,error\nr224-99,1\n")
    with pytest.raises(DataError, match="corrupt"):
        bench.reference()


def assert_flips_are_noticed(file, space, n=300):
    """300 single flipped bits and 20 cut files: refused in one line, or the networks are the same."""
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    networks = mnv3_reference.read_networks(file, space)
    damaged = [whole[:end] for end in rng.integers(len(whole), size=20)]
    for bit in rng.integers(8 * len(whole), size=n):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(data))
    messages = []
    for data in damaged:
        file.write_bytes(data)
        try:
            found = mnv3_reference.read_networks(file, space)
        except DataError as error:
            messages.append(str(error))
        else:
            assert np.array_equal(found, networks)
    file.write_bytes(whole)
    assert len(messages) > 0.9 * len(damaged)
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("width", [1.0, 1.2])
def test_damage_of_the_packaged_networks_is_noticed(width, tmp_path, monkeypatch):
    space = MNV3(width)
    file = tmp_path / f"mnv3-w{round(10 * width)}.csv"
    file.write_bytes((mnv3_reference.PACKAGED / file.name).read_bytes())
    monkeypatch.setattr(mnv3_reference, "PACKAGED", tmp_path)
    assert len(mnv3_reference.known_networks(space)) > 400
    assert_flips_are_noticed(file, space)
    windows = file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(windows)
    assert len(mnv3_reference.known_networks(space)) > 400


def test_search_finds_both_ends_of_a_closed_form():
    """A predictor that scores kernels alone, 5 best: the best error and the cheapest network that has it are known."""
    space = MNV3(resolutions=(224,))
    weight = np.zeros((1, 128))
    weight[0, :60] = np.tile([0.1, 0.3, 0.2], 20)
    bench = PredictorBenchmark(
        space, Predictor((weight / 100,), (np.array([0.5]),), 0.0), ("error", "params"), dataset="closed-form"
    )
    X = mnv3_reference.search(bench, seed=0, steps=100, generations=20, chains=32, children=300, size=200)
    F = bench.values(X)
    best = 50 - 20 * 0.3
    assert F[:, 0].min() == pytest.approx(best)
    smallest = F[np.argmin(F[:, 1])]
    assert smallest[1] == pytest.approx(3.410792)
    cheapest_best = np.array(space.from_ofa({"ks": [5] * 20, "e": [3] * 20, "d": [4] * 5, "r": 224}))
    assert F[np.argmin(F[:, 0]), 1] == space.cost(cheapest_best[None], "params")[0]
    again = mnv3_reference.search(bench, seed=0, steps=100, generations=20, chains=32, children=300, size=200)
    assert np.array_equal(X, again)


@pytest.mark.parametrize("n_obj", [2, 3])
def test_thinning_keeps_extremes_and_is_greedy(n_obj):
    from moocore import hypervolume

    rng = np.random.default_rng(0)
    F = np.abs(rng.normal(size=(120, n_obj)))
    F = 1 - F / np.linalg.norm(F, axis=1, keepdims=True)
    chosen = mnv3_reference.thin(F, 25)
    assert len(set(chosen.tolist())) == 25
    assert np.array_equal(F[chosen].min(axis=0), F.min(axis=0))
    assert np.array_equal(F[chosen].max(axis=0), F.max(axis=0))
    points = (F - F.min(axis=0)) / np.ptp(F, axis=0)
    plain = list(chosen[: len({*np.argmin(F, axis=0), *np.argmax(F, axis=0)})])
    corner = np.full(n_obj, 1.1)
    while len(plain) < 25:
        gains = [hypervolume(points[[*plain, k]], ref=corner) if k not in plain else 0 for k in range(len(F))]
        plain.append(int(np.argmax(gains)))
    assert hypervolume(points[chosen], ref=corner) == pytest.approx(hypervolume(points[plain], ref=corner), rel=1e-9)


@pytest.mark.data
def test_damaged_sources_leave_no_table(tmp_path, monkeypatch, data):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "data"))
    good = {s.file: original("mnv3", s.file) for s in mnv3.RECIPE.sources}
    target = tmp_path / "data" / "tables" / "mnv3" / "imagenet"

    def broken(file, change):
        path = Path(tempfile.mkdtemp(dir=tmp_path)) / file
        path.write_bytes(change(good[file].read_bytes()))
        return {**good, file: path}

    csv_file, weights, yaml = mnv3.MEASURED[0].file, mnv3.WEIGHTS.file, mnv3.LATENCY[192].file
    for paths, words in (
        (broken(weights, lambda b: b[:-100]), "truncated"),
        (broken(weights, lambda b: b.replace(b"6.bias", b"8.bias")), "not OFA's predictor"),
        (broken(csv_file, lambda b: b.replace(b"'ks': [5", b"'ks': [9", 1)), "row 1"),
        (broken(csv_file, lambda b: b.replace(b",75.462", b",754.62", 1)), "no percentage"),
        (broken(csv_file, lambda b: b.replace(b",7", b",6")), "bias"),
        (broken(yaml, lambda b: b.replace(b"12x12x136", b"11x11x136")), "192 has no layer"),
    ):
        with pytest.raises(DataError, match=words):
            mnv3.make_mnv3(paths, target)
        assert not target.exists()
    folder = tmp_path / "from"
    folder.mkdir()
    for file, path in good.items():
        (folder / file).write_bytes(path.read_bytes()[: -1 if file == yaml else None])
    with pytest.raises(DataError, match="truncated"):
        fetch("mnv3", folder)
    assert not list(Path(target.parent).glob("[!.]*"))


@pytest.mark.data
def test_measured_networks_are_the_second_truth(data, monkeypatch):
    """One row per distinct network; the reported column is the mean of its measurements."""
    monkeypatch.setenv("SMEMNAS_DATA", str(data))
    fetch("mnv3-measured", SHARED)
    bench = open_benchmark("mnv3", "measured", ("error",))
    measured = mnv3.read_measured([SHARED / "mnv3" / s.file for s in mnv3.MEASURED])
    assert bench.table.n_rows == 2162
    keys = bench.space.canonical(measured.X)
    one = np.flatnonzero(keys == keys[5])
    assert bench.report(measured.X[5:6])[0, 0] == pytest.approx(100 - measured.accuracy[one].mean(), abs=1e-4)
    predicted = open_benchmark("mnv3", "imagenet", ("error",)).evaluate(measured.X[:50], 0).F
    np.testing.assert_allclose(bench.evaluate(measured.X[:50], 0).F, predicted, atol=2e-4)
    reference = bench.reference()
    assert reference.exact
    assert reference.front.min() == bench.table.column("error").min()


def test_logged_values_of_the_front_are_predicted_again(tmp_path):
    """A wrong value that leads the front is found; of the others one in eight is looked at."""
    bench = PredictorBenchmark(MNV3(), tiny_predictor(), ("error", "flops"), dataset="random-weights")
    X = bench.space.sample(64, np.random.default_rng(0))
    F = bench.values(X)
    job = Job("random", "mnv3", "random-weights", ("error", "flops"), 64)
    assert fault(bench, job, {}, X, F) == ""
    assert fault(bench, job, {}, X, F + np.array([1e-4, 0.0])) == ""  # the last decimal
    better = F.copy()
    better[13, 0] = F[:, 0].min() - 1.0
    reason = f"its log was changed: evaluation 13 has error {better[13, 0]:.10g}, looked up again it is {F[13, 0]:.10g}"
    assert fault(bench, job, {}, X, better) == reason
    for row in range(0, 64, 8):
        worse = F.copy()
        worse[row, 1] += 1000.0
        assert f"evaluation {row} has flops" in fault(bench, job, {}, X, worse)
