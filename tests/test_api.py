"""`import smemnas`: the public names, what they load, and that they are typed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys

import pytest
from conftest import ROOT

import smemnas
from smemnas import (
    RankOptions,
    ReportOptions,
    RunOptions,
    StudyOptions,
    SurrogateVariant,
    UserError,
    Variant,
    evaluations_frame,
)

SOURCE = ROOT / "smemnas" / "__init__.py"


def in_a_process(code):
    """Run code in a fresh interpreter and return what it printed as JSON."""
    out = subprocess.run(
        [sys.executable, "-c", f"import sys, json\nsys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    return json.loads(out)


# ---- names ----


def test_every_public_name_is_that_of_its_home():
    for name, home in smemnas._HOME_OF.items():
        assert getattr(smemnas, name) is getattr(importlib.import_module(home), name)


def test_type_checkers_read_the_same_table():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    read = {alias.name: node.module for node in block.body for alias in node.names if alias.asname == alias.name}
    assert len(read) == len(block.body)
    assert read == smemnas._HOME_OF


def test_all_and_dir_are_the_public_names():
    assert smemnas.__all__ == sorted(set(smemnas.__all__))
    assert [name for name in dir(smemnas) if not name.startswith("__")] == smemnas.__all__
    names = {}
    exec("from smemnas import *", names)
    assert names.keys() - {"__builtins__"} == set(smemnas.__all__)
    with pytest.raises(AttributeError, match="module 'smemnas' has no attribute 'sturdy'"):
        smemnas.sturdy  # noqa: B018


# ---- what is loaded when ----


def test_importing_the_name_imports_nothing():
    code = "before = set(sys.modules)\nimport smemnas\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    assert in_a_process(code) == ["smemnas"]


def test_a_name_loads_its_home_and_nothing_heavy():
    code = """
import smemnas
smemnas.open_benchmark, smemnas.Method, smemnas.Surrogate, smemnas.SearchSpace, smemnas.UserError
print(json.dumps(sorted(sys.modules)))
"""
    loaded = in_a_process(code)
    assert "smemnas.bench.benchmarks.base" in loaded or "smemnas.bench.benchmarks.catalog" in loaded
    assert not any(name.startswith(("smemnas.bench.report", "smemnas.bench.library")) for name in loaded)
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib", "click"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_every_name_together_loads_nothing_heavy():
    code = "from smemnas import *\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "pymoo", "scipy", "moocore", "rich", "joblib", "click"}
    assert not heavy & set(in_a_process(code))


# ---- commands are one call ----


@pytest.fixture
def empty(tmp_path, monkeypatch, use_embedded):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    """Return name to text of what does not depend on the clock."""
    clock = {"timing.jsonl", "times.csv", "ranking.jsonl", "study.md", "ranking.md"}
    wanted = (".json", ".jsonl", ".csv", ".tex")
    files = [p for p in folder.rglob("*") if p.suffix in wanted and p.name not in clock]
    return {p.relative_to(folder).as_posix(): p.read_text() for p in files}


STUDY = (
    "--methods random --variant small=nsga2:population=5 --spaces toy --seeds 0-2 --method-seeds small=1,2 --budget 30 "
    "--at 10 --jobs 1 --no-figures --constraint flops<=12"
)
RANK = (
    "--space toy --surrogates random,knn --variant third=gp --n-train 20,40 --seeds 3 --n-test 60 --jobs 1 "
    "--contrast knn,third --no-figures --no-calibration"
)
SMALL, THIRD = Variant("small", "nsga2", {"population": 5}), SurrogateVariant("third", "gp")
#: A command's options to the library call that equals it.
CALLS = {
    "run": (
        "--method nsga2 --space toy --budget 30 --seed 2 --param population=5",
        lambda out: smemnas.run(RunOptions("nsga2", "toy", budget=30, seed=2, params={"population": 5}, out=out)),
    ),
    "study": (
        STUDY,
        lambda out: smemnas.study(
            StudyOptions(
                "random", "toy", [SMALL], seeds=range(3), seeds_of={"small": (1, 2)}, budget=30, at=[10],
                figures=False, constraints=["flops<=12"], out=out,
            )
        ),
    ),
    "rank": (
        RANK,
        lambda out: smemnas.rank(
            RankOptions(
                "toy", surrogates=["random", "knn"], variants=[THIRD], n_train=[20, 40], seeds=range(3), n_test=60,
                contrasts=[("knn", "third")], figures=False, calibration=False, out=out,
            )
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_command_writes_what_its_call_writes(empty, call, name):
    arguments, function = CALLS[name]
    assert call(name, *arguments.split(), "--out", "command", "--quiet") == (0, "", "")
    function("called")
    assert contents(empty / "command") == contents(empty / "called")
    assert contents(empty / "called")


def test_the_report_of_a_study_is_the_same_page(empty, call):
    CALLS["study"][1]("compared")
    assert call("report", "compared", "--out", "command", "--no-figures", "--quiet")[0] == 0
    made = smemnas.report(ReportOptions(["compared"], out="called", figures=False))
    assert made.page.read_bytes() == (empty / "command" / "index.html").read_bytes()
    assert made.n_runs == 5
    assert all(file.exists() for file in made.files)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (RunOptions("random"), "a run needs a --space or a --problem"),
        (RunOptions("random", "toy", evaluator="tabel"), "no evaluator 'tabel'. Did you mean 'table'"),
        (RunOptions("random", "toy", problem="in1k-mop7-like"), "--problem brings its space"),
        (RunOptions("random", "toy", data="digits"), "belong to --evaluator train or supernet"),
        (RunOptions("random", "toy", objectives=["error", 3]), "--objectives takes names, got 3"),
        (StudyOptions("random", "toy", seeds="3-1"), "--seeds takes numbers and ranges"),
        (StudyOptions("random", "toy", at="900"), "--at takes numbers from 1 to the budget 300"),
        (StudyOptions("random", plan="ablation"), "--plan brings its own methods"),
        (RankOptions("toy", contrasts=["knn"]), "--contrast takes two names A,B, got 'knn'"),
        (RankOptions("toy", proxy_data="digits"), "--proxy-data belongs to --proxies"),
        (ReportOptions(["nowhere"]), "nowhere"),
    ],
)
def test_mistakes_are_one_line(empty, options, words):
    call = {RunOptions: smemnas.run, StudyOptions: smemnas.study, RankOptions: smemnas.rank}
    with pytest.raises(UserError) as error:
        call.get(type(options), smemnas.report)(options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(empty.iterdir())


# ---- what is shown and said ----


def test_nothing_is_printed_and_the_logger_says_it(empty, caplog, capsys):
    with caplog.at_level("INFO", logger="smemnas"):
        found = smemnas.run(RunOptions("random", "toy", budget=10, out="run"))
        study = smemnas.study(StudyOptions("random,nsga2", "toy", seeds=[0], budget=10, figures=False, out="study"))
        smemnas.report(ReportOptions(["run", "study"], out="page", figures=False))
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", f"{found!r} in run") in said
    assert ("INFO", "note: One function gives the searched and the reported value.") in said
    assert ("INFO", repr(study)) in said
    assert any(level == "WARNING" and text.endswith("found twice, counted once") for level, text in said)
    assert capsys.readouterr() == ("", "")


def test_no_repr_is_a_dump(use_embedded, tmp_path):
    found = smemnas.run(RunOptions("random", "nb201", budget=200, out=tmp_path / "run"))
    benchmark = found.benchmark
    shown = [found, found.front, benchmark, benchmark.problem, benchmark.space, benchmark.table, benchmark.reference()]
    shown += [benchmark.candidates(), benchmark.evaluate(found.X, 0)]
    for thing in shown:
        assert repr(thing).startswith("<")
        assert len(repr(thing)) < 200
    for thing in shown[:6]:
        assert thing._repr_html_().count("<tr>") <= 22
    assert "&lt;" in smemnas.make_job("random", "toy", constraints=("flops<=9",))[1]._repr_html_()


def test_the_front_is_what_nobody_beats(use_embedded, tmp_path):
    found = smemnas.run(RunOptions("random", "toy", budget=60, constraints=["flops<=12"], out=tmp_path / "run"))
    F = found.F[found.feasible]
    beaten = [any((other <= f).all() and (other < f).any() for other in F) for f in F]
    expected = sorted({tuple(f) for f, lost in zip(F.tolist(), beaten, strict=True) if not lost})
    assert sorted(values for _, values in found.front) == expected
    assert list(found.front.frame()["arch"]) == list(found.front.archs)
    assert found.front is found.front
    assert evaluations_frame(tmp_path / "run").query("front").arch.nunique() == len(found.front)
