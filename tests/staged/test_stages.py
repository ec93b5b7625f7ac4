"""A registered experiment: what is trained when, what a second call and a second plan find, and what is reported."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, docs_script

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
from closed_trainings import closed  # noqa: F401

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.gates import FIRST_SEED, read_gate
from smemnas.bench.library.staged import experiment, staged_plan
from smemnas.bench.library.study import StudyOptions
from smemnas.bench.staged.outcome import tau_rows
from smemnas.bench.staged.plan import LARGEST_SEED, check_staged, headline, read_staged, save_staged
from smemnas.bench.train.options import open_trained

PLAN = """
stages = ["gate", "search", "fresh"]
space = "nats_sss"
dataset = "train+digits+tiny+batch=400+channels=1+epochs=1{more}"
arms = [{{ name = "local", method = "{method}" }}, {{ name = "random" }}]
seeds = "0-1"
budget = 6
shared = {shared}
reference = ["20:90", "0:0.5"]
caps = [0.02, 0.2]

[gate]
networks = 3
seeds = 2
ratio = {ratio}

[ranking]
surrogates = ["knn"]
sizes = [4]
draws = 2
left = 2
"""


def written(folder, ratio=0.0, method="nsga2", shared=6, more=""):
    file = folder / f"plan-{method}.toml"
    file.write_text(PLAN.format(ratio=ratio, method=method, shared=shared, more=more))
    return str(file)


def test_stages_train_what_they_say_and_a_second_call_trains_nothing(tmp_path, closed):  # noqa: F811
    options = StudyOptions(plan=written(tmp_path), out=tmp_path / "e")
    steps = []
    found = experiment(options, progress=lambda done, of: steps.append((done, of)))
    seeds = [seed for _, seed in closed]
    assert seeds[:6] == [FIRST_SEED] * 3 + [FIRST_SEED + 1] * 3
    assert set(seeds[6:18]) == {0, 1}
    assert len(seeds[6:]) > 12
    fresh = closed[18:] if len(set(closed[6:18])) == 12 else closed[6:]
    fronts = {(tuple(x), 2 * LARGEST_SEED + s.seed) for s in found.found.searches for x in s.X[s.front].tolist()}
    assert {t for t in fresh if t[1] >= 2 * LARGEST_SEED} == fronts
    assert len(closed) == len(set(closed))  # arms of a seed share what they have in common
    assert steps[0] == (0, 6)
    assert steps[-1] == (len(fronts), len(fronts))
    before = {f.name: f.read_bytes() for f in (tmp_path / "e").glob("*.*") if f.name != "progress.json"}
    closed.clear()
    again = experiment(options)
    assert closed == []
    assert again.outcome.primary == found.outcome.primary
    assert {f.name: f.read_bytes() for f in (tmp_path / "e").glob("*.*") if f.name != "progress.json"} == before
    rows = list(csv.DictReader((tmp_path / "e" / "trainings.csv").read_text().splitlines()))
    assert {(row["stage"]) for row in rows} == {"gate", "search", "fresh"}
    assert len(rows) == len(seeds)
    assert all((row["test_error"] != "") == (row["stage"] == "fresh") for row in rows)


def test_fronts_are_judged_by_the_fresh_test_errors_alone(tmp_path, closed, monkeypatch):  # noqa: F811
    """In an experiment whose gate trains the seeds of a network together, which changes nothing else."""
    found = experiment(StudyOptions(plan=written(tmp_path, more="+grouped=2"), out=tmp_path / "e"))
    assert [seed for _, seed in closed[:6]] == [FIRST_SEED, FIRST_SEED + 1] * 3
    assert len(closed) == len(set(closed)) == len((tmp_path / "e" / "trainings.csv").read_text().splitlines()) - 1
    search = found.found.searches[0]
    tests = {}
    for file in (tmp_path / "e" / "trainings").rglob("test.json"):
        result = json.loads((file.parent / "result.json").read_bytes())
        tests[result["arch"], result["seed"]] = json.loads(file.read_bytes())["test_error"]
    names = [":".join(str(8 * (v + 1)) for v in x) for x in search.X[search.front].tolist()]
    np.testing.assert_allclose(search.fresh, [tests[name, 2 * LARGEST_SEED + search.seed] for name in names])
    # by hand: the area that the front dominates below 90 % and 0.5 M, as a share of the box
    points = sorted(zip(search.F[search.front, 1].tolist(), search.fresh.tolist(), strict=True))
    area, best = 0.0, 90.0
    for (cost, error), after in zip(points, [*(c for c, _ in points[1:]), 0.5], strict=True):
        best = min(best, error)
        area += (min(after, 0.5) - min(cost, 0.5)) * (90.0 - max(best, 20.0))
    values = next(row for row in found.outcome.volumes if row.arm == "local").values
    assert values[0] == pytest.approx(area / (70.0 * 0.5))
    page_has_the_same(found, tmp_path, monkeypatch)


def same(kept, found):
    """Whether nested tuples are alike, numbers in the digits that tables have; NaN is where there is none."""
    if isinstance(kept, list | tuple | np.ndarray):
        return len(kept) == len(found) and all(map(same, kept, found))
    return kept == found if isinstance(kept, str | None) else kept == pytest.approx(found, rel=1e-9, nan_ok=True)


def page_has_the_same(found, folder, monkeypatch):
    """What docs/make_headline.py keeps of a folder is the whole experiment."""
    data = docs_script("headline_data")
    monkeypatch.setattr(data, "foresee", lambda *arguments, **options: ())
    for name, text in data.collected(folder / "e").items():
        (folder / name).write_text(text)
    kept = data.Experiment(folder)
    for ours, theirs in zip(kept.searches, found.found.searches, strict=True):
        assert (ours.arm, ours.seed) == (theirs.arm, theirs.seed)
        for name in ("X", "F", "front", "fresh"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert same(kept.primary, found.outcome.primary[0])
    assert same(kept.secondary, found.outcome.secondary)
    assert same(kept.taus, found.outcome.taus)
    assert (kept.networks, kept.shared) == (found.outcome.networks, found.outcome.shared)
    assert kept.gate.components == found.found.gate.components


def test_a_gate_that_is_not_passed_ends_it(tmp_path, closed):  # noqa: F811
    found = experiment(StudyOptions(plan=written(tmp_path, ratio=1000.0), out=tmp_path / "e"))
    assert len(closed) == 6
    assert found.outcome is None
    assert found.lines()[0].startswith("nothing was searched: the gate asks for an architecture sd of at least 1000")
    gate = read_gate(tmp_path / "e" / "gate.json")
    assert not gate.passed
    assert gate.components == found.found.gate.components
    assert "gate: architecture sd" in (tmp_path / "e" / "experiment.md").read_text()


def test_reports_of_its_trainings_say_the_ratio_of_the_gate(tmp_path, closed):  # noqa: F811
    found = experiment(StudyOptions(plan=written(tmp_path), out=tmp_path / "e"))
    benchmark = open_trained("nats_sss", "train+digits+tiny+batch=400+channels=1+epochs=1", ("error", "flops"))
    assert not any(note.startswith("gate:") for note in benchmark.notes)
    benchmark.use_folder(tmp_path / "e" / "trainings")
    assert benchmark.notes[-1] == found.found.gate.line()
    other = open_trained("nats_sss", "train+digits+tiny+batch=400+channels=1+epochs=2", ("error", "flops"))
    other.use_folder(tmp_path / "e" / "trainings")
    assert not any(note.startswith("gate:") for note in other.notes)


def test_a_second_plan_finds_the_trainings_of_the_first(tmp_path, closed, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SMEMNAS_TRAININGS", str(tmp_path / "shared"))
    experiment(StudyOptions(plan=written(tmp_path), out=tmp_path / "e"))
    first = set(closed)
    closed.clear()
    found = experiment(StudyOptions(plan=written(tmp_path, method="rea", shared=7 - 1), out=tmp_path / "f"))
    assert not first & set(closed)
    assert not {seed for _, seed in closed} & {FIRST_SEED, FIRST_SEED + 1}
    assert len(found.found.searches) == 4


def test_a_folder_keeps_the_plan_it_was_registered_with(tmp_path, closed):  # noqa: F811
    experiment(StudyOptions(plan=written(tmp_path, ratio=1000.0), out=tmp_path / "e"))
    with pytest.raises(RunError, match="was registered with another plan"):
        experiment(StudyOptions(plan=written(tmp_path, ratio=2000.0), out=tmp_path / "e"))


def test_arms_that_start_apart_are_said(tmp_path, closed):  # noqa: F811
    found = experiment(StudyOptions(plan=written(tmp_path, method="smemnas", shared=6), out=tmp_path / "e"))
    assert found.outcome.shared == 6  # its initial sample is larger than the budget
    assert not any(line.startswith("caution") for line in found.lines())


def test_plans_are_files_and_names(tmp_path):
    plan = check_staged(headline())
    save_staged(tmp_path / "p.toml", plan)
    assert check_staged(read_staged(str(tmp_path / "p.toml"))) == plan
    assert plan.digest == check_staged(read_staged("headline")).digest
    assert [arm.name for arm in plan.arms] == ["SMEM-NAS", "random"]
    assert (plan.runs, plan.budget, plan.shared) == (tuple(range(10)), 40, 20)
    assert staged_plan(StudyOptions(plan="headline", seeds="3-4", budget=10)).shared == 10
    inside = staged_plan(StudyOptions(plan="headline-inside"))
    assert (inside.dataset, inside.runs) == (plan.dataset, plan.runs)


@pytest.mark.parametrize(("text", "words"), [("nan", "numbers are finite, got nan"), ("2024-01-01", "a value is a")])
def test_a_parameter_that_no_file_could_hold_is_refused(tmp_path, text, words):
    save_staged(tmp_path / "p.toml", headline())
    file = tmp_path / "q.toml"
    arm = f'arms = [{{ name = "nsga2", params = {{ population = {text} }} }}, '
    file.write_text((tmp_path / "p.toml").read_text().replace("arms = [", arm))
    with pytest.raises(UserError, match=f"^nsga2: parameter 'population': {words}"):
        check_staged(read_staged(str(file)))


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ('stages = ["gate", "search", "fresh"]', "has the stages gate, search, fresh"),
        ("train+digits+tiny+batch=400+channels=1+epochs=1", "training_seed belongs to the stages"),
        ('name = "random"', "two arms are called 'local'"),
        ('"0:0.5"', "reference takes IDEAL:NADIR"),
        ("networks = 3", "networks of the gate must be"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, changed, wanted):
    other = {
        'stages = ["gate", "search", "fresh"]': 'stages = ["gate"]',
        "train+digits+tiny+batch=400+channels=1+epochs=1": "train+digits+tiny+training_seed=3",
        'name = "random"': 'name = "local"',
        '"0:0.5"': '"0.5:0"',
        "networks = 3": "networks = 1",
    }[changed]
    file = tmp_path / "p.toml"
    file.write_text(PLAN.format(ratio=1, method="nsga2", shared=6, more="").replace(changed, other))
    with pytest.raises(UserError, match=wanted):
        staged_plan(StudyOptions(plan=str(file)))


def test_the_headline_stays_the_plan_that_was_registered():
    """A finished folder is reported again by its own plan only."""
    options = StudyOptions(plan="headline", datasets="train+cifar10-12k.tar+nats-cpu-half+size=12+valid_share=0.3")
    digest = "25397f4e6df89cd4edf7611e6dc9bdffc14cf224de290e0d107d3e1c04718f9e"
    assert staged_plan(options).digest == digest


def test_surrogates_are_compared_draw_by_draw():
    taus = np.array([[0.5, 0.6, 0.7], [0.4, 0.55, 0.7]])
    first, second = tau_rows(("a", "b"), 50, 30, taus)
    assert (first.surrogate, first.n, first.ordered, first.mean.value) == ("a", 50, 30, pytest.approx(0.6))
    assert first.ahead == (0.0, 0.0, 0.0)
    assert second.ahead.value == pytest.approx(0.05)
    assert second.ahead.low == pytest.approx(0.05 - 4.303 * 0.05 / 3**0.5, abs=1e-4)  # Student's, two degrees


def test_options_that_a_registered_experiment_does_not_take():
    with pytest.raises(UserError, match="objectives is not for a registered experiment"):
        staged_plan(StudyOptions(plan="headline", objectives=("error", "params")))
    with pytest.raises(UserError, match="on one of --datasets, got 2"):
        staged_plan(StudyOptions(plan="headline", datasets="a,b"))


@pytest.mark.long
def test_an_experiment_killed_in_a_training_ends_like_one_that_was_not(tmp_path):
    plan = written(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SMEMNAS_DATA": str(tmp_path / "data")}

    def call(out):
        command = [sys.executable, str(ROOT / "cli.py"), "study", "--plan", plan, "--jobs", "1", "--quiet"]
        return [*command, "--out", str(tmp_path / out)]

    start = time.monotonic()
    subprocess.run(call("whole"), check=True, env=env, timeout=1200)
    patience = 60 + 5 * (time.monotonic() - start)  # as long as this machine takes
    gate, search = 6, len(list((tmp_path / "whole/trainings").rglob("*-seed[01]/result.json")))
    for number in (2, gate + 2, gate + search + 1):  # in the gate, in the search, in the fresh trainings
        process = subprocess.Popen(call("killed"), env=env)
        end = time.monotonic() + patience
        while len(list((tmp_path / "killed/trainings").rglob("result.json"))) < number:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run(call("killed"), check=True, env=env, timeout=patience)
    whole, killed = (json.loads((tmp_path / n / "gate.json").read_bytes()) for n in ("whole", "killed"))
    assert whole["errors"] == killed["errors"]
    assert (tmp_path / "whole/outcome.csv").read_bytes() == (tmp_path / "killed/outcome.csv").read_bytes()
