"""Models of timm as they are: without drop-path, of fixed size, too deep for small images; and averages of weights."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
timm = pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, one_thread, opened_anew, write_folder  # noqa: E402, F401

from smemnas.bench.errors import UserError  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import read, save  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.networks import build, build_named, definition, rebuild, size_options  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402

ARCH = "r8-3333-3333-3333-3333-3333"
CPU = Machine("cpu")


pytestmark = pytest.mark.usefixtures("opened_anew", "one_thread")


def plan_of(model, side=32, *changes):
    wishes = Wishes(
        arch=f"timm:{model}", data="digits", preset="small", stem="imagenet", resolution=side, changes=changes
    )
    return make_plan(None, wishes)[0]


@pytest.mark.parametrize("model", ["ghostnet_050", "vgg11", "test_vit", "test_resnet"])
def test_models_are_built_for_the_images(model):
    """Without drop-path; with a classifier after the last pixels; of fixed size; plain."""
    plan = plan_of(model)
    net = build(plan, 3, 32)
    assert net.training
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    result = {"plan": {**plan.to_dict()}, "definition": definition(plan, 3, 32)}
    again = rebuild(result)
    again.load_state_dict(net.state_dict())
    assert json.loads(json.dumps(result)) == result
    assert size_options(model, 32) == ({"img_size": 32} if model == "test_vit" else {})


def test_a_rate_that_a_model_lacks_is_named():
    with pytest.raises(UserError, match="ghostnet_050 takes no drop_path_rate: --set drop_path=0"):
        build(plan_of("ghostnet_050", 32, "drop_path=0.2"), 3, 32)
    net = build(plan_of("test_resnet", 32, "drop_path=0.2"), 3, 32)
    assert max(getattr(m, "drop_prob", 0) or 0 for m in net.modules()) == pytest.approx(0.2)


def test_images_that_are_too_small_are_named():
    with pytest.raises(UserError, match=r"timm's inception_v3 takes no images of 32 pixels \(.*: give another --resol"):
        build(plan_of("inception_v3"), 3, 32)


def test_a_size_that_no_patch_divides_is_named():
    with pytest.raises(UserError, match="test_vit"):
        build(plan_of("test_vit", 35), 3, 35)


def test_looking_at_a_model_leaves_random_numbers_alone():
    torch.manual_seed(3)
    wanted = build_named("test_resnet", 3, 2).state_dict(), torch.rand(2)
    torch.manual_seed(3)
    found = build(plan_of("test_resnet"), 3, 32).state_dict(), torch.rand(2)
    assert torch.equal(wanted[1], found[1])
    for key, value in wanted[0].items():
        assert torch.equal(value, found[0][key]), key


def small_plan(folder, *changes):
    wishes = Wishes(arch=ARCH, data=str(folder), preset="small", width=0.1, changes=("batch=9", "crop=1", *changes))
    return make_plan(None, wishes)[0]


def test_a_moving_average_of_a_short_training_leaves_its_start(tmp_path, caplog):
    """At .9999 and 6 updates, 99.94 % of it would be random weights."""
    write_folder(tmp_path / "pets", per_class=10)
    result = retrain(small_plan(tmp_path / "pets", "epochs=2", "ema=0.9999"), tmp_path / "a", CPU)
    assert result["ema_warmup"] is True
    (said,) = caplog.messages
    assert "after 6 updates, ema=0.9999: 100 % of the moving average would be the weights of the start" in said
    asked = retrain(small_plan(tmp_path / "pets", "epochs=2", "ema=0.9999", "ema_warmup=true"), tmp_path / "b", CPU)
    assert len(caplog.messages) == 1
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in "ab")
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert asked["top1"] == result["top1"]


def test_a_long_training_averages_as_before(tmp_path, caplog):
    write_folder(tmp_path / "pets", per_class=10)
    result = retrain(small_plan(tmp_path / "pets", "epochs=2", "ema=0.5"), tmp_path / "a", CPU)
    assert result["ema_warmup"] is False  # .5 ** 6 is 1.6 %
    assert not caplog.messages


class Stopped(Exception):
    pass


def test_a_training_begun_by_an_older_version_goes_on_as_it_began(tmp_path):
    write_folder(tmp_path / "pets", per_class=10)
    plan = small_plan(tmp_path / "pets", "epochs=2", "ema=0.9999")

    def stop(row):
        if row["epoch"] == 1:
            raise Stopped

    with pytest.raises(Stopped):
        retrain(plan, tmp_path / "a", CPU, report=stop)
    content = read(tmp_path / "a" / "checkpoint.pt")
    assert content.pop("ema_warmup") is True
    save(tmp_path / "a" / "checkpoint.pt", content)
    assert retrain(plan, tmp_path / "a", CPU)["ema_warmup"] is False
