"""Information tracks in the tables of a study."""

from dataclasses import replace
from pathlib import Path

from study_cases import records, study, toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.library.leaderboard import LeaderboardOptions, leaderboard
from smemnas.bench.report.leaderboard.files import CSV
from smemnas.bench.studies.information import on_signs, on_tracks, signs_of, tracks_of
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


def test_a_start_by_cost_is_told_apart_and_changes_no_other_problem(tmp_path: Path) -> None:
    """One plan of problems that differ in nothing but their start: every row has its own key and its own track."""
    plain = tmp_path / "plain"
    args = ("study", "--methods", "random,msunas/small", "--spaces", "toy", "--seeds", "0-1", "--budget", 12)
    args = (*args, "--jobs", 1, "--no-figures", "--quiet")
    study(*args, "--out", plain)
    study(*args, "--start", "ends", "--out", tmp_path / "begun")
    study("report", plain, tmp_path / "begun", "--quiet", "--out", tmp_path / "page")
    assert "start" not in records(plain / "study.csv")[0]
    for name in ("study", "trials", "times", "ranks", "curves", "ecdf"):
        rows = records(tmp_path / "page" / f"{name}.csv")
        keys = ("space", "start", "method", "seed", "evaluations")
        assert len({tuple(row.get(key, "") for key in keys) for row in rows}) == len(rows), name
    found = {(row["start"], row["method"], row["track"]) for row in records(tmp_path / "page" / "study.csv")}
    tracks = {("", "random", "black-box"), ("ends", "random", "grey-box")}
    tracks |= {("", "msunas/small", "grey-box"), ("ends", "msunas/small", "grey-box")}
    assert found == tracks
    leaderboard(LeaderboardOptions([plain, tmp_path / "begun"], tmp_path / "board"))
    assert {(row["start"], row["method"], row["track"]) for row in records(tmp_path / "board" / CSV)} == tracks


def test_words_on_tracks_that_change_with_the_problem() -> None:
    variants = (Variant("random", "random"), Variant("msunas/small", "msunas/small"))
    plan = replace(toy_plan(), variants=variants, cases=(Case("toy"), Case("toy", start="uniform")))
    assert tracks_of(plan, plan.cases[:1])["random"] == "black-box"
    assert tracks_of(plan, plan.cases[1:])["random"] == "grey-box"
    [text] = on_tracks(plan)
    told = "The start tells costs, so that the black-box ones are grey-box on toy/ (; start uniform)."
    assert text.endswith(f": msunas/small. {told}{ACROSS}")
    assert signs_of(plan) == {"random": "B/G", "msunas/small": "G"}
    assert on_signs(signs_of(plan).values()) == f"Track: B black-box, G grey-box.{ACROSS}"
    begun = replace(plan, cases=plan.cases[1:])
    assert "The start" not in on_tracks(begun)[0]
    assert signs_of(begun) == {}


def test_what_tells_a_problem_apart_is_a_column_only_where_it_is_given() -> None:
    assert Case("toy").given == {}
    assert Case("toy", listed=True, reference="within-5", start="ends").given == {
        "listed": True,
        "reference": "within-5",
        "start": "ends",
    }
