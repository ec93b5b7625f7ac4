"""Reports: which runs and studies are found, how they are put together, what is left out and why."""

import shutil

import numpy as np
import pytest
from edits import edit_job, edit_rows
from report_runs import TOY, groups_of, single, study

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.errors import UserError
from smemnas.bench.report.page.data import page_data
from smemnas.bench.report.page.page import render
from smemnas.bench.runs.history import History
from smemnas.bench.studies import groups as page_groups
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.discovery import find_runs, read_plans
from smemnas.bench.studies.execution import folder_of
from smemnas.bench.studies.plan import Variant
from smemnas.bench.studies.trials import collect

# --- finding


def test_runs_studies_patterns_and_mixtures_are_found_once(tmp_path):
    study(tmp_path / "a")
    single(tmp_path / "loose" / "one", "rea")
    everything = find_runs([str(tmp_path)])
    assert len(everything.runs) == 7
    assert len(everything.plans) == 1
    again = find_runs([str(tmp_path / "a"), str(tmp_path / "l*"), str(tmp_path), str(tmp_path / "loose" / "one")])
    assert {r.folder.resolve() for r in again.runs} == {r.folder.resolve() for r in everything.runs}
    assert len(again.runs) == 7


def test_a_folder_whose_name_looks_like_a_pattern_is_taken_as_it_is(tmp_path):
    single(tmp_path / "random[x=1]")
    assert len(find_runs([str(tmp_path / "random[x=1]")]).runs) == 1


def test_what_cannot_be_found_is_one_line(tmp_path, cli, one_line_error):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "run").mkdir()
    for arguments, word in [
        (["nowhere"], "nowhere"),
        (["none-*"], "none-*"),
        (["empty"], "no runs"),
        (["file"], "is a file"),
        ([], "RUNS"),
    ]:
        one_line_error(cli("report", *arguments), word, code=2)


def test_an_unwritable_report_is_one_line(tmp_path, cli, one_line_error):
    single(tmp_path / "one")
    (tmp_path / "taken").write_text("")
    one_line_error(cli("report", "one", "--out", "taken/below"), "taken/below", "--out")
    one_line_error(cli("report", "one", "--baseline", "rnadom"), "random", code=2)


# --- putting together


def test_a_study_gives_the_same_tables_as_the_study_itself(tmp_path):
    plan = study(tmp_path, ("random", "nsga2", "rea"), at=(10, 20), baseline="nsga2", champion="rea")
    expected = tabulate(plan, collect(plan, tmp_path))
    [group], unfinished = groups_of(tmp_path)
    assert unfinished == []
    assert group.tables.plan == plan
    assert repr(group.tables.rows) == repr(expected.rows)
    assert repr(group.tables.champion) == repr(expected.champion)
    assert repr(group.tables.seed_ranks) == repr(expected.seed_ranks)
    assert group.tables.plan.baseline == "nsga2"


def test_variants_with_seeds_of_their_own(tmp_path):
    """Seeds that a plan never asked of a variant are neither missing nor a reason to compare fewer."""
    plan = study(tmp_path, ("random", "nsga2", "rea"), seeds=(3, 0, 1, 2), seeds_of={"rea": (3, 1)})
    [group], unfinished = groups_of(tmp_path)
    assert unfinished == []
    assert group.tables.plan == plan
    assert repr(group.tables.rows) == repr(tabulate(plan, collect(plan, tmp_path)).rows)
    assert "rea only 3,1" in render([group], [])


def test_constraints_make_a_problem_of_their_own(tmp_path, use_embedded):
    limit = "flops<=100"
    single(tmp_path / "free", "nsga2", "nb201", dataset="analog", budget=60)
    single(tmp_path / "bound", "nsga2", "nb201", dataset="analog", budget=60, constraints=(limit,))
    measured = single(tmp_path / "measured", "nsga2", "nb201", dataset="analog", budget=60, constraints=("error<=8",))
    groups, unfinished = groups_of(tmp_path)
    assert unfinished == []
    problems = {p["title"]: p for p in page_data(groups)["problems"]}
    assert set(problems) == {f"nb201/analog (error, flops{end})" for end in ("", f"; {limit}", "; error<=8")}
    bound, within = problems[f"nb201/analog (error, flops; {limit})"], problems["nb201/analog (error, flops; error<=8)"]
    assert max(p[2] for p in bound["fronts"][0]["p"]) <= 100
    assert max(p[1] for p in bound["reference"]["points"]) <= 100
    assert max(p[1] for p in within["fronts"][0]["p"]) <= 8
    logged = np.array([row.F for row in History(measured / "evals.jsonl").rows])
    assert (logged[:, 0] > 8).any(), "the run has evaluations that break its constraint"
    dots = np.reshape(within["evaluated"][0]["p"], (-1, 2))
    assert len(dots) + len(within["fronts"][0]["p"]) == (logged[:, 0] <= 8).sum()
    assert f"{limit}; what breaks one is on no front".replace("<", "&lt;") in render(groups, [])


def test_contrasts_of_a_plan_are_kept(tmp_path):
    from smemnas.bench.studies.plan import Contrast

    plan = study(tmp_path, contrasts=(Contrast("r - n", ("random",), ("nsga2",), "f"),))
    [group], _ = groups_of(tmp_path)
    assert repr(group.tables.contrasts) == repr(tabulate(plan, collect(plan, tmp_path)).contrasts)
    assert len(group.tables.contrasts) == len(plan.at)


def test_loose_runs_are_grouped_by_budget_problem_and_method(tmp_path):
    for seed in (0, 1):
        single(tmp_path / f"r{seed}", "random", seed=seed)
    single(tmp_path / "n", "nsga2", seed=1, params={"population": 6})
    single(tmp_path / "o", "random", objectives=("flops", "error"))
    single(tmp_path / "b", "random", budget=20)
    groups, unfinished = groups_of(tmp_path)
    assert unfinished == []
    assert [g.end for g in groups] == [20, 30]
    other = Case("toy", "closed-form", ("flops", "error"))
    assert set(groups[1].runs) == {
        (TOY, "random", 0), (TOY, "random", 1), (TOY, 'nsga2[population=6]', 1), (other, "random", 0)
    }  # fmt: skip
    rows = {(r.case, r.variant): r for r in groups[1].tables.rows if r.at == 30}
    assert rows[TOY, "random"].n == 2
    assert (other, "nsga2[population=6]") not in rows  # never asked for, so no row


def test_runs_of_two_studies_meet_under_one_name(tmp_path):
    small = Variant("small", "nsga2", {"population": 6})
    study(tmp_path / "a", ("random", small), seeds=(0, 1))
    study(
        tmp_path / "b",
        (Variant("small", "nsga2", {"population": 8}), Variant("tiny", "nsga2", {"population": 6})),
        seeds=(1, 2),
    )
    [group], unfinished = groups_of(tmp_path / "a", tmp_path / "b")
    names = {name: sorted(s for _, n, s in group.runs if n == name) for _, name, _ in group.runs}
    assert names == {"random": [0, 1], "small": [0, 1, 2], "small (nsga2[population=8])": [1, 2]}
    assert [(u.method, u.seeds, u.reason) for u in unfinished] == [("small", "1", "found twice, counted once")]


def test_baseline_and_champion_can_be_chosen(tmp_path):
    study(tmp_path)
    [group], _ = groups_of(tmp_path, baseline="nsga2", champion="random")
    assert (group.tables.plan.baseline, group.tables.plan.champion) == ("nsga2", "random")
    with pytest.raises(UserError, match="Did you mean 'nsga2'"):
        groups_of(tmp_path, baseline="nsga3")


# --- what is unfinished or broken


def test_unfinished_failed_missing_and_broken_runs_are_listed_and_not_fatal(tmp_path):
    plan = study(tmp_path, seeds=(0, 1, 2, 3, 4))
    [random, nsga2] = plan.variants
    place = lambda variant, seed: folder_of(tmp_path, plan.job(variant, TOY, seed))  # noqa: E731
    shutil.rmtree(place(random, 0))
    log = place(random, 1) / "evals.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:7]))
    (place(random, 1) / "status.json").write_text('{"status": "running"}')
    log = place(random, 2) / "evals.jsonl"
    log.write_bytes(log.read_bytes()[:200])
    (place(random, 2) / "status.json").write_text('{"status": "failed", "error": "no <disk> left"}')
    (place(random, 3) / "evals.jsonl").write_text("garbage\n" * 3)
    (place(nsga2, 0) / "job.json").write_text("{")
    (place(nsga2, 1) / "job.json").unlink()
    [group], unfinished = groups_of(tmp_path)
    assert sorted(key[1:] for key in group.runs) == [("nsga2", 2), ("nsga2", 3), ("nsga2", 4), ("random", 4)]
    reasons = {(u.method, u.seeds): u.reason for u in unfinished if u.method != "-"}
    assert reasons["random", "0"] == "not made yet"
    assert reasons["random", "1"] == "unfinished: 7 of 30 evaluations in the log"
    assert reasons["random", "2"] == "no <disk> left"
    assert "line 1 is corrupt" in reasons["random", "3"]
    assert reasons["nsga2", "0-1"] == "not made yet"
    broken = [u.reason for u in unfinished if u.method == "-"]
    assert any("job.json is corrupt" in reason for reason in broken)
    assert any("no job.json" in reason for reason in broken)
    page = render([group], unfinished)
    assert "no &lt;disk&gt; left" in page
    assert "<disk>" not in page


def test_a_report_of_nothing_says_so_and_counts_are_in_words(call, tmp_path):
    folder = single(tmp_path / "one", budget=20)
    code, out, _ = call("report", folder, "--no-figures", "--out", tmp_path / "whole")
    assert (code, out.splitlines()[0]) == (0, "compared     1 run on 1 problem")
    log = folder / "evals.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:7]))
    (folder / "summary.json").unlink()
    code, out, _ = call("report", folder, "--no-figures", "--out", tmp_path / "part")
    assert code == 0
    assert "seeds 0: unfinished: 7 of 20 evaluations in the log\n" in out
    assert "compared     nothing: no run is finished; the command that began one continues it\n" in out


def test_a_single_run_that_ended_by_itself_is_finished(tmp_path):
    folder = single(tmp_path / "one", budget=4000)  # the space has 3,125 genotypes
    assert len(History(folder / "evals.jsonl").rows) == 3125
    [group], unfinished = groups_of(folder)
    assert unfinished == []
    assert len(group.runs) == 1
    (folder / "summary.json").unlink()
    groups, [left] = groups_of(folder)
    assert groups == []
    assert left.reason == "unfinished: 3125 of 4000 evaluations in the log"


def test_a_folder_of_unfinished_runs_alone_still_gives_a_page(tmp_path, cli):
    folder = single(tmp_path / "one")
    (folder / "evals.jsonl").write_bytes(b"")
    (folder / "summary.json").unlink()
    process = cli("report", "one", "--out", "report")
    assert process.returncode == 0, process.stderr
    assert "left out     random on toy" in process.stdout
    assert "0 of 30 evaluations" in process.stdout
    assert "0 of 30 evaluations" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"space": "toyy"}, "toyy"),
        ({"dataset": "open-form"}, "open-form"),
        ({"objectives": ["error", "smell"]}, "smell"),
        ({"space": "macro", "dataset": "nothing"}, "nothing"),
    ],
)
def test_a_run_that_cannot_be_measured_here_is_listed(tmp_path, change, word, use_embedded):
    single(tmp_path / "good")
    folder = single(tmp_path / "odd", seed=1)
    edit_job(folder, lambda entry: entry["job"].update(change))
    [group], [left] = groups_of(tmp_path)
    assert len(group.runs) == 1
    assert "cannot be measured here" in left.reason
    assert word in left.reason


def test_genotypes_of_another_space_are_refused(tmp_path):
    folder = single(tmp_path / "one")
    edit_rows(folder, lambda rows: [row.update(x=[9, *row["x"][1:]]) for row in rows])
    groups, [left] = groups_of(folder)
    assert groups == []
    assert "not of the installed space" in left.reason


def test_runs_on_another_table_are_compared_with_the_installed_one(tmp_path, use_embedded):
    same, other = (
        single(tmp_path / "same", space="nb201", dataset="analog"),
        single(tmp_path / "other", space="nb201", dataset="analog", seed=1),
    )
    for folder in (same, other):
        edit_job(folder, lambda entry: entry["data"].update(sha256="0" * 64))
    edit_rows(other, lambda rows: rows[3]["F"].__setitem__(0, rows[3]["F"][0] + 0.01))
    [group], [left] = groups_of(tmp_path)
    assert [run.folder for run in group.runs.values()] == [same]
    assert (left.seeds, "whose values differ" in left.reason) == ("1", True)
    page = render([group], [])
    assert "another version with the same values" in page
    assert "0" * 64 in page


def test_no_code_of_a_run_folder_is_run(tmp_path):
    folder = single(tmp_path / "one")
    trap = folder / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    edit_job(folder, lambda entry: entry["job"].update(plugins=[str(trap)]))
    [group], _ = groups_of(folder)
    render([group], [])
    assert len(group.runs) == 1
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("text", ["{", "[1]", '[{"variants": []}]', '{"a": 1}'])
def test_corrupt_plans_are_listed(tmp_path, text):
    study(tmp_path)
    (tmp_path / "plans.json").write_text(text)
    [group], [left] = groups_of(tmp_path)
    assert len(group.runs) == 6
    assert "plans.json is corrupt" in left.reason


def test_plans_come_back_as_they_were_written(tmp_path):
    plan = study(tmp_path, at=(5, 10), target=0.1, champion="nsga2")
    assert read_plans(tmp_path / "plans.json") == [plan]


def test_a_log_that_was_changed_is_left_out_and_the_rest_is_reported(tmp_path):
    folders = [single(tmp_path / f"run-{k}", seed=k) for k in range(6)]
    log = folders[0] / "evals.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"i": 7', b'"i": 6', 1))
    edit_rows(folders[1], lambda rows: rows[4].update(F=[0.5, 1.0]))
    edit_job(folders[2], lambda entry: entry.update(more=1))
    edit_job(folders[3], lambda entry: entry["job"].update(budget=10**18))
    (folders[4] / "timing.jsonl").write_text('{"first": 0, "n": 30, "ask": "0", "evaluate": 0.0, "tell": 0.0}\n')
    [group], left = groups_of(tmp_path)
    assert [run.folder for run in group.runs.values()] == [folders[5]]
    reasons = " | ".join(sorted(u.reason for u in left))
    for part in (
        "line 8 is corrupt (it does not match its checksum)",
        "its log was changed: evaluation 4 has error 0.5, looked up again it is ",
        "job.json is corrupt (Object contains unknown field `more`)",
        "job.json is corrupt (Expected `int` <= 10000000 - at `$.job.budget`)",
        "timing.jsonl, line 1 is corrupt (Expected `float`, got `str` - at `$.ask`)",
    ):
        assert part in reasons
    assert len(left) == 5


def test_runs_of_two_versions_of_a_plug_in_are_not_compared(tmp_path):
    for seed, digest in enumerate(("a" * 64, "b" * 64, "a" * 64)):
        entry = {"file": "mine.py", "sha256": digest, "path": f"/somewhere/{seed}/mine.py"}
        edit_job(single(tmp_path / f"{seed}", seed=seed), lambda job, entry=entry: job["job"].update(plugins=[entry]))
    [group], [left] = groups_of(tmp_path)
    assert sorted(run.job.seed for run in group.runs.values()) == [0, 2]
    assert left.seeds == "1"
    assert left.reason == "it was made by another version of the plug-in mine.py than the first run found"


def test_a_run_that_cannot_be_measured_stops_no_report(tmp_path, monkeypatch):
    for seed in range(3):
        single(tmp_path / f"{seed}", seed=seed)
    original = page_groups.measure_by
    calls = []

    def measured(plan, X, F, *rest):
        calls.append(len(F))
        if len(calls) == 2:
            raise MemoryError
        return original(plan, X, F, *rest)

    monkeypatch.setattr(page_groups, "measure_by", measured)
    [group], [left] = groups_of(tmp_path)
    assert len(group.runs) == 2
    assert left.reason == "it cannot be measured here: MemoryError"
