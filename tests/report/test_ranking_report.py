"""The ranking study: tables, marks, files, figures and the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from ranking_cases import rank, records, toy_plan
from scipy import stats

from smemnas.bench.metrics.order import METRICS
from smemnas.bench.metrics.statistics import BEST, EQUAL, WORSE
from smemnas.bench.ranking.data import data_of
from smemnas.bench.ranking.study import LOG, RankLog, choose_encodings
from smemnas.bench.ranking.tables import TableKey, collect, smallest_p, tabulate
from smemnas.bench.report.ranking.files import conventions, escape, failures, latex, markdown, write_ranking


@pytest.fixture(scope="module")
def toy():
    return data_of("toy", "closed-form", "")


def made_up(data, tmp_path, seeds):
    """A log of chosen scores: best, equal within noise, worse, and a control better than all."""
    plan = toy_plan(
        data,
        surrogates=("kernel_ridge", "rbf", "gp", "flops"),
        seeds=tuple(range(seeds)),
        n_train=(20,),
        calibrate=False,
    )
    plan = replace(plan, contrasts=(("kernel_ridge", "gp"),))
    rng = np.random.default_rng(5)
    noise = rng.normal(size=seeds) * 0.02
    tau = {
        "kernel_ridge": 0.80 + noise,
        "rbf": 0.799 + noise + 0.01 * (-1.0) ** np.arange(seeds) * (1.0 + 0.05 * np.arange(seeds)),
        "gp": 0.70 + noise,
        "flops": np.full(seeds, 0.9),
    }
    chosen = choose_encodings(plan, data, RankLog(tmp_path / "none"))
    with RankLog(tmp_path / LOG) as log:
        for t in plan.tasks(chosen):
            value = tau[t.variant.name][t.seed]
            scores = {"error": {m.name: value if m.larger_is_better else 1.0 - value for m in METRICS}}
            times = {"fit": 0.1, "rank": 0.01, "calibrate": 0.0, "memory_mb": None}
            row = {"key": t.key(data, "uniform"), "status": "ok", "n_ranked": 300, "twins": 0.0}
            log.append({**row, "scores": scores, "time": times})
    return tabulate(plan, data, collect(plan, data, log, chosen)), tau


def test_marks_and_tests_are_those_computed_by_hand(toy, tmp_path):
    tables, tau = made_up(toy, tmp_path, 10)
    for metric in METRICS:
        cells = {c.entry.name: c for c in tables.cells if c.place == TableKey("uniform", "error", metric)}
        assert [cells[n].mark for n in ("kernel_ridge", "rbf", "gp", "flops")] == [BEST, EQUAL, WORSE, ""]
        p = [stats.wilcoxon(tau["kernel_ridge"], tau[n], mode="exact").pvalue for n in ("rbf", "gp")]
        assert cells["rbf"].p == pytest.approx(p[0])
        assert cells["gp"].p == pytest.approx(p[1]) == pytest.approx(2 / 2**10)
        assert cells["gp"].p_holm == pytest.approx(2 * p[1])
        assert cells["rbf"].p_holm == pytest.approx(max(p[0], 2 * p[1]))
    gp = next(c for c in tables.cells if c.entry.name == "gp" and c.place.metric.name == "tau")
    assert gp.mean.value == pytest.approx(tau["gp"].mean())
    assert gp.sd == pytest.approx(tau["gp"].std(ddof=1))
    assert gp.mean.low < gp.mean.value < gp.mean.high
    contrast = next(c for c in tables.contrasts if c.place.metric.name == "tau")
    assert contrast.difference.value == pytest.approx(0.1)
    assert (contrast.pairs, contrast.n_train) == (10, 20)
    assert contrast.p == pytest.approx(2 / 2**10)


def test_too_few_seeds_underline_nothing_and_say_so(toy, tmp_path):
    tables, _ = made_up(toy, tmp_path, 4)
    assert {c.mark for c in tables.cells} == {BEST, ""}
    assert smallest_p(tables.plan, tables.entries) == 0.25
    assert any("no difference can be significant" in line for line in conventions(tables))


def test_files_say_what_the_tables_say(toy, tmp_path):
    tables, tau = made_up(toy, tmp_path, 10)
    write_ranking(tmp_path, tables)
    rows = {r["surrogate"]: r for r in records(tmp_path / "ranking.csv") if r["metric"] == "tau"}
    assert float(rows["rbf"]["mean"]) == pytest.approx(tau["rbf"].mean())
    assert rows["kernel_ridge"]["mark"] == "best"
    assert rows["kernel_ridge"]["p"] == ""
    trials = records(tmp_path / "trials.csv")
    assert [float(r["error_tau"]) for r in trials if r["surrogate"] == "gp"] == pytest.approx(tau["gp"])
    assert not any("seconds" in name for name in trials[0])
    assert records(tmp_path / "times.csv")[0]["fit_seconds"] == "0.1"
    assert float(records(tmp_path / "contrasts.csv")[0]["difference"]) == pytest.approx(0.1)
    best, equal, worse = (f"{tau[n].mean():.3f}" for n in ("kernel_ridge", "rbf", "gp"))
    spread = f"{tau['kernel_ridge'].std(ddof=1):.3f}"
    text = latex(tables)
    assert rf"kernel\_ridge & int & \textbf{{{best}}} {{\scriptsize$\pm$ {spread}}} \\" in text
    assert rf"rbf & int & \underline{{{equal}}} " in text
    assert f"gp & int & {worse} " in text
    assert "\\midrule\nflops & - & 0.900 " in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(METRICS)
    assert text.count("{") == text.count("}")
    page = markdown(tables)
    assert f"| kernel_ridge | int | **{best}** ± {spread} |" in page
    assert f"| rbf | int | <u>{equal}</u> ± " in page
    assert "| kernel_ridge minus gp (int) | 20 | 10 | +0.1000 |" in page
    assert failures(tables) == []
    for line in page.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_latex_is_escaped():
    assert escape("precision@5 % of a_b & c#") == r"precision{@}5 \% of a\_b \& c\#"


# --- command


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_the_command_shows_a_table_and_draws_figures(tmp_path, jobs):
    text = rank(
        *("rank", "--space", "toy", "--surrogates", "kernel_pairwise,kernel_ridge,random", "--n-train", "20,40"),
        *("--seeds", 2, "--n-test", 100, "--pool", "uniform,front", "--jobs", jobs, "--out", tmp_path / "out"),
    )
    assert "Kendall tau-b against error, uniform pool, toy/closed-form" in text
    assert "kernel_pairwise minus kernel_ridge" in text
    files = [file for file in (tmp_path / "out").iterdir() if file.suffix in (".png", ".pdf")]
    names = {file.name for file in files}
    assert {"tau-uniform-error.png", "tau-front-error.pdf", "time-uniform.png", "scatter.pdf", "front.png"} <= names
    for file in files:
        data = file.read_bytes()
        assert len(data) > 5000
        assert data.startswith(b"\x89PNG" if file.suffix == ".png" else b"%PDF")
    plan = json.loads((tmp_path / "out" / "ranking.json").read_text())["plan"]
    assert plan["n_train"] == [20, 40]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--surrogates", "kernel_pairwize"), "Did you mean 'kernel_pairwise'"),
        (("--pool", "frontt"), "Did you mean 'front'"),
        (("--contrast", "gp"), "two names A,B"),
        (("--jobs", "0"), "--jobs must be at least 1"),
        (("--objective", "flops"), "for free"),
        (("--variant", "x"), "--variant takes"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, args, words):
    text = rank("rank", "--space", "toy", "--out", tmp_path / "out", *args, code=2)
    assert text.startswith("error: ")
    assert len(text.strip().splitlines()) == 1
    assert words in text
    assert not (tmp_path / "out").exists()
