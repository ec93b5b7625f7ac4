"""Several addresses, optional parts and several data sets: what can be had is made; all traffic stays on 127.0.0.1."""

import dataclasses
import hashlib

import numpy as np
import pytest
from data_files import macro_file, nb201_accuracies, nb201_hardware, nb201_proxies, original, serve

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.missing import missing_data, refuse_missing
from smemnas.bench.benchmarks.store import table_folder
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data import macro, nb201, pins
from smemnas.bench.data.download import Source
from smemnas.bench.data.in_package import PackagedTable
from smemnas.bench.data.manage import state_of, verify
from smemnas.bench.data.recipe import RECIPES, fetch, open_table, recipes
from smemnas.bench.errors import DataError, NotInstalled
from smemnas.bench.studies import published
from smemnas.bench.studies.plan import Plan, Variant, check_plan

IMAGENET = "nb201-imagenet16-120"


@pytest.fixture(autouse=True)
def clean_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "cache"))
    for name in ("TORCH_HOME", "NASBENCH101_PATH", "NASBENCH201_PATH", "NASBENCHMARK_DIR"):
        monkeypatch.delenv(name, raising=False)
    recipes()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The files of ImageNet16-120, made of random numbers, on a server that the recipe knows."""
    folder = tmp_path / "www"
    folder.mkdir()
    recipe = RECIPES[IMAGENET]
    accuracies, hardware, proxies = (s.file for s in recipe.sources)
    nb201_accuracies(folder / accuracies)
    nb201_hardware(folder / hardware)
    nb201_proxies(folder / proxies)
    with serve(folder) as server:
        sources = []
        for source in recipe.sources:
            data = (folder / source.file).read_bytes()
            known = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            sources.append(dataclasses.replace(source, url=server.url + source.file, **known))
        monkeypatch.setitem(RECIPES, IMAGENET, dataclasses.replace(recipe, sources=tuple(sources)))
        yield folder


# --- addresses ---------------------------------------------------------------------------------------


def test_what_lies_on_github_has_a_cache_and_an_archive_besides():
    digest = "ab" * 32
    url = "https://raw.githubusercontent.com/owner/repo/0123abc/folder/file name.csv"
    source = Source("file.csv", url, digest, 3, "MIT", ("https://else.example/file.csv",))
    assert source.addresses == (
        url,
        "https://else.example/file.csv",
        "https://cdn.jsdelivr.net/gh/owner/repo@0123abc/folder/file name.csv",
        f"https://archive.softwareheritage.org/api/1/content/sha256:{digest}/raw/",
    )
    assert Source("f", url, "", 0, "MIT").addresses == (url,)  # without a checksum nothing but the place itself counts
    assert Source("f", "http://127.0.0.1/f", digest, 0, "MIT").addresses == ("http://127.0.0.1/f",)
    assert Source("f", "", "", 0, "MIT").addresses == ()


def test_every_file_of_the_packaged_tables_has_three_addresses_at_least():
    for name in ("nb201-cifar10", "nb201-cifar100", "macro-cifar10", "nats_sss-cifar10", "mnv3", "mnv3-measured"):
        for source in RECIPES[name].sources:
            assert len(source.addresses) >= 3, source.file
    assert any("mingkai-zheng/GENIUS" in address for address in macro.SOURCE.addresses)  # another repository


# --- optional parts ----------------------------------------------------------------------------------


def test_a_part_that_fails_is_said_and_added_later(served, caplog):
    recipe = RECIPES[IMAGENET]
    hardware, proxies = (served / s.file for s in recipe.sources[1:])
    moved = [path.rename(path.with_suffix(".away")) for path in (hardware, proxies)]
    table = fetch(IMAGENET)
    said = list(caplog.messages)
    assert set(table.columns) == {"val_error", "test_error"}
    assert [line.split(":")[0] for line in said] == ["note"] * 2
    assert "nb201/imagenet16-120 is without latency and energy: hw_ImageNet16-120.csv" in said[0]
    assert "the server answers 404" in said[1]
    assert state_of(recipe) == "installed in part"
    assert not any("edgetpu" in note for note in table.header["notes"])

    moved[0].rename(hardware)
    table = fetch(IMAGENET)
    assert "without the zero-cost proxies" in caplog.messages[2]
    assert len(table.columns) == 12
    before = table.path.stat().st_ino
    assert fetch(IMAGENET).path.stat().st_ino == before  # nothing new: it stays as it is

    moved[1].rename(proxies)
    table = fetch(IMAGENET)
    assert len(caplog.messages) == 4  # the last two are those of the same state
    assert len(table.columns) == 25
    assert "lacks" not in table.header
    assert state_of(recipe) == "installed"


def test_the_accuracies_are_not_optional(served):
    (served / RECIPES[IMAGENET].sources[0].file).unlink()
    with pytest.raises(DataError, match=r"nasbench201_imagenet\.json"):
        fetch(IMAGENET)
    assert not table_folder("nb201/imagenet16-120").exists()


@pytest.mark.data
def test_a_part_of_a_table_is_the_packaged_one_as_far_as_it_goes(tmp_path):
    """A run begun on it goes on with the whole table, and the other way round: one identity."""
    paths = {s.file: original("nb201", s.file) for s in nb201.CIFAR10.sources[:1]}
    nb201.CIFAR10.make(paths, table_folder("nb201/cifar10"))
    table = open_table(nb201.CIFAR10)
    assert set(table.columns) == {"val_error", "test_error"}
    assert table.identity == PackagedTable("nb201/cifar10").sha256 != table.sha256
    assert verify("nb201-cifar10") == [("nb201/cifar10", "")]


def test_a_part_with_other_numbers_is_another_table(tmp_path):
    file = tmp_path / nb201.CIFAR10.sources[0].file
    nb201_accuracies(file)
    nb201.CIFAR10.make({file.name: file}, table_folder("nb201/cifar10"))
    table = open_table(nb201.CIFAR10)
    assert table.identity == table.sha256
    assert "its values are not those that its recipe makes" in verify("nb201-cifar10")[0][1]


# --- several data sets -------------------------------------------------------------------------------


def cases(*places):
    return tuple(Case(*place.split("/"), ("error",)) for place in places)


def test_all_that_is_missing_is_named_at_once():
    missing = missing_data(cases("nb201/cifar10", "mnv3/imagenet", "nb101/cifar10", "mnv3/imagenet-w12", "toy/none"))
    assert missing == (("mnv3", "nb101-cifar10"), ())
    with pytest.raises(DataError, match=r"2 tables are not installed: python -m smemnas data fetch mnv3 nb101-cifar10"):
        refuse_missing(cases("mnv3/imagenet", "macro/cifar10", "nb101/cifar10"))
    refuse_missing(cases("mnv3/imagenet", "macro/cifar10"))  # one says so itself
    plan = Plan((Variant("random", "random"),), cases("nb101/cifar10", f"nb201/{IMAGENET[6:]}"), (0,), 10)
    with pytest.raises(DataError, match=r"data fetch nb101-cifar10 nb201-imagenet16-120"):
        check_plan(plan)
    with pytest.raises(NotInstalled, match="nb101/cifar10 is not installed"):
        check_plan(dataclasses.replace(plan, cases=plan.cases[:1]))


def test_a_plan_is_fetched_as_a_whole(served, call, monkeypatch):
    plan = Plan(
        (Variant("random", "random"),), cases(f"nb201/{IMAGENET[6:]}", "macro/cifar10", "nb101/cifar10"), (0,), 10
    )
    monkeypatch.setitem(published.PLANS, "mine", lambda: plan)
    code, out, error = call("data", "fetch", "--plan", "mine")
    assert code == 1
    first, second = out.splitlines()
    assert first.startswith(f"plan mine lacks {IMAGENET} (")
    assert first.endswith(", nb101-cifar10")
    assert second.startswith("nb201/imagenet16-120: 15,625 rows in ")
    assert error.startswith("error: 1 of 2 could not be had: nb101-cifar10: ")
    assert error.count("\n") == 1
    monkeypatch.setitem(published.PLANS, "mine", lambda: dataclasses.replace(plan, cases=plan.cases[:2]))
    assert call("data", "fetch", "--plan", "mine") == (0, "plan mine: nothing is to be fetched\n", "")


def test_one_that_fails_does_not_stop_the_others(served, call, tmp_path, monkeypatch):
    monkeypatch.setattr(pins, "CONTENT", {})
    code, out, error = call("data", "fetch", "nb101-cifar10", IMAGENET)
    assert (code, out.count("\n")) == (1, 1)
    assert out.startswith("nb201/imagenet16-120: 15,625 rows in ")
    assert error.startswith("error: 1 of 2 could not be had: nb101-cifar10: ")
    assert isinstance(Table(table_folder("nb201/imagenet16-120")).column("val_error"), np.ndarray)


def test_mistakes_are_one_line(fails, tmp_path):
    fails(["data", "fetch"], "name at least one data set", "--plan NAME")
    fails(["data", "fetch", "--plan", "five-problem"], "no plan 'five-problem'. Did you mean 'five-problems'")
    fails(["data", "fetch", "macro-cifar10", "makro"], "no data set 'makro'")
    macro_file(tmp_path / macro.SOURCE.file)
    fails(["data", "fetch", "macro-cifar10", "--from", tmp_path], "of the wrong size")
