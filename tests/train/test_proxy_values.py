"""Zero-cost proxies kept on disk: measured once, told apart by what decides them, and used by rank and SMEM-NAS."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from scipy.stats import kendalltau  # noqa: E402
from small_images import data_home, one_thread, write_folder  # noqa: E402, F401

from smemnas.bench.benchmarks.catalog import open_benchmark  # noqa: E402
from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.ranking.data import data_of  # noqa: E402
from smemnas.bench.ranking.plan import RankPlan, check_plan, choose_variants  # noqa: E402
from smemnas.bench.ranking.study import LOG, run_ranking  # noqa: E402
from smemnas.bench.ranking.tables import collect, tabulate  # noqa: E402
from smemnas.bench.ranking.trial import encode  # noqa: E402
from smemnas.bench.report.ranking.files import markdown, proxy_times  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.proxies import formulas  # noqa: E402
from smemnas.bench.train.proxies.values import SETTING, VALUES, ProxyData, ProxyValues, network_space  # noqa: E402
from smemnas.methods.base import METHODS  # noqa: E402
from smemnas.methods.features import FEATURES, standardised  # noqa: E402
from smemnas.spaces.base import SPACES, Constraint  # noqa: E402
from smemnas.spaces.feasible import FeasibleSpace  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from smemnas.spaces.nb101 import NB101  # noqa: E402
from smemnas.spaces.nb201 import NB201  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = "digits+batch=8+cells=1+channels=2"
#: Two networks as they should be, and one whose output is constant.
X = np.array([[3, 3, 3, 3, 3, 3], [1, 4, 2, 3, 0, 1], [0, 0, 0, 0, 0, 0]])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Keep proxies in the test's own folder; tables stay where they are."""
    monkeypatch.setattr("smemnas.bench.train.proxies.values.data_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """What has been measured: genotypes and names."""
    calls = []
    kept = formulas.measure

    def measure(space, X, images, *, names, **rest):
        calls.extend((tuple(x), tuple(names)) for x in X.tolist())
        return kept(space, X, images, names=names, **rest)

    monkeypatch.setattr(formulas, "measure", measure)
    return calls


# --- values


def test_values_are_those_of_the_formulas_whatever_the_order(home):
    space = trainable_space("nb201", 10, 8, channels=2, cells=1)
    wanted = formulas.proxies(space, X, "digits", batch=8)
    found = ProxyValues(NB201(), "all", SMALL)
    assert found.names == tuple(wanted)
    np.testing.assert_array_equal(found.values(X[[2, 0, 1, 0]]), np.stack(list(wanted.values()), axis=1)[[2, 0, 1, 0]])
    assert found.values(X)[2, 1] == -math.inf
    assert np.isnan(found.values(X)[2, 3])
    assert (found.seconds(X) > 0).all()
    assert found.values(X[:0]).shape == (0, 4)


def test_each_architecture_is_measured_once_in_all_processes(home, measured):
    first = ProxyValues(NB201(), "nwot,synflow", SMALL)
    a = first.values(np.vstack([X, X[:1]]))[:3]
    assert measured == [(tuple(x), ("nwot", "synflow")) for x in X.tolist()]
    later = ProxyValues(NB201(), "synflow, nwot", SMALL)  # as another process would
    np.testing.assert_array_equal(later.values(X)[:, ::-1], a)
    np.testing.assert_array_equal(later.seconds(X)[:, ::-1].round(6), first.seconds(X).round(6))
    assert len(measured) == 3
    more = ProxyValues(NB201(), "nwot,jacob_cov", SMALL)
    np.testing.assert_array_equal(more.values(X[:2])[:, 0], a[:2, 0])
    assert measured[3:] == [(tuple(x), ("jacob_cov",)) for x in X[:2].tolist()]
    space = trainable_space("nb201", 10, 8, channels=2, cells=1)
    jacob = formulas.proxies(space, X[:2], "digits", names=("jacob_cov",), batch=8)["jacob_cov"]
    np.testing.assert_array_equal(more.values(X[:2])[:, 1], jacob)


def test_what_another_process_adds_meanwhile_counts(home, measured):
    one, two = (ProxyValues(NB201(), "synflow", SMALL) for _ in range(2))
    one.values(X[:1])
    two.values(X[1:2])
    two.values(X[:1])
    one.values(X[1:2])
    assert len(measured) == 2
    assert len((one.folder / VALUES).read_text().splitlines()) == 2


def test_a_torn_line_is_measured_again_and_a_corrupt_one_refused(home, measured):
    folder = ProxyValues(NB201(), "synflow", SMALL).folder
    wanted = ProxyValues(NB201(), "synflow", SMALL).values(X)
    file = folder / VALUES
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + lines[2][:20])
    np.testing.assert_array_equal(ProxyValues(NB201(), "synflow", SMALL).values(X), wanted)
    assert len(measured) == 4
    assert file.read_bytes().count(b"\n") == 3
    assert all(json.loads(line)["values"].keys() == {"synflow"} for line in file.read_text().splitlines())
    file.write_bytes(lines[0] + b'{"x": 3}\n' + lines[2])
    with pytest.raises(RunError, match=r"values\.jsonl, line 2 is corrupt"):
        ProxyValues(NB201(), "synflow", SMALL).values(X)


def test_what_decides_a_value_decides_the_folder(home):
    def name(space=None, data=SMALL):
        return ProxyValues(space or NB201(), "synflow", data).folder.name

    names = [name(data=d) for d in (SMALL, SMALL + "+seed=1", "digits+channels=2+cells=1+batch=9", "digits+size=16")]
    names.append(name(data="digits+channels=2+cells=1+batch=8+valid_share=0.5"))
    assert len(set(names)) == 5
    assert name(data="digits+channels=2+batch=8+cells=1") == names[0]
    assert name(trainable_space("nb201", 10, 8, channels=2, cells=1), "digits+batch=8") == names[0]
    setting = json.loads((home / "proxies" / names[0] / SETTING).read_text())
    assert setting["network"] == {"space": "nb201", "channels": 2, "cells": 1, "image_size": 8, "n_classes": 10}


def test_images_are_known_by_what_they_are_not_by_their_place(home, tmp_path):
    for place in ("one", "two/deeper"):
        write_folder(tmp_path / place, per_class=8)
    one, two = (
        ProxyValues(NB201(), "nwot", f"{tmp_path}/{p}+channels=2+cells=1+batch=4") for p in ("one", "two/deeper")
    )
    assert one.fingerprint == two.fingerprint
    assert ProxyData.parse(str(one.data)) == one.data
    assert one.values(X[:1]) == two.values(X[:1])


def test_a_folder_that_cannot_be_written_costs_memory_only(home, monkeypatch, caplog):
    (home / "file").write_text("")
    monkeypatch.setattr("smemnas.bench.train.proxies.values.data_folder", lambda: home / "file")
    found = ProxyValues(NB201(), "synflow", SMALL)
    assert (found.values(X[:2]) > 0).all()
    assert "Point SMEMNAS_DATA at a writable folder" in caplog.text


def test_two_processes_measure_what_one_does(home, tmp_path):
    rows = NB201().sample(10, np.random.default_rng(0))
    one = ProxyValues(NB201(), "synflow,nwot", SMALL).values(rows)
    (home / "proxies").rename(home / "kept")
    other, done = ProxyValues(NB201(), "synflow,nwot", SMALL), []
    other.measure(rows, jobs=2, progress=done.append)
    assert sum(done) == len(np.unique(rows, axis=0))
    np.testing.assert_array_equal(other.values(rows), one)


def test_networks_have_the_size_of_their_space():
    data = ProxyData.parse("digits")
    images = data.images()
    mobile = network_space(MNV3(1.2, (16, 24), 1000), data, images)
    assert (mobile.width, tuple(mobile.resolutions), mobile.n_classes) == (1.2, (16, 24), 10)
    assert network_space(MNV3(1.2, (16, 24)), ProxyData.parse("digits+width=0.5"), images).width == 0.5
    assert network_space(NB101(5), data, images).n_choices == NB101(5).n_choices
    published = network_space(NB201(), data, images)
    assert (published.channels, published.cells, published.image_size) == (16, 5, 8)
    small = FeasibleSpace(
        trainable_space("nb201", 10, 8, channels=3, cells=2), [Constraint("flops", True, 1, "M", True, -1)]
    )
    assert network_space(small, data, images).channels == 3


@pytest.mark.parametrize(
    ("space", "names", "data", "words"),
    [
        ("nb201", "synflw", "digits", "Did you mean 'synflow'"),
        ("nb201", " ,", "digits", "name zero-cost proxies"),
        ("nb201", "all", "digits+chanels=3", "Did you mean 'channels'"),
        ("nb201", "all", "digits+channels=few", "channels takes a whole number, got 'few'"),
        ("nb201", "all", "digits+batch=1", "at least 2"),
        ("nb201", "all", "digits+seed=-1", "seed must be 0 or more"),
        ("nb201", "all", "digits+size=10", "multiple of 4"),
        ("nb201", "all", "", "DATA"),
        ("nb201", "all", "digitz", "Did you mean 'digits'"),
        ("nb201", "all", "digits+width=0.5", "channels|width does not apply|unexpected"),
        ("nb101", "all", "digits+channels=3", "channels does not apply"),
        ("mnv3", "all", "digits+cells=3", "cells does not apply"),
        ("toy", "all", "digits", "cannot be built|describes no networks"),
        ("macro", "all", "digits+cells=3", "cells does not apply"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(space, names, data, words):
    with pytest.raises(UserError, match=words) as caught:
        ProxyValues(SPACES.create(space), names, data)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_run_is_named(home, monkeypatch):
    def fails(network, inputs, labels):
        raise RuntimeError("input\n too small")

    monkeypatch.setitem(formulas.PROXIES, "nwot", fails)
    with pytest.raises(UserError, match=r"proxies of .nor_conv_3x3.*nwot failed \(input too small\)"):
        ProxyValues(NB201(), "nwot", SMALL).values(X[:1])


# --- rank


def study(data, out, surrogates, **rest):
    wish = {"encodings": ("onehot",), "n_train": (20,), "seeds": (0, 1), "n_test": 15, "calibrate": False, **rest}
    plan = check_plan(RankPlan("nb201", "analog", "", choose_variants(data, surrogates, False), **wish), data)
    log, chosen = run_ranking(plan, data, out)
    return tabulate(plan, data, collect(plan, data, log, chosen)), log


def test_proxies_are_baselines_on_the_same_architectures(home, tmp_path, measured):
    data = data_of("nb201", "analog", "", "all", SMALL + "+seed=3")
    tables, _ = study(data, tmp_path / "out", ("kernel_ridge", "proxies"))
    names = [f"proxy:{name}" for name in formulas.PROXIES]
    assert [e.name for e in tables.entries] == ["kernel_ridge", "flops", "params", "flops_naslib", *names]
    space = trainable_space("nb201", 10, 8, channels=2, cells=1)
    for seed in (0, 1):
        rows = data.sides(seed, 15, "genotype")[1]
        direct = formulas.proxies(space, data.X[rows], "digits", batch=8, seed=3)
        for name in ("synflow", "nwot", "grad_norm"):
            (trial,) = [t for t in tables.trials if t.entry.name == f"proxy:{name}" and t.seed == seed]
            known = np.where(np.isfinite(direct[name]), direct[name], -1e300)
            tau = kendalltau(-known, data.truth["error"][rows]).statistic
            assert trial.score("error", "tau") == pytest.approx(tau, abs=1e-12)
            assert trial.seconds("fit") == 0.0
            assert trial.seconds("rank") == pytest.approx(data.seconds(f"proxy:{name}", rows))
    assert len(measured) == len(np.unique(np.concatenate([data.sides(s, 15, "genotype")[1] for s in (0, 1)]))) + 30
    text = markdown(tables)
    assert "| proxy:synflow | - |" in text
    assert "channels 2, cells 1" in text
    assert "CPU milliseconds per architecture" in proxy_times(tables)[0]
    assert proxy_times(tables)[0].strip() in text.partition("## Time")[2]


def test_trials_are_kept_apart_by_what_proxies_are_measured_on(home, tmp_path):
    data = {seed: data_of("nb201", "analog", "", "synflow", f"{SMALL}+seed={seed}") for seed in (4, 5)}
    plain = data_of("nb201", "analog", "")
    assert plain.free == ("flops", "params", "flops_naslib")
    study(plain, tmp_path, ("kernel_ridge", "flops"))
    assert (tmp_path / LOG).read_text().count("\n") == 4
    study(data[4], tmp_path, ("kernel_ridge", "flops", "proxy:synflow"))
    assert (tmp_path / LOG).read_text().count("\n") == 6
    study(data[4], tmp_path, ("kernel_ridge",), with_proxies=True)
    assert (tmp_path / LOG).read_text().count("\n") == 8
    study(data[5], tmp_path, ("kernel_ridge", "proxy:synflow"), with_proxies=True)
    assert (tmp_path / LOG).read_text().count("\n") == 12


def test_surrogates_see_measured_proxies_as_a_block_of_their_own(home):
    data = data_of("nb201", "analog", "", "synflow,nwot", SMALL + "+seed=6")
    assert data.appended == ("proxy:synflow", "proxy:nwot")
    train, rows = np.arange(0, 3000, 200), np.arange(7, 3000, 300)
    Z, blocks = encode(data, "onehot+zc", rows, train)
    assert blocks == (30, 2)
    space = trainable_space("nb201", 10, 8, channels=2, cells=1)
    direct = [
        formulas.proxies(space, data.X[r], "digits", names=data.measured.names, batch=8, seed=6) for r in (rows, train)
    ]
    found, known = (np.stack([d["synflow"], d["nwot"]], axis=1) for d in direct)
    np.testing.assert_array_equal(Z[:, 30:], standardised(found, known))


def test_rank_on_trainings_takes_their_images_and_trains_each_architecture_once(home, tmp_path, monkeypatch):
    name = "train+digits+tiny+cells=1+channels=2+epochs=1"
    with pytest.raises(UserError, match="--sample"):
        data_of("nb201", name)
    data = data_of("nb201", name, "", "synflow", "", 22, str(tmp_path))
    assert list(data.truth) == ["val_error", "test_error"]
    assert len(data.X) == 22
    assert data.measured.setting["network"]["channels"] == 2
    assert data.measured.setting["sha256"] == data.benchmark.provenance()["sha256"]
    results = sorted(tmp_path.rglob("result.json"))
    assert len(results) == 22
    by_arch = {json.loads(f.read_text())["arch"]: json.loads(f.read_text())["val_error"] for f in results}
    assert [by_arch[data.benchmark.space.to_str(x)] for x in data.X] == data.truth["val_error"].tolist()
    monkeypatch.setattr("smemnas.bench.train.benchmark.run_training", None)  # nothing is trained from here on
    variants = choose_variants(data, ("kernel_ridge", "proxy:synflow"), False)
    wish = {"encodings": ("onehot",), "n_train": (10,), "seeds": (0, 1), "n_test": 12}
    plan = check_plan(RankPlan("nb201", name, "", variants, **wish), data)
    log, chosen = run_ranking(plan, data, tmp_path / "out")
    trials = collect(plan, data, log, chosen)
    assert [t.status for t in trials] == ["ok"] * 4
    assert all(math.isfinite(t.score("test_error", "tau")) for t in trials)


def test_the_command_shows_the_proxies_beside_the_surrogates(tmp_path, use_embedded, call, fails):
    command = [
        *("rank", "--space", "nb201", "--surrogates", "kernel_ridge,proxies"),
        *(
            "--encodings",
            "graph",
            "--n-train",
            "20",
            "--seeds",
            "2",
            "--n-test",
            "12",
            "--no-calibration",
            "--no-figures",
        ),
        *("--proxies", "all", "--proxy-data", SMALL, "--jobs", "1", "--out", str(tmp_path / "out")),
    ]
    code, out, error = call(*command)
    assert code == 0, error
    for name in formulas.PROXIES:
        assert f"│ proxy:{name} " in out
    assert len(list((use_embedded / "proxies").rglob(VALUES))) == 1
    fails([*command[:-8], "--proxy-data", "digits"], "--proxy-data belongs to --proxies")


# --- SMEM-NAS


def searched(params, budget=40):
    bench = open_benchmark("nb201", "analog")
    small = {"population": 8, "generations": 2}
    method = METHODS.create("smemnas", bench.problem, budget=budget, seed=1, params={**small, **params})
    found = []
    while len(found) < budget:
        asked = method.ask()
        method.tell(asked, bench.evaluate(asked, 1).F)
        found += [tuple(x) for x in asked.tolist()]
    return found


def test_a_search_with_proxies_replays_and_differs_from_one_without(home, measured):
    wish = {"proxies": "synflow,nwot", "proxy_data": SMALL + "+seed=8"}
    found = searched(wish)
    count = len(measured)
    assert len({x for x, _ in measured}) == count > 40
    assert searched(wish) == found  # from the disk
    assert len(measured) == count
    plain = searched({})
    assert plain[:20] == found[:20]
    assert plain != found


def test_a_search_on_feasible_architectures_builds_them_too(home):
    space = FeasibleSpace(NB201(), [Constraint("flops", True, 60.0, "M", True, -1)])
    features = FEATURES.create("proxies", space=space, params={"names": "synflow", "data": SMALL})
    direct = ProxyValues(NB201(), "synflow", SMALL)
    assert features.fingerprint == direct.fingerprint
    np.testing.assert_array_equal(features.values(X), direct.values(X))
