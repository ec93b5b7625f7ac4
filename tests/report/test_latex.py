"""The LaTeX tables of a study: one file each, with labels, no wider than a line of an article."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_cases import made_up, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.report.cells import Section
from smemnas.bench.report.study.files import texts, write_study
from smemnas.bench.report.study.latex import tables as latex_tables
from smemnas.bench.report.study.sections import sections
from smemnas.bench.studies.against import shipped
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import FAILED
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.information import signs_of
from smemnas.bench.studies.labels import labelled
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.tables import Tables

CASES = tuple(Case("toy", "", o) for o in (("error", "flops"), ("flops", "error"), ("error",), ("flops",)))
NAMES = ("a_b|c%", "smemnas/nsga2-inside", "evo", "optuna-nsga2", "random")


def study_of(plan: Plan) -> Tables:
    """Return the tables of made-up regrets of a study in which a run failed."""
    rng = np.random.default_rng(0)
    c = len(plan.at)
    trials = []
    for case in plan.cases:
        for k, v in enumerate(plan.variants):
            for seed in plan.seeds:
                names = ("regret", "igd_plus", "reported", "epsilon", "best", "area")
                values: dict[str, object] = {name: rng.random(c) + 0.3 * k for name in names}
                F = rng.random((plan.budget, len(case.objectives)))
                curve = np.sort(rng.random(plan.budget))[::-1]
                trials.append(made_up(plan, v, case, seed, **values, F=F, curve=curve, seconds=0.5, method_seconds=0.2))
    nothing = np.full(c, math.nan)
    trials[0] = replace(trials[0], status=FAILED, reason="out of memory", regret=nothing, curve=np.empty(0))
    return tabulate(plan, trials)


@pytest.fixture(scope="module")
def plan() -> Plan:
    variants = tuple(Variant(name, "nsga2", {"population": 10 + k}) for k, name in enumerate(NAMES))
    return toy_plan(variants=variants, cases=CASES, seeds=tuple(range(9)), champion="evo", primary="evo")


@pytest.fixture(scope="module")
def studied(plan: Plan) -> Tables:
    return study_of(plan)


def test_each_table_is_whole_and_says_the_same(studied: Tables) -> None:
    found = sections(studied)
    made = latex_tables(found)
    assert len(made) == sum(len({row[0] for row in s.rows}) if s.breaks else 1 for s in found)
    for table in made:
        text = table.text
        assert [text.count(s) for s in (r"\begin{table}", r"\end{table}", rf"\label{{{table.label}}}")] == [1, 1, 1]
        for part in re.findall(r"\\begin{tabular}(.*?)\\end{tabular}", text, re.DOTALL):
            [columns] = re.findall(r"^{([lr]+)}", part)
            lines = [line for line in part.splitlines() if line.endswith(r"\\")]
            assert len(lines) > 1
            assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}
            assert [part.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert len({t.name for t in made}) == len({t.label for t in made}) == len(made)
    whole = "".join(t.text for t in made)
    best = min(
        (r for r in studied.rows if r.case == studied.plan.cases[0] and r.at == 40), key=lambda r: r.regret.value
    )
    assert rf"\textbf{{{best.regret.value:.4f}}} $\pm$ {best.regret_sd:.4f}" in whole
    assert r"a\_b\textbar{}c\%" in whole
    assert "a_b|c%" not in whole


def test_names_of_files_do_not_depend_on_the_methods(studied: Tables, plan: Plan, tmp_path: Path) -> None:
    names = {t.name for t in latex_tables(sections(studied))}
    assert {"primary", "regret-40", "ranks-40", "ratios-40", "quality-toy-closed-form-error-40"} <= names
    shown = labelled(plan, ["evo=Evolution (ours)", "a_b|c%=A & B"])
    assert (shown.champion, shown.primary, shown.baseline) == ("Evolution (ours)", "Evolution (ours)", "A & B")
    other = study_of(shown)
    assert {t.name for t in latex_tables(sections(other))} == names
    write_study(tmp_path, other)
    files = {p.stem: p.read_text() for p in (tmp_path / "tables").iterdir()}
    assert set(files) == names
    assert "Evolution (ours) against each other method" in files["primary"].replace(r"\allowbreak{}", "")
    assert r"A \& B" in files["primary"]
    assert "evo " not in files["primary"]
    inputs = re.findall(r"\\input{(.*?)}", (tmp_path / "study.tex").read_text())
    assert {f"tables/{name}" for name in names} == set(inputs)
    (tmp_path / "tables" / "mine.tex").write_text("of the user")
    write_study(tmp_path, replace(other, problem_ranks=()))
    left = {p.stem for p in (tmp_path / "tables").iterdir()}
    assert left == {"mine", *(n for n in names if not n.startswith("ranks-"))}
    assert texts(other).keys() >= {"study.md", "study.tex", "tables/primary.tex"}


def test_tables_across_tracks_say_so_and_others_do_not(plan: Plan) -> None:
    told = dict(zip(NAMES, ("nsga2", "msunas/small", "smemnas", "not-here", "random"), strict=True))
    across = replace(plan, variants=tuple(Variant(name, method) for name, method in told.items()))
    signs = signs_of(across)
    assert list(signs.values()) == ["B", "G", "E", "?", "B"]
    section = Section("Regret.", ("method", "n"), [[name, "9"] for name in NAMES], key="a")
    pair = Section("Pair", ("evaluations", "method", "n"), [["40", "evo", "9"], ["40", "random", "9"]], key="b")
    alike = Section("Alike", ("method", "n"), [["a_b|c%", "9"], ["random", "9"]], key="c")
    found = [t.text for t in latex_tables([section, pair, alike], signs)]
    assert "Regret. Track: B black-box, G grey-box, E expert, ? not known here. " in plain(found[0])
    assert "Pair. Track: B black-box, E expert. " in plain(found[1])
    for text in found[:2]:
        assert "A comparison across tracks compares what methods are told, too." in plain(text)
    assert "method & track & n" in found[0]
    assert "evo & E & 9" in found[0]
    assert "40 & evo & E & 9" in found[1]
    assert "rack" not in found[2]
    whole = texts(replace(study_of(plan), plan=across))
    assert "& track &" in whole["tables/primary.tex"]
    assert "track" not in texts(study_of(plan))["tables/primary.tex"]


def plain(text: str) -> str:
    return text.replace(r"\allowbreak{}", "")


def hard_sections() -> list[Section]:
    """Return tables that are too wide, too long, or of long names."""
    rng = random.Random(0)
    names = ["smemnas(surrogate=kernel_pairwise,inner=mp-moea,explore=true)", "Mm", "WWWWWWWW", "α".replace("α", "a")]
    cell = "-0.93 [-1.21, -0.33] +"
    return [
        Section(f"Wide {k}", ("method", *(f"Problem{j}/IMAGENET" for j in range(k))), [[n, *[cell] * k] for n in names])
        for k in range(1, 12)
    ] + [
        Section(
            "Narrow to wide",
            ("method", *("n" * rng.randrange(1, 14) for _ in range(9))),
            [[name, *(str(rng.random())[: rng.randrange(3, 9)] for _ in range(9))] for name in names[1:]],
        ),
        Section("Long", ("method", "x"), [[f"m{k}", str(k)] for k in range(130)]),
        Section(
            "Best <= 3 ± 1, 50 % of $x_1^2$ {~} #1 \\ and smemnas/nsga2-inside/with-a-very-long-name " * 3,
            ("x",),
            [["1"]],
        ),
    ]


def compiled(folder: Path, made: list[tuple[str, str]]) -> list[str]:
    """Return what pdflatex complains of in an article that reads every table."""
    for name, text in made:
        (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    body = "".join(f"Table~\\ref{{tab:{name}}}\n\\input{{{name}}}\n\\clearpage\n" for name, _ in made)
    (folder / "main.tex").write_text(
        f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    return warnings_of(folder)


def warnings_of(folder: Path) -> list[str]:
    """Return what pdflatex complains of in the main.tex of a folder."""
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
            cwd=folder, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (folder / "main.log").read_text(errors="replace")
    return [line for line in log.splitlines() if re.match(r"Overfull|!|LaTeX Warning", line)]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: install texlive-latex-recommended")
def test_every_table_compiles_in_a_plain_article_and_fits(studied: Tables, tmp_path: Path) -> None:
    made = [(t.name, t.text) for t in latex_tables([*sections(studied), *hard_sections()])]
    assert len(made) > 40
    assert sum(name.startswith("long") for name, _ in made) == 4
    assert compiled(tmp_path, made) == []


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: install texlive-latex-recommended")
def test_the_study_of_nine_methods_on_five_problems_compiles_and_fits(tmp_path: Path) -> None:
    archive = shipped("in-the-box") or tmp_path / "absent"
    assert archive.name == "in-the-box.runs"
    [group], left = make_groups(find_runs([str(archive)]))
    assert left == []
    tables = group.tables
    assert (len(tables.plan.variants), len(tables.plan.cases), len(tables.trials)) == (9, 5, 495)
    made = [(t.name, t.text) for t in latex_tables(sections(tables))]
    assert len(made) == 58
    assert compiled(tmp_path, made) == []
    write_study(tmp_path / "study", tables)  # and as it is used: one line for all of them
    text = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{study}\n\\end{document}\n"
    (tmp_path / "study" / "main.tex").write_text(text)
    assert warnings_of(tmp_path / "study") == []
