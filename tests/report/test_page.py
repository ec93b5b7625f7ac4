"""Reports: the numbers of the page, the page as text, and the files beside it."""

import base64
import csv
import hashlib
import json
import re

import numpy as np
import pytest
from edits import row_text
from report_runs import data_in, groups_of, single, study

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.bench.report.page import html as page_html
from smemnas.bench.report.page.data import page_data, short
from smemnas.bench.report.page.page import render, write_page, write_report_files
from smemnas.bench.runs.history import History
from smemnas.bench.studies.execution import folder_of
from smemnas.bench.studies.plan import Variant

# --- numbers of the page


def dominated(F, f):
    return any((g <= f).all() and (g < f).any() for g in F)


def test_fronts_are_those_of_the_logs(tmp_path, use_embedded):
    plan = study(tmp_path, ("random", "rea"), ("nb201/analog",), (0, 1), 60)
    groups, _ = groups_of(tmp_path)
    data = page_data(groups)
    [problem] = data["problems"]
    assert data["methods"] == ["random", "rea"]
    assert [(f["m"], f["seed"]) for f in problem["fronts"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for front in problem["fronts"]:
        job = plan.job(plan.variants[front["m"]], plan.cases[0], front["seed"])
        rows = History(folder_of(tmp_path, job) / "evals.jsonl").rows
        F = np.array([row.F for row in rows])
        expected = {(rows[k].arch, *map(short, F[k])) for k in range(60) if not dominated(F, F[k])}
        # of equal rows the first stands for all
        shown = {(problem["archs"][p[0]], *p[1:]) for p in front["p"]}
        assert {e[1:] for e in expected} == {s[1:] for s in shown}
        assert shown <= expected
        assert [p[1] for p in front["p"]] == sorted(p[1] for p in front["p"])
    reference = open_benchmark("nb201", "analog").reference()
    assert problem["reference"]["n"] == len(problem["reference"]["points"]) == len(reference.front)
    assert np.allclose(problem["reference"]["points"], reference.front, rtol=1e-4)


def test_curves_are_means_of_the_regret_of_prefixes(tmp_path):
    study(tmp_path, ("random",), seeds=(0, 1, 2))
    groups, _ = groups_of(tmp_path)
    [problem] = page_data(groups)["problems"]
    [curve] = problem["curves"]
    front = open_benchmark("toy").reference().front
    runs = [run.F for run in groups[0].runs.values()]
    for k in (0, 9, len(problem["at"]) - 1):
        n = problem["at"][k]
        expected = np.mean([hypervolume_regret(F[:n], front) for F in runs])
        assert curve["mean"][k] == pytest.approx(expected, rel=1e-4)
        assert curve["low"][k] <= curve["mean"][k] <= curve["high"][k]
    assert problem["at"][-1] == problem["budget"] == 30


def test_dominated_points_come_only_where_they_are_few_or_wanted(tmp_path, monkeypatch):
    single(tmp_path, budget=50)
    groups, _ = groups_of(tmp_path)
    [run_] = groups[0].runs.values()

    def cloud(evaluated=False):
        [problem] = page_data(groups, evaluated)["problems"]
        return problem["evaluated"], len(problem["fronts"][0]["p"])

    [shown], on_front = cloud()
    assert len(shown["p"]) == 2 * (50 - on_front)
    points = np.reshape(shown["p"], (-1, 2))
    assert all(dominated(run_.F, f) or (run_.F == f).all(axis=1).sum() > 1 for f in points)
    monkeypatch.setattr("smemnas.bench.report.page.data.EVALUATED_SHOWN", 10)
    assert cloud()[0] == []
    assert cloud(evaluated=True)[0] == [shown]


def test_failed_evaluations_never_reach_a_chart(tmp_path):
    folder = single(tmp_path / "one")
    rows = [json.loads(line) for line in (folder / "evals.jsonl").read_text().splitlines()]
    for row in rows[::2]:
        row.update(F=[None, row["F"][1]], status="failed", error="no")
    (folder / "evals.jsonl").write_text("".join(row_text(row) + "\n" for row in rows))
    groups, unfinished = groups_of(folder)
    [problem] = page_data(groups)["problems"]
    assert unfinished == []
    bad = {row["arch"] for row in rows[::2]}
    assert problem["archs"]
    assert not bad & set(problem["archs"])
    assert len(problem["evaluated"][0]["p"]) + 2 * len(problem["archs"]) == 2 * 15


def test_pictures_are_limited_to_the_most_frequent(tmp_path, monkeypatch):
    study(tmp_path)
    groups, _ = groups_of(tmp_path)
    [full] = page_data(groups)["problems"]
    assert None not in full["pictures"]
    assert len(full["pictures"]) == len(full["archs"])
    monkeypatch.setattr("smemnas.bench.report.page.data.PICTURES", 2)
    [few] = page_data(groups)["problems"]
    often = [sum(p[0] == k for f in few["fronts"] for p in f["p"]) for k in range(len(few["archs"]))]
    drawn = [k for k, picture in enumerate(few["pictures"]) if picture is not None]
    assert len(drawn) == 2
    assert min(often[k] for k in drawn) >= max(often[k] for k in range(len(often)) if k not in drawn)


def test_short_numbers():
    assert [short(v) for v in (1.0, 123456.789, 0.000123456, float("inf"), float("nan"))] == [
        1.0,
        123460.0,
        0.00012346,
        None,
        None,
    ]


# --- the page as text


@pytest.fixture
def page(tmp_path):
    """A page of three methods, one of a single objective."""
    study(tmp_path / "runs", ("random", "nsga2", "rea"), at=(15,))
    groups, unfinished = groups_of(tmp_path / "runs")
    return render(groups, unfinished, files=["study.csv"])


def test_page_says_what_was_compared_how_and_on_what(page):
    text = re.sub(r"<[^>]+>", " ", page[: page.index('<script type="application/json"')])
    for words in (
        "9 finished runs of 30 evaluations",
        "random, nsga2, rea on toy/closed-form (error, flops); seeds 0-2",
        "rea: a method of one objective",
        "enters by its evaluated set",
        "Friedman chi-square",
        "Critical differences",
        "numpy " + np.__version__,
        "python",
        "One function gives the searched and the reported value.",
        "21 points, exact",
    ):
        assert words in text, words


def test_page_asks_for_nothing_and_allows_only_its_own_script(page):
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<>)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    targets = re.findall(r'(?:src|href|action|data)="([^"]*)"', page)
    assert all(t.startswith(("#", "data:,")) or t == "study.csv" for t in targets), targets
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, body in (
        ("style", re.search(r"<style>(.*?)</style>", page, re.S)[1]),
        ("script", re.search(r"<script>(.*?)</script>", page, re.S)[1]),
    ):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"\son\w+=|\sstyle=", page.split("<body>")[1].split("<script")[0])


def test_same_runs_give_the_same_bytes(tmp_path):
    study(tmp_path / "runs")
    pages = []
    for name in ("a", "b"):
        groups, unfinished = groups_of(tmp_path / "runs")
        files = write_report_files(tmp_path / name, groups, unfinished)
        write_page(tmp_path / name, groups, unfinished, files=files)
        pages.append(
            {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        )
    assert pages[0] == pages[1]
    assert len(pages[0]) > 6


HOSTILE = "</script><script>alert('1')</script><!--"


def test_names_are_escaped_everywhere(tmp_path):
    study(tmp_path, (Variant(HOSTILE, "random"), Variant('{{data}} & "b"', "nsga2"), Variant("c", "rea")))
    for log in tmp_path.rglob("evals.jsonl"):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        log.write_text("".join(row_text({**row, "arch": row["arch"] + HOSTILE}) + "\n" for row in rows))
    groups, unfinished = groups_of(tmp_path)
    page = render(groups, unfinished, title=HOSTILE, files=[HOSTILE])
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<!--" not in page
    data = data_in(page)
    assert data["methods"] == [HOSTILE, '{{data}} & "b"', "c"]
    assert all(arch.endswith(HOSTILE) for arch in data["problems"][0]["archs"])
    assert "{{data}} &amp; &quot;b&quot;" in page


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0.0341", 0.0341), ("-1.5", -1.5), ("[0.02, 0.04]", 0.02), ("<0.0001", 0.0001), (">=1.27", 1.27),
        (">340", 340), ("6/11", 6), ("0.0341 ± 0.0111", 0.0341), ("11 (2 failed)", 11), ("+0.0012", 0.0012),
        ("inf", float("inf")), ("23h16m5s", 83765), (">1d", 86400), ("0.5s", 0.5), ("3h1d", None),
        ("1,024", 1024), ("0.27 +", 0.27), ("", ""), ("-", ""), ("smemnas", None), ("3-stage", None), ("nsga2", None),
    ],
)  # fmt: skip
def test_what_a_cell_is_sorted_by(cell, value):
    found = page_html.value_of(cell)
    assert found == value if value in ("", None) else float(found) == value


def test_columns_of_words_stay_words_and_marks_and_feet_are_kept():
    shown = page_html.table(
        ["method", "regret"], [["1", "0.2"], ["2", "-"]], "a <b>", attributes=[{"m": 0}, {"m": 1}],
        marks=[["", "best"], ["", "equal"]], foot=[["p", "0.5"]], wrap=("method",),
    )  # fmt: skip
    assert '<tr data-m="0"><td class="left wrap">1</td><td class="best" data-v="0.2">0.2</td></tr>' in shown
    assert '<td class="equal" data-v="">-</td>' in shown
    assert "<tfoot><tr><td" in shown
    assert 'aria-label="a &lt;b&gt;"' in shown


# --- files and command


def test_command_writes_page_tables_and_figures(tmp_path, cli):
    study(tmp_path / "study", ("random", "nsga2", "rea"))
    process = cli("report", "study", "--out", "out", "--title", "My <title>")
    assert process.returncode == 0, process.stderr
    out = tmp_path / "out"
    assert "<title>My &lt;title&gt;</title>" in (out / "index.html").read_text()
    links = re.findall(r'href="([^"#]+)"', (out / "index.html").read_text().split("<footer>")[1])
    assert {"study.csv", "study.md", "study.tex", "trials.csv"} <= set(links)
    assert any(link.endswith(".pdf") for link in links)
    assert any(link.endswith(".png") for link in links)
    assert all((out / link).stat().st_size > 0 for link in links)
    assert r"\input{tables/regret}" in (out / "study.tex").read_text()
    assert r"\toprule" in (out / "tables" / "regret.tex").read_text()
    with open(out / "trials.csv", newline="") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["done"] * 9
    assert "9 runs on 1 problem" in process.stdout


def test_several_budgets_get_a_folder_each_and_what_is_left_out_a_file(tmp_path, cli):
    single(tmp_path / "runs" / "a")
    single(tmp_path / "runs" / "b", budget=20)
    (single(tmp_path / "runs" / "c", seed=1) / "job.json").write_text("{")
    process = cli("report", "runs", "--out", "out", "--no-figures", "--quiet")
    assert process.returncode == 0
    assert process.stdout == ""
    assert "job.json is corrupt" in process.stderr
    assert (tmp_path / "out" / "budget-20" / "study.csv").exists()
    assert (tmp_path / "out" / "budget-30" / "study.csv").exists()
    with open(tmp_path / "out" / "unfinished.csv", newline="") as stream:
        assert ["corrupt" in row["reason"] for row in csv.DictReader(stream)] == [True]
    assert not list((tmp_path / "out").rglob("*.pdf"))
    sections = re.findall(r'<section id="(p\d+)"><h2>([^<]+)', (tmp_path / "out" / "index.html").read_text())
    assert [name.rsplit(", ", 1)[1] for _, name in sections] == ["20 evaluations", "30 evaluations"]


def test_one_objective_and_many(tmp_path, use_embedded):
    single(tmp_path / "one", objectives=("error",))
    single(tmp_path / "three", space="nb201", dataset="analog", objectives=("error", "params", "flops"))
    groups, unfinished = groups_of(tmp_path)
    assert unfinished == []
    page = render(groups, unfinished)
    one, three = sorted(data_in(page)["problems"], key=lambda p: len(p["objectives"]))
    assert [len(p) for p in one["fronts"][0]["p"]] == [2]
    assert {len(p) for p in three["fronts"][0]["p"]} == {4}
    assert page.count('data-c="x"') == 1  # axes are chosen only where there are more than two


PLUGIN = """
import numpy as np
from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.spaces.base import Objective
from smemnas.spaces.toy import Toy, error

class Mine(Toy):
    name = "mine-report"

from smemnas.spaces.base import SPACES
SPACES.register("mine-report")(Mine)

@BENCHMARKS.register("mine-report/frontless")
def frontless(objectives=()):
    names = [Objective("error", "%", False), Objective("depth", "", False)]
    values = lambda X, seed: np.stack([error(X), X.max(axis=1)], axis=1)
    return CallableBenchmark(Mine(), values, names, dataset="frontless")
"""


def test_a_plug_in_without_a_reference_front(tmp_path, cli):
    (tmp_path / "mine.py").write_text(PLUGIN)
    made = cli(
        "--plugin", "mine.py", "run", "--method", "random", "--space", "mine-report", "--dataset", "frontless",
        "--budget", 20, "--out", "runs/one",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    without = cli("report", "runs", "--out", "out")
    assert without.returncode == 0, without.stderr
    assert "no space 'mine-report'" in without.stdout
    process = cli("--plugin", "mine.py", "report", "runs", "--out", "out")
    assert process.returncode == 0, process.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    [problem] = data_in(page)["problems"]
    assert problem["reference"]["exact"] is False  # that of the runs compared stands for it, as in a study
    assert problem["curves"][0]["mean"][-1] == 0.0
    assert len(problem["fronts"][0]["p"]) >= 1
    assert "that of all finished runs of this page stands for it" in page
    assert problem["pictures"][0][2][0][4].endswith("of 5")  # a table of genes


def test_report_prints_the_regret_that_study_prints_where_no_front_is_known(tmp_path, cli):
    (tmp_path / "mine.py").write_text(PLUGIN)
    plan = ("--methods", "random,nsga2", "--spaces", "mine-report/frontless", "--seeds", "0-1", "--budget", 20)
    made = cli("--plugin", "mine.py", "study", *plan, "--jobs", 1, "--no-figures", "--out", "runs/s")
    assert made.returncode == 0, made.stderr
    done = cli("--plugin", "mine.py", "report", "runs/s", "--no-figures", "--out", "out")
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "out").rglob("trials.csv")
    regrets = []
    for found in (tmp_path / "runs" / "s" / "trials.csv", file):
        with open(found, newline="") as stream:
            rows = {(r["method"], r["seed"]): r["regret_20"] for r in csv.DictReader(stream)}
        regrets.append(rows)
    assert regrets[0] == regrets[1]
    assert len(regrets[0]) == 4
    assert all(0.0 <= float(v) < 1.0 for v in regrets[0].values())


def test_size_grows_little_with_runs(tmp_path):
    """Without dominated points a run costs about what its front does: 300 such runs stay far below 15 MB."""
    sizes = []
    for n in (10, 40):
        study(tmp_path / "runs", ("random",), seeds=tuple(range(n)), budget=120)
        groups, unfinished = groups_of(tmp_path / "runs")
        sizes.append(len(render(groups, unfinished).encode()))
    assert (sizes[1] - sizes[0]) / 30 < 15e6 / 300 / 4
    assert sizes[1] > sizes[0]
