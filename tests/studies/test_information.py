"""Information tracks in the tables of a study."""

from dataclasses import replace
from pathlib import Path

from study_cases import records, study, toy_plan

from smemnas.bench.studies.information import on_tracks, tracks_of
from smemnas.bench.studies.plan import Variant

ACROSS = " A comparison across tracks compares what methods are told, too."


def test_groups_name_their_methods_and_say_what_a_comparison_across_them_is() -> None:
    variants = (
        Variant("neutral", "smemnas", {"encoding": "onehot"}),
        *(Variant(name, name) for name in ("random", "smemnas", "nsga2")),
    )
    plan = toy_plan(variants=variants)
    assert tracks_of(plan) == {"neutral": "grey-box", "random": "black-box", "smemnas": "expert", "nsga2": "black-box"}
    assert on_tracks(plan) == [
        "Information tracks: black-box (genes and told values only): random, nsga2; grey-box (also the exact free "
        f"costs of any architecture): neutral; expert (also an encoding made for the space): smemnas.{ACROSS}"
    ]


def test_one_track_and_a_method_that_is_not_here() -> None:
    plan = replace(toy_plan(), variants=(Variant("random", "random"), Variant("theirs", "not-here")))
    assert on_tracks(plan) == [
        "Information tracks: black-box (genes and told values only): random; not known here: theirs."
    ]


def test_the_column_is_computed_from_the_job_so_that_old_folders_have_it(tmp_path: Path) -> None:
    args = ("--spaces", "toy", "--seeds", "0", "--budget", 12, "--no-figures", "--quiet", "--out", tmp_path)
    study("study", "--methods", "random,msunas/small", "--jobs", 1, *args)
    found = {row["method"]: row["track"] for row in records(tmp_path / "study.csv")}
    assert found == {"random": "black-box", "msunas/small": "grey-box"}
    assert ACROSS.strip() in (tmp_path / "study.md").read_text(encoding="utf-8")
    assert "track" not in next(tmp_path.rglob("job.json")).read_text(encoding="utf-8")
