"""A study as Markdown, LaTeX, CSV and on screen: the words and numbers are those of its tables."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from study_cases import records, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import smallest_p
from smemnas.bench.report.cells import Section, markdown_table, number, p_value, short_names, span, to_csv
from smemnas.bench.report.study.files import ROWS_SHOWN, details, markdown, write_study
from smemnas.bench.report.study.latex import escape
from smemnas.bench.report.study.primary import HEAD
from smemnas.bench.report.study.screen import _print_section, print_study
from smemnas.bench.report.study.sections import sections, time_sections
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import FAILED, run_study
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import collect
from smemnas.bench.values import seed_text

TWO = (Case("toy"), Case("toy", "", ("flops", "error")))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """A study of three methods on two problems, one of which a method failed in part."""
    out = tmp_path_factory.mktemp("study")
    variants = (
        Variant("random", "random"),
        Variant("evo", "nsga2", {"population": 10}),
        Variant("a_b|c%", "nsga2", {"population": 20}),
    )
    plan = toy_plan(seeds=tuple(range(8)), variants=variants, cases=TWO, champion="evo")
    run_study(list(plan.jobs()), out)
    trials = collect(plan, out)
    gone = [i for i, t in enumerate(trials) if t.variant == "a_b|c%" and t.case == plan.cases[1] and t.job.seed > 5]
    for i in gone:
        nothing = np.full(3, math.nan)
        trials[i] = replace(trials[i], status=FAILED, reason="out of memory", regret=nothing, curve=np.empty(0))
    return tabulate(plan, trials)


def table(text: str, title: str) -> list[list[str]]:
    """Return the cells of a Markdown table below a heading that begins with a title."""
    lines = text.split(f"## {title}", 1)[1].splitlines()[2:]
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows if "---" not in row]


def test_the_summary_marks_the_best_and_says_how_many_runs(studied: Tables) -> None:
    [head, *rows] = table(markdown(studied), "Mean hypervolume regret after 40 evaluations")
    assert head[0] == "method"
    assert [row[0] for row in rows] == ["random", "evo", r"a_b\|c%"]
    for j, case in enumerate(studied.plan.cases, start=1):
        assert head[j] == str(case)
        mine = [r for r in studied.rows if r.case == case and r.at == 40]
        best = min(mine, key=lambda r: r.regret.value)
        for row, r in zip(rows, mine, strict=True):
            value, rest = row[j].split(" ", 1)
            plain = f"{r.regret.value:.4f}"
            apart = r.p_best < 0.05
            pair = {r.variant, best.variant}
            tests = 12 if "evo" in pair else 18 if "random" in pair else 2  # its family, or else the column
            told = smallest_p(tests, min(r.n, best.n)) < 0.05
            assert value == (
                f"**{plain}**" if r is best else plain if apart else f"<u>{plain}</u>" if told else f"{plain}?"
            )
            assert rest == f"± {r.regret_sd:.4f}" + (" (n=6)" if r.n == 6 else "")
    assert [row[2].endswith("(n=6)") for row in rows] == [False, False, True]
    assert "n=...: finished runs where they are fewer than the 8 seeds" in markdown(studied)


def test_one_problem_is_summarised_by_checkpoints(studied: Tables) -> None:
    case = studied.plan.cases[0]
    alone = tabulate(replace(studied.plan, cases=(case,)), [t for t in studied.trials if t.case == case])
    text = markdown(alone)
    [head, *rows] = table(text, f"Mean hypervolume regret on {case} by evaluations")
    assert head == ["method", "10", "25", "40"]
    assert [len(row) for row in rows] == [4, 4, 4]
    assert "Ranks of the mean regrets" not in text
    assert "seeds of different problems" not in text


def test_ranks_and_the_champion_are_in_the_tables(studied: Tables) -> None:
    text = markdown(studied)
    [head, *rows] = table(text, "Ranks of the mean regrets after 40 evaluations")
    assert head[-1] == "mean rank"
    for row, r in zip(rows, [r for r in studied.problem_ranks if r.at == 40], strict=True):
        assert row[1:-1] == [f"{x:g}" for x in r.ranks]
        assert row[-1].strip("*") == f"{np.mean(r.ranks):.2f}"
    [head, *rows] = table(text, "evo over each other method: ratio of mean regrets after 40 evaluations")
    assert [row[0] for row in rows] == ["random", r"a_b\|c%"]
    for row in rows:
        cells = [r for r in studied.champion if r.at == 40 and r.variant == row[0].replace("\\", "")]
        signs = []
        for cell, r in zip(row[1:], cells, strict=False):
            ratio, sign = cell.split(" ")
            assert ratio == f"{r.comparison.ratio.value:.2f}"
            better = "+" if r.comparison.difference.value < 0 else "-"
            lowest = smallest_p(r.comparison.family_size, r.comparison.pairs)
            assert sign == (better if r.comparison.p_holm < 0.05 else "?" if lowest >= 0.05 else "=")
            signs.append(sign)
        assert row[-1] == "/".join(str(signs.count(s)) for s in "+=-")
    [head, *rows] = table(text, f"Mean ranks within the 8 seeds that all 3 methods finished on {studied.plan.cases[0]}")
    assert [row[0] for row in rows[3:]] == ["Friedman chi-square", "p", "critical difference"]
    ranks = np.array([[float(c.strip("*")) for c in row[1:]] for row in rows[:3]])
    assert ranks.sum(axis=0) == pytest.approx(6.0, abs=0.02)
    assert "Mean ranks within the 6 seeds" in text


def test_a_negative_mean_shows_the_difference_and_few_pairs_show_nothing(studied: Tables) -> None:
    """On a table with several trainings a search can beat the front of their means."""
    first = studied.champion[0]
    short = replace(first.comparison, pairs=3, p_holm=1.0, ratio=Interval(math.nan, math.nan, math.nan))
    low = replace(short, difference=Interval(-0.0123, -0.02, -0.01))
    changed = [replace(r, comparison=low) if r is first else r for r in studied.champion]
    text = markdown(replace(studied, champion=changed))
    [_, *rows] = table(text, f"evo over each other method: ratio of mean regrets after {first.at} evaluations")
    assert [row[1] for row in rows if row[0] == first.variant] == ["(-0.0123) ?"]
    assert "In brackets: the difference" in text
    assert "? too few pairs" in text


def test_a_large_study_has_its_details_in_a_file_of_their_own(studied: Tables, tmp_path: Path) -> None:
    small, large = studied, replace(studied, rows=list(studied.rows) * 4)
    assert len(small.rows) <= ROWS_SHOWN < len(large.rows)
    assert details(small) == ""
    assert "Further indicators" in markdown(small)
    assert "Further indicators" in details(large)
    assert "Further indicators" not in markdown(large)
    assert "[details.md](details.md)" in markdown(large)
    write_study(tmp_path, large)
    assert (tmp_path / "details.md").read_text() == details(large)
    write_study(tmp_path, small)
    assert not (tmp_path / "details.md").exists()


def test_csv_files_hold_what_the_tables_hold(studied: Tables, tmp_path: Path) -> None:
    (tmp_path / "contrasts.csv").write_text("of an earlier study")
    write_study(tmp_path, studied)
    assert not (tmp_path / "contrasts.csv").exists()
    rows = records(tmp_path / "study.csv")
    assert len(rows) == 2 * 3 * 3
    for line, row in zip(rows, studied.rows, strict=True):
        for name in ("regret", "area", "igd_plus", "epsilon", "best"):
            assert float(line[name]) == pytest.approx(getattr(row, name).value, rel=1e-9)
            assert float(line[f"{name}_low"]) == pytest.approx(getattr(row, name).low, rel=1e-9)
        assert (line["mark"], line["constraints"]) == (row.mark, "")
    trials = records(tmp_path / "trials.csv")
    assert [r["status"] for r in trials].count("failed") == 2
    for line, t in zip(trials, studied.trials, strict=True):
        if line["status"] == "done":
            assert [float(line[f"area_{n}"]) for n in (10, 25, 40)] == pytest.approx(t.area, rel=1e-9)
            assert [float(line[f"epsilon_{n}"]) for n in (10, 25, 40)] == pytest.approx(t.epsilon, rel=1e-9)
    champion = records(tmp_path / "champion.csv")
    assert len(champion) == 2 * 3 * 2
    assert {r["family_size"] for r in champion} == {"12"}
    assert [r["target"] != "" for r in champion] == [r["evaluations"] == "40" for r in champion]
    ranks = records(tmp_path / "ranks.csv")
    assert {(r["objectives"], r["seeds"]) for r in ranks} == {("error+flops", "8"), ("flops+error", "6")}
    curves = records(tmp_path / "curves.csv")
    assert {(r["method"], r["n"]) for r in curves} == {("random", "8"), ("evo", "8"), ("a_b|c%", "8"), ("a_b|c%", "6")}


def test_the_screen_shows_the_table_that_matters_and_where_the_rest_is(studied: Tables, tmp_path: Path) -> None:
    def screen(tables: Tables) -> str:
        text = io.StringIO()
        print_study(tables, tmp_path, Console(file=text, width=160), figures=True)
        return text.getvalue()

    text = screen(studied)  # no primary comparison is stated: mean regrets at the budget
    *others, head = [s for s in sections(studied) if s.title.startswith("Mean hypervolume regret after")]
    assert head.title.startswith("Mean hypervolume regret after 40")
    assert head.title in text
    assert head.rows[0][1] in text
    assert not any(s.title.split(";")[0] in text for s in (*others, *time_sections(studied)))
    assert "Bold and *: the best mean. Underlined and ~: not significantly" in " ".join(text.split())
    assert "Bold: the best mean. Underlined: not significantly" in markdown(studied)
    assert "study.md: all tables" in text
    assert "champion.csv" in text
    assert text.rstrip().endswith("figures")
    assert "details.md" in screen(replace(studied, rows=list(studied.rows) * 4))


def test_every_column_of_the_table_in_a_notebook_has_a_heading_and_every_row_a_word(studied: Tables) -> None:
    heads = re.findall(r"<th [^>]*>(.*?)</th>", studied._repr_html_())
    assert heads == ["problem", "method", "runs", "regret", "95 % interval", "p (Holm)", "beside the best"]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in studied._repr_html_().split("<tr>")[2:]]
    rows = [row for row in studied.rows if row.at == 40]
    worse = [not row.mark and row.p_best < 0.05 for row in rows]
    assert [c[-1] for c in cells] == [row.mark or "worse" for row in rows]
    assert [c[-1] == "worse" for c in cells] == worse
    assert {c[-1] for c in cells} >= {"best"}


@pytest.mark.parametrize("width", [200, 140, 100, 80])
def test_no_cell_is_broken_but_before_its_interval(studied: Tables, width: int) -> None:
    """Five problems, as in the plans of the suite, and one: the two forms of the table of the primary comparison."""
    cells = [
        ["smemnas/adaptive", *["-1.23 [-1.60, -0.85] +"] * 5, "4/0/1"],
        ["optuna-nsga2/default", *["-"] * 5, "0/0/0"],
    ]
    head = ("method", "nb201/cifar10", "nb201/cifar100", "macro/cifar10", "nats_sss/cifar10", "mnv3/ofa", "+/=/-")
    wide = Section("Primary comparison", head, cells)
    values = ("+0.0123", "[-0.0123, -0.0045]", "<0.0001", "no difference shown")
    row = ["smemnas/relevance", "11", "0.0123", "-1.23", "[-1.60, -0.85]", "0.05", *values]
    one = Section("Of one", HEAD, [[*row, ""]])
    least = Section("With what had been found", HEAD, [[*row, "0.0341"]])
    beside = Section(
        "Primary, beside =", head, [[cell.replace("] +", "] = (0.0341)") for cell in line] for line in cells]
    )
    for section in (wide, one, least, beside):
        text = io.StringIO()
        _print_section(section, Console(file=text, width=width))
        lines = text.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        for part in {part for row in section.rows for cell in row for part in re.split(r" (?=\[)", cell)}:
            assert any(part in line for line in lines), part
        assert sum(line.count("[-1.60, -0.85]") for line in lines) == (5 if section in (wide, beside) else 1)
        titles = [line for line in lines if line.startswith(section.title)]
        if section in (wide, one):
            assert len(titles) == {200: 1, 140: 1, 100: 2, 80: 3 if section is wide else 2}[width]


def test_latex_escapes_what_it_reads_as_commands() -> None:
    assert escape(r"50 % & a_b #1 $x {y} ~z^2 \n") == (
        r"50 \% \& a\_b \#1 \$x \{y\} \textasciitilde{}z\textasciicircum{}2 \textbackslash{}n"
    )
    assert escape("<0.0001 >=1.27 <=2 >340 ±") == r"$<$0.0001 $\geq$1.27 $\leq$2 $>$340 $\pm$"


def test_numbers_as_text() -> None:
    assert [number(v) for v in (None, math.nan, math.inf, 0.12345)] == ["-", "-", "inf", "0.1235"]
    assert [p_value(p) for p in (math.nan, 0.00009, 0.0123)] == ["-", "<0.0001", "0.0123"]
    assert span(Interval(1.0, 0.5, math.inf), 1) == "[0.5, inf]"
    assert span(Interval(1.0, math.nan, math.nan)) == "-"
    assert seed_text([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_cases_are_named_as_briefly_as_possible() -> None:
    a, b = Case("toy", "t", ("error", "flops")), Case("toy", "u", ("error",))
    again = Case("toy", "t", ("error", "flops"), ("flops<=9",))
    assert short_names([a, b]) == {a: "toy/t", b: "toy/u"}
    assert short_names([a, again, b])[again] == "toy/t (error, flops; flops<=9)"
    assert len(set(short_names([a, again, b]).values())) == 3


def test_empty_columns_are_left_out_with_their_marks() -> None:
    section = Section(
        "t", ("method", "x", "y"), [["a", "-", "1 ± 2"], ["b|c", "", "3"]], marks=[["", "", "best"], [""] * 3]
    )
    assert section.head == ["method", "y"]
    assert markdown_table(section) == [
        "| method | y |", "|---|---:|", "| a | **1** ± 2 |", r"| b\|c | 3 |",
    ]  # fmt: skip


def test_a_study_without_a_finished_run_is_written(tmp_path: Path) -> None:
    plan: Plan = toy_plan(seeds=(0, 1), champion="evo", cases=TWO)
    tables = tabulate(plan, collect(plan, tmp_path))
    write_study(tmp_path, tables)
    assert "4 of 8 runs" not in markdown(tables)
    assert "8 of 8 runs have not been made yet." in markdown(tables)
    assert {r["regret"] for r in records(tmp_path / "study.csv")} == {""}
    assert not (tmp_path / "curves.csv").exists()


def test_a_csv_file_has_the_same_numbers_whatever_the_last_bits():
    sums = {
        "n": 12345678901,
        "a": 0.1 + 0.2,
        "b": np.float64(-1.5472449709631846),
        "c": 1e-17,
        "d": np.inf,
        "e": np.nan,
    }
    others = {"n": 12345678901, "a": 0.3, "b": -1.5472449709631848, "c": 1e-17 + 1e-33, "d": np.inf, "f": "x"}
    assert to_csv([sums, others]).splitlines() == [
        "n,a,b,c,d,e,f",
        "12345678901,0.3,-1.547244971,1e-17,inf,,",
        "12345678901,0.3,-1.547244971,1e-17,inf,,x",
    ]
    assert to_csv([{"a": 0.1 + 0.2}], exact=True).splitlines() == ["a", "0.30000000000000004"]
