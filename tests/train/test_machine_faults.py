"""What a machine may lack for a training: shared memory, a compiler, memory; one line each, with a way out."""

import os
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, one_thread, write_folder  # noqa: E402, F401

from smemnas.bench.errors import DataError, RunError, UserError  # noqa: E402
from smemnas.bench.train import faults  # noqa: E402
from smemnas.bench.train import images as data  # noqa: E402
from smemnas.bench.train.faults import check_shared_memory, explained, is_out_of_memory  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.retrain import images as retrain_data  # noqa: E402
from smemnas.bench.train.retrain.images import Photos, evaluation_batches, evaluation_transform  # noqa: E402
from smemnas.bench.train.retrain.recipes import find_retrain_recipe  # noqa: E402
from smemnas.bench.train.retrain.state import Machine  # noqa: E402

SMALL = find_retrain_recipe("small")


@pytest.fixture(autouse=True)
def fresh(data_home, one_thread):  # noqa: F811
    data._open.cache_clear()
    yield
    data._open.cache_clear()


def shared_memory(monkeypatch, free):
    monkeypatch.setattr(faults.os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    monkeypatch.setattr(faults.sys, "platform", "linux")


def test_batches_that_do_not_fit_into_shared_memory_are_refused(monkeypatch):
    """Docker gives 64 MB: four processes with two batches of ImageNet each need 308 MB."""
    shared_memory(monkeypatch, 64 << 20)
    with pytest.raises(RunError, match=r"/dev/shm has 67 MB free: give --workers 0") as error:
        check_shared_memory(4, 256 * 3 * 224 * 224)
    assert "need about 312 MB" in str(error.value)
    check_shared_memory(4, 96 * 3 * 32 * 32)
    check_shared_memory(0, 1 << 40)
    with pytest.raises(RunError):
        check_shared_memory(4, 96 * 3 * 32 * 32, processes=16)


def test_a_retraining_looks_at_shared_memory_first(monkeypatch, tmp_path, fails):
    shared_memory(monkeypatch, 64 << 10)
    call = ("retrain", "--arch", "r8-3333-3333-3333-3333-3333", "--data", "digits", "--preset", "small", "--epochs", 1)
    fails((*call, "--workers", 2, "--device", "cpu", "--out", tmp_path / "out"), "/dev/shm", "--workers 0")


class Killed(torch.utils.data.Dataset):
    """Images of which the third ends its loading process, as a bus error does."""

    def __init__(self, photos):
        self.parts, self.photos = photos.parts, photos

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, key):
        if key[0] == 3:
            os._exit(7)
        return self.photos[key]


def photos_of(folder):
    write_folder(folder, per_class=10)
    images = open_images(str(folder), "train")
    return Photos([images], evaluation_transform(SMALL, 8), SMALL)


def test_a_loading_process_that_is_killed_is_one_line(tmp_path):
    rows = evaluation_batches(Killed(photos_of(tmp_path / "pets")), torch.arange(9).numpy(), torch.device("cpu"), 1)
    with pytest.raises(RuntimeError) as raised:
        list(rows)
    error = explained(raised.value)
    assert isinstance(error, RunError)
    assert "\n" not in str(error)
    assert "/dev/shm" in str(error)
    assert "--workers 0" in str(error)


def test_a_loading_process_that_hangs_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(retrain_data, "LOADING_TIMEOUT", 1.0)

    class Slow(Killed):
        def __getitem__(self, key):
            import time

            time.sleep(60)

    rows = evaluation_batches(Slow(photos_of(tmp_path / "pets")), torch.arange(9).numpy(), torch.device("cpu"), 1)
    with pytest.raises(RuntimeError, match="timed out") as raised:
        list(rows)
    assert "--workers 0" in str(explained(raised.value))


def test_a_users_error_in_a_loading_process_keeps_its_line(tmp_path):
    photos = photos_of(tmp_path / "pets")
    photos.parts[0].sums.values[int(photos.parts[0].index[3])] ^= 1
    with pytest.raises(DataError, match=r"^decoded image \d+ in .* changed on the disk: remove .*$") as error:
        list(evaluation_batches(photos, torch.arange(9).numpy(), torch.device("cpu"), 1))
    assert "\n" not in str(error.value)


def test_more_loading_processes_than_are_of_use():
    assert Machine(workers=faults.most_workers()).workers >= 4
    with pytest.raises(UserError, match=f"--workers is 0 to {faults.most_workers()}"):
        Machine(workers=faults.most_workers() + 1)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB.",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried",
    ],
)
def test_words_for_a_lack_of_memory(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


@pytest.mark.long
def test_a_missing_compiler_is_one_line(monkeypatch, tmp_path):
    """What torch itself raises; the default run has an error by that name, below."""
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    with config.patch({"compile_threads": 1, "cpp.cxx": ("/nonexistent",)}), pytest.raises(RuntimeError) as raised:
        faults.compiled(torch.nn.Linear(2, 2), torch.device("cpu"))
    error = explained(raised.value)
    assert_names_the_way_out(error)


def assert_names_the_way_out(error):
    assert isinstance(error, RunError)
    assert "\n" not in str(error)
    for words in ("the network cannot be compiled", "install a C++ compiler", "--set compile=false"):
        assert words in str(error)


def test_a_compilers_error_elsewhere_names_the_setting_there():
    failed = type("BackendCompilerFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})
    assert_names_the_way_out(explained(failed("no\ng++")))
    error = explained(failed("no\ng++"), "compile=false")
    assert "(no g++)" in str(error)
    assert "\n" not in str(error)
    assert str(error).endswith("or give compile=false.")
    assert explained(RuntimeError("sizes do not match")) is None
