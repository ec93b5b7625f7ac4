"""Which device "auto" is, how studies spread over GPUs, float32 that is float32; on pretended GPUs."""

import os
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import UserError  # noqa: E402
from smemnas.bench.library.run import RunOptions, run  # noqa: E402
from smemnas.bench.library.study import StudyOptions, study  # noqa: E402
from smemnas.bench.train import devices  # noqa: E402
from smemnas.bench.train.devices import find_device, find_devices, full_float32, on_device, reproducible, seat  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.retrain import images as retrain_images  # noqa: E402
from smemnas.bench.workers.backends import DEVICE, here  # noqa: E402


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """Pretend two GPUs; their locks lie in a folder of the test's own."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda name: SimpleNamespace(uuid=f"GPU:{name}"))
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv(DEVICE, raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_auto_is_what_was_chosen_here_and_in_processes_that_are_started():
    assert find_devices("auto") == ("cuda:0", "cuda:1")
    with on_device("cuda:1"):
        assert find_devices("auto") == ("cuda:1",)
        assert find_device("auto") == torch.device("cuda:1")
        assert find_devices("cpu") == ("cpu",)
        assert here()[DEVICE] == "cuda:1"
    assert DEVICE not in os.environ
    assert find_device("auto") == torch.device("cuda")
    with pytest.raises(UserError, match="no device 'cuda:2': torch sees 2 CUDA devices"), on_device("cuda:2"):
        pass


@pytest.mark.usefixtures("two_gpus")
def test_seats_are_spread_over_gpus_and_left():
    everywhere = find_devices("cuda")
    held = [seat(everywhere) for _ in range(5)]
    assert [device for device, _ in held] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    held[1] = None
    assert seat(everywhere)[0] == "cuda:1"
    assert seat(("cuda:0",))[0] == "cuda:0"
    assert seat(("cpu",)) == ("cpu", None)


def test_readings_of_a_supernet_take_a_seat(monkeypatch):
    pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
    from smemnas.bench.train.supernet import benchmark

    asked = []

    class Seated(Exception):
        pass

    def take(names):
        asked.append(names)
        raise Seated

    supernet = SimpleNamespace(shape=Shape(1.0, 10, 1, (1, 2, 2, 1, 2)))
    monkeypatch.setattr(benchmark, "load_supernet", lambda path: (supernet, {"resolutions": [32]}))
    monkeypatch.setattr(benchmark, "seat", take)
    with pytest.raises(Seated):
        benchmark.SupernetBenchmark(SimpleNamespace(checkpoint=None, name="supernet+x"), device="cpu")
    assert asked == [("cpu",)]


def test_a_device_is_refused_where_nothing_is_trained(tmp_path):
    with pytest.raises(UserError, match="--device says where networks are trained"):
        run(RunOptions("random", "toy", budget=5, device="cpu", out=tmp_path / "r"))
    with pytest.raises(UserError, match="--device says where networks are trained"):
        study(StudyOptions(["random"], ["toy"], seeds="0-1", budget=5, device="cpu", out=tmp_path / "s"))
    assert not list(tmp_path.iterdir())


def test_float32_is_not_tf32():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        for context in (full_float32(), reproducible("cpu", deterministic=False)):
            with context:
                assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, False)
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (True, True)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def test_all_loaders_of_a_gpu_have_one_side_stream(monkeypatch):
    timm_loader = pytest.importorskip("timm.data.loader", reason="needs the extra 'train': pip install -e '.[train]'")
    made = []

    class Stream:
        def __init__(self, device):
            made.append(device)

    class Loader:
        def __init__(self, loader, **options):
            loaders.append(self)

        def __iter__(self):
            return iter(())

    loaders = []
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(timm_loader, "PrefetchLoader", Loader)
    photos = SimpleNamespace(parts=[SimpleNamespace(mean=(0.5,) * 3, std=(0.5,) * 3)])
    retrain_images.side_stream.cache_clear()
    for device in (torch.device("cuda:0"), torch.device("cuda:0"), torch.device("cpu")):
        assert list(retrain_images._prefetching((), photos, device)) == []
    retrain_images.side_stream.cache_clear()
    assert made == [torch.device("cuda:0")]
    first, second, third = (loader.stream for loader in loaders)
    assert first is second
    assert third is None
