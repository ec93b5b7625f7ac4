"""Nothing of a user's images is left out, mixed or turned without a word; what is drawn is drawn as asked for."""

import csv
import json
import shutil

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[train]'")

from PIL import ImageOps  # noqa: E402
from small_images import CLASSES, data_home, opened_anew, write_folder, write_tar  # noqa: E402, F401

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.library.images import images  # noqa: E402
from smemnas.bench.train import image_files  # noqa: E402
from smemnas.bench.train import images as module  # noqa: E402
from smemnas.bench.train.image_files import list_images  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402

pytestmark = pytest.mark.usefixtures("opened_anew")


@pytest.fixture
def photos(tmp_path):
    """A folder of three classes with 20 images each, without splits."""
    write_folder(tmp_path / "made", per_class=20, splits=("train",))
    (tmp_path / "made" / "train").rename(tmp_path / "photos")
    return tmp_path / "photos"


def both(folder):
    """Return a folder and the tar file of it."""
    write_tar(folder, folder.parent / "packed.tar", top=".")
    return folder, folder.parent / "packed.tar"


def notes(caplog):
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_classes_beside_one_that_looks_like_a_split_are_refused(photos):
    for name in ("steam", "electric"):
        shutil.copytree(photos / "eel", photos / "train" / name)
    for source in both(photos):
        with pytest.raises(DataError, match=r"images in 'cat', 'dog', 'eel' beside it: if 'train' is a class, rename"):
            list_images(source)


def test_images_beside_the_folders_of_the_splits_are_counted(tmp_path, photos, caplog):
    write_folder(tmp_path / "all", per_class=10)
    shutil.copytree(photos / "cat", tmp_path / "all" / "more" / "deep")
    shutil.copy(photos / "cat" / "00.png", tmp_path / "all" / "cover.png")
    (tmp_path / "all" / "notes").mkdir()
    for source in both(tmp_path / "all"):
        assert len(list_images(source)) == 60
        [said] = notes(caplog)
        assert "21 images in 'cover.png', 'more' are left out" in said
        list_images(source)
        assert not notes(caplog)  # once in a process


def test_files_that_are_not_named_as_images_are_counted_and_named(photos, caplog):
    (photos / "cat" / "00.png").rename(photos / "cat" / "00.jpe")
    (photos / "dog" / "01.png").rename(photos / "dog" / "01")
    (photos / "dog" / "labels.txt").write_text("beside images")
    (photos / "README").write_text("of the folder")
    for source in both(photos):
        assert len(list_images(source)) == 58
        [said] = notes(caplog)
        assert "2 files are left out ('cat/00.jpe', 'dog/01')" in said


def test_classes_without_validation_images_are_counted(tmp_path, caplog):
    write_folder(tmp_path / "few", per_class=40)
    for k in range(4, 40):
        (tmp_path / "few" / "train" / "dog" / f"{k:02}.png").unlink()
    found = images(tmp_path / "few")
    assert dict(found.counts["valid"]) == {"cat": 4, "dog": 0, "eel": 4}
    assert "0 (dog) to 4" in found.lines()[2]
    assert any("no validation images of 1 of its 3 classes ('dog')" in warning for warning in found.warnings)
    module.note_small(open_images(str(tmp_path / "few"), "valid"))
    assert any("no validation images of 1 of its 3 classes ('dog')" in said for said in notes(caplog))


def test_blanks_at_the_end_of_a_class_are_none_in_a_folder_as_in_its_table(photos, tmp_path):
    (photos / "eel").rename(photos / "eel ")
    for source in both(photos):
        assert {entry.label for entry in list_images(source)} == set(CLASSES)
    images(photos, out=tmp_path / "table.csv")
    assert images(tmp_path / "table.csv").counts == images(photos).counts
    shutil.copytree(photos / "cat", photos / "cat ")
    for source in both(photos):
        with pytest.raises(DataError, match=r"the class 'cat ' and 'cat' cannot be told apart"):
            list_images(source)


def test_a_picture_in_training_and_test_under_two_names_is_counted(tmp_path, caplog):
    write_folder(tmp_path / "twice", per_class=30)
    for k in range(3):
        shutil.copy(
            tmp_path / "twice" / "train" / "cat" / f"{k:02}.png", tmp_path / "twice" / "test" / "cat" / f"x{k}.png"
        )
    open_images(str(tmp_path / "twice"), "train")
    [said] = notes(caplog)
    assert "3 of 93 test images of" in said
    assert "among its training images too" in said


def test_a_final_training_says_how_many_test_images_it_was_trained_on(tmp_path, call):
    pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
    write_folder(tmp_path / "twice", per_class=20)
    index = int(open_images(str(tmp_path / "twice"), "train").index[0])
    shutil.copy(
        tmp_path / "twice" / "train" / CLASSES[index // 20] / f"{index % 20:02}.png", tmp_path / "twice/test/cat/x.png"
    )
    module._open.cache_clear()
    code, _, error = call(
        "retrain", "--arch", "timm:lcnet_035", "--data", tmp_path / "twice", "--stem", "imagenet", "--preset", "small",
        "--epochs", 1, "--set", "batch=9", "--set", "crop=1", "--device", "cpu", "--out", tmp_path / "net",
    )  # fmt: skip
    assert code == 0, error
    result = json.loads((tmp_path / "net" / "result.json").read_text())
    assert result["test_images_repeated"] == 1
    assert "1 of 61 test images" in result["note"]


def test_a_photo_that_was_held_sideways_stands_upright(tmp_path, photos):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255
    turns = {1: 0, 3: 2, 6: 1, 8: 3}
    for name in ("a", "b"):
        (tmp_path / "exif" / name).mkdir(parents=True)
        for orientation, turn in turns.items():
            exif = Image.Exif()
            exif[0x112] = orientation
            held = Image.fromarray(np.ascontiguousarray(np.rot90(upright, turn)))
            held.save(tmp_path / "exif" / name / f"{orientation}.jpg", exif=exif, quality=100)
    for split in ("train", "valid", "test"):
        for image in open_images(str(tmp_path / "exif"), split).take():
            assert np.abs(image.astype(int) - upright).max() < 8
    for folder, same in ((tmp_path / "exif", False), (photos, True)):  # pixels that older versions named so are others
        found = module._open(str(folder), None, None)
        assert (found.sha256 == image_files.checksum(found.splits)) == same
    with Image.open(tmp_path / "exif" / "a" / "6.jpg") as opened:  # what the card's lines do
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(opened))[0], upright[0])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_data_that_is_none_does_not_cost_the_picture(photos):
    expected = open_images(str(photos), "train").take()
    for file in photos.glob("*/*.png"):
        Image.open(file).save(file, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff broken")
    module._open.cache_clear()
    np.testing.assert_array_equal(open_images(str(photos), "train").take(), expected)


def test_decoded_images_of_another_version_are_not_taken(photos, monkeypatch):
    places = set()
    for version in (2, image_files.FORMAT):
        monkeypatch.setattr(image_files, "FORMAT", version)
        places.add(open_images(str(photos), "train").sums.file.parent)
        module._open.cache_clear()
    assert image_files.FORMAT > 2
    assert len(places) == 2


def test_pictures_at_their_own_size_are_the_pixels_of_their_files(tmp_path):
    """As CIFAR in a folder of PNG: what registered experiments were trained on."""
    written = write_folder(tmp_path / "cifar", per_class=10, size=(32, 32))
    for source in both(tmp_path / "cifar"):
        for size in (None, 32):
            test = open_images(str(source), "test", size=size)
            np.testing.assert_array_equal(test.take(), written["test"][0])
            np.testing.assert_array_equal(test.labels, written["test"][1])
            train = open_images(str(source), "train", size=size)
            np.testing.assert_array_equal(train.take(), written["train"][0][train.index])
            assert test.sha256 == "47958e3b13fbaec6b0b34d702d87d726e50275774e4f10e9b4a12b8f467985de"


def test_a_table_whose_column_of_splits_is_empty_is_divided(photos, tmp_path):
    for fill in ("", "train"):
        with open(tmp_path / "table.csv", "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file", "label", "split"])
            for number, file in enumerate(sorted(photos.glob("*/*.png"))):
                writer.writerow([file, file.parent.name, fill if number == 0 else ""])
        if fill:
            with pytest.raises(DataError, match="line 3 has the split ''"):
                images(tmp_path / "table.csv")
        else:
            assert images(tmp_path / "table.csv").counts == images(photos).counts


def test_the_share_for_validation_is_that_of_the_draw(photos, tmp_path):
    images(photos, out=tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    with open(tmp_path / "undivided.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([("file", "label"), *((row["file"], row["label"]) for row in rows)])
    found = {}
    for source in (*both(photos), tmp_path / "undivided.csv"):
        for share in (None, 0.1, 0.3, 0.5):
            parts = [open_images(str(source), split, valid_share=share) for split in ("train", "valid", "test")]
            assert [len(part) for part in parts] == [48 - 60 * (share or 0.1), 60 * (share or 0.1), 12]
            assert np.bincount(parts[1].labels).tolist() == [20 * (share or 0.1)] * 3
            digests = [sorted(image.tobytes() for image in part.take()) for part in parts]
            if source.suffix != ".csv":  # where an image goes depends on its name, which is a longer one there
                assert found.setdefault(share or 0.1, digests) == digests
    assert found[0.1][2] == found[0.5][2]  # the test images are the same
    with pytest.raises(UserError, match="sum to less than 1"):
        open_images(str(photos), "train", valid_share=0.8)


def test_a_share_beside_a_validation_split_of_one_s_own_is_refused(tmp_path):
    write_folder(tmp_path / "own", per_class=10, splits=("train", "val", "test"))
    for source in both(tmp_path / "own"):
        with pytest.raises(UserError, match="has a validation split of its own: leave valid_share out"):
            open_images(str(source), "train", valid_share=0.3)
        assert len(open_images(str(source), "valid")) == 30
    write_folder(tmp_path / "two", per_class=10, splits=("train", "val"))
    assert len(open_images(str(tmp_path / "two"), "valid", valid_share=0.3)) == 9
    assert len(open_images(str(tmp_path / "two"), "test", valid_share=0.3)) == 30
