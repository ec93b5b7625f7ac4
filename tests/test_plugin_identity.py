"""Plug-ins that import their neighbours, that move, that are edited; what worker processes do not know."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest
from edits import edit_job
from study_cases import records, study

from smemnas import RankOptions, rank
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.registry import Plugin, load_plugin
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.execution import run_study
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.workers.backends import Place
from smemnas.methods.base import METHODS
from smemnas.methods.random_search import RandomSearch
from smemnas.surrogates.base import SURROGATES

METHOD = """
from helper import STEP
from parts.inner import OTHER
import json, random
from smemnas.methods.base import METHODS
from smemnas.methods.random_search import RandomSearch

@METHODS.register("{name}", summary="For tests")
class Mine(RandomSearch):
    step = STEP + OTHER
    modules = (json.__file__, random.__file__)
"""


@pytest.fixture
def plugin(tmp_path, request):
    """A folder with a plug-in, what it imports, and files named like standard modules."""
    name = f"neighbourly-{len(METHODS.names())}"
    folder = tmp_path / "here"
    (folder / "parts").mkdir(parents=True)
    (folder / "mine.py").write_text(METHOD.format(name=name))
    (folder / "helper.py").write_text("STEP = 2\n")
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "inner.py").write_text("from . import deep\nOTHER = deep.VALUE\n")
    (folder / "parts" / "deep.py").write_text("VALUE = 40\n")
    (folder / "unused.py").write_text("")
    for standard in ("json", "random"):
        (folder / f"{standard}.py").write_text("raise SystemExit('this is no standard module')\n")
    yield name, folder / "mine.py"
    METHODS._entries.pop(name, None)
    for module in [m for m in sys.modules if m.partition(".")[0] in ("helper", "parts")]:
        del sys.modules[module]


def test_a_plugin_imports_what_lies_beside_it_and_hides_nothing(plugin):
    name, file = plugin
    before = list(sys.path)
    load_plugin(file)
    assert sys.path == before
    made = METHODS.get(name).factory
    assert made.step == 42
    assert not any(str(file.parent) in module for module in made.modules)


def digest_of(tmp_path, folder, code):
    """Return what identifies a plug-in, in a process of its own."""
    import subprocess

    from conftest import ROOT

    (tmp_path / "digest.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom smemnas.bench.registry import load_plugin\n{code}\n"
        f"print(load_plugin({str(folder / 'mine.py')!r}).sha256)"
    )
    call = [sys.executable, str(tmp_path / "digest.py")]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()


def test_the_identity_is_that_of_the_content_of_all_that_is_imported(plugin, tmp_path):
    _, file = plugin
    first = digest_of(tmp_path, file.parent, "")
    assert len(first) == 64
    moved = tmp_path / "there"
    shutil.copytree(file.parent, moved)
    assert digest_of(tmp_path, moved, "") == first
    (moved / "unused.py").write_text("A = 1\n")
    (moved / "random.py").write_text("A = 1\n")
    assert digest_of(tmp_path, moved, "import random") == first
    for name in ("mine.py", "helper.py", "parts/__init__.py", "parts/inner.py", "parts/deep.py"):
        text = (moved / name).read_text()
        (moved / name).write_text(text + "# edited\n")
        assert digest_of(tmp_path, moved, "") != first, name
        (moved / name).write_text(text)
    assert digest_of(tmp_path, moved, "") == first


def test_two_neighbours_of_one_name_are_refused(plugin, tmp_path):
    _, file = plugin
    load_plugin(file)
    (tmp_path / "helper.py").write_text("STEP = 9\n")
    (tmp_path / "other.py").write_text("import helper\n")
    with pytest.raises(UserError, match=r"its helper is hidden by that of .*here, which was loaded before: rename one"):
        load_plugin(tmp_path / "other.py")


@pytest.mark.parametrize(
    "line", ["raise GeneratorExit", "class X(BaseException): pass\nraise X('no')", "import nothere_"]
)
def test_whatever_a_plugin_raises_is_one_line(tmp_path, line):
    (tmp_path / "bad.py").write_text(line)
    with pytest.raises(UserError, match=r"plug-in .*bad\.py, line \d: "):
        load_plugin(tmp_path / "bad.py")


def test_runs_stay_when_the_plugin_moves_and_are_refused_when_it_is_edited(plugin, tmp_path):
    name, file = plugin
    rest = ("--spaces", "toy", "--seeds", "0-1", "--budget", 12, "--jobs", 1, "--no-figures", "--out", tmp_path / "out")
    rest = ("study", "--methods", f"{name},random", *rest)
    study("--plugin", file, *rest)
    jobs = sorted((tmp_path / "out").rglob(f"{name}/**/job.json"))
    entry = json.loads(jobs[0].read_text())["job"]["plugins"][0]
    assert (entry["file"], len(entry["sha256"]), entry["path"]) == ("mine.py", 64, str(file))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("evals.jsonl")}
    moved = tmp_path / "there" / "mine.py"
    shutil.move(file.parent, moved.parent)
    study("--plugin", moved, *rest)
    assert [r["status"] for r in records(tmp_path / "out" / "trials.csv")] == ["done"] * 4
    assert {p: p.stat().st_mtime_ns for p in before} == before

    (moved.parent / "helper.py").write_text("STEP = 3\n")
    text = " ".join(study("--plugin", moved, *rest, code=1).split())
    assert "holds a run with another version of the plug-in mine.py: study --rerun makes it anew" in text
    assert [r["status"] for r in records(tmp_path / "out" / "trials.csv")] == ["failed"] * 2 + ["done"] * 2
    text = study(
        "--plugin", moved, "run", "--method", name, "--space", "toy", "--budget", 12, "--out", jobs[0].parent, code=1
    )
    assert "holds a run with another version of the plug-in mine.py: choose another --out, or --overwrite it." in text
    study("--plugin", moved, *rest, "--rerun")
    assert [r["status"] for r in records(tmp_path / "out" / "trials.csv")] == ["done"] * 4


def test_a_job_of_an_earlier_version_names_its_plugin_by_path(plugin, tmp_path):
    name, file = plugin
    job, benchmark = make_job(name, "toy", budget=12, plugins=(str(file),))
    whole = run(job, tmp_path / "run", benchmark=benchmark)
    edit_job(tmp_path / "run", lambda entry: entry["job"].update(plugins=[str(file)]), sign=False)
    log = tmp_path / "run" / "evals.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:5]))
    again = run(job, tmp_path / "run", benchmark=benchmark)
    assert again.F.tolist() == whole.F.tolist()


def test_what_worker_processes_do_not_know_is_refused_before_anything_runs(tmp_path, plugin):
    name, file = plugin
    METHODS.register("from-a-notebook", summary="For tests")(type("Mine", (RandomSearch,), {"__module__": "__main__"}))
    load_plugin(file)
    try:
        for method, advice in (
            ("from-a-notebook", "put it into a file of its own"),
            (name, f"plugins=[{str(file)!r}]"),
        ):
            plan = check_plan(Plan((Variant("random", "random"), Variant("mine", method)), (Case("toy"),), (0,), 12))
            with pytest.raises(UserError) as caught:
                run_study(list(plan.jobs()), tmp_path / "out", place=Place(workers=2))
            assert f"method {method!r}" in str(caught.value)
            assert advice in str(caught.value)
            assert not (tmp_path / "out").exists()
        assert {s.status for s in run_study(list(plan.jobs()), tmp_path / "out")} == {"done"}
    finally:
        METHODS._entries.pop("from-a-notebook", None)


ALONE = """
from smemnas import SURROGATES, Surrogate

@SURROGATES.register("{name}", summary="For tests")
class Mine(Surrogate):
    def __init__(self, *, seed=0):
        pass

    def fit(self, Z, y):
        return self

    def rank(self, Z):
        return {sign}Z.sum(axis=1)
"""


@pytest.fixture
def surrogate(tmp_path):
    """The name of a surrogate of a plug-in file, and the file."""
    name = f"summed-{len(SURROGATES.names())}"
    file = tmp_path / "here" / "summed.py"
    file.parent.mkdir()
    file.write_text(ALONE.format(name=name, sign=""))
    yield name, file
    SURROGATES._entries.pop(name, None)


def test_a_copy_of_a_loaded_file_is_the_same_plugin(surrogate, tmp_path):
    _, file = surrogate
    first = load_plugin(file)
    copy = tmp_path / "there.py"
    shutil.copy(file, copy)
    assert load_plugin(copy) == Plugin("there.py", first.sha256, str(copy))


def test_an_edited_file_is_refused_by_the_process_that_loaded_it(surrogate):
    _, file = surrogate
    load_plugin(file)
    text = file.read_text()
    file.write_text(text + "# edited\n")
    with pytest.raises(UserError, match=r"summed\.py was edited after it was loaded: start again"):
        load_plugin(file)
    file.write_text(text)
    assert load_plugin(file).path == str(file)


def test_a_ranking_study_knows_the_plugin_of_a_surrogate_by_its_content(surrogate, tmp_path):
    """The trials of an edited surrogate are made anew, those of the suite's own are kept."""
    name, file = surrogate
    load_plugin(file)
    options = RankOptions("toy", surrogates=[name, "knn"], n_train=[20], seeds=range(2), n_test=50, figures=False)
    options = replace(options, calibration=False, out=tmp_path / "ranks")
    lines = rank(options).folder.joinpath("ranking.jsonl").read_text().splitlines()
    rank(options)
    assert options.out.joinpath("ranking.jsonl").read_text().splitlines() == lines
    keys = [json.loads(line)["key"] for line in lines]
    assert {key["surrogate"]: key.get("plugin") for key in keys} == {name: load_plugin(file).sha256, "knn": None}
    SURROGATES._entries.pop(name)
    edited = tmp_path / "edited.py"
    edited.write_text(ALONE.format(name=name, sign="-"))
    load_plugin(edited)
    rank(options)
    more = options.out.joinpath("ranking.jsonl").read_text().splitlines()[len(lines) :]
    assert {json.loads(line)["key"]["surrogate"] for line in more} == {name}
