"""A given ideal, nadir and reference point: one measure in runs, studies and reports, and never another log."""

import json
from dataclasses import replace

import numpy as np
import pytest

from smemnas.bench.benchmarks.base import reference_front
from smemnas.bench.benchmarks.case import Case, known_reference
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.given_reference import canonical, measured_by, parse_reference
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import Box, epsilon, hypervolume_regret, hypervolumes, igd_plus, regret_curve
from smemnas.bench.runs.folder import LOG
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies import references
from smemnas.bench.studies.discovery import find_runs, read_plans
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.trials import collect

GIVEN = "error=5:30,flops=0:25"


def area(F, ideal, nadir, point):
    """Two-dimensional hypervolume in units of the box, summed column by column."""
    U = (np.asarray(F) - ideal) / (np.asarray(nadir) - ideal)
    U = U[(U < point).all(axis=1)]
    U = U[np.argsort(U[:, 0])]
    total, top = 0.0, point
    for u, v in U:
        if v < top:
            total += (point - u) * (top - v)
            top = v
    return total


@pytest.mark.parametrize("point", [1.0, 1.1, 1.7])
def test_regret_is_that_of_the_given_box(point):
    rng = np.random.default_rng(0)
    front = np.array([[2.0, 90.0], [5.0, 40.0], [9.0, 20.0], [15.0, 5.0]])
    F = np.vstack([front[[1]], front[rng.integers(4, size=30)] + rng.uniform(0, 8, (30, 2))])
    box = Box(np.array([1.0, 0.0]), np.array([12.0, 80.0]), point)
    wanted = 1.0 - area(F, box.ideal, box.nadir, point) / area(front, box.ideal, box.nadir, point)
    assert hypervolume_regret(F, front, box) == pytest.approx(wanted, abs=1e-12)
    assert regret_curve(F, front, np.array([1, 31]), box)[1] == pytest.approx(wanted, abs=1e-12)
    first = 1.0 - area(F[:1], box.ideal, box.nadir, point) / area(front, box.ideal, box.nadir, point)
    assert regret_curve(F, front, np.array([1, 31]), box)[0] == pytest.approx(first, abs=1e-12)
    mine, whole, rough = hypervolumes(F, front, box)
    assert mine / whole == pytest.approx(1.0 - wanted, abs=1e-12)
    assert not rough
    U, T = (F - box.ideal) / (box.nadir - box.ideal), (front - box.ideal) / (box.nadir - box.ideal)
    excess = np.maximum(U[None] - T[:, None], 0.0)
    assert igd_plus(F, front, box) == pytest.approx(np.sqrt((excess**2).sum(axis=2)).min(axis=1).mean())
    assert epsilon(F, front, box) == pytest.approx((U[None] - T[:, None]).max(axis=2).min(axis=1).max())
    own = Box(front.min(axis=0), front.max(axis=0), 1.1)
    for indicator in (hypervolume_regret, igd_plus, epsilon):  # the front's own box is what is taken without one
        assert indicator(F, front, own) == pytest.approx(indicator(F, front), abs=1e-12)


def test_one_objective_has_a_box_too():
    front, F = np.array([[2.0]]), np.array([[9.0], [5.0]])
    box = Box(np.array([0.0]), np.array([10.0]), 1.0)
    assert hypervolume_regret(F, front, box) == pytest.approx(1 - 0.5 / 0.8)


def test_the_log_is_the_same_and_the_summary_another(call, tmp_path):
    ask = ("run", "--method", "nsga2", "--space", "toy", "--budget", "30")
    assert call(*ask, "--out", tmp_path / "plain")[0] == 0
    code, out, _ = call(*ask, "--out", tmp_path / "given", "--reference", "flops = 0:25, error=5:30@1.5")
    assert code == 0
    assert f"reference point 1.5 between ideal and nadir as given, {GIVEN}@1.5)\n" in out
    assert (tmp_path / "plain" / LOG).read_bytes() == (tmp_path / "given" / LOG).read_bytes()
    plain, given = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("plain", "given"))
    assert "given" not in plain["reference"]
    assert given["reference"]["given"] == f"{GIVEN}@1.5"
    assert given["reference"]["ideal"] == [5.0, 0.0]
    assert given["reference"]["nadir"] == [30.0, 25.0]
    assert given["reference"]["reference_point"] == 1.5
    found = run(make_job("nsga2", "toy", budget=30)[0], tmp_path / "plain")
    low, high = np.array([5.0, 0.0]), np.array([30.0, 25.0])
    front = reference_front(open_benchmark("toy")).front
    assert given["hypervolume"] == pytest.approx(area(found.F, low, high, 1.5))
    assert given["hypervolume_of_reference"] == pytest.approx(area(front, low, high, 1.5))
    assert given["hypervolume_regret"] == pytest.approx(1 - given["hypervolume"] / given["hypervolume_of_reference"])
    assert given["hypervolume_regret"] != pytest.approx(plain["hypervolume_regret"])
    job = json.loads((tmp_path / "given" / "job.json").read_text())["job"]
    assert job["reference"] == f"{GIVEN}@1.5"
    assert "reference" not in json.loads((tmp_path / "plain" / "job.json").read_text())["job"]
    # The same command with another reference, or none, measures the same run again.
    assert call(*ask, "--out", tmp_path / "given")[0] == 0
    again = json.loads((tmp_path / "given" / "summary.json").read_text())
    assert again["hypervolume_regret"] == pytest.approx(plain["hypervolume_regret"])
    assert (tmp_path / "plain" / "job.json").read_text().count("reference") == 0
    assert "reference" not in json.loads((tmp_path / "given" / "job.json").read_text())["job"]


def test_run_study_report_and_frame_agree(call, tmp_path):
    folder = tmp_path / "s"
    ask = ["study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "30", "--jobs", "1"]
    assert call(*ask, "--no-figures", "--out", folder)[0] == 0
    plain = (folder / "study.md").read_text()
    logs = {p: p.read_bytes() for p in folder.rglob(LOG)}
    assert len(logs) == 4
    code, _, error = call(*ask, "--out", folder, "--reference", GIVEN)
    assert (code, error) == (0, "")
    assert {p: p.read_bytes() for p in folder.rglob(LOG)} == logs  # nothing ran again
    text = (folder / "study.md").read_text()
    assert f"Hypervolume regret on toy/closed-form (error, flops; reference {GIVEN})" in text
    assert "between the given ideal:nadir" in " ".join(text.split())
    assert "reference" in (folder / "study.csv").read_text().splitlines()[0]
    assert text != plain
    first, second = read_plans(folder / "plans.json")
    assert first.cases[0].reference == ""
    assert second.cases[0].reference == GIVEN
    trials = {(t.variant, t.job.seed): t for t in collect(second, folder)}
    before = {(t.variant, t.job.seed): t for t in collect(first, folder)}
    assert any(trials[k].regret[-1] != before[k].regret[-1] for k in trials)
    assert (
        call(
            "run",
            "--method",
            "nsga2",
            "--space",
            "toy",
            "--budget",
            "30",
            "--seed",
            "1",
            "--reference",
            GIVEN,
            "--out",
            tmp_path / "one",
        )[0]
        == 0
    )
    summary = json.loads((tmp_path / "one" / "summary.json").read_text())
    assert summary["hypervolume_regret"] == pytest.approx(trials["nsga2", 1].regret[-1])
    assert summary["igd_plus"] == pytest.approx(trials["nsga2", 1].igd_plus[-1])
    # The report takes the study's last word, for the runs that were made before it too.
    groups, unfinished = make_groups(find_runs([str(folder), str(tmp_path / "one")]))
    assert [u.reason for u in unfinished] == ["found twice, counted once"]
    assert [case.reference for case in groups[0].tables.plan.cases] == [GIVEN]
    assert len(groups[0].tables.trials) == 4
    for t in groups[0].tables.trials:
        np.testing.assert_allclose(t.regret, trials[t.variant, t.job.seed].regret)
    assert call("report", folder, "--out", tmp_path / "page")[0] == 0
    assert GIVEN in next((tmp_path / "page").glob("*.html")).read_text()


def test_runs_that_stand_for_an_unknown_front_are_measured_by_it(monkeypatch):
    monkeypatch.setattr(references, "known_reference", lambda case: None)
    case = Case("toy", "closed-form", ("error", "flops"), (), False, GIVEN)
    F = np.array([[9.0, 9.0], [20.0, 3.0], [21.0, 4.0]])
    reference = references.reference_for(case, lambda: F)
    np.testing.assert_array_equal(reference.front, F[:2])
    np.testing.assert_array_equal(reference.box.nadir, [30.0, 25.0])
    assert hypervolume_regret(F[:1], reference.front, reference.box) == pytest.approx(
        1 - area(F[:1], [5, 0], [30, 25], 1.1) / area(F, [5, 0], [30, 25], 1.1)
    )
    beyond = replace(case, reference="error=5:6,flops=0:1")
    assert (
        references.reference_for(beyond, lambda: F) is None
    )  # nothing has a hypervolume: no regret, and no study is lost


def test_cases_and_jobs_carry_it_only_where_it_is_given():
    case = Case("toy", "closed-form", ("error", "flops"), (), False, GIVEN)
    np.testing.assert_array_equal(known_reference(case).box.nadir, [30.0, 25.0])
    assert str(case) == f"toy/closed-form (error, flops; reference {GIVEN})"
    assert Job("random", "toy", "closed-form", ("error", "flops"), 9, reference=GIVEN).case == case
    assert case.to_dict()["reference"] == GIVEN
    assert "reference" not in replace(case, reference="").to_dict()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("error", "takes NAME=IDEAL:NADIR"),
        ("error=0:20", "flops is missing"),
        ("error=0:20,flops=0:x", "'x' in .* is no finite number"),
        ("error=0:20,flops=0:inf", "'inf' in .* is no finite number"),
        ("error=20:0,flops=0:30", "ideal must be below nadir"),
        ("error=0:20,flop=0:30", "'flop' is no objective of the run. Did you mean 'flops'"),
        ("error=0:20,flops=0:30,error=0:3", "error is there twice"),
        ("error=0:20,flops=0:30@0", "must be greater than 0"),
        ("error=0:20,flops=0:30@1001", "must be at most 1,000 "),
        ("error=0:20,flops=0:30@1e300", r"takes numbers from -1e\+100 to 1e\+100; got '1e300'"),
        ("error=-1e308:1e308,flops=0:30", r"takes numbers from -1e\+100 to 1e\+100; got '-1e308'"),
        ("error=0:20,flops=0:30@", "'' in .* is no finite number"),
        ("error=0:0.001,flops=0:30", "no point of the reference front lies within"),
    ],
)
def test_wrong_references_are_one_line(fails, text, words, tmp_path):
    with pytest.raises(UserError, match=words) as error:
        make_job("random", "toy", budget=9, reference=text)
    assert "\n" not in str(error.value)
    fails(
        ("study", "--methods", "random", "--spaces", "toy", "--reference", text, "--out", tmp_path / "s"), "--reference"
    )


def test_aliases_and_order_have_one_recorded_form(use_embedded):
    benchmark = open_benchmark("nb201", "analog", ("error", "flops"))
    assert canonical("flops=0:3e2,error=0:20.50", benchmark) == "error=0:20.5,flops=0:300"
    assert canonical("flops=0:3e2,error=0:20@1.10", benchmark) == "error=0:20,flops=0:300"
    assert canonical("", benchmark) == ""
    assert parse_reference("flops=-1:3,error=0:20@2", benchmark).point == 2.0
    assert measured_by(None, "error=0:20,flops=0:300", benchmark) is None
