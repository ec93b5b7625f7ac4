"""How `fit` shares out its time, and what it measures before; nothing is trained here."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import write_folder, write_tar

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.fit.clock import FitClock
from smemnas.bench.fit.finals import BASELINES, nearest_baseline
from smemnas.bench.fit.measure import FIXED, check_time, measure, own_side, resolutions_for, smaller, step_seconds
from smemnas.bench.fit.plan import FitPlan, FitSetting, Speeds, make_fit_plan
from smemnas.bench.fit.stages import FitStages
from smemnas.bench.train.networks.counting import multiply_adds
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.to_timm import build_timm
from smemnas.bench.train.retrain.networks import build_named
from smemnas.spaces.mnv3_choices import read_name

SETTING = FitSetting("photos", "0" * 64, 32, (32,), 0.35, "small", (), 64, 9000, 1000)
#: As measured for docs/training.md.
SPEEDS = Speeds(0.4, 0.073, 30.0)


@pytest.mark.parametrize("hours", [0.1, 0.5, 2, 8, 100])
@pytest.mark.parametrize("factor", [0.05, 1, 10])
def test_no_plan_is_longer_than_its_time(hours, factor):
    speeds = Speeds(factor * SPEEDS.supernet_step, factor * SPEEDS.final_step, 30.0)
    try:
        plan = make_fit_plan(SETTING, speeds, 3600 * hours)
    except UserError as error:
        assert "are too short" in str(error)  # noqa: PT017
        assert factor * 1 >= hours
        return
    assert plan.estimates["reserve"] >= 0.119 * plan.seconds
    assert sum(plan.estimates.values()) == pytest.approx(plan.seconds, abs=0.1)
    assert plan.final_epochs >= 1
    assert plan.budget >= 8
    assert FitPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_supernet_where_enough_of_its_epochs_fit():
    long, short = (make_fit_plan(SETTING, SPEEDS, 3600 * hours) for hours in (2, 0.1))
    assert (long.search, long.method, long.candidate_epochs) == ("supernet", "smemnas/adaptive", 0)
    assert 40 <= long.supernet_epochs <= 60
    assert (short.search, short.method, short.supernet_epochs) == ("scratch", "random", 0)
    assert "supernet" not in short.estimates
    assert make_fit_plan(SETTING, SPEEDS, 7200, "scratch").search == "scratch"
    assert any("supernet, " in line for line in long.lines())


def test_sizes_follow_images_and_time():
    large = replace(SETTING, size=160, stem="imagenet", resolutions=resolutions_for(160))
    assert large.resolutions == (120, 160)
    assert resolutions_for(32) == (32,)
    assert smaller(large, Speeds(4.0, 1.0, 60.0), 3600 * 500) == 160
    assert smaller(large, Speeds(4.0, 1.0, 60.0), 3600 * 7) == 128
    assert smaller(large, Speeds(4.0, 1.0, 60.0), 3600 * 0.5) == 32


def test_images_get_smaller_than_32_only_where_nothing_fits_otherwise():
    """Speeds as measured on one core that had other work too."""
    speeds = Speeds(1.4, 0.75, 60.0)
    assert {hours: smaller(SETTING, speeds, 3600 * hours) for hours in (2, 0.6, 0.3, 0.2, 0.15)} == {
        2: 32,
        0.6: 32,
        0.3: 32,
        0.2: 24,
        0.15: 16,
    }
    assert smaller(replace(SETTING, size=16, resolutions=(16,)), speeds, 3600 * 0.2) == 16


def test_the_side_of_images_is_seen_in_every_kind_of_source(tmp_path):
    """In a tar file an image begins anywhere."""
    write_folder(tmp_path / "photos", size=(50, 70), splits=("train",))
    write_tar(tmp_path / "photos", tmp_path / "photos.tar")
    files = sorted((tmp_path / "photos").rglob("*.png"))
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in files]
    (tmp_path / "photos.csv").write_text("\n".join(["file,label", *rows]))
    assert [own_side(str(tmp_path / name)) for name in ("photos", "photos.tar", "photos.csv")] == [48] * 3
    files[1].write_bytes(b"no image")
    write_tar(tmp_path / "photos", tmp_path / "torn.tar")
    with pytest.raises(DataError, match=r"01\.png is no readable image"):
        own_side(str(tmp_path / "torn.tar"))


def test_few_images_have_many_epochs():
    """An epoch of 840 images is 13 steps: 120 of them are no training."""
    few = replace(SETTING, n_train=840, n_valid=120)
    assert (SETTING.steps, SETTING.most_epochs) == (140, 120)
    assert (few.steps, few.most_epochs) == (13, 385)
    plan = make_fit_plan(few, Speeds(0.7, 0.35, 40.0), 3600 * 8)
    assert plan.supernet_epochs == plan.final_epochs == 385
    assert make_fit_plan(few, Speeds(0.7, 0.35, 40.0), 3600 * 2, "scratch").candidate_epochs == 31
    short = make_fit_plan(few, Speeds(0.7, 0.35, 40.0), 1000.0)
    assert short.search == "scratch"  # its supernet's networks would be at chance
    assert 5 <= make_fit_plan(few, Speeds(0.7, 0.35, 40.0), 1000.0, "supernet").supernet_epochs < 31


def test_without_a_supernet_the_networks_that_are_kept_get_most_of_the_time():
    """One epoch each for eight candidates, and not two for the network that the user gets."""
    plan = make_fit_plan(replace(SETTING, n_train=8400, n_valid=1200), Speeds(1.37, 0.75, 60.0), 1800.0)
    assert (plan.search, plan.candidate_epochs) == ("scratch", 1)
    assert plan.estimates["final"] + plan.estimates["baseline"] > plan.estimates["search"]
    with pytest.raises(UserError, match=r"give --hours 0\.\d+ or more") as refused:
        make_fit_plan(SETTING, Speeds(1.37, 0.75, 60.0), 600.0)
    hours = float(str(refused.value).split("--hours ")[1].split()[0])
    make_fit_plan(SETTING, Speeds(1.37, 0.75, 60.0), 3600 * hours)
    make_fit_plan(SETTING, Speeds(1.37, 0.75, 60.0), 3600 * hours, "supernet")


def test_a_step_is_measured_between_the_first_and_the_last_look(monkeypatch):
    now = iter([0.0, 10.0, 11.0, 12.5, 16.0, 99.0])
    monkeypatch.setattr("smemnas.bench.fit.measure.time.monotonic", lambda: next(now))

    def train(tell):
        for done in (1, 2, 3, 4, 5):
            tell(done, 100)

    assert step_seconds(train, 0.0) == pytest.approx(12.5 / 3)


def test_a_step_is_no_longer_where_the_training_opens_slowly(monkeypatch):
    """The time that measuring may take can be over before the first step is done."""
    now = iter([20.0, 20.5, 99.0])
    monkeypatch.setattr("smemnas.bench.fit.measure.time.monotonic", lambda: next(now))

    def train(tell):
        for done in (1, 2, 3):
            tell(done, 100)

    assert step_seconds(train, 0.0, until=12.0) == pytest.approx(0.5)


def test_measuring_ends_where_it_takes_too_much_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("smemnas.bench.fit.measure.time.monotonic", lambda: now[0])

    def train(tell):
        for done in (1, 2, 3):
            now[0] += 50.0
            tell(done, 100)

    assert step_seconds(train, 0.0, until=60.0) == 50.0


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("given", [0.36, 36.0, 50.0])
@pytest.mark.parametrize(("size", "slow"), [(32, 0.1), (32, 1.0), (48, 1.0), (224, 9.0)])
def test_hours_that_are_too_few_for_measuring_are_told_with_ones_that_do(given, free, size, slow):
    """No machine is blamed for them; smaller images, where time chooses them, are decoded and measured anew."""
    setting, speeds = replace(SETTING, size=size), Speeds(0.4 * slow, 0.2 * slow, 29.0)
    with pytest.raises(UserError, match=r"are too short: decoding and measuring took 29s") as refused:
        check_time(setting, speeds, given, decoded=5.0, free=free)
    assert "busy" not in str(refused.value)
    assert "kept" not in str(refused.value)

    def planned(seconds):
        check_time(setting, speeds, seconds, decoded=5.0, free=free)
        side = smaller(setting, speeds, seconds) if free else size
        if side == size:
            return make_fit_plan(setting, speeds, seconds)
        share = (side**2 + FIXED) / (size**2 + FIXED) * (4 if size == 224 and side < 96 else 1)
        again, smaller_ones = replace(setting, size=side), Speeds(0.4 * slow * share, 0.2 * slow * share, 58.0)
        check_time(again, smaller_ones, seconds, decoded=34.0, free=free)
        return make_fit_plan(again, smaller_ones, seconds)

    seconds = 3600 * float(str(refused.value).split("--hours ")[1].split()[0])
    planned(seconds)
    with pytest.raises(UserError, match="are too short"):
        planned(0.75 * seconds)


def test_images_that_took_long_to_decode_are_decoded_once():
    with pytest.raises(UserError, match=r"Decoded images are kept: the same command is quicker now\."):
        check_time(SETTING, Speeds(0.1, 0.05, 2400.0), 3600.0, decoded=2300.0, free=False)


def test_measuring_goes_on_until_it_can_say_what_would_do(monkeypatch):
    """Also where the hours are over by then."""
    now, ends = [50.0], []
    monkeypatch.setattr("smemnas.bench.fit.measure.time.monotonic", lambda: now[0])
    monkeypatch.setattr("smemnas.bench.fit.measure.step_seconds", lambda train, began, until: ends.append(until) or 1.0)
    assert measure(SETTING, device="cpu", threads=1, began=40.0, seconds=0.36) == Speeds(1.0, 1.0, 10.0)
    assert measure(SETTING, device="cpu", threads=1, began=40.0, seconds=400.0) == Speeds(1.0, 1.0, 10.0)
    assert ends == [110.0, 110.0, 240.0, 240.0]


def test_the_baseline_of_the_nearest_cost():
    assert nearest_baseline(2.3e6, 32, 1, 10) == "mobilenetv3_small_050"
    assert nearest_baseline(1e12, 32, 2, 10) == "lcnet_150"


@pytest.mark.parametrize("n_classes", [10, 1000])
def test_the_baseline_is_counted_with_the_classes_of_the_images(n_classes):
    """A classifier of 1,000 classes is a good part of the multiply-adds of small images."""
    shape = Shape(0.35, n_classes, 1, (2, 2, 2, 1, 1))
    madds = multiply_adds(build_timm(read_name("r32-3333-3333-3333-3333-3333")[0], shape), 32)
    costs = {name: multiply_adds(build_named(name, n_classes, 1), 32) for name in BASELINES}
    expected = min(costs, key=lambda name: max(costs[name] / madds, madds / costs[name]))
    assert nearest_baseline(madds, 32, 1, n_classes) == expected
    assert replace(SETTING, n_classes=n_classes).counted_classes == n_classes
    assert SETTING.counted_classes == 10  # as a plan of an earlier version went on


def test_the_stages_count_so(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("smemnas.bench.fit.stages.nearest_baseline", lambda *of: asked.append(of) or "lcnet_035")
    monkeypatch.setattr("smemnas.bench.fit.stages.retrain", lambda *_, **__: "trained")
    plan = make_fit_plan(replace(SETTING, n_classes=1000), SPEEDS, 7200)
    found = SimpleNamespace(
        result={"resolution": 32, "plan": {"stem_stride": 1}, "madds": 3e6, "recipe": {"epochs": 3}}
    )
    stages = FitStages(plan, tmp_path, FitClock(tmp_path), (), None, {"seed": 0}, print)
    assert (stages.baseline(found), asked) == ("trained", [(3e6, 32, 1, 1000)])
