"""Images as people have them: one folder per class, splits of any usual names, a table; what is wrong is one line."""

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[train]'")

from small_images import CLASSES, data_home, write_folder, write_tar  # noqa: E402, F401

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.library.images import images  # noqa: E402
from smemnas.bench.train import images as module  # noqa: E402
from smemnas.bench.train.image_lists import list_folder, list_tar  # noqa: E402
from smemnas.bench.train.image_splits import resolution  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402


@pytest.fixture(autouse=True)
def fresh(data_home):  # noqa: F811
    module._open.cache_clear()


def plain(folder, per_class=10, classes=CLASSES):
    """Write one folder per class, without splits."""
    write_folder(folder.parent / "made", per_class=per_class, splits=("train",), classes=classes)
    (folder.parent / "made" / "train").rename(folder)
    return folder


def places(entries):
    """Return the split of each image by class and name."""
    return {(entry.label, entry.inside): entry.split for entry in entries}


def refused(source, *words):
    with pytest.raises(DataError) as error:
        images(source)
    text = str(error.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == []


def test_a_folder_of_classes_is_divided_by_class(tmp_path):
    folder = plain(tmp_path / "photos", per_class=20)
    counts = images(folder).counts
    assert counts == {
        "train": dict.fromkeys(CLASSES, 14),
        "valid": dict.fromkeys(CLASSES, 2),
        "test": dict.fromkeys(CLASSES, 4),
    }
    splits = [open_images(str(folder), split) for split in ("train", "valid", "test")]
    assert [len(part) for part in splits] == [42, 6, 12]
    seen = [image.tobytes() for part in splits for image in part.take()]
    assert len(set(seen)) == 60
    assert splits[0].classes == CLASSES


@pytest.mark.parametrize("layout", ["plain", "train only", "one more folder", "archive of macOS"])
def test_layouts_without_a_split_are_one_and_the_same(tmp_path, layout):
    folder = plain(tmp_path / "photos")
    expected = places(list_folder(folder))
    if layout == "train only":
        (tmp_path / "new").mkdir()
        folder.rename(tmp_path / "new" / "Train")
        folder = tmp_path / "new"
    elif layout == "one more folder":
        (tmp_path / "new").mkdir()
        folder = folder.rename(tmp_path / "new" / "photos").parent
    elif layout == "archive of macOS":
        (folder / "__MACOSX" / "cat").mkdir(parents=True)
        (folder / "__MACOSX" / "cat" / "._00.png").write_bytes(b"x")
        (folder / ".DS_Store").write_bytes(b"x")
    write_tar(folder, tmp_path / "photos.tar", top=".")
    write_tar(folder, tmp_path / "below.tar", top="photos")
    assert places(list_folder(folder)) == expected
    assert places(list_tar(tmp_path / "photos.tar")) == expected
    if layout != "one more folder":
        assert places(list_tar(tmp_path / "below.tar")) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Train", "Test"), {"train": 9, "valid": 1, "test": 10}),
        (("training", "validation"), {"train": 9, "valid": 1, "test": 10}),
        (("train", "valid", "testing"), {"train": 10, "valid": 10, "test": 10}),
    ],
)
def test_usual_names_of_splits(tmp_path, names, expected):
    write_folder(tmp_path / "photos", per_class=10, splits=names)
    assert {split: of["cat"] for split, of in images(tmp_path / "photos").counts.items()} == expected
    assert {s: len(open_images(str(tmp_path / "photos"), s)) for s in expected} == {
        s: 3 * n for s, n in expected.items()
    }


def test_a_class_may_be_called_train(tmp_path):
    folder = plain(tmp_path / "vehicles", classes=("bus", "car", "train"))
    assert images(folder).classes == ("bus", "car", "train")
    write_tar(folder, tmp_path / "vehicles.tar", top=".")
    assert places(list_tar(tmp_path / "vehicles.tar")) == places(list_folder(folder))


def test_images_that_come_and_go_leave_the_others_in_their_split(tmp_path):
    folder = plain(tmp_path / "photos", per_class=40)
    before = places(list_folder(folder))
    (folder / "cat" / "07.png").unlink()
    after = places(list_folder(folder))
    moved = [key for key in after if after[key] != before[key]]
    assert len(after) == len(before) - 1
    assert len(moved) <= 2  # where the shares are rounded


def test_a_written_table_gives_the_splits_that_were_shown(tmp_path):
    folder = plain(tmp_path / "photos")
    shown = images(folder, test=0.3, valid=0.2, seed=5, out=tmp_path / "splits.csv")
    assert {split: sum(of.values()) for split, of in shown.counts.items()} == {"train": 15, "valid": 6, "test": 9}
    assert images(tmp_path / "splits.csv").counts == shown.counts
    rows = list(csv.DictReader((tmp_path / "splits.csv").open()))
    test = open_images(str(tmp_path / "splits.csv"), "test")
    files = [tmp_path / row["file"] for row in rows if row["split"] == "test"]
    np.testing.assert_array_equal(test.take(), [np.asarray(Image.open(file)) for file in files])
    other = images(folder, test=0.3, valid=0.2, seed=6, out=tmp_path / "other.csv")
    assert other.counts == shown.counts
    assert (tmp_path / "other.csv").read_text() != (tmp_path / "splits.csv").read_text()


def test_the_split_of_every_file_lies_beside_the_decoded_images(tmp_path, data_home):  # noqa: F811
    folder = plain(tmp_path / "photos")
    open_images(str(folder), "train")
    (record,) = data_home.glob("images/decoded/*/files.csv")
    rows = list(csv.DictReader(record.open()))
    assert {(row["label"], Path(row["file"]).name): row["split"] for row in rows} == places(list_folder(folder))


def test_a_held_out_share_of_given_splits_is_shown_as_it_is_used(tmp_path):
    write_folder(tmp_path / "photos", per_class=20)
    images(tmp_path / "photos", out=tmp_path / "splits.csv")
    for split in ("train", "valid", "test"):
        of_folder, of_table = (open_images(str(tmp_path / name), split) for name in ("photos", "splits.csv"))
        np.testing.assert_array_equal(of_folder.take(), of_table.take())
    with pytest.raises(UserError, match="splits of its own"):
        images(tmp_path / "photos", seed=1)


HEADS = ["file,label\n", "image_path;class\n", "", "id\tcategory\tfilename\n"]


@pytest.mark.parametrize("head", HEADS, ids=["file,label", "semicolons", "no names", "more columns"])
def test_tables_in_usual_forms(tmp_path, head):
    folder = plain(tmp_path / "photos")
    form = {"": "{file},{label}", HEADS[1]: "{file};{label}", HEADS[3]: "7\t{label}\t{file}"}.get(
        head, "{file},{label}"
    )
    lines = [form.format(file=f"photos/{c}/{k:02}.png", label=c) for c in CLASSES for k in range(10)]
    (tmp_path / "labels.csv").write_text("\ufeff" + head + "\n".join(lines) + "\n\n")
    counts = images(tmp_path / "labels.csv").counts
    assert {split: dict(of) for split, of in counts.items()} == {
        "train": dict.fromkeys(CLASSES, 7),
        "valid": dict.fromkeys(CLASSES, 1),
        "test": dict.fromkeys(CLASSES, 2),
    }
    assert open_images(str(tmp_path / "labels.csv"), "train").classes == CLASSES
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\nphotos/cat/00.png,cat\nphotos/cat/00.png,dog\n", ("line 3", "again")),
        ("file,label\nphotos/cat/99.png,cat\n", ("line 2", "99.png", "relative to the folder")),
        ("file,label\nphotos/cat/00.png,\n", ("line 2", "no class")),
        ("file,label\n,cat\n", ("line 2", "no file")),
        ("file,label\nphotos/cat/00,cat\n", ("line 2", "no ending")),
        ("file,label,split\nphotos/cat/00.png,cat,fold1\n", ("line 2", "'fold1'", "train")),
        ("name,kind\nphotos/cat/00.png,cat\n", ("'name', 'kind'", "file")),
        ("file,weight\nphotos/cat/00.png,3\n", ("label",)),
        ("file,label\n", ("names no images",)),
        ("", ("none is the file",)),
        (b"file,label\nphotos/caf\xe9.png,cat\n", ("no UTF-8 text",)),
        ("file,label\nphotos/cat/00.png,cat\nphotos/cat/01.png,cat\nphotos/cat/02.png,cat\n", ("one class, 'cat'",)),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, words):
    plain(tmp_path / "photos")
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(tmp_path / "labels.csv", "labels.csv", *words)


def test_one_class_is_one_line(tmp_path):
    refused(plain(tmp_path / "photos", classes=("cat",)), "one class, 'cat'")


def test_loose_images_are_one_line(tmp_path):
    folder = plain(tmp_path / "photos")
    (folder / "cat" / "00.png").rename(folder / "00.png")
    refused(folder, "00.png lies in no class folder", "CSV")
    for name in CLASSES:
        for file in (folder / name).iterdir():
            file.rename(folder / f"{name}-{file.name}")
        (folder / name).rmdir()
    refused(folder, "lies in no class folder", "CSV")


def test_an_empty_class_is_one_line(tmp_path):
    folder = plain(tmp_path / "photos")
    (folder / "notes").mkdir()
    refused(folder, f"{folder}/notes holds no images")


def test_a_picture_of_another_kind_is_named(tmp_path):
    folder = plain(tmp_path / "photos")
    (folder / "cat" / "00.png").rename(folder / "cat" / "00.HEIC")
    refused(folder, "00.HEIC", "convert it", ".jpeg")
    write_tar(folder, tmp_path / "photos.tar")
    refused(tmp_path / "photos.tar", "00.HEIC", "convert it")


def test_three_images_per_class_are_divided_and_two_are_not(tmp_path):
    folder = plain(tmp_path / "photos", per_class=3)
    found = images(folder)
    assert all(of == dict.fromkeys(CLASSES, 1) for of in found.counts.values())
    assert found.warnings[0].startswith(
        f"{folder} holds out 3 images for validation: differences of accuracy below 64 "
    )
    (folder / "dog" / "00.png").unlink()
    refused(folder, "the class 'dog' has 2 images", "3 are the fewest")


def test_the_resolution_is_that_of_a_difference_of_two_shares():
    """By a simulation: of pairs of equal networks, one in twenty differs by more."""
    rng = np.random.default_rng(0)
    pairs = rng.binomial(1000, 0.8, (200_000, 2)) / 10
    beyond = np.mean(np.abs(pairs[:, 0] - pairs[:, 1]) > resolution(1000))
    assert abs(beyond - 0.05) < 0.004


def test_trainings_are_told_where_held_out_images_are_few(tmp_path, caplog):
    folder = plain(tmp_path / "photos", per_class=10)
    module.note_small(open_images(str(folder), "valid"))
    module.note_small(open_images("digits", "valid"))
    assert [r.getMessage().count("3 images for validation") for r in caplog.records] == [1]
    assert resolution(492) < 5 < resolution(491)


def test_trainings_are_told_where_a_crop_takes_much_of_small_images(tmp_path, caplog):
    """A supernet of digits of 8 pixels stayed at chance with the default crop of 4, which is meant for photographs."""
    folder = plain(tmp_path / "photos", per_class=10)
    for side, crop in ((8, 4), (8, 2), (16, 4), (16, 5), (32, 0)):
        module.note_crop(open_images(str(folder), "train", size=side), crop, "--crop ")
    module.note_crop(open_images("digits", "train"), 4, "--set crop=")
    first, second = (record.getMessage() for record in caplog.records)
    assert "images of 8 pixels, which are shifted by up to 4 in training: --crop 1 leaves more" in first
    assert "images of 16 pixels, which are shifted by up to 5 in training: --crop 2 leaves more" in second


def many_classes(folder, n):
    """Write three images of each of many classes, all links to three files."""
    folder.mkdir()
    for k in range(3):
        Image.new("RGB", (4, 4), (k, 0, 0)).save(folder.parent / f"{k}.png")
    for number in range(n):
        (folder / f"c{number:05}").mkdir()
        for k in range(3):
            os.link(folder.parent / f"{k}.png", folder / f"c{number:05}" / f"{k}.png")


def test_hundreds_of_classes_are_listed(tmp_path):
    many_classes(tmp_path / "many", 300)
    found = places(list_folder(tmp_path / "many"))
    assert Counter(found.values()) == {"train": 300, "valid": 300, "test": 300}


@pytest.mark.long
def test_ten_thousand_classes_are_opened_and_given_to_a_network(tmp_path):
    many_classes(tmp_path / "many", 10_000)
    part = open_images(str(tmp_path / "many"), "valid")
    assert (len(part), part.n_classes) == (10_000, 10_000)
    assert part.pixels.shape[1] == 4


def test_mixed_sizes_and_modes_are_brought_to_one_or_named(tmp_path):
    folder = plain(tmp_path / "photos")
    for k, mode in enumerate(("L", "RGBA", "P", "CMYK", "1", "LA")):
        kind = "tif" if mode == "CMYK" else "png"
        (folder / "cat" / f"0{k}.png").unlink()
        Image.new(mode, (5 + k, 9)).save(folder / "cat" / f"0{k}.{kind}")
    with pytest.raises(DataError, match="give size=") as error:
        open_images(str(folder), "train")
    assert "\n" not in str(error.value)
    assert open_images(str(folder), "train", size=8).pixels.shape == (21, 8, 8, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_files_that_cannot_be_read_are_named(tmp_path, content):
    folder = plain(tmp_path / "photos")
    (folder / "dog" / "03.png").write_bytes(content)
    with pytest.raises(DataError, match=r"dog/03.png is no readable image .*: replace or remove it") as error:
        open_images(str(folder), "train")
    assert "\n" not in str(error.value)


def test_the_command_shows_and_writes(tmp_path):
    plain(tmp_path / "photos")
    program = Path(__file__).resolve().parents[2] / "cli.py"
    call = [sys.executable, str(program), "images", "photos", "--out", "splits.csv"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["photos: 3 classes", "train        21 images, 7 (cat) to 7 (cat) per class"]
    assert "warning: photos holds out 3 images for validation" in done.stdout
    assert len((tmp_path / "splits.csv").read_text().splitlines()) == 31
