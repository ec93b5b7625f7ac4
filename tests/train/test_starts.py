"""Weights from elsewhere: what a model of timm starts from and who teaches, by file or from timm's own."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
timm = pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.retrain import networks  # noqa: E402
from smemnas.bench.train.retrain.loop import retrain  # noqa: E402
from smemnas.bench.train.retrain.networks import build_named, start_from, timm_teacher  # noqa: E402
from smemnas.bench.train.retrain.plan import Wishes, make_plan  # noqa: E402
from smemnas.bench.train.retrain.starts import Renormalised, file_weights, named_weights  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402

NAME = "lcnet_035"
QUICK = ("epochs=1", "batch=256", "crop=1", "flip=false")


def model(classes=10, seed=0):
    torch.manual_seed(seed)
    return build_named(NAME, classes, 2)


def plan_of(**wishes):
    given = {
        "arch": f"timm:{NAME}",
        "data": "digits",
        "stem": "imagenet",
        "size": 32,
        "preset": "small",
        "changes": QUICK,
    }
    return make_plan(None, Wishes(**given | wishes))[0]


FORMS = {
    "plain": lambda state: state,
    "module": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compiled": lambda state: {"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}},
    "wrapped": lambda state: {"state_dict": state, "epoch": 3},
}


@pytest.mark.parametrize("form", [*FORMS, "safetensors"])
def test_a_file_of_weights_in_any_usual_form(tmp_path, form):
    state = model().state_dict()
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        safetensors.save_file(state, file)
    else:
        torch.save(FORMS[form](state), file)
    net = model(seed=1)
    assert start_from(net, plan_of(weights=str(file)))
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_the_classifier_of_other_classes_stays_random(tmp_path):
    torch.save(model(7).state_dict(), tmp_path / "w.pt")
    net, untouched = model(seed=1), model(seed=1).state_dict()
    assert not start_from(net, plan_of(weights=str(tmp_path / "w.pt")))
    state = net.state_dict()
    assert torch.equal(state["classifier.weight"], untouched["classifier.weight"])
    assert torch.equal(state["conv_stem.weight"], model(7).state_dict()["conv_stem.weight"])


def test_weights_of_something_else_are_named(tmp_path):
    torch.save(build_named("lcnet_050", 10, 2).state_dict(), tmp_path / "other.pt")
    torch.save({"state_dict": {"a": torch.zeros(2)}}, tmp_path / "little.pt")
    torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "object.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    for name, words in {
        "other.pt": f"something else than timm's {NAME}: blocks.",
        "little.pt": f"no weights of timm's {NAME}: conv_stem.weight is missing",
        "object.pt": "objects are not loaded because they can run code",
        "bad.safetensors": "no readable safetensors file",
    }.items():
        with pytest.raises(DataError) as error:
            start_from(model(), plan_of(weights=str(tmp_path / name)))
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_timms_own_weights_without_a_network_are_one_line(monkeypatch):
    def offline(name, pretrained=False, **_):
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DataError, match=r"cannot be fetched \(We couldn't connect to the hub\): connect once, or name"):
        named_weights("mobilenetv3_small_100", "pretrained")
    with pytest.raises(UserError, match=f"timm publishes no weights for {NAME}"):
        named_weights(NAME, "pretrained")


def test_timms_own_teacher_sees_images_as_it_was_trained_on_them(monkeypatch):
    """Images come normalised by their own moments, timm's weights expect ImageNet's."""
    images = open_images("digits", "train", size=32)
    monkeypatch.setattr(networks, "named_weights", lambda name, source: model().state_dict())
    taught = timm_teacher(plan_of(teacher=f"timm:{NAME}"), images, torch.device("cpu"), 32)
    assert isinstance(taught, Renormalised)
    pixels = torch.from_numpy(images.take(slice(0, 4))).permute(0, 3, 1, 2) / 255
    given, own = (
        (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        for mean, std in ((images.mean, images.std), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    )
    torch.testing.assert_close(taught(given), model().eval()(own), rtol=1e-4, atol=1e-4)


def test_a_training_from_a_file_with_a_teacher(tmp_path):
    torch.save({f"module.{k}": v for k, v in model(seed=3).state_dict().items()}, tmp_path / "w.pt")
    wishes = {"weights": str(tmp_path / "w.pt"), "teacher": f"timm:{NAME}", "teacher_weights": str(tmp_path / "w.pt")}
    plan = plan_of(**wishes)
    assert plan.recipe.distill == 1.0
    result = retrain(plan, tmp_path / "out", Machine("cpu"))
    assert (result["start"], result["start_classifier"]) == ("weights of w.pt", "loaded")
    alone = retrain(plan_of(weights=wishes["weights"]), tmp_path / "alone", Machine("cpu"))
    assert result["start_valid_top1"] == alone["start_valid_top1"]
    taught, untaught = (file_weights(tmp_path / name / "weights.pt") for name in ("out", "alone"))
    assert not torch.equal(taught["conv_stem.weight"], untaught["conv_stem.weight"])
    torch.save(model(7).state_dict(), tmp_path / "seven.pt")
    with pytest.raises(DataError, match=r"seven.pt knows other classes than the images have"):
        retrain(plan_of(**wishes | {"teacher_weights": str(tmp_path / "seven.pt")}), tmp_path / "x", Machine("cpu"))


def test_a_teacher_of_fixed_size_is_built_for_the_student_s_images_or_refused(tmp_path):
    name, images = "vit_tiny_patch16_224", open_images("digits", "train", size=32)
    for side in (32, 64):
        torch.save(timm.create_model(name, num_classes=10, img_size=side).state_dict(), tmp_path / f"{side}.pt")
    plans = {side: plan_of(teacher=f"timm:{name}", teacher_weights=str(tmp_path / f"{side}.pt")) for side in (32, 64)}
    cpu = torch.device("cpu")
    assert timm_teacher(plans[32], images, cpu, 32)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(DataError, match="built for images of one size, here 32 pixels"):
        timm_teacher(plans[64], images, cpu, 32)
    with pytest.raises(UserError, match="takes no images of 8 pixels"):
        timm_teacher(plans[32], images, cpu, 8)


def test_a_plan_that_names_no_weights_is_what_it_was():
    known = plan_of().to_dict()
    assert not {key for key in known if "teacher" in key or "weights" in key}


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"arch": "r32-3333-3333-3333-3333-3333", "weights": "pretrained"}, "those of a timm model"),
        ({"teacher_weights": "w.pt"}, "belong to a --teacher"),
        ({"teacher": "resnet18"}, "takes timm:MODEL, got 'resnet18'"),
        ({"weights": "./nowhere.pt"}, "no file of weights at ./nowhere.pt"),
        ({"teacher": "timm:resnet18", "changes": ("distill=0",)}, "contradict each other"),
    ],
)
def test_wishes_that_do_not_go_together(wishes, words):
    with pytest.raises(UserError) as error:
        plan_of(**wishes)
    assert words in str(error.value)
