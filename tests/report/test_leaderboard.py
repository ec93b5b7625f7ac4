"""The leaderboard: its numbers are those of the studies, its origins those that stand beside the runs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import forked
import numpy as np
import pytest
from study_cases import records

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.library.archive import make_archive
from smemnas.bench.library.leaderboard import LeaderboardOptions, leaderboard
from smemnas.bench.report.page import html as tags
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.plan import Plan, Variant, check_plan
from smemnas.bench.studies.trials import collect

HOSTILE = "</script><b>A. Researcher</b>"


def plan_of(*methods):
    variants = tuple(Variant(name, name) for name in methods)
    return check_plan(Plan(variants, (Case("toy"), Case("macro")), (0, 1, 2), 30, at=(20,)))


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """Two studies: two methods on two problems, and a third method with somebody's name beside it."""
    folder = tmp_path_factory.mktemp("leaderboard")
    for name, plan in (("ours", plan_of("random", "nsga2")), ("theirs", plan_of("rea"))):
        record_plan(folder / name, plan)
        run_study(list(plan.jobs()), folder / name)
    (folder / "theirs.toml").write_text(
        f'by = "{HOSTILE}"\nwhen = 2026-11-20\nlink = "https://example.org/p?a=1&b=2"\nnote = "a | b"\n'
    )
    return folder


@pytest.fixture(scope="module")
def board(handed_in):
    return leaderboard(LeaderboardOptions([handed_in / "ours", handed_in / "theirs"], handed_in / "board"))


def test_its_numbers_are_those_of_the_study(handed_in, board):
    plan = plan_of("random", "nsga2")
    tables = tabulate(plan, collect(plan, handed_in / "ours"))
    mine = {(line.case, line.method, line.at): line for line in board.lines}
    assert len(mine) == 2 * 3 * 2
    for row in tables.rows:
        line = mine[row.case, row.variant, row.at]
        assert (line.regret, line.n, line.budget) == (row.regret, 3, 30)
    for arrival in (a for a in tables.arrivals if a.variant == "nsga2"):
        line = mine[arrival.case, "nsga2", 30]
        assert (line.target, line.reached, line.seconds) == (arrival.target, arrival.reached, arrival.seconds)


def test_places_are_in_the_order_of_the_means(board):
    for case, at in {(line.case, line.at) for line in board.lines}:
        lines = [line for line in board.lines if (line.case, line.at) == (case, at)]
        assert [line.place for line in lines] == [1, 2, 3]
        assert np.all(np.diff([line.regret.value for line in lines]) > 0)
    final = next(r for r in board.rankings if r.at == 30)
    for standing in final.standings:
        places = [line.place for line in board.lines if line.at == 30 and line.method == standing.variant]
        assert list(standing.ranks) == places


def test_who_measured_it_and_where_it_lies(handed_in, board):
    rows = records(handed_in / "board" / "leaderboard.csv")
    assert len(rows) == len(board.lines)
    for row in rows:
        theirs = row["method"] == "rea"
        assert row["measured_by"] == (HOSTILE if theirs else "")
        assert row["when"] == ("2026-11-20" if theirs else "")
        assert row["from"] == str(handed_in / ("theirs" if theirs else "ours"))
        assert row["link"] == ("https://example.org/p?a=1&b=2" if theirs else "")
    assert [(e.number, e.runs) for e in board.entries] == [(1, 12), (2, 6)]
    assert len(records(handed_in / "board" / "ranks.csv")) == 2 * 3


def test_archives_give_the_same_board(handed_in, board, tmp_path):
    folder = tmp_path / "leaderboard"
    for name in ("ours", "theirs"):
        make_archive([handed_in / name], folder / f"{name}.runs")
    (folder / "theirs.toml").write_bytes((handed_in / "theirs.toml").read_bytes())
    made = leaderboard(LeaderboardOptions([folder], tmp_path / "board"))
    assert made.lines == board.lines
    assert made.rankings == board.rankings
    assert [(e.by, e.when, e.runs, e.commits, e.versions) for e in made.entries] == [
        (e.by, e.when, e.runs, e.commits, e.versions) for e in board.entries
    ]
    assert [e.place for e in made.entries] == [str(folder / "ours.runs"), str(folder / "theirs.runs")]


def test_an_archive_beside_the_study_that_it_is_of_is_counted_once(handed_in, board, tmp_path):
    make_archive([handed_in / "ours"], tmp_path / "ours.runs")
    places = [handed_in / "ours", tmp_path / "ours.runs", handed_in / "theirs"]
    made = leaderboard(LeaderboardOptions(places, tmp_path / "board"))
    assert [(e.runs, e.copies) for e in made.entries] == [(12, 0), (0, 12), (6, 0)]
    assert [replace(line, entries=()) for line in made.lines] == [replace(line, entries=()) for line in board.lines]
    assert {line.entries for line in made.lines} == {(1,), (3,)}
    assert made.unfinished == board.unfinished
    text = made.page.with_name("leaderboard.md").read_text()
    assert "3 methods on 2 problems, 18 runs from 3 entries." in text
    assert "| 0 (and 12 counted before) |" in text


def test_the_same_run_with_other_values_is_no_copy(handed_in, tmp_path):
    shutil.copytree(handed_in / "ours", tmp_path / "changed")
    logs = sorted((tmp_path / "changed").glob("toy/**/random/**/evals.jsonl"))
    logs[0].write_bytes(logs[1].read_bytes())
    made = leaderboard(LeaderboardOptions([handed_in / "ours", tmp_path / "changed"], tmp_path / "board"))
    assert [(e.runs, e.copies) for e in made.entries] == [(12, 0), (1, 11)]
    assert len([u for u in made.unfinished if "found again with other values" in u.reason]) == 1


def test_a_folder_of_archives_and_studies_is_read_whole(handed_in, board, tmp_path):
    make_archive([handed_in / "ours"], tmp_path / "in" / "ours.runs")
    shutil.copytree(handed_in / "theirs", tmp_path / "in" / "theirs")
    made = leaderboard(LeaderboardOptions([tmp_path / "in"], tmp_path / "board"))
    assert made.lines == board.lines
    assert [e.place for e in made.entries] == [str(tmp_path / "in" / name) for name in ("ours.runs", "theirs")]


def test_every_line_says_what_its_method_is_told(handed_in, tmp_path):
    plan = plan_of("random", "msunas/small")
    record_plan(tmp_path / "study", plan)
    run_study(list(plan.jobs()), tmp_path / "study")
    made = leaderboard(LeaderboardOptions([tmp_path / "study"], tmp_path / "board"))
    told = {"random": "black-box", "msunas/small": "grey-box"}
    assert {line.method: line.track for line in made.lines} == told
    for file in ("leaderboard.csv", "ranks.csv"):
        assert {row["method"]: row["track"] for row in records(tmp_path / "board" / file)} == told
    text = made.page.with_name("leaderboard.md").read_text()
    assert text.count("| msunas/small | grey-box |") == 2 + 2 * 2  # ranks at two checkpoints, two problems at two
    assert "A comparison across tracks compares what methods are told, too." in text


def test_the_page_holds_every_line_and_no_foreign_markup(board):
    text = board.page.read_text()
    assert HOSTILE not in text
    assert "<b>A. Researcher" not in text
    assert '<a href="https://example.org/p?a=1&amp;b=2" rel="noopener">' in text
    assert text.count('<tr data-m="') == len(board.lines) + sum(len(r.standings) for r in board.rankings)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert set(data["methods"]) == {"nsga2", "random", "rea"}
    markdown = board.page.with_name("leaderboard.md").read_text()
    assert "| a \\| b |" in markdown
    for line in board.lines:
        assert f"{line.regret.value:.4f}" in markdown


def test_a_method_that_lacks_a_problem_is_not_ranked_across_them(handed_in, tmp_path):
    part = next(path for path in (handed_in / "theirs").glob("toy/*/*"))
    made = leaderboard(LeaderboardOptions([handed_in / "ours", part], tmp_path / "board"))
    (final,) = (r for r in made.rankings if r.at == 30)
    assert {s.variant for s in final.standings} == {"random", "nsga2"}
    assert [(name, [case.space for case in cases]) for name, cases in final.left_out] == [("rea", ["macro"])]
    assert "rea is not ranked: no runs on macro/cifar10." in made.page.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who = 'x'", "has no use for 'who'"),
        ("by = 3", "by is one line of text, got int"),
        ("link = 'javascript:alert(1)'", "link is an address that begins with https://"),
        ("by = ", "is no TOML file"),
    ],
)
def test_what_stands_beside_and_makes_no_sense(handed_in, tmp_path, text, message):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "plans.json").write_bytes((handed_in / "ours" / "plans.json").read_bytes())
    (tmp_path / "copy.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        leaderboard(LeaderboardOptions([copy], tmp_path / "board"))


def test_nothing_to_rank_is_one_line(handed_in, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "plans.json").write_bytes((handed_in / "ours" / "plans.json").read_bytes())
    done = forked.run("leaderboard", copy, "--out", tmp_path / "board")
    assert done.returncode == 2
    assert "there is nothing to rank in" in done.stderr
    assert "not made yet" in done.stderr
    done = forked.run("leaderboard", handed_in / "ours", "--out", handed_in / "theirs")
    assert done.returncode == 1
    assert "is the folder of a study, not of a report: choose another --out." in done.stderr
    assert (handed_in / "theirs" / "plans.json").exists()


def test_heads_of_wide_tables_break_behind_a_slash():
    assert tags.breakable("nats_sss/<cifar10>") == "nats_sss/<wbr>&lt;cifar10&gt;"
    assert "nb201/<wbr>cifar10</button>" in tags.table(["nb201/cifar10"], [["1"]], "ranks")
