"""The suite as a library: the blocks of docs/library.md, and the view for pymoo."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pytest
from conftest import ROOT

import smemnas
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.pymoo_problem import as_pymoo
from smemnas.bench.errors import UserError
from smemnas.spaces.base import Objective
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.toy import Toy

DOCUMENT = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
#: Title of each section to its text.
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
NUMBER = r"-?\d+\.\d+"


# ---- the document ----


def blocks(section, language):
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


@pytest.fixture
def execute(use_embedded, tmp_path, monkeypatch, capsys):
    """Run the code of a section in an empty folder; returns its names and what it printed."""

    def call(section):
        monkeypatch.chdir(tmp_path)
        (code,) = blocks(section, "python")
        names = {"__name__": "example"}
        with warnings.catch_warnings():
            exec(compile(code, section, "exec"), names)
        return names, capsys.readouterr().out

    return call


def test_every_section_is_one_block_of_code():
    assert set(SECTIONS) - {"What stays"} == {
        "One search", "A study, a ranking, a report", "From images to a trained network", "In a notebook",
        "Ask and tell by hand", "Your own objectives",
        "Your own training", "Frames", "Names of architectures in other people's files", "pymoo on our tables",
        "A surrogate alone",
    }  # fmt: skip
    assert DOCUMENT.count("```python") == len(SECTIONS) - 1


def test_the_document_names_what_is_public():
    table = DOCUMENT.split("## ")[0]
    named = re.findall(r"`(\w+)`", "".join(line for line in table.splitlines() if line.startswith("|")))
    assert sorted(named) == smemnas.__all__


def test_blocks_import_from_one_place():
    """But for a space of the suite's own that an example extends, and other people's packages."""
    found = set(re.findall(r"^(?:from|import) (smemnas\S*)", DOCUMENT, re.MULTILINE))
    assert found == {"smemnas", "smemnas.spaces.nb201"}


@pytest.mark.parametrize(
    "section",
    [
        "A study, a ranking, a report",
        "In a notebook",
        "Frames",
        "Names of architectures in other people's files",
        "pymoo on our tables",
        "A surrogate alone",
    ],
)
def test_what_a_block_prints_is_what_the_document_says(execute, section):
    """Numbers with decimals may differ a little on another processor."""
    (expected,) = blocks(section, "text")
    printed = re.sub(r" +$", "", execute(section)[1], flags=re.MULTILINE)
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", expected)
    ours, theirs = (np.array(re.findall(NUMBER, text), dtype=float) for text in (printed, expected))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_one_search_in_ten_lines(execute, tmp_path):
    (code,) = blocks("One search", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names, printed = execute("One search")
    assert len(names["result"].F) == 100
    front = names["result"].front
    assert len(printed.splitlines()) == len(front) >= 5
    assert front.F[:, 0].min() < 9.0  # the best cell has 8.39 % (validation), the median cell 12.7 %
    assert (tmp_path / "runs" / "first" / "evals.jsonl").read_bytes().count(b"\n") == 100


@pytest.mark.long
@pytest.mark.slow
def test_a_chain_of_trainings(execute, tmp_path):
    pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
    pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
    names, printed = execute("From images to a trained network")
    first, *read, last, given = printed.splitlines()
    assert first == "epoch 1 of 1"
    assert given == "runs/inherited/retrain/best/export/model.onnx knows 0 1 2 3 4 5 6 7 8 9"
    assert (tmp_path / given.split()[0]).is_file()
    assert [line.split()[-1] for line in read] == list(names["search"].front.archs)
    errors = names["search"].front.F[:, 0]
    assert last.split()[-1] == names["search"].front.archs[errors.argmin()]
    result = json.loads((tmp_path / "runs" / "inherited" / "retrain" / "best" / "result.json").read_text())
    assert (result["top1"], result["start"]) == (names["trained"].top1, "inherited weights")
    assert {network.images for network in names["reading"].networks} == {result["test_images"]}


def test_ask_and_tell_by_hand(execute):
    names, printed = execute("Ask and tell by hand")
    assert names["told"] >= 60
    assert 4.0 <= names["best"] <= 8.0  # 4 is the optimum; one random architecture in 260 has 8 or less
    assert str(names["best"]) in printed


def test_own_objectives(execute):
    names, printed = execute("Your own objectives")
    X, F, table = names["front"].X, names["front"].F, names["table"]
    both = table.evaluate(X, 0).F
    np.testing.assert_allclose(F[:, 1], both[:, 1] - both[:, 0])
    np.testing.assert_array_equal(F[:, 2], [sum("conv" in op for op in table.space.to_str(x).split("|")) for x in X])
    assert names["benchmark"].problem.cheap == (2,)
    np.testing.assert_array_equal(names["benchmark"].problem.cheap_values(X)[:, 0], F[:, 2])
    assert len(printed.splitlines()) == len(F)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_own_training(execute):
    names, printed = execute("Your own training")
    F, space = names["front"].F, names["space"]
    assert F[:, 0].min() < 8.0
    for x, (_, weights) in zip(names["front"].X, F):
        network = names["train"](x, 0)
        assert weights == sum(w.size for w in (*network.coefs_, *network.intercepts_))
        np.testing.assert_array_equal(space.from_str(space.to_str(x)), x)
    tests = [float(line.split("%")[1].split()[-1]) for line in printed.splitlines()]
    assert len(tests) == len(F)
    assert min(tests) < 10.0
    assert names["val_images"].shape[0] == 400
    split = [{image.tobytes() for image in names[part]} for part in ("images", "val_images", "test_images")]
    assert not split[0] & split[1]
    assert not (split[0] | split[1]) & split[2]


@pytest.mark.parametrize("name", ["library.md", "checklist.md"])
def test_the_documents_name_what_exists(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    files = re.findall(r"`((?:bench|methods|spaces|docs)/[\w./-]*)`", text)
    assert links
    for path in (*(ROOT / "docs" / link.partition("#")[0] for link in links), *(ROOT / file for file in files)):
        assert path.exists(), path


# ---- pymoo ----


def noisy(X, seed):
    return np.stack([(X.sum(axis=1) + 0.1 * seed) / 2, -X[:, 0]], axis=1)


TWO = (Objective("a", "", False), Objective("b", "", False))


def test_the_view_has_the_numbers_of_the_benchmark(use_embedded):
    bench = open_benchmark("nb201", "analog", objectives=("error", "flops"))
    problem = as_pymoo(bench)
    X = bench.space.sample(200, np.random.default_rng(0))
    np.testing.assert_array_equal(problem.evaluate(X), bench.evaluate(X, 0).F)
    np.testing.assert_array_equal(problem.evaluate(X.astype(float)), bench.evaluate(X, 0).F)
    np.testing.assert_array_equal(problem.evaluate(X[0]), bench.evaluate(X[:1], 0).F[0])
    assert (problem.n_var, problem.n_obj, problem.n_constr) == (6, 2, 0)
    assert problem.bounds()[0].tolist() == [0] * 6
    assert problem.bounds()[1].tolist() == [4] * 6
    assert problem.name() == "nb201/analog"
    np.testing.assert_array_equal(problem.pareto_front(), bench.reference().front)


def test_the_view_takes_the_evaluation_seed():
    bench = CallableBenchmark(Toy(), noisy, TWO)
    X = Toy().enumerate()[:7]
    for seed in (0, 3):
        np.testing.assert_array_equal(as_pymoo(bench, seed).evaluate(X), noisy(X, seed))
    assert as_pymoo(bench).pareto_front() is None


def test_the_view_refuses_real_numbers():
    problem = as_pymoo(CallableBenchmark(Toy(), noisy, TWO))
    with pytest.raises(UserError, match=r"integer variables, got 1\.25.*IntegerRandomSampling.*RoundingRepair"):
        problem.evaluate(np.array([[0.0, 1.25, 2.0, 3.0, 4.0]]))
    with pytest.raises(UserError, match="integer variables, got nan"):
        problem.evaluate(np.array([[0.0, np.nan, 2.0, 3.0, 4.0]]))


def test_what_cannot_be_evaluated_is_worse_than_everything():
    seen = []

    def measure(X, seed):
        seen.append(X)
        F = noisy(X, seed)
        F[X[:, 1] == 3, 1] = np.nan
        return F

    problem = as_pymoo(CallableBenchmark(Toy(), measure, TWO))
    F = problem.evaluate(np.array([[1, 1, 1, 1, 1], [1, 3, 1, 1, 1], [1, 7, 1, 1, 1]]))
    assert F.tolist() == [[2.5, -1.0], [1e9, 1e9], [1e9, 1e9]]
    assert np.concatenate(seen).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 3, 1, 1, 1],
    ]  # no value was asked where there is no architecture
    assert problem.evaluate(np.full((2, 5), 9)).tolist() == [[1e9, 1e9]] * 2
    space = NB101()
    X = np.vstack([space.sample(5, np.random.default_rng(0)), np.zeros((1, space.n_var), np.int64)])
    nb101 = as_pymoo(CallableBenchmark(space, lambda X, seed: space.cost(X, "params"), [space.costs[0]]))
    assert (nb101.evaluate(X)[:, 0] == 1e9).tolist() == [False] * 5 + [True]


def test_silent_genes_are_normalised():
    space, seen = MNV3(), []

    def measure(X, seed):
        seen.append(X)
        return X.sum(axis=1)

    X = np.random.default_rng(0).integers(0, np.asarray(space.n_choices), (50, space.n_var))
    F = as_pymoo(CallableBenchmark(space, measure, TWO[:1])).evaluate(X)
    np.testing.assert_array_equal(seen[0], space.normalise(X))
    assert (F[:, 0] < X.sum(axis=1)).all()


@pytest.mark.parametrize("name", ["NSGA2", "SMSEMOA", "GA"])
def test_optimisers_of_pymoo_search_the_view(name, use_embedded):
    """Better than the first generation by far; every evaluated row is an architecture, as an integer."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    bench = open_benchmark("nb201", "analog", objectives=("error",) if name == "GA" else ("error", "flops"))
    make = {"NSGA2": NSGA2, "SMSEMOA": SMSEMOA, "GA": GA}[name]
    algorithm = make(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    result = minimize(as_pymoo(bench), algorithm, ("n_eval", 400), seed=1, save_history=True)
    X = np.atleast_2d(result.X)
    np.testing.assert_array_equal(bench.evaluate(X.astype(np.int64), 0).F, np.atleast_2d(result.F))
    first, last = (np.asarray(result.history[k].pop.get("F")) for k in (0, -1))
    assert last[:, 0].mean() < first[:, 0].mean()
    assert last[:, 0].min() <= first[:, 0].min()


def test_constraints_are_those_of_pymoo():
    bench = open_benchmark("toy", "closed-form", ("error", "flops"), ("flops<=10", "error<=30"))
    problem = as_pymoo(bench)
    assert problem.n_constr == 2
    X = np.vstack([Toy().sample(100, np.random.default_rng(0)), np.full((1, 5), 9)])
    F, G = problem.evaluate(X, return_values_of=["F", "G"])
    np.testing.assert_array_equal(F[:-1], bench.evaluate(X[:-1], 0).F)
    assert [str(c) for c in bench.constraints] == ["error<=30", "flops<=10"]
    np.testing.assert_allclose(G[:-1], np.maximum(F[:-1] / [30.0, 10.0] - 1.0, 0.0), atol=1e-12)
    assert G[-1].tolist() == [1e9, 1e9]
    front = problem.pareto_front()
    assert front[:, 1].max() == 10.0
    whole = open_benchmark("toy").reference().front
    inside = whole[(whole <= [30.0, 10.0]).all(axis=1)]
    np.testing.assert_array_equal(front, inside[np.argsort(inside[:, 0])])
