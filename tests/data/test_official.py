"""The official formats: what is imported equals what the official API answers for the same queries."""

import bz2
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from smemnas.bench.data import official
from smemnas.bench.data.official import (
    DATASETS,
    available_memory,
    by_training,
    columns_of,
    read_file,
    read_folder,
    read_pickle,
)
from smemnas.bench.data.recipe import find, renamed
from smemnas.bench.errors import DataError
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import NB201

WHY = "needs the official packages: pip install -e '.[official]'"
#: What a record of the original files covers: data set -> evaluated sets.
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


def record(utils, index, arch, epochs, seeds, rng):
    """One `ArchResults` of an official package with random accuracies."""
    result = utils.ArchResults(index, arch)
    for dataset, sets in SETS.items():
        for seed in seeds:
            keys = [f"{s}@{e}" for s in sets for e in range(epochs)]
            count = utils.ResultsCount(
                dataset,
                None,
                {e: float(rng.uniform(10, 99)) for e in range(epochs)},
                {e: float(rng.uniform(0, 2)) for e in range(epochs)},
                np.float64(rng.uniform(0.1, 1.5)),
                np.float64(rng.uniform(8, 200)),
                {"arch_str": arch, "channel": 16, "num_cells": 5, "class_num": 10},
                seed,
                epochs,
                [0.01],
            )
            count.update_train_info(count.train_acc1es, None, count.train_losses, dict.fromkeys(range(epochs), 1.5))
            count.update_eval(
                {k: float(rng.uniform(10, 99)) for k in keys},
                {k: float(rng.uniform(0, 2)) for k in keys},
                dict.fromkeys(keys, 0.5),
            )
            result.update(dataset, seed, count)
    return result


def write_folder(folder, utils, archs, epochs, seeds):
    """Write a NATS-Bench folder as the official `simple` archives are: state dictionaries, one file each."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    utils.pickle_save({"meta_archs": archs, "evaluated_indexes": set(range(len(archs)))}, f"{folder}/meta.pickle")
    for index, arch in enumerate(archs):
        data = {f"{e:02d}": record(utils, index, arch, e, seeds[index], rng).state_dict() for e in epochs}
        utils.pickle_save(data, f"{folder}/{index:06d}.pickle")
    return folder


def sample_names(space, n):
    return [space.to_str(x) for x in space.sample(n, np.random.default_rng(3))]


def answers(api, name, seeds, dataset, hp):
    """Validation and test error of every training, and their means, from the official API."""
    (v_name, _), (t_name, _), *_ = DATASETS[dataset]
    index = api.query_index_by_arch(name)
    each = [
        [100 - api.get_more_info(index, d, hp=hp, is_random=s)[k] for s in seeds]
        for d, k in ((v_name, "valid-accuracy"), (t_name, "test-accuracy"))
    ]
    mean = [
        100 - api.get_more_info(index, d, hp=hp, is_random=False)[k]
        for d, k in ((v_name, "valid-accuracy"), (t_name, "test-accuracy"))
    ]
    return each, mean


@pytest.mark.parametrize("dataset", list(DATASETS))
@pytest.mark.parametrize("kind", ["tss", "sss"])
def test_nats_folder_equals_official_api(tmp_path, dataset, kind):
    nats_bench = pytest.importorskip("nats_bench", reason=WHY)
    from nats_bench import api_utils

    space, epochs, hp = (NB201(), (12, 200), "200") if kind == "tss" else (NATSSize(), (1, 12, 90), "90")
    names = sample_names(space, 6)
    seeds = [[777], [777, 888], [777, 888, 999], [888], [777, 999], [777]] if kind == "tss" else [[777]] * 6
    folder = write_folder(tmp_path / "folder", api_utils, names, epochs, seeds)
    api = nats_bench.create(str(folder), kind, fast_mode=True, verbose=False)
    read_names, found = read_folder(folder, dataset, int(hp))
    assert read_names == names
    for name, trained, accuracies in zip(names, seeds, found, strict=True):
        each, mean = answers(api, name, trained, dataset, hp)
        errors = [[100 - a for a in split] for split in accuracies[:2]]
        assert errors == each
        np.testing.assert_allclose([np.mean(e) for e in errors], mean, rtol=1e-13)


@pytest.mark.parametrize("dataset", list(DATASETS))
def test_nb201_file_equals_official_api(tmp_path, dataset):
    torch = pytest.importorskip("torch", reason=WHY)
    api_201 = pytest.importorskip("nas_201_api", reason=WHY)
    from nas_201_api import api_utils

    rng, names = np.random.default_rng(1), sample_names(NB201(), 5)
    seeds = [[777], [777, 888], [777, 888, 999], [888], [777, 999]]
    infos = {
        i: {
            "less": record(api_utils, i, a, 12, [777], rng).state_dict(),
            "full": record(api_utils, i, a, 200, s, rng).state_dict(),
        }
        for i, (a, s) in enumerate(zip(names, seeds, strict=True))
    }
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    data = {"meta_archs": names, "arch2infos": infos, "evaluated_indexes": set(range(5))}
    for new in (False, True):  # the published file has the format of torch before 1.6
        torch.save(data, path, _use_new_zipfile_serialization=new)
        api = api_201.NASBench201API(torch.load(path, weights_only=False), verbose=False)
        read_names, found = read_file(path, dataset)
        assert read_names == names
        for name, trained, accuracies in zip(names, seeds, found, strict=True):
            each, mean = answers(api, name, trained, dataset, "200")
            errors = [[100 - a for a in split] for split in accuracies[:2]]
            assert errors == each
            np.testing.assert_allclose([np.mean(e) for e in errors], mean, rtol=1e-13)


def test_nb201_file_refuses_foreign_class_and_truncation(tmp_path):
    torch = pytest.importorskip("torch", reason=WHY)
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    for new in (False, True):
        torch.save({"meta_archs": Path("x")}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(DataError, match="foreign class pathlib"):
            read_file(path, "cifar10")
        torch.save({"other": list(range(1000))}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(DataError, match="not a NAS-Bench-201 file: no entry 'meta_archs'"):
            read_file(path, "cifar10")
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(DataError, match="truncated or corrupt"):
            read_file(path, "cifar10")


# From here on without the official packages: the same layout as plain dictionaries.


def plain_state(dataset_accuracy, seeds, epochs):
    """State of one architecture; `dataset_accuracy(dataset, set, seed)` is its last accuracy."""
    return {
        "arch_str": "made for the test",
        "dataset_seed": {d: list(seeds) for d in SETS},
        "all_results": {
            (d, s): {
                "epochs": epochs,
                "eval_acc1es": {f"{n}@{epochs - 1}": dataset_accuracy(d, n, s) for n in sets},
            }
            for d, sets in SETS.items()
            for s in seeds
        },
    }


def save(path, data):
    with bz2.BZ2File(path, "wb") as stream:
        pickle.dump(data, stream, protocol=4)


def plain_folder(folder, names, states):
    folder.mkdir()
    save(folder / "meta.pickle.pbz2", {"meta_archs": names})
    for index, state in enumerate(states):
        save(folder / f"{index:06d}.pickle.pbz2", {"200": state, "90": state})
    return folder


def accuracy(dataset, split, seed):
    return 50.0 + len(dataset) + 0.1 * len(split) + (seed - 777) / 1000


def test_folder_makes_a_table_that_opens_as_benchmark(tmp_path, monkeypatch):
    from smemnas.bench.benchmarks.catalog import open_benchmark
    from smemnas.bench.data.recipe import fetch

    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    space = NB201()
    names = [space.to_str(x) for x in space.enumerate()][::-1]
    folder = plain_folder(tmp_path / official.TSS.file, names, [])
    for kind, seeds in enumerate(([777, 888], [777, 888, 999])):
        save(tmp_path / f"{kind}.pickle.pbz2", {"200": plain_state(accuracy, seeds, 200)})
    for index in range(len(names)):
        os.link(tmp_path / f"{index % 2}.pickle.pbz2", folder / f"{index:06d}.pickle.pbz2")
    table = fetch("nats-tss-cifar100", tmp_path)
    assert table.n_rows == 15625
    assert table.column("val_error").shape == (15625, 3)
    bench = open_benchmark("nb201", "nats-cifar100")
    X = np.stack([space.from_str(names[0]), space.from_str(names[1])])
    want = [[100 - accuracy("cifar100", s, t) for t in (777, 888, 999)] for s in ("x-valid", "x-test")]
    seen = np.array([bench.evaluate(X, seed).F[:, 0] for seed in range(40)])
    assert set(np.round(seen[:, 0], 9)) == set(np.round(want[0][:2], 9))
    assert set(np.round(seen[:, 1], 9)) == set(np.round(want[0], 9))
    np.testing.assert_allclose(bench.report(X)[:, 0], [np.mean(want[1][:2]), np.mean(want[1])])


def test_incomplete_folder_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    from smemnas.bench.data.recipe import fetch

    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    names = sample_names(NATSSize(), 3)
    plain_folder(tmp_path / official.SSS.file, names, [plain_state(accuracy, [777], 90)] * 3)
    with pytest.raises(DataError, match=r"has 3 of the 32,768 architectures of nats_sss"):
        fetch("nats-sss-cifar10", tmp_path)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.suffix in (".npy", ".json")]


def test_missing_source_says_where_to_get_it(tmp_path, monkeypatch):
    from smemnas.bench.data.recipe import fetch

    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"NATS-tss-v1_0-3ffb9-simple .*no address.*unpack it, then run"):
        fetch("nats-tss-cifar10")


def test_folder_names_the_bad_file(tmp_path):
    names = sample_names(NB201(), 2)
    good = plain_state(accuracy, [777], 200)
    folder = plain_folder(tmp_path / "f", names, [good, good])
    bad = folder / "000001.pickle.pbz2"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2 is truncated or corrupt"):
        read_folder(folder, "cifar10", 200)
    save(bad, {"200": {**good, "extra": Path("x")}})
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2: the foreign class pathlib"):
        read_folder(folder, "cifar10", 200)
    save(bad, {"12": good})
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2 has no results of 200 epochs"):
        read_folder(folder, "cifar10", 200)
    save(bad, {"200": {"dataset_seed": {}, "all_results": {}}})
    with pytest.raises(DataError, match=r"000001.*no entry 'cifar10-valid' for cifar10"):
        read_folder(folder, "cifar10", 200)
    bad.unlink()
    with pytest.raises(DataError, match="unpack the archive again"):
        read_folder(folder, "cifar10", 200)


def test_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch " + str(tmp_path / "ran"),)

    save(tmp_path / "x.pickle.pbz2", {"200": Evil()})
    with pytest.raises(DataError, match=r"foreign class (posix|nt)"):
        read_pickle(tmp_path / "x.pickle.pbz2")
    assert not (tmp_path / "ran").exists()


def test_numpy_numbers_are_read_and_numpy_objects_refused(tmp_path):
    path = tmp_path / "x.pickle.pbz2"
    save(path, [np.float64(1.25), np.int64(-3), np.float32(0.5)])
    assert read_pickle(path) == [1.25, -3, 0.5]
    save(path, np.array([1, 2]))
    with pytest.raises(DataError, match="foreign class numpy"):
        read_pickle(path)


def test_weights_are_dropped(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
    path = tmp_path / "x.pickle.pbz2"
    save(path, {"net_state_dict": {"w": torch.ones(3, requires_grad=True)}, "acc": 5.0})
    assert read_pickle(path)["acc"] == 5.0


def test_memory_is_checked_before_loading(tmp_path, monkeypatch):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    path.write_bytes(b"0" * 1000)
    monkeypatch.setattr(official, "available_memory", lambda: 5000)
    with pytest.raises(DataError, match="not to be streamed: it needs about"):
        read_file(path, "cifar10")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="run it on Linux: compares with /proc/meminfo")
def test_available_memory_is_between_nothing_and_all():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory() < total


def test_trainings_are_padded_and_bad_accuracies_refused():
    errors = by_training([[90.0], [80.0, 70.0]], "f", "val_error")
    np.testing.assert_array_equal(errors, [[10.0, np.nan], [20.0, 30.0]])
    assert by_training([[90.0], [80.0]], "f", "val_error").shape == (2,)
    for bad in (float("nan"), 100.5, -1.0):
        with pytest.raises(DataError, match=r"f, row 2, column 'val_error'.*not a percentage"):
            by_training([[90.0], [80.0, bad]], "f", "val_error")


def test_unknown_and_repeated_architectures_are_refused():
    names = sample_names(NB201(), 2)
    two = [([1.0], [1.0])] * 2
    with pytest.raises(DataError, match="f, row 2: not a NAS-Bench-201"):
        columns_of(NB201(), [names[0], "nonsense"], two, 200, "f")
    with pytest.raises(DataError, match=r"f, row 2: .* is there twice, first in row 1"):
        columns_of(NB201(), [names[0], names[0]], two, 200, "f")


def test_recipes_of_the_official_files_are_registered():
    for dataset in DATASETS:
        for name in (f"nats-tss-{dataset}", f"nats_sss-official-{dataset}", f"nb201-official-{dataset}"):
            assert find(name).name == name
            assert find(name).sources[0].how


def test_the_old_name_of_the_size_folder_is_another_word_for_it():
    for dataset in DATASETS:
        recipe = find(f"nats-sss-{dataset}")
        assert (recipe.name, recipe.table) == (f"nats_sss-official-{dataset}", f"nats_sss/nats-{dataset}")
        assert "is now called nats_sss-official-" in renamed(f"nats-sss-{dataset}")
        assert renamed(recipe.name) == renamed(recipe.table) == renamed("nats_sss-cifar10") == ""
