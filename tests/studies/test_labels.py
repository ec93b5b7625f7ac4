"""Display names of methods: what may be given, and where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import groups_of
from report_runs import study as make_study
from study_cases import records, study, toy_plan

from smemnas.bench.errors import UserError
from smemnas.bench.report.page.page import render
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.labels import labelled, read_labels

NAMES = ("nsga2", "smemnas/best", "nsga2:population=8")


def test_names_may_hold_the_sign_that_ends_them() -> None:
    given = ("nsga2=NSGA-II", "nsga2:population=8=NSGA-II, small", "smemnas/best=a=b")
    assert read_labels(given, NAMES) == {
        "nsga2": "NSGA-II",
        "nsga2:population=8": "NSGA-II, small",
        "smemnas/best": "a=b",
    }
    assert read_labels({"nsga2": " Ours "}, NAMES) == {"nsga2": "Ours"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nsga2", "--label takes NAME=TEXT"),
        ("nsga3=x", "'nsga3' is not among the methods. Did you mean 'nsga2'?"),
        ("nsga2= ", "with a text to show for 'nsga2'"),
        ("nsga2=smemnas/best", "would both be shown as 'smemnas/best'"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match="--label") as error:
        read_labels([text], NAMES)
    assert said in str(error.value)


def test_two_methods_may_change_names() -> None:
    plan = toy_plan(champion="evo", primary="evo", seeds_of={"evo": (0, 1)})
    swapped = labelled(plan, {"evo": "random", "random": "evo"})
    assert [v.name for v in swapped.variants] == ["evo", "random"]
    assert (swapped.baseline, swapped.champion, swapped.primary) == ("evo", "random", "random")
    assert swapped.seeds_of == {"random": (0, 1)}
    assert [job.to_dict() for job in swapped.jobs()] == [job.to_dict() for job in plan.jobs()]


def test_a_study_and_its_report_show_them(tmp_path: Path) -> None:
    args = ("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", 12, "--no-figures")
    text = study(*args, "--jobs", 1, "--champion", "nsga2", "--label", "nsga2=Ours <&>", "--out", tmp_path)
    assert "Ours <&> against the other method" in text
    assert {r["method"] for r in records(tmp_path / "study.csv")} == {"random", "Ours <&>"}
    assert r"Ours $<$\&$>$" in (tmp_path / "tables" / "regret.tex").read_text()
    [plan] = read_plans(tmp_path / "plans.json")
    assert [v.name for v in plan.variants] == ["random", "nsga2"]
    groups, _ = groups_of(tmp_path, labels=["nsga2=Ours <&>"], champion="nsga2")
    assert groups[0].tables.plan.champion == groups[0].tables.plan.primary == "Ours <&>"
    page = render(groups, [])
    assert "Ours &lt;&amp;&gt; against 1 other method after 12 evaluations" in page


def test_a_question_asked_afterwards_is_not_primary(tmp_path: Path) -> None:
    make_study(tmp_path, seeds=(0, 1), primary="random")
    assert groups_of(tmp_path)[0][0].tables.plan.primary == "random"
    assert groups_of(tmp_path, champion="nsga2")[0][0].tables.plan.primary == ""
    make_study(tmp_path, seeds=(0, 1), champion="nsga2", primary="nsga2")
    assert groups_of(tmp_path)[0][0].tables.plan.primary == ""  # two questions were asked
