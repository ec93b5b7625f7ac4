"""Values that the commands of trainings refuse: each is one line that names the option, before anything is computed."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, one_thread  # noqa: E402, F401

from smemnas.bench.train.networks.mnv3.checkpoint import own_content, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402

HUGE = "99999999999999999999"
ARCH = "r8-3333-3333-3333-3333-3333"


@pytest.fixture(autouse=True)
def own_folders(data_home, one_thread, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net(tmp_path):
    shape = Shape(0.1, 10, 1, (2, 2, 1, 1, 1))
    save(tmp_path / "net.pt", {**own_content(shape, Supernet(shape)), "resolutions": [8]})
    return tmp_path / "net.pt"


NUMBERS = [
    *((option, value) for option in ("--seed", "--threads", "--accumulate", "--size") for value in ("-1", HUGE, "x")),
    ("--epochs", "0"), ("--epochs", HUGE), ("--width", "nan"), ("--width", "0"), ("--width", "-1"), ("--seed", "1.5"),
]  # fmt: skip
SUPERNET = [
    *(("--random", value) for value in ("-1", HUGE)), *(("--crop", value) for value in ("-1", HUGE)), ("--lr", "inf"),
    ("--lr", "0"), ("--batch", "1"), ("--batch", HUGE), ("--rrc", "2"), ("--warmup", "nan"), ("--clip", "-1"),
    ("--resolutions", HUGE), ("--resolutions", "8,,16"), ("--strides", "2,2,a,1,1"), ("--weight-decay", "1e400"),
]  # fmt: skip
RETRAIN = [("--workers", "-2"), ("--workers", HUGE), ("--resolution", HUGE), ("--strides", "1,1,1,1,x")]
EVAL = [(option, value) for option in ("--random", "--images", "--seed") for value in ("-1", HUGE)]


@pytest.mark.parametrize(("option", "value"), [*NUMBERS, *SUPERNET])
def test_supernet_train(fails, tmp_path, option, value):
    fails(("supernet", "train", "--data", "digits", "--out", tmp_path / "out", f"{option}={value}"), option)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "value"), [*NUMBERS, *RETRAIN])
def test_retrain(fails, tmp_path, option, value):
    call = ("retrain", "--arch", ARCH, "--data", "digits", "--preset", "small", "--out", tmp_path / "out")
    fails((*call, f"{option}={value}"), option)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "value"), EVAL)
def test_supernet_eval(fails, option, value):
    fails(("supernet", "eval", "net.pt", "--data", "digits", f"{option}={value}"), option)


def test_more_loading_processes_than_are_of_use(fails, tmp_path):
    call = ("retrain", "--arch", ARCH, "--data", "digits", "--preset", "small", "--workers", 9999)
    fails((*call, "--out", tmp_path / "out"), "--workers is 0 to", "got 9999")


@pytest.mark.parametrize("value", ["{[]: 1}", "[" * 90 + "]" * 90, "0", "nan", "1e400", "9" * 30])
def test_images_of_a_supernet(fails, net, value):
    call = ("run", "--method", "random", "--evaluator", "supernet", "--checkpoint", net, "--data", "digits")
    fails((*call, "--budget", 2, "--out", "run", "--train", f"images={value}"), "")


@pytest.mark.parametrize("name", ["supernet+%00", "supernet+", "supernet+x.pt+images={[]:1}", "train+%00+tiny"])
def test_names_of_data_sets_that_cannot_be(fails, name):
    space = "mnv3" if name.startswith("supernet") else "nb201"
    fails(("run", "--method", "random", "--space", space, "--dataset", name, "--budget", 2, "--out", "run"), "")


@pytest.mark.parametrize("side", [999, 99999])
def test_a_resolution_far_beyond_the_images(fails, net, side):
    arch = f"r{side}-3333-3333-3333-3333-3333"
    words = f"a resolution of {side} is more than 8 times the 8 pixels of digits"
    fails(("retrain", "--arch", arch, "--data", "digits", "--preset", "small", "--out", "out"), words)
    fails(("supernet", "eval", net, arch, "--data", "digits", "--device", "cpu"), words)
    of_export = words if side < 1024 else f"4 to 1024 pixels, got {side}"
    fails(("export", net, arch, "--data", "digits", "--no-onnx", "--out", "net"), of_export)


def test_a_crop_wider_than_the_images(fails, tmp_path):
    call = ("supernet", "train", "--data", "digits", "--width", 0.1, "--epochs", 1, "--out", tmp_path / "out")
    fails((*call, "--crop", 9), "crop", "8 pixels")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2 and RANK, MASTER_ADDR, MASTER_PORT not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is the number of processes"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is the number of processes"),
        ({"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE is the number of processes"),
        ({"WORLD_SIZE": "2", "RANK": "a", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}, "RANK is a whole number"),
    ],
)
@pytest.mark.parametrize("command", ["supernet", "retrain"])
def test_half_of_what_torchrun_sets(fails, tmp_path, monkeypatch, environment, words, command):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    call = (
        ("supernet", "train", "--data", "digits", "--width", 0.1, "--epochs", 1)
        if command == "supernet"
        else ("retrain", "--arch", ARCH, "--data", "digits", "--preset", "small", "--epochs", 1)
    )
    fails((*call, "--out", tmp_path / "out"), words)


def test_one_gpu_for_all_processes_is_refused(fails, tmp_path, monkeypatch):
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(key, value)
    call = ("supernet", "train", "--data", "digits", "--out", tmp_path / "out", "--device", "cuda:0")
    fails(call, "each takes the GPU of its own number: give --device cuda")
