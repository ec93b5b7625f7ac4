"""Images: splits, decoding, built-in sets, and one clear line for whatever is wrong with them."""

import gzip
import shutil

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[train]'")

from small_images import CLASSES, data_home, write_cifar10, write_folder, write_tar  # noqa: E402, F401

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.train import image_files as data_files  # noqa: E402
from smemnas.bench.train import images as module  # noqa: E402
from smemnas.bench.train.images import SPLITS, held_out, open_images  # noqa: E402

REAL = "cifar10-12k.tar"


@pytest.fixture(autouse=True)
def fresh(data_home):  # noqa: F811
    module._open.cache_clear()
    yield
    module._open.cache_clear()


def only(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_digits_splits_share_no_image_and_keep_the_classes_balanced():
    parts = {split: open_images("digits", split) for split in SPLITS}
    assert sum(map(len, parts.values())) == 1797
    assert [len(parts[s]) for s in SPLITS] == [1076, 362, 359]
    assert parts["train"].pixels is parts["valid"].pixels
    assert not set(parts["train"].index) & set(parts["valid"].index)
    for part in parts.values():
        assert np.ptp(np.bincount(part.labels, minlength=10)) <= 0.1 * len(part)
        assert (part.size, part.n_classes) == (8, 10)
    from sklearn.datasets import load_digits

    published = load_digits()
    ours = np.concatenate([parts[s].take() for s in SPLITS])[..., 1]
    order = np.lexsort(ours.reshape(len(ours), -1).T)
    grey = np.round(published.images * 255 / 16).astype(np.uint8).reshape(len(ours), -1)
    np.testing.assert_array_equal(ours.reshape(len(ours), -1)[order], grey[np.lexsort(grey.T)])


def test_digits_are_the_same_everywhere():
    """The split is part of every published number: it may not change unnoticed."""
    first = {split: open_images("digits", split).labels[:12].tolist() for split in SPLITS}
    assert first == {
        "train": [0, 1, 3, 4, 6, 7, 1, 2, 5, 7, 0, 1],
        "valid": [8, 3, 4, 3, 5, 6, 9, 9, 7, 0, 2, 2],
        "test": [2, 5, 9, 0, 6, 8, 9, 9, 9, 8, 0, 6],
    }
    again = open_images("digits", "train")
    assert again.sha256 == open_images("digits", "test").sha256
    pixels = np.concatenate([open_images("digits", s).take() for s in ("train", "valid")]) / 255
    np.testing.assert_allclose(again.mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(again.std, pixels.std((0, 1, 2)))


def test_larger_digits_are_resized_by_pillow():
    small, large = open_images("digits", "test"), open_images("digits", "test", size=16)
    assert large.take().shape == (359, 16, 16, 3)
    wanted = Image.fromarray(small.take()[7]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(large.take()[7], np.asarray(wanted))


def test_the_held_out_share_is_that_of_every_class():
    labels = np.repeat([0, 1, 2], [100, 40, 10])
    held = held_out(labels, 0.1)
    assert np.bincount(labels[held]).tolist() == [10, 4, 1]
    np.testing.assert_array_equal(held, held_out(labels, 0.1))
    assert held.tolist() != list(range(15))


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_folder_and_archive_give_the_pixels_of_the_files(tmp_path, form):
    written = write_folder(tmp_path / "pictures", per_class=10)
    source = tmp_path / "pictures"
    if form == "tar":
        source = tmp_path / "pictures.tar"
        write_tar(tmp_path / "pictures", source)
    test = open_images(str(source), "test")
    np.testing.assert_array_equal(test.take(), written["test"][0])
    np.testing.assert_array_equal(test.labels, written["test"][1])
    train, valid = open_images(str(source), "train"), open_images(str(source), "valid")
    assert (len(train), len(valid), train.n_classes) == (27, 3, 3)
    both = np.sort(np.concatenate([train.index, valid.index]))
    np.testing.assert_array_equal(both, np.arange(30))
    np.testing.assert_array_equal(valid.take(), written["train"][0][valid.index])


def test_images_are_decoded_once(tmp_path, monkeypatch):
    write_folder(tmp_path / "pictures")
    first = open_images(str(tmp_path / "pictures"), "train")
    module._open.cache_clear()
    monkeypatch.setattr(data_files, "decode", None)
    second = open_images(str(tmp_path / "pictures"), "train")
    np.testing.assert_array_equal(first.take(), second.take())
    assert first.sha256 == second.sha256
    monkeypatch.undo()


def test_a_changed_folder_is_decoded_anew(tmp_path, data_home):  # noqa: F811
    write_folder(tmp_path / "pictures")
    before = open_images(str(tmp_path / "pictures"), "test")
    module._open.cache_clear()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "test" / "cat" / "new.png")
    after = open_images(str(tmp_path / "pictures"), "test")
    assert (len(before), len(after)) == (12, 13)
    assert before.sha256 != after.sha256


def test_data_in_the_data_folder_goes_by_its_name(tmp_path, data_home):  # noqa: F811
    write_folder(data_home / "images" / "pets")
    assert open_images("pets", "test").n_classes == 3
    write_folder(tmp_path / "more", classes=("a", "b"))
    write_tar(tmp_path / "more", data_home / "images" / "letters.tar")
    assert open_images("letters", "test").n_classes == 2
    with pytest.raises(UserError) as error:
        open_images("pats", "train")
    assert "Did you mean 'pets'?" in only(error)
    assert "letters" in only(error)


def test_sizes(tmp_path):
    rng = np.random.default_rng(0)
    write_folder(tmp_path / "wide", size=(24, 12))
    with pytest.raises(DataError) as error:
        open_images(str(tmp_path / "wide"), "train")
    assert "24 x 12" in only(error)
    assert "size=" in only(error)
    images = open_images(str(tmp_path / "wide"), "test", size=8)
    first = Image.open(tmp_path / "wide" / "test" / "cat" / "00.png").resize((16, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images.take()[0], np.asarray(first.crop((4, 0, 12, 8))))
    write_folder(tmp_path / "mixed")
    odd = tmp_path / "mixed" / "train" / "dog" / "02.png"
    Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(odd)
    with pytest.raises(DataError) as error:
        open_images(str(tmp_path / "mixed"), "train")
    assert "9 x 9" in only(error)
    assert str(odd) in only(error)
    with pytest.raises(UserError, match="4 to 1024"):
        open_images("digits", "train", size=2)


def test_an_own_validation_folder_is_the_validation_split(tmp_path):
    written = write_folder(tmp_path / "three", splits=("train", "val", "test"))
    np.testing.assert_array_equal(open_images(str(tmp_path / "three"), "valid").take(), written["val"][0])
    assert len(open_images(str(tmp_path / "three"), "train")) == 12


def test_without_a_test_folder_the_validation_folder_is_reported(tmp_path):
    """As ImageNet comes; the searched split is then held out of the training images."""
    written = write_folder(tmp_path / "two", per_class=10, splits=("train", "val"))
    np.testing.assert_array_equal(open_images(str(tmp_path / "two"), "test").take(), written["val"][0])
    assert [len(open_images(str(tmp_path / "two"), s)) for s in ("train", "valid")] == [27, 3]


def break_image(folder):
    victim = folder / "train" / "eel" / "01.png"
    victim.write_bytes(victim.read_bytes()[:60])
    return str(victim)


def no_image(folder):
    victim = folder / "test" / "cat" / "03.png"
    victim.write_text("not an image")
    return str(victim)


def drop_class(folder):
    shutil.rmtree(folder / "test" / "dog")
    return "'dog'"


def extra_class(folder):
    shutil.copytree(folder / "test" / "dog", folder / "test" / "fox")
    return "'fox'"


def empty_class(folder):
    (folder / "train" / "gnu").mkdir()
    return "gnu"


def no_train(folder):
    shutil.rmtree(folder / "train")
    return "train/CLASS/FILE"


def unsorted(folder):
    for file in sorted((folder / "test").rglob("*.png")):
        shutil.move(file, folder / "test" / f"{file.parent.name}-{file.name}")
    for name in CLASSES:
        (folder / "test" / name).rmdir()
    return "no class folders"


@pytest.mark.parametrize("spoil", [break_image, no_image, drop_class, extra_class, empty_class, no_train, unsorted])
def test_what_is_wrong_with_a_folder_is_named(tmp_path, spoil):
    write_folder(tmp_path / "pictures")
    word = spoil(tmp_path / "pictures")
    with pytest.raises(DataError) as error:
        open_images(str(tmp_path / "pictures"), "train")
    assert word in only(error)
    decoded = list((tmp_path / "home" / "images" / "decoded").glob("*"))
    assert not [p for p in decoded if p.is_dir()]  # nothing half decoded is left


def test_what_is_wrong_with_an_archive_is_named(tmp_path):
    write_folder(tmp_path / "pictures")
    victim = break_image(tmp_path / "pictures").removeprefix(str(tmp_path / "pictures"))
    write_tar(tmp_path / "pictures", tmp_path / "broken.tar")
    with pytest.raises(DataError) as error:
        open_images(str(tmp_path / "broken.tar"), "train")
    assert f"broken.tar:pictures{victim}" in only(error)
    (tmp_path / "packed.tar").write_bytes(gzip.compress((tmp_path / "broken.tar").read_bytes()))
    with pytest.raises(DataError, match="uncompressed"):
        open_images(str(tmp_path / "packed.tar"), "train")


def test_missing_data_and_wrong_expectations(tmp_path):
    with pytest.raises(UserError, match="no folder or tar file"):
        open_images(str(tmp_path / "nowhere"), "train")
    with pytest.raises(UserError, match="Did you mean 'digits'"):
        open_images("digts", "train")
    with pytest.raises(UserError, match="Did you mean 'valid'"):
        open_images("digits", "val")
    with pytest.raises(DataError, match="10 classes, expected 100"):
        open_images("digits", "train", n_classes=100)
    with pytest.raises(UserError, match="between 0 and 1"):
        open_images("digits", "train", valid_share=1.5)


def test_a_disk_that_is_too_small_is_said_before_decoding(tmp_path, monkeypatch):
    write_folder(tmp_path / "pictures")
    monkeypatch.setattr(data_files.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(DataError) as error:
        open_images(str(tmp_path / "pictures"), "train")
    assert "GB" in only(error)
    assert "SMEMNAS_DATA" in only(error)


def test_cifar_comes_through_torchvision(data_home, monkeypatch):  # noqa: F811
    pytest.importorskip("torchvision", reason="needs torchvision: pip install -e '.[train]'")
    written = write_cifar10(data_home / "images", monkeypatch)
    test = open_images("cifar10", "test")
    data, labels = written["test_batch"]
    np.testing.assert_array_equal(test.take(), data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(test.labels, labels)
    np.testing.assert_allclose(np.array(test.mean) * 255, [125.3, 123.0, 113.9])
    assert (len(open_images("cifar10", "train")), len(open_images("cifar10", "valid"))) == (90, 10)


def test_a_part_of_cifar_is_the_first_images_of_each_class(data_home, monkeypatch):  # noqa: F811
    pytest.importorskip("torchvision", reason="needs torchvision: pip install -e '.[train]'")
    written = write_cifar10(data_home / "images", monkeypatch)
    monkeypatch.setitem(module.PARTS, "cifar10-12k", ("cifar10", {"train": 5, "test": 1}))
    whole = [open_images("cifar10-12k", split) for split in ("train", "valid", "test")]
    assert [len(part) for part in whole] == [50 - 10, 10, 10]  # a tenth of five, rounded, is one
    assert np.bincount(whole[2].labels).tolist() == [1] * 10
    data, _ = written["test_batch"]  # its labels are 0 to 9 over and over
    np.testing.assert_array_equal(whole[2].take(), data[:10].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    assert whole[0].sha256 != open_images("cifar10", "train").sha256


@pytest.mark.parametrize("state", ["absent", "damaged"])
def test_cifar_that_cannot_be_had_is_one_line(data_home, monkeypatch, state):  # noqa: F811
    datasets = pytest.importorskip("torchvision.datasets", reason="needs torchvision: pip install -e '.[train]'")
    if state == "damaged":
        write_cifar10(data_home / "images", monkeypatch)
        (data_home / "images" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"damaged")

    def offline(self):
        raise OSError("no network")

    monkeypatch.setattr(datasets.CIFAR10, "download", offline)
    with pytest.raises(DataError) as error:
        open_images("cifar10", "train")
    for word in ("cifar-10-python.tar.gz", str(data_home), "no network"):
        assert word in only(error)


def test_the_real_cifar_images_are_read_from_their_archive():
    from data_files import SHARED

    archive = SHARED / "images" / REAL
    if not archive.is_file():
        pytest.skip(f"put the original files there to run this: ../shared/data/images/{REAL}")
    parts = {split: open_images(str(archive), split) for split in SPLITS}
    assert [len(parts[s]) for s in SPLITS] == [9000, 1000, 2000]
    assert {part.size for part in parts.values()} == {32}
    assert np.bincount(parts["valid"].labels).tolist() == [100] * 10
    # A sample of CIFAR-10: its moments are near the published ones of all images.
    np.testing.assert_allclose(np.array(parts["train"].mean) * 255, [125.3, 123.0, 113.9], atol=2.0)
    np.testing.assert_allclose(np.array(parts["train"].std) * 255, [63.0, 62.1, 66.7], atol=2.0)
