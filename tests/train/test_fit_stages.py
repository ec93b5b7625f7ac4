"""What the stages of `fit` do when one takes longer or shorter than it should; nothing is trained here."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.fit import fit as module
from smemnas.bench.fit import stages as stages_module
from smemnas.bench.fit.clock import FitClock, Pace
from smemnas.bench.fit.finals import epochs_that_fit
from smemnas.bench.fit.fit import FitOptions, fit
from smemnas.bench.fit.plan import EXPORT, OPENING, RESERVE, FitSetting, Speeds, make_fit_plan
from smemnas.bench.fit.stages import FitStages
from smemnas.bench.train.options import make_options
from smemnas.bench.train.retrain.recipes import find_retrain_recipe

SETTING = FitSetting("photos", "0" * 64, 32, (32,), 0.35, "small", (), 64, 9000, 1000)
#: As measured for docs/training.md.
SPEEDS = Speeds(0.4, 0.073, 30.0)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Stages that take a moment of a clock that the test sets; returns them and what was called."""
    plan = make_fit_plan(SETTING, SPEEDS, 7200.0)
    now = [0.0]
    monkeypatch.setattr("smemnas.bench.fit.clock.time.monotonic", lambda: now[0])
    clock, calls = FitClock(tmp_path), []

    def search(options, **_):
        calls.append(("run", options))
        now[0] += plan.estimates["search"]

    def epoch(plan, *_, baseline):
        return (1 + baseline) * (plan.estimates["final"] - OPENING) / plan.final_epochs

    monkeypatch.setattr(stages_module, "run", search)
    monkeypatch.setattr(stages_module, "epoch_seconds", epoch)

    def supernet(options, on_epoch, progress):
        calls.append(("supernet", options))
        now[0] += supernet.opening
        for epoch in range(1, options.epochs + 1):
            for step in range(4):
                now[0] += supernet.seconds / 4
                progress(step, 4)
            on_epoch({"epoch": epoch})

    def final(options, on_epoch, progress=lambda done, n: None, ends=lambda done: False):
        calls.append(("retrain", options))
        options.out.mkdir(exist_ok=True)
        result = {"resolution": 32, "plan": {"stem_stride": 1}, "madds": 2.3e6, "recipe": {"epochs": options.epochs}}
        now[0] += final.opening
        on_epoch({"epoch": final.kept})
        for epoch in range(final.kept + 1, options.epochs + 1):
            if ends(epoch - 1):
                result["stopped_after"] = epoch - 1
                break
            for step in range(4):
                now[0] += final.seconds(epoch) / 4
                progress(step, 4)
            final.kept = epoch
            on_epoch({"epoch": epoch})
        return SimpleNamespace(result=result)

    final.seconds, final.kept = (lambda epoch: 10.0), 0
    final.opening = supernet.opening = 0.0

    monkeypatch.setattr(stages_module, "supernet_train", supernet)
    monkeypatch.setattr(stages_module, "retrain", final)
    stages = FitStages(plan, tmp_path, clock, ("flops<=3",), None, {"seed": 0}, lambda line: None)
    return SimpleNamespace(stages=stages, plan=plan, clock=clock, calls=calls, now=now, supernet=supernet, final=final)


def test_within_the_reserve_the_plan_is_followed(made):
    made.supernet.seconds = 1.05 * made.plan.estimates["supernet"] / made.plan.supernet_epochs
    made.stages.supernet()
    made.stages.search()
    made.stages.final()
    assert made.clock.decisions == {}
    (_, supernet), (_, search), (_, final) = made.calls
    assert supernet.epochs == made.plan.supernet_epochs
    assert (search.budget, search.constraints) == (made.plan.budget, ("flops<=3",))
    assert (final.epochs, final.pick) == (made.plan.final_epochs, "flops<=3")
    assert (supernet.crop, supernet.flip) == (4, True)
    assert final.changes[-2:] == ("crop=4", "flip=true")


def test_small_images_are_shifted_less_and_digits_not_mirrored(made):
    """Half of eight pixels is half of a digit, and a mirrored 2 is none."""
    assert [replace(SETTING, size=side).crop for side in (8, 16, 24, 31, 32, 224)] == [1, 2, 3, 3, 4, 4]
    setting = replace(SETTING, size=8, resolutions=(8,), flip=False)
    made.stages.plan, made.supernet.seconds = make_fit_plan(setting, SPEEDS, 7200.0), 10.0
    made.stages.supernet()
    made.stages.final()
    made.stages.plan = make_fit_plan(setting, SPEEDS, 7200.0, "scratch")
    made.stages.search()
    (_, supernet), (_, final), (_, search) = made.calls
    assert (supernet.crop, supernet.flip) == (1, False)
    candidates = make_options("digits", "small", search.training).recipe
    alone = find_retrain_recipe("small").overridden(final.changes)
    assert [(recipe.crop, recipe.flip) for recipe in (candidates, alone)] == [(1, False)] * 2


def test_the_folder_of_an_earlier_version_goes_on(tmp_path, monkeypatch):
    """It does not say whether images are mirrored: they were."""
    monkeypatch.setattr(module, "plan_fit", lambda options, began: make_fit_plan(SETTING, SPEEDS, 7200.0))
    begun = []
    monkeypatch.setattr(module, "_fitted", lambda options, out, clock, plan, began, tell: begun.append(plan))
    options, file = FitOptions("digits", 2.0, tmp_path / "net"), tmp_path / "net" / "plan.json"
    file.parent.mkdir()
    plan = make_fit_plan(SETTING, SPEEDS, 7200.0).to_dict()
    asked = options.asked()
    del asked["flip"], plan["setting"]["flip"]
    file.write_text(json.dumps({"format": "smemnas-fit", "asked": asked, "plan": plan}))
    fit(options)
    assert begun[0].setting == SETTING
    with pytest.raises(RunError, match="begun with flip True, not False"):
        fit(replace(options, flip=False))


def test_what_takes_twice_as_long_is_shortened_and_written_down(made):
    planned = made.plan
    made.supernet.seconds = 2 * planned.estimates["supernet"] / planned.supernet_epochs
    made.stages.supernet()
    done = made.clock.decisions["supernet"]["epochs"]
    assert done < planned.supernet_epochs
    allowed = planned.estimates["supernet"] + planned.estimates["reserve"] / 2
    assert done * made.supernet.seconds <= allowed < (done + 1) * made.supernet.seconds
    made.clock.start("search")
    made.now[0] += planned.estimates["search"] + 0.8 * planned.estimates["reserve"]
    made.clock.mark()
    found = made.stages.final()
    decided = made.clock.decisions["final"]["epochs"]
    assert decided < planned.final_epochs
    assert found.result["recipe"]["epochs"] == decided
    again = FitClock(made.stages.folder)
    assert again.decisions == made.clock.decisions  # a resumed call decides the same
    assert again.seconds == made.clock.seconds


def test_time_that_is_left_over_goes_to_both_final_trainings(made, monkeypatch):
    planned = made.plan
    monkeypatch.setattr("smemnas.bench.fit.plan.MOST_EPOCHS", 10_000)
    made.supernet.seconds = 0.3 * planned.estimates["supernet"] / planned.supernet_epochs
    made.stages.supernet()
    made.stages.search()
    each = (planned.estimates["final"] - OPENING) / planned.final_epochs
    made.final.seconds = lambda epoch: each
    left = planned.seconds - made.clock.mark()
    found = made.stages.final()
    decided = made.clock.decisions["final"]
    assert decided["planned"] == planned.final_epochs
    free = 0.9 * (left - 0.12 * planned.seconds)
    used = 2 * each * decided["epochs"]
    assert decided["epochs"] > planned.final_epochs
    assert (free - 40) / 1.5 < used <= free  # in steps of a third and a half
    assert found.result["recipe"]["epochs"] == decided["epochs"]
    made.final.kept = 0
    baseline = made.stages.baseline(found)  # of as many epochs, none of them lost
    assert baseline.result["recipe"]["epochs"] == decided["epochs"]
    assert made.clock.mark() <= (1 - RESERVE) * planned.seconds
    assert "baseline" not in made.clock.decisions
    assert FitClock(made.stages.folder).decisions == made.clock.decisions


def test_a_resumed_final_training_has_the_epochs_that_were_decided(made, monkeypatch):
    made.clock.decide("final", {"epochs": 7, "planned": made.plan.final_epochs})
    assert made.stages.final().result["recipe"]["epochs"] == 7
    made.clock.decisions.clear()
    assert (made.stages.folder / "final").exists()  # as left by an earlier version: it has begun as planned
    assert made.stages.final().result["recipe"]["epochs"] == made.plan.final_epochs


@pytest.mark.parametrize(("lost", "same"), [(0.0, True), (0.05, True), (0.25, False)])
def test_what_a_kill_undid_shortens_nothing_that_can_be_afforded(made, monkeypatch, lost, same):
    plan, given = made.plan, made.plan.seconds
    monkeypatch.setattr("smemnas.bench.fit.plan.MOST_EPOCHS", 10_000)
    each = 2 * (plan.estimates["final"] - OPENING) / plan.final_epochs
    made.clock.seconds = {"measuring": given - RESERVE * given - 18.0 - 2.02 * plan.final_epochs * each / 0.9}
    if lost:
        made.clock.seconds |= {"undone": lost * given}
    assert (made.stages._final_epochs() == 2 * plan.final_epochs) is same


def test_more_epochs_leave_the_reserve_and_fewer_use_it(made):
    plan, rest = replace(made.plan, seconds=1000.0, final_epochs=10), 18.0
    assert epochs_that_fit(plan, 300.0 + rest, 10.0) == 15  # of 16, .9 of 180: the next is one and a half times as many
    assert epochs_that_fit(plan, 200.0 + rest, 10.0) == 10
    assert epochs_that_fit(plan, 100.0 + rest, 10.0) == 10
    assert epochs_that_fit(plan, 99.0 + rest, 10.0) == 9
    assert epochs_that_fit(plan, 1.0, 10.0) == 1
    assert plan.setting.most_epochs / 1.5 < epochs_that_fit(plan, 1e9, 10.0) <= plan.setting.most_epochs
    assert [epochs_that_fit(plan, 120.0 + rest + k / 0.9, 10.0) for k in (101, 149, 151, 199, 201, 301, 401)] == [
        *(10, 10, 15, 15, 20, 30, 40)
    ]


def test_a_longer_final_training_is_no_slow_one(made):
    """Else the baseline would be left out for want of time for an epoch that takes no longer than it did."""
    plan = made.plan
    made.clock.start("final")
    made.now[0] += OPENING + 5 * (plan.estimates["final"] - OPENING)
    made.clock.decide("final", {"epochs": 5 * plan.final_epochs, "planned": plan.final_epochs})
    made.clock.start("baseline")
    assert made.stages._slowness() == pytest.approx(1.0)
    made.clock.decide("final stopped", {"epochs": plan.final_epochs, "planned": 5 * plan.final_epochs})
    assert made.stages._slowness() == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("slow", [3.0, 30.0, 3000.0])
def test_a_final_training_that_gets_slower_once_begun_is_ended(made, slow):
    """Whether its epochs take three times as long, or one takes longer than all the time that is left."""
    normal = made.plan.estimates["final"] / made.plan.final_epochs
    made.final.seconds = lambda epoch: normal * (slow if epoch > 2 else 1.0)
    made.clock.start("search")
    made.now[0] += made.plan.estimates["measuring"] + made.plan.estimates["supernet"] + made.plan.estimates["search"]
    made.clock.mark()
    found = made.stages.final()
    done = made.clock.decisions["final stopped"]["epochs"]
    assert found.result["stopped_after"] == done >= 2
    assert made.clock.mark() <= made.plan.seconds + normal * slow / 4  # a look at the clock four times an epoch
    if slow < 3000:
        assert made.clock.mark() <= made.plan.seconds
    again = FitStages(made.plan, made.stages.folder, FitClock(made.stages.folder), (), None, {"seed": 0}, print)
    assert again.final().result["stopped_after"] == done  # killed then, and called again


def test_a_search_once_begun_is_ended_in_time(made, monkeypatch):
    told, each = [], 100 * made.plan.estimates["search"] / made.plan.budget

    def run(options, ends):
        options.out.mkdir(exist_ok=True)
        done = 0
        while done < options.budget and not ends(done):
            made.now[0] += each
            done += 1
        told.append(done)

    monkeypatch.setattr(stages_module, "run", run)
    made.clock.start("supernet")
    made.now[0] += made.plan.estimates["measuring"] + made.plan.estimates["supernet"]
    made.clock.mark()
    made.stages.search()
    (done,) = told
    assert made.clock.decisions["search stopped"] == {"networks": done, "planned": made.plan.budget}
    assert 8 <= done < made.plan.budget
    rest = sum(made.plan.estimates[name] for name in ("final", "export", "baseline"))
    assert rest <= made.plan.seconds - made.clock.mark() < rest + each
    made.stages.search()
    assert told == [done, done]


def test_a_slow_opening_is_no_slow_epoch(made):
    """Opened once, it counts once: a baseline for which there is time is trained, a training goes on to its end."""
    plan, each = made.plan, (made.plan.estimates["final"] - OPENING) / made.plan.final_epochs
    made.supernet.seconds = (plan.estimates["supernet"] - OPENING) / plan.supernet_epochs
    made.supernet.opening = 0.5 * plan.estimates["reserve"]
    made.stages.supernet()
    assert len(made.calls) == 1
    assert made.clock.decisions == {}
    made.clock.seconds = {"search": plan.seconds - 2 * plan.estimates["final"] - EXPORT - 40.0}
    made.final.seconds, made.final.opening = (lambda epoch: each), 15.0
    made.stages.plan = replace(plan, estimates={**plan.estimates, "final": plan.estimates["final"] + 15.0})
    found = made.stages.final()
    made.clock.start("export")
    made.now[0] += EXPORT
    made.final.kept = 0
    assert made.stages.baseline(found).result["recipe"]["epochs"] == plan.final_epochs
    assert set(made.clock.decisions) <= {"final"}
    assert made.clock.mark() <= plan.seconds


@pytest.mark.parametrize("opening", [0.0, 300.0])
def test_what_a_stage_still_takes_is_seen_after_its_opening(made, monkeypatch, opening):
    """The first part that is done says how long the next takes, in a search as in trainings."""
    pace = Pace()
    assert [pace.look(0, opening), pace.look(1, opening + 2.0), pace.look(3, opening + 5.0)] == [0.0, 2.0, 5.0 / 3]
    done, each = [], (made.plan.estimates["search"] - OPENING) / made.plan.budget

    def run(options, ends):
        made.now[0] += opening
        while len(done) < options.budget and not ends(len(done)):
            made.now[0] += each
            done.append(1)

    monkeypatch.setattr(stages_module, "run", run)
    made.clock.seconds = {"supernet": made.plan.estimates["supernet"] - opening}
    made.stages.search()
    assert len(done) == made.plan.budget
    assert made.clock.decisions == {}


def test_a_search_of_few_slow_networks_leaves_time_for_one_epoch(made, monkeypatch):
    told = []

    def run(options, ends):
        done = 0
        while not ends(done):
            made.now[0] += 1200.0
            done += 1
        told.append(done)

    monkeypatch.setattr(stages_module, "run", run)
    made.clock.start("supernet")
    made.now[0] += made.plan.estimates["supernet"]
    made.clock.mark()
    made.stages.search()
    assert told == [3]
    epoch = made.plan.estimates["final"] / made.plan.final_epochs
    assert epoch <= made.plan.seconds - made.clock.mark() < epoch + 1200.0  # a fourth would have taken it


def test_time_that_a_kill_undoes_is_charged(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("smemnas.bench.fit.clock.time.monotonic", lambda: now[0])
    monkeypatch.setattr("smemnas.bench.fit.clock.BEAT", 0.001)
    clock = FitClock(tmp_path, began=95.0)
    clock.start("supernet")
    now[0] = 110.0
    assert clock.mark() == 15.0  # from the beginning of the command on
    now[0] = 150.0  # before the first beat, which may come at once
    with clock.beating():
        deadline = time.perf_counter() + 30
        while "alive" not in json.loads((tmp_path / "state.json").read_bytes()) and time.perf_counter() < deadline:
            time.sleep(0.005)
        left = (tmp_path / "state.json").read_bytes()  # what a kill would leave
    (tmp_path / "state.json").write_bytes(left)
    again = FitClock(tmp_path)
    assert again.seconds == {"supernet": 15.0, "undone": 40.0}
    again.start("supernet")
    now[0] = 151.0
    assert again.mark() == 56.0
    assert FitClock(tmp_path).seconds == {"supernet": 16.0, "undone": 40.0}


def test_a_baseline_that_would_be_late_is_left_out(made):
    made.clock.start("search")
    made.now[0] += made.plan.seconds - 100.0
    made.clock.mark()
    late = SimpleNamespace(
        result={"resolution": 32, "plan": {"stem_stride": 1}, "madds": 2.3e6, "recipe": {"epochs": 30}}
    )
    assert made.stages.baseline(late) is None
    assert made.clock.decisions["baseline"] == {"model": "mobilenetv3_small_050", "stopped after": 1}
    before = len(made.calls)
    assert made.stages.baseline(late) is None
    assert len(made.calls) == before


def test_a_kill_before_there_is_a_plan_is_gone_on_from(tmp_path, monkeypatch):
    """The seconds that it had taken are charged to measuring."""
    now, out = [1000.0], tmp_path / "net"
    out.mkdir()
    FitClock(out)._write(alive=7.5)
    began_at = []

    def plan_of(options, began):
        began_at.append(began)
        raise UserError("measured again")

    monkeypatch.setattr("smemnas.bench.fit.fit.time.monotonic", lambda: now[0])
    monkeypatch.setattr(module, "plan_fit", plan_of)
    with pytest.raises(UserError, match="measured again"):
        fit(FitOptions("digits", 2.0, out))
    assert began_at == [1000.0 - 7.5]


def test_other_options_and_foreign_folders_are_one_line(tmp_path, monkeypatch):
    plan = make_fit_plan(SETTING, SPEEDS, 7200.0)
    monkeypatch.setattr(module, "plan_fit", lambda options, began: plan)

    def stop(self):
        raise RunError("stopped")

    monkeypatch.setattr(FitStages, "supernet", stop)
    with pytest.raises(RunError, match="stopped"):
        fit(FitOptions("digits", 2.0, tmp_path / "net"))
    with pytest.raises(RunError, match=r"begun with hours 2.0, not 3.0: choose another --out"):
        fit(FitOptions("digits", 3.0, tmp_path / "net"))
    (tmp_path / "net" / "plan.json").write_text('{"format": "smemnas-fit"}')
    with pytest.raises(RunError, match=r"plan.json is corrupt"):
        fit(FitOptions("digits", 2.0, tmp_path / "net"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        fit(FitOptions("digits", 2.0, tmp_path / "mine"))
    with pytest.raises(UserError, match="latency measure"):
        FitOptions("digits", 2.0, tmp_path, max_latency=5.0)
    with pytest.raises(UserError, match="Did you mean 'scratch'"):
        FitOptions("digits", 2.0, tmp_path, search="scatch")
